"""The frames that people ask a store for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pandas as pd

from nbsessions.frames import filters, histories, reading
from nbsessions.frames.accessor import mark
from nbsessions.frames.filters import Moment
from nbsessions.frames.reading import Names
from nbsessions.frames.sheets import RUNS, SESSIONS
from nbsessions.records import SessionRecord
from nbsessions.stores.queries import Spending
from nbsessions.values import check_text

if TYPE_CHECKING:
    from nbsessions.session import Session
    from nbsessions.store import Store


def sessions_df(
    store: Store,
    *,
    since: Moment | None = None,
    until: Moment | None = None,
    agent_name: str | None = None,
    model: str | None = None,
    tag: str | None = None,
    session: str | Session | SessionRecord | None = None,
    conversation_id: str | None = "*",
    columns: Names = None,
    limit: int | None = None,
) -> pd.DataFrame:
    """Return one row a session, most recently updated first; `df.nbs` acts on them.

    Parameters
    ----------
    store : Store
    since, until : datetime, date, timedelta or str, or None
        Of `updated_at`: a time, a date (its beginning, in UTC), one of them as ISO text, or an age, such as
        ``7d``. `until` is the first moment that is left out.
    agent_name, model, tag : str or None
    session : str, Session or SessionRecord, or None
        An id, a name, a part of an id, or the session itself.
    conversation_id : str or None
        None: top level. ``"*"``: all.
    columns : iterable of str or str, or None
        Only these are read, and come in this order. None: all that ``nbsessions.columns("sessions")`` lists.
    limit : int or None
        Only so many, those that were updated last.

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
    >>> [record.name for record in df[df.message_count == 0].nbs.records()]
    ['plan']
    """
    which = (since, until, agent_name, model, tag, session, conversation_id, limit)
    asked = filters.asked(store, "sessions", *which)
    return mark(reading.stored(store.backend, SESSIONS, asked, columns, newest="updated_at"), store)


def runs_df(
    store: Store,
    *,
    since: Moment | None = None,
    until: Moment | None = None,
    agent_name: str | None = None,
    model: str | None = None,
    tag: str | None = None,
    session: str | Session | SessionRecord | None = None,
    conversation_id: str | None = "*",
    columns: Names = None,
    limit: int | None = None,
) -> pd.DataFrame:
    """Return one row a run, as they were stored: failed ones, and what deleted sessions spent, included.

    What was asked is read out of what was said, which takes longer than all the rest: of a million runs, ask
    for the `columns` that you need.

    Parameters
    ----------
    store : Store
    since, until
        As of `sessions_df`, of `started_at`.
    agent_name, model : str or None
        Of the run, which need not be those of the session.
    tag, session, conversation_id
        As of `sessions_df`. Only where none of them is asked for, there are runs of deleted sessions.
    columns : iterable of str or str, or None
        As of `sessions_df`.
    limit : int or None
        Only the last so many.

    Raises
    ------
    InvalidInput, SessionNotFound, AmbiguousSession

    Examples
    --------
    >>> import nbsessions as nbs
    >>> store = nbs.open_store("memory:")
    >>> _ = store.create("plan").send("Hello", agent=lambda prompt: "Hi")
    >>> nbs.runs_df(store, columns="session, prompt, status").to_dict("records")
    [{'session': 'plan', 'prompt': 'Hello', 'status': 'completed'}]
    """
    which = (since, until, agent_name, model, tag, session, conversation_id, limit)
    asked = filters.asked(store, "runs", *which)
    return mark(reading.stored(store.backend, RUNS, asked, columns), store, "runs")


def messages_df(
    store: Store,
    *,
    since: Moment | None = None,
    until: Moment | None = None,
    agent_name: str | None = None,
    model: str | None = None,
    tag: str | None = None,
    session: str | Session | SessionRecord | None = None,
    conversation_id: str | None = "*",
    columns: Names = None,
) -> pd.DataFrame:
    """Return one row a message of each session's history as it stands, the sessions that changed last first.

    A fork has the messages that it was forked off with, too: ``df[~df.inherited]`` has each one once. What a
    turn cost is told by its run: ``df.merge(runs, on="turn_id")``.

    Parameters
    ----------
    store : Store
    since, until
        As of `sessions_df`, of `timestamp`; `since` looks only into sessions that have changed since then.
    agent_name, model, tag, session, conversation_id
        Of the session, as of `sessions_df`.
    columns : iterable of str or str, or None
        As of `sessions_df`.

    Raises
    ------
    InvalidInput, SessionNotFound, AmbiguousSession

    Examples
    --------
    >>> import nbsessions as nbs
    >>> store = nbs.open_store("memory:")
    >>> _ = store.create("plan").send("Hello", agent=lambda prompt: "Hi")
    >>> nbs.messages_df(store, columns=["role", "content"]).to_dict("records")
    [{'role': 'user', 'content': 'Hello'}, {'role': 'assistant', 'content': 'Hi'}]
    """
    which = (since, until, agent_name, model, tag, session, conversation_id)
    asked = filters.asked(store, "sessions", *which)
    return mark(reading.messages(histories.meant(store.backend, asked), columns), store, "messages")


def events_df(
    store: Store,
    *,
    since: Moment | None = None,
    until: Moment | None = None,
    agent_name: str | None = None,
    model: str | None = None,
    tag: str | None = None,
    session: str | Session | SessionRecord | None = None,
    conversation_id: str | None = "*",
    columns: Names = None,
) -> pd.DataFrame:
    """Return one row an event, run by run, in the order in which they came.

    Parameters
    ----------
    store : Store
    since, until, agent_name, model, tag, session, conversation_id
        Of the run that they are of, as of `runs_df`.
    columns : iterable of str or str, or None
        As of `sessions_df`.

    Raises
    ------
    InvalidInput, SessionNotFound, AmbiguousSession

    Examples
    --------
    >>> import nbsessions as nbs
    >>> store = nbs.open_store("memory:")
    >>> _ = store.create("plan").send("Hello", agent=lambda prompt: "Hi")
    >>> nbs.events_df(store)["type"].tolist()[:2]
    ['RUN_STARTED', 'TEXT_MESSAGE_START']
    """
    asked = filters.asked(store, "events", since, until, agent_name, model, tag, session, conversation_id)
    return mark(reading.events(store.backend, asked, columns), store, "events")


def tool_calls_df(
    store: Store,
    *,
    since: Moment | None = None,
    until: Moment | None = None,
    agent_name: str | None = None,
    model: str | None = None,
    tag: str | None = None,
    session: str | Session | SessionRecord | None = None,
    conversation_id: str | None = "*",
    columns: Names = None,
) -> pd.DataFrame:
    """Return one row a call of a tool, the first one first; each once, in the session where it was made.

    They are told by the events of runs, failed ones included; and by messages, where no run tells of them.

    Parameters
    ----------
    store : Store
    since, until, agent_name, model, tag, session, conversation_id
        Of the run that made the call, as of `runs_df`. Where no run tells of it, the time is its own, the
        agent that of the session, and there is no model.
    columns : iterable of str or str, or None
        As of `sessions_df`.

    Raises
    ------
    InvalidInput, SessionNotFound, AmbiguousSession

    Examples
    --------
    >>> import nbsessions as nbs
    >>> store = nbs.open_store("memory:")
    >>> call = {"id": "c1", "function": {"name": "add", "arguments": "[1, 2]"}}
    >>> store.create("plan").add_message({"role": "assistant", "tool_calls": [call]})
    >>> nbs.tool_calls_df(store)[["tool_name", "arguments", "status"]].to_dict("records")
    [{'tool_name': 'add', 'arguments': '[1, 2]', 'status': 'unanswered'}]
    """
    asked = filters.asked(store, "events", since, until, agent_name, model, tag, session, conversation_id)
    return mark(reading.tool_calls(store.backend, asked, columns), store, "tool_calls")


def usage_df(
    store: Store,
    by: Iterable[str] | str = ("day", "model"),
    *,
    since: Moment | None = None,
    until: Moment | None = None,
    agent_name: str | None = None,
    model: str | None = None,
    tag: str | None = None,
    session: str | Session | SessionRecord | None = None,
) -> pd.DataFrame:
    """Return tokens and cost added up, a row for each group: by time, then what cost most first.

    A run is counted when it has ended, on the days and with the models that it spent on; forks count nothing
    twice. Days are those of UTC. What deleted sessions spent stays, and nobody knows in which session.

    Parameters
    ----------
    store : Store
    by : iterable of str or str
        Of ``day``, ``week``, ``month``, ``model``, ``provider``, ``agent_name`` (or ``agent``), ``session``,
        ``notebook``, ``tag``, ``owner``, ``status``. A session with two tags is counted under both.
    since, until
        As of `sessions_df`: whole days, those that the time between them touches.
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
    return mark(reading.usage(store.backend, by, asked), store, "usage")
