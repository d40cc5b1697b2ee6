"""What `%load_ext nbsessions` adds to a bare start of IPython, side by side."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from statistics import median

from tests.bench.timing import Figure, Pair, duration


def figures(quick: bool) -> Iterator[Figure]:
    """Yield the figure."""
    pair = Pair()
    with tempfile.TemporaryDirectory() as folder:
        env = {**os.environ, "IPYTHONDIR": folder}

        def start(line: str) -> None:
            command = [sys.executable, "-m", "IPython", "--no-banner", "-c", line]
            subprocess.run(command, env=env, check=True, stdout=subprocess.DEVNULL)

        start("%load_ext nbsessions")
        for _ in range(3 if quick else 21):
            pair.take(lambda: start("%load_ext nbsessions"), lambda: start("pass"))
    ours, bare = median(pair.ours), median(pair.floor)
    added = (ours - bare) * 1e3
    yield Figure("%load_ext beside a bare IPython", duration(ours), duration(bare), added, 100, "ms", "added")
