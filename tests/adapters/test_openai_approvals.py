"""Agents of the OpenAI Agents SDK that ask before they call a tool."""

from __future__ import annotations

import asyncio
import json
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import mcp
import pytest
from agents import (
    Agent,
    CustomTool,
    FunctionTool,
    HostedMCPTool,
    handoff,
)
from agents.mcp import MCPServer
from agents.testing import ModelStep, function_call
from openai.types.responses import (
    ResponseCustomToolCall,
)
from openai.types.responses.response_output_item import McpApprovalRequest

import nbsessions as nbs
from nbsessions import (
    Decision,
    Policy,
    RunCancelled,
    Store,
    ToolQuestion,
    later,
)
from nbsessions.adapters.base import Answer, Request
from nbsessions.adapters.openai_agents import OpenAIAgentsAdapter
from tests.adapters.kinds import kinds
from tests.adapters.test_openai_agents import (
    Cleaner,
    Person,
    asked,
    calls,
    says,
    scripted,
    step,
    whole_response,
)
from tests.conftest import Python, texts


@pytest.mark.parametrize(
    ("decision", "result", "done"),
    [
        (True, "removed x", ["remove x"]),
        (Decision(True, arguments='{"path": "y"}'), "removed y", ["remove y"]),
        (False, "The person did not allow this call.", []),
        (Decision(False, "Only below home."), "The call was not allowed: Only below home.", []),
    ],
)
def test_a_call_waits_for_a_decision(
    store: Store, decision: bool | Decision, result: str, done: list[str]
) -> None:
    cleaner, person = Cleaner(calls("remove", path="x"), says("So be it.")), Person(decision)
    session = store.create()
    run = session.send("Tidy up", agent=cleaner.agent, approve=person)
    assert (run.output, session.messages[2].text, cleaner.done) == ("So be it.", result, done)
    (question,) = person.asked
    assert (question.name, json.loads(question.arguments), question.call_id) == (
        "remove",
        {"path": "x"},
        "c1",
    )
    assert (question.run_id, question.agent_name, question.required) == (run.run_id, "cleaner", True)
    assert kinds(store.events(run.run_id)) == [
        "RUN_STARTED",
        *("TOOL_CALL_START", "TOOL_CALL_ARGS", "TOOL_CALL_END"),
        "nbsessions.question",
        "nbsessions.approval",
        "TOOL_CALL_RESULT",
        *("TEXT_MESSAGE_START", "TEXT_MESSAGE_CONTENT", "TEXT_MESSAGE_END"),
        "RUN_FINISHED",
    ]


def test_calls_beside_it_are_made_once(store: Store) -> None:
    both = step(
        function_call("look", {"path": "x"}, call_id="c1"),
        function_call("remove", {"path": "x"}, call_id="c2"),
        function_call("remove", {"path": "y"}, call_id="c3"),
    )
    cleaner, person = Cleaner(both, says("Done.")), Person(True, False)
    store.create().send("Tidy up", agent=cleaner.agent, approve=person)
    assert cleaner.done == ["look x", "remove x"]
    assert [question.call_id for question in person.asked] == ["c2", "c3"]


def test_the_rules_decide_which_tools_are_asked_about(store: Store) -> None:
    steps = [calls("look", "c1", path="x"), calls("remove", "c2", path="x"), says("Done.")]
    cleaner, person = Cleaner(*steps), Person(True)
    asked(cleaner.agent, must_ask=lambda name, required: name == "look", approve=person)
    assert [(question.name, question.required) for question in person.asked] == [("look", False)]
    assert cleaner.done == ["look x", "remove x"]
    assert [tool.needs_approval for tool in cleaner.agent.tools if isinstance(tool, FunctionTool)] == [
        True,
        False,
    ]


def test_tools_of_agents_behind_it_are_held_back_too(store: Store) -> None:
    inner = Cleaner(calls("look", "i1", path="x"), says("Inner."), name="inner")
    second = Cleaner(calls("look", "s1", path="y"), says("Second."), name="second")
    first = Agent(
        "first",
        model=scripted(calls("ask", input="Look"), calls("transfer_to_second", "c2")),
        tools=[inner.agent.as_tool("ask", "Ask the other one.")],
        handoffs=[handoff(second.agent)],
    )
    person = Person(True, Decision(True, arguments='{"path": "z"}'), False)
    answer, _ = asked(first, must_ask=lambda name, required: True, approve=person)
    assert [(one.agent_name, one.name) for one in person.asked] == [
        ("first", "ask"),
        ("inner", "look"),
        ("second", "look"),
    ]
    assert (inner.done, second.done, answer.output) == (["look z"], [], "Second.")


def test_a_tool_that_decides_itself_is_asked_about_where_it_wants(store: Store) -> None:
    async def below_home(context: Any, arguments: dict[str, Any], call_id: str) -> bool:
        return not arguments["path"].startswith("home")

    cleaner = Cleaner(calls("remove", "c1", path="home/x"), calls("remove", "c2", path="root"), says("Done."))
    remove = cleaner.agent.tools[0]
    assert isinstance(remove, FunctionTool)
    cleaner.agent.tools = [replace(remove, needs_approval=below_home)]
    person = Person(False)
    asked(cleaner.agent, must_ask=lambda name, required: required, approve=person)
    assert ([question.call_id for question in person.asked], cleaner.done) == (["c2"], ["remove home/x"])
    cleaner.agent.model = scripted(calls("remove", "c3", path="root"), says("Done."))
    asked(cleaner.agent, must_ask=lambda name, required: False, approve=Person())
    assert cleaner.done[-1] == "remove root"


@pytest.mark.parametrize(
    ("decision", "written"),
    [(True, ["a poem"]), (False, []), (Decision(True, arguments="{}"), [])],
    ids=["allowed", "denied", "edited"],
)
def test_other_kinds_of_tools_wait_and_keep_their_arguments(
    decision: bool | Decision, written: list[str]
) -> None:
    done: list[str] = []

    def write(context: Any, text: str) -> str:
        done.append(text)
        return "written"

    call = ResponseCustomToolCall(type="custom_tool_call", call_id="c1", name="write", input="a poem")
    model = scripted(whole_response(call), says("Done."))
    person = Person(decision)
    poet = Agent("poet", model=model, tools=[CustomTool("write", "Write something.", write)])
    asked(poet, must_ask=lambda name, required: True, approve=person)
    assert ([question.name for question in person.asked], done) == (["write"], written)


def test_what_waits_goes_on_in_another_process_and_repeats_nothing() -> None:
    """A kernel is gone while the person thinks; the state that was kept is all that there is."""
    both = step(
        function_call("look", {"path": "x"}, call_id="c1"),
        function_call("remove", {"path": "x"}, call_id="c2"),
    )
    first = Cleaner(calls("look", "c0", path="w"), both)

    class Gone(Exception):
        pass

    class Nobody(Person):
        def __call__(self, question: ToolQuestion) -> bool | Decision:
            super().__call__(question)
            raise Gone

    progress: list[str] = []
    answer = Answer(on_progress=lambda body, usage: progress.append(body))
    person = Nobody(True)

    async def decide(question: ToolQuestion) -> Decision:
        return Decision(bool(person(question)))

    request = Request("Go", [], "[]", "s1", "r1", approve=decide)
    with pytest.raises(Gone):
        asyncio.run(OpenAIAgentsAdapter(first.agent).arun(request, lambda event: None, answer))
    assert first.done == ["look w", "look x"]

    second, later = Cleaner(says("Done.")), Person(True)
    kept = nbs.stores.base.Progress("r1", "openai-agents-run-state", progress[-1], answer.usage)
    found, _ = asked(second.agent, must_ask=lambda name, required: required, approve=later, progress=kept)
    assert (second.done, found.output) == (["remove x"], "Done.")
    assert [(one.name, one.arguments, one.call_id) for one in later.asked] == [
        (one.name, one.arguments, one.call_id) for one in person.asked
    ]
    assert (answer.usage.requests, found.usage.requests) == (2, 1)
    assert [item.get("call_id") for item in json.loads(found.body)] == [
        None,
        *("c0", "c0", "c1", "c2", "c1", "c2"),
        None,
    ]


class Files(MCPServer):
    """A server of tools, in this process."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.removed: list[str] = []

    @property
    def name(self) -> str:
        return "files"

    async def connect(self) -> None: ...

    async def cleanup(self) -> None: ...

    async def list_tools(self, *arguments: Any, **options: Any) -> list[mcp.types.Tool]:
        schema = {"type": "object", "properties": {"path": {"type": "string"}}}
        return [mcp.types.Tool(name="remove", description="Remove a file.", input_schema=schema)]

    async def call_tool(
        self, tool_name: str, arguments: dict[str, Any] | None, meta: dict[str, Any] | None = None
    ) -> mcp.types.CallToolResult:
        path = str((arguments or {})["path"])
        self.removed.append(path)
        return mcp.types.CallToolResult(content=[mcp.types.TextContent(type="text", text=f"removed {path}")])

    async def list_prompts(self) -> Any:
        raise NotImplementedError

    async def get_prompt(self, name: str, arguments: dict[str, Any] | None = None) -> Any:
        raise NotImplementedError


@pytest.mark.parametrize("own", [False, True], ids=["by the rules", "by the server"])
@pytest.mark.parametrize(
    ("decision", "removed"),
    [(True, ["x"]), (False, []), (Decision(True, arguments='{"path": "y"}'), ["y"])],
    ids=["allowed", "denied", "edited"],
)
def test_tools_of_mcp_servers_are_held_back(own: bool, decision: bool | Decision, removed: list[str]) -> None:
    server = Files(require_approval="always" if own else "never")
    agent = Agent("cleaner", model=scripted(calls("remove", path="x"), says("Done.")), mcp_servers=[server])
    person = Person(decision)
    asked(agent, must_ask=lambda name, required: not own or required, approve=person)
    assert [(question.name, question.required) for question in person.asked] == [("remove", own)]
    assert server.removed == removed


def test_what_another_side_wants_asked_about_is_never_allowed_by_itself() -> None:
    request = McpApprovalRequest(
        type="mcp_approval_request", id="a1", name="remove", arguments='{"path": "x"}', server_label="files"
    )
    tool = HostedMCPTool({"type": "mcp", "server_label": "files", "require_approval": "always"})
    model = scripted(whole_response(request), says("Done."))
    person = Person(False)
    asked(
        Agent("cleaner", model=model, tools=[tool]), must_ask=lambda name, required: required, approve=person
    )
    assert [(question.name, question.required) for question in person.asked] == [("remove", True)]
    sent: Any = model.calls[1].input
    assert [item["approve"] for item in sent if item.get("type") == "mcp_approval_response"] == [False]


# As a person has it


@pytest.mark.parametrize(
    ("policy", "asked_about", "done"),
    [
        (None, ["remove"], ["look x"]),
        (Policy("ask"), ["look", "remove"], []),
        (Policy("ask", allow=["look"], deny=["remove"]), [], ["look x"]),
        (Policy("allow"), [], ["look x", "remove x"]),
        (Policy("deny"), [], []),
    ],
)
def test_a_policy_holds_for_its_tools(
    store: Store, policy: Policy | None, asked_about: list[str], done: list[str]
) -> None:
    both = step(
        function_call("look", {"path": "x"}, call_id="c1"),
        function_call("remove", {"path": "x"}, call_id="c2"),
    )
    cleaner, person = Cleaner(both, says("Done.")), Person(False, False)
    run = store.create().send("Tidy up", agent=cleaner.agent, approve=person, policy=policy)
    assert (run.output, [question.name for question in person.asked]) == ("Done.", asked_about)
    assert sorted(cleaner.done) == done


def test_a_run_that_is_left_goes_on_in_one_log(store: Store) -> None:
    session = store.create("plan")
    run = session.send("Tidy up", agent=Cleaner(calls("remove", path="x")).agent, approve=later)
    assert (run.status, session.turn_count) == ("suspended", 0)
    again, cleaner = store.resume("plan"), Cleaner(says("Done."))
    done = again.approve(Decision(True, arguments='{"path": "y"}'), agent=cleaner.agent)
    assert (done.run_id, done.output, cleaner.done) == (run.run_id, "Done.", ["remove y"])
    assert (done.usage.requests, again.usage.requests) == (2, 2)
    assert [message.role for message in again.messages] == ["user", "assistant", "tool", "assistant"]
    assert kinds(store.events(done.run_id)) == [
        "RUN_STARTED",
        *("TOOL_CALL_START", "TOOL_CALL_ARGS", "TOOL_CALL_END"),
        *("nbsessions.question", "nbsessions.approval", "TOOL_CALL_RESULT"),
        *("TEXT_MESSAGE_START", "TEXT_MESSAGE_CONTENT", "TEXT_MESSAGE_END"),
        "RUN_FINISHED",
    ]


def test_of_a_tool_that_is_an_agent_the_inner_call_waits_and_goes_on(store: Store) -> None:
    def outer(*inner: ModelStep, then: tuple[ModelStep, ...]) -> tuple[Agent[Any], Cleaner]:
        cleaner = Cleaner(*inner, name="inner")
        tool = cleaner.agent.as_tool("ask", "Ask the other one.")
        return Agent("outer", model=scripted(*then), tools=[tool]), cleaner

    session = store.create("plan")
    agent, _ = outer(calls("remove", "i1", path="x"), then=(calls("ask", input="Tidy"),))
    run = session.send("Tidy up", agent=agent, approve=later)
    assert session.question(run).agent_name == "inner"
    agent, cleaner = outer(says("Inner."), then=(says("Outer."),))
    done = store.resume("plan").approve(agent=agent)
    assert (done.output, cleaner.done) == ("Outer.", ["remove x"])
    assert done.usage.requests == 4


WAITS = """
import os, sys, threading, time
import nbsessions as nbs
from agents import Agent, function_tool
from agents.testing import ScriptedModel, assistant_message, function_call

@function_tool(needs_approval=True)
def remove(path: str) -> str:
    with open(sys.argv[2], "a") as file:
        file.write(path)
    return f"removed {path}"

def agent(*steps):
    return Agent("cleaner", model=ScriptedModel([*steps]), tools=[remove])

store = nbs.open_store(sys.argv[1])
if sys.argv[3] == "ask":
    def asked(question):
        os.kill(os.getpid(), 9)
    call = function_call("remove", {"path": "x"}, call_id="c1")
    store.create("plan").send("Tidy up", agent=agent([call]), approve=asked)
else:
    session = store.resume("plan")
    print(session.approve(agent=agent([assistant_message("Done.")])).output)
"""


def test_a_killed_process_is_gone_on_with_and_the_tool_runs_once(path: Path, python: Python) -> None:
    marks = path.parent / "marks"
    process = python.start(WAITS, path, marks, "ask")
    assert process.wait() == -signal.SIGKILL
    assert not marks.exists()
    assert python(WAITS, path, marks, "decide").strip() == "Done."
    assert marks.read_text() == "x"
    with nbs.open_store(path) as store:
        assert texts(store.resume("plan")) == ["Tidy up", "", "removed x", "Done."]
        assert [run.status for run in store.runs("plan")] == ["completed"]


def test_a_stop_while_the_question_waits_loses_nothing(store: Store) -> None:
    cleaner, session = Cleaner(calls("remove", path="x"), says("Bye.")), store.create()

    def stopped(question: ToolQuestion) -> bool:
        raise KeyboardInterrupt

    with pytest.raises(RunCancelled):
        session.send("Tidy up", agent=cleaner.agent, approve=stopped)
    assert (cleaner.done, session.turn_count) == ([], 0)
    assert session.send("Never mind", agent=cleaner.agent).output == "Bye."
