"""Waiting for what comes from another thread."""

from __future__ import annotations

import time
from collections.abc import Callable

SECONDS = 60.0


def until(seen: Callable[[], object]) -> None:
    """Wait until something is seen."""
    deadline = time.monotonic() + SECONDS
    while not seen():
        assert time.monotonic() < deadline, "It was never seen."
        time.sleep(0.02)
