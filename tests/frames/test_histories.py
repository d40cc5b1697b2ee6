"""Messages, events and calls of tools as frames: what forks share, what failed, what was said when."""

from __future__ import annotations

import json
import warnings
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nbsessions as nbs
from nbsessions import RunFailed, Session, Store
from nbsessions.testing import ScriptedAgent
from nbsessions.testing.scripted import Piece
from tests.conftest import add
from tests.frames.lived import CALLING, HOSTILE, USAGE, fill


def call(call_id: str, name: str = "add", arguments: str = "{}") -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    return {"role": "assistant", "tool_calls": [{"id": call_id, "function": function}]}


def result(call_id: str, content: str, **more: object) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": content, **more}


def test_messages_are_those_of_each_session(store: Store) -> None:
    fill(store)
    df = nbs.messages_df(store)
    for record in store.list(None, conversation_id="*"):
        session = store.resume(record.session_id, conversation_id=record.conversation_id)
        own = df[df.session_id == record.session_id]
        assert list(own["content"]) == [message.text for message in session.messages]
        assert list(own["role"]) == [message.role for message in session.messages]
        assert list(own["position"]) == list(range(1, len(own) + 1))
    first = df[df.session == "plan"].iloc[0]
    assert (first["content"], first["characters"]) == (HOSTILE, len(HOSTILE))
    assert list(df["session_id"].unique()) == [
        r.session_id for r in store.list(None, conversation_id="*") if r.message_count
    ]


def test_what_a_fork_inherits_is_told(store: Store) -> None:
    plan = fill(store)
    df = nbs.messages_df(store)
    inherited = df.groupby("session")["inherited"].agg(list)
    assert inherited["plan"] == [False] * plan.message_count
    assert inherited["early"] == [True, False]
    assert inherited["late"] == [True] * plan.message_count + [False] * 2
    assert inherited["child"] == [False, False]
    # Each message once: as many as were said.
    once = df[~df.inherited & df.session.isin(["plan", "early", "late"])]
    assert len(once) == plan.message_count + 1 + 2


@given(data=st.data())
def test_messages_that_are_not_inherited_are_each_there_once(data: st.DataObject) -> None:
    store = nbs.open_store("memory:")
    sessions = [store.create("root")]
    said = 0
    for step in range(data.draw(st.integers(1, 12))):
        session = data.draw(st.sampled_from(sessions))
        if data.draw(st.booleans()):
            said += 2
            session.send(f"prompt {step}", agent=lambda prompt: f"re: {prompt}")
        else:
            at = data.draw(st.integers(0, session.message_count))
            sessions.append(session.fork(f"fork {step}", at=at))
    df = nbs.messages_df(store)
    once = df[~df.inherited]
    assert len(once) == said == once["content"].nunique()
    assert set(df["content"]) == set(once["content"])


def test_the_time_of_a_message_is_its_own_or_that_of_its_turn(store: Store) -> None:
    session = store.create("plan")
    at = datetime(2020, 3, 1, 12, tzinfo=UTC)
    session.messages = [
        {"role": "user", "content": "Then", "timestamp": at.isoformat()},
        {"role": "assistant", "content": "Now"},
    ]
    df = nbs.messages_df(store)
    assert df["timestamp"].iloc[0] == at
    assert df["timestamp"].iloc[1] > pd.Timestamp("2020-11-01", tz="UTC")
    assert list(nbs.messages_df(store, until="2020-04-01")["content"]) == ["Then"]
    assert list(nbs.messages_df(store, since="1d")["content"]) == ["Now"]


def test_filters_of_messages_are_those_of_the_session(store: Store) -> None:
    fill(store)
    df = nbs.messages_df(store)
    assert nbs.messages_df(store, tag="draft").equals(
        df[df.session.isin(["plan", "early", "late"])].reset_index(drop=True)
    )
    assert set(nbs.messages_df(store, agent_name="helper")["session"]) == {"child"}
    assert set(nbs.messages_df(store, model="other-model")["session"]) == {"child"}
    assert set(nbs.messages_df(store, session="late")["session"]) == {"late"}
    assert set(nbs.messages_df(store, conversation_id="conv-1")["session"]) == {"child"}


def test_a_draft_is_seen_by_the_handle_that_has_it(store: Store) -> None:
    store.create("plan", autosave=False).send("Hello", agent=lambda prompt: "Hi")
    assert len(nbs.messages_df(store)) == 0
    assert list(store.resume("plan", draft=True).to_df()["content"]) == ["Hello", "Hi"]
    assert list(nbs.runs_df(store)["prompt"]) == ["Hello"]


def test_a_damaged_turn_is_told_and_the_rest_is_there(path: Path) -> None:
    import sqlite3

    with nbs.open_store(path) as store:
        session = store.create("plan")
        add(session, "one", "two", "three")
        with closing(sqlite3.connect(path)) as db:
            db.execute("UPDATE turns SET body = replace(body, 'two', 'TWO')")
            db.commit()
        with pytest.warns(RuntimeWarning, match="in session 'plan' is left out. Turn .* is damaged"):
            df = nbs.messages_df(store)
        assert list(df["content"]) == ["one", "three"]
        assert list(df["position"]) == [1, 3]


def test_events_are_those_of_the_runs(store: Store) -> None:
    plan = fill(store)
    df = nbs.events_df(store, session=plan)
    expected = [event for run in plan.runs() for event in plan.run_events(run.run_id)]
    assert list(df["type"]) == [event.type for event in expected]
    assert list(df["seq"]) == [event.seq for event in expected]
    assert [json.loads(data) for data in df["data"]] == [event.data for event in expected]
    texts = df[df.type == "TEXT_MESSAGE_CONTENT"].groupby("run_id", sort=False)["text"].agg("".join)
    assert list(texts) == ["Hi", "I was about to ", "Three."]
    assert df[df.type == "RUN_ERROR"]["text"].iloc[0] == "ValueError: no idea"
    assert df["timestamp"].notna().all()
    assert list(df["tool_name"].dropna()) == ["add"]


def test_filters_of_events_are_those_of_runs(store: Store) -> None:
    fill(store)
    df = nbs.events_df(store)
    filters: list[dict[str, Any]] = [
        {"model": "my-model"},
        {"agent_name": "helper"},
        {"tag": "draft"},
        {"since": "1d"},
        {"until": "1d"},
    ]
    for which in filters:
        runs = nbs.runs_df(store, **which)["run_id"]
        expected = df[df.run_id.isin(runs)].reset_index(drop=True)
        assert list(nbs.events_df(store, **which)["data"]) == list(expected["data"])


def _calls(store: Store, **which: Any) -> list[tuple[str, str, str | None]]:
    df = nbs.tool_calls_df(store, **which)
    rows = df[["tool_name", "status", "result"]].astype(object)
    return [tuple(row) for row in rows.where(rows.notna(), None).itertuples(index=False)]


def test_a_call_of_a_run_is_there_once_with_all_that_is_known(store: Store) -> None:
    plan = fill(store)  # whose forks have it in their histories, too
    df = nbs.tool_calls_df(store)
    assert len(df) == 1
    row = df.iloc[0]
    assert (row["tool_name"], row["status"], row["result"]) == ("add", "completed", "3")
    assert (row["arguments"], row["session"]) == ('{"a": 1}', "plan")
    run = plan.runs()[2]
    assert (row["run_id"], row["turn_id"], row["agent_name"]) == (run.run_id, run.turn_id, run.agent_name)
    assert row["duration"] >= 0
    assert pd.Timestamp(run.started_at).floor("ms") <= row["started_at"] <= run.finished_at


def test_calls_of_a_run_that_failed_are_there(store: Store) -> None:
    session = store.create("plan")
    script: list[Piece] = [call("c1"), result("c1", "3"), call("c2"), USAGE, ValueError("no")]
    with suppress(RunFailed):
        session.send("Add", agent=ScriptedAgent([script]))
    assert _calls(store) == [("add", "completed", "3"), ("add", "unanswered", None)]
    assert nbs.tool_calls_df(store)["turn_id"].isna().all()


def test_calls_that_no_run_tells_of_are_read_from_messages(store: Store) -> None:
    session = store.create("plan", agent_name="helper")
    for message in (
        call("a", "find"),
        result("a", "gone", is_error=True),
        call("b"),
        call("a", "find"),
        result("a", "3"),
    ):
        session.add_message(message)
    assert _calls(store) == [
        ("find", "failed", "gone"),
        ("add", "unanswered", None),
        ("find", "completed", "3"),
    ]
    df = nbs.tool_calls_df(store)
    assert df["run_id"].isna().all()
    assert set(df["agent_name"]) == {"helper"}
    session.fork("other")
    assert len(_calls(store)) == 3
    assert _calls(store, agent_name="helper", since="1d") == _calls(store)
    assert _calls(store, until="1d") == _calls(store, model="any") == []


def test_how_long_a_call_took_is_known_where_both_messages_tell_their_time(store: Store) -> None:
    session = store.create("plan")
    timed = [
        {**call("a"), "timestamp": "2020-03-01T12:00:00Z"},
        {**result("a", "3"), "timestamp": "2020-03-01T12:00:02.5Z"},
    ]
    session.messages = [*timed, call("b"), {**result("b", "4"), "timestamp": "2020-03-01T12:00:09Z"}]
    durations = nbs.tool_calls_df(store).set_index("tool_call_id")["duration"]
    assert durations["a"] == 2.5
    assert durations["b"] is pd.NA


def test_what_a_session_left_is_no_second_call(store: Store) -> None:
    session = store.create("plan")
    session.send("Add", agent=ScriptedAgent([CALLING]))
    session.rewind(3)  # in the midst of the turn: what is kept of it is copied when it goes on
    add(session, "Thanks")
    assert _calls(store) == [("add", "completed", "3")]
    session.fork("cut", at=2).add_message({"role": "user", "content": "And?"})
    assert _calls(store) == [("add", "completed", "3")]


def test_calls_with_one_id_are_told_apart(store: Store) -> None:
    session = store.create("plan")
    script: list[Piece] = [
        call("c1", "first"),
        result("c1", "1"),
        call("c1", "second"),
        result("c1", "2"),
        "Done",
    ]
    session.send("Add", agent=ScriptedAgent([script]))
    assert _calls(store) == [("first", "completed", "1"), ("second", "completed", "2")]


def test_calls_are_there_where_events_were_not_kept(store: Store) -> None:
    session = store.create("plan", max_events=1)
    session.send("Add", agent=ScriptedAgent([CALLING]))
    assert _calls(store) == [("add", "completed", "3")]
    assert nbs.tool_calls_df(store)["run_id"].iloc[0] == session.runs()[0].run_id


def test_filters_of_calls_are_those_of_their_runs(store: Store) -> None:
    for name in ("one", "other"):
        store.create(name, tags=[name]).send(
            "Add", agent=ScriptedAgent([CALLING], name=name, model=f"{name}-model")
        )
    for which in ({"agent_name": "one"}, {"model": "one-model"}, {"tag": "one"}, {"session": "one"}):
        assert list(nbs.tool_calls_df(store, **which)["session"]) == ["one"]
    assert len(nbs.tool_calls_df(store, since="1d")) == 2
    assert len(nbs.tool_calls_df(store, until="1d")) == 0


def test_runs_in_a_circle_of_retries_do_not_hang(store: Store) -> None:
    session = store.create("plan")
    session.send("Add", agent=ScriptedAgent([CALLING]), retry_of="nowhere")
    run = session.runs()[0]
    again: Session = store.create("other")
    again.send("Add", agent=ScriptedAgent([CALLING]), retry_of=run.run_id)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(_calls(store)) == 2
