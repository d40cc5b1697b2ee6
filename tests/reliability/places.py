"""Where the stores are that are put to the test."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench.timing import RAM_DISK

SERVER = "postgresql"
SQLITE, FOLDER = "sqlite", "file"


@contextmanager
def folder() -> Iterator[Path]:
    """Give a temporary folder on the RAM disk, or on the disk where there is none."""
    parent = RAM_DISK if RAM_DISK.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="nbsessions-reliability-", dir=parent) as name:
        yield Path(name)


class Place:
    """A kind of store: ``sqlite`` and ``file`` make a new one each time, a URL is one store for all.

    Other sessions may be there already, so that a subject looks at its own alone.
    """

    def __init__(self, store: str) -> None:
        self.url = None if store in (SQLITE, FOLDER) else store
        self.name = store.partition(":")[0]

    @property
    def is_file(self) -> bool:
        """Whether its stores are each one SQLite file of its own."""
        return self.name == SQLITE and self.url is None

    @property
    def is_own(self) -> bool:
        """Whether its stores are made anew each time."""
        return self.url is None

    @contextmanager
    def store(self) -> Iterator[str]:
        """Give the URL of a store."""
        if self.url is not None:
            yield self.url
            return
        with folder() as path:
            yield f"file:{path}/sessions" if self.name == FOLDER else f"sqlite:///{path}/agents.db"


def path_of(url: str) -> Path:
    """Return the file of a store that `Place.store` made."""
    return Path(url.removeprefix("sqlite:///"))
