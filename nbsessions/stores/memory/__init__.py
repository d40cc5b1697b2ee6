"""A store that lives and dies with the process: for tests, and for work that shall leave no trace."""

from __future__ import annotations

from nbsessions.stores.memory.marks import Marks
from nbsessions.stores.memory.sessions import Sessions
from nbsessions.stores.memory.turns import Turns


class MemoryBackend(Sessions, Turns, Marks):
    """Plain dicts under one lock; the model that the other stores are tested against."""

    persistent = False

    def close(self) -> None:
        """Nothing to let go of: what it holds goes with the object."""
