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

_LESS = (
    "It stores the messages and nothing else. Ours stores a run with its times and usage, the turn with the hash over "
    "it and its parent, an entry of the log that undo reads, and checksums: to be level, it would have to do without them."
)
_FLOOR = "It writes bare rows. What ours does besides has its limit in the table of the limits below."
_WHOLE = "It reads and parses, and that is all: no hash is checked, and no message becomes an object."
_SCAN = "It goes by an index of nothing but what is asked for, and makes no record of what it finds."
_UNINDEXED = (
    "It has no index to bring up to date: ours indexes what is new when it is first searched, so that no turn waits "
    "for it. It would take indexing with each turn, which costs each of them what the first search costs now."
)
_DELETED = (
    "It deletes rows by a key. Ours looks at owner, leases and changes, keeps what was spent, overwrites what is freed "
    "(`secure_delete`), and each `delete` is a transaction of its own: `df.nbs.delete` deletes many in one."
)
_FORKED = (
    "A fork is one row there. Ours also logs the move and restores the state, so that undo takes it back."
)
_STARTED = "Its cell imports next to nothing; ours imports the runner, the store and the records. To be level, it would have to import less."
_APPENDED = {
    "sqlite3": _FLOOR,
    "json": "It writes a short file whole: it is behind once the conversation is long.",
    "*": _LESS,
}

REASONS: dict[str, dict[str, str]] = {
    "append-10": _APPENDED,
    "append-1000": _APPENDED,
    "append-10000": _APPENDED,
    "append-disk": {
        **_APPENDED,
        "strands": "It writes a small file for each message; where a disk flushes a file as quickly as a log, it is "
        "what is computed that counts. " + _LESS,
    },
    "load-1000": {"*": _WHOLE},
    "load-10000": {"*": _WHOLE},
    "list": {"*": _SCAN},
    "search": {"*": "It gives rows; ours makes snippets of what it finds, and says where it is."},
    "search-first": {
        "llm": "It indexes with each answer that it logs, and so each of them takes longer. " + _UNINDEXED,
        "*": _UNINDEXED,
    },
    "fork": {"*": _FORKED},
    "delete": {"*": _DELETED},
    "cold": {"*": _STARTED},
    "fsyncs": {},
    "bytes": {"*": _LESS},
}
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
