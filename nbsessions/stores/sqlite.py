"""
The default store: one SQLite file.

Write-ahead log, one writer at a time, and a turn is on the disk when its commit returns.
https://www.sqlite.org/wal.html, https://www.sqlite.org/pragma.html
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from itertools import count
from pathlib import Path
from typing import Final, cast
from urllib.parse import unquote

from nbsessions.exceptions import InvalidInput, StoreTooNew, StoreUnavailable
from nbsessions.stores._erasing import Eraser
from nbsessions.stores._failures import explained, reason
from nbsessions.stores._log_tail import is_cut
from nbsessions.stores._pool import BUSY_SECONDS, Link, Pool
from nbsessions.stores._rows import schema
from nbsessions.stores._scan import search
from nbsessions.stores._shape import SHAPE, shape
from nbsessions.stores._sql import Connection
from nbsessions.stores._sql.usage import rebuild
from nbsessions.stores._sqlite_dialect import Dialect
from nbsessions.stores._transfer import begun, check_new, put_in_place
from nbsessions.stores._watching import look
from nbsessions.stores.base import Found, Wanted
from nbsessions.values import check_path

APPLICATION_ID: Final = 0x6E627365  # "nbse"
# Two short messages and their links take 2.5 KB: a page of 4 KB would hold one such row and waste the rest.
PAGE_SIZE: Final = 8192
# A conversation of 10,000 messages fits: its chain is walked first and read then, from the same pages.
CACHE_KIB: Final = 16 * 1024
_SPARE_KIB: Final = 2 * 1024
"""Of a connection that another thread needs for a moment: in a kernel, one that follows the store."""
# Words come in pieces that `nbsessions.words` has made: what is no ASCII is part of a word.
# Contentless: the text itself is in the turns. https://www.sqlite.org/fts5.html
_WORDS: Final = (
    "CREATE VIRTUAL TABLE search USING fts5(words, role, content='', tokenize='ascii')",
    # A message is one row of the index. Rows that are numbered without gaps take half as much of it, and
    # in the order of the turns, no second index is needed to find them.
    "CREATE TABLE search_documents (id INTEGER PRIMARY KEY, turn BIGINT NOT NULL, place BIGINT NOT NULL)",
)
_TYPES: Final = {"pk": "INTEGER PRIMARY KEY", "blob": "BLOB", "name": "TEXT"}
_Step = str | Callable[[Connection], object]
MIGRATIONS: Final[tuple[tuple[_Step, ...], ...]] = (
    schema.made(schema.SCHEMA, **_TYPES),
    (*schema.made(schema.SCHEMA_2, **_TYPES), *_WORDS),
    schema.SCHEMA_3,
    (*schema.made(schema.SCHEMA_4, **_TYPES), rebuild),
    schema.made(schema.SCHEMA_5, **_TYPES),
)
_SYNCHRONOUS: Final = {"normal": "NORMAL", "full": "FULL"}


class SQLiteBackend(Dialect):
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

    def __init__(self, url: str) -> None:
        self.url = url
        self.path, self._durable = _parse(url)
        self._pool = Pool(self.path, self._connect)
        self._eraser = Eraser(self._pool)
        self._writable = True
        with explained(self.path):
            self._prepare_file()
            left_behind = self._writable and _has_log(self.path)
            db = self._connect()
            try:
                if left_behind:
                    self._check_log(db)
                self._migrate(db)
                self._check_shape(db)
            except BaseException:
                db.close()
                raise
        self._pool.add(db)

    def _prepare_file(self) -> None:
        if self.path.is_dir():
            file = self.path / "sessions.db"
            text = f"{self.path} is a folder. Name a file in it: {file}, or say file:{self.path}"
            raise StoreUnavailable(f"{text} for a store in files.")
        if self.path.exists():
            self._writable = os.access(self.path, os.W_OK) and os.access(self.path.parent, os.W_OK)
            return
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with suppress(FileExistsError):
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))

    def _connect(self) -> Link:
        if self._writable:
            return self._opened("mode=rw")
        # Whoever writes it elsewhere may have made another of it since it was opened first.
        seen = look(self.path)
        db = self._opened(seen.mode)
        try:
            self._migrate(db)
        except BaseException:
            db.close()
            raise
        db.seen = seen
        return db

    def _opened(self, mode: str) -> Link:
        db = sqlite3.connect(
            # Not made anew where it was removed: an empty database would look like a loss.
            f"{self.path.as_uri()}?{mode}",
            uri=True,
            timeout=BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
            factory=Link,
        )
        db.patience = BUSY_SECONDS
        db.execute("PRAGMA foreign_keys = ON")
        db.execute("PRAGMA trusted_schema = OFF")
        db.execute("PRAGMA synchronous = FULL")
        # What was deleted or redacted shall not be found in the file.
        db.execute("PRAGMA secure_delete = ON")
        db.is_spare = self._pool.has_any
        db.execute(f"PRAGMA cache_size = -{_SPARE_KIB if db.is_spare else CACHE_KIB}")
        return db

    def _reading(self) -> AbstractContextManager[Connection]:
        return cast(AbstractContextManager[Connection], self._pool.reading())

    def _writing(self, *, durable: bool = True) -> AbstractContextManager[Connection]:
        if not self._writable:
            raise StoreUnavailable(reason(self.path, "readonly"))
        # An acknowledged turn must survive the power; what a run says on its way must survive a kill.
        level = self._durable if durable else "NORMAL"
        return cast(AbstractContextManager[Connection], self._pool.writing(level, durable=durable))

    def close(self) -> None:
        """Close all connections; the last one folds the write-ahead log into the file."""
        self._eraser.finish()
        self._pool.close()

    # Schema

    def _migrate(self, db: Link) -> None:
        if self._version(db) == len(MIGRATIONS):
            return
        if not self._writable:
            raise StoreUnavailable(
                f"The store {self.path} is read-only, and of an older version of nbsessions. Copy it to "
                "where it can be written, and open the copy."
            )
        with self._pool.lock:
            self._configure(db)
            version = self._version(db)
            if 0 < version < len(MIGRATIONS):
                backup = self.path.with_name(f"{self.path.name}.v{version}.bak")
                self._copy(db, backup, replace=True)
                self.note = f"The store was of an earlier version, and is kept as it was in {backup.name}."
            for number in range(version, len(MIGRATIONS)):
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

    def _check_shape(self, db: sqlite3.Connection) -> None:
        """Tell of tables that are not as they were made: what is read from them may be anything."""
        if shape(db) != SHAPE:
            text = (
                f"The store {self.path} is damaged: its tables are not as they were made. Restore a backup."
            )
            warnings.warn(text, RuntimeWarning, stacklevel=6)

    def _check_log(self, db: sqlite3.Connection) -> None:
        """Tell of a log whose end cannot be read: where a process died, the last turns are there alone.

        It is kept as it is, before anything is written over it.
        """
        log = Path(f"{self.path}-wal")
        self._version(db)  # of another program's database, nothing is touched
        with self._pool.lock:
            _, frames, _ = db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            if frames < 0 or not is_cut(log, frames):
                return
            copy = next(one for n in count(1) if not (one := Path(f"{log}.{n}.bak")).exists())
            shutil.copy(log, copy)
        lost = f"The end of {log} cannot be read: what was written last before a crash may be missing."
        text = f"{lost} The log is kept as it was in {copy.name}."
        warnings.warn(text, RuntimeWarning, stacklevel=6)

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
        for step in MIGRATIONS[number]:
            if isinstance(step, str):
                db.execute(step)
            else:
                step(cast(Connection, db))
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        db.execute(f"PRAGMA user_version = {number + 1}")
        db.execute("COMMIT")

    # Upkeep

    def search(self, wanted: Wanted) -> list[Found]:
        """Return what the index of words says; where it cannot catch up, what there is to read."""
        return super().search(wanted) if self._writable else search(self, wanted)

    def revision(self) -> str:
        """Return what a connection knows of other connections' changes, and of its own."""
        with self._reading() as db:
            (others,) = db.execute("PRAGMA data_version").fetchone()
            return f"{id(db)} {others} {cast(Link, db).total_changes}"

    def check(self) -> list[str]:
        """Return what SQLite itself finds wrong with the file, and with the index of words."""
        with self._reading() as db:
            said = [str(row[0]) for row in db.execute("PRAGMA integrity_check(20)").fetchall()]
        damages = [f"{self.path}: {line}" for line in said if line != "ok"]
        return damages + super().check()

    def backup(self, path: Path, new_store: Callable[[Path], None]) -> None:
        """Write all of the store into a new file, as it is at one moment."""
        check_new(path)
        with self._reading() as db, explained(path):
            self._copy(cast(Link, db), path)

    def _copy(self, db: Link, path: Path, *, replace: bool = False) -> None:
        started = begun(path)
        try:
            db.execute("VACUUM INTO ?", (str(started),))
            self._pool.check_unchanged(db)
            put_in_place(started, path, replace=replace)
        finally:
            started.unlink(missing_ok=True)

    def _will_erase(self, *, said: bool) -> None:
        self._eraser.note(merge=said)

    def _erase(self, *, shrink: bool) -> None:
        self._eraser.erase(shrink=shrink)


def _has_log(path: Path) -> bool:
    log = Path(f"{path}-wal")
    return log.exists() and log.stat().st_size > 0


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
    return check_path(unquote(text)), level
