"""Sessions deleted, many in one transaction; what they spent stays."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

from nbsessions.stores._rows import marks, runs, sessions, upkeep
from nbsessions.stores._sql.connected import Connected, Connection, in_parts
from nbsessions.stores.base import Key


class Deleting(Connected):
    """The primitive that deletes."""

    def delete(self, keys: Sequence[Key], *, seen: Sequence[int] | None = None, at: int = 0) -> int:
        known: Iterable[tuple[Key, int | None]] = (
            ((key, None) for key in keys) if seen is None else zip(keys, seen, strict=True)
        )
        gone: list[int] = []
        with self._writing() as db:
            for part in in_parts(known):
                numbers = self._deletable(db, dict(part), at)
                self._delete(db, numbers)
                gone += numbers
            if gone:
                for statement in sessions.DELETE_LINKS:
                    db.execute(statement + self._numbers, (json.dumps(gone),))
                self._will_erase(said=False)
            db.execute(upkeep.SET_BACK)
        return len(gone)

    def _deletable(self, db: Connection, known: Mapping[Key, int | None], at: int) -> list[int]:
        """Return the numbers of the sessions that there are; of one that was seen, only if it is still so."""
        self._hold_all(db, known)
        rows = self._rows_of(db, known, sessions.SELECT_UPDATED)
        numbers = json.dumps([row[0] for row in rows])
        answering = {row[0] for row in db.execute(runs.ANSWERING + self._numbers, (at, numbers)).fetchall()}
        return [
            number
            for number, session_id, conversation, updated_at in rows
            if (seen := known[Key(conversation, session_id)]) is None
            or (updated_at == seen and number not in answering)
        ]

    def _delete(self, db: Connection, numbers: Sequence[int]) -> None:
        these = (json.dumps(numbers),)
        # On a turn that a fork has too, a checkpoint goes on to be one of the fork's.
        for found in self._fetch(db, marks.OF_SESSIONS + self._numbers, these):
            db.execute(marks.DISOWN, marks.disowned(found))
        # First of all, their runs are held: nobody adds an event to one whose events are gone.
        rows = self._fetch(db, f"{runs.OF_SESSIONS}{self._numbers}{self._for_update}", these)
        for statement in sessions.DELETE_TOLD:
            db.execute(statement + self._numbers, (json.dumps([runs.number_of(row) for row in rows]),))
        db.executemany(runs.FORGET_SESSION, map(runs.forgotten, rows))
        for statement in sessions.DELETE_SESSIONS:
            db.execute(statement + self._numbers, these)
