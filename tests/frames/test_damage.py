"""Rows that are not what they should be: told, and never more than they are missing."""

from __future__ import annotations

import sqlite3
import warnings
from contextlib import closing
from pathlib import Path

import pytest

import nbsessions as nbs
from nbsessions.stores._sql import columns


def _damage(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA ignore_check_constraints = ON")
        for statement in statements:
            db.execute(statement)
        db.commit()


@pytest.fixture
def filled(path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store of four sessions with a run each, read three rows at a time."""
    for name in ("ROWS", "RUNS", "BODIES"):
        monkeypatch.setattr(columns, name, 3)
    with nbs.open_store(path) as store:
        for number in range(4):
            store.create(f"session {number}").send("Hello", agent=lambda prompt: "Hi")
    return path


DAMAGE = {
    "text that is none": "UPDATE sessions SET name = CAST(x'ff41' AS TEXT) WHERE id = 2",
    "bytes": "UPDATE sessions SET name = x'ff41' WHERE id = 2",
    "text for a number": "UPDATE sessions SET turn_count = 'many' WHERE id = 2",
    "a fraction": "UPDATE sessions SET input_tokens = 1.5 WHERE id = 2",
    "infinity": "UPDATE sessions SET created_at = 9e999 WHERE id = 2",
}


@pytest.mark.parametrize("statement", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_session_takes_no_other_along(filled: Path, statement: str) -> None:
    with nbs.open_store(filled) as store:
        whole = nbs.sessions_df(store)
        _damage(filled, statement)
        with pytest.warns(RuntimeWarning, match="damaged"):
            df = nbs.sessions_df(store)
        others = whole[whole.name != "session 1"]
        kept = df[df.session_id.isin(others.session_id)].reset_index(drop=True)
        assert kept.astype(str).equals(others.reset_index(drop=True).astype(str))
        assert len(df) >= 3


def test_a_damaged_run_is_told_and_left_out(filled: Path) -> None:
    with nbs.open_store(filled) as store:
        whole = nbs.runs_df(store)
        _damage(filled, "UPDATE runs SET started_at = 'then' WHERE id = 3")
        with pytest.warns(RuntimeWarning, match="damaged"):
            df = nbs.runs_df(store)
        assert list(df["run_id"]) == [run_id for n, run_id in enumerate(whole["run_id"], 1) if n != 3]
        assert list(df["prompt"]) == ["Hello"] * 3


def test_events_of_a_damaged_run_are_told_and_left_out(filled: Path) -> None:
    with nbs.open_store(filled) as store:
        whole = nbs.events_df(store)
        _damage(filled, "UPDATE events SET type = x'ff' WHERE run = 1 AND seq = 0")
        with pytest.warns(RuntimeWarning, match="damaged"):
            df = nbs.events_df(store)
        assert df["run_id"].nunique() == 3
        assert df.equals(whole[whole.run_id.isin(df.run_id)].reset_index(drop=True))


def test_an_event_that_is_no_json_is_told(filled: Path) -> None:
    with nbs.open_store(filled) as store:
        _damage(filled, "UPDATE events SET data = '{' WHERE run = 1 AND seq = 0")
        with pytest.warns(RuntimeWarning, match="An event cannot be read"):
            df = nbs.events_df(store)
        assert len(df) == 20


def test_a_prompt_that_cannot_be_read_is_told(filled: Path) -> None:
    with nbs.open_store(filled) as store:
        _damage(filled, "UPDATE turns SET body = '[{]' WHERE id = 1")
        with pytest.warns(RuntimeWarning, match="cannot be read"):
            df = nbs.runs_df(store)
        assert df["prompt"].isna().tolist() == [True, False, False, False]


def test_a_text_too_long_for_one_value_is_read_row_by_row(filled: Path) -> None:
    with nbs.open_store(filled) as store, closing(sqlite3.connect(filled)) as db:
        whole = nbs.sessions_df(store)
        limit = db.getlimit(sqlite3.SQLITE_LIMIT_LENGTH)
        assert limit >= 10**9
        with store.backend._reading() as lent:  # type: ignore[attr-defined]
            lent.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 100)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert nbs.sessions_df(store, columns="name, turn_count").equals(whole[["name", "turn_count"]])
        with store.backend._reading() as lent:  # type: ignore[attr-defined]
            lent.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, limit)
