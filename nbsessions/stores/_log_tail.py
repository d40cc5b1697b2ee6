"""
The end of an SQLite write-ahead log: whether something stands behind what SQLite reads of it.

SQLite takes the first frame that does not match its checksum for the end of the log, as it should after
a power cut. Where it was a flipped byte instead, turns that were acknowledged are gone without a word.
https://www.sqlite.org/fileformat2.html#the_write_ahead_log
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

_HEADER: Final = struct.Struct(">IIIIIIII")
_FRAME: Final = struct.Struct(">IIIIII")
_LITTLE_ENDIAN: Final = 0x377F0682
_SALTS: Final = slice(8, 16)


def is_cut(path: Path, frames: int) -> bool:
    """Tell whether a log holds commits behind its first so many frames, which are those that SQLite reads.

    Nobody may be writing meanwhile.

    Parameters
    ----------
    path : Path
        The log.
    frames : int
        As ``PRAGMA wal_checkpoint`` says.
    """
    try:
        with open(path, "rb") as file:
            return _is_cut(file, frames)
    except FileNotFoundError:
        return False


class _Sum(NamedTuple):
    """The checksum of all that comes before."""

    order: str
    first: int
    second: int

    def then(self, data: bytes) -> _Sum:
        """Return the checksum of all up to and with this."""
        first, second = self.first, self.second
        words = struct.unpack(f"{self.order}{len(data) // 4}I", data)
        for one, other in zip(words[::2], words[1::2], strict=True):
            first = (first + one + second) & 0xFFFFFFFF
            second = (second + other + first) & 0xFFFFFFFF
        return _Sum(self.order, first, second)


def _is_cut(file: BinaryIO, frames: int) -> bool:
    header = file.read(_HEADER.size)
    if len(header) < _HEADER.size:
        return False
    magic, _, page_size, *_, first, second = _HEADER.unpack(header)
    before = _Sum("<" if magic == _LITTLE_ENDIAN else ">", first, second)
    if before._replace(first=0, second=0).then(header[:24]) != before:
        return os.fstat(file.fileno()).st_size > _HEADER.size
    size, salts = _FRAME.size + page_size, header[16:24]
    heads = enumerate(_heads(file, frames, size), frames)
    commits = [number for number, head in heads if _is_commit(head, salts)]
    if not commits:
        return False
    if frames:
        file.seek(_HEADER.size + (frames - 1) * size)
        *_, first, second = _FRAME.unpack(file.read(_FRAME.size))
        before = before._replace(first=first, second=second)
    broken = _first_broken(file, frames, size, salts, before)
    # SQLite writes the header of a frame before its page: a process that died in between leaves just this.
    return broken is not None and commits != [broken]


def _heads(file: BinaryIO, after: int, size: int) -> Iterator[bytes]:
    """Yield the headers of the frames after so many."""
    for start in range(_HEADER.size + after * size, os.fstat(file.fileno()).st_size, size):
        file.seek(start)
        yield file.read(_FRAME.size)


def _is_commit(head: bytes, salts: bytes) -> bool:
    # Frames of an earlier log have other salts; those of a transaction that was undone commit nothing.
    return len(head) == _FRAME.size and head[_SALTS] == salts and head[4:8] != bytes(4)


def _first_broken(file: BinaryIO, after: int, size: int, salts: bytes, before: _Sum) -> int | None:
    """Return the number of the next frame that is not whole; None where a commit comes before it.

    So it is where a log begins anew: SQLite reads nothing of it any more, and all of it was good.
    """
    file.seek(_HEADER.size + after * size)
    for number in count(after):
        frame = file.read(size)
        if len(frame) < size or frame[_SALTS] != salts:
            return number
        before = before.then(frame[:8]).then(frame[_FRAME.size :])
        if struct.pack(">II", before.first, before.second) != frame[16:24]:
            return number
        if _is_commit(frame[: _FRAME.size], salts):
            return None
    return None
