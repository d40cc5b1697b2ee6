"""The shape of an SQLite store: whether its tables and indexes are as they were made."""

from __future__ import annotations

import sqlite3
from typing import Final
from zlib import crc32

from nbsessions.stores._transfer import TABLES

SHAPE: Final = 0xEC5BF039
"""Of the last schema; a test says what it is."""
_NAMES: Final = ", ".join(f"'{name}'" for name in TABLES)
# Not what SQLite adds for the index of words: that may differ from version to version.
_MADE: Final = f"SELECT name, sql FROM sqlite_master WHERE tbl_name IN ({_NAMES}) ORDER BY name"


def shape(db: sqlite3.Connection) -> int:
    """Return a checksum of what the tables and indexes were made with.

    A database has no checksum of its own schema: where a byte of it flips, a column is read as another.
    """
    return crc32(repr(db.execute(_MADE).fetchall()).encode())
