"""What PostgreSQL says otherwise than SQLite: its JSON, its locks, its index of words."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final, cast

from nbsessions.stores._index import RANKED, Document, Hit, IndexedBackend, narrowed
from nbsessions.stores._pg_pool import Link
from nbsessions.stores._pg_text import in_json, numbered
from nbsessions.stores._rows import sessions
from nbsessions.stores._rows.checks import marks
from nbsessions.stores._sql import Connection
from nbsessions.stores.base import Key, Wanted

_PLACES: Final = 16_000
_SEVERAL: Final = 200
"""Of a word, PostgreSQL keeps fewer than 256 places, none above 16,383."""
_BYTES: Final = 1_000_000
"""PostgreSQL keeps no more than 1 MB of words of one message."""
# Of many hits, the newest are ranked; the first step must not be merged into the second.
_HITS: Final = f"""
    WITH hits AS MATERIALIZED (SELECT f.turn, f.place, f.words, s.conversation_id, s.session_id
    FROM search f JOIN search_links l ON l.turn = f.turn JOIN sessions s ON s.id = l.session {{where}}
    ORDER BY f.turn DESC LIMIT {RANKED})
    SELECT turn, place, conversation_id, session_id, ts_rank(words, CAST(? AS tsquery), 1) FROM hits"""


class Dialect(IndexedBackend):
    """The primitives, in what differs from SQLite; members lend the connections."""

    _numbers = "(SELECT CAST(value AS bigint) FROM json_array_elements_text(CAST(? AS json)))"
    _texts = "(SELECT value FROM json_array_elements_text(CAST(? AS json)))"
    # As JSON, which may hold what text may not: a tag is never read as text.
    _tag_condition = (
        "EXISTS (SELECT 1 FROM json_array_elements(s.tags::json) tag WHERE tag.value::text = "
        "to_json(CAST(? AS text))::text)"
    )
    _tag_source = " LEFT JOIN LATERAL json_array_elements(s.tags::json) g(value) ON true"
    _tag_json = "g.value::text"

    _lower = 'lower({} COLLATE "C")'
    _holds = """strpos(lower(({}) COLLATE "C"), ?) > 0"""
    _tag_holds = """(s.tags <> '[]' AND strpos(lower(s.tags COLLATE "C"), ?) > 0
        AND EXISTS (SELECT 1 FROM json_array_elements(s.tags::json) t
        WHERE strpos(lower(substr(t.value::text, 2, length(t.value::text) - 2) COLLATE "C"), ?) > 0))"""
    _json_array = "json_agg({})::text"

    def _in_a_tag(self, text: str) -> tuple[str, str]:
        in_json, _ = super()._in_a_tag(text)
        return in_json, in_json

    def _row(self, db: Connection, sql: str, params: Sequence[Any]) -> Sequence[Any]:
        # In binary, text comes as it is written: a NUL in an array is read as JSON writes it.
        found = cast(Link, db).db.execute(numbered(sql), params, binary=True).fetchone() or ()
        return [in_json(value) if isinstance(value, str) else value for value in found]

    def _insert_row(self, db: Connection, sql: str, params: Sequence[Any]) -> int:
        return cast(int, db.execute(f"{sql} RETURNING id", params).fetchone()[0])

    def _hold(self, db: Connection, key: Key) -> None:
        # A statement of its own. One that waited for the row would join it, new, to others as they were.
        db.execute(f"SELECT s.id FROM sessions s{sessions.BY_KEY} FOR UPDATE", key)

    def _hold_all(self, db: Connection, keys: Collection[Key]) -> None:
        ids = [*{key.session_id for key in keys}]
        # In one order, so that two who hold several do not wait for each other.
        where = f"{sessions.BY_IDS}({marks(len(ids))}) ORDER BY s.id FOR UPDATE"
        db.execute(f"SELECT s.id FROM sessions s{where}", ids)

    # Words

    _for_update = " FOR UPDATE"

    def _add(self, db: Connection, documents: Iterable[Document]) -> None:
        sql = (
            "INSERT INTO search(turn, place, role, words) VALUES (?, ?, ?, CAST(? AS tsvector)) "
            "ON CONFLICT DO NOTHING"
        )
        for document in documents:
            db.execute(sql, (document.turn, document.place, document.role, _vector(document.words)))

    def _replace(self, db: Connection, old: Document, new: Document | None) -> None:
        db.execute("DELETE FROM search WHERE turn = ? AND place = ?", (old.turn, old.place))
        if new is not None:
            self._add(db, [new])

    def _empty(self, db: Connection) -> None:
        db.execute("DELETE FROM search")

    def _hits(self, db: Connection, wanted: Wanted) -> list[Hit]:
        where, params = sessions.where(wanted.sessions, self._tag_condition, self._texts)
        where = f"{where or 'WHERE true'} AND f.words @@ CAST(? AS tsquery)"
        query = _query(wanted)
        params += [query]
        if wanted.role is not None:
            where, params = f"{where} AND f.role = ?", [*params, wanted.role]
        narrower, more = narrowed(wanted, "f")
        where, params = f"{where}{narrower}", [*params, *more]
        found = db.execute(_HITS.format(where=where), (*params, query)).fetchall()
        return [Hit(*row) for row in found]

    def _last(self, table: str) -> int:
        # Numbers are given before the commit. Who waits for all that write has seen what they were given.
        with self._writing() as db:
            db.execute(f"LOCK TABLE {table} IN SHARE MODE")
            return int(db.execute(f"SELECT max(id) FROM {table}").fetchone()[0] or 0)

    def _alone(self, db: Connection) -> None:
        db.execute("LOCK TABLE sessions, heads, turns, checkpoints, runs IN SHARE ROW EXCLUSIVE MODE")

    def _erase(self, *, shrink: bool) -> None:
        """Leave it to the server: its vacuum gives the space back, and its own log keeps what it keeps."""


def _vector(words: Sequence[str]) -> str:
    """Return words with their places, as a tsvector is written; they hold neither quotes nor spaces."""
    places: dict[str, list[str]] = {}
    size = 0
    for number, word in enumerate(words):
        size += 4 if word in places else len(word.encode()) + 12
        if size > _BYTES:
            break
        # It counts no further: what is found there only by chance is not found in the text.
        places.setdefault(word, []).append(str(number % _PLACES + 1))
    return " ".join(f"'{word}':{','.join(at[:_SEVERAL])}" for word, at in places.items())


def _query(wanted: Wanted) -> str:
    """Return what is looked for, as a tsquery is written, each word quoted: so none is an operator."""
    terms = []
    for term in wanted.terms:
        *first, last = (f"'{word}'" for word in term.words)
        terms.append(" <-> ".join([*first, f"{last}:*" if term.prefix else last]))
    return " & ".join(f"({term})" for term in terms)
