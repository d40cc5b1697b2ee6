"""Checksums of what is stored, and pieces of statements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from zlib import crc32

from nbsessions.exceptions import DamagedSession


def insert(table: str, columns: Sequence[str], values: Mapping[str, str] | None = None) -> str:
    marks = ", ".join((values or {}).get(column, "?") for column in columns)
    return f"INSERT INTO {table}({', '.join(columns)}) VALUES ({marks})"


def read_state(where: str, row: Sequence[Any] | None) -> str:
    """Return the state of a row of its body and checksum; where there is none, it is empty.

    Raises
    ------
    DamagedSession
    """
    state, state_crc = (None, None) if row is None else row
    check_state(where, state, state_crc)
    return str(state or "{}")


def check_state(where: str, state: str | None, state_crc: int | None) -> None:
    if state is not None and state_crc is not None and state_crc != crc(state):
        raise DamagedSession(where, "state")


def crc(*values: object) -> int:
    """Return a checksum of values, the same on every machine: CRC-32 of them as text."""
    return crc32((_TEXT_OF[len(values)] % values).encode(errors="surrogateescape"))


_TEXT_OF = ["\0".join(["%s"] * count) for count in range(20)]


def marks(count: int) -> str:
    """Return so many placeholders."""
    return ", ".join("?" * count)
