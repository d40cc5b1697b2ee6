"""A whole session of a store, gathered to go elsewhere."""

from __future__ import annotations

from collections.abc import Iterable

from nbsessions.exceptions import DamagedTurn, SessionBusy, SessionNotFound
from nbsessions.hashes import is_intact
from nbsessions.records import Head, LogEntry, Turn
from nbsessions.stores.base import Backend, Bundle, Key
from nbsessions.values import micros, now

_LOOKS = 3


def gather(backend: Backend, key: Key) -> Bundle:
    """Return a session with all that belongs to it, as it is at one moment.

    Raises
    ------
    SessionNotFound
    SessionBusy
        Others go on changing it meanwhile.
    DamagedTurn
        A turn that it stands on is not what was written.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> session = nbs.open_store("memory:").create("plan")
    >>> session.add_message({"role": "user", "content": "Hello"})
    >>> [turn.message_count for turn in gather(session.backend, session.key).turns]
    [1]
    """
    for _ in range(_LOOKS):
        before = backend.get(key)
        if before is None:
            raise SessionNotFound(key.session_id)
        found = _gathered(backend, key)
        if found.record == before:
            return found
    raise SessionBusy(found.record.label, "another writer")


def _gathered(backend: Backend, key: Key) -> Bundle:
    log = _numbered(backend.log(key)[::-1])
    checkpoints = backend.checkpoints(key, None)[::-1]
    runs = backend.runs(key)
    record = backend.get(key)
    if record is None:
        raise SessionNotFound(key.session_id)
    heads = [record.head, *([record.draft] if record.draft else []), *(entry.head for entry in log)]
    heads += [made.head for made in checkpoints] + [run.base for run in runs]
    turns = _turns(backend, heads)
    states = {turn.turn_id: backend.state_before(turn.turn_id) for turn in turns}
    events = {run.run_id: backend.events(run.run_id) for run in runs if run.event_count}
    kept = (backend.progress(run.run_id) for run in runs if run.turn_id is None)
    return Bundle(
        record,
        turns,
        {turn_id: state for turn_id, state in states.items() if state != "{}"},
        log,
        checkpoints,
        runs,
        {run_id: found for run_id, found in events.items() if found},
        [progress for progress in kept if progress is not None],
        backend.values(key, micros(now())),
    )


def _turns(backend: Backend, heads: Iterable[Head]) -> list[Turn]:
    """Return the turns of these heads and all above them, each after its parent."""
    tips = list(dict.fromkeys(head.turn_id for head in heads if head.turn_id is not None))
    steps = backend.ancestors(tips)
    missing = next((tip for tip in tips if tip not in steps), None)
    if missing is not None:
        raise DamagedTurn(missing)
    # Most stand on one line, which is read at once.
    deepest = max(steps.values(), key=lambda step: step.depth, default=None)
    line = [] if deepest is None else backend.chain(deepest.turn_id)
    found = {turn.turn_id: turn for turn in line}
    turns = []
    for step in sorted(steps.values(), key=lambda step: (step.depth, step.turn_id)):
        turn = found.get(step.turn_id) or backend.turn(step.turn_id)
        if turn is None or not is_intact(turn):
            raise DamagedTurn(step.turn_id)
        turns.append(turn)
    return turns


def _numbered(log: list[LogEntry]) -> list[LogEntry]:
    """Return log entries with numbers of their own, from 1."""
    numbers: dict[int | None, int | None] = {entry.entry_id: at for at, entry in enumerate(log, 1)}
    return [
        entry._replace(entry_id=at, before=numbers.get(entry.before), base=numbers.get(entry.base))
        for at, entry in enumerate(log, 1)
    ]
