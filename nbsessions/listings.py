"""What a command found, whoever looks at it: a DataFrame in a notebook, a table in a terminal, JSON."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import pandas as pd

    from nbsessions.records import SessionRecord
    from nbsessions.store import Store

Kind = Literal["sessions", "runs", "hits", "checkpoints"]


@dataclass(frozen=True, slots=True)
class Listing:
    """Rows of one kind, in order. Neither of its two forms is made before it is asked for.

    Attributes
    ----------
    kind : {"sessions", "runs", "hits", "checkpoints"}
    read : callable
        Returns a `SessionRecord`, `Run`, `Hit` or `Checkpoint` for each row.
    to_df : callable
        Returns the rows as a DataFrame; it loads pandas.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> store = nbs.open_store("memory:")
    >>> _ = store.create("plan")
    >>> listing = sessions(store, store.list)
    >>> [record.name for record in listing.read()], len(listing.to_df())
    (['plan'], 1)
    """

    kind: Kind
    read: Callable[[], Sequence[Any]]
    to_df: Callable[[], pd.DataFrame]


class Told(str):
    """A line for people, and what programs are given beside it.

    Attributes
    ----------
    data : dict
        Records, numbers and texts.

    Examples
    --------
    >>> told = Told("Removed 2 turns.", turns=2)
    >>> told, told.data
    ('Removed 2 turns.', {'turns': 2})
    """

    data: dict[str, Any]

    def __new__(cls, text: str, **data: Any) -> Told:
        """Make it of its text."""
        made = super().__new__(cls, text)
        made.data = data
        return made


def sessions(store: Store, read: Callable[[], Sequence[SessionRecord]]) -> Listing:
    """Return sessions of a store as a listing; `df.nbs` acts on the rows of its DataFrame.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> store = nbs.open_store("memory:")
    >>> sessions(store, store.list).to_df().nbs.records()
    []
    """

    def to_df() -> pd.DataFrame:
        from nbsessions.frames import SESSIONS, frame
        from nbsessions.frames.accessor import mark

        return mark(frame(SESSIONS, read()), store)

    return Listing("sessions", read, to_df)


def items(kind: Literal["hits", "checkpoints"], read: Callable[[], Sequence[Any]]) -> Listing:
    """Return what was found, or checkpoints, as a listing.

    Examples
    --------
    >>> items("hits", lambda: []).to_df().empty
    True
    """

    def to_df() -> pd.DataFrame:
        from nbsessions.frames import CHECKPOINTS, HITS, frame

        return frame(HITS if kind == "hits" else CHECKPOINTS, read())

    return Listing(kind, read, to_df)
