"""Sessions: their statements, and the way from rows to records."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from itertools import chain as concat
from typing import Any

from pydantic_core import from_json

from nbsessions.exceptions import DamagedSession
from nbsessions.records import Head, SessionRecord, trusted
from nbsessions.stores._rows.checks import check_state, crc, insert
from nbsessions.stores._rows.schema import USAGE
from nbsessions.stores._rows.spent import usage, usage_values
from nbsessions.stores.base import Finish, Query
from nbsessions.values import encode_json, from_micros, micros

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
INSERT_SESSION = insert("sessions", (*_SESSION, "state"))
# Where a session stands: at its first entry, until it moves.
_STANDS = "COALESCE(s.entry, (SELECT min(h.id) FROM heads h WHERE h.session = s.id))"
SELECT_SESSION = (
    f"SELECT s.draft_entry, st.body, st.crc, dt.turn_id, d.keep, "
    f"{', '.join('s.' + column for column in _SESSION)} FROM sessions s "
    "LEFT JOIN states st ON st.id = s.state LEFT JOIN heads d ON d.id = s.draft_entry "
    "LEFT JOIN turns dt ON dt.id = d.turn"
)
# With the last log entry of what is saved: what is written twice can be held against each other.
ENTRY = (
    "h.session, h.action, h.done, h.draft, h.turn, h.keep, h.message_count, h.turn_count, h.state, h.at, "
    "h.before, h.base, h.crc"
)
SELECT_WHOLE = (
    SELECT_SESSION.replace(" FROM", f", {ENTRY}, s.id, ht.turn_id, hst.body FROM", 1)
    + " LEFT JOIN heads h ON h.id = (SELECT e.id FROM heads e WHERE e.session = s.id AND e.draft = 0 "
    "ORDER BY e.id DESC LIMIT 1) LEFT JOIN turns ht ON ht.id = h.turn "
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
    check_state(sid, state, state_crc)
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


def whole_session(row: Sequence[Any], is_turn: Callable[[str], bool]) -> SessionRecord:
    """Return the session of a row of `SELECT_WHOLE`: its log says where it stands, and is checked.

    Parameters
    ----------
    row : sequence
    is_turn : callable
        Tells whether there is a turn of this id.

    Raises
    ------
    DamagedSession
        It is not clear whether the session or its log is right.
    """
    found, (*entry, own_crc, number, turn_id, state) = session(row[:-16]), row[-16:]
    # An entry of schema 1 has no checksum, and one that is damaged is no witness.
    if entry[0] != number or own_crc is None or own_crc != crc(*entry):
        return found
    if turn_id is None and entry[4] is not None:  # it is gone: whoever asks for it is told so
        return found
    if turn_id != found.head.turn_id and found.head.turn_id is not None and is_turn(found.head.turn_id):
        raise DamagedSession(found.session_id, "head")
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


SPENDING = (
    f"{', '.join(f'{column} = {column} + ?' for column in USAGE)}, "
    "cost = COALESCE(cost + ?, ?, cost), model = COALESCE(?, model)"
)
# A run that was left behind may have ended before the session's last change.
SPEND = (
    f"UPDATE sessions SET {SPENDING}, updated_at = CASE WHEN updated_at < ? THEN ? ELSE updated_at END "
    "WHERE id = (SELECT session FROM runs WHERE run_id = ?)"
)


def spend_values(finish: Finish) -> tuple[Any, ...]:
    """Return the parameters of `SPENDING`."""
    *tokens, cost = usage_values(finish.usage)
    return (*tokens, cost, cost, finish.model)


@cache
def update_session(columns: tuple[str, ...], *, spending: bool) -> str:
    """Return the statement that moves a session: it sets these columns, and returns the session."""
    setters = [f"{column} = ?" for column in columns] + ([SPENDING] if spending else [])
    return f"UPDATE sessions SET {', '.join(setters)} WHERE id = ? {RETURNING_SESSION}"
