"""What was spent, by day and model, over very many runs; and what adding it up costs each run."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any, NamedTuple

import nbsessions as nbs
from nbsessions.stores._rows import runs
from nbsessions.stores.queries import Spending
from nbsessions.values import micros
from tests.bench.timing import Figure, duration, folder, seconds
from tests.bench.turns import append
from tests.postgres import Server

_DAYS = 365
_START = datetime(2026, 11, 28, tzinfo=UTC) - timedelta(days=_DAYS)
# 3 agents, 5 models of which one has no price, evenly over the days.
_FILL = """
INSERT INTO runs(run_id, status, started_at, finished_at, agent_name, model, provider, requests, input_tokens,
    output_tokens, cache_read_tokens, cost, unpriced_tokens)
WITH RECURSIVE n(i) AS (SELECT CAST(0 AS BIGINT) UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {rows})
SELECT 'run-' || i, 'completed', {start} + i * {step}, {start} + i * {step} + 2000000, 'agent-' || (i % 3),
    'model-' || (i / 3 % 5), 'provider', 1, 1000 + i % 997, 100 + i % 97, i % 500,
    CASE i / 3 % 5 WHEN 0 THEN NULL ELSE 2000000 + i % 1009 END,
    CASE i / 3 % 5 WHEN 0 THEN 1100 + i % 997 + i % 97 ELSE 0 END
FROM n"""


class _Place(NamedTuple):
    """A store on one database, and a way past it."""

    name: str
    store: nbs.Store
    execute: Callable[[str], object]


def figures(quick: bool) -> Iterator[Figure]:
    """Yield what each run pays, and what the question takes that it pays for, on both databases."""
    count = 20_000 if quick else 5_000_000
    for opened in (_sqlite, _postgres):
        with opened() as place:
            added = _added(place, 20 if quick else 2_000)
            yield _asked(place, count, 3 if quick else 15)
            yield added


@contextmanager
def _sqlite() -> Iterator[_Place]:
    with folder() as path, nbs.open_store(path / "usage.db") as store:
        db = sqlite3.connect(path / "usage.db", isolation_level=None)
        with closing(db):
            yield _Place("SQLite", store, db.execute)


@contextmanager
def _postgres() -> Iterator[_Place]:
    with closing(Server()) as server, server.connect() as db:
        schema = server.new_schema()
        with nbs.open_store(server.url(schema)) as store:
            db.execute(f'SET search_path TO "{schema}"')
            yield _Place("PostgreSQL", store, lambda sql: db.execute(sql.encode()))


def _asked(place: _Place, rows: int, repeats: int) -> Figure:
    step = timedelta(days=_DAYS) // rows
    sql = _FILL.format(rows=rows, start=micros(_START), step=step // timedelta(microseconds=1))
    place.execute(sql)
    backend = place.store.backend
    rebuilt = seconds(backend.rebuild_usage)
    asked = Spending(by=("day", "model"))
    assert sum(total.runs for total in backend.usage(asked)) >= rows
    taken = median(seconds(lambda: backend.usage(asked)) for _ in range(repeats))
    what = f"usage by day and model, {rows / 1e6:g} million runs"
    note = f"{place.name}; a scan, which rebuilds the table: {duration(rebuilt)}"
    return Figure(what, duration(taken), "", taken * 1e3, 100, "ms", note)


def _added(place: _Place, repeats: int) -> Figure:
    """Return what the transaction that ends a run takes longer because usage is added up in it."""
    row: Any = runs.Row
    adding, nothing = row.counted, property(lambda self: {})
    session = place.store.create("bench")
    taken: dict[Any, list[float]] = {adding: [], nothing: []}
    for number in range(2 * repeats):
        # By turns, and each first as often as the other.
        row.counted = (adding, nothing, nothing, adding)[number % 4]
        taken[row.counted].append(seconds(lambda: append(session)))
    row.counted = adding
    more = median(ours - floor for ours, floor in zip(taken[adding], taken[nothing], strict=True))
    ours, floor = duration(median(taken[adding])), duration(median(taken[nothing]))
    # On a server it is one statement more, which takes as long as any other.
    limit = 50 if place.name == "SQLite" else None
    note = f"{place.name}; median of neighbours"
    return Figure("  which a turn takes longer for it", ours, floor, more * 1e6, limit, "us", note)
