"""
The contract of a store: few primitives, each one transaction.

What people call (`Store`, `Session`) is written once above these. Fork, rewind, undo and clear are
all one primitive, `move`: a compare-and-set of a session's head that may carry a new turn, the run
that made it, and an entry of the head log, and that is durable when it returns.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from decimal import Decimal
from functools import wraps
from inspect import signature
from pathlib import Path
from typing import Any, Final, TypeVar

from nbsessions.exceptions import InvalidInput
from nbsessions.hashes import chain_hash, content_hash, is_intact
from nbsessions.records import Checkpoint, Event, LogEntry, Run, SessionPage, SessionRecord, Step, Turn, Usage
from nbsessions.secrets import Secrets
from nbsessions.stores.arguments import (
    Bundle,
    Change,
    Document,
    Finish,
    Inherited,
    Key,
    Move,
    Progress,
    Value,
    Visit,
)
from nbsessions.stores.queries import (
    Columns,
    Documents,
    Found,
    Listing,
    Piece,
    Query,
    Spending,
    Total,
    Wanted,
)
from nbsessions.values import encode_json, micros

__all__ = [
    "Backend",
    "Bundle",
    "Change",
    "Columns",
    "Document",
    "Documents",
    "Finish",
    "Found",
    "HeadMoved",
    "Inherited",
    "Key",
    "Listing",
    "Move",
    "Piece",
    "Progress",
    "Query",
    "Spending",
    "Total",
    "Value",
    "Visit",
    "Wanted",
    "chain_hash",
    "content_hash",
    "created",
    "is_intact",
    "own_usage",
]


_T = TypeVar("_T")


class Backend(ABC):
    """Where sessions live. Members implement these primitives and nothing else.

    Every method may be called from any thread, and is all or nothing. A method that writes is
    durable when it returns, but for `start_run`, `append_events` and `renew_lease`, which must
    survive the death of the process and may be lost with the power.

    Raises
    ------
    StoreUnavailable
        From every method: read-only, locked for too long, full, gone.
    """

    url: str
    secrets: Secrets | None = Secrets()
    """Replaces keys and passwords in whatever it is given to write; None: they are stored as they come."""
    persistent: bool = True
    """Whether what it keeps outlives the process."""
    note: str | None = None
    """What a person should know of how it was opened."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        # Here, so that no member, and nobody who calls one, can go round it.
        for name, place in WRITTEN.items():
            if name in cls.__dict__ and not getattr(cls.__dict__[name], "__isabstractmethod__", False):
                setattr(cls, name, _without_secrets(cls.__dict__[name], place))

    def clean(self, value: _T) -> _T:
        """Return what is to be written as it will be stored: without secrets."""
        return value if self.secrets is None else self.secrets.clean_all(value)

    @abstractmethod
    def insert(self, record: SessionRecord, *, inherits: Inherited | None = None) -> None:
        """Store a new session, with a first log entry ``create``, and with what it inherits.

        Raises
        ------
        SessionExists
            The key, or the name for this owner, agent and conversation, is taken.
        """

    @abstractmethod
    def restore(self, bundle: Bundle) -> None:
        """Store a whole session as it was elsewhere, its log, runs and usage included, in one transaction.

        Turns that are there stay as they are: other sessions stand on them. So do checkpoints and runs of
        other sessions, and what those runs spent is counted there alone; of a run whose session was
        deleted, what was kept is taken over.

        Raises
        ------
        SessionExists
            The key, or the name for this owner, agent and conversation, is taken.
        DamagedTurn
            A turn has another hash here, or stands on one that is neither here nor in the bundle.
        """

    @abstractmethod
    def get(self, key: Key) -> SessionRecord | None:
        """Return the session of exactly this key."""

    def get_all(self, keys: Sequence[Key]) -> dict[Key, SessionRecord]:
        """Return those of these sessions that there are, in this order; here one after the other."""
        found = ((key, self.get(key)) for key in keys)
        return {key: record for key, record in found if record is not None}

    @abstractmethod
    def find(self, query: Query) -> list[SessionRecord]:
        """Return the sessions that `query` describes, most recently updated first."""

    def listing(self, asked: Listing) -> SessionPage:
        """Return one page of the sessions that `asked` describes; here by looking at each of them."""
        from nbsessions.stores._listing import listed

        return listed(self.find(asked.sessions._replace(limit=None)), asked)

    @abstractmethod
    def update(self, key: Key, changes: Mapping[str, Any], at: int) -> SessionRecord:
        """Set `name`, `tags`, `metadata`, `model` or `notebook`, and return what is stored then.

        Raises
        ------
        SessionNotFound, SessionExists
        """

    def update_all(self, changes: Sequence[Change], at: int) -> dict[Key, SessionRecord]:
        """Change several sessions as `update` does, and return those that were changed, as they are then.

        One that is gone, or is not as expected, stays as it is. A name may go from one to another of them.

        Here one after the other: a store that can do it in one transaction does, so that all of it is done
        or nothing.

        Raises
        ------
        SessionExists
        """
        from nbsessions.stores._one_by_one import update_all

        return update_all(self, changes, at)

    @abstractmethod
    def delete(self, keys: Sequence[Key], *, seen: Sequence[int] | None = None, at: int = 0) -> int:
        """Remove sessions, their logs and their events; keep what their runs spent, without names.

        Turns stay: other sessions may stand on them. Nothing of the rest is left in the files, as with
        `redact`. Returns how many sessions there were.

        With `seen`, the `updated_at` of each as the caller knows it, in microseconds, one that has changed
        since stays, and so does one with a run whose lease ends after `at`.

        Many are deleted in the order of `keys`: who hands in a sequence that tells what is taken from it
        can show how far it is.
        """

    @abstractmethod
    def move(self, move: Move) -> SessionRecord:
        """Do `move` in one transaction, and return the session as it is then.

        Raises
        ------
        HeadMoved
            Another writer moved the head first; nothing was written.
        SessionNotFound, SessionExists
        DamagedTurn
            The head, or the parent of a turn, is no turn of this store.
        """

    @abstractmethod
    def log(self, key: Key, limit: int | None = None, *, above: int = -1) -> list[LogEntry]:
        """Return the head log, newest first; only where the session had more messages than `above`."""

    @abstractmethod
    def origin(self, key: Key) -> LogEntry:
        """Return the first entry of the head log: where the session began. Raises SessionNotFound."""

    @abstractmethod
    def entry(self, entry_id: int) -> LogEntry | None:
        """Return one entry of a head log."""

    @abstractmethod
    def current(self, key: Key, *, draft: bool) -> LogEntry:
        """Return the entry at which the session stands; with `draft`, its draft where it has one.

        Raises
        ------
        SessionNotFound
        """

    @abstractmethod
    def state_before(self, turn_id: str) -> str:
        """Return the state that the session had when this turn was committed, as JSON.

        So what a session left behind at a turn is what its next turn began with; it stays with the
        turn, also where the session is deleted and a fork lives on.
        """

    @abstractmethod
    def turn(self, turn_id: str) -> Turn | None:
        """Return one turn."""

    def turns(self, turn_ids: Collection[str]) -> dict[str, Turn]:
        """Return those of these turns that there are, by id; here one after the other."""
        found = ((turn_id, self.turn(turn_id)) for turn_id in turn_ids)
        return {turn_id: turn for turn_id, turn in found if turn is not None}

    @abstractmethod
    def chain(self, turn_id: str, *, messages: int | None = None) -> list[Turn]:
        """Return the turns from the root to this one, oldest first.

        With `messages`, only as many of the last turns as hold the last so many messages.
        """

    @abstractmethod
    def asked_by(self, cell_id: str, turn_id: str) -> Turn | None:
        """Return the last turn that this notebook cell asked for, from the root to `turn_id`."""

    @abstractmethod
    def system_turns(self, turn_id: str) -> list[Turn]:
        """Return those ancestors of this turn whose `has_system` is true, oldest first."""

    @abstractmethod
    def ancestors(self, turn_ids: Sequence[str], *, above: int = -1) -> dict[str, Step]:
        """Return these turns and all above them, by id, without what they say.

        Only those up to and with which there are more messages than `above`.
        """

    @abstractmethod
    def scan(self, after: int, limit: int) -> list[tuple[int, Turn]]:
        """Return the next turns of the whole store in the order in which they were stored.

        Each has a number, above `after`; the first is above 0.
        """

    @abstractmethod
    def redact(self, key: Key, turn: Turn, *, was: str, text: str) -> bool:
        """Put the body and content hash of `turn` where the turn of its id has the body `was`.

        Returns False, and changes nothing, where it has another: somebody else redacted it meanwhile.
        What else tells the old body goes: the events and the progress of the run that committed it, and
        of those that it was tried again for; and of the ended runs of this session whose prompt is `text`,
        with that prompt and their errors. Nothing of it is left in the files of the store; what is in the
        way of that is told by a RuntimeWarning, because the rest is done.
        """

    @abstractmethod
    def redact_run(self, run_id: str) -> None:
        """Take away what a run was asked and what it told: prompt, error, events, progress.

        Nothing happens where there is no such run. Nothing of it is left in the files, as with `redact`.
        """

    @abstractmethod
    def collect(self) -> int:
        """Remove the turns that nothing reaches, and return how many.

        Kept are those that a head, a head log, a checkpoint of a session or a running run stands on, and
        all above them.
        """

    # Checkpoints

    @abstractmethod
    def add_checkpoint(self, key: Key, checkpoint: Checkpoint) -> None:
        """Store a checkpoint of a session; one of this id stays as it is. Raises SessionNotFound."""

    @abstractmethod
    def checkpoints(self, key: Key, turn_id: str | None) -> list[Checkpoint]:
        """Return the checkpoints of a session and those on the turns up to `turn_id`, newest first."""

    # Key-values

    @abstractmethod
    def put_value(self, key: Key, value: Value, most: int) -> None:
        """Store a value of a session. Raises SessionNotFound.

        Those that have expired by `value.at` go first. Where a new name would be one more than `most`,
        those that were written longest ago go.
        """

    @abstractmethod
    def values(self, key: Key, at: int) -> list[Value]:
        """Return a session's values that have not expired by `at`, the longest unchanged first."""

    @abstractmethod
    def drop_values(self, key: Key, names: Sequence[str] | None = None) -> int:
        """Remove values of a session, all where `names` is None; return how many there were."""

    # Documents

    @abstractmethod
    def put_documents(self, key: Key, documents: Sequence[Document], *, keep: bool = False) -> None:
        """Store documents of a session, in one transaction. Raises SessionNotFound.

        One of the same collection and name is replaced; with `keep`, it stays as it is. They belong to the
        session and not to a place on it, go with it when it is deleted, and are no part of what is exported.
        """

    @abstractmethod
    def documents(self, key: Key, asked: Documents = Documents()) -> list[Document]:
        """Return those documents of a session that `asked` describes. Raises SessionNotFound."""

    @abstractmethod
    def drop_documents(self, key: Key, asked: Documents = Documents()) -> int:
        """Remove the documents that `documents` gives, in one transaction; return how many there were."""

    # Runs

    @abstractmethod
    def start_run(self, run: Run) -> None:
        """Store a run before its agent is asked. Raises SessionNotFound."""

    @abstractmethod
    def save_progress(self, progress: Progress) -> None:
        """Keep how far a run has come, in place of what was kept before. Raises RunNotFound."""

    @abstractmethod
    def progress(self, run_id: str) -> Progress | None:
        """Return how far a run had come when that was last kept."""

    @abstractmethod
    def drop_events(self, run_id: str, before: int) -> None:
        """Remove the events of a run with `seq` below `before`; its `event_count` stays."""

    @abstractmethod
    def append_events(self, run_id: str, events: Sequence[tuple[str, str]], *, first: int) -> None:
        """Append events, (type, JSON), to a run's log, the first of them at position `first`.

        Where one is stored already, it stays as it is: who is not sure tries again. Raises RunNotFound.
        """

    @abstractmethod
    def renew_lease(self, run_id: str, until: int) -> None:
        """Say that the process of this run is alive, until this many microseconds since 1970.

        Nothing happens where there is no such run.
        """

    @abstractmethod
    def finish_run(self, finish: Finish) -> Run:
        """End a run that commits no turn, and add what it spent to its session. Raises RunNotFound."""

    @abstractmethod
    def continue_run(self, run_id: str, worker: str, until: int) -> bool:
        """Make a suspended run a running one of this worker, whose lease ends at `until`.

        Of several who want to go on with it one does: False, and nothing is changed, where it is not
        suspended. What it spent until then is counted again when it ends, and not before. Raises
        RunNotFound.
        """

    @abstractmethod
    def get_run(self, run_id: str) -> Run | None:
        """Return one run."""

    @abstractmethod
    def runs(
        self, key: Key | None = None, *, status: str | None = None, last: int | None = None
    ) -> list[Run]:
        """Return the runs of a session, or of all, oldest first; with `last`, only the last so many."""

    @abstractmethod
    def events(self, run_id: str, *, after: int = -1, limit: int | None = None) -> list[Event]:
        """Return a run's events with `seq` above `after`, in order."""

    def usage(self, asked: Spending) -> list[Total]:
        """Return what ended runs spent, in groups, in any order; here by looking at each of them.

        Every run is counted, those of deleted sessions, too, of which a session, its name, notebook, owner
        and tags are None. A session with several tags is counted for each.
        """
        from nbsessions.stores._spending import spending

        return spending(self, asked)

    def rebuild_usage(self) -> int:
        """Add up anew what `usage` is answered from; return of how many rows. Here there is nothing."""
        return 0

    # Notebooks

    @abstractmethod
    def visit(self, owner: str, notebook: str, visit: Visit, at: int) -> None:
        """Remember that this notebook's current session is now this one."""

    @abstractmethod
    def last_visit(self, owner: str, notebook: str, *, up_to: int | None = None) -> Visit | None:
        """Return the last visit of this notebook to a session that still exists.

        With `up_to`, the last one whose `visit_id` is not above it.
        """

    # The whole store

    def search(self, wanted: Wanted) -> list[Found]:
        """Return the messages that hold all terms, best first; here by reading all there are."""
        from nbsessions.stores._scan import search

        return search(self, wanted)

    def columns(self, asked: Columns, after: int = 0, *, checked: bool = False) -> Piece:
        """Return the next rows after a place as columns; here all at once, from records.

        Who can read columns without making a record of each row does it here. Such columns need not be held
        against checksums, but with `checked`: then what is damaged is told, and left out.
        """
        from nbsessions.stores._columns import of_records

        return of_records(self, asked)

    def revision(self) -> str:
        """Return a text that is another after every change of a session, by whomever.

        It may be another for less than that. Here the newest session and the number of them tell.
        """
        newest = self.listing(Listing(limit=1))
        return f"{newest.total} {newest[0].updated_at if newest else None}"

    def check(self) -> list[str]:
        """Return what is wrong with the files, one line each; here nothing is known of any."""
        return []

    def backup(self, path: Path, new_store: Callable[[Path], None]) -> None:
        """Write all of the store into a new SQLite file, as it is at one moment.

        `new_store` makes an empty store in a file, for whoever copies rows.
        """
        raise InvalidInput(f"The store {self.url} cannot be backed up: export its sessions instead.")

    @abstractmethod
    def close(self) -> None:
        """Let go of files and connections. Closing twice is allowed."""


WRITTEN: Final = {
    "insert": 0,
    "restore": 0,
    "update": 1,
    "update_all": 0,
    "move": 0,
    "redact": 1,
    "add_checkpoint": 1,
    "put_value": 1,
    "put_documents": 1,
    "start_run": 0,
    "save_progress": 0,
    "append_events": 1,
    "finish_run": 0,
    "visit": 2,
}
"""The primitives that store what somebody said, and which of their arguments that is."""


def _without_secrets(primitive: Callable[..., Any], place: int) -> Callable[..., Any]:
    """Return a primitive that gets what it is to write without secrets."""
    name = [*signature(primitive).parameters][place + 1]

    @wraps(primitive)
    def clean(self: Backend, *args: Any, **named: Any) -> Any:
        if self.secrets is None:
            return primitive(self, *args, **named)
        if name in named:
            return primitive(self, *args, **named | {name: self.secrets.clean_all(named[name])})
        return primitive(
            self, *args[:place], self.secrets.clean_all(args[place]), *args[place + 1 :], **named
        )

    return clean


class HeadMoved(Exception):
    """The head was not where the mover believed; `record` is the session as it is now."""

    def __init__(self, record: SessionRecord) -> None:
        super().__init__(record.session_id)
        self.record = record


def created(record: SessionRecord) -> LogEntry:
    """Return the first log entry of a session that was created where it stands."""
    counts, state = (record.message_count, record.turn_count), encode_json(record.state, "state")
    return LogEntry(1, "create", "create", record.head, *counts, state, micros(record.created_at), None)


def own_usage(usage: Usage, others: Sequence[Run]) -> Usage:
    """Return what a session spent without these runs, which are another session's."""
    left = usage - sum((run.usage for run in others), Usage())
    counts = {name: count for name, count in left if name != "cost"}
    cost = None if left.cost is None else max(left.cost, Decimal(0))
    return Usage(**{name: max(count, 0) for name, count in counts.items()}, cost=cost)


def is_same(backend: Backend, other: Backend) -> bool:
    """Tell whether two are one store, also where it was opened twice."""
    return backend is other or (backend.persistent and backend.url == other.url)
