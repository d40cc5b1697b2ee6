"""What a command is: a name, arguments, one line of help, one function, and the faces where it belongs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nbsessions.arguments import Argument, Face

if TYPE_CHECKING:
    from nbsessions.session import Session
    from nbsessions.workspace import Workspace

__all__ = ["EVERYWHERE", "LOCAL", "NAME", "SEATED", "SESSION", "Command", "Face", "meant"]

EVERYWHERE: frozenset[Face] = frozenset({"magic", "cli", "chat", "http"})
# HTTP takes no paths and no URLs, and runs no agents; what concerns the whole store is not everybody's there.
LOCAL: frozenset[Face] = frozenset({"magic", "cli", "chat"})
# Who goes from one session to another: a command line begins anew with each command.
SEATED: frozenset[Face] = frozenset({"magic", "chat", "http"})


@dataclass(frozen=True, slots=True)
class Command:
    """One command.

    Attributes
    ----------
    name, help
    function : callable
        Takes the workspace and the arguments; returns a line to print, or an object to show.
    arguments : tuple of Argument
    faces : frozenset
        Where it belongs.
    aliases : tuple of str
    on_session : bool
        It is about the current session. Where there is none, ``--session REF`` says which.
    is_live : bool
        It shows what happens while it happens, and returns nothing: there is no JSON of it.

    Examples
    --------
    >>> from nbsessions.commands import COMMANDS
    >>> COMMANDS["rename"].help
    'Give the session another name.'
    """

    name: str
    help: str
    function: Callable[..., object]
    arguments: tuple[Argument, ...] = ()
    faces: frozenset[Face] = EVERYWHERE
    aliases: tuple[str, ...] = ()
    on_session: bool = False
    is_live: bool = False

    def on(self, face: Face) -> tuple[Argument, ...]:
        """Return the arguments that it takes on a face.

        Examples
        --------
        >>> from nbsessions.commands import COMMANDS
        >>> "--widget" in [argument.name for argument in COMMANDS["history"].on("cli")]
        False
        """
        return tuple(one for one in self.arguments if one.faces is None or face in one.faces)


NAME = Argument(name="name", help="a name, unique for this agent", kind="rest")
SESSION = Argument(
    name="ref", help="an id, a name, a part of an id, or latest", kind="rest", completes="session"
)


def meant(workspace: Workspace, ref: str | None) -> Session:
    """Return the session that an argument names; where it names none, the current one.

    Raises
    ------
    InvalidInput, SessionNotFound, AmbiguousSession

    Examples
    --------
    >>> from nbsessions.workspace import Settings, Workspace
    >>> workspace = Workspace(Settings(store="memory:"))
    >>> _ = workspace.create("plan", "local"), workspace.create("essay", "local")
    >>> meant(workspace, "plan").name, meant(workspace, None).name
    ('plan', 'essay')
    """
    return workspace.need_session() if ref is None else workspace.resume(ref)
