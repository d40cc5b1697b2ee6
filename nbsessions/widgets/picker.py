"""A list of sessions to pick one from: to go on with it, or to do something with it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import anywidget
import ipywidgets

from nbsessions import changing, cleanup, formats
from nbsessions.exceptions import InvalidInput
from nbsessions.exporting import file_name
from nbsessions.rendering import MUTED, escape
from nbsessions.reprs import Conversation
from nbsessions.session import Session
from nbsessions.stores.base import Key
from nbsessions.text import counted, one_line
from nbsessions.values import now
from nbsessions.widgets.live import Live, assets, store_here, workspace_here
from nbsessions.widgets.static import html_table, plain_table

if TYPE_CHECKING:
    from nbsessions.cleanup import Report
    from nbsessions.records import SessionPage, SessionRecord
    from nbsessions.store import Store
    from nbsessions.workspace import Workspace

_ROWS: Final = 12
_PREVIEW: Final = 6
"""So many of the last messages are shown of the session that is looked at."""
_LETTERS: Final = 3
_OFFERED: Final = 200
"""The agents and tags of so many of the newest sessions are offered."""
_AGES: Final = {"any age": None, "today": 1, "7 days": 7, "30 days": 30, "a year": 365}
_ACTS: Final = ("Resume", "Fork", "Rename", "Tag", "Checkpoint", "Export", "Delete")


class _Keys(anywidget.AnyWidget):
    """What the browser does beside plain widgets; where it does not run, mouse and Tab do all."""

    _esm = assets("common.js", "keys.js")
    _css = assets("style.css")


class SessionPicker(Live, ipywidgets.VBox):  # type: ignore[misc]
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
        self._offset, self._total, self._shown = 0, 0, ""
        self._agree: Callable[[], object] | None = None
        self._report: Report | None = None
        super().__init__(self._made())
        self.add_class("nbs-picker")
        self._follow(self.store.backend)
        self._look()
        self._listen()

    # Its parts

    def _made(self) -> list[ipywidgets.Widget]:
        wide, narrow = ipywidgets.Layout(width="auto", flex="1 1 14em"), ipywidgets.Layout(width="10em")
        self.search = ipywidgets.Text(placeholder="Search names, tags, messages", layout=wide)
        self.agent = ipywidgets.Combobox(placeholder="any agent", layout=narrow, continuous_update=False)
        self.tag = ipywidgets.Combobox(placeholder="any tag", layout=narrow, continuous_update=False)
        self.age = ipywidgets.Dropdown(options=[*_AGES], layout=narrow)
        here = ipywidgets.Layout(width="auto")
        self.here = ipywidgets.Checkbox(description="this notebook", indent=False, layout=here)
        half = ipywidgets.Layout(width="auto", flex="1 1 20em")
        self.list = ipywidgets.Select(rows=_ROWS, layout=half)
        self.list.add_class("nbs-list")
        self.preview = ipywidgets.HTML(layout={"flex": "1 1 24em", "max_height": "19em", "overflow": "auto"})
        self.back, self.on = (_button(text) for text in ("Newer", "Older"))
        self.place = ipywidgets.HTML()
        self.buttons = {name: _button(f"{name}…" if name in _ACTS[1:] else name) for name in _ACTS}
        self.buttons["Resume"].button_style = "primary"
        self.form = ipywidgets.HBox(layout={"display": "none", "align_items": "center"})
        self.form.add_class("nbs-form")
        self.line = ipywidgets.HTML()
        self.undo = _button("Undo")
        self.undo.layout.display = "none"
        self._keys = _Keys()
        row: dict[str, Any] = {"flex_flow": "row wrap", "align_items": "center"}
        return [
            ipywidgets.HBox([self.search, self.agent, self.tag, self.age, self.here], layout=row),
            ipywidgets.HBox([self.list, self.preview], layout={"flex_flow": "row wrap"}),
            ipywidgets.HBox([self.back, self.on, self.place], layout=row),
            ipywidgets.HBox([*self.buttons.values()], layout=row),
            self.form,
            ipywidgets.HBox([self.line, self.undo, self._keys], layout=row),
        ]

    def _file(self) -> str:
        return file_name(self._need(), formats.find("notebook"))

    def _called(self) -> str:
        return repr(one_line(self._need().label, 60))

    def _listen(self) -> None:
        for part in (self.search, self.agent, self.tag, self.age, self.here):
            part.observe(lambda change: self._turn_to(0), "value")
        self.back.on_click(lambda button: self._turn_to(self._offset - _ROWS))
        self.on.on_click(lambda button: self._turn_to(self._offset + _ROWS))
        self.list.observe(lambda change: self._attempt(self._look_closer), "index")
        acts: dict[str, Callable[[], object]] = {
            "Resume": self.resume,
            "Fork": lambda: self._ask("Fork as", f"{self._need().label} (fork)", self._fork),
            "Rename": lambda: self._ask("Rename to", self._need().name or "", self._rename),
            "Tag": lambda: self._ask("Tag with", "", self._tag),
            "Checkpoint": lambda: self._ask("Name this point", "", self._checkpoint),
            "Export": lambda: self._ask(
                "Export to", file_name(self._need(), formats.find("notebook")), self._export
            ),
            "Delete": lambda: self._ask(f"Delete {self._called()} for good?", None, self._delete),
        }
        for name, button in self.buttons.items():
            button.on_click(lambda button, act=acts[name]: self._attempt(act))
        self.undo.on_click(lambda button: self._attempt(self._take_back))
        self._keys.on_msg(self._pressed)

    # What is shown

    @property
    def record(self) -> SessionRecord | None:
        """The session that is looked at."""
        index = self.list.index
        return self._records[index] if index is not None and index < len(self._records) else None

    def _look(self) -> None:
        """Read the page that is shown from the store; the session that is looked at stays the same."""
        before = None if self.record is None else Key.of(self.record)
        page = self._read()
        if not page and page.total:
            self._offset = (page.total - 1) // _ROWS * _ROWS
            page = self._read()
        self._records, self._total = [*page], page.total
        keys = [Key.of(record) for record in page]
        at = keys.index(before) if before in keys else (0 if keys else None)
        options = [(_line(record), number) for number, record in enumerate(page)]
        if [*self.list.options] != options:
            self.list.options = options
        self.list.index = at
        first, last = self._offset + 1, self._offset + len(page)
        span = f"{first:,} to {last:,} of " if page else ""
        self.place.value = f'<span style="{MUTED}">{span}{counted(page.total, "session")}</span>'
        self.back.disabled, self.on.disabled = self._offset == 0, last >= page.total
        for button in self.buttons.values():
            button.disabled = not page
        self._look_closer()

    def _read(self) -> SessionPage:
        text, days = self.search.value, _AGES[self.age.value]
        notebook = self._notebook() if self.here.value else None
        return self.store.page(
            text,
            offset=self._offset,
            limit=_ROWS,
            said=len(text.strip()) >= _LETTERS,
            agent_name=self.agent.value or None,
            tag=self.tag.value or None,
            notebook=notebook,
            since=None if days is None else now() - timedelta(days=days),
        )

    def _notebook(self) -> str:
        found = None if self._workspace is None else self._workspace.notebook()
        if found is None:
            raise InvalidInput("It is not known where this notebook is saved.")
        return found

    def _turn_to(self, offset: int) -> None:
        self._offset = max(0, offset)
        self.refresh()

    def _look_closer(self) -> None:
        """Show the end of the conversation that is looked at, and offer what can be filtered by."""
        record = self.record
        if record is None:
            filters = (self.search.value, self.agent.value, self.tag.value, self.age.index, self.here.value)
            nothing = "No session is like that." if any(filters) else "There are no sessions yet."
            self.preview.value = f'<span style="{MUTED}">{nothing}</span>'
            return
        messages = Session(self.store.backend, record).history(_PREVIEW)
        first = record.message_count - len(messages) + 1
        self.preview.value = Conversation(record.label, messages, first=first).html()

    def _offer(self) -> None:
        """Offer the agents and tags that the newest sessions have."""
        newest = self.store.page(limit=_OFFERED)
        self.agent.options = sorted({record.agent_name for record in newest})
        self.tag.options = sorted({tag for record in newest for tag in record.tags})

    def _show_line(self, text: str, is_error: bool, can_undo: bool) -> None:
        """Show a line below the buttons."""
        edge = "border-left:3px solid var(--jp-error-color1, #c62828);padding-left:8px" if is_error else ""
        self.line.value = f'<span role="status" style="{edge}">{escape(text)}</span>'
        self.undo.layout.display = "" if can_undo else "none"

    # What can be done

    def _need(self) -> SessionRecord:
        record = self.record
        if record is None:
            raise InvalidInput("No session is chosen.")
        return record

    def _opened(self) -> Session:
        record = self._need()
        return self.store.resume(record.session_id, conversation_id=record.conversation_id)

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
            self.session = self._opened()
            self._tell(f"Resumed {self.session.record.label!r}: it is `session` of this picker.")
            return
        workspace.use_open_store(self.store)
        self.session = workspace.resume(record.session_id, conversation_id=record.conversation_id)
        workspace.switch(self.session, "load")
        turns = counted(self.session.turn_count, "turn")
        self._tell(f"Resumed {self.session.record.label!r} ({turns}): the next %%agent goes on with it.")

    def _fork(self, name: str) -> None:
        record = self._need()
        fork = self.store.resume(record.session_id, conversation_id=record.conversation_id).fork(name or None)
        self._tell(
            f"Made {fork.record.label!r}: {counted(fork.message_count, 'message')} of {record.label!r}."
        )

    def _rename(self, name: str) -> None:
        record = self._need()
        self._done(changing.rename(self.store, [record], {Key.of(record): name}))

    def _tag(self, text: str) -> None:
        self._done(changing.tag(self.store, [self._need()], text.split(",")))

    def _checkpoint(self, name: str) -> None:
        record = self._need()
        made = self.store.resume(record.session_id, conversation_id=record.conversation_id).checkpoint(
            name or None
        )
        self._tell(f"Checkpoint {made.name!r} after {counted(made.message_count, 'message')}.")

    def _export(self, path: str) -> None:
        written = self.store.export(self._need(), path)
        self._tell(f"Exported to {written}.")

    def _delete(self, _: str) -> None:
        self._done(cleanup.delete(self.store, [self._need()]))

    def _done(self, report: Report) -> None:
        self._report = report
        self._tell(str(report), can_undo=report.can_undo)

    def _take_back(self) -> None:
        if self._report is not None:
            self._done(self._report.undo())
            self._look()

    # Asking before something is done

    def _ask(self, question: str, value: str | None, act: Callable[[str], object]) -> None:
        """Ask for a text, or for a yes where `value` is None; then do it."""
        text = ipywidgets.Text(value=value or "", layout={"width": "18em"})
        agree, keep = _button("OK" if value is not None else "Delete"), _button("Cancel")
        agree.button_style = "primary" if value is not None else "danger"
        label = ipywidgets.Label(question)
        self.form.children = [label, *([text] if value is not None else []), agree, keep]
        self.form.layout.display = ""

        def agreed() -> None:
            act(text.value.strip())
            self._forget_question()
            self._look()

        self._agree = agreed
        agree.on_click(lambda button: self._attempt(agreed))
        keep.on_click(lambda button: self._forget_question())

    def _forget_question(self) -> None:
        self._agree = None
        self.form.layout.display = "none"
        self.form.children = []

    def _pressed(self, widget: object, content: Any, buffers: object) -> None:
        """Do what a key says."""
        what = content.get("do") if isinstance(content, dict) else None
        if what == "resume":
            self._attempt(self.resume)
        elif what == "agree" and self._agree is not None:
            self._attempt(self._agree)
        elif what == "escape" and self._agree is not None:
            self._forget_question()
        elif what == "escape":
            self.search.value = ""

    # Where no widget runs

    def __str__(self) -> str:
        return plain_table(*self._static())

    def _html(self) -> str:
        """Return the sessions that are shown as a plain table."""
        return html_table(*self._static())

    def _static(self) -> tuple[list[str], list[list[str]], str]:
        rows = [[_line(record)] for record in self._records]
        return ["Session"], rows, counted(self._total, "session")


def _button(text: str) -> ipywidgets.Button:
    return ipywidgets.Button(description=text, layout={"width": "auto"})


def _line(record: SessionRecord) -> str:
    age = _age(record)
    tags = f" · {', '.join(record.tags)}" if record.tags else ""
    turns = counted(record.turn_count, "turn")
    return one_line(f"{record.label} · {record.agent_name} · {turns} · {age}{tags}", 160)


def _age(record: SessionRecord) -> str:
    seconds = max(0, (now() - record.updated_at).total_seconds())
    for size, unit in ((86_400 * 365, "y"), (86_400 * 30, "mo"), (86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit} ago"
    return "just now"
