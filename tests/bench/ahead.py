"""Where somebody else is ahead of ours, on the same durability, and where ours is over a limit of its own; and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from tests.bench.rows import ROWS
from tests.peers import OURS, PEERS

DEFAULT = "sqlite"
"""Which of ours is held against the others."""
LEVEL = 1.05
"""Who is ahead by less is level: the next run may turn it round."""

_FLOOR = "It writes bare rows. What ours does besides has its limit in the table of the limits below."
_COMPUTED = (
    "It stores the messages alone. Ours stores a run with its usage, a turn with a hash over it and its parent, an entry "
    "of the log that undo reads and a checksum of each row, and looks for keys in all of it (`redact=False` leaves that "
    "out). On a real disk that is made up for, but for a little, since it flushes once and not twice. To be level, a turn "
    "would have to write fewer pages: those of the indexes by session, and of the usage by day."
)
_FEW_FILES = (
    "It writes a few small files, which is quick where a flush costs nothing and there are few of them; it is behind on "
    "a real disk, and once the conversation is long."
)
_UNCHECKED = (
    "It gives what JSON gives, and checks nothing. Ours holds each turn against its hash, its parent's and the checksum of "
    "its row, and makes a Message of each. To be level it would have to trust what it read once."
)
_FORKED = (
    "A fork is one row there. Ours is a session in four indexes, an entry of the log, and a look for the parent's rules for "
    "tools. To be level, it would have to do without an index."
)
_SCAN = "It goes by an index of nothing but what is asked for, and makes no record of what it finds."
_FOUND = (
    "It gives what its index leads to. Ours reads the sessions and the turns of all hits, holds them against their hashes "
    "and checksums, says which message each one is, and makes a snippet. To be level it would have to trust what it reads."
)
_STARTED = (
    "Its cell imports nothing that a kernel has not imported by itself. Who imports anything is behind."
)
_UNINDEXED = (
    "It has no index to bring up to date: ours indexes what is new when it is first searched, so that no turn waits for it. "
    "Indexing with each turn would be level here, and slower there."
)
_DELETED = (
    "It deletes rows by a key. Ours reads a frame of the sessions, looks at their owner, leases and changes, keeps what "
    "was spent, and overwrites what is freed (`secure_delete`). To be level it would have to do less of that."
)
_LESS = (
    "It stores the messages alone. Ours stores a run, hashes and checksums, the log, and the indexes of all these besides, "
    "and would have to do without them."
)
_WHOLE = "It is one file with nothing but the messages."
_APPENDED = {
    "openai": _COMPUTED,
    "sqlite3": _FLOOR,
    "json": "It writes a short file whole: it is behind once the conversation is long.",
}

REASONS: dict[str, dict[str, str]] = {
    "append-10": {**_APPENDED, "strands": _FEW_FILES},
    "append-1000": _APPENDED,
    "append-10000": _APPENDED,
    "append-disk": {"sqlite3": _FLOOR, "openai": _COMPUTED},
    "load-1000": {"openai": _UNCHECKED, "sqlite3": _UNCHECKED, "json": _UNCHECKED},
    "load-10000": {"openai": _UNCHECKED, "sqlite3": _UNCHECKED, "json": _UNCHECKED},
    "list": {"sqlite3": _SCAN},
    "search": {"llm": _FOUND},
    "search-first": {
        "sqlite3": _UNINDEXED,
        "json": _UNINDEXED,
        "llm": "It indexes with each answer that it logs. " + _UNINDEXED,
    },
    "fork": {"llm": _FORKED, "sqlite3": _FORKED},
    "delete": {
        "langgraph": _DELETED,
        "agno": _DELETED,
        "sqlite3": _DELETED,
        "json": "It unlinks a file for each.",
    },
    "cold": {"sqlite3": _STARTED, "json": _STARTED},
    "bytes": {"sqlite3": _LESS, "openai": _LESS, "openai-advanced": _LESS, "strands": _WHOLE, "json": _WHOLE},
}
"""By row, then by peer: why it is ahead, and what it would take to be level with it."""


OVER = {
    "append": "Where nothing has to reach a disk, all that is computed shows, and the floor computes nothing: it looks for no "
    "keys, makes no hashes and checksums, and has no index by session and no usage by day. Where a flush takes its time, "
    "the limit is kept. To keep it here, too, a turn would have to write fewer pages.",
    "load": "The floor checks nothing; ours holds each turn against its hash, its parent's and the checksum of its row.",
    "branching": "Where nothing has to reach a disk: a fork is a row in four indexes, an entry of the log in another, and a "
    "look for the rules of its parent and for keys; the floor is a row in one. Where a flush takes its time, the limit is kept.",
    "secrets": "A megabyte is gone through once for each letter that a known kind of key can be told by.",
}
"""By subject: why a figure of it is over its limit."""


class Ahead(NamedTuple):
    """One figure that is better than ours."""

    row: str
    peer: str
    factor: float

    @property
    def reason(self) -> str | None:
        """Return what is written about it."""
        return REASONS.get(self.row, {}).get(self.peer)


def ahead(rows: Mapping[str, Any]) -> Iterator[Ahead]:
    """Yield who is ahead of our default store, by the figures of the table."""
    for name in ROWS:
        cells = rows.get(name, {}).get("cells", {})
        ours = cells.get(DEFAULT, {}).get("median")
        for peer in PEERS:
            theirs = cells.get(peer, {}).get("median")
            if peer not in OURS and ours and theirs and ours / theirs >= LEVEL:
                yield Ahead(name, peer, ours / theirs)
