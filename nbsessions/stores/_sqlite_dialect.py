"""What SQLite says otherwise than PostgreSQL: its JSON, its damages, its index of words."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any, Final, cast

from nbsessions.records import Head
from nbsessions.stores._index import ON_THE_WAY, RANKED, Document, Hit, IndexedBackend, narrowed
from nbsessions.stores._rows import sessions
from nbsessions.stores._sql import Connection, Unreadable
from nbsessions.stores.base import Wanted

_HITS: Final = f"""
    SELECT d.turn, d.place, s.conversation_id, s.session_id, -bm25(search, 1.0, 0.0)
    FROM search f JOIN search_documents d ON d.id = f.rowid JOIN search_links l ON l.turn = d.turn
    JOIN sessions s ON s.id = l.session {{where}} ORDER BY f.rowid DESC LIMIT {RANKED}"""
# Asked for at once, both would be looked for in all rows.
_ENDS: Final = "SELECT (SELECT min(id) FROM search_documents), (SELECT max(id) FROM search_documents)"
_NEXT_DOCUMENT: Final = "SELECT id, turn, place FROM search_documents WHERE id >= ? ORDER BY id LIMIT 1"
_MANY: Final = 20_000
"""After so many turns the index is put in order, which makes it smaller and faster."""


class Dialect(IndexedBackend):
    """The primitives, in what differs from PostgreSQL; members lend the connections."""

    _passing_indexes = "NOT INDEXED"
    _numbers = _texts = "(SELECT value FROM json_each(?))"
    _tag_condition = "EXISTS (SELECT 1 FROM json_each(s.tags) WHERE json_each.value = ?)"
    _lower = "lower({})"
    # Several times as fast as `instr(lower(...))`, and the same: only A to Z have two cases for it, too.
    _holds = r"{} LIKE ? ESCAPE '\'"
    _tag_holds = (
        "(s.tags <> '[]' AND instr(lower(s.tags), ?) > 0 AND "
        "EXISTS (SELECT 1 FROM json_each(s.tags) t WHERE instr(lower(t.value), ?) > 0))"
    )
    _json_array = "json_group_array({})"
    _in_order = True
    _tag_source = " LEFT JOIN json_each(s.tags) g"
    _tag_json = "json_quote(g.value)"

    def _pattern(self, text: str) -> str:
        return "%" + re.sub(r"([%_\\])", r"\\\1", text) + "%"

    def _insert_row(self, db: Connection, sql: str, params: Sequence[Any]) -> int:
        return cast(int, cast(sqlite3.Connection, db).execute(sql, params).lastrowid)

    def _fetch(self, db: Connection, sql: str, params: Sequence[Any]) -> list[Any]:
        try:
            return db.execute(sql, params).fetchall()
        except sqlite3.OperationalError as error:
            if "decode" not in str(error):
                raise
            lent = cast(sqlite3.Connection, db)
            lent.text_factory = lambda data: data.decode(errors="replace")
            try:
                return db.execute(sql, params).fetchall()
            finally:
                lent.text_factory = str

    def _row(self, db: Connection, sql: str, params: Sequence[Any]) -> Sequence[Any]:
        try:
            return super()._row(db, sql, params)
        except (sqlite3.OperationalError, sqlite3.DataError) as error:
            # Text that is none, bytes that no JSON holds, arrays that are too long for one value.
            if any(text in str(error) for text in ("decode", "BLOB", "too big")):
                raise Unreadable from error
            raise

    # Words

    def _add(self, db: Connection, documents: Iterable[Document]) -> None:
        place = "INSERT INTO search_documents(turn, place) VALUES (?, ?)"
        for document in documents:
            number = self._insert_row(db, place, (document.turn, document.place))
            words = (number, " ".join(document.words), document.role)
            db.execute("INSERT INTO search(rowid, words, role) VALUES (?, ?, ?)", words)

    def _replace(self, db: Connection, old: Document, new: Document | None) -> None:
        number = self._document(db, old)
        if number is None:
            return
        taken_out = "INSERT INTO search(search, rowid, words, role) VALUES ('delete', ?, ?, ?)"
        db.execute(taken_out, (number, " ".join(old.words), old.role))
        if new is None:
            db.execute("DELETE FROM search_documents WHERE id = ?", (number,))
        else:
            words = (number, " ".join(new.words), new.role)
            db.execute("INSERT INTO search(rowid, words, role) VALUES (?, ?, ?)", words)

    def _document(self, db: Connection, document: Document) -> int | None:
        """Return the number of a document, where it is in the index."""
        found = db.execute(_NEXT_DOCUMENT, (self._first_from(db, document.turn, document.place),)).fetchone()
        meant = found is not None and tuple(found[1:]) == (document.turn, document.place)
        return int(found[0]) if meant else None

    def _first_from(self, db: Connection, turn: int, place: int) -> int:
        """Return a number that parts the documents before this one from it and all that follow.

        It is found by halves: they are in the order of the turns.
        """
        first, last = db.execute(_ENDS).fetchone()
        low, high = (0, 0) if first is None else (first, last + 1)
        while low < high:
            middle = (low + high) // 2
            found = db.execute(_NEXT_DOCUMENT, (middle,)).fetchone()
            if found is None or tuple(found[1:]) >= (turn, place):
                high = middle
            else:
                low = found[0] + 1
        return int(low)

    def _tidy(self, added: int) -> None:
        if added > _MANY:
            with self._writing(durable=False) as db:
                db.execute("INSERT INTO search(search) VALUES ('optimize')")

    def _empty(self, db: Connection) -> None:
        db.execute("INSERT INTO search(search) VALUES ('delete-all')")
        db.execute("DELETE FROM search_documents")

    def _hits(self, db: Connection, wanted: Wanted) -> list[Hit]:
        where, params = sessions.where(wanted.sessions, self._tag_condition, self._texts)
        where = f"{where} AND search MATCH ?" if where else "WHERE search MATCH ?"
        params += [_match(wanted)]
        if wanted.up_to is not None:
            where, params = (
                f"{where} AND f.rowid >= ? AND f.rowid < ?",
                [*params, *self._span(db, wanted.up_to)],
            )
            narrower, more = narrowed(wanted, "d")
            where, params = f"{where}{narrower}", [*params, *more]
        return [Hit(*row) for row in db.execute(_HITS.format(where=where), params).fetchall()]

    def _span(self, db: Connection, head: Head) -> tuple[int, int]:
        """Return between which numbers, the second one excluded, all documents up to `head` are."""
        sql = f"SELECT min(id), max(id) FROM turns WHERE id IN ({ON_THE_WAY})"
        first, last = db.execute(sql, (head.turn_id,)).fetchone()
        if first is None:
            return (0, 0)
        return self._first_from(db, first, 0), self._first_from(db, last + 1, 0)

    def _last(self, table: str) -> int:
        # Numbers are given in the order of the commits: one transaction writes at a time.
        with self._reading() as db:
            return int(db.execute(f"SELECT max(id) FROM {table}").fetchone()[0] or 0)


def _match(wanted: Wanted) -> str:
    """Return what is looked for, as FTS5 writes it: each word is quoted, so that none is an operator."""
    terms = [f'"{" ".join(term.words)}"{" *" if term.prefix else ""}' for term in wanted.terms]
    role = "" if wanted.role is None else f' AND role : "{wanted.role}"'
    return f"words : ({' AND '.join(terms)}){role}"
