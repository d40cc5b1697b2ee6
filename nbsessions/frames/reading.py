"""Frames of what a store has, of one session, and of records that are there already."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import pandas as pd

from nbsessions.exceptions import InvalidInput
from nbsessions.frames import calls, filters, histories, logs, making, spending
from nbsessions.frames.accessor import KIND
from nbsessions.frames.building import build
from nbsessions.frames.sheets import EVENTS, MESSAGES, RUNS, SESSIONS, SHEETS, TOOL_CALLS, Sheet
from nbsessions.records import Run
from nbsessions.stores._columns import RunRow, made_of, pieces
from nbsessions.stores.queries import Columns, Query, Spending
from nbsessions.values import micros

if TYPE_CHECKING:
    from nbsessions.session import Session
    from nbsessions.stores.base import Backend

Names = Iterable[str] | str | None


def stored(
    backend: Backend, sheet: Sheet, asked: Columns, names: Names = None, newest: str | None = None
) -> pd.DataFrame:
    """Return a frame of sessions or runs: what a store holds as columns, its `newest` times first.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> backend = nbs.open_store("memory:").backend
    >>> list(stored(backend, RUNS, Columns("runs", ()), "status, cost"))
    ['status', 'cost']
    """
    columns = filters.named(sheet.columns, names)
    sources = [source for column in columns for source in column.sources]
    wanted = dict.fromkeys([*sources, *([newest] if newest else [])])
    found = pieces(backend, asked._replace(names=[*wanted]), making.column)
    return build(columns, found, newest=newest, limit=asked.limit)


def events(backend: Backend, asked: Columns, names: Names = None) -> pd.DataFrame:
    """Return a frame of events.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> len(events(nbs.open_store("memory:").backend, Columns("events", ())))
    0
    """
    columns = filters.named(EVENTS.columns, names)
    sources = ("run_id", "session_id", "conversation_id", "seq", "type", "data")
    return build(columns, logs.columns(pieces(backend, asked._replace(names=sources))))


def messages(said: Iterable[histories.Said], names: Names = None) -> pd.DataFrame:
    """Return a frame of messages.

    Examples
    --------
    >>> messages([], "role")["role"].dtype.name
    'category'
    """
    return build(filters.named(MESSAGES.columns, names), histories.columns(said))


def tool_calls(backend: Backend, asked: Columns, names: Names = None) -> pd.DataFrame:
    """Return a frame of calls of tools.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> len(tool_calls(nbs.open_store("memory:").backend, Columns("events", ())))
    0
    """
    return build(filters.named(TOOL_CALLS.columns, names), [calls.columns(backend, asked)])


def usage(backend: Backend, by: Iterable[str] | str, asked: Spending) -> pd.DataFrame:
    """Return a frame of usage.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> list(usage(nbs.open_store("memory:").backend, "day,model", Spending()))[:3]
    ['day', 'model', 'runs']
    """
    groups = spending.groups(by)
    return build(spending.columns(groups), [spending.spent(backend, groups, asked)])


def frame(sheet: Sheet, items: Iterable[Any]) -> pd.DataFrame:
    """Return one row an item, with these columns; typed also where there is no item.

    Parameters
    ----------
    sheet : Sheet
    items : iterable
        `SessionRecord`, `Run`, `Hit` or `Checkpoint` objects.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> store = nbs.open_store("memory:")
    >>> _ = store.create("plan", tags=["draft"])
    >>> frame(SESSIONS, store.list())[["name", "turn_count", "tags"]].to_dict("records")
    [{'name': 'plan', 'turn_count': 0, 'tags': 'draft'}]
    """
    rows = [RunRow(item, None, None) if isinstance(item, Run) else item for item in items]
    names = list(dict.fromkeys(source for column in sheet for source in column.sources))
    if sheet is SESSIONS or sheet is RUNS:
        return build(sheet.columns, [made_of("runs" if sheet is RUNS else "sessions", names, rows)])
    return build(sheet.columns, [{name: [_value(row, name) for row in rows] for name in names}])


def _value(item: object, path: str) -> object:
    found = attrgetter(path)(item)
    return micros(found) if isinstance(found, datetime) else found


def columns(kind: str) -> pd.DataFrame:
    """Return the columns of a kind of frames: name, type, what they say, what OpenTelemetry calls them.

    Parameters
    ----------
    kind : str
        ``sessions``, ``runs``, ``messages``, ``events``, ``tool_calls`` or ``usage``.

    Raises
    ------
    InvalidInput

    Examples
    --------
    >>> import nbsessions as nbs
    >>> nbs.columns("sessions")["name"].tolist()[:3]
    ['name', 'turn_count', 'message_count']
    """
    sheet = SHEETS.get(kind) if isinstance(kind, str) else None
    if sheet is None:
        raise InvalidInput(f"There are no frames of {kind!r}. These are: {', '.join(SHEETS)}.")
    rows = [(one.name, one.dtype, one.description, one.opentelemetry) for one in sheet]
    return pd.DataFrame(rows, columns=["name", "dtype", "description", "opentelemetry"], dtype="string")


def of_session(session: Session, kind: str) -> pd.DataFrame:
    """Return a frame of one session, as its handle stands; see `Session.to_df`.

    Raises
    ------
    InvalidInput

    Examples
    --------
    >>> import nbsessions as nbs
    >>> session = nbs.open_store("memory:").create("plan")
    >>> session.add_message({"role": "user", "content": "Hello"})
    >>> of_session(session, "messages")["content"].tolist()
    ['Hello']
    """
    backend, key = session.backend, session.key
    query = Query(conversation_id=key.conversation_id, session_id=key.session_id)
    if kind == "messages":
        made = messages(histories.said(backend, session.record, session.head))
    elif kind == "runs":
        made = stored(backend, RUNS, Columns("runs", (), query))
    elif kind == "events":
        made = events(backend, Columns("events", (), query))
    elif kind == "tool_calls":
        made = tool_calls(backend, Columns("events", (), query))
    elif kind == "usage":
        made = usage(backend, ("day", "model"), Spending(key=key))
    else:
        kinds = ", ".join(name for name in SHEETS if name != "sessions")
        raise InvalidInput(f"A session has no frame of {kind!r}. These are: {kinds}.")
    made.attrs[KIND] = kind
    return made
