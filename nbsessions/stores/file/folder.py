"""
A folder of the store, held open: what is in it is reached from there, and never through a link.

https://man7.org/linux/man-pages/man2/open.2.html (``O_NOFOLLOW``), https://lwn.net/Articles/457667/ (what a
rename needs so that after a power cut there is the old or the new).
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple

_TICK_NS: Final = 100_000_000
"""Two changes that are no further apart may bear the same time."""
_FOLDER: Final = os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)
_FILE: Final = (
    os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
)  # a pipe in the place of a file shall keep nobody waiting
_NEW: Final = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0)
_CHUNK: Final = 1 << 20


_BEGUN: Final = "begun"


class Look(NamedTuple):
    """What a file looks like from outside: another after each change.

    Examples
    --------
    >>> Look.of(os.stat(os.devnull)).is_file
    False
    """

    device: int
    inode: int
    size: int
    modified: int
    changed: int
    is_file: bool

    @classmethod
    def of(cls, found: os.stat_result) -> Look:
        """Return the look of what was found."""
        is_file = stat.S_ISREG(found.st_mode)
        return cls(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns, is_file)

    def is_settled(self) -> bool:
        """Tell whether a change from now on is certain to give another look."""
        return time.time_ns() - max(self.modified, self.changed) > _TICK_NS


class NoFile(OSError):
    """What should be a file or a folder is something else, such as a link."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Changed(Exception):
    """A file is another one than that which was to be replaced."""


class Folder:
    """A folder that is open.

    Parameters
    ----------
    path : Path
        For people.
    fd : int
        It is closed with this.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as name, Folder.opened(Path(name)) as folder:
    ...     _ = folder.write("a.json", b"{}", folder)
    ...     folder.read("a.json", 10)[0], [name for name, _ in folder.names()]
    (b'{}', ['a.json'])
    """

    def __init__(self, path: Path, fd: int) -> None:
        self.path, self.fd = path, fd

    @classmethod
    def opened(cls, path: Path) -> Folder:
        """Open a folder by its path, which may lead through links: a person has named it."""
        return cls(path, os.open(path, _FOLDER & ~getattr(os, "O_NOFOLLOW", 0)))

    def __enter__(self) -> Folder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of it. Closing twice is allowed."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    @contextmanager
    def within(self, *names: str, make: bool = False) -> Iterator[Folder | None]:
        """Open a folder in this one; None where there is none.

        Raises
        ------
        NoFile
            There is something else of this name, such as a link.
        """
        fd = os.dup(self.fd)
        path = self.path
        try:
            for name in names:
                path = path / name
                if make:
                    with suppress(FileExistsError):
                        os.mkdir(name, 0o700, dir_fd=fd)
                try:
                    inner = os.open(name, _FOLDER, dir_fd=fd)
                except FileNotFoundError:
                    break
                except NotADirectoryError as error:
                    raise NoFile("is no folder, or a link") from error
                except OSError as error:
                    raise _as_no_file(error) from error
                os.close(fd)
                fd = inner
            else:
                yield Folder(path, fd)
                return
            yield None
        finally:
            os.close(fd)

    def look(self, name: str) -> Look | None:
        """Return what is there under a name, a link itself included; None where nothing is."""
        try:
            return Look.of(os.stat(name, dir_fd=self.fd, follow_symlinks=False))
        except (FileNotFoundError, NotADirectoryError):
            return None

    def names(self) -> list[tuple[str, os.DirEntry[str]]]:
        """Return what is in it, by name."""
        with os.scandir(self.fd) as found:
            return sorted((entry.name, entry) for entry in found)

    def read(self, name: str, most: int) -> tuple[bytes, Look]:
        """Return the content of a file, and its look before it was read.

        Raises
        ------
        NoFile
            It is a link, no file, or larger than `most`.
        """
        try:
            fd = os.open(name, _FILE, dir_fd=self.fd)
        except OSError as error:
            raise _as_no_file(error) from error
        try:
            look = Look.of(os.fstat(fd))
            if not look.is_file:
                raise NoFile("is no file")
            if look.size > most:
                raise NoFile(f"has {look.size:,} bytes; the limit is {most:,}")
            parts = []
            while part := os.read(fd, _CHUNK):
                parts.append(part)
            return b"".join(parts), look
        finally:
            os.close(fd)

    def write(self, name: str, data: bytes, beside: Folder) -> None:
        """Put a file in the place of what is there; whoever reads sees the old or the new.

        It is written beside first, in a folder of the same disk, where a dead process leaves its rest.
        """
        with _begun(beside, data):
            os.rename(_BEGUN, name, src_dir_fd=beside.fd, dst_dir_fd=self.fd)

    def replace(self, name: str, data: bytes, beside: Folder, instead: Look | None) -> tuple[Look, int]:
        """Put a file in the place of one that looks so, or where there is none (None).

        Returns the look of the new one, and the old one, open (-1: there was none): another program may
        have opened it before, and write into it.

        Raises
        ------
        Changed
            Something else is there.
        """
        old = -1
        with _begun(beside, data):
            try:
                if instead is None:
                    self._put_new(name, beside)
                else:
                    old = os.open(name, _FILE, dir_fd=self.fd)
                    if Look.of(os.fstat(old)) != instead:
                        raise Changed(name)
                    os.rename(_BEGUN, name, src_dir_fd=beside.fd, dst_dir_fd=self.fd)
                found = self.look(name)
                if found is None:
                    raise Changed(name)
            except BaseException as error:
                if old >= 0:
                    os.close(old)
                if isinstance(error, FileNotFoundError | FileExistsError):
                    raise Changed(name) from error
                raise
        return found, old

    def _put_new(self, name: str, beside: Folder) -> None:
        try:
            os.link(_BEGUN, name, src_dir_fd=beside.fd, dst_dir_fd=self.fd)
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK):
                raise
            # A file system without such links.
            if self.look(name) is not None:
                raise FileExistsError(errno.EEXIST, "exists", name) from error
            os.rename(_BEGUN, name, src_dir_fd=beside.fd, dst_dir_fd=self.fd)
        else:
            os.unlink(_BEGUN, dir_fd=beside.fd)

    def remove(self, name: str) -> None:
        """Remove a file, if there is one."""
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self.fd)

    def sync(self) -> None:
        """Make its names durable."""
        os.fsync(self.fd)


def tidy(folder: Folder) -> None:
    """Remove what a process that died has left behind where it wrote."""
    folder.remove(_BEGUN)


@contextmanager
def _begun(beside: Folder, data: bytes) -> Iterator[None]:
    """Write a new file, durable when this goes on; what is left of it at the end is removed."""
    tidy(beside)
    fd = os.open(_BEGUN, _NEW, 0o600, dir_fd=beside.fd)
    try:
        try:
            write_all(fd, data)
            os.fsync(fd)
        finally:
            os.close(fd)
        yield
    except BaseException:
        with suppress(OSError):
            tidy(beside)
        raise


def write_all(fd: int, data: bytes) -> None:
    """Write all of it, however many calls that takes."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]


def _as_no_file(error: OSError) -> OSError:
    """Return the error of who met a link, as one of ours; others as they are."""
    links = (errno.ELOOP, getattr(errno, "EMLINK", errno.ELOOP), errno.ENXIO)
    return NoFile("is a link, which is not followed") if error.errno in links else error
