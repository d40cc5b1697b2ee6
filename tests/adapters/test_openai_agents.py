"""Real runs of the OpenAI Agents SDK, with its own models for tests."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from agents import (
    Agent,
    AgentOutputSchema,
    Model,
    ModelProvider,
    RunConfig,
    RunContextWrapper,
    function_tool,
    handoff,
    tracing,
)
from agents.run_config import CallModelData, ModelInputData
from agents.testing import ModelStep, ScriptedModel, assistant_message, function_call
from agents.usage import Usage as SDKUsage
from openai.types.responses import (
    Response,
    ResponseCompletedEvent,
    ResponseOutputMessage,
    ResponseOutputRefusal,
)
from openai.types.responses.response_reasoning_item import ResponseReasoningItem, Summary
from openai.types.responses.response_usage import InputTokensDetails, OutputTokensDetails
from pydantic import BaseModel

import nbsessions as nbs
from nbsessions import (
    Decision,
    InvalidInput,
    Message,
    RunFailed,
    Store,
    ToolQuestion,
    Usage,
)
from nbsessions.adapters import adapt, is_agent
from nbsessions.adapters.base import Answer, Request
from nbsessions.adapters.openai_agents import OpenAIAgentsAdapter
from tests.adapters.kinds import kinds
from tests.conftest import Python, texts


@pytest.fixture
def store() -> Iterator[Store]:
    """A store in memory: no adapter knows where its answers go."""
    with nbs.open_store("memory:") as store:
        yield store


def step(*output: Any, **options: Any) -> ModelStep:
    """One answer of a model, which took 10 tokens and made 2."""
    usage = SDKUsage(requests=1, input_tokens=10, output_tokens=2, total_tokens=12)
    return ModelStep(output=list(output), usage=usage, **options)


def says(text: str) -> ModelStep:
    return step(assistant_message(text))


def calls(name: str, call_id: str = "c1", **arguments: Any) -> ModelStep:
    return step(function_call(name, arguments, call_id=call_id))


def scripted(*steps: ModelStep) -> ScriptedModel:
    return ScriptedModel(list(steps))


def whole_response(*output: Any) -> ModelStep:
    """One answer that comes at its end only, of whatever items."""
    more: dict[str, Any] = {"parallel_tool_calls": False, "tool_choice": "auto", "tools": []}
    response = Response(id="r1", created_at=0, model="m", object="response", output=[*output], **more)
    end = ResponseCompletedEvent(type="response.completed", response=response, sequence_number=0)
    return ModelStep.stream([end])


class Cleaner:
    """An agent whose tools remember what they did; `remove` wants to be asked about."""

    def __init__(self, *steps: ModelStep, name: str = "cleaner", **options: Any) -> None:
        self.done: list[str] = []
        self.model = scripted(*steps)

        @function_tool(needs_approval=True)
        def remove(path: str) -> str:
            """Remove a file."""
            self.done.append(f"remove {path}")
            return f"removed {path}"

        @function_tool
        def look(path: str) -> str:
            """Look at a file."""
            self.done.append(f"look {path}")
            if path == "nowhere":
                raise ValueError("no such file")
            return f"{path} is empty"

        self.agent = Agent(name, instructions="Be brief.", model=self.model, tools=[remove, look], **options)


class Person:
    """Decides as told, and remembers what it was asked."""

    def __init__(self, *decisions: bool | Decision) -> None:
        self.decisions = [*decisions]
        self.asked: list[ToolQuestion] = []

    def __call__(self, question: ToolQuestion) -> bool | Decision:
        self.asked.append(question)
        return self.decisions.pop(0)


def asked(
    agent: Agent[Any], *, must_ask: Callable[[str, bool], bool], approve: Person, **more: Any
) -> tuple[Answer, list[str]]:
    """Run an agent by its adapter alone, with these rules."""
    answer, progress = Answer(), []
    answer.on_progress = lambda body, usage: progress.append(body)

    async def decide(question: ToolQuestion) -> Decision:
        found = approve(question)
        return found if isinstance(found, Decision) else Decision(found)

    request = Request("Go", [], "[]", "s1", "r1", must_ask=must_ask, approve=decide, **more)
    asyncio.run(OpenAIAgentsAdapter(agent).arun(request, lambda event: None, answer))
    return answer, progress


def test_a_run_is_one_turn_of_native_items(store: Store) -> None:
    cleaner = Cleaner(
        step(assistant_message("Let me."), function_call("look", {"path": "x"}, call_id="c1")), says("Empty.")
    )
    session = store.create("plan")
    run = session.send("What is in x?", agent=cleaner.agent)
    assert (run.status, run.output, run.agent_name) == ("completed", "Empty.", "cleaner")
    assert [(m.role, m.text) for m in store.resume("plan").messages] == [
        ("user", "What is in x?"),
        ("assistant", "Let me."),
        ("tool", "x is empty"),
        ("assistant", "Empty."),
    ]
    (turn,) = session.turns
    assert (turn.codec, session.turn_count) == ("openai-agents", 1)
    assert [item.get("type") for item in json.loads(turn.body)] == [
        None,
        "message",
        "function_call",
        "function_call_output",
        "message",
    ]
    assert kinds(store.events(run.run_id)) == [
        "RUN_STARTED",
        *("TEXT_MESSAGE_START", "TEXT_MESSAGE_CONTENT", "TEXT_MESSAGE_END"),
        *("TOOL_CALL_START", "TOOL_CALL_ARGS", "TOOL_CALL_END", "TOOL_CALL_RESULT"),
        *("TEXT_MESSAGE_START", "TEXT_MESSAGE_CONTENT", "TEXT_MESSAGE_END"),
        "RUN_FINISHED",
    ]


def test_the_sdk_gets_its_own_items_back_after_a_restart(path: Path, python: Python) -> None:
    cleaner = Cleaner(calls("look", path="x"), says("Empty Ä €."), says("Bye."))
    with nbs.open_store(path) as store:
        store.create("plan").send("Look", agent=cleaner.agent)
        body = store.resume("plan").turns[0].body
    code = """
import sys, nbsessions as nbs
(turn,) = nbs.open_store(sys.argv[1]).resume("plan").turns
print(turn.body.encode().hex())
assert "agents" not in sys.modules
"""
    assert bytes.fromhex(python(code, path)).decode() == body
    with nbs.open_store(path) as store:
        store.resume("plan").send("Thanks", agent=cleaner.agent)
    assert cleaner.model.calls[-1].input == [*json.loads(body), {"role": "user", "content": "Thanks"}]


def test_usage_is_told_request_by_request(store: Store) -> None:
    details: Any = {
        "input_tokens_details": InputTokensDetails(cached_tokens=4, cache_write_tokens=1),
        "output_tokens_details": OutputTokensDetails(reasoning_tokens=1),
    }
    usage = SDKUsage(requests=1, input_tokens=10, output_tokens=2, total_tokens=12, **details)
    first = ModelStep(output=[function_call("look", {"path": "x"}, call_id="c1")], usage=usage)
    run = store.create("plan").send("Look", agent=Cleaner(first, says("Empty.")).agent)
    assert run.usage == Usage(
        input_tokens=20,
        output_tokens=4,
        cache_read_tokens=4,
        cache_write_tokens=1,
        reasoning_tokens=1,
        requests=2,
        unpriced_tokens=24,
    )
    told = [
        event.data["value"]
        for event in store.events(run.run_id)
        if event.data.get("name") == "nbsessions.usage"
    ]
    assert [(one["model"], one["input_tokens"], one["requests"]) for one in told] == [
        ("scripted-model", 10, 1),
        ("scripted-model", 10, 1),
    ]


def test_a_tool_that_fails_is_told_to_the_model_as_the_sdk_does(store: Store) -> None:
    cleaner = Cleaner(calls("look", path="nowhere"), calls("look", "c2", path="x"), says("Empty."))
    session = store.create()
    run = session.send("Look", agent=cleaner.agent)
    assert run.output == "Empty."
    assert cleaner.done == ["look nowhere", "look x"]
    assert "An error occurred" in session.messages[2].text


def test_thoughts_are_events_and_stored(store: Store) -> None:
    thought = ResponseReasoningItem(
        id="r1", type="reasoning", summary=[Summary(type="summary_text", text="Hm.")]
    )
    session = store.create()
    run = session.send(
        "Hello", agent=Agent("thinker", model=scripted(step(thought, assistant_message("Hi"))))
    )
    assert kinds(store.events(run.run_id))[1:8] == [
        "REASONING_START",
        "REASONING_MESSAGE_START",
        "REASONING_MESSAGE_CONTENT",
        "REASONING_MESSAGE_END",
        "REASONING_END",
        "TEXT_MESSAGE_START",
        "TEXT_MESSAGE_CONTENT",
    ]
    assert session.messages[1]["reasoning_content"] == "Hm."


def test_a_refusal_fails_as_the_sdk_has_it_and_is_shown(store: Store) -> None:
    refusal = ResponseOutputRefusal(type="refusal", refusal="I would rather not.")
    message = ResponseOutputMessage(
        id="m1", type="message", role="assistant", status="completed", content=[refusal]
    )
    session = store.create()
    with pytest.raises(RunFailed, match=r"shy failed: .*I would rather not\."):
        session.send("Hello", agent=Agent("shy", model=scripted(step(message))))
    (run,) = session.runs()
    assert "I would rather not." in [event.data.get("delta") for event in store.events(run.run_id)]


# Other agents, other frameworks


def test_it_goes_on_with_a_session_of_a_function_and_back(store: Store) -> None:
    session = store.create("plan")
    session.send("Hello", agent=lambda prompt: prompt.upper())
    model = scripted(says("Hi"))
    session.send("And?", agent=Agent("greeter", model=model))
    assert model.calls[0].input == [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "HELLO"},
        {"role": "user", "content": "And?"},
    ]
    seen: list[Message] = []

    def agent(prompt: str, history: list[Message]) -> str:
        seen.extend(history)
        return "Bye"

    session.send("So?", agent=agent)
    assert texts(seen) == ["Hello", "HELLO", "And?", "Hi"]


@pytest.mark.parametrize("to", range(1, 5))
def test_it_goes_on_from_any_message(store: Store, to: int) -> None:
    cleaner = Cleaner(calls("look", path="x"), says("Empty."), says("Again."))
    session = store.create("plan")
    session.send("Look", agent=cleaner.agent)
    session.rewind(to)
    session.send("Again", agent=cleaner.agent)
    sent: Any = cleaner.model.calls[-1].input
    called = [item["call_id"] for item in sent if item.get("type") == "function_call"]
    answered = [item["call_id"] for item in sent if item.get("type") == "function_call_output"]
    assert called == answered


def test_a_handoff_is_followed(store: Store) -> None:
    second = Cleaner(calls("look", "c2", path="x"), says("Second."), name="second")
    first = Agent("first", model=scripted(calls("transfer_to_second")), handoffs=[second.agent])
    second.agent.handoffs = [first]  # in a circle
    session = store.create()
    run = session.send("Hello", agent=first)
    assert (run.output, run.agent_name) == ("Second.", "first")
    assert [call.name for message in session.messages for call in message.calls] == [
        "transfer_to_second",
        "look",
    ]
    assert kinds(store.events(run.run_id))[1:5] == [
        "TOOL_CALL_START",
        "TOOL_CALL_ARGS",
        "TOOL_CALL_END",
        "TOOL_CALL_RESULT",
    ]
    assert run.usage.requests == 3


def test_an_agent_that_is_a_tool_counts(store: Store) -> None:
    inner = Cleaner(calls("look", "i1", path="x"), says("Inner."), name="inner")
    outer = Agent(
        "outer",
        model=scripted(calls("ask", input="Look"), says("Outer.")),
        tools=[inner.agent.as_tool("ask", "Ask the other one.")],
    )
    session = store.create()
    run = session.send("Hello", agent=outer)
    assert (run.output, session.messages[2].text) == ("Outer.", "Inner.")
    assert (run.usage.requests, run.usage.input_tokens) == (4, 40)


def test_another_model_for_one_run(store: Store) -> None:
    class Provider(ModelProvider):
        def __init__(self) -> None:
            self.asked: list[str | None] = []

        def get_model(self, model_name: str | None) -> Model:
            self.asked.append(model_name)
            return scripted(says(f"I am {model_name}"))

    provider = Provider()
    agent = adapt(
        Agent("greeter", model=scripted(says("Hi"))),
        run_config=RunConfig(model_provider=provider, tracing_disabled=True),
    )
    session = store.create()
    assert session.send("Hello", agent=agent, model="openai:gpt-5.2").output == "I am gpt-5.2"
    assert provider.asked == ["gpt-5.2"]
    assert session.send("Hello", agent=agent).output == "Hi"


def test_a_context_reaches_the_tools_and_is_never_stored(store: Store) -> None:
    @function_tool
    def who(context: RunContextWrapper[dict[str, str]]) -> str:
        """Tell who asks."""
        return context.context["name"]

    agent = Agent[dict[str, str]]("greeter", model=scripted(calls("who"), says("Hi")), tools=[who])
    session = store.create()
    session.send("Hello", agent=adapt(agent, context={"name": "Ada", "key": "hunter2"}))
    assert session.messages[2].text == "Ada"
    (run,) = session.runs()
    progress = store.backend.progress(run.run_id)
    assert progress is None or "hunter2" not in progress.body


# Outputs


class City(BaseModel):
    name: str
    people: int


@pytest.mark.parametrize(
    ("kind", "said", "output"),
    [
        (str, "Hi", "Hi"),
        (City, '{"name": "Oslo", "people": 7}', City(name="Oslo", people=7)),
        (list[int], '{"response": [1, 2]}', [1, 2]),
        (AgentOutputSchema(dict[str, int], strict_json_schema=False), '{"a": 1}', {"a": 1}),
    ],
)
def test_outputs_have_their_type_also_when_made_again(
    store: Store, kind: Any, said: str, output: object
) -> None:
    agent = Agent("greeter", model=scripted(says(said)), output_type=kind)
    session = store.create()
    assert session.send("Hello", agent=agent).output == output
    (turn,) = session.turns
    assert adapt(agent).output(turn.codec, turn.body) == output


def test_the_output_of_the_agent_that_took_over_is_made_again(store: Store) -> None:
    second = Agent("second", model=scripted(says('{"name": "Oslo", "people": 7}')), output_type=City)
    first = Agent("first", model=scripted(calls("transfer_to_second")), handoffs=[handoff(second)])
    session = store.create()
    run = session.send("Hello", agent=first)
    (turn,) = session.turns
    assert adapt(first).output(turn.codec, turn.body) == run.output == City(name="Oslo", people=7)


def test_an_output_that_cannot_be_made_again_is_told(store: Store) -> None:
    session = store.create()
    session.send("Hello", agent=lambda prompt: "Hi")
    (turn,) = session.turns
    with pytest.raises(InvalidInput, match="cannot be made again"):
        adapt(Agent("greeter", output_type=City)).output(turn.codec, turn.body)


def test_what_a_tool_gave_at_the_end_cannot_be_made_again(store: Store) -> None:
    cleaner = Cleaner(calls("look", path="x"), tool_use_behavior="stop_on_first_tool")
    session = store.create()
    assert session.send("Look", agent=cleaner.agent).output == "x is empty"
    (turn,) = session.turns
    with pytest.raises(InvalidInput, match="cannot be made again"):
        adapt(cleaner.agent).output(turn.codec, turn.body)


def test_what_is_no_unicode_fails_no_run(store: Store) -> None:
    @function_tool
    def find() -> str:
        """Find something."""
        return "half \udc80"

    agent = Agent("finder", model=scripted(calls("find"), says("found \ud83d"), says("Bye")), tools=[find])
    session = store.create()
    assert session.send("Look", agent=agent).output == "found \ufffd"
    assert session.messages[2].text == "half \ufffd"
    assert session.send("Thanks", agent=agent).output == "Bye"


# What goes wrong


def test_a_failing_model_is_one_line_and_what_was_spent_counts(store: Store) -> None:
    cleaner = Cleaner(calls("look", path="x"), ModelStep.raise_error(RuntimeError("no idea,\nreally")))
    session = store.create()
    with pytest.raises(RunFailed, match="cleaner failed: RuntimeError: no idea, really"):
        session.send("Look", agent=cleaner.agent)
    (run,) = session.runs()
    assert (run.status, run.usage.input_tokens, session.messages) == ("failed", 10, [])


def test_a_run_without_end_fails(store: Store) -> None:
    cleaner = Cleaner(*[calls("look", f"c{n}", path="x") for n in range(4)])
    with pytest.raises(RunFailed, match="Max turns"):
        store.create().send("Look", agent=adapt(cleaner.agent, max_turns=2))


def test_a_stop_leaves_what_was_spent_and_the_next_turn_works(store: Store) -> None:
    stop = threading.Event()

    async def waits(call: Any) -> ModelStep:
        stop.set()
        await asyncio.sleep(60)
        raise AssertionError

    cleaner = Cleaner(calls("look", path="x"), ModelStep.respond(waits), says("Bye."))
    session = store.create()

    async def stopped() -> None:
        task = asyncio.create_task(session.asend("Look", agent=cleaner.agent))
        await asyncio.to_thread(stop.wait)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(stopped())
    (run,) = session.runs()
    assert (run.status, run.usage.input_tokens, session.messages) == ("cancelled", 10, [])
    assert session.send("Never mind", agent=cleaner.agent).output == "Bye."


def test_a_run_that_failed_goes_on_and_repeats_no_tool(store: Store) -> None:
    cleaner = Cleaner(calls("look", path="x"), ModelStep.raise_error(RuntimeError("gone")), says("Empty."))
    session = store.create()
    with pytest.raises(RunFailed) as caught:
        session.send("Look", agent=cleaner.agent)
    assert caught.value.run_id is not None
    with pytest.raises(InvalidInput, match="test cannot go on with what another agent began"):
        session.resume_run(caught.value.run_id, agent="test")
    run = session.resume_run(caught.value.run_id, agent=cleaner.agent)
    assert (run.status, run.output, cleaner.done) == ("completed", "Empty.", ["look x"])
    assert [message.role for message in session.messages] == ["user", "assistant", "tool", "assistant"]
    assert [one.usage.requests for one in session.runs()] == [1, 1]
    assert session.usage.input_tokens == 20


# Limits and filters


def test_a_limit_is_asked_about_before_each_request_also_of_agents_that_are_tools() -> None:
    inner = Cleaner(says("Inner."), name="inner")
    outer = Agent(
        "outer",
        model=scripted(calls("ask", input="Look"), says("Outer.")),
        tools=[inner.agent.as_tool("ask", "Ask the other one.")],
    )
    spent: list[int] = []
    answer = Answer()
    answer.on_request = lambda: spent.append(answer.usage.requests)
    request = Request("Go", [], "[]", "s1", "r1")
    asyncio.run(OpenAIAgentsAdapter(outer).arun(request, lambda event: None, answer))
    assert spent == [0, 1, 2]

    class Limit(Exception):
        pass

    def stop() -> None:
        if answer.usage.requests:
            raise Limit("enough")

    looking = Cleaner(calls("look", path="x"), says("Never."))
    answer = Answer(on_request=stop)
    with pytest.raises(Limit):
        asyncio.run(OpenAIAgentsAdapter(looking.agent).arun(request, lambda event: None, answer))
    assert len(looking.model.calls) == 1


def test_a_filter_of_the_person_stays_in_force(store: Store) -> None:
    async def shorten(data: CallModelData[Any]) -> ModelInputData:
        return ModelInputData(input=data.model_data.input[-1:], instructions="Be kind.")

    model = scripted(says("Hi"), says("Ho"))
    config = RunConfig(call_model_input_filter=shorten, tracing_disabled=True)
    session = store.create()
    for prompt in ("Hello", "And?"):
        session.send(prompt, agent=adapt(Agent("greeter", model=model), run_config=config))
    assert (model.calls[1].system_instructions, len(model.calls[1].input)) == ("Be kind.", 1)


def test_a_limit_ends_the_run_before_the_next_request(store: Store) -> None:
    cleaner, session = Cleaner(calls("look", path="x"), says("Never.")), store.create()
    with pytest.raises(nbs.LimitReached):
        session.send("Look", agent=cleaner.agent, limits=nbs.Limits(total_tokens=5))
    assert (len(cleaner.model.calls), session.usage.input_tokens) == (1, 10)


# What it tells nobody


def test_nothing_is_traced_unless_the_person_says_so(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    class Spy(tracing.TracingProcessor):
        def __init__(self) -> None:
            self.seen: list[Any] = []

        def on_trace_start(self, trace: tracing.Trace) -> None:
            self.seen.append(trace)

        def on_trace_end(self, trace: tracing.Trace) -> None: ...
        def on_span_start(self, span: tracing.Span[Any]) -> None:
            self.seen.append(span)

        def on_span_end(self, span: tracing.Span[Any]) -> None: ...
        def shutdown(self) -> None: ...
        def force_flush(self) -> None: ...

    spy, own = Spy(), tracing.provider.DefaultTraceProvider()
    own.register_processor(spy)
    monkeypatch.setattr(tracing.setup, "GLOBAL_TRACE_PROVIDER", own)
    agent = Agent("greeter", model=scripted(says("Hi"), says("Ho")))
    store.create().send("Hello", agent=agent)
    assert spy.seen == []
    store.create().send("Hello", agent=adapt(agent, run_config=RunConfig()))
    assert spy.seen


def test_an_agent_is_told_by_its_type_and_no_other_module_of_that_name() -> None:
    own = type("Agent", (), {"__module__": "agents.agent"})
    assert not is_agent(own())
    assert is_agent(Agent("greeter"))
    assert adapt(Agent("greeter"), name="variable").name == "greeter"
    assert adapt(Agent("greeter", model="gpt-5.2")).model == "gpt-5.2"
    with pytest.raises(nbs.UnsupportedAgent, match="is a class"):
        adapt(Agent)
