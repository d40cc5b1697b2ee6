"""The log of a run, and the lease of who writes it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from nbsessions.exceptions import RunNotFound, SessionNotFound
from nbsessions.stores.base import Backend, Progress
from nbsessions.testing.contract.base import Contract
from nbsessions.testing.samples import SPENT, a_finish, a_move, a_run, a_turn, inserted
from nbsessions.values import micros, now


class Events(Contract):
    """The log of a run, and the lease of who writes it."""

    def test_events_are_numbered_and_paged(self, backend: Backend) -> None:
        key = inserted(backend)
        run, other = a_run(key), a_run(key)
        for one in (run, other):
            backend.start_run(one)
        backend.append_events(run.run_id, [("A", '{"n":0}'), ("B", '{"n":1}')], first=0)
        backend.append_events(other.run_id, [("X", "{}")], first=0)
        backend.append_events(run.run_id, [], first=2)
        # Who is not sure that it arrived sends it again.
        backend.append_events(run.run_id, [("B", '{"n":1}'), ("C", '{"n":2}')], first=1)
        events = backend.events(run.run_id)
        assert [(event.seq, event.type, event.data) for event in events] == [
            (0, "A", {"n": 0}),
            (1, "B", {"n": 1}),
            (2, "C", {"n": 2}),
        ]
        assert backend.events(run.run_id, after=0) == events[1:]
        assert backend.events(run.run_id, after=0, limit=1) == events[1:2]
        assert backend.events(run.run_id, limit=0) == backend.events(run.run_id, after=2) == []
        counted = backend.get_run(run.run_id)
        assert counted is not None
        assert counted.event_count == 3

    def test_the_oldest_events_can_be_dropped_and_stay_counted(self, backend: Backend) -> None:
        run = a_run(inserted(backend))
        backend.start_run(run)
        backend.append_events(run.run_id, [("A", "{}")] * 5, first=0)
        backend.drop_events(run.run_id, 3)
        assert [event.seq for event in backend.events(run.run_id)] == [3, 4]
        backend.append_events(run.run_id, [("B", "{}")], first=5)
        counted = backend.get_run(run.run_id)
        assert counted is not None
        assert counted.event_count == 6
        with pytest.raises(RunNotFound):
            backend.drop_events("nowhere", 1)

    def test_how_far_a_run_has_come_is_kept_until_it_commits(self, backend: Backend) -> None:
        key = inserted(backend)
        run, failed = a_run(key), a_run(key)
        for one in (run, failed):
            backend.start_run(one)
            assert backend.progress(one.run_id) is None
            for body in ("[1]", '[1,"\\u0000"]'):
                backend.save_progress(Progress(one.run_id, "chat", body, SPENT))
            assert backend.progress(one.run_id) == Progress(one.run_id, "chat", '[1,"\\u0000"]', SPENT)
        turn = a_turn(None, "user")
        backend.move(a_move(key, turn, finish=a_finish(run, progressed=True)))
        backend.finish_run(a_finish(failed, "failed", progressed=True))
        assert backend.progress(run.run_id) is None
        assert backend.progress(failed.run_id) is not None
        with pytest.raises(RunNotFound):
            backend.save_progress(Progress("nowhere", "chat", "[]", SPENT))

    def test_a_run_needs_its_session_when_it_begins(self, backend: Backend) -> None:
        key = inserted(backend)
        backend.delete([key])
        with pytest.raises(SessionNotFound):
            backend.start_run(a_run(key))
        assert backend.runs() == []

    def test_the_lease_of_no_run_is_nobodys(self, backend: Backend) -> None:
        backend.renew_lease("nowhere", micros(now()))
        assert backend.get_run("nowhere") is None

    def test_a_lease_is_renewed(self, backend: Backend) -> None:
        run = a_run(inserted(backend))
        backend.start_run(run)
        until = now() + timedelta(minutes=1)
        backend.renew_lease(run.run_id, micros(until))
        renewed = backend.get_run(run.run_id)
        assert renewed == run.model_copy(update={"lease_until": until})
