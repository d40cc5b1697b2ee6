"""The table of the peers: each is measured in a process of its own, by turns."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from statistics import median
from time import monotonic
from typing import Any

from tests.bench.measuring import BARE
from tests.bench.rows import PLACES, ROWS, rows_of
from tests.bench.timing import folder, parent
from tests.peers.environment import run
from tests.postgres import DURABLE, Server

ROUNDS = {"cold": 5}
USUAL_ROUNDS = 3
LONGEST_SECONDS = 900.0
SERVER = "postgresql"

Cell = dict[str, Any]
"""What came of a row: its ``median``, ``low``, ``high`` and ``samples``, or what it ``lacks``, or its ``error``."""
NOWHERE = {"append-disk", "fsyncs", "bytes"}
"""What there is nothing of where nothing is on a disk."""


def measure(peers: Sequence[str], rows: Sequence[str], quick: bool) -> Iterator[tuple[str, dict[str, Cell]]]:
    """Yield for each row what came of it, by peer."""
    with _servers() as servers:
        for place in PLACES:
            asked = [row for row in rows_of(place) if row in rows]
            if asked:
                yield from _measured(place, peers, asked, quick, servers)


def _measured(
    place: str, peers: Sequence[str], rows: Sequence[str], quick: bool, servers: _Servers
) -> Iterator[tuple[str, dict[str, Cell]]]:
    """Yield the rows of one store: it is filled once, and each peer is asked in each round."""
    row = ROWS[rows[0]]
    rounds = 1 if quick or all(ROWS[name].once for name in rows) else ROUNDS.get(place, USUAL_ROUNDS)
    began: dict[str, dict[str, list[Cell]]] = {name: defaultdict(list) for name in rows}
    asked = [*peers, *([BARE] if place == "cold" else [])]
    with ExitStack() as stack:
        stores = {peer: _Store(peer, row.on_disk, stack, servers) for peer in asked}
        for number in range(rounds):
            for peer in asked:
                wanted = [name for name in rows if _is_wanted(peer, name, number, began[name][peer])]
                if wanted:
                    outcomes = stores[peer].ask(wanted, number, quick)
                    for name in wanted:
                        began[name][peer].append(outcomes[name])
    for name in rows:
        yield name, {peer: _cell(outcomes) for peer, outcomes in began[name].items()}


def _is_wanted(peer: str, row: str, number: int, before: list[Cell]) -> bool:
    return not (number and ROWS[row].once) and all("taken" in outcome for outcome in before)


class _Store:
    """The store of one peer, through all rounds."""

    def __init__(self, peer: str, on_disk: bool, stack: ExitStack, servers: _Servers) -> None:
        self.peer, self.servers, self.on_disk = peer, servers, on_disk
        self.appended: dict[str, int] = {}
        self.folder = stack.enter_context(folder(on_disk=on_disk))

    def ask(self, rows: list[str], number: int, quick: bool) -> dict[str, Cell]:
        """Measure rows in a new process; what goes wrong with it is told for all of them."""
        print(f"{self.peer}: {', '.join(rows)}, round {number + 1}", end=" ", file=sys.stderr, flush=True)
        start = monotonic()
        outcomes = dict(self._ask(rows, number, quick))
        told = {kind for outcome in outcomes.values() for kind in outcome if kind != "taken"}
        print(f"{monotonic() - start:.1f} s {' '.join(sorted(told))}", file=sys.stderr, flush=True)
        return outcomes

    def _ask(self, rows: list[str], number: int, quick: bool) -> Iterator[tuple[str, Cell]]:
        here = [row for row in rows if self.peer != "memory" or row not in NOWHERE]
        yield from ((row, {"lacks": "nothing is on a disk"}) for row in rows if row not in here)
        if not here:
            return
        task = {
            "peer": self.peer,
            "place": self._place(number if "cold" in rows else 0),
            "rows": here,
            "round": number,
            "quick": quick,
            "appended": {} if self.peer == "memory" else self.appended,
        }
        try:
            said = run("tests.bench.measuring", given=json.dumps(task), timeout=LONGEST_SECONDS)
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            yield from ((row, {"error": str(error)}) for row in here)
            return
        answer = json.loads(said.splitlines()[-1])
        self.appended = answer["appended"]
        yield from answer["rows"].items()

    def _place(self, number: int) -> str:
        """Return where its store is; the first conversation of a notebook is in a new one each time."""
        if self.peer == SERVER:
            return self.servers.url(self.on_disk, f"{self.folder.name}-{number}")
        place = self.folder / str(number)
        place.mkdir(exist_ok=True)
        return str(place)


class _Servers:
    """A server for each kind of disk, started when it is asked for; it is as durable as it is by itself."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._servers: dict[bool, Server] = {}
        self._schemas: dict[str, str] = {}

    def url(self, on_disk: bool, store: str) -> str:
        if on_disk not in self._servers:
            server = Server(DURABLE, parent=parent(on_disk=on_disk))
            self._servers[on_disk] = self._stack.enter_context(closing(server))
        server = self._servers[on_disk]
        return server.url(self._schemas.setdefault(store, server.new_schema()))


@contextmanager
def _servers() -> Iterator[_Servers]:
    with ExitStack() as stack:
        yield _Servers(stack)


def _cell(outcomes: Sequence[Cell]) -> Cell:
    """Return the median of all rounds; one that went wrong, or that is not offered, tells so."""
    for outcome in outcomes:
        if "taken" not in outcome:
            return outcome
    taken = [value for outcome in outcomes for value in outcome["taken"]]
    return {"median": median(taken), "low": min(taken), "high": max(taken), "samples": len(taken)}
