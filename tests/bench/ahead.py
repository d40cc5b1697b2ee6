"""Where somebody else is ahead of ours, on the same durability, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from tests.bench.rows import ROWS
from tests.peers import OURS, PEERS

DEFAULT = "sqlite"
"""Which of ours is held against the others."""
LEVEL = 1.05
"""Who is ahead by less is level: the next run may turn it round."""

REASONS: dict[str, dict[str, str]] = {}
"""By row, then by peer (`*`: all others): why it is ahead, and what it would take to be level with it."""


class Ahead(NamedTuple):
    """One figure that is better than ours."""

    row: str
    peer: str
    factor: float

    @property
    def reason(self) -> str | None:
        """Return what is written about it."""
        reasons = REASONS.get(self.row, {})
        return reasons.get(self.peer, reasons.get("*"))


def ahead(rows: Mapping[str, Any]) -> Iterator[Ahead]:
    """Yield who is ahead of our default store, by the figures of the table."""
    for name in ROWS:
        cells = rows.get(name, {}).get("cells", {})
        ours = cells.get(DEFAULT, {}).get("median")
        for peer in PEERS:
            theirs = cells.get(peer, {}).get("median")
            if peer not in OURS and ours and theirs and ours / theirs >= LEVEL:
                yield Ahead(name, peer, ours / theirs)
