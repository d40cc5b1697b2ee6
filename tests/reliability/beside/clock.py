"""A clock that jumps by a day, forward and back, before each turn: for the process and all that it calls.

The times of files are the kernel's: they do not jump.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from functools import partial
from importlib import import_module
from itertools import cycle, islice

from nbsessions.values import now
from tests.peers.base import NotOffered
from tests.reliability.beside.children import READ, finish, said
from tests.reliability.beside.tried import Count, Tried
from tests.reliability.beside.turning import take_apart, turn
from tests.reliability.processes import ERROR, Say

TURNS, QUICK_TURNS = 100, 20
SESSIONS = 5
TOUCHES, QUICK_TOUCHES = 20, 4
LONGEST_SECONDS = 120.0
LACKS, WRONG = "lacks ", "wrong "
CLOCK = "FAKETIME"
"""What libfaketime adds to the time; it is asked for at each look at the clock."""
DAYS = ("-1d", "+0", "+1d")
DAY_SECONDS = 86_400


def counts(tried: Tried, quick: bool) -> Iterator[Count]:
    """Yield what came into another order, or was lost."""
    _jump("+1d")
    assert now().timestamp() - _real_seconds() > DAY_SECONDS / 2, "the clock does not move"
    turns = QUICK_TURNS if quick else TURNS
    touches = QUICK_TOUCHES if quick else TOUCHES
    order = [f"plan-{number}" for number in range(SESSIONS)]
    labels = {name: [f"{name}/{number}" for number in range(turns // SESSIONS)] for name in order}
    with tried.place() as place:
        written = finish(partial(_write, tried, place, labels), LONGEST_SECONDS)
        read = finish(partial(_read, tried, place, order), LONGEST_SECONDS)
        found = [take_apart(json.loads(line)) for line in said(read, READ)]
        lost = len(
            {label for name in order for label in labels[name]}
            - {label for one in found for label in one.labels}
        )
        note = (said(written, ERROR) + said(read, ERROR) + [""])[0]
        yield Count("turns lost, or torn", lost, turns, note)
        moved = sum(one.labels != labels[name] for name, one in zip(order, found, strict=False))
        yield Count("sessions with turns in another order", moved + len(order) - len(found), SESSIONS)
        touched = finish(partial(_touch, tried, place, order, touches), LONGEST_SECONDS)
    lacks, errors = said(touched, LACKS), said(touched, ERROR)
    wrong = None if lacks else touches if errors else len(said(touched, WRONG))
    note = (lacks + errors + ["it goes by the time of the last change, not by a count of changes"])[0]
    yield Count("its newest session is not the one touched last", wrong, touches, note, None)


def again(arguments: Sequence[str]) -> str:
    """Run the harness where the clock can jump, and return what it printed."""
    _, more = import_module("libfaketime").get_reload_information()
    command = [sys.executable, "-m", "tests.reliability.beside.harness", *arguments]
    done = subprocess.run(
        command, env={**os.environ, **more, CLOCK: "+0"}, stdout=subprocess.PIPE, check=True
    )
    return done.stdout.decode()


def can_jump() -> bool:
    """Tell whether this process was started so that its clock can jump."""
    return CLOCK in os.environ


def _jump(to: str) -> None:
    os.environ[CLOCK] = to


def _real_seconds() -> float:
    """Return the time that a process sees whose clock nobody moves."""
    plain = {name: value for name, value in os.environ.items() if name not in (CLOCK, "LD_PRELOAD")}
    code = "import time; print(time.time())"
    return float(
        subprocess.run([sys.executable, "-c", code], env=plain, capture_output=True, check=True).stdout
    )


def _days(count: int) -> Iterator[str]:
    """Yield so many days, each another one than the one before."""
    chance, day = random.Random(7), "+1d"
    for _ in range(count):
        day = chance.choice([other for other in DAYS if other != day])
        yield day


def _write(tried: Tried, place: str, labels: dict[str, list[str]], say: Say) -> None:
    with tried.open(place) as peer:
        turns = [
            (name, label)
            for row in zip(*labels.values(), strict=True)
            for name, label in zip(labels, row, strict=True)
        ]
        for (name, label), day in zip(turns, _days(len(turns)), strict=True):
            _jump(day)
            peer.append(name, turn(label))


def _read(tried: Tried, place: str, order: Sequence[str], say: Say) -> None:
    with tried.open(place) as peer:
        for name in order:
            say(f"{READ}{json.dumps(peer.chat(peer.load(name)))}")


def _touch(tried: Tried, place: str, order: Sequence[str], touches: int, say: Say) -> None:
    with tried.open(place) as peer:
        names = islice(cycle(order), touches)
        for number, (name, day) in enumerate(zip(names, _days(touches), strict=True)):
            _jump(day)
            peer.append(name, turn(f"touched {number}"))
            time.sleep(0.001)
            try:
                newest = [*peer.sessions(1)]
            except NotOffered as error:
                say(f"{LACKS}{error}")
                return
            if newest != [name]:
                say(f"{WRONG}{newest}")
