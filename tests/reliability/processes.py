"""Children of one warm process: forked, so that a thousand of them take no thousand starts of Python."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Callable, Sequence

from nbsessions.recorder import describe, place

Say = Callable[[str], None]
STUCK_SECONDS = 240.0
ERROR = "error: "


class Child:
    """A forked process that says lines. What it has said outlives it, however it dies.

    It says them into a file that both have open: a pipe would be full once nobody reads it.
    """

    def __init__(self, work: Callable[[Say], None]) -> None:
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - `close` does
        self.pid = os.fork()
        self.status: int | None = None
        if self.pid == 0:
            self._be_child(work)

    def _be_child(self, work: Callable[[Say], None]) -> None:
        code = 1
        try:
            work(self._say)
            code = 0
        except BaseException as error:  # noqa: BLE001 - the parent counts it
            self._say(f"{ERROR}{describe(error)}{place(error)}")
        finally:
            os._exit(code)

    def _say(self, line: str) -> None:
        os.write(self._said.fileno(), f"{line}\n".encode())

    def kill(self) -> None:
        """Kill it as `kill -9` does; that it has ended already is fine."""
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)
            self._reap(0)

    def has_ended(self) -> bool:
        """Tell whether it has come to its end."""
        return self.status is not None or self._reap(os.WNOHANG)

    def _reap(self, options: int) -> bool:
        pid, status = os.waitpid(self.pid, options)
        if pid:
            self.status = os.waitstatus_to_exitcode(status)
        return bool(pid)

    def lines(self) -> list[str]:
        """Return what it has said so far; a line on which it died is no line."""
        size = os.fstat(self._said.fileno()).st_size
        return os.pread(self._said.fileno(), size, 0).decode().split("\n")[:-1]

    def told(self, kind: str) -> list[str]:
        """Return what follows this word in its lines."""
        return [line.removeprefix(kind) for line in self.lines() if line.startswith(kind)]

    def close(self) -> None:
        """Kill it where it still is, and forget what it said."""
        self.kill()
        self._said.close()


def wait_for(
    children: Sequence[Child],
    meanwhile: Callable[[], object] = lambda: None,
    *,
    seconds: float = STUCK_SECONDS,
) -> int:
    """Wait until all have ended, and return how many were stuck and had to be killed."""
    deadline = time.monotonic() + seconds
    while not all(child.has_ended() for child in children) and time.monotonic() < deadline:
        meanwhile()
        time.sleep(0.01)
    stuck = [child for child in children if not child.has_ended()]
    for child in stuck:
        child.kill()
    return len(stuck)


class Gate:
    """What children wait at until all are there."""

    def __init__(self) -> None:
        self._enter, self._hold = os.pipe()

    def wait(self) -> None:
        """In a child: wait for `open`."""
        os.close(self._hold)
        os.read(self._enter, 1)

    def open(self) -> None:
        """In the parent: let all go."""
        os.close(self._hold)
        os.close(self._enter)
