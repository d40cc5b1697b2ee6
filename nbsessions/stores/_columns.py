"""Columns instead of records: what is read where a million rows are read at once."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pydantic_core import SchemaValidator, core_schema

from nbsessions.exceptions import DamagedRun
from nbsessions.records import Event, Run, SessionRecord, Turn, Usage
from nbsessions.stores._rows.spent import shares_text
from nbsessions.stores.arguments import Key
from nbsessions.stores.queries import Columns, Piece, Query, Table
from nbsessions.values import encode_json, micros

if TYPE_CHECKING:
    from nbsessions.stores.base import Backend

NANO: Final = 1_000_000_000
EVERYWHERE: Final = Query(conversation_id=None)


class Source(NamedTuple):
    """How a column is read from a record; whether it is text, or whole numbers, and some are missing."""

    of: Callable[[Any], object]
    is_text: bool = True
    optional: bool = False


class RunRow(NamedTuple):
    """A run, with the session that it belongs to and the turn that it committed, where they are there."""

    run: Run
    session: SessionRecord | None
    turn: Turn | None


class EventRow(NamedTuple):
    """An event, and the run that it is of."""

    event: Event
    run: Run


def _text(path: str, *, optional: bool = False) -> Source:
    return Source(attrgetter(path), optional=optional)


def _optional(path: str) -> Source:
    return _text(path, optional=True)


def _number(path: str) -> Source:
    return Source(attrgetter(path), is_text=False)


def _time(path: str, *, optional: bool = False) -> Source:
    read = attrgetter(path)

    def of(item: object) -> int | None:
        at: datetime | None = read(item)
        return None if at is None else micros(at)

    return Source(of, is_text=False, optional=optional)


def _spent(path: str) -> dict[str, Source]:
    counts = [name for name in Usage.model_fields if name != "cost"]
    read = attrgetter(f"{path}.cost")

    def cost(item: object) -> int | None:
        found = read(item)
        return None if found is None else int((found * NANO).to_integral_value())

    found = {name: _number(f"{path}.{name}") for name in counts}
    return {**found, "cost": Source(cost, is_text=False, optional=True)}


SESSIONS: Final[Mapping[str, Source]] = {
    **{name: _text(name) for name in ("session_id", "agent_name", "owner")},
    **{name: _optional(name) for name in ("name", "conversation_id", "model", "notebook")},
    "parent_session_id": _optional("parent_session_id"),
    "tags": Source(lambda record: encode_json(record.tags, "tags")),
    "created_at": _time("created_at"),
    "updated_at": _time("updated_at"),
    "message_count": _number("message_count"),
    "turn_count": _number("turn_count"),
    **_spent("usage"),
}
RUNS: Final[Mapping[str, Source]] = {
    **{name: _text(f"run.{name}") for name in ("run_id", "status", "agent_name")},
    **{
        name: _optional(f"run.{name}")
        for name in ("model", "provider", "prompt", "error", "cell_id", "retry_of", "priced_by", "turn_id")
    },
    "session_id": Source(lambda row: row.run.session_id or None, optional=True),
    "conversation_id": _optional("run.conversation_id"),
    "session_name": Source(lambda row: row.session and row.session.name, optional=True),
    "turn_codec": Source(lambda row: row.turn and row.turn.codec, optional=True),
    "turn_body": Source(lambda row: row.turn and row.turn.body, optional=True),
    "started_at": _time("run.started_at"),
    "finished_at": _time("run.finished_at", optional=True),
    "event_count": _number("run.event_count"),
    "shares": Source(lambda row: shares_text(row.run.shares), optional=True),
    **_spent("run.usage"),
}
EVENTS: Final[Mapping[str, Source]] = {
    "run_id": _text("run.run_id"),
    "session_id": Source(lambda row: row.run.session_id or None, optional=True),
    "conversation_id": _optional("run.conversation_id"),
    "seq": _number("event.seq"),
    "type": _text("event.type"),
    "data": Source(lambda row: encode_json(row.event.data, "event")),
}
TABLES: Final[Mapping[Table, Mapping[str, Source]]] = {"sessions": SESSIONS, "runs": RUNS, "events": EVENTS}


def values(source: Source, found: list[Any] | str) -> list[Any]:
    """Return the values of a column as a list.

    Raises
    ------
    ValueError
        They are not what the column should hold.

    Examples
    --------
    >>> values(SESSIONS["cost"], "[1,null]")
    [1, None]
    """
    if not isinstance(found, str):
        return found
    parsed: list[Any] = _array(source.is_text, source.optional).validate_json(found)
    return parsed


Parse = Callable[[Source, list[Any] | str], Any]


def pieces(backend: Backend, asked: Columns, parse: Parse = values) -> Iterator[dict[str, Any]]:
    """Yield the rows that are asked for, some at a time, as lists by the name of the column.

    The next piece is read while the one before is looked at. One that is not what it should be is read
    again, row by row: what is damaged there is told, and left out.

    Parameters
    ----------
    backend : Backend
    asked : Columns
    parse : callable
        Makes another thing than a list of the values of a column, and raises ValueError like `values`.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> store = nbs.open_store("memory:")
    >>> _ = store.create("plan")
    >>> list(pieces(store.backend, Columns("sessions", ["name", "cost"])))
    [{'name': ['plan'], 'cost': [None]}]
    """

    def parsed(piece: Piece) -> dict[str, Any]:
        sources = TABLES[asked.table]
        return {name: parse(sources[name], found) for name, found in piece.columns.items()}

    after, piece = 0, backend.columns(asked)
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1, "nbsessions-columns") as ahead:
        while True:
            coming = None if piece.after is None else ahead.submit(backend.columns, asked, piece.after)
            try:
                found = parsed(piece)
            except ValueError:
                again = backend.columns(asked, after, checked=True)
                found = parsed(again)
                if again.after != piece.after:
                    # Rows went or came meanwhile: what was read ahead begins elsewhere.
                    piece, coming = again, None
            yield found
            if piece.after is None:
                return
            after, piece = piece.after, coming.result() if coming else backend.columns(asked, piece.after)


@cache
def _array(is_text: bool, optional: bool) -> SchemaValidator:
    """Return what parses a JSON array of one kind of values, and refuses all others."""
    one: core_schema.CoreSchema
    one = core_schema.str_schema(strict=True) if is_text else core_schema.int_schema(strict=True)
    return SchemaValidator(core_schema.list_schema(core_schema.nullable_schema(one) if optional else one))


def made_of(table: Table, names: Sequence[str], items: Iterable[Any]) -> dict[str, list[Any]]:
    """Return records as columns: `SessionRecord`, `RunRow` or `EventRow` objects; what is damaged is told.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> session = nbs.open_store("memory:").create("plan", tags=["draft"])
    >>> made_of("sessions", ["name", "tags"], [session.record])
    {'name': ['plan'], 'tags': ['["draft"]']}
    """
    sources = [TABLES[table][name] for name in names]
    rows = [row for item in items if (row := _row(table, sources, item)) is not None]
    return {name: [row[at] for row in rows] for at, name in enumerate(names)}


def _row(table: Table, sources: Sequence[Source], item: Any) -> list[Any] | None:
    """Return the values of a record; None where one is not what it should be, which is told."""
    row = [source.of(item) for source in sources]
    for source, value in zip(sources, row, strict=True):
        if not isinstance(value, str if source.is_text else int) and not (source.optional and value is None):
            text = f"One of the {table} is damaged, and left out: it has {value!r} for what is none."
            warnings.warn(text, RuntimeWarning, stacklevel=3)
            return None
    return row


def of_records(backend: Backend, asked: Columns) -> Piece:
    """Return all that is asked for in one piece, from records.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> store = nbs.open_store("memory:")
    >>> of_records(store.backend, Columns("runs", ["run_id"]))
    Piece(columns={'run_id': []}, after=None)
    """
    if asked.table == "sessions":
        found: list[Any] = _sessions(backend, asked)
    else:
        found = _runs(backend, asked)
        if asked.table == "events":
            found = events_of(backend, (row.run for row in found), asked.type)
    return Piece(made_of(asked.table, asked.names, found))


def _sessions(backend: Backend, asked: Columns) -> list[SessionRecord]:
    found = backend.find(asked.sessions._replace(since=asked.since, until=None, limit=None))
    meant = [
        record
        for record in found
        if _holds(asked, record.agent_name, record.model) and _is_before(record.updated_at, asked.until)
    ]
    return meant[: asked.limit][::-1]


def _runs(backend: Backend, asked: Columns) -> list[RunRow]:
    sessions = {Key.of(record): record for record in backend.find(asked.sessions._replace(limit=None))}
    everywhere = asked.sessions == EVERYWHERE
    found = [
        run
        for run in backend.runs()
        if (everywhere or Key.of(run) in sessions)
        and _holds(asked, run.agent_name, run.model)
        and (asked.since is None or micros(run.started_at) >= asked.since)
        and _is_before(run.started_at, asked.until)
    ]
    if asked.limit is not None:
        found = found[max(0, len(found) - asked.limit) :]
    wants_turns = not {"turn_codec", "turn_body"}.isdisjoint(asked.names)
    turns = backend.turns([run.turn_id for run in found if wants_turns and run.turn_id])
    return [
        RunRow(run, sessions.get(Key.of(run)), turns.get(run.turn_id) if run.turn_id else None)
        for run in found
    ]


def events_of(backend: Backend, runs: Iterable[Run], kind: str | None) -> list[EventRow]:
    """Return the events of runs, those of a kind; a run with a damaged one is told, and left out.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> store = nbs.open_store("memory:")
    >>> run = store.create("plan").send("Hello", agent=lambda prompt: "Hi")
    >>> [row.event.type for row in events_of(store.backend, [run], "RUN_")]
    ['RUN_STARTED', 'RUN_FINISHED']
    """
    found: list[EventRow] = []
    for run in runs:
        try:
            events = backend.events(run.run_id)
        except DamagedRun as error:
            warnings.warn(str(error), RuntimeWarning, stacklevel=2)
            continue
        found += [EventRow(event, run) for event in events if event.type.startswith(kind or "")]
    return found


def _holds(asked: Columns, agent_name: str, model: str | None) -> bool:
    return asked.agent_name in (None, agent_name) and asked.model in (None, model)


def _is_before(at: datetime, until: int | None) -> bool:
    return until is None or micros(at) < until
