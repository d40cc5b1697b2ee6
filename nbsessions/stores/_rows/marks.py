"""What is noted on sessions beside their turns: checkpoints, key-values, notebooks' visits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic_core import from_json

from nbsessions.exceptions import DamagedSession
from nbsessions.records import Checkpoint, Head
from nbsessions.stores._rows.checks import crc, read_state
from nbsessions.stores._rows.turns import UP
from nbsessions.stores.base import Value
from nbsessions.values import from_micros

INSERT_CHECKPOINT = (
    "INSERT INTO checkpoints(checkpoint_id, name, keep, message_count, turn_count, at, parent, turn, crc, "
    "session, state) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (checkpoint_id) DO NOTHING"
)
SELECT_CHECKPOINTS = (
    f"{UP.format(marks='?')}SELECT c.checkpoint_id, c.name, c.keep, c.message_count, "
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
    checkpoint_id, name, keep, messages, turns, at, parent, number, own_crc, sid, turn_id, *state = row
    if own_crc != crc(*row[:8]):
        raise DamagedSession(f"of checkpoint {name!r}", "checkpoint")
    return Checkpoint(
        checkpoint_id=checkpoint_id,
        session_id=sid or "",
        name=name,
        head=Head(turn_id if number is None or turn_id else f"#{number}", keep),
        message_count=messages,
        turn_count=turns,
        state=from_json(read_state(f"of checkpoint {name!r}", state)),
        created_at=from_micros(at),
        parent_id=parent,
    )


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


def value(where: str, row: Sequence[Any]) -> Value:
    """Return the key-value of a row of `SELECT_VALUES`.

    Raises
    ------
    DamagedSession
    """
    if row[4] != crc(*row[:4]):
        raise DamagedSession(where, "key-values")
    return Value(*row[:4])


INSERT_VISIT = (
    "INSERT INTO visits(owner, notebook, at, action, entry, before, session) VALUES (?, ?, ?, ?, ?, ?, "
    "(SELECT id FROM sessions WHERE conversation_id = ? AND session_id = ?))"
)
LAST_VISIT = (
    "SELECT s.conversation_id, s.session_id, v.action, v.entry, v.before, v.id FROM visits v "
    "JOIN sessions s ON s.id = v.session WHERE v.owner = ? AND v.notebook = ? AND v.id <= ? "
    "ORDER BY v.id DESC LIMIT 1"
)
