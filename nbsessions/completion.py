"""What Tab offers after ``%session``, ``%agent`` and ``%%agent``."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from IPython.core.completer import SimpleCompletion, context_matcher

from nbsessions import commands
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

    def __init__(self, workspace: Workspace, arguments: dict[str, Sequence[Argument]]) -> None:
        self._workspace = workspace
        self._arguments = arguments

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
            starts = (start for start in _word_starts(rest) if text.lower().startswith(rest[start:].lower()))
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
        words = rest.split(" ")
        if words[-1].startswith("-"):
            return [a.name for a in arguments if a.name.startswith(words[-1]) and a.name not in words[:-1]]
        previous = words[-2] if len(words) > 1 else ""
        named = [a for a in arguments if a.name == previous and a.kind != "flag"]
        offered = named or [a for a in arguments if not a.name.startswith("-")]
        prefix = words[-1] if named or not offered or offered[0].kind != "rest" else rest
        return [
            text
            for argument in offered
            for text in self._offers(argument)
            if text.lower().startswith(prefix.lower())
        ]

    def _offers(self, argument: Argument) -> Sequence[str]:
        if argument.choices:
            return argument.choices
        offers: dict[str | None, Callable[[], Sequence[str]]] = {
            "session": self._sessions,
            "tag": self._tags,
            "command": lambda: [command.name for command in commands.on_face("magic")],
            "agent": self._agents,
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

    def _tags(self) -> Sequence[str]:
        return sorted({tag for record in self._records() for tag in record.tags})

    def _agents(self) -> Sequence[str]:
        names = self._workspace.names
        modules = {name: type(value).__module__.partition(".")[0] for name, value in names.items()}
        agents = [name for name, module in modules.items() if module == "pydantic_ai"]
        functions = [n for n, v in names.items() if type(v).__name__ == "function" and not n.startswith("_")]
        return [*agents, *functions, "local"]


def _word_starts(rest: str) -> list[int]:
    return [0, *(match.end() for match in re.finditer(r"\s+", rest))]
