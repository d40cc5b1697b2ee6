"""What a store holds, held against all that can be known of it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple, TypeVar

from nbsessions.codecs import codec
from nbsessions.exceptions import InvalidInput, SessionNotFound, StoreError
from nbsessions.hashes import is_intact
from nbsessions.records import Run, SessionRecord, Turn
from nbsessions.stores.base import Backend, Key, Query
from nbsessions.text import counted

_One = TypeVar("_One")
_SCAN = 1_000
_Totals = dict[str, tuple[int, int]]
"""Messages and depth up to each turn."""


class Damage(NamedTuple):
    """One thing that `verify` found wrong.

    Attributes
    ----------
    what : str
        The turn, session, run or file, and what is wrong with it.
    turn_id : str or None
        The turn, where it is one.

    Examples
    --------
    >>> Damage("Turn 019c-4a: its content does not match its hash").turn_id is None
    True
    """

    what: str
    turn_id: str | None = None


@dataclass(repr=False)
class Verification:
    """What `Store.verify` looked at, and found.

    Attributes
    ----------
    turns, sessions, runs : int
        How many were looked at.
    damages : list of Damage

    Examples
    --------
    >>> print(Verification(turns=3, sessions=1, runs=0))
    3 turns, 1 session and 0 runs are whole.
    """

    turns: int = 0
    sessions: int = 0
    runs: int = 0
    damages: list[Damage] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing was found wrong."""
        return not self.damages

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        turns, sessions = counted(self.turns, "turn"), counted(self.sessions, "session")
        looked = f"{turns}, {sessions} and {counted(self.runs, 'run')}"
        if self.ok:
            return f"{looked} are whole."
        lines = [f"  {damage.what}" for damage in self.damages]
        return "\n".join([f"Looked at {looked}. Damaged: {len(self.damages):,}.", *lines])


def verify(backend: Backend) -> Verification:
    """Look at all that a store holds; see `Store.verify`.

    Examples
    --------
    >>> from nbsessions.stores import open_backend
    >>> verify(open_backend("memory:")).ok
    True
    """
    result = Verification(damages=[Damage(line) for line in backend.check()])
    totals = _verify_turns(backend, result)
    # What is damaged is told by a warning, and left out of a list.
    records: list[SessionRecord] = _told(result.damages, partial(backend.find, Query(conversation_id=None)))
    runs: list[Run] = _told(result.damages, backend.runs)
    for record in records:
        result.sessions += 1
        # Others may write meanwhile: what is wrong is looked at once more.
        wrong = _wrong_with_session(backend, Key.of(record), totals)
        again = set(_wrong_with_session(backend, Key.of(record), totals)) if wrong else ()
        result.damages += [damage for damage in wrong if damage in again]
    for run in runs:
        result.runs += 1
        _told(result.damages, partial(_check_run, backend, run))
    result.damages = list(dict.fromkeys(result.damages))
    return result


def _told(damages: list[Damage], read: Callable[[], list[_One]]) -> list[_One]:
    """Return what is read; what a warning or an error says of it is added to `damages`."""
    found: list[_One] = []
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            found = read()
        except SessionNotFound:  # it was deleted meanwhile
            return []
        except StoreError as error:
            damages.append(Damage(str(error), getattr(error, "turn_id", None)))
    damages += [Damage(str(warning.message)) for warning in told]
    return found


def _verify_turns(backend: Backend, result: Verification) -> _Totals:
    totals: _Totals = {}
    last = 0
    while found := backend.scan(last, _SCAN):
        last = found[-1][0]
        for _, turn in found:
            result.turns += 1
            wrong = _wrong_with_turn(turn, totals)
            if wrong is not None:
                result.damages.append(Damage(f"Turn {turn.turn_id}: {wrong}", turn.turn_id))
            totals[turn.turn_id] = (turn.total_messages, turn.depth)
    return totals


def _wrong_with_turn(turn: Turn, totals: _Totals) -> str | None:
    """Return what is wrong with a turn; `totals` are the messages and turns up to those before it."""
    if not is_intact(turn):
        return "its content does not match its hash"
    messages, depth = (0, 0) if turn.parent_id is None else totals.get(turn.parent_id, (-1, -1))
    if (turn.total_messages, turn.depth) != (messages + turn.message_count, depth + 1):
        return "its place does not follow from its parent's"
    try:
        shown = codec(turn.codec).view(turn.body)
    except InvalidInput:  # a newer codec's, which nobody here can judge
        return None
    return None if len(shown) == turn.message_count else "it does not hold as many messages as it says"


def _wrong_with_session(backend: Backend, key: Key, totals: _Totals) -> list[Damage]:
    """Return what is wrong with a session, and with all that is noted on it."""
    damages: list[Damage] = []
    looks: list[Callable[[], list[object]]] = [
        lambda: _check_place(backend, key, totals),
        lambda: [backend.log(key)],
        lambda: [backend.checkpoints(key, None)],
        lambda: [backend.values(key, 0)],
        lambda: [backend.documents(key)],
        lambda: [backend.runs(key)],
    ]
    for look in looks:
        _told(damages, look)
    return damages


def _check_place(backend: Backend, key: Key, totals: _Totals) -> list[object]:
    """Raise where a session does not stand where its log says, or on no turn."""
    # Of another writer's move, either all or nothing is seen where it has not gone on in between.
    present, record = backend.current(key, draft=False), backend.get(key)
    if record is None or present != backend.current(key, draft=False):
        return []
    if (record.head, record.message_count) != (present.head, present.message_count):
        raise StoreError(f"Session {key.session_id}: it does not stand where its log says")
    turn_id = record.head.turn_id
    if turn_id is not None and turn_id not in totals and backend.turn(turn_id) is None:
        raise _TurnMissing(key.session_id, turn_id)
    return []


class _TurnMissing(StoreError):
    def __init__(self, session_id: str, turn_id: str) -> None:
        super().__init__(f"Session {session_id}: its turn {turn_id} is missing")
        self.turn_id = turn_id


def _check_run(backend: Backend, run: Run) -> list[object]:
    """Raise where a run's events or its progress are not what was written."""
    seen = [event.seq for event in backend.events(run.run_id)]
    # The oldest may have been dropped, and all of a run that was redacted; no others.
    if seen and (seen != list(range(seen[0], seen[-1] + 1)) or seen[-1] + 1 < run.event_count):
        raise StoreError(f"Run {run.run_id}: some of its events are missing")
    backend.progress(run.run_id)
    return []
