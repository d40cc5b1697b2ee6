"""The head log and its states."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nbsessions.exceptions import DamagedSession
from nbsessions.records import Head, LogEntry
from nbsessions.stores._rows.checks import check_state, crc
from nbsessions.stores._rows.sessions import ENTRY

INSERT_HEAD = (
    "INSERT INTO heads(session, action, done, draft, turn, keep, message_count, turn_count, state, at, "
    "before, base, crc) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
SELECT_HEAD = (
    f"SELECT {ENTRY}, h.id, t.turn_id, st.body, st.crc "
    "FROM heads h LEFT JOIN turns t ON t.id = h.turn LEFT JOIN states st ON st.id = h.state"
)
STATE_BEFORE = (
    "SELECT st.body, st.crc FROM turns t LEFT JOIN states st ON st.id = t.state WHERE t.turn_id = ?"
)
LAST_DRAFT = "SELECT id FROM heads WHERE session = ? AND draft = 1 ORDER BY id DESC LIMIT 1"
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
    check_state(f"of log entry {entry}", state, state_crc)
    if turn_id is None and row[4] is not None:
        turn_id = f"#{row[4]}"  # it is gone: whoever asks for it is told so
    counts, head = (messages, turns), Head(turn_id, keep)
    return LogEntry(entry, action, done, head, *counts, state or "{}", at, before, draft == 1, base)
