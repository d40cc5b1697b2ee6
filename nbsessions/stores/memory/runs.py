"""Runs, their events and how far they came."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from nbsessions.codecs import REDACTED
from nbsessions.records import TERMINAL, Event, Run, Usage
from nbsessions.stores.base import Finish, Key, Progress
from nbsessions.stores.memory.held import Held, changed
from nbsessions.values import from_micros


class Runs(Held):
    """The primitives that are about runs."""

    def start_run(self, run: Run) -> None:
        with self._lock:
            self._session(Key.of(run))
            self._events[run.run_id] = []
            self._runs[run.run_id] = run

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
        self._runs[run.run_id] = changed(run, {"event_count": count})

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
                self._runs[run_id] = changed(run, {"lease_until": from_micros(until)})

    def finish_run(self, finish: Finish) -> Run:
        with self._lock:
            return self._finish(finish, None, None)

    def _finish(self, finish: Finish, turn_id: str | None, key: Key | None) -> Run:
        run = self._run(finish.run_id)
        if run.status in TERMINAL and finish.status == "interrupted":
            return run
        # What it spent until it ended, or was suspended, is counted.
        spent_now = finish.usage if run.status == "running" else finish.usage - run.usage
        self._append(run, finish.events, finish.first)
        run = self._run(finish.run_id)
        changes: dict[str, Any] = {
            "usage": finish.usage,
            "shares": tuple(finish.shares),
            "priced_by": finish.priced_by,
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
        self._runs[run.run_id] = finished = changed(run, changes)
        session = self._sessions.get(Key.of(finished))
        if session is not None:
            spent = {
                "usage": session.record.usage + spent_now,
                "updated_at": max(session.record.updated_at, from_micros(finish.finished_at)),
            }
            spent["model"] = finish.model or session.record.model
            session.record = changed(session.record, spent)
        return finished

    def continue_run(self, run_id: str, worker: str, until: int) -> bool:
        with self._lock:
            run = self._run(run_id)
            if run.status != "suspended":
                return False
            changes: dict[str, Any] = {"status": "running", "usage": Usage(), "shares": (), "priced_by": None}
            changes |= {"finished_at": None, "error": None, "worker": worker}
            self._runs[run_id] = changed(run, {**changes, "lease_until": from_micros(until)})
            session = self._sessions.get(Key.of(run))
            if session is not None:
                usage = session.record.usage - run.usage
                session.record = changed(session.record, {"usage": usage})
            return True

    def get_run(self, run_id: str) -> Run | None:
        with self._lock:
            return self._runs.get(run_id)

    def runs(
        self, key: Key | None = None, *, status: str | None = None, last: int | None = None
    ) -> list[Run]:
        with self._lock:
            sid = None if key is None else key.session_id
            # The id tells most of them apart, and is cheaper than a key of each.
            found = (r for r in self._runs.values() if sid is None or r.session_id == sid)
            matching = [r for r in found if key in (None, Key.of(r)) and status in (None, r.status)]
        return matching if last is None else matching[max(0, len(matching) - last) :]

    def events(self, run_id: str, *, after: int = -1, limit: int | None = None) -> list[Event]:
        with self._lock:
            self._run(run_id)
            return [event for event in self._events.get(run_id, []) if event.seq > after][:limit]

    def redact_run(self, run_id: str) -> None:
        with self._lock:
            run = self._runs.get(run_id)
            if run is not None:
                self._redact_run(run)

    def _redact_run(self, run: Run) -> None:
        error = None if run.error is None else REDACTED
        self._events[run.run_id] = []
        self._progress.pop(run.run_id, None)
        self._runs[run.run_id] = changed(run, {"prompt": REDACTED, "error": error})
