"""What is said in sessions as they stand, message by message, and what of it they have from their parents."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from nbsessions.codecs import codec
from nbsessions.exceptions import DamagedTurn, InvalidInput, SessionNotFound
from nbsessions.hashes import is_intact
from nbsessions.records import Head, Message, SessionRecord, Turn
from nbsessions.stores.base import Key, Query
from nbsessions.values import micros

if TYPE_CHECKING:
    from nbsessions.stores.base import Backend, Columns

_PIECE = 10_000


class Said(NamedTuple):
    """One message of a session.

    Attributes
    ----------
    record : SessionRecord
    turn : Turn
    place : int
        Its position in the turn, from 0.
    message : Message
    inherited : bool
        Whether it was said before the session was forked off.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> session = nbs.open_store("memory:").create("plan")
    >>> session.add_message({"role": "user", "content": "Hello"})
    >>> [(one.position, one.inherited) for one in said(session.backend, session.record, session.head)]
    [(1, False)]
    """

    record: SessionRecord
    turn: Turn
    place: int
    message: Message
    inherited: bool

    @property
    def position(self) -> int:
        """Its number in the session, from 1."""
        return self.turn.total_messages - self.turn.message_count + self.place + 1

    @property
    def at(self) -> int:
        """When it was said or, where it does not tell, stored, in microseconds."""
        timestamp = self.message.timestamp
        return self.turn.created_at if timestamp is None else micros(timestamp)


def meant(backend: Backend, asked: Columns) -> Iterator[Said]:
    """Yield the messages that filters mean, those of the session that changed last first.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> from nbsessions.frames.filters import asked
    >>> store = nbs.open_store("memory:")
    >>> store.create("plan").add_message({"role": "user", "content": "Hello"})
    >>> [one.message.text for one in meant(store.backend, asked(store, "sessions", since="7d"))]
    ['Hello']
    """
    query: Query = asked.sessions._replace(agent_name=asked.agent_name, since=asked.since)
    first, end = asked.since, asked.until
    for record in backend.find(query):
        if asked.model not in (None, record.model):
            continue
        for one in said(backend, record, record.head):
            if (first is None or one.at >= first) and (end is None or one.at < end):
                yield one


def said(backend: Backend, record: SessionRecord, head: Head) -> Iterator[Said]:
    """Yield the messages of a session up to a head; what is damaged is told, and left out."""
    if head.turn_id is None:
        return
    turns = backend.chain(head.turn_id)
    if not turns or turns[-1].turn_id != head.turn_id or turns[0].parent_id is not None:
        _tell(record, DamagedTurn(turns[0].parent_id or head.turn_id if turns else head.turn_id))
    inherited = _Inherited(backend, record, turns)
    for turn in turns:
        most = head.keep if turn.turn_id == head.turn_id else None
        for place, message in enumerate(_read(record, turn)[:most]):
            yield Said(record, turn, place, message, inherited.has(turn, place))


def _read(record: SessionRecord, turn: Turn) -> list[Message]:
    try:
        if not is_intact(turn):
            raise DamagedTurn(turn.turn_id)
        return codec(turn.codec).view(turn.body)
    except (DamagedTurn, InvalidInput, ValueError) as error:
        _tell(record, error)
        return []


def _tell(record: SessionRecord, error: Exception) -> None:
    text = f"Some of what was said in session {record.label!r} is left out. {error}"
    warnings.warn(text, RuntimeWarning, stacklevel=4)


class _Inherited:
    """Which messages a session has from where it was forked off."""

    def __init__(self, backend: Backend, record: SessionRecord, turns: list[Turn]) -> None:
        self._head = Head()
        self._above: Collection[str] = ()
        self._count = 0
        try:
            origin = None if record.parent_session_id is None else backend.origin(Key.of(record))
        except SessionNotFound:  # it was deleted meanwhile
            return
        if origin is not None and origin.head.turn_id is not None:
            self._head, self._count = origin.head, origin.message_count
            own = [turn.turn_id for turn in turns]
            if origin.head.turn_id in own:
                self._above = {*own[: own.index(origin.head.turn_id) + 1]}
            else:
                self._above = backend.ancestors([origin.head.turn_id])

    def has(self, turn: Turn, place: int) -> bool:
        if turn.turn_id == self._head.turn_id:
            return self._head.keep is None or place < self._head.keep
        return turn.turn_id in self._above or self._is_copy(turn)

    def _is_copy(self, turn: Turn) -> bool:
        """Tell whether it has the first messages of the turn in whose midst the session was forked off."""
        cut = self._head.keep is not None and turn.total_messages == self._count
        return cut and (turn.parent_id in self._above or turn.parent_id is None)


def columns(found: Iterable[Said]) -> Iterator[dict[str, list[Any]]]:
    """Yield messages as columns, some at a time."""
    rows: list[tuple[Any, ...]] = []
    for one in found:
        rows.append(_row(one))
        if len(rows) == _PIECE:
            yield dict(zip(_NAMES, map(list, zip(*rows, strict=True)), strict=True))
            rows = []
    if rows:
        yield dict(zip(_NAMES, map(list, zip(*rows, strict=True)), strict=True))


_NAMES = (
    "position",
    "role",
    "content",
    "name",
    "tool_calls",
    "characters",
    "timestamp",
    "tool_call_id",
    "inherited",
    "turn_id",
    "session_name",
    "conversation_id",
    "session_id",
)


def _row(one: Said) -> tuple[Any, ...]:
    message, record = one.message, one.record
    text = message.text
    return (
        one.position,
        message.role,
        text,
        message.name,
        len(message.tool_calls or ()),
        len(text),
        one.at,
        message.tool_call_id,
        one.inherited,
        one.turn.turn_id,
        record.name,
        record.conversation_id,
        record.session_id,
    )
