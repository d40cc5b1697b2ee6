"""Sessions: made, found, changed, deleted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nbsessions.exceptions import DamagedSession, DamagedTurn, SessionExists
from nbsessions.records import SessionRecord
from nbsessions.stores._rows import marks, runs, sessions, upkeep
from nbsessions.stores._sql.connected import Connection, Row
from nbsessions.stores._sql.heads import Heads
from nbsessions.stores.base import Key, Query
from nbsessions.values import encode_json, from_micros, micros


class Sessions(Heads):
    """The primitives of sessions."""

    def insert(self, record: SessionRecord) -> None:
        with self._writing() as db:
            self._insert(db, record)

    def _insert(self, db: Connection, record: SessionRecord) -> None:
        key = Key.of(record)
        owner = (record.owner, record.agent_name, key.conversation_id, record.name)
        found = db.execute(sessions.PLACE, (*key, *owner, record.head.turn_id)).fetchone()
        same_id, same_name, turn = found
        if same_id is not None or same_name is not None:
            raise SessionExists(same_name if same_id is None else same_id)
        if turn is None and record.head.turn_id is not None:
            raise DamagedTurn(record.head.turn_id)
        state = self._intern_state(db, encode_json(record.state, "state"))
        session = self._insert_row(db, sessions.INSERT_SESSION, sessions.session_values(record, state))
        counts = (record.message_count, record.turn_count)
        at = micros(record.created_at)
        # Until it moves, it stands at its first entry: the session need not be written again to say so.
        self._enter(db, session, ("create", "create", 0), turn, record.head, counts, state, at)

    def get(self, key: Key) -> SessionRecord | None:
        with self._reading() as db:
            row, drafts = self._session_row(db, key)
            return None if row is None else self._whole(db, row, drafts)

    def _whole(self, db: Connection, row: Row, drafts: sessions.Drafts) -> SessionRecord:
        """Return the session of a row; where that is no witness, its log says where it stands."""
        found = sessions.session(row, drafts)
        if sessions.is_sure(row):
            return found
        last = self._last_saved(db, row[0])
        other = last is not None and last.head.turn_id != found.head.turn_id
        if other and not sessions.is_checked(row) and self._is_turn(db, found.head.turn_id):
            raise DamagedSession(found.session_id, "head")
        return sessions.told_by_log(found, last)

    def _is_turn(self, db: Connection, turn_id: str | None) -> bool:
        return bool(db.execute("SELECT 1 FROM turns WHERE turn_id = ?", (turn_id,)).fetchone())

    def find(self, query: Query) -> list[SessionRecord]:
        where, params = sessions.where(query, self._tag_condition)
        limit = "" if query.limit is None else f" LIMIT {int(query.limit)}"
        sql = f"{sessions.SELECT_SESSION}{where} ORDER BY s.updated_at DESC, s.id DESC{limit}"
        with self._reading() as db:
            return sessions.sessions(*self._with_drafts(db, lambda: self._fetch(db, sql, params)))

    def update(self, key: Key, changes: Mapping[str, Any], at: int) -> SessionRecord:
        with self._writing() as db:
            self._hold(db, key)
            stand = self._stand(db, key)
            record = stand.record().model_copy(update={**changes, "updated_at": from_micros(at)})
            self._check_name(db, record)
            for part in stand.changed(record):
                self._write(db, part)
        return record

    def _check_name(self, db: Connection, record: SessionRecord) -> None:
        if record.name is None:
            return
        owner = (record.owner, record.agent_name, record.conversation_id or "", record.name)
        found = db.execute(sessions.NAMED, (*owner, record.session_id)).fetchone()
        if found:
            raise SessionExists(record.name)

    def delete(self, keys: Sequence[Key], *, seen: Sequence[int] | None = None, at: int = 0) -> int:
        gone = 0
        with self._writing() as db:
            for number, key in enumerate(keys):
                self._hold(db, key)
                row, _ = self._session_row(db, key)
                if row is None or (seen and self._is_in_use(db, row, seen[number], at)):
                    continue
                self._delete(db, row[0])
                gone += 1
            db.execute(upkeep.SET_BACK)
            if gone:
                self._will_erase(said=False)
        return gone

    def _is_in_use(self, db: Connection, row: Row, seen: int, at: int) -> bool:
        running = db.execute(runs.ANSWERING, (row[0], at)).fetchone()
        return sessions.updated_at(row) != seen or bool(running)

    def _delete(self, db: Connection, session: int) -> None:
        # On a turn that a fork has too, a checkpoint goes on to be one of the fork's.
        for found in self._fetch(db, marks.OF_SESSION, (session,)):
            db.execute(marks.DISOWN, marks.disowned(found))
        for statement in sessions.DELETE_RUNS:
            db.execute(statement, (session,))
        for found in self._fetch(db, runs.OF_SESSION + self._for_update, (session,)):
            run = runs.Row(found)
            run.forget_session()
            self._write(db, run)
        for statement in sessions.DELETE_SESSION:
            db.execute(statement, (session,))
