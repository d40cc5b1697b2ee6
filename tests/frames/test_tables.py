"""Sessions and runs as frames: columns, types, filters, order."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import nbsessions as nbs
from nbsessions import InvalidInput, SessionNotFound, Store
from nbsessions.frames import RUNS, SESSIONS, Column, frame
from nbsessions.frames.sheets import SHEETS
from tests.frames.lived import AGENT, HOSTILE, all_frames, fill

README = (Path(__file__).parent.parent.parent / "README.md").read_text()
FEBRUARY = datetime(2020, 2, 1, tzinfo=UTC)
MARCH = datetime(2020, 3, 1, tzinfo=UTC)


def test_an_empty_store_gives_empty_frames_of_the_same_types(store: Store) -> None:
    empty = all_frames(store)
    fill(store)
    full = all_frames(store)
    for kind in full:
        assert len(empty[kind]) == 0 < len(full[kind])
        assert list(empty[kind].columns) == list(full[kind].columns)
        assert empty[kind].dtypes.astype(str).equals(full[kind].dtypes.astype(str))


@pytest.mark.parametrize("kind", SHEETS)
def test_columns_are_those_of_the_table(kind: str) -> None:
    store = nbs.open_store("memory:")
    declared = [(column.name, column.dtype) for column in SHEETS[kind]]
    listed = nbs.columns(kind)
    assert list(zip(listed["name"], listed["dtype"], strict=True)) == declared
    if kind != "usage":  # which has those of its groups alone
        made = all_frames(store)[kind]
        assert list(zip(made.columns, made.dtypes.astype(str), strict=True)) == declared


@pytest.mark.parametrize("kind", SHEETS)
def test_columns_have_their_row_in_the_readme(kind: str) -> None:
    names = ", ".join(f"`{column.name}`" for column in SHEETS[kind])
    (row,) = [line for line in README.splitlines() if line.startswith(f"| `{kind}_df` | ")]
    assert row.endswith(f" | {names} |")


@pytest.mark.parametrize(
    "column", [column for sheet in SHEETS.values() for column in sheet], ids=lambda one: one.name
)
def test_columns_are_described_in_a_sentence(column: Column) -> None:
    assert column.description.endswith(".")
    assert column.description[0].isupper()


def test_a_frame_says_what_the_records_say(store: Store) -> None:
    fill(store)
    records = store.list(None, conversation_id="*")
    df = nbs.sessions_df(store)
    assert df.equals(frame(SESSIONS, records))
    assert list(df["name"]) == [record.name for record in records]
    assert list(df["updated_at"]) == [record.updated_at for record in records]
    costs = [None if record.usage.cost is None else float(record.usage.cost) for record in records]
    assert df["cost"].astype(object).where(df["cost"].notna(), None).tolist() == costs
    plan = df[df.name == "plan"].iloc[0]
    assert (plan["tags"], plan["agent_name"], plan["total_tokens"]) == ("draft, x, y", AGENT, 330)
    assert plan["message_count"] == store.resume("plan").message_count


def test_runs_tell_what_was_asked_and_what_failed(store: Store) -> None:
    plan = fill(store)
    df = nbs.runs_df(store, session=plan)
    assert list(df["prompt"]) == [HOSTILE, "And now?", "And now?"]
    assert list(df["status"]) == ["completed", "failed", "completed"]
    assert "ValueError: no idea" in df["error"].iloc[1]
    assert list(df["session"].unique()) == ["plan"]
    assert df["retry_of"].iloc[2] == df["run_id"].iloc[1]
    assert list(df["turn_id"].isna()) == [False, True, False]
    assert (df["duration"] >= 0).all()
    assert df["cost"].sum() == 0.75
    turns = {turn.turn_id for turn in plan.turns}
    assert set(df["turn_id"].dropna()) <= turns


def test_what_deleted_sessions_spent_is_among_the_runs_without_a_name(store: Store) -> None:
    fill(store)
    df = nbs.runs_df(store)
    gone = df[df.session_id.isna()]
    assert list(gone["total_tokens"]) == [110]
    assert gone[["session", "conversation_id", "prompt", "turn_id"]].isna().all(axis=None)
    assert not nbs.runs_df(store, conversation_id=None)["session_id"].isna().any()
    assert not nbs.runs_df(store, tag="draft")["session_id"].isna().any()


Mask = Callable[[pd.DataFrame], Any]
SESSION_FILTERS: list[tuple[dict[str, Any], Mask]] = [
    ({"since": FEBRUARY}, lambda df: df.updated_at >= FEBRUARY),
    ({"until": FEBRUARY}, lambda df: df.updated_at < FEBRUARY),
    ({"since": "2020-02-01", "until": date(2020, 3, 1)}, lambda df: df.updated_at.between(FEBRUARY, MARCH)),
    ({"since": "7d"}, lambda df: df.updated_at > MARCH + timedelta(days=1)),
    ({"since": timedelta(days=7)}, lambda df: df.updated_at > MARCH + timedelta(days=1)),
    ({"until": "2020-02-01T01:00:01.5+00:00"}, lambda df: df.updated_at < FEBRUARY),
    ({"agent_name": AGENT}, lambda df: df.agent_name == AGENT),
    ({"agent_name": "nobody"}, lambda df: df.agent_name == "nobody"),
    ({"model": "other-model"}, lambda df: df.model == "other-model"),
    ({"tag": "draft"}, lambda df: df.tags.str.contains("draft")),
    ({"tag": "x, y"}, lambda df: df.tags.str.contains("x, y")),
    ({"session": "child"}, lambda df: df.name == "child"),
    ({"conversation_id": None}, lambda df: df.conversation_id.isna()),
    ({"conversation_id": "conv-1"}, lambda df: df.conversation_id == "conv-1"),
    ({"limit": 3}, lambda df: df.index < 3),
    ({"limit": 0}, lambda df: df.index < 0),
    (
        {"tag": "draft", "limit": 1},
        lambda df: (df.tags.str.contains("draft")).cumsum().eq(1) & df.tags.ne(""),
    ),
]


def test_filters_of_sessions_are_those_of_pandas(store: Store) -> None:
    fill(store)
    df = nbs.sessions_df(store)
    for which, mask in SESSION_FILTERS:
        expected = df[pd.Series(mask(df)).fillna(False).astype(bool)]
        found = nbs.sessions_df(store, **which)
        assert list(found["session_id"]) == list(expected["session_id"]), which


RUN_FILTERS: list[tuple[dict[str, Any], Mask]] = [
    ({"since": FEBRUARY}, lambda df: df.started_at >= FEBRUARY),
    ({"until": FEBRUARY}, lambda df: df.started_at < FEBRUARY),
    ({"since": FEBRUARY, "until": MARCH}, lambda df: df.started_at.between(FEBRUARY, MARCH, "left")),
    ({"agent_name": "helper"}, lambda df: df.agent_name == "helper"),
    ({"model": "my-model"}, lambda df: df.model == "my-model"),
    ({"session": "old 2"}, lambda df: df.session == "old 2"),
    ({"session": "child", "conversation_id": "conv-1"}, lambda df: df.session == "child"),
    ({"conversation_id": None}, lambda df: df.session_id.notna() & df.conversation_id.isna()),
    ({"tag": "draft"}, lambda df: df.session.isin(["plan", "early", "late", "old 2"])),
    ({"limit": 2}, lambda df: df.index >= len(df) - 2),
    ({"limit": 0}, lambda df: df.index < 0),
    ({"session": "old 3", "limit": 1}, lambda df: (df.session == "old 3") & (df.model == "other-model")),
]


def test_filters_of_runs_are_those_of_pandas(store: Store) -> None:
    fill(store)
    df = nbs.runs_df(store)
    for which, mask in RUN_FILTERS:
        expected = df[pd.Series(mask(df)).fillna(False).astype(bool)]
        found = nbs.runs_df(store, **which)
        assert list(found["run_id"]) == list(expected["run_id"]), which


def test_columns_come_as_they_are_asked_for(store: Store) -> None:
    fill(store)
    whole = nbs.sessions_df(store)
    assert nbs.sessions_df(store, columns="cost, name").equals(whole[["cost", "name"]])
    assert nbs.runs_df(store, columns=["duration"]).equals(nbs.runs_df(store)[["duration"]])
    for kind, made in all_frames(store).items():
        if kind not in ("usage", "sessions", "runs"):
            first = list(made.columns[:2])
            assert getattr(nbs, f"{kind}_df")(store, columns=first).equals(made[first])


def test_sessions_that_change_meanwhile_are_not_lost(
    sqlite_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nbsessions.stores._sql import columns

    monkeypatch.setattr(columns, "ROWS", 3)
    for number in range(20):
        sqlite_store.create(f"session {number}")
    stop = threading.Event()

    def rename() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            sqlite_store.resume("session 7").tag(f"t{number}")

    writer = threading.Thread(target=rename)
    writer.start()
    try:
        for _ in range(10):
            assert sorted(nbs.sessions_df(sqlite_store)["name"]) == sorted(f"session {n}" for n in range(20))
    finally:
        stop.set()
        writer.join()


@pytest.mark.parametrize("rows", [1, 2, 3, 100])
def test_pieces_of_any_size_are_one_frame(store: Store, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from nbsessions.stores._sql import columns

    fill(store)
    whole = all_frames(store)
    for name in ("ROWS", "RUNS", "BODIES"):
        monkeypatch.setattr(columns, name, rows)
    for kind, made in all_frames(store).items():
        assert made.equals(whole[kind]), kind
    assert list(nbs.sessions_df(store, limit=2)["name"]) == list(whole["sessions"]["name"][:2])
    assert list(nbs.runs_df(store, limit=2)["run_id"]) == list(whole["runs"]["run_id"][-2:])


def test_frames_of_two_stores_are_kept_apart() -> None:
    one, other = nbs.open_store("memory:"), nbs.open_store("memory:")
    session = one.create("plan")
    other.create("plan")
    with pytest.raises(InvalidInput, match="another store"):
        nbs.runs_df(other, session=session)
    assert nbs.sessions_df(one).attrs != nbs.sessions_df(other).attrs
    assert nbs.sessions_df(one).nbs.records() == [session.record]


def test_frames_tell_what_they_are_of_and_nothing_of_the_store(sqlite_store: Store) -> None:
    fill(sqlite_store)
    for kind, made in all_frames(sqlite_store).items():
        assert made.attrs["nbsessions.kind"] == kind
        assert "agents.db" not in str(made.attrs)


BAD: list[tuple[dict[str, Any], str]] = [
    ({"columns": "name, colour"}, "no column 'colour'. These are: name, "),
    ({"columns": []}, "has no name in it"),
    ({"columns": 7}, "columns takes names, not int"),
    ({"columns": [None]}, "columns must be text"),
    ({"since": "yesterday"}, "since is no time: 'yesterday'"),
    ({"until": datetime(2020, 1, 1)}, "until needs a timezone"),
    ({"since": pd.NaT}, "since needs a timezone"),
    ({"since": "0001-01-01T00:00+05:00"}, "since is no time in UTC that there is: 0001-01-01T00:00:00+05:00"),
    ({"since": 7}, "since is a time, a date or an age such as '7d', not int"),
    ({"limit": -1}, "limit must be at least 0"),
    ({"limit": "3"}, "limit must be a whole number"),
    ({"tag": ["draft"]}, "tag must be text, not list"),
    ({"agent_name": b"x"}, "agent_name must be text, not bytes"),
    ({"model": 7}, "model must be text, not int"),
    ({"session": 7}, "session is an id, a name or a Session, not int"),
    ({"conversation_id": 7}, "conversation_id must be text, not int"),
]


@pytest.mark.parametrize(("which", "told"), BAD, ids=lambda value: str(value)[:40])
def test_bad_filters_are_one_line(which: dict[str, Any], told: str) -> None:
    store = nbs.open_store("memory:")
    with pytest.raises(InvalidInput) as error:
        nbs.sessions_df(store, **which)
    assert told in str(error.value)
    assert "\n" not in str(error.value)


def test_what_is_no_store_and_no_session_is_told() -> None:
    with pytest.raises(InvalidInput, match="made of an open store, such as open_store"):
        nbs.sessions_df("sqlite:///agents.db")  # type: ignore[arg-type]
    with pytest.raises(SessionNotFound):
        nbs.runs_df(nbs.open_store("memory:"), session="nowhere")
    with pytest.raises(InvalidInput, match=r"no frames of 'colours'\. These are: sessions, "):
        nbs.columns("colours")


def test_a_session_is_a_frame_of_each_kind(store: Store) -> None:
    plan = fill(store)
    assert list(plan.to_df()["content"]) == [message.text for message in plan.messages]
    assert list(plan.to_df("runs")["run_id"]) == [run.run_id for run in plan.runs()]
    assert list(plan.to_df("events")["run_id"].unique()) == [run.run_id for run in plan.runs()]
    assert list(plan.to_df("tool_calls")["tool_name"]) == ["add"]
    assert plan.to_df("usage")["total_tokens"].sum() == plan.total_tokens
    with pytest.raises(InvalidInput, match=r"no frame of 'sessions'\. These are: runs, messages"):
        plan.to_df("sessions")


def test_runs_of_the_command_are_those_of_the_frame() -> None:
    session = nbs.open_store("memory:").create("plan")
    session.send("Hello", agent=lambda prompt: "Hi")
    own, of_records = session.to_df("runs"), frame(RUNS, session.runs())
    both = [column for column in own if column != "session"]  # whose name a run does not know
    assert own[both].equals(of_records[both])
