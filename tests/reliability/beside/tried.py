"""A peer that is tried, the places of its stores, and what came of a trial."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib import import_module
from typing import NamedTuple
from uuid import uuid4

from tests.peers import PEERS
from tests.peers.base import Peer
from tests.reliability.places import folder


class Count(NamedTuple):
    """One line of the table: how often something happened that must not."""

    what: str
    got: int | None
    """None: it has no such thing, as its note says."""
    of: int
    """How often it could have happened."""
    note: str = ""
    limit: int | None = 0
    """How often it may happen to ours; none: it is told, and no failure."""


class Tried(NamedTuple):
    """A peer by its name in `PEERS`, or by ``module:Class``."""

    name: str
    server: str = ""
    """The URL of a server, where its stores are in one."""

    @contextmanager
    def place(self) -> Iterator[str]:
        """Give a place for a new store."""
        if self.server:
            yield f"{self.server}&schema=t{uuid4().hex}"
        else:
            with folder() as path:
                yield str(path)

    def kind(self) -> type[Peer]:
        """Import its class."""
        module, _, name = self.name.partition(":")
        kind: type[Peer] = getattr(import_module(module), name) if name else PEERS[self.name].kind()
        return kind

    @contextmanager
    def open(self, place: str) -> Iterator[Peer]:
        """Open the store at a place: only ever in a child."""
        with closing(self.kind()(place)) as peer:
            yield peer
