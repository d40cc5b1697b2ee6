"""Usage, runs and sessions as Arrow tables: their columns, and where each comes from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
from pydantic_core import from_json

from nbsessions.parquet.partitions import Partitions
from nbsessions.records import Usage
from nbsessions.stores._columns import pieces
from nbsessions.stores._rows import daily
from nbsessions.stores._rows.spent import shares
from nbsessions.stores.base import Backend
from nbsessions.stores.queries import Columns, Table

_Values = Mapping[str, list[Any]]
_Make = Callable[[_Values], pa.Array]
_CATEGORY: Final = pa.dictionary(pa.int32(), pa.string())
_TIME: Final = pa.timestamp("us", "UTC")
_TAGS: Final = pa.list_(pa.string())
# Each number of billionths that 64 bits can count.
_COST: Final = pa.decimal128(19, 9)
_WHAT: Final = dict.fromkeys(("model", "provider", "agent_name"), _CATEGORY)
_SPENT: Final = {
    **dict.fromkeys([name for name in Usage.model_fields if name != "cost"], pa.int64()),
    "total_tokens": pa.int64(),
    "cost": _COST,
}
_SESSION: Final = dict.fromkeys(("session_id", "conversation_id"), pa.string())
_RUN: Final = {
    **dict.fromkeys(("run_id", "turn_id", "retry_of", "cell_id"), pa.string()),
    "priced_by": _CATEGORY,
    "event_count": pa.int64(),
}

USAGE: Final = pa.schema(
    {
        "day": pa.date32(),
        **_WHAT,
        "status": _CATEGORY,
        "runs": pa.int64(),
        **_SPENT,
        **_SESSION,
        "run_id": pa.string(),
    }
)
"""What each run spent, on which day, with which model; `runs` is 1 on one row of each run."""
RUNS: Final = pa.schema(
    {
        "started_at": _TIME,
        "finished_at": _TIME,
        "duration": pa.float64(),
        "status": _CATEGORY,
        **_WHAT,
        **_SPENT,
        **_SESSION,
        **_RUN,
    }
)
SESSIONS: Final = pa.schema(
    {
        "created_at": _TIME,
        "updated_at": _TIME,
        "name": pa.string(),
        "tags": _TAGS,
        **dict.fromkeys(("owner", "agent_name", "model"), _CATEGORY),
        "message_count": pa.int64(),
        "turn_count": pa.int64(),
        **_SPENT,
        **_SESSION,
        "parent_session_id": pa.string(),
        "notebook": pa.string(),
    }
)


def written(backend: Backend, folder: Path) -> dict[str, dict[str, Path]]:
    """Write all that is exported into files in a folder, and return the file of each kind and month.

    Examples
    --------
    >>> import nbsessions as nbs, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     sorted(written(nbs.open_store("memory:").backend, Path(folder)))
    ['runs', 'sessions', 'usage']
    """
    usage = Partitions("usage", USAGE, "day", folder)
    runs = Partitions("runs", RUNS, "started_at", folder)
    sessions = Partitions("sessions", SESSIONS, "created_at", folder)
    everything = (usage, runs, sessions)
    try:
        for values in _read(backend, "runs", [*RUNS.names, "shares"]):
            runs.add(_table(RUNS, values))
            usage.add(_spent(values))
        for values in _read(backend, "sessions", SESSIONS.names):
            sessions.add(_table(SESSIONS, values))
        return {one.kind: one.finish() for one in everything}
    except BaseException:
        for one in everything:
            one.abandon()
        raise


def _read(backend: Backend, table: Table, names: Iterable[str]) -> Iterator[_Values]:
    return pieces(backend, Columns(table, [name for name in names if name not in _MADE]))


def _table(schema: pa.Schema, values: _Values) -> pa.Table:
    """Return raw columns as a table, in which categories are text."""
    made = {field.name: _MADE.get(field.name, _as_it_is(field))(values) for field in schema}
    return pa.table(made)


def _as_it_is(field: pa.Field) -> _Make:
    return lambda values: _array(values[field.name], field.type)


def _array(values: list[Any], type: pa.DataType) -> pa.Array:
    if type == _COST:
        # A number of billionths is what such a decimal is made of.
        whole = pa.array(values, pa.int64()).cast(pa.decimal128(19, 0))
        return pa.Array.from_buffers(type, len(whole), whole.buffers(), whole.null_count)
    if type == _TAGS:
        return pa.array([from_json(tags) for tags in values], type)
    if type == _CATEGORY:
        return pa.array([value or None for value in values], pa.string())
    return pa.array(values, type)


def _duration(values: _Values) -> pa.Array:
    started, finished = (pa.array(values[name], pa.int64()) for name in ("started_at", "finished_at"))
    return pc.divide(pc.subtract(finished, started).cast(pa.float64()), 1e6)


def _total(values: _Values) -> pa.Array:
    return pc.add(*(pa.array(values[name], pa.int64()) for name in ("input_tokens", "output_tokens")))


_MADE: Final[Mapping[str, _Make]] = {
    "duration": _duration,
    "total_tokens": _total,
    "day": lambda values: pa.array(values["started_at"], _TIME).cast(pa.date32()),
    "runs": lambda values: pa.array([1] * len(values["run_id"]), pa.int64()),
}
"""The columns that a store does not have."""


def _spent(values: _Values) -> pa.Table:
    """Return what runs that have ended spent: a row for each day and model."""
    whole: list[bool] = []
    rows: list[dict[str, Any]] = []
    for place, (status, shared) in enumerate(zip(values["status"], values["shares"], strict=True)):
        ended = status != "running"
        whole.append(ended and shared is None)
        if ended and shared is not None:
            rows += _shared({name: column[place] for name, column in values.items()})
    table = _table(USAGE, values)
    return pa.concat_tables(
        [table.filter(pa.array(whole, pa.bool_())), pa.Table.from_pylist(rows, table.schema)]
    )


def _shared(run: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the rows of a run that spent on several days, or with several models."""
    about = {name: run[name] for name in ("status", "run_id", *_SESSION)}
    began = (
        daily.day_of(run["started_at"]),
        run["agent_name"],
        run["model"] or None,
        run["provider"] or None,
    )
    for group, numbers in daily.counted(daily.Group(*began), Usage(), shares(run["shares"])).items():
        if any(numbers):
            usage = daily.spent(numbers)
            row = {**about, **group._asdict(), **usage.model_dump(), "total_tokens": usage.total_tokens}
            yield {**row, "day": daily.day(group.day), "runs": numbers[0]}
