"""A clock that jumps by a day, forward and back, between turns and in the middle of them."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, tzinfo
from unittest.mock import patch

import nbsessions as nbs
from nbsessions import Session, Store
from nbsessions.values import new_id
from tests.reliability.places import Place
from tests.reliability.table import Figure
from tests.reliability.turns import answer, commit, told, warm_up

TURNS, QUICK_TURNS = 200, 20
SESSIONS = 5
DAY = timedelta(days=1)


class Clock:
    """What the time is, by a clock that somebody sets."""

    def __init__(self) -> None:
        self.ahead = timedelta()
        self._now, self._time_ns = datetime.now, time.time_ns
        self._chance = random.Random(7)

    def now(self, tz: tzinfo | None = None) -> datetime:
        """Stand in for `datetime.now`."""
        return self._now(tz) + self.ahead

    def time_ns(self) -> int:
        """Stand in for `time.time_ns`."""
        return self._time_ns() + self.ahead // timedelta(microseconds=1) * 1_000

    def jump(self) -> None:
        """Set it to another day."""
        self.ahead = self._chance.choice([day for day in (-DAY, timedelta(), DAY) if day != self.ahead])


class _Datetime(datetime):
    clock: Clock

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
        return cls.clock.now(tz)


def figures(place: Place, quick: bool) -> Iterator[Figure]:
    """Yield what came into another order, or was lost."""
    warm_up()
    clock = _Datetime.clock = Clock()
    agent = f"clock {new_id()}"
    turns = QUICK_TURNS if quick else TURNS
    with (
        patch("nbsessions.values.datetime", _Datetime),
        patch("time.time_ns", clock.time_ns),
        place.store() as url,
        nbs.open_store(url) as store,
    ):
        sessions = [store.create(f"plan {number}", agent_name=agent) for number in range(SESSIONS)]
        for number in range(turns):
            _append(sessions[number % SESSIONS], str(number), number, clock)
        expected = [[str(n) for n in range(turns) if n % SESSIONS == one] for one in range(SESSIONS)]
        yield from _order(store, sessions, expected, turns)
        yield from _listed(store, agent, sessions, clock)
        yield _judged(store, sessions[0], clock)
        yield from _taken_back(store, sessions, expected)


def _append(session: Session, label: str, number: int, clock: Clock) -> None:
    def agent(prompt: str) -> object:
        clock.jump()
        return answer(prompt)

    clock.jump()
    if number % 3:
        session.send(f"{label}?", agent=agent)
    else:
        commit(session, label)
    clock.jump()
    session.state = {"last": label}


def _order(store: Store, sessions: list[Session], expected: list[list[str]], turns: int) -> Iterator[Figure]:
    lost = disordered = 0
    backwards = 0
    for handle, labels in zip(sessions, expected, strict=True):
        session = store.resume(handle.session_id)
        found = told(session.messages)
        lost += len({*labels} - {*found.labels}) + len(found.torn)
        depths = [turn.depth for turn in session.turns]
        prompts = [run.prompt for run in session.runs()]
        asked = [f"{label}?" for label in labels if int(label) % 3]
        actions = [entry.action for entry in reversed(session.log())]
        disordered += found.labels != labels
        disordered += depths != [*range(1, len(labels) + 1)]
        disordered += prompts != asked
        disordered += actions != ["create", *["turn", "state"] * len(labels)]
        disordered += session.state != {"last": labels[-1]}
        backwards += sum((run.duration or 0) < 0 for run in session.runs())
    yield Figure(f"of {turns} turns lost or torn", lost)
    yield Figure("messages, turns, runs, logs and states in another order", disordered)
    yield Figure("runs that took less than no time", backwards, None, "their end is before their start")


def _listed(store: Store, agent: str, sessions: list[Session], clock: Clock) -> Iterator[Figure]:
    """Touch one session after the other, the clock back by a day before each second of them."""
    for number, session in enumerate(sessions):
        clock.ahead = -DAY if number % 2 else timedelta()
        commit(session, "touched")
    newest_first = [session.session_id for session in reversed(sessions)]
    found = [record.session_id for record in store.list(None, agent_name=agent)]
    wrong = sum(one != other for one, other in zip(found, newest_first, strict=True))
    yield Figure(f"of {len(sessions)} sessions elsewhere in `list`", wrong, None, "it goes by `updated_at`")
    clock.ahead = -DAY
    commit(sessions[-1], "touched last")
    latest = store.resume("latest", agent_name=agent).session_id
    yield Figure(
        "`latest` is not what was touched last", int(latest != newest_first[0]), None, "after a jump back"
    )


def _judged(store: Store, session: Session, clock: Clock) -> Figure:
    """Look at a session by another handle, a day later by the clock, while its agent answers."""

    def agent(prompt: str) -> object:
        clock.ahead = DAY
        store.resume(session.session_id)
        return answer(prompt)

    clock.ahead = timedelta()
    run = session.send("judged?", agent=agent)
    kept = told(store.resume(session.session_id).messages).labels[-1] == "judged"
    note = "its answer is kept" if kept else "its answer is LOST"
    return Figure("runs called interrupted while they ran", int(run.status == "interrupted"), None, note)


def _taken_back(store: Store, sessions: list[Session], expected: list[list[str]]) -> Iterator[Figure]:
    """Undo all, turn by turn; then rewind and fork."""
    wrong, notes = 0, []
    for handle, labels in zip(sessions, expected, strict=True):
        session = store.resume(handle.session_id)
        extra = len(told(session.messages).labels) - len(labels)
        for _ in range(extra):
            session.undo()
        for count in range(len(labels) - 1, -1, -1):
            session.undo()
            state = {"last": labels[count - 1]} if count else {}
            if told(session.messages).labels != labels[:count] or session.state != state:
                wrong += 1
                notes.append(f"{session.state} instead of {state}")
    yield Figure("undone to another place", wrong, 0, notes[0] if notes else "")
