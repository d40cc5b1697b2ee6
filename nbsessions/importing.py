"""
One session that comes into a store, as git takes in a branch.

A session that is not there is stored whole. One that is there goes on where the other has more, stays where
it has all of it already, and is never merged or written over: what went another way is kept on a fork.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from nbsessions import forks
from nbsessions.exceptions import NotOwner, SessionConflict, SessionExists
from nbsessions.formats.building import IMPORTED, stable_id
from nbsessions.records import TERMINAL, Head, LogEntry, Run, SessionRecord, Turn, Usage
from nbsessions.stores.base import Backend, Bundle, Finish, HeadMoved, Key, Move, Query
from nbsessions.values import encode_json, micros, now


@dataclass(frozen=True)
class Taken:
    """What became of a session that was taken in.

    Attributes
    ----------
    how : {"new", "grown", "present", "forked"}
    record : SessionRecord
        As it is in the store now; of a fork, the fork.

    Examples
    --------
    >>> Taken("present", None).how
    'present'
    """

    how: Literal["new", "grown", "present", "forked"]
    record: SessionRecord


def take_in(backend: Backend, bundle: Bundle, owner: str) -> Taken:
    """Take a session in; it belongs to `owner` then.

    Raises
    ------
    SessionExists
        It has a name that is unique where it comes from, and another session has it here.
    NotOwner
        It is there, belongs to somebody else, and would have to change.
    SessionConflict
        Another writer moved it meanwhile. What came until then is whole.
    DamagedTurn
        A turn of it is there with another content.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> from nbsessions.formats.building import Building
    >>> building = Building("example", "chat-7", agent_name="helper")
    >>> building.add({"role": "user", "content": "Hi"})
    >>> backend = nbs.open_store("memory:").backend
    >>> [take_in(backend, building.bundle(), "ada").how for _ in range(2)]
    ['new', 'present']
    """
    bundle = bundle._replace(record=bundle.record.model_copy(update={"owner": owner}))
    stored = backend.get(Key.of(bundle.record))
    if stored is None:
        return Taken("new", _restored(backend, bundle))
    if _is_known(backend, bundle.record.head):
        changed = stored.owner == owner and _add_runs(backend, bundle, stored)
        found = backend.get(Key.of(stored)) or stored
        return Taken("grown" if changed else "present", found)
    if stored.owner != owner:
        raise NotOwner(stored.label, stored.owner)
    if not _goes_on(backend, bundle, stored):
        return Taken("forked", _forked(backend, bundle, stored))
    try:
        return Taken("grown", _Growth(backend, bundle, stored).done())
    except HeadMoved as moved:
        theirs = moved.record.head.turn_id
        raise SessionConflict(stored.label, ours=stored.head.turn_id, theirs=theirs) from None


def _is_known(backend: Backend, head: Head) -> bool:
    return head.turn_id is None or backend.turn(head.turn_id) is not None


def _restored(backend: Backend, bundle: Bundle) -> SessionRecord:
    """Store a session that is not there; one with a title gets that as its name, or one like it."""
    record = bundle.record
    for name in _names(backend, record) if bundle.title is not None else [record.name]:
        named = record.model_copy(update={"name": name})
        try:
            backend.restore(bundle._replace(record=named))
        except SessionExists as error:
            if bundle.title is None or error.ref != name:
                raise
            continue
        return named
    raise SessionExists(record.label)


def _names(backend: Backend, record: SessionRecord) -> Iterator[str]:
    name = record.name or record.label
    yield name
    where = Query(record.conversation_id or "", agent_name=record.agent_name, owner=record.owner)
    taken = {other.name for other in backend.find(where)}
    number = 2
    while True:
        if f"{name} ({number})" not in taken:
            yield f"{name} ({number})"
        number += 1


def _goes_on(backend: Backend, bundle: Bundle, stored: SessionRecord) -> bool:
    """Tell whether a session may go where the bundle is: from there, or from where an import left it."""
    turns = {turn.turn_id: turn for turn in bundle.turns}
    turn_id = bundle.record.head.turn_id
    while turn_id is not None and turn_id != stored.head.turn_id:
        turn_id = turns[turn_id].parent_id
    # It may have been here, and gone another way from an earlier turn since.
    if turn_id == stored.head.turn_id or any(entry.head == stored.head for entry in bundle.log[1:]):
        return True
    # The last answer may have grown since; nobody has gone on from it here.
    return backend.current(Key.of(stored), draft=True).action == IMPORTED


def _forked(backend: Backend, bundle: Bundle, stored: SessionRecord) -> SessionRecord:
    """Keep what went another way on a fork; its id follows from where it stands."""
    head = bundle.record.head
    new = [run for run in bundle.runs if backend.get_run(run.run_id) is None]
    changes = {
        "session_id": stable_id("fork", *Key.of(stored), *head),
        "parent_session_id": stored.session_id,
        "usage": sum((run.usage for run in new), Usage()),
        "draft": None,
    }
    fork = bundle.record.model_copy(update=changes)
    runs = [run.model_copy(update={"session_id": fork.session_id}) for run in new]
    for name in forks.names(backend, stored):
        named = fork.model_copy(update={"name": name})
        try:
            backend.restore(Bundle(named, bundle.turns, bundle.states, runs=runs, events=bundle.events))
        except SessionExists as error:
            if error.ref != name:
                raise
            continue
        return named
    raise SessionExists(fork.label)


def _add_runs(backend: Backend, bundle: Bundle, stored: SessionRecord) -> bool:
    """Add the runs that are not there, and what others have spent since; tell whether there were any."""
    changed = False
    present = {run.run_id: run for run in backend.runs(Key.of(stored))}
    for run in bundle.runs:
        known = present.get(run.run_id) or backend.get_run(run.run_id)
        if known is None:
            _start(backend, bundle, run)
            backend.finish_run(_finish(run))
        elif known.session_id == stored.session_id and known.usage != run.usage and run.status in TERMINAL:
            backend.finish_run(_finish(run))
        changed = changed or known is None or known.usage != run.usage
    return changed


def _start(backend: Backend, bundle: Bundle, run: Run) -> None:
    known = _is_known(backend, run.base)
    begun = {"status": "running", "usage": Usage(), "base": run.base if known else Head()}
    backend.start_run(run.model_copy(update={**begun, "turn_id": None, "finished_at": None}))
    events = bundle.events.get(run.run_id, ())
    if events:
        texts = [(event.type, encode_json(event.data, "event")) for event in events]
        backend.append_events(run.run_id, texts, first=events[0].seq)


def _finish(run: Run) -> Finish:
    at = micros(run.finished_at or run.started_at)
    # Nobody answers in it here any more.
    status = "interrupted" if run.status == "running" else run.status
    return Finish(run.run_id, status, at, run.usage, run.model, run.provider, run.error)


class _Growth:
    """A session that goes on: the moves of the bundle that are not made yet, one after the other."""

    def __init__(self, backend: Backend, bundle: Bundle, stored: SessionRecord) -> None:
        self._backend, self._bundle = backend, bundle
        self._key, self._present = Key.of(stored), stored
        self._turns = {turn.turn_id: turn for turn in bundle.turns}
        self._runs = {run.turn_id: run for run in bundle.runs if run.turn_id is not None}

    def done(self) -> SessionRecord:
        """Make them, and return the session as it is then."""
        for entry in self._bundle.log:
            if not entry.draft and not _is_known(self._backend, entry.head):
                self._go(entry.head, entry)
        record = self._bundle.record
        if self._present.head != record.head:
            self._go(record.head, None)
        _add_runs(self._backend, self._bundle, self._present)
        for checkpoint in self._bundle.checkpoints:
            if _is_known(self._backend, checkpoint.head):
                self._backend.add_checkpoint(self._key, checkpoint)
        return self._backend.get(self._key) or self._present

    def _go(self, head: Head, entry: LogEntry | None) -> None:
        for turn in self._missing(head.turn_id):
            self._move(Head(turn.turn_id), (turn.total_messages, turn.total_turns), [turn])
        record = self._bundle.record
        place = record if entry is None else entry
        if self._present.head != head or entry is None:
            counts = (place.message_count, place.turn_count)
            state = encode_json(record.state, "state") if entry is None else entry.state
            self._move(head, counts, state=state)

    def _missing(self, turn_id: str | None) -> list[Turn]:
        """Return the turns up to this one that are not there, oldest first."""
        missing: list[Turn] = []
        while turn_id is not None and turn_id in self._turns and not _is_known(self._backend, Head(turn_id)):
            missing.append(self._turns[turn_id])
            turn_id = self._turns[turn_id].parent_id
        return missing[::-1]

    def _move(
        self, head: Head, counts: tuple[int, int], turns: Sequence[Turn] = (), state: str | None = None
    ) -> None:
        run = self._runs.get(turns[-1].turn_id) if turns else None
        if run is not None and self._backend.get_run(run.run_id) is None:
            _start(self._backend, self._bundle, run)
        finish = None if run is None else _finish(run)
        at = micros(now())
        move = Move(self._key, IMPORTED, self._present.head, head, *counts, at, turns, finish, state)
        self._present = self._backend.move(move)
