"""
The words of all messages, in an index of the database: search, and what changes what can be found.

A turn is stored without a thought of its words: the index catches up when somebody searches.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, ClassVar, Final, NamedTuple

from nbsessions.exceptions import RunNotFound
from nbsessions.hashes import is_intact
from nbsessions.records import Turn
from nbsessions.stores._rows import checks, turns, upkeep
from nbsessions.stores._scan import readable
from nbsessions.stores._sql import AT_ONCE, Connection, SQLBackend
from nbsessions.stores.base import Found, Key, Wanted
from nbsessions.words import said, words

VERSION: Final = 1
"""Goes up with every change of what the words of a text are: the index is made anew then."""
RANKED: Final = 10_000
"""Of more messages than this, the newest are ranked."""
ON_THE_WAY: Final = f"{turns.UP}SELECT id FROM up"
"""The rows of a turn and of all above it."""
_TURNS: Final = 500
_HEADS: Final = 5_000


class Document(NamedTuple):
    """The words of one message."""

    turn: int
    place: int
    role: str
    words: list[str]


class Hit(NamedTuple):
    """One message of the index, best first."""

    turn: int
    place: int
    conversation_id: str
    session_id: str
    score: float


class IndexedBackend(SQLBackend):
    """The primitives that know what is said."""

    @abstractmethod
    def _add(self, db: Connection, documents: Iterable[Document]) -> None:
        """Put documents into the index."""

    @abstractmethod
    def _replace(self, db: Connection, old: Document, new: Document | None) -> None:
        """Put another document, or none, where there is one with just these words."""

    @abstractmethod
    def _empty(self, db: Connection) -> None:
        """Take out all documents."""

    @abstractmethod
    def _hits(self, db: Connection, wanted: Wanted) -> list[Hit]:
        """Return the documents that match, at most `RANKED` of them."""

    @abstractmethod
    def _last(self, table: str) -> int:
        """Return the number of the last row of a table, before which no more will appear."""

    @abstractmethod
    def _erase(self, *, shrink: bool) -> None:
        """Leave nothing in the files of what was deleted; with `shrink`, make them smaller, too.

        The deletion is committed: that something is in the way is told by a warning.
        """

    def search(self, wanted: Wanted) -> list[Found]:
        self._catch_up()
        return self._search(wanted)

    def _search(self, wanted: Wanted) -> list[Found]:
        with self._reading() as db:
            hits = sorted(self._hits(db, wanted), key=lambda hit: (-hit.score, -hit.turn, hit.place))
            best = hits[: wanted.sessions.limit]
            ids = self._turn_ids(db, list({hit.turn for hit in best}))
        return [
            Found(ids[hit.turn], hit.place, Key(hit.conversation_id, hit.session_id), hit.score)
            for hit in best
            if hit.turn in ids
        ]

    def _turn_ids(self, db: Connection, numbers: Sequence[int]) -> dict[int, str]:
        ids: dict[int, str] = {}
        for start in range(0, len(numbers), AT_ONCE):
            part = numbers[start : start + AT_ONCE]
            sql = f"SELECT id, turn_id FROM turns WHERE id IN ({checks.marks(len(part))})"
            ids |= {row[0]: row[1] for row in db.execute(sql, part).fetchall()}
        return ids

    # The index catches up, in steps that are each one transaction: others write meanwhile.

    STEPS: ClassVar = ("_is_behind", "_begin_anew", "_last", "_link_more", "_add_more", "_search")

    def _catch_up(self) -> None:
        if not self._is_behind():
            return
        self._begin_anew()
        last_head, last_turn = self._last("heads"), self._last("turns")
        while self._link_more(last_head):
            pass
        added = 0
        while more := self._add_more(last_turn):
            added += more
        self._tidy(added)

    def _tidy(self, added: int) -> None:
        """Put the index in order, after so many turns were added."""

    def _is_behind(self) -> bool:
        with self._reading() as db:
            turn, head, stale, version = db.execute(upkeep.SEARCH_STATE).fetchone()
            last_turn, last_head = db.execute(upkeep.LATEST).fetchone()
        behind = turn < (last_turn or 0) or head < (last_head or 0)
        return behind or bool(stale) or version != VERSION

    def _begin_anew(self) -> None:
        """Empty the index where it was made by another version."""
        with self._writing(durable=False) as db:
            if db.execute(upkeep.SEARCH_STATE + self._for_update).fetchone()[3] != VERSION:
                self._forget_all(db)

    def _forget_all(self, db: Connection) -> None:
        self._empty(db)
        db.execute("UPDATE search_state SET turn = 0, version = ?", (VERSION,))

    def _link_more(self, last: int) -> bool:
        """Note in which session the next turns were committed; tell whether there are more."""
        with self._writing(durable=False) as db:
            _, mark, stale, _ = db.execute(upkeep.SEARCH_STATE + self._for_update).fetchone()
            entries = db.execute(upkeep.NEXT_HEADS, (mark, _HEADS)).fetchall()
            entries = [entry for entry in entries if entry[0] <= last]
            for _, turn, session in entries:
                self._link(db, turn, session)
            if entries:
                db.execute("UPDATE search_state SET head = ?", (entries[-1][0],))
            elif stale:
                self._relink(db)
        return bool(entries)

    def _link(self, db: Connection, turn: int | None, session: int) -> None:
        """Note a turn, and those above it that nobody has noted: a cut turn is in no log."""
        while turn is not None:
            parent, known = db.execute(upkeep.ABOVE, (turn,)).fetchone() or (None, 1)
            if known:
                return
            db.execute(upkeep.LINK, (turn, session))
            turn = parent

    def _relink(self, db: Connection) -> None:
        for session, turn in db.execute(upkeep.FORKS).fetchall():
            self._link(db, turn, session)
        db.execute("UPDATE search_state SET stale = 0")

    def _add_more(self, last: int) -> int:
        """Put the words of the next turns into the index, and return how many turns there were."""
        with self._writing(durable=False) as db:
            mark = db.execute(upkeep.SEARCH_STATE + self._for_update).fetchone()[0]
            turns = [one for one in self._scan(db, mark, _TURNS) if one[0] <= last]
            self._add(db, (document for number, turn in turns for document in documents(number, turn)))
            if turns:
                db.execute("UPDATE search_state SET turn = ?", (turns[-1][0],))
        return len(turns)

    def _forget(self, db: Connection, number: int, turn: Turn, instead: Turn | None = None) -> None:
        """Take a turn out of the index, where it is in it; `instead` of it comes another."""
        if number > db.execute(upkeep.SEARCH_STATE + self._for_update).fetchone()[0]:
            return
        if not is_intact(turn):
            # What it said when it was put there, nobody knows any more.
            self._forget_all(db)
            return
        new = {one.place: one for one in documents(number, instead)} if instead is not None else {}
        for old in documents(number, turn):
            self._replace(db, old, new.get(old.place))

    # What takes something away

    def delete(self, keys: Sequence[Key], *, seen: Sequence[int] | None = None, at: int = 0) -> int:
        gone = super().delete(keys, seen=seen, at=at)
        if gone:
            self._erase(shrink=False)
        return gone

    def redact(self, key: Key, turn: Turn, *, was: str, text: str) -> bool:
        with self._writing() as db:
            self._alone(db)
            row = self._turn_row(db, turn.turn_id)
            assert row is not None
            (found,) = self._fetch(db, turns.SELECT_TURN, (turn.turn_id,))
            before = turns.turn(found)
            if before.body != was:
                return False
            self._forget(db, row, before, turn)
            db.execute(upkeep.REDACT_TURN, (turn.body, turn.content_hash, turn.turn_id))
            for (run_id,) in db.execute(upkeep.TELLING, (turn.turn_id,)).fetchall():
                self._forget_run(db, run_id)
            for (run_id,) in db.execute(upkeep.ASKING, (text, *key)).fetchall():
                self._forget_run(db, run_id, redact=True)
            self._will_erase(said=True)
        self._erase(shrink=False)
        return True

    def redact_run(self, run_id: str) -> None:
        with self._writing() as db:
            with suppress(RunNotFound):
                self._forget_run(db, run_id, redact=True)
            self._will_erase(said=False)
        self._erase(shrink=False)

    def _forget_run(self, db: Connection, run_id: str, *, redact: bool = False) -> None:
        """Take away what a run told; with `redact`, also what it was asked."""
        run = self._run(db, run_id)
        for statement in upkeep.FORGET_RUN:
            db.execute(statement, (run.number,))
        run.set(progressed=0)
        if redact:
            run.redact()
        self._write(db, run)

    def collect(self) -> int:
        gone = 0
        with self._writing() as db:
            self._alone(db)
            db.execute(upkeep.INDEX_PARENTS)
            unreached = [row[0] for row in db.execute(upkeep.SELECT_UNREACHED).fetchall()]
            for number in unreached:
                for found in self._scan(db, number - 1, 1):
                    self._forget(db, *found)
                db.execute("DELETE FROM turns WHERE id = ?", (number,))
                gone += 1
            for statement in upkeep.COLLECT:
                db.execute(statement)
            db.execute(upkeep.SET_BACK)
            db.execute(upkeep.DROP_PARENTS)
            if gone:
                self._will_erase(said=True)
        if gone:
            self._erase(shrink=True)
        return gone


def narrowed(wanted: Wanted, table: str) -> tuple[str, list[Any]]:
    """Return the condition that a message of a table is on the way that is wanted, with its parameters."""
    if wanted.up_to is None:
        return "", []
    turn_id, keep = wanted.up_to
    condition = f" AND {table}.turn IN ({ON_THE_WAY})"
    if keep is None:
        return condition, [turn_id]
    beyond = f"{table}.turn = (SELECT id FROM turns WHERE turn_id = ?) AND {table}.place >= ?"
    return f"{condition} AND NOT ({beyond})", [turn_id, turn_id, keep]


def documents(number: int, turn: Turn) -> list[Document]:
    """Return the words of a turn's messages; a message without any has none."""
    found = [
        Document(number, place, message.role, words(said(message)))
        for place, message in enumerate(readable(turn))
    ]
    return [document for document in found if document.words]
