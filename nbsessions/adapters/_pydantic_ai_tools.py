"""The tools of a pydantic-ai agent, as far as its toolsets have them before a run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from pydantic_ai.toolsets import (
    AbstractToolset,
    CombinedToolset,
    ExternalToolset,
    FunctionToolset,
    PrefixedToolset,
    RenamedToolset,
    WrapperToolset,
)

from nbsessions.adapters.base import Tool


def tools_of(toolset: AbstractToolset[Any]) -> Iterator[Tool]:
    """Yield the tools of a toolset; of one that knows them in a run only, its own name.

    Examples
    --------
    >>> def add(a: int, b: int) -> int:
    ...     '''Add two numbers.'''
    ...     return a + b
    >>> list(tools_of(FunctionToolset([add]).prefixed("math")))
    [Tool(name='math_add', description='Add two numbers.')]
    """
    if isinstance(toolset, CombinedToolset):
        for part in toolset.toolsets:
            yield from tools_of(part)
    elif isinstance(toolset, WrapperToolset):
        for tool in tools_of(toolset.wrapped):
            yield replace(tool, name=_name(toolset, tool.name))
    elif isinstance(toolset, FunctionToolset):
        for found in toolset.tools.values():
            yield Tool(found.name, found.description or "")
    elif isinstance(toolset, ExternalToolset):
        for definition in toolset.tool_defs:
            yield Tool(definition.name, definition.description or "")
    else:
        yield Tool(toolset.label, "it tells its tools in a run")


def _name(toolset: WrapperToolset[Any], name: str) -> str:
    if isinstance(toolset, PrefixedToolset):
        return f"{toolset.prefix}_{name}"
    if isinstance(toolset, RenamedToolset):
        return {old: new for new, old in toolset.name_map.items()}.get(name, name)
    return name
