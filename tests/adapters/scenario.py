"""
One script, played by an agent of each framework with that framework's own model for tests.

It streams text, calls two tools, of which one fails and is tried again, asks a sub-agent, and answers.
Each framework has one entry in the tables at the end.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import nbsessions as nbs
from nbsessions import Message, Session
from nbsessions.adapters import adapt
from tests.adapters.kinds import kinds

PROMPT = "Shall I take an umbrella in Oslo?"
INPUT, OUTPUT = 10, 2
"""What each request of a model takes and makes, in tokens."""
FAILED = "There is no Olso."
"""What a model is told of the tool that failed."""


@dataclass(frozen=True)
class Call:
    """A call of a tool, as a model writes it."""

    name: str
    call_id: str
    arguments: dict[str, str]

    @property
    def written(self) -> str:
        return json.dumps(self.arguments)


@dataclass(frozen=True)
class Step:
    """What the model says at one request, piece by piece, and what it calls then."""

    text: tuple[str, ...] = ()
    call: Call | None = None


SCRIPT = (
    Step(("Let me ", "look."), Call("weather", "c1", {"city": "Olso"})),
    Step(call=Call("weather", "c2", {"city": "Oslo"})),
    Step(call=Call("clock", "c3", {"city": "Oslo"})),
    Step(call=Call("critic", "c4", {"prompt": "Take an umbrella?"})),
    Step(("Take ", "an ", "umbrella.")),
)
PLAIN = (Step(("Take ", "an ", "umbrella.")),)


class NoSuchCity(Exception):
    """What the tool fails with, once."""


def weather(city: str) -> str:
    """Tell the weather of a city."""
    if city != "Oslo":
        raise NoSuchCity(f"There is no {city}.")
    return "rain"


def clock(city: str) -> str:
    """Tell the time in a city."""
    return "10:00"


def critic(prompt: str, history: list[Message]) -> str:
    """The sub-agent."""
    return f"{prompt} Of course. ({len(history)} before)"


def asks_critic() -> Callable[[str], Any]:
    return nbs.as_tool(critic, "critic", "Ask the critic.")


Script = tuple[Step, ...]


def of_pydantic_ai(script: Script, ask: Callable[..., Any] | None = None) -> Any:
    from pydantic_ai import Agent, ModelRetry, RequestUsage
    from pydantic_ai.messages import ModelMessage, ModelResponse
    from pydantic_ai.models.function import AgentInfo, DeltaToolCall, DeltaToolCalls, FunctionModel

    async def stream(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[str | DeltaToolCalls]:
        step = script[sum(isinstance(message, ModelResponse) for message in messages) % len(script)]
        for piece in step.text:
            yield piece
        if step.call is not None:
            yield {0: DeltaToolCall(step.call.name, step.call.written, tool_call_id=step.call.call_id)}

    class Spends(FunctionModel):
        @asynccontextmanager
        async def request_stream(self, *arguments: Any, **options: Any) -> AsyncIterator[Any]:
            async with super().request_stream(*arguments, **options) as response:
                events = response._get_event_iterator

                async def counted() -> AsyncIterator[Any]:
                    async for event in events():
                        yield event
                    response._usage = RequestUsage(input_tokens=INPUT, output_tokens=OUTPUT)

                response._get_event_iterator = counted  # type: ignore[method-assign]
                yield response

    def retried(city: str) -> str:
        try:
            return weather(city)
        except NoSuchCity as error:
            raise ModelRetry(str(error)) from error

    agent = Agent(Spends(stream_function=stream), name="forecaster", retries=1)
    agent.tool_plain(name="weather")(retried)
    agent.tool_plain(clock)
    agent.tool_plain(ask or asks_critic())
    return agent


def of_openai_agents(script: Script) -> object:
    from agents import Agent, function_tool
    from agents.testing import ModelStep, ScriptedModel, assistant_message, function_call
    from agents.usage import Usage

    def said(step: Step) -> ModelStep:
        output = [assistant_message("".join(step.text))] if step.text else []
        if step.call is not None:
            output.append(function_call(step.call.name, step.call.written, call_id=step.call.call_id))
        usage = Usage(requests=1, input_tokens=INPUT, output_tokens=OUTPUT, total_tokens=INPUT + OUTPUT)
        return ModelStep(output=output, usage=usage)

    return Agent(
        "forecaster",
        model=ScriptedModel([said(step) for step in script] * 2),
        tools=[
            function_tool(weather, failure_error_function=lambda context, error: FAILED),
            function_tool(clock),
            function_tool(asks_critic()),
        ],
    )


def of_langgraph(script: Script) -> object:
    from langchain_core.tools import tool
    from langgraph.graph import START, MessagesState, StateGraph
    from langgraph.prebuilt import ToolNode, tools_condition

    from tests.adapters.langchain_models import Scripted, says

    def said(step: Step) -> Any:
        call = step.call
        calls = [] if call is None else [(call.call_id, call.name, call.arguments)]
        return says("".join(step.text), *calls)

    def failed(error: NoSuchCity) -> str:
        return str(error)

    model = Scripted(steps=[said(step) for step in script] * 2)

    async def answer(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await model.ainvoke(state["messages"])]}

    graph = StateGraph(MessagesState)
    graph.add_node("model", answer)
    graph.add_node("tools", ToolNode([weather, clock, tool(asks_critic())], handle_tool_errors=failed))
    graph.add_edge(START, "model")
    graph.add_conditional_edges("model", tools_condition)
    graph.add_edge("tools", "model")
    return graph.compile(name="forecaster")


def of_a_function(script: Script) -> object:
    tools: dict[str, Callable[..., Any]] = {"weather": weather, "clock": clock}

    async def forecaster(prompt: str) -> list[dict[str, Any]]:
        ask = asks_critic()
        messages: list[dict[str, Any]] = []
        for step in script:
            text, call = "".join(step.text) or None, step.call
            if call is None:
                messages.append({"role": "assistant", "content": text})
                continue
            called = {
                "id": call.call_id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.written},
            }
            messages.append({"role": "assistant", "content": text, "tool_calls": [called]})
            try:
                if call.name == "critic":
                    result = await ask(call.arguments["prompt"])
                else:
                    result = tools[call.name](**call.arguments)
            except NoSuchCity:
                result = FAILED
            messages.append({"role": "tool", "tool_call_id": call.call_id, "content": result})
        return messages

    return forecaster


def of_ag_ui(script: Script) -> object:
    """An agent elsewhere, whose sub-agent is there, too."""
    from tests.adapters.endpoints import served

    def ask(prompt: str) -> str:
        return critic(prompt, [])

    ask.__name__ = "critic"
    return adapt(OPEN.enter_context(served(of_pydantic_ai(script, ask))), name="forecaster")


OPEN = ExitStack()
"""What is served for a test, until that ends."""


def of_the_local_model(script: Script) -> object:
    return "local"


FRAMEWORKS: dict[str, Callable[[Script], object]] = {
    "pydantic-ai": of_pydantic_ai,
    "openai-agents": of_openai_agents,
    "langgraph": of_langgraph,
    "function": of_a_function,
    "ag-ui": of_ag_ui,
}
"""Who plays `SCRIPT`. A framework comes in with one entry, which makes an agent that does."""

WITHOUT_TOOLS: dict[str, Callable[[Script], object]] = {**FRAMEWORKS, "local": of_the_local_model}
"""Who plays `PLAIN`, where no tools are needed; the local model says what it likes."""

COUNTS_NOTHING = frozenset({"function"})
"""A function does not say what it spends."""

COUNTS_IN_SUM = frozenset({"ag-ui"})
"""An endpoint says what a run spent, and not what each request did."""

ASKS_ELSEWHERE = frozenset({"ag-ui"})
"""Sub-agents of an endpoint are no sessions here."""


def events(session: Session, run: nbs.Run) -> list[str]:
    """The types of a run's events. Those of ours come when they come, and pieces are as long as they are."""
    # What a provider keeps for itself is beside what is said.
    beside = ("CUSTOM", "REASONING_ENCRYPTED_VALUE")
    found: list[str] = []
    for kind in kinds(event for event in session.run_events(run.run_id) if event.type not in beside):
        if kind == "TEXT_MESSAGE_END" and found[-1] == "TEXT_MESSAGE_START":
            found.pop()  # an endpoint begins a message for its calls, too
        else:
            found.append(kind)
    return found


def view(messages: Sequence[Message]) -> list[tuple[Any, ...]]:
    """What messages say, in the words of all frameworks."""
    found: list[tuple[Any, ...]] = []
    for message in messages:
        calls = [(call.name, call.call_id, json.loads(call.arguments)) for call in message.calls]
        found.append((message.role, message.text, calls, message.tool_call_id))
    return found
