"""Times of two things done in turn, and a line of the table for each figure."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import NamedTuple

RAM_DISK = Path("/dev/shm")
REAL_DISK = Path("/var/tmp")


class Figure(NamedTuple):
    """One line of the table."""

    what: str
    ours: str
    floor: str
    got: float
    limit: float | None
    unit: str
    note: str = ""


@contextmanager
def folder(*, on_disk: bool = False) -> Iterator[Path]:
    """Give a temporary folder on the RAM disk, or on the disk where there is none or it is asked for."""
    with tempfile.TemporaryDirectory(prefix="nbsessions-bench-", dir=parent(on_disk=on_disk)) as name:
        yield Path(name)


def parent(*, on_disk: bool = False) -> Path | None:
    """Return where temporary folders are made."""
    return REAL_DISK if on_disk or not RAM_DISK.is_dir() else RAM_DISK


def seconds(call: Callable[[], object]) -> float:
    """Return how long a call takes; what it returns is let go of afterwards."""
    start = perf_counter()
    kept = call()
    taken = perf_counter() - start
    del kept
    return taken


class Pair:
    """Times of ours and of the floor. Machines are noisy: take them by turns, A B A B."""

    def __init__(self) -> None:
        self.ours: list[float] = []
        self.floor: list[float] = []

    def take(self, ours: Callable[[], object], floor: Callable[[], object]) -> None:
        """Time both, once."""
        self.ours.append(seconds(ours))
        self.floor.append(seconds(floor))

    def figure(self, what: str, limit: float | None, note: str = "") -> Figure:
        """Return the ratio of the medians as a line of the table."""
        ours, floor = median(self.ours), median(self.floor)
        return Figure(what, duration(ours), duration(floor), ours / floor, limit, "x", note)


def duration(taken: float) -> str:
    """Return seconds in words."""
    return f"{taken * 1e3:.1f} ms" if taken >= 1e-3 else f"{taken * 1e6:.0f} us"
