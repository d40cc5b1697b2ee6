"""What all primitives are made of: a connection, a session's row, and what writes it back."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from itertools import islice
from typing import Any, Protocol, TypeVar

from nbsessions.exceptions import DamagedSession, DamagedTurn, SessionNotFound
from nbsessions.stores._rows import heads, sessions
from nbsessions.stores._rows.checks import Sealed, marks, passing, tell
from nbsessions.stores._rows.sessions import Stand
from nbsessions.stores.base import Backend, Key

Row = Sequence[Any]
AT_ONCE = 500
"""So many ids fit into one statement on every database."""
_Item = TypeVar("_Item")
_LOOKS = 3
"""Others may write between two looks: only what is wrong each time is damaged."""


class Cursor(Protocol):
    """What both drivers' cursors can do."""

    def fetchone(self) -> Any: ...
    def fetchall(self) -> list[Any]: ...


class Connection(Protocol):
    """What both drivers' connections can do."""

    def execute(self, sql: str, params: Sequence[Any] = ..., /) -> Cursor: ...
    def executemany(self, sql: str, params: Iterable[Sequence[Any]], /) -> object: ...


class Connected(Backend):
    """What the primitives share."""

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

    _numbers: str
    """The numbers of a JSON array, which is the one placeholder, as a table in brackets."""
    _texts: str
    """The texts of one, likewise."""
    _tag_condition: str
    """A condition, with one placeholder, that the JSON array `s.tags` holds a value."""
    _for_update = ""
    """What makes a SELECT hold on to its rows until the transaction ends, where they are not held anyway."""
    _passing_indexes = ""
    """What makes a SELECT read a table itself, where an index may have lost a row without a word."""

    def _hold(self, db: Connection, key: Key) -> None:
        """Let no other writer change this session until the transaction ends.

        Where one transaction writes at a time, there is nothing to do.
        """

    def _alone(self, db: Connection) -> None:
        """Let nobody else write until the transaction ends, where others could."""

    def _hold_all(self, db: Connection, keys: Collection[Key]) -> None:
        """Let no other writer change these sessions, as `_hold` does."""

    def _will_erase(self, *, said: bool) -> None:
        """Note, before a deletion is committed, that it is to be erased; with `said`, in the index, too."""

    def _fetch(self, db: Connection, sql: str, params: Sequence[Any]) -> list[Any]:
        """Fetch rows, also where a text in one is no text any more: its checksum will tell."""
        return db.execute(sql, params).fetchall()

    def _write(self, db: Connection, row: Sealed) -> None:
        db.execute(*row.update())

    def _write_all(self, db: Connection, rows: Iterable[Sealed]) -> None:
        """Write many rows, those in which the same has changed together."""
        alike: dict[str, list[Sequence[Any]]] = {}
        for row in rows:
            sql, params = row.update()
            alike.setdefault(sql, []).append(params)
        for sql, many in alike.items():
            db.executemany(sql, many)

    def _number(self, db: Connection, key: Key) -> int:
        found = db.execute(sessions.NUMBER, key).fetchone()
        # A damaged index may lead to none, or to another.
        is_it = found is not None and tuple(found[1:]) == key
        return int(found[0]) if is_it else self._stand(db, key).number

    def _stand(self, db: Connection, key: Key) -> Stand:
        row, drafts = self._session_row(db, key, sessions.SELECT_STAND)
        if row is None:
            raise SessionNotFound(key.session_id)
        return Stand(row, drafts)

    def _session_row(
        self, db: Connection, key: Key, select: str = sessions.SELECT_SESSION
    ) -> tuple[Row | None, sessions.Drafts]:
        rows, drafts = self._with_drafts(db, lambda: self._session_rows(db, key, select))
        return (rows[0] if rows else None), drafts

    def _with_drafts(
        self, db: Connection, look: Callable[[], list[Row]]
    ) -> tuple[list[Row], dict[int | None, Row]]:
        """Return rows of sessions, and the log entries of the drafts that some of them have."""
        for _ in range(_LOOKS):
            rows = look()
            numbers = sessions.draft_entries(rows)
            drafts: dict[int | None, Row] = {}
            for start in range(0, len(numbers), AT_ONCE):
                part = numbers[start : start + AT_ONCE]
                found = self._fetch(db, f"{heads.SELECT_DRAFTS}({marks(len(part))})", part)
                drafts |= {row[0]: row[1:] for row in found}
            if len(drafts) == len({*numbers}):
                break
        return rows, drafts

    def _session_rows(self, db: Connection, key: Key, select: str) -> list[Row]:
        """Return the row of a session, where there is one."""
        rows = self._fetch(db, select + sessions.BY_KEY, key)
        # A damaged index may lead to another.
        found = [row for row in rows if (row[2], row[1]) == tuple(key)]
        if not found and self._passing_indexes:
            found = self._fetch(db, passing(select, self._passing_indexes) + sessions.BY_KEY, key)
            # It may have been stored between the two looks.
            if found and not self._fetch(db, select + sessions.BY_KEY, key):
                tell(DamagedSession(key.session_id, "entry in the index"))
        return found

    def _rows_of(
        self, db: Connection, keys: Collection[Key], select: str = sessions.SELECT_SESSION
    ) -> list[Row]:
        """Return the rows of those of several sessions, `AT_ONCE` at most, that there are."""
        ids = [*{key.session_id for key in keys}]
        where = f"{sessions.BY_IDS}({marks(len(ids))})"

        def look(select: str) -> dict[Key, Row]:
            rows = {Key(row[2], row[1]): row for row in self._fetch(db, select + where, ids)}
            return {key: rows[key] for key in keys if key in rows}

        found = look(select)
        if len(found) < len({*keys}) and self._passing_indexes:
            for key, row in look(passing(select, self._passing_indexes)).items():
                # It may have been stored between the two looks.
                if key not in found and not self._fetch(db, select + sessions.BY_KEY, key):
                    tell(DamagedSession(key.session_id, "entry in the index"))
                found.setdefault(key, row)
        return [*found.values()]

    def _counted(
        self, db: Connection, key: Key, column: str, look: Callable[[Stand], tuple[list[Any], int]]
    ) -> tuple[Stand, list[Any]]:
        """Return a session, and the rows of it that `look` finds; that they are too few is told.

        `look` says, too, how many there are of what is counted in `column`.
        """
        for _ in range(_LOOKS):
            stand = self._stand(db, key)
            rows, count = look(stand)
            if count >= stand.moved[column]:
                return stand, rows
        what = column.removesuffix("_count").replace("_", " ")
        tell(DamagedSession(key.session_id, f"number of {_PLURALS.get(what, what)}"))
        return stand, rows

    def _turn_row(self, db: Connection, turn_id: str | None) -> int | None:
        if turn_id is None:
            return None
        found = db.execute("SELECT id FROM turns WHERE turn_id = ?", (turn_id,)).fetchone()
        if found is None:
            raise DamagedTurn(turn_id)
        return int(found[0])


def in_parts(items: Iterable[_Item]) -> Iterator[list[_Item]]:
    """Yield so many at a time as fit into one statement.

    Examples
    --------
    >>> [len(part) for part in in_parts(range(1_200))]
    [500, 500, 200]
    """
    left = iter(items)
    while part := list(islice(left, AT_ONCE)):
        yield part


_PLURALS = {
    "entry": "log entries",
    "ended run": "runs",
    "checkpoint": "checkpoints",
    "value": "key-values",
    "document": "documents",
}
