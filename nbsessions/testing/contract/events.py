"""The log of a run, and the lease of who writes it."""

from __future__ import annotations

from datetime import timedelta

from nbsessions.stores.base import Backend
from nbsessions.testing.contract.base import Contract
from nbsessions.testing.samples import a_run, inserted
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

    def test_a_lease_is_renewed(self, backend: Backend) -> None:
        run = a_run(inserted(backend))
        backend.start_run(run)
        until = now() + timedelta(minutes=1)
        backend.renew_lease(run.run_id, micros(until))
        renewed = backend.get_run(run.run_id)
        assert renewed == run.model_copy(update={"lease_until": until})
