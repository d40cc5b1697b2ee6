"""A copy of a whole store: the rows of any SQL store, with their numbers, in a new SQLite file."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Final

from nbsessions.exceptions import InvalidInput, StoreUnavailable
from nbsessions.stores._sql import Connection

# In this order, what a row points to is there before it.
TABLES: Final = (
    "states",
    "turns",
    "sessions",
    "heads",
    "runs",
    "events",
    "visits",
    "checkpoints",
    "key_values",
    "documents",
    "progress",
    "usage_daily",
)
_AT_ONCE: Final = 2_000


def check_new(path: Path) -> None:
    """Refuse to write where there is something already.

    Raises
    ------
    InvalidInput
    """
    if path.exists():
        raise InvalidInput(f"{path} exists already. Choose another file for the backup.")


def put_in_place(started: Path, path: Path, *, replace: bool = False) -> None:
    """Give a file that is whole its name, once it is on the disk.

    Raises
    ------
    InvalidInput, OSError
    """
    with open(started, "rb+") as copy:
        os.fsync(copy.fileno())
    if replace:
        os.replace(started, path)
    else:
        _link(started, path)
    if os.name == "posix":  # elsewhere a folder cannot be opened
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _link(started: Path, path: Path) -> None:
    """Give a file a name that nobody has; by a second name, so that a file made just now is not lost."""
    try:
        os.link(started, path)
    except FileExistsError:
        check_new(path)
        raise
    except OSError:  # not every file system has second names
        check_new(path)
        os.replace(started, path)
    else:
        started.unlink()


def begun(path: Path) -> Path:
    """Return the name under which a copy is written until it is whole; there is an empty file of it.

    Raises
    ------
    StoreUnavailable
    """
    started = path.with_name(f"{path.name}.part")
    try:
        with suppress(FileNotFoundError):
            started.unlink()
        os.close(os.open(started, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except OSError as error:
        raise StoreUnavailable(f"Cannot write the backup {path}: {error.strerror}.") from error
    return started


def copy_rows(source: Connection, path: Path) -> None:
    """Write all rows of a store into a store that is new and empty, each under its own number.

    `source` must see the store as it is at one moment until this returns.
    """
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("BEGIN")
        for table in TABLES:
            columns = [row[1] for row in db.execute(f"PRAGMA table_info({table})").fetchall()]
            marks = ", ".join("?" * len(columns))
            insert = f"INSERT INTO {table}({', '.join(columns)}) VALUES ({marks})"
            for rows in _pages(source, table, columns):
                db.executemany(insert, rows)
        db.execute("COMMIT")


def _pages(source: Connection, table: str, columns: Sequence[str]) -> Iterator[list[Any]]:
    sql = f"SELECT {', '.join(columns)} FROM {table} WHERE id > ? ORDER BY id LIMIT {_AT_ONCE}"
    number = columns.index("id")
    last = -1
    while rows := source.execute(sql, (last,)).fetchall():
        yield rows
        last = rows[-1][number]
