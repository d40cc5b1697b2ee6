"""A file that somebody uploads: in a folder of its own, for as long as it is looked at."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory


class Upload:
    """A file that grows as it comes in, which only this user can read.

    Examples
    --------
    >>> upload = Upload()
    >>> upload.write(b"Hello")
    >>> upload.done().read_bytes(), upload.size
    (b'Hello', 5)
    >>> upload.drop()
    """

    def __init__(self) -> None:
        self._folder = TemporaryDirectory(prefix="nbsessions-", ignore_cleanup_errors=True)
        # Some formats look for more beside a file, and above it: there is nothing.
        self._path = Path(self._folder.name, *"abcd", "upload")
        self._path.parent.mkdir(parents=True)
        self._file = open(self._path, "xb")  # noqa: SIM115 - it stays open until all has come
        self.size = 0

    def write(self, chunk: bytes) -> None:
        """Add what came."""
        self._file.write(chunk)
        self.size += len(chunk)

    def done(self) -> Path:
        """Return where the whole file is."""
        self._file.close()
        return self._path

    def drop(self) -> None:
        """Remove it. Doing that twice is allowed."""
        self._file.close()
        self._folder.cleanup()
