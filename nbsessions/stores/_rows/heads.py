"""The head log and its states."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nbsessions.exceptions import DamagedSession
from nbsessions.records import Head, LogEntry
from nbsessions.stores._rows.checks import insert, is_written, read_state, tell

_ENTRY = (
    "session",
    "action",
    "done",
    "draft",
    "turn",
    "keep",
    "message_count",
    "turn_count",
    "state",
    "at",
    "before",
    "base",
    "crc",
)
INSERT_HEAD = insert("heads", _ENTRY)
ENTRY = ", ".join(f"h.{column}" for column in _ENTRY)
SELECT_HEAD = (
    f"SELECT {ENTRY}, h.id, t.turn_id, st.body, st.crc "
    "FROM heads h LEFT JOIN turns t ON t.id = h.turn LEFT JOIN states st ON st.id = h.state"
)
# Few sessions have a draft: a list does not look for those that are none.
SELECT_DRAFTS = (
    f"SELECT h.id, {ENTRY}, t.turn_id FROM heads h LEFT JOIN turns t ON t.id = h.turn WHERE h.id IN "
)
LOG = f"{SELECT_HEAD} WHERE h.session = ? AND h.message_count > ? ORDER BY h.id DESC"
LAST_SAVED = f"{SELECT_HEAD} WHERE h.session = ? AND h.draft = 0 ORDER BY h.id DESC LIMIT 1"
FIRST = f"{SELECT_HEAD} WHERE h.session = ? ORDER BY h.id LIMIT 1"
STATE_BEFORE = (
    "SELECT t.state, st.body, st.crc FROM turns t LEFT JOIN states st ON st.id = t.state WHERE t.turn_id = ?"
)
INSERT_STATE = "INSERT INTO states(body, crc) VALUES (?, ?)"


def number_of(row: Sequence[Any]) -> int:
    """Return the id of a row of `SELECT_HEAD`."""
    return int(row[13])


def log_entry(row: Sequence[Any]) -> LogEntry:
    """Return the log entry of a row of `SELECT_HEAD`.

    Raises
    ------
    DamagedSession
    """
    _, action, done, draft, turn, keep, messages, turns, state, at, before, base, own_crc = row[:13]
    entry, turn_id, *body = row[13:]
    where = f"of log entry {entry}"
    if turn is not None and turn_id is None:
        turn_id = f"#{turn}"  # it is gone: whoever asks for it is told so, too
        tell(DamagedSession(where, "turn"))
    elif not is_written(own_crc, row[:12], (turn_id,)):
        raise DamagedSession(where, "log")
    counts, head = (messages, turns), Head(turn_id, keep)
    said = read_state(where, state, body)
    return LogEntry(entry, action, done, head, *counts, said, at, before, draft == 1, base)
