"""
Measure one peer in the environment of the peers: what `python -m tests.bench peers` starts for each, in turn.

``python -m tests.bench.measuring`` reads a task and prints what came of each row, as JSON. In the task is what the
store at its place was given by the rounds before: nothing, and it is filled first.
"""

from __future__ import annotations

import functools
import gc
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from itertools import count
from time import perf_counter, sleep
from typing import Any, NamedTuple

from tests.bench import cold, stored
from tests.bench.rows import ROWS
from tests.bench.turns import chat
from tests.peers import PEERS
from tests.peers.base import NotOffered, Peer

WORD = "kumquat"
FOUND = 20
RARE = 50
"""One session of so many has the word."""
BARE = "bare"
"""No peer: a kernel that has nothing to import."""


class Sizes(NamedTuple):
    """How much there is of each, and for how long it is repeated."""

    long: int = 10_000
    middle: int = 1_000
    short: int = 10
    sessions: int = 10_000
    deleted: int = 1_000
    searched: int = 500
    """Sessions of 20 messages."""
    counted: int = 100
    """Turns whose flushes are counted."""
    times: int = 40
    seconds: float = 3.0
    """No more than so many times, and no longer than so many seconds."""


QUICK = Sizes(1_000, 200, 10, 100, 20, 10, 10, 5, 1.0)


class Task(NamedTuple):
    """What a process is asked for."""

    peer: str
    place: str
    rows: list[str]
    round: int = 0
    quick: bool = False
    appended: dict[str, int] = {}
    """The turns of each session, as the rounds before left them."""

    @property
    def sizes(self) -> Sizes:
        return QUICK if self.quick else Sizes()


class Measuring:
    """One round of one peer with one store."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.sizes = task.sizes
        self.appended = dict(task.appended)

    def outcomes(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield what came of each row: the times that were taken, what is lacking, or the error."""
        for name in self.task.rows:
            try:
                yield name, {"taken": _ASKED[name](self)}
            except NotOffered as lack:
                yield name, {"lacks": str(lack)}
            except Exception as error:  # noqa: BLE001  the other rows are measured all the same
                yield name, {"error": f"{type(error).__name__}: {error}"}

    def open(self) -> Peer:
        return PEERS[self.task.peer].open(self.task.place)

    def fill(self, sessions: dict[str, int]) -> None:
        """Fill new sessions with so many turns, in a store that is opened anew for what is measured then."""
        new = {name: turns for name, turns in sessions.items() if name not in self.appended}
        if not new:
            return
        with closing(self.open()) as peer:
            fill(peer, new)
        self.appended |= new

    def peer(self, sessions: dict[str, int]) -> Peer:
        """Open the store, filled."""
        if self.task.peer == "memory":
            peer = self.open()
            fill(peer, sessions)
            self.appended |= sessions
            return peer
        self.fill(sessions)
        return self.open()

    def times(self, call: Callable[[], object], at_most: int | None = None, pause: float = 0) -> list[float]:
        """Take times, but not the first one: it opens what is kept open."""
        call()
        return list(timed(call, at_most or self.sizes.times, self.sizes.seconds, pause))

    def times_anew(self, call: Callable[[Peer], object]) -> list[float]:
        """Take times, each in a store that was just opened: some keep what they have read once."""
        taken: list[float] = []
        began = perf_counter()
        while len(taken) < self.sizes.times and (not taken or perf_counter() - began < self.sizes.seconds):
            with closing(self.open()) as peer:
                taken += timed(functools.partial(call, peer), 1, 0)
        return taken

    def append(self, peer: Peer, session: str, times: int) -> list[float]:
        """Append to a session, and compare what is in it then with what was appended."""
        start = self.appended[session]
        turns = iter([chat(number) for number in range(start, start + times + 1)])
        # A row that has not changed since the last turn, its time in whole seconds too, is not flushed again:
        # where a flush costs something, turns come as an agent's do.
        pause = peer.TICK if ROWS[self.task.rows[0]].on_disk else 0
        taken = self.times(lambda: peer.append(session, next(turns)), times, pause)
        self.appended[session] += len(taken) + 1
        self.compare(peer, session, self.appended[session])
        return taken

    def compare(self, peer: Peer, session: str, turns: int) -> None:
        """Raise an error where a session has not what it was given: a store that lost something has no figure."""
        read = [(message["role"], message["content"]) for message in peer.chat(peer.load(session))]
        wanted = [
            (message["role"], message["content"]) for number in range(turns) for message in chat(number)
        ]
        if read != wanted:
            raise AssertionError(f"{session} has {len(read):,} messages, and {len(wanted):,} were stored")


def fill(peer: Peer, sessions: dict[str, int]) -> None:
    """Fill sessions with so many turns each."""
    if max(sessions.values()) == 1:
        peer.fill_sessions({name: chat(0) for name in sessions})
        return
    for name, turns in sessions.items():
        peer.fill(name, list(map(chat, range(turns))))


def timed(call: Callable[[], object], times: int, seconds: float, pause: float = 0) -> Iterator[float]:
    """Yield how long each call takes, at least one. As timeit does, nothing is collected meanwhile."""
    gc.collect()
    gc.disable()
    began = perf_counter()
    try:
        for _ in range(times):
            start = perf_counter()
            kept = call()
            end = perf_counter()
            yield end - start
            del kept
            sleep(pause)
            if end - began > seconds:
                return
    finally:
        gc.enable()


def _appended(size: str) -> Callable[[Measuring], list[float]]:
    def ask(measuring: Measuring) -> list[float]:
        messages, sessions, times = getattr(measuring.sizes, size), 1, measuring.sizes.times
        if size == "short":  # It would not be short any more.
            sessions, times = max(times // 5, 1), 4
        names = [f"{size} {measuring.task.round} {number}" for number in range(sessions)]
        if sessions == 1:
            names = [size]
        with closing(measuring.peer(dict.fromkeys(names, messages // 2))) as peer:
            return [taken for name in names for taken in measuring.append(peer, name, times)]

    return ask


def _loaded(size: str) -> Callable[[Measuring], list[float]]:
    def ask(measuring: Measuring) -> list[float]:
        name, turns = f"load {size}", getattr(measuring.sizes, size) // 2
        with closing(measuring.peer({name: turns})) as peer:
            measuring.compare(peer, name, turns)
            if measuring.task.peer == "memory":  # which has nothing when it is opened anew
                return measuring.times(lambda: peer.load(name))
        return measuring.times_anew(lambda peer: peer.load(name))

    return ask


def _forked(measuring: Measuring) -> list[float]:
    names = (f"fork {measuring.task.round} {number}" for number in count())
    turns = measuring.sizes.long // 2
    _probe(measuring, lambda peer: peer.fork("probe", "branch"))
    with closing(measuring.peer({"load long": turns})) as peer:
        taken = measuring.times(lambda: peer.fork("load long", next(names)))
        measuring.compare(peer, f"fork {measuring.task.round} 0", turns - peer.FORK_LEAVES_OUT)
    return taken


def _listed(measuring: Measuring) -> list[float]:
    _probe(measuring, lambda peer: peer.sessions(1))
    sessions = {f"session {number}": 1 for number in range(measuring.sizes.sessions)}
    with closing(measuring.peer(sessions)) as peer:
        taken = measuring.times(lambda: peer.sessions(FOUND))
        listed = peer.sessions(FOUND)
        # Who keeps whole seconds may have any of the last ones first.
        if len(set(listed)) != FOUND or not (peer.TICK or listed == list(sessions)[: -FOUND - 1 : -1]):
            raise AssertionError(f"these are not the newest sessions: {listed}")
    return taken


def _searched(measuring: Measuring) -> list[float]:
    with closing(_searchable(measuring)) as peer:
        taken = measuring.times(lambda: peer.search(WORD, FOUND))
        found = len(peer.search(WORD, FOUND))
    if found != -(-measuring.sizes.searched // RARE):
        raise AssertionError(f"it found {found} messages")
    return taken


def _searched_first(measuring: Measuring) -> list[float]:
    with closing(_searchable(measuring)) as peer:
        return list(timed(lambda: peer.search(WORD, FOUND), 1, 0))


def _searchable(measuring: Measuring) -> Peer:
    """Open a store whose few sessions have the word, in one of their ten turns."""
    _probe(measuring, lambda peer: peer.search(WORD, FOUND))
    if measuring.appended and measuring.task.peer != "memory":
        return measuring.open()
    peer = measuring.open()
    for number in range(measuring.sizes.searched):
        words = [WORD if number % RARE == 0 and place == 5 else "" for place in range(10)]
        peer.fill(f"session {number}", [chat(place, word) for place, word in enumerate(words)])
    measuring.appended["searched"] = measuring.sizes.searched
    if measuring.task.peer == "memory":
        return peer
    peer.close()
    return measuring.open()


def _deleted(measuring: Measuring) -> list[float]:
    _probe(measuring, lambda peer: peer.delete(["probe"]))
    sessions = {f"{measuring.task.round} {number}": 5 for number in range(measuring.sizes.deleted)}
    with closing(measuring.peer(sessions)) as peer:
        # What a first deletion imports, or makes, is no part of the thousand.
        peer.append("one", chat(0))
        peer.delete(["one"])
        taken = list(timed(lambda: peer.delete(list(sessions)), 1, 0))
        left = set(sessions)
        with suppress(NotOffered):
            left &= {*peer.sessions(2 * len(sessions))}
            if left:
                raise AssertionError(f"{len(left):,} of {len(sessions):,} sessions are still there")
    return taken


def _probe(measuring: Measuring, call: Callable[[Peer], object]) -> None:
    """Ask for it once where there is next to nothing: who does not offer it is not filled."""
    if measuring.appended:
        return
    with closing(measuring.open()) as peer:
        peer.append("probe", chat(0))
        peer.append("probe", chat(1))
        call(peer)


def _started(measuring: Measuring) -> list[float]:
    if measuring.task.peer == BARE:
        return [cold.first_answer(cold.BARE)]
    return [cold.first_answer(PEERS[measuring.task.peer].kind().cell(measuring.task.place))]


def _flushed(measuring: Measuring) -> list[float]:
    return [stored.flushes_a_turn(measuring.task.peer, measuring.task.place, measuring.sizes.counted)]


def _stored(measuring: Measuring) -> list[float]:
    sessions, turns = (2, 10) if measuring.task.quick else (10, 50)
    sizes = []
    # What is there before anything is said is no part of a message.
    for numbers in (range(1), range(1, sessions)):
        with closing(measuring.open()) as peer:
            for number in numbers:
                for place in range(turns):
                    peer.append(f"session {number}", chat(place))
        sizes.append(stored.size(measuring.task.peer, measuring.task.place))
    first, last = sizes
    return [(last - first) / (2 * (sessions - 1) * turns)]


_ASKED: dict[str, Callable[[Measuring], list[float]]] = {
    "append-10": _appended("short"),
    "append-1000": _appended("middle"),
    "append-10000": _appended("long"),
    "append-disk": _appended("middle"),
    "load-1000": _loaded("middle"),
    "load-10000": _loaded("long"),
    "list": _listed,
    "search-first": _searched_first,
    "search": _searched,
    "fork": _forked,
    "delete": _deleted,
    "cold": _started,
    "fsyncs": _flushed,
    "bytes": _stored,
}


def main() -> None:
    """Do a task, and print what came of it."""
    measuring = Measuring(Task(**json.load(sys.stdin)))
    # Its first search is the one that nothing was searched before.
    measuring.task.rows.sort(key=lambda row: row != "search-first")
    rows = dict(measuring.outcomes())
    print(json.dumps({"rows": rows, "appended": measuring.appended}))


if __name__ == "__main__":
    main()
