"""Runs and what they spend."""

from __future__ import annotations

from decimal import Decimal

import pytest

from nbsessions.exceptions import RunNotFound
from nbsessions.records import Head, Usage
from nbsessions.stores.base import Backend, Key
from nbsessions.testing.contract.base import Contract
from nbsessions.testing.samples import SPENT, a_finish, a_move, a_run, a_turn, grown, inserted
from nbsessions.values import from_micros, micros, now


class Runs(Contract):
    """Runs and what they spend."""

    def test_a_run_comes_back_as_it_was_started(self, backend: Backend) -> None:
        key = inserted(backend, conversation_id="c1")
        (turn,) = grown(backend, key, ("user", "assistant"))
        run = a_run(
            key,
            prompt="ä\x00 😀",
            model="m",
            provider="p",
            base=Head(turn.turn_id, 1),
            cell_id="cell",
            retry_of="r0",
        )
        backend.start_run(run)
        assert backend.get_run(run.run_id) == run
        assert backend.runs(key) == backend.runs() == [run]

    def test_runs_are_listed_oldest_first(self, backend: Backend) -> None:
        keys = [inserted(backend, "a"), inserted(backend, "b")]
        runs = [a_run(keys[number % 2]) for number in range(4)]
        for run in runs:
            backend.start_run(run)
        backend.finish_run(a_finish(runs[0], "failed"))
        ids = [run.run_id for run in runs]
        assert [run.run_id for run in backend.runs()] == ids
        assert [run.run_id for run in backend.runs(keys[0])] == [ids[0], ids[2]]
        assert [run.run_id for run in backend.runs(status="running")] == ids[1:]
        assert [run.run_id for run in backend.runs(keys[0], status="failed")] == [ids[0]]
        assert [run.run_id for run in backend.runs(last=2)] == ids[2:]
        assert [run.run_id for run in backend.runs(keys[1], last=1)] == [ids[3]]
        assert [run.run_id for run in backend.runs(keys[0], last=2)] == [ids[0], ids[2]]
        backend.finish_run(a_finish(runs[3], "failed"))
        assert [run.run_id for run in backend.runs(keys[1], last=1)] == [ids[3]]
        assert [run.run_id for run in backend.runs(keys[1], last=2)] == [ids[1], ids[3]]
        assert [run.run_id for run in backend.runs(last=9)] == ids
        assert backend.runs(last=0) == backend.runs(Key("", "nowhere")) == []

    def test_a_run_may_end_without_a_turn(self, backend: Backend) -> None:
        key = inserted(backend)
        run = a_run(key)
        backend.start_run(run)
        finish = a_finish(run, "failed", usage=SPENT, model="m", error="no idea", events=[("A", "{}")])
        ended = backend.finish_run(finish)
        assert ended == backend.get_run(run.run_id)
        assert (ended.status, ended.error, ended.usage, ended.model) == ("failed", "no idea", SPENT, "m")
        assert (ended.prompt, ended.turn_id, ended.worker, ended.lease_until) == ("Hello", None, None, None)
        assert ended.finished_at == from_micros(finish.finished_at)
        session = backend.get(key)
        assert session is not None
        assert (session.usage, session.model, session.head) == (SPENT, "m", Head())
        assert len(backend.events(run.run_id)) == 1

    def test_the_end_of_a_run_is_something_that_happened_to_its_session(self, backend: Backend) -> None:
        key = inserted(backend)
        run = a_run(key)
        backend.start_run(run)
        finish = a_finish(run, "failed")
        backend.finish_run(finish)
        session = backend.get(key)
        assert session is not None
        assert session.updated_at == from_micros(finish.finished_at)

    @pytest.mark.parametrize("first", ["completed", "failed", "cancelled", "interrupted"])
    def test_the_first_terminal_status_wins(self, backend: Backend, first: str) -> None:
        key = inserted(backend)
        run, turn = a_run(key), a_turn(None, "user")
        backend.start_run(run)
        before = backend.finish_run(a_finish(run, first, error="first"))
        late = a_finish(run, "completed", usage=SPENT, error="late", finished_at=micros(now()) + 1000)
        session = backend.move(a_move(key, turn, finish=late))
        after = backend.get_run(run.run_id)
        assert after is not None
        assert (after.status, after.error, after.finished_at) == (first, "first", before.finished_at)
        assert (after.turn_id, after.usage) == (turn.turn_id, SPENT)  # and it was paid for
        assert (session.head, session.usage) == (Head(turn.turn_id), SPENT)

    def test_a_suspended_run_can_still_end(self, backend: Backend) -> None:
        run = a_run(inserted(backend))
        backend.start_run(run)
        assert backend.finish_run(a_finish(run, "suspended")).status == "suspended"
        assert backend.finish_run(a_finish(run, "completed")).status == "completed"

    def test_a_suspended_run_goes_on_once(self, backend: Backend) -> None:
        key, until = inserted(backend), micros(now())
        run = a_run(key)
        backend.start_run(run)
        assert not backend.continue_run(run.run_id, "me:1", until)
        backend.append_events(run.run_id, [("A", "{}")], first=0)
        backend.finish_run(a_finish(run, "suspended", usage=SPENT, error="waits"))
        assert backend.continue_run(run.run_id, "me:1", until)
        assert not backend.continue_run(run.run_id, "other:2", until)
        found = backend.get_run(run.run_id)
        assert found is not None
        assert (found.status, found.worker, found.finished_at, found.error) == ("running", "me:1", None, None)
        assert (found.lease_until, found.event_count) == (from_micros(until), 1)
        assert backend.runs(key) == backend.runs(key, status="running") == [found]
        with pytest.raises(RunNotFound):
            backend.continue_run("nowhere", "me:1", until)

    @pytest.mark.parametrize("status", ["completed", "failed", "cancelled", "interrupted"])
    def test_a_run_that_has_ended_does_not_go_on(self, backend: Backend, status: str) -> None:
        run = a_run(inserted(backend))
        backend.start_run(run)
        ended = backend.finish_run(a_finish(run, status))
        assert not backend.continue_run(run.run_id, "me:1", micros(now()))
        assert backend.get_run(run.run_id) == ended

    def test_what_runs_spend_adds_up(self, backend: Backend) -> None:
        key = inserted(backend)
        for cost in (Decimal("0.000000001"), None, Decimal("1.5")):
            run = a_run(key)
            backend.start_run(run)
            cached = {"cache_read_tokens": 1, "cache_write_tokens": 2, "reasoning_tokens": 3}
            usage = Usage(input_tokens=10**12, cost=cost, **cached)
            backend.finish_run(a_finish(run, usage=usage))
        session = backend.get(key)
        assert session is not None
        assert session.usage == sum((run.usage for run in backend.runs(key)), Usage())
        assert session.usage.input_tokens == 3 * 10**12
        assert str(session.usage.cost) == "1.500000001"

    def test_a_run_outlives_its_session(self, backend: Backend) -> None:
        """Its process does not know yet that the session was deleted."""
        key = inserted(backend)
        run = a_run(key)
        backend.start_run(run)
        backend.delete([key])
        backend.append_events(run.run_id, [("A", "{}")], first=0)
        backend.renew_lease(run.run_id, micros(now()))
        ended = backend.finish_run(a_finish(run, "failed", usage=SPENT))
        assert (ended.status, ended.usage) == ("failed", SPENT)
