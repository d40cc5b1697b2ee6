"""
Rows and records: the tables of the SQL stores, their statements, and the way from one to the other.

Times are microseconds since 1970, costs are billionths of a US dollar. Where a row points to
another inside the database, it does so by integer.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from functools import cache
from itertools import chain as concat
from operator import attrgetter
from typing import Any
from zlib import crc32

from pydantic_core import from_json

from nbsessions.codecs import REDACTED
from nbsessions.exceptions import DamagedRun, DamagedSession
from nbsessions.records import Checkpoint, Event, Head, LogEntry, Run, SessionRecord, Turn, Usage, trusted
from nbsessions.stores.base import Finish, Progress, Query, Value
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
SCHEMA_2 = (
    # What is read back is held against these: no page of a database carries a checksum of its own.
    """ALTER TABLE states ADD COLUMN crc BIGINT""",
    """ALTER TABLE sessions ADD COLUMN crc BIGINT""",
    """ALTER TABLE turns ADD COLUMN crc BIGINT""",
    """ALTER TABLE heads ADD COLUMN base BIGINT""",
    """ALTER TABLE heads ADD COLUMN crc BIGINT""",
    """ALTER TABLE events ADD COLUMN crc BIGINT""",
    # Of a run: what it began with, what was asked, and how it ended.
    """ALTER TABLE runs ADD COLUMN crc BIGINT""",
    """ALTER TABLE runs ADD COLUMN prompt_crc BIGINT""",
    """ALTER TABLE runs ADD COLUMN end_crc BIGINT""",
    """ALTER TABLE visits ADD COLUMN action TEXT NOT NULL DEFAULT 'load'""",
    """ALTER TABLE visits ADD COLUMN entry BIGINT""",
    """ALTER TABLE visits ADD COLUMN before BIGINT""",
    """CREATE INDEX sessions_parent ON sessions(parent_session_id) WHERE parent_session_id IS NOT NULL""",
    """CREATE TABLE checkpoints (
        id {pk}, checkpoint_id TEXT NOT NULL UNIQUE, session BIGINT, name TEXT NOT NULL, turn BIGINT,
        keep BIGINT, message_count BIGINT NOT NULL, turn_count BIGINT NOT NULL, state BIGINT NOT NULL,
        at BIGINT NOT NULL, parent TEXT, crc BIGINT NOT NULL)""",
    """CREATE INDEX checkpoints_session ON checkpoints(session)""",
    """CREATE TABLE key_values (
        id {pk}, session BIGINT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL, at BIGINT NOT NULL,
        expires_at BIGINT, crc BIGINT NOT NULL, UNIQUE (session, name))""",
    """CREATE TABLE progress (
        id {pk}, run BIGINT NOT NULL UNIQUE, codec TEXT NOT NULL, body TEXT NOT NULL, usage TEXT NOT NULL,
        crc BIGINT NOT NULL)""",
    # Whose a turn that can be found is, and up to which one they can be.
    """CREATE TABLE search_links (turn {pk}, session BIGINT NOT NULL)""",
    """CREATE TABLE search_state (
        id {pk}, turn BIGINT NOT NULL, head BIGINT NOT NULL, stale SMALLINT NOT NULL,
        version BIGINT NOT NULL)""",
    """INSERT INTO search_state(turn, head, stale, version) VALUES (0, 0, 0, 0)""",
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
    "crc",
)
INSERT_SESSION = _insert("sessions", (*_SESSION, "state"))
# Where a session stands: at its first entry, until it moves.
_STANDS = "COALESCE(s.entry, (SELECT min(h.id) FROM heads h WHERE h.session = s.id))"
SELECT_SESSION = (
    f"SELECT s.draft_entry, st.body, st.crc, dt.turn_id, d.keep, "
    f"{', '.join('s.' + column for column in _SESSION)} FROM sessions s "
    "LEFT JOIN states st ON st.id = s.state LEFT JOIN heads d ON d.id = s.draft_entry "
    "LEFT JOIN turns dt ON dt.id = d.turn"
)
# With the log entry at which the session stands: what is written twice can be held against each other.
_ENTRY = (
    "h.session, h.action, h.done, h.draft, h.turn, h.keep, h.message_count, h.turn_count, h.state, h.at, "
    "h.before, h.base, h.crc"
)
SELECT_WHOLE = (
    SELECT_SESSION.replace(" FROM", f", {_ENTRY}, s.id, ht.turn_id, hst.body FROM", 1)
    + f" LEFT JOIN heads h ON h.id = {_STANDS.replace('h.', 'e.').replace('heads h', 'heads e')} "
    "LEFT JOIN turns ht ON ht.id = h.turn "
    "LEFT JOIN states hst ON hst.id = h.state WHERE s.conversation_id = ? AND s.session_id = ?"
)
# The same columns, of the row that an UPDATE has written.
RETURNING_SESSION = (
    "RETURNING draft_entry, (SELECT body FROM states WHERE id = state), NULL, "
    "(SELECT t.turn_id FROM heads d JOIN turns t ON t.id = d.turn WHERE d.id = draft_entry), "
    f"(SELECT keep FROM heads WHERE id = draft_entry), {', '.join(_SESSION[:-1])}, NULL"
)
SELECT_STAND = (
    f"SELECT s.id, {_STANDS}, s.state, s.head_turn, s.head_keep, d.id, d.state, dt.turn_id, d.keep, "
    "d.base FROM sessions s LEFT JOIN heads d ON d.id = s.draft_entry LEFT JOIN turns dt ON dt.id = d.turn "
    "WHERE s.conversation_id = ? AND s.session_id = ?"
)
END_DRAFT = (
    "UPDATE sessions SET draft_entry = NULL WHERE conversation_id = ? AND session_id = ? AND draft_entry = ?"
)
BY_KEY = " WHERE s.conversation_id = ? AND s.session_id = ?"
TAKEN = (
    "SELECT session_id FROM sessions WHERE conversation_id = ? AND session_id = ? UNION ALL "
    "SELECT name FROM sessions WHERE owner = ? AND agent_name = ? AND conversation_id = ? AND name = ?"
)
DELETE_SESSION = (
    "DELETE FROM events WHERE run IN (SELECT id FROM runs WHERE session = ?)",
    "DELETE FROM progress WHERE run IN (SELECT id FROM runs WHERE session = ?)",
    # An agent that is still answering needs what it answers from.
    "UPDATE runs SET session = NULL, crc = NULL, end_crc = NULL, prompt = NULL, error = NULL, "
    "cell_id = NULL, retry_of = NULL, turn = NULL, "
    "base_turn = CASE WHEN status = 'running' THEN base_turn END, "
    "base_keep = CASE WHEN status = 'running' THEN base_keep END WHERE session = ?",
    "DELETE FROM visits WHERE session = ?",
    "DELETE FROM key_values WHERE session = ?",
    # On a turn that a fork has too, it goes on to be one of the fork's.
    "UPDATE checkpoints SET session = NULL WHERE session = ?",
    "DELETE FROM search_links WHERE session = ?",
    "DELETE FROM heads WHERE session = ?",
    "DELETE FROM sessions WHERE id = ?",
)


def session_values(record: SessionRecord) -> tuple[Any, ...]:
    """Return the values of a new row of `sessions`."""
    conversation = record.conversation_id or ""
    tags, metadata = encode_json(record.tags, "tags"), encode_json(record.metadata, "metadata")
    created = micros(record.created_at)
    whose = (record.name, record.agent_name, record.owner)
    still = (record.session_id, conversation, *whose, tags, created, metadata)
    return (
        *still[:7],
        micros(record.updated_at),
        metadata,
        *record.head,
        record.message_count,
        record.turn_count,
        *usage_values(record.usage),
        record.model,
        record.notebook,
        record.parent_session_id,
        crc(*still, record.notebook, record.parent_session_id),
    )


def session_changes(record: SessionRecord, fields: Iterable[str]) -> dict[str, Any]:
    """Return the columns that change, with their values, where these fields of a session do."""
    columns = dict(zip(_SESSION, session_values(record), strict=True))
    return {name: columns[name] for name in (*fields, "updated_at", "crc")}


def sessions(found: Iterable[Sequence[Any]]) -> list[SessionRecord]:
    """Return the sessions of rows of `SELECT_SESSION`, but for those that are damaged, which are told."""
    read: list[SessionRecord] = []
    for row in found:
        try:
            read.append(session(row))
        except DamagedSession as error:
            warnings.warn(str(error), RuntimeWarning, stacklevel=5)
    return read


def runs(found: Iterable[Sequence[Any]]) -> list[Run]:
    """Return the runs of rows of `SELECT_RUN`, but for those that are damaged, which are told."""
    read: list[Run] = []
    for row in found:
        try:
            read.append(run(row))
        except DamagedRun as error:
            warnings.warn(str(error), RuntimeWarning, stacklevel=5)
    return read


def session(row: Sequence[Any]) -> SessionRecord:
    """Return the session of a row of `SELECT_SESSION`.

    Raises
    ------
    DamagedSession
    """
    (draft_entry, state, state_crc, draft_turn, draft_keep, sid, conversation, name, agent, owner, tags,
     created, updated, metadata, head_turn, head_keep, messages, turns, sent, got, cached, written, reasoned,
     requests, cost, model, notebook, parent, own_crc) = row  # fmt: skip
    still = (sid, conversation, name, agent, owner, tags, created, metadata, notebook, parent)
    # Not the model: each run may set it.
    if own_crc is not None and own_crc != crc(*still):
        # What it says can still be read, and is held against hashes of its own.
        warnings.warn(str(DamagedSession(sid, "name, tags or metadata")), RuntimeWarning, stacklevel=4)
    _check_state(sid, state, state_crc)
    # What is stored was checked when it was written; to check it again took most of a list's time.
    try:
        fields = {
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
        }
    except (ValueError, OverflowError, TypeError) as error:
        raise DamagedSession(str(sid), "record") from error
    return trusted(SessionRecord, fields)


def whole_session(row: Sequence[Any]) -> SessionRecord:
    """Return the session of a row of `SELECT_WHOLE`: its log says where it stands, and is checked."""
    logged = row[-16:]
    found = session(row[:-16])
    *entry, own_crc, number, turn_id, state = logged
    # An entry of schema 1 has no checksum, and one that is damaged is no witness.
    if entry[0] != number or own_crc is None or own_crc != crc(*entry):
        return found
    place = {"head": Head(turn_id, entry[5]), "message_count": entry[6], "turn_count": entry[7]}
    return found.model_copy(update={**place, "state": {} if state is None else from_json(state)})


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
        "s.parent_session_id = ?": query.parent_session_id,
        tag_condition: query.tag,
        "s.updated_at >= ?": query.since,
    }
    asked = {condition: value for condition, value in conditions.items() if value is not None}
    params = list(concat.from_iterable([value] * text.count("?") for text, value in asked.items()))
    return (f" WHERE {' AND '.join(asked)}" if asked else ""), params


# Heads

INSERT_HEAD = (
    "INSERT INTO heads(session, action, done, draft, turn, keep, message_count, turn_count, state, at, "
    "before, base, crc) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
SELECT_HEAD = (
    f"SELECT {_ENTRY}, h.id, t.turn_id, st.body, st.crc "
    "FROM heads h LEFT JOIN turns t ON t.id = h.turn LEFT JOIN states st ON st.id = h.state"
)
STATE_BEFORE = (
    "SELECT st.body, st.crc FROM turns t LEFT JOIN states st ON st.id = t.state WHERE t.turn_id = ?"
)
INSERT_STATE = "INSERT INTO states(body, crc) VALUES (?, ?)"


def log_entry(row: Sequence[Any]) -> LogEntry:
    """Return the log entry of a row of `SELECT_HEAD`.

    Raises
    ------
    DamagedSession
    """
    _, action, done, draft, _, keep, messages, turns, _, at, before, base, own_crc = row[:13]
    entry, turn_id, state, state_crc = row[13:]
    if own_crc is not None and own_crc != crc(*row[:12]):
        raise DamagedSession(f"of log entry {entry}", "log")
    _check_state(f"of log entry {entry}", state, state_crc)
    counts, head = (messages, turns), Head(turn_id, keep)
    return LogEntry(entry, action, done, head, *counts, state or "{}", at, before, draft == 1, base)


def read_state(where: str, row: Sequence[Any] | None) -> str:
    """Return the state of a row of its body and checksum; where there is none, it is empty.

    Raises
    ------
    DamagedSession
    """
    state, state_crc = (None, None) if row is None else row
    _check_state(where, state, state_crc)
    return str(state or "{}")


def _check_state(where: str, state: str | None, state_crc: int | None) -> None:
    if state is not None and state_crc is not None and state_crc != crc(state):
        raise DamagedSession(where, "state")


def crc(*values: object) -> int:
    """Return a checksum of values, the same on every machine: CRC-32 of them as text."""
    return crc32((_TEXT_OF[len(values)] % values).encode(errors="surrogateescape"))


_TEXT_OF = ["\0".join(["%s"] * count) for count in range(20)]


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
    "crc",
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
    "WITH RECURSIVE chain(id, parent) AS (SELECT id, parent FROM turns WHERE turn_id = ? UNION "
    "SELECT p.id, p.parent FROM chain c JOIN turns p ON p.id = c.parent WHERE p.total_messages > ?) "
    f"SELECT {_TURN_COLUMNS} FROM chain c JOIN turns t ON t.id = c.id"
)
_WITH_PARENT = f"SELECT {_TURN_COLUMNS}, p.turn_id, p.hash FROM turns t LEFT JOIN turns p ON p.id = t.parent"
SELECT_TURN = f"{_WITH_PARENT} WHERE t.turn_id = ?"
# The walk goes no further up than the first turn of the cell; where there is none, it does not begin.
SELECT_ASKED_BY = (
    "WITH RECURSIVE chain(id, parent) AS (SELECT id, parent FROM turns WHERE turn_id = ? UNION "
    "SELECT p.id, p.parent FROM chain c JOIN turns p ON p.id = c.parent "
    "WHERE p.depth >= (SELECT min(depth) FROM turns WHERE cell_id = ?)) "
    f"{_WITH_PARENT} JOIN chain c ON c.id = t.id WHERE t.cell_id = ? ORDER BY t.depth DESC LIMIT 1"
)
SELECT_SYSTEM_TURNS = (
    "WITH RECURSIVE above(id) AS (SELECT system FROM turns WHERE turn_id = ? UNION "
    "SELECT t.system FROM above a JOIN turns t ON t.id = a.id WHERE t.system IS NOT NULL) "
    f"{_WITH_PARENT} JOIN above a ON a.id = t.id ORDER BY t.depth"
)


_UP = (
    "WITH RECURSIVE up(id, parent) AS (SELECT id, parent FROM turns WHERE turn_id IN ({marks}) UNION "
    "SELECT p.id, p.parent FROM up u JOIN turns p ON p.id = u.parent) "
)
SELECT_SCAN = f"{_WITH_PARENT.replace(' FROM', ', t.id FROM', 1)} WHERE t.id > ? ORDER BY t.id LIMIT ?"
# What a deletion has to find when it asks who stands on a turn; no other time is it worth its upkeep.
INDEX_PARENTS = "CREATE INDEX turns_parent ON turns(parent)"
DROP_PARENTS = "DROP INDEX turns_parent"
SELECT_UNREACHED = (
    "WITH RECURSIVE live(id) AS (SELECT turn FROM heads WHERE turn IS NOT NULL UNION "
    "SELECT turn FROM checkpoints WHERE session IS NOT NULL AND turn IS NOT NULL UNION "
    "SELECT base_turn FROM runs WHERE status IN ('running', 'suspended') AND base_turn IS NOT NULL UNION "
    "SELECT t.parent FROM live l JOIN turns t ON t.id = l.id WHERE t.parent IS NOT NULL) "
    "SELECT id FROM turns WHERE id NOT IN (SELECT id FROM live) ORDER BY id DESC"
)
# Of states, a turn's, a session's, a log's and a checkpoint's are kept.
COLLECT = (
    "DELETE FROM checkpoints WHERE session IS NULL AND (turn IS NULL OR turn NOT IN (SELECT id FROM turns))",
    "DELETE FROM states WHERE id NOT IN (SELECT state FROM heads UNION SELECT state FROM sessions UNION "
    "SELECT state FROM turns UNION SELECT state FROM checkpoints)",
    "DELETE FROM search_links WHERE turn NOT IN (SELECT id FROM turns)",
)
# The runs that tell what a turn said.
_TELLING = (
    "(SELECT r.id FROM runs r WHERE r.prompt = ? OR r.turn = (SELECT t.id FROM turns t WHERE t.turn_id = ?))"
)
_REDACT_RUNS = (
    f"UPDATE runs SET prompt = '{REDACTED}', prompt_crc = NULL, end_crc = NULL, "
    f"error = CASE WHEN error IS NULL THEN NULL ELSE '{REDACTED}' END"
)
REDACT = (
    "UPDATE turns SET body = ?, content_hash = ? WHERE turn_id = ?",
    f"DELETE FROM events WHERE run IN {_TELLING}",
    f"DELETE FROM progress WHERE run IN {_TELLING}",
    f"{_REDACT_RUNS} WHERE prompt = ?",
)
REDACT_RUN = (
    "DELETE FROM events WHERE run IN (SELECT id FROM runs WHERE run_id = ?)",
    "DELETE FROM progress WHERE run IN (SELECT id FROM runs WHERE run_id = ?)",
    f"{_REDACT_RUNS} WHERE run_id = ?",
)


def select_steps(tips: int) -> str:
    """Return the statement that gives so many turns and all above them, as `step` reads them."""
    return (
        f"{_UP.format(marks=marks(tips))}SELECT t.turn_id, p.turn_id, t.message_count, t.total_messages, "
        "t.total_turns, t.depth FROM up u JOIN turns t ON t.id = u.id LEFT JOIN turns p ON p.id = t.parent"
    )


def marks(count: int) -> str:
    """Return so many placeholders."""
    return ", ".join("?" * count)


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
        _turn_crc(turn),
        turn.parent_id,
        state,
    )


def _turn_crc(turn: Turn) -> int:
    """Return the checksum of what a turn's hash does not cover."""
    # The order is that of the columns, so that a row can be held against it as it comes.
    place = (turn.turn_id, turn.total_messages, turn.total_turns, turn.depth, turn.message_count)
    return crc(*place, int(turn.has_system), turn.created_at, turn.cell_id)


def turn(row: Sequence[Any]) -> Turn:
    """Return the turn of a row that ends with its parent's id and hash."""
    return _turn(row, row[14], row[15])


def _turn(row: Sequence[Any], parent_id: str | None, parent_hash: bytes | None) -> Turn:
    tid, _, total, prompts, depth, count, system, created, cell, codec, content, digest, body = row[:13]
    if row[13] is not None and row[13] != crc(tid, *row[2:9]):
        digest = b""  # which no content has: so it is told from a turn that is whole
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


# Checkpoints

INSERT_CHECKPOINT = (
    "INSERT INTO checkpoints(checkpoint_id, name, keep, message_count, turn_count, at, parent, turn, crc, "
    "session, state) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (checkpoint_id) DO NOTHING"
)
SELECT_CHECKPOINTS = (
    f"{_UP.format(marks='?')}SELECT c.checkpoint_id, c.name, c.keep, c.message_count, "
    "c.turn_count, c.at, c.parent, c.turn, c.crc, s.session_id, t.turn_id, st.body, st.crc "
    "FROM checkpoints c LEFT JOIN sessions s ON s.id = c.session "
    "LEFT JOIN turns t ON t.id = c.turn LEFT JOIN states st ON st.id = c.state "
    "WHERE c.session = ? OR c.turn IN (SELECT id FROM up) ORDER BY c.id DESC"
)


def checkpoint(row: Sequence[Any]) -> Checkpoint:
    """Return the checkpoint of a row of `SELECT_CHECKPOINTS`.

    Raises
    ------
    DamagedSession
    """
    checkpoint_id, name, keep, messages, turns, at, parent, _, own_crc, sid, turn_id, *state = row
    if own_crc != crc(*row[:8]):
        raise DamagedSession(f"of checkpoint {name!r}", "checkpoint")
    return Checkpoint(
        checkpoint_id=checkpoint_id,
        session_id=sid or "",
        name=name,
        head=Head(turn_id, keep),
        message_count=messages,
        turn_count=turns,
        state=from_json(read_state(f"of checkpoint {name!r}", state)),
        created_at=from_micros(at),
        parent_id=parent,
    )


# Key-values

SELECT_VALUES = (
    "SELECT name, value, at, expires_at, crc FROM key_values WHERE session = ? "
    "AND (expires_at IS NULL OR expires_at > ?) ORDER BY at, id"
)
EXPIRE_VALUES = "DELETE FROM key_values WHERE session = ? AND expires_at <= ?"
OLDEST_VALUES = "SELECT id, name FROM key_values WHERE session = ? ORDER BY at, id"
PUT_VALUE = (
    "INSERT INTO key_values(session, name, value, at, expires_at, crc) VALUES (?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (session, name) DO UPDATE SET value = excluded.value, at = excluded.at, "
    "expires_at = excluded.expires_at, crc = excluded.crc"
)


# Search

SEARCH_STATE = "SELECT turn, head, stale, version FROM search_state"
LATEST = "SELECT (SELECT max(id) FROM turns), (SELECT max(id) FROM heads)"
NEXT_HEADS = "SELECT id, turn, session FROM heads WHERE id > ? ORDER BY id LIMIT ?"
LINK = "INSERT INTO search_links(turn, session) VALUES (?, ?) ON CONFLICT (turn) DO NOTHING"
# What was said in a session that is gone is found in a fork of it.
FORKS = "SELECT s.id, s.head_turn FROM sessions s WHERE s.parent_session_id IS NOT NULL ORDER BY s.id"
RELINK = f"{_UP.format(marks='?')}SELECT id FROM up WHERE id NOT IN (SELECT turn FROM search_links)"
# The number of a row that was deleted may be given again.
SET_BACK = (
    "UPDATE search_state SET stale = 1, "
    "turn = CASE WHEN turn > COALESCE((SELECT max(id) FROM turns), 0) "
    "THEN COALESCE((SELECT max(id) FROM turns), 0) ELSE turn END, "
    "head = CASE WHEN head > COALESCE((SELECT max(id) FROM heads), 0) "
    "THEN COALESCE((SELECT max(id) FROM heads), 0) ELSE head END"
)

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
_INSERT_RUN = _insert(
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


def value(where: str, row: Sequence[Any]) -> Value:
    """Return the key-value of a row of `SELECT_VALUES`.

    Raises
    ------
    DamagedSession
    """
    if row[4] != crc(*row[:4]):
        raise DamagedSession(where, "key-values")
    return Value(*row[:4])


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
    "INSERT INTO visits(owner, notebook, at, action, entry, before, session) VALUES (?, ?, ?, ?, ?, ?, "
    "(SELECT id FROM sessions WHERE conversation_id = ? AND session_id = ?))"
)
LAST_VISIT = (
    "SELECT s.conversation_id, s.session_id, v.action, v.entry, v.before, v.id FROM visits v "
    "JOIN sessions s ON s.id = v.session WHERE v.owner = ? AND v.notebook = ? AND v.id <= ? "
    "ORDER BY v.id DESC LIMIT 1"
)
