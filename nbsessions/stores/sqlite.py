"""
The default store: one SQLite file.

Write-ahead log, one writer at a time, and a turn is on the disk when its commit returns.
https://www.sqlite.org/wal.html, https://www.sqlite.org/pragma.html
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, cast

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
        self._mutex = threading.Lock()
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

    @contextmanager
    def _lent(self) -> Iterator[sqlite3.Connection]:
        if self.closed:
            raise StoreUnavailable(f"The store {self.path} is closed. Open it again.")
        with self._mutex:
            db = self._idle.pop() if self._idle else None
        db = db or self._connect()
        try:
            yield db
        except BaseException:
            db.close()
            raise
        with self._mutex:
            keep = not self.closed
            if keep:
                self._idle.append(db)
        if not keep:
            db.close()

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with _explained(self.path), self._lent() as db:
            yield cast(Connection, db)

    @contextmanager
    def _writing(self, *, durable: bool = True) -> Iterator[Connection]:
        with _explained(self.path), self._lock, self._lent() as db:
            # An acknowledged turn must survive the power; what a run says on its way must survive a kill.
            level = self._durable if durable else "NORMAL"
            db.execute(f"PRAGMA synchronous = {level}")
            db.execute("BEGIN IMMEDIATE")
            yield cast(Connection, db)
            db.execute("COMMIT")

    def close(self) -> None:
        """Close all connections; the last one folds the write-ahead log into the file."""
        with self._mutex:
            idle, self._idle, closed, self._closed = self._idle, [], self._closed, True
        if closed:
            return
        with _explained(self.path), self._lock:
            for db in idle:
                db.close()
        self._lock.close()

    def _forget(self) -> None:
        """In a forked child: leave the parent's connections alone, and never close them."""
        _parents.extend(self._idle)
        self._idle = []
        self._mutex = threading.Lock()
        self._lock = FileLock(Path(f"{self.path}.lock"))

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
    return Path(text).expanduser().absolute(), level


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn what SQLite and the file system say into one clear line."""
    try:
        yield
    except sqlite3.IntegrityError as error:
        if "sessions." in str(error):
            raise SessionExists("of this name") from error
        raise StoreUnavailable(f"The store {path} refused a write: {error}.") from error
    except sqlite3.Error as error:
        raise StoreUnavailable(_reason(path, str(error))) from error
    except (
        PermissionError,
        NotADirectoryError,
        IsADirectoryError,
        FileNotFoundError,
        FileExistsError,
    ) as error:
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
_parents: list[sqlite3.Connection] = []


def _after_fork() -> None:
    for backend in list(_open_backends):
        backend._forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
