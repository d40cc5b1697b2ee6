"""A conversation to read and to go back in: its turns, and the ways on which it went."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import anywidget
import traitlets

from nbsessions.exceptions import InvalidInput, SessionNotFound
from nbsessions.families import Line, Lines
from nbsessions.messages import message_html, message_text, tool_names
from nbsessions.records import Head, SessionRecord
from nbsessions.reprs import Conversation
from nbsessions.session import Session
from nbsessions.stores.base import is_same
from nbsessions.text import counted, one_line
from nbsessions.widgets.live import Live, assets, store_here, workspace_here
from nbsessions.widgets.turns import Shown, Turns

if TYPE_CHECKING:
    from nbsessions.store import Store

_Drawn = tuple[tuple[Shown, dict[str, str | None]], dict[str, Any]]
"""What a turn is drawn of, the names of the tools that it has results of among it, and as it is drawn."""


class ConversationView(Live, anywidget.AnyWidget):
    """A session's turns: what was said, which tools were called, what each turn took.

    It follows the session, also where another kernel goes on with it. Where the conversation went more than
    one way, each is a click away. "Fork here" goes on from a turn in a new session, which becomes the
    notebook's current one; "Rewind here" goes back to a turn, and "Undo" takes that back. Long sessions come
    in pages.

    Parameters
    ----------
    session : Session, SessionRecord or str
        A text names a session of the store, as for `Store.resume`.
    store : Store or None
        Where a record or a text is looked up. None: in the current one.
    page_size : int
        So many turns are shown at once.

    Attributes
    ----------
    session : Session
        The one that is shown; after "Fork here", the fork.

    Raises
    ------
    SessionNotFound, AmbiguousSession, InvalidInput

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
    _css = assets("common.css", "style.css")

    page_size = traitlets.Int(20, min=1, max=200).tag(sync=True)
    _status: Any = traitlets.Dict().tag(sync=True)
    _page: Any = traitlets.Dict({"turns": [], "title": "", "count": ""}).tag(sync=True)

    def __init__(
        self, session: Session | SessionRecord | str, *, store: Store | None = None, page_size: int = 20
    ) -> None:
        self.session = _session(session, store)
        self._turns = Turns(self.session.backend)
        self._line: Line | None = None  # a line that the session has left
        self._above: list[str | None] = []  # where each of the later pages ends
        self._top: str | None = None  # where this page ends; None: with the line
        self._shown: list[Shown] = []
        self._drawn: dict[str, _Drawn] = {}
        self._rewound: Head | None = None
        super().__init__(page_size=page_size)
        self._follow(self.session.backend)
        with self.lock:
            self._look()
        self.observe(lambda change: self.refresh(), "page_size")
        self.on_msg(self._wished)

    def _show_line(self, text: str, is_error: bool, can_undo: bool) -> None:
        """Show a line below the conversation."""
        self._status = {"text": text, "is_error": is_error, "undo": can_undo}

    # What is shown

    def _look(self) -> None:
        """Read the page that is shown from the store."""
        line = self._line or self._own_line()
        self._shown = self._turns.page(line, self._top, self.page_size)
        tools = tool_names(message for shown in self._shown for message in shown.messages)
        # Most of a page is as it was: to make HTML of it takes longer than to read it.
        drawn = {shown.turn_id: self._drawn_once(shown, tools) for shown in self._shown}
        self._drawn = drawn
        self._page = {
            "title": one_line(line.session.label, 200),
            "count": counted(line.messages, "message"),
            "turns": [told for _, told in drawn.values()],
            "earlier": bool(self._shown) and self._shown[0].first > 1,
            "later": bool(self._above),
            "left": line.is_left,
            "end": line.head.turn_id,
            "waiting": self._waiting() if not line.is_left else "",
        }

    def _drawn_once(self, shown: Shown, tools: dict[str, str]) -> _Drawn:
        ids = {message.tool_call_id for message in shown.messages if message.tool_call_id}
        made_of = (shown, {call_id: tools.get(call_id) for call_id in ids})
        known = self._drawn.get(shown.turn_id)
        return known if known is not None and known[0] == made_of else (made_of, _told(shown, tools))

    def _own_line(self) -> Line:
        backend = self.session.backend
        record = backend.get(self.session.key)
        if record is None:
            raise SessionNotFound(self.session.record.label, deleted=True)
        head, messages = record.head, record.message_count
        handle = self._handle()
        if handle.on_draft:
            head, messages = handle.head, handle.message_count
        if self._top is not None and not (head.turn_id and self._top in backend.ancestors([head.turn_id])):
            self._top, self._above = None, []
        return Line(head, messages, record)

    def _waiting(self) -> str:
        """Return what is to be said of a last prompt that has no answer."""
        run = next(iter(self.session.backend.runs(self.session.key, last=1)), None)
        if run is None or run.turn_id is not None or run.status == "completed":
            return ""
        asked = f": {one_line(run.prompt, 200)}" if run.prompt else ""
        is_open = run.status in ("running", "suspended")
        return f"{'Waits for its answer' if is_open else f'Not answered, {run.status}'}{asked}"

    # What can be done

    def _handle(self) -> Session:
        """Return the handle to work with: the notebook's own, where this is its current session."""
        workspace = workspace_here()
        own = None if workspace is None else workspace.session
        if own is None or own.key != self.session.key or not is_same(own.backend, self.session.backend):
            return self.session
        return own

    def _wished(self, widget: object, content: Any, buffers: object) -> None:
        """Do what a button says."""
        asked = content if isinstance(content, dict) else {}
        turn = str(asked.get("turn"))
        acts: dict[Any, Callable[[], None]] = {
            "earlier": self._to_earlier,
            "later": self._to_later,
            "way": lambda: self._go(turn),
            "back": self._leave_line,
            "fork": lambda: self._fork(turn),
            "rewind": lambda: self._rewind(turn),
            "undo": self._take_back,
        }
        act = acts.get(asked.get("do"))
        if act is not None:
            self._attempt(lambda: self._do(act))
            self._heard()

    def _do(self, act: Callable[[], None]) -> None:
        with self.lock:
            act()
            self._look()

    def _to_earlier(self) -> None:
        if self._shown and self._shown[0].first > 1:
            earlier = self.session.backend.turn(self._shown[0].turn_id)
            self._above.append(self._top)
            self._top = None if earlier is None else earlier.parent_id

    def _to_later(self) -> None:
        if self._above:
            self._top = self._above.pop()

    def _go(self, turn_id: str) -> None:
        """Show the line that a turn lies on: one of another session is that session."""
        record = (self._line or self._own_line()).session
        line = Lines(self.session.backend, record).through(turn_id)
        if line is None:
            raise InvalidInput("There is no such way any more.")
        if line.session.session_id != self.session.session_id:
            self._enter(self._with_options(line.session))
        self._line, self._top, self._above = (line if line.is_left else None), None, []

    def _with_options(self, record: SessionRecord) -> Session:
        options: dict[str, Any] = {name: getattr(self.session, name) for name in Session.OPTIONS}
        return Session(self.session.backend, record, **options)

    def _leave_line(self) -> None:
        self._line, self._top, self._above = None, None, []

    def _enter(self, session: Session) -> None:
        self.session, self._rewound = session, None
        self._leave_line()

    def fork(self, turn_id: str) -> None:
        """Start a session from the end of a turn, and show it; it becomes the notebook's current one.

        Raises
        ------
        InvalidInput
            This session was never at that turn.

        Examples
        --------
        >>> import nbsessions as nbs
        >>> session = nbs.open_store("memory:").create("plan")
        >>> _ = [session.send(text, agent=lambda prompt: "Hi") for text in ("Hello", "And?")]
        >>> view = ConversationView(session)
        >>> view.fork(session.turns[0].turn_id)
        >>> view.session.name, view.session.message_count
        ('plan (fork)', 2)
        """
        self._do(lambda: self._fork(turn_id))

    def _fork(self, turn_id: str) -> None:
        handle = self._handle()
        handle.refresh()
        label = handle.record.label
        fork = handle.fork(at=turn_id)
        workspace = workspace_here()
        if workspace is not None and not is_same(workspace.store.backend, fork.backend):
            workspace = None
        if workspace is not None:
            own = workspace.resume(fork.session_id, conversation_id=fork.conversation_id)
            workspace.switch(own, "fork")
        self._enter(fork)
        done = "Made" if workspace is None else "Now on"
        self._tell(f"{done} {fork.record.label!r}: {counted(fork.message_count, 'message')} of {label!r}.")

    def rewind(self, turn_id: str) -> None:
        """Go back to the end of a turn; "Undo" takes it back.

        Raises
        ------
        InvalidInput
            This session was never at that turn.
        NotOwner

        Examples
        --------
        >>> import nbsessions as nbs
        >>> session = nbs.open_store("memory:").create("plan")
        >>> _ = [session.send(text, agent=lambda prompt: "Hi") for text in ("Hello", "And?")]
        >>> view = ConversationView(session)
        >>> view.rewind(session.turns[0].turn_id)
        >>> view.session.message_count
        2
        """
        self._do(lambda: self._rewind(turn_id))

    def _rewind(self, turn_id: str) -> None:
        handle = self._handle()
        handle.refresh()
        before = handle.head
        handle.rewind(turn_id)
        self._leave_line()
        self._rewound = None if handle.head == before else handle.head
        here = counted(handle.message_count, "message")
        self._tell(handle.notice or f"Now at {here}.", can_undo=self._rewound is not None)

    def _take_back(self) -> None:
        handle = self._handle()
        handle.refresh()
        if self._rewound is None or handle.head != self._rewound:
            raise InvalidInput("The conversation went on meanwhile: nothing was undone.")
        handle.undo()
        self._rewound = None
        self._leave_line()
        self._tell(handle.notice or f"Back at {counted(handle.message_count, 'message')}.")

    # Where no widget runs

    def _static(self) -> Conversation:
        messages = [message for shown in self._shown for message in shown.messages]
        first = self._shown[0].first if self._shown else 1
        return Conversation(self._page["title"], messages, first=first)

    def __str__(self) -> str:
        return str(self._static())

    def _html(self) -> str:
        """Return the page that is shown as HTML that cannot do anything."""
        return self._static().html()


def _session(session: Session | SessionRecord | str, store: Store | None) -> Session:
    if isinstance(session, Session):
        return session
    if isinstance(session, SessionRecord):
        return store_here(store).resume(session.session_id, conversation_id=session.conversation_id)
    if isinstance(session, str):
        return store_here(store).resume(session)
    raise InvalidInput(f"A view takes a session, its record or its name, not {type(session).__name__}.")


def _told(shown: Shown, tools: dict[str, str]) -> dict[str, Any]:
    numbered = enumerate(shown.messages, shown.first)
    said = _said(shown)
    return {
        "id": shown.turn_id,
        "html": "".join(message_html(f"{number:,}", message, tools) for number, message in numbered),
        "said": said,
        "took": shown.took,
        "ways": shown.ways if len(shown.ways) > 1 else [],
        "wrong": shown.wrong,
        "last": shown.first + len(shown.messages) - 1,
    }


def _said(shown: Shown) -> str:
    """Return what "Copy" copies: the answer, or what was said where there is none."""
    answers = [message_text(message) for message in shown.messages if message.role == "assistant"]
    texts: Sequence[str] = [text for text in answers if text.strip()]
    return "\n\n".join(texts or [message_text(message) for message in shown.messages])
