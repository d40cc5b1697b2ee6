"""Sessions and runs as DataFrames, their columns declared."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import pandas as pd

    from nbsessions.records import Run, SessionRecord


class Column(NamedTuple):
    """One column of a frame: its name, its dtype, where its value comes from.

    Examples
    --------
    >>> SESSIONS[0].name, SESSIONS[0].dtype
    ('name', 'string')
    """

    name: str
    dtype: str
    source: Callable[[Any], object]


_UTC = "datetime64[us, UTC]"


def _cost(item: SessionRecord | Run) -> float | None:
    return None if item.usage.cost is None else float(item.usage.cost)


# What a person looks for comes first: a terminal shows the first and the last columns.
SESSIONS = (
    Column("name", "string", lambda s: s.name),
    Column("turn_count", "int64", lambda s: s.turn_count),
    Column("message_count", "int64", lambda s: s.message_count),
    Column("total_tokens", "int64", lambda s: s.total_tokens),
    Column("cost", "Float64", _cost),
    Column("agent_name", "string", lambda s: s.agent_name),
    Column("tags", "string", lambda s: ", ".join(s.tags)),
    Column("owner", "string", lambda s: s.owner),
    Column("created_at", _UTC, lambda s: s.created_at),
    Column("session_id", "string", lambda s: s.session_id),
    Column("updated_at", _UTC, lambda s: s.updated_at),
    Column("conversation_id", "string", lambda s: s.conversation_id),
)
RUNS = (
    Column("status", "string", lambda r: r.status),
    Column("prompt", "string", lambda r: r.prompt),
    Column("agent_name", "string", lambda r: r.agent_name),
    Column("model", "string", lambda r: r.model),
    Column("input_tokens", "int64", lambda r: r.usage.input_tokens),
    Column("output_tokens", "int64", lambda r: r.usage.output_tokens),
    Column("cost", "Float64", _cost),
    Column("started_at", _UTC, lambda r: r.started_at),
    Column("duration", "Float64", lambda r: r.duration),
    Column("run_id", "string", lambda r: r.run_id),
    Column("error", "string", lambda r: r.error),
)


HITS = (
    Column("session", "string", lambda h: h.session.label),
    Column("message", "Int64", lambda h: h.number),
    Column("role", "string", lambda h: h.role),
    Column("snippet", "string", lambda h: h.snippet),
    Column("score", "float64", lambda h: h.score),
    Column("said_at", _UTC, lambda h: h.said_at),
    Column("owner", "string", lambda h: h.session.owner),
    Column("conversation_id", "string", lambda h: h.session.conversation_id),
    Column("session_id", "string", lambda h: h.session.session_id),
    Column("turn_id", "string", lambda h: h.turn_id),
)
CHECKPOINTS = (
    Column("name", "string", lambda c: c.name),
    Column("message_count", "int64", lambda c: c.message_count),
    Column("turn_count", "int64", lambda c: c.turn_count),
    Column("created_at", _UTC, lambda c: c.created_at),
    Column("session_id", "string", lambda c: c.session_id),
    Column("checkpoint_id", "string", lambda c: c.checkpoint_id),
)


def frame(columns: Iterable[Column], items: Iterable[Any]) -> pd.DataFrame:
    """Return one row an item, with these columns; typed also where there is no item.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> store = nbs.open_store("memory:")
    >>> _ = store.create("plan", tags=["draft"])
    >>> frame(SESSIONS, store.list())[["name", "turn_count", "tags"]].to_dict("records")
    [{'name': 'plan', 'turn_count': 0, 'tags': 'draft'}]
    """
    import pandas as pd

    rows = list(items)
    data = {c.name: pd.Series([c.source(row) for row in rows], dtype=c.dtype) for c in columns}
    return pd.DataFrame(data)
