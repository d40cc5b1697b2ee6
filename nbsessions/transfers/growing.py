"""What a session that comes in has more than the one that is there: moves, runs, checkpoints."""

from __future__ import annotations

from collections.abc import Sequence

from nbsessions.exceptions import StoreUnavailable
from nbsessions.formats.building import IMPORTED
from nbsessions.formats.sound import whole
from nbsessions.records import Head, Run, SessionRecord, Step, Turn, Usage
from nbsessions.stores._told import tells_more
from nbsessions.stores.base import Backend, Bundle, Finish, Key, Move
from nbsessions.values import encode_json, micros, now


class Growth:
    """A session that goes on: the moves of the bundle that are not made yet, one after the other.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> from nbsessions.formats.building import Building
    >>> building = Building("example", "chat-7", agent_name="helper")
    >>> building.add({"role": "user", "content": "Hi"})
    >>> store = nbs.open_store("memory:")
    >>> stored = store.create(session_id="chat-7").record
    >>> Growth(store.backend, building.bundle(), stored).done().message_count
    1
    """

    def __init__(self, backend: Backend, bundle: Bundle, stored: SessionRecord) -> None:
        self._backend, self._bundle = backend, bundle
        self._key, self._present = Key.of(stored), stored
        self._turns = {turn.turn_id: turn for turn in bundle.turns}
        self._runs = {run.turn_id: run for run in bundle.runs if run.turn_id is not None}
        self._stood = set(line(backend, stored))

    def done(self) -> SessionRecord:
        """Make them, and return the session as it is then.

        Raises
        ------
        HeadMoved
            Another writer was first. What was done until then is whole.
        """
        for entry in self._bundle.log:
            turn_id = entry.head.turn_id
            if not entry.draft and turn_id is not None and turn_id not in self._stood:
                self._go(entry.head, (entry.message_count, entry.turn_count), entry.state)
        record = self._bundle.record
        state = encode_json(record.state, "state")
        self._go(record.head, (record.message_count, record.turn_count), state)
        add_rest(self._backend, self._bundle, self._present)
        return self._backend.get(self._key) or self._present

    def _go(self, head: Head, counts: tuple[int, int], state: str) -> None:
        for turn in self._missing(head.turn_id):
            there = Head(turn.turn_id)
            self._move(
                there, (turn.total_messages, turn.total_turns), [turn], state if there == head else None
            )
        if self._present.head != head or encode_json(self._present.state, "state") != state:
            self._move(head, counts, state=state)

    def _missing(self, turn_id: str | None) -> list[Turn]:
        """Return the turns up to this one that are not there, oldest first."""
        missing: list[Turn] = []
        while turn_id is not None and turn_id in self._turns and turn_id not in self._stood:
            self._stood.add(turn_id)
            if not _is_known(self._backend, Head(turn_id)):
                missing.append(self._turns[turn_id])
            turn_id = self._turns[turn_id].parent_id
        return missing[::-1]

    def _move(
        self, head: Head, counts: tuple[int, int], turns: Sequence[Turn] = (), state: str | None = None
    ) -> None:
        finish = self._ended(turns[-1].turn_id) if turns else None
        at = micros(now())
        move = Move(
            self._key,
            IMPORTED,
            self._present.head,
            head,
            *counts,
            at,
            turns,
            finish,
            state,
            again=bool(turns),
        )
        self._present = self._backend.move(move)

    def _ended(self, turn_id: str) -> Finish | None:
        """Return how the run of a turn ended, once it is one of this session."""
        run = self._runs.get(turn_id)
        if run is None:
            return None
        known = self._backend.get_run(run.run_id)
        if known is None:
            _start(self._backend, self._bundle, run)
        return _finish(run) if known is None or Key.of(known) == self._key else None


def add_rest(backend: Backend, bundle: Bundle, stored: SessionRecord) -> bool:
    """Add the runs and checkpoints that are not there; tell whether there were any.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> from nbsessions.formats.building import Building
    >>> building = Building("example", "chat-7", agent_name="helper")
    >>> building.run("total", usage=Usage(input_tokens=100))
    >>> store = nbs.open_store("memory:")
    >>> stored = store.create(session_id="chat-7").record
    >>> [add_rest(store.backend, building.bundle(), stored) for _ in range(2)]
    [True, False]
    """
    changed = add_runs(backend, bundle, stored)
    return _add_checkpoints(backend, bundle, stored) or changed


def _add_checkpoints(backend: Backend, bundle: Bundle, stored: SessionRecord) -> bool:
    if not bundle.checkpoints:
        return False
    key = Key.of(stored)
    present = {made.checkpoint_id for made in backend.checkpoints(key, None)}
    missing = [made for made in bundle.checkpoints if made.checkpoint_id not in present]
    for made in missing:
        if _is_known(backend, made.head):
            backend.add_checkpoint(key, made)
    return bool(missing) and len(backend.checkpoints(key, None)) > len(present)


def add_runs(backend: Backend, bundle: Bundle, stored: SessionRecord, *, new: bool = True) -> bool:
    """Add the runs that are not there, and what others have spent since; tell whether there were any.

    Parameters
    ----------
    backend, bundle, stored
    new : bool
        False: only those that the session has are looked at.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> from nbsessions.formats.building import Building
    >>> building = Building("example", "chat-7", agent_name="helper")
    >>> building.run("total", usage=Usage(input_tokens=100))
    >>> store = nbs.open_store("memory:")
    >>> stored = store.create(session_id="chat-7").record
    >>> add_runs(store.backend, building.bundle(), stored, new=False)
    False
    """
    changed = False
    present = {run.run_id: run for run in backend.runs(Key.of(stored))}
    for run in bundle.runs:
        known = present.get(run.run_id) or (backend.get_run(run.run_id) if new else None)
        if known is None and new:
            _start(backend, bundle, run)
        elif known is None or Key.of(known) != Key.of(stored) or not tells_more(run, known):
            continue
        backend.finish_run(_finish(run))
        changed = True
    return changed


def _start(backend: Backend, bundle: Bundle, run: Run) -> None:
    known = _is_known(backend, run.base)
    begun = {"status": "running", "usage": Usage(), "base": run.base if known else Head()}
    try:
        backend.start_run(run.model_copy(update={**begun, "turn_id": None, "finished_at": None}))
    except StoreUnavailable:
        if backend.get_run(run.run_id) is None:
            raise
        return  # another import was first
    events = whole(run, bundle.events.get(run.run_id, ()))
    if events:
        texts = [(event.type, encode_json(event.data, "event")) for event in events]
        backend.append_events(run.run_id, texts, first=events[0].seq)


def _finish(run: Run) -> Finish:
    at = micros(run.finished_at or run.started_at)
    # Nobody answers in it here any more.
    status = "interrupted" if run.status == "running" else run.status
    return Finish(
        run.run_id, status, at, run.usage, run.model, run.provider, run.error, run.shares, run.priced_by
    )


def line(backend: Backend, stored: SessionRecord) -> dict[str, Step]:
    """Return the turns that a session stood on, and all above them.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> session = nbs.open_store("memory:").create("plan")
    >>> session.add_message({"role": "user", "content": "Hello"})
    >>> len(line(session.backend, session.record))
    1
    """
    heads = dict.fromkeys(entry.head.turn_id for entry in backend.log(Key.of(stored)))
    return backend.ancestors([turn_id for turn_id in heads if turn_id is not None])


def _is_known(backend: Backend, head: Head) -> bool:
    return head.turn_id is None or backend.turn(head.turn_id) is not None
