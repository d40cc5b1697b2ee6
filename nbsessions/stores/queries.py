"""What a store is asked for, and what it answers with, where that is no record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Literal, NamedTuple

from nbsessions.records import Head, Usage
from nbsessions.stores.arguments import Key
from nbsessions.words import Term


class Query(NamedTuple):
    """Which sessions `find` gives. All that is set must hold; None and empty ask nothing.

    Attributes
    ----------
    conversation_id : str or None
        Empty: top level. None: every conversation.
    session_id, name : str or None
        Exact.
    prefix, suffix : str or None
        Of the id.
    agent_name, owner, notebook, tag, parent_session_id : str or None
    since : int or None
        `updated_at` at or after this, in microseconds.
    parents : sequence of str or None
        `parent_session_id` is one of these: where there are none, nothing is found.
    until : int or None
        `updated_at` at or before this.
    limit : int or None
        Newest first.
    called : bool
        Only those of A2A conversations.
    """

    conversation_id: str | None = ""
    session_id: str | None = None
    name: str | None = None
    prefix: str | None = None
    suffix: str | None = None
    agent_name: str | None = None
    owner: str | None = None
    notebook: str | None = None
    tag: str | None = None
    since: int | None = None
    limit: int | None = None
    parent_session_id: str | None = None
    called: bool = False
    until: int | None = None
    parents: Sequence[str] | None = None


Order = Literal[
    "updated_at",
    "created_at",
    "name",
    "agent_name",
    "owner",
    "model",
    "message_count",
    "turn_count",
    "total_tokens",
    "cost",
]
"""What sessions can be put in order by."""


class Listing(NamedTuple):
    """Which page of which sessions `listing` gives.

    Attributes
    ----------
    sessions : Query
        Its limit is not looked at.
    text : str
        Words, each of which the name, the id, the agent's name or a tag holds. A to Z are alike in capitals;
        other letters are found as written, and in capitals or without any.
    also : sequence of Key
        Those that are found whatever they are called, such as for what was said in them; 500 at most.
    order : str
        Of `Order`. What has none comes last; what is alike, most recently updated first.
    descending : bool
    offset, limit : int
    """

    sessions: Query = Query(conversation_id=None)
    text: str = ""
    also: Sequence[Key] = ()
    order: Order = "updated_at"
    descending: bool = True
    offset: int = 0
    limit: int = 50


class Documents(NamedTuple):
    """Which documents of a session are meant. All that is set must hold; None and empty ask nothing.

    They come by collection, and in there by name, in the order of their characters.

    Attributes
    ----------
    collection : str or None
    names : sequence of str or None
        These alone.
    prefix : str
        What the name begins with.
    before : str or None
        Names that come before this one.
    descending : bool
        The last one first: with names that grow with time, the newest.
    limit : int or None
        The first so many, in this order.
    """

    collection: str | None = None
    names: Sequence[str] | None = None
    prefix: str = ""
    before: str | None = None
    descending: bool = False
    limit: int | None = None


class Wanted(NamedTuple):
    """What `search` looks for. All that is set must hold.

    Attributes
    ----------
    terms : sequence of Term
    sessions : Query
        In which sessions; its limit counts hits, not sessions.
    role : str or None
        Of the message.
    up_to : Head or None
        Only on the way from the root to here. Nothing is on the way to a turn that is not there.
    """

    terms: Sequence[Term]
    sessions: Query = Query(conversation_id=None)
    role: str | None = None
    up_to: Head | None = None


class Found(NamedTuple):
    """One message that `search` found.

    Attributes
    ----------
    turn_id : str
    place : int
        The position of the message in its turn.
    key : Key
        The session in which it was said or, where that was deleted, a fork of it.
    score : float
        Higher is better; comparable within one search only.
    """

    turn_id: str
    place: int
    key: Key
    score: float


Table = Literal["sessions", "runs", "events"]


class Columns(NamedTuple):
    """Which columns of which rows are asked for. All that is set must hold.

    Attributes
    ----------
    table : {"sessions", "runs", "events"}
    names : sequence of str
        Of what `nbsessions.stores._columns` knows of the table.
    sessions : Query
        Only these sessions, or what is of these sessions; its times and its limit are not looked at. Where
        it asks nothing, what deleted sessions spent is among the runs.
    since, until : int or None
        Microseconds: `updated_at` of a session, `started_at` of a run, and of the run of an event; `until` is
        the first moment that is not asked for.
    agent_name, model : str or None
        Of the session or the run.
    type : str or None
        What the type of an event begins with.
    limit : int or None
        The sessions that were updated last, the runs that were stored last.
    """

    table: Table
    names: Sequence[str]
    sessions: Query = Query(conversation_id=None)
    since: int | None = None
    until: int | None = None
    agent_name: str | None = None
    model: str | None = None
    type: str | None = None
    limit: int | None = None


class Piece(NamedTuple):
    """Some rows as columns, by name, in the order in which they were stored.

    Attributes
    ----------
    columns : mapping of str to list or str
        The values, or a JSON array of them: text, whole numbers, None. Times are microseconds, costs
        billionths of a US dollar; what is more than text is JSON.
    after : int or None
        What the next piece comes after; None: this was the last one.
    """

    columns: Mapping[str, list[Any] | str]
    after: int | None = None


Group = Literal[
    "day", "agent_name", "model", "provider", "session", "name", "notebook", "tag", "owner", "status"
]
"""What usage can be added up by; `session` is a `Key`."""


class Spending(NamedTuple):
    """Which usage is asked for, added up by what. All that is set must hold.

    Attributes
    ----------
    by : sequence of str
        Of `Group`.
    since, until : date or None
        Of days in UTC; `until` is the first one that is not asked for.
    agent_name, model, tag, owner : str or None
        The last two are those of sessions: what deleted ones spent is then not among it.
    key : Key or None
        One session.
    """

    by: Sequence[Group] = ()
    since: date | None = None
    until: date | None = None
    agent_name: str | None = None
    model: str | None = None
    tag: str | None = None
    owner: str | None = None
    key: Key | None = None


class Total(NamedTuple):
    """What was spent, for one group.

    Attributes
    ----------
    group : tuple
        One value for each of `Spending.by`: a `date`, a `Key`, a text or None.
    runs : int
        Those that began on the day, with the model, of the group: each run is counted once.
    usage : Usage
    """

    group: tuple[object, ...]
    runs: int
    usage: Usage
