"""
Rows and records: the tables of the SQL stores, their statements, and the way from one to the other.

Times are microseconds since 1970, costs are billionths of a US dollar. Where a row points to
another inside the database, it does so by integer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from functools import cache
from itertools import chain as concat
from operator import attrgetter
from typing import Any

from pydantic_core import from_json

from nbsessions.records import Head, LogEntry, Run, SessionRecord, Turn, Usage, trusted
from nbsessions.stores.base import Finish, Query
from nbsessions.values import encode_json, from_micros, micros

NANO = 1_000_000_000
USAGE = (
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "requests",
)
_USAGE_DDL = "".join(f"{column} BIGINT NOT NULL DEFAULT 0, " for column in USAGE) + "cost BIGINT"

SCHEMA = (
    """CREATE TABLE states (id {pk}, body TEXT NOT NULL)""",
    # The body comes last: what walks the chain then reads no further than it needs.
    """CREATE TABLE turns (
        id {pk}, turn_id TEXT NOT NULL UNIQUE, parent BIGINT REFERENCES turns(id),
        total_messages BIGINT NOT NULL, total_turns BIGINT NOT NULL, depth BIGINT NOT NULL,
        message_count BIGINT NOT NULL, has_system SMALLINT NOT NULL, system BIGINT,
        created_at BIGINT NOT NULL, cell_id TEXT, codec TEXT NOT NULL,
        state BIGINT NOT NULL, content_hash {blob}, hash {blob} NOT NULL, body TEXT NOT NULL)""",
    """CREATE INDEX turns_cell ON turns(cell_id) WHERE cell_id IS NOT NULL""",
    f"""CREATE TABLE sessions (
        id {{pk}}, session_id TEXT NOT NULL, conversation_id TEXT NOT NULL DEFAULT '', name TEXT,
        agent_name TEXT NOT NULL, owner TEXT NOT NULL, tags TEXT NOT NULL, created_at BIGINT NOT NULL,
        updated_at BIGINT NOT NULL, entry BIGINT, draft_entry BIGINT, state BIGINT NOT NULL DEFAULT 0,
        head_turn TEXT, head_keep BIGINT, message_count BIGINT NOT NULL, turn_count BIGINT NOT NULL,
        {_USAGE_DDL}, model TEXT, notebook TEXT, parent_session_id TEXT, metadata TEXT NOT NULL,
        UNIQUE (session_id, conversation_id))""",
    """CREATE UNIQUE INDEX sessions_name ON sessions(owner, agent_name, conversation_id, name)
        WHERE name IS NOT NULL""",
    """CREATE INDEX sessions_newest ON sessions(conversation_id, updated_at)""",
    """CREATE TABLE heads (
        id {pk}, session BIGINT NOT NULL REFERENCES sessions(id), action TEXT NOT NULL, done TEXT NOT NULL,
        draft SMALLINT NOT NULL, turn BIGINT, keep BIGINT, message_count BIGINT NOT NULL,
        turn_count BIGINT NOT NULL, state BIGINT NOT NULL, at BIGINT NOT NULL, before BIGINT)""",
    """CREATE INDEX heads_session ON heads(session)""",
    f"""CREATE TABLE runs (
        id {{pk}}, run_id TEXT NOT NULL UNIQUE, session BIGINT, turn BIGINT, base_turn BIGINT,
        base_keep BIGINT, status TEXT NOT NULL, started_at BIGINT NOT NULL, finished_at BIGINT,
        agent_name TEXT NOT NULL, model TEXT, provider TEXT, {_USAGE_DDL},
        event_count BIGINT NOT NULL DEFAULT 0, cell_id TEXT, retry_of TEXT, worker TEXT,
        lease_until BIGINT, error TEXT, prompt TEXT)""",
    """CREATE INDEX runs_session ON runs(session)""",
    """CREATE INDEX runs_open ON runs(session) WHERE status = 'running'""",
    """CREATE TABLE events (
        id {pk}, run BIGINT NOT NULL, seq BIGINT NOT NULL, type TEXT NOT NULL, data TEXT NOT NULL,
        UNIQUE (run, seq))""",
    """CREATE TABLE visits (
        id {pk}, owner TEXT NOT NULL, notebook TEXT NOT NULL, session BIGINT NOT NULL, at BIGINT NOT NULL)""",
    """CREATE INDEX visits_notebook ON visits(owner, notebook)""",
)


def _insert(table: str, columns: Sequence[str], values: Mapping[str, str] | None = None) -> str:
    marks = ", ".join((values or {}).get(column, "?") for column in columns)
    return f"INSERT INTO {table}({', '.join(columns)}) VALUES ({marks})"


# Sessions

_SESSION = (
    "session_id",
    "conversation_id",
    "name",
    "agent_name",
    "owner",
    "tags",
    "created_at",
    "updated_at",
    "metadata",
    "head_turn",
    "head_keep",
    "message_count",
    "turn_count",
    *USAGE,
    "cost",
    "model",
    "notebook",
    "parent_session_id",
)
INSERT_SESSION = _insert("sessions", _SESSION)
SELECT_SESSION = (
    f"SELECT s.draft_entry, st.body, dt.turn_id, d.keep, "
    f"{', '.join('s.' + column for column in _SESSION)} FROM sessions s "
    "LEFT JOIN states st ON st.id = s.state LEFT JOIN heads d ON d.id = s.draft_entry "
    "LEFT JOIN turns dt ON dt.id = d.turn"
)
# The same columns, of the row that an UPDATE has written.
RETURNING_SESSION = (
    "RETURNING draft_entry, (SELECT body FROM states WHERE id = state), "
    "(SELECT t.turn_id FROM heads d JOIN turns t ON t.id = d.turn WHERE d.id = draft_entry), "
    f"(SELECT keep FROM heads WHERE id = draft_entry), {', '.join(_SESSION)}"
)
SELECT_STAND = (
    "SELECT s.id, s.entry, s.state, s.head_turn, s.head_keep, d.id, d.state, dt.turn_id, d.keep "
    "FROM sessions s LEFT JOIN heads d ON d.id = s.draft_entry LEFT JOIN turns dt ON dt.id = d.turn "
    "WHERE s.conversation_id = ? AND s.session_id = ?"
)
END_DRAFT = (
    "UPDATE sessions SET draft_entry = NULL WHERE conversation_id = ? AND session_id = ? AND draft_entry = ?"
)
BY_KEY = " WHERE s.conversation_id = ? AND s.session_id = ?"
DELETE_SESSION = (
    "DELETE FROM events WHERE run IN (SELECT id FROM runs WHERE session = ?)",
    "UPDATE runs SET session = NULL, prompt = NULL, error = NULL, cell_id = NULL, retry_of = NULL, "
    "turn = NULL, base_turn = NULL, base_keep = NULL WHERE session = ?",
    "DELETE FROM visits WHERE session = ?",
    "DELETE FROM heads WHERE session = ?",
    "DELETE FROM sessions WHERE id = ?",
)


def session_columns(record: SessionRecord, fields: Iterable[str]) -> dict[str, Any]:
    """Return the columns, with their values, that hold these fields of a session."""
    columns: dict[str, Any] = {}
    for name in fields:
        value = getattr(record, name)
        if name == "usage":
            columns |= dict(zip((*USAGE, "cost"), usage_values(value), strict=True))
        elif name == "head":
            columns |= {"head_turn": value.turn_id, "head_keep": value.keep}
        elif name in ("tags", "metadata"):
            columns[name] = encode_json(value, name)
        elif name in ("created_at", "updated_at"):
            columns[name] = micros(value)
        elif name == "conversation_id":
            columns[name] = value or ""
        elif name not in ("state", "draft"):
            columns[name] = value
    return columns


def session_values(record: SessionRecord) -> list[Any]:
    """Return the values of a new row of `sessions`."""
    columns = session_columns(record, type(record).model_fields)
    return [columns[column] for column in _SESSION]


def sessions(found: Iterable[Sequence[Any]]) -> list[SessionRecord]:
    """Return the sessions of rows of `SELECT_SESSION`."""
    return [session(row) for row in found]


def session(row: Sequence[Any]) -> SessionRecord:
    """Return the session of a row of `SELECT_SESSION`."""
    (draft_entry, state, draft_turn, draft_keep, sid, conversation, name, agent, owner, tags, created,
     updated, metadata, head_turn, head_keep, messages, turns, sent, got, cached, written, reasoned,
     requests, cost, model, notebook, parent) = row  # fmt: skip
    # What is stored was checked when it was written; to check it again took most of a list's time.
    return trusted(
        SessionRecord,
        {
            "session_id": sid,
            "conversation_id": conversation or None,
            "name": name,
            "agent_name": agent,
            "owner": owner,
            "tags": [] if tags == "[]" else from_json(tags),
            "created_at": from_micros(created),
            "updated_at": from_micros(updated),
            "metadata": {} if metadata == "{}" else from_json(metadata),
            "state": {} if state is None else from_json(state),
            "head": Head(head_turn, head_keep) if head_turn else _NOWHERE,
            "draft": None if draft_entry is None else Head(draft_turn, draft_keep),
            "message_count": messages,
            "turn_count": turns,
            "usage": usage(sent, got, cached, written, reasoned, requests, cost),
            "model": model,
            "notebook": notebook,
            "parent_session_id": parent,
        },
    )


_NOWHERE = Head()


def where(query: Query, tag_condition: str) -> tuple[str, list[Any]]:
    """Return the WHERE clause of a query, with its parameters."""
    conditions = {
        "s.conversation_id = ?": query.conversation_id,
        "s.session_id = ?": query.session_id,
        "s.name = ?": query.name,
        "substr(s.session_id, 1, length(?)) = ?": query.prefix,
        "substr(s.session_id, length(s.session_id) - length(?) + 1) = ?": query.suffix,
        "s.agent_name = ?": query.agent_name,
        "s.owner = ?": query.owner,
        "s.notebook = ?": query.notebook,
        tag_condition: query.tag,
        "s.updated_at >= ?": query.since,
    }
    asked = {condition: value for condition, value in conditions.items() if value is not None}
    params = list(concat.from_iterable([value] * text.count("?") for text, value in asked.items()))
    return (f" WHERE {' AND '.join(asked)}" if asked else ""), params


# Heads

INSERT_HEAD = (
    "INSERT INTO heads(session, action, done, draft, turn, keep, message_count, turn_count, state, at, "
    "before) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
SELECT_HEAD = (
    "SELECT h.id, h.action, h.done, t.turn_id, h.keep, h.message_count, h.turn_count, st.body, h.at, "
    "h.before, h.draft FROM heads h LEFT JOIN turns t ON t.id = h.turn LEFT JOIN states st ON st.id = h.state"
)
STATE_BEFORE = "SELECT st.body FROM turns t LEFT JOIN states st ON st.id = t.state WHERE t.turn_id = ?"


def log_entry(row: Sequence[Any]) -> LogEntry:
    """Return the log entry of a row of `SELECT_HEAD`."""
    entry, action, done, turn_id, keep, messages, turns, state, at, before, draft = row
    return LogEntry(
        entry, action, done, Head(turn_id, keep), messages, turns, state or "{}", at, before, draft == 1
    )


# Turns

_TURN = (
    "turn_id",
    "parent",
    "total_messages",
    "total_turns",
    "depth",
    "message_count",
    "has_system",
    "created_at",
    "cell_id",
    "codec",
    "content_hash",
    "hash",
    "body",
)
_INSERT_TURN = _insert(
    "turns",
    (*_TURN, "system", "state"),
    {
        "parent": "(SELECT id FROM turns WHERE turn_id = ?)",
        "system": "(SELECT CASE WHEN p.has_system = 1 THEN p.id ELSE p.system END "
        "FROM turns p WHERE p.turn_id = ?)",
    },
)
INSERT_TURN = f"{_INSERT_TURN} RETURNING id, parent"
_TURN_COLUMNS = ", ".join("t." + column for column in _TURN)
SELECT_CHAIN = (
    "WITH RECURSIVE chain(id, parent) AS (SELECT id, parent FROM turns WHERE turn_id = ? UNION ALL "
    "SELECT p.id, p.parent FROM chain c JOIN turns p ON p.id = c.parent WHERE p.total_messages > ?) "
    f"SELECT {_TURN_COLUMNS} FROM chain c JOIN turns t ON t.id = c.id"
)
_WITH_PARENT = f"SELECT {_TURN_COLUMNS}, p.turn_id, p.hash FROM turns t LEFT JOIN turns p ON p.id = t.parent"
SELECT_TURN = f"{_WITH_PARENT} WHERE t.turn_id = ?"
# The walk goes no further up than the first turn of the cell; where there is none, it does not begin.
SELECT_ASKED_BY = (
    "WITH RECURSIVE chain(id, parent) AS (SELECT id, parent FROM turns WHERE turn_id = ? UNION ALL "
    "SELECT p.id, p.parent FROM chain c JOIN turns p ON p.id = c.parent "
    "WHERE p.depth >= (SELECT min(depth) FROM turns WHERE cell_id = ?)) "
    f"{_WITH_PARENT} JOIN chain c ON c.id = t.id WHERE t.cell_id = ? ORDER BY t.depth DESC LIMIT 1"
)
SELECT_SYSTEM_TURNS = (
    "WITH RECURSIVE above(id) AS (SELECT system FROM turns WHERE turn_id = ? UNION ALL "
    "SELECT t.system FROM above a JOIN turns t ON t.id = a.id WHERE t.system IS NOT NULL) "
    f"{_WITH_PARENT} JOIN above a ON a.id = t.id ORDER BY t.depth"
)


def turn_values(turn: Turn, state: int) -> tuple[Any, ...]:
    """Return the parameters of `INSERT_TURN`."""
    return (
        turn.turn_id,
        turn.parent_id,
        turn.total_messages,
        turn.total_turns,
        turn.depth,
        turn.message_count,
        int(turn.has_system),
        turn.created_at,
        turn.cell_id,
        turn.codec,
        turn.content_hash,
        turn.hash,
        turn.body,
        turn.parent_id,
        state,
    )


def turn(row: Sequence[Any]) -> Turn:
    """Return the turn of a row that ends with its parent's id and hash."""
    return _turn(row, row[13], row[14])


def _turn(row: Sequence[Any], parent_id: str | None, parent_hash: bytes | None) -> Turn:
    tid, _, total, prompts, depth, count, system, created, cell, codec, content, digest, body = row[:13]
    return Turn(
        tid,
        parent_id,
        parent_hash,
        codec,
        body,
        count,
        total,
        prompts,
        depth,
        system == 1,
        cell,
        created,
        content,
        digest,
    )


PARENT_OF = "SELECT turn_id, hash FROM turns WHERE id = ?"


def linked(chain: list[Any], parent_id: str | None, parent_hash: bytes | None) -> list[Turn]:
    """Return the turns of rows of `SELECT_CHAIN`, oldest first, each with its parent's id and hash."""
    turns = []
    for row in chain:
        turns.append(_turn(row, parent_id, parent_hash))
        parent_id, parent_hash = row[0], row[11]
    return turns


# Runs

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
INSERT_RUN = _insert(
    "runs",
    (*_RUN, "base_turn", "base_keep", "session"),
    {
        "base_turn": "(SELECT id FROM turns WHERE turn_id = ?)",
        "session": "(SELECT id FROM sessions WHERE conversation_id = ? AND session_id = ?)",
    },
)
# Spelled out, because neither database uses a partial index for a parameter.
RUNNING = "r.status = 'running'"
SELECT_RUN = (
    f"SELECT s.session_id, s.conversation_id, t.turn_id, b.turn_id, r.base_keep, "
    f"{', '.join('r.' + column for column in _RUN)} FROM runs r LEFT JOIN sessions s ON s.id = r.session "
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
    f"status = CASE WHEN {_OPEN} THEN ? ELSE status END WHERE run_id = ? RETURNING id, session"
)
COUNT_EVENTS = (
    "UPDATE runs SET event_count = CASE WHEN event_count < ? THEN ? ELSE event_count END "
    "WHERE run_id = ? RETURNING id"
)
INSERT_EVENT = (
    "INSERT INTO events(run, seq, type, data) VALUES (?, ?, ?, ?) ON CONFLICT (run, seq) DO NOTHING"
)
SPENDING = (
    f"{', '.join(f'{column} = {column} + ?' for column in USAGE)}, "
    "cost = COALESCE(cost + ?, ?, cost), model = COALESCE(?, model)"
)
# A run that was left behind may have ended before the session's last change.
SPEND = (
    f"UPDATE sessions SET {SPENDING}, updated_at = CASE WHEN updated_at < ? THEN ? ELSE updated_at END "
    "WHERE id = (SELECT session FROM runs WHERE run_id = ?)"
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
        run.base.turn_id,
        run.base.keep,
    )


def run(row: Sequence[Any]) -> Run:
    """Return the run of a row of `SELECT_RUN`."""
    sid, conversation, turn_id, base_turn, base_keep, run_id, status, started, finished, agent = row[:10]
    events, cell, retry_of, worker, lease, error, prompt = row[19:26]
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
        usage=usage(*row[12:19]),
        error=error,
        event_count=events,
        cell_id=cell,
        retry_of=retry_of,
        worker=worker,
        lease_until=None if lease is None else from_micros(lease),
    )


def finish_values(finish: Finish, turn: int | None) -> tuple[Any, ...]:
    """Return the parameters of `FINISH_RUN`."""
    count = finish.first + len(finish.events)
    named = (finish.model, finish.provider, turn, int(turn is not None), count, count)
    end = (finish.error, finish.finished_at, finish.status, finish.run_id)
    return (*usage_values(finish.usage), *named, *end)


def spend_values(finish: Finish) -> tuple[Any, ...]:
    """Return the parameters of `SPENDING`."""
    *tokens, cost = usage_values(finish.usage)
    return (*tokens, cost, cost, finish.model)


@cache
def update_session(columns: tuple[str, ...], *, spending: bool) -> str:
    """Return the statement that moves a session: it sets these columns, and returns the session."""
    setters = [f"{column} = ?" for column in columns] + ([SPENDING] if spending else [])
    return f"UPDATE sessions SET {', '.join(setters)} WHERE id = ? {RETURNING_SESSION}"


def usage_values(usage: Usage) -> tuple[Any, ...]:
    """Return the seven columns of a usage."""
    cost = None if usage.cost is None else int((usage.cost * NANO).to_integral_value())
    return (*_tokens(usage), cost)


_tokens = attrgetter(*USAGE)


def usage(
    sent: int, got: int, cached: int, written: int, reasoned: int, requests: int, cost: int | None
) -> Usage:
    """Return the usage of its seven columns."""
    fields = {
        "input_tokens": sent,
        "output_tokens": got,
        "cache_read_tokens": cached,
        "cache_write_tokens": written,
        "reasoning_tokens": reasoned,
        "requests": requests,
        "cost": None if cost is None else cost * _BILLIONTH,
    }
    return trusted(Usage, fields)


_BILLIONTH = Decimal(1).scaleb(-9)


# Notebooks

INSERT_VISIT = (
    "INSERT INTO visits(owner, notebook, at, session) VALUES (?, ?, ?, "
    "(SELECT id FROM sessions WHERE conversation_id = ? AND session_id = ?))"
)
LAST_VISIT = (
    "SELECT s.conversation_id, s.session_id FROM visits v JOIN sessions s ON s.id = v.session "
    "WHERE v.owner = ? AND v.notebook = ? ORDER BY v.id DESC LIMIT 1"
)
