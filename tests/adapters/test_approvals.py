"""An agent that asks before it calls a tool."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import BaseModel
from pydantic_ai import Agent, ApprovalRequired, DeferredToolRequests, RunContext
from pydantic_ai.capabilities import HandleDeferredToolCalls
from pydantic_ai.messages import (
    ModelMessage,
    ModelMessagesTypeAdapter,
    ModelRequest,
    ModelResponse,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, DeltaToolCalls, FunctionModel
from pydantic_ai.models.test import TestModel

import nbsessions as nbs
from nbsessions import Decision, InvalidInput, RunCancelled, RunFailed, Session, Store, ToolQuestion
from nbsessions.replaying import replay
from tests.adapters.kinds import kinds


class Cleaner:
    """An agent that removes what it is told to, once it may, and says what came of it."""

    def __init__(self, *paths: str, **options: Any) -> None:
        self.paths = paths or ("x",)
        self.removed: list[str] = []
        self.seen: list[list[ModelMessage]] = []
        self.agent: Agent[None, Any] = Agent(
            FunctionModel(stream_function=self._answer), name="cleaner", **options
        )
        self.agent.tool_plain(requires_approval=True)(self.remove)
        self.agent.tool_plain(self.look)

    def remove(self, path: str) -> str:
        """Remove a file."""
        self.removed.append(path)
        return f"removed {path}"

    def look(self) -> str:
        """Look around."""
        return "files"

    async def _answer(
        self, messages: list[ModelMessage], info: AgentInfo
    ) -> AsyncIterator[str | DeltaToolCalls]:
        self.seen.append([*messages])
        parts = messages[-1].parts
        if not isinstance(parts[-1], UserPromptPart):
            yield " and ".join(str(part.content) for part in parts if isinstance(part, ToolReturnPart))
            return
        yield "Let me. "
        for number, path in enumerate(self.paths):
            arguments = json.dumps({"path": path})
            yield {number: DeltaToolCall("remove", arguments, tool_call_id=f"c{number}")}


class Person:
    """Allows what it is told to, and remembers what it was asked, and where."""

    def __init__(self, *decisions: bool | Decision) -> None:
        self.decisions = [*decisions]
        self.asked: list[ToolQuestion] = []
        self.threads: list[threading.Thread] = []

    def __call__(self, question: ToolQuestion) -> bool | Decision:
        self.asked.append(question)
        self.threads.append(threading.current_thread())
        return self.decisions.pop(0)


def approvals(session: Session, run_id: str) -> list[dict[str, Any]]:
    found = [event.data for event in session.run_events(run_id)]
    return [data["value"] for data in found if data.get("name") == "nbsessions.approval"]


def test_what_is_allowed_is_done_in_one_run(store: Store) -> None:
    session, cleaner, person = store.create(), Cleaner(), Person(True)
    run = session.send("Tidy up", agent=cleaner.agent, approve=person)
    assert (run.status, run.output, cleaner.removed) == ("completed", "removed x", ["x"])
    [question] = person.asked
    assert (question.name, json.loads(question.arguments)) == ("remove", {"path": "x"})
    assert (question.call_id, question.run_id, question.agent_name) == ("c0", run.run_id, "cleaner")
    assert person.threads == [threading.current_thread()]
    assert (session.turn_count, [message.role for message in session.messages]) == (
        1,
        ["user", "assistant", "tool", "assistant"],
    )
    assert run.usage.requests == 2
    assert kinds(session.run_events(run.run_id)) == [
        "RUN_STARTED",
        *("TEXT_MESSAGE_START", "TEXT_MESSAGE_CONTENT", "TEXT_MESSAGE_END"),
        *("TOOL_CALL_START", "TOOL_CALL_ARGS", "TOOL_CALL_END"),
        "nbsessions.question",
        "nbsessions.approval",
        "TOOL_CALL_RESULT",
        *("TEXT_MESSAGE_START", "TEXT_MESSAGE_CONTENT", "TEXT_MESSAGE_END"),
        "RUN_FINISHED",
    ]
    assert approvals(session, run.run_id) == [
        {"toolCallId": "c0", "toolCallName": "remove", "approved": True, "reason": ""}
    ]


@pytest.mark.parametrize(
    ("decision", "told"),
    [
        (False, "The person did not allow this call."),
        (Decision(False, "Only below /tmp."), "The call was not allowed: Only below /tmp."),
    ],
)
def test_what_is_denied_is_told_to_the_model(store: Store, decision: bool | Decision, told: str) -> None:
    session, cleaner = store.create(), Cleaner()
    run = session.send("Tidy up", agent=cleaner.agent, approve=Person(decision))
    assert (run.status, run.output, cleaner.removed) == ("completed", told, [])
    assert [approval["approved"] for approval in approvals(session, run.run_id)] == [False]
    assert session.send("Thanks", agent=lambda prompt: "Bye").output == "Bye"


def test_without_anybody_to_ask_nothing_is_allowed(store: Store) -> None:
    session, cleaner = store.create(), Cleaner()
    run = session.send("Tidy up", agent=cleaner.agent)
    assert (run.output, cleaner.removed) == ("The call was not allowed: there is nobody to ask", [])


@pytest.mark.parametrize("answer", [None, "y", "n", 1, 0, [], Decision(approved=1)])  # type: ignore[arg-type]
def test_what_is_no_decision_is_no_permission(store: Store, answer: Any) -> None:
    session, cleaner = store.create(), Cleaner()
    with pytest.raises(RunFailed, match=r"returns True, False or a Decision, not .*: nothing is allowed"):
        session.send("Tidy up", agent=cleaner.agent, approve=lambda question: answer)
    assert cleaner.removed == []
    assert session.turn_count == 0


def test_approve_must_be_a_function(store: Store) -> None:
    session = store.create()
    with pytest.raises(
        InvalidInput, match="approve is a function that decides about a ToolQuestion, not bool"
    ):
        session.send("Tidy up", agent=Cleaner().agent, approve=True)
    assert session.runs() == []


def test_each_call_is_asked_about_in_order(store: Store) -> None:
    session, cleaner, person = store.create(), Cleaner("x", "y", "z"), Person(True, False, True)
    run = session.send("Tidy up", agent=cleaner.agent, approve=person)
    assert [json.loads(question.arguments)["path"] for question in person.asked] == ["x", "y", "z"]
    assert sorted(cleaner.removed) == ["x", "z"]
    assert run.output == "removed x and The person did not allow this call. and removed z"
    decided = [(approval["toolCallId"], approval["approved"]) for approval in approvals(session, run.run_id)]
    assert decided == [("c0", True), ("c1", False), ("c2", True)]


class Report(BaseModel):
    removed: list[str]


@pytest.mark.parametrize("output", [str, [str, DeferredToolRequests], [Report, DeferredToolRequests], Report])
def test_whatever_the_agent_gives_it_can_ask(store: Store, output: Any) -> None:
    removed = []
    agent = Agent(TestModel(), name="cleaner", output_type=output)

    @agent.tool_plain(requires_approval=True)
    def remove(path: str) -> str:
        removed.append(path)
        return "removed"

    person = Person(True)
    run = store.create().send("Tidy up", agent=agent, approve=person)
    assert (run.status, len(removed), len(person.asked)) == ("completed", 1, 1)
    assert not isinstance(run.output, DeferredToolRequests)


def test_a_tool_that_asks_by_itself(store: Store) -> None:
    agent: Agent[None, str] = Agent(TestModel(), name="cleaner")
    removed = []

    @agent.tool
    def remove(context: RunContext[None], path: str) -> str:
        if not context.tool_call_approved:
            raise ApprovalRequired
        removed.append(path)
        return "removed"

    run = store.create().send("Tidy up", agent=agent, approve=Person(False))
    assert (run.status, removed) == ("completed", [])
    run = store.create().send("Tidy up", agent=agent, approve=Person(True))
    assert (run.status, len(removed)) == ("completed", 1)


def test_an_agent_that_decides_itself_asks_nobody(store: Store) -> None:
    def own(context: RunContext[None], requests: DeferredToolRequests) -> Any:
        return requests.build_results(approve_all=True)

    cleaner, person = Cleaner(capabilities=[HandleDeferredToolCalls(own)]), Person()
    run = store.create().send("Tidy up", agent=cleaner.agent, approve=person)
    assert (run.output, cleaner.removed, person.asked) == ("removed x", ["x"], [])


def test_on_an_event_loop(store: Store) -> None:
    session, cleaner, person = store.create(), Cleaner(), Person(True)
    run = asyncio.run(session.asend("Tidy up", agent=cleaner.agent, approve=person))
    assert (run.output, cleaner.removed) == ("removed x", ["x"])


def test_a_stop_while_the_question_waits_loses_nothing(store: Store) -> None:
    def stop(question: ToolQuestion) -> bool:
        raise KeyboardInterrupt

    session, cleaner = store.create(), Cleaner()
    with pytest.raises(RunCancelled, match="The prompt and 8 characters of the answer are kept"):
        session.send("Tidy up", agent=cleaner.agent, approve=stop)
    [run] = session.runs()
    assert (run.status, run.prompt, cleaner.removed, session.turn_count) == ("cancelled", "Tidy up", [], 0)
    assert kinds(session.run_events(run.run_id))[-3:] == [
        "TOOL_CALL_END",
        "nbsessions.question",
        "RUN_FINISHED",
    ]
    assert run.usage.requests == 1
    again = session.send("Tidy up", agent=cleaner.agent, approve=Person(True))
    assert (again.output, cleaner.removed, session.turn_count) == ("removed x", ["x"], 1)


def test_a_run_that_is_gone_on_with_asks_again(store: Store) -> None:
    """What was done stays done; a permission that was not used does not wait for a later run."""
    session, cleaner = store.create(), Cleaner()

    async def two_steps(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[str | DeltaToolCalls]:
        done = [part for m in messages for part in m.parts if isinstance(part, ToolReturnPart)]
        if len(done) < 2:
            arguments = json.dumps({"path": "xy"[len(done)]})
            yield {0: DeltaToolCall("remove", arguments, tool_call_id=f"c{len(done)}")}
        else:
            yield "done"

    model = FunctionModel(stream_function=two_steps)

    def once(question: ToolQuestion) -> bool:
        if "y" in question.arguments:
            raise KeyboardInterrupt
        return True

    with cleaner.agent.override(model=model), pytest.raises(RunCancelled):
        session.send("Tidy up", agent=cleaner.agent, approve=once)
    assert cleaner.removed == ["x"]
    person = Person(True)
    with cleaner.agent.override(model=model):
        run = session.resume_run(session.runs()[0].run_id, agent=cleaner.agent, approve=person)
    assert (run.output, cleaner.removed, len(person.asked)) == ("done", ["x", "y"], 1)
    assert session.turn_count == 1


def test_a_run_that_waits_is_suspended_until_it_is_decided(store: Store) -> None:
    seen: list[nbs.Run] = []

    def look(question: ToolQuestion) -> bool:
        # Whoever opens the session meanwhile leaves the run as it is.
        seen.extend(store.resume("plan").runs())
        return True

    session, cleaner = store.create("plan"), Cleaner()
    run = session.send("Tidy up", agent=cleaner.agent, approve=look)
    [waited] = seen
    assert (waited.run_id, waited.status) == (run.run_id, "suspended")
    assert (waited.error, waited.usage.requests) == ("waits for a decision about remove", 1)
    assert (run.status, run.error, run.usage.requests, run.output) == ("completed", None, 2, "removed x")
    assert session.usage == run.usage
    assert [item.usage for item in store.backend.usage(nbs.stores.base.Spending())] == [run.usage]


def test_history_from_elsewhere_allows_nothing(store: Store, tmp_path: Any) -> None:
    call = ToolCallPart("remove", {"path": "precious"}, tool_call_id="c0")
    history: list[ModelMessage] = [
        ModelRequest(parts=[UserPromptPart("Remove it, I allow it.")]),
        ModelResponse(parts=[call]),
    ]
    path = tmp_path / "history.json"
    path.write_bytes(ModelMessagesTypeAdapter.dump_json(history))
    [record] = store.import_(path, format="pydantic-ai")
    session = store.resume(record.session_id)
    cleaner, person = Cleaner("x"), Person(False)
    run = session.send("Tidy up", agent=cleaner.agent, approve=person)
    assert (run.status, cleaner.removed) == ("completed", [])
    assert [json.loads(question.arguments) for question in person.asked] == [{"path": "x"}]


def test_a_permission_holds_for_one_call(store: Store) -> None:
    session, cleaner, person = store.create(), Cleaner(), Person(True, False)
    session.send("Tidy up", agent=cleaner.agent, approve=person)
    session.send("Once more", agent=cleaner.agent, approve=person)
    assert (len(person.asked), cleaner.removed) == (2, ["x"])


def test_a_replay_tells_what_was_decided(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    session = store.create("plan")
    run = session.send(
        "Tidy up", agent=Cleaner("x", "y").agent, approve=Person(True, Decision(False, "mine"))
    )
    replay(
        store.run(run.run_id),
        lambda after, limit: store.events(run.run_id, after=after, limit=limit),
        speed=0,
    )
    lines = capsys.readouterr().out.splitlines()
    assert "Allowed: remove" in lines
    assert "Denied: remove (mine)" in lines
    shown = str(nbs.RunReplay(run, store))
    assert shown.index('▸ remove(path="x")') < shown.index("Allowed: remove") < shown.index("Denied: remove")
