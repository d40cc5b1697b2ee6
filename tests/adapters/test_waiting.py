"""A run that waits for a decision: it is left, found again, decided about once, and goes on."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic_ai import Agent
from pydantic_ai.messages import ModelMessage, ToolReturnPart, UserPromptPart
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, DeltaToolCalls, FunctionModel

import nbsessions as nbs
from nbsessions import (
    Decision,
    InvalidInput,
    Policy,
    RunCancelled,
    RunNotFound,
    Session,
    Store,
    ToolQuestion,
    later,
)
from nbsessions.gate import waiting_for
from nbsessions.values import micros, now
from nbsessions.workers import LEASE
from tests.adapters.kinds import kinds
from tests.adapters.test_approvals import Cleaner, Person, approvals


class Worker:
    """An agent that calls some of its tools at once, and then says what came of it."""

    def __init__(self, *calls: str) -> None:
        self.calls = calls
        self.ran: list[str] = []
        self.asked = 0
        self.agent: Agent[None, str] = Agent(FunctionModel(stream_function=self._answer), name="worker")
        for name in ("read", "write", "remove"):
            self.agent.tool_plain(name=name, requires_approval=name == "remove")(self._tool(name))

    def _tool(self, name: str) -> Any:
        def tool(path: str) -> str:
            self.ran.append(f"{name} {path}")
            return f"{name} {path}"

        return tool

    async def _answer(
        self, messages: list[ModelMessage], info: AgentInfo
    ) -> AsyncIterator[str | DeltaToolCalls]:
        self.asked += 1
        if isinstance(messages[-1].parts[-1], UserPromptPart):
            for number, name in enumerate(self.calls):
                yield {
                    number: DeltaToolCall(name, json.dumps({"path": f"p{number}"}), tool_call_id=f"c{number}")
                }
            return
        parts = [part for message in messages for part in message.parts if isinstance(part, ToolReturnPart)]
        yield " and ".join(str(part.content) for part in sorted(parts, key=lambda part: part.tool_call_id))


def test_a_run_that_is_left_waits_and_goes_on(store: Store) -> None:
    session, cleaner = store.create("plan"), Cleaner()
    run = session.send("Tidy up", agent=cleaner.agent, approve=later)
    assert (run.status, run.turn_id, session.turn_count, cleaner.removed) == ("suspended", None, 0, [])
    question = session.question(run)
    assert (question.name, question.arguments, question.agent_name) == ("remove", '{"path":"x"}', "cleaner")
    assert [waiting.run_id for waiting in session.waiting()] == [run.run_id]

    # In another process nothing is left of it but what is stored.
    other, again = store.resume("plan"), Cleaner()
    done = other.approve(agent=again.agent)
    assert (done.run_id, done.status, done.output) == (run.run_id, "completed", "removed x")
    assert (again.removed, len(again.seen), other.turn_count, other.waiting()) == (["x"], 1, 1, [])
    assert (done.usage.requests, other.usage.requests) == (2, 2)
    assert [m.role for m in other.messages] == ["user", "assistant", "tool", "assistant"]
    assert kinds(other.run_events(run.run_id)) == [
        "RUN_STARTED",
        *("TEXT_MESSAGE_START", "TEXT_MESSAGE_CONTENT", "TEXT_MESSAGE_END"),
        *("TOOL_CALL_START", "TOOL_CALL_ARGS", "TOOL_CALL_END"),
        "nbsessions.question",
        "nbsessions.approval",
        "TOOL_CALL_RESULT",
        *("TEXT_MESSAGE_START", "TEXT_MESSAGE_CONTENT", "TEXT_MESSAGE_END"),
        "RUN_FINISHED",
    ]
    events = other.run_events(run.run_id)
    assert [event.seq for event in events] == [*range(done.event_count)]
    assert not events.gap


@pytest.mark.parametrize(
    ("decision", "output", "removed"),
    [
        (False, "The person did not allow this call.", []),
        (Decision(False, "Not that."), "The call was not allowed: Not that.", []),
        (Decision(True, arguments='{"path": "y"}'), "removed y", ["y"]),
    ],
)
def test_what_is_decided_later_counts_as_if_it_were_now(
    store: Store, decision: bool | Decision, output: str, removed: list[str]
) -> None:
    session, cleaner = store.create("plan"), Cleaner()
    session.send("Tidy up", agent=cleaner.agent, approve=later)
    assert session.approve(decision, agent=cleaner.agent).output == output
    assert cleaner.removed == removed


def test_what_ran_before_the_question_does_not_run_again(store: Store) -> None:
    session, worker = store.create(), Worker("read", "remove", "write", "remove")
    run = session.send("Work", agent=worker.agent, approve=later)
    assert (run.status, sorted(worker.ran), worker.asked) == ("suspended", ["read p0", "write p2"], 1)
    person = Person(False)
    done = session.approve(agent=worker.agent, approve=person)
    assert sorted(worker.ran) == ["read p0", "remove p1", "write p2"]
    assert [question.call_id for question in person.asked] == ["c3"]
    assert done.output == "read p0 and remove p1 and write p2 and The person did not allow this call."
    assert worker.asked == 2
    results = [message for message in session.messages if message.role == "tool"]
    assert sorted(message.tool_call_id or "" for message in results) == ["c0", "c1", "c2", "c3"]
    assert session.send("Thanks", agent=worker.agent, approve=later).status == "suspended"


def test_a_run_may_wait_more_than_once(store: Store) -> None:
    session, worker = store.create(), Worker("remove", "remove")
    session.send("Work", agent=worker.agent, approve=later)
    run = session.approve(agent=worker.agent, approve=later)
    assert (run.status, worker.ran) == ("suspended", [])
    assert session.question(run).call_id == "c1"
    # The first decision was not used yet: nothing has been done by it.
    person = Person(True)
    done = session.approve(agent=worker.agent, approve=person)
    assert (done.status, sorted(worker.ran)) == ("completed", ["remove p0", "remove p1"])
    assert [question.call_id for question in person.asked] == ["c0"]


def test_of_two_who_decide_one_does(store: Store) -> None:
    session, cleaner = store.create("plan"), Cleaner()
    there = Cleaner()

    def meanwhile(question: ToolQuestion) -> bool:
        other = store.resume("plan")
        assert other.approve(agent=there.agent).output == "removed x"
        return True

    with pytest.raises(RunCancelled, match="decided elsewhere"):
        session.send("Tidy up", agent=cleaner.agent, approve=meanwhile)
    assert (cleaner.removed, there.removed) == ([], ["x"])
    [run] = store.runs("plan")
    assert run.status == "completed"
    with pytest.raises(InvalidInput, match="No run of 'plan' waits"):
        store.resume("plan").approve(agent=there.agent)


def test_a_stop_here_ends_nothing_that_was_decided_elsewhere(store: Store) -> None:
    session, cleaner = store.create("plan"), Cleaner()

    def stopped_meanwhile(question: ToolQuestion) -> bool:
        assert store.backend.continue_run(question.run_id, "other:1", micros(now() + LEASE))
        raise KeyboardInterrupt

    with pytest.raises(RunCancelled, match="decided elsewhere"):
        session.send("Tidy up", agent=cleaner.agent, approve=stopped_meanwhile)
    [run] = store.runs("plan")
    assert (run.status, run.worker, cleaner.removed) == ("running", "other:1", [])


def test_what_was_seen_is_what_is_decided_about(store: Store) -> None:
    session, worker = store.create("plan"), Worker("remove", "remove")
    seen = session.question(session.send("Work", agent=worker.agent, approve=later))
    assert store.resume("plan").approve(agent=worker.agent, approve=later).status == "suspended"
    with pytest.raises(InvalidInput, match="waits with another call by now"):
        session.approve(agent=worker.agent, seen=seen)
    assert (worker.ran, [run.status for run in session.runs()]) == ([], ["suspended"])
    now_seen = session.question(session.waiting()[0])
    assert session.approve(agent=worker.agent, approve=Person(False), seen=now_seen).status == "completed"
    assert worker.ran == ["remove p1"]


@pytest.mark.parametrize(
    ("decision", "ran"), [(False, []), (Decision(True, arguments='{"path": "y"}'), ["write y"])]
)
def test_a_decision_beats_what_is_allowed_since(
    store: Store, decision: bool | Decision, ran: list[str]
) -> None:
    session, worker = store.create("plan"), Worker("write")
    session.send("Work", agent=worker.agent, approve=later, policy=Policy("ask"))
    session.policy = Policy("allow")
    session.approve(decision, agent=worker.agent)
    assert worker.ran == ran


def test_a_denial_beats_a_decision(store: Store) -> None:
    session, worker = store.create("plan"), Worker("write")
    session.send("Work", agent=worker.agent, approve=later, policy=Policy("ask"))
    session.policy = Policy("allow", deny=["write"])
    session.approve(agent=worker.agent)
    assert worker.ran == []


def test_a_run_is_given_up_in_its_own_session(store: Store) -> None:
    session, cleaner = store.create("plan"), Cleaner()
    run = session.send("Tidy up", agent=cleaner.agent, approve=later)
    with pytest.raises(RunNotFound):
        store.create("other").give_up(run)
    assert session.runs()[0].status == "suspended"


def test_two_at_the_same_time(store: Store) -> None:
    store.create("plan").send("Tidy up", agent=(cleaner := Cleaner()).agent, approve=later)
    barrier = threading.Barrier(4)
    ended: list[str] = []

    def approve() -> None:
        session = store.resume("plan")
        run = session.waiting()[0]
        barrier.wait(30)
        try:
            ended.append(session.approve(run_id=run.run_id, agent=cleaner.agent).status)
        except (InvalidInput, RunCancelled):
            ended.append("late")

    threads = [threading.Thread(target=approve) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(ended) == ["completed", "late", "late", "late"]
    assert cleaner.removed == ["x"]


def test_a_session_that_moved_on_does_not_go_back_for_it(store: Store) -> None:
    session, cleaner = store.create("plan"), Cleaner()
    run = session.send("Tidy up", agent=cleaner.agent, approve=later)
    session.add_message({"role": "user", "content": "Never mind"})
    with pytest.raises(InvalidInput, match=r"cannot go on: the session has moved on since"):
        session.approve(run_id=run.run_id, agent=cleaner.agent)
    assert cleaner.removed == []
    session.undo()
    assert session.approve(agent=cleaner.agent).output == "removed x"


def test_a_decision_holds_for_one_run(store: Store) -> None:
    """The same call of another run is another question."""
    session, cleaner, person = store.create("plan"), Cleaner(), Person(False)
    first = session.send("Tidy up", agent=cleaner.agent, approve=later)
    fork = session.fork()
    fork.send("Tidy up", agent=cleaner.agent, approve=person)
    assert (len(person.asked), cleaner.removed) == (1, [])
    assert session.question(first) != person.asked[0]


def test_what_is_stored_is_what_is_allowed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where what waits is no longer what was shown, it is asked about anew."""
    session, cleaner = store.create("plan"), Cleaner()
    run = session.send("Tidy up", agent=cleaner.agent, approve=later)
    progress = store.backend.progress(run.run_id)
    assert progress is not None
    # Somebody who can write to the database.
    store.backend.save_progress(progress._replace(body=progress.body.replace('\\"x\\"', '\\"/\\"')))
    person = Person(False)
    done = session.approve(agent=cleaner.agent, approve=person)
    assert [json.loads(question.arguments) for question in person.asked] == [{"path": "/"}]
    assert (done.output, cleaner.removed) == ("The person did not allow this call.", [])


def test_another_agent_does_not_go_on_with_it(store: Store) -> None:
    session, cleaner = store.create("plan"), Cleaner()
    session.send("Tidy up", agent=cleaner.agent, approve=later)
    with pytest.raises(InvalidInput, match="cannot go on with what cleaner began"):
        session.approve(agent=lambda prompt: "Hi")
    assert session.approve(agent=cleaner.agent).output == "removed x"


def test_what_waits_in_an_import_waits_for_nobody(store: Store, tmp_path: Any) -> None:
    session, cleaner = store.create("plan"), Cleaner()
    session.add_message({"role": "user", "content": "Hello"})
    session.policy = Policy("allow")
    session.send("Tidy up", agent=cleaner.agent, approve=later, policy=Policy("ask"))
    path = store.export("plan", tmp_path / "plan.json")
    with nbs.open_store("memory:") as elsewhere:
        [record] = elsewhere.import_(path)
        found = elsewhere.resume(record.session_id)
        assert (found.policy, found.waiting()) == (None, [])
        assert [run.status for run in found.runs()] == ["interrupted"]
        with pytest.raises(InvalidInput, match="No run of 'plan' waits"):
            found.approve(agent=cleaner.agent)
    assert cleaner.removed == []


def test_on_an_event_loop(store: Store) -> None:
    session, cleaner = store.create(), Cleaner()
    run = asyncio.run(session.asend("Tidy up", agent=cleaner.agent, approve=later))
    assert run.status == "suspended"
    assert session.approve(agent=cleaner.agent).output == "removed x"


def test_a_stopped_run_that_waited_goes_on_where_it_was(store: Store) -> None:
    def stop(question: ToolQuestion) -> bool:
        raise KeyboardInterrupt

    session, worker = store.create(), Worker("read", "remove")
    with pytest.raises(RunCancelled):
        session.send("Work", agent=worker.agent, approve=stop)
    [run] = session.runs()
    assert (run.status, worker.ran) == ("cancelled", ["read p0"])
    done = session.resume_run(run.run_id, agent=worker.agent, approve=Person(True))
    assert (done.output, worker.ran, worker.asked) == (
        "read p0 and remove p1",
        ["read p0", "remove p1"],
        2,
    )
    assert (done.usage.requests, done.carried.requests, session.usage.requests) == (1, 1, 2)


def test_a_store_that_refuses_lets_nothing_be_done_twice(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, cleaner = store.create("plan"), Cleaner()

    def refuse(*args: Any) -> bool:
        raise nbs.StoreUnavailable("The disk is full.")

    def breaks(question: ToolQuestion) -> bool:
        monkeypatch.setattr(store.backend, "continue_run", refuse)
        return True

    with pytest.raises(nbs.RunFailed, match="disk is full"):
        session.send("Tidy up", agent=cleaner.agent, approve=breaks)
    assert cleaner.removed == []


# Rules


@pytest.mark.parametrize(
    ("policy", "asked", "ran"),
    [
        (None, ["remove"], ["read p0", "write p1"]),
        (Policy(None), ["remove"], ["read p0", "write p1"]),
        (Policy("ask"), ["read", "write", "remove"], []),
        (Policy("ask", allow=["r*"], deny=["remove"]), ["write"], ["read p0"]),
        (Policy("allow", ask=["write"]), ["write"], ["read p0", "remove p2"]),
        (Policy("deny", allow=["read"]), [], ["read p0"]),
        (Policy("deny", allow=["*"], deny=["*e"]), [], ["read p0"]),
        (Policy("allow"), [], ["read p0", "remove p2", "write p1"]),
    ],
)
def test_rules_decide_which_tools_are_asked_about(
    store: Store, policy: Policy | None, asked: list[str], ran: list[str]
) -> None:
    session, worker, person = store.create(), Worker("read", "write", "remove"), Person(*[False] * 3)
    run = session.send("Work", agent=worker.agent, approve=person, policy=policy)
    assert ([question.name for question in person.asked], sorted(worker.ran)) == (asked, ran)
    assert run.status == "completed"
    denied = [approval["reason"] for approval in approvals(session, run.run_id) if not approval["approved"]]
    assert all(reason in ("", "the rules for tools deny it") for reason in denied)


def test_an_explicit_policy_beats_the_stored_one_which_stays(store: Store) -> None:
    """BEHAVIOURS 27."""
    session, worker = store.create("plan"), Worker("read", "write")
    session.policy = Policy("deny", allow=["read"])
    again = store.resume("plan")
    assert again.policy == Policy("deny", allow=["read"])
    again.send("Work", agent=worker.agent)
    assert worker.ran == ["read p0"]
    again.send("Work", agent=worker.agent, policy=Policy("allow"))
    assert sorted(worker.ran) == ["read p0", "read p0", "write p1"]
    assert store.resume("plan").policy == Policy("deny", allow=["read"])
    again.policy = None
    assert store.resume("plan").policy is None


def test_always_holds_for_this_session(store: Store) -> None:
    session, worker, person = (
        store.create("plan"),
        Worker("read", "write"),
        Person(Decision(True, always=True), True),
    )
    session.send("Work", agent=worker.agent, approve=person, policy=Policy("ask"))
    assert [question.name for question in person.asked] == ["read", "write"]
    assert session.policy == Policy("ask", allow=["read"])
    person = Person(False)
    store.resume("plan").send("Work", agent=worker.agent, approve=person)
    assert [question.name for question in person.asked] == ["write"]
    assert store.create("other").policy is None


def test_always_takes_back_no_other_rule(store: Store) -> None:
    session, worker = store.create("plan"), Worker("remove")
    session.policy = Policy("ask")

    def denied_meanwhile(question: ToolQuestion) -> Decision:
        store.resume("plan").policy = Policy("ask", deny=["write"])
        return Decision(True, always=True)

    session.send("Work", agent=worker.agent, approve=denied_meanwhile)
    assert session.policy == Policy("ask", deny=["write"], allow=["remove"])
    # What one run alone was allowed stays with that run.
    person = Person(Decision(True, always=True))
    session.send("Work", agent=Worker("read").agent, approve=person, policy=Policy("allow", ask=["read"]))
    assert session.policy == Policy("ask", deny=["write"], allow=["remove", "read"])


def test_agents_that_are_called_at_once_ask_one_after_the_other(store: Store) -> None:
    asked: list[str] = []
    answering = threading.Lock()

    def always(question: ToolQuestion) -> Decision:
        assert answering.acquire(blocking=False)
        asked.append(question.name)
        time.sleep(0.1)
        answering.release()
        return Decision(True, always=True)

    helper = nbs.as_tool(Worker("remove").agent, "helper", new=True)

    def both(prompt: str) -> str:
        async def call() -> str:
            return " and ".join(await asyncio.gather(helper("one"), helper("two")))

        return asyncio.run(call())

    run = store.create().send("Work", agent=both, approve=always, policy=Policy("ask"))
    assert (run.output, asked) == ("remove p0 and remove p0", ["remove"])


def test_a_fork_has_the_rules_of_its_session(store: Store) -> None:
    session = store.create("plan")
    session.policy = Policy("allow", deny=["remove"])
    fork = session.fork()
    assert fork.policy == session.policy
    session.policy = Policy("allow")
    assert fork.policy == Policy("allow", deny=["remove"])


def test_a_loser_of_a_race_keeps_the_rules(store: Store) -> None:
    session, other = store.create("plan"), store.resume("plan")
    session.policy = Policy("deny")
    other.add_message({"role": "user", "content": "first"})
    session.add_message({"role": "user", "content": "second"})
    assert session.name == "plan (fork)"
    assert session.policy == Policy("deny")


@pytest.mark.parametrize("value", ["ask", 1, {"default": "ask"}])
def test_a_policy_is_a_policy(store: Store, value: Any) -> None:
    session = store.create()
    with pytest.raises(InvalidInput, match="policy is a Policy"):
        session.policy = value
    with pytest.raises(InvalidInput, match="policy is a Policy"):
        session.send("Work", agent=Worker().agent, policy=value)
    assert session.runs() == []


def test_what_waits_is_the_last_question_that_nothing_answered(store: Store) -> None:
    session, worker = store.create(), Worker("remove", "remove")
    run = session.send("Work", agent=worker.agent, approve=Person(True, False))
    assert waiting_for(run.run_id, session.run_events(run.run_id)) is None


def test_a_function_that_asks(store: Store) -> None:
    def tidy(prompt: str, approve: Any) -> str:
        decision = approve("remove", path="x")
        return (
            f"removed {json.loads(decision.arguments or '{}') or 'x'}" if decision else decision.for_model()
        )

    session = store.create()
    assert session.send("Tidy up", agent=tidy).output == "The call was not allowed: there is nobody to ask"
    person = Person(True)
    assert session.send("Tidy up", agent=tidy, approve=person).output == "removed x"
    assert (person.asked[0].name, json.loads(person.asked[0].arguments)) == ("remove", {"path": "x"})
    assert session.send("Tidy up", agent=tidy, policy=Policy("allow")).output == "removed x"
    run = session.send("Tidy up", agent=tidy, approve=later)
    assert run.status == "suspended"
    with pytest.raises(InvalidInput, match="tidy cannot go on from the middle"):
        session.approve(agent=tidy)


def test_an_async_function_that_asks(store: Store) -> None:
    async def tidy(prompt: str, approve: Any) -> str:
        return "removed" if await approve("remove", path="x") else "kept"

    session: Session = store.create()
    assert session.send("Tidy up", agent=tidy, approve=Person(True)).output == "removed"
    assert session.send("Tidy up", agent=tidy, approve=Person(False)).output == "kept"
    assert session.send("Tidy up", agent=tidy, approve=later).status == "suspended"
