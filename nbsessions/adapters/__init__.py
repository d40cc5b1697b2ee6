"""Agents of every framework, behind one interface."""

from __future__ import annotations

from nbsessions.adapters.base import Adapter
from nbsessions.exceptions import UnsupportedAgent

__all__ = ["adapt", "is_agent"]


def is_agent(value: object) -> bool:
    """Tell whether `adapt` makes an agent of an object: what can be called, an adapter, or a framework's.

    Examples
    --------
    >>> is_agent(lambda prompt: prompt.upper()), is_agent(int), is_agent("local")
    (True, False, False)
    """
    known = isinstance(value, Adapter) or _is_of_pydantic_ai(value)
    return known or (callable(value) and not isinstance(value, type))


def _is_of_pydantic_ai(value: object) -> bool:
    mro = type(value).__mro__
    own = {base.__name__ for base in mro if base.__module__.partition(".")[0] == "pydantic_ai"}
    return not own.isdisjoint({"AbstractAgent", "Model"})


def adapt(agent: object = None, *, model: str | None = None, name: str | None = None) -> Adapter:
    """Return the adapter that makes `agent` answer.

    Frameworks are told by the type of the object: none is imported that is not loaded.

    Parameters
    ----------
    agent : object
        A function (sync or async, returning or yielding text), a pydantic-ai ``Agent`` or ``Model``,
        a model string such as ``openai:gpt-5.2`` or ``ollama:llama3.2``, or an adapter. None and ``local``:
        the small model on this machine, unless `model` says otherwise.
    model : str or None
        The model to use where `agent` is None.
    name : str or None
        What to call an agent that has no name of its own.

    Raises
    ------
    UnsupportedAgent, AgentUnavailable, MissingExtra

    Examples
    --------
    >>> def shout(prompt):
    ...     return prompt.upper()
    >>> adapt(shout).name
    'shout'
    """
    if isinstance(agent, Adapter):
        return agent
    chosen = model if agent is None else agent
    if chosen is None or chosen == "local":
        from nbsessions.adapters.local import LocalAdapter

        return LocalAdapter()
    if isinstance(chosen, str) or _is_of_pydantic_ai(chosen):
        from nbsessions.adapters.pydantic_ai import PydanticAIAdapter

        return PydanticAIAdapter(chosen, name)
    if callable(chosen) and not isinstance(chosen, type):
        from nbsessions.adapters.function import FunctionAdapter

        return FunctionAdapter(chosen, name)
    if isinstance(chosen, type):
        raise UnsupportedAgent(f"{chosen.__name__} is a class. Give an agent that is made of it.")
    kind = type(chosen).__name__
    article = "An" if kind[:1] in "aeiouAEIOU" else "A"
    raise UnsupportedAgent(
        f"{article} {kind} is not an agent. Give a function, a pydantic-ai Agent, "
        "or a model such as 'openai:gpt-5.2' or 'local'."
    )
