"""Processes that are killed while they append."""

from __future__ import annotations

import random
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import nbsessions as nbs
from nbsessions import NbsessionsError, Session
from nbsessions import recorder as recorder_module
from tests.reliability.places import Place, path_of
from tests.reliability.processes import ERROR, Child, Say
from tests.reliability.table import Figure, Progress
from tests.reliability.turns import append, commit, send, told, warm_up

KILLS, QUICK_KILLS = 1_000, 25
KILLS_A_STORE = 50
LONGEST_SECONDS, LONGEST_ON_A_SERVER = 0.1, 0.5
MAKING_SECONDS = 0.012
TURNS_BEFORE_IT_CLOSES = 12
PROMPT, TURN = "prompt ", "turn "
SEED = 7


def figures(place: Place, quick: bool) -> Iterator[Figure]:
    """Yield what was lost, torn, left over."""
    warm_up()
    kills = QUICK_KILLS if quick else KILLS
    longest = LONGEST_SECONDS if place.is_own else LONGEST_ON_A_SERVER
    seen: Counter[str] = Counter()
    notes: dict[str, str] = {}
    progress, chance = Progress("kills", kills), random.Random(SEED)
    for first in range(0, kills, KILLS_A_STORE):
        with place.store() as url:
            # In every other store somebody else is at work, so that its log is never folded in.
            with _bystander(url, at_work=bool(first // KILLS_A_STORE % 2)):
                for number in range(first, min(first + KILLS_A_STORE, kills)):
                    _trial(url, chance.uniform(0, longest), seen, notes)
                    progress.at(number)
            if place.is_own:
                seen["left over"] += _left_over(path_of(url)) if place.is_file else _begun(url)
    turns = f"{seen['acknowledged']:,} acknowledged turns"
    yield Figure(f"of {turns} lost, {kills:,} kills", seen["lost"])
    yield Figure(f"of {seen['prompts']:,} acknowledged prompts lost", seen["prompts lost"])
    for what, note in (
        ("unreadable", "store, session, run or event"),
        ("torn", "a prompt without its answer, a call without its result"),
        ("duplicated", ""),
        ("out of order", ""),
        ("runs left running", f"{seen['interrupted']:,} became interrupted"),
        ("turns refused after a kill", ""),
        ("errors before a kill", ""),
        ("left over", "files beside the store and its lock, or a damaged file"),
    ):
        yield Figure(what, seen[what], 0, notes.get(what, note))
    if place.is_own:
        made = kills // 4
        broken = sum([_is_broken(place, chance.uniform(0, MAKING_SECONDS)) for _ in range(made)])
        yield Figure(f"of {made:,} stores unusable, killed while they were made", broken)


def _is_broken(place: Place, seconds: float) -> bool:
    """Kill the process that makes a new store, and tell whether others cannot use it."""
    with place.store() as url:
        child = Child(lambda say: nbs.open_store(url).close())
        time.sleep(seconds)
        child.close()
        try:
            with nbs.open_store(url) as store:
                append(store.create("plan"), "first", 0)
                return told(store.resume("plan").messages).labels != ["first"]
        except NbsessionsError:
            return True


def _trial(url: str, seconds: float, seen: Counter[str], notes: dict[str, str]) -> None:
    with nbs.open_store(url) as store:
        session_id = store.create().session_id
    child = Child(lambda say: _work(url, session_id, say))
    try:
        time.sleep(seconds)
        child.kill()
        errors, turns, prompts = child.told(ERROR), child.told(TURN), child.told(PROMPT)
    finally:
        child.close()
    seen["acknowledged"] += len(turns)
    seen["prompts"] += len(prompts)
    if errors:
        seen["errors before a kill"] += 1
        notes["errors before a kill"] = errors[0]
    try:
        with nbs.open_store(url) as store:
            _check(store.resume(session_id), turns, prompts, seen)
    except (NbsessionsError, sqlite3.Error, ValueError, KeyError, AssertionError) as error:
        seen["unreadable"] += 1
        notes["unreadable"] = f"{type(error).__name__}: {error}"


def _work(url: str, session_id: str, say: Say) -> None:
    """Append until the end comes; each event is stored on its own, so that there are more ways to die."""
    recorder_module.FLUSH_SECONDS = 0.0
    done = 0
    while True:
        with nbs.open_store(url) as store:
            session = store.resume(session_id)
            for number in range(done, done + TURNS_BEFORE_IT_CLOSES):
                if number % 2:
                    commit(session, str(number))
                else:
                    _send(session, str(number), say)
                say(f"{TURN}{number}")
        done += TURNS_BEFORE_IT_CLOSES


def _send(session: Session, label: str, say: Say) -> None:
    # What is shown was stored before.
    send(session, label, lambda event: say(f"{PROMPT}{label}") if event.type == "RUN_STARTED" else None)


def _check(session: Session, turns: list[str], prompts: list[str], seen: Counter[str]) -> None:
    found = told(session.messages)
    seen["lost"] += len({*turns} - {*found.labels})
    seen["torn"] += len(found.torn)
    seen["duplicated"] += found.twice
    # One more may have been committed, and not yet told.
    seen["out of order"] += found.labels != [str(number) for number in range(len(found.labels))]
    assert len(found.labels) <= len(turns) + 1, "turns that nobody appended"
    runs = session.runs()
    asked = Counter(run.prompt for run in runs)
    seen["prompts lost"] += sum(asked[f"{label}?"] != 1 for label in prompts)
    seen["runs left running"] += sum(run.status == "running" for run in runs)
    seen["interrupted"] += sum(run.status == "interrupted" for run in runs)
    for run in runs:
        events = session.run_events(run.run_id)
        assert [event.seq for event in events] == [*range(run.event_count)], "a gap in a run's events"
        assert (run.turn_id is not None) == (run.status == "completed"), "a run without its turn"
    for number in range(2):
        append(session, f"after {number}", number)
    more = told(session.messages).labels[len(found.labels) :]
    seen["turns refused after a kill"] += more != ["after 0", "after 1"]


@contextmanager
def _bystander(url: str, *, at_work: bool) -> Iterator[None]:
    if not at_work:
        yield
        return
    child = Child(lambda say: _stand_by(url))
    try:
        yield
    finally:
        child.close()


def _stand_by(url: str) -> None:
    with nbs.open_store(url) as store:
        while True:
            store.list()
            time.sleep(0.02)


def _left_over(path: Path) -> int:
    nbs.open_store(path).close()
    more = {file.name for file in path.parent.iterdir()} - {path.name, f"{path.name}.lock"}
    with closing(sqlite3.connect(path)) as db:
        damage = db.execute("PRAGMA integrity_check").fetchone()[0]
    return len(more) + int(damage != "ok")


def _begun(url: str) -> int:
    """Return how many files are left that a process had begun in the folder of a store, or that are damaged."""
    with nbs.open_store(url) as store:
        wrong = len(store.verify().damages)
    files = {file.name for file in Path(url.removeprefix("file:")).rglob("*") if file.is_file()}
    return wrong + len([name for name in files if not name.endswith(".json")]) - 3  # .latest, journal, lock
