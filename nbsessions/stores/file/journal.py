"""
The journal of a store: a file to whose end each transaction adds one line.

A line is ``SUM BEFORE JSON``: the CRC-32 of the rest, the sum of the line before, and the rows of the
transaction. So a line that was damaged, lost or never finished is told from a whole one.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any, Final
from zlib import crc32

from pydantic_core import from_json

from nbsessions.exceptions import StoreTooNew, StoreUnavailable
from nbsessions.stores.file.folder import Folder, write_all
from nbsessions.values import new_id

Rows = list[list[Any]]
"""What one transaction wrote: each row is a kind and its fields."""

VERSION: Final = 1
NAME: Final = "journal"
_NEW: Final = "journal.new"
_KIND: Final = "nbsessions file store"
_FIRST: Final = b"00000000"
_CHUNK: Final = 1 << 20
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class Rewritten(Exception):
    """The journal is another file than before, or has lost lines that were read: it is to be read anew."""


class Journal:
    """The journal in a folder, as far as it has been read.

    Who appends, cuts or rewrites has the lock of the store, and has read all there is.

    Parameters
    ----------
    folder : Folder
        It may have none yet.

    Raises
    ------
    StoreTooNew, StoreUnavailable
        A newer nbsessions wrote it; it is none of ours.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as name, Folder.opened(Path(name)) as folder:
    ...     journal = Journal(folder)
    ...     journal.begin()
    ...     journal.append([["visit", "ada"]], durable=True)
    ...     journal.restart()
    ...     print(list(journal.read()))
    ...     journal.close()
    [[['visit', 'ada']]]
    """

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self.where = folder.path / NAME
        self.store_id: str | None = None
        self._fd = -1
        self._look: tuple[int, int, int, int] | None = None
        self._forget()

    def _forget(self) -> None:
        self._number, self._offset = 0, 0
        self._before: bytes | None = _FIRST  # None: of a line that is damaged, nobody knows its sum
        self.damages: list[str] = []
        self._broken: list[bytes] = []

    @property
    def size(self) -> int:
        """How many bytes of it have been read or written."""
        return self._offset

    def close(self) -> None:
        """Let go of the file. Closing twice is allowed."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    # Reading

    def restart(self) -> None:
        """Read it from its beginning the next time."""
        self.close()
        self._forget()
        self._look = None

    def has_changed(self) -> bool:
        """Tell whether there may be lines that have not been read."""
        look = self._looks()
        return look is not None and look != self._look

    def is_gone(self) -> bool:
        """Tell whether it was there, and is no more."""
        return self._look is not None and self._looks() is None

    def _looks(self) -> tuple[int, int, int, int] | None:
        found = self._folder.look(NAME)
        return None if found is None else (found.device, found.inode, found.size, found.modified)

    def read(self) -> Iterator[Rows]:
        """Yield what has been appended since the last time.

        Raises
        ------
        Rewritten
            What was read before is not what is there.
        StoreTooNew, StoreUnavailable
        """
        self._open()
        if self._fd < 0:
            return
        found = os.fstat(self._fd)
        look = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
        if found.st_size < self._offset:
            raise Rewritten
        for line in self._lines(found.st_size):
            rows = self._whole(line)
            self._offset += len(line)
            if rows is not None:
                yield rows
        if found.st_size and not self._number:
            self._check_head(b"")
        self._look = look

    def _open(self) -> None:
        there = self._folder.look(NAME)
        if self._fd >= 0:
            mine = os.fstat(self._fd)
            if there is None or (there.device, there.inode) != (mine.st_dev, mine.st_ino):
                raise Rewritten
            return
        if there is None:
            return
        if not there.is_file:
            raise StoreUnavailable(f"{self.where} is no file, or a link. It was left untouched.")
        flags = os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0) | os.O_APPEND
        try:
            self._fd = os.open(NAME, os.O_RDWR | flags, dir_fd=self._folder.fd)
        except PermissionError:
            self._fd = os.open(NAME, os.O_RDONLY | flags, dir_fd=self._folder.fd)
        except OSError as error:
            if error.errno != errno.EROFS:
                raise
            self._fd = os.open(NAME, os.O_RDONLY | flags, dir_fd=self._folder.fd)

    def _lines(self, end: int) -> Iterator[bytes]:
        """Yield the lines that are finished; the last one may still be on its way, or was cut off."""
        at, begun = self._offset, list[bytes]()
        while at < end:
            part = os.pread(self._fd, min(_CHUNK, end - at), at)
            if not part:
                break
            at += len(part)
            first, *more = part.split(b"\n")
            begun.append(first)
            for following in more:
                yield b"".join(begun) + b"\n"
                begun = [following]

    def _whole(self, line: bytes) -> Rows | None:
        """Return the rows of a line; None of one that is damaged, which is noted, and of the first."""
        self._number += 1
        total, before, text = line[:8], line[9:17], line[18:-1]
        if line[8:9] != b" " or line[17:18] != b" " or total != b"%08x" % crc32(line[9:-1]):
            if self._look is not None:
                raise Rewritten
            if self._number == 1:
                self._check_head(text)
            self._note(line, "is damaged")
            self._before = None
            return None
        if self._before is not None and before != self._before:
            if self._look is not None:
                raise Rewritten
            self._note(b"", "does not follow the one before: some are missing")
        self._before = total
        rows = from_json(text)
        if self._number == 1:
            self._check_head(text)
            return None
        return rows if isinstance(rows, list) else None

    def _check_head(self, text: bytes) -> None:
        try:
            head = from_json(text)
        except ValueError:
            head = None
        known = isinstance(head, dict) and head.get("kind") == _KIND
        version = head.get("version") if known and isinstance(head, dict) else None
        if isinstance(version, int) and version > VERSION:
            raise StoreTooNew(str(self.where), found=version, known=VERSION)
        if isinstance(head, dict) and known:
            store_id = str(head.get("store"))
            if self.store_id not in (None, store_id):
                raise StoreUnavailable(
                    f"The store {self.where.parent.parent} was replaced while it was open: nothing was "
                    "saved. Open the store again."
                )
            self.store_id = store_id
        elif not self._has_lines():
            raise StoreUnavailable(
                f"{self.where} is damaged, or no journal of nbsessions. It was left untouched."
            )

    def _has_lines(self) -> bool:
        """Tell whether any of the lines is one of ours."""
        size = os.fstat(self._fd).st_size
        at, self._offset = self._offset, 0
        try:
            return any(line[:8] == b"%08x" % crc32(line[9:-1]) for line in self._lines(size))
        finally:
            self._offset = at

    def _note(self, line: bytes, what: str) -> None:
        self.damages.append(f"{self.where}: line {self._number} {what}")
        if line:
            self._broken.append(line)

    # Writing

    def begin(self) -> None:
        """Make it, where there is none."""
        there = self._folder.look(NAME)
        if there is None or not there.size:
            self.restart()
            self.rewrite([])

    def append(self, rows: Rows, *, durable: bool) -> None:
        """Add a line. All of it is there when this returns, or nothing.

        Raises
        ------
        OSError
            There is no room, or it cannot be written.
        """
        line = self._line(rows)
        size = os.fstat(self._fd).st_size
        if size > self._offset:  # the process that wrote it has died
            os.ftruncate(self._fd, self._offset)
        try:
            write_all(self._fd, line)
            if durable:
                os.fsync(self._fd)
        except BaseException:
            with suppress(OSError):
                os.ftruncate(self._fd, self._offset)
            raise
        self._took(line)

    def sync(self) -> None:
        """Make durable what was appended."""
        os.fsync(self._fd)

    def _took(self, line: bytes) -> None:
        found = os.fstat(self._fd)
        self._number, self._before = self._number + 1, line[:8]
        self._offset = found.st_size
        self._look = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)

    def _line(self, rows: object, before: bytes | None = None) -> bytes:
        text = b"%s %s" % (before or self._before or _FIRST, _encode(rows).encode())
        return b"%08x %s\n" % (crc32(text), text)

    def rewrite(self, lines: Iterable[Rows]) -> None:
        """Put another journal in its place: what it said before is in no file then.

        Lines that are damaged are kept as they are: nobody knows what they say.
        """
        self.store_id = self.store_id or new_id()
        head = self._line({"kind": _KIND, "version": VERSION, "store": self.store_id}, _FIRST)
        with suppress(FileNotFoundError):
            os.unlink(_NEW, dir_fd=self._folder.fd)
        flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_APPEND | os.O_CLOEXEC
        fd = os.open(_NEW, flags, 0o600, dir_fd=self._folder.fd)
        try:
            before, written, count = head[:8], bytearray(head), 1 + len(self._broken)
            for broken in self._broken:
                written += broken
            if self._broken:
                before = _FIRST  # what follows them is not checked
            for rows in lines:
                line = self._line(rows, before)
                before, count = line[:8], count + 1
                written += line
                if len(written) > _CHUNK:
                    write_all(fd, bytes(written))
                    written.clear()
            write_all(fd, bytes(written))
            os.fsync(fd)
            os.rename(_NEW, NAME, src_dir_fd=self._folder.fd, dst_dir_fd=self._folder.fd)
        except BaseException:
            os.close(fd)
            with suppress(OSError):
                os.unlink(_NEW, dir_fd=self._folder.fd)
            raise
        old, self._fd = self._fd, fd
        if old >= 0:
            os.close(old)
        self._number, self._before = count - 1, before
        self._took(before)
        self._folder.sync()
