"""Runs, their events, and how far they have come."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Sequence
from typing import Any

from nbsessions.exceptions import DamagedRun
from nbsessions.records import Event, Head, Run, Usage
from nbsessions.stores._rows.checks import crc, insert
from nbsessions.stores._rows.schema import USAGE
from nbsessions.stores._rows.spent import usage, usage_values
from nbsessions.stores.base import Finish, Progress
from nbsessions.values import from_micros, micros


def runs(found: Iterable[Sequence[Any]]) -> list[Run]:
    """Return the runs of rows of `SELECT_RUN`, but for those that are damaged, which are told."""
    read: list[Run] = []
    for row in found:
        try:
            read.append(run(row))
        except DamagedRun as error:
            warnings.warn(str(error), RuntimeWarning, stacklevel=5)
    return read


_RUN = (
    "run_id",
    "status",
    "started_at",
    "finished_at",
    "agent_name",
    "model",
    "provider",
    *USAGE,
    "cost",
    "event_count",
    "cell_id",
    "retry_of",
    "worker",
    "lease_until",
    "error",
    "prompt",
)
_INSERT_RUN = insert(
    "runs",
    (*_RUN, "crc", "prompt_crc", "base_turn", "base_keep", "session"),
    {
        "base_turn": "(SELECT id FROM turns WHERE turn_id = ?)",
        "session": "(SELECT id FROM sessions WHERE conversation_id = ? AND session_id = ?)",
    },
)
INSERT_RUN = f"{_INSERT_RUN} RETURNING session"
# Spelled out, because neither database uses a partial index for a parameter.
RUNNING = "r.status = 'running'"
SELECT_RUN = (
    f"SELECT s.session_id, s.conversation_id, t.turn_id, b.turn_id, r.base_keep, "
    f"{', '.join('r.' + column for column in _RUN)}, r.crc, r.prompt_crc, r.end_crc "
    "FROM runs r LEFT JOIN sessions s ON s.id = r.session "
    "LEFT JOIN turns t ON t.id = r.turn LEFT JOIN turns b ON b.id = r.base_turn"
)
SESSION_OF_RUN = (
    "SELECT s.conversation_id, s.session_id FROM sessions s "
    "WHERE s.id = (SELECT session FROM runs WHERE run_id = ?)"
)
_OPEN = "status IN ('running', 'suspended')"
FINISH_RUN = (
    f"UPDATE runs SET {', '.join(f'{column} = ?' for column in (*USAGE, 'cost'))}, "
    "model = COALESCE(?, model), provider = COALESCE(?, provider), turn = COALESCE(?, turn), "
    "prompt = CASE WHEN ? = 1 THEN NULL ELSE prompt END, worker = NULL, lease_until = NULL, "
    "event_count = CASE WHEN event_count < ? THEN ? ELSE event_count END, "
    f"error = CASE WHEN {_OPEN} THEN ? ELSE error END, "
    f"finished_at = CASE WHEN {_OPEN} THEN ? ELSE finished_at END, "
    # What comes after the end changes what was spent, and what the run said then.
    f"end_crc = CASE WHEN {_OPEN} THEN ? END, "
    f"status = CASE WHEN {_OPEN} THEN ? ELSE status END WHERE run_id = ? RETURNING id, session"
)
FINISH_OPEN = FINISH_RUN.replace("WHERE run_id = ?", f"WHERE run_id = ? AND {_OPEN}")
COUNT_EVENTS = (
    "UPDATE runs SET event_count = CASE WHEN event_count < ? THEN ? ELSE event_count END "
    "WHERE run_id = ? RETURNING id"
)
INSERT_EVENT = (
    "INSERT INTO events(run, seq, type, data, crc) VALUES (?, ?, ?, ?, ?) ON CONFLICT (run, seq) DO NOTHING"
)
PUT_PROGRESS = (
    "INSERT INTO progress(run, codec, body, usage, crc) VALUES (?, ?, ?, ?, ?) "
    "ON CONFLICT (run) DO UPDATE SET codec = excluded.codec, body = excluded.body, usage = excluded.usage, "
    "crc = excluded.crc"
)
SELECT_PROGRESS = (
    "SELECT r.run_id, p.codec, p.body, p.usage, p.crc FROM progress p JOIN runs r ON r.id = p.run "
    "WHERE r.run_id = ?"
)


def run_values(run: Run) -> tuple[Any, ...]:
    """Return the values of a new row of `runs`, without the session's key."""
    return (
        run.run_id,
        run.status,
        micros(run.started_at),
        None if run.finished_at is None else micros(run.finished_at),
        run.agent_name,
        run.model,
        run.provider,
        *usage_values(run.usage),
        run.event_count,
        run.cell_id,
        run.retry_of,
        run.worker,
        None if run.lease_until is None else micros(run.lease_until),
        run.error,
        run.prompt,
        crc(run.run_id, run.agent_name, micros(run.started_at), run.cell_id, run.retry_of),
        crc(run.prompt),
        run.base.turn_id,
        run.base.keep,
    )


def run(row: Sequence[Any]) -> Run:
    """Return the run of a row of `SELECT_RUN`.

    Raises
    ------
    DamagedRun
    """
    sid, conversation, turn_id, base_turn, base_keep, run_id, status, started, finished, agent = row[:10]
    events, cell, retry_of, worker, lease, error, prompt, began, asked, ended = row[19:]
    spent = row[12:19]
    whole = (
        began in (None, crc(run_id, agent, started, cell, retry_of))
        and (prompt is None or asked in (None, crc(prompt)))
        and ended in (None, crc(*spent, error, finished, status))
    )
    if not whole:
        raise DamagedRun(str(run_id), "record")
    try:
        return Run(
            run_id=run_id,
            session_id=sid or "",
            conversation_id=conversation or None,
            agent_name=agent,
            model=row[10],
            provider=row[11],
            status=status,
            prompt=prompt,
            base=Head(base_turn, base_keep),
            turn_id=turn_id,
            started_at=from_micros(started),
            finished_at=None if finished is None else from_micros(finished),
            usage=usage(*spent),
            error=error,
            event_count=events,
            cell_id=cell,
            retry_of=retry_of,
            worker=worker,
            lease_until=None if lease is None else from_micros(lease),
        )
    except (ValueError, OverflowError, TypeError) as error:
        raise DamagedRun(str(run_id), "record") from error


def progress(row: Sequence[Any]) -> Progress:
    """Return the progress of a row of `SELECT_PROGRESS`.

    Raises
    ------
    DamagedRun
    """
    run_id, codec, body, usage, own_crc = row
    if own_crc != crc(codec, body, usage):
        raise DamagedRun(run_id, "progress")
    return Progress(run_id, codec, body, Usage.model_validate_json(usage))


def event(run_id: str, row: Sequence[Any]) -> Event:
    """Return the event of a row of its position, type, JSON and checksum.

    Raises
    ------
    DamagedRun
    """
    seq, kind, data, own_crc = row
    if own_crc is not None and own_crc != crc(kind, data):
        raise DamagedRun(run_id, f"event {seq}")
    try:
        return Event(seq=seq, type=kind, data=json.loads(data))
    except ValueError as error:
        raise DamagedRun(run_id, f"event {seq}") from error


def finish_values(finish: Finish, turn: int | None) -> tuple[Any, ...]:
    """Return the parameters of `FINISH_RUN`."""
    count = finish.first + len(finish.events)
    named = (finish.model, finish.provider, turn, int(turn is not None), count, count)
    usage, end = usage_values(finish.usage), (finish.error, finish.finished_at)
    return (*usage, *named, *end, crc(*usage, *end, finish.status), finish.status, finish.run_id)
