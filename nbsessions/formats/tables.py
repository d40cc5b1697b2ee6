"""Tables of other tools' databases, whose columns are more or fewer from version to version."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nbsessions.formats.base import SQLITE_SUFFIXES, Peek

Row = dict[str, Any]


def is_database(path: Path) -> bool:
    """Tell whether a file is a database, by its name or else by how it begins.

    Examples
    --------
    >>> is_database(Path("/nowhere/logs.db")), is_database(Path("/nowhere/chat.toon"))
    (True, False)
    """
    if path.suffix.lower() in SQLITE_SUFFIXES:
        return True
    return path.is_file() and Peek(path).head.startswith(b"SQLite format 3\0")


class Tables:
    """The tables of an open database, read by name: a column that is not there is None.

    Parameters
    ----------
    db : sqlite3.Connection
    where : object
        What to call it in an error.

    Examples
    --------
    >>> db = sqlite3.connect(":memory:")
    >>> _ = db.execute("CREATE TABLE turns(id, text)")
    >>> _ = db.execute("INSERT INTO turns VALUES (1, 'Hi')")
    >>> tables = Tables(db, "logs.db")
    >>> "turns" in tables, list(tables.rows("turns", "id", "model"))
    (True, [{'id': 1, 'model': None}])
    """

    def __init__(self, db: sqlite3.Connection, where: object) -> None:
        self._db, self.where = db, where
        # A view could stand for a query that never ends.
        found = db.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%'"
        )
        self._names = {str(name) for (name,) in found.fetchall()}
        self._columns: dict[str, set[str]] = {}

    def __contains__(self, table: str) -> bool:
        return table in self._names

    def rows(
        self, table: str, *columns: str, where: str = "", is_: object = None, order: str = ""
    ) -> Iterator[Row]:
        """Yield rows as dicts of these columns: all, or those where one column has a value.

        Parameters
        ----------
        table : str
            Where it is not there, it has no rows.
        *columns : str
        where, is_ : str, object
            A column, and its value; None: all rows.
        order : str
            Columns to sort by, with commas between; those that are not there do not sort.

        Examples
        --------
        >>> list(Tables(sqlite3.connect(":memory:"), "logs.db").rows("turns", "id"))
        []
        """
        if table not in self or not _can_be(is_):
            return
        there = self._there(table)
        names = ", ".join(f'"{name}"' if name in there else "NULL" for name in columns)
        sql = f'SELECT {names} FROM "{table}"'
        if where:
            if where not in there:
                return
            sql += f' WHERE "{where}" IS ?'
        by = [f'"{name.strip()}"' for name in order.split(",") if name.strip() in there]
        by += ["rowid"] if self._has_rowid(table) else []
        sql += f" ORDER BY {', '.join(by)}" if by else ""
        for row in self._db.execute(sql, (is_,) if where else ()):
            yield dict(zip(columns, row, strict=True))

    def grouped(self, table: str, by: str, *columns: str, order: str = "") -> dict[Any, list[Row]]:
        """Return all rows of a table, by what one column says: for columns that have no index.

        Examples
        --------
        >>> db = sqlite3.connect(":memory:")
        >>> _ = db.execute("CREATE TABLE turns(id, thread)")
        >>> _ = db.execute("INSERT INTO turns VALUES (1, 'a'), (2, 'a')")
        >>> Tables(db, "logs.db").grouped("turns", "thread", "id")
        {'a': [{'id': 1}, {'id': 2}]}
        """
        found: dict[Any, list[Row]] = {}
        for row in self.rows(table, by, *columns, order=order):
            found.setdefault(row[by], []).append({name: row[name] for name in columns})
        return found

    def _there(self, table: str) -> set[str]:
        if table not in self._columns:
            found = self._db.execute(f'PRAGMA table_xinfo("{table}")').fetchall()
            self._columns[table] = {str(row[1]) for row in found}
        return self._columns[table]

    def _has_rowid(self, table: str) -> bool:
        row = self._db.execute("SELECT sql FROM sqlite_master WHERE name = ?", (table,)).fetchone()
        return "WITHOUT ROWID" not in str(row[0]).upper()


def _can_be(value: object) -> bool:
    """Tell whether a database could hold this."""
    if isinstance(value, int):
        return -(2**63) <= value < 2**63
    return value is None or isinstance(value, (str, float, bytes))
