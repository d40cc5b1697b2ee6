"""
What a peer keeps, asked in the environment of the peers.

``python -m tests.peers.check NAME PLACE PLACE`` ends with an error where it does not do what it says, and
prints, as JSON, what it says that it lacks. Its first place is for the calls, the second one for the first cell.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from contextlib import closing
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from time import sleep
from typing import Any

from tests.kernels import kernel
from tests.peers import PEERS
from tests.peers.base import Chat, NotOffered, Peer, function_call
from tests.peers.environment import environment


def _asked(prompt: str, answer: str) -> Chat:
    return [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]


def _looked_up(prompt: str, city: str, weather: str, answer: str) -> Chat:
    call = function_call(f"call_{len(city)}", "weather", {"city": city})
    return [
        {"role": "user", "content": prompt},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": call["id"], "content": weather},
        {"role": "assistant", "content": answer},
    ]


ROME = [
    _asked("Grüße \N{OWL} 'quoted', \"twice\", 100%\\n", "Ciao!\n\n* one\n* two\n\n```\nx = {1}\n```\n"),
    _looked_up(
        "And the weather?", "Rome", "sun, 31 °C", "Sunny, 31 °C \N{SNOWMAN}\N{VARIATION SELECTOR-16}."
    ),
    _asked("Where does the owl live?", "フクロウは森に住む。"),
]
OSLO = [
    _asked("Hello", "Hei."),
    _looked_up("The weather, please", "Tromsø", "snow", "It snows, of a kumquat colour."),
]
MORE = _asked("One more", "And one more.")
FIRST = _asked("Hello", "Hello, Ada.")
"""What the first cell leaves in the session ``first``."""


def check(name: str, place: str, cell_place: str) -> dict[str, str]:
    """Ask for all that the contract tells of; return what it lacks, and how it says so."""
    peer = PEERS[name].open(place)
    try:
        for session, turn in [("rome", ROME[0]), ("oslo", OSLO[0]), ("rome", ROME[1]), ("oslo", OSLO[1])]:
            peer.append(session, turn)
        peer.append("rome", ROME[2])
        if name != "memory":
            peer.close()
            peer = PEERS[name].open(place)
        _same(peer, "rome", ROME)
        _same(peer, "oslo", OSLO)
        sleep(peer.TICK)
        peer.append("oslo", MORE)
        _same(peer, "oslo", [*OSLO, MORE])
        sleep(peer.TICK)
        peer.fill("filled", [*ROME, *OSLO])
        _same(peer, "filled", [*ROME, *OSLO])
        asked = {"sessions": _lists, "search": _searches, "fork": _forks, "delete": _deletes, "ask": _asks}
        lacking = {what: why for what, ask in asked.items() if (why := _lacking(ask, peer))}
    finally:
        peer.close()
    _answers(name, cell_place)
    return lacking


def _same(peer: Peer, session: str, turns: Iterable[Chat]) -> None:
    read = [_essence(message) for message in peer.chat(peer.load(session))]
    wanted = list(chain.from_iterable(turns))
    assert read == wanted, f"{session}: {read} instead of {wanted}"


def _essence(message: dict[str, Any]) -> dict[str, Any]:
    kept = {key: message[key] for key in ("tool_calls", "tool_call_id") if message.get(key)}
    return {"role": message["role"], "content": message["content"] or "", **kept}


def _lacking(ask: Callable[[Peer], None], peer: Peer) -> str:
    try:
        ask(peer)
    except NotOffered as lack:
        return str(lack)
    return ""


def _lists(peer: Peer) -> None:
    assert list(peer.sessions(10)) == ["filled", "oslo", "rome"], peer.sessions(10)
    assert list(peer.sessions(2)) == ["filled", "oslo"], peer.sessions(2)


def _searches(peer: Peer) -> None:
    assert len(peer.search("kumquat", 10)) == 2, peer.search("kumquat", 10)
    assert len(peer.search("kumquat", 1)) == 1
    assert not peer.search("zeppelin", 10)


def _forks(peer: Peer) -> None:
    peer.fork("rome", "branch")
    kept = ROME[: len(ROME) - peer.FORK_LEAVES_OUT]
    _same(peer, "branch", kept)
    peer.append("branch", MORE)
    _same(peer, "branch", [*kept, MORE])
    _same(peer, "rome", ROME)


def _deletes(peer: Peer) -> None:
    peer.delete(["rome", "filled"])
    peer.append("rome", MORE)
    _same(peer, "rome", [MORE])
    _same(peer, "oslo", [*OSLO, MORE])


def _asks(peer: Peer) -> None:
    peer.append("waiting", MORE)
    peer.ask("waiting", "Is anybody there?")
    assert list(peer.asked("waiting")) == ["One more", "Is anybody there?"], peer.asked("waiting")


def _answers(name: str, place: str) -> None:
    with TemporaryDirectory() as folder, kernel(Path(folder), **environment()) as started:
        shown = started.run(PEERS[name].kind().cell(place))
    assert shown.error is None, shown.error
    assert shown.stdout.splitlines()[-1:] == ["Hello, Ada."], shown.stdout
    assert not shown.stderr, shown.stderr
    if name != "memory":
        with closing(PEERS[name].open(place)) as peer:
            _same(peer, "first", [FIRST])


if __name__ == "__main__":
    print(json.dumps(check(*sys.argv[1:])))
