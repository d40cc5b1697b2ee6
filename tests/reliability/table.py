"""The lines of the table, and how far a long subject has come."""

from __future__ import annotations

import sys
import time
from typing import NamedTuple


class Figure(NamedTuple):
    """One line: how often something happened, and how often it may."""

    what: str
    got: int
    limit: int | None = 0
    note: str = ""

    @property
    def verdict(self) -> str:
        """Return ``ok``, ``OVER``, or nothing where there is no limit."""
        if self.limit is None:
            return ""
        return "ok" if self.got <= self.limit else "OVER"


class Progress:
    """Says every few seconds how far it is."""

    def __init__(self, subject: str, total: int, seconds: float = 5.0) -> None:
        self._subject, self._total, self._seconds = subject, total, seconds
        self._told = time.monotonic()

    def at(self, done: int) -> None:
        """Say it, where it is time."""
        if time.monotonic() - self._told >= self._seconds:
            self._told = time.monotonic()
            print(f"  {self._subject}: {done:,} of {self._total:,}", file=sys.stderr, flush=True)
