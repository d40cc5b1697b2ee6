"""Load a long conversation, hashes checked."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic_core import from_json

import nbsessions as nbs
from tests.bench.floor import Floor
from tests.bench.timing import Figure, Pair, folder
from tests.bench.turns import BODY, PROMPT, append


def figures(quick: bool) -> Iterator[Figure]:
    """Yield the figures: parsed, as the floor does it; and with a model for each message besides."""
    messages, repeats = (1_000, 3) if quick else (10_000, 25)
    parsed, models = Pair(), Pair()
    with folder() as path, nbs.open_store(path / "ours.db") as store:
        floor = Floor(path / "floor.db")
        session = store.create("bench")
        for _ in range(messages // 2):
            append(session)
            floor.append(BODY, PROMPT)
        for _ in range(repeats):
            parsed.take(lambda: [from_json(turn.body) for turn in store.resume("bench").turns], floor.load)
            models.take(lambda: store.resume("bench").messages, floor.load)
        floor.close()
    yield parsed.figure(f"load {messages:,} messages", 1.5, "resume, turns, hashes checked, JSON parsed")
    yield models.figure(
        "  and make a Message of each", None, "session.messages: resume, hashes checked, Message objects"
    )
