"""What is noted on sessions beside their turns: checkpoints, key-values, notebooks' visits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nbsessions.exceptions import DamagedSession
from nbsessions.records import Checkpoint
from nbsessions.stores._rows import checks, marks
from nbsessions.stores._rows.sessions import Stand
from nbsessions.stores._sql.connected import Connection
from nbsessions.stores._sql.heads import Heads
from nbsessions.stores.base import Key, Value, Visit
from nbsessions.values import encode_json

_ANY = 2**62


class Marks(Heads):
    """The primitives of checkpoints, key-values and visits."""

    # Checkpoints

    def add_checkpoint(self, key: Key, checkpoint: Checkpoint) -> None:
        with self._writing() as db:
            self._hold(db, key)
            stand = self._stand(db, key)
            known = "SELECT 1 FROM checkpoints WHERE checkpoint_id = ?"
            if db.execute(known, (checkpoint.checkpoint_id,)).fetchone():
                return
            turn = self._turn_row(db, checkpoint.head.turn_id)
            state = self._intern_state(db, encode_json(checkpoint.state, "state"))
            values = marks.checkpoint_values(checkpoint, turn, stand.number, state)
            db.execute(marks.INSERT_CHECKPOINT, values)
            stand.moved.add(checkpoint_count=1)
            self._write(db, stand.moved)

    def checkpoints(self, key: Key, turn_id: str | None) -> list[Checkpoint]:
        def look(stand: Stand) -> tuple[list[Any], int]:
            rows = self._fetch(db, marks.SELECT_CHECKPOINTS, (turn_id, stand.number))
            return rows, sum(marks.is_of(row, stand.number) for row in rows)

        with self._reading() as db:
            _, found = self._counted(db, key, "checkpoint_count", look)
        return marks.in_order(key.session_id, [marks.checkpoint(row) for row in found])

    # Key-values

    def put_value(self, key: Key, value: Value, most: int) -> None:
        with self._writing() as db:
            self._hold(db, key)
            stand = self._stand(db, key)
            rows = self._fetch(db, marks.SELECT_VALUES, (stand.number,))
            gone: list[Any] = []
            kept: list[Any] = []
            for row in rows:
                (kept if marks.is_alive(row, value.at) else gone).append(row)
            new = all(row[1] != value.name for row in kept)
            gone += kept[: max(0, len(kept) + 1 - most)] if new else []
            self._delete_values(db, stand, gone)
            db.execute(marks.PUT_VALUE, marks.value_values(stand.number, value))
            if new:
                stand.moved.add(value_count=1)
            self._write(db, stand.moved)

    def values(self, key: Key, at: int) -> list[Value]:
        def look(stand: Stand) -> tuple[list[Any], int]:
            rows = self._fetch(db, marks.SELECT_VALUES, (stand.number,))
            return rows, len(rows)

        with self._reading() as db:
            stand, found = self._counted(db, key, "value_count", look)
        alive = [row for row in found if marks.is_alive(row, at)]
        return [marks.value(key.session_id, stand.number, row) for row in alive]

    def drop_values(self, key: Key, names: Sequence[str] | None = None) -> int:
        with self._writing() as db:
            self._hold(db, key)
            stand = self._stand(db, key)
            rows = self._fetch(db, marks.SELECT_VALUES, (stand.number,))
            gone = rows if names is None else [row for row in rows if row[1] in set(names)]
            if gone:
                self._delete_values(db, stand, gone)
                self._write(db, stand.moved)
        return len(gone)

    def _delete_values(self, db: Connection, stand: Stand, rows: Sequence[Any]) -> None:
        for row in rows:
            db.execute(marks.DELETE_VALUE, row[:1])
        stand.moved.add(value_count=-len(rows))

    # Notebooks

    def visit(self, owner: str, notebook: str, visit: Visit, at: int) -> None:
        with self._writing() as db:
            self._hold(db, visit.key)
            session = self._stand(db, visit.key).number
            db.execute(marks.INSERT_VISIT, marks.visit_values(owner, notebook, visit, at, session))

    def last_visit(self, owner: str, notebook: str, *, up_to: int | None = None) -> Visit | None:
        last = _ANY if up_to is None else up_to
        with self._reading() as db:
            while (row := self._visit_row(db, owner, notebook, last)) is not None:
                found = marks.visit(row)
                if found is not None:
                    return found
                last = marks.number_of(row) - 1
        return None

    def _visit_row(self, db: Connection, owner: str, notebook: str, last: int) -> Any:
        """Return the last visit; that the index knows of another one than the table is told."""
        asked = (owner, notebook, last)
        found = [
            self._fetch(db, checks.passing(marks.SELECT_VISIT, hint), asked)
            for hint in sorted({"", self._passing_indexes})
        ]
        if found[0] != found[-1]:
            checks.tell(DamagedSession(f"last used in {notebook}", "visit"))
        return max((row for rows in found for row in rows), key=marks.number_of, default=None)
