"""What a store is given to keep, and to change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from nbsessions.records import (
    NOTHING,
    Checkpoint,
    Event,
    Head,
    LogEntry,
    Run,
    SessionRecord,
    Share,
    Turn,
    Usage,
)
from nbsessions.values import from_micros


class Key(NamedTuple):
    """What names a session for good: its conversation (empty at top level) and its id."""

    conversation_id: str
    session_id: str

    @classmethod
    def of(cls, record: SessionRecord | Run) -> Key:
        """Return the key of a session, or of the session that a run belongs to."""
        return cls(record.conversation_id or "", record.session_id)


class Change(NamedTuple):
    """What is to become of one of several sessions: see `Backend.update_all`.

    Attributes
    ----------
    key : Key
    changes : mapping
        As of `Backend.update`.
    expected : mapping
        Fields of the record, as the caller knows them.
    at : int or None
        When it was changed last, then; None: at the time of the call.
    """

    key: Key
    changes: Mapping[str, Any]
    expected: Mapping[str, Any] = {}
    at: int | None = None

    def fields(self, at: int) -> dict[str, Any]:
        """Return the fields of the record that become others, at this time."""
        return {**self.changes, "updated_at": from_micros(at if self.at is None else self.at)}

    def is_expected(self, record: SessionRecord) -> bool:
        """Tell whether a session still is as the caller knows it."""
        return all(getattr(record, field) == value for field, value in self.expected.items())


class Inherited(NamedTuple):
    """What a new session begins with: the documents of a collection of another one, if that is there."""

    key: Key
    collection: str


class Move(NamedTuple):
    """One move of a session's head, with all that belongs into the same transaction.

    Attributes
    ----------
    key : Key
    action : str
        What the head log says: ``turn``, ``message``, ``rewind``, ``clear``, ``undo``...
    expected : Head
        Where the mover believes the head to be. If it is not there, nothing is written and
        `HeadMoved` is raised.
    head : Head
        Where it goes.
    total_messages, total_turns : int
        The session's counters at the new head.
    turns : sequence of Turn
        New turns to store first, oldest first. Where the last one's id is stored already, this very
        move was made before: a retry changes nothing.
    finish : Finish or None
        The run that ends with it.
    state : str or None
        New state as JSON; None keeps the present one.
    create : SessionRecord or None
        A session to insert first: a fork is made and moved in one transaction.
    inherits : Inherited or None
        What that session begins with.
    draft : bool
        Move the draft and leave the saved head where it is.
    before : int or None
        For an undo: the log entry that the next undo goes back to. None: the present one.
    undo : bool
        The log goes on from `before` (which may be None) instead of from the present entry.
    done : str or None
        For an undo: the move that led to where it goes, which the next undo takes back.
    ends_draft : bool
        The move ends the draft (a save, or an undo of its last step).
    again : bool
        It may have been made before: then nothing is changed, and the session that it was made on is
        returned.
    draft_entry : int or None
        The log entry at which the mover believes the draft to be; 0: that there is none. If the draft
        stands elsewhere, `HeadMoved`. None asks for nothing.
    instead_of : (Key, int) or None
        A session and the log entry of a draft of it, which goes on in this session from now on.
    """

    key: Key
    action: str
    expected: Head
    head: Head
    total_messages: int
    total_turns: int
    at: int
    turns: Sequence[Turn] = ()
    finish: Finish | None = None
    state: str | None = None
    create: SessionRecord | None = None
    inherits: Inherited | None = None
    draft: bool = False
    before: int | None = None
    undo: bool = False
    done: str | None = None
    ends_draft: bool = False
    instead_of: tuple[Key, int] | None = None
    again: bool = False
    draft_entry: int | None = None


class Finish(NamedTuple):
    """How a run ends: what `move` or `finish_run` writes over its row.

    `status` is kept only while the run's own is not terminal: the first terminal status wins.
    """

    run_id: str
    status: str
    finished_at: int
    usage: Usage = NOTHING
    model: str | None = None
    provider: str | None = None
    error: str | None = None
    shares: Sequence[Share] = ()
    """As of `Run`."""
    priced_by: str | None = None
    events: Sequence[tuple[str, str]] = ()
    """Last events of the run, (type, JSON)."""
    first: int = 0
    """The position of the first of them in the run."""
    progressed: bool = False
    """Whether `save_progress` was called for it: what it kept goes when the run commits its turn."""


class Progress(NamedTuple):
    """How far a run has come: what it could go on from, if its process died now.

    Attributes
    ----------
    run_id : str
    codec, body : str
        The native messages so far, the prompt first, as a JSON array.
    usage : Usage
        What it spent so far.
    """

    run_id: str
    codec: str
    body: str
    usage: Usage


class Value(NamedTuple):
    """One entry of a session's key-values; times in microseconds since 1970."""

    name: str
    value: str
    """JSON."""
    at: int
    expires_at: int | None


class Document(NamedTuple):
    """One document of a session: what a program keeps there for itself.

    Attributes
    ----------
    collection : str
        Documents of one kind; any text, which may be empty.
    name : str
        Names it within its collection.
    body : str
        JSON, or other text that needs no NUL.
    """

    collection: str
    name: str
    body: str


class Bundle(NamedTuple):
    """A whole session, as it goes from one store into another, or comes from a file.

    Attributes
    ----------
    record : SessionRecord
    turns : sequence of Turn
        All that its head, its draft, its log, its checkpoints and the bases of its runs stand on; each
        comes after its parent.
    states : mapping of str to str
        By the id of a turn, the state that the session had when it was committed, as JSON; none: ``{}``.
    log : sequence of LogEntry
        Oldest first, the first one ``create``; their ids mean something within the bundle alone. Empty:
        the session was created where it stands.
    checkpoints : sequence of Checkpoint
        Its own, oldest first.
    runs : sequence of Run
        Oldest first.
    events : mapping of str to sequence of Event
        By the id of a run.
    progress : sequence of Progress
    values : sequence of Value
    title : str or None
        What it is called where such names are not unique: it gets this name, or one like it.
    """

    record: SessionRecord
    turns: Sequence[Turn] = ()
    states: Mapping[str, str] = {}
    log: Sequence[LogEntry] = ()
    checkpoints: Sequence[Checkpoint] = ()
    runs: Sequence[Run] = ()
    events: Mapping[str, Sequence[Event]] = {}
    progress: Sequence[Progress] = ()
    values: Sequence[Value] = ()
    title: str | None = None


class Visit(NamedTuple):
    """That a notebook went to a session.

    Attributes
    ----------
    key : Key
    action : str
        How it came there, for people: ``load plan``.
    entry : int or None
        The entry of the session's head log at that moment.
    before : int or None
        The visit that undo goes back to.
    visit_id : int
        Given by the store; increasing.
    """

    key: Key
    action: str = "load"
    entry: int | None = None
    before: int | None = None
    visit_id: int = 0
