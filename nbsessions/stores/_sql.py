"""
The store on SQL: one text for every database.

Members give connections and a dialect; see `sqlite`. Inside the database turns, runs and sessions
are linked by integers, which keeps a turn of two short messages near its own size.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, cast

from nbsessions.exceptions import DamagedSession, DamagedTurn, RunNotFound, SessionExists, SessionNotFound
from nbsessions.records import Checkpoint, Event, Head, LogEntry, Run, SessionRecord, Step, Turn, Usage
from nbsessions.stores._rows import checks, heads, marks, runs, sessions, turns, upkeep
from nbsessions.stores.base import Backend, Finish, HeadMoved, Key, Move, Progress, Query, Value, Visit
from nbsessions.values import encode_json, from_micros, micros

Row = Sequence[Any]
AT_ONCE = 500
"""So many ids fit into one statement on every database."""
_ANY = 2**62
_LOOKS = 3
"""Others may move it between two looks: only what is wrong each time is damaged."""


class Cursor(Protocol):
    """What both drivers' cursors can do."""

    def fetchone(self) -> Any: ...
    def fetchall(self) -> list[Any]: ...


class Connection(Protocol):
    """What both drivers' connections can do."""

    def execute(self, sql: str, params: Sequence[Any] = ..., /) -> Cursor: ...


class SQLBackend(Backend):
    """The primitives, as SQL."""

    @abstractmethod
    def _reading(self) -> AbstractContextManager[Connection]:
        """Lend a connection to read with."""

    @abstractmethod
    def _writing(self, *, durable: bool = True) -> AbstractContextManager[Connection]:
        """Lend a connection inside a transaction, committed at the end, rolled back on an error.

        Raises SessionExists where a session's key or name is taken.
        """

    @abstractmethod
    def _insert_row(self, db: Connection, sql: str, params: Sequence[Any]) -> int:
        """Insert one row, and return the id that it got: each database has a cheapest way to tell."""

    def _hold(self, db: Connection, key: Key) -> None:
        """Let no other writer change this session until the transaction ends.

        Where one transaction writes at a time, there is nothing to do.
        """

    # Sessions

    def insert(self, record: SessionRecord) -> None:
        with self._writing() as db:
            self._insert(db, record)

    def _insert(self, db: Connection, record: SessionRecord) -> None:
        key = Key.of(record)
        owner = (record.owner, record.agent_name, key.conversation_id, record.name)
        taken = db.execute(sessions.TAKEN, (*key, *owner)).fetchone()
        if taken:
            raise SessionExists(*taken)
        counts = (record.message_count, record.turn_count)
        state = self._intern_state(db, encode_json(record.state, "state"))
        place = (self._turn_row(db, record.head.turn_id), record.head.keep, *counts)
        session = self._insert_row(db, sessions.INSERT_SESSION, (*sessions.session_values(record), state))
        # Until it moves, it stands at its first entry: the session need not be written again to say so.
        done = ("create", "create", 0)
        self._enter(db, session, done, place, state, micros(record.created_at), None, None)

    def _check_name(self, db: Connection, record: SessionRecord) -> None:
        if record.name is None:
            return
        owner = (record.owner, record.agent_name, record.conversation_id or "", record.name)
        found = db.execute(
            "SELECT session_id FROM sessions WHERE owner = ? AND agent_name = ? AND conversation_id = ? "
            "AND name = ? AND session_id <> ?",
            (*owner, record.session_id),
        ).fetchone()
        if found:
            raise SessionExists(record.name)

    def get(self, key: Key) -> SessionRecord | None:
        with self._reading() as db:
            found = self._fetch(db, sessions.SELECT_WHOLE, key)
            # A damaged index may lead to another.
            meant = [row for row in found if (row[6], row[5]) == tuple(key)]
            return sessions.whole_session(meant[0], lambda one: self._is_turn(db, one)) if meant else None

    def _is_turn(self, db: Connection, turn_id: str) -> bool:
        return bool(db.execute("SELECT 1 FROM turns WHERE turn_id = ?", (turn_id,)).fetchone())

    def find(self, query: Query) -> list[SessionRecord]:
        where, params = sessions.where(query, self._tag_condition)
        limit = "" if query.limit is None else f" LIMIT {int(query.limit)}"
        sql = f"{sessions.SELECT_SESSION}{where} ORDER BY s.updated_at DESC, s.id DESC{limit}"
        with self._reading() as db:
            return sessions.sessions(self._fetch(db, sql, params))

    _tag_condition: str
    """A condition, with one placeholder, that the JSON array `s.tags` holds a value."""

    def _session(self, db: Connection, key: Key) -> SessionRecord:
        row = db.execute(sessions.SELECT_SESSION + sessions.BY_KEY, key).fetchone()
        if row is None:
            raise SessionNotFound(key.session_id)
        return sessions.session(row)

    def _stand(self, db: Connection, key: Key) -> Row:
        stand = db.execute(sessions.SELECT_STAND, key).fetchone()
        if stand is None:
            raise SessionNotFound(key.session_id)
        return cast(Row, stand)

    def update(self, key: Key, changes: Mapping[str, Any], at: int) -> SessionRecord:
        with self._writing() as db:
            self._hold(db, key)
            record = self._session(db, key)
            record = record.model_copy(update={**changes, "updated_at": from_micros(at)})
            self._check_name(db, record)
            columns = sessions.session_changes(record, changes)
            setters = ", ".join(f"{column} = ?" for column in columns)
            db.execute(
                f"UPDATE sessions SET {setters} WHERE id = ?", (*columns.values(), self._stand(db, key)[0])
            )
        return record

    def delete(self, keys: Sequence[Key], *, seen: Sequence[int] | None = None, at: int = 0) -> int:
        gone = 0
        with self._writing() as db:
            for number, key in enumerate(keys):
                self._hold(db, key)
                sql = f"SELECT s.id, s.updated_at FROM sessions s{sessions.BY_KEY}"
                found = db.execute(sql, key).fetchone()
                if found is None or (seen is not None and self._is_in_use(db, found, seen[number], at)):
                    continue
                gone += 1
                for statement in sessions.DELETE_SESSION:
                    db.execute(statement, found[:1])
            db.execute(upkeep.SET_BACK)
        return gone

    def _is_in_use(self, db: Connection, found: Row, seen: int, at: int) -> bool:
        sql = f"SELECT 1 FROM runs r WHERE r.session = ? AND {runs.RUNNING} AND r.lease_until > ?"
        return found[1] != seen or bool(db.execute(sql, (found[0], at)).fetchone())

    # Heads

    def move(self, move: Move) -> SessionRecord:
        with self._writing() as db:
            if move.again and self._was_made(db, move):
                return self._session(db, self._made_on(db, move))
            if move.create is not None:
                self._insert(db, move.create)
            self._hold(db, move.key)
            stand = self._stand(db, move.key)
            session, *saved = stand[:5]
            draft = stand[5:]
            entry, state, *head = draft[:4] if move.draft and draft[0] is not None else saved
            stale = move.draft_entry is not None and (draft[0] or 0) != move.draft_entry
            if Head(*head) != move.expected or stale:
                if self._was_made(db, move):
                    return self._session(db, self._made_on(db, move))
                raise HeadMoved(self._session(db, move.key))
            turn = None
            for made in move.turns:
                turn = self._insert_turn(db, made, state)
            if move.finish is not None:
                spent = self._finish(db, move.finish, turn, session)
                if spent is not move.finish.usage:
                    move = move._replace(finish=move.finish._replace(usage=spent))
            if move.instead_of is not None:
                key, draft_entry = move.instead_of
                db.execute(sessions.END_DRAFT, (*key, draft_entry))
            new = bool(move.turns) and move.turns[-1].turn_id == move.head.turn_id
            row = turn if new else self._turn_row(db, move.head.turn_id)
            base = draft[4] or saved[0] if move.draft else None
            return self._move(db, move, session, row, state, entry, base)

    def _was_made(self, db: Connection, move: Move) -> bool:
        """Tell whether this very move was made before, and is tried again."""
        last = [turn.turn_id for turn in move.turns[-1:]]
        return bool(last) and bool(db.execute("SELECT 1 FROM turns WHERE turn_id = ?", last).fetchone())

    def _made_on(self, db: Connection, move: Move) -> Key:
        run_id = None if move.finish is None else move.finish.run_id
        found = db.execute(runs.SESSION_OF_RUN, (run_id,)).fetchone()
        return move.key if found is None else Key(*found)

    def _move(
        self,
        db: Connection,
        move: Move,
        session: int,
        turn: int | None,
        state: int,
        before: int,
        base: int | None,
    ) -> SessionRecord:
        if move.state is not None:
            state = self._intern_state(db, move.state)
        counts = (move.total_messages, move.total_turns)
        link = move.before if move.undo else before
        done = (move.action, move.done or move.action, int(move.draft))
        entry = self._enter(db, session, done, (turn, move.head.keep, *counts), state, move.at, link, base)
        columns: dict[str, Any] = {"updated_at": move.at}
        if move.draft:
            columns["draft_entry"] = entry
        else:
            columns |= {"entry": entry, "state": state, "message_count": counts[0], "turn_count": counts[1]}
            columns |= {"head_turn": move.head.turn_id, "head_keep": move.head.keep}
        if move.ends_draft:
            columns["draft_entry"] = None
        sql = sessions.update_session(tuple(columns), spending=move.finish is not None)
        spent = () if move.finish is None else sessions.spend_values(move.finish)
        return sessions.session(db.execute(sql, (*columns.values(), *spent, session)).fetchone())

    def _insert_turn(self, db: Connection, turn: Turn, state: int) -> int:
        row, parent = db.execute(turns.INSERT_TURN, turns.turn_values(turn, state)).fetchone()
        if parent is None and turn.parent_id is not None:
            raise DamagedTurn(turn.parent_id)
        return int(row)

    def _turn_row(self, db: Connection, turn_id: str | None) -> int | None:
        if turn_id is None:
            return None
        found = db.execute("SELECT id FROM turns WHERE turn_id = ?", (turn_id,)).fetchone()
        if found is None:
            raise DamagedTurn(turn_id)
        return int(found[0])

    def _enter(
        self,
        db: Connection,
        session: int,
        what: tuple[str, str, int],
        place: tuple[int | None, int | None, int, int],
        state: int,
        at: int,
        before: int | None,
        base: int | None,
    ) -> int:
        """Write a line of the head log: its place is a turn, how many messages are kept, and the counts."""
        action, done, draft = what
        values = (session, action, done, draft, *place, state, at, before, base)
        return self._insert_row(db, heads.INSERT_HEAD, (*values, checks.crc(*values)))

    def _intern_state(self, db: Connection, state: str) -> int:
        if state == "{}":
            return 0
        return self._insert_row(db, heads.INSERT_STATE, (state, checks.crc(state)))

    def log(self, key: Key, limit: int | None = None) -> list[LogEntry]:
        with self._reading() as db:
            session = self._stand(db, key)[0]
            sql = f"{heads.SELECT_HEAD} WHERE h.session = ? ORDER BY h.id DESC"
            sql += "" if limit is None else f" LIMIT {int(limit)}"
            return [heads.log_entry(found) for found in self._fetch(db, sql, (session,))]

    def origin(self, key: Key) -> LogEntry:
        with self._reading() as db:
            session = self._stand(db, key)[0]
            sql = f"{heads.SELECT_HEAD} WHERE h.session = ? ORDER BY h.id LIMIT 1"
            return heads.log_entry(db.execute(sql, (session,)).fetchone())

    def current(self, key: Key, *, draft: bool) -> LogEntry:
        with self._reading() as db:
            for _ in range(_LOOKS):
                stand = self._stand(db, key)
                number = stand[5] if draft and stand[5] is not None else stand[1]
                row = db.execute(f"{heads.SELECT_HEAD} WHERE h.id = ?", (number,)).fetchone()
                # A draft stands at the last entry of one.
                last = (
                    db.execute(heads.LAST_DRAFT, (stand[0],)).fetchone() if number == stand[5] else (number,)
                )
                if row is not None and row[0] == stand[0] and last == (number,):
                    return heads.log_entry(row)
        raise DamagedSession(key.session_id, "log")

    def entry(self, entry_id: int) -> LogEntry | None:
        with self._reading() as db:
            row = db.execute(f"{heads.SELECT_HEAD} WHERE h.id = ?", (entry_id,)).fetchone()
        return None if row is None else heads.log_entry(row)

    def state_before(self, turn_id: str) -> str:
        with self._reading() as db:
            return checks.read_state(
                f"of turn {turn_id}", db.execute(heads.STATE_BEFORE, (turn_id,)).fetchone()
            )

    # Turns

    def turn(self, turn_id: str) -> Turn | None:
        with self._reading() as db:
            found = self._fetch(db, turns.SELECT_TURN, (turn_id,))
        return turns.turn(found[0]) if found else None

    def _fetch(self, db: Connection, sql: str, params: Sequence[Any]) -> list[Any]:
        """Fetch rows, also where a text in one is no text any more: its checksum will tell."""
        return db.execute(sql, params).fetchall()

    def chain(self, turn_id: str, *, messages: int | None = None) -> list[Turn]:
        with self._reading() as db:
            floor = -1
            if messages is not None:
                found = db.execute(
                    "SELECT total_messages FROM turns WHERE turn_id = ?", (turn_id,)
                ).fetchone()
                floor = -1 if found is None else found[0] - messages
            chain = self._fetch(db, turns.SELECT_CHAIN, (turn_id, floor))
            chain.sort(key=lambda row: row[4])
            above = chain[0][1] if chain else None
            parent = (None, None) if above is None else db.execute(turns.PARENT_OF, (above,)).fetchone()
            if parent is None:
                raise DamagedTurn(chain[0][0])
        return turns.linked(chain, *parent)

    def asked_by(self, cell_id: str, turn_id: str) -> Turn | None:
        with self._reading() as db:
            found = self._fetch(db, turns.SELECT_ASKED_BY, (turn_id, cell_id, cell_id))
        return turns.turn(found[0]) if found else None

    def system_turns(self, turn_id: str) -> list[Turn]:
        with self._reading() as db:
            found = self._fetch(db, turns.SELECT_SYSTEM_TURNS, (turn_id,))
        return [turns.turn(row) for row in found]

    def ancestors(self, turn_ids: Sequence[str]) -> dict[str, Step]:
        found: dict[str, Step] = {}
        with self._reading() as db:
            for start in range(0, len(turn_ids), AT_ONCE):
                tips = [turn_id for turn_id in turn_ids[start : start + AT_ONCE] if turn_id not in found]
                if tips:
                    fetched = db.execute(turns.select_steps(len(tips)), tips).fetchall()
                    found |= {row[0]: Step(*row) for row in fetched}
        return found

    def scan(self, after: int, limit: int) -> list[tuple[int, Turn]]:
        with self._reading() as db:
            return self._scan(db, after, limit)

    def _scan(self, db: Connection, after: int, limit: int) -> list[tuple[int, Turn]]:
        return [(row[-1], turns.turn(row)) for row in self._fetch(db, turns.SELECT_SCAN, (after, limit))]

    # Checkpoints

    def add_checkpoint(self, key: Key, checkpoint: Checkpoint) -> None:
        with self._writing() as db:
            self._hold(db, key)
            session = self._stand(db, key)[0]
            values = (
                checkpoint.checkpoint_id,
                checkpoint.name,
                checkpoint.head.keep,
                checkpoint.message_count,
                checkpoint.turn_count,
                micros(checkpoint.created_at),
                checkpoint.parent_id,
                self._turn_row(db, checkpoint.head.turn_id),
            )
            state = self._intern_state(db, encode_json(checkpoint.state, "state"))
            db.execute(marks.INSERT_CHECKPOINT, (*values, checks.crc(*values), session, state))

    def checkpoints(self, key: Key, turn_id: str | None) -> list[Checkpoint]:
        with self._reading() as db:
            session = self._stand(db, key)[0]
            found = self._fetch(db, marks.SELECT_CHECKPOINTS, (turn_id, session))
        return [marks.checkpoint(row) for row in found]

    # Key-values

    def put_value(self, key: Key, value: Value, most: int) -> None:
        with self._writing() as db:
            self._hold(db, key)
            session = self._stand(db, key)[0]
            db.execute(marks.EXPIRE_VALUES, (session, value.at))
            kept = db.execute(marks.OLDEST_VALUES, (session,)).fetchall()
            if value.name not in {name for _, name in kept}:
                for row, _ in kept[: max(0, len(kept) + 1 - most)]:
                    db.execute("DELETE FROM key_values WHERE id = ?", (row,))
            db.execute(marks.PUT_VALUE, (session, *value, checks.crc(*value)))

    def values(self, key: Key, at: int) -> list[Value]:
        with self._reading() as db:
            session = self._stand(db, key)[0]
            found = self._fetch(db, marks.SELECT_VALUES, (session, at))
        return [marks.value(key.session_id, row) for row in found]

    def drop_values(self, key: Key, names: Sequence[str] | None = None) -> int:
        with self._writing() as db:
            self._hold(db, key)
            session = self._stand(db, key)[0]
            kept = [name for _, name in db.execute(marks.OLDEST_VALUES, (session,)).fetchall()]
            gone = kept if names is None else [name for name in dict.fromkeys(names) if name in kept]
            for name in gone:
                db.execute("DELETE FROM key_values WHERE session = ? AND name = ?", (session, name))
        return len(gone)

    # Runs

    def start_run(self, run: Run) -> None:
        key = Key.of(run)
        with self._writing(durable=False) as db:
            self._hold(db, key)
            (session,) = db.execute(runs.INSERT_RUN, (*runs.run_values(run), *key)).fetchone()
            if session is None:
                raise SessionNotFound(run.session_id)

    def append_events(self, run_id: str, events: Sequence[tuple[str, str]], *, first: int) -> None:
        count = first + len(events)
        with self._writing(durable=False) as db:
            counted = db.execute(runs.COUNT_EVENTS, (count, count, run_id)).fetchone()
            self._insert_events(db, run_id, counted, events, first)

    def _insert_events(
        self, db: Connection, run_id: str, found: Row | None, events: Sequence[tuple[str, str]], first: int
    ) -> None:
        """Insert events of a run whose id an UPDATE has returned."""
        if found is None:
            raise RunNotFound(f"No run {run_id!r} in this store.", run_id)
        for seq, (kind, data) in enumerate(events, first):
            db.execute(runs.INSERT_EVENT, (found[0], seq, kind, data, checks.crc(kind, data)))

    def drop_events(self, run_id: str, before: int) -> None:
        with self._writing(durable=False) as db:
            db.execute("DELETE FROM events WHERE run = ? AND seq < ?", (self._run_row(db, run_id), before))

    def _run_row(self, db: Connection, run_id: str) -> int:
        found = db.execute("SELECT id FROM runs WHERE run_id = ?", (run_id,)).fetchone()
        if found is None:
            raise RunNotFound(f"No run {run_id!r} in this store.", run_id)
        return int(found[0])

    def save_progress(self, progress: Progress) -> None:
        with self._writing(durable=False) as db:
            run = self._run_row(db, progress.run_id)
            usage = progress.usage.model_dump_json()
            kept = (progress.codec, progress.body, usage)
            db.execute(runs.PUT_PROGRESS, (run, *kept, checks.crc(*kept)))

    def progress(self, run_id: str) -> Progress | None:
        with self._reading() as db:
            row = db.execute(runs.SELECT_PROGRESS, (run_id,)).fetchone()
        return None if row is None else runs.progress(row)

    def renew_lease(self, run_id: str, until: int) -> None:
        with self._writing(durable=False) as db:
            db.execute("UPDATE runs SET lease_until = ? WHERE run_id = ?", (until, run_id))

    def finish_run(self, finish: Finish) -> Run:
        with self._writing() as db:
            spent = self._finish(db, finish, None, None)
            at = finish.finished_at
            values = sessions.spend_values(finish._replace(usage=spent))
            db.execute(sessions.SPEND, (*values, at, at, finish.run_id))
            return runs.run(db.execute(f"{runs.SELECT_RUN} WHERE r.run_id = ?", (finish.run_id,)).fetchone())

    def _finish(self, db: Connection, finish: Finish, turn: int | None, session: int | None) -> Usage:
        """End a run, and return what its session has to count for it."""
        spent = finish.usage
        ended = db.execute(runs.FINISH_OPEN, runs.finish_values(finish, turn)).fetchone()
        if ended is None:
            # It has ended already, and what it spent by then is counted.
            row = db.execute(f"{runs.SELECT_RUN} WHERE r.run_id = ?", (finish.run_id,)).fetchone()
            before = Usage() if row is None else runs.run(row).usage
            if finish.status == "interrupted" and row is not None:
                return Usage()
            spent = finish.usage - before
            ended = db.execute(runs.FINISH_RUN, runs.finish_values(finish, turn)).fetchone()
        self._insert_events(db, finish.run_id, ended, finish.events, finish.first)
        if finish.progressed and turn is not None:
            db.execute("DELETE FROM progress WHERE run = ?", ended[:1])
        # A fork takes its run along. Elsewhere the index of a session's runs is not written again.
        if session is not None and session != ended[1]:
            db.execute("UPDATE runs SET session = ? WHERE id = ?", (session, ended[0]))
        return spent

    def get_run(self, run_id: str) -> Run | None:
        with self._reading() as db:
            row = db.execute(f"{runs.SELECT_RUN} WHERE r.run_id = ?", (run_id,)).fetchone()
        return None if row is None else runs.run(row)

    def runs(
        self, key: Key | None = None, *, status: str | None = None, last: int | None = None
    ) -> list[Run]:
        where: list[str] = []
        params: list[Any] = []
        if key is not None:
            where.append(
                "r.session = (SELECT s.id FROM sessions s WHERE s.conversation_id = ? AND s.session_id = ?)"
            )
            params += key
        if status == "running":
            where.append(runs.RUNNING)
        elif status is not None:
            where.append("r.status = ?")
            params.append(status)
        sql = runs.SELECT_RUN + (f" WHERE {' AND '.join(where)}" if where else "") + " ORDER BY r.id DESC"
        sql += "" if last is None else f" LIMIT {int(last)}"
        with self._reading() as db:
            return runs.runs(reversed(self._fetch(db, sql, params)))

    def events(self, run_id: str, *, after: int = -1, limit: int | None = None) -> list[Event]:
        with self._reading() as db:
            sql = "SELECT seq, type, data, crc FROM events WHERE run = ? AND seq > ? ORDER BY seq"
            sql += "" if limit is None else f" LIMIT {int(limit)}"
            fetched = self._fetch(db, sql, (self._run_row(db, run_id), after))
        return [runs.event(run_id, row) for row in fetched]

    # Notebooks

    def visit(self, owner: str, notebook: str, visit: Visit, at: int) -> None:
        with self._writing() as db:
            self._hold(db, visit.key)
            values = (owner, notebook, at, visit.action, visit.entry, visit.before, *visit.key)
            db.execute(marks.INSERT_VISIT, values)

    def last_visit(self, owner: str, notebook: str, *, up_to: int | None = None) -> Visit | None:
        with self._reading() as db:
            last = _ANY if up_to is None else up_to
            row = db.execute(marks.LAST_VISIT, (owner, notebook, last)).fetchone()
        return None if row is None else Visit(Key(*row[:2]), *row[2:])
