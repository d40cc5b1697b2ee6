"""What may follow what a person has typed, on any face: names, ids, tags, options, paths."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nbsessions import commands
from nbsessions.commands.usage import GROUPS
from nbsessions.exceptions import NbsessionsError

if TYPE_CHECKING:
    from nbsessions.arguments import Argument, Face
    from nbsessions.workspace import Workspace

_NEWEST = 20


class Offers:
    """Commands, options, session names and ids, tags, paths and agents that begin as what was typed.

    Parameters
    ----------
    workspace : Workspace
    face : {"magic", "cli", "chat", "http"}
        Whose commands and options they are.
    hidden : mapping
        Names that are there and are not offered, such as those that IPython brings.

    Examples
    --------
    >>> from nbsessions.workspace import Settings, Workspace
    >>> Offers(Workspace(Settings(store="memory:")), "magic").command_line("sta")
    ['status']
    """

    def __init__(self, workspace: Workspace, face: Face, hidden: Mapping[str, object] | None = None) -> None:
        self._workspace = workspace
        self._face = face
        self._hidden = hidden or {}

    def command_line(self, rest: str) -> list[str]:
        """Return what may follow the prefix of a command, such as ``%session``, and the text `rest`.

        Examples
        --------
        >>> from nbsessions.workspace import Settings, Workspace
        >>> Offers(Workspace(Settings(store="memory:")), "magic").command_line("load --d")
        ['--draft']
        """
        name, space, after = rest.partition(" ")
        if not space:
            return [command for command in self._names() if command.startswith(name)]
        try:
            command = commands.find(name, self._face)
        except NbsessionsError:  # nothing to offer for a word that is no command
            return []
        return self.arguments(command.on(self._face), after.lstrip())

    def arguments(self, arguments: Sequence[Argument], rest: str) -> list[str]:
        """Return what may follow the text `rest`, where these arguments are taken.

        Examples
        --------
        >>> from nbsessions.arguments import Argument
        >>> from nbsessions.workspace import Settings, Workspace
        >>> offers = Offers(Workspace(Settings(store="memory:")), "magic")
        >>> offers.arguments([Argument(name="--rerun", help="", choices=("replace", "append"))], "--rerun a")
        ['append']
        """
        words = _words(rest)
        if words[-1].startswith("-"):
            return [a.name for a in arguments if a.name.startswith(words[-1]) and a.name not in words[:-1]]
        previous = words[-2] if len(words) > 1 else ""
        named = [a for a in arguments if a.name == previous and a.kind != "flag"]
        offered = named or [a for a in arguments if not a.name.startswith("-")]
        prefix = words[-1] if named or not offered or offered[0].kind != "rest" else rest
        return [
            f'"{text}"' if prefix.startswith('"') or (" " in text and argument.kind != "rest") else text
            for argument in offered
            for text in self.values(argument, prefix)
            if _begins(text, prefix)
        ]

    def values(self, argument: Argument, prefix: str) -> Sequence[str]:
        """Return values of one argument; of paths and groups, those that begin with `prefix`.

        Examples
        --------
        >>> from nbsessions.commands.base import SESSION
        >>> from nbsessions.workspace import Settings, Workspace
        >>> Offers(Workspace(Settings(store="memory:")), "magic").values(SESSION, "")
        ['latest']
        """
        if argument.choices:
            return argument.choices
        offers: dict[str | None, Callable[[], Sequence[str]]] = {
            "session": self._sessions,
            "tag": self._tags,
            "command": self._commands,
            "agent": self._agents,
            "checkpoint": self._checkpoints,
            "run": self._runs,
            "path": lambda: _paths(prefix.removeprefix('"')),
            "format": _formats,
            "usage": lambda: _groups(prefix),
            "agent_name": lambda: sorted({record.agent_name for record in self._records()}),
        }
        return offers.get(argument.completes, list)()

    def _commands(self) -> list[str]:
        return [command.name for command in commands.on_face(self._face)]

    def _names(self) -> list[str]:
        # What people of other prompts know is an alias here, such as /resume.
        also = (alias for one in commands.on_face(self._face) for alias in one.aliases)
        return [*self._commands(), *(also if self._face == "chat" else ())]

    def _records(self) -> list[Any]:
        try:
            return list(self._workspace.store.list(_NEWEST))
        except NbsessionsError:  # Tab is no place to report a store that cannot be opened
            return []

    def _sessions(self) -> Sequence[str]:
        records = self._records()
        return [*(r.name for r in records if r.name), *(r.session_id for r in records), "latest"]

    def _checkpoints(self) -> Sequence[str]:
        session = self._workspace.session
        made = [] if session is None else session.checkpoints(_NEWEST)
        return list(dict.fromkeys(checkpoint.name for checkpoint in made))

    def _runs(self) -> Sequence[str]:
        session = self._workspace.session
        found = [] if session is None else session.backend.runs(session.key, last=_NEWEST)
        return [run.run_id[-8:] for run in reversed(found)]

    def _tags(self) -> Sequence[str]:
        return sorted({tag for record in self._records() for tag in record.tags})

    def _agents(self) -> Sequence[str]:
        from nbsessions.adapters import is_agent

        # Not what IPython put there, such as `open`; and agents of frameworks before functions.
        names = [
            name
            for name, value in self._workspace.names.items()
            if is_agent(value) and not name.startswith("_") and self._hidden.get(name) is not value
        ]
        kinds = {name: type(self._workspace.names[name]).__name__ for name in names}
        return [*sorted(names, key=lambda name: kinds[name] == "function"), "local"]


def placed(rest: str, found: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Yield each of what was found with where in the text `rest` it starts: names may have spaces.

    Examples
    --------
    >>> list(placed("load my p", ["my plan"]))
    [(5, 'my plan')]
    """
    starts = [0, *(match.end() for match in re.finditer(r"\s+", rest))]
    for text in found:
        yield next((start for start in starts if _begins(text, rest[start:])), len(rest)), text


def _groups(prefix: str) -> list[str]:
    """Return what usage can be added up by, after those that are typed already."""
    before = prefix.rpartition(",")[0]
    typed = before.split(",") if before else []
    return [",".join([*typed, group]) for group in GROUPS if group not in typed]


def _formats() -> Sequence[str]:
    from nbsessions import formats

    return formats.NAMES


def _paths(prefix: str) -> list[str]:
    """Return the files and folders whose path begins so, as it is spelled."""
    folder, name = os.path.split(prefix)
    try:
        with os.scandir(os.path.expanduser(folder) or ".") as entries:
            found = sorted(f"{entry.name}{os.sep if entry.is_dir() else ''}" for entry in entries)
    except OSError:  # Tab is no place to report a folder that cannot be read
        return []
    hidden = name.startswith(".")
    return [os.path.join(folder, each) for each in found if hidden or not each.startswith(".")]


def _begins(text: str, prefix: str) -> bool:
    return text.lower().removeprefix('"').startswith(prefix.lower().removeprefix('"'))


def _words(rest: str) -> list[str]:
    """Split at spaces, but not inside a quote that is still open at the end."""
    if rest.count('"') % 2 == 0:
        return rest.split(" ")
    start = rest.rindex('"')
    return [*rest[:start].split(" ")[:-1], rest[start:]]
