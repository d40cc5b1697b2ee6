"""Rows in Parquet files, a file for each month: ``usage/month=2026-11/usage.parquet``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from nbsessions.values import now

if TYPE_CHECKING:
    import pyarrow as pa

GROUP: Final = 65_536
"""Rows of a row group: readers skip, and share out among cores, whole ones."""
_GROUP_BYTES: Final = 32_000_000
_WAITING_BYTES: Final = 64_000_000


class Partitions:
    """The rows of one kind, each in the file of its month; those of a month may come at any time.

    What waits to be written is bounded; a month that is not complete when that is full has smaller row
    groups.

    Parameters
    ----------
    kind : str
        What the rows are, and their files are called.
    schema : pyarrow.Schema
        What columns are written as.
    at : str
        The column, a time or a date, that says in which month a row belongs.
    folder : Path
        Where the files are made.

    Examples
    --------
    >>> import pyarrow as pa, tempfile
    >>> from datetime import date
    >>> rows = pa.table({"day": [date(2026, 10, 31), date(2026, 11, 1)]})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     partitions = Partitions("usage", rows.schema, "day", Path(folder))
    ...     partitions.add(rows)
    ...     sorted(partitions.finish())
    ['2026-10', '2026-11']
    """

    def __init__(self, kind: str, schema: pa.Schema, at: str, folder: Path) -> None:
        self.kind = kind
        self._schema, self._at, self._folder = schema, at, folder
        self._months: dict[str, _Month] = {}

    def add(self, rows: pa.Table) -> None:
        """Take rows in."""
        for month, part in _by_month(rows, self._at):
            self._month(month).add(part)
        while sum(month.size for month in self._months.values()) > _WAITING_BYTES:
            max(self._months.values(), key=lambda month: month.size).write_all()

    def _month(self, name: str) -> _Month:
        if name not in self._months:
            self._months[name] = _Month(self._folder / f"{self.kind}-{name}.parquet", self._schema)
        return self._months[name]

    def finish(self) -> dict[str, Path]:
        """Write what waits, and return the file of each month: whole, and on the disk.

        Where there was no row, there is a file without one, which tells the columns.
        """
        if not self._months:
            self._month(f"{now():%Y-%m}").add(self._schema.empty_table())
        return {name: month.finish() for name, month in sorted(self._months.items())}

    def abandon(self) -> None:
        """Close the files, which may be anything."""
        for month in self._months.values():
            month.abandon()


class _Month:
    """One file, which is made when the first row group is full."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.path, self._schema = path, schema
        self.size = 0
        self._rows = 0
        self._waiting: list[pa.Table] = []
        self._file: BinaryIO | None = None
        self._writer: Any = None

    def add(self, rows: pa.Table) -> None:
        self._waiting.append(rows)
        self._rows += rows.num_rows
        self.size += rows.nbytes
        if self._rows >= GROUP:
            self._write(self._rows - self._rows % GROUP)
        elif self.size >= _GROUP_BYTES:
            self.write_all()

    def write_all(self) -> None:
        self._write(self._rows)

    def _write(self, count: int) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        if self._writer is None:
            self._file = open(self.path, "xb")  # noqa: SIM115 - closed when it is whole
            self._writer = pq.ParquetWriter(self._file, self._schema, compression="zstd")
        table = pa.concat_tables(self._waiting)
        full, rest = table.slice(0, count), table.slice(count)
        self._writer.write_table(full.combine_chunks().cast(self._schema), row_group_size=GROUP)
        self._waiting, self._rows = [rest] if rest.num_rows else [], rest.num_rows
        self.size = rest.nbytes

    def finish(self) -> Path:
        if self._rows or self._file is None:
            self.write_all()
        assert self._file is not None
        self._writer.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        return self.path

    def abandon(self) -> None:
        # What could not be written before may be refused once more.
        for open_one in (self._writer, self._file):
            with suppress(OSError):
                if open_one is not None:
                    open_one.close()


def _by_month(rows: pa.Table, at: str) -> Iterator[tuple[str, pa.Table]]:
    """Yield the months that rows are of, and the rows of each, in the order in which they came."""
    import pyarrow.compute as pc

    months = pc.add(pc.multiply(pc.year(rows[at]), 12), pc.subtract(pc.month(rows[at]), 1))
    for month in sorted(pc.unique(months).to_pylist()):
        yield f"{month // 12:04}-{month % 12 + 1:02}", rows.filter(pc.equal(months, month))
