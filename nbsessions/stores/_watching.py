"""A database file that cannot be written here: how to open it, and whether it has changed since."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Final, NamedTuple

from nbsessions.exceptions import StoreUnavailable

BESIDE: Final = "mode=ro"
"""Beside who writes it: the shared index of the log tells what is new."""
ALONE: Final = "mode=ro&immutable=1"
"""As one that never changes: SQLite looks at nothing but the file, and locks nothing."""
_TICK_NS: Final = 100_000_000
"""Two changes that are no further apart may bear the same time."""


class Seen(NamedTuple):
    """What a file looked like when it was opened.

    Attributes
    ----------
    mode : str
        How it is to be opened.
    what : tuple of int
        What is another after a change.
    is_settled : bool
        Whether a change from now on is certain to make it another.
    """

    mode: str
    what: tuple[int, ...]
    is_settled: bool


def look(path: Path) -> Seen:
    """Look at a file that cannot be written here.

    Raises
    ------
    StoreUnavailable
        Some of it is in a log, which can be read only where it can be written.
    OSError
        It is gone.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     look(Path(file.name)).mode
    'mode=ro&immutable=1'
    """
    shared, log = _stat(f"{path}-shm"), _stat(f"{path}-wal")
    if shared is not None:
        return Seen(BESIDE, (shared.st_dev, shared.st_ino), True)
    if log is not None and log.st_size:
        raise StoreUnavailable(
            f"The store {path} is read-only, and its last turns are in {path.name}-wal, which can be read "
            "only where it can be written. Copy both files there, and open the copy."
        )
    file = os.stat(path)
    what = (file.st_dev, file.st_ino, file.st_size, file.st_mtime_ns, file.st_ctime_ns)
    return Seen(ALONE, what, time.time_ns() - max(file.st_mtime_ns, file.st_ctime_ns) > _TICK_NS)


def is_unchanged(path: Path, before: Seen) -> bool:
    """Tell whether a file is as it was; an error while looking says that it is not."""
    try:
        return look(path)[:2] == before[:2]
    except OSError:
        return False


def _stat(name: str) -> os.stat_result | None:
    try:
        return os.stat(name)
    except FileNotFoundError:
        return None
