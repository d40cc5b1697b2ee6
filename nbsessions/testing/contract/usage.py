"""What was spent, by day, model and session."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from nbsessions.bundles import gather
from nbsessions.records import Run, Share, Usage
from nbsessions.stores._spending import spending
from nbsessions.stores.base import Backend, Key, Spending
from nbsessions.stores.queries import Group
from nbsessions.testing.contract.base import Contract
from nbsessions.testing.samples import a_finish, a_run, inserted
from nbsessions.values import micros, now

_NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
_ALL: tuple[Group, ...] = (
    "day", "agent_name", "model", "provider", "session", "name", "notebook", "tag", "owner", "status",
)  # fmt: skip


def spent(backend: Backend, key: Key, status: str = "completed", **changes: Any) -> Run:
    """Store a run that has ended."""
    begun = {"agent_name", "model", "provider", "started_at"} & changes.keys()
    run = a_run(key, **{name: changes.pop(name) for name in begun})
    backend.start_run(run)
    return backend.finish_run(a_finish(run, status, finished_at=micros(run.started_at) + 5, **changes))


def totals(backend: Backend, *by: Group, **asked: Any) -> dict[tuple[object, ...], tuple[int, Usage]]:
    """Return what the store says, by group; it is what any store can find out by looking at each run."""
    wanted = Spending(by=by, **asked)
    found = {total.group: (total.runs, total.usage) for total in backend.usage(wanted)}
    assert found == {total.group: (total.runs, total.usage) for total in spending(backend, wanted)}
    return found


class Spendings(Contract):
    """What was spent, by day, model and session."""

    def test_nothing_was_spent(self, backend: Backend) -> None:
        inserted(backend)
        assert totals(backend) == totals(backend, "day", "model") == totals(backend, "session") == {}

    def test_it_is_added_up_by_day_and_model(self, backend: Backend) -> None:
        key = inserted(backend)
        known = Usage(input_tokens=10, output_tokens=2, requests=1, cost=Decimal("0.5"))
        unknown = Usage(input_tokens=7, requests=2, unpriced_tokens=7)
        for days in (0, 0, 1):
            spent(backend, key, model="a", usage=known, started_at=_NOON + timedelta(days=days))
        spent(backend, key, "failed", model="b", provider="p", usage=unknown, started_at=_NOON)
        assert totals(backend, "day", "model") == {
            (date(2026, 3, 1), "a"): (2, known + known),
            (date(2026, 3, 2), "a"): (1, known),
            (date(2026, 3, 1), "b"): (1, unknown),
        }
        assert totals(backend, "provider") == {(None,): (3, known + known + known), ("p",): (1, unknown)}
        assert totals(backend)[()][1] == known + known + known + unknown
        assert totals(backend, "status").keys() == {("completed",), ("failed",)}

    def test_a_run_counts_when_it_has_ended(self, backend: Backend) -> None:
        key = inserted(backend)
        run = a_run(key, model="a", started_at=_NOON)
        backend.start_run(run)
        assert totals(backend, "day") == {}
        backend.finish_run(a_finish(run, "suspended", usage=Usage(input_tokens=3)))
        assert totals(backend, "day") == {(date(2026, 3, 1),): (1, Usage(input_tokens=3))}

    def test_an_answer_that_comes_late_counts_for_what_it_spent_more(self, backend: Backend) -> None:
        key = inserted(backend)
        first = Usage(input_tokens=3, unpriced_tokens=3)
        run = spent(backend, key, "interrupted", model="a", usage=first, started_at=_NOON)
        late = Usage(input_tokens=5, requests=1, cost=Decimal("0.25"))
        backend.finish_run(a_finish(run, model="b", usage=late, priced_by="own price"))
        assert totals(backend, "model") == {("b",): (1, late)}
        found = backend.get_run(run.run_id)
        assert found is not None
        assert (found.status, found.usage, found.priced_by) == ("interrupted", late, "own price")
        session = backend.get(key)
        assert session is not None
        assert session.usage == late

    def test_a_run_that_was_suspended_counts_once_when_it_ends(self, backend: Backend) -> None:
        key = inserted(backend)
        first = Usage(input_tokens=3, requests=1, cost=Decimal("0.25"))
        run = spent(backend, key, "suspended", model="a", usage=first, started_at=_NOON)
        backend.finish_run(a_finish(run, "cancelled", usage=first, model="a"))
        session = backend.get(key)
        assert session is not None
        assert session.usage == first
        assert totals(backend, "model", "status") == {("a", "cancelled"): (1, first)}

    def test_a_run_that_goes_on_is_counted_when_it_ends(self, backend: Backend) -> None:
        key = inserted(backend)
        first = Usage(input_tokens=3, requests=1, cost=Decimal("0.25"), unpriced_tokens=2)
        run = spent(backend, key, "suspended", model="a", usage=first, started_at=_NOON)
        assert backend.continue_run(run.run_id, "me:1", micros(now()))
        session = backend.get(key)
        assert session is not None
        assert (session.usage.total_tokens, session.usage.unpriced_tokens, session.usage.cost or 0) == (
            0,
            0,
            0,
        )
        assert totals(backend, "model") == {}
        for _ in range(2):  # and it may wait more than once
            backend.finish_run(a_finish(run, "suspended", usage=first + first, model="a"))
            assert backend.continue_run(run.run_id, "me:1", micros(now()))
        whole = first + first + first
        backend.finish_run(a_finish(run, "completed", usage=whole, model="a"))
        session = backend.get(key)
        assert session is not None
        assert session.usage == whole
        assert totals(backend, "model", "status") == {("a", "completed"): (1, whole)}

    def test_what_comes_when_it_was_interrupted_twice_is_not_counted(self, backend: Backend) -> None:
        key = inserted(backend)
        run = spent(backend, key, usage=Usage(input_tokens=3), started_at=_NOON)
        backend.finish_run(a_finish(run, "interrupted"))
        assert totals(backend) == {(): (1, Usage(input_tokens=3))}

    def test_a_run_may_spend_on_several_days_with_several_models(self, backend: Backend) -> None:
        key = inserted(backend)
        one = Usage(input_tokens=3, requests=1, cost=Decimal("0.125"))
        other = Usage(output_tokens=4, requests=1, unpriced_tokens=4)
        days = (date(2026, 3, 1), date(2026, 3, 2))
        mine = [Share(day, "a", "p", one) for day in days]
        shares = (*mine, Share(days[1], "b", None, other))
        begun: dict[str, Any] = {"started_at": _NOON, "model": "a", "provider": "p"}
        run = spent(backend, key, usage=one + one + other, shares=shares, **begun)
        assert run.shares == run.spending == shares
        assert totals(backend, "day", "model", "provider") == {
            (days[0], "a", "p"): (1, one),
            (days[1], "a", "p"): (0, one),
            (days[1], "b", None): (0, other),
        }
        assert totals(backend) == {(): (1, one + one + other)}
        since = totals(backend, "model", "session", since=days[1])
        assert since == {("a", key): (0, one), ("b", key): (0, other)}
        assert totals(backend, model="b") == {(): (0, other)}
        # Afterwards it is known better.
        backend.finish_run(a_finish(run, usage=one, model="a", provider="p"))
        assert totals(backend, "day", "model") == {(days[0], "a"): (1, one)}

    def test_a_run_that_spent_only_later_is_counted_where_it_began(self, backend: Backend) -> None:
        key = inserted(backend)
        usage = Usage(input_tokens=3)
        spent(backend, key, usage=usage, shares=[Share(date(2026, 3, 2), "b", None, usage)], model="a",
              started_at=_NOON)  # fmt: skip
        assert totals(backend, "day", "model") == {
            (date(2026, 3, 1), "a"): (1, Usage()),
            (date(2026, 3, 2), "b"): (0, usage),
        }

    def test_days_are_those_of_utc_and_whole(self, backend: Backend) -> None:
        key = inserted(backend)
        usage = Usage(input_tokens=1)
        midnight = datetime(2026, 3, 2, tzinfo=UTC)
        for at in (midnight - timedelta(microseconds=1), midnight, datetime(1969, 12, 31, 23, tzinfo=UTC)):
            spent(backend, key, usage=usage, started_at=at)
        days = [date(1969, 12, 31), date(2026, 3, 1), date(2026, 3, 2)]
        assert totals(backend, "day") == {(day,): (1, usage) for day in days}
        assert totals(backend, "day", "owner").keys() == {(day, "ada") for day in days}
        for by in ("day", "session"):
            assert totals(backend, by, since=days[1], until=days[2]).keys() <= {(days[1],), (key,)}
            assert sum(runs for runs, _ in totals(backend, by, since=days[1], until=days[2]).values()) == 1
            assert sum(runs for runs, _ in totals(backend, by, until=days[1]).values()) == 1

    def test_it_is_told_for_what_is_known_of_sessions(self, backend: Backend) -> None:
        usage = Usage(input_tokens=1)
        keys = [
            inserted(backend, "a", name="plan", tags=["x", "y"], notebook="/n.ipynb"),
            inserted(backend, "a", conversation_id="c", owner="bob"),
        ]
        for key in keys:
            spent(backend, key, usage=usage)
        assert totals(backend, "session") == {(keys[0],): (1, usage), (keys[1],): (1, usage)}
        assert totals(backend, "tag") == {("x",): (1, usage), ("y",): (1, usage), (None,): (1, usage)}
        assert totals(backend, "name", "notebook").keys() == {("plan", "/n.ipynb"), (None, None)}
        assert totals(backend, "owner").keys() == {("ada",), ("bob",)}
        assert totals(backend, tag="x") == totals(backend, owner="ada") == totals(backend, key=keys[0])
        assert totals(backend, tag="z") == totals(backend, key=Key("", "nowhere")) == {}

    def test_one_agent_or_one_model_can_be_asked_for(self, backend: Backend) -> None:
        key = inserted(backend)
        for agent, model in (("a", "m"), ("b", "m"), ("b", None)):
            spent(backend, key, usage=Usage(input_tokens=1), agent_name=agent, model=model)
        assert totals(backend, "agent_name", agent_name="b") == {("b",): (2, Usage(input_tokens=2))}
        assert totals(backend, "model", agent_name="b").keys() == {("m",), (None,)}
        assert totals(backend, model="m", agent_name="b")[()][0] == 1
        assert totals(backend, "session", model="m")[(key,)][0] == 2

    def test_deleting_a_session_keeps_what_was_spent(self, backend: Backend) -> None:
        key = inserted(backend, name="plan", tags=["x"])
        usage = Usage(input_tokens=3, cost=Decimal("0.5"))
        shares = (Share(date(2026, 3, 1), "a", None, usage), Share(date(2026, 3, 2), "a", None, usage))
        spent(backend, key, model="a", usage=usage, started_at=_NOON)
        spent(backend, key, model="a", usage=usage + usage, shares=shares, started_at=_NOON)
        before = totals(backend, "day", "agent_name", "model", "provider", "status")
        running = a_run(key, model="a", started_at=_NOON)
        backend.start_run(running)
        backend.delete([key])
        assert totals(backend, "day", "agent_name", "model", "provider", "status") == before
        assert totals(backend, "session", "name", "tag") == {(None,) * 3: (2, usage + usage + usage)}
        backend.finish_run(a_finish(running, usage=usage))
        assert totals(backend)[()][0] == 3

    def test_a_session_that_is_restored_is_counted_once(self, backend: Backend) -> None:
        key = inserted(backend)
        usage = Usage(input_tokens=3, unpriced_tokens=3)
        spent(backend, key, usage=usage, priced_by=None, started_at=_NOON)
        spent(backend, key, usage=usage, shares=[Share(date(2026, 3, 9), "a", None, usage)], started_at=_NOON)
        backend.start_run(a_run(key))
        before = totals(backend, *_ALL)
        bundle = gather(backend, key)
        backend.delete([key])
        backend.restore(bundle)
        assert totals(backend, *_ALL) == before
        assert totals(backend, "day") == {(date(2026, 3, 1),): (2, usage), (date(2026, 3, 9),): (0, usage)}
        assert backend.check() == []

    def test_what_is_known_better_of_a_session_that_is_restored_is_not_lost(self, backend: Backend) -> None:
        key = inserted(backend)
        unpriced = Usage(input_tokens=3, unpriced_tokens=3)
        run = spent(backend, key, model="a", usage=unpriced, started_at=_NOON)
        running = a_run(key, model="a", started_at=_NOON)
        backend.start_run(running)
        written = gather(backend, key)
        priced = Usage(input_tokens=3, cost=Decimal("0.5"))
        backend.finish_run(a_finish(run, usage=priced, priced_by="own price"))
        backend.delete([key])
        backend.finish_run(a_finish(running, usage=priced))
        before = totals(backend, "day", "model", "status")
        backend.restore(written)
        assert totals(backend, "day", "model", "status") == before
        assert totals(backend, "session") == {(key,): (2, priced + priced)}
        session = backend.get(key)
        assert session is not None
        assert session.usage == priced + priced
        found = backend.get_run(run.run_id)
        assert found is not None
        assert found.priced_by == "own price"
        assert backend.check() == []

    def test_names_may_be_long_and_strange(self, backend: Backend) -> None:
        key = inserted(backend)
        names = ["ä\x00 😀", "m" * 5000, "'; DROP TABLE runs; --"]
        for name in names:
            spent(backend, key, usage=Usage(input_tokens=1), model=name, provider=name, started_at=_NOON)
        assert totals(backend, "model", "provider").keys() == {(name, name) for name in names}
        assert totals(backend, "model", "session").keys() == {(name, key) for name in names}
        assert totals(backend, model=names[0])[()][0] == 1

    def test_an_empty_name_is_none(self, backend: Backend) -> None:
        key = inserted(backend)
        for name in ("", None):
            spent(backend, key, usage=Usage(input_tokens=1), model=name, provider=name)
        assert totals(backend, "model") == {(None,): (2, Usage(input_tokens=2))}
        assert totals(backend, "model", "owner") == {(None, "ada"): (2, Usage(input_tokens=2))}
        assert totals(backend, "day", model="") == totals(backend, "session", model="") == {}

    def test_it_can_be_added_up_anew(self, backend: Backend) -> None:
        key = inserted(backend)
        usage = Usage(input_tokens=3)
        spent(backend, key, usage=usage, started_at=_NOON)
        spent(backend, key, usage=usage, shares=[Share(date(2026, 3, 9), "a", None, usage)], started_at=_NOON)
        before = totals(backend, "day", "model")
        backend.rebuild_usage()
        assert totals(backend, "day", "model") == before
        assert backend.check() == []
