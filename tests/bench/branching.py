"""Fork a long conversation, and do with a very long one what is done with every one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from statistics import median

import nbsessions as nbs
from nbsessions.store import Store
from tests.bench.floor import Floor
from tests.bench.overhead import in_kernel
from tests.bench.timing import Figure, Pair, duration, folder, seconds
from tests.bench.turns import append

SHORT = 1_000


def figures(quick: bool) -> Iterator[Figure]:
    """Yield a figure of a fork, and of what a hundred times as many messages change."""
    for on_disk in (True, False):
        yield _fork(1_000 if quick else 10_000, 5 if quick else 200, on_disk=on_disk)
    yield from _long(10_000 if quick else 100_000, 5 if quick else 100)


def _fork(messages: int, repeats: int, *, on_disk: bool) -> Figure:
    pair = Pair()
    with folder(on_disk=on_disk) as path, nbs.open_store(path / "ours.db") as store:
        floor, session = Floor(path / "floor.db"), _grown(store, messages)
        for number in range(repeats):
            pair.take(lambda n=number: session.fork(f"fork {n}"), floor.insert)  # type: ignore[misc]
        floor.close()
    what = "fork, on a real disk" if on_disk else f"fork a session of {messages:,} messages"
    note = "beside one raw insert; no messages copied" + (
        "" if on_disk else "; on a RAM disk, a flush costs nothing"
    )
    return pair.figure(what, 3, note)


def _grown(store: Store, messages: int) -> nbs.Session:
    session = store.create(str(messages))
    for _ in range(messages // 2):
        append(session)
    return session


def _long(messages: int, repeats: int) -> Iterator[Figure]:
    with folder() as path:
        with nbs.open_store(f"sqlite:///{path}/ours.db?synchronous=normal") as store:
            store.owner = "ada"  # as whom the kernel asks
            for length in (SHORT, messages):
                _grown(store, length)
        with nbs.open_store(path / "ours.db") as store:
            calls: dict[str, Callable[[str], object]] = {
                "resume": store.resume,
                "the last 50 messages": lambda name: store.resume(name).history(50),
            }
            for what, call in calls.items():
                yield _beside(what, messages, _by_turns(call, messages, repeats))
        load = "%session store {}\n%session load {}"
        kernel = {
            length: median(in_kernel(path, repeats, load.format(path / "ours.db", length)))
            for length in (messages, SHORT)
        }
        yield _beside("%%agent --max-messages 50", messages, kernel)


def _by_turns(call: Callable[[str], object], messages: int, repeats: int) -> dict[int, float]:
    taken: dict[int, list[float]] = {messages: [], SHORT: []}
    for _ in range(repeats):
        for length, times in taken.items():
            times.append(seconds(lambda n=length: call(str(n))))  # type: ignore[misc]
    return {length: median(times) for length, times in taken.items()}


def _beside(what: str, messages: int, taken: dict[int, float]) -> Figure:
    ours, floor = taken[messages], taken[SHORT]
    what = f"{what}, {messages:,} messages"
    return Figure(what, duration(ours), duration(floor), ours / floor, 2, "x", f"beside {SHORT:,} messages")
