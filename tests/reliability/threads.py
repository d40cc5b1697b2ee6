"""Many threads, as the callbacks of widgets have, and children that are forked beside a working parent."""

from __future__ import annotations

import functools
import threading
from collections import Counter
from collections.abc import Callable, Iterator

import nbsessions as nbs
from nbsessions import Store
from nbsessions.recorder import describe
from nbsessions.records import Turn
from nbsessions.values import new_id
from tests.reliability.places import Place
from tests.reliability.processes import ERROR, Child, Say, wait_for
from tests.reliability.table import Figure
from tests.reliability.turns import append, repeated, told, warm_up

THREADS = 20
TURNS, QUICK_TURNS = 50, 3
CHILDREN, QUICK_CHILDREN = 40, 4


def figures(place: Place, quick: bool) -> Iterator[Figure]:
    """Yield what was lost."""
    warm_up()
    turns = QUICK_TURNS if quick else TURNS
    yield from _threads(place, turns, shared=False)
    yield from _threads(place, turns, shared=True)
    yield from _forks(place, turns, QUICK_CHILDREN if quick else CHILDREN)


def _threads(place: Place, turns: int, *, shared: bool) -> Iterator[Figure]:
    agent = f"threads {new_id()}"
    way = "one session object for all" if shared else "a session object each"
    with place.store() as url, nbs.open_store(url) as store:
        one = store.create("plan", agent_name=agent)

        def work(thread: int) -> None:
            session = one if shared else store.create(f"plan {thread}", agent_name=agent)
            for number in range(turns):
                append(session, f"{thread}/{number}", number)

        errors = _at_once(THREADS, work)
        expected = {f"{thread}/{number}" for thread in range(THREADS) for number in range(turns)}
        yield from _count(store, agent, f", {THREADS} threads, {way}", expected, errors)


def _at_once(count: int, work: Callable[[int], None]) -> list[str]:
    """Let threads work, and return what went wrong in them."""
    start, failed = threading.Barrier(count), list[str]()

    def run(number: int) -> None:
        try:
            start.wait()
            work(number)
        except Exception as error:  # noqa: BLE001 - it is counted
            failed.append(describe(error))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return failed


def _forks(place: Place, turns: int, count: int) -> Iterator[Figure]:
    """Fork children that use the store they inherit, while a thread of the parent goes on."""
    agent = f"forks {new_id()}"
    with place.store() as url, nbs.open_store(url) as store:
        stop, parents = threading.Event(), list[str]()

        def work(_: int) -> None:
            session = store.create("parent", agent_name=agent)
            while not stop.is_set():
                append(session, f"parent/{len(parents)}", len(parents))
                parents.append(f"parent/{len(parents)}")

        errors: list[str] = []
        thread = threading.Thread(target=lambda: errors.extend(_at_once(1, work)))
        thread.start()
        try:
            children = [Child(functools.partial(_write, store, agent, turns, one)) for one in range(count)]
            stuck = wait_for(children)
        finally:
            stop.set()
            thread.join()
        errors += ["a child did not end"] * stuck
        errors += [line for child in children for line in child.told(ERROR)]
        for child in children:
            child.close()
        expected = {*parents, *(f"{one}/{number}" for one in range(count) for number in range(turns))}
        yield from _count(store, agent, f", {count} forked children", expected, errors)


def _write(store: Store, agent: str, turns: int, child: int, say: Say) -> None:
    session = store.create(f"child {child}", agent_name=agent)
    for number in range(turns):
        append(session, f"{child}/{number}", number)


def _count(store: Store, agent: str, way: str, expected: set[str], errors: list[str]) -> Iterator[Figure]:
    found: set[str] = set()
    turns: set[Turn] = set()
    seen: Counter[str] = Counter()
    for record in store.list(None, agent_name=agent):
        session = store.resume(record.session_id)
        said = told(session.messages)
        found |= {*said.labels}
        turns |= {*session.turns}
        seen["torn"] += len(said.torn)
        seen["twice"] += said.twice
    yield Figure(f"of {len(expected):,} turns lost{way}", len(expected - found))
    yield Figure(f"errors{way}", len(errors), 0, errors[0] if errors else "")
    yield Figure(f"torn or duplicated{way}", seen["torn"] + seen["twice"] + repeated(turns))
