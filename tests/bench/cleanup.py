"""Delete a tenth of many sessions, from all over the store, and tag as many."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from statistics import median

import pandas as pd

import nbsessions as nbs
from nbsessions.chains import make_turn
from nbsessions.records import Event, Head, Message, Run, SessionRecord, Turn
from nbsessions.stores.base import Bundle
from nbsessions.values import encode_json, new_id, now
from tests.bench.timing import Figure, Pair, duration, folder, seconds
from tests.bench.turns import USAGE

_RUNS = 2
"""Of each session; each answers one prompt."""
_EVENTS = ("RUN_STARTED", *("TEXT_MESSAGE_CONTENT",) * 4, "RUN_FINISHED")
_START = now() - timedelta(days=30)
# What is left of a deleted session, in the plainest way: no checksums, no look at who changed or owns what.
_GONE = "(SELECT value FROM json_each(?))"
_TOLD = f"DELETE FROM events WHERE run IN (SELECT id FROM runs WHERE session IN {_GONE})"
_FORGOTTEN = f"UPDATE runs SET session = NULL, prompt = NULL, turn = NULL WHERE session IN {_GONE}"
_REST = (
    f"DELETE FROM heads WHERE session IN {_GONE}",
    f"DELETE FROM sessions WHERE id IN {_GONE}",
)


def figures(quick: bool) -> Iterator[Figure]:
    """Yield the figures: seconds, and beside bare statements on a copy of the same file."""
    os.environ.setdefault("TQDM_DISABLE", "1")  # no bar among the figures
    sessions, repeats = (2_000, 2) if quick else (100_000, 5)
    meant, tagged, pair = sessions // 10, [], Pair()
    with folder() as path:
        _fill(path / "full.db", sessions)
        for number in range(repeats):
            shutil.copy(path / "full.db", path / "ours.db")
            shutil.copy(path / "full.db", path / "floor.db")
            with nbs.open_store(path / "ours.db") as store:
                df = nbs.sessions_df(store).sample(meant, random_state=number)
                ids = [*df.session_id]
                tagged.append(seconds(lambda: df.nbs.tag("old")))  # noqa: B023
                pair.take(lambda: _ours(df), lambda: _floor(path / "floor.db", ids))  # noqa: B023
            (path / "ours.db").unlink()
            (path / "floor.db").unlink()
    what = f"delete {meant:,} of {sessions:,} sessions"
    yield pair.figure(what, None, "owners, changes, leases and checksums looked at; bare DELETE")
    ours = median(pair.ours)
    yield Figure("  in all", duration(ours), "", ours, 2, "s", f"{_RUNS} runs, {len(_EVENTS)} events each")
    yield Figure(f"tag {meant:,} sessions", duration(median(tagged)), "", median(tagged), None, "s")


def _ours(df: pd.DataFrame) -> None:
    report = df.nbs.delete()
    assert len(report) == len(df), report


def _floor(path: Path, ids: list[str]) -> None:
    db = sqlite3.connect(path, isolation_level=None)
    for pragma in ("secure_delete = ON", "synchronous = FULL", "cache_size = -16384"):
        db.execute(f"PRAGMA {pragma}")
    found = "SELECT json_group_array(id) FROM sessions WHERE session_id IN (SELECT value FROM json_each(?))"
    db.execute("BEGIN IMMEDIATE")
    gone = db.execute(found, (json.dumps(ids),)).fetchone()
    for statement in (_TOLD, _FORGOTTEN, *_REST):
        db.execute(statement, gone)
    db.execute("COMMIT")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()


def _fill(path: Path, sessions: int) -> None:
    with nbs.open_store(f"sqlite:///{path}?synchronous=normal") as store:
        for number in range(sessions):
            store.backend.restore(_lived(number, store.owner))


def _lived(number: int, owner: str) -> Bundle:
    """Return a session with a turn, a run and its events for each prompt."""
    session_id, at = new_id(), _START + timedelta(seconds=number)
    turns: list[Turn] = []
    runs: list[Run] = []
    events: dict[str, list[Event]] = {}
    for prompt in range(_RUNS):
        said = [
            Message(role="user", content=f"Question {number}, {prompt}: {'why? ' * 20}"),
            Message(role="assistant", content=f"Answer {number}, {prompt}: {'because. ' * 40}"),
        ]
        body = encode_json([message.to_dict() for message in said], "turn")
        turns.append(make_turn(turns[-1] if turns else None, "chat", body, said, prompts=1))
        run = Run(
            run_id=new_id(),
            session_id=session_id,
            agent_name="agent",
            model="model",
            status="completed",
            started_at=at,
            finished_at=at,
            turn_id=turns[-1].turn_id,
            usage=USAGE,
            event_count=len(_EVENTS),
        )
        runs.append(run)
        events[run.run_id] = [
            Event(seq=seq, type=kind, data={"type": kind, "messageId": run.run_id, "delta": "word " * 20})
            for seq, kind in enumerate(_EVENTS)
        ]
    record = SessionRecord(
        session_id=session_id,
        name=f"session {number}",
        agent_name="agent",
        owner=owner,
        created_at=at,
        updated_at=at,
        head=Head(turns[-1].turn_id),
        message_count=2 * _RUNS,
        turn_count=_RUNS,
        usage=sum((run.usage for run in runs), start=nbs.Usage()),
        model="model",
    )
    return Bundle(record, turns=turns, runs=runs, events=events)
