"""Which tools an agent tells that it has, without asking a model or a server."""

from __future__ import annotations

from collections.abc import Sequence

from agents import Agent as SDKAgent
from agents import WebSearchTool, function_tool
from langchain.agents import create_agent
from langchain_core.language_models import FakeListChatModel
from langchain_core.runnables import RunnableLambda
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from pydantic_ai import Agent, RunContext
from pydantic_ai.models.test import TestModel
from pydantic_ai.toolsets import CombinedToolset, FunctionToolset

from nbsessions.adapters import adapt
from nbsessions.adapters.base import Tool


def read_file(path: str) -> str:
    """Return what a file says.

    All of it.
    """
    return path


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def listed(agent: object) -> list[tuple[str, str]] | None:
    tools: Sequence[Tool] | None = adapt(agent).tools()
    return None if tools is None else [(tool.name, tool.summary) for tool in tools]


READ, ADD = ("read_file", "Return what a file says."), ("add", "Add two numbers.")


def test_pydantic_ai() -> None:
    assert listed(Agent(TestModel())) == []
    toolset = CombinedToolset(
        [FunctionToolset([add]).prefixed("math"), FunctionToolset([add]).renamed({"plus": "add"})]
    )
    agent = Agent(TestModel(), tools=[read_file], toolsets=[toolset.filtered(lambda run, tool: True)])
    assert listed(agent) == [READ, ("math_add", ADD[1]), ("plus", ADD[1])]
    given = adapt(Agent(TestModel()), toolsets=[FunctionToolset([add])]).tools()
    assert given is not None
    assert [tool.name for tool in given] == ["add"]


def test_tools_that_are_known_in_a_run_only_are_named_as_one() -> None:
    agent = Agent(TestModel())

    @agent.toolset
    def later(run: RunContext[object]) -> FunctionToolset[object]:
        raise AssertionError("nobody runs")

    (found,) = adapt(agent).tools() or ()
    assert "later" in found.name or "Dynamic" in found.name
    assert found.summary == "it tells its tools in a run"


def test_openai_agents() -> None:
    critic = SDKAgent("critic")
    agent = SDKAgent("writer", tools=[function_tool(read_file), WebSearchTool()], handoffs=[critic])
    assert listed(agent) == [READ, ("web_search", ""), ("transfer_to_critic", "hands off to critic")]
    assert listed(critic) == []


def test_langgraph() -> None:
    model = FakeListChatModel(responses=["Hi"])
    assert listed(model) == []
    assert listed(create_agent(model, [])) == []
    inner = StateGraph(MessagesState)
    inner.add_node("tools", ToolNode([read_file, add]))
    inner.add_edge(START, "tools")
    outer = StateGraph(MessagesState)
    outer.add_node("inner", inner.compile())
    outer.add_node("tools", ToolNode([add]))
    outer.add_edge(START, "inner")
    assert listed(outer.compile()) == [READ, ADD]
    assert listed(RunnableLambda(lambda text: text)) is None


def test_who_does_not_tell() -> None:
    assert listed(lambda prompt: prompt) is None
    assert listed("local") == []
