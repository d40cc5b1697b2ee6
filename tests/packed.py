"""Ways in which a key could get into a store within something that a framework has packed."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from agents import Agent as OpenAIAgent
from agents import function_tool
from agents.testing import ScriptedModel, function_call
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import tool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import Send, interrupt
from pydantic import BaseModel, SecretStr
from pydantic_ai import Agent, BinaryContent, ToolReturn
from pydantic_ai.messages import ModelMessage
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, DeltaToolCalls, FunctionModel

import nbsessions as nbs
from nbsessions import Policy, Session, Store
from nbsessions.bridges.langgraph import Saver


class Login(BaseModel):
    """A value of a state."""

    url: str
    key: SecretStr


class Pair(NamedTuple):
    """A value of a state."""

    name: str
    key: str


@dataclass
class Options:
    """A value of a state."""

    headers: dict[str, str]


class Held(MessagesState):
    """A state that holds much."""

    more: Any


def values(own: list[str]) -> dict[Any, Any]:
    """Return a state's value in which keys are in all kinds of places."""
    text = " and ".join(own)
    return {
        text: 1,
        7: [text, (text, {text})],
        "login": Login(url=text, key=SecretStr(text)),
        "pair": Pair("key", text),
        "options": [Options({"Authorization": text}), Path(own[0].replace("\n", " ")), Send("next", text)],
        "bytes": [text.encode(), bytearray(text.encode())],
        "nan": float("nan"),
    }


def checkpoints(store: Store, session: Session, own: list[str], folder: Path) -> None:
    """Let a graph work that the store checkpoints, to its end, and until it waits."""
    allow = [Login, Pair, Options, SecretStr]

    def answer(state: Held) -> dict[str, Any]:
        asked = state["messages"][-1].text
        call = {"name": "fetch", "args": {"key": own[0]}, "id": "c1"}
        return {
            "messages": [AIMessage(f"Use {asked}", tool_calls=[call])],
            "more": values(own),
        }

    graph = StateGraph(Held)
    graph.add_node("answer", answer)
    graph.add_node("wait", lambda state: {"more": interrupt({"with": values(own)})})
    graph.add_edge(START, "answer")
    graph.add_edge("answer", "wait")
    chat = graph.compile(checkpointer=Saver(store, allow=allow))
    for number, text in enumerate(own[:12]):
        config: Any = {"configurable": {"thread_id": f"t{number}"}, "metadata": {"key": text, "all": own}}
        chat.invoke({"messages": [HumanMessage(text)], "more": text.encode()}, config)
        chat.update_state(config, {"more": [text]})


@tool
def fetch(headers: str) -> str:
    """Fetch a page."""
    return headers


def waits_in_a_graph(store: Store, session: Session, own: list[str], folder: Path) -> None:
    """Let a graph wait for a decision."""
    text = " and ".join(own)

    def call(state: Held) -> dict[str, Any]:
        called = {"name": "fetch", "args": {"headers": text}, "id": "c1"}
        return {"messages": [AIMessage(text, tool_calls=[called])], "more": values(own)}

    graph = StateGraph(Held)
    graph.add_node("call", call)
    graph.add_node("tools", ToolNode([fetch]))
    graph.add_edge(START, "call")
    graph.add_edge("call", "tools")
    agent = graph.compile(name="graph")
    _wait(store, agent, f"Use {text}", policy=Policy("ask"))


def waits_in_the_sdk(store: Store, session: Session, own: list[str], folder: Path) -> None:
    """Let an agent of the OpenAI Agents SDK wait for a decision."""
    text = " and ".join(own)

    def fetch(headers: str) -> str:
        return headers

    calls = [function_call("fetch", {"headers": text}, call_id="c1")]
    agent = OpenAIAgent(
        "sdk", model=ScriptedModel([calls]), tools=[function_tool(fetch, needs_approval=True)]
    )
    _wait(store, agent, f"Use {text}")


def waits_in_pydantic_ai(store: Store, session: Session, own: list[str], folder: Path) -> None:
    """Let an agent of pydantic-ai wait for a decision, after a tool that returned a file."""
    text = " and ".join(own)

    async def model(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[DeltaToolCalls]:
        name = "look" if len(messages) == 1 else "fetch"
        args = json.dumps({"headers": text} if name == "fetch" else {})
        yield {0: DeltaToolCall(name, args, tool_call_id=name)}

    agent = Agent(FunctionModel(stream_function=model), name="sage")

    @agent.tool_plain
    def look() -> ToolReturn:
        return ToolReturn(text, content=[BinaryContent(text.encode(), media_type="text/plain")])

    @agent.tool_plain(requires_approval=True)
    def fetch(headers: str) -> str:
        return headers

    _wait(store, agent, f"Use {text}")


def _wait(store: Store, agent: Any, prompt: str, **how: Any) -> None:
    run = store.create().send(prompt, agent=agent, approve=nbs.later, **how)
    assert run.status == "suspended"


PACKED = {
    "checkpoints": checkpoints,
    "waits in a graph": waits_in_a_graph,
    "waits in the SDK": waits_in_the_sdk,
    "waits in pydantic-ai": waits_in_pydantic_ai,
}
