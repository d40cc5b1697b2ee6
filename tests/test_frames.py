from __future__ import annotations

import pytest

import nbsessions as nbs
from nbsessions.frames import RUNS, SESSIONS, frame


def test_columns_are_typed_with_and_without_rows() -> None:
    store = nbs.open_store("memory:")
    empty = frame(SESSIONS, store.list())
    session = store.create("plan", tags=["a", "b"])
    session.send("Hello", agent=lambda prompt: "Hi")
    full = frame(SESSIONS, store.list())
    assert list(empty.columns) == list(full.columns) == [column.name for column in SESSIONS]
    assert empty.dtypes.astype(str).equals(full.dtypes.astype(str))
    assert str(full.dtypes["updated_at"]) == "datetime64[us, UTC]"
    row = full.iloc[0]
    assert (row["name"], row["turn_count"], row["message_count"], row["tags"]) == ("plan", 1, 2, "a, b")
    assert full["cost"].isna().all()


def test_runs_tell_what_failed() -> None:
    session = nbs.open_store("memory:").create("plan")
    session.send("Hello", agent=lambda prompt: "Hi")
    with pytest.raises(nbs.RunFailed, match="ZeroDivisionError"):
        session.send("Again", agent=lambda prompt: 1 / 0)
    runs = frame(RUNS, session.runs())
    assert list(runs["status"]) == ["completed", "failed"]
    assert list(runs["prompt"]) == ["Hello", "Again"]
    assert "ZeroDivisionError" in runs["error"][1]
    assert (runs["duration"] >= 0).all()
