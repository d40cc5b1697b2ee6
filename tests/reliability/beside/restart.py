"""What one process stored is read by another; and a process is killed while its agent answers."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain, zip_longest

from tests.peers.base import Chat, NotOffered
from tests.reliability.beside.children import OPEN, READ, SESSION, STUCK_SECONDS, finish, said, until
from tests.reliability.beside.tried import Count, Tried
from tests.reliability.beside.turning import essence, turn
from tests.reliability.processes import ERROR, Child, Say

STORES, QUICK_STORES = 10, 2
SESSIONS, TURNS = 5, 8
LIST, PROMPTS, LACKS = "list ", "prompts ", "lacks "
PROMPT = "Is a prompt kept while the agent answers?"
ODD = ' ünïcode 你好 \N{OWL} \\back\\slash "quoted" {{braces}} {one} %s\n\n\ttab | a | b |\r\n  end  '


def counts(tried: Tried, quick: bool) -> Iterator[Count]:
    """Yield what a restart took away."""
    stores = QUICK_STORES if quick else STORES
    seen: Counter[str] = Counter()
    notes = dict.fromkeys((READ, LIST, PROMPTS), "")
    for number in range(stores):
        with tried.place() as place:
            order = [f"plan-{(number + 3 * one) % SESSIONS}" for one in range(SESSIONS)]
            _compare(finish(partial(_write, tried, place, order)), seen, notes)
            _compare(finish(partial(_read, tried, place, order)), seen, notes, order)
        with tried.place() as place:
            _ask_and_die(tried, place, seen, notes)
    messages = stores * SESSIONS * len(_given(""))
    yield Count("messages that another process reads otherwise", seen[READ], messages, notes[READ])
    elsewhere = None if seen[LACKS] else seen[LIST]
    yield Count("sessions elsewhere in its list of the newest", elsewhere, stores * SESSIONS, notes[LIST])
    yield Count("prompts lost, killed while the agent answers", seen[PROMPTS], stores, notes[PROMPTS])


def _compare(
    lines: Sequence[str], seen: Counter[str], notes: dict[str, str], order: Sequence[str] = ()
) -> None:
    """Count what was read otherwise than it was written; for who only wrote, keep what went wrong."""
    notes[READ] = (said(lines, ERROR) or [notes[READ]])[0]
    read = [json.loads(line) for line in said(lines, READ)]
    for place, name in enumerate(order):
        given = [essence(message) for message in _given(name)]
        seen[READ] += _differing(read[place] if place < len(read) else [], given)
    if order:
        lacks = said(lines, LACKS)
        seen[LACKS] += len(lacks)
        notes[LIST] = lacks[0] if lacks else notes[LIST]
        listed = json.loads((said(lines, LIST) or ["[]"])[0])
        seen[LIST] += _differing(listed, order[::-1])


def _differing(one: Sequence[object], other: Sequence[object]) -> int:
    return sum(first != second for first, second in zip_longest(one, other))


def _given(session: str) -> Chat:
    """Return the messages of a session, with all that a text may have in it."""
    messages = chain.from_iterable(turn(f"{session}-{number}") for number in range(TURNS))
    return [{**one, "content": one["content"] and one["content"] + ODD} for one in messages]


def _write(tried: Tried, place: str, order: Sequence[str], say: Say) -> None:
    """Append to each session all but its last turn; then that one, in this order."""
    length = len(turn(""))
    with tried.open(place) as peer:
        for name in sorted(order):
            given = _given(name)
            for start in range(0, len(given) - length, length):
                peer.append(name, given[start : start + length])
        for name in order:
            time.sleep(peer.TICK)
            peer.append(name, _given(name)[-length:])


def _read(tried: Tried, place: str, order: Sequence[str], say: Say) -> None:
    with tried.open(place) as peer:
        for name in order:
            say(f"{READ}{json.dumps([essence(message) for message in peer.chat(peer.load(name))])}")
        try:
            say(f"{LIST}{json.dumps([*peer.sessions(SESSIONS)])}")
        except NotOffered as error:
            say(f"{LACKS}{error}")


def _ask_and_die(tried: Tried, place: str, seen: Counter[str], notes: dict[str, str]) -> None:
    child = Child(partial(_ask, tried, place))
    try:
        until([child], OPEN)
        child.kill()
        lines = child.lines()
    finally:
        child.close()
    lines += finish(partial(_asked, tried, place))
    seen[PROMPTS] += PROMPTS not in lines
    notes[PROMPTS] = (said(lines, LACKS) + said(lines, ERROR) + [notes[PROMPTS]])[0]


def _ask(tried: Tried, place: str, say: Say) -> None:
    with tried.open(place) as peer:
        peer.append(SESSION, turn("before"))
        try:
            peer.ask(SESSION, PROMPT)
        except NotOffered as error:
            say(f"{LACKS}{error}")
        say(OPEN)
        # Nothing is closed in the meantime: it is killed here.
        time.sleep(2 * STUCK_SECONDS)


def _asked(tried: Tried, place: str, say: Say) -> None:
    with tried.open(place) as peer:
        if PROMPT in peer.asked(SESSION):
            say(PROMPTS)
