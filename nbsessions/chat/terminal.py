"""The prompt in a terminal: it is edited, completed and remembered by prompt_toolkit."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING
from unicodedata import category

from prompt_toolkit import PromptSession
from prompt_toolkit.enums import DEFAULT_BUFFER
from prompt_toolkit.filters import has_focus
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.utils import get_cwidth

from nbsessions.chat.completing import CommandCompleter
from nbsessions.chat.history import PromptHistory, history_path
from nbsessions.commands.chatting import Left
from nbsessions.text import one_line

if sys.platform != "win32":
    import termios

if TYPE_CHECKING:
    from nbsessions.chat.ending import End
    from nbsessions.chat.talking import Talk


def converse(talk: Talk, end: End) -> int:
    """Take what is typed until the person leaves, or the process is asked to end; return the exit code."""
    prompt, insists = _Prompt(talk, end), False
    with _own_settings() as terminal:
        while end.number is None:
            try:
                text = prompt.read()
                with terminal.unseen_typing():
                    talk.take(text)
                insists = False
            except Left:
                if insists or end.number is not None or talk.leave(for_good=False):
                    break
                insists = True
            except KeyboardInterrupt:  # once more, while the first one was told
                continue
    return 0


class _Prompt:
    """Reads what the person types."""

    def __init__(self, talk: Talk, end: End) -> None:
        self._talk, self._end = talk, end
        self._history = PromptHistory(history_path())
        self._interrupted = False
        self._session: PromptSession[str] = PromptSession(
            message=self._message,
            multiline=True,
            prompt_continuation=lambda width, number, wrapped: "" if wrapped else "… ",
            history=self._history,
            completer=CommandCompleter(talk.workspace),
            complete_while_typing=False,
            key_bindings=_keys(),
        )

    def read(self) -> str:
        """Return what was typed.

        Raises
        ------
        Left
        """
        while True:
            self._talk.look_around()
            self._tell_problem()
            try:
                with self._may_be_ended() as end:
                    text = self._session.prompt(pre_run=end)
            except (EOFError, OSError):  # Ctrl-D, or the terminal is gone
                raise Left from None
            except KeyboardInterrupt:
                if self._interrupted or self._end.number is not None:
                    raise Left from None
                self._interrupted = True
                self._talk.tell("Ctrl-C once more leaves, as `exit` does.")
            else:
                self._interrupted = False
                return text

    def _message(self) -> StyleAndTextTuples:
        room = self._session.output.get_size().columns // 2 - 3
        return [("bold", f"[{shown_label(self._talk.label, room)}]"), ("", " You: ")]

    @contextmanager
    def _may_be_ended(self) -> Iterator[Callable[[], None]]:
        """Leave the prompt where the process is asked to end; what is yielded tells it that it has begun."""
        app = self._session.app

        def leave() -> None:
            if self._end.number is not None and app.is_running and not app.is_done:
                app.exit(exception=EOFError)

        def wake() -> None:
            if app.loop is not None:
                app.loop.call_soon_threadsafe(leave)

        self._end.at_prompt = wake
        try:
            yield leave
        finally:
            self._end.at_prompt = None

    def _tell_problem(self) -> None:
        problem, self._history.problem = self._history.problem, None
        if problem is not None:
            self._talk.tell(problem)


def shown_label(label: str, width: int) -> str:
    """Return what a session is called, harmless and not wider than so many columns.

    Examples
    --------
    >>> shown_label("\\x1b]0;owned\\x07plan\\u202e\\u200f", 20), shown_label("a very long name", 8)
    ('plan', 'a very …')
    >>> shown_label("日本語の名前", 8)
    '日本語…'
    """
    # Marks of direction would still move what stands beside them.
    line = "".join(one for one in one_line(label, 200) if category(one) != "Cf")
    if get_cwidth(line) <= width:
        return line
    while get_cwidth(line) > max(width, 2) - 1:
        line = line[:-1]
    return line + "…"


def _keys() -> KeyBindings:
    keys = KeyBindings()
    typing = has_focus(DEFAULT_BUFFER)

    @keys.add("enter", filter=typing)
    def send(event: KeyPressEvent) -> None:
        event.current_buffer.validate_and_handle()

    @keys.add("escape", "enter", filter=typing)
    def begin_line(event: KeyPressEvent) -> None:
        event.current_buffer.newline(copy_margin=False)

    @keys.add("c-c", filter=typing)
    def clear(event: KeyPressEvent) -> None:
        if event.current_buffer.text:
            event.current_buffer.reset()
        else:
            event.app.exit(exception=KeyboardInterrupt, style="class:aborting")

    return keys


@contextmanager
def _own_settings() -> Iterator[_Settings]:
    """Leave the terminal as it was, whatever comes between."""
    settings = _Settings()
    try:
        yield settings
    finally:
        settings.restore()


class _Settings:
    """How the terminal was when the prompt began."""

    def __init__(self) -> None:
        self._before = None if sys.platform == "win32" else termios.tcgetattr(sys.stdin)

    @contextmanager
    def unseen_typing(self) -> Iterator[None]:
        """Keep what is typed meanwhile for the next prompt, and out of the answer that is drawn."""
        if self._before is not None:
            quiet = [*self._before[:3], self._before[3] & ~termios.ECHO, *self._before[4:]]
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, quiet)
        try:
            yield
        finally:
            self.restore()

    def restore(self) -> None:
        if self._before is not None:
            with suppress(termios.error):  # it is gone
                termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self._before)
