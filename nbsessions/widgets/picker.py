"""A list of sessions to pick one from: to go on with it, or to do something with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import anywidget
import ipywidgets

from nbsessions.exceptions import InvalidInput
from nbsessions.rendering import MUTED
from nbsessions.stores.base import Key
from nbsessions.text import counted
from nbsessions.widgets.acts import Done, act_on, opened
from nbsessions.widgets.filters import Filters
from nbsessions.widgets.live import Live, assets, line_html, report_line, store_here, workspace_here
from nbsessions.widgets.preview import note_html, preview_html, session_line
from nbsessions.widgets.question import Question
from nbsessions.widgets.static import html_table, plain_table

if TYPE_CHECKING:
    from nbsessions.bulk.reports import Report
    from nbsessions.records import SessionPage, SessionRecord
    from nbsessions.session import Session
    from nbsessions.store import Store
    from nbsessions.workspace import Workspace

_ROWS: Final = 12
_OFFERED: Final = 200
"""The agents and tags of so many of the newest sessions are offered."""
_ACTS: Final = ("Resume", "Fork", "Rename", "Tag", "Checkpoint", "Export", "Delete")


class _Keys(anywidget.AnyWidget):
    """What the browser does beside plain widgets; where it does not run, mouse and Tab do all."""

    _esm = assets("common.js", "beside.js", "keys.js")
    _css = assets("common.css", "picker.css")


class SessionPicker(Live, ipywidgets.VBox):
    """A list of sessions, the newest first, with the end of the conversation that is looked at.

    Resume makes it the notebook's current session: the next ``%%agent`` goes on with it. Arrows lead from
    session to session, Enter resumes, ``/`` searches, Escape lets go. It is made of plain ipywidgets and
    works wherever these do.

    Parameters
    ----------
    store : Store or None
        None: the current one.
    workspace : Workspace or None
        None: that of the magics, where they are loaded.

    Attributes
    ----------
    record : SessionRecord or None
        The session that is looked at.
    session : Session or None
        The one that was resumed.
    search, agent, tag, age, here, list, preview, buttons, question, line, undo
        The widgets that it is made of.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> store = nbs.open_store("memory:")
    >>> _ = store.create("plan"), store.create("owls")
    >>> picker = SessionPicker(store)
    >>> picker.search.value = "pla"
    >>> picker.resume()
    >>> picker.session.name
    'plan'
    """

    def __init__(self, store: Store | None = None, *, workspace: Workspace | None = None) -> None:
        self.store = store_here(store)
        self.session: Session | None = None
        self._workspace = workspace or workspace_here()
        self._records: list[SessionRecord] = []
        self._offset, self._total = 0, 0
        self._is_drawing = False
        self._report: Report | None = None
        super().__init__(self._made())
        self.add_class("nbs-picker")
        self._follow(self.store.backend)
        with self.lock:
            self._look()
        self._listen()

    # Its parts

    def _made(self) -> list[ipywidgets.Widget]:
        self._filters = Filters(lambda: None if self._workspace is None else self._workspace.notebook())
        self.search, self.agent, self.tag = self._filters.search, self._filters.agent, self._filters.tag
        self.age, self.here = self._filters.age, self._filters.here
        half: dict[str, Any] = {"width": "auto", "min_width": "20em", "height": "276px", "flex": "1 1 0"}
        self.list = ipywidgets.Select(rows=_ROWS, tooltip="Sessions", layout=half)
        self.preview = ipywidgets.HTML(layout={**half, "overflow": "auto"})
        self.list.add_class("nbs-list")
        self.preview.add_class("nbs-preview")
        self.back, self.on = (_button(text) for text in ("Newer", "Older"))
        self.place = ipywidgets.HTML()
        self.place.add_class("nbs-place")
        self.buttons = {name: _button(name if name == "Resume" else f"{name}…") for name in _ACTS}
        self.buttons["Resume"].button_style = "primary"
        row: dict[str, Any] = {"flex_flow": "row wrap", "align_items": "center"}
        self._row = ipywidgets.HBox([*self.buttons.values()], layout=row)
        self._row.add_class("nbs-buttons")
        self.question = Question(self._attempt, self._show_buttons)
        self.line = ipywidgets.HTML()
        self.line.add_class("nbs-line")
        self.undo = _button("Undo")
        self.undo.layout.display = "none"
        self._keys = _Keys()
        return [
            self._filters,
            ipywidgets.HBox([self.list, self.preview], layout={"flex_flow": "row wrap"}),
            ipywidgets.HBox([self.back, self.on, self.place], layout=row),
            self._row,
            self.question,
            ipywidgets.HBox([self.line, self.undo, self._keys], layout={**row, "min_height": "34px"}),
        ]

    def _listen(self) -> None:
        self._filters.on_change(lambda: self._turn_to(0))
        self.back.on_click(lambda button: self._turn_to(self._offset - _ROWS))
        self.on.on_click(lambda button: self._turn_to(self._offset + _ROWS))
        self.list.observe(lambda change: self._show(self._look_closer), "index")
        for name, button in self.buttons.items():
            button.on_click(lambda button, name=name: self._attempt(lambda: self._act(name)))
        self.undo.on_click(lambda button: self._attempt(self._take_back))
        self._keys.on_msg(self._pressed)

    # What is shown

    @property
    def record(self) -> SessionRecord | None:
        """The session that is looked at."""
        index = self.list.index
        return self._records[index] if index is not None and index < len(self._records) else None

    def _look(self) -> None:
        """Read what is shown from the store, also what can be filtered by."""
        self._filters.offer(self._newest())
        self._show_page()

    def _newest(self) -> SessionPage:
        return self.store.page(limit=_OFFERED)

    def _show_page(self, key: Key | None = None) -> None:
        """Read the page that is shown; the session of `key`, or that which is looked at, stays looked at."""
        if key is None and self.record is not None:
            key = Key.of(self.record)
        page = self._read()
        if not page and page.total:
            self._offset = (page.total - 1) // _ROWS * _ROWS
            page = self._read()
        keys = [Key.of(record) for record in page]
        # Where it is gone, the next one has its place.
        at = keys.index(key) if key in keys else (min(self.list.index or 0, len(keys) - 1) if keys else None)
        self._records, self._total = [*page], page.total
        self._draw_list([(session_line(record), number) for number, record in enumerate(page)], at)
        first, last = self._offset + 1, self._offset + len(page)
        span = f"{first:,} to {last:,} of " if page else ""
        self.place.value = f'<span style="{MUTED}">{span}{counted(page.total, "session")}</span>'
        self.back.disabled, self.on.disabled = self._offset == 0, last >= page.total
        self._look_closer()

    def _read(self) -> SessionPage:
        return self.store.page(offset=self._offset, limit=_ROWS, **self._filters.wanted())

    def _draw_list(self, options: list[tuple[str, int]], at: int | None) -> None:
        self._is_drawing = True
        try:
            with self.list.hold_sync():
                if [*self.list.options] != options:
                    self.list.options = options
                self.list.index = at
        finally:
            self._is_drawing = False

    def _turn_to(self, offset: int) -> None:
        def turn() -> None:
            self._offset = max(0, offset)
            self._draw_list([*self.list.options], 0 if self._records else None)
            self._show_page(Key("", ""))

        self._show(turn)

    def _look_closer(self) -> None:
        """Show the end of the conversation that is looked at."""
        if self._is_drawing:
            return
        record = self.record
        for button in self.buttons.values():
            button.disabled = record is None
        if record is not None:
            self.preview.value = preview_html(self.store.backend, record)
        else:
            nothing = "No session is like that." if self._filters.are_set else "There are no sessions yet."
            self.preview.value = note_html(nothing)

    def _show_line(self, text: str, is_error: bool, can_undo: bool) -> None:
        """Show a line below the buttons."""
        self.line.value = line_html(text, is_error)
        self.undo.layout.display = "" if can_undo else "none"

    def _show_buttons(self) -> None:
        self._row.layout.display = ""

    # What can be done

    def resume(self) -> None:
        """Make the session that is looked at the notebook's current one.

        Raises
        ------
        InvalidInput
            There is none.
        NbsessionsError
            It cannot be opened.

        Examples
        --------
        >>> import nbsessions as nbs
        >>> store = nbs.open_store("memory:")
        >>> _ = store.create("plan")
        >>> picker = nbs.SessionPicker(store)
        >>> picker.resume()
        >>> picker.session.name
        'plan'
        """
        record, workspace = self._need(), self._workspace
        if workspace is None:
            self.session = opened(self.store.resume, record)
            self._tell(f"Resumed {self.session.record.label!r}: it is `session` of this picker.")
            return
        workspace.use_open_store(self.store)
        self.session = opened(workspace.resume, record)
        workspace.switch(self.session, "load")
        turns = counted(self.session.turn_count, "turn")
        self._tell(f"Resumed {self.session.record.label!r} ({turns}): the next %%agent goes on with it.")

    def _act(self, name: str) -> None:
        """Do what a button says; all but Resume ask first."""
        if name == "Resume":
            self.resume()
            return
        act = act_on(self.store, self._need(), name)
        self._row.layout.display = "none"
        self.question.ask(act.question, act.value, lambda text: self._did(act.do(text)), name)

    def _need(self) -> SessionRecord:
        record = self.record
        if record is None:
            raise InvalidInput("No session is chosen.")
        return record

    def _did(self, done: Done) -> None:
        self._report = done.report
        self._tell(done.text, can_undo=done.report is not None and done.report.can_undo)
        if done.newest is not None:
            self._offset = 0
        self._filters.offer(self._newest())
        self._show_page(None if done.newest is None else Key.of(done.newest))

    def _take_back(self) -> None:
        if self._report is not None:
            report = self._report.undo()
            self._did(Done(report_line(report), report))

    def _pressed(self, widget: object, content: Any, buffers: object) -> None:
        """Do what a key or a click says, of what the browser had in its fields at that moment."""
        if isinstance(content, dict):
            self._attempt(lambda: self._catch_up_and_do(content))

    def _catch_up_and_do(self, content: dict[str, Any]) -> None:
        what, text = content.get("do"), content.get("text")
        if what == "agree" and self.question.is_open:
            self.question.text.value = text if isinstance(text, str) else self.question.text.value
            self.question.agree()
        elif what == "escape" and self.question.is_open:
            self.question.forget()
        elif what == "escape":
            self.search.value = ""
        elif what in _ACTS and not self.question.is_open:
            self._catch_up(content.get("search"), content.get("at"), content.get("line"))
            self._act(what)

    def _catch_up(self, search: Any, at: Any, line: Any) -> None:
        """Look at what was looked at in the browser, of which not all may have come here yet."""
        if isinstance(search, str) and search != self.search.value:
            self.search.value = search
        elif (line, at) in self.list.options:
            self.list.index = at
        elif isinstance(line, str) and line:
            raise InvalidInput("The list has changed in this moment. Look at it again.")

    # Where no widget runs

    def __str__(self) -> str:
        return plain_table(*self._static())

    def _html(self) -> str:
        """Return the sessions that are shown as a plain table."""
        return html_table(*self._static())

    def _static(self) -> tuple[list[str], list[list[str]], str]:
        rows = [[session_line(record)] for record in self._records]
        return ["Session"], rows, counted(self._total, "session")


def _button(text: str) -> ipywidgets.Button:
    return ipywidgets.Button(description=text, layout={"width": "auto"})
