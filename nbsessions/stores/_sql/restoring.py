"""A whole session that comes from elsewhere, in one transaction."""

from __future__ import annotations

from nbsessions.exceptions import DamagedTurn, SessionExists
from nbsessions.records import LogEntry, Run, Usage
from nbsessions.stores._rows import daily, marks, runs, sessions, turns
from nbsessions.stores._rows.spent import columns
from nbsessions.stores._rows.turns import Tip
from nbsessions.stores._sql.connected import Connection
from nbsessions.stores._sql.marks import Marks
from nbsessions.stores._sql.moves import Moves
from nbsessions.stores._told import best_known
from nbsessions.stores.base import Bundle, Key, created, own_usage
from nbsessions.values import encode_json


class Restoring(Moves, Marks):
    """The primitive that takes in a session with all that it has."""

    def restore(self, bundle: Bundle) -> None:
        record = bundle.record
        key = Key.of(record)
        with self._writing() as db:
            owner = (record.owner, record.agent_name, key.conversation_id, record.name)
            same_id, same_name, _ = db.execute(sessions.PLACE, (*key, *owner, None)).fetchone()
            if same_id is not None or same_name is not None:
                raise SessionExists(same_name if same_id is None else same_id)
            restored = _Restored(self, db, bundle)
            state = restored.state(encode_json(record.state, "state"))
            values = sessions.session_values(record, state)
            # First of all: from here on, nobody collects the turns that are found to be there.
            session = self._insert_row(db, sessions.INSERT_SESSION, values)
            restored.insert_turns()
            restored.insert_log(session)
            counts = {
                "checkpoint_count": restored.insert_checkpoints(session),
                "ended_run_count": restored.insert_runs(session),
                "value_count": restored.insert_values(session),
            }
            # Only now is it known where it stands.
            row, _ = self._session_row(db, key, sessions.SELECT_STAND)
            assert row is not None
            stand = sessions.Stand(row, {})
            draft = None if record.draft is None else restored.draft
            stand.moved.set(entry=restored.entry, draft_entry=draft, entry_count=restored.entries, **counts)
            stand.moved.set(**columns(own_usage(record.usage + restored.more, restored.others)))
            self._write(db, stand.moved)


class _Restored:
    """The numbers that the parts of a bundle get in a store."""

    def __init__(self, backend: Restoring, db: Connection, bundle: Bundle) -> None:
        self._backend, self._db, self._bundle = backend, db, bundle
        self._turns: dict[str | None, int | None] = {None: None}
        self._states: dict[str, int] = {}
        self._entries: dict[int | None, int] = {}
        self.entry: int | None = None
        self.draft: int | None = None
        self.others: list[Run] = []
        """Runs that are another session's here."""
        self.more = Usage()
        """What is known here that runs spent, beside what the bundle tells."""
        self._before: daily.Counts = {}
        self._after: daily.Counts = {}

    @property
    def entries(self) -> int:
        """How many log entries there are."""
        return len(self._entries)

    def state(self, body: str) -> int:
        """Return the number of a state, which is stored once."""
        if body not in self._states:
            self._states[body] = self._backend._intern_state(self._db, body)
        return self._states[body]

    def turn(self, turn_id: str | None) -> int | None:
        """Return the number of a turn, of the bundle or of the store."""
        if turn_id not in self._turns:
            self._turns[turn_id] = self._backend._turn_row(self._db, turn_id)
        return self._turns[turn_id]

    def insert_turns(self) -> None:
        tips: dict[str | None, Tip] = {None: Tip()}
        for turn in self._bundle.turns:
            known = self._db.execute(turns.SELECT_KNOWN, (turn.turn_id,)).fetchone()
            if known is not None:
                number, digest, *system = known
                if bytes(digest) != turn.hash:
                    raise DamagedTurn(turn.turn_id)
            else:
                tip = tips.get(turn.parent_id) or self._backend._tip(self._db, turn.parent_id)
                state = self.state(self._bundle.states.get(turn.turn_id, "{}"))
                values = turns.turn_values(turn, tip, state)
                number = self._backend._insert_row(self._db, turns.INSERT_TURN, values)
                system = [int(turn.has_system), tip.system]
            tips[turn.turn_id] = Tip(number, *system)
            self._turns[turn.turn_id] = number

    def insert_log(self, session: int) -> None:
        for entry in self._bundle.log or [created(self._bundle.record)]:
            number = self._insert_entry(session, entry)
            self._entries[entry.entry_id] = number
            if entry.draft:
                self.draft = number
            else:
                self.entry = number

    def _insert_entry(self, session: int, entry: LogEntry) -> int:
        what = (entry.action, entry.done, int(entry.draft))
        counts = (entry.message_count, entry.turn_count)
        before, base = self._entries.get(entry.before), self._entries.get(entry.base)
        turn, state = self.turn(entry.head.turn_id), self.state(entry.state)
        return self._backend._enter(
            self._db, session, what, turn, entry.head, counts, state, entry.at, before, base
        )

    def insert_checkpoints(self, session: int) -> int:
        """Insert those that are there nowhere else, and return how many."""
        count = 0
        for made in self._bundle.checkpoints:
            known = self._db.execute(marks.OWNER_OF, (made.checkpoint_id,)).fetchone()
            if known is not None and known[1] is not None:
                continue
            if known is not None:
                self._db.execute(marks.DELETE_CHECKPOINT, known[:1])
            state = self.state(encode_json(made.state, "state"))
            values = marks.checkpoint_values(made, self.turn(made.head.turn_id), session, state)
            self._db.execute(marks.INSERT_CHECKPOINT, values)
            count += 1
        return count

    def insert_runs(self, session: int) -> int:
        """Insert the runs that are no other session's, and return how many of them have ended."""
        progress = {kept.run_id: kept for kept in self._bundle.progress}
        ended = 0
        for run in self._bundle.runs:
            known = self._db.execute(runs.OWNER_OF, (run.run_id,)).fetchone()
            if known is not None and known[1] is not None:
                self.others.append(run)
                continue
            # Of a session that was deleted, it was kept what its runs spent.
            mine = run if known is None else self._taken_out(run, known[0])
            number = self._insert_run(session, mine, progressed=run.run_id in progress)
            if run.run_id in progress:
                values = runs.progress_values(number, progress[run.run_id])
                self._db.execute(runs.PUT_PROGRESS, values)
            ended += mine.status != "running"
        # At once, in one order: two who restore sessions at the same time would wait for each other.
        self._backend._count_daily(self._db, self._before, self._after)
        return ended

    def _taken_out(self, run: Run, number: int) -> Run:
        """Take a run out that was kept without its session, and return it with what is known of both."""
        daily.add(self._before, self._backend._run(self._db, run.run_id).counted)
        (row,) = self._backend._fetch(self._db, f"{runs.SELECT_RUN} WHERE r.id = ?", (number,))
        best = best_known(run, runs.run(row))
        self.more += best.usage - run.usage
        self._db.execute(runs.DELETE_RUN, (number,))
        return best

    def _insert_run(self, session: int, run: Run, *, progressed: bool) -> int:
        base = self.turn(run.base.turn_id)
        values = runs.run_values(run, session, base, self._found(run.turn_id), progressed=progressed)
        number = self._backend._insert_row(self._db, runs.INSERT_RUN, values)
        daily.add(self._after, runs.counted(run))
        for event in self._bundle.events.get(run.run_id, ()):
            data = encode_json(event.data, "event")
            self._db.execute(runs.INSERT_EVENT, runs.event_values(number, event.seq, event.type, data))
        return number

    def _found(self, turn_id: str | None) -> int | None:
        """Return the number of a turn that may be gone."""
        try:
            return self.turn(turn_id)
        except DamagedTurn:
            return None

    def insert_values(self, session: int) -> int:
        for value in self._bundle.values:
            self._db.execute(marks.PUT_VALUE, marks.value_values(session, value))
        return len({value.name for value in self._bundle.values})
