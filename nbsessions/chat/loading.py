"""The agent that ``--agent module:name`` names."""

from __future__ import annotations

import importlib
import importlib.machinery
import os
import sys
from collections.abc import Mapping
from typing import Any

from nbsessions.exceptions import AgentUnavailable, InvalidInput


class Names(dict[str, Any]):
    """The names of a module, and ``module:name`` of any other one in the working folder.

    Examples
    --------
    >>> "critic" in Names(critic=len), "openai:gpt-5.2" in Names()
    (True, False)
    """

    def __contains__(self, name: object) -> bool:
        if super().__contains__(name):
            return True
        module = str(name).partition(":")[0]
        # A model is spelled so, too: what is merely installed is no agent.
        if ":" not in str(name) or not _is_here(module):
            return False
        found, names = load_agent(str(name))
        self[str(name)] = names[found]
        return True


def _is_here(module: str) -> bool:
    top = module.split(".")[0]
    return top.isidentifier() and importlib.machinery.PathFinder.find_spec(top, [os.getcwd()]) is not None


def load_agent(spec: str) -> tuple[str, Mapping[str, Any]]:
    """Import the module of an agent; return the agent's name, and all names of the module.

    The working folder is looked in first.

    Raises
    ------
    InvalidInput
        It is not spelled so, or the module has no such name.
    AgentUnavailable
        The module cannot be imported.

    Examples
    --------
    >>> load_agent("nowhere:agent")
    Traceback (most recent call last):
    nbsessions.exceptions.InvalidInput: There is no module 'nowhere', neither here nor installed: ...
    """
    module_name, _, name = spec.partition(":")
    if module_name.endswith(".py") or not all(
        part.isidentifier() for part in [*module_name.split("."), name]
    ):
        raise InvalidInput(f"{_shown(spec)} names no agent. {_hint(module_name, name)}")
    module = _imported(module_name)
    if name not in vars(module):
        raise InvalidInput(f"The module {module_name!r} has no {name!r}. {_hint(module_name, name)}")
    return name, Names(vars(module))


def _imported(name: str) -> Any:
    here = os.getcwd()
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(name)
    except KeyboardInterrupt:
        raise
    # Whatever the person's own code raises while it is imported.
    except BaseException as error:
        if isinstance(error, ModuleNotFoundError) and error.name in _parents(name):
            raise InvalidInput(
                f"There is no module {error.name!r}, neither here nor installed: --agent takes MODULE:NAME, "
                "such as my_agents:critic for the critic in my_agents.py."
            ) from None
        from nbsessions.recorder import describe, place

        raise AgentUnavailable(
            f"The module {name!r} cannot be imported: {describe(error)}{place(error)}"
        ) from error


def _parents(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[: number + 1]) for number in range(len(parts))]


def _hint(module: str, name: str) -> str:
    if module.endswith(".py"):
        stem = os.path.splitext(os.path.basename(module))[0]
        return f"Give its module and its name, such as --agent {stem}:{name or 'agent'}"
    if name:
        return f"A model is given by --model {module}:{name}"
    return "Give its module and its name, such as --agent my_agents:critic"


def _shown(spec: str) -> str:
    return repr(spec if len(spec) <= 80 else spec[:79] + "…")
