"""A PostgreSQL server that crashes and comes back while several processes append."""

from __future__ import annotations

import functools
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import nbsessions as nbs
from nbsessions import StoreUnavailable
from nbsessions.values import encode_json
from tests.postgres import Server
from tests.reliability.places import Place, folder
from tests.reliability.processes import ERROR, Child, Say, wait_for
from tests.reliability.table import Figure, Progress
from tests.reliability.turns import chat, repeated, send, told, warm_up

T = TypeVar("T")
RESTARTS, QUICK_RESTARTS = 20, 2
WRITERS, QUICK_WRITERS = 6, 3
LONGEST_SECONDS = 1.0
RETRY_SECONDS = 0.05
KEPT, REFUSED = "kept ", "refused "


def figures(place: Place, quick: bool) -> Iterator[Figure]:
    """Yield what was lost. Who is refused tries again, as a person would, until it is kept."""
    warm_up()
    restarts, writers = (QUICK_RESTARTS, QUICK_WRITERS) if quick else (RESTARTS, WRITERS)
    chance = random.Random(7)
    with closing(Server()) as server, folder() as path:
        with nbs.open_store(server.url()) as store:
            ids = [store.create(f"writer {number}").session_id for number in range(writers)]
        enough = path / "enough"
        children = [Child(functools.partial(_write, server.url(), one, enough)) for one in ids]
        progress = Progress("postgres", restarts)
        for number in range(restarts):
            time.sleep(chance.uniform(0.1, LONGEST_SECONDS))
            server.control("restart", "-m", "immediate")
            progress.at(number)
        time.sleep(LONGEST_SECONDS)
        enough.touch()
        seen = Counter(stuck=wait_for(children))
        kept = []
        for child in children:
            kept.append(child.told(KEPT))
            seen["kept"] += len(kept[-1])
            seen["refused"] += len(child.told(REFUSED))
            seen["errors"] += len(child.told(ERROR))
        note = next((line for child in children for line in child.told(ERROR)), "")
        for child in children:
            child.close()
        _count(server.url(), ids, kept, seen)
    yield Figure(f"of {seen['kept']:,} acknowledged turns lost, {restarts} restarts", seen["lost"])
    yield Figure("duplicated", seen["twice"])
    yield Figure("torn", seen["torn"])
    yield Figure("out of order, or on a fork", seen["elsewhere"])
    yield Figure("errors but for StoreUnavailable", seen["errors"], 0, note)
    yield Figure("writers stuck", seen["stuck"])
    yield Figure("runs left running", seen["running"])
    yield Figure("refused with StoreUnavailable, and kept when tried again", seen["refused"], None)


def _write(url: str, session_id: str, enough: Path, say: Say) -> None:
    with nbs.open_store(url) as store:
        session = _insist(lambda: store.resume(session_id), say)
        number = 0
        while not enough.exists():
            label = str(number)
            if number % 2:
                body = encode_json(chat(label), "turn")
                # Made once: a commit that the server took, and could not say so, is not made again.
                _insist(session.prepare("turn", "chat", body, prompts=1), say)
            else:
                _ask(session, label, say)
            say(f"{KEPT}{label}")
            number += 1


def _ask(session: nbs.Session, label: str, say: Say) -> None:
    def attempt() -> None:
        if session.unsaved:
            session.save_waiting()
        else:
            send(session, label)

    _insist(attempt, say)


def _insist(call: Callable[[], T], say: Say) -> T:
    while True:
        try:
            return call()
        except StoreUnavailable as error:
            say(f"{REFUSED}{error}")
            time.sleep(RETRY_SECONDS)


def _count(url: str, ids: list[str], kept: list[list[str]], seen: Counter[str]) -> None:
    with nbs.open_store(url) as store:
        for session_id, labels in zip(ids, kept, strict=True):
            session = store.resume(session_id)
            found = told(session.messages)
            seen["lost"] += len({*labels} - {*found.labels})
            seen["twice"] += found.twice + repeated(session.turns)
            seen["torn"] += len(found.torn)
            seen["elsewhere"] += found.labels != [str(number) for number in range(len(found.labels))]
            seen["running"] += sum(run.status == "running" for run in session.runs())
        seen["elsewhere"] += len(store.list(None)) - len(ids)
