"""The frames that charts are made of: asked of a store or a session, or given."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, TypeAlias

from nbsessions.exceptions import InvalidInput

if TYPE_CHECKING:
    import pandas as pd

    from nbsessions.session import Session
    from nbsessions.store import Store

    Source: TypeAlias = Store | Session | pd.DataFrame


def fetch(source: Source, kind: str, needs: Iterable[str], filters: dict[str, Any]) -> pd.DataFrame:
    """Return the frame of this kind of a store or a session, or the one that was given.

    No more columns are read than needed.

    Parameters
    ----------
    source : Store, Session or DataFrame
    kind : {"usage", "runs", "tool_calls"}
    needs : iterable of str
        The columns that it must have.
    filters : dict
        As of the frame's function; a frame that is given has been filtered.

    Raises
    ------
    InvalidInput
        A frame lacks columns.
    """
    import pandas as pd

    from nbsessions import frames
    from nbsessions.session import Session
    from nbsessions.store import Store

    if isinstance(source, pd.DataFrame):
        missing = [name for name in needs if name not in source.columns]
        if missing:
            raise InvalidInput(
                f"This chart is made of a frame as of {kind}_df: it needs {', '.join(map(repr, missing))}."
            )
        asked = {name for name, value in filters.items() if value is not None} - {"by"}
        if asked:
            raise InvalidInput(f"A frame is shown as it is: filter it before, without {min(asked)}=.")
        return source
    if kind != "usage":
        filters = {**filters, "columns": list(needs)}
    if isinstance(source, Session):
        source, filters = Store(source.backend), {**filters, "session": source}
    if isinstance(source, Store):
        found: pd.DataFrame = getattr(frames, f"{kind}_df")(source, **filters)
        return found
    raise InvalidInput(f"A chart is made of a store, a session or a frame, not of {type(source).__name__}.")


def keyed(frame: pd.DataFrame, by: str) -> tuple[list[str], dict[str, str]]:
    """Return what each row of a frame of usage is about, and how that is called.

    Parameters
    ----------
    frame : DataFrame
    by : str
        As `usage_df` takes it: ``model``, ``agent``, ``session``...

    Raises
    ------
    InvalidInput
        The frame is not by this.

    Examples
    --------
    >>> import pandas as pd
    >>> keyed(pd.DataFrame({"session_id": ["1", "2"], "session": ["plan", None]}), "session")
    (['1', '2'], {'1': 'plan', '2': '…2'})
    """
    column = {"agent": "agent_name", "session": "session_id"}.get(by, by)
    if column not in frame.columns:
        raise InvalidInput(f"This chart is by {by}: its frame needs a column {column!r}.")
    keys = texts(frame[column])
    if by != "session":
        return keys, {key: key or f"no {by}" for key in keys}
    names = texts(frame["session"] if "session" in frame.columns else frame[column])
    labels = [
        (name or f"…{key[-8:]}") if key else "deleted sessions" for key, name in zip(keys, names, strict=True)
    ]
    if "conversation_id" in frame.columns:  # in which the same id may be another session's
        conversations = texts(frame["conversation_id"])
        keys = [f"{key} {of}" if of else key for key, of in zip(keys, conversations, strict=True)]
    return keys, dict(zip(keys, labels, strict=True))


def texts(column: pd.Series[Any]) -> list[str]:
    """Return a column as text; what is missing is empty.

    Examples
    --------
    >>> import pandas as pd
    >>> texts(pd.Series(["a", None]))
    ['a', '']
    """
    return ["" if missing else str(value) for value, missing in zip(column, column.isna(), strict=True)]


def numbers(column: pd.Series[Any]) -> list[float]:
    """Return a column as numbers; what is missing counts nothing.

    Examples
    --------
    >>> import pandas as pd
    >>> numbers(pd.Series([1, None], dtype="Int64"))
    [1.0, 0.0]
    """
    return [float(value) for value in column.astype("Float64").fillna(0)]


def days(column: pd.Series[Any]) -> list[date]:
    """Return a column of dates or times as dates in UTC.

    Examples
    --------
    >>> import pandas as pd
    >>> days(pd.Series(pd.to_datetime(["2026-11-28T23:00Z"])))
    [datetime.date(2026, 11, 28)]
    """
    return [value.date() if isinstance(value, datetime) else value for value in column]


def grouped(keys: Sequence[Any], *values: Sequence[float]) -> dict[Any, list[float]]:
    """Return the sums of values by key, in order of appearance.

    Examples
    --------
    >>> grouped(["a", "b", "a"], [1, 2, 3], [1, 1, 1])
    {'a': [4, 2], 'b': [2, 1]}
    """
    found: dict[Any, list[float]] = {}
    for key, *row in zip(keys, *values, strict=True):
        sums = found.setdefault(key, [0] * len(values))
        for place, value in enumerate(row):
            sums[place] += value
    return found
