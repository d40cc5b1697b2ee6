"""
One session that comes into a store, as git takes in a branch.

A session that is not there is stored whole. One that is there goes on where the other has more, stays where
it has all of it already, and is never merged or written over: what went another way is kept on a fork.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic_core import from_json

from nbsessions import forks
from nbsessions.chains import read, view
from nbsessions.codecs import is_prompt
from nbsessions.exceptions import NotOwner, SessionConflict, SessionExists
from nbsessions.formats.building import IMPORTED
from nbsessions.formats.stable import stable_id
from nbsessions.formats.writing import line_of
from nbsessions.records import Head, SessionRecord, Turn, Usage
from nbsessions.stores.base import Backend, Bundle, HeadMoved, Key, Query
from nbsessions.transfers.growing import Growth, add_rest, add_runs, line

Numbers = dict[tuple[str | None, ...], int]
"""The last number that a title got, where it is taken, by conversation, agent and title."""
_LOOKS = 20
"""Others may take in the same meanwhile, or go on with it."""


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


def take_in(backend: Backend, bundle: Bundle, owner: str, numbers: Numbers | None = None) -> Taken:
    """Take a session in; it belongs to `owner` then.

    Who takes in several gives the same `numbers` each time, empty at first.

    Raises
    ------
    SessionExists
        It has a name that is unique where it comes from, and another session has it here.
    NotOwner
        It is there, belongs to somebody else, and would have to change.
    SessionConflict
        Another writer moves it all the time. What came until then is whole.
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
    bundle = backend.clean(_as(bundle, bundle.record.model_copy(update={"owner": owner})))
    for _ in range(_LOOKS):
        stored = backend.get(Key.of(bundle.record))
        try:
            if stored is None:
                return Taken("new", _restored(backend, bundle, {} if numbers is None else numbers))
            return _into(backend, bundle, stored)
        except SessionExists as error:
            if error.ref != bundle.record.session_id:
                raise
        except HeadMoved as moved:
            stored = moved.record
    record = stored or bundle.record
    raise SessionConflict(record.label, ours=bundle.record.head.turn_id, theirs=record.head.turn_id)


def _as(bundle: Bundle, record: SessionRecord) -> Bundle:
    """Return a bundle as that of another session; nobody answers in it here, and nothing waits."""
    own = {"session_id": record.session_id}
    changes: dict[str, dict[str, Any]] = {
        "running": {**own, "worker": None, "lease_until": None},
        # What somebody else may have written is nothing to approve.
        "suspended": {**own, "status": "interrupted"},
    }
    runs = [run.model_copy(update=changes.get(run.status, own)) for run in bundle.runs]
    return bundle._replace(record=record, runs=runs)


def _into(backend: Backend, bundle: Bundle, stored: SessionRecord) -> Taken:
    """Take a session in where it is there already."""
    owner = bundle.record.owner
    if _has(backend, bundle, stored):
        changed = stored.owner == owner and add_rest(backend, bundle, stored)
        return Taken("grown", backend.get(Key.of(stored)) or stored) if changed else Taken("present", stored)
    if _is_copy(backend, bundle, stored):
        return Taken("present", stored)
    if stored.owner != owner:
        raise NotOwner(stored.label, stored.owner)
    if _goes_on(backend, bundle, stored):
        return Taken("grown", Growth(backend, bundle, stored).done())
    return _onto_fork(backend, bundle, stored)


def _has(backend: Backend, bundle: Bundle, stored: SessionRecord) -> bool:
    """Tell whether a session stands where the bundle does, or stood there, or beyond it."""
    turn_id = bundle.record.head.turn_id
    if turn_id in (None, stored.head.turn_id):
        return True
    stood = line(backend, stored)
    if turn_id in stood:
        return True
    # An older file, whose last answer has grown since.
    turn = next(turn for turn in bundle.turns if turn.turn_id == turn_id)
    beside = backend.turns([step.turn_id for step in stood.values() if step.parent_id == turn.parent_id])
    return any(
        len(from_json(other.body)) > len(from_json(turn.body)) and _has_grown(turn, other)
        for other in beside.values()
    )


def _is_copy(backend: Backend, bundle: Bundle, stored: SessionRecord) -> bool:
    """Tell whether a bundle is a session once more, or its beginning, as a format that loses much has it."""
    count = bundle.record.message_count
    if not bundle.turns or not 0 < count <= stored.message_count or stored.head.turn_id is None:
        return False
    if backend.turn(bundle.turns[0].turn_id) is not None:  # it has turns of ours, which say where it stands
        return False
    said = _gist(line_of(bundle), bundle.record.head)
    return said == _gist(backend.chain(stored.head.turn_id), stored.head)[: len(said)]


def _gist(turns: Sequence[Turn], head: Head) -> list[tuple[str, str, list[str]]]:
    """Return what every format keeps of messages: who said what, and which tools were called."""
    messages = view(turns, head)
    return [(m.role, m.text, [call.name for call in m.calls]) for m in messages if m.role != "system"]


def _restored(backend: Backend, bundle: Bundle, numbers: Numbers) -> SessionRecord:
    """Store a session that is not there; one with a title gets that as its name, or one like it."""
    record = bundle.record
    for name in _names(backend, record, numbers) if bundle.title is not None else [record.name]:
        named = record.model_copy(update={"name": name})
        try:
            backend.restore(bundle._replace(record=named))
        except SessionExists as error:
            if bundle.title is None or error.ref != name:
                raise
            continue
        return backend.get(Key.of(named)) or named
    raise SessionExists(record.label)


def _names(backend: Backend, record: SessionRecord, numbers: Numbers) -> Iterator[str]:
    """Yield the name, then others like it, from one on that is free."""
    name = record.name or record.label
    yield name
    titled = (record.conversation_id, record.agent_name, name)
    where = Query(record.conversation_id or "", agent_name=record.agent_name, owner=record.owner, limit=1)

    def is_taken(number: int) -> bool:
        return bool(backend.find(where._replace(name=f"{name} ({number})")))

    # Of thousands of one title, not all are looked at.
    last = numbers.get(titled, 1)
    free = last + 1
    while is_taken(free):
        last, free = free, free * 2
    while free - last > 1:
        middle = (last + free) // 2
        last, free = (middle, free) if is_taken(middle) else (last, middle)
    while True:
        numbers[titled] = free
        yield f"{name} ({free})"
        free += 1


def _goes_on(backend: Backend, bundle: Bundle, stored: SessionRecord) -> bool:
    """Tell whether a session may go where the bundle is: from there, or from where an import left it."""
    turns = {turn.turn_id: turn for turn in bundle.turns}
    below: dict[str | None, Turn] = {}
    turn_id = bundle.record.head.turn_id
    while turn_id is not None and turn_id != stored.head.turn_id:
        below[turns[turn_id].parent_id] = turns[turn_id]
        turn_id = turns[turn_id].parent_id
    # It may have been here, and gone another way from an earlier turn since.
    if turn_id == stored.head.turn_id or any(entry.head == stored.head for entry in bundle.log[1:]):
        return True
    # The last answer may have grown since; nobody has gone on from it here.
    present = backend.current(Key.of(stored), draft=True).action
    if present != IMPORTED and not (present == "create" and _is_made_here(backend, stored)):
        return False
    if stored.head.turn_id is None:
        return False
    last = backend.turn(stored.head.turn_id)
    return last is not None and _has_grown(last, below.get(last.parent_id))


def _has_grown(turn: Turn, grown: Turn | None) -> bool:
    """Tell whether a turn is another one with more to it; its last message may be another, too."""
    if grown is None or turn.codec != grown.codec:
        return False
    said, more = (from_json(one.body) for one in (turn, grown))
    asked, again = (
        [message.text for message in read(one.codec, one.body) if is_prompt(message)] for one in (turn, grown)
    )
    return bool(len(more) >= len(said) and more[: len(said) - 1] == said[:-1] and asked == again)


def _onto_fork(backend: Backend, bundle: Bundle, stored: SessionRecord) -> Taken:
    """Keep what went another way on a fork: on the one that has it, or goes there; else on a new one."""
    # A run that is there has spent what it spent, wherever its answer is kept.
    add_runs(backend, bundle, stored, new=False)
    siblings = Query(Key.of(stored).conversation_id, parent_session_id=stored.session_id, owner=stored.owner)
    made = [fork for fork in backend.find(siblings) if _is_made_here(backend, fork)]
    there = [fork for fork in made if _has(backend, bundle, fork)]
    there += [fork for fork in made if fork.head.turn_id is not None and _goes_on(backend, bundle, fork)]
    if there:
        return _into(backend, _as_fork(bundle, stored, there[0].session_id), there[0])
    return Taken("forked", _forked(backend, bundle, stored))


def _as_fork(bundle: Bundle, stored: SessionRecord, session_id: str) -> Bundle:
    changes = {"session_id": session_id, "parent_session_id": stored.session_id, "draft": None}
    own = _as(bundle, bundle.record.model_copy(update=changes))
    return own._replace(checkpoints=(), progress=(), values=())


def _fork_id(key: Key, head: Head) -> str:
    return stable_id("fork", *key, *head)


def _is_made_here(backend: Backend, fork: SessionRecord) -> bool:
    """Tell whether an import made a fork, and not somebody who goes a way of their own."""
    above = Key(Key.of(fork).conversation_id, fork.parent_session_id or "")
    return fork.session_id == _fork_id(above, backend.origin(Key.of(fork)).head)


def _forked(backend: Backend, bundle: Bundle, stored: SessionRecord) -> SessionRecord:
    """Make a fork for what went another way; its id follows from where it stands."""
    own = _as_fork(bundle, stored, _fork_id(Key.of(stored), bundle.record.head))
    known = {run.run_id: backend.get_run(run.run_id) for run in own.runs}
    # What is left of a run whose session was deleted is taken over.
    new = [run for run in own.runs if (one := known[run.run_id]) is None or not one.session_id]
    fork = own.record.model_copy(update={"usage": sum((run.usage for run in new), Usage())})
    for name in forks.names(backend, stored):
        named = fork.model_copy(update={"name": name})
        try:
            backend.restore(own._replace(record=named, log=(), runs=new, title=None))
        except SessionExists as error:
            if error.ref != name:
                raise HeadMoved(stored) from None  # another import made it just now
            continue
        return named
    raise SessionExists(fork.label)
