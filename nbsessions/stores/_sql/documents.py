"""Documents of sessions: put there, found, removed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import groupby
from operator import itemgetter
from typing import Any

from nbsessions.exceptions import SessionNotFound
from nbsessions.stores._rows import documents as rows
from nbsessions.stores._rows.checks import crc, marks
from nbsessions.stores._rows.schema import DOCUMENT_COUNT
from nbsessions.stores._rows.sessions import Stand
from nbsessions.stores._sql.connected import Connected, Connection, in_parts
from nbsessions.stores.base import Document, Documents, Inherited, Key


class Documenting(Connected):
    """The primitives of documents."""

    def put_documents(self, key: Key, documents: Sequence[Document], *, keep: bool = False) -> None:
        with self._writing() as db:
            self._put(db, key, documents, keep=keep)

    def _put(self, db: Connection, key: Key, documents: Sequence[Document], *, keep: bool = False) -> None:
        self._hold(db, key)
        stand = self._stand(db, key)
        put = {(document.collection, document.name): document for document in documents}
        there = self._numbers_of(db, stand.number, put)
        new = [rows.values(stand.number, put[place]) for place in put if place not in there]
        db.executemany(rows.INSERT, new)
        if not keep:
            other = [(put[place], number) for place, number in there.items()]
            db.executemany(rows.REPLACE, [(d.body, crc(*d, stand.number), n) for d, n in other])
        if new:
            self._recount(db, stand, len(new))

    def documents(self, key: Key, asked: Documents = Documents()) -> list[Document]:
        with self._reading() as db:
            return self._found(db, key, asked)

    def _found(self, db: Connection, key: Key, asked: Documents) -> list[Document]:
        def look(stand: Stand) -> tuple[list[Any], int]:
            found = self._documents(db, stand, asked)
            # Who asks for some cannot know whether one is missing.
            return found, len(found) if asked == Documents() else stand.moved[DOCUMENT_COUNT]

        # Most sessions have none, which is told without reading all that a session is.
        if db.execute(rows.ANY, key).fetchone() == (0, False):
            return []
        stand, found = self._counted(db, key, DOCUMENT_COUNT, look)
        return [rows.document(key.session_id, stand.number, row) for row in found]

    def _inherit(self, db: Connection, key: Key, inherited: Inherited) -> None:
        """Give a new session what it inherits."""
        with suppress(SessionNotFound):  # the other one was deleted meanwhile, and all its documents
            found = self._found(db, inherited.key, Documents(inherited.collection))
            if found:
                self._put(db, key, found)

    def drop_documents(self, key: Key, asked: Documents = Documents()) -> int:
        with self._writing() as db:
            self._hold(db, key)
            stand = self._stand(db, key)
            gone = [row[0] for row in self._documents(db, stand, asked)]
            if gone:
                db.execute(rows.DELETE + self._numbers, (json.dumps(gone),))
                self._recount(db, stand, -len(gone))
        return len(gone)

    def _numbers_of(
        self, db: Connection, session: int, places: Iterable[tuple[str, str]]
    ) -> dict[tuple[str, str], int]:
        """Return the numbers of those documents that there are."""
        found: dict[tuple[str, str], int] = {}
        for collection, group in groupby(sorted(places), key=itemgetter(0)):
            for part in in_parts(name for _, name in group):
                sql = f"{rows.FIND}({marks(len(part))})"
                for number, name in db.execute(sql, (session, collection, *part)).fetchall():
                    found[collection, name] = number
        return found

    def _documents(self, db: Connection, stand: Stand, asked: Documents) -> list[Any]:
        found = [row for select in rows.selects(stand.number, asked) for row in self._fetch(db, *select)]
        found.sort(key=rows.place, reverse=asked.descending)
        return found[: asked.limit]

    def _recount(self, db: Connection, stand: Stand, more: int) -> None:
        stand.moved.add(**{DOCUMENT_COUNT: more})
        self._write(db, stand.moved)
