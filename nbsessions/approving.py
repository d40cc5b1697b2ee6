"""The person is asked whether an agent may use a tool: it is shown, and a line is read."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from nbsessions.exceptions import InvalidInput
from nbsessions.permissions import Decision, ToolQuestion, check_arguments

if TYPE_CHECKING:
    from nbsessions.display import AnswerView

_PROMPT: Final = "Allow? [y/n/always/edit] "
_ARGUMENTS: Final = "Arguments (a JSON object): "
_ANSWERS: Final = {
    **dict.fromkeys(("y", "yes"), Decision(True)),
    **dict.fromkeys(("n", "no"), Decision(False)),
    "always": Decision(True, always=True),
}
_EDIT: Final = ("e", "edit")


def asker(view: AnswerView) -> Callable[[ToolQuestion], Decision]:
    """Return what asks the person in front of a view, and allows nothing where nobody can answer.

    They answer ``y`` or ``n``; ``always``, so that this tool is not asked about again in this session; or
    ``edit``, and write the arguments that it is called with instead.

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
    Allow? [y/n/always/edit] Decision(approved=True, reason='', arguments=None, always=False)
    >>> sys.stdin = keyboard
    """

    def ask(question: ToolQuestion) -> Decision:
        view.ask(question)
        at_terminal = _is_terminal()
        _forget_typed()
        try:
            with _seen_typing(), _ended_line():
                return _answer(view)
        # papermill and nbconvert say that they have no keyboard; a closed input raises the others.
        except (EOFError, NotImplementedError, OSError, RuntimeError):
            if at_terminal and not _is_terminal():  # it was closed, which is no answer
                _hang_up()
                raise KeyboardInterrupt from None
            return Decision(False, "no answer was given" if at_terminal else "nobody can be asked here")

    return ask


def _answer(view: AnswerView) -> Decision:
    """Ask until there is an answer."""
    while True:
        line = input(_PROMPT).strip().lower()
        if line in _ANSWERS:
            return _ANSWERS[line]
        if line in _EDIT:
            try:
                return Decision(True, arguments=edited())
            except InvalidInput as error:
                view.note(str(error))


def edited() -> str:
    """Let the person write the arguments of a call, and return them.

    Raises
    ------
    InvalidInput
        They are no JSON object.
    """
    arguments = input(_ARGUMENTS).strip()
    check_arguments(arguments)
    return arguments


@contextmanager
def _seen_typing() -> Iterator[None]:
    """Show what is typed in a terminal, also where the face hides it while an answer comes."""
    if sys.platform == "win32" or not _is_terminal():
        yield
        return
    import termios

    before = termios.tcgetattr(sys.stdin)
    termios.tcsetattr(sys.stdin, termios.TCSADRAIN, [*before[:3], before[3] | termios.ECHO, *before[4:]])
    try:
        yield
    finally:
        with suppress(termios.error):  # it was closed
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


@contextmanager
def _ended_line() -> Iterator[None]:
    """End the line of a question that was left by Ctrl-C or Ctrl-D: what is told next begins its own."""
    try:
        yield
    except (KeyboardInterrupt, EOFError):
        if _is_terminal():
            sys.stdout.write("\n")
        raise


def _is_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()


def _hang_up() -> None:
    """Tell whoever watches for it that the terminal is closed, as the system does.

    Who heard of it already is not interrupted again by the system's own signal, while the end is saved.
    """
    number = getattr(signal, "SIGHUP", None)
    if number is not None and callable(signal.getsignal(number)):
        signal.raise_signal(number)


def _forget_typed() -> None:
    """Forget what was typed in a terminal before the question was there: it is no answer to it."""
    if sys.platform != "win32" and _is_terminal():
        import termios

        termios.tcflush(sys.stdin, termios.TCIFLUSH)
