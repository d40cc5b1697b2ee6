"""What logs of other tools say was spent is what is counted for each day and model, however they came in."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any, cast

import pandas as pd
import pytest

import nbsessions as nbs
from nbsessions import Store
from nbsessions.stores.queries import Spending
from nbsessions.transfers.migrating import migrate
from tests.formats.counting import COUNTS, Counted, counted
from tests.formats.golden_sessions import database
from tests.formats.logs import LOGS
from tests.formats.told import GOLDEN


def found(store: Store) -> Counted:
    """Return what a store has counted; runs that spent nothing are none of a log's requests."""
    totals = store.backend.usage(Spending(by=("day", "model")))
    return {
        (str(total.group[0]), cast(str | None, total.group[1])): (
            total.usage.requests,
            total.usage.input_tokens,
            total.usage.output_tokens,
            total.usage.cache_read_tokens,
            total.usage.cache_write_tokens,
            total.usage.cost,
            total.usage.unpriced_tokens,
        )
        for total in totals
        if total.usage.total_tokens
    }


def framed(store: Store) -> Counted:
    """Return the same of the frame that people see."""
    frame = nbs.usage_df(store, by=["day", "model"])
    frame = frame[frame.total_tokens > 0].astype({"model": object})
    rows: list[dict[Any, Any]] = frame.to_dict("records")
    return {
        (row["day"].date().isoformat(), row["model"] if isinstance(row["model"], str) else None): (
            row["requests"],
            row["input_tokens"],
            row["output_tokens"],
            row["cache_read_tokens"],
            row["cache_write_tokens"],
            None if pd.isna(row["cost"]) else round(Decimal(row["cost"]), 9),
            row["unpriced_tokens"],
        )
        for row in rows
    }


def sessions_of(store: Store) -> list[nbs.SessionRecord]:
    return store.list(None, conversation_id="*")


@pytest.fixture
def memory() -> Iterator[Store]:
    with nbs.open_store("memory:") as store:
        yield store


ASIDE = ["*.expected.json", "*.meta.json", "*.sql", "messages.json", "version-0.json", "older*"]
"""Of versions that the counts here do not read, and what the tests of formats expect."""


@pytest.mark.parametrize("format", LOGS)
@pytest.mark.parametrize("seed", [1, 2])
def test_a_long_log_is_counted_as_it_says(format: str, seed: int, memory: Store, tmp_path: Path) -> None:
    LOGS[format](tmp_path, Random(seed))
    said = counted(COUNTS[format](tmp_path))
    assert len({day for day, _ in said}) > 1
    assert len({model for _, model in said}) > 1
    assert any(cost is not None for *_, cost, _ in said.values())
    assert memory.import_(tmp_path, format=format).refused == []
    assert found(memory) == said
    assert framed(memory) == said
    assert memory.verify().ok


@pytest.mark.parametrize("format", COUNTS)
def test_the_golden_files_are_counted_as_they_say(format: str, memory: Store, tmp_path: Path) -> None:
    folder = tmp_path / format
    shutil.copytree(GOLDEN / format, folder, ignore=shutil.ignore_patterns(*ASIDE))
    if format == "llm":
        database(GOLDEN / "llm" / "llm-0.27.1.sql", folder / "logs.db")
    said = counted(COUNTS[format](folder))
    assert said
    assert memory.import_(folder, format=format).refused == []
    assert found(memory) == said


def test_all_logs_are_counted_in_one_store_again_and_again(store: Store, tmp_path: Path) -> None:
    said: Counted = {}
    for seed, format in enumerate(LOGS):
        folder = tmp_path / format
        LOGS[format](folder, Random(seed))
        for _ in range(2):
            store.import_(folder, format=format)
    said = counted(one for format in LOGS for one in COUNTS[format](tmp_path / format))
    assert found(store) == said
    assert framed(store) == said
    # A fork has its history of another session, and spent nothing itself.
    for record in sessions_of(store):
        session = store.resume(record.session_id, conversation_id=record.conversation_id)
        assert session.fork(at=1).usage.total_tokens == 0
    assert found(store) == said
    assert store.verify().ok
    store.delete_all(sessions_of(store))
    assert found(store) == said
    store.backend.rebuild_usage()
    assert found(store) == said


@pytest.mark.parametrize("format", ["claude-code", "codex"])
def test_a_log_that_is_imported_while_it_grows_is_counted_once(
    format: str, store: Store, tmp_path: Path
) -> None:
    whole, folder = tmp_path / "whole", tmp_path / "growing"
    LOGS[format](whole, Random(5))
    for part in (3, 40, 41, 97, 150, 10_000):
        for path in whole.rglob("*.jsonl"):
            lines = path.read_text().splitlines(keepends=True)
            grown = folder / path.relative_to(whole)
            grown.parent.mkdir(parents=True, exist_ok=True)
            grown.write_text("".join(lines[:part]))
        store.import_(folder, format=format)
        assert found(store) == counted(COUNTS[format](folder))
    assert store.verify().ok


@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".db", ".ipynb"])
def test_what_is_exported_and_imported_is_counted_alike(suffix: str, memory: Store, tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    LOGS["codex"](logs, Random(6))
    (record,) = memory.import_(logs, format="codex")
    path = memory.export(record.session_id, tmp_path / f"out{suffix}")
    with nbs.open_store("memory:") as other:
        for _ in range(2):
            other.import_(path)
        assert found(other) == counted(COUNTS["codex"](logs))
        assert [(run.shares, run.priced_by) for run in other.runs(record.session_id)] == [
            (run.shares, run.priced_by) for run in memory.runs(record.session_id)
        ]


@pytest.mark.parametrize("url", ["memory:", "sqlite", "file"])
def test_what_is_migrated_is_counted_alike(url: str, memory: Store, tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    for format in ("claude-code", "pydantic-ai"):
        LOGS[format](logs / format, Random(7))
        memory.import_(logs / format, format=format)
    memory.delete_all(sessions_of(memory)[:1])
    said = counted(one for format in ("claude-code", "pydantic-ai") for one in COUNTS[format](logs / format))
    assert found(memory) == said
    where = {"sqlite": str(tmp_path / "agents.db"), "file": f"file:{tmp_path / 'folder'}"}.get(url, url)
    with nbs.open_store(where) as other:
        for _ in range(2):
            assert migrate(memory.backend, other.backend).ok
            assert found(other) == said
