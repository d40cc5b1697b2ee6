"""Sessions: where each one stands, where it stood before, and the points that have a name."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from nbsessions.records.usage import NOTHING, Usage


class Head(NamedTuple):
    """Where a session stands: a turn, and how many of its messages are kept (None: all).

    Examples
    --------
    >>> Head(None)
    Head(turn_id=None, keep=None)
    """

    turn_id: str | None = None
    keep: int | None = None


class SessionRecord(BaseModel):
    """One row of the list of sessions; `Session` is the handle to work with it.

    Attributes
    ----------
    session_id : str
    conversation_id : str or None
        The A2A conversation that it belongs to; None at top level.
    name : str or None
    agent_name, owner : str
    tags : list of str
    created_at, updated_at : datetime
        Timezone-aware, UTC.
    metadata, state : dict
    head : Head
    draft : Head or None
        Where unsaved work stands, with auto-save off.
    message_count, turn_count : int
        At the head; `turn_count` counts prompts.
    usage : Usage
        What this session's own runs spent.
    model, notebook, parent_session_id : str or None

    Examples
    --------
    >>> import nbsessions as nbs
    >>> store = nbs.open_store("memory:")
    >>> _ = store.create("plan", tags=["draft"])
    >>> record = store.list()[0]
    >>> record.name, record.tags, record.message_count
    ('plan', ['draft'], 0)
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    session_id: str
    conversation_id: str | None = None
    name: str | None = None
    agent_name: str
    owner: str
    tags: list[str] = []
    created_at: datetime
    updated_at: datetime
    metadata: dict[str, Any] = {}
    state: dict[str, Any] = {}
    head: Head = Head()
    draft: Head | None = None
    message_count: int = 0
    turn_count: int = 0
    usage: Usage = NOTHING
    model: str | None = None
    notebook: str | None = None
    parent_session_id: str | None = None

    @property
    def total_tokens(self) -> int:
        """Input and output tokens of this session's own runs.

        Examples
        --------
        >>> import nbsessions as nbs
        >>> nbs.open_store("memory:").create("plan").record.total_tokens
        0
        """
        return self.usage.total_tokens

    @property
    def label(self) -> str:
        """The name, or the last 8 digits of the id: what people are shown.

        Examples
        --------
        >>> import nbsessions as nbs
        >>> nbs.open_store("memory:").create("plan").record.label
        'plan'
        """
        return self.name or self.session_id[-8:]


class LogEntry(NamedTuple):
    """One line of a session's head log.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> session = nbs.open_store("memory:").create("plan")
    >>> session.add_message({"role": "user", "content": "Hello"})
    >>> [entry.action for entry in session.log()]
    ['message', 'create']
    """

    entry_id: int
    action: str
    done: str
    """The move that led here: the action, but for those (``undo``, ``state``) that are no move."""
    head: Head
    message_count: int
    turn_count: int
    state: str
    at: int
    before: int | None
    draft: bool = False
    base: int | None = None
    """Of a draft: the saved entry that it began from."""


class Checkpoint(BaseModel):
    """A name for a turn, with the session's state at that moment.

    Attributes
    ----------
    checkpoint_id : str
        UUIDv7.
    session_id : str
        Where it was made; empty where that session was deleted.
    name : str
        Several may have the same: the newest is meant then.
    head : Head
    message_count, turn_count : int
        Messages and prompts up to there.
    state : dict
    created_at : datetime
        Timezone-aware, UTC.
    parent_id : str or None
        The checkpoint that the session had before.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> session = nbs.open_store("memory:").create("plan")
    >>> session.checkpoint("before").message_count
    0
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    checkpoint_id: str
    session_id: str
    name: str
    head: Head
    message_count: int
    turn_count: int
    state: dict[str, Any] = Field(default_factory=dict)
    created_at: datetime
    parent_id: str | None = None


class SessionReport(Sequence[SessionRecord]):
    """What came of something that was done: a sequence of the sessions, which says in a few lines what it is.

    Parameters
    ----------
    sessions : iterable of SessionRecord

    Examples
    --------
    >>> import nbsessions as nbs
    >>> isinstance(nbs.open_store("memory:").import_([]), SessionReport)
    True
    """

    def __init__(self, sessions: Iterable[SessionRecord]) -> None:
        self._sessions = list(sessions)

    def __len__(self) -> int:
        return len(self._sessions)

    def __getitem__(self, index: Any) -> Any:
        return self._sessions[index]

    def __iter__(self) -> Iterator[SessionRecord]:
        return iter(self._sessions)

    def __repr__(self) -> str:
        return str(self)

    @abstractmethod
    def __str__(self) -> str: ...


class SessionPage(list[SessionRecord]):
    """Some of the sessions that were asked for, and how many there are altogether.

    Attributes
    ----------
    total : int

    Examples
    --------
    >>> import nbsessions as nbs
    >>> store = nbs.open_store("memory:")
    >>> _ = store.create("plan"), store.create("essay"), store.create("owls")
    >>> page = store.page(limit=2, order_by="name")
    >>> [record.name for record in page], page.total
    (['essay', 'owls'], 3)
    """

    def __init__(self, records: Iterable[SessionRecord], total: int) -> None:
        super().__init__(records)
        self.total = total
