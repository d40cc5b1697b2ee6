"""An agent that takes two steps, the second of which may fail or kill; also for other processes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from pydantic_ai import Agent
from pydantic_ai.messages import ModelMessage, ToolReturnPart
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, DeltaToolCalls, FunctionModel


def risky(calls: list[str], second: Callable[[], str]) -> Agent[None, str]:
    """Return an agent that calls `look`, then `act`, and then says what both gave."""

    async def answer(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[str | DeltaToolCalls]:
        done = [part.content for m in messages for part in m.parts if isinstance(part, ToolReturnPart)]
        if len(done) < 2:
            name = ("look", "act")[len(done)]
            yield {0: DeltaToolCall(name=name, json_args="{}", tool_call_id=f"c{len(done)}")}
        else:
            yield " and ".join(map(str, done))

    agent = Agent(FunctionModel(stream_function=answer), name="risky")

    @agent.tool_plain
    def look() -> str:
        calls.append("look")
        return "seen"

    @agent.tool_plain
    def act() -> str:
        calls.append("act")
        return second()

    return agent
