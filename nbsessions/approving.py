"""The person is asked whether an agent may use a tool: it is shown, and a line is read."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from nbsessions.permissions import Decision, ToolQuestion

if TYPE_CHECKING:
    from nbsessions.display import AnswerView

_PROMPT: Final = "Allow? [y/n] "
_ANSWERS: Final = {"y": True, "yes": True, "n": False, "no": False}


def asker(view: AnswerView) -> Callable[[ToolQuestion], Decision]:
    """Return what asks the person in front of a view, and allows nothing where nobody can answer.

    Examples
    --------
    >>> import io, sys
    >>> from nbsessions.display import AnswerView
    >>> question = ToolQuestion(
    ...     name="remove", arguments='{"path": "x"}', call_id="c1", run_id="r1", agent_name="cleaner"
    ... )
    >>> keyboard, sys.stdin = sys.stdin, io.StringIO("y")
    >>> asker(AnswerView(notebook=False))(question)
    cleaner asks to call remove:
    {
      "path": "x"
    }
    Allow? [y/n] Decision(approved=True, reason='')
    >>> sys.stdin = keyboard
    """

    def ask(question: ToolQuestion) -> Decision:
        view.ask(question)
        _forget_typed()
        while True:
            try:
                line = input(_PROMPT)
            # papermill and nbconvert say that they have no keyboard; a closed input raises the others.
            except (EOFError, NotImplementedError, OSError, RuntimeError):
                return Decision(False, "nobody can be asked here")
            decided = _ANSWERS.get(line.strip().lower())
            if decided is not None:
                return Decision(decided)

    return ask


def _forget_typed() -> None:
    """Forget what was typed in a terminal before the question was there: it is no answer to it."""
    if sys.platform != "win32" and sys.stdin is not None and sys.stdin.isatty():
        import termios

        termios.tcflush(sys.stdin, termios.TCIFLUSH)
