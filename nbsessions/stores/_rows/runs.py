"""Runs, their events, and how far they have come."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import Any

from nbsessions.codecs import REDACTED
from nbsessions.exceptions import DamagedRun
from nbsessions.records import Event, Head, Run, Usage
from nbsessions.stores._rows import daily
from nbsessions.stores._rows.checks import Sealed, crc, crc_of, damage, insert, is_sealed, is_written, tell
from nbsessions.stores._rows.schema import USAGE
from nbsessions.stores._rows.spent import columns, shares, shares_text, usage, usage_values
from nbsessions.stores.base import Finish, Progress
from nbsessions.values import from_micros, micros

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
    "progressed",
    "session",
    "turn",
    "base_turn",
    "base_keep",
    "unpriced_tokens",
    "priced_by",
    "shares",
)
_ADDED = 3
"""So many of them are no part of the checksums of schema 3."""
_SPENT = slice(7, 8 + len(USAGE))
INSERT_RUN = insert("runs", (*_RUN, "crc"))
_COLUMNS = ", ".join(f"r.{column}" for column in (*_RUN, "crc"))
# Spelled as the index is, which no database uses for a parameter.
RUNNING = "CASE r.status WHEN 'running' THEN 1 END = 1"
ENDED = "CASE r.status WHEN 'running' THEN 1 END IS NULL"
SELECT_RUN = (
    f"SELECT {_COLUMNS}, r.id, s.session_id, s.conversation_id, t.turn_id, b.turn_id "
    "FROM runs r LEFT JOIN sessions s ON s.id = r.session "
    "LEFT JOIN turns t ON t.id = r.turn LEFT JOIN turns b ON b.id = r.base_turn"
)
ANSWERING = f"SELECT r.session FROM runs r WHERE {RUNNING} AND r.lease_until > ? AND r.session IN "
SELECT_ROWS = f"SELECT {_COLUMNS}, r.id FROM runs r"
SELECT_ROW = f"{SELECT_ROWS} WHERE r.run_id = ?"
OF_SESSIONS = f"{SELECT_ROWS} WHERE r.session IN "
SELECT_PLACES = (
    "SELECT s.id, (SELECT t.id FROM turns t WHERE t.turn_id = ?) FROM sessions s "
    "WHERE s.conversation_id = ? AND s.session_id = ?"
)
SESSION_OF_RUN = (
    "SELECT s.conversation_id, s.session_id FROM sessions s "
    "WHERE s.id = (SELECT session FROM runs WHERE run_id = ?)"
)
KEY_OF = "SELECT conversation_id, session_id FROM sessions WHERE id = ?"


class Row(Sealed):
    """A run's row, as it is read, changed and written back."""

    def __init__(self, row: Sequence[Any]) -> None:
        *values, own_crc, number = row
        super().__init__("runs", _RUN, number, values, own_crc, added=_ADDED)

    @property
    def is_open(self) -> bool:
        """Whether it may still end."""
        return self["status"] in ("running", "suspended")

    @property
    def usage(self) -> Usage:
        """What it spent so far."""
        return usage(*(self[column] for column in (*USAGE, "cost", "unpriced_tokens")))

    @property
    def counted(self) -> daily.Counts:
        """What is to be counted for it: nothing before it has ended."""
        if self["status"] == "running":
            return {}
        about = (self["agent_name"], self["model"] or None, self["provider"] or None)
        begun = daily.Group(daily.day_of(self["started_at"]), *about)
        if self["shares"] is None:  # as nearly always: nothing is made of its columns and taken apart again
            return {begun: daily.numbers(1, *_spent(self.values))}
        return daily.counted(begun, self.usage, shares(self["shares"]))

    def finish(self, finish: Finish, turn: int | None) -> None:
        """End it. What comes after the end changes what was spent, and not how it ended."""
        changes: dict[str, Any] = {**columns(finish.usage), "worker": None, "lease_until": None}
        changes |= {"priced_by": finish.priced_by, "shares": shares_text(finish.shares)}
        changes["event_count"] = max(self["event_count"], finish.first + len(finish.events))
        if finish.model is not None:
            changes["model"] = finish.model
        if finish.provider is not None:
            changes["provider"] = finish.provider
        if turn is not None:  # which has the prompt
            changes |= {"turn": turn, "prompt": None}
        if self.is_open:
            changes |= {"status": finish.status, "finished_at": finish.finished_at, "error": finish.error}
        self.set(**changes)

    def go_on(self, worker: str, until: int) -> None:
        """Let it run again, as if it had never been suspended."""
        changes: dict[str, Any] = {**columns(Usage()), "priced_by": None, "shares": None}
        changes |= {"status": "running", "finished_at": None, "error": None}
        self.set(**changes, worker=worker, lease_until=until)

    def count(self, events: int) -> None:
        """Note how many events there are, at least."""
        if self["event_count"] < events:
            self.set(event_count=events)

    def redact(self) -> None:
        """Take away what it was asked and told."""
        self.set(prompt=REDACTED, error=None if self["error"] is None else REDACTED)


_FORGOTTEN = ("session", "prompt", "error", "cell_id", "retry_of", "turn")
_FORGOTTEN_AT = tuple(map(_RUN.index, _FORGOTTEN))
_BASE = slice(_RUN.index("base_turn"), _RUN.index("base_keep") + 1)
_PROGRESSED, _STATUS = _RUN.index("progressed"), _RUN.index("status")
FORGET_SESSION = (
    f"UPDATE runs SET {', '.join(f'{column} = NULL' for column in _FORGOTTEN)}, progressed = 0, "
    "base_turn = ?, base_keep = ?, crc = ? WHERE id = ?"
)


def forgotten(row: Sequence[Any]) -> tuple[Any, ...]:
    """Return the parameters of `FORGET_SESSION` for a row of `OF_SESSIONS`: what it spent stays.

    An agent that is still answering needs what it answers from.
    """
    *values, own_crc, number = row
    carried = damage(own_crc, tuple(values), _ADDED)
    for place in _FORGOTTEN_AT:
        values[place] = None
    values[_PROGRESSED] = 0
    if values[_STATUS] != "running":
        values[_BASE] = None, None
    return (*values[_BASE], crc_of(tuple(values)) ^ carried, number)


def number_of(row: Sequence[Any]) -> int:
    """Return the id of a row of `OF_SESSIONS`."""
    return int(row[-1])


_spent = itemgetter(*USAGE, "cost", "unpriced_tokens")
OWNER_OF = "SELECT id, session FROM runs WHERE run_id = ?"
DELETE_RUN = "DELETE FROM runs WHERE id = ?"
INSERT_EVENT = (
    "INSERT INTO events(run, seq, type, data, crc) VALUES (?, ?, ?, ?, ?) ON CONFLICT (run, seq) DO NOTHING"
)
SELECT_EVENTS = "SELECT seq, type, data, crc FROM events WHERE run = ? AND seq > ? ORDER BY seq"
PUT_PROGRESS = (
    "INSERT INTO progress(run, codec, body, usage, crc) VALUES (?, ?, ?, ?, ?) "
    "ON CONFLICT (run) DO UPDATE SET codec = excluded.codec, body = excluded.body, usage = excluded.usage, "
    "crc = excluded.crc"
)
SELECT_PROGRESS = (
    "SELECT r.run_id, r.progressed, r.id, p.codec, p.body, p.usage, p.crc "
    "FROM runs r LEFT JOIN progress p ON p.run = r.id"
)


def run_values(
    run: Run, session: int, base: int | None, turn: int | None = None, *, progressed: bool = False
) -> tuple[Any, ...]:
    """Return the parameters of `INSERT_RUN`, for a session and turns of these numbers."""
    values = (
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
        int(progressed),
        session,
        turn,
        base,
        run.base.keep,
        run.usage.unpriced_tokens,
        run.priced_by,
        shares_text(run.shares),
    )
    return (*values, crc(*values))


def counted(run: Run) -> daily.Counts:
    """Return what is to be counted for a run that comes from elsewhere."""
    if run.status == "running":
        return {}
    about = (run.agent_name, run.model or None, run.provider or None)
    begun = daily.Group(daily.day_of(micros(run.started_at)), *about)
    return daily.counted(begun, run.usage, run.shares)


def run(row: Sequence[Any]) -> Run:
    """Return the run of a row of `SELECT_RUN`.

    Raises
    ------
    DamagedRun
    """
    values, (own_crc, _, sid, conversation, turn_id, base_id) = row[: len(_RUN)], row[len(_RUN) :]
    (run_id, status, started, finished, agent, model, provider, *_, events, cell, retry_of, worker, lease,
     error, prompt, _, session, turn, base, keep, unpriced, priced_by, shared) = values  # fmt: skip
    # Of a session that is gone, the turns may be gone as well.
    linked = session is None or (sid is not None and (base is None or base_id is not None))
    if not linked or not is_sealed(own_crc, tuple(values), _ADDED):
        raise DamagedRun(str(run_id), "record")
    if session is not None and turn is not None and turn_id is None:
        turn_id = f"#{turn}"  # it is gone: whoever asks for it is told so
    try:
        return Run(
            run_id=run_id,
            session_id=sid or "",
            conversation_id=conversation or None,
            agent_name=agent,
            model=model,
            provider=provider,
            status=status,
            prompt=prompt,
            base=Head(base_id, keep),
            turn_id=turn_id,
            started_at=from_micros(started),
            finished_at=None if finished is None else from_micros(finished),
            usage=usage(*(*values[_SPENT], unpriced)),
            shares=shares(shared),
            priced_by=priced_by,
            error=error,
            event_count=events,
            cell_id=cell,
            retry_of=retry_of,
            worker=worker,
            lease_until=None if lease is None else from_micros(lease),
        )
    except (ValueError, OverflowError, TypeError) as error:
        raise DamagedRun(str(run_id), "record") from error


def number(row: Sequence[Any]) -> int:
    """Return the number of a row of `SELECT_RUN`."""
    return int(row[len(_RUN) + 1])


def runs(found: Iterable[Sequence[Any]]) -> list[Run]:
    """Return the runs of rows of `SELECT_RUN`, but for those that are damaged, which are told."""
    read: list[Run] = []
    for row in found:
        try:
            read.append(run(row))
        except DamagedRun as error:
            tell(error)
    return read


def progress_values(run: int, progress: Progress) -> tuple[Any, ...]:
    """Return the parameters of `PUT_PROGRESS`, for a run of this number."""
    kept = (progress.codec, progress.body, progress.usage.model_dump_json())
    return (run, *kept, crc(*kept, run))


def progress(row: Sequence[Any]) -> Progress | None:
    """Return the progress of a row of `SELECT_PROGRESS`.

    Raises
    ------
    DamagedRun
    """
    run_id, progressed, run, codec, body, usage, own_crc = row
    if codec is None and not progressed:
        return None
    if own_crc is None or not is_written(own_crc, (codec, body, usage), (run,)):
        raise DamagedRun(run_id, "progress")
    return Progress(run_id, codec, body, Usage.model_validate_json(usage))


def event_values(run: int, seq: int, kind: str, data: str) -> tuple[Any, ...]:
    """Return the parameters of `INSERT_EVENT`, for a run of this number."""
    return (run, seq, kind, data, crc(kind, data, run, seq))


def event(run_id: str, run: int, row: Sequence[Any]) -> Event:
    """Return the event of a row of `SELECT_EVENTS`, of a run of this id and number.

    Raises
    ------
    DamagedRun
    """
    seq, kind, data, own_crc = row
    if not is_written(own_crc, (kind, data), (run, seq)):
        raise DamagedRun(run_id, f"event {seq}")
    try:
        return Event(seq=seq, type=kind, data=json.loads(data))
    except ValueError as error:
        raise DamagedRun(run_id, f"event {seq}") from error
