"""A whole session that goes from one store into another."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nbsessions.bundles import gather
from nbsessions.exceptions import DamagedTurn, SessionExists
from nbsessions.records import Checkpoint, Head, SessionRecord
from nbsessions.stores.base import Backend, Bundle, Key, Progress, Value
from nbsessions.testing.contract.base import Contract, Reopen
from nbsessions.testing.samples import SPENT, a_finish, a_move, a_record, a_run, a_turn, grown, inserted
from nbsessions.values import micros, new_id, now


def _lived(backend: Backend, session_id: str = "s1", **changes: Any) -> Key:
    """Insert a session that has been through all that one can go through."""
    changes = {"name": "plan", "tags": ["draft", "ä"], "metadata": {"n": [1.0, None]}, **changes}
    key = inserted(backend, session_id, **changes)
    first, second = grown(backend, key, ("system", "user"), ("user", "assistant"))
    head = Head(second.turn_id)
    checkpoint = Checkpoint(
        checkpoint_id=new_id(), session_id=session_id, name="here", head=head, message_count=4,
        turn_count=2, state={"step": 1}, created_at=now(),
    )  # fmt: skip
    backend.add_checkpoint(key, checkpoint)
    run = a_run(key, base=head)
    backend.start_run(run)
    backend.append_events(run.run_id, [("RUN_STARTED", '{"type":"RUN_STARTED"}')], first=0)
    third = a_turn(second, "user", "assistant", cell_id="c1")
    end = a_finish(run, usage=SPENT, model="gpt-4o", events=[("RUN_FINISHED", "{}")], first=1)
    backend.move(a_move(key, third, head, action="turn", finish=end, state='{"step":2}'))
    failed, waiting = a_run(key, base=Head(third.turn_id)), a_run(key, base=Head(first.turn_id, 1))
    backend.start_run(failed)
    backend.save_progress(Progress(failed.run_id, "chat", '[{"role":"user"}]', SPENT))
    backend.finish_run(a_finish(failed, "failed", usage=SPENT, error="no network"))
    backend.start_run(waiting)
    backend.move(a_move(key, None, Head(third.turn_id), head=Head(second.turn_id, 1), action="rewind",
                        total_messages=3, total_turns=2))  # fmt: skip
    at = micros(now())
    backend.put_value(key, Value("city", '"Oslo"', at, at + 60_000_000), 10)
    drafted = a_turn(second, "user")
    backend.move(a_move(key, drafted, Head(second.turn_id, 1), draft=True, draft_entry=0))
    return key


def _same(one: Bundle, other: Bundle) -> None:
    assert one.record == other.record
    for field in Bundle._fields:
        assert getattr(one, field) == getattr(other, field), field


class Restoring(Contract):
    """A whole session that goes from one store into another."""

    @pytest.fixture
    def other(self, tmp_path: Path) -> Iterator[Backend]:
        """Another new store."""
        folder = tmp_path / "other"
        folder.mkdir()
        other = self.open(folder)
        yield other
        other.close()

    def test_a_session_is_the_same_elsewhere(self, backend: Backend, other: Backend) -> None:
        bundle = gather(backend, _lived(backend))
        assert len(bundle.turns) == 4
        assert (len(bundle.log), len(bundle.runs)) == (6, 3)
        assert bundle.checkpoints
        assert bundle.progress
        assert bundle.values
        other.restore(bundle)
        key = Key.of(bundle.record)
        _same(gather(other, key), bundle)
        current, drafted = other.current(key, draft=False), other.current(key, draft=True)
        assert (current.head, drafted.head) == (bundle.record.head, bundle.record.draft)
        assert other.check() == []

    def test_it_goes_on_there(self, backend: Backend, other: Backend) -> None:
        bundle = gather(backend, _lived(backend))
        other.restore(bundle)
        key, head = Key.of(bundle.record), bundle.record.head
        parent = next(turn for turn in bundle.turns if turn.turn_id == head.turn_id)
        turn = a_turn(parent)
        moved = other.move(a_move(key, turn, head))
        assert moved.head == Head(turn.turn_id)
        run = a_run(key, base=moved.head)
        other.start_run(run)
        other.finish_run(a_finish(run, usage=SPENT))
        record = other.get(key)
        assert record is not None
        assert record.usage == bundle.record.usage + SPENT
        assert [found.run_id for found in other.runs(key)][-1] == run.run_id

    def test_a_session_that_was_deleted_comes_back_whole(self, backend: Backend) -> None:
        key = _lived(backend)
        bundle = gather(backend, key)
        backend.delete([key])
        backend.restore(bundle)
        _same(gather(backend, key), bundle)
        assert len(backend.runs()) == len(bundle.runs)  # what was spent is counted once

    def test_what_another_session_has_spent_is_counted_there_alone(self, backend: Backend) -> None:
        key = inserted(backend, "s1")
        run = a_run(key)
        backend.start_run(run)
        backend.finish_run(a_finish(run, usage=SPENT))
        bundle = gather(backend, key)
        fork = bundle.record.model_copy(update={"session_id": "s2", "usage": SPENT + SPENT})
        own = bundle.runs[0].model_copy(update={"run_id": "own", "session_id": "s2"})
        backend.restore(bundle._replace(record=fork, runs=[bundle.runs[0], own]))
        found = backend.get(Key.of(fork))
        assert found is not None
        assert found.usage == SPENT
        assert [run.run_id for run in backend.runs(Key.of(fork))] == ["own"]
        assert backend.check() == []

    def test_forks_share_their_turns_there(self, backend: Backend, other: Backend) -> None:
        key = _lived(backend)
        first = gather(backend, key)
        turn_id = first.turns[1].turn_id
        fork = inserted(backend, "s2", head=Head(turn_id), message_count=4, turn_count=2)
        second = gather(backend, fork)
        for bundle in (first, second):
            other.restore(bundle)
        assert len(other.scan(0, 100)) == len(first.turns)
        _same(gather(other, fork), second)

    def test_a_session_without_a_log_was_created_where_it_stands(self, backend: Backend) -> None:
        turn = a_turn()
        record = a_record(head=Head(turn.turn_id), message_count=1, turn_count=1, state={"step": 1})
        backend.restore(Bundle(record, [turn]))
        entry = backend.current(Key.of(record), draft=False)
        assert (entry.action, entry.head, entry.state) == ("create", record.head, '{"step":1}')
        assert backend.get(Key.of(record)) == record

    @pytest.mark.parametrize("taken", [{"session_id": "s1"}, {"name": "plan"}])
    def test_what_is_taken_is_refused(self, backend: Backend, other: Backend, taken: dict[str, str]) -> None:
        bundle = gather(backend, _lived(backend))
        inserted(other, **{"session_id": "s2", **taken})
        with pytest.raises(SessionExists):
            other.restore(bundle)
        assert other.scan(0, 10) == []
        assert other.runs() == []

    def test_turns_that_do_not_fit_are_refused(self, backend: Backend) -> None:
        first = a_turn()
        second = a_turn(first)
        record = a_record(head=Head(second.turn_id), message_count=2, turn_count=2)
        with pytest.raises(DamagedTurn):
            backend.restore(Bundle(record, [second]))
        with pytest.raises(DamagedTurn):
            backend.restore(Bundle(record, [first]))
        grown(backend, inserted(backend, "s2"), ("user",))
        (_, present), *_ = backend.scan(0, 1)
        other = a_turn()._replace(turn_id=present.turn_id)
        changed: SessionRecord = a_record(head=Head(other.turn_id), message_count=1, turn_count=1)
        with pytest.raises(DamagedTurn):
            backend.restore(Bundle(changed, [other]))
        assert backend.get(Key.of(record)) is None
        assert len(backend.scan(0, 10)) == 1

    def test_it_is_durable(self, backend: Backend, reopen: Reopen, other: Backend) -> None:
        bundle = gather(other, _lived(other))
        backend.restore(bundle)
        _same(gather(reopen(), Key.of(bundle.record)), bundle)
