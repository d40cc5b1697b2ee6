"""Runs, their events, and how far they have come."""

from __future__ import annotations

from collections.abc import Sequence

from nbsessions.exceptions import DamagedRun, RunNotFound, SessionNotFound
from nbsessions.records import Event, Run, Usage
from nbsessions.stores._rows import checks, runs
from nbsessions.stores._rows.sessions import Stand
from nbsessions.stores._sql.connected import Connection, Row
from nbsessions.stores._sql.usage import Usages
from nbsessions.stores.base import Finish, Key, Progress

_BY_ID = " WHERE r.run_id = ?"


class Runs(Usages):
    """The primitives of runs."""

    def start_run(self, run: Run) -> None:
        key = Key.of(run)
        with self._writing(durable=False) as db:
            self._hold(db, key)
            places = db.execute(runs.SELECT_PLACES, (run.base.turn_id, *key)).fetchone()
            if places is None:
                raise SessionNotFound(run.session_id)
            db.execute(runs.INSERT_RUN, runs.run_values(run, *places))

    def _run(self, db: Connection, run_id: str) -> runs.Row:
        rows = self._fetch(db, runs.SELECT_ROW + self._for_update, (run_id,))
        if not rows:
            raise RunNotFound(f"No run {run_id!r} in this store.", run_id)
        return runs.Row(rows[0])

    def _run_number(self, db: Connection, run_id: str) -> int:
        found = db.execute("SELECT id FROM runs WHERE run_id = ?", (run_id,)).fetchone()
        if found is None:
            raise RunNotFound(f"No run {run_id!r} in this store.", run_id)
        return int(found[0])

    def append_events(self, run_id: str, events: Sequence[tuple[str, str]], *, first: int) -> None:
        with self._writing(durable=False) as db:
            run = self._run(db, run_id)
            run.count(first + len(events))
            self._write(db, run)
            self._insert_events(db, run.number, events, first)

    def _insert_events(self, db: Connection, run: int, events: Sequence[tuple[str, str]], first: int) -> None:
        for seq, (kind, data) in enumerate(events, first):
            db.execute(runs.INSERT_EVENT, runs.event_values(run, seq, kind, data))

    def drop_events(self, run_id: str, before: int) -> None:
        with self._writing(durable=False) as db:
            number = self._run_number(db, run_id)
            db.execute("DELETE FROM events WHERE run = ? AND seq < ?", (number, before))

    def save_progress(self, progress: Progress) -> None:
        with self._writing(durable=False) as db:
            run = self._run(db, progress.run_id)
            db.execute(runs.PUT_PROGRESS, runs.progress_values(run.number, progress))
            if not run["progressed"]:
                run.set(progressed=1)
                self._write(db, run)

    def progress(self, run_id: str) -> Progress | None:
        with self._reading() as db:
            row = self._found_run(db, runs.SELECT_PROGRESS, run_id)
        return None if row is None else runs.progress(row)

    def renew_lease(self, run_id: str, until: int) -> None:
        with self._writing(durable=False) as db:
            rows = self._fetch(db, runs.SELECT_ROW + self._for_update, (run_id,))
            for row in rows:
                run = runs.Row(row)
                run.set(lease_until=until)
                self._write(db, run)

    def finish_run(self, finish: Finish) -> Run:
        with self._writing() as db:
            run = self._run(db, finish.run_id)
            key = db.execute(runs.KEY_OF, (run["session"],)).fetchone()
            stand = None if key is None else self._held(db, Key(*key))
            spent = self._finish(db, run, finish, None, stand)
            if stand is not None and spent is not None:
                stand.spend(finish, spent)
                self._write(db, stand.moved)
            return runs.run(self._fetch(db, runs.SELECT_RUN + _BY_ID, (finish.run_id,))[0])

    def continue_run(self, run_id: str, worker: str, until: int) -> bool:
        with self._writing() as db:
            run = self._run(db, run_id)
            if run["status"] != "suspended":
                return False
            counted, spent = run.counted, run.usage
            run.go_on(worker, until)
            key = db.execute(runs.KEY_OF, (run["session"],)).fetchone()
            if key is not None:
                stand = self._held(db, Key(*key))
                stand.take_back(spent)
                self._write(db, stand.moved)
            self._write(db, run)
            self._count_daily(db, counted, run.counted)
            return True

    def _held(self, db: Connection, key: Key) -> Stand:
        self._hold(db, key)
        return self._stand(db, key)

    def _finish(
        self, db: Connection, run: runs.Row, finish: Finish, turn: int | None, stand: Stand | None
    ) -> Usage | None:
        """End a run of this session, and return what the session has to count for it.

        None: it ended before, and nothing is known now that was not known then.
        """
        running = run["status"] == "running"
        if not run.is_open and finish.status == "interrupted":
            return None
        counted = run.counted
        # What it spent until it ended, or was suspended, is counted.
        spent = finish.usage if running else finish.usage - run.usage
        run.finish(finish, turn)
        if finish.progressed and turn is not None:
            db.execute("DELETE FROM progress WHERE run = ?", (run.number,))
            run.set(progressed=0)
        if stand is not None:
            moves = run["session"] != stand.number
            if moves:
                self._take_along(db, run, stand, running=running)
            stand.moved.add(ended_run_count=int(running or moves))
        self._write(db, run)
        self._count_daily(db, counted, run.counted)
        self._insert_events(db, run.number, finish.events, finish.first)
        return spent

    def _take_along(self, db: Connection, run: runs.Row, stand: Stand, *, running: bool) -> None:
        """Make a run one of the fork that its answer is kept on."""
        key = db.execute(runs.KEY_OF, (run["session"],)).fetchone()
        if key is not None and not running:
            left = self._held(db, Key(*key))
            left.moved.add(ended_run_count=-1)
            self._write(db, left.moved)
        # Elsewhere the index of a session's runs is not written again.
        run.set(session=stand.number)

    def get_run(self, run_id: str) -> Run | None:
        with self._reading() as db:
            row = self._found_run(db, runs.SELECT_RUN, run_id)
        return None if row is None else runs.run(row)

    def _found_run(self, db: Connection, select: str, run_id: str) -> Row | None:
        found = self._fetch(db, select + _BY_ID, (run_id,))
        if not found and self._passing_indexes:
            sql = checks.passing(select, self._passing_indexes) + _BY_ID
            found = self._fetch(db, sql, (run_id,))
            # It may have been stored between the two looks.
            if found and not self._fetch(db, select + _BY_ID, (run_id,)):
                checks.tell(DamagedRun(run_id, "entry in the index"))
        return found[0] if found else None

    def runs(
        self, key: Key | None = None, *, status: str | None = None, last: int | None = None
    ) -> list[Run]:
        where = [runs.RUNNING if status == "running" else "r.status = ?"] if status else []
        params = [status] if status and status != "running" else []
        limit = "" if last is None else f" LIMIT {int(last)}"

        def look(session: int | None, hint: str = "") -> list[Row]:
            meant = [*where, *(["r.session = ?"] if session is not None else [])]
            sql = checks.passing(runs.SELECT_RUN, hint) + (f" WHERE {' AND '.join(meant)}" if meant else "")
            ours = [] if session is None else [session]
            return self._fetch(db, f"{sql} ORDER BY r.id DESC{limit}", [*params, *ours])

        def newest(session: int) -> list[Row]:
            # In the index, those that have ended are in order, and so are the others; together they are not.
            # One statement: between two, a run may end, or go on, and be in neither.
            newest_first = f"r.session = ? ORDER BY r.id DESC{limit}"
            ended, running = (
                f"SELECT * FROM ({runs.SELECT_RUN} WHERE {kind} AND {newest_first}) AS found"
                for kind in (runs.ENDED, runs.RUNNING)
            )
            found = self._fetch(db, f"{ended} UNION ALL {running}", (session, session))
            return sorted(found, key=runs.number, reverse=True)[:last]

        def of_session(stand: Stand) -> tuple[list[Row], int]:
            counted = stand.moved["ended_run_count"]
            if last is not None:
                return newest(stand.number), counted
            rows = look(stand.number)
            if self._passing_indexes and _ended(rows) < counted:  # the index may have lost one
                rows = look(stand.number, self._passing_indexes)
            return rows, _ended(rows)

        with self._reading() as db:
            if key is None:
                found = look(None)
            else:
                try:
                    if status is not None:
                        found = look(self._number(db, key))
                    else:
                        _, found = self._counted(db, key, "ended_run_count", of_session)
                except SessionNotFound:
                    return []
        return runs.runs(reversed(found))

    def events(self, run_id: str, *, after: int = -1, limit: int | None = None) -> list[Event]:
        with self._reading() as db:
            number = self._run_number(db, run_id)
            sql = runs.SELECT_EVENTS + ("" if limit is None else f" LIMIT {int(limit)}")
            fetched = self._fetch(db, sql, (number, after))
        return [runs.event(run_id, number, row) for row in fetched]


def _ended(rows: Sequence[Row]) -> int:
    return len({row[0] for row in rows if row[1] != "running"})
