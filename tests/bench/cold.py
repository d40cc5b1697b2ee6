"""From the start of a kernel to the answer of its first cell."""

from __future__ import annotations

import tempfile
from pathlib import Path
from time import perf_counter

from tests.kernels import kernel
from tests.peers.environment import environment

ANSWER = "Hello, Ada."
BARE = f'print("{ANSWER}")'
"""What a kernel can do that has nothing to import."""


def first_answer(cell: str) -> float:
    """Return the seconds from the start of a kernel to the first answer that it prints."""
    with tempfile.TemporaryDirectory(prefix="nbsessions-bench-") as folder:
        began = perf_counter()
        with kernel(Path(folder), **environment()) as started:
            shown = started.run(cell)
            taken = perf_counter() - began
    # A magic says before it which session and which agent it is.
    if shown.error is not None or not shown.stdout.endswith(f"{ANSWER}\n"):
        raise AssertionError(shown.error or f"it printed {shown.stdout!r} and {shown.stderr!r}")
    return taken
