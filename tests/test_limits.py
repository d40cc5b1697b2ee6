"""What may be spent: in a run, in a session, on a day."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

import nbsessions as nbs
from nbsessions import InvalidInput, LimitReached, Limits, Spent, Store, Usage, later
from nbsessions.testing import ScriptedAgent
from tests.adapters.test_waiting import Worker
from tests.conftest import texts


def _request(cost: str | None = "0.20", tokens: int = 100) -> Spent:
    usage = Usage(input_tokens=tokens, requests=1, cost=None if cost is None else Decimal(cost))
    return Spent(usage, "my-model")


def _agent(*costs: str | None) -> ScriptedAgent:
    """An agent that makes a request for each cost, one run after the other."""
    return ScriptedAgent([[one for cost in costs for one in ("Well. ", _request(cost))]] * 9)


def test_a_run_is_stopped_before_the_next_request(store: Store) -> None:
    session = store.create("plan")
    with pytest.raises(LimitReached) as caught:
        session.send("Hello", agent=_agent("0.20", "0.30", "0.40"), limits=Limits(cost=0.5))
    assert str(caught.value) == (
        "This run has spent $0.50, and max_cost is $0.50 a run: nothing more is sent. Raise the limit to go on."
    )
    (run,) = session.runs()
    assert (run.status, run.usage.cost, run.usage.requests, run.run_id) == (
        "failed",
        Decimal("0.50"),
        2,
        caught.value.run_id,
    )
    assert run.error == str(caught.value)
    assert (texts(session), session.usage.cost) == ([], Decimal("0.50"))
    # The next run may spend as much again; and one that stays below is not stopped.
    assert session.send(
        "Hello", agent=_agent("0.20", "0.29", "5"), limits=Limits(cost=0.5)
    ).usage.cost == Decimal("5.49")


def test_what_others_spend_meanwhile_counts_for_the_day(store: Store) -> None:
    helper = nbs.as_tool(_agent("0.20", "0.20"), "helper")
    worker = Worker("ask")

    @worker.agent.tool_plain
    async def ask(path: str) -> str:
        """Ask the helper."""
        return await helper(path)

    with pytest.raises(LimitReached, match="This store has spent 3 requests today"):
        store.create("plan").send("Work", agent=worker.agent, limits=Limits(requests="3/day"))
    assert worker.asked == 1


@pytest.mark.parametrize("period", ["run", "session", "day"])
@pytest.mark.parametrize("most", [1, 2, 3])
def test_what_a_run_spent_before_it_waited_counts_once(store: Store, period: str, most: int) -> None:
    session, worker = store.create(), Worker("remove")
    session.send("Work", agent=worker.agent, approve=later)
    limits = Limits(requests=f"{most}/{period}")
    if most > 1:
        run = session.approve(agent=worker.agent, limits=limits)
        assert (run.status, run.usage.requests) == ("completed", 2)
        return
    with pytest.raises(LimitReached):
        session.approve(agent=worker.agent, limits=limits)
    assert (session.runs()[0].status, worker.ran) == ("suspended", [])


@pytest.mark.parametrize(
    ("limits", "text"),
    [
        (Limits(cost="0.30/session"), r"This session has spent \$0.40, and max_cost is \$0.30 a session"),
        (
            Limits(requests="2/session"),
            "This session has spent 2 requests, and max_requests is 2 requests a session",
        ),
        (
            Limits(total_tokens="150/session"),
            "This session has spent 200 tokens, and max_total_tokens is 150",
        ),
    ],
)
def test_a_session_is_stopped_before_its_next_run(store: Store, limits: Limits, text: str) -> None:
    session = store.create("plan")
    agent = _agent("0.20")
    for _ in range(2):
        session.send("Hello", agent=agent, limits=limits)
    with pytest.raises(LimitReached, match=text) as caught:
        session.send("Hello", agent=agent, limits=limits)
    assert caught.value.run_id is None
    assert (len(session.runs()), len(agent.requests)) == (2, 2)
    store.create("other").send("Hello", agent=agent, limits=limits)


def test_a_day_counts_all_sessions(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    agent, limits = _agent("0.20"), Limits(cost="1, 0.40/day")
    for name in ("one", "two"):
        store.create(name).send("Hello", agent=agent, limits=limits)
    store.delete("one")  # what it spent stays spent
    with pytest.raises(LimitReached, match=r"This store has spent \$0.40 today"):
        store.create("three").send("Hello", agent=agent, limits=limits)
    tomorrow = nbs.values.now() + timedelta(days=1)
    monkeypatch.setattr("nbsessions.limits.now", lambda: tomorrow)
    store.resume("two").send("Hello", agent=agent, limits=limits)


def test_what_has_no_price_is_not_unlimited(store: Store) -> None:
    session = store.create("plan")
    agent = ScriptedAgent([[_request(None), "Well."]] * 2, model="my-model")
    with pytest.raises(
        InvalidInput, match="'my-model' has no known price, so that max_cost cannot be watched"
    ):
        session.send("Hello", agent=agent, limits=Limits(cost=1))
    assert session.runs() == []
    # Whose model is not known before it answers is stopped then.
    with pytest.raises(LimitReached, match="100 tokens of this run have no known price"):
        session.send("Hello", agent=ScriptedAgent([[_request(None), "Well."]]), limits=Limits(cost=1))
    assert session.runs()[0].usage.unpriced_tokens == 100
    # Who asks just once is told of.
    run = session.send("Hello", agent=ScriptedAgent([["Well.", _request(None)]]), limits=Limits(cost=1))
    notes = [
        event.data["value"]
        for event in session.run_events(run.run_id)
        if event.data.get("name") == "nbsessions.note"
    ]
    assert notes == ["100 tokens of this run have no known price: max_cost does not count them."]
    # Other limits do without prices.
    session.send("Hello", agent=agent, limits=Limits(requests=5))


def test_an_own_price_is_one(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    agent = ScriptedAgent([[_request(None, 1_000_000), "Well.", _request(None), "No."]], model="my-model")
    nbs.set_price("my-model", input_mtok=2, output_mtok=2)
    try:
        with pytest.raises(LimitReached, match=r"has spent \$2.00, and max_cost is \$1.00"):
            store.create("plan").send("Hello", agent=agent, limits=Limits(cost=1))
    finally:
        nbs.set_price("my-model", None)


def test_an_agent_of_pydantic_ai_is_stopped_between_its_requests(store: Store) -> None:
    from pydantic_ai import Agent
    from pydantic_ai.models.test import TestModel

    called: list[str] = []
    agent = Agent(TestModel())

    @agent.tool_plain
    def look(where: str) -> str:
        called.append(where)
        return "There is nothing."

    session = store.create("plan")
    with pytest.raises(LimitReached, match="This run has spent 1 request,"):
        session.send("Hello", agent=agent, limits=Limits(requests=1))
    (run,) = session.runs()
    assert (run.status, run.usage.requests, called) == ("failed", 1, ["a"])
    assert session.run_events(run.run_id)[-1].type == "RUN_ERROR"
    # What it had done is not done again.
    resumed = session.resume_run(run.run_id, agent=agent, limits=Limits(requests=1))
    assert (resumed.usage.requests, called) == (1, ["a"])


@pytest.mark.parametrize("value", ["", "many", "-1", "0", "1/year", "1, 2", "nan", "inf", True, "1//day"])
def test_what_is_no_limit_is_refused(value: Any) -> None:
    with pytest.raises(InvalidInput, match="max_cost is an amount above 0"):
        Limits(cost=value)


def test_limits_are_told() -> None:
    assert str(Limits("0.5, $2/session,5/day", 20, "1000/day")) == (
        "at most $0.50 a run, $2.00 a session, $5.00 a day, 20 requests a run, 1,000 tokens a day"
    )
    assert not Limits()
    assert str(Limits()) == "no limits"


def test_whom_an_agent_asks_may_spend_no_more(store: Store) -> None:
    critic = ScriptedAgent([["Well. ", _request(), "Well. ", _request(), "No."]] * 2, name="critic")

    def writer(prompt: str) -> str:
        return nbs.delegate(critic, prompt)

    session = store.create("plan")
    with pytest.raises(
        nbs.RunFailed, match="This run has spent 1 request, and max_requests is 1 request a run"
    ):
        session.send("Hello", agent=writer, limits=Limits(requests=1))
    (child,) = store.list(conversation_id=session.session_id)
    assert child.usage.requests == 1
