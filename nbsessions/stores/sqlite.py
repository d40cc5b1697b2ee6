"""
The default store: one SQLite file.

Write-ahead log, one writer at a time, and a turn is on the disk when its commit returns.
https://www.sqlite.org/wal.html, https://www.sqlite.org/pragma.html
"""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NoReturn, cast
from urllib.parse import unquote

from nbsessions.exceptions import InvalidInput, SessionExists, StoreTooNew, StoreUnavailable
from nbsessions.stores import _rows
from nbsessions.stores._lock import FileLock
from nbsessions.stores._sql import Connection, SQLBackend

APPLICATION_ID: Final = 0x6E627365  # "nbse"
BUSY_SECONDS: Final = 30.0
# Two short messages and their links take 2.5 KB: a page of 4 KB would hold one such row and waste the rest.
PAGE_SIZE: Final = 8192
# A conversation of 10,000 messages fits: its chain is walked first and read then, from the same pages.
CACHE_KIB: Final = 16 * 1024
MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (
    tuple(text.format(pk="INTEGER PRIMARY KEY", blob="BLOB") for text in _rows.SCHEMA),
)
_SYNCHRONOUS: Final = {"normal": "NORMAL", "full": "FULL"}


class SQLiteBackend(SQLBackend):
    """A store in one SQLite file: ``sqlite:///relative.db``, ``sqlite:////absolute.db``.

    Parameters
    ----------
    url : str
        With ``?synchronous=normal``, turns are no longer flushed to the disk one by one: they
        survive the death of the process, and may be lost with the power.

    Raises
    ------
    StoreUnavailable
        The file cannot be opened, or is not a database of ours.
    StoreTooNew
        A newer nbsessions wrote it.
    """

    _tag_condition = "EXISTS (SELECT 1 FROM json_each(s.tags) WHERE json_each.value = ?)"

    def __init__(self, url: str) -> None:
        self.url = url
        self.path, self._durable = _parse(url)
        self._idle: list[sqlite3.Connection] = []
        self._gate = threading.Condition()
        self._lending = 0
        self._closed = False
        with _explained(self.path):
            self._prepare_file()
            self._lock = FileLock(Path(f"{self.path}.lock"))
            self._migrate()
        _open_backends.add(self)

    def _prepare_file(self) -> None:
        if self.path.exists():
            return
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with suppress(FileExistsError):
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))

    # Connections: a short list of idle ones, lent to one thread at a time.

    def _connect(self) -> sqlite3.Connection:
        db = sqlite3.connect(
            self.path,
            timeout=BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
        )
        db.execute("PRAGMA foreign_keys = ON")
        db.execute("PRAGMA trusted_schema = OFF")
        db.execute("PRAGMA synchronous = FULL")
        db.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        return db

    def _take(self) -> sqlite3.Connection:
        with self._gate:
            if self._closed:
                raise StoreUnavailable(f"The store {self.path} is closed. Open it again.")
            self._lending += 1
            db = self._idle.pop() if self._idle else None
        try:
            return db or self._connect()
        except BaseException:
            self._give_back(None)
            raise

    def _give_back(self, db: sqlite3.Connection | None) -> None:
        with self._gate:
            self._lending -= 1
            self._gate.notify_all()
            if db is not None and not self._closed:
                self._idle.append(db)
                return
        if db is not None:
            with self._lock:
                db.close()

    def _reading(self) -> _Reading:
        return _Reading(self)

    def _writing(self, *, durable: bool = True) -> _Writing:
        # An acknowledged turn must survive the power; what a run says on its way must survive a kill.
        return _Writing(self, self._durable if durable else "NORMAL")

    def _fetch_turns(self, db: Connection, sql: str, params: Sequence[Any]) -> list[Any]:
        try:
            return db.execute(sql, params).fetchall()
        except sqlite3.OperationalError as error:
            if "decode" not in str(error):
                raise
            lent = cast(sqlite3.Connection, db)
            lent.text_factory = lambda data: data.decode(errors="surrogateescape")
            try:
                return db.execute(sql, params).fetchall()
            finally:
                lent.text_factory = str

    def close(self) -> None:
        """Close all connections; the last one folds the write-ahead log into the file."""
        with self._gate:
            if self._closed:
                return
            self._closed = True
        with _explained(self.path):
            self._close_idle()

    def _close_idle(self) -> None:
        try:
            with self._lock:
                self._close_all()
        except OSError:  # nobody can take the lock on a disk that is read-only, and nobody needs it
            self._close_all()
        self._lock.close()

    def _close_all(self) -> None:
        while self._idle:
            self._idle.pop().close()

    # A forked child must not inherit a connection: SQLite keeps its locks by process, so a child that
    # used, closed or even opened the file again beside an inherited one could damage it.
    # https://www.sqlite.org/howtocorrupt.html, section 2.6

    def _before_fork(self) -> None:
        self._gate.acquire()
        self._gate.wait_for(lambda: self._lending == 0, timeout=BUSY_SECONDS)
        if not self._closed:
            self._close_idle()

    def _after_fork(self, *, child: bool) -> None:
        if child:
            self._gate = threading.Condition()
            self._lock = FileLock(Path(f"{self.path}.lock"))
            self._lending = 0
        else:
            self._gate.release()

    # Schema

    def _migrate(self) -> None:
        db = self._connect()
        try:
            version = self._version(db)
            if version < len(MIGRATIONS):
                with self._lock:
                    self._configure(db)
                    for number in range(self._version(db), len(MIGRATIONS)):
                        self._apply(db, number)
            self._idle.append(db)
        except BaseException:
            db.close()
            raise

    def _version(self, db: sqlite3.Connection) -> int:
        (application,) = db.execute("PRAGMA application_id").fetchone()
        (version,) = db.execute("PRAGMA user_version").fetchone()
        (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if application != APPLICATION_ID and tables:
            raise StoreUnavailable(f"{self.path} is another program's database. Choose another file.")
        if version > len(MIGRATIONS):
            raise StoreTooNew(str(self.path), found=version, known=len(MIGRATIONS))
        return int(version)

    def _configure(self, db: sqlite3.Connection) -> None:
        db.execute(f"PRAGMA page_size = {PAGE_SIZE}")
        # The switch to WAL does not wait for a lock as other statements do.
        deadline = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                db.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)

    def _apply(self, db: sqlite3.Connection, number: int) -> None:
        db.execute("BEGIN IMMEDIATE")
        for statement in MIGRATIONS[number]:
            db.execute(statement)
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        db.execute(f"PRAGMA user_version = {number + 1}")
        db.execute("COMMIT")


def _parse(url: str) -> tuple[Path, str]:
    rest = url.removeprefix("sqlite:")
    rest = rest.removeprefix("//").removeprefix("/") if rest.startswith("//") else rest
    text, _, query = rest.partition("?")
    options = dict(part.partition("=")[::2] for part in query.split("&") if part)
    level = _SYNCHRONOUS.get(options.pop("synchronous", "full"))
    if level is None or options or not text:
        raise InvalidInput(
            f"{url!r} is not a store: write sqlite:///PATH, with ?synchronous=normal if you like."
        )
    return Path(unquote(text)).expanduser().absolute(), level


class _Reading:
    """A connection, lent to one thread. A class, because generators took a tenth of a turn's time."""

    def __init__(self, backend: SQLiteBackend) -> None:
        self._backend = backend

    def __enter__(self) -> Connection:
        try:
            self._db = self._backend._take()
            self._begin()
        except _FAILURES as error:
            _explain(self._backend.path, error)
        return cast(Connection, self._db)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._end(error)
        except _FAILURES as failure:
            _explain(self._backend.path, failure)
        if isinstance(error, _FAILURES):
            _explain(self._backend.path, error)

    def _begin(self) -> None:
        """Do what comes first; give the connection back where that fails."""

    def _end(self, error: BaseException | None) -> None:
        self._backend._give_back(self._db)


class _Writing(_Reading):
    """A connection inside a transaction: committed at the end, rolled back on an error."""

    def __init__(self, backend: SQLiteBackend, synchronous: str) -> None:
        super().__init__(backend)
        self._synchronous = synchronous

    def _begin(self) -> None:
        try:
            self._backend._lock.__enter__()
        except BaseException:
            self._backend._give_back(self._db)
            raise
        try:
            self._db.execute(f"PRAGMA synchronous = {self._synchronous}")
            self._db.execute("BEGIN IMMEDIATE")
        except BaseException as error:
            self._end(error)
            raise

    def _end(self, error: BaseException | None) -> None:
        db = self._db
        try:
            if error is None:
                db.execute("COMMIT")
        finally:
            try:
                # A full disk has rolled back already.
                if db.in_transaction:
                    db.execute("ROLLBACK")
            finally:
                self._backend._lock.__exit__(None, None, None)
                self._backend._give_back(db)


_FAILURES = (sqlite3.Error, OSError)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except _FAILURES as error:
        _explain(path, error)


def _explain(path: Path, error: sqlite3.Error | OSError) -> NoReturn:
    """Raise what SQLite or the file system said as one clear line."""
    if isinstance(error, StoreUnavailable):  # which is an OSError, and has its text
        raise error
    if isinstance(error, sqlite3.IntegrityError):
        if "sessions." in str(error):
            raise SessionExists("of this name") from error
        raise StoreUnavailable(f"The store {path} refused a write: {error}.") from error
    if isinstance(error, sqlite3.Error):
        raise StoreUnavailable(_reason(path, str(error))) from error
    if error.errno in (errno.EROFS, errno.EACCES) and path.exists():
        raise StoreUnavailable(_reason(path, "readonly")) from error
    raise StoreUnavailable(f"Cannot open the store {path}: {error.strerror}.") from error


def _reason(path: Path, message: str) -> str:
    if "readonly" in message:
        return f"The store {path} is read-only: nothing was saved. `store` chooses another."
    if "full" in message:
        return f"The disk of the store {path} is full: nothing was saved. Free some space and try again."
    if "locked" in message:
        return f"The store {path} is locked by another program: nothing was saved. Try again."
    if "unable to open" in message:
        return f"Cannot open the store {path}: no such folder, or no permission."
    if "not a database" in message or "malformed" in message:
        return f"{path} is damaged, or no database: {message}. It was left untouched."
    return f"The store {path} failed: {message}."


_open_backends: weakref.WeakSet[SQLiteBackend] = weakref.WeakSet()
_forking: list[SQLiteBackend] = []


def _before_fork() -> None:
    _forking[:] = _open_backends
    for backend in _forking:
        backend._before_fork()


def _after_fork(*, child: bool) -> None:
    for backend in _forking:
        backend._after_fork(child=child)
    _forking.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=lambda: _after_fork(child=False),
        after_in_child=lambda: _after_fork(child=True),
    )
