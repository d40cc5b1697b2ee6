"""Real runs of pydantic-ai, with its own models for tests."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from pydantic_ai import Agent, ModelRetry, ToolOutput
from pydantic_ai.messages import (
    ModelMessage,
    ModelMessagesTypeAdapter,
    ModelRequest,
    ModelResponse,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, DeltaToolCalls, FunctionModel
from pydantic_ai.models.test import TestModel
from pydantic_ai.run import AgentRunResult

import nbsessions as nbs
from nbsessions import AgentUnavailable, Message, MissingExtra, RunFailed, Session, Store
from nbsessions.adapters import adapt
from tests.adapters.kinds import kinds
from tests.conftest import Python, add, texts


class Calculator:
    """An agent that calls a tool and then says the result; it remembers what its model was sent."""

    def __init__(self) -> None:
        self.seen: list[list[ModelMessage]] = []
        self.agent = Agent(
            FunctionModel(stream_function=self._answer), name="calculator", system_prompt="Be brief."
        )
        self.agent.tool_plain(self.add)

    def add(self, a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    async def _answer(
        self, messages: list[ModelMessage], info: AgentInfo
    ) -> AsyncIterator[str | DeltaToolCalls]:
        self.seen.append(list(messages))
        last = messages[-1].parts[-1]
        if isinstance(last, ToolReturnPart):
            yield "It is "
            yield f"{last.content}."
        else:
            yield {0: DeltaToolCall(name="add", json_args='{"a":1,', tool_call_id="c1")}
            yield {0: DeltaToolCall(json_args='"b":2}')}


@pytest.fixture
def calculator() -> Calculator:
    return Calculator()


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What pydantic-ai itself writes at the end of each run."""
    found: list[bytes] = []
    original = AgentRunResult.new_messages

    def spy(result: AgentRunResult[Any], *args: Any, **options: Any) -> list[ModelMessage]:
        messages = original(result, *args, **options)
        found.append(ModelMessagesTypeAdapter.dump_json(messages))
        return messages

    monkeypatch.setattr(AgentRunResult, "new_messages", spy)
    return found


def greeter(text: str = "Hi") -> Agent[None, str]:
    return Agent(TestModel(custom_output_text=text), name="greeter")


def shout(prompt: str) -> str:
    return prompt.upper()


def test_a_run_is_one_turn_with_its_tool_calls(store: Store, calculator: Calculator) -> None:
    session = store.create("plan")
    run = session.send("1 + 2?", agent=calculator.agent)
    assert (run.output, run.status, run.agent_name) == ("It is 3.", "completed", "calculator")
    assert run.model is not None
    assert "function" in run.model
    assert [(message.role, message.text) for message in store.resume("plan").messages] == [
        ("system", "Be brief."),
        ("user", "1 + 2?"),
        ("assistant", ""),
        ("tool", "3"),
        ("assistant", "It is 3."),
    ]
    call = session.messages[2]["tool_calls"][0]
    assert (call["id"], call["function"]["name"]) == ("c1", "add")
    assert json.loads(call["function"]["arguments"]) == {"a": 1, "b": 2}
    assert (session.messages[3].name, session.messages[3].tool_call_id) == ("add", "c1")
    assert (session.turn_count, session.message_count, len(session.turns)) == (1, 5, 1)
    assert session.runs()[0].prompt == "1 + 2?"


def test_native_messages_are_byte_equal_after_a_restart(
    path: Path, python: Python, calculator: Calculator, written: list[bytes]
) -> None:
    with nbs.open_store(path) as store:
        session = store.create("plan")
        for prompt in ("1 + 2?", "Ä €\x00 😀", "Again"):
            session.send(prompt, agent=calculator.agent)
    code = """
import sys, nbsessions as nbs
for turn in nbs.open_store(sys.argv[1]).resume("plan").turns:
    print(turn.codec, turn.body.encode().hex())
assert "pydantic_ai" not in sys.modules
"""
    stored = [line.split() for line in python(code, path).splitlines()]
    assert [name for name, _ in stored] == ["pydantic-ai"] * 3
    assert [bytes.fromhex(body) for _, body in stored] == written


def test_the_framework_gets_its_own_messages_back_after_a_restart(
    path: Path, calculator: Calculator, written: list[bytes]
) -> None:
    with nbs.open_store(path) as store:
        store.create("plan").send("1 + 2?", agent=calculator.agent)
    with nbs.open_store(path) as store:
        store.resume("plan").send("Again", agent=calculator.agent)
    history, request = calculator.seen[-2][:4], calculator.seen[-2][4:]
    assert ModelMessagesTypeAdapter.dump_json(history) == written[0]
    assert len(request) == 1
    assert isinstance(request[0].parts[-1], UserPromptPart)
    assert request[0].parts[-1].content == "Again"


def test_it_goes_on_with_a_session_of_a_function(store: Store, calculator: Calculator) -> None:
    session = store.create("plan")
    add(session, "You are a pirate.", role="system")
    session.send("Hello", agent=shout)
    body = session.turns[-1].body
    session.send("1 + 2?", agent=calculator.agent)
    first = calculator.seen[0]
    assert [(part.part_kind, part.content) for message in first for part in message.parts][:3] == [  # type: ignore[union-attr]
        ("system-prompt", "You are a pirate."),
        ("user-prompt", "Hello"),
        ("text", "HELLO"),
    ]
    assert [turn.codec for turn in session.turns] == ["chat", "chat", "pydantic-ai"]
    assert session.turns[1].body == body
    assert texts(store.resume("plan"))[:3] == ["You are a pirate.", "Hello", "HELLO"]


def test_a_function_goes_on_with_a_session_of_its(store: Store, calculator: Calculator) -> None:
    session = store.create("plan")
    session.send("1 + 2?", agent=calculator.agent)
    body = session.turns[0].body
    seen: list[Message] = []

    def agent(prompt: str, history: list[Message]) -> str:
        seen.extend(history)
        return "Hi"

    session.send("Hello", agent=agent)
    assert texts(seen) == ["Be brief.", "1 + 2?", "", "3", "It is 3."]
    assert seen[2].tool_calls is not None
    assert seen[2].tool_calls[0]["id"] == seen[3].tool_call_id == "c1"
    session.send("Again", agent=calculator.agent)  # and back
    assert session.turns[0].body == body
    assert ModelMessagesTypeAdapter.dump_json(calculator.seen[-2][:4]).decode() == body
    assert texts(store.resume("plan"))[5:9] == ["Hello", "Hi", "Again", ""]


def test_tool_calls_of_a_function_reach_it(store: Store) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a":1}'}}
    session = store.create("plan")
    session.send(
        "1 + 2?",
        agent=lambda prompt: [
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "content": "3", "tool_call_id": "c1"},
            {"role": "assistant", "content": "It is 3."},
        ],
    )
    seen: list[ModelMessage] = []

    async def answer(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[str]:
        seen.extend(messages)
        yield "Hi"

    session.send("Hello", agent=Agent(FunctionModel(stream_function=answer)))
    called, returned = seen[1].parts[0], seen[2].parts[0]
    assert isinstance(called, ToolCallPart)
    assert (called.tool_name, called.args, called.tool_call_id) == ("add", '{"a":1}', "c1")
    assert isinstance(returned, ToolReturnPart)
    assert (returned.tool_name, returned.content, returned.tool_call_id) == ("add", "3", "c1")


@pytest.mark.parametrize("to", range(6))
def test_it_goes_on_from_any_message(store: Store, calculator: Calculator, to: int) -> None:
    session = store.create("plan")
    session.send("1 + 2?", agent=calculator.agent)
    session.rewind(to)
    assert session.send("Again", agent=calculator.agent).output == "It is 3."
    said = ["Be brief.", "1 + 2?", "", "3", "It is 3."][:to]
    assert texts(session)[:to] == said
    assert texts(session)[-3:] == ["", "3", "It is 3."]


def test_a_head_that_cuts_a_native_message_writes_only_that_one_anew(
    store: Store, calculator: Calculator, written: list[bytes]
) -> None:
    """The system prompt and the prompt are one native message."""
    session = store.create("plan")
    session.send("1 + 2?", agent=calculator.agent)
    session.send("Again", agent=calculator.agent)
    session.rewind(6)
    session.send("Once more", agent=calculator.agent)
    assert session.turns[0].body.encode() == written[0]
    assert json.loads(session.turns[1].body)[0] == json.loads(written[1])[0]
    assert texts(session)[5:7] == ["Again", "Once more"]


def test_events_stream_with_tool_calls(store: Store, calculator: Calculator) -> None:
    shown: list[str] = []
    session = store.create("plan")
    run = session.send(
        "1 + 2?", agent=calculator.agent, on_event=lambda event: shown.append(event.type.value)
    )
    events = session.run_events(run.run_id)
    types = [event.type for event in events]
    assert types == shown
    assert [event.seq for event in events] == list(range(len(events)))
    assert (types[0], types[-1]) == ("RUN_STARTED", "RUN_FINISHED")
    assert types.count("RUN_STARTED") == types.count("RUN_FINISHED") == 1
    assert [kind for kind in kinds(events) if kind.startswith("TOOL_CALL")] == [
        "TOOL_CALL_START",
        "TOOL_CALL_ARGS",
        "TOOL_CALL_END",
        "TOOL_CALL_RESULT",
    ]
    arguments = "".join(event.data["delta"] for event in events if event.type == "TOOL_CALL_ARGS")
    assert json.loads(arguments) == {"a": 1, "b": 2}
    (result,) = [event.data for event in events if event.type == "TOOL_CALL_RESULT"]
    assert (result["toolCallId"], result["content"]) == ("c1", "3")
    text = "".join(event.data["delta"] for event in events if event.type == "TEXT_MESSAGE_CONTENT")
    assert text == run.output


def test_usage_is_the_sum_of_all_requests(store: Store, calculator: Calculator) -> None:
    session = store.create("plan")
    run = session.send("1 + 2?", agent=calculator.agent)
    assert run.usage.requests == 2
    assert run.usage.input_tokens > 0
    assert run.usage.output_tokens > 0
    assert session.usage == store.resume("plan").usage == run.usage


def test_a_failing_model_is_one_line(store: Store) -> None:
    async def answer(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[str]:
        yield "Let me see"
        raise RuntimeError("no idea,\nreally")

    session = store.create("plan")
    with pytest.raises(RunFailed, match="sage failed: RuntimeError: no idea, really") as caught:
        session.send("Hello", agent=Agent(FunctionModel(stream_function=answer), name="sage"))
    assert "\n" not in str(caught.value)
    (run,) = store.runs("plan")
    assert (run.status, run.prompt, run.usage.requests) == ("failed", "Hello", 1)
    events = store.events(run.run_id)
    assert "Let me see" in [event.data.get("delta") for event in events]
    assert [event.type for event in events].count("RUN_ERROR") == 1
    assert session.messages == []


def test_a_failing_tool_counts_what_was_spent_before(store: Store) -> None:
    def broken(a: int) -> int:
        raise ValueError("no numbers")

    async def answer(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[DeltaToolCalls]:
        yield {0: DeltaToolCall(name="broken", json_args='{"a":1}', tool_call_id="c1")}

    agent = Agent(FunctionModel(stream_function=answer))
    agent.tool_plain(broken)
    session = store.create("plan")
    with pytest.raises(RunFailed, match="no numbers"):
        session.send("Hello", agent=agent)
    assert session.usage.requests == store.resume("plan").usage.requests == 1
    assert session.usage.input_tokens > 0


def test_a_retry_is_no_prompt(store: Store) -> None:
    """When an answer is sent back to the model, the person has still asked once."""
    replies = iter(["bad", "good"])

    async def answer(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[str]:
        yield next(replies)

    agent = Agent(FunctionModel(stream_function=answer))

    @agent.output_validator
    def check(text: str) -> str:
        if text == "bad":
            raise ModelRetry("Try harder.")
        return text

    session = store.create("plan")
    assert session.send("Hello", agent=agent).output == "good"
    assert texts(session)[0] == "Hello"
    assert session.message_count == 4
    for to in (3, 2, 1):
        session.rewind(to)
        assert session.turn_count == 1
    session.rewind(0)
    assert session.turn_count == 0


def test_structured_output_comes_back_as_it_is(store: Store) -> None:
    agent = Agent(TestModel(custom_output_args=42), output_type=int)
    assert store.create().send("Hello", agent=agent).output == 42


def finder(found: object) -> tuple[Agent[None, str], list[list[ModelMessage]]]:
    """Return an agent that calls a tool, which finds this, and what its model was sent."""
    seen: list[list[ModelMessage]] = []

    async def answer(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[str | DeltaToolCalls]:
        seen.append(messages)
        if isinstance(messages[-1].parts[-1], ToolReturnPart) or len(seen) > 2:
            yield "found \ud83d"
        else:
            yield {0: DeltaToolCall(name="find", json_args="{}", tool_call_id="call_0")}

    agent = Agent(FunctionModel(stream_function=answer), name="finder")

    @agent.tool_plain
    def find() -> object:
        return found

    return agent, seen


@pytest.mark.parametrize("found", ["half \udc80", b"\xff\xfe", float("nan")], ids=repr)
def test_what_is_no_unicode_fails_no_run(store: Store, found: object) -> None:
    agent, _ = finder(found)
    session = store.create()
    run = session.send("Look", agent=agent)
    assert (run.status, run.output) == ("completed", "found \ufffd")
    assert session.run_events(run.run_id)[-1].type == "RUN_FINISHED"
    assert [message.role for message in session.messages] == ["user", "assistant", "tool", "assistant"]
    assert session.send("And now?", agent=agent).status == "completed"


def test_a_result_that_a_rewind_cut_off_stands_right_after_its_call(store: Store) -> None:
    agent, seen = finder("it")
    session = store.create()
    session.send("Look", agent=agent)
    session.rewind(2)
    for prompt in ("Never mind", "And now?"):
        session.send(prompt, agent=agent)
    kinds = [[part.part_kind for part in message.parts] for message in seen[-1]]
    assert kinds[:3] == [["user-prompt"], ["tool-call"], ["tool-return", "user-prompt"]]
    assert [kind for later in kinds[3:] for kind in later] == ["text", "user-prompt"]


class City(BaseModel):
    name: str
    people: int


class River(BaseModel):
    length: float


@pytest.mark.parametrize("kind", [City, int, list[City], [River, City], str | int, str, dict[str, int]])
def test_the_output_of_a_stored_answer_is_made_again(store: Store, kind: Any) -> None:
    agent = Agent(TestModel(), output_type=kind)
    session = store.create()
    run = session.send("Hello", agent=agent)
    (turn,) = session.turns
    assert adapt(agent).output(turn.codec, turn.body) == run.output


def test_of_two_types_alike_the_one_that_was_meant_is_made_again(store: Store) -> None:
    class Town(City):
        pass

    agent = Agent(TestModel(call_tools=[], seed=1), output_type=[City, Town])
    session = store.create()
    run = session.send("Hello", agent=agent)
    (turn,) = session.turns
    again = adapt(agent).output(turn.codec, turn.body)
    assert (type(again), again) == (type(run.output), run.output)


def counted(name: str) -> int:
    raise AssertionError("an output function is not called to show an answer again")


@pytest.mark.parametrize("kind", [City, counted, ToolOutput(City), [counted, City]])
def test_an_output_that_cannot_be_made_again_is_told(store: Store, kind: Any) -> None:
    session = store.create()
    session.send("Hello", agent=shout)
    (turn,) = session.turns
    with pytest.raises(nbs.InvalidInput, match="cannot be made again"):
        adapt(Agent(TestModel(), output_type=kind)).output(turn.codec, turn.body)


def test_a_model_is_an_agent_too_and_a_class_is_none(store: Store) -> None:
    run = store.create().send("Hello", agent=TestModel(custom_output_text="Hi"))
    assert (run.output, run.agent_name) == ("Hi", "test")
    for wrong in (Agent, City):
        with pytest.raises(nbs.UnsupportedAgent, match="is a class"):
            adapt(wrong)


def test_another_model_for_one_run(store: Store) -> None:
    async def answer(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[str]:
        yield "Ho"

    session, agent = store.create("plan"), Agent(FunctionModel(stream_function=answer))
    run = session.send("Hello", agent=agent, model="test")
    assert (run.output, run.model) == ("success (no tool calls)", "test")
    assert session.send("Hello", agent=agent).output == "Ho"


def test_a_string_is_a_model(store: Store) -> None:
    run = store.create("plan").send("Hello", agent="test")
    assert (run.status, run.model, run.agent_name) == ("completed", "test", "test")
    assert store.create().send("Hello", model="test").model == "test"


def test_an_agent_is_called_what_it_is() -> None:
    assert adapt(greeter()).name == "greeter"
    assert adapt(Agent(TestModel()), name="mine").name == "mine"
    assert adapt(Agent(TestModel())).name == "agent"
    assert adapt(greeter(), name="mine").name == "greeter"


def test_an_agent_that_asks_another_in_a_tool(store: Store) -> None:
    """A2A: the tool opens a session of its own."""

    async def answer(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[str | DeltaToolCalls]:
        if isinstance(messages[-1].parts[-1], ToolReturnPart):
            yield f"It said {messages[-1].parts[-1].content}"
        else:
            yield {0: DeltaToolCall(name="ask", json_args='{"what":"Who?"}', tool_call_id="c1")}

    async def ask(what: str) -> str:
        child = store.create(conversation_id="c1", parent_session_id="parent")
        return str((await child.asend(what, agent=greeter("Me"))).output)

    agent = Agent(FunctionModel(stream_function=answer))
    agent.tool_plain(ask)
    session = store.create("plan", session_id="parent")
    assert session.send("Hello", agent=agent).output == "It said Me"
    assert texts(store.resume("latest", conversation_id="c1")) == ["Who?", "Me"]


def test_it_sees_no_more_than_max_messages(store: Store) -> None:
    seen: list[int] = []

    async def answer(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[str]:
        seen.append(len(messages) - 1)
        yield "Hi"

    session, agent = store.create("plan"), Agent(FunctionModel(stream_function=answer))
    for _ in range(3):
        session.send("Hello", agent=agent, max_messages=2)
    assert seen == [0, 2, 2]
    assert session.message_count == 6


# What cannot be reached


@pytest.fixture
def plan(store: Store) -> Iterator[Session]:
    session = store.create("plan")
    add(session, "0")
    yield session
    assert texts(store.resume("plan")) == ["0"]


def test_a_missing_key_is_one_line(plan: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(AgentUnavailable, match="OPENAI_API_KEY") as caught:
        plan.send("Hello", agent="openai:gpt-5.2")
    assert "openai:gpt-5.2" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert plan.runs() == []  # nothing was started


@pytest.mark.parametrize("model", ["nowhere:x", "nowhere", "openai:", ":x"])
def test_an_unknown_model_is_one_line(plan: Session, model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises((AgentUnavailable, RunFailed)) as caught:
        plan.send("Hello", agent=model)
    assert "\n" not in str(caught.value)
    assert model.strip(":") in str(caught.value)


def test_a_server_that_is_not_there_is_one_line(plan: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_BASE_URL", "http://127.0.0.1:9/v1")
    with pytest.raises(RunFailed, match=r"ollama:llama3\.2 failed: .*[Cc]onnection") as caught:
        plan.send("Hello", agent="ollama:llama3.2")
    assert "\n" not in str(caught.value)
    assert [(run.status, run.prompt) for run in plan.runs()] == [("failed", "Hello")]


def test_a_missing_package_names_the_extra(plan: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("pydantic_ai", "pydantic_ai.exceptions", "pydantic_ai.models"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtra, match=r"nbsessions\[agents\]"):
        plan.send("Hello", agent="openai:gpt-5.2")


def test_an_agent_without_a_model_is_one_line(plan: Session) -> None:
    with pytest.raises(RunFailed, match="model") as caught:
        plan.send("Hello", agent=Agent(name="sage"))
    assert "\n" not in str(caught.value)


def test_native_messages_written_by_hand_are_taken(store: Store) -> None:
    """What another version of pydantic-ai wrote, or an import: fields may be missing."""
    body = '[{"kind":"request","parts":[{"part_kind":"user-prompt","content":"Hi"}]},' + (
        '{"kind":"response","parts":[{"part_kind":"text","content":"Ho"}]}]'
    )
    session = store.create("plan")
    session.commit("turn", "pydantic-ai", body, prompts=1)
    seen: list[ModelMessage] = []

    async def answer(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[str]:
        seen.extend(messages)
        yield "Hi"

    session.send("Hello", agent=Agent(FunctionModel(stream_function=answer)))
    assert isinstance(seen[0], ModelRequest)
    assert isinstance(seen[1], ModelResponse)
    assert seen[1].parts == [TextPart(content="Ho")]
