"""What a command is: a name, arguments, one line of help, one function, and the faces where it belongs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from nbsessions.arguments import Argument

Face = Literal["magic", "cli", "chat", "http"]
EVERYWHERE: frozenset[Face] = frozenset({"magic", "cli", "chat", "http"})
# HTTP takes no paths and no URLs.
LOCAL: frozenset[Face] = frozenset({"magic", "cli", "chat"})


@dataclass(frozen=True, slots=True)
class Command:
    """One command.

    Examples
    --------
    >>> from nbsessions.commands import COMMANDS
    >>> COMMANDS["rename"].help
    'Give the current session another name.'
    """

    name: str
    help: str
    function: Callable[..., object]
    arguments: tuple[Argument, ...] = ()
    faces: frozenset[Face] = EVERYWHERE
    aliases: tuple[str, ...] = ()


NAME = Argument(name="name", help="a name, unique for this agent", kind="rest")
SESSION = Argument(
    name="ref", help="an id, a name, a part of an id, or latest", kind="rest", completes="session"
)
