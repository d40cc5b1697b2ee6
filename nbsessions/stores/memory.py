"""A store that lives and dies with the process: for tests, and for work that shall leave no trace."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, TypeVar

from nbsessions.codecs import REDACTED
from nbsessions.exceptions import DamagedTurn, RunNotFound, SessionExists, SessionNotFound
from nbsessions.records import TERMINAL, Checkpoint, Event, Head, LogEntry, Run, SessionRecord, Step, Turn
from nbsessions.stores.base import Backend, Finish, HeadMoved, Key, Move, Progress, Query, Value, Visit
from nbsessions.values import encode_json, from_micros, micros

_R = TypeVar("_R", SessionRecord, Run)


@dataclass(slots=True)
class _Session:
    record: SessionRecord
    entries: dict[int, LogEntry] = field(default_factory=dict)
    current: int = 0
    draft: int | None = None


class MemoryBackend(Backend):
    """Plain dicts under one lock; the model that the other stores are tested against."""

    persistent = False

    def __init__(self, url: str = "memory:") -> None:
        self.url = url
        self._lock = threading.RLock()
        self._sessions: dict[Key, _Session] = {}
        self._turns: dict[str, Turn] = {}
        self._states: dict[str, str] = {}
        self._last_entry = 0
        self._runs: dict[str, Run] = {}
        self._events: dict[str, list[Event]] = {}
        self._visits: dict[tuple[str, str], list[Visit]] = {}
        self._visit_count = 0
        self._checkpoints: dict[str, tuple[Key | None, Checkpoint]] = {}
        self._values: dict[Key, dict[str, Value]] = {}
        self._progress: dict[str, Progress] = {}

    def insert(self, record: SessionRecord) -> None:
        with self._lock:
            self._insert(record)

    def _insert(self, record: SessionRecord) -> None:
        key = Key.of(record)
        if key in self._sessions:
            raise SessionExists(record.session_id)
        self._check_name(record)
        self._check_turn(record.head)
        session = _Session(_own(record))
        counts = (record.message_count, record.turn_count)
        state, at = encode_json(record.state, "state"), micros(record.created_at)
        self._enter(session, ("create", "create", False), record.head, counts, state, at, None)
        self._sessions[key] = session

    def _check_name(self, record: SessionRecord) -> None:
        for other in self._sessions.values():
            if _name_key(other.record) == _name_key(record) and Key.of(other.record) != Key.of(record):
                raise SessionExists(record.name or "")

    def _check_turn(self, head: Head) -> None:
        if head.turn_id is not None and head.turn_id not in self._turns:
            raise DamagedTurn(head.turn_id)

    def _enter(
        self,
        session: _Session,
        what: tuple[str, str, bool],
        head: Head,
        counts: tuple[int, int],
        state: str,
        at: int,
        before: int | None,
    ) -> None:
        action, done, draft = what
        self._last_entry += 1
        base = None
        if draft:
            base = session.current if session.draft is None else session.entries[session.draft].base
        entry = LogEntry(self._last_entry, action, done, head, *counts, state, at, before, draft, base)
        session.entries[entry.entry_id] = entry
        if draft:
            session.draft = entry.entry_id
        else:
            session.current = entry.entry_id

    def _session(self, key: Key) -> _Session:
        try:
            return self._sessions[key]
        except KeyError:
            raise SessionNotFound(key.session_id) from None

    def get(self, key: Key) -> SessionRecord | None:
        with self._lock:
            session = self._sessions.get(key)
            return None if session is None else _own(session.record)

    def find(self, query: Query) -> list[SessionRecord]:
        with self._lock:
            found = [_own(s.record) for s in self._sessions.values() if _matches(s.record, query)]
        found.reverse()
        found.sort(key=lambda record: record.updated_at, reverse=True)
        return found[: query.limit]

    def update(self, key: Key, changes: Mapping[str, Any], at: int) -> SessionRecord:
        with self._lock:
            session = self._session(key)
            record = _changed(session.record, {**changes, "updated_at": from_micros(at)})
            self._check_name(record)
            session.record = _own(record)
            return _own(record)

    def delete(self, keys: Sequence[Key], *, seen: Sequence[int] | None = None, at: int = 0) -> int:
        with self._lock:
            if seen is not None:
                both = zip(keys, seen, strict=True)
                keys = [key for key, known in both if not self._is_in_use(key, known, at)]
            gone = {key for key in keys if key in self._sessions}
            told = {run_id for run_id, run in self._runs.items() if Key.of(run) in gone}
            runs = {run_id: _anonymous(self._runs[run_id]) for run_id in told}
            visits = {
                place: [visit for visit in visited if visit.key not in gone]
                for place, visited in self._visits.items()
            }
            # On a turn that a fork has too, one goes on to be one of the fork's.
            checkpoints = {
                checkpoint_id: (None, _without_session(made))
                for checkpoint_id, (key, made) in self._checkpoints.items()
                if key in gone
            }
            after = {
                "_sessions": {key: session for key, session in self._sessions.items() if key not in gone},
                "_runs": {**self._runs, **runs},
                "_events": {**self._events, **{run_id: [] for run_id in told}},
                "_progress": {run_id: kept for run_id, kept in self._progress.items() if run_id not in told},
                "_visits": visits,
                "_checkpoints": {**self._checkpoints, **checkpoints},
                "_values": {key: held for key, held in self._values.items() if key not in gone},
            }
            vars(self).update(after)  # in one step, whenever Ctrl-C comes
            return len(gone)

    def _is_in_use(self, key: Key, seen: int, at: int) -> bool:
        session = self._sessions.get(key)
        changed = session is None or micros(session.record.updated_at) != seen
        running = [run for run in self._runs.values() if Key.of(run) == key and run.status == "running"]
        return changed or any(run.lease_until and micros(run.lease_until) > at for run in running)

    def move(self, move: Move) -> SessionRecord:
        with self._lock:
            made = bool(move.turns) and move.turns[-1].turn_id in self._turns
            if made:
                run = None if move.finish is None else self._runs.get(move.finish.run_id)
                return _own(self._session(move.key if run is None else Key.of(run)).record)
            session = _Session(move.create) if move.create is not None else self._session(move.key)
            present = None if move.create is not None else self._current(session, move.draft)
            head = move.create.head if move.create is not None else present and present.head
            stale = move.draft_entry is not None and (session.draft or 0) != move.draft_entry
            if head != move.expected or stale:
                raise HeadMoved(_own(session.record))
            made_now = {turn.turn_id for turn in move.turns}
            for turn_id in (*(turn.parent_id for turn in move.turns), move.head.turn_id):
                if turn_id is not None and turn_id not in made_now and turn_id not in self._turns:
                    raise DamagedTurn(turn_id)
            if move.finish is not None:
                self._run(move.finish.run_id)
            # Nothing is refused from here on, but Ctrl-C may come anywhere.
            restore = self._restorer(move)
            try:
                if move.create is not None:
                    self._insert(move.create)
                    session = self._session(move.key)
                self._move(session, move, self._current(session, move.draft))
            except BaseException:
                restore()
                raise
            return _own(session.record)

    def _restorer(self, move: Move) -> Callable[[], None]:
        """Return what puts back all that a move touches."""
        keys = [move.key, *([] if move.instead_of is None else [move.instead_of[0]])]
        sessions = {key: self._sessions.get(key) for key in keys}
        stood = [(s, s.record, s.current, s.draft) for s in sessions.values() if s is not None]
        runs = [] if move.finish is None else [self._run(move.finish.run_id)]
        lengths = {run.run_id: len(self._events[run.run_id]) for run in runs}
        progress = {run.run_id: self._progress.get(run.run_id) for run in runs}
        last = self._last_entry

        def restore() -> None:
            for key, session in sessions.items():
                if session is None:
                    self._sessions.pop(key, None)
            for session, record, current, draft in stood:
                session.record, session.current, session.draft = record, current, draft
                for entry_id in [found for found in session.entries if found > last]:
                    del session.entries[entry_id]
            for turn in move.turns:
                self._turns.pop(turn.turn_id, None)
                self._states.pop(turn.turn_id, None)
            self._runs |= {run.run_id: run for run in runs}
            for run_id, length in lengths.items():
                del self._events[run_id][length:]
            self._progress |= {run_id: kept for run_id, kept in progress.items() if kept is not None}
            self._last_entry = last

        return restore

    def _move(self, session: _Session, move: Move, present: LogEntry) -> None:
        self._turns |= {turn.turn_id: turn for turn in move.turns}
        self._states |= {turn.turn_id: present.state for turn in move.turns}
        if move.finish is not None:
            self._finish(move.finish, move.turns[-1].turn_id if move.turns else None, move.key)
        state = present.state if move.state is None else move.state
        before = move.before if move.undo else present.entry_id
        counts = (move.total_messages, move.total_turns)
        what = (move.action, move.done or move.action, move.draft)
        self._enter(session, what, move.head, counts, state, move.at, before)
        changes: dict[str, Any] = {"updated_at": from_micros(move.at)}
        if move.draft:
            changes["draft"] = move.head
        else:
            changes |= {"head": move.head, "message_count": counts[0], "turn_count": counts[1]}
            changes["state"] = json.loads(state)
        if move.ends_draft:
            session.draft, changes["draft"] = None, None
        session.record = _changed(session.record, changes)
        if move.instead_of is not None:
            self._end_draft(*move.instead_of)

    def _end_draft(self, key: Key, entry_id: int) -> None:
        session = self._sessions.get(key)
        if session is not None and session.draft == entry_id:
            session.draft = None
            session.record = _changed(session.record, {"draft": None})

    def log(self, key: Key, limit: int | None = None) -> list[LogEntry]:
        with self._lock:
            return list(self._session(key).entries.values())[::-1][:limit]

    def origin(self, key: Key) -> LogEntry:
        with self._lock:
            return next(iter(self._session(key).entries.values()))

    def current(self, key: Key, *, draft: bool) -> LogEntry:
        with self._lock:
            return self._current(self._session(key), draft)

    def _current(self, session: _Session, draft: bool) -> LogEntry:
        return session.entries[session.draft if draft and session.draft else session.current]

    def entry(self, entry_id: int) -> LogEntry | None:
        with self._lock:
            logs = (session.entries for session in self._sessions.values())
            return next((entries[entry_id] for entries in logs if entry_id in entries), None)

    def state_before(self, turn_id: str) -> str:
        with self._lock:
            return self._states.get(turn_id, "{}")

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

    def ancestors(self, turn_ids: Sequence[str]) -> dict[str, Step]:
        found: dict[str, Step] = {}
        with self._lock:
            for turn_id in turn_ids:
                turn = self._turns.get(turn_id)
                while turn is not None and turn.turn_id not in found:
                    counts = (turn.message_count, turn.total_messages, turn.total_turns, turn.depth)
                    found[turn.turn_id] = Step(turn.turn_id, turn.parent_id, *counts)
                    turn = None if turn.parent_id is None else self._turns[turn.parent_id]
        return found

    def scan(self, after: int, limit: int) -> list[tuple[int, Turn]]:
        with self._lock:
            return list(enumerate(islice(self._turns.values(), after, after + limit), after + 1))

    def redact(self, key: Key, turn: Turn, *, was: str, text: str) -> bool:
        with self._lock:
            stored = self._turns[turn.turn_id]
            if stored.body != was:
                return False
            changed = stored._replace(body=turn.body, content_hash=turn.content_hash)
            self._turns[turn.turn_id] = changed
            telling = {run.run_id for run in self._runs.values() if run.turn_id == turn.turn_id}
            for run in reversed(list(self._runs.values())):
                if run.run_id in telling and run.retry_of is not None:
                    telling.add(run.retry_of)
            for run in list(self._runs.values()):
                if run.run_id in telling:
                    self._events[run.run_id] = []
                    self._progress.pop(run.run_id, None)
                asked = run.prompt is not None and run.prompt == text
                if asked and Key.of(run) == key and run.status != "running":
                    self._redact_run(run)
        return True

    def redact_run(self, run_id: str) -> None:
        with self._lock:
            run = self._runs.get(run_id)
            if run is not None:
                self._redact_run(run)

    def _redact_run(self, run: Run) -> None:
        error = None if run.error is None else REDACTED
        self._events[run.run_id] = []
        self._progress.pop(run.run_id, None)
        self._runs[run.run_id] = _changed(run, {"prompt": REDACTED, "error": error})

    def collect(self) -> int:
        with self._lock:
            tips = [e.head.turn_id for s in self._sessions.values() for e in s.entries.values()]
            tips += [made.head.turn_id for key, made in self._checkpoints.values() if key is not None]
            open_runs = [run for run in self._runs.values() if run.status in ("running", "suspended")]
            tips += [run.base.turn_id for run in open_runs]
            live = self.ancestors([tip for tip in tips if tip is not None])
            gone = [turn_id for turn_id in self._turns if turn_id not in live]
            for turn_id in gone:
                del self._turns[turn_id]
                self._states.pop(turn_id, None)
            for checkpoint_id, (key, made) in list(self._checkpoints.items()):
                if key is None and made.head.turn_id not in live:
                    del self._checkpoints[checkpoint_id]
            return len(gone)

    def add_checkpoint(self, key: Key, checkpoint: Checkpoint) -> None:
        with self._lock:
            self._session(key)
            self._check_turn(checkpoint.head)
            own = checkpoint.model_copy(
                update={"session_id": key.session_id, "state": _plain(checkpoint.state)}
            )
            self._checkpoints.setdefault(checkpoint.checkpoint_id, (key, own))

    def checkpoints(self, key: Key, turn_id: str | None) -> list[Checkpoint]:
        with self._lock:
            self._session(key)
            up = self.ancestors([] if turn_id is None else [turn_id])
            found = [
                made.model_copy(update={"state": _plain(made.state)})
                for whose, made in self._checkpoints.values()
                if whose == key or made.head.turn_id in up
            ]
        return found[::-1]

    def put_value(self, key: Key, value: Value, most: int) -> None:
        with self._lock:
            self._session(key)
            kept = {
                name: held for name, held in self._values.get(key, {}).items() if _is_alive(held, value.at)
            }
            if value.name not in kept:
                for name in _by_age(kept)[: max(0, len(kept) + 1 - most)]:
                    del kept[name]
            self._values[key] = {**kept, value.name: value}

    def values(self, key: Key, at: int) -> list[Value]:
        with self._lock:
            self._session(key)
            kept = self._values.get(key, {})
            return [kept[name] for name in _by_age(kept) if _is_alive(kept[name], at)]

    def drop_values(self, key: Key, names: Sequence[str] | None = None) -> int:
        with self._lock:
            self._session(key)
            kept = self._values.get(key, {})
            gone = list(kept) if names is None else [name for name in dict.fromkeys(names) if name in kept]
            for name in gone:
                del kept[name]
            return len(gone)

    def start_run(self, run: Run) -> None:
        with self._lock:
            self._session(Key.of(run))
            self._events[run.run_id] = []
            self._runs[run.run_id] = run

    def _run(self, run_id: str) -> Run:
        try:
            return self._runs[run_id]
        except KeyError:
            raise RunNotFound(f"No run {run_id!r} in this store.", run_id) from None

    def append_events(self, run_id: str, events: Sequence[tuple[str, str]], *, first: int) -> None:
        with self._lock:
            self._append(self._run(run_id), events, first)

    def _append(self, run: Run, events: Sequence[tuple[str, str]], first: int) -> None:
        log = self._events[run.run_id]
        known = {event.seq for event in log}
        log += [
            Event(seq=seq, type=kind, data=json.loads(data))
            for seq, (kind, data) in enumerate(events, first)
            if seq not in known
        ]
        count = max(run.event_count, first + len(events))
        self._runs[run.run_id] = _changed(run, {"event_count": count})

    def drop_events(self, run_id: str, before: int) -> None:
        with self._lock:
            self._run(run_id)
            self._events[run_id] = [event for event in self._events[run_id] if event.seq >= before]

    def save_progress(self, progress: Progress) -> None:
        with self._lock:
            self._run(progress.run_id)
            self._progress[progress.run_id] = progress

    def progress(self, run_id: str) -> Progress | None:
        with self._lock:
            return self._progress.get(run_id)

    def renew_lease(self, run_id: str, until: int) -> None:
        with self._lock:
            run = self._runs.get(run_id)
            if run is not None:
                self._runs[run_id] = _changed(run, {"lease_until": from_micros(until)})

    def finish_run(self, finish: Finish) -> Run:
        with self._lock:
            return self._finish(finish, None, None)

    def _finish(self, finish: Finish, turn_id: str | None, key: Key | None) -> Run:
        run = self._run(finish.run_id)
        if run.status in TERMINAL and finish.status == "interrupted":
            return run
        # What it spent until it ended is counted.
        spent_now = finish.usage - run.usage if run.status in TERMINAL else finish.usage
        self._append(run, finish.events, finish.first)
        run = self._run(finish.run_id)
        changes: dict[str, Any] = {
            "usage": finish.usage,
            "model": finish.model or run.model,
            "provider": finish.provider or run.provider,
            "turn_id": turn_id or run.turn_id,
            "lease_until": None,
            "worker": None,
        }
        if key is not None:
            changes |= {"session_id": key.session_id, "conversation_id": key.conversation_id or None}
        if run.status not in TERMINAL:
            changes |= {"status": finish.status, "error": finish.error}
            changes["finished_at"] = from_micros(finish.finished_at)
        if turn_id is not None:
            changes["prompt"] = None
            self._progress.pop(run.run_id, None)
        self._runs[run.run_id] = finished = _changed(run, changes)
        session = self._sessions.get(Key.of(finished))
        if session is not None:
            spent = {
                "usage": session.record.usage + spent_now,
                "updated_at": max(session.record.updated_at, from_micros(finish.finished_at)),
            }
            spent["model"] = finish.model or session.record.model
            session.record = _changed(session.record, spent)
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

    def visit(self, owner: str, notebook: str, visit: Visit, at: int) -> None:
        with self._lock:
            self._visit_count += 1
            made = visit._replace(visit_id=self._visit_count)
            self._visits.setdefault((owner, notebook), []).append(made)

    def last_visit(self, owner: str, notebook: str, *, up_to: int | None = None) -> Visit | None:
        with self._lock:
            visited = self._visits.get((owner, notebook), [])
            meant = (v for v in reversed(visited) if up_to is None or v.visit_id <= up_to)
            return next((visit for visit in meant if visit.key in self._sessions), None)

    def close(self) -> None:
        """Nothing to let go of: what it holds goes with the object."""


_ANONYMOUS: dict[str, Any] = {
    **dict.fromkeys(("conversation_id", "prompt", "error", "cell_id", "retry_of", "turn_id")),
    "session_id": "",
}


def _anonymous(run: Run) -> Run:
    # An agent that is still answering needs what it answers from.
    base = run.base if run.status == "running" else Head()
    return _changed(run, {**_ANONYMOUS, "base": base})


def _own(record: SessionRecord) -> SessionRecord:
    """Return a record that shares nothing with the caller's."""
    return record.model_copy(
        update={
            "tags": list(record.tags),
            "metadata": json.loads(encode_json(record.metadata, "metadata")),
            "state": _plain(record.state),
        }
    )


def _plain(state: dict[str, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(encode_json(state, "state"))
    return plain


def _without_session(checkpoint: Checkpoint) -> Checkpoint:
    return checkpoint.model_copy(update={"session_id": ""})


def _is_alive(value: Value, at: int) -> bool:
    return value.expires_at is None or value.expires_at > at


def _by_age(values: Mapping[str, Value]) -> list[str]:
    """Return the names, the longest unchanged first; of those of one moment, the first that came."""
    return sorted(values, key=lambda name: values[name].at)


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
        and query.parent_session_id in (None, record.parent_session_id)
        and (query.tag is None or query.tag in record.tags)
        and (query.since is None or micros(record.updated_at) >= query.since)
    )
