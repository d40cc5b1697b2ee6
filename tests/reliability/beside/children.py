"""What is done to a store is done in children, each of which opens it for itself."""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from typing import NamedTuple

from nbsessions.recorder import describe
from tests.peers.base import Chat
from tests.reliability.beside.tried import Tried
from tests.reliability.beside.turning import take_apart, turn
from tests.reliability.processes import ERROR, Child, Say, wait_for

STUCK_SECONDS = 60.0
SESSION = "plan"
OPEN, KEPT, REFUSED, READ, WENT_ON, MODULE = "open", "kept ", "refused ", "read ", "went on", "module "


def finish(work: Callable[[Say], None], seconds: float = STUCK_SECONDS) -> list[str]:
    """Let a child do its work, and return what it said; one that is stuck is killed, and said to be."""
    child = Child(work)
    try:
        stuck = wait_for([child], seconds=seconds)
        died = [] if child.status in (0, 1) or stuck else [f"{ERROR}it ended with {child.status}"]
        return child.lines() + [f"{ERROR}it did not end"] * stuck + died
    finally:
        child.close()


def said(lines: Sequence[str], kind: str) -> list[str]:
    """Return what follows this word in lines."""
    return [line.removeprefix(kind) for line in lines if line.startswith(kind)]


def until(children: Sequence[Child], line: str) -> None:
    """Wait until all have said a line, or have ended."""
    deadline = time.monotonic() + STUCK_SECONDS
    while time.monotonic() < deadline:
        if all(line in child.lines() or child.has_ended() for child in children):
            return
        time.sleep(0.001)


def warm_up(tried: Tried) -> None:
    """Import what a child that used the store has imported; nothing is opened here, where all are forked."""
    tried.kind()
    with tried.place() as place:
        lines = finish(partial(_use, tried, place), seconds=2 * STUCK_SECONDS)
    for name in said(lines, MODULE):
        try:
            import_module(name)
        except Exception as error:  # noqa: BLE001 - then each child does it for itself, as this one did
            print(f"{name} cannot be imported beforehand: {describe(error)}", file=sys.stderr)
    gc.freeze()


def _use(tried: Tried, place: str, say: Say) -> None:
    write(tried, place, {SESSION: ["warm"]}, say)
    _look(tried, place, SESSION, say)
    for name in [name for name, module in sys.modules.items() if getattr(module, "__spec__", None)]:
        say(f"{MODULE}{name}")


def write(tried: Tried, place: str, sessions: dict[str, list[str]], say: Say) -> None:
    """Append turns to sessions, session by session."""
    with tried.open(place) as peer:
        for session, labels in sessions.items():
            for label in labels:
                peer.append(session, turn(label))
                say(f"{KEPT}{label}")


class Seen(NamedTuple):
    """What another process saw of a session."""

    messages: Chat | None
    """None: it could not be read."""
    goes_on: bool
    """Whether one more turn could be appended, and was there."""
    error: str


def look(tried: Tried, place: str, session: str = SESSION) -> Seen:
    """Open the store in a child, read a session, and go on with it."""
    lines = finish(partial(_look, tried, place, session))
    read = said(lines, READ)
    errors = said(lines, ERROR)
    return Seen(json.loads(read[0]) if read else None, WENT_ON in lines, errors[0] if errors else "")


def _look(tried: Tried, place: str, session: str, say: Say) -> None:
    with tried.open(place) as peer:
        say(f"{READ}{json.dumps(peer.chat(peer.load(session)))}")
        peer.append(session, turn("after"))
        if take_apart(peer.chat(peer.load(session))).labels[-1:] == ["after"]:
            say(WENT_ON)
