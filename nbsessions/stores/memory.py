"""A store that lives and dies with the process: for tests, and for work that shall leave no trace."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from nbsessions.exceptions import RunNotFound, SessionExists, SessionNotFound
from nbsessions.records import (
    TERMINAL,
    Event,
    Head,
    LogEntry,
    Run,
    SessionRecord,
    Turn,
    encode_json,
    from_micros,
    micros,
)
from nbsessions.stores.base import Backend, Finish, HeadMoved, Key, Move, Query

_R = TypeVar("_R", SessionRecord, Run)


@dataclass(slots=True)
class _Session:
    record: SessionRecord
    entries: list[int] = field(default_factory=list)
    current: int = 0
    draft: int | None = None


class MemoryBackend(Backend):
    """Plain dicts under one lock; the model that the other stores are tested against."""

    def __init__(self, url: str = "memory:") -> None:
        self.url = url
        self._lock = threading.RLock()
        self._sessions: dict[Key, _Session] = {}
        self._turns: dict[str, Turn] = {}
        self._entries: list[LogEntry] = []
        self._runs: dict[str, Run] = {}
        self._events: dict[str, list[Event]] = {}
        self._visits: dict[tuple[str, str], list[Key]] = {}

    def insert(self, record: SessionRecord) -> None:
        with self._lock:
            self._insert(record)

    def _insert(self, record: SessionRecord) -> None:
        key = Key.of(record)
        if key in self._sessions:
            raise SessionExists(record.session_id)
        self._check_name(record)
        self._sessions[key] = session = _Session(record)
        state = encode_json(record.state, "state")
        at = micros(record.created_at)
        self._enter(session, "create", record.head, record.message_count, record.turn_count, state, at, None)

    def _check_name(self, record: SessionRecord) -> None:
        for other in self._sessions.values():
            if _name_key(other.record) == _name_key(record) and Key.of(other.record) != Key.of(record):
                raise SessionExists(record.name or "")

    def _enter(
        self,
        session: _Session,
        action: str,
        head: Head,
        messages: int,
        turns: int,
        state: str,
        at: int,
        before: int | None,
        *,
        draft: bool = False,
    ) -> None:
        entry = LogEntry(len(self._entries) + 1, action, head, messages, turns, state, at, before)
        self._entries.append(entry)
        session.entries.append(entry.entry_id)
        if draft:
            session.draft = entry.entry_id
        else:
            session.current = entry.entry_id

    def _entry(self, entry_id: int) -> LogEntry:
        return self._entries[entry_id - 1]

    def _session(self, key: Key) -> _Session:
        try:
            return self._sessions[key]
        except KeyError:
            raise SessionNotFound(key.session_id) from None

    def get(self, key: Key) -> SessionRecord | None:
        with self._lock:
            session = self._sessions.get(key)
            return None if session is None else session.record

    def find(self, query: Query) -> list[SessionRecord]:
        with self._lock:
            found = [s.record for s in self._sessions.values() if _matches(s.record, query)]
        found.reverse()
        found.sort(key=lambda record: record.updated_at, reverse=True)
        return found[: query.limit]

    def update(self, key: Key, changes: Mapping[str, Any], at: int) -> SessionRecord:
        with self._lock:
            session = self._session(key)
            record = _changed(session.record, {**changes, "updated_at": from_micros(at)})
            self._check_name(record)
            session.record = record
            return record

    def delete(self, keys: Sequence[Key]) -> int:
        with self._lock:
            gone = [key for key in keys if self._sessions.pop(key, None) is not None]
            for run_id, run in list(self._runs.items()):
                if Key.of(run) in gone:
                    erased = {"session_id": "", "conversation_id": None, "prompt": None, "error": None}
                    self._runs[run_id] = _changed(run, {**erased, "cell_id": None, "retry_of": None})
                    self._events.pop(run_id, None)
            return len(gone)

    def move(self, move: Move) -> SessionRecord:
        with self._lock:
            if move.turns and move.turns[-1].turn_id in self._turns:
                return self._session(move.key).record
            if move.create is not None:
                self._insert(move.create)
            session = self._session(move.key)
            present = self._current(session, move.draft)
            if present.head != move.expected:
                raise HeadMoved(session.record)
            self._turns |= {turn.turn_id: turn for turn in move.turns}
            if move.finish is not None:
                self._finish(move.finish, move.turns[-1].turn_id if move.turns else None)
            self._move(session, move, present)
            return session.record

    def _move(self, session: _Session, move: Move, present: LogEntry) -> None:
        state = present.state if move.state is None else move.state
        before = move.before if move.undo else present.entry_id
        counts = (move.total_messages, move.total_turns)
        self._enter(session, move.action, move.head, *counts, state, move.at, before, draft=move.draft)
        changes: dict[str, Any] = {"updated_at": from_micros(move.at)}
        if move.draft:
            changes["draft"] = move.head
        else:
            changes |= {"head": move.head, "message_count": counts[0], "turn_count": counts[1]}
            changes["state"] = json.loads(state)
        if move.ends_draft:
            session.draft, changes["draft"] = None, None
        session.record = _changed(session.record, changes)

    def set_state(self, key: Key, state: str, at: int, *, draft: bool) -> SessionRecord:
        with self._lock:
            session = self._session(key)
            present = self._current(session, draft)
            counts = (present.message_count, present.turn_count)
            self._enter(session, "state", present.head, *counts, state, at, present.before, draft=draft)
            changes: dict[str, Any] = {"updated_at": from_micros(at)}
            changes |= {"draft": present.head} if draft else {"state": json.loads(state)}
            session.record = _changed(session.record, changes)
            return session.record

    def log(self, key: Key, limit: int | None = None) -> list[LogEntry]:
        with self._lock:
            entries = self._session(key).entries[::-1]
            return [self._entry(entry_id) for entry_id in entries[:limit]]

    def current(self, key: Key, *, draft: bool) -> LogEntry:
        with self._lock:
            return self._current(self._session(key), draft)

    def _current(self, session: _Session, draft: bool) -> LogEntry:
        return self._entry(session.draft if draft and session.draft else session.current)

    def entry(self, entry_id: int) -> LogEntry | None:
        with self._lock:
            return self._entries[entry_id - 1] if 0 < entry_id <= len(self._entries) else None

    def state_at(self, key: Key, turn_id: str | None) -> str | None:
        with self._lock:
            own = [self._entry(entry_id) for entry_id in self._session(key).entries]
            for entry in [*own[::-1], *self._entries[::-1]]:
                if entry.head.turn_id == turn_id and (turn_id is not None or entry in own):
                    return entry.state
            return None

    def turn(self, turn_id: str) -> Turn | None:
        with self._lock:
            return self._turns.get(turn_id)

    def chain(self, turn_id: str, *, messages: int | None = None) -> list[Turn]:
        with self._lock:
            turns: list[Turn] = []
            step = self._turns.get(turn_id)
            floor = 0 if step is None or messages is None else step.total_messages - messages
            while step is not None and (not turns or step.total_messages > floor):
                turns.append(step)
                step = self._turns[step.parent_id] if step.parent_id else None
            return turns[::-1]

    def asked_by(self, cell_id: str, turn_id: str) -> Turn | None:
        return next((turn for turn in reversed(self.chain(turn_id)) if turn.cell_id == cell_id), None)

    def system_turns(self, turn_id: str) -> list[Turn]:
        return [turn for turn in self.chain(turn_id)[:-1] if turn.has_system]

    def start_run(self, run: Run) -> None:
        with self._lock:
            self._runs[run.run_id] = run
            self._events[run.run_id] = []

    def _run(self, run_id: str) -> Run:
        try:
            return self._runs[run_id]
        except KeyError:
            raise RunNotFound(f"No run {run_id!r} in this store.", run_id) from None

    def append_events(self, run_id: str, events: Sequence[tuple[str, str]]) -> None:
        with self._lock:
            run, log = self._run(run_id), self._events[run_id]
            for kind, data in events:
                log.append(Event(seq=len(log), type=kind, data=json.loads(data)))
            self._runs[run_id] = _changed(run, {"event_count": len(log)})

    def renew_lease(self, run_id: str, until: int) -> None:
        with self._lock:
            self._runs[run_id] = _changed(self._run(run_id), {"lease_until": from_micros(until)})

    def finish_run(self, finish: Finish) -> Run:
        with self._lock:
            return self._finish(finish, None)

    def _finish(self, finish: Finish, turn_id: str | None) -> Run:
        self.append_events(finish.run_id, finish.events)
        run = self._run(finish.run_id)
        changes: dict[str, Any] = {
            "usage": finish.usage,
            "model": finish.model or run.model,
            "provider": finish.provider or run.provider,
            "turn_id": turn_id or run.turn_id,
            "lease_until": None,
            "worker": None,
        }
        if run.status not in TERMINAL:
            changes |= {"status": finish.status, "error": finish.error}
            changes["finished_at"] = from_micros(finish.finished_at)
        if turn_id is not None:
            changes["prompt"] = None
        self._runs[run.run_id] = finished = _changed(run, changes)
        session = self._sessions.get(Key.of(run))
        if session is not None:
            spent = session.record.usage + finish.usage
            model = finish.model or session.record.model
            session.record = _changed(session.record, {"usage": spent, "model": model})
        return finished

    def get_run(self, run_id: str) -> Run | None:
        with self._lock:
            return self._runs.get(run_id)

    def runs(
        self, key: Key | None = None, *, status: str | None = None, last: int | None = None
    ) -> list[Run]:
        with self._lock:
            found = self._runs.values()
            matching = [r for r in found if key in (None, Key.of(r)) and status in (None, r.status)]
        return matching if last is None else matching[max(0, len(matching) - last) :]

    def events(self, run_id: str, *, after: int = -1, limit: int | None = None) -> list[Event]:
        with self._lock:
            self._run(run_id)
            return [event for event in self._events.get(run_id, []) if event.seq > after][:limit]

    def visit(self, owner: str, notebook: str, key: Key, at: int) -> None:
        with self._lock:
            self._visits.setdefault((owner, notebook), []).append(key)

    def last_visit(self, owner: str, notebook: str) -> Key | None:
        with self._lock:
            visited = self._visits.get((owner, notebook), [])
            return next((key for key in reversed(visited) if key in self._sessions), None)

    def close(self) -> None:
        """Nothing to let go of: what it holds goes with the object."""


def _changed(record: _R, changes: Mapping[str, Any]) -> _R:
    return record.model_copy(update=changes)


def _name_key(record: SessionRecord) -> tuple[object, ...]:
    if record.name is None:
        return (record.session_id, record.conversation_id, "unnamed")
    return (record.owner, record.agent_name, record.conversation_id, record.name)


def _matches(record: SessionRecord, query: Query) -> bool:
    sid = record.session_id
    return (
        query.conversation_id in (None, record.conversation_id or "")
        and query.session_id in (None, sid)
        and query.name in (None, record.name)
        and sid.startswith(query.prefix or "")
        and sid.endswith(query.suffix or "")
        and query.agent_name in (None, record.agent_name)
        and query.owner in (None, record.owner)
        and query.notebook in (None, record.notebook)
        and (query.tag is None or query.tag in record.tags)
        and (query.since is None or micros(record.updated_at) >= query.since)
    )
