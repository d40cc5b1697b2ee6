"""Eight processes that write to one session at once. Who is refused does not try again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial

from nbsessions.recorder import describe
from tests.peers.base import NotOffered
from tests.reliability.beside.children import KEPT, OPEN, READ, REFUSED, SESSION, finish, said, until, write
from tests.reliability.beside.tried import Count, Tried
from tests.reliability.beside.turning import take_apart, turn
from tests.reliability.processes import ERROR, Child, Gate, Say, wait_for

WRITERS = 8
TURNS, QUICK_TURNS = 25, 4
LONGEST_SECONDS = 90.0
ALL = 1_000_000
EARLIER = "earlier "


def counts(tried: Tried, quick: bool) -> Iterator[Count]:
    """Yield what came of it."""
    turns = QUICK_TURNS if quick else TURNS
    with tried.place() as place:
        finish(partial(write, tried, place, {SESSION: ["first"]}))
        kept, refused, stuck = _write_at_once(tried, place, turns)
        lines = finish(partial(_gather, tried, place), LONGEST_SECONDS)
    written = WRITERS * turns
    found = [take_apart(json.loads(line)) for line in said(lines, READ)]
    answered = {label for one in found for label in one.answered}
    note = (said(lines, ERROR) or [""])[0]
    yield Count("acknowledged answers in no conversation", len({*kept} - answered), len(kept), note)
    earlier = {label for line in said(lines, EARLIER) for label in json.loads(line)}
    yield Count(
        "acknowledged answers nowhere to be found", len({*kept} - answered - earlier), len(kept), note
    )
    why = (refused or ["they did not end"] * stuck or [""])[0]
    yield Count("turns refused", written - len(kept), written, why)
    broken = {label for one in found for label in one.broken}
    yield Count("a call without its result next to it", len(broken), written)
    mixed = {label for one in found for label in one.mixed | one.unanswered}
    altered = sum(one.altered for one in found)
    yield Count("turns that are interleaved with others, or torn", len(mixed - broken) + altered, written)


def _write_at_once(tried: Tried, place: str, turns: int) -> tuple[list[str], list[str], int]:
    gate = Gate()
    children = [Child(partial(_write, tried, place, gate, turns, writer)) for writer in range(WRITERS)]
    try:
        until(children, OPEN)
        gate.open()
        stuck = wait_for(children, seconds=LONGEST_SECONDS)
        kept = [label for child in children for label in child.told(KEPT)]
        return kept, [line for child in children for line in child.told(REFUSED) + child.told(ERROR)], stuck
    finally:
        for child in children:
            child.close()


def _write(tried: Tried, place: str, gate: Gate, turns: int, writer: int, say: Say) -> None:
    with tried.open(place) as peer:
        peer.load(SESSION)
        say(OPEN)
        gate.wait()
        for label in [f"{writer}/{number}" for number in range(turns)]:
            try:
                # An agent is asked with what was said before, so it is read first.
                peer.load(SESSION)
                peer.append(SESSION, turn(label))
            except Exception as error:  # noqa: BLE001 - it is counted
                say(f"{REFUSED}{describe(error)}")
            else:
                say(f"{KEPT}{label}")


def _gather(tried: Tried, place: str, say: Say) -> None:
    """Say what is in the session, and in all others that are listed: what lost may be on a fork."""
    with tried.open(place) as peer:
        try:
            names = [SESSION, *sorted({*peer.sessions(ALL)} - {SESSION})]
        except NotOffered:
            names = [SESSION]
        for name in names:
            say(f"{READ}{json.dumps(peer.chat(peer.load(name)))}")
        for messages in peer.earlier(SESSION):
            say(f"{EARLIER}{json.dumps([*take_apart(peer.chat(messages)).answered])}")
