"""Checksums of what is stored, rows that carry one, and pieces of statements."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any
from zlib import crc32

from nbsessions.exceptions import DamagedSession, StoreError


class Sealed:
    """A row with a checksum over these columns: it is read, changed here, and written back.

    Damage is carried on: what was not what was written goes on to be told, whatever is written since.

    Parameters
    ----------
    table : str
    columns : sequence of str
    number : int
        The row's id.
    values : sequence
        Of the columns.
    own_crc : int or None
        As it is stored; None where nothing was written since there are checksums.
    seal : str
        The name of its column.
    added : int
        So many of the last columns are no part of the checksums of older rows.
    """

    def __init__(
        self,
        table: str,
        columns: Sequence[str],
        number: int,
        values: Sequence[Any],
        own_crc: int | None,
        seal: str = "crc",
        added: int = 0,
    ) -> None:
        self.number, self._table, self._seal = number, table, seal
        self.values = dict(zip(columns, values, strict=True))
        self._damage = damage(own_crc, tuple(values), added)
        self._changed: dict[str, Any] = {}

    @property
    def is_damaged(self) -> bool:
        """Whether it is not what was written."""
        return self._damage != 0

    def __getitem__(self, column: str) -> Any:
        return self.values[column]

    def set(self, **values: Any) -> None:
        """Change columns, to be written."""
        self.values.update(values)
        self._changed.update(values)

    def add(self, **counts: int) -> None:
        """Add to columns, to be written."""
        self.set(**{column: self.values[column] + count for column, count in counts.items()})

    def update(self) -> tuple[str, tuple[Any, ...]]:
        """Return the statement that writes what was changed, with its parameters."""
        own_crc = crc_of((*self.values.values(),)) ^ self._damage
        params = (*self._changed.values(), own_crc, self.number)
        return _update(self._table, (*self._changed, self._seal)), params


@cache
def _update(table: str, columns: tuple[str, ...]) -> str:
    return f"UPDATE {table} SET {', '.join(f'{column} = ?' for column in columns)} WHERE id = ?"


def insert(table: str, columns: Sequence[str], values: Mapping[str, str] | None = None) -> str:
    marks = ", ".join((values or {}).get(column, "?") for column in columns)
    return f"INSERT INTO {table}({', '.join(columns)}) VALUES ({marks})"


def read_state(where: str, number: int | None, row: Sequence[Any] | None) -> str:
    """Return the state of this number, whose body and checksum are given; 0 is the empty one.

    Raises
    ------
    DamagedSession
    """
    if not number:
        return "{}"
    state, own_crc = row or (None, None)
    if state is None or own_crc not in (None, crc(state)):
        raise DamagedSession(where, "state")
    return str(state)


def is_sealed(own_crc: int | None, values: tuple[Any, ...], added: int) -> bool:
    """Tell whether a row is what was written; of an older one, some of its last columns came since."""
    if own_crc is None or own_crc == crc_of(values):
        return True
    return any(own_crc == crc_of(values[:-count]) for count in range(1, added + 1))


def damage(own_crc: int | None, values: tuple[Any, ...], added: int) -> int:
    """Return how far the checksum of a row is from what it is now, which is carried on; 0: it is whole."""
    return 0 if own_crc is None or is_sealed(own_crc, values, added) else own_crc ^ crc_of(values)


def is_written(own_crc: int | None, values: Sequence[Any], links: Sequence[Any]) -> bool:
    """Tell whether values are those that a checksum was made of; without one, nobody can know otherwise.

    In rows of schema 2, it is of the values without their links.
    """
    return own_crc is None or own_crc == crc(*values, *links) or own_crc == crc(*values)


def tell(error: StoreError) -> None:
    """Warn of damage that keeps nobody from the rest."""
    warnings.warn(str(error), RuntimeWarning, stacklevel=5)


def crc(*values: object) -> int:
    """Return a checksum of values, the same on every machine: CRC-32 of them as text."""
    return crc_of(values)


def crc_of(values: tuple[object, ...]) -> int:
    """Return the checksum of a tuple of values."""
    return crc32((_TEXT_OF[len(values)] % values).encode("utf-8", "surrogateescape"))


_TEXT_OF = ["\0".join(["%s"] * count) for count in range(40)]


@cache
def passing(select: str, hint: str) -> str:
    """Return a SELECT with this hint on its table.

    Examples
    --------
    >>> passing("SELECT r.id FROM runs r WHERE r.run_id = ?", "NOT INDEXED")
    'SELECT r.id FROM runs r NOT INDEXED WHERE r.run_id = ?'
    """
    return re.sub(r"(FROM \w+ \w+)", rf"\1 {hint}", select, count=1) if hint else select


def marks(count: int) -> str:
    """Return so many placeholders."""
    return ", ".join("?" * count)
