"""The prompt without a terminal: what comes by a pipe is taken line by line."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from nbsessions.commands.chatting import Left
from nbsessions.screens import beside

if TYPE_CHECKING:
    from typing import TextIO

    from nbsessions.chat.ending import End
    from nbsessions.chat.talking import Talk

_STOPPED = 130


def converse(talk: Talk, end: End) -> int:
    """Take each line of the standard input; return the exit code: 1 where one of them failed.

    Answers, and what commands find, go to the standard output, and all else beside it.

    Examples
    --------
    >>> import io, sys
    >>> from nbsessions.chat.ending import End
    >>> from nbsessions.chat.talking import Talk
    >>> from nbsessions.workspace import Settings, Workspace
    >>> workspace = Workspace(Settings(store="memory:", agent="echo"), names={"echo": lambda prompt: prompt})
    >>> keyboard, sys.stdin = sys.stdin, io.StringIO("Hello\\n/exit\\nnobody asks this")
    >>> converse(Talk(workspace, on_terminal=False), End())
    Hello
    0
    >>> sys.stdin = keyboard
    """
    code, talk.workspace.screen = 0, beside
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")
    try:
        with _nobody_to_ask() as lines:
            for line in lines:
                failed = talk.take(line)
                if failed == _STOPPED or end.number is not None:
                    return failed
                code = code or failed
    except (Left, KeyboardInterrupt) as error:
        return code if isinstance(error, Left) else _STOPPED
    return code


@contextmanager
def _nobody_to_ask() -> Iterator[TextIO]:
    # A question about a tool shall not take the next prompt for its answer.
    before, sys.stdin = sys.stdin, io.StringIO()
    try:
        yield before or sys.stdin  # there is none where it was closed
    finally:
        sys.stdin = before
