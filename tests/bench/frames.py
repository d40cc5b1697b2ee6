"""Read all sessions, and all runs, into a DataFrame: beside pandas reading the same columns by itself."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from statistics import median

import nbsessions as nbs
from nbsessions.frames import RUNS, SESSIONS, Sheet
from nbsessions.records import Run, SessionRecord, Usage
from nbsessions.stores._rows.runs import INSERT_RUN, run_values
from nbsessions.stores._rows.sessions import INSERT_SESSION, session_values
from nbsessions.values import new_id, now
from tests.bench.timing import Figure, duration, folder

_MODELS = ("gpt-5.2", "claude-sonnet-4-5", "my-model")
_OURS = """
import sys, nbsessions as nbs
from time import perf_counter, process_time
with nbs.open_store(sys.argv[1]) as store:
    read = nbs.sessions_df if sys.argv[2] == "sessions" else nbs.runs_df
    begun, worked = perf_counter(), process_time()
    df = read(store, columns=sys.argv[3])
"""
_PANDAS = """
import sys, sqlite3, pandas, nbsessions.frames
from time import perf_counter, process_time
db = sqlite3.connect(sys.argv[1])
begun, worked = perf_counter(), process_time()
df = pandas.read_sql(sys.argv[2], db)
"""
_TOLD = """
print(perf_counter() - begun, process_time() - worked)
with open("/proc/self/status") as status:
    print(next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM")))
"""


def figures(quick: bool) -> Iterator[Figure]:
    """Yield the figures: each frame is made in a process of its own, so that its peak memory is known."""
    sessions, runs, repeats = (5_000, 5_000, 1) if quick else (1_000_000, 200_000, 5)
    with folder() as place:
        path = place / "many.db"
        _fill(path, sessions, runs)
        names = [column.name for column in SESSIONS]
        sources = ", ".join(dict.fromkeys(source for one in SESSIONS for source in one.sources))
        sql = f"SELECT {sources} FROM sessions ORDER BY updated_at DESC, id DESC"
        # 1.5 times as fast, with half the memory; of few rows, most of both is what pandas itself takes.
        limits = (None, None) if quick else (0.667, 0.5)
        yield from _compared(path, "sessions", sessions, names, sql, repeats, limits)
        # Without what was asked, which pandas cannot read out of turns.
        names = [column.name for column in RUNS if column.name != "prompt"]
        yield from _compared(path, "runs", runs, names, _runs_sql(RUNS), repeats, (None, None))


def _runs_sql(sheet: Sheet) -> str:
    others = {"session_id": "s.session_id", "session_name": "s.name", "conversation_id": "s.conversation_id"}
    others["turn_id"] = "t.turn_id"
    sources = dict.fromkeys(source for one in sheet if one.name != "prompt" for source in one.sources)
    chosen = ", ".join(f"{others.get(source, f'r.{source}')} AS {source}" for source in sources)
    joined = "LEFT JOIN sessions s ON s.id = r.session LEFT JOIN turns t ON t.id = r.turn"
    return f"SELECT {chosen} FROM runs r {joined} ORDER BY r.id"


def _compared(
    path: Path,
    kind: str,
    rows: int,
    names: Sequence[str],
    sql: str,
    repeats: int,
    limits: tuple[float | None, float | None],
) -> Iterator[Figure]:
    ours: list[list[float]] = []
    pandas: list[list[float]] = []
    for _ in range(repeats):
        ours.append(_run(_OURS, str(path), kind, ",".join(names)))
        pandas.append(_run(_PANDAS, str(path), sql))
    (taken, worked, peak), (their_time, their_work, their_peak) = _medians(ours), _medians(pandas)
    what, note = f"{kind}_df of {rows:,}", "pd.read_sql, the same columns"
    yield Figure(what, duration(taken), duration(their_time), taken / their_time, limits[0], "x", note)
    works = (duration(worked), duration(their_work))
    yield Figure(
        "  processor time", *works, worked / their_work, None, "x", "of both threads; others' load apart"
    )
    size = (f"{peak:.0f} MB", f"{their_peak:.0f} MB")
    yield Figure("  peak memory", *size, peak / their_peak, limits[1], "x", "whole processes")


def _medians(found: Sequence[Sequence[float]]) -> list[float]:
    return [median(several) for several in zip(*found, strict=True)]


def _run(code: str, *arguments: str) -> list[float]:
    command = [sys.executable, "-c", code + _TOLD, *arguments]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return [float(figure) for figure in told]


def _fill(path: Path, sessions: int, runs: int) -> None:
    nbs.open_store(path).close()
    start = now() - timedelta(days=365)
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("BEGIN")
    for number in range(sessions):
        db.execute(INSERT_SESSION, session_values(_session(number, start), 0))
    for number in range(runs):
        session = number % sessions + 1
        db.execute(INSERT_RUN, run_values(_a_run(number, start), session, None))
    db.execute("COMMIT")
    db.close()


def _session(number: int, start: datetime) -> SessionRecord:
    at = start + timedelta(seconds=number * 30)
    return SessionRecord(
        session_id=new_id(),
        name=f"session {number}" if number % 2 else None,
        agent_name=f"agent {number % 7}",
        owner="ada",
        tags=["draft"] if number % 5 == 0 else [],
        created_at=at,
        updated_at=at + timedelta(seconds=number % 100),
        message_count=number % 10,
        turn_count=number % 5,
        usage=_usage(number),
        model=_MODELS[number % 3],
        notebook="analysis.ipynb" if number % 4 == 0 else None,
    )


def _a_run(number: int, start: datetime) -> Run:
    at = start + timedelta(seconds=number * 30)
    return Run(
        run_id=new_id(),
        session_id="",
        agent_name=f"agent {number % 7}",
        model=_MODELS[number % 3],
        provider="openai",
        status="completed" if number % 20 else "failed",
        error=None if number % 20 else "TimeoutError: no answer",
        started_at=at,
        finished_at=at + timedelta(milliseconds=number % 5000),
        usage=_usage(number),
        event_count=number % 50,
    )


def _usage(number: int) -> Usage:
    sent, got = number % 9973 * 10, number % 997
    cost = Decimal(sent * 3 + got * 15).scaleb(-6) if number % 3 < 2 else None
    unpriced = 0 if cost is not None else sent + got
    return Usage(input_tokens=sent, output_tokens=got, requests=2, cost=cost, unpriced_tokens=unpriced)
