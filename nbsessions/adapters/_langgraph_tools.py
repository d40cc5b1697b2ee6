"""The tools of a LangGraph graph: those of its ``ToolNode``s, and of the graphs that are its nodes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from langchain_core.language_models import BaseLanguageModel
from langchain_core.runnables import Runnable, RunnableSequence
from langchain_core.runnables.base import RunnableBinding
from langgraph.prebuilt import ToolNode
from langgraph.pregel import Pregel

from nbsessions.adapters.base import Tool


def tools_of(runnable: Runnable[Any, Any]) -> list[Tool] | None:
    """Return the tools of a graph; None of what is neither a graph nor a model alone.

    Examples
    --------
    >>> from langchain_core.language_models import FakeListChatModel
    >>> tools_of(FakeListChatModel(responses=["Hi"]))
    []
    """
    if isinstance(runnable, Pregel):
        return list({tool.name: tool for tool in _inside(runnable)}.values())
    return [] if isinstance(runnable, BaseLanguageModel) else None


def _inside(runnable: Runnable[Any, Any]) -> Iterator[Tool]:
    if isinstance(runnable, ToolNode):
        for name, tool in runnable.tools_by_name.items():
            yield Tool(name, tool.description or "")
    elif isinstance(runnable, Pregel):
        for node in runnable.nodes.values():
            yield from _inside(node.bound)
    elif isinstance(runnable, RunnableBinding):
        yield from _inside(runnable.bound)
    elif isinstance(runnable, RunnableSequence):
        for step in runnable.steps:
            yield from _inside(step)
