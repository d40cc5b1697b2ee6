"""
The default store: one SQLite file.

Write-ahead log, one writer at a time, and a turn is on the disk when its commit returns.
https://www.sqlite.org/wal.html, https://www.sqlite.org/pragma.html
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import unquote

from nbsessions.exceptions import InvalidInput, StoreTooNew, StoreUnavailable
from nbsessions.stores import _rows
from nbsessions.stores._failures import explained
from nbsessions.stores._pool import BUSY_SECONDS, Pool
from nbsessions.stores._sql import Connection, SQLBackend

APPLICATION_ID: Final = 0x6E627365  # "nbse"
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
        self._pool = Pool(self.path, self._connect)
        with explained(self.path):
            self._prepare_file()
            db = self._connect()
            try:
                self._migrate(db)
            except BaseException:
                db.close()
                raise
        self._pool.add(db)

    def _prepare_file(self) -> None:
        if self.path.is_dir():
            raise StoreUnavailable(f"{self.path} is a folder. Name a file in it: {self.path / 'sessions.db'}")
        if self.path.exists():
            return
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with suppress(FileExistsError):
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))

    def _connect(self) -> sqlite3.Connection:
        db = sqlite3.connect(
            # Not made anew where it was removed: an empty database would look like a loss.
            f"{self.path.as_uri()}?mode=rw",
            uri=True,
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

    def _reading(self) -> AbstractContextManager[Connection]:
        return cast(AbstractContextManager[Connection], self._pool.reading())

    def _writing(self, *, durable: bool = True) -> AbstractContextManager[Connection]:
        # An acknowledged turn must survive the power; what a run says on its way must survive a kill.
        level = self._durable if durable else "NORMAL"
        return cast(AbstractContextManager[Connection], self._pool.writing(level, durable=durable))

    def _insert_row(self, db: Connection, sql: str, params: Sequence[Any]) -> int:
        return cast(int, cast(sqlite3.Connection, db).execute(sql, params).lastrowid)

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
        self._pool.close()

    # Schema

    def _migrate(self, db: sqlite3.Connection) -> None:
        if self._version(db) == len(MIGRATIONS):
            return
        with self._pool.lock:
            self._configure(db)
            for number in range(self._version(db), len(MIGRATIONS)):
                self._apply(db, number)

    def _version(self, db: sqlite3.Connection) -> int:
        # In this order: tables and id come in one transaction, which may be under way in another process.
        (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        (application,) = db.execute("PRAGMA application_id").fetchone()
        (version,) = db.execute("PRAGMA user_version").fetchone()
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
