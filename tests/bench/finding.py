"""Search a million messages, once the index has caught up."""

from __future__ import annotations

import random
import sqlite3
import sysconfig
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from statistics import median

import nbsessions as nbs
from nbsessions.store import Store
from nbsessions.values import encode_json
from tests.bench.timing import Figure, duration, folder, seconds

CHARACTERS = 1_000
LINES = 500
"""Messages of one session."""


def figures(quick: bool) -> Iterator[Figure]:
    """Yield figures of a rare and a common word, of catching up, and of the size of the index."""
    messages, repeats = (5_000, 3) if quick else (1_000_000, 20)
    with folder() as path, nbs.open_store(f"sqlite:///{path}/ours.db?synchronous=normal") as store:
        text = _fill(store, messages)
        catching_up = seconds(lambda: store.search("nothing"))
        for word, limit in (("rare", 50), ("phrase", 50), ("common", 300), ("everywhere", None)):
            query = '"common rare"' if word == "phrase" else word
            taken = median([seconds(lambda q=query: store.search(q)) for _ in range(repeats)])  # type: ignore[misc]
            found = len(store.search(query, None))
            note = (
                f"in {found:,} messages" if found < 10_000 else "the newest 10,000 of its messages are ranked"
            )
            what = f"search {messages:,} messages: {query}"
            yield Figure(what, duration(taken), "", taken * 1e3, limit, "ms", note)
        yield Figure(
            "  the index catches up, a message",
            duration(catching_up),
            "",
            catching_up / messages * 1e6,
            None,
            "us",
        )
        yield Figure("  the index beside the text", "", "", _index_bytes(path / "ours.db") / text, 0.3, "x")


def _fill(store: Store, messages: int) -> int:
    """Write sessions of messages of 1 KB; return how many bytes of text they have."""
    texts, total = _texts(), 0
    for first in range(0, messages, LINES):
        session = store.create()
        for number in range(first, first + LINES, 2):
            pair = [
                {"role": role, "content": f"{next(texts)} {' '.join(_marks(number))}"}
                for role in ("user", "assistant")
            ]
            total += sum(len(message["content"]) for message in pair)
            session.commit("message", "chat", encode_json(pair, "turn"), prompts=1)
    return total


def _marks(number: int) -> list[str]:
    return ["everywhere"] + ["common"] * (number % 10 == 0) + ["rare"] * (number % 50_000 == 0)


def _texts() -> Iterator[str]:
    """Yield pieces of 1,000 characters of what is on every machine: the standard library's source."""
    folder = Path(sysconfig.get_path("stdlib"))
    files = sorted(path for path in folder.rglob("*.py") if "site-packages" not in path.parts)
    pieces: list[str] = []
    for path in files:
        text = path.read_text(errors="replace")
        pieces += [text[start : start + CHARACTERS] for start in range(0, len(text), CHARACTERS)]
    # Neighbours come from different files, and a piece comes again only when all have come.
    random.Random(1).shuffle(pieces)
    return cycle(pieces)


def _index_bytes(path: Path) -> int:
    # The live file must not be opened a second time in this process by anything but the store's own library.
    db = sqlite3.connect(path)
    sql = "SELECT sum(pgsize) FROM dbstat WHERE name LIKE 'search%'"
    try:
        (size,) = db.execute(sql).fetchone()
    finally:
        db.close()
    return int(size)
