"""What is measured of every peer: the rows of the table, and the topics by which a page shows them."""

from __future__ import annotations

from typing import NamedTuple


class Row(NamedTuple):
    """One thing that each is asked for."""

    title: str
    topic: str
    place: str
    """Which store is asked: rows with the same one share what it is filled with, and the process that asks."""
    unit: str = "s"
    """Seconds, bytes, or nothing: a count."""
    on_disk: bool = False
    """On a real disk, and not on the RAM disk, where a flush costs nothing."""
    once: bool = False
    """It comes out the same each time."""
    about: str = ""
    """What the title leaves open, for the text below the table."""


_APPEND = "Append a turn: a prompt and its answer of 1 KB each, durable"
_READ = "Read"
_CHANGE = "Fork, delete, start"
_DISK = "What a turn costs the disk"

ROWS = {
    "append-10": Row("at 10 messages", _APPEND, "long"),
    "append-1000": Row("at 1,000 messages", _APPEND, "long"),
    "append-10000": Row("at 10,000 messages", _APPEND, "long"),
    "append-disk": Row(
        "at 1,000, on a real disk",
        _APPEND,
        "disk",
        on_disk=True,
        about="The first three columns are taken on a RAM disk, where a flush costs nothing: they tell what is "
        "computed. The last one is taken on the real disk of the machine, which others may be writing to as well.",
    ),
    "load-1000": Row("load 1,000 messages", _READ, "long"),
    "load-10000": Row(
        "load 10,000 messages",
        _READ,
        "long",
        about="Each load is the first one in a store that was just opened, as that of a new kernel is. What is loaded is "
        "compared with what was appended, outside the timing.",
    ),
    "list": Row("list 20 of 10,000 sessions", _READ, "many"),
    "search": Row(
        "search 10,000 messages",
        _READ,
        "search",
        about="The search is for a word that 10 of 10,000 messages have, in 500 sessions; no more than 20 are wanted.",
    ),
    "search-first": Row(
        "the first search of them",
        _READ,
        "search",
        once=True,
        about="The first search of them is the one that comes after all 10,000 were stored: who indexes when a "
        "search is made, pays then.",
    ),
    "fork": Row("fork 10,000 messages", _CHANGE, "long"),
    "delete": Row("delete 1,000 sessions", _CHANGE, "delete", about="Each deleted session has 10 messages."),
    "cold": Row(
        "first answer of a notebook",
        _CHANGE,
        "cold",
        about="The first answer is timed from the start of a kernel to the printed answer of the first cell: it "
        "imports what it needs, makes an agent that answers at once, and asks it once in a stored conversation.",
    ),
    "fsyncs": Row("flushes a turn", _DISK, "fsyncs", unit="", on_disk=True, once=True),
    "bytes": Row(
        "bytes a message of 1 KB",
        _DISK,
        "bytes",
        unit="B",
        once=True,
        about="Flushes are counted with strace over 100 turns of one session, checkpoints with them (Agno: 20, one a "
        "second, since a row that is the same in the same second is not flushed again). Bytes are what all files grow "
        "by from the first to the last of 10 sessions of 100 messages, appended turn by turn.",
    ),
}

TOPICS = tuple(dict.fromkeys(row.topic for row in ROWS.values()))
PLACES = tuple(dict.fromkeys(row.place for row in ROWS.values()))


def rows_of(place: str) -> list[str]:
    """Return the names of the rows that share a store."""
    return [name for name, row in ROWS.items() if row.place == place]
