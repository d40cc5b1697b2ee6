"""LangGraph's saver of checkpoints: https://docs.langchain.com/oss/python/langgraph/persistence."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import chain, islice
from pathlib import Path
from typing import Any

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import END, START, MessagesState, StateGraph

from tests.peers.base import Chat, Peer, function_call


class Saver(Peer):
    """`SqliteSaver` under a graph of an agent and its tools: a checkpoint for each of their steps, WAL.

    It is as durable as ours by itself: the standard library's `sqlite3` flushes each commit unless it is told
    otherwise. Each checkpoint holds all messages of its thread, and a step's messages are stored once more
    before it, as writes. A fork copies what the last checkpoint holds to a thread of its own; a list goes through
    the checkpoints of all threads, the newest first. It cannot search. `fill` leaves one checkpoint, not one for
    each step: as all of them hold all messages, those of a long session would fill the disk.
    """

    CELL = """
import sqlite3
from langchain_core.messages import AIMessage
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import START, MessagesState, StateGraph

def agent(state):
    return {"messages": [AIMessage("Hello, Ada.")]}

builder = StateGraph(MessagesState)
builder.add_node(agent)
builder.add_edge(START, "agent")
saver = SqliteSaver(sqlite3.connect("{place}/checkpoints.db", check_same_thread=False))
graph = builder.compile(checkpointer=saver)
asked = {"messages": [{"role": "user", "content": "Hello"}]}
answer = graph.invoke(asked, {"configurable": {"thread_id": "first"}})
print(answer["messages"][-1].content)
"""

    def __init__(self, place: str | Path) -> None:
        super().__init__(place)
        self.db = sqlite3.connect(self.place / "checkpoints.db", check_same_thread=False)
        self.saver = SqliteSaver(self.db)
        self._script: Iterator[AnyMessage] = iter(())
        builder = StateGraph(MessagesState)
        builder.add_node("agent", self._answer)
        builder.add_node("tools", self._call)
        builder.add_edge(START, "agent")
        builder.add_conditional_edges("agent", _next, ["tools", END])
        builder.add_edge("tools", "agent")
        self.graph = builder.compile(checkpointer=self.saver)

    def _answer(self, state: MessagesState) -> dict[str, Any]:
        return {"messages": [next(self._script)]}

    def _call(self, state: MessagesState) -> dict[str, Any]:
        last = state["messages"][-1]
        return {"messages": list(islice(self._script, len(_calls(last))))}

    def append(self, session: str, turn: Chat) -> None:
        prompt, *answers = map(_native, turn)
        self._script = iter(answers)
        self.graph.invoke({"messages": [prompt]}, _thread(session))

    def ask(self, session: str, prompt: str) -> None:
        """Invoke the graph with an agent that has no answer, and so ends it."""
        self._script = iter(())
        with suppress(StopIteration, RuntimeError):
            self.graph.invoke({"messages": [HumanMessage(prompt)]}, _thread(session))

    def fill(self, session: str, turns: Sequence[Chat]) -> None:
        self._update(session, list(map(_native, chain.from_iterable(turns))))

    def _update(self, session: str, messages: Sequence[AnyMessage]) -> None:
        self.graph.update_state(_thread(session), {"messages": messages}, as_node="agent")

    def load(self, session: str) -> Sequence[AnyMessage]:
        messages: list[AnyMessage] = self.graph.get_state(_thread(session)).values["messages"]
        return messages

    def chat(self, loaded: Sequence[object]) -> Chat:
        return list(map(_message, loaded))

    def earlier(self, session: str) -> Iterator[Sequence[AnyMessage]]:
        """Yield the messages of all checkpoints, the newest first."""
        for state in self.graph.get_state_history(_thread(session)):
            yield state.values.get("messages", [])

    def sessions(self, limit: int) -> Sequence[str]:
        found: dict[str, None] = {}
        for checkpoint in self.saver.list(None):
            found[checkpoint.config["configurable"]["thread_id"]] = None
            if len(found) == limit:
                break
        return list(found)

    def fork(self, session: str, name: str) -> None:
        self._update(name, self.load(session))

    def delete(self, sessions: Sequence[str]) -> None:
        for session in sessions:
            self.saver.delete_thread(session)

    def close(self) -> None:
        self.db.close()


def _thread(session: str) -> RunnableConfig:
    return {"configurable": {"thread_id": session}}


def _next(state: MessagesState) -> str:
    return "tools" if _calls(state["messages"][-1]) else END


def _calls(message: object) -> list[Any]:
    return message.tool_calls if isinstance(message, AIMessage) else []


def _native(message: dict[str, Any]) -> AnyMessage:
    if message["role"] == "user":
        return HumanMessage(message["content"])
    if message["role"] == "tool":
        return ToolMessage(message["content"], tool_call_id=message["tool_call_id"])
    calls = [
        {
            "id": call["id"],
            "name": call["function"]["name"],
            "args": json.loads(call["function"]["arguments"]),
        }
        for call in message.get("tool_calls", ())
    ]
    return AIMessage(message["content"], tool_calls=calls)


def _message(native: Any) -> dict[str, Any]:
    role = {"human": "user", "ai": "assistant", "tool": "tool"}[native.type]
    message = {"role": role, "content": native.content}
    if native.type == "tool":
        return {**message, "tool_call_id": native.tool_call_id}
    calls = [function_call(call["id"], call["name"], call["args"]) for call in _calls(native)]
    return {**message, "tool_calls": calls}
