"""Bytes on the disk, after a checkpoint."""

from __future__ import annotations

from collections.abc import Iterator

import nbsessions as nbs
from tests.bench.timing import Figure, folder
from tests.bench.turns import append


def figures(quick: bool) -> Iterator[Figure]:
    """Yield a figure for long sessions, and one for the shortest."""
    turns, sessions = (100, 50) if quick else (5_000, 1_000)
    with folder() as path:
        with nbs.open_store(path / "turns.db") as store:
            for _ in range(10):
                session = store.create()
                for _ in range(turns // 10):
                    append(session)
        size = (path / "turns.db").stat().st_size
        # A message is 1 KB of text: what it takes is then in KB.
        taken = size / (2 * turns) / 1024
        yield Figure(
            "on disk, a message of 1 KB", f"{size / 2**20:.1f} MB", "", taken, 1.6, "KB", "with run and log"
        )
        with nbs.open_store(path / "short.db") as store:
            for _ in range(sessions):
                store.create().add_message({"role": "user", "content": "Hello"})
        size = (path / "short.db").stat().st_size
        taken = size / sessions / 1024
        yield Figure(
            "on disk, a session of one short message", f"{size / 2**20:.1f} MB", "", taken, None, "KB"
        )
