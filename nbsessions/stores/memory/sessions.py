"""Sessions, the moves of their heads, and the log of those."""

from __future__ import annotations

import json
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import replace
from typing import Any

from nbsessions.exceptions import DamagedTurn, SessionExists
from nbsessions.records import Checkpoint, Head, LogEntry, Run, SessionPage, SessionRecord, Turn, Usage
from nbsessions.stores._listing import listed
from nbsessions.stores._told import best_known
from nbsessions.stores.base import (
    Bundle,
    Change,
    HeadMoved,
    Inherited,
    Key,
    Listing,
    Move,
    Query,
    created,
    own_usage,
)
from nbsessions.stores.memory.held import HeldSession, changed, plain
from nbsessions.stores.memory.runs import Runs
from nbsessions.values import encode_json, from_micros, micros


class Sessions(Runs):
    """The primitives that are about sessions; a move may end a run."""

    def insert(self, record: SessionRecord, *, inherits: Inherited | None = None) -> None:
        with self._lock:
            self._insert(record, inherits)

    def _insert(self, record: SessionRecord, inherits: Inherited | None) -> None:
        key = Key.of(record)
        if key in self._sessions:
            raise SessionExists(record.session_id)
        self._check_name(record)
        self._check_turn(record.head)
        session = HeldSession(_own(record))
        counts = (record.message_count, record.turn_count)
        state, at = encode_json(record.state, "state"), micros(record.created_at)
        self._enter(session, ("create", "create", False), record.head, counts, state, at, None)
        if inherits is not None and (held := self._documents.get(inherits.key)):
            self._documents[key] = {
                place: one for place, one in held.items() if place[0] == inherits.collection
            }
        self._sessions[key] = session

    def _check_name(self, record: SessionRecord) -> None:
        if record.name is None:
            return
        name, key = name_key(record), Key.of(record)
        for other in [held.record for held in self._sessions.values() if held.record.name == record.name]:
            if name_key(other) == name and Key.of(other) != key:
                raise SessionExists(record.name)

    def restore(self, bundle: Bundle) -> None:
        with self._lock:
            key = Key.of(bundle.record)
            if key in self._sessions:
                raise SessionExists(key.session_id)
            self._check_name(bundle.record)
            new = self._new_turns(bundle)
            others = [run for run in bundle.runs if self._is_others(run.run_id)]
            theirs = {run.run_id for run in others}
            came = {run.run_id: run for run in bundle.runs if run.run_id not in theirs}
            kept = {run_id: self._runs[run_id] for run_id in came if run_id in self._runs}
            runs = {run_id: best_known(run, kept.get(run_id, run)) for run_id, run in came.items()}
            more = sum((runs[run_id].usage - came[run_id].usage for run_id in kept), Usage())
            usage = own_usage(bundle.record.usage + more, others)
            session = self._renumbered(bundle._replace(record=changed(bundle.record, {"usage": usage})))
            # Nothing is refused from here on, but Ctrl-C may come anywhere: what can be found comes last.
            self._turns |= new
            self._states |= {turn_id: state for turn_id, state in bundle.states.items() if turn_id in new}
            self._events |= {run_id: list(bundle.events.get(run_id, ())) for run_id in runs}
            self._progress |= {kept.run_id: kept for kept in bundle.progress if kept.run_id in runs}
            self._values[key] = {value.name: value for value in bundle.values}
            for run_id, run in runs.items():
                self._runs.pop(run_id, None)
                self._runs[run_id] = run
            for made in bundle.checkpoints:
                own = made.model_copy(update={"session_id": key.session_id, "state": plain(made.state)})
                if self._checkpoints.get(made.checkpoint_id, (None, made))[0] is None:
                    self._checkpoints[made.checkpoint_id] = (key, own)
            self._sessions[key] = session

    def _is_others(self, run_id: str) -> bool:
        run = self._runs.get(run_id)
        return run is not None and run.session_id != ""

    def _new_turns(self, bundle: Bundle) -> dict[str, Turn]:
        new: dict[str, Turn] = {}
        for turn in bundle.turns:
            known = self._turns.get(turn.turn_id)
            if known is not None and known.hash != turn.hash:
                raise DamagedTurn(turn.turn_id)
            if turn.parent_id is not None and turn.parent_id not in new:
                self._check_turn(Head(turn.parent_id))
            if known is None:
                new[turn.turn_id] = turn
        heads = [bundle.record.head, *(entry.head for entry in bundle.log)]
        for head in (*heads, *(made.head for made in bundle.checkpoints)):
            if head.turn_id not in new:
                self._check_turn(head)
        return new

    def _renumbered(self, bundle: Bundle) -> HeldSession:
        session = HeldSession(_own(bundle.record))
        numbers: dict[int | None, int] = {}
        for entry in bundle.log or [created(bundle.record)]:
            self._last_entry += 1
            numbers[entry.entry_id] = self._last_entry
            before, base = numbers.get(entry.before), numbers.get(entry.base)
            own = entry._replace(entry_id=self._last_entry, before=before, base=base)
            session.entries[self._last_entry] = own
            if not entry.draft:
                session.current = self._last_entry
            elif bundle.record.draft is not None:
                session.draft = self._last_entry
        return session

    def get(self, key: Key) -> SessionRecord | None:
        with self._lock:
            session = self._sessions.get(key)
            return None if session is None else _own(session.record)

    def find(self, query: Query) -> list[SessionRecord]:
        with self._lock:
            held = (s.record for s in self._sessions.values() if query.name in (None, s.record.name))
            found = [_own(record) for record in held if _matches(record, query)]
        return _newest_first(found)[: query.limit]

    def listing(self, asked: Listing) -> SessionPage:
        with self._lock:
            held = [s.record for s in self._sessions.values() if _matches(s.record, asked.sessions)]
            page = listed(_newest_first(held), asked)
            return SessionPage(map(_own, page), page.total)

    def revision(self) -> str:
        with self._lock:
            changed_at = hash(tuple(held.record.updated_at for held in self._sessions.values()))
            events = sum(run.event_count for run in self._runs.values())
            return f"{changed_at} {self._last_entry} {len(self._runs)} {events}"

    def update(self, key: Key, changes: Mapping[str, Any], at: int) -> SessionRecord:
        with self._lock:
            session = self._session(key)
            record = changed(session.record, {**changes, "updated_at": from_micros(at)})
            self._check_name(record)
            session.record = _own(record)
            return _own(record)

    def get_all(self, keys: Sequence[Key]) -> dict[Key, SessionRecord]:
        with self._lock:
            return {key: _own(self._sessions[key].record) for key in keys if key in self._sessions}

    def update_all(self, changes: Sequence[Change], at: int) -> dict[Key, SessionRecord]:
        with self._lock:
            after: dict[Key, HeldSession] = {}
            for change in (change for change in changes if self._is_expected(change)):
                session = self._sessions[change.key]
                record = changed(session.record, change.fields(at))
                after[change.key] = replace(session, record=_own(record))
            self._check_names(after)
            self._sessions = {**self._sessions, **after}  # in one step, whenever Ctrl-C comes
            return {key: _own(session.record) for key, session in after.items()}

    def _is_expected(self, change: Change) -> bool:
        session = self._sessions.get(change.key)
        return session is not None and change.is_expected(session.record)

    def _check_names(self, after: Mapping[Key, HeldSession]) -> None:
        """Refuse sessions to be stored of which one would have a name that another has then."""
        others = (session.record for key, session in self._sessions.items() if key not in after)
        taken = {name_key(record) for record in others}
        for session in after.values():
            name = name_key(session.record)
            if name in taken:
                raise SessionExists(session.record.label)
            taken.add(name)

    def delete(self, keys: Sequence[Key], *, seen: Sequence[int] | None = None, at: int = 0) -> int:
        with self._lock:
            both = ((key, None) for key in keys) if seen is None else zip(keys, seen, strict=True)
            answering = {Key.of(run) for run in self._runs.values() if _is_under_way(run, at)}
            gone = {key for key, known in both if self._is_deletable(key, known, answering)}
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
                "_documents": {key: held for key, held in self._documents.items() if key not in gone},
            }
            vars(self).update(after)  # in one step, whenever Ctrl-C comes
            return len(gone)

    def _is_deletable(self, key: Key, seen: int | None, answering: Container[Key]) -> bool:
        session = self._sessions.get(key)
        if session is None or seen is None:
            return session is not None
        return micros(session.record.updated_at) == seen and key not in answering

    def move(self, move: Move) -> SessionRecord:
        with self._lock:
            made = bool(move.turns) and move.turns[-1].turn_id in self._turns
            if made:
                run = None if move.finish is None else self._runs.get(move.finish.run_id)
                return _own(self._session(move.key if run is None else Key.of(run)).record)
            session = HeldSession(move.create) if move.create is not None else self._session(move.key)
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
                    self._insert(move.create, move.inherits)
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

    def _move(self, session: HeldSession, move: Move, present: LogEntry) -> None:
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
        session.record = changed(session.record, changes)
        if move.instead_of is not None:
            self._end_draft(*move.instead_of)

    def _end_draft(self, key: Key, entry_id: int) -> None:
        session = self._sessions.get(key)
        if session is not None and session.draft == entry_id:
            session.draft = None
            session.record = changed(session.record, {"draft": None})

    def _enter(
        self,
        session: HeldSession,
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

    def log(self, key: Key, limit: int | None = None, *, above: int = -1) -> list[LogEntry]:
        with self._lock:
            entries = reversed(self._session(key).entries.values())
            return [entry for entry in entries if entry.message_count > above][:limit]

    def origin(self, key: Key) -> LogEntry:
        with self._lock:
            return next(iter(self._session(key).entries.values()))

    def current(self, key: Key, *, draft: bool) -> LogEntry:
        with self._lock:
            return self._current(self._session(key), draft)

    def _current(self, session: HeldSession, draft: bool) -> LogEntry:
        return session.entries[session.draft if draft and session.draft else session.current]

    def entry(self, entry_id: int) -> LogEntry | None:
        with self._lock:
            logs = (session.entries for session in self._sessions.values())
            return next((entries[entry_id] for entries in logs if entry_id in entries), None)


_ANONYMOUS: dict[str, Any] = {
    **dict.fromkeys(("conversation_id", "prompt", "error", "cell_id", "retry_of", "turn_id")),
    "session_id": "",
}


def _is_under_way(run: Run, at: int) -> bool:
    return run.status == "running" and run.lease_until is not None and micros(run.lease_until) > at


def _anonymous(run: Run) -> Run:
    # An agent that is still answering needs what it answers from.
    base = run.base if run.status == "running" else Head()
    return changed(run, {**_ANONYMOUS, "base": base})


def _own(record: SessionRecord) -> SessionRecord:
    """Return a record that shares nothing with the caller's."""
    return record.model_copy(
        update={
            "tags": list(record.tags),
            "metadata": json.loads(encode_json(record.metadata, "metadata")),
            "state": plain(record.state),
        }
    )


def _without_session(checkpoint: Checkpoint) -> Checkpoint:
    return checkpoint.model_copy(update={"session_id": ""})


def name_key(record: SessionRecord) -> tuple[object, ...]:
    """Return what no two sessions may have alike."""
    if record.name is None:
        return (record.session_id, record.conversation_id, "unnamed")
    return (record.owner, record.agent_name, record.conversation_id, record.name)


def _newest_first(found: list[SessionRecord]) -> list[SessionRecord]:
    # Of those of one moment, the one that was stored last comes first.
    found.reverse()
    found.sort(key=lambda record: record.updated_at, reverse=True)
    return found


def _matches(record: SessionRecord, query: Query) -> bool:
    sid = record.session_id
    return (
        query.conversation_id in (None, record.conversation_id or "")
        and (record.conversation_id is not None or not query.called)
        and query.session_id in (None, sid)
        and sid.startswith(query.prefix or "")
        and sid.endswith(query.suffix or "")
        and query.agent_name in (None, record.agent_name)
        and query.owner in (None, record.owner)
        and query.notebook in (None, record.notebook)
        and query.parent_session_id in (None, record.parent_session_id)
        and (query.parents is None or record.parent_session_id in query.parents)
        and (query.tag is None or query.tag in record.tags)
        and (query.since is None or micros(record.updated_at) >= query.since)
        and (query.until is None or micros(record.updated_at) <= query.until)
    )
