"""What a caller asks a frame for, as a store is asked for it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any, Final

from nbsessions.catalog import Catalog
from nbsessions.exceptions import InvalidInput
from nbsessions.frames.sheets import Column
from nbsessions.records import SessionRecord
from nbsessions.stores.base import Columns, Key, Query
from nbsessions.stores.queries import Table
from nbsessions.values import check_count, check_text, micros, now, parse_duration

if TYPE_CHECKING:
    from nbsessions.session import Session

Moment = datetime | date | timedelta | str
DAY: Final = timedelta(days=1)


def asked(
    store: Catalog,
    table: Table,
    since: Moment | None = None,
    until: Moment | None = None,
    agent_name: str | None = None,
    model: str | None = None,
    tag: str | None = None,
    session: str | Session | SessionRecord | None = None,
    conversation_id: str | None = "*",
    limit: int | None = None,
) -> Columns:
    """Return filters as a store takes them; which columns, the caller adds.

    Raises
    ------
    InvalidInput, SessionNotFound, AmbiguousSession

    Examples
    --------
    >>> import nbsessions as nbs
    >>> asked(nbs.open_store("memory:"), "sessions", tag="draft").sessions.tag
    'draft'
    """
    check_store(store)
    begun = now()
    key = None if session is None else key_of(store, session, conversation_id)
    conversation = None if conversation_id == "*" else check_text(conversation_id or "", "conversation_id")
    return Columns(
        table,
        (),
        Query(
            conversation_id=conversation if key is None else key.conversation_id,
            session_id=None if key is None else key.session_id,
            tag=None if tag is None else check_text(tag, "tag"),
        ),
        since=None if since is None else micros(moment(since, "since", begun)),
        until=None if until is None else micros(moment(until, "until", begun)),
        agent_name=None if agent_name is None else check_text(agent_name, "agent_name"),
        model=None if model is None else check_text(model, "model"),
        limit=None if limit is None else check_count(limit, "limit"),
    )


def check_store(store: object) -> None:
    """Refuse what is no open store.

    Raises
    ------
    InvalidInput

    Examples
    --------
    >>> check_store("sqlite:///agents.db")
    Traceback (most recent call last):
    nbsessions.exceptions.InvalidInput: A frame is made of an open store, ... not of str.
    """
    if not isinstance(store, Catalog):
        name = type(store).__name__
        raise InvalidInput(f"A frame is made of an open store, such as open_store() gives, not of {name}.")


def key_of(store: Catalog, session: object, conversation_id: str | None = "*") -> Key:
    """Return the key of a session, which is named as everywhere, or is there as an object.

    Raises
    ------
    InvalidInput
        It is of another store, or no session.
    SessionNotFound, AmbiguousSession

    Examples
    --------
    >>> import nbsessions as nbs
    >>> store = nbs.open_store("memory:")
    >>> session = store.create("plan", session_id="chat-7")
    >>> key_of(store, "plan") == key_of(store, session) == Key("", "chat-7")
    True
    """
    if getattr(session, "backend", store.backend) is not store.backend:
        raise InvalidInput(f"{session!r} is a session of another store.")
    record = getattr(session, "record", session)
    if isinstance(record, SessionRecord):
        return Key.of(record)
    if not isinstance(session, str):
        raise InvalidInput(f"session is an id, a name or a Session, not {type(session).__name__}.")
    return Key.of(store.record(session, conversation_id=conversation_id))


def moment(value: Moment, what: str, at: datetime) -> datetime:
    """Return a time, timezone-aware; an age, such as ``7d``, is so long before `at`.

    Raises
    ------
    InvalidInput

    Examples
    --------
    >>> moment("2026-03-01", "since", now()).isoformat()
    '2026-03-01T00:00:00+00:00'
    """
    if isinstance(value, timedelta):
        return at - parse_duration(value)
    if isinstance(value, str):
        return _written(value, what, at)
    if isinstance(value, datetime) and value.tzinfo is None:
        raise InvalidInput(f"{what} needs a timezone, such as datetime.now(UTC) has.")
    if isinstance(value, datetime):
        return _in_utc(value, what)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    raise InvalidInput(f"{what} is a time, a date or an age such as '7d', not {type(value).__name__}.")


def _written(text: str, what: str, at: datetime) -> datetime:
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        try:
            return at - parse_duration(text)
        except InvalidInput:
            example = "write 2026-03-01, 2026-03-01T12:00Z, or an age such as 7d"
            raise InvalidInput(f"{what} is no time: {text!r}; {example}.") from None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else _in_utc(found, what)


def _in_utc(at: datetime, what: str) -> datetime:
    try:
        return at.astimezone(UTC)
    except OverflowError:
        raise InvalidInput(f"{what} is no time in UTC that there is: {at.isoformat()}.") from None


def days(since: Moment | None, until: Moment | None) -> tuple[date | None, date | None]:
    """Return the first day in UTC that a span touches, and the first one after it.

    Raises
    ------
    InvalidInput

    Examples
    --------
    >>> [day.isoformat() for day in days("2026-03-01T12:00Z", "2026-03-02T12:00Z")]
    ['2026-03-01', '2026-03-03']
    """
    at = now()
    first = None if since is None else moment(since, "since", at).date()
    if until is None:
        return first, None
    end = moment(until, "until", at)
    last = end.date()
    if end.timetz() == time(tzinfo=UTC):
        return first, last
    # After the last day that there is, nothing is to be left out.
    return first, None if last == date.max else last + DAY


def named(columns: Sequence[Column], names: Iterable[str] | str | None) -> list[Column]:
    """Return the columns of these names, in their order; all where it is None.

    Raises
    ------
    InvalidInput
        There is none of a name.

    Examples
    --------
    >>> from nbsessions.frames.sheets import SESSIONS
    >>> [column.name for column in named(SESSIONS.columns, "cost, name")]
    ['cost', 'name']
    """
    if names is None:
        return list(columns)
    known = {column.name: column for column in columns}
    wanted = split(names, "columns")
    for name in wanted:
        if name not in known:
            raise InvalidInput(f"There is no column {name!r}. These are: {', '.join(known)}.")
    return [known[name] for name in wanted]


def split(names: Any, what: str) -> list[str]:
    """Return names, each once; a text has them between commas.

    Raises
    ------
    InvalidInput
        There is none, or one is no text.

    Examples
    --------
    >>> split("day, model", "by")
    ['day', 'model']
    """
    if isinstance(names, str):
        names = [name.strip() for name in names.split(",")]
    if not isinstance(names, Iterable):
        raise InvalidInput(f"{what} takes names, not {type(names).__name__}.")
    found = list(dict.fromkeys(check_text(name, what) for name in names))
    if not found or "" in found:
        raise InvalidInput(f"{what} has no name in it: leave it out instead.")
    return found
