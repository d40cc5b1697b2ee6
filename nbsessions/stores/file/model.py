"""What a store holds, in memory, and the rows that tell it: written to the journal, and read from there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from hashlib import sha256
from typing import Any, Final, NamedTuple

from pydantic_core import from_json

from nbsessions.exceptions import SessionExists
from nbsessions.records import Checkpoint, Event, Head, LogEntry, Run, SessionRecord, Turn, Usage, trusted
from nbsessions.stores.base import Document, Key, Progress, Value, Visit
from nbsessions.stores.file.journal import Rows
from nbsessions.stores.file.names import name_of
from nbsessions.stores.memory import MemoryBackend
from nbsessions.stores.memory.held import HeldSession, changed
from nbsessions.stores.memory.sessions import name_key
from nbsessions.values import from_micros, micros

_EMPTY: Final = "{}"
_HASHES: Final = [
    place for place, name in enumerate(Turn._fields) if name in ("parent_hash", "content_hash", "hash")
]
_USAGE: Final = [name for name in Usage.model_fields if name != "cost"]


class Known(NamedTuple):
    """What is known of the file of a session, besides what the session says.

    Attributes
    ----------
    name : str or None
        Of the file, where it is another than the id gives it.
    taken : str or None
        The hash of a file that somebody else wrote, all of which the session says already.
    more : dict
        What such a file says under names that nobody here knows.
    counted : sequence of int
        The tokens that such a file told last, which have been counted.
    last_name : str or None
    metadata : str
        What it called the session, and what stands for the metadata that it told.
    """

    name: str | None = None
    taken: str | None = None
    more: Mapping[str, Any] = {}
    counted: Sequence[int] = (0, 0)
    last_name: str | None = None
    metadata: str = ""


class Unknown(ValueError):
    """A row of a kind that a newer version of nbsessions has brought."""


class Model(MemoryBackend):
    """The store in memory, which rows can be applied to and be taken from."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._known: dict[Key, Known] = {}
        self._places: dict[tuple[str, str], Key] = {}
        self._names: dict[tuple[object, ...], Key] = {}
        self._texts: dict[str, str] = {}
        self._redacted: set[str] = set()
        self._owed: dict[Key, bool] = {}
        self._removed: list[list[str]] = []
        self._live = 0

    def apply(self, rows: Rows) -> None:
        """Let a transaction of the journal happen here.

        Raises
        ------
        Unknown
        """
        # What comes next was written when the files of the line before were.
        self._owed, self._removed = {}, []
        for kind, *fields in rows:
            try:
                call = _KINDS[kind]
            except (KeyError, TypeError):
                raise Unknown(str(kind)) from None
            call(self, *fields)

    # Sessions

    def file_name(self, key: Key) -> str:
        """Return what the file of a session is called."""
        known = self._known.get(key)
        return known.name if known is not None and known.name else f"{name_of(key.session_id)}.json"

    def _check_name(self, record: SessionRecord) -> None:
        """Refuse a name that is taken, without looking at all there are."""
        name, key = name_key(record), Key.of(record)
        # Who had it last may have another name now, or be gone.
        other = self._sessions.get(self._names.get(name, key))
        if other is not None and name_key(other.record) == name and Key.of(other.record) != key:
            raise SessionExists(record.name or "")
        self._names[name] = key

    def _put_session(self, conversation: str, session_id: str, fields: dict[str, Any]) -> None:
        key = Key(conversation, session_id)
        stored = self._sessions.get(key)
        fixed = {
            **fields,
            "session_id": session_id,
            "conversation_id": conversation or None,
            "created_at": from_micros(fields["created_at"]),
        }
        if stored is not None:
            stored.record = changed(stored.record, fixed)
        else:
            first = {"updated_at": fixed["created_at"], "head": Head(), "draft": None, "message_count": 0}
            rest = {"turn_count": 0, "usage": Usage(), "model": None, "state": {}}
            self._sessions[key] = HeldSession(trusted(SessionRecord, {**first, **rest, **fixed}))
        self._names[name_key(self._sessions[key].record)] = key
        self._note_place(key)

    def _note_place(self, key: Key) -> None:
        self._places[key.conversation_id, self.file_name(key).lower()] = key
        self._owed.setdefault(key, False)

    def session_rows(self, key: Key) -> Rows:
        """Return the rows of what a session is; those of its file come first, which say where that is."""
        record = self._sessions[key].record
        fields = {
            "name": record.name,
            "agent_name": record.agent_name,
            "owner": record.owner,
            "tags": record.tags,
            "created_at": micros(record.created_at),
            "metadata": record.metadata,
            "notebook": record.notebook,
            "parent_session_id": record.parent_session_id,
        }
        return [*self.known_rows(key), ["session", *key, fields]]

    def _put_stand(
        self, conversation: str, session_id: str, at: int, current: int, draft: int | None, spent: list[Any]
    ) -> None:
        key = Key(conversation, session_id)
        session = self._sessions.get(key)
        if session is None:  # the line that made it is damaged
            return
        usage, model = spent
        # An entry that is not there was in a line that is damaged: it stands where it is known to have stood.
        session.current = current if current in session.entries else session.current
        session.draft = draft if draft in session.entries else None
        changes: dict[str, Any] = {"updated_at": from_micros(at), "usage": _usage(usage), "model": model}
        entry = session.entries.get(session.current)
        if entry is not None:
            changes |= {"head": entry.head, "state": from_json(entry.state)}
            changes |= {"message_count": entry.message_count, "turn_count": entry.turn_count}
        changes["draft"] = None if session.draft is None else session.entries[session.draft].head
        session.record = changed(session.record, changes)
        self._owed.setdefault(key, False)

    def stand_rows(self, key: Key) -> Rows:
        """Return the rows of where a session stands."""
        session = self._sessions[key]
        record = session.record
        spent = [_spent(record.usage), record.model]
        return [["stand", *key, micros(record.updated_at), session.current, session.draft, spent]]

    def _put_entry(self, conversation: str, session_id: str, fields: list[Any]) -> None:
        session = self._sessions.get(Key(conversation, session_id))
        if session is None:
            return
        entry_id, action, done, turn_id, keep, messages, turns, state, at, before, draft, base = fields
        text = self._texts.get(state, _EMPTY)
        entry = LogEntry(
            entry_id, action, done, Head(turn_id, keep), messages, turns, text, at, before, draft, base
        )
        session.entries[entry_id] = entry
        self._last_entry = max(self._last_entry, entry_id)

    def entry_rows(self, key: Key, after: int) -> Rows:
        """Return the rows of those entries of a session's log whose number is above `after`."""
        rows: Rows = []
        for entry in self._sessions[key].entries.values():
            if entry.entry_id > after:
                state = self._state_ref(entry.state, rows)
                where = (*entry[:3], *entry.head, entry.message_count, entry.turn_count, state)
                rows.append(["entry", *key, [*where, *entry[7:]]])
        return rows

    def _put_state(self, ref: str, text: str) -> None:
        self._texts[ref] = text

    def _state_ref(self, text: str, rows: Rows) -> str:
        """Return what stands for a state, which is written once."""
        if text == _EMPTY:
            return ""
        ref = sha256(text.encode()).hexdigest()[:32]
        if ref not in self._texts:
            self._texts[ref] = text
            rows.append(["state", ref, text])
        return ref

    def _put_known(self, conversation: str, session_id: str, *fields: Any) -> None:
        key = Key(conversation, session_id)
        self._known[key] = Known(*fields)
        self._note_place(key)

    def known_rows(self, key: Key) -> Rows:
        """Return the rows of what is known of a session's file."""
        return [["file", *key, *self._known[key]]] if key in self._known else []

    # Turns

    def _put_turn(self, fields: list[Any], state: str) -> None:
        for place in _HASHES:
            fields[place] = None if fields[place] is None else bytes.fromhex(fields[place])
        turn = Turn(*fields)
        if turn.content_hash is not None:
            self._redacted.add(turn.turn_id)
        self._turns[turn.turn_id] = turn
        self._states[turn.turn_id] = self._texts.get(state, _EMPTY)

    def turn_rows(self, turns: Iterable[Turn]) -> Rows:
        """Return the rows of turns."""
        rows: Rows = []
        for turn in turns:
            state = self._state_ref(self._states.get(turn.turn_id, _EMPTY), rows)
            fields = [part.hex() if isinstance(part, bytes) else part for part in turn]
            rows.append(["turn", fields, state])
        return rows

    # Runs

    def _put_run(self, fields: dict[str, Any]) -> None:
        run = Run.model_validate(fields)
        if "unpriced_tokens" not in run.usage.model_fields_set:
            run = changed(run, {"usage": _of_old(run.usage)})
        stored = self._runs.get(run.run_id)
        if stored is not None and run.session_id and not stored.session_id:
            del self._runs[run.run_id]  # its session was restored: it is the newest again
        self._runs[run.run_id] = run
        self._events.setdefault(run.run_id, [])

    def run_rows(self, run_id: str) -> Rows:
        """Return the rows of a run, its events apart."""
        return [["run", self._runs[run_id].model_dump(mode="json")]]

    def _put_lease(self, run_id: str, until: int) -> None:
        if run_id in self._runs:
            self._runs[run_id] = changed(self._runs[run_id], {"lease_until": from_micros(until)})

    def _put_events(self, run_id: str, count: int, events: list[Any]) -> None:
        log = self._events.setdefault(run_id, [])
        log += [trusted(Event, {"seq": seq, "type": kind, "data": data}) for seq, kind, data in events]
        if run_id in self._runs:
            self._runs[run_id] = changed(self._runs[run_id], {"event_count": count})

    def event_rows(self, run_id: str, events: Iterable[Event]) -> Rows:
        """Return the rows of some events of a run."""
        told = [[event.seq, event.type, event.data] for event in events]
        return [["events", run_id, self._runs[run_id].event_count, told]]

    def _drop_old(self, run_id: str, before: int) -> None:
        self._events[run_id] = [event for event in self._events.get(run_id, []) if event.seq >= before]

    def _put_progress(self, run_id: str, codec: str, body: str, usage: list[Any]) -> None:
        self._progress[run_id] = Progress(run_id, codec, body, _usage(usage))

    def progress_rows(self, run_id: str) -> Rows:
        """Return the rows of how far a run has come."""
        kept = self._progress.get(run_id)
        if kept is None:
            return [["committed", run_id]]
        return [["progress", run_id, kept.codec, kept.body, _spent(kept.usage)]]

    def _drop_progress(self, run_id: str) -> None:
        self._progress.pop(run_id, None)

    # Marks

    def _put_checkpoint(self, key: list[str] | None, fields: dict[str, Any]) -> None:
        made = Checkpoint.model_validate({**fields, "head": Head(*fields["head"])})
        if self._checkpoints.get(made.checkpoint_id, (None, made))[0] is None:
            self._checkpoints[made.checkpoint_id] = (None if key is None else Key(*key), made)

    def checkpoint_rows(self, checkpoint_id: str) -> Rows:
        """Return the rows of a checkpoint."""
        key, made = self._checkpoints[checkpoint_id]
        return [["checkpoint", key, made.model_dump(mode="json")]]

    def _put_value(self, conversation: str, session_id: str, *fields: Any) -> None:
        value = Value(*fields)
        self._values.setdefault(Key(conversation, session_id), {})[value.name] = value

    def _drop_values(self, conversation: str, session_id: str, names: list[str]) -> None:
        held = self._values.get(Key(conversation, session_id), {})
        for name in names:
            held.pop(name, None)

    def _put_documents(self, conversation: str, session_id: str, *fields: list[str]) -> None:
        held = self._documents.setdefault(Key(conversation, session_id), {})
        for collection, name, body in fields:
            held[collection, name] = Document(collection, name, body)

    def document_rows(self, key: Key) -> Rows:
        """Return the rows of a session's documents."""
        return [["documents", *key, document] for document in self._documents.get(key, {}).values()]

    def _drop_documents(self, conversation: str, session_id: str, *places: list[str]) -> None:
        held = self._documents.get(Key(conversation, session_id), {})
        for collection, name in places:
            held.pop((collection, name), None)

    def _put_visit(self, owner: str, notebook: str, fields: list[Any]) -> None:
        conversation, session_id, *rest = fields
        visit = Visit(Key(conversation, session_id), *rest)
        self._visits.setdefault((owner, notebook), []).append(visit)
        self._visit_count = max(self._visit_count, visit.visit_id)

    def visit_rows(self, owner: str, notebook: str, visits: Iterable[Visit]) -> Rows:
        """Return the rows of visits of a notebook."""
        return [["visit", owner, notebook, [*visit.key, *visit[1:]]] for visit in visits]

    # Files

    def _owe(self, keys: list[list[str]]) -> None:
        self._owed |= {Key(*key): True for key in keys}

    def _settle_files(self) -> None:
        """All files were written when the process that wrote the line before ended."""

    def _remove(self, files: list[list[str]]) -> None:
        self._removed += files

    def _count(self, entries: int, visits: int) -> None:
        self._last_entry = max(self._last_entry, entries)
        self._visit_count = max(self._visit_count, visits)

    def _note_size(self, size: int) -> None:
        self._live = size

    def snapshot(self) -> Iterator[Rows]:
        """Yield the rows of all there is, in small transactions."""
        self._texts = {}
        yield [["counts", self._last_entry, self._visit_count]]
        for turn in self._turns.values():
            yield self.turn_rows([turn])
        for key in self._sessions:
            rows = self.session_rows(key) + self.entry_rows(key, 0)
            yield rows + self.stand_rows(key)
        for run_id in self._runs:
            rows = self.run_rows(run_id)
            rows += self.event_rows(run_id, self._events[run_id]) if self._events.get(run_id) else []
            yield rows + (self.progress_rows(run_id) if run_id in self._progress else [])
        for checkpoint_id in self._checkpoints:
            yield self.checkpoint_rows(checkpoint_id)
        for key, values in self._values.items():
            yield [["value", *key, *value] for value in values.values()]
        for key in self._documents:
            yield self.document_rows(key)
        for (owner, notebook), visits in self._visits.items():
            yield self.visit_rows(owner, notebook, visits)


def _spent(usage: Usage) -> list[Any]:
    return [*(getattr(usage, name) for name in _USAGE), None if usage.cost is None else str(usage.cost)]


def _usage(fields: list[Any]) -> Usage:
    *counts, cost = fields
    named = dict(zip(_USAGE, counts, strict=False))
    usage = Usage(**named, cost=None if cost is None else Decimal(cost))
    return usage if "unpriced_tokens" in named else _of_old(usage)


def _of_old(usage: Usage) -> Usage:
    """Return what a journal said before it told what has no price."""
    unpriced = usage.total_tokens if usage.cost is None else 0
    return usage.model_copy(update={"unpriced_tokens": unpriced})


_KINDS: dict[str, Callable[..., None]] = {
    "session": Model._put_session,
    "stand": Model._put_stand,
    "entry": Model._put_entry,
    "state": Model._put_state,
    "file": Model._put_known,
    "turn": Model._put_turn,
    "run": Model._put_run,
    "lease": Model._put_lease,
    "events": Model._put_events,
    "dropped": Model._drop_old,
    "progress": Model._put_progress,
    "committed": Model._drop_progress,
    "checkpoint": Model._put_checkpoint,
    "value": Model._put_value,
    "no value": Model._drop_values,
    "documents": Model._put_documents,
    "no documents": Model._drop_documents,
    "visit": Model._put_visit,
    "owed": Model._owe,
    "removed": Model._remove,
    "settled": Model._settle_files,
    "counts": Model._count,
    "live": Model._note_size,
}
