"""A table of all sessions of a store, a page at a time."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, get_args

import anywidget
import traitlets

from nbsessions.amounts import cost_text
from nbsessions.exceptions import InvalidInput
from nbsessions.stores.base import Key
from nbsessions.stores.queries import Order
from nbsessions.text import counted, one_line
from nbsessions.widgets.live import Live, assets, report_line, searched, store_here
from nbsessions.widgets.static import html_table, plain_table

if TYPE_CHECKING:
    import pandas as pd

    from nbsessions.bulk.reports import Report
    from nbsessions.records import SessionPage, SessionRecord
    from nbsessions.store import Store

_LONG: Final = 120
_ASKED: Final = ("text", "order_by", "descending", "offset", "page_size", "columns")
_KNOWN: Final[dict[str, tuple[str, str, bool]]] = {
    "name": ("Name", "text", True),
    "agent_name": ("Agent", "text", True),
    "model": ("Model", "text", True),
    "tags": ("Tags", "text", False),
    "turn_count": ("Turns", "count", True),
    "message_count": ("Messages", "count", True),
    "total_tokens": ("Tokens", "count", True),
    "cost": ("Cost", "count", True),
    "updated_at": ("Updated", "time", True),
    "created_at": ("Created", "time", True),
    "owner": ("Owner", "text", True),
    "notebook": ("Notebook", "text", False),
    "session_id": ("Id", "text", False),
}
"""What a column is called, what is in it, and whether the store can put sessions in its order."""
COLUMNS: Final = (
    "name",
    "agent_name",
    "tags",
    "turn_count",
    "message_count",
    "total_tokens",
    "cost",
    "updated_at",
)


class HistoryTable(Live, anywidget.AnyWidget):
    """All sessions as a table to sort, search and select in; filled from the store a page at a time.

    It shows what changes in the store without being asked, also from other kernels. Arrows lead from row to
    row, Space selects, Shift selects several, ``/`` searches, Escape lets go.

    Parameters
    ----------
    store : Store or None
        None: the current one.
    columns : sequence of str or None
        Such as ``name``, ``model``, ``cost``, ``owner``; what is shown can be changed in the table.
    page_size : int
    agent_name, tag, owner, notebook, conversation_id : str or None
        Only sessions with these, as for `Store.page`.

    Attributes
    ----------
    selected : list of SessionRecord
    selected_df : DataFrame
        Of sessions, with `df.nbs`.
    selected_keys : list of [conversation_id, session_id]
        A trait: observe it to follow a click.
    text, order_by, descending, offset, columns
        Traits, as for `Store.page`: set them to change what is shown.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> store = nbs.open_store("memory:")
    >>> _ = store.create("plan"), store.create("owls")
    >>> table = HistoryTable(store)
    >>> table.select("plan")
    >>> table.selected_df.nbs.tag("draft")
    Tagged 1 session with 'draft': 'plan'. `undo()` of this report takes it back.
    """

    _esm = assets("common.js", "table.js")
    _css = assets("common.css", "style.css")

    text = traitlets.Unicode().tag(sync=True)
    order_by: Any = traitlets.Enum(get_args(Order), "updated_at").tag(sync=True)
    descending = traitlets.Bool(True).tag(sync=True)
    offset = traitlets.Int(0, min=0).tag(sync=True)
    page_size = traitlets.Int(20, min=1, max=200).tag(sync=True)
    columns = traitlets.List(traitlets.Unicode()).tag(sync=True)
    selected_keys: Any = traitlets.List().tag(sync=True)
    _known: Any = traitlets.List().tag(sync=True)
    _status: Any = traitlets.Dict().tag(sync=True)
    _page: Any = traitlets.Dict({"rows": [], "offset": 0, "total": 0}).tag(sync=True)

    def __init__(
        self,
        store: Store | None = None,
        *,
        columns: Sequence[str] | None = None,
        page_size: int = 20,
        agent_name: str | None = None,
        tag: str | None = None,
        owner: str | None = None,
        notebook: str | None = None,
        conversation_id: str | None = None,
    ) -> None:
        filters: dict[str, Any] = {
            "agent_name": agent_name,
            "tag": tag,
            "owner": owner,
            "notebook": notebook,
            "conversation_id": conversation_id,
        }
        self._filters = {name: value for name, value in filters.items() if value is not None}
        self._report: Report | None = None
        self.store = store_here(store)
        known = [
            {"name": name, "label": label, "kind": kind, "sorts": sorts}
            for name, (label, kind, sorts) in _KNOWN.items()
        ]
        chosen = list(COLUMNS if columns is None else columns)
        self._records: list[SessionRecord] = []
        self._asked: dict[str, Any] = {}
        super().__init__(columns=chosen, page_size=page_size, _known=known)
        self._follow(self.store.backend)
        with self.lock:
            self._look()
        self.observe(self._asked_for, _ASKED)
        self.on_msg(self._wished)

    @traitlets.validate("columns")
    def _check_columns(self, proposal: Any) -> Any:
        unknown = [name for name in proposal.value if name not in _KNOWN]
        if unknown or not proposal.value:
            what = f"no column {unknown[0]!r}" if unknown else "no table without columns"
            raise InvalidInput(f"There is {what}. These are: {', '.join(_KNOWN)}.")
        return proposal.value

    @traitlets.validate("selected_keys")
    def _check_keys(self, proposal: Any) -> Any:
        # They come from the browser: what is no key selects nothing.
        pairs = [key for key in proposal.value if isinstance(key, (list, tuple)) and len(key) == 2]
        return [[*key] for key in pairs if all(isinstance(part, str) for part in key)]

    def _show_line(self, text: str, is_error: bool, can_undo: bool) -> None:
        """Show a line below the table."""
        self._status = {"text": text, "is_error": is_error, "undo": can_undo}

    def _asked_for(self, change: Any) -> None:
        self._show(self._look_anew)
        self._heard()

    def _look_anew(self) -> None:
        # A search changes the page, too, and both are told: it is read once.
        if self._asked != self._wants():
            self._look()

    def _look(self) -> None:
        """Read the page that is shown from the store."""
        # Another thread may change what is wanted while this one reads: it looks again then.
        wants = self._wants()
        wanted = wants["offset"]
        page = self._read(wants)
        if not page and page.total:  # what was on this page is gone
            wants["offset"] = (page.total - 1) // wants["page_size"] * wants["page_size"]
            page = self._read(wants)
        self._records, self._asked = [*page], wants
        if self.offset == wanted:
            self.offset = wants["offset"]
        rows = [_row(record) for record in page]
        self._page = {"rows": rows, "offset": wants["offset"], "total": page.total}

    def _wants(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _ASKED}

    def _read(self, wants: dict[str, Any]) -> SessionPage:
        return self.store.page(
            offset=wants["offset"],
            limit=wants["page_size"],
            order_by=wants["order_by"],
            descending=wants["descending"],
            **searched(wants["text"]),
            **self._filters,
        )

    # What is selected

    @property
    def selected(self) -> list[SessionRecord]:
        """The selected sessions, as they are now, in the order in which they were selected."""
        return [*self.store.backend.get_all([Key(*key) for key in self.selected_keys]).values()]

    @property
    def selected_df(self) -> pd.DataFrame:
        """The same as a DataFrame: ``table.selected_df.nbs.delete()``."""
        from nbsessions.frames import SESSIONS, frame
        from nbsessions.frames.accessor import mark

        return mark(frame(SESSIONS, self.selected), self.store)

    def select(self, *refs: str) -> None:
        """Select these sessions, by id or name, and no others. Raises SessionNotFound, AmbiguousSession.

        Examples
        --------
        >>> import nbsessions as nbs
        >>> store = nbs.open_store("memory:")
        >>> _ = store.create("plan", tags=["draft"])
        >>> table = HistoryTable(store)
        >>> table.select("plan")
        >>> [record.tags for record in table.selected]
        [['draft']]
        """
        conversation = self._filters.get("conversation_id")
        found = [self.store.record(ref, conversation_id=conversation) for ref in refs]
        self.selected_keys = [[*Key.of(record)] for record in found]

    def _wished(self, widget: object, content: Any, buffers: object) -> None:
        """Do what a button says with what is selected."""
        acts: dict[Any, Callable[[], Report]] = {
            "delete": lambda: self.selected_df.nbs.delete(),
            "tag": lambda: self.selected_df.nbs.tag(content.get("tag")),
            "undo": self._undone,
        }
        act = acts.get(content.get("do")) if isinstance(content, dict) else None
        if act is not None:
            self._attempt(lambda: self._done(act()))
            self.refresh()
            self._heard()

    def _undone(self) -> Report:
        if self._report is None:
            raise InvalidInput("There is nothing to undo.")
        return self._report.undo()

    def _done(self, report: Report) -> None:
        self._report = report
        self._tell(report_line(report), can_undo=report.can_undo)
        there = {Key.of(record) for record in self.selected}
        self.selected_keys = [key for key in self.selected_keys if Key(*key) in there]

    # Where no widget runs

    def _columns_shown(self) -> list[str]:
        return [_KNOWN[name][0] for name in self.columns]

    def __str__(self) -> str:
        return plain_table(self._columns_shown(), self._texts(), self._summary())

    def _html(self) -> str:
        """Return the page that is shown as a plain table."""
        return html_table(self._columns_shown(), self._texts(), self._summary())

    def _texts(self) -> list[list[str]]:
        return [[_text(record, name) for name in self.columns] for record in self._records]

    def _summary(self) -> str:
        total = self._page["total"]
        more = f", {len(self._records)} of them here" if len(self._records) < total else ""
        return f"{counted(total, 'session')}{more}"


def _row(record: SessionRecord) -> dict[str, Any]:
    cells = {name: _value(record, name) for name in _KNOWN}
    return {"key": [*Key.of(record)], "label": one_line(record.label, 80), "cells": cells}


def _value(record: SessionRecord, name: str) -> Any:
    value = getattr(record.usage if name == "cost" else record, name)
    if name == "cost":
        return None if value is None and not record.total_tokens else cost_text(record.usage)
    if name == "session_id":
        return one_line(value[-8:])
    if name == "tags":
        return one_line(", ".join(value), _LONG)
    if name == "notebook":
        return None if value is None else one_line(os.path.basename(value), _LONG)
    if isinstance(value, datetime):
        return value.isoformat()
    return one_line(value, _LONG) if isinstance(value, str) else value


def _text(record: SessionRecord, name: str) -> str:
    value = _value(record, name)
    if value is None:
        return ""
    if _KNOWN[name][1] == "time":
        return f"{getattr(record, name).astimezone():%Y-%m-%d %H:%M}"
    return f"{value:,}" if isinstance(value, int) else str(value)
