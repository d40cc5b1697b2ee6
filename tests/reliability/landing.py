"""Where in a database file a byte is: which column of which table, or which part of its structure."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random

from nbsessions.stores.sqlite import PAGE_SIZE

HEADER_BYTES = 100
_Rows = dict[str, list[tuple[object, ...]]]


class Landings:
    """Knows a database file; tells where a damaged copy of it differs."""

    def __init__(self, path: Path) -> None:
        with closing(sqlite3.connect(path)) as db:
            names = db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            # The index of words is made anew from the turns, and holds nothing that is read.
            self._tables = [name for (name,) in names if not name.startswith(("sqlite_", "search"))]
            self._columns = {
                table: [row[1] for row in db.execute(f"PRAGMA table_info({table})")] for table in self._tables
            }
            indexes = db.execute("SELECT name FROM sqlite_master WHERE type = 'index'").fetchall()
            self._indexes = {name for (name,) in indexes}
            pages = db.execute("SELECT pageno, name FROM dbstat").fetchall()
        self._pages: dict[int, str] = dict(pages)
        self._rows = self._read(path)

    def indexes(self) -> list[int]:
        """Return the numbers of the pages of all indexes, the first of the file being 1."""
        return [page for page, owner in self._pages.items() if owner in self._indexes]

    def columns(self) -> list[tuple[str, str]]:
        """Return all tables and columns."""
        return [(table, column) for table, columns in self._columns.items() for column in columns]

    def anywhere(self, chance: Random, size: int) -> int:
        """Return the place of a byte: each is as likely as another."""
        return chance.randrange(size)

    def somewhere(self, chance: Random) -> int:
        """Return the place of a byte: each table and index is as likely as another, however small it is."""
        name = chance.choice(sorted({*self._pages.values()}))
        page = chance.choice([page for page, owner in self._pages.items() if owner == name])
        return (page - 1) * PAGE_SIZE + chance.randrange(PAGE_SIZE)

    def where(self, damaged: Path, offset: int) -> list[str]:
        """Return the columns whose values differ; where none does, the part of the file that it is in."""
        if offset < HEADER_BYTES:
            return ["the file's header"]
        structure = [f"{self._pages.get(offset // PAGE_SIZE + 1, 'free pages')}: structure"]
        try:
            return sorted({*self._differences(self._read(damaged))}) or structure
        except (sqlite3.Error, ValueError):  # the second where a name in the schema is no text any more
            return structure

    def _read(self, path: Path) -> _Rows:
        with closing(sqlite3.connect(path)) as db:
            db.text_factory = bytes
            return {
                table: db.execute(f"SELECT rowid, * FROM {table} NOT INDEXED").fetchall()
                for table in self._tables
            }

    def _differences(self, rows: _Rows) -> Iterator[str]:
        for table, before in self._rows.items():
            if len(before) != len(rows[table]):
                yield f"{table}: rows"
                continue
            names = ["rowid", *self._columns[table]]
            for one, other in zip(before, rows[table], strict=True):
                for name, value, found in zip(names, one, other, strict=True):
                    if value != found or type(value) is not type(found):
                        yield f"{table}.{name}"
