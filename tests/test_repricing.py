"""What had no price gets the one that is known now, and nothing else of a run changes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

import nbsessions as nbs
from nbsessions import InvalidInput, Run, RunFailed, Store, Usage
from nbsessions.adapters.base import Answer, Emit, Request
from nbsessions.formats.building import Building
from nbsessions.pricing import own
from nbsessions.records import Event, Spent
from nbsessions.stores.queries import Spending
from nbsessions.testing import ScriptedAgent
from nbsessions.testing.samples import a_finish
from nbsessions.transfers.importing import take_in
from tests.prices import stepped

START = datetime(2026, 1, 1, 22, tzinfo=UTC)


@pytest.fixture(autouse=True)
def no_own_prices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own, "_set", {})


def spend(store: Store, name: str, tokens: int, model: str = "mine") -> Run:
    agent = ScriptedAgent([["Hi", Usage(input_tokens=tokens, requests=1)]], model=model)
    return store.get(name).send("Hello", agent=agent)


def costs(store: Store) -> dict[object, tuple[Decimal | None, int]]:
    totals = store.backend.usage(Spending(by=("model",)))
    return {total.group[0]: (total.usage.cost, total.usage.unpriced_tokens) for total in totals}


def test_what_had_no_price_gets_one(store: Store) -> None:
    spend(store, "plan", 1000)
    spend(store, "plan", 500, "other")
    before = store.resume("plan").record
    nbs.set_price("mine", 2, 2)
    done = store.reprice()
    assert (done.runs, done.cost, done.unpriced) == (1, Decimal("0.002"), {"other": 500})
    assert str(done) == "1 run has a new cost: $0.0020 more. Without a price: 500 tokens of other."
    after = store.resume("plan").record
    assert after == before.model_copy(
        update={"usage": before.usage.model_copy(update={"cost": Decimal("0.002"), "unpriced_tokens": 500})}
    )
    assert costs(store) == {"mine": (Decimal("0.002"), 0), "other": (None, 500)}
    first, second = store.runs("plan")
    assert (first.status, first.priced_by, second.priced_by) == ("completed", "own price", None)
    assert store.reprice().runs == 0
    assert store.verify().ok


def test_what_an_answer_spends_that_comes_meanwhile_is_not_lost(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = spend(store, "plan", 1000)
    nbs.set_price("mine", 2, 2)
    more = Usage(input_tokens=3000, requests=2, unpriced_tokens=3000)
    events = store.backend.events

    def while_it_looks(run_id: str) -> list[Event]:
        store.backend.finish_run(a_finish(run, usage=more))
        return events(run_id)

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(store.backend, "events", while_it_looks)
        assert store.reprice().runs == 0
    assert costs(store) == {"mine": (None, 3000)}
    assert store.reprice().runs == 1
    assert costs(store) == {"mine": (Decimal("0.006"), 0)}


def test_how_a_run_ended_stays(store: Store) -> None:
    agent = ScriptedAgent([["Well", Usage(input_tokens=1000, requests=1), ValueError("no")]], model="mine")
    with pytest.raises(RunFailed):
        store.create("plan").send("Hello", agent=agent)
    (before,) = store.runs("plan")
    nbs.set_price("mine", 2, 2)
    assert store.reprice().runs == 1
    (after,) = store.runs("plan")
    priced = {"cost": Decimal("0.002"), "unpriced_tokens": 0}
    usage = before.usage.model_copy(update=priced)
    assert after == before.model_copy(update={"usage": usage, "priced_by": "own price"})


def test_what_a_deleted_session_spent_is_priced_and_what_others_spent_is_not(store: Store) -> None:
    spend(store, "gone", 1000)
    store.delete("gone")
    with_others = Store(store.backend, owner="grace")
    spend(with_others, "hers", 500)
    nbs.set_price("mine", 2, 2)
    assert store.reprice().runs == 1
    assert costs(store) == {"mine": (Decimal("0.002"), 500)}
    assert with_others.reprice().runs == 1
    assert costs(store) == {"mine": (Decimal("0.003"), 0)}
    assert store.verify().ok


def test_only_one_model_or_what_is_newer(store: Store) -> None:
    for model in ("mine", "other"):
        spend(store, "plan", 1000, model)
        nbs.set_price(model, 1, 1)
    nbs.set_price("mine", None)
    spend(store, "plan", 1000)
    nbs.set_price("mine", 2, 2)
    assert store.reprice(since=datetime.now(UTC) + timedelta(days=1)).runs == 0
    assert (store.reprice(model="other").runs, store.reprice(model="nobody").runs) == (1, 0)
    assert store.reprice(model="mine").runs == 2


def test_each_day_and_model_of_a_run_has_its_own_price(store: Store) -> None:
    building = Building("example", "chat", agent_name="helper")
    building.add({"role": "user", "content": "?"}, at=START)
    for model, hours in (("mine", 0), ("gpt-4o", 1), ("mine", 3)):
        usage = Usage(input_tokens=1000, requests=1)
        building.spend(usage, model=model, at=START + timedelta(hours=hours))
    take_in(store.backend, building.bundle(), store.owner)
    known = costs(store)["gpt-4o"]
    nbs.set_price("mine", 2, 2)
    assert store.reprice().cost == Decimal("0.004")
    assert costs(store) == {"mine": (Decimal("0.004"), 0), "gpt-4o": known}
    (run,) = store.runs("chat")
    assert [share.usage.cost for share in run.shares] == [Decimal("0.002"), known[0], Decimal("0.002")]
    assert run.priced_by is not None
    assert sorted(run.priced_by.split(", "))[1] == "own price"
    assert store.verify().ok


class Long(ScriptedAgent):
    """Answers with a short request and a long one."""

    def run(self, request: Request, emit: Emit, answer: Answer) -> None:
        super().run(request, emit, answer)
        answer.requests = [
            Spent(Usage(input_tokens=tokens, requests=1), "steps", "openai", START) for tokens in (500, 1500)
        ]
        answer.requests.append(Spent(Usage(), "other", at=START))
        answer.usage = Usage(input_tokens=2000, requests=2)


def test_requests_that_a_log_tells_are_priced_one_by_one(store: Store) -> None:
    store.create("plan").send("Hello", agent=Long(["Hi"], model="steps"))
    with stepped():
        assert store.reprice().cost == Decimal("0.005")  # 500 at $1, 1500 at $3 a million
    assert store.verify().ok


def test_again_follows_the_prices_of_today_and_loses_none(store: Store) -> None:
    nbs.set_price("mine", 2, 2)
    spend(store, "plan", 1000)
    nbs.set_price("mine", 3, 3)
    assert store.reprice().runs == 0
    done = store.reprice(again=True)
    assert (done.runs, done.cost) == (1, Decimal("0.001"))
    nbs.set_price("mine", 1, 1)
    assert str(store.reprice(again=True)) == "1 run has a new cost: $0.0020 less."
    nbs.set_price("mine", None)
    assert store.reprice(again=True).runs == 0
    assert costs(store) == {"mine": (Decimal("0.001"), 0)}
    assert store.resume("plan").usage.cost == Decimal("0.001")
    assert store.verify().ok


def test_what_a_log_told_stays_unless_there_is_an_own_price(store: Store) -> None:
    building = Building("example", "chat", agent_name="helper")
    usage = Usage(input_tokens=1000, requests=1, cost=Decimal("0.5"))
    building.run("total", usage=usage, model="gpt-4o", started_at=START)
    take_in(store.backend, building.bundle(), store.owner)
    assert store.reprice(again=True).runs == 0
    assert store.runs("chat")[0].priced_by == "source"
    nbs.set_price("gpt-4o", 1, 1)
    assert store.reprice().runs == 0
    assert store.reprice(again=True).runs == 1
    assert costs(store) == {"gpt-4o": (Decimal("0.001"), 0)}


def test_a_time_without_a_zone_is_refused(store: Store) -> None:
    with pytest.raises(InvalidInput, match="timezone"):
        store.reprice(since=datetime(2026, 1, 1))


def test_a_store_in_a_folder_is_priced_as_well(tmp_path: Path) -> None:
    with nbs.open_store(f"file:{tmp_path}") as store:
        spend(store, "plan", 1000)
        nbs.set_price("mine", 2, 2)
        assert store.reprice().runs == 1
    with nbs.open_store(f"file:{tmp_path}") as store:
        assert store.resume("plan").usage.cost == Decimal("0.002")
        assert costs(store) == {"mine": (Decimal("0.002"), 0)}
        assert store.verify().ok
