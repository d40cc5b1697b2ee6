"""
What a store holds as DataFrames, their columns declared in one place.

Nothing here is checked against checksums row by row, so that a million sessions take seconds: that is
what `verify` is for. What cannot be read at all is told by a warning, and left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from nbsessions.accessor import mark
from nbsessions.exceptions import InvalidInput
from nbsessions.frames import filters, spending
from nbsessions.frames.building import build
from nbsessions.frames.sheets import (
    CHECKPOINTS,
    EVENTS,
    GROUPS,
    HITS,
    MESSAGES,
    RUNS,
    SESSIONS,
    SPENT,
    TOOL_CALLS,
    Column,
    Sheet,
)
from nbsessions.records import Run
from nbsessions.stores._columns import RunRow, made_of, pieces
from nbsessions.stores.arguments import Columns, Spending
from nbsessions.stores.base import Key
from nbsessions.values import check_text, micros

if TYPE_CHECKING:
    from nbsessions.store import Store
    from nbsessions.stores.base import Backend

__all__ = [
    "CHECKPOINTS",
    "Column",
    "EVENTS",
    "HITS",
    "MESSAGES",
    "RUNS",
    "SESSIONS",
    "Sheet",
    "TOOL_CALLS",
    "columns",
    "frame",
    "runs_df",
    "sessions_df",
    "usage_df",
]
_USAGE: Final = Sheet("usage", (*(one for several in GROUPS.values() for one in several), *SPENT))
SHEETS: Final = {sheet.kind: sheet for sheet in (SESSIONS, RUNS, MESSAGES, EVENTS, TOOL_CALLS, _USAGE)}


def sessions_df(
    store: Store,
    *,
    columns: Iterable[str] | str | None = None,
    limit: int | None = None,
    **which: Any,
) -> pd.DataFrame:
    """Return one row a session, most recently updated first; `df.nbs` acts on them.

    Parameters
    ----------
    store : Store
    columns : iterable of str or str or None
        Only these are read; None: all that `nbsessions.columns` lists.
    limit : int or None
        Only so many, those that were updated last.
    **which
        `since` and `until`, of `updated_at`: a time, a date, ISO text, or an age such as ``7d``; `until`
        is the first moment that is left out. `agent_name`, `model`, `tag`. `session`, an id, a name, a part
        of an id, or a `Session`. `conversation_id`: None is top level; all where it is left out.

    Raises
    ------
    InvalidInput, SessionNotFound, AmbiguousSession

    Examples
    --------
    >>> import nbsessions as nbs
    >>> store = nbs.open_store("memory:")
    >>> _ = store.create("plan", tags=["draft"]), store.create("essay")
    >>> df = nbs.sessions_df(store, tag="draft", since="7d")
    >>> df[["name", "message_count", "tags"]].to_dict("records")
    [{'name': 'plan', 'message_count': 0, 'tags': 'draft'}]
    >>> print(df[df.message_count == 0].nbs.records()[0].name)
    plan
    """
    asked = filters.asked(store, "sessions", limit=limit, **which)
    made = _read(store.backend, SESSIONS, asked, columns, newest="updated_at")
    return mark(made, store)


def runs_df(
    store: Store,
    *,
    columns: Iterable[str] | str | None = None,
    limit: int | None = None,
    **which: Any,
) -> pd.DataFrame:
    """Return one row a run, oldest first: failed ones, and what deleted sessions spent, included.

    What was asked is read from what was said, which takes long for many runs: leave the column `prompt` out
    where you do not need it.

    Parameters
    ----------
    store : Store
    columns : iterable of str or str or None
        Only these are read; None: all that `nbsessions.columns` lists.
    limit : int or None
        Only the last so many.
    **which
        As of `sessions_df`; `since` and `until` are of `started_at`, `agent_name` and `model` those of the
        run. Of deleted sessions there are none where a tag, a session or a conversation is asked for.

    Raises
    ------
    InvalidInput, SessionNotFound, AmbiguousSession

    Examples
    --------
    >>> import nbsessions as nbs
    >>> store = nbs.open_store("memory:")
    >>> run = store.create("plan").send("Hello", agent=lambda prompt: "Hi")
    >>> nbs.runs_df(store, columns=["session", "prompt", "status"]).to_dict("records")
    [{'session': 'plan', 'prompt': 'Hello', 'status': 'completed'}]
    """
    asked = filters.asked(store, "runs", limit=limit, **which)
    return mark(_read(store.backend, RUNS, asked, columns), store, "runs")


def usage_df(
    store: Store,
    by: Iterable[str] | str = ("day", "model"),
    *,
    since: filters.Moment | None = None,
    until: filters.Moment | None = None,
    agent_name: str | None = None,
    model: str | None = None,
    tag: str | None = None,
    session: Any = None,
) -> pd.DataFrame:
    """Return tokens and cost, added up: one row a group, by time, then what cost most first.

    Each run is counted once, on the days and with the models that it spent on; forks count nothing twice. Usage
    is counted by whole days in UTC. What deleted sessions spent stays, without what they were called.

    Parameters
    ----------
    store : Store
    by : iterable of str or str
        Of ``day, week, month, agent_name, model, provider, session, notebook, tag, owner, status``. By
        tag, a session with two of them is counted under both.
    since, until
        As of `sessions_df`: the days that are touched. Where `until` is a date, that day is not.
    agent_name, model, tag, session
        As of `runs_df`.

    Raises
    ------
    InvalidInput, SessionNotFound, AmbiguousSession

    Examples
    --------
    >>> import nbsessions as nbs
    >>> from nbsessions.testing import ScriptedAgent
    >>> store = nbs.open_store("memory:")
    >>> agent = ScriptedAgent([["Hi", nbs.Usage(input_tokens=7, output_tokens=2)]], model="my-model")
    >>> _ = store.create("plan").send("Hello", agent=agent)
    >>> nbs.usage_df(store, by="model")[["model", "runs", "total_tokens"]].to_dict("records")
    [{'model': 'my-model', 'runs': 1, 'total_tokens': 9}]
    """
    filters.check_store(store)
    first, end = filters.days(since, until)
    asked = Spending(
        since=first,
        until=end,
        agent_name=None if agent_name is None else check_text(agent_name, "agent_name"),
        model=None if model is None else check_text(model, "model"),
        tag=None if tag is None else check_text(tag, "tag"),
        key=None if session is None else filters.key_of(store, session),
    )
    return mark(_usage(store.backend, spending.groups(by), asked), store, "usage")


def _usage(backend: Backend, by: Sequence[str], asked: Spending) -> pd.DataFrame:
    return build(spending.columns(by), [spending.spent(backend, by, asked)])


def _read(
    backend: Backend,
    sheet: Sheet,
    asked: Columns,
    names: Iterable[str] | str | None,
    newest: str | None = None,
) -> pd.DataFrame:
    columns = filters.named(sheet.columns, names)
    sources = [source for column in columns for source in column.sources]
    wanted = list(dict.fromkeys([*sources, *([newest] if newest else [])]))
    found = pieces(backend, asked._replace(names=wanted))
    return build(columns, found, newest=newest, limit=asked.limit)


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
    if sheet.kind == "sessions" or sheet.kind == "runs":
        return build(sheet.columns, [made_of(sheet.kind, names, rows)])
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
    >>> columns("sessions").iloc[0].to_dict()
    {'name': 'name', 'dtype': 'string', 'description': 'Its name.', 'opentelemetry': None}
    """
    sheet = SHEETS.get(kind) if isinstance(kind, str) else None
    if sheet is None:
        raise InvalidInput(f"There are no frames of {kind!r}. These are: {', '.join(SHEETS)}.")
    rows = [(one.name, one.dtype, one.description, one.opentelemetry) for one in sheet]
    return pd.DataFrame(rows, columns=["name", "dtype", "description", "opentelemetry"], dtype=object)
