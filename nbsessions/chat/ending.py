"""The process is asked to end: by SIGTERM, or by SIGHUP where its terminal is closed."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

_SIGNALS: Final = ("SIGTERM", "SIGHUP")


class End:
    """Whether the process was asked to end, and what is done then.

    Attributes
    ----------
    number : int or None
        The signal that asked for it.
    at_prompt : callable or None
        Ends a prompt that waits for the person. None: an answer or a command is under way, and is stopped
        as by Ctrl-C.

    Examples
    --------
    >>> End().number is None
    True
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self.at_prompt: Callable[[], None] | None = None

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Take the signal: what comes after it does not stop what is saved then.

        Raises
        ------
        KeyboardInterrupt
        """
        if self.number is not None:
            return
        self.number = number
        if number == getattr(signal, "SIGHUP", None):
            # Nobody reads any more, and writing would fail.
            sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - to the end
        if self.at_prompt is None:
            raise KeyboardInterrupt
        self.at_prompt()


@contextmanager
def ending() -> Iterator[End]:
    """Watch for signals that end the process, in its main thread.

    Examples
    --------
    >>> import signal
    >>> with ending() as end:
    ...     try:
    ...         signal.raise_signal(signal.SIGTERM)
    ...     except KeyboardInterrupt:
    ...         print(end.number == signal.SIGTERM)
    True
    """
    end, before = End(), {}
    if threading.current_thread() is threading.main_thread():
        numbers = [getattr(signal, name) for name in _SIGNALS if hasattr(signal, name)]
        # Who started it with nohup wants it to go on.
        watched = [number for number in numbers if signal.getsignal(number) != signal.SIG_IGN]
        before = {number: signal.signal(number, end.handle) for number in watched}
    try:
        yield end
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
