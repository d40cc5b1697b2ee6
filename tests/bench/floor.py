"""
The floor: what the standard library's `sqlite3` takes to write and read the same rows.

The columns, the page size and the cache are those of the store, with values made beforehand. There is an
index on each id, and no other; nothing is compared, hashed, checked or built from what is read.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

from nbsessions.stores.sqlite import CACHE_KIB, PAGE_SIZE

_USAGE = (
    "input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens, requests, cost"
)
_SET_USAGE = ", ".join(f"{column} = ?" for column in _USAGE.split(", "))
_SCHEMA = f"""
CREATE TABLE turns (id INTEGER PRIMARY KEY, turn_id TEXT UNIQUE, parent, total_messages, total_turns, depth,
    message_count, has_system, system, created_at, cell_id, codec, state, content_hash, hash, body, crc);
CREATE TABLE sessions (id INTEGER PRIMARY KEY, session_id TEXT UNIQUE, conversation_id, name, agent_name, owner,
    tags, created_at, updated_at, entry, draft_entry, state, head_turn, head_keep, message_count, turn_count,
    {_USAGE}, model, notebook, parent_session_id, metadata, crc, entry_count, ended_run_count, checkpoint_count,
    value_count, moved_crc);
CREATE TABLE heads (id INTEGER PRIMARY KEY, session, action, done, draft, turn, keep, message_count, turn_count,
    state, at, before, base, crc);
CREATE TABLE runs (id INTEGER PRIMARY KEY, run_id TEXT UNIQUE, session, turn, base_turn, base_keep, status,
    started_at, finished_at, agent_name, model, provider, {_USAGE}, event_count, cell_id, retry_of, worker,
    lease_until, error, prompt, crc, progressed);
"""
_AT = 1_790_000_000_000_000
_COUNTS = (1, 0, 0, 0)
_USED = (300, 200, 0, 0, 0, 1, 1_250_000)


class Floor:
    """One session in a database of its own."""

    def __init__(self, path: Path) -> None:
        self.db = sqlite3.connect(path, isolation_level=None)
        self.db.execute(f"PRAGMA page_size = {PAGE_SIZE}")
        self.db.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        self.db.execute("PRAGMA journal_mode = WAL")
        self.db.executescript(_SCHEMA)
        self._turns = 0
        self._ids = (f"019a0000-0000-7000-8000-{number:012x}" for number in count())
        self.session_id = next(self._ids)
        values = (
            1,
            self.session_id,
            "",
            "floor",
            "agent",
            "ada",
            "[]",
            _AT,
            _AT,
            None,
            None,
            0,
            None,
            None,
            0,
            0,
        )
        self._insert("sessions", (*values, *_USED, "model", None, None, "{}", 1, *_COUNTS, 1))

    def _insert(self, table: str, values: Sequence[Any]) -> int | None:
        marks = ", ".join("?" * len(values))
        return self.db.execute(f"INSERT INTO {table} VALUES ({marks})", values).lastrowid

    def append(self, body: str, prompt: str) -> None:
        """Write a run, then its turn: two transactions, the second one flushed to the disk."""
        db, turn_id = self.db, next(self._ids)
        parent, self._turns = self._turns or None, self._turns + 1
        messages = 2 * self._turns
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute("BEGIN IMMEDIATE")
        started = ("running", _AT, None, "agent", "model", None, *(0,) * 6, None, 0, None, None)
        run = self._insert(
            "runs",
            (None, next(self._ids), 1, None, parent, None, *started, "host:1", _AT, None, prompt, 1, 0),
        )
        db.execute("COMMIT")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("BEGIN IMMEDIATE")
        counts = (messages, self._turns, self._turns, 2, 0, None)
        turn = self._insert(
            "turns", (None, turn_id, parent, *counts, _AT, None, "chat", 0, None, b"h" * 32, body, 1)
        )
        db.execute(
            f"UPDATE runs SET {_SET_USAGE}, turn = ?, status = ?, finished_at = ?, worker = NULL, "
            "lease_until = NULL, prompt = NULL, crc = ? WHERE id = ?",
            (*_USED, turn, "completed", _AT, 1, run),
        )
        moved = (None, 1, "turn", "turn", 0, turn, None, messages, self._turns, 0, _AT, None, None, 1)
        entry = self._insert("heads", moved)
        db.execute(
            f"UPDATE sessions SET {_SET_USAGE}, updated_at = ?, entry = ?, head_turn = ?, message_count = ?, "
            "turn_count = ?, model = ?, entry_count = ?, ended_run_count = ?, moved_crc = ? WHERE id = 1",
            (*_USED, _AT, entry, turn_id, messages, self._turns, "model", self._turns, self._turns, 1),
        )
        db.execute("COMMIT")

    def insert(self) -> None:
        """Write one row, a session, flushed to the disk."""
        values = (
            None,
            next(self._ids),
            "",
            None,
            "agent",
            "ada",
            "[]",
            _AT,
            _AT,
            *(None,) * 2,
            0,
            *(None,) * 2,
        )
        self.db.execute("PRAGMA synchronous = FULL")
        self._insert("sessions", (*values, 0, 0, *_USED, "model", None, None, "{}", 1, *_COUNTS, 1))

    def load(self) -> list[Any]:
        """Read all turns, and parse their messages."""
        rows = self.db.execute("SELECT * FROM turns ORDER BY id").fetchall()
        return [message for row in rows for message in json.loads(row[-2])]

    def close(self) -> None:
        """Close the database."""
        self.db.close()
