"""Rows as columns: each one a JSON array that the database makes, so that Python sees no single row."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from nbsessions.records import Run
from nbsessions.stores._columns import RunRow, events_of, made_of
from nbsessions.stores._rows import runs, sessions
from nbsessions.stores._sql.connected import Connected, Connection
from nbsessions.stores.base import Columns, Key, Piece

ROWS: Final = 10_000
"""So many rows are one piece: their arrays are small beside what is made of them."""
BODIES: Final = 1_000
"""So many, where each brings what was said."""
RUNS: Final = 500
"""So many runs, where each brings its events."""
_LONG: Final = {"prompt", "turn_body"}
_CONVERSATION: Final = "nullif(s.conversation_id, '')"
_EXPRESSIONS: Final[dict[str, dict[str, str]]] = {
    "sessions": {"conversation_id": _CONVERSATION},
    "runs": {
        "session_id": "s.session_id",
        "session_name": "s.name",
        "conversation_id": _CONVERSATION,
        "turn_id": "t.turn_id",
        "turn_codec": "t.codec",
        "turn_body": "t.body",
    },
    "events": {"run_id": "r.run_id", "session_id": "s.session_id", "conversation_id": _CONVERSATION},
}
_ALIAS: Final = {"sessions": "s", "runs": "r", "events": "e"}
_SESSION: Final = " LEFT JOIN sessions s ON s.id = r.session"
_TURN: Final = " LEFT JOIN turns t ON t.id = r.turn"
_OF_ONE: Final = (
    " AND r.session = (SELECT o.id FROM sessions o WHERE o.conversation_id = ? AND o.session_id = ?)"
)


class Unreadable(Exception):
    """A row holds something else than it should: nothing can be made of the piece."""


class ReadsColumns(Connected):
    """The primitive that reads columns."""

    _json_array: str
    """The aggregate that makes a JSON array of a column, as text."""
    _in_order = False
    """Whether rows come in the order of their numbers where nothing else is asked for."""

    def columns(self, asked: Columns, after: int = 0, *, checked: bool = False) -> Piece:
        if not checked:
            try:
                with self._reading() as db:
                    return self._piece(db, asked, after)
            except Unreadable:
                pass
        return self._checked(asked, after)

    def _row(self, db: Connection, sql: str, params: Sequence[Any]) -> Sequence[Any]:
        """Fetch one row of JSON arrays. Raises Unreadable."""
        found: Sequence[Any] = db.execute(sql, params).fetchone()
        return found

    def _piece(self, db: Connection, asked: Columns, after: int) -> Piece:
        size = _size(asked)
        arrays = "".join(f", {self._json_array.format(name)}" for name in asked.names)
        if asked.table == "events":
            source, params, last = self._events(asked, after)
        elif self._in_order and not _is_limited(asked) and asked.sessions.session_id is None:
            source, params, last = self._range(asked, after)
            expressions = (_expression(asked.table, name) for name in asked.names)
            arrays = "".join(f", {self._json_array.format(one)}" for one in expressions)
        else:
            source, params, last = self._rows(asked, after)
        end, count, *columns = self._row(db, f"SELECT {last}, count(*){arrays} FROM {source}", params)
        whole = end is None or _is_limited(asked) or (asked.table != "events" and count < size)
        return Piece(
            dict(zip(asked.names, (column or "[]" for column in columns), strict=True)),
            None if whole else int(end),
        )

    def _range(self, asked: Columns, after: int) -> tuple[str, list[Any], str]:
        """Return a source that a database reads in its order: no row is copied on the way."""
        where, params = self._where(asked, after)
        number = f"{_ALIAS[asked.table]}.id"
        ids = f"SELECT {number} AS id FROM {self._from(asked)}{where} ORDER BY {number} LIMIT {_size(asked)}"
        source = f"{self._from(asked)}{where} AND {number} <= (SELECT max(id) FROM ({ids}) ids)"
        return source, [*params, *params], f"max({number})"

    def _rows(self, asked: Columns, after: int) -> tuple[str, list[Any], str]:
        """Return a source of rows that are put in order first."""
        where, params = self._where(asked, after)
        names = [f"{_expression(asked.table, name)} AS {name}" for name in asked.names]
        chosen = ", ".join([f"{_ALIAS[asked.table]}.id AS id", *names])
        rows = (
            f"SELECT {chosen} FROM {self._from(asked)}{where} ORDER BY {_order(asked)} LIMIT {_size(asked)}"
        )
        if _is_limited(asked):
            rows = f"SELECT * FROM ({rows}) newest ORDER BY id"
        return f"({rows}) piece", params, "max(id)"

    def _events(self, asked: Columns, after: int) -> tuple[str, list[Any], str]:
        """Return a source of the events of the next runs."""
        where, params = self._where(asked, after)
        runs_meant = f"SELECT r.id FROM {self._from(asked)}{where} ORDER BY r.id LIMIT {RUNS}"
        names = [f"{_expression(asked.table, name)} AS {name}" for name in asked.names]
        kinds = [] if asked.type is None else [asked.type, asked.type]
        kind = " AND substr(e.type, 1, length(?)) = ?" if kinds else ""
        rows = (
            f"SELECT {', '.join(names)} FROM events e JOIN runs r ON r.id = e.run{_SESSION} "
            f"WHERE e.run IN ({runs_meant}){kind} ORDER BY e.run, e.seq"
        )
        return (
            f"({rows}) piece",
            [*params, *params, *kinds],
            f"(SELECT max(id) FROM ({runs_meant}) chosen)",
        )

    def _from(self, asked: Columns) -> str:
        """Return the tables, read in the order of their rows, but where one session is asked for."""
        hint = "" if asked.sessions.session_id is not None else f" {self._passing_indexes}"
        if asked.table == "sessions":
            return f"sessions s{'' if _is_limited(asked) else hint}"
        with_turn = _TURN if any(name.startswith("turn_") for name in asked.names) else ""
        return f"runs r{hint}{_SESSION}{with_turn}"

    def _where(self, asked: Columns, after: int) -> tuple[str, list[Any]]:
        meant_sessions = asked.sessions._replace(since=None, until=None, limit=None)
        where, params = sessions.where(meant_sessions, self._tag_condition, self._texts)
        own, at = ("s", "updated_at") if asked.table == "sessions" else ("r", "started_at")
        conditions = {
            f"{own}.id > ?": after,
            f"{own}.{at} >= ?": asked.since,
            f"{own}.{at} < ?": asked.until,
            f"{own}.agent_name = ?": asked.agent_name,
            f"{own}.model = ?": asked.model,
        }
        meant = {text: value for text, value in conditions.items() if value is not None}
        text = f"{where} AND" if where else " WHERE"
        text, params = f"{text} {' AND '.join(meant)}", [*params, *meant.values()]
        if asked.table != "sessions" and asked.sessions.session_id is not None:
            key = (asked.sessions.conversation_id or "", asked.sessions.session_id)
            text, params = f"{text}{_OF_ONE}", [*params, *key]
        return text, params

    # Row by row

    def _checked(self, asked: Columns, after: int) -> Piece:
        where, params = self._where(asked, after)
        limit = f" ORDER BY {_order(asked)} LIMIT {_size(asked)}"
        with self._reading() as db:
            if asked.table == "sessions":
                sql = f"{sessions.SELECT_SESSION}{where}{limit}"
                rows, drafts = self._with_drafts(db, lambda: self._fetch(db, sql, params))
                numbers = [row[0] for row in rows]
                records: list[Any] = sessions.sessions(rows, drafts)
            else:
                rows = self._fetch(db, f"{runs.SELECT_RUN}{where}{limit}", params)
                numbers = [runs.number(row) for row in rows]
                found = runs.runs(rows)
        if asked.table == "runs":
            records = self._with_others(found)
        elif asked.table == "events":
            records = list(events_of(self, found, asked.type))
        whole = _is_limited(asked) or len(rows) < _size(asked)
        return Piece(made_of(asked.table, asked.names, records), None if whole else max(numbers))

    def _with_others(self, found: Iterable[Run]) -> list[RunRow]:
        return [
            RunRow(
                run,
                self.get(Key.of(run)) if run.session_id else None,
                None if run.turn_id is None else self.turn(run.turn_id),
            )
            for run in found
        ]


def _expression(table: str, name: str) -> str:
    return _EXPRESSIONS[table].get(name, f"{_ALIAS[table]}.{name}")


def _size(asked: Columns) -> int:
    if _is_limited(asked):
        return asked.limit or 0
    if asked.table == "events":
        return RUNS
    return ROWS if _LONG.isdisjoint(asked.names) else BODIES


def _is_limited(asked: Columns) -> bool:
    """Tell whether what is asked for is the newest rows, few enough to be one piece."""
    return asked.limit is not None and asked.limit <= ROWS and asked.table != "events"


def _order(asked: Columns) -> str:
    if asked.table == "sessions":
        return "s.updated_at DESC, s.id DESC" if _is_limited(asked) else "s.id"
    return "r.id DESC" if _is_limited(asked) else "r.id"
