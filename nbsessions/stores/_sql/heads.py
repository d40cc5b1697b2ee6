"""The head log: where a session stands, and stood."""

from __future__ import annotations

from nbsessions.exceptions import DamagedSession
from nbsessions.records import Head, LogEntry
from nbsessions.stores._rows import checks, heads
from nbsessions.stores._rows.sessions import Stand
from nbsessions.stores._sql.connected import Connected, Connection
from nbsessions.stores.base import Key


class Heads(Connected):
    """The primitives of the head log."""

    def _enter(
        self,
        db: Connection,
        session: int,
        what: tuple[str, str, int],
        turn: int | None,
        head: Head,
        counts: tuple[int, int],
        state: int,
        at: int,
        before: int | None = None,
        base: int | None = None,
    ) -> int:
        """Write a line of the log: what was done, to where, and the counts and the state there."""
        values = (session, *what, turn, head.keep, *counts, state, at, before, base)
        return self._insert_row(db, heads.INSERT_HEAD, (*values, checks.crc(*values, head.turn_id)))

    def _intern_state(self, db: Connection, state: str) -> int:
        if state == "{}":
            return 0
        return self._insert_row(db, heads.INSERT_STATE, (state, checks.crc(state)))

    def log(self, key: Key, limit: int | None = None, *, above: int = -1) -> list[LogEntry]:
        sql = heads.LOG + ("" if limit is None else f" LIMIT {int(limit)}")

        def look(stand: Stand) -> tuple[list[object], int]:
            rows = self._fetch(db, sql, (stand.number, above))
            # Who asks for some, and gets so many, cannot miss any. A damaged index may lead to one twice.
            count = len({heads.number_of(row) for row in rows})
            is_part = count == limit or above >= 0
            return rows, stand.moved["entry_count"] if is_part else count

        with self._reading() as db:
            _, found = self._counted(db, key, "entry_count", look)
        return [heads.log_entry(row) for row in found]

    def origin(self, key: Key) -> LogEntry:
        with self._reading() as db:
            return self._first(db, key, self._stand(db, key))

    def _first(self, db: Connection, key: Key, stand: Stand) -> LogEntry:
        found = self._fetch(db, heads.FIRST, (stand.number,))
        if not found:
            self._stand(db, key)  # which may have been deleted meanwhile
        first = heads.log_entry(found[0]) if found else None
        if first is None or first.action != "create":
            raise DamagedSession(key.session_id, "log")
        return first

    def current(self, key: Key, *, draft: bool) -> LogEntry:
        with self._reading() as db:
            stand = self._stand(db, key)
            drafted = stand.moved["draft_entry"] if draft else None
            if drafted is None and stand.moved.is_damaged:
                found = self._last_saved(db, stand.number)
                if found is not None:
                    return found
            number = stand.moved["entry"] if drafted is None else drafted
            if number is None:
                return self._first(db, key, stand)
            rows = self._fetch(db, f"{heads.SELECT_HEAD} WHERE h.id = ?", (number,))
            if not rows or rows[0][0] != stand.number:
                self._stand(db, key)
                raise DamagedSession(key.session_id, "log")
            return heads.log_entry(rows[0])

    def _last_saved(self, db: Connection, session: int) -> LogEntry | None:
        """Return the last entry of what is saved; None where it is damaged, and no witness."""
        rows = self._fetch(db, heads.LAST_SAVED, (session,))
        try:
            return heads.log_entry(rows[0]) if rows else None
        except DamagedSession as error:
            checks.tell(error)
            return None

    def entry(self, entry_id: int) -> LogEntry | None:
        with self._reading() as db:
            rows = self._fetch(db, f"{heads.SELECT_HEAD} WHERE h.id = ?", (entry_id,))
        return heads.log_entry(rows[0]) if rows else None

    def state_before(self, turn_id: str) -> str:
        with self._reading() as db:
            rows = self._fetch(db, heads.STATE_BEFORE, (turn_id,))
        return checks.read_state(f"of turn {turn_id}", rows[0][0], rows[0][1:]) if rows else "{}"
