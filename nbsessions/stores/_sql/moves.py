"""The move of a session's head, with all that belongs into the same transaction."""

from __future__ import annotations

from typing import NamedTuple

from nbsessions.exceptions import SessionNotFound
from nbsessions.records import Head, SessionRecord
from nbsessions.stores._rows import runs
from nbsessions.stores._rows.sessions import Stand
from nbsessions.stores._rows.turns import Tip
from nbsessions.stores._sql.connected import Connection
from nbsessions.stores._sql.runs import Runs
from nbsessions.stores._sql.sessions import Sessions
from nbsessions.stores._sql.turns import Turns
from nbsessions.stores.base import HeadMoved, Key, Move


class _Place(NamedTuple):
    """What a move begins from: a log entry, the number of a state, a head."""

    entry: int
    state: int
    head: Head
    base: int | None = None
    """Of a draft: the saved entry that it began from."""


class Moves(Sessions, Turns, Runs):
    """The primitive that all goes through."""

    def move(self, move: Move) -> SessionRecord:
        with self._writing() as db:
            if move.again and self._was_made(db, move):
                return self._made(db, move)
            if move.create is not None:
                self._insert(db, move.create, move.inherits)
            stand = self._held(db, move.key)
            place = self._place(db, move, stand)
            stale = move.draft_entry is not None and (stand.moved["draft_entry"] or 0) != move.draft_entry
            if place.head != move.expected or stale:
                if self._was_made(db, move):
                    return self._made(db, move)
                raise HeadMoved(stand.record())
            turn = self._insert_turns(db, move.turns, self._below(db, move, stand), place.state)
            if move.finish is not None:
                spent = self._finish(db, self._run(db, move.finish.run_id), move.finish, turn, stand)
                if spent is not None:
                    stand.spend(move.finish, spent)
            if move.instead_of is not None:
                self._end_draft(db, *move.instead_of)
            new = bool(move.turns) and move.turns[-1].turn_id == move.head.turn_id
            self._move(db, move, stand, place, turn if new else self._turn_row(db, move.head.turn_id))
            return stand.record()

    def _was_made(self, db: Connection, move: Move) -> bool:
        """Tell whether this very move was made before, and is tried again."""
        return bool(move.turns) and self._is_turn(db, move.turns[-1].turn_id)

    def _made(self, db: Connection, move: Move) -> SessionRecord:
        """Return the session that it was made on."""
        run_id = None if move.finish is None else move.finish.run_id
        found = db.execute(runs.SESSION_OF_RUN, (run_id,)).fetchone()
        return self._stand(db, move.key if found is None else Key(*found)).record()

    def _place(self, db: Connection, move: Move, stand: Stand) -> _Place:
        entry = stand.moved["entry"]
        if entry is None:
            entry = self._first(db, move.key, stand).entry_id
        if not move.draft:
            return _Place(entry, stand.moved["state"], stand.head)
        if stand.draft is None or stand.draft_head is None:
            return _Place(entry, stand.moved["state"], stand.head, entry)
        return _Place(stand.moved["draft_entry"], stand.draft.state, stand.draft_head, stand.draft.base)

    def _below(self, db: Connection, move: Move, stand: Stand) -> Tip:
        """Return the turn that the first new one is put on; mostly it was read with the session."""
        parent = move.turns[0].parent_id if move.turns else None
        known = parent == stand.moved["head_turn"] and stand.tip.number is not None
        return stand.tip if known else self._tip(db, parent)

    def _move(self, db: Connection, move: Move, stand: Stand, place: _Place, turn: int | None) -> None:
        state = place.state if move.state is None else self._intern_state(db, move.state)
        counts = (move.total_messages, move.total_turns)
        what = (move.action, move.done or move.action, int(move.draft))
        before = move.before if move.undo else place.entry
        base = place.base if move.draft else None
        entry = self._enter(db, stand.number, what, turn, move.head, counts, state, move.at, before, base)
        stand.moved.add(entry_count=1)
        if move.draft:
            stand.stand_draft(entry, move.head)
        else:
            stand.stand(entry, move.head, counts, state, move.state)
        if move.ends_draft:
            stand.stand_draft(None, None)
        stand.moved.set(updated_at=move.at)
        self._write(db, stand.moved)

    def _end_draft(self, db: Connection, key: Key, entry: int) -> None:
        try:
            stand = self._held(db, key)
        except SessionNotFound:  # which ends its draft as well
            return
        if stand.moved["draft_entry"] == entry:
            stand.stand_draft(None, None)
            self._write(db, stand.moved)
