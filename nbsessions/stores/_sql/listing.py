"""A page of sessions: searched, counted and put in order by the database."""

from __future__ import annotations

from typing import Any, Final

from nbsessions.stores._listing import spellings
from nbsessions.stores._rows import sessions
from nbsessions.stores._sql.connected import Connected
from nbsessions.stores.arguments import Listed, Listing

_TEXTS: Final = ("name", "agent_name", "owner", "model")
_CALLED: Final = ("name", "session_id", "agent_name")


class Lists(Connected):
    """The primitive that lists."""

    _lower: str
    """Text with A to Z as a to z, and all else as it was."""
    _holds: str
    """A condition, with one placeholder, that a text holds another."""
    _tag_holds: str
    """A condition, with one placeholder, that a value of the JSON array `s.tags` does, in small letters."""

    def listing(self, asked: Listing) -> Listed:
        where, params = self._listed(asked)
        order = self._order(asked)
        page = f"SELECT s.id FROM sessions s{where} ORDER BY {order} LIMIT ? OFFSET ?"
        sql = f"{sessions.SELECT_SESSION} WHERE s.id IN ({page}) ORDER BY {order}"
        places = [*params, asked.limit, asked.offset]
        with self._reading() as db:
            rows, drafts = self._with_drafts(db, lambda: self._fetch(db, sql, places))
            (total,) = db.execute(f"SELECT count(*) FROM sessions s{where}", params).fetchone()
        return Listed(sessions.sessions(rows, drafts), int(total))

    def _listed(self, asked: Listing) -> tuple[str, list[Any]]:
        where, params = sessions.where(asked.sessions, self._tag_condition)
        called: list[str] = []
        for word in asked.text.split():
            ways = spellings(word)
            texts = [self._holds.format(self._lower.format(f"s.{column}")) for column in _CALLED]
            each = [condition for condition in (*texts, self._tag_holds) for _ in ways]
            called.append(f"({' OR '.join(each)})")
            params += [*ways * len(texts), *(self._in_a_tag(way) for way in ways)]
        if not called:
            return where, params
        meant = " AND ".join(called)
        if asked.also:
            keys = ", ".join(["(?, ?)"] * len(asked.also))
            meant = f"({meant} OR (s.conversation_id, s.session_id) IN (VALUES {keys}))"
            params += [part for key in asked.also for part in key]
        return f"{where} AND {meant}" if where else f" WHERE {meant}", params

    def _in_a_tag(self, text: str) -> str:
        """Return a text as the values of `s.tags` are compared with."""
        return text

    def _order(self, asked: Listing) -> str:
        newest = "s.updated_at DESC, s.id DESC"
        if asked.order == "updated_at" and asked.descending:
            return newest
        value = f"s.{asked.order}"
        if asked.order in _TEXTS:
            value = self._lower.format(value)
        elif asked.order == "total_tokens":
            value = "s.input_tokens + s.output_tokens"
        return f"{value} {'DESC' if asked.descending else 'ASC'} NULLS LAST, {newest}"
