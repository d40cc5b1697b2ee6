"""Copies of LangGraph's graphs whose tools wait until they may be called."""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from langchain_core.messages import AIMessage, ToolCall, ToolMessage
from langchain_core.runnables import Runnable, RunnableConfig, RunnableSequence
from langchain_core.runnables.base import RunnableBinding
from langgraph.prebuilt import ToolNode
from langgraph.prebuilt.tool_node import ToolCallRequest
from langgraph.pregel import Pregel
from langgraph.runtime import Runtime

from nbsessions.exceptions import AgentError
from nbsessions.permissions import Decision

_Execute = Callable[[ToolCallRequest], Awaitable[Any]]


class Gates:
    """Makes copies of a graph, and of all graphs that are its nodes, whose ``ToolNode`` asks first.

    The person's own graph stays as it is. All calls of one message are asked about before the first of them
    is made: so none is made twice where the answer comes in another process.

    Parameters
    ----------
    must_ask : callable
        See `nbsessions.adapters.base.Request`.
    ask : callable
        Asks about one call; None where it may be made freely.

    Attributes
    ----------
    tool_nodes : set of str
        The names of nodes that call tools.
    """

    def __init__(
        self, must_ask: Callable[[str, bool], bool], ask: Callable[[ToolCall], Awaitable[Decision | None]]
    ) -> None:
        self.tool_nodes: set[str] = set()
        self._must_ask, self._ask = must_ask, ask
        self._asking = asyncio.Lock()
        self._decisions: dict[tuple[str | None, str | None], Decision | None] = {}

    def graph(self, graph: Pregel[Any, Any, Any, Any], **changes: Any) -> Pregel[Any, Any, Any, Any]:
        """Return the copy of a graph, with other changes.

        Raises
        ------
        AgentError
            A function calls a graph whose tools cannot be held back there.
        """
        nodes = {}
        for name, node in graph.nodes.items():
            bound = self._bound(name, node.bound)
            if bound is node.bound and node.subgraphs:
                self._refuse(name, node.subgraphs)
            nodes[name] = node if bound is node.bound else node.copy({"bound": bound, "subgraphs": None})
        return graph.copy({"nodes": nodes, **changes})

    def _bound(self, name: str, bound: Runnable[Any, Any]) -> Runnable[Any, Any]:
        if isinstance(bound, ToolNode):
            self.tool_nodes.add(name)
            return self._tools(bound)
        if isinstance(bound, Pregel):
            return self.graph(bound)
        if isinstance(bound, RunnableBinding):
            inner = self._bound(name, bound.bound)
            return bound if inner is bound.bound else bound.model_copy(update={"bound": inner})
        if isinstance(bound, RunnableSequence):
            steps = [self._bound(name, step) for step in bound.steps]
            return bound if steps == bound.steps else RunnableSequence(*steps, name=bound.name)
        return bound

    def _refuse(self, name: str, subgraphs: Sequence[Any]) -> None:
        """Raise where a function of the person calls a graph whose tools must be asked about."""
        for graph in subgraphs:
            for node in getattr(graph, "nodes", {}).values():
                tools = node.bound.tools_by_name if isinstance(node.bound, ToolNode) else ()
                if any(self._must_ask(tool, False) for tool in tools):
                    raise AgentError(
                        f"the tools of the graph that {name} calls cannot be held back there: "
                        f"make that graph the node {name} itself, or allow its tools"
                    )
                self._refuse(name, node.subgraphs)

    def _tools(self, node: ToolNode) -> ToolNode:
        if not any(self._must_ask(tool, False) for tool in node.tools_by_name):
            return node

        async def answer(given: Any, config: RunnableConfig, runtime: Runtime[Any]) -> Any:
            calls, kind = node._parse_input(given)
            message_id, beside = _beside(node, given, config)
            _check_ids(beside)
            _check_ids(calls)
            asked_about = [*beside, *(call for call in calls if call not in beside)]
            decided = {call["id"]: await self._decided(call, message_id) for call in asked_about}
            asked = copy.copy(node)
            asked._awrap_tool_call = _deciding(node, decided, kind)
            return await asked._afunc(given, config, runtime)

        gated = copy.copy(node)
        gated.func, gated.afunc = None, answer
        return gated

    async def _decided(self, call: ToolCall, message_id: str | None) -> Decision | None:
        """Ask about a call, once: each of those that are made at the same time waits for all of them."""
        async with self._asking:
            place = (message_id, call["id"])
            if place not in self._decisions:
                self._decisions[place] = await self._ask(call)
            return self._decisions[place]


def _beside(node: ToolNode, given: Any, config: RunnableConfig) -> tuple[str | None, list[ToolCall]]:
    """Return the message that calls are of, and all calls of it that have no result yet."""
    state = node._extract_state(given, config)
    key = node._messages_key
    held: Any = state.get(key) if isinstance(state, dict) else getattr(state, key, state)
    messages: list[Any] = held if isinstance(held, list) else []
    said = [at for at, one in enumerate(messages) if isinstance(one, AIMessage)]
    if not said:
        return None, []
    last = messages[said[-1]]
    answered = {one.tool_call_id for one in messages[said[-1] :] if isinstance(one, ToolMessage)}
    return last.id, [call for call in last.tool_calls if call["id"] not in answered]


def _check_ids(calls: Sequence[ToolCall]) -> None:
    """Raise where calls cannot be told apart: what is decided about one would hold for another."""
    ids = [call["id"] for call in calls]
    if len({*ids}) < len(ids):
        raise AgentError(
            "the model gave several calls one id: they cannot be decided about, and none is made"
        )


def _deciding(node: ToolNode, decided: Mapping[str | None, Decision | None], kind: Any) -> Any:
    """Return what calls a tool as it was decided, by way of what the person's node wraps its calls in."""

    async def call_tool(request: ToolCallRequest, execute: _Execute) -> Any:
        call = request.tool_call
        decision = decided.get(call["id"])
        if decision is not None and not decision.approved:
            told = decision.for_model()
            return ToolMessage(told, name=call["name"], tool_call_id=call["id"], status="error")
        if decision is not None and decision.arguments is not None:
            request = request.override(tool_call={**call, "args": json.loads(decision.arguments)})
        if node._awrap_tool_call is not None:
            return await node._awrap_tool_call(request, execute)
        if node._wrap_tool_call is None:
            return await execute(request)
        config = request.runtime.config

        def at_once(one: ToolCallRequest) -> Any:
            return node._execute_tool_sync(one, kind, config)

        return node._wrap_tool_call(request, at_once)

    return call_tool
