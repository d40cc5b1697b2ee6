"""Our sessions inside other frameworks: each module needs the framework that it is for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nbsessions.bridges import langgraph, openai_agents, pydantic_ai

__all__ = ["langgraph", "openai_agents", "pydantic_ai"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module(f"{__name__}.{name}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
