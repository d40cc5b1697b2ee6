"""Load a long conversation, hashes checked."""

from __future__ import annotations

from collections.abc import Iterator

import nbsessions as nbs
from tests.bench.floor import Floor
from tests.bench.timing import Figure, Pair, folder
from tests.bench.turns import BODY, PROMPT, append


def figures(quick: bool) -> Iterator[Figure]:
    """Yield the figure."""
    messages, repeats = (1_000, 3) if quick else (10_000, 25)
    pair = Pair()
    with folder() as path, nbs.open_store(path / "ours.db") as store:
        floor = Floor(path / "floor.db")
        session = store.create("bench")
        for _ in range(messages // 2):
            append(session)
            floor.append(BODY, PROMPT)
        for _ in range(repeats):
            pair.take(lambda: store.resume("bench").messages, floor.load)
        floor.close()
    yield pair.figure(f"load {messages:,} messages", 1.5, "resume, hashes checked, Message objects")
