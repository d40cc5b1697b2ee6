"""What is noted on sessions beside their turns: checkpoints, key-values, notebooks' visits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic_core import from_json

from nbsessions.exceptions import DamagedSession
from nbsessions.records import Checkpoint, Head
from nbsessions.stores._rows.checks import crc, insert, is_written, read_state, tell
from nbsessions.stores._rows.turns import UP
from nbsessions.stores.base import Key, Value, Visit
from nbsessions.values import from_micros, micros

_CHECKPOINT = (
    "checkpoint_id",
    "name",
    "keep",
    "message_count",
    "turn_count",
    "at",
    "parent",
    "turn",
    "session",
    "state",
)
INSERT_CHECKPOINT = f"{insert('checkpoints', (*_CHECKPOINT, 'crc'))} ON CONFLICT (checkpoint_id) DO NOTHING"
_COLUMNS = ", ".join(f"c.{column}" for column in (*_CHECKPOINT, "crc"))
SELECT_CHECKPOINTS = (
    f"{UP}SELECT {_COLUMNS}, s.session_id, t.turn_id, st.body, st.crc "
    "FROM checkpoints c LEFT JOIN sessions s ON s.id = c.session "
    "LEFT JOIN turns t ON t.id = c.turn LEFT JOIN states st ON st.id = c.state "
    "WHERE c.session = ? OR c.turn IN (SELECT id FROM up) ORDER BY c.id DESC"
)
OF_SESSIONS = (
    f"SELECT c.id, {_COLUMNS}, t.turn_id FROM checkpoints c LEFT JOIN turns t ON t.id = c.turn "
    "WHERE c.session IN "
)
OWNER_OF = "SELECT id, session FROM checkpoints WHERE checkpoint_id = ?"
DELETE_CHECKPOINT = "DELETE FROM checkpoints WHERE id = ?"
DISOWN = "UPDATE checkpoints SET session = NULL, crc = ? WHERE id = ?"


def checkpoint_values(made: Checkpoint, turn: int | None, session: int, state: int) -> tuple[Any, ...]:
    """Return the parameters of `INSERT_CHECKPOINT`."""
    counts = (made.message_count, made.turn_count, micros(made.created_at))
    values = (made.checkpoint_id, made.name, made.head.keep, *counts, made.parent_id, turn, session, state)
    return (*values, crc(*values, made.head.turn_id))


def is_of(row: Sequence[Any], session: int) -> bool:
    """Tell whether a row of `SELECT_CHECKPOINTS` is of this session."""
    return bool(row[_SESSION] == session)


def disowned(row: Sequence[Any]) -> tuple[int, int]:
    """Return the parameters of `DISOWN` for a row of `OF_SESSIONS` whose session is deleted."""
    number, *values, own_crc, turn_id = row
    whole = _is_whole(values, turn_id, own_crc)
    values[_SESSION] = None
    return crc(*values, turn_id) ^ (not whole), number


_SESSION = _CHECKPOINT.index("session")


def _is_whole(values: Sequence[Any], turn_id: str | None, own_crc: int) -> bool:
    return is_written(own_crc, values[:_SESSION], (*values[_SESSION:], turn_id))


def checkpoint(row: Sequence[Any]) -> Checkpoint:
    """Return the checkpoint of a row of `SELECT_CHECKPOINTS`.

    Raises
    ------
    DamagedSession
    """
    *values, own_crc, sid, turn_id, body, state_crc = row
    checkpoint_id, name, keep, messages, turns, at, parent, number, _, state = values
    where = f"of checkpoint {name!r}"
    gone = number is not None and turn_id is None
    if not gone and not _is_whole(values, turn_id, own_crc):
        raise DamagedSession(where, "checkpoint")
    return Checkpoint(
        checkpoint_id=checkpoint_id,
        session_id=sid or "",
        name=name,
        head=Head(f"#{number}" if gone else turn_id, keep),
        message_count=messages,
        turn_count=turns,
        state=from_json(read_state(where, state, (body, state_crc))),
        created_at=from_micros(at),
        parent_id=parent,
    )


def in_order(where: str, found: list[Checkpoint]) -> list[Checkpoint]:
    """Return checkpoints, newest first; that one comes before the one that it came after is told."""
    places = {one.checkpoint_id: place for place, one in enumerate(found)}
    if any(places.get(one.parent_id or "", place) < place for place, one in enumerate(found)):
        tell(DamagedSession(where, "order of checkpoints"))
    return found


SELECT_VALUES = (
    "SELECT id, name, value, at, expires_at, crc FROM key_values WHERE session = ? ORDER BY at, id"
)
DELETE_VALUE = "DELETE FROM key_values WHERE id = ?"
PUT_VALUE = (
    f"{insert('key_values', ('session', 'name', 'value', 'at', 'expires_at', 'crc'))} "
    "ON CONFLICT (session, name) DO UPDATE SET value = excluded.value, at = excluded.at, "
    "expires_at = excluded.expires_at, crc = excluded.crc"
)


def is_alive(row: Sequence[Any], at: int) -> bool:
    """Tell whether a row of `SELECT_VALUES` has not expired by then."""
    return row[4] is None or bool(row[4] > at)


def value(where: str, session: int, row: Sequence[Any]) -> Value:
    """Return the key-value of a row of `SELECT_VALUES`.

    Raises
    ------
    DamagedSession
    """
    _, *values, own_crc = row
    if not is_written(own_crc, values, (session,)):
        raise DamagedSession(where, "key-values")
    return Value(*values)


def value_values(session: int, value: Value) -> tuple[Any, ...]:
    """Return the parameters of `PUT_VALUE`."""
    return (session, *value, crc(*value, session))


_VISIT = ("owner", "notebook", "at", "action", "entry", "before", "session")
INSERT_VISIT = insert("visits", (*_VISIT, "crc"))
SELECT_VISIT = (
    f"SELECT {', '.join(f'v.{column}' for column in _VISIT)}, v.crc, v.id, s.conversation_id, s.session_id "
    "FROM visits v LEFT JOIN sessions s ON s.id = v.session "
    "WHERE v.owner = ? AND v.notebook = ? AND v.id <= ? ORDER BY v.id DESC LIMIT 1"
)


def visit_values(owner: str, notebook: str, visit: Visit, at: int, session: int) -> tuple[Any, ...]:
    """Return the parameters of `INSERT_VISIT`."""
    values = (owner, notebook, at, visit.action, visit.entry, visit.before, session)
    return (*values, crc(*values))


def number_of(row: Sequence[Any]) -> int:
    """Return the id of a row of `SELECT_VISIT`."""
    return int(row[-3])


def visit(row: Sequence[Any]) -> Visit | None:
    """Return the visit of a row of `SELECT_VISIT`, or None where it is damaged, which is told."""
    *values, own_crc, number, conversation, session_id = row
    if session_id is None or not is_written(own_crc, values, ()):
        tell(DamagedSession(f"last used in {values[1]}", "visit"))
        return None
    _, _, _, action, entry, before, _ = values
    return Visit(Key(conversation, session_id), action, entry, before, number)
