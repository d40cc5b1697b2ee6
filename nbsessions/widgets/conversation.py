"""A conversation to read and to go back in: its turns, and the lines on which it went."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import anywidget
import traitlets

from nbsessions.codecs import codec
from nbsessions.exceptions import InvalidInput, SessionNotFound
from nbsessions.families import Line, Lines
from nbsessions.records import Head, Message
from nbsessions.reprs import Conversation, footer_text, message_html, message_text
from nbsessions.session import Session
from nbsessions.stores.base import Key, is_intact
from nbsessions.text import counted, one_line, strip_controls
from nbsessions.widgets.live import Live, assets, store_here, workspace_here

if TYPE_CHECKING:
    from nbsessions.records import Run, SessionRecord, Turn
    from nbsessions.store import Store

_MESSAGES: Final = 8
"""A turn has about so many messages at most: so many are asked for, to have a page of turns."""


class ConversationView(Live, anywidget.AnyWidget):
    """A session's turns: what was said, what tools were called, what each turn took.

    It follows the session, also where another kernel goes on with it. Where the conversation went more than
    one way, each is a click away; "Fork here" and "Rewind here" go on from a turn, and undo takes a rewind
    back. Long sessions come in pages.

    Parameters
    ----------
    session : Session, SessionRecord or str
        A text names one of the current store, as for `Store.resume`.
    page_size : int
        So many turns are shown at once.

    Attributes
    ----------
    session : Session
        The one that is shown; after "Fork here", the fork.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> session = nbs.open_store("memory:").create("plan")
    >>> _ = session.send("Hello", agent=lambda prompt: "Hi")
    >>> print(ConversationView(session))
    plan · 2 messages
    <BLANKLINE>
    1 user
    Hello
    <BLANKLINE>
    2 assistant
    Hi
    """

    _esm = assets("common.js", "conversation.js")
    _css = assets("style.css")

    page_size = traitlets.Int(20, min=1, max=200).tag(sync=True)
    _status: Any = traitlets.Dict().tag(sync=True)
    _page: Any = traitlets.Dict({"turns": [], "title": "", "count": ""}).tag(sync=True)

    def __init__(self, session: Session | SessionRecord | str, *, page_size: int = 20) -> None:
        self.session = _session(session)
        self._line: Line | None = None  # another line than the one that the session is on
        self._above: list[str] = []  # where each of the later pages ends
        self._top: str | None = None  # where this page ends; None: with the line
        self._shown: Sequence[Message] = ()
        super().__init__(page_size=page_size)
        self.follow(store_of(self.session))
        self.look()
        self.observe(lambda change: self.refresh(), "page_size")
        self.on_msg(self._wished)

    def show_line(self, text: str, is_error: bool, can_undo: bool) -> None:
        """Show a line below the conversation."""
        self._status = {"text": text, "is_error": is_error, "undo": can_undo}

    # What is shown

    def look(self) -> None:
        """Read the page that is shown from the store."""
        backend = self.session.backend
        record = backend.get(self.session.key)
        if record is None:
            raise SessionNotFound(self.session.record.label, deleted=True)
        lines = Lines(backend, record)
        line = self._line or Line(*self._stands(record), record)
        top = self._top or line.head.turn_id
        turns = [] if top is None else backend.chain(top, messages=self.page_size * _MESSAGES)[-self.page_size :]
        runs = self._runs(record)
        shown = [_turn(turn, line.head, runs.get(turn.turn_id), lines) for turn in turns]
        self._page = {
            "title": one_line(line.session.label, 200),
            "count": counted(line.messages, "message"),
            "turns": shown,
            "earlier": bool(turns) and turns[0].parent_id is not None,
            "later": bool(self._above),
            "line": self._told(line, record),
        }

    def _stands(self, record: SessionRecord) -> tuple[Head, int]:
        if self.session.on_draft:
            return self.session.head, self.session.message_count
        return record.head, record.message_count

    def _runs(self, record: SessionRecord) -> dict[str, Run]:
        """Return the runs that committed a turn, of this session and of those it was forked from."""
        backend, found = self.session.backend, dict[str, Run]()
        seen: set[str] = set()
        one: SessionRecord | None = record
        while one is not None and one.session_id not in seen:
            seen.add(one.session_id)
            found |= {run.turn_id: run for run in backend.runs(Key.of(one)) if run.turn_id is not None}
            parent = one.parent_session_id
            one = None if parent is None else backend.get(Key(one.conversation_id or "", parent))
        return found
