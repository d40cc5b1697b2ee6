"""A lock between processes and threads, on a file of its own that stays open."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType

# A link in its place could have any file made.
_FLAGS = os.O_CREAT | os.O_RDWR | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)


class FileLock:
    """Held by one thread of one process at a time; not reentrant.

    SQLite before 3.51.3 can damage a write-ahead log when it is reset by two connections at once
    (https://www.sqlite.org/wal.html#walresetbug), so whoever writes holds this. It also queues
    writers instead of letting them poll.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, FileLock(Path(folder) / "lock"):
    ...     (Path(folder) / "lock").exists()
    True
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        # It knows whose it is, whenever an interrupt comes.
        self._mutex = threading.RLock()
        self._fd: int | None = None

    def acquire(self) -> None:
        """Wait for it, and take it.

        Raises
        ------
        OSError
            The file cannot be opened or locked.
        """
        try:
            self._mutex.acquire()
            if self._fd is None:
                self._fd = os.open(self._path, _FLAGS, 0o600)
            _acquire(self._fd)
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Let go of it; nothing happens where this thread does not have it."""
        try:
            self._let_go()
        except BaseException:  # an interrupt
            self._let_go()
            raise

    def _let_go(self) -> None:
        if not is_owned(self._mutex):
            return
        if self._fd is not None:
            _release(self._fd)
        let_go(self._mutex)

    def __enter__(self) -> FileLock:
        try:
            self.acquire()
            return self
        except BaseException:  # whoever is interrupted here is not told to let go
            self.release()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.release()
        except BaseException:  # an interrupt, which may come before `release` has begun to try
            self.release()
            raise

    def close(self) -> None:
        """Close the file. The lock can be taken again: that opens it anew."""
        with self._mutex:
            fd, self._fd = self._fd, None
            if fd is not None:
                os.close(fd)

    def after_fork_in_child(self) -> None:
        """Close what was inherited, which nobody can let go of here; the parent's is another to close."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
        self._mutex = threading.RLock()


def is_owned(mutex: threading.RLock) -> bool:
    """Tell whether this thread has a lock."""
    return mutex._is_owned()  # type: ignore[attr-defined, no-any-return]


def let_go(mutex: threading.RLock) -> None:
    """Release a lock, however often this thread has taken it: an interrupt may have come before a release."""
    while is_owned(mutex):
        mutex.release()


if sys.platform == "win32":
    import msvcrt

    def _acquire(fd: int) -> None:
        os.lseek(fd, 0, os.SEEK_SET)
        msvcrt.locking(fd, msvcrt.LK_LOCK, 1)

    def _release(fd: int) -> None:
        os.lseek(fd, 0, os.SEEK_SET)
        with suppress(OSError):  # an interrupt came before it was taken
            msvcrt.locking(fd, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _acquire(fd: int) -> None:
        fcntl.flock(fd, fcntl.LOCK_EX)

    def _release(fd: int) -> None:
        fcntl.flock(fd, fcntl.LOCK_UN)
