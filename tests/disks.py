"""A small disk that a test can fill, empty, and make read-only."""

from __future__ import annotations

import os
import resource
import subprocess
from pathlib import Path


class SmallDisk:
    """A folder on a disk of its own, of 2 MB; where that needs root and there is none, a stand-in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        size = ["-o", "size=2m", "tmpfs", str(folder)]
        done = subprocess.run(["mount", "-t", "tmpfs", *size], capture_output=True, check=False)
        self.mounted = done.returncode == 0
        self._limits: tuple[int, int] | None = None
        self._mirrors: list[Path] = []

    def fill(self) -> None:
        """Leave no room at all."""
        if not self.mounted:
            self._limits = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (1, self._limits[1]))
            return
        with open(self.folder / "filler", "wb", buffering=0) as filler:
            for size in (65536, 4096):
                try:
                    while True:
                        filler.write(bytes(size))
                except OSError:
                    continue

    def free(self) -> None:
        """Make room again."""
        if self._limits is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, self._limits)
            self._limits = None
        (self.folder / "filler").unlink(missing_ok=True)

    def protect(self) -> None:
        """Make it read-only: nothing on it can be written."""
        if self.mounted:
            subprocess.run(["mount", "-o", "remount,ro", str(self.folder)], check=True)
        else:
            self.folder.chmod(0o500)

    def unprotect(self) -> None:
        """Make it writable again."""
        if self.mounted:
            subprocess.run(["mount", "-o", "remount,rw", str(self.folder)], check=True)
        else:
            self.folder.chmod(0o700)

    def mirror(self, folder: Path) -> None:
        """Show it in another folder too, where nothing can be written; only where it is mounted."""
        folder.mkdir()
        subprocess.run(["mount", "--bind", str(self.folder), str(folder)], check=True)
        self._mirrors.append(folder)
        subprocess.run(["mount", "-o", "remount,bind,ro", str(folder)], check=True)

    def close(self) -> None:
        for folder in self._mirrors:
            subprocess.run(["umount", "-l", str(folder)], check=True)
        self.free() if os.access(self.folder, os.W_OK) else None
        if self.mounted:
            subprocess.run(["umount", "-l", str(self.folder)], check=True)
        else:
            self.folder.chmod(0o700)
