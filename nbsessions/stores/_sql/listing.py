"""A page of sessions: searched, counted and put in order by the database."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from nbsessions.records import SessionPage, SessionRecord
from nbsessions.stores._listing import TEXTS, words
from nbsessions.stores._rows import sessions
from nbsessions.stores._sql.connected import Connected, Connection, Row, in_parts
from nbsessions.stores.queries import Listing
from nbsessions.values import encode_json

_CALLED: Final = ("s.name", "s.session_id", "s.agent_name")


class Lists(Connected):
    """The primitive that lists."""

    _lower: str
    """Text with A to Z as a to z, and all else as it was."""
    _holds: str
    """A condition, with one placeholder for `_pattern`, that a column holds a text, A to Z as a to z."""
    _tag_holds: str
    """A condition, with two placeholders, that a value of the JSON array `s.tags` does: see `_in_a_tag`."""

    def listing(self, asked: Listing) -> SessionPage:
        wanted = words(asked.text)
        where, params = self._listed(asked, wanted)
        order = f"ORDER BY {self._order(asked)} LIMIT ? OFFSET ?"
        with self._reading() as db:
            # Who searches looks at every session, and counts on the way. Else an index gives the page at
            # once, and tells that it is the last: one more than is wanted is looked for.
            count, how = ("count(*) OVER ()", f" {self._passing_indexes}") if wanted else ("NULL", "")
            sql = f"SELECT s.id, {count} FROM sessions s{how}{where} {order}"
            found = db.execute(sql, [*params, asked.limit + 1, asked.offset]).fetchall()
            page = [row[0] for row in found[: asked.limit]]
            total = found[0][1] if found and wanted else asked.offset + len(found)
            if (len(found) > asked.limit and not wanted) or (asked.offset and not found):
                (total,) = db.execute(f"SELECT count(*) FROM sessions s{where}", params).fetchone()
            return SessionPage(self._page(db, page), int(total))

    def _page(self, db: Connection, numbers: Sequence[int]) -> list[SessionRecord]:
        found: dict[int, Row] = {}
        kept: dict[int | None, Row] = {}
        # One statement, however many there are: each that is another one is kept for a while.
        sql = f"{sessions.SELECT_SESSION} WHERE s.id IN {self._numbers}"
        for part in in_parts(numbers):
            rows, drafts = self._with_drafts(db, partial(self._fetch, db, sql, (json.dumps(part),)))
            found |= {row[0]: row for row in rows}
            kept |= drafts
        return sessions.sessions([found[number] for number in numbers if number in found], kept)

    def _listed(self, asked: Listing, wanted: Sequence[list[str]]) -> tuple[str, list[Any]]:
        where, params = sessions.where(asked.sessions, self._tag_condition, self._texts)
        called: list[str] = []
        for ways in wanted:
            each = [*(self._holds.format(column) for column in _CALLED), self._tag_holds]
            called += [f"({' OR '.join(condition for condition in each for _ in ways)})"]
            params += [self._pattern(way) for way in ways] * len(_CALLED)
            params += [part for way in ways for part in self._in_a_tag(way)]
        if not called:
            return where, params
        meant = " AND ".join(called)
        if asked.also:
            keys = ", ".join(["(?, ?)"] * len(asked.also))
            meant = f"({meant} OR (s.conversation_id, s.session_id) IN (VALUES {keys}))"
            params += [part for key in asked.also for part in key]
        return f"{where} AND {meant}" if where else f" WHERE {meant}", params

    def _pattern(self, text: str) -> str:
        """Return a text as `_holds` takes it."""
        return text

    def _in_a_tag(self, text: str) -> tuple[str, str]:
        """Return a text as it is in the JSON of `s.tags`, and as the values of that are compared with."""
        return encode_json(text, "text")[1:-1], text

    def _order(self, asked: Listing) -> str:
        newest = "s.updated_at DESC, s.id DESC"
        if asked.order == "updated_at" and asked.descending:
            return newest
        value = f"s.{asked.order}"
        if asked.order in TEXTS:
            value = self._lower.format(value)
        elif asked.order == "total_tokens":
            value = "s.input_tokens + s.output_tokens"
        return f"{value} {'DESC' if asked.descending else 'ASC'} NULLS LAST, {newest}"
