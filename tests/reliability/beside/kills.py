"""Processes that are killed while they append, each in a store of its own."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial

from tests.reliability.beside.children import KEPT, OPEN, SESSION, Seen, look, until
from tests.reliability.beside.tried import Count, Tried
from tests.reliability.beside.turning import take_apart, turn
from tests.reliability.processes import ERROR, Child, Say

KILLS, QUICK_KILLS = 100, 10
LONGEST_SECONDS = 0.1
MOST_TURNS = 100_000


def counts(tried: Tried, quick: bool) -> Iterator[Count]:
    """Yield what a kill took away, tore, or left unusable."""
    kills = QUICK_KILLS if quick else KILLS
    seen: Counter[str] = Counter()
    notes: dict[str, str] = {}
    chance = random.Random(7)
    for _ in range(kills):
        with tried.place() as place:
            kept, errors = _kill(tried, place, chance.uniform(0, LONGEST_SECONDS))
            seen["errors"] += bool(errors)
            notes["errors"] = errors[0] if errors else notes.get("errors", "")
            tally(kept, look(tried, place), seen, notes)
    yield Count("acknowledged turns lost", seen["lost"], seen["kept"])
    yield from told(tried, seen, notes, kills)
    yield Count("errors before the kill", seen["errors"], kills, notes.get("errors", ""))


def _kill(tried: Tried, place: str, seconds: float) -> tuple[list[str], list[str]]:
    child = Child(partial(_append, tried, place))
    try:
        until([child], OPEN)
        time.sleep(seconds)
        child.kill()
        return child.told(KEPT), child.told(ERROR)
    finally:
        child.close()


def _append(tried: Tried, place: str, say: Say) -> None:
    with tried.open(place) as peer:
        for number in range(MOST_TURNS):
            peer.append(SESSION, turn(str(number)))
            say(f"{KEPT}{number}")
            if not number:
                say(OPEN)


def tally(kept: list[str], after: Seen, seen: Counter[str], notes: dict[str, str]) -> None:
    """Count what another process found of the turns that were acknowledged."""
    seen["kept"] += len(kept)
    found = take_apart(after.messages or [])
    seen["lost"] += len({*kept} - {*found.labels})
    seen["unanswered"] += bool(found.unanswered)
    seen["broken"] += bool(found.broken)
    in_order = [label for label in found.labels if label in kept] == kept[: len(found.labels)]
    seen["mixed"] += bool(found.mixed or found.altered or not in_order)
    if after.messages is None:
        seen["unreadable"] += 1
        notes["unreadable"] = after.error
    elif not after.goes_on:
        seen["stops"] += 1
        notes["stops"] = after.error


def told(tried: Tried, seen: Counter[str], notes: dict[str, str], times: int) -> Iterator[Count]:
    """Yield what was counted, but for the turns that were lost."""
    yield Count("unreadable afterwards", seen["unreadable"], times, notes.get("unreadable", ""))
    yield Count("cannot go on afterwards", seen["stops"], times, notes.get("stops", ""))
    yield Count("a call without its result", seen["broken"], times, tried.kind().MENDS)
    yield Count("a prompt without its answer", seen["unanswered"], times)
    yield Count("messages altered, twice, or in another order", seen["mixed"], times)
