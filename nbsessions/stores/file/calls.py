"""The calls of the contract: each is one made on the memory store, and a line of the journal."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from nbsessions.records import Checkpoint, Run, SessionRecord, Turn
from nbsessions.stores.base import (
    Bundle,
    Change,
    Document,
    Documents,
    Finish,
    Inherited,
    Key,
    Move,
    Progress,
    Query,
    Value,
    Visit,
)
from nbsessions.stores.file.files import Place
from nbsessions.stores.file.journal import Rows
from nbsessions.stores.file.model import Known
from nbsessions.stores.file.names import name_of
from nbsessions.stores.file.transactions import Transactions
from nbsessions.stores.memory import MemoryBackend

P = ParamSpec("P")
R = TypeVar("R")


def _reading(
    call: Callable[Concatenate[Any, P], R], *, looks: Callable[[Calls, Any], list[Place]] | None = None
) -> Callable[Concatenate[Calls, P], R]:
    """Return a call that first lets in what others have written; `looks` says where to look for that."""

    @wraps(call)
    def method(self: Calls, /, *args: P.args, **named: P.kwargs) -> R:
        with self._lock:
            if not self._writes:
                about = args[0] if args else next(iter(named.values()), None)
                self._catch_up(None if looks is None else lambda: looks(self, about))
            found = call(self, *args, **named)
        if self._to_tell:
            self.tell()
        return found

    return method


def _session_file(self: Calls, key: Key | None) -> list[Place]:
    return [] if key is None else self.changed(key)


def _session_files(self: Calls, keys: Sequence[Key]) -> list[Place]:
    return [place for key in dict.fromkeys(keys) for place in self.changed(key)]


def _asked_for(self: Calls, query: Query) -> list[Place]:
    if query.session_id is not None and query.conversation_id is not None:
        key = Key(query.conversation_id, query.session_id)
        return self.changed(key)
    return self.sweep(query.conversation_id)


class Calls(Transactions):
    """The primitives of a store in a folder."""

    # Sessions

    def insert(self, record: SessionRecord, *, inherits: Inherited | None = None) -> None:
        key = Key.of(record)
        with self._changing(key):
            self.refuse_bad(key)
            self._choose_name(key)
            self._do(lambda: MemoryBackend.insert(self, record, inherits=inherits))
            self._note_place(key)
            self._owe_file(key)
            rows = self.session_rows(key) + self.entry_rows(key, 0) + self.stand_rows(key)
            self._write(rows + self.document_rows(key))

    def restore(self, bundle: Bundle) -> None:
        key, last = Key.of(bundle.record), self._last_entry
        with self._changing(key):
            self.refuse_bad(key)
            self._choose_name(key)
            last, turns, runs = self._last_entry, set(self._turns), dict(self._runs)
            self._do(lambda: MemoryBackend.restore(self, bundle))
            self._note_place(key)
            self._owe_file(key)
            rows = self.session_rows(key)
            rows += self.turn_rows(turn for turn in bundle.turns if turn.turn_id not in turns)
            rows += self.entry_rows(key, last) + self.stand_rows(key)
            for run_id in [
                run.run_id for run in bundle.runs if self._runs[run.run_id] is not runs.get(run.run_id)
            ]:
                rows += self.run_rows(run_id) + self.event_rows(run_id, self._events[run_id])
                rows += self.progress_rows(run_id) if run_id in self._progress else []
            for made in bundle.checkpoints:
                rows += self.checkpoint_rows(made.checkpoint_id)
            self._write([*rows, *(["value", *key, *value] for value in bundle.values)])

    def _choose_name(self, key: Key) -> None:
        """Give a new session another file where its own differs from that of one in capitals alone."""
        taken = self._places.get((key.conversation_id, self.file_name(key).lower()))
        if taken is not None and taken != key:
            self._known[key] = Known(f"{name_of(key.session_id, other=True)}.json")

    def update(self, key: Key, changes: Mapping[str, Any], at: int) -> SessionRecord:
        with self._changing(key):
            record = self._do(lambda: MemoryBackend.update(self, key, changes, at))
            self._owe_file(key)
            self._write(self.session_rows(key) + self.stand_rows(key))
            return record

    def update_all(self, changes: Sequence[Change], at: int) -> dict[Key, SessionRecord]:
        with self._changing(*(change.key for change in changes)):
            done = self._do(lambda: MemoryBackend.update_all(self, changes, at))
            if not done:
                self._is_whole = True
                return done
            self._owe_file(*done)
            self._write([row for key in done for row in self.session_rows(key) + self.stand_rows(key)])
            return done

    def move(self, move: Move) -> SessionRecord:
        keys = {move.key, *([] if move.instead_of is None else [move.instead_of[0]])}
        with self._changing(*keys):
            if move.create is not None and Key.of(move.create) not in self._sessions:
                self.refuse_bad(move.key)
                self._choose_name(move.key)
            made = bool(move.turns) and move.turns[-1].turn_id in self._turns
            new = move.create is not None and move.key not in self._sessions
            last = self._last_entry
            events = self._event_count(move.finish)
            record = self._do(lambda: MemoryBackend.move(self, move))
            if made:
                self._is_whole = True
                return record
            rows = self.session_rows(move.key) + self.document_rows(move.key) if new else []
            rows += self.turn_rows(move.turns) + self.entry_rows(move.key, last)
            if move.finish is not None:
                rows += self._finish_rows(move.finish, events)
                keys.add(Key.of(self._runs[move.finish.run_id]))
            for key in keys:
                rows += self.stand_rows(key) if key in self._sessions else []
            if new:
                self._note_place(move.key)
            if not move.draft:
                self._owe_file(move.key)
            self._write(rows)
            return record

    def delete(self, keys: Sequence[Key], *, seen: Sequence[int] | None = None, at: int = 0) -> int:
        with self._changing(*keys):
            places = {key: self.place(key) for key in keys if key in self._sessions}
            count = self._do(lambda: MemoryBackend.delete(self, keys, seen=seen, at=at))
            gone = [key for key in places if key not in self._sessions]
            for key in gone:
                self._forget(key, places[key])
            if not gone:
                self._is_whole = True
                return count
            self._rewrite(places[key] for key in gone)
            self._unlink_removed()
            for conversation in {key.conversation_id for key in gone}:
                self.point_again(conversation)
            return count

    def _forget(self, key: Key, place: Place) -> None:
        self._known.pop(key, None)
        self._places.pop((key.conversation_id, place.name.lower()), None)
        for held in (self._owed, self._said, self._views):
            held.pop(key, None)

    # Turns

    def redact(self, key: Key, turn: Turn, *, was: str, text: str) -> bool:
        with self._changing(key):
            done = self._do(lambda: MemoryBackend.redact(self, key, turn, was=was, text=text))
            if not done:
                self._is_whole = True
                return False
            self._redacted.add(turn.turn_id)
            self._said, self._views = {}, {}
            heads = ((k, s.record.head.turn_id) for k, s in self._sessions.items())
            self._owe_file(*(k for k, tip in heads if tip and turn.turn_id in self._ancestors(tip)))
            self._rewrite([])
            return True

    def _ancestors(self, turn_id: str) -> Mapping[str, object]:
        return MemoryBackend.ancestors(self, [turn_id])

    def redact_run(self, run_id: str) -> None:
        with self._changing():
            if run_id in self._runs:
                self._do(lambda: MemoryBackend.redact_run(self, run_id))
                self._rewrite([])

    def collect(self) -> int:
        with self._changing():
            count = self._do(lambda: MemoryBackend.collect(self))
            if count:
                self._redacted &= self._turns.keys()
                self._rewrite([])
            self._is_whole = True
            return count

    # Marks

    def add_checkpoint(self, key: Key, checkpoint: Checkpoint) -> None:
        with self._changing():
            known = checkpoint.checkpoint_id in self._checkpoints
            self._do(lambda: MemoryBackend.add_checkpoint(self, key, checkpoint))
            self._write([] if known else self.checkpoint_rows(checkpoint.checkpoint_id))

    def put_value(self, key: Key, value: Value, most: int) -> None:
        with self._changing():
            before = [*self._values.get(key, {})]
            self._do(lambda: MemoryBackend.put_value(self, key, value, most))
            gone = [name for name in before if name not in self._values[key]]
            rows: Rows = [["no value", *key, gone]] if gone else []
            self._write([*rows, ["value", *key, *value]])

    def drop_values(self, key: Key, names: Sequence[str] | None = None) -> int:
        with self._changing():
            before = [*self._values.get(key, {})]
            count = self._do(lambda: MemoryBackend.drop_values(self, key, names))
            gone = [name for name in before if name not in self._values.get(key, {})]
            self._write([["no value", *key, gone]])
            return count

    def put_documents(self, key: Key, documents: Sequence[Document], *, keep: bool = False) -> None:
        with self._changing():
            before = self._documents.get(key, {})
            self._do(lambda: MemoryBackend.put_documents(self, key, documents, keep=keep))
            after = self._documents[key]
            new = [document for place, document in after.items() if before.get(place) is not document]
            self._write([["documents", *key, *new]] if new else [])

    def drop_documents(self, key: Key, asked: Documents = Documents()) -> int:
        with self._changing():
            before = self._documents.get(key, {})
            count = self._do(lambda: MemoryBackend.drop_documents(self, key, asked))
            gone = [place for place in before if place not in self._documents[key]]
            self._write([["no documents", *key, *gone]] if gone else [])
            return count

    def visit(self, owner: str, notebook: str, visit: Visit, at: int) -> None:
        with self._changing():
            self._do(lambda: MemoryBackend.visit(self, owner, notebook, visit, at))
            self._write(self.visit_rows(owner, notebook, self._visits[owner, notebook][-1:]))

    # Runs

    def start_run(self, run: Run) -> None:
        with self._changing():
            self._do(lambda: MemoryBackend.start_run(self, run))
            self._write(self.run_rows(run.run_id), durable=False)

    def append_events(self, run_id: str, events: Sequence[tuple[str, str]], *, first: int) -> None:
        with self._changing():
            before = len(self._events.get(run_id, []))
            self._do(lambda: MemoryBackend.append_events(self, run_id, events, first=first))
            self._write(self.event_rows(run_id, self._events[run_id][before:]), durable=False)

    def drop_events(self, run_id: str, before: int) -> None:
        with self._changing():
            self._do(lambda: MemoryBackend.drop_events(self, run_id, before))
            self._write([["dropped", run_id, before]], durable=False)

    def save_progress(self, progress: Progress) -> None:
        with self._changing():
            self._do(lambda: MemoryBackend.save_progress(self, progress))
            self._write(self.progress_rows(progress.run_id), durable=False)

    def renew_lease(self, run_id: str, until: int) -> None:
        with self._changing():
            self._do(lambda: MemoryBackend.renew_lease(self, run_id, until))
            if run_id in self._runs:
                self._write([["lease", run_id, until]], durable=False)
            self._is_whole = True

    def finish_run(self, finish: Finish) -> Run:
        with self._changing():
            events = self._event_count(finish)
            run = self._do(lambda: MemoryBackend.finish_run(self, finish))
            rows, key = self._finish_rows(finish, events), Key.of(run)
            if key in self._sessions:
                rows += self.stand_rows(key)
                self._owe_file(key)
            self._write(rows)
            return run

    def continue_run(self, run_id: str, worker: str, until: int) -> bool:
        with self._changing():
            goes_on = self._do(lambda: MemoryBackend.continue_run(self, run_id, worker, until))
            if goes_on:
                rows, key = self.run_rows(run_id), Key.of(self._runs[run_id])
                if key in self._sessions:
                    rows += self.stand_rows(key)
                    self._owe_file(key)
                self._write(rows)
            self._is_whole = True
            return goes_on

    def _event_count(self, finish: Finish | None) -> int:
        return 0 if finish is None else len(self._events.get(finish.run_id, []))

    def _finish_rows(self, finish: Finish, before: int) -> Rows:
        new = self._events[finish.run_id][before:]
        rows = self.run_rows(finish.run_id) + (self.event_rows(finish.run_id, new) if new else [])
        return rows + ([] if finish.run_id in self._progress else [["committed", finish.run_id]])

    # Reading

    get = _reading(MemoryBackend.get, looks=_session_file)
    get_all = _reading(MemoryBackend.get_all, looks=_session_files)
    find = _reading(MemoryBackend.find, looks=_asked_for)
    listing = _reading(MemoryBackend.listing, looks=lambda self, asked: _asked_for(self, asked.sessions))
    revision = _reading(MemoryBackend.revision, looks=lambda self, _: self.sweep(None))
    log = _reading(MemoryBackend.log, looks=_session_file)
    origin = _reading(MemoryBackend.origin, looks=_session_file)
    current = _reading(MemoryBackend.current, looks=_session_file)
    entry = _reading(MemoryBackend.entry)
    state_before = _reading(MemoryBackend.state_before)
    turn = _reading(MemoryBackend.turn)
    chain = _reading(MemoryBackend.chain)
    ancestors = _reading(MemoryBackend.ancestors)
    scan = _reading(MemoryBackend.scan)
    checkpoints = _reading(MemoryBackend.checkpoints)
    values = _reading(MemoryBackend.values)
    documents = _reading(MemoryBackend.documents)
    progress = _reading(MemoryBackend.progress)
    get_run = _reading(MemoryBackend.get_run)
    runs = _reading(MemoryBackend.runs)
    events = _reading(MemoryBackend.events)
    last_visit = _reading(MemoryBackend.last_visit)
