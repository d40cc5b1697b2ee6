"""Programs of Debian that tests need."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from nbsessions.stores._lock import FileLock


def installed(program: str, package: str) -> str:
    """Return the path of a program, which is installed where it is missing."""
    # Tests run side by side, and apt-get does not wait for another one.
    with FileLock(Path(tempfile.gettempdir()) / "nbsessions-installing.lock"):
        if shutil.which(program) is None:
            for command in (
                ["apt-get", "update"],
                ["apt-get", "install", "-y", "--no-install-recommends", package],
            ):
                subprocess.run(command, check=True, capture_output=True, timeout=600)
    found = shutil.which(program)
    if found is None:
        raise AssertionError(f"This test needs {program}: apt-get install {package}")
    return found
