"""Nothing of what was deleted stays in the files of an SQLite store: neither in its log nor in its index."""

from __future__ import annotations

import time
import warnings
from typing import Final

from nbsessions.exceptions import StoreUnavailable
from nbsessions.stores._failures import FAILURES
from nbsessions.stores._pool import Link, Pool

WAIT_SECONDS: Final = 2.0
"""A reader that holds on to what was deleted is waited for so long."""
_PAUSE: Final = 0.05
# In the index, what was taken out stays beside a note that it is gone, until both are merged.
_MERGE: Final = "INSERT INTO search(search) VALUES ('optimize')"
_SHRINK: Final = "VACUUM"
# The log keeps old pages until it is emptied, and so does the file, which is written only then.
# https://www.sqlite.org/pragma.html#pragma_wal_checkpoint
_FOLD: Final = "PRAGMA wal_checkpoint(TRUNCATE)"
_READ: Final = "another program is reading the store"


class Eraser:
    """What is still to be done, until the files hold nothing of what was deleted.

    It comes after a commit: what fails here is told by a warning, and done with the next write, or when
    the store is closed.

    Parameters
    ----------
    pool : Pool
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._left: frozenset[str] = frozenset()
        pool.after_commit = self._go_on

    def note(self, *, merge: bool) -> None:
        """Note, before a deletion is committed, what comes after it; so no interrupt can prevent it."""
        self._left |= {_FOLD, _MERGE} if merge else {_FOLD}

    def erase(self, *, shrink: bool) -> None:
        """Do what is left, unless somebody is in the way; with `shrink`, make the file smaller, too.

        Where nobody was, the commit has done it already.
        """
        if shrink:
            self._left |= {_FOLD, _SHRINK}
        obstacle = self._waited(WAIT_SECONDS) if self._left else None
        if obstacle is not None and _SHRINK in self._left:
            self._left -= {_SHRINK}  # it takes too long to be tried with each write
        if obstacle is not None:
            self._tell(obstacle, "The next write, or closing the store, erases it there")

    def finish(self) -> None:
        """Do what is left, before the store is closed."""
        if self._left:
            obstacle = self._waited(WAIT_SECONDS)
            if obstacle is not None:
                self._tell(obstacle, "The last program that closes the store erases it there")
        self._left = frozenset()

    def _tell(self, obstacle: str, when: str) -> None:
        name = self._pool.path.name
        text = (
            f"What was deleted from the store {self._pool.path} can still be on the disk, in {name} or "
            f"{name}-wal: {obstacle}. {when}."
        )
        warnings.warn(text, RuntimeWarning, stacklevel=4)

    def _waited(self, seconds: float) -> str | None:
        """Try until it is done or so much time has passed; others write in between."""
        deadline = time.monotonic() + seconds
        while True:
            obstacle = self._try()
            in_use = obstacle is not None and (obstacle == _READ or "locked" in obstacle)
            if not in_use or time.monotonic() > deadline:
                return obstacle
            time.sleep(_PAUSE)

    def _try(self) -> str | None:
        try:
            with self._pool.reading() as db, self._pool.lock:
                return self._go_on(db)
        except StoreUnavailable as error:
            return str(error).rstrip(".")

    def _go_on(self, db: Link) -> str | None:
        """Do what is left, and return what is in the way, if anything is. Who calls has the lock."""
        if not self._left:
            return None
        try:
            db.hurry()
            if _MERGE in self._left:
                db.execute(_MERGE)
                self._left -= {_MERGE}
            if _SHRINK in self._left:
                db.execute(_SHRINK)
                self._left -= {_SHRINK}
            (busy, *_) = db.execute(_FOLD).fetchone()
        except FAILURES as error:
            return str(error)
        if busy:
            return _READ
        self._left = frozenset()
        return None
