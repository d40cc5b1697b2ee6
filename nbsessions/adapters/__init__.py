"""Agents of every framework, behind one interface."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from inspect import signature
from typing import Any

from nbsessions.adapters.base import Adapter
from nbsessions.exceptions import InvalidInput, MissingExtra, UnsupportedAgent
from nbsessions.text import is_url

__all__ = ["adapt", "is_agent"]


def is_agent(value: object) -> bool:
    """Tell whether `adapt` makes an agent of an object: what can be called, an adapter, or a framework's.

    Examples
    --------
    >>> is_agent(lambda prompt: prompt.upper()), is_agent(int), is_agent("local")
    (True, False, False)
    """
    kinds = (_is_of_pydantic_ai, _is_of_openai_agents, _is_of_langchain)
    known = isinstance(value, Adapter) or any(is_of(value) for is_of in kinds)
    return known or (callable(value) and not isinstance(value, type))


def _is_of_pydantic_ai(value: object) -> bool:
    mro = type(value).__mro__
    own = {base.__name__ for base in mro if base.__module__.partition(".")[0] == "pydantic_ai"}
    return not own.isdisjoint({"AbstractAgent", "Model"})


def _is_of_openai_agents(value: object) -> bool:
    # Many a project has a module `agents`, too.
    sdk: Any = sys.modules.get("agents")
    return hasattr(sdk, "RunState") and isinstance(value, sdk.Agent)


def _is_of_langchain(value: object) -> bool:
    mro = type(value).__mro__
    own = {
        base.__name__ for base in mro if base.__module__.partition(".")[0] in ("langchain_core", "langgraph")
    }
    return not own.isdisjoint({"Runnable", "StateGraph"}) and "BaseTool" not in own


def adapt(
    agent: object = None, *, model: str | None = None, name: str | None = None, **options: Any
) -> Adapter:
    """Return the adapter that makes `agent` answer.

    Frameworks are told by the type of the object: none is imported that is not loaded.

    Parameters
    ----------
    agent : object
        A function (sync or async, returning or yielding text), a pydantic-ai ``Agent`` or ``Model``, an
        ``Agent`` of the OpenAI Agents SDK, a graph of LangGraph, a chat model or another runnable of
        LangChain, a model string such as ``openai:gpt-5.2`` or ``ollama:llama3.2``, the URL of an AG-UI
        endpoint, or an adapter. None and ``local``: the small model on this machine, unless `model` says
        otherwise.
    model : str or None
        The model to use where `agent` is None.
    name : str or None
        What to call an agent that has no name of its own.
    **options
        What its framework is given with each run: `deps`, `toolsets`, `usage_limits`... of pydantic-ai (see
        `PydanticAIAdapter`); `context`, `run_config`, `max_turns`, `hooks` of the OpenAI Agents SDK (see
        `OpenAIAgentsAdapter`); `config`, `context` of LangGraph (see `LangGraphAdapter`); `headers` and
        `token` of an endpoint (see `AGUIAdapter`).

    Raises
    ------
    UnsupportedAgent, AgentUnavailable, MissingExtra
    InvalidInput
        Such an agent takes no such option.

    Examples
    --------
    >>> def shout(prompt):
    ...     return prompt.upper()
    >>> adapt(shout).name
    'shout'
    >>> adapt(shout, deps=42)  # such as an agent of pydantic-ai takes
    Traceback (most recent call last):
    nbsessions.exceptions.InvalidInput: An agent of the kind function takes no deps.
    """
    chosen = model if agent is None else agent
    if isinstance(chosen, Adapter) or chosen is None or chosen == "local":
        _refuse(options, (), "local" if chosen is None else str(getattr(chosen, "name", chosen)))
        return chosen if isinstance(chosen, Adapter) else _local()
    if isinstance(chosen, type):
        raise UnsupportedAgent(f"{chosen.__name__} is a class. Give an agent that is made of it.")
    maker: Callable[..., Adapter]
    if is_url(chosen):
        from nbsessions.adapters.agui import AGUIAdapter as maker
    elif isinstance(chosen, str) or _is_of_pydantic_ai(chosen):
        with _extra("An agent of pydantic-ai", "agents"):
            from nbsessions.adapters.pydantic_ai import PydanticAIAdapter as maker
    elif _is_of_openai_agents(chosen):
        with _extra("An agent of the OpenAI Agents SDK", "openai-agents"):
            from nbsessions.adapters.openai_agents import OpenAIAgentsAdapter as maker
    elif _is_of_langchain(chosen):
        with _extra(f"{type(chosen).__name__}, which is LangChain's,", "langgraph"):
            from nbsessions.adapters.langgraph import LangGraphAdapter as maker
    elif callable(chosen):
        from nbsessions.adapters.function import FunctionAdapter as maker
    else:
        kind = type(chosen).__name__
        article = "An" if kind[:1] in "aeiouAEIOU" else "A"
        raise UnsupportedAgent(
            f"{article} {kind} is not an agent. Give a function, an Agent of pydantic-ai or of the "
            "OpenAI Agents SDK, a graph of LangGraph, a model such as 'openai:gpt-5.2' or 'local', or the "
            "URL of an AG-UI endpoint."
        )
    known = [p.name for p in signature(maker).parameters.values() if p.kind is p.KEYWORD_ONLY]
    _refuse(options, known, f"An agent of the kind {type(chosen).__name__}")
    return maker(chosen, name, **options)


@contextmanager
def _extra(what: str, extra: str) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise MissingExtra(what, extra) from error


def _local() -> Adapter:
    from nbsessions.adapters.local import LocalAdapter

    return LocalAdapter()


def _refuse(options: Iterable[str], known: Sequence[str], what: str) -> None:
    wrong = [option for option in options if option not in known]
    if wrong:
        others = f" These it takes: {', '.join(known)}." if known else ""
        raise InvalidInput(f"{what} takes no {' and no '.join(wrong)}.{others}")
