"""A store as Parquet files: the same figures elsewhere, whole files, and nothing that is nobody's business."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nbsessions as nbs
from nbsessions import InvalidInput, RunFailed, Store, StoreUnavailable, Usage
from nbsessions.frames import sheets
from nbsessions.parquet import KINDS, partitions, tables
from nbsessions.parquet.partitions import Partitions
from nbsessions.records import Share
from nbsessions.testing import ScriptedAgent
from nbsessions.testing.contract.usage import spent
from nbsessions.testing.samples import a_run, inserted
from tests.conftest import Python
from tests.disks import SmallDisk
from tests.lived import lived
from tests.spark import run_with_spark

README = (Path(__file__).parent.parent / "README.md").read_text()
HOSTILE = 'O\'Brien "ü" 🦉 \0 <b>, ../../x?a=b%20\n'
_SUMS = [
    "runs",
    "requests",
    "input_tokens",
    "output_tokens",
    "total_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "cost",
    "unpriced_tokens",
]


def _at(*when: int) -> datetime:
    return datetime(*when, tzinfo=UTC)  # type: ignore[misc, arg-type]


def _paid(tokens: int, cost: str | None = "0.000000001") -> Usage:
    known = None if cost is None else Decimal(cost)
    return Usage(
        input_tokens=tokens,
        output_tokens=1,
        cache_read_tokens=tokens // 2,
        requests=1,
        cost=known,
        unpriced_tokens=0 if cost else tokens + 1,
    )


def _filled(store: Store) -> Store:
    """Put into a store what makes counting hard: months, models, prices, forks, failures, what is gone."""
    backend = store.backend
    plan = lived(store)
    store.fork(plan.session_id, "a way of its own").send("On", agent=ScriptedAgent([["Yes", _paid(5)]]))
    one = inserted(backend, "one", name="one", tags=["a", "b"], created_at=_at(2026, 9, 30, 23, 59))
    two = inserted(backend, "two", name=HOSTILE[:-1], tags=[HOSTILE], notebook="/home/ada/n.ipynb")
    spent(backend, one, model="m", provider="p", usage=_paid(10, "0.1"), started_at=_at(2026, 9, 30))
    spent(backend, one, model="m", usage=_paid(11, "0.2"), started_at=_at(2026, 10, 31, 23, 59, 59, 999_999))
    spent(
        backend, two, "failed", model="n", usage=_paid(12, None), started_at=_at(2026, 11, 1), error=HOSTILE
    )
    spent(backend, two, "cancelled", usage=Usage(), started_at=_at(2026, 11, 1))
    spent(backend, two, model="", provider="", usage=_paid(13), started_at=_at(2026, 11, 2))
    # It went on over midnight, and over the end of a month, and asked another model.
    whole = [
        Share(date(2026, 10, 31), "m", "p", _paid(20, "1")),
        Share(date(2026, 11, 1), "m", "p", _paid(21, "2")),
        Share(date(2026, 11, 1), "n", None, _paid(22, None)),
    ]
    everything = sum((share.usage for share in whole), Usage())
    spent(backend, two, model="m", provider="p", usage=everything, shares=whole, started_at=_at(2026, 10, 31))
    # None of what it spent is of the model that it is listed with.
    spent(backend, two, model="o", usage=whole[0].usage, shares=whole[:1], started_at=_at(2026, 10, 30))
    backend.start_run(a_run(one, model="m", started_at=_at(2026, 11, 3)))
    gone = store.create("gone")
    with suppress(RunFailed):
        gone.send("Hi", agent=ScriptedAgent([[_paid(30, "0.5"), ValueError(HOSTILE)]], model="m"))
    store.delete("gone")
    return store


@pytest.fixture
def filled(store: Store) -> Store:
    return _filled(store)


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    return tmp_path / "lake"


def files(lake: Path) -> dict[str, bytes]:
    return {str(path.relative_to(lake)): path.read_bytes() for path in lake.rglob("*") if path.is_file()}


def asked(sql: str) -> duckdb.DuckDBPyRelation:
    found = duckdb.sql(sql)
    assert found is not None
    return found


def rows(lake: Path, kind: str) -> pd.DataFrame:
    found: pd.DataFrame = asked(f"FROM '{lake}/{kind}/*/*.parquet'").df()
    return found


@pytest.mark.parametrize("by", [[], ["day", "model"], ["provider", "agent_name"], ["status"], ["session"]])
def test_sums_of_usage_are_the_figures_of_usage_df(filled: Store, lake: Path, by: list[str]) -> None:
    filled.export_parquet(lake)
    names = [
        name for one in by for name in (("session_id", "conversation_id") if one == "session" else (one,))
    ]
    sums = [f"sum({name})::{'DOUBLE' if name == 'cost' else 'BIGINT'} AS {name}" for name in _SUMS]
    group = " GROUP BY ALL" if by else ""
    found = asked(f"SELECT {', '.join([*names, *sums])} FROM '{lake}/usage/*/*.parquet'{group}").df()
    _assert_same(found, nbs.usage_df(filled, by=by or ["day"]), names)


def _assert_same(found: pd.DataFrame, expected: pd.DataFrame, by: list[str]) -> None:
    """Fail where two frames of usage differ, in whatever order their rows come."""
    if not by:
        expected = expected[_SUMS].sum(min_count=1).to_frame().T
    columns = [name for name in found.columns if name in expected.columns]
    assert set(by) <= set(columns)
    one, other = (_plain(frame[columns], by) for frame in (found, expected))
    pd.testing.assert_frame_equal(one, other)


def _plain(frame: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    plain = frame.copy()
    for name in plain.columns:
        if name == "day":
            plain[name] = pd.to_datetime(plain[name], utc=True).dt.strftime("%Y-%m-%d")
        elif name in by:
            plain[name] = plain[name].astype(object).where(plain[name].notna(), "-").astype(str)
        else:
            plain[name] = plain[name].astype("Float64")
    return plain.sort_values(by).reset_index(drop=True) if by else plain.reset_index(drop=True)


def test_costs_are_exact_and_missing_where_there_is_no_price(filled: Store, lake: Path) -> None:
    filled.export_parquet(lake)
    sql = f"SELECT sum(cost) FROM '{lake}/usage/*/*.parquet'"
    ((total,),) = asked(sql).fetchall()
    runs = [run for run in filled.backend.runs() if run.status != "running"]
    assert total == sum(run.usage.cost for run in runs if run.usage.cost is not None)
    assert asked(f"{sql} WHERE model = 'n'").fetchall() == [(None,)]


@pytest.mark.parametrize("kind", ["runs", "sessions"])
def test_rows_are_those_of_the_frame(filled: Store, lake: Path, kind: str) -> None:
    filled.export_parquet(lake)
    expected = nbs.runs_df(filled) if kind == "runs" else nbs.sessions_df(filled)
    found = rows(lake, kind)
    assert len(found) == len(expected)
    own = "run_id" if kind == "runs" else "session_id"
    found, expected = (frame.set_index(own).sort_index() for frame in (found, expected))
    assert list(found.index) == list(expected.index)
    for name in set(found.columns) & set(expected.columns) - {"tags"}:
        assert [*map(_simple, found[name])] == [*map(_simple, expected[name])], name


def _simple(value: Any) -> object:
    """Return a value of a frame as the other kind of frame has it."""
    if pd.isna(value) or value == "":
        return None
    return float(value) if isinstance(value, Decimal) else value


def test_tags_are_lists(filled: Store, lake: Path) -> None:
    filled.export_parquet(lake)
    found = asked(f"SELECT session_id, tags FROM '{lake}/sessions/*/*.parquet'").fetchall()
    assert dict(found) == {one.session_id: one.tags for one in filled.list(None, conversation_id="*")}


def test_each_row_is_in_its_month(filled: Store, lake: Path) -> None:
    filled.export_parquet(lake)
    for kind, at in (("usage", "day"), ("runs", "started_at"), ("sessions", "created_at")):
        found = rows(lake, kind)
        assert (pd.to_datetime(found[at], utc=True).dt.strftime("%Y-%m") == found["month"]).all()
    assert {"2026-09", "2026-10", "2026-11"} <= set(rows(lake, "usage")["month"])


_ARROW = {
    "string": pa.string(),
    "category": pa.dictionary(pa.int32(), pa.string()),
    "int64": pa.int64(),
    "Float64": pa.float64(),
    sheets.UTC: pa.timestamp("us", "UTC"),
}


@pytest.mark.parametrize("kind", ["runs", "sessions"])
def test_columns_and_types_are_those_of_the_frame(kind: str) -> None:
    schema, sheet = (tables.RUNS, sheets.RUNS) if kind == "runs" else (tables.SESSIONS, sheets.SESSIONS)
    types = {column.name: _ARROW[column.dtype] for column in sheet}
    # What was said stays in the store, costs stay exact, and each tag stays one.
    left_out = {"prompt", "error", "session"} if kind == "runs" else set()
    other = {"cost": tables.USAGE.field("cost").type, "tags": pa.list_(pa.string())}
    expected = {name: other.get(name, type) for name, type in types.items() if name not in left_out}
    assert {field.name: field.type for field in schema} == expected


def test_an_empty_store_has_the_same_columns(store: Store, lake: Path, tmp_path: Path) -> None:
    store.export_parquet(lake)
    _filled(store).export_parquet(tmp_path / "other")
    for kind in KINDS:
        (empty,) = lake.glob(f"{kind}/month=*/*")
        full = next((tmp_path / "other").glob(f"{kind}/month=*/*"))
        assert pq.read_table(empty, partitioning=None).num_rows == 0
        assert pq.read_schema(empty) == pq.read_schema(full)
    assert pd.read_parquet(lake / "usage").empty


def test_an_export_is_refused_twice_and_brought_up_to_date_when_told_to(filled: Store, lake: Path) -> None:
    filled.export_parquet(lake)
    before = files(lake)
    with pytest.raises(InvalidInput, match="has an export already: overwrite=True brings it up to date"):
        filled.export_parquet(lake)
    assert files(lake) == before
    long_ago = time.time() - 1000
    for name in before:
        os.utime(lake / name, (long_ago, long_ago))
    spent(filled.backend, inserted(filled.backend, "new"), usage=_paid(1), started_at=_at(2026, 12, 1))
    assert filled.export_parquet(lake, overwrite=True) == lake
    changed = {name for name in files(lake) if (lake / name).stat().st_mtime > long_ago + 1}
    created = f"{filled.record('new').created_at:%Y-%m}"
    assert changed == {
        "usage/month=2026-12/usage.parquet",
        "runs/month=2026-12/runs.parquet",
        f"sessions/month={created}/sessions.parquet",
    }


def test_a_month_without_rows_has_no_file(sqlite_store: Store, lake: Path) -> None:
    backend = sqlite_store.backend
    old = inserted(backend, "old", created_at=_at(2020, 1, 1))
    inserted(backend, "new", created_at=_at(2026, 1, 1))
    sqlite_store.export_parquet(lake)
    assert len(list(lake.glob("sessions/month=*"))) == 2
    backend.delete([old])
    sqlite_store.export_parquet(lake, overwrite=True)
    assert [path.name for path in lake.glob("sessions/month=*")] == ["month=2026-01"]


def test_what_is_none_of_ours_is_left_alone(sqlite_store: Store, lake: Path) -> None:
    (lake / "mine").mkdir(parents=True)
    (lake / "mine" / "notes.parquet").write_text("notes")
    sqlite_store.export_parquet(lake)
    assert (lake / "mine" / "notes.parquet").read_text() == "notes"
    strange = lake / "runs" / "month=2026-01" / "part-0.parquet"
    strange.parent.mkdir()
    strange.write_text("theirs")
    before = files(lake)
    with pytest.raises(InvalidInput, match=r"has runs/month=2026-01/part-0\.parquet, which no export wrote"):
        sqlite_store.export_parquet(lake, overwrite=True)
    assert files(lake) == before


def test_a_file_is_no_folder(sqlite_store: Store, lake: Path) -> None:
    lake.write_text("mine")
    with pytest.raises(InvalidInput, match=r"is a file\. Name a folder"):
        sqlite_store.export_parquet(lake, overwrite=True)
    with pytest.raises(StoreUnavailable, match=r"Cannot write to .*: Not a directory"):
        sqlite_store.export_parquet(lake / "below")


def test_an_export_that_is_stopped_leaves_the_one_before(
    filled: Store, lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled.export_parquet(lake)
    before = files(lake)
    spent(filled.backend, inserted(filled.backend, "new"), usage=_paid(1), started_at=_at(2026, 12, 1))
    columns = filled.backend.columns

    def stopped(asked: Any, *rest: Any, **more: Any) -> Any:
        if asked.table == "sessions":
            raise KeyboardInterrupt
        return columns(asked, *rest, **more)

    monkeypatch.setattr(filled.backend, "columns", stopped)
    with pytest.raises(KeyboardInterrupt):
        filled.export_parquet(lake, overwrite=True)
    assert files(lake) == before


def test_an_export_that_is_killed_leaves_the_one_before_and_what_it_left_goes(
    path: Path, lake: Path, python: Python, monkeypatch: pytest.MonkeyPatch
) -> None:
    with nbs.open_store(path) as store:
        _filled(store).export_parquet(lake)
        before = files(lake)
        spent(store.backend, inserted(store.backend, "new"), usage=_paid(1), started_at=_at(2026, 12, 1))
        # As kill -9 does it: when all is written, and nothing has its name yet.
        code = (
            "import os, sys, nbsessions as nbs, nbsessions.parquet as parquet\n"
            "parquet._put_in_place = lambda *given: os._exit(0)\n"
            "nbs.open_store(sys.argv[1]).export_parquet(sys.argv[2], overwrite=True)"
        )
        python(code, path, lake)
        left = {name for name in files(lake) if name not in before}
        assert left
        assert {name: data for name, data in files(lake).items() if name in before} == before
        assert all(name.startswith(".unfinished-") for name in left)
        assert rows(lake, "usage")["month"].max() < "2026-12"
        monkeypatch.setattr("nbsessions.parquet._DAY", 0)
        store.export_parquet(lake, overwrite=True)
        assert not [name for name in files(lake) if name.startswith(".unfinished-")]


def test_a_full_disk_is_told_and_the_export_before_stays(sqlite_store: Store, small_disk: SmallDisk) -> None:
    lake = small_disk.folder / "lake"
    _filled(sqlite_store).export_parquet(lake)
    before = files(lake)
    spent(sqlite_store.backend, inserted(sqlite_store.backend, "new"), usage=_paid(1))
    small_disk.fill()
    try:
        with pytest.raises(StoreUnavailable, match=r"Cannot write to .*lake: "):
            sqlite_store.export_parquet(lake, overwrite=True)
    finally:
        small_disk.free()
    assert {name: data for name, data in files(lake).items() if "filler" not in name} == before


def test_a_damaged_run_is_told_and_left_out(path: Path, lake: Path) -> None:
    with nbs.open_store(path) as store:
        key = inserted(store.backend)
        for _ in range(3):
            spent(store.backend, key, usage=_paid(10, "0.1"))
        with closing(sqlite3.connect(path)) as db, db:
            db.execute("UPDATE runs SET input_tokens = 'x' WHERE id = 2")
        with pytest.warns(RuntimeWarning, match="Run .* is damaged"):
            store.export_parquet(lake)
    assert rows(lake, "runs")["input_tokens"].tolist() == [10, 10]


def test_no_file_says_where_the_store_is(postgres_store: Store, postgres_url: str, lake: Path) -> None:
    _filled(postgres_store).export_parquet(lake)
    for path in lake.glob("*/*/*.parquet"):
        assert set(pq.read_metadata(path).metadata) == {b"ARROW:schema"}
        assert not pq.read_schema(path).metadata
        for secret in ("postgresql", "pg-", str(lake), "password"):
            assert secret.encode() not in path.read_bytes()


def test_nothing_of_what_was_said_is_in_it(filled: Store, lake: Path) -> None:
    filled.export_parquet(lake)
    for kind in KINDS:
        told = rows(lake, kind).to_csv()
        for said in ("Hello {{x}}", "no network", "Be brief", "Let me", "Oslo"):
            assert said not in told


def test_without_pyarrow_the_line_says_what_to_install(path: Path, lake: Path, python: Python) -> None:
    code = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "import nbsessions as nbs\n"
        "try: nbs.open_store(sys.argv[1]).export_parquet(sys.argv[2])\n"
        "except nbs.MissingExtra as error: print(error)"
    )
    assert 'pip install "nbsessions[parquet]"' in python(code, path, lake)
    assert not lake.exists()


@given(
    pieces=st.lists(st.lists(st.tuples(st.integers(1, 4), st.none() | st.text(max_size=5)), max_size=9)),
    group=st.integers(1, 5),
    waiting=st.integers(0, 300),
)
def test_no_row_is_lost_between_months_and_row_groups(
    tmp_path_factory: pytest.TempPathFactory,
    pieces: list[list[tuple[int, str | None]]],
    group: int,
    waiting: int,
) -> None:
    schema = pa.schema({"day": pa.date32(), "model": pa.dictionary(pa.int32(), pa.string())})
    given_rows = [(date(2026, month, 28), model) for piece in pieces for month, model in piece]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(partitions, "GROUP", group)
        patch.setattr(partitions, "_WAITING_BYTES", waiting)
        made = Partitions("usage", schema, "day", tmp_path_factory.mktemp("lake"))
        for piece in pieces:
            days = pa.array([date(2026, month, 28) for month, _ in piece], pa.date32())
            made.add(pa.table({"day": days, "model": pa.array([model for _, model in piece], pa.string())}))
        found = made.finish()
    for month, path in found.items():
        table = pq.read_table(path, partitioning=None)
        expected = [row for row in given_rows if f"{row[0]:%Y-%m}" == month]
        assert [tuple(row.values()) for row in table.to_pylist()] == expected
        assert all(pq.read_metadata(path).row_group(n).num_rows <= group for n in range(table.num_rows and 1))
    assert sum(pq.read_metadata(path).num_rows for path in found.values()) == len(given_rows)


# What the README says


def _examples(word: str) -> str:
    """Return the example of the README that has a word in it."""
    section = README.split("## Beyond one machine")[1].split("\n## ")[0]
    (found,) = [code for code in re.findall(r"```python\n(.*?)```", section, re.S) if word in code]
    return str(found)


@pytest.fixture
def shown(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[pd.DataFrame]:
    """Export a store as the README does, and give what the examples must find in it."""
    with nbs.open_store(path) as store:
        _filled(store)
        monkeypatch.chdir(tmp_path)
        exec(_examples("export_parquet"), {"store": store})
        yield nbs.usage_df(store, by=["day", "model"], since=datetime(2026, 10, 1, tzinfo=UTC))


def test_the_example_of_duckdb_gives_the_figures_of_usage_df(shown: pd.DataFrame) -> None:
    names: dict[str, Any] = {}
    exec(_examples("import duckdb"), names)
    _assert_same(names["days"].df(), shown, ["day", "model"])


@pytest.mark.timeout(900)  # it brings Spark where there is none yet
def test_the_example_of_spark_gives_the_figures_of_usage_df(shown: pd.DataFrame, tmp_path: Path) -> None:
    printed = "\nprint('#', *days.toJSON().collect(), sep='\\n')"
    told = run_with_spark(_examples("import SparkSession") + printed, tmp_path).partition("#\n")[2]
    found = pd.DataFrame([json.loads(line) for line in told.splitlines()])
    _assert_same(found, shown, ["day", "model"])
