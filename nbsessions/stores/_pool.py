"""Connections to one SQLite file, each lent to one thread: safe from Ctrl-C and from fork()."""

from __future__ import annotations

import _thread
import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import get_ident
from types import TracebackType
from typing import Final

from nbsessions.exceptions import StoreUnavailable
from nbsessions.stores._failures import FAILURES, explain, explained
from nbsessions.stores._lock import FileLock, is_owned, let_go
from nbsessions.stores._watching import Seen, is_unchanged

BUSY_SECONDS: Final = 30.0


class Link(sqlite3.Connection):
    """A connection that knows how carefully it writes, and how long it waits for others."""

    synchronous = ""
    patience = BUSY_SECONDS
    """So long it waits for what another program has locked."""
    _hurries = False
    is_spare = False
    """Whether it was opened beside another one: it keeps less of the file in memory, and is lent after it."""
    seen: Seen | None = None
    """What its file looked like when it was opened, where it cannot be written here."""

    def hurry(self) -> None:
        """Wait for nobody, until it is lent again."""
        self._hurries = True
        self.execute("PRAGMA busy_timeout = 0")

    def calm_down(self) -> None:
        """Wait again, after `hurry`."""
        if self._hurries:
            self.execute(f"PRAGMA busy_timeout = {round(self.patience * 1000)}")
            self._hurries = False


class Pool:
    """Idle connections, and which thread has which of the others.

    An interrupt may come between any two steps, also while a connection is on its way back. What it
    leaves with a thread, an open transaction and the lock included, that thread's next call settles.

    Parameters
    ----------
    path : Path
    connect : callable
        Opens a connection.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "x.db"
    ...     pool = Pool(path, lambda: sqlite3.connect(path, isolation_level=None, factory=Link))
    ...     with pool.writing("FULL") as db:
    ...         _ = db.execute("CREATE TABLE t(x)")
    ...     with pool.reading() as db:
    ...         print(db.execute("SELECT count(*) FROM t").fetchone())
    ...     pool.close()
    (0,)
    """

    def __init__(self, path: Path, connect: Callable[[], Link]) -> None:
        self.path, self._name = path, str(path)
        self.lock = FileLock(Path(f"{path}.lock"))
        self.after_commit: Callable[[Link], object] = lambda db: None
        """What comes after each commit; the lock is held, and nothing may fail."""
        self._connect = connect
        self._idle: list[Link] = []
        self._closed = False
        self._file: tuple[int, int] | None = None
        self._nobody_has_any()
        _open_pools.add(self)

    def _nobody_has_any(self) -> None:
        self._lent: dict[int, Link | None] = {}
        self._mutex = threading.RLock()
        self._returned = threading.Condition(self._mutex)
        self._forking = False

    def reading(self) -> Reading:
        """Lend a connection to read with."""
        return Reading(self)

    def writing(self, synchronous: str, *, durable: bool = True) -> Writing:
        """Lend a connection inside a transaction of this level; what is durable is for a file that stays."""
        return Writing(self, synchronous, durable=durable)

    def add(self, db: Link) -> None:
        """Take in a connection that is open already."""
        self.check_file()
        self._idle.append(db)

    @property
    def has_any(self) -> bool:
        """Whether a connection is open."""
        return bool(self._idle) or any(db is not None for db in [*self._lent.values()])

    def check_file(self) -> None:
        """Refuse to go on where the file is another one now: nobody would find what is written.

        Raises
        ------
        StoreUnavailable
        """
        try:
            found = os.stat(self._name)
            file = (found.st_ino, found.st_dev)
        except FileNotFoundError:
            file = None
        self._file = self._file or file
        if file is None or file != self._file:
            raise StoreUnavailable(
                f"The file of the store {self.path} was removed or replaced while it was open: nothing was "
                "saved. Open the store again."
            )

    def take(self) -> Link:
        """Lend this thread a connection, until it calls `settle`."""
        me = get_ident()
        if me in self._lent:
            self.settle()
        if self._forking and is_owned(self._mutex):  # an interrupt came after a fork
            self.after_fork(child=False)
        with self._mutex:
            while self._forking:
                self._returned.wait()
            if self._closed:
                raise StoreUnavailable(f"The store {self.path} is closed. Open it again.")
            db = self._lent[me] = self._idle.pop() if self._idle else None
        try:
            if db is not None and self._is_outdated(db):
                # Whatever comes in between, what is closed is not taken back.
                self._lent[me] = None
                db.close()
                db = None
            if db is None:
                db = self._lent[me] = self._connect()
            db.calm_down()
        except BaseException:
            self.settle()
            raise
        return db

    def _is_outdated(self, db: Link) -> bool:
        """Tell whether a connection may go on with what it read of a file that is another one now."""
        return db.seen is not None and not (db.seen.is_settled and is_unchanged(self.path, db.seen))

    def check_unchanged(self, db: Link) -> None:
        """Refuse what was just read where somebody wrote the file meanwhile, whom no lock held up.

        Raises
        ------
        StoreUnavailable
        """
        if db.seen is not None and not is_unchanged(self.path, db.seen):
            raise StoreUnavailable(f"The store {self.path} was changed while it was read. Try again.")

    def settle(self) -> None:
        """Roll back what this thread has begun, let go of the lock, and take its connection back."""
        db = self._lent.get(get_ident())
        try:
            # A full disk has rolled back already.
            if db is not None and db.in_transaction:
                db.execute("ROLLBACK")
        finally:
            self.lock.release()
            self._take_back()

    def _take_back(self) -> None:
        with self._mutex:
            db = self._lent.pop(get_ident(), None)
            if self._forking:
                self._returned.notify_all()
            if db is not None and not self._closed:
                self._idle.insert(0 if db.is_spare else len(self._idle), db)
                return
        if db is not None:
            self._idle.append(db)
            self._close_idle()

    def close(self) -> None:
        """Close all connections; the last one folds the write-ahead log into the file."""
        with explained(self.path):
            self.settle()
            with self._mutex:
                self._closed = True
            self._close_idle()

    def _close_idle(self) -> None:
        if self._idle:
            try:
                with self.lock:
                    self._close_all()
            except OSError:  # nobody can take the lock on a disk that is read-only, and nobody needs it
                self._close_all()
        self.lock.close()

    def _close_all(self) -> None:
        # Another thread may be at it, too; and one whose closing was interrupted is closed again.
        for db in list(self._idle):
            db.close()
            with suppress(ValueError):
                self._idle.remove(db)

    # A forked child must not inherit a connection: SQLite keeps its locks by process, so a child that
    # used, closed or even opened the file again beside an inherited one could damage it.
    # https://www.sqlite.org/howtocorrupt.html, section 2.6

    def before_fork(self, patience: float) -> None:
        """Close what is idle, once no other thread has a connection, and let nobody take one."""
        self.settle()
        deadline = time.monotonic() + patience
        self._mutex.acquire()
        self._forking = True
        while self._lent and time.monotonic() < deadline:
            self._returned.wait(0.1)
        if not self._closed:
            self._close_idle()

    def after_fork(self, *, child: bool) -> None:
        """Go on."""
        if child:
            _inherited.append((self._idle, self._lent))
            self._idle = []
            self.lock.after_fork_in_child()
            self._nobody_has_any()
        else:
            self._forking = False
            if is_owned(self._mutex):
                self._returned.notify_all()
            let_go(self._mutex)


class Reading:
    """A connection, lent. A class, because generators took a tenth of a turn's time."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def __enter__(self) -> Link:
        try:
            self._db = self._pool.take()
            self._begin()
            return self._db
        except FAILURES as error:
            explain(self._pool.path, error)
        except KeyboardInterrupt:  # others shall not have to wait for this thread's next call
            self._pool.settle()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            try:
                # A change may look like damage, whoever found it.
                if error is None or isinstance(error, Exception):
                    self._pool.check_unchanged(self._db)
                if error is None:
                    self._commit()
            finally:
                self._pool.settle()
        except FAILURES as failure:
            explain(self._pool.path, failure)
        except BaseException:
            # An interrupt in the midst of it: nobody else shall wait for this thread's next call.
            self._pool.settle()
            raise
        if isinstance(error, FAILURES):
            explain(self._pool.path, error)

    def _begin(self) -> None:
        """Do what comes first."""

    def _commit(self) -> None:
        """Do what comes last, where nothing failed."""


class Writing(Reading):
    """A connection inside a transaction: committed at the end, rolled back on an error."""

    def __init__(self, pool: Pool, synchronous: str, *, durable: bool) -> None:
        super().__init__(pool)
        self._synchronous, self._durable = synchronous, durable

    def _begin(self) -> None:
        try:
            self._pool.lock.acquire()
            if self._durable:
                self._pool.check_file()
            if self._db.synchronous != self._synchronous:
                self._db.execute(f"PRAGMA synchronous = {self._synchronous}")
                self._db.synchronous = self._synchronous
            self._db.execute("BEGIN IMMEDIATE")
        except BaseException:
            self._pool.settle()
            raise

    def _commit(self) -> None:
        self._db.execute("COMMIT")
        self._pool.after_commit(self._db)


_open_pools: weakref.WeakSet[Pool] = weakref.WeakSet()
_inherited: list[object] = []
"""Connections of the parent, which must not even be closed here."""


class _Fork:
    """What comes before and after a fork, also where an interrupt comes meanwhile.

    Python prints what is raised here and forks all the same, so an interrupt is raised once more after it.
    """

    def __init__(self) -> None:
        self._pools: list[Pool] = []
        self._interrupted = False

    def before(self) -> None:
        self._interrupted = False
        self._pools = _all_pools()
        for pool in self._pools:
            try:
                pool.before_fork(BUSY_SECONDS)
            except KeyboardInterrupt:
                self._interrupted = True
                pool.before_fork(0)

    def after_in_parent(self) -> None:
        for pool in self._pools:
            try:
                pool.after_fork(child=False)
            except KeyboardInterrupt:
                self._interrupted = True
                pool.after_fork(child=False)
        self._pools = []
        if self._interrupted:
            _thread.interrupt_main()

    def after_in_child(self) -> None:
        self._pools = []
        for pool in _all_pools():
            pool.after_fork(child=True)


def _all_pools() -> list[Pool]:
    while True:
        try:
            return list(_open_pools)
        except RuntimeError:  # another thread opens a store just now
            continue


if hasattr(os, "register_at_fork"):
    _fork = _Fork()
    os.register_at_fork(
        before=_fork.before, after_in_parent=_fork.after_in_parent, after_in_child=_fork.after_in_child
    )
