"""Turns: how they are stored, and how chains of them are read."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from operator import itemgetter

from nbsessions.exceptions import DamagedTurn
from nbsessions.records import Step, Turn
from nbsessions.stores._rows import turns
from nbsessions.stores._rows.checks import marks
from nbsessions.stores._rows.turns import Tip
from nbsessions.stores._sql.connected import AT_ONCE, Connected, Connection, in_parts


class Turns(Connected):
    """The primitives of turns."""

    def _tip(self, db: Connection, turn_id: str | None) -> Tip:
        if turn_id is None:
            return Tip()
        found = db.execute(turns.SELECT_TIP, (turn_id,)).fetchone()
        if found is None:
            raise DamagedTurn(turn_id)
        return Tip(*found)

    def _insert_turns(self, db: Connection, made: Sequence[Turn], tip: Tip, state: int) -> int | None:
        """Insert turns, each on the one before, and return the number of the last one."""
        for turn in made:
            row = self._insert_row(db, turns.INSERT_TURN, turns.turn_values(turn, tip, state))
            tip = Tip(row, int(turn.has_system), tip.system)
        return tip.number if made else None

    def turn(self, turn_id: str) -> Turn | None:
        with self._reading() as db:
            found = self._fetch(db, turns.SELECT_TURN, (turn_id,))
        return turns.turn(found[0]) if found else None

    def turns(self, turn_ids: Collection[str]) -> dict[str, Turn]:
        with self._reading() as db:
            found = [
                row
                for part in in_parts(turn_ids)
                for row in self._fetch(db, f"{turns.SELECT_TURNS}({marks(len(part))})", part)
            ]
        return {row[0]: turns.turn(row) for row in found}

    def chain(self, turn_id: str, *, messages: int | None = None) -> list[Turn]:
        with self._reading() as db:
            floor = -1
            if messages is not None:
                found = db.execute(
                    "SELECT total_messages FROM turns WHERE turn_id = ?", (turn_id,)
                ).fetchone()
                floor = -1 if found is None else found[0] - messages
            chain = self._fetch(db, turns.SELECT_CHAIN, (turn_id, floor))
            chain.sort(key=itemgetter(4))
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

    def ancestors(self, turn_ids: Sequence[str], *, above: int = -1) -> dict[str, Step]:
        found: dict[str, Step] = {}
        with self._reading() as db:
            for start in range(0, len(turn_ids), AT_ONCE):
                tips = [turn_id for turn_id in turn_ids[start : start + AT_ONCE] if turn_id not in found]
                if tips:
                    fetched = db.execute(turns.select_steps(len(tips)), [*tips, above, above]).fetchall()
                    found |= {row[0]: Step(*row) for row in fetched}
        return found

    def scan(self, after: int, limit: int) -> list[tuple[int, Turn]]:
        with self._reading() as db:
            return self._scan(db, after, limit)

    def _scan(self, db: Connection, after: int, limit: int) -> list[tuple[int, Turn]]:
        return [(row[-1], turns.turn(row)) for row in self._fetch(db, turns.SELECT_SCAN, (after, limit))]
