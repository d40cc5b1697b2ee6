"""A store as it may be after a few weeks: conversations of all lengths, forks, states, tags, runs that failed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import count
from unittest.mock import patch

from nbsessions import RunFailed, Session, Store
from nbsessions.records import Usage
from nbsessions.runner import new_run
from nbsessions.stores.base import Finish, Key, Progress, Visit
from nbsessions.values import encode_json, micros, now

LENGTHS = (5, 8, 20, 40, 80, 200)
RUNS = 0.3
"""So many of the turns are answers of an agent."""
TEXT = (
    "the numbers of the third quarter say little about the fourth but for the holidays when sales went up "
    'ünïcode 你好 and \\back\\slashes "quotes" of every kind with a table | a | b | and 3.14 percent'
)
WORDS = TEXT.split()
START = datetime(2026, 11, 2, 8, tzinfo=UTC)
TICK = timedelta(milliseconds=7)


def fill(store: Store) -> None:
    """Fill a store, each time with the very same bytes."""
    chance = random.Random(11)
    with _nothing_by_chance():
        for number, length in enumerate(LENGTHS):
            _conversation(store, chance, number, length)
        _branches(store)


class _Datetime(datetime):
    ticks = count()

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
        return START + next(cls.ticks) * TICK


@contextmanager
def _nothing_by_chance() -> Iterator[None]:
    """Let ids, times, and the moments at which events are stored be the same each time."""
    _Datetime.ticks = ticks = count()
    start = int(START.timestamp()) * 10**9
    with ExitStack() as stack:
        for name, value in (
            ("nbsessions.values._last_id", 0),
            ("nbsessions.values.datetime", _Datetime),
            ("time.time_ns", lambda: start + next(ticks) * 7_000_000),
            ("os.urandom", random.Random(13).randbytes),
            ("nbsessions.recorder.FLUSH_SECONDS", 3600.0),
            ("nbsessions.runner.worker_name", lambda: "host:1"),
        ):
            stack.enter_context(patch(name, value))
        yield


def _text(chance: random.Random, least: int = 10, most: int = 80) -> str:
    return " ".join(chance.choices(WORDS, k=chance.randint(least, most)))


def _conversation(store: Store, chance: random.Random, number: int, length: int) -> None:
    session = store.create(
        f"quarter {number}" if number % 4 != 1 else None,
        agent_name="analyst" if number % 2 else "local",
        tags=["draft", "sales"][: number % 3],
        metadata={"ticket": number, "note": _text(chance, 3, 6)} if number % 2 else {},
        state={"step": 0, "seen": []} if number % 3 else {},
        notebook=f"/home/ada/quarter-{number}.ipynb" if number % 2 else None,
        conversation_id="a2a-7" if number == 2 else None,
    )
    store.backend.visit(
        "ada", f"/home/ada/quarter-{number}.ipynb", Visit(Key.of(session.record)), micros(now())
    )
    if number % 2:
        session.add_message({"role": "system", "content": _text(chance)})
    while session.message_count < length - 1:
        _turn(session, chance)
        if chance.random() < 0.1:
            session.state = {"step": session.message_count, "seen": chance.choices(WORDS, k=5)}
    if session.message_count < length:
        session.add_message({"role": "user", "content": _text(chance)})


def _turn(session: Session, chance: random.Random) -> None:
    """Ask: mostly with a plain answer, at times with one word by word, or with none at all."""
    if chance.random() > RUNS:
        body = [{"role": "user", "content": _text(chance)}, {"role": "assistant", "content": _text(chance)}]
        session.commit("turn", "chat", encode_json(body, "turn"), prompts=1)
        return
    kind = chance.random()

    def words(prompt: str) -> Iterator[str]:
        for word in _text(chance).split():
            yield f"{word} "
        if kind < 0.1:
            raise ValueError("the model went away")

    def whole(prompt: str) -> str:
        return _text(chance)

    cell = f"cell-{chance.randrange(10**6):06}" if kind > 0.5 else None
    if kind > 0.8:
        _priced(session, _text(chance), _text(chance))
        return
    try:
        session.send(_text(chance, 5, 20), agent=words if kind < 0.3 else whole, cell_id=cell)
    except RunFailed:
        return


def _priced(session: Session, prompt: str, answer: str) -> None:
    """Append a turn of an agent that told what it cost."""
    started = new_run(session, "analyst", prompt, model="large-1")
    session.backend.start_run(started)
    usage = Usage(input_tokens=len(prompt), output_tokens=len(answer), requests=1)
    finish = Finish(started.run_id, "completed", micros(now()), usage, "large-1", "provider")
    body = encode_json(
        [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}], "turn"
    )
    session.commit("turn", "chat", body, prompts=1, finish=finish)


def _branches(store: Store) -> None:
    """Fork, go back, undo, and leave a draft."""
    names = [record.name for record in store.list(None) if record.name and record.message_count > 30]
    for number, name in enumerate(sorted(names)):
        fork = store.fork(name, f"{name}, another way", at=11 + number)
        fork.add_message({"role": "user", "content": "And what if not?"})
        store.tag(name, "forked")
    first = store.resume(sorted(names)[0])
    first.rewind(first.message_count - 3)
    first.rewind(first.message_count - 1)
    first.undo()
    for name in names:
        session = store.resume(name)
        session.checkpoint("before the holidays")
        session.rewind(session.message_count - 1)
        session.checkpoint("without them")
        session.kv()["city"] = "Oslo"
        session.kv(ttl=None)["plan"] = {"steps": [1, 2, 3]}
    _left_running(store.resume(sorted(names)[1]))
    drafted = store.resume(sorted(names)[-1], autosave=False)
    drafted.add_message({"role": "user", "content": "Not yet saved."})


def _left_running(session: Session) -> None:
    """Begin a run whose process may still be at work, and that has come some way."""
    started = new_run(session, "analyst", "How far?", model="large-1")
    session.backend.start_run(started.model_copy(update={"lease_until": datetime(2100, 1, 1, tzinfo=UTC)}))
    said = '[{"role":"user","content":"How far?"},{"role":"assistant","content":"So far."}]'
    session.backend.append_events(started.run_id, [("RUN_STARTED", '{"type":"RUN_STARTED"}')], first=0)
    session.backend.save_progress(Progress(started.run_id, "chat", said, Usage(output_tokens=3, requests=1)))
