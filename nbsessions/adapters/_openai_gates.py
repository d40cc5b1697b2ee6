"""Copies of agents of the OpenAI Agents SDK whose tools wait until they may be called."""

from __future__ import annotations

import copy
import weakref
from collections.abc import Callable
from dataclasses import replace
from types import CellType, FunctionType
from typing import Any

from agents import Agent, ApplyPatchTool, CustomTool, FunctionTool, Handoff, ShellTool, Tool
from agents.tool_context import ToolContext

from nbsessions.exceptions import AgentError


class Gates:
    """Makes copies of an agent, and of all that it hands off to, whose tools ask before they are called.

    The person's own agents stay as they are. A call that must be asked about interrupts the run, which is
    how the SDK lets a person decide: https://openai.github.io/openai-agents-python/human_in_the_loop/

    Parameters
    ----------
    must_ask : callable
        See `nbsessions.adapters.base.Request`.

    Attributes
    ----------
    edits : dict
        What a tool is called with instead, by its name and the id of the call.

    Examples
    --------
    >>> from agents import Agent, function_tool
    >>> @function_tool
    ... def remove(path: str) -> str:
    ...     return f"removed {path}"
    >>> agent = Agent("cleaner", tools=[remove])
    >>> Gates(lambda name, required: True).agent(agent).tools[0].needs_approval, remove.needs_approval
    (True, False)
    """

    def __init__(self, must_ask: Callable[[str, bool], bool]) -> None:
        self.edits: dict[tuple[str, str], str] = {}
        self._must_ask = must_ask
        self._required: set[str] = set()
        self._asked_by_rules: set[str] = set()
        self._editable: set[str] = set()
        # The originals are kept with their copies: nothing else shall get the id of one.
        self._agents: dict[int, tuple[Agent[Any], Agent[Any]]] = {}

    def is_required(self, tool_name: str) -> bool:
        """Tell whether a tool of this name wants by itself that its calls are asked about.

        Of one that is not known here, such as one of a server that the provider asks, nobody else does.
        """
        return tool_name in self._required or tool_name not in self._asked_by_rules

    def is_editable(self, tool_name: str) -> bool:
        """Tell whether a tool of this name can be called with other arguments."""
        return tool_name in self._editable

    def agent(self, agent: Agent[Any]) -> Agent[Any]:
        """Return the copy of an agent: always the same one."""
        if id(agent) in self._agents:
            return self._agents[id(agent)][1]
        gated = copy.copy(agent)
        # Agents hand off to each other in circles.
        self._agents[id(agent)] = (agent, gated)
        gated.tools = [self._tool(tool) for tool in agent.tools]
        gated.handoffs = [self._handoff(target) for target in agent.handoffs]
        if agent.mcp_servers:

            async def from_servers(context: Any) -> list[Tool]:
                return [self._tool(tool) for tool in await type(gated).get_mcp_tools(gated, context)]

            # What a server has is known only while the agent runs.
            object.__setattr__(gated, "get_mcp_tools", from_servers)
        return gated

    def _handoff(self, target: Agent[Any] | Handoff[Any, Any]) -> Agent[Any] | Handoff[Any, Any]:
        if isinstance(target, Agent):
            return self.agent(target)

        async def hand_off(context: Any, arguments: str) -> Any:
            return self.agent(await target.on_invoke_handoff(context, arguments))

        gated = replace(target, on_invoke_handoff=hand_off)
        meant = None if target._agent_ref is None else target._agent_ref()
        if isinstance(meant, Agent):
            gated._agent_ref = weakref.ref(self.agent(meant))
        return gated

    def _tool(self, tool: Tool) -> Tool:
        if not isinstance(tool, (FunctionTool, ShellTool, ApplyPatchTool, CustomTool)):
            return tool  # the provider calls it, on its own side
        inner = tool._agent_instance if isinstance(tool, FunctionTool) else None
        needs_approval = self._needs_approval(tool)
        if needs_approval is False and inner is None:
            return tool
        gated = copy.copy(tool)
        gated.needs_approval = needs_approval
        if isinstance(gated, FunctionTool):
            if inner is not None:
                _ask_another(gated, inner, self.agent(inner))
            self._make_editable(gated)
        elif needs_approval is not False:
            # Who is to decide is not the tool's own callback.
            gated.on_approval = None
        return gated

    def _needs_approval(self, tool: FunctionTool | ShellTool | ApplyPatchTool | CustomTool) -> Any:
        """Return whether calls of a tool interrupt the run: always, never, or as it decides itself."""
        own: Any = tool.needs_approval
        if own is not False:
            self._required.add(tool.name)
        where: Any = tool.environment if isinstance(tool, ShellTool) else None
        if where is not None and where["type"] != "local":
            return own  # it runs at the provider, who lets nobody ask
        if self._must_ask(tool.name, False):
            self._asked_by_rules.add(tool.name)
            return True
        return own if own is not False and self._must_ask(tool.name, True) else False

    def _make_editable(self, tool: FunctionTool) -> None:
        self._editable.add(tool.name)
        call = tool.on_invoke_tool

        async def invoke(context: ToolContext[Any], arguments: str) -> Any:
            return await call(context, self.edits.get((tool.name, context.tool_call_id), arguments))

        tool.on_invoke_tool = invoke


def _ask_another(tool: FunctionTool, inner: Agent[Any], gated: Agent[Any]) -> None:
    """Make what `Agent.as_tool` made ask the copy of its agent.

    The SDK has no way to say so: it keeps that agent in a closure. Where it is not found there, the tool is
    not called at all, as its agent would call its own tools unasked.
    """
    invoker: Any = copy.copy(tool.on_invoke_tool)
    run: Any = getattr(invoker, "_invoke_tool_impl", None)
    cells = list(getattr(run, "__closure__", None) or ())
    found = [at for at, name in enumerate(run.__code__.co_freevars if cells else ()) if name == "self"]
    if len(found) != 1 or cells[found[0]].cell_contents is not inner:
        raise AgentError(
            f"the tools of {inner.name} cannot be held back where it is a tool itself: "
            f"give nbsessions.as_tool({inner.name}) as the tool"
        )
    cells[found[0]] = CellType(gated)
    again = FunctionType(run.__code__, run.__globals__, run.__name__, run.__defaults__, tuple(cells))
    again.__kwdefaults__ = run.__kwdefaults__
    invoker._invoke_tool_impl = again
    tool.on_invoke_tool = invoker
    tool._agent_instance = gated
