"""What Tab offers in IPython after ``%session``, ``%agent`` and ``%%agent``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from IPython.core.completer import SimpleCompletion, context_matcher

from nbsessions.offers import Offers, placed

if TYPE_CHECKING:
    from IPython.core.completer import CompletionContext, SimpleMatcherResult

    from nbsessions.arguments import Argument
    from nbsessions.workspace import Workspace

_SESSION = re.compile(r"(?:[\w\s,.\[\]]+=\s*)?\s*%session\s+(?P<rest>.*)$")
_AGENT = re.compile(r"\s*(?P<magic>%%?agent)\s+(?P<rest>.*)$")


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
        self._offers = Offers(workspace, "magic", hidden)
        self._arguments = arguments

    @context_matcher()  # type: ignore[untyped-decorator]
    def matcher(self, context: CompletionContext) -> SimpleMatcherResult:
        """Answer IPython's completer; on a line that is not ours, with nothing."""
        line = context.text_until_cursor
        found: list[str] = []
        if match := _SESSION.match(line):
            found = self.session(match["rest"])
        elif (match := _AGENT.match(line)) and match["magic"] in self._arguments:
            found = self._offers.arguments(self._arguments[match["magic"]], match["rest"])
        else:
            return {"completions": []}
        rest = match["rest"]
        # The completer replaces its token: the last word, which may be the end of a name with spaces.
        offset = len(rest) - len(context.token) if rest.endswith(context.token) else len(rest)
        texts = [text[max(0, offset - start) :] for start, text in placed(rest, found)]
        return {"completions": [SimpleCompletion(text) for text in texts], "suppress": True, "ordered": True}

    def session(self, rest: str) -> list[str]:
        """Return what may follow ``%session`` and the text `rest`.

        Examples
        --------
        >>> from nbsessions.workspace import Settings, Workspace
        >>> Completion(Workspace(Settings(store="memory:")), {}).session("load --d")
        ['--draft']
        """
        return self._offers.command_line(rest)
