"""
A store as one owner sees it: whatever is somebody else's is not there.

Sessions belong to owners, turns do not: forks share them. So a turn, or an entry of a head log, is there for
whoever was led to it by a session of theirs: what a primitive has told of it is known, and nothing else is.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from nbsessions.exceptions import (
    DamagedTurn,
    InvalidInput,
    NotOwner,
    RunNotFound,
    SessionConflict,
    SessionExists,
    SessionNotFound,
)
from nbsessions.hashes import is_intact
from nbsessions.records import Checkpoint, Event, Head, LogEntry, Run, SessionPage, SessionRecord, Step, Turn
from nbsessions.secrets import Secrets
from nbsessions.stores.base import (
    Backend,
    Bundle,
    Change,
    Columns,
    Document,
    Documents,
    Finish,
    Found,
    HeadMoved,
    Inherited,
    Key,
    Listing,
    Move,
    Piece,
    Progress,
    Query,
    Spending,
    Total,
    Value,
    Visit,
    Wanted,
)

_NOWHERE = Key("", "")


class OwnedBackend(Backend):
    """The sessions of one owner in another store, with all that hangs on them.

    It remembers what it has told of turns, and is made anew for each request: making one costs nothing.
    Closing it leaves the other store open.

    Parameters
    ----------
    inner : Backend
    owner : str

    Examples
    --------
    >>> import nbsessions as nbs
    >>> store = nbs.open_store("memory:")
    >>> _ = store.create("plan")
    >>> OwnedBackend(store.backend, "somebody else").find(Query())
    []
    """

    def __init__(self, inner: Backend, owner: str) -> None:
        self.url, self.persistent, self.note = inner.url, inner.persistent, inner.note
        self.secrets: Secrets | None = inner.secrets
        self._inner, self._owner = inner, owner
        self._turns: set[str] = set()
        self._entries: set[int] = set()
        self._started: set[str] = set()
        self._held: dict[Key, SessionRecord] = {}

    def hold(self, record: SessionRecord) -> None:
        """Let the next change of a session be made only where it still is as it was told.

        What moves its head looks for that anyway, by where the head stands.

        Examples
        --------
        >>> import nbsessions as nbs
        >>> store = nbs.open_store("memory:")
        >>> backend = OwnedBackend(store.backend, store.owner)
        >>> session = store.create("plan")
        >>> backend.hold(session.record)
        >>> session.rename("essay")
        >>> backend.update(session.key, {"tags": ["draft"]}, 0)
        Traceback (most recent call last):
        nbsessions.exceptions.SessionConflict: ...
        """
        self._held[Key.of(record)] = record

    # What is known

    def _own(self, record: SessionRecord | None) -> SessionRecord | None:
        if record is None or record.owner != self._owner:
            return None
        self._know(record.head, record.draft or Head())
        return record

    def _has(self, key: Key) -> bool:
        return self._own(self._inner.get(key)) is not None

    def _need(self, key: Key) -> Key:
        if not self._has(key):
            raise SessionNotFound(key.session_id)
        return key

    def _know(self, *heads: Head) -> None:
        self._turns |= {head.turn_id for head in heads if head.turn_id is not None}

    def _entry(self, entry: LogEntry) -> LogEntry:
        self._know(entry.head)
        self._entries |= {number for number in (entry.entry_id, entry.before, entry.base) if number}
        return entry

    def _need_turn(self, turn_id: str) -> str:
        if turn_id not in self._turns:
            raise DamagedTurn(turn_id)
        return turn_id

    def _told(self, turns: Iterable[Turn]) -> list[Turn]:
        told = list(turns)
        self._turns |= {name for turn in told for name in (turn.turn_id, turn.parent_id) if name is not None}
        return told

    def _run(self, run: Run) -> Run:
        self._know(run.base, Head(run.turn_id))
        return run

    def _need_run(self, run_id: str) -> str:
        # One that was begun here goes on where its session was deleted meanwhile: it is paid for.
        if run_id not in self._started and self.get_run(run_id) is None:
            raise RunNotFound(f"No run {run_id!r} in this store.", run_id)
        return run_id

    def _asked(self, query: Query) -> Query | None:
        """Return a query for one's own sessions; None: it asks for somebody else's alone."""
        return query._replace(owner=self._owner) if query.owner in (None, self._owner) else None

    def _refused(self, what: str) -> InvalidInput:
        return InvalidInput(f"{what} is for whoever has the whole store, not for one of its owners.")

    # Sessions

    def insert(self, record: SessionRecord, *, inherits: Inherited | None = None) -> None:
        self._check_new(record)
        self._check_heads(set(), record.head, record.draft or Head())
        self._inner.insert(record, inherits=self._from_own(inherits))

    def _from_own(self, inherits: Inherited | None) -> Inherited | None:
        """Return what a session inherits from one of one's own; nothing from anybody else's."""
        return inherits if inherits is not None and self._has(inherits.key) else None

    def _check_new(self, record: SessionRecord) -> None:
        if record.owner != self._owner:
            raise NotOwner(record.label, record.owner)

    def _check_heads(self, new: set[str], *heads: Head) -> None:
        for head in heads:
            if head.turn_id is not None and head.turn_id not in new:
                self._need_turn(head.turn_id)

    def _check_turns(self, turns: Iterable[Turn]) -> set[str]:
        """Return the ids of turns that come from outside, each whole, and on top of one that is known."""
        new: set[str] = set()
        for turn in turns:
            # Who has no more than the id and the hash of a turn shall not be shown what it says.
            if not is_intact(turn):
                raise DamagedTurn(turn.turn_id)
            self._check_heads(new, Head(turn.parent_id))
            new.add(turn.turn_id)
        return new

    def restore(self, bundle: Bundle) -> None:
        record = bundle.record
        self._check_new(record)
        new = self._check_turns(bundle.turns)
        self._check_heads(new, record.head, record.draft or Head())
        self._check_heads(new, *(entry.head for entry in bundle.log))
        self._check_heads(new, *(checkpoint.head for checkpoint in bundle.checkpoints))
        self._check_heads(new, *(run.base for run in bundle.runs))
        # What a run committed may be gone, and then is none.
        there = self._turns | new | {None}
        runs = [
            run if run.turn_id in there else run.model_copy(update={"turn_id": None}) for run in bundle.runs
        ]
        try:
            self._inner.restore(bundle._replace(runs=runs))
        except SessionExists as error:
            if error.ref == record.session_id and not self._has(Key.of(record)):
                raise InvalidInput(f"The id {error.ref!r} is taken in this store: give it another.") from None
            raise
        self._turns |= new

    def get(self, key: Key) -> SessionRecord | None:
        return self._own(self._inner.get(key))

    def get_all(self, keys: Sequence[Key]) -> dict[Key, SessionRecord]:
        found = self._inner.get_all(keys)
        return {key: record for key, record in found.items() if self._own(record) is not None}

    def find(self, query: Query) -> list[SessionRecord]:
        asked = self._asked(query)
        found = [] if asked is None else self._inner.find(asked)
        return [record for record in found if self._own(record) is not None]

    def listing(self, asked: Listing) -> SessionPage:
        sessions = self._asked(asked.sessions)
        if sessions is None:
            return SessionPage([], 0)
        page = self._inner.listing(asked._replace(sessions=sessions))
        return SessionPage([record for record in page if self._own(record) is not None], page.total)

    def update(self, key: Key, changes: Mapping[str, Any], at: int) -> SessionRecord:
        self._need(key)
        if key in self._held:
            return self.update_all([Change(key, changes)], at)[key]
        return self._inner.update(key, changes, at)

    def update_all(self, changes: Sequence[Change], at: int) -> dict[Key, SessionRecord]:
        owned = [one._replace(expected={**one.expected, **self._expected(one.key)}) for one in changes]
        found = self._inner.update_all(owned, at)
        for held in [self._held.pop(one.key) for one in changes if one.key in self._held]:
            if Key.of(held) not in found:
                raise SessionConflict(held.label, ours=held.head.turn_id, theirs=held.head.turn_id)
        return {key: record for key, record in found.items() if self._own(record) is not None}

    def _expected(self, key: Key) -> dict[str, Any]:
        held = self._held.get(key)
        return {"owner": self._owner} | ({} if held is None else {"updated_at": held.updated_at})

    def delete(self, keys: Sequence[Key], *, seen: Sequence[int] | None = None, at: int = 0) -> int:
        own = self.get_all(keys)
        if seen is not None:
            seen = [moment for key, moment in zip(keys, seen, strict=True) if key in own]
        meant = [key for key in keys if key in own]
        return self._inner.delete(meant, seen=seen, at=at) if meant else 0

    def move(self, move: Move) -> SessionRecord:
        if move.create is None:
            self._need(move.key)
        else:
            self._check_new(move.create)
            self._check_heads(set(), move.create.head)
            move = move._replace(inherits=self._from_own(move.inherits))
        if move.instead_of is not None:
            self._need(move.instead_of[0])
        if move.finish is not None:
            self._need_run(move.finish.run_id)
        new = self._check_turns(move.turns)
        self._check_heads(new, move.head)
        try:
            record = self._inner.move(move)
        except HeadMoved as moved:
            if self._own(moved.record) is None:
                raise SessionNotFound(move.key.session_id) from None
            raise
        self._turns |= new
        if self._own(record) is None:  # a turn of this id was committed elsewhere
            raise SessionNotFound(move.key.session_id)
        return record

    def log(self, key: Key, limit: int | None = None, *, above: int = -1) -> list[LogEntry]:
        return [self._entry(entry) for entry in self._inner.log(self._need(key), limit, above=above)]

    def origin(self, key: Key) -> LogEntry:
        return self._entry(self._inner.origin(self._need(key)))

    def entry(self, entry_id: int) -> LogEntry | None:
        found = self._inner.entry(entry_id) if entry_id in self._entries else None
        return None if found is None else self._entry(found)

    def current(self, key: Key, *, draft: bool) -> LogEntry:
        return self._entry(self._inner.current(self._need(key), draft=draft))

    # Turns

    def state_before(self, turn_id: str) -> str:
        return self._inner.state_before(turn_id) if turn_id in self._turns else "{}"

    def turn(self, turn_id: str) -> Turn | None:
        found = self._inner.turn(turn_id) if turn_id in self._turns else None
        return None if found is None else self._told([found])[0]

    def turns(self, turn_ids: Collection[str]) -> dict[str, Turn]:
        found = self._inner.turns([turn_id for turn_id in turn_ids if turn_id in self._turns])
        self._told(found.values())
        return found

    def chain(self, turn_id: str, *, messages: int | None = None) -> list[Turn]:
        return self._told(self._inner.chain(self._need_turn(turn_id), messages=messages))

    def asked_by(self, cell_id: str, turn_id: str) -> Turn | None:
        found = self._inner.asked_by(cell_id, self._need_turn(turn_id))
        return None if found is None else self._told([found])[0]

    def system_turns(self, turn_id: str) -> list[Turn]:
        return self._told(self._inner.system_turns(self._need_turn(turn_id)))

    def ancestors(self, turn_ids: Sequence[str], *, above: int = -1) -> dict[str, Step]:
        own = [turn_id for turn_id in turn_ids if turn_id in self._turns]
        found = self._inner.ancestors(own, above=above)
        self._turns |= found.keys()
        return found

    def scan(self, after: int, limit: int) -> list[tuple[int, Turn]]:
        raise self._refused("Reading all turns")

    def redact(self, key: Key, turn: Turn, *, was: str, text: str) -> bool:
        self._need(key)
        self._check_nobody_else_has(self._need_turn(turn.turn_id))
        return self._inner.redact(key, turn, was=was, text=text)

    def _check_nobody_else_has(self, turn_id: str) -> None:
        """Refuse where a session of another owner stands on this turn, or ever stood."""
        others = [one for one in self._inner.find(Query(conversation_id=None)) if one.owner != self._owner]
        tips = {entry.head.turn_id for one in others for entry in self._inner.log(Key.of(one))}
        if turn_id in self._inner.ancestors([tip for tip in tips if tip is not None]):
            text = "Somebody else's session has this message, too: it cannot be redacted here."
            raise InvalidInput(text)

    def redact_run(self, run_id: str) -> None:
        if self.get_run(run_id) is not None:
            self._inner.redact_run(run_id)

    def collect(self) -> int:
        raise self._refused("`gc`")

    # What hangs on sessions

    def add_checkpoint(self, key: Key, checkpoint: Checkpoint) -> None:
        self._need(key)
        self._check_heads(set(), checkpoint.head)
        self._inner.add_checkpoint(key, checkpoint)

    def checkpoints(self, key: Key, turn_id: str | None) -> list[Checkpoint]:
        at = turn_id if turn_id in self._turns else None
        found = self._inner.checkpoints(self._need(key), at)
        here = {name: self._made_here(name) for name in {one.session_id for one in found} - {key.session_id}}
        own = [one for one in found if here.get(one.session_id, True)]
        self._know(*(one.head for one in own))
        return own

    def _made_here(self, session_id: str) -> bool:
        """Tell whether one's own sessions alone have this id; who made the others' notes is not known."""
        found = self._inner.find(Query(conversation_id=None, session_id=session_id)) if session_id else []
        return bool(found) and all(record.owner == self._owner for record in found)

    def put_value(self, key: Key, value: Value, most: int) -> None:
        self._inner.put_value(self._need(key), value, most)

    def values(self, key: Key, at: int) -> list[Value]:
        return self._inner.values(self._need(key), at)

    def drop_values(self, key: Key, names: Sequence[str] | None = None) -> int:
        return self._inner.drop_values(self._need(key), names)

    def put_documents(self, key: Key, documents: Sequence[Document], *, keep: bool = False) -> None:
        self._inner.put_documents(self._need(key), documents, keep=keep)

    def documents(self, key: Key, asked: Documents = Documents()) -> list[Document]:
        return self._inner.documents(self._need(key), asked)

    def drop_documents(self, key: Key, asked: Documents = Documents()) -> int:
        return self._inner.drop_documents(self._need(key), asked)

    # Runs

    def start_run(self, run: Run) -> None:
        self._need(Key.of(run))
        self._check_heads(set(), run.base)
        self._inner.start_run(run)
        self._started.add(run.run_id)

    def save_progress(self, progress: Progress) -> None:
        self._need_run(progress.run_id)
        self._inner.save_progress(progress)

    def progress(self, run_id: str) -> Progress | None:
        return None if self.get_run(run_id) is None else self._inner.progress(run_id)

    def drop_events(self, run_id: str, before: int) -> None:
        self._inner.drop_events(self._need_run(run_id), before)

    def append_events(self, run_id: str, events: Sequence[tuple[str, str]], *, first: int) -> None:
        self._inner.append_events(self._need_run(run_id), events, first=first)

    def renew_lease(self, run_id: str, until: int) -> None:
        if self.get_run(run_id) is not None:
            self._inner.renew_lease(run_id, until)

    def finish_run(self, finish: Finish) -> Run:
        self._need_run(finish.run_id)
        return self._run(self._inner.finish_run(finish))

    def continue_run(self, run_id: str, worker: str, until: int) -> bool:
        continued = self._inner.continue_run(self._need_run(run_id), worker, until)
        self._started |= {run_id} if continued else set()
        return continued

    def get_run(self, run_id: str) -> Run | None:
        run = self._inner.get_run(run_id)
        return None if run is None or not self._has(Key.of(run)) else self._run(run)

    def runs(
        self, key: Key | None = None, *, status: str | None = None, last: int | None = None
    ) -> list[Run]:
        if key is not None:
            found = self._inner.runs(key, status=status, last=last) if self._has(key) else []
            return [self._run(run) for run in found]
        every = self._inner.runs(status=status)
        own = self.get_all(list({Key.of(run): None for run in every}))
        found = [self._run(run) for run in every if Key.of(run) in own]
        return found if last is None else found[max(0, len(found) - last) :]

    def events(self, run_id: str, *, after: int = -1, limit: int | None = None) -> list[Event]:
        return self._inner.events(self._need_run(run_id), after=after, limit=limit)

    def usage(self, asked: Spending) -> list[Total]:
        if asked.owner not in (None, self._owner) or not (asked.key is None or self._has(asked.key)):
            return []
        return self._inner.usage(asked._replace(owner=self._owner))

    # Notebooks

    def visit(self, owner: str, notebook: str, visit: Visit, at: int) -> None:
        if owner != self._owner:
            raise SessionNotFound(visit.key.session_id)
        self._need(visit.key)
        self._inner.visit(owner, notebook, visit, at)

    def last_visit(self, owner: str, notebook: str, *, up_to: int | None = None) -> Visit | None:
        if owner != self._owner:
            return None
        found = self._inner.last_visit(owner, notebook, up_to=up_to)
        if found is None or not self._has(found.key):
            return None
        self._entries |= {found.entry} if found.entry else set()
        return found

    # The whole store

    def search(self, wanted: Wanted) -> list[Found]:
        sessions = self._asked(wanted.sessions)
        if sessions is None:
            return []
        if wanted.up_to is None:
            found = self._inner.search(wanted._replace(sessions=sessions))
        elif wanted.up_to.turn_id not in self._turns:
            return []
        else:
            # On the way to a place that is known, all may be read, in whose session it was ever said.
            found = [self._hidden(one) for one in self._inner.search(wanted)]
        self._turns |= {one.turn_id for one in found}
        return found

    def _hidden(self, found: Found) -> Found:
        return found if self._has(found.key) else found._replace(key=_NOWHERE)

    def columns(self, asked: Columns, after: int = 0, *, checked: bool = False) -> Piece:
        sessions = self._asked(asked.sessions)
        if sessions is None:
            return Piece({name: [] for name in asked.names})
        return self._inner.columns(asked._replace(sessions=sessions), after, checked=checked)

    def backup(self, path: Path, new_store: Callable[[Path], None]) -> None:
        raise self._refused("A backup")

    def close(self) -> None:
        """Leave the store open: it is not this one's."""
