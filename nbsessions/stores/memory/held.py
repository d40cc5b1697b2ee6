"""What the store holds, and what every part of it asks of that."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from nbsessions.exceptions import DamagedTurn, RunNotFound, SessionNotFound
from nbsessions.records import Checkpoint, Event, Head, LogEntry, Run, SessionRecord, Turn
from nbsessions.stores.base import Backend, Document, Key, Progress, Value, Visit
from nbsessions.values import encode_json

_R = TypeVar("_R", SessionRecord, Run)


@dataclass(slots=True)
class HeldSession:
    """A session with its head log, and the entries of it where it and its draft stand."""

    record: SessionRecord
    entries: dict[int, LogEntry] = field(default_factory=dict)
    current: int = 0
    draft: int | None = None


class Held(Backend):
    """Plain dicts under one lock."""

    def __init__(self, url: str = "memory:") -> None:
        self.url = url
        self._lock = threading.RLock()
        self._sessions: dict[Key, HeldSession] = {}
        self._turns: dict[str, Turn] = {}
        self._states: dict[str, str] = {}
        self._last_entry = 0
        self._runs: dict[str, Run] = {}
        self._events: dict[str, list[Event]] = {}
        self._visits: dict[tuple[str, str], list[Visit]] = {}
        self._visit_count = 0
        self._checkpoints: dict[str, tuple[Key | None, Checkpoint]] = {}
        self._values: dict[Key, dict[str, Value]] = {}
        self._documents: dict[Key, dict[tuple[str, str], Document]] = {}
        self._progress: dict[str, Progress] = {}

    def _session(self, key: Key) -> HeldSession:
        try:
            return self._sessions[key]
        except KeyError:
            raise SessionNotFound(key.session_id) from None

    def _run(self, run_id: str) -> Run:
        try:
            return self._runs[run_id]
        except KeyError:
            raise RunNotFound(f"No run {run_id!r} in this store.", run_id) from None

    def _check_turn(self, head: Head) -> None:
        if head.turn_id is not None and head.turn_id not in self._turns:
            raise DamagedTurn(head.turn_id)


def changed(record: _R, changes: Mapping[str, Any]) -> _R:
    """Return a record with other values in some of its fields, which nobody checks."""
    return record.model_copy(update=changes)


def plain(state: dict[str, Any]) -> dict[str, Any]:
    """Return a state that shares nothing with the caller's."""
    copied: dict[str, Any] = json.loads(encode_json(state, "state"))
    return copied
