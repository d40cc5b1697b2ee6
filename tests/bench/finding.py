"""Search a million messages, once the index has caught up."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from statistics import median

import nbsessions as nbs
from nbsessions.store import Store
from nbsessions.values import encode_json
from tests.bench.timing import Figure, duration, folder, seconds

WORDS = 50_000
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
    chance = random.Random(1)
    words = [
        "".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=chance.randint(3, 9))) for _ in range(WORDS)
    ]
    # As in any language, the word of rank n is about n times as rare as the first.
    weights = list(accumulate(1 / (rank + 1) for rank in range(WORDS)))
    lines = [" ".join(chance.choices(words, cum_weights=weights, k=16)) for _ in range(40_000)]
    total = 0
    for first in range(0, messages, LINES):
        session = store.create()
        for number in range(first, first + LINES, 2):
            pair = [_message(role, number, lines, chance) for role in ("user", "assistant")]
            total += sum(len(message["content"]) for message in pair)
            session.commit("message", "chat", encode_json(pair, "turn"), prompts=1)
    return total


def _message(role: str, number: int, lines: Sequence[str], chance: random.Random) -> dict[str, str]:
    text = " ".join(chance.choices(lines, k=10))[:CHARACTERS]
    marks = ["everywhere"] + ["common"] * (number % 10 == 0) + ["rare"] * (number % 50_000 == 0)
    return {"role": role, "content": f"{text} {' '.join(marks)}"}


def _index_bytes(path: Path) -> int:
    # The live file must not be opened a second time in this process by anything but the store's own library.
    db = sqlite3.connect(path)
    sql = "SELECT sum(pgsize) FROM dbstat WHERE name LIKE 'search%'"
    try:
        (size,) = db.execute(sql).fetchone()
    finally:
        db.close()
    return int(size)
