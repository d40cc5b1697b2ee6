"""Append one turn, at three lengths of history, and on a real disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import nbsessions as nbs
from tests.bench.floor import Floor
from tests.bench.timing import Figure, Pair, folder
from tests.bench.turns import BODY, PROMPT, append

# Messages of history: in how many sessions, and how many turns are timed in each.
SIZES = {10: (40, 5), 1_000: (4, 50), 10_000: (1, 200)}


def figures(quick: bool) -> Iterator[Figure]:
    """Yield a figure for each length of history, where a flush takes its time, and where it takes none."""
    for on_disk, where, note in (
        (True, ", on a real disk", "run, then turn, usage, head, log, and a flush"),
        (False, "", "the same on a RAM disk, where a flush costs nothing: all that is computed"),
    ):
        for history, (sessions, turns) in SIZES.items():
            if quick and history > 1_000:
                continue
            pair = Pair()
            for _ in range(1 if quick else sessions):
                with folder(on_disk=on_disk) as path:
                    _take(pair, path, history // 2, turns)
            yield pair.figure(f"append a turn at {history:,} messages{where}", 3, note)


def _take(pair: Pair, path: Path, before: int, turns: int) -> None:
    floor = Floor(path / "floor.db")
    with nbs.open_store(path / "ours.db") as store:
        session = store.create("bench")
        for _ in range(before):
            append(session)
            floor.append(BODY, PROMPT)
        for _ in range(turns):
            pair.take(lambda: append(session), lambda: floor.append(BODY, PROMPT))
    floor.close()
