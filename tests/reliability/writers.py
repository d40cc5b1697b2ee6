"""Eight processes that write to one session at once."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterator

import nbsessions as nbs
from nbsessions import Store
from nbsessions.records import Turn
from nbsessions.values import new_id
from tests.reliability.places import Place
from tests.reliability.processes import ERROR, Child, Gate, Say, wait_for
from tests.reliability.table import Figure, Progress
from tests.reliability.turns import append, repeated, told, warm_up

WRITERS = 8
TURNS, QUICK_TURNS = 200, 5
KEPT = "kept "


def figures(place: Place, quick: bool) -> Iterator[Figure]:
    """Yield what came of it, for two ways to go on after a conflict."""
    warm_up()
    turns = QUICK_TURNS if quick else TURNS
    # A handle that lost goes on on its fork; or the session itself is resumed for each turn.
    yield from _take(place, turns, again=False)
    yield from _take(place, turns, again=True)


def _take(place: Place, turns: int, *, again: bool) -> Iterator[Figure]:
    # The agent's name is this attempt's own: others may be in the store.
    agent = f"writers {new_id()}"
    with place.store() as url:
        with nbs.open_store(url) as store:
            session_id = store.create("plan", agent_name=agent).session_id
        gate = Gate()
        write = functools.partial(_write, url, session_id, gate, turns, again)
        children = [Child(functools.partial(write, writer)) for writer in range(WRITERS)]
        gate.open()
        progress = Progress("writers", WRITERS * turns)
        stuck = wait_for(children, lambda: progress.at(sum(len(child.lines()) for child in children)))
        errors = ["it did not end"] * stuck + [line for child in children for line in child.told(ERROR)]
        kept = [label for child in children for label in child.told(KEPT)]
        for child in children:
            child.close()
        way = "resumed for each turn" if again else "handles go on"
        with nbs.open_store(url) as store:
            yield from _count(store, agent, f", {way}", kept, errors, WRITERS * turns)


def _write(url: str, session_id: str, gate: Gate, turns: int, again: bool, writer: int, say: Say) -> None:
    with nbs.open_store(url) as store:
        session = store.resume(session_id)
        gate.wait()
        for number in range(turns):
            if again:
                session = store.resume(session_id)
            append(session, f"{writer}/{number}", number)
            say(f"{KEPT}{writer}/{number}")


def _count(
    store: Store, agent: str, way: str, kept: list[str], errors: list[str], expected: int
) -> Iterator[Figure]:
    """Look at all that is listed: only that is kept which somebody can find."""
    found: set[str] = set()
    turns: set[Turn] = set()
    seen: Counter[str] = Counter()
    records = store.list(None, agent_name=agent)
    for record in records:
        session = store.resume(record.session_id)
        said = told(session.messages)
        found |= {*said.labels}
        turns |= {*session.turns}
        seen["torn"] += len(said.torn)
        seen["twice"] += said.twice
        seen["unnamed"] += record.name is None
        seen["out of order"] += _disordered(said.labels)
        seen["miscounted"] += record.message_count != len(session.messages)
        seen["running"] += sum(run.status != "completed" for run in session.runs())
    forks = f"{len(records) - 1:,} forks"
    yield Figure(f"of {expected:,} answers not kept{way}", expected - len(found & {*kept}), 0, forks)
    yield Figure(f"errors{way}", len(errors), 0, errors[0] if errors else "")
    yield Figure(f"interleaved or torn tool pairs{way}", seen["torn"])
    yield Figure(f"duplicated{way}", seen["twice"] + repeated(turns))
    yield Figure(
        f"out of order, unnamed or miscounted{way}",
        seen["out of order"] + seen["unnamed"] + seen["miscounted"],
    )
    yield Figure(f"runs not completed{way}", seen["running"])


def _disordered(labels: list[str]) -> bool:
    """Tell whether a writer's own turns are not in the order in which it made them."""
    last: dict[str, int] = {}
    for label in labels:
        writer, _, number = label.partition("/")
        if int(number) <= last.get(writer, -1):
            return True
        last[writer] = int(number)
    return False
