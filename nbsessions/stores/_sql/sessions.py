"""Sessions: made, found, changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from nbsessions.exceptions import DamagedSession, DamagedTurn, SessionExists
from nbsessions.records import SessionRecord
from nbsessions.stores._rows import sessions
from nbsessions.stores._rows.sessions import Stand
from nbsessions.stores._sql.connected import Connection, Row, in_parts
from nbsessions.stores._sql.documents import Documenting
from nbsessions.stores._sql.heads import Heads
from nbsessions.stores.base import Change, Inherited, Key, Query
from nbsessions.values import encode_json, from_micros, micros


class Sessions(Heads, Documenting):
    """The primitives of sessions."""

    def insert(self, record: SessionRecord, *, inherits: Inherited | None = None) -> None:
        with self._writing() as db:
            self._insert(db, record, inherits)

    def _insert(self, db: Connection, record: SessionRecord, inherits: Inherited | None) -> None:
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
        if inherits is not None:
            self._inherit(db, key, inherits)

    def get(self, key: Key) -> SessionRecord | None:
        with self._reading() as db:
            row, drafts = self._session_row(db, key)
            return None if row is None else self._whole(db, row, drafts)

    def get_all(self, keys: Sequence[Key]) -> dict[Key, SessionRecord]:
        found: dict[Key, SessionRecord] = {}
        with self._reading() as db:
            for part in in_parts(keys):
                rows, drafts = self._with_drafts(db, partial(self._rows_of, db, part))
                found |= {Key(row[2], row[1]): self._whole(db, row, drafts) for row in rows}
        return {key: found[key] for key in keys if key in found}

    def _whole(self, db: Connection, row: Row, drafts: sessions.Drafts) -> SessionRecord:
        """Return the session of a row; where that is no witness, its log says where it stands."""
        found, is_sure = sessions.read(row, drafts)
        if is_sure:
            return found
        last = self._last_saved(db, row[0])
        other = last is not None and last.head.turn_id != found.head.turn_id
        if other and not sessions.is_checked(row) and self._is_turn(db, found.head.turn_id):
            raise DamagedSession(found.session_id, "head")
        return sessions.told_by_log(found, last)

    def _is_turn(self, db: Connection, turn_id: str | None) -> bool:
        return bool(db.execute("SELECT 1 FROM turns WHERE turn_id = ?", (turn_id,)).fetchone())

    def find(self, query: Query) -> list[SessionRecord]:
        where, params = sessions.where(query, self._tag_condition, self._texts)
        sql = sessions.newest(where, query.limit)
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

    def update_all(self, changes: Sequence[Change], at: int) -> dict[Key, SessionRecord]:
        done: dict[Key, tuple[Stand, SessionRecord]] = {}
        with self._writing() as db:
            for part in in_parts(changes):
                done |= self._to_change(db, {change.key: change for change in part}, at)
            for stand, record in done.values():
                if record.name != stand.name:
                    db.execute(sessions.FREE_NAME, (stand.number,))
            for stand, record in done.values():
                if record.name != stand.name:
                    self._check_name(db, record)
            self._write_all(db, [part for stand, record in done.values() for part in stand.changed(record)])
        return {key: record for key, (_, record) in done.items()}

    def _to_change(
        self, db: Connection, meant: Mapping[Key, Change], at: int
    ) -> dict[Key, tuple[Stand, SessionRecord]]:
        """Return the sessions that are as expected, as they are and as they shall be."""
        self._hold_all(db, meant)
        rows, drafts = self._with_drafts(db, lambda: self._rows_of(db, meant, sessions.SELECT_STAND))
        found = {Key(row[2], row[1]): Stand(row, drafts) for row in rows}
        return {
            key: (found[key], before.model_copy(update=change.fields(at)))
            for key, change in meant.items()
            if key in found and change.is_expected(before := found[key].record())
        }

    def _check_name(self, db: Connection, record: SessionRecord) -> None:
        if record.name is None:
            return
        owner = (record.owner, record.agent_name, record.conversation_id or "", record.name)
        found = db.execute(sessions.NAMED, (*owner, record.session_id)).fetchone()
        if found:
            raise SessionExists(record.name)
