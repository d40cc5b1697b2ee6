"""What Tab offers after ``%session``, ``%agent`` and ``%%agent``."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from IPython.core.completer import SimpleCompletion, context_matcher

from nbsessions import commands
from nbsessions.commands.usage import GROUPS
from nbsessions.exceptions import NbsessionsError

if TYPE_CHECKING:
    from IPython.core.completer import CompletionContext, SimpleMatcherResult

    from nbsessions.arguments import Argument
    from nbsessions.workspace import Workspace

_SESSION = re.compile(r"(?:[\w\s,.\[\]]+=\s*)?\s*%session\s+(?P<rest>.*)$")
_AGENT = re.compile(r"\s*(?P<magic>%%?agent)\s+(?P<rest>.*)$")
_NEWEST = 20


class Completion:
    """Completes sub-commands, options, session names and ids, tags and agents.

    Examples
    --------
    >>> from nbsessions.workspace import Settings, Workspace
    >>> completion = Completion(Workspace(Settings(store="memory:")), {})
    >>> completion.session("sta")
    ['status']
    """

    def __init__(
        self,
        workspace: Workspace,
        arguments: Mapping[str, Sequence[Argument]],
        hidden: Mapping[str, object] | None = None,
    ) -> None:
        self._workspace = workspace
        self._arguments = arguments
        self._hidden = hidden or {}

    @context_matcher()  # type: ignore[untyped-decorator]
    def matcher(self, context: CompletionContext) -> SimpleMatcherResult:
        """Answer IPython's completer; on a line that is not ours, with nothing."""
        line = context.text_until_cursor
        found: list[str] = []
        if match := _SESSION.match(line):
            found = self.session(match["rest"])
        elif (match := _AGENT.match(line)) and match["magic"] in self._arguments:
            found = self._values(self._arguments[match["magic"]], match["rest"])
        else:
            return {"completions": []}
        rest = match["rest"]
        # The completer replaces its token: the last word, which may be the end of a name with spaces.
        offset = len(rest) - len(context.token) if rest.endswith(context.token) else len(rest)
        texts = [text[max(0, offset - start) :] for start, text in self._placed(rest, found)]
        return {"completions": [SimpleCompletion(text) for text in texts], "suppress": True, "ordered": True}

    def _placed(self, rest: str, found: Iterable[str]) -> Iterable[tuple[int, str]]:
        """Yield each completion with where in the line it starts."""
        for text in found:
            starts = (start for start in _word_starts(rest) if _begins(text, rest[start:]))
            yield next(starts, len(rest)), text

    def session(self, rest: str) -> list[str]:
        """Return what may follow ``%session`` and the text `rest`.

        Examples
        --------
        >>> from nbsessions.workspace import Settings, Workspace
        >>> Completion(Workspace(Settings(store="memory:")), {}).session("load --d")
        ['--draft']
        """
        name, space, after = rest.partition(" ")
        if not space:
            return [command.name for command in commands.on_face("magic") if command.name.startswith(name)]
        try:
            command = commands.find(name, "magic")
        except NbsessionsError:  # nothing to offer for a word that is no command
            return []
        return self._values(command.arguments, after.lstrip())

    def _values(self, arguments: Sequence[Argument], rest: str) -> list[str]:
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
            for text in self._offers(argument, prefix)
            if _begins(text, prefix)
        ]

    def _offers(self, argument: Argument, prefix: str) -> Sequence[str]:
        if argument.choices:
            return argument.choices
        offers: dict[str | None, Callable[[], Sequence[str]]] = {
            "session": self._sessions,
            "tag": self._tags,
            "command": lambda: [command.name for command in commands.on_face("magic")],
            "agent": self._agents,
            "checkpoint": self._checkpoints,
            "run": self._runs,
            "path": lambda: _paths(prefix.removeprefix('"')),
            "format": _formats,
            "usage": lambda: _groups(prefix),
            "agent_name": lambda: sorted({record.agent_name for record in self._records()}),
        }
        return offers.get(argument.completes, list)()

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


def _word_starts(rest: str) -> list[int]:
    return [0, *(match.end() for match in re.finditer(r"\s+", rest))]
