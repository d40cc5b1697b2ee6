"""Which sessions the rows of a DataFrame name; a frame of anything else names none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pandas as pd

from nbsessions.exceptions import InvalidInput, NotSessions
from nbsessions.records import SessionRecord
from nbsessions.stores.base import Key, Query
from nbsessions.text import one_line

if TYPE_CHECKING:
    from nbsessions.store import Store

# Frames of messages, runs, events, tool calls, hits and checkpoints tell a session's id, too.
_OTHERS: Final = ("run_id", "turn_id", "role", "seq", "message_id", "tool_call_id", "checkpoint_id")
_SPENT: Final = ("runs", "day", "week", "month")
_SAID: Final = ("content", "position", "prompt", "type", "text", "tool_name")
"""What other frames tell that are no longer known to be of something else."""
_HOW: Final = "filter a frame of sessions instead, as by `df[df.session_id.isin(...)]`"
_FEW: Final = 100
"""So many are asked for one by one, instead of all that there are."""

Names = str | Mapping[str, str] | Callable[[SessionRecord], str | None] | pd.Series
"""What sessions are to be called: see `nbsessions.frames.accessor.Sessions.rename`."""


class Selection(NamedTuple):
    """The sessions of a frame.

    Attributes
    ----------
    keys : list of Key
        Of each row.
    seen : list of datetime or None
        When the session of each row was changed last, where the frame tells.
    records : mapping
        The sessions, each once, as they are now.
    """

    keys: list[Key]
    seen: list[datetime | None]
    records: dict[Key, SessionRecord]


def check_sessions(frame: pd.DataFrame, kind: str | None) -> None:
    """Refuse a frame whose rows are no sessions.

    Parameters
    ----------
    frame : DataFrame
    kind : str or None
        Of what the rows were when it was made; None: it lost that.

    Raises
    ------
    NotSessions

    Examples
    --------
    >>> check_sessions(pd.DataFrame({"session_id": ["a"], "role": ["user"]}), None)
    Traceback (most recent call last):
    nbsessions.exceptions.NotSessions: ... this is none: its column 'role' is of messages or runs; filter ...
    """
    columns = list(frame.columns)
    if "session_id" not in columns:
        raise NotSessions(f"it has no column 'session_id'; {_HOW}")
    if kind not in ("sessions", None):
        raise NotSessions(f"it is of {kind}; {_HOW}")
    if not isinstance(frame["session_id"], pd.Series):
        raise NotSessions("it has several columns 'session_id'")
    for name in (*_OTHERS, *((*_SPENT, *_SAID) if kind is None else ())):
        if name in columns:
            raise NotSessions(f"its column {name!r} is of messages or runs; {_HOW}")


def select(frame: pd.DataFrame, store: Store) -> Selection:
    """Return the sessions that the rows of a frame of sessions name.

    Raises
    ------
    InvalidInput
        A row names none, or one that is not in the store.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> store = nbs.open_store("memory:")
    >>> _ = store.create("plan", session_id="a")
    >>> select(pd.DataFrame({"session_id": ["a"]}), store).keys
    [Key(conversation_id='', session_id='a')]
    """
    ids = [_id(value, label) for label, value in frame["session_id"].items()]
    if "conversation_id" in frame:
        keys = [
            Key("" if pd.isna(value) else str(value), session_id)
            for session_id, value in zip(ids, frame["conversation_id"], strict=True)
        ]
    else:
        keys = _anywhere(ids, store)
    records = store.backend.get_all(list(dict.fromkeys(keys)))
    missing = [key.session_id for key in dict.fromkeys(keys) if key not in records]
    if missing:
        others = f", nor {len(missing) - 1:,} more of the frame" if len(missing) > 1 else ""
        text = f"Session {one_line(missing[0], 80)} is not in the store {store.url}{others}"
        raise InvalidInput(f"{text}. Nothing was done: list them again.")
    unknown: list[datetime | None] = [None] * len(frame)
    seen = _seen(frame["updated_at"]) if "updated_at" in frame else unknown
    return Selection(keys, seen, records)


def _id(value: Any, label: object) -> str:
    # A file may have made a number of an id that is made of digits.
    if isinstance(value, str) or (pd.api.types.is_integer(value) and not isinstance(value, bool)):
        return str(value)
    raise InvalidInput(f"Row {label} has no session_id, but {value!r}. Nothing was done.")


def _anywhere(ids: list[str], store: Store) -> list[Key]:
    """Return the keys of sessions of which only the ids are known."""
    wanted = {*ids}
    asked = [Query(None, session_id) for session_id in wanted] if len(wanted) < _FEW else [Query(None)]
    found: dict[str, list[Key]] = {}
    for record in (record for query in asked for record in store.backend.find(query)):
        if record.session_id in wanted:
            found.setdefault(record.session_id, []).append(Key.of(record))
    several = next((session_id for session_id, keys in found.items() if len(keys) > 1), None)
    if several is not None:
        text = f"Session {one_line(several, 80)} is there in several conversations"
        raise InvalidInput(f"{text}: keep the column 'conversation_id'. Nothing was done.")
    return [found.get(session_id, [Key("", session_id)])[0] for session_id in ids]


def _seen(column: pd.Series[Any]) -> list[datetime | None]:
    try:
        times = pd.to_datetime(column, utc=True, format=None if column.dtype.kind == "M" else "ISO8601")
    except (ValueError, TypeError) as error:
        text = f"The column 'updated_at' cannot be read: {one_line(str(error), 100)}"
        raise InvalidInput(f"{text}. Nothing was done: list the sessions again.") from None
    return [None if pd.isna(at) else at.to_pydatetime(warn=False) for at in times]


def new_names(names: Names | Any, frame: pd.DataFrame, chosen: Selection) -> dict[Key, str]:
    """Return the new names of those sessions that get one.

    Raises
    ------
    InvalidInput
        It cannot be told which session gets which name.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> store = nbs.open_store("memory:")
    >>> _ = store.create("plan", session_id="a")
    >>> frame = pd.DataFrame({"session_id": ["a"]})
    >>> new_names(lambda session: session.name.upper(), frame, select(frame, store))
    {Key(conversation_id='', session_id='a'): 'PLAN'}
    """
    if isinstance(names, str):
        if len(chosen.records) != 1:
            text = f"One name is for one session, and these are {len(chosen.records):,}"
            raise InvalidInput(
                f"{text}: give a mapping, a function of the session, or a column of the frame."
            )
        found: list[tuple[Key, Any]] = [(next(iter(chosen.records)), names)]
    elif isinstance(names, pd.Series):
        found = list(zip(chosen.keys, _aligned(names, frame), strict=True))
    elif isinstance(names, Mapping):
        found = _mapped(names, chosen)
    elif callable(names):
        found = [(key, _called(names, record)) for key, record in chosen.records.items()]
    else:
        text = "Names are a mapping, a function of the session, or a column of the frame"
        raise InvalidInput(f"{text}, not {one_line(repr(names), 80)}. Nothing was done.")
    given: dict[Key, str] = {}
    for key, name in found:
        if pd.api.types.is_scalar(name) and pd.isna(name):
            continue
        if given.setdefault(key, name) != name:
            text = f"Session {chosen.records[key].label!r} has several rows, with different names"
            raise InvalidInput(f"{text}. Nothing was done.")
    return given


def _aligned(names: pd.Series[Any], frame: pd.DataFrame) -> pd.Series[Any]:
    if names.index.equals(frame.index):
        return names
    if not names.index.is_unique or not frame.index.isin(names.index).all():
        raise InvalidInput("The names are no column of this frame: their index is another. Nothing was done.")
    return names.loc[frame.index]


def _mapped(names: Mapping[str, str], chosen: Selection) -> list[tuple[Key, Any]]:
    known = {name for record in chosen.records.values() for name in (record.session_id, record.name)}
    strange = next((name for name in names if name not in known), None)
    if strange is not None:
        raise InvalidInput(f"No session of the frame has the id or name {strange!r}. Nothing was done.")
    return [
        (key, names[record.session_id] if record.session_id in names else names.get(record.name or ""))
        for key, record in chosen.records.items()
    ]


def _called(names: Callable[[SessionRecord], str | None], record: SessionRecord) -> str | None:
    try:
        return names(record)
    except Exception as error:
        why = f"{type(error).__name__}: {one_line(str(error), 200)}"
        text = f"The function failed for session {record.label!r}, of which it gets the record ({why})"
        raise InvalidInput(f"{text}. Nothing was done.") from error
