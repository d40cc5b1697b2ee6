"""
What four other systems do with sessions, as checks: each number is one line of their behaviour.

Where one of them fails at its own line ("They: ..."), so would its test here fail. Each runs on every
kind of store that it applies to: what outlives a process, on those that persist.

====== ===========================================================================================
Number Tests
====== ===========================================================================================
2      a_saved_session_is_found_by_name_and_by_id, loading_without_a_name_gives_the_latest
3      latest_is_the_newest_that_is_there, latest_is_the_newest_that_can_be_read
4      an_unknown_id_leaves_the_current_session_alone
5      new_leaves_the_old_session_saved
6      history_lists_twenty_newest_first
9      trimming_keeps_system_messages_and_whole_tool_calls, what_is_stored_stays_whole
13     what_is_told_twice_is_stored_once, completions_offer_commands_and_the_newest_ids
15     a_missing_key_is_none, a_new_key_at_the_cap_evicts_the_oldest, entries_expire_by_the_clock,
       key_values_survive_a_restart
20     clear_keeps_the_system_message_and_is_saved_itself
21     leaving_an_interrupt_and_a_switch_all_save
22     get_or_make_by_id, the_methods_of_a_manager, saving_no_messages_persists,
       listing_counts_all_messages_and_prompts_apart
23     created_at_stays, an_export_to_json_comes_back_whole
26     each_turn_is_durable_before_the_next_begins, without_autosave_only_save_writes
27     a_new_process_resumes_everything
29     a_store_in_memory_is_gone_with_it, whoever_comes_second_is_kept_on_a_fork,
       where_conflicts_are_errors_nothing_is_spent_while_another_answers,
       where_conflicts_are_errors_a_late_answer_is_told_and_kept, saving_during_a_run_loses_neither
30     runs_are_listed_oldest_first_with_those_that_failed, a_run_that_has_ended_stays_as_it_ended,
       a_run_whose_process_died_is_marked
31     events_are_paged_by_an_exclusive_cursor, unknown_types_of_events_are_read,
       events_of_an_unknown_run_are_an_error, retention_drops_the_oldest_and_flags_the_gap
32     a_run_that_failed_goes_on_from_its_last_tool, a_run_that_was_killed_goes_on_from_its_last_tool,
       a_checkpoint_before_a_risky_step_leads_back
33     a_crash_in_the_middle_of_a_write_leaves_the_old, a_crash_after_a_write_leaves_the_new
34     a_file_that_cannot_be_a_store_is_refused_untouched, an_empty_file_is_a_store_that_was_not_made_yet
36     every_store_tells_the_same_story (and all of `tests/stores/test_contract.py`)
37     save_is_an_upsert_that_refreshes
38     the_list_begins_with_the_last_changed
39     a_fork_begins_alike_and_goes_its_own_way, a_fork_without_a_name_gets_one
40     rewinding_keeps_the_first_messages
41     tags_are_kept_once_in_order, a_new_name_persists
42     every_operation_on_a_missing_id_raises, every_operation_on_a_deleted_session_raises
43     checkpoints_are_found_again, the_same_checkpoint_twice_is_not_its_own_parent
44     what_is_too_large_is_refused_before_anything_is_written, the_file_is_for_its_owner_alone
45     a_third_party_writes_a_store (and the suite itself: `TestJournal` in `tests/stores/test_contract.py`)
====== ===========================================================================================

Not here: what belongs to a store of plain files (14, 17, 35, the pointer file of 3, the strange files of
34, in `tests/stores/test_file.py`; 1, 7, 8 and 10 beside webagents itself, in
`tests/stores/test_webagents.py`), to formats of others (16 in `tests/formats/test_agentry.py`, times in
seconds of 37 in `tests/formats/test_synwire.py`), to the chat prompt (18, 19, 25, and what is typed of 7,
12, 13, 20 and 21, in `tests/chat`), to HTTP (7, 12 and 13 with two people, in
`tests/server/test_behaviours.py`) and to permissions (28, the policy of 27).

One line is another here on purpose: where 29 refuses a second live session of one id, ours keeps both
answers, the later one on a fork, and refuses only where `on_conflict` is ``"error"``.
"""

from __future__ import annotations

import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import nbsessions as nbs
from nbsessions import (
    InvalidInput,
    NbsessionsError,
    RunCancelled,
    RunFailed,
    RunNotFound,
    Session,
    SessionBusy,
    SessionConflict,
    SessionExists,
    SessionNotFound,
    Store,
    StoreTooNew,
    StoreUnavailable,
    Usage,
    values,
)
from nbsessions.commands import COMMANDS, run_line
from nbsessions.completion import Completion
from nbsessions.keyvalues import KeyValues
from nbsessions.stores.base import Finish
from nbsessions.testing import ScriptedAgent, StoreContract
from nbsessions.values import micros, now
from nbsessions.workspace import Settings, Workspace
from tests.conftest import Python, add, texts
from tests.lived import assert_same, lived
from tests.risky import risky
from tests.stores import test_contract
from tests.stores.journal import JournalBackend

KINDS = ["memory", "sqlite", "file", "postgres"]
DURABLE = KINDS[1:]


def echo(prompt: str) -> str:
    return f"You said: {prompt}"


class Place:
    """A store that can be closed and opened again."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.store = nbs.open_store(url)

    def reopen(self) -> Store:
        self.store.close()
        self.store = nbs.open_store(self.url)
        return self.store


def url_of(kind: str, request: pytest.FixtureRequest) -> str:
    if kind == "memory":
        return "memory:"
    if kind == "file":
        return f"file:{request.getfixturevalue('tmp_path')}/sessions"
    return str(request.getfixturevalue("path" if kind == "sqlite" else "postgres_url"))


@pytest.fixture(params=DURABLE)
def reopenable(request: pytest.FixtureRequest) -> Iterator[Place]:
    place = Place(url_of(request.param, request))
    yield place
    place.store.close()


@pytest.fixture(params=KINDS)
def workspace(request: pytest.FixtureRequest) -> Iterator[Workspace]:
    """What commands work on, on each kind of store."""
    made = Workspace(Settings(store=url_of(request.param, request), agent="echo"), names={"echo": echo})
    yield made
    made.close()


def run(workspace: Workspace, line: str) -> Any:
    return run_line(workspace, line, face="magic", prefix="%session ")


def listed(store: Store) -> list[str | None]:
    return [record.name for record in store.list(None)]


# webagents


def test_b02_a_saved_session_is_found_by_name_and_by_id(workspace: Workspace) -> None:
    run(workspace, "new")
    session = workspace.need_session()
    add(session, "Hello")
    run(workspace, "save my plan")
    for ref in ("my plan", session.session_id):
        run(workspace, "new")
        assert run(workspace, f"load {ref}").startswith("Loaded 'my plan': 1 turn, 1 message")
        assert texts(workspace.need_session()) == ["Hello"]


def test_b02_loading_without_a_name_gives_the_latest(workspace: Workspace) -> None:
    for name in ("one", "two", "three"):
        run(workspace, f"new {name}")
    workspace.store.resume("two").tag("touched")
    run(workspace, "load")
    assert workspace.need_session().name == "two"


def test_b03_latest_is_the_newest_that_is_there(workspace: Workspace) -> None:
    workspace.notebook = lambda: "/a.ipynb"
    for name in ("one", "two", "three"):
        run(workspace, f"new {name}")
    workspace.store.create("outside", agent_name="echo", conversation_id="a2a")
    # The last session of this notebook dangles.
    workspace.store.delete("three")
    with pytest.raises(SessionNotFound):
        run(workspace, "status")
    run(workspace, "load")
    assert workspace.need_session().name == "two"
    workspace.store.delete_all(workspace.store.list(conversation_id="*"))
    with pytest.raises(SessionNotFound):
        workspace.store.resume()


def test_b03_latest_is_the_newest_that_can_be_read(path: Path) -> None:
    with nbs.open_store(path) as store:
        add(store.create("whole"), "Hello")
        add(store.create("broken", state={"step": "sPoilt"}), "Hello")
    path.write_bytes(path.read_bytes().replace(b"sPoilt", b"spoilt"))
    with nbs.open_store(path) as store:
        with pytest.warns(RuntimeWarning, match="is damaged"):
            assert store.resume("latest").name == "whole"
        with pytest.warns(RuntimeWarning, match="is damaged"):
            assert listed(store) == ["whole"]


def test_b04_an_unknown_id_leaves_the_current_session_alone(workspace: Workspace) -> None:
    run(workspace, "new plan")
    add(workspace.need_session(), "Hello")
    before = workspace.store.list()
    for line in ("load nosuch", "load zzz", "delete nosuch", "show nosuch"):
        with pytest.raises(SessionNotFound, match=r"No session '.*' in this store"):
            run(workspace, line)
        assert workspace.need_session().name == "plan"
        assert workspace.store.list() == before


def test_b05_new_leaves_the_old_session_saved(workspace: Workspace) -> None:
    run(workspace, "new old")
    workspace.need_session().send("Hello", agent=echo)
    assert run(workspace, "new fresh") == "Started 'fresh'. 'old' stays."
    assert listed(workspace.store) == ["fresh", "old"]
    assert workspace.store.resume("latest").name == "fresh"
    assert texts(workspace.store.resume("old")) == ["Hello", "You said: Hello"]
    # Auto-save goes on, and in the new one.
    workspace.need_session().send("And?", agent=echo)
    assert workspace.store.resume("fresh").message_count == 2
    assert workspace.store.resume("old").message_count == 2


def test_b06_history_lists_twenty_newest_first(workspace: Workspace) -> None:
    for number in range(23):
        run(workspace, f"new {number}")
    add(workspace.store.resume("7"), "Hello", "Still there?")
    found = run(workspace, "history")
    assert isinstance(found, pd.DataFrame)
    assert list(found["name"])[:3] == ["7", "22", "21"]
    assert len(found) == 20
    record = workspace.store.record("7")
    told = found.iloc[0][["session_id", "created_at", "updated_at", "message_count"]]
    assert list(told) == [record.session_id, record.created_at, record.updated_at, 2]
    assert len(run(workspace, "history 3")) == 3
    assert len(run(workspace, "history 100")) == 23


CALL = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": "{}"}}
LONG: list[dict[str, Any]] = [
    {"role": "system", "content": "s1"},
    {"role": "user", "content": "u1"},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "content": "t1", "tool_call_id": "c1"},
    {"role": "system", "content": "s2"},
    {"role": "assistant", "content": "a1"},
    {"role": "user", "content": "u2"},
]


SEEN = {
    7: ["s1", "u1", "", "t1", "s2", "a1", "u2"],
    6: ["s1", "", "t1", "s2", "a1", "u2"],
    5: ["s1", "s2", "a1", "u2"],  # t1 would stand without its call
    4: ["s1", "s2", "a1", "u2"],
    3: ["s1", "s2", "u2"],
    2: ["s1", "s2"],
    1: ["s1", "s2"],
}


def test_b09_trimming_keeps_system_messages_and_whole_tool_calls(store: Store) -> None:
    for limit, seen in SEEN.items():
        name = f"plan {limit}"
        store.create(name).messages = LONG
        agent = ScriptedAgent(["Fine."])
        session = store.resume(name, max_messages=limit)
        session.send("And?", agent=agent)
        assert texts(list(agent.requests[0].messages)) == seen
        assert session.message_count == store.resume(name).message_count == len(LONG) + 2


def test_b09_what_is_stored_stays_whole(store: Store) -> None:
    """They: 250 messages resumed and saved left 103 on disk."""
    store.create("plan").messages = [{"role": "user", "content": str(number)} for number in range(250)]
    session = store.resume("plan", max_messages=100)
    session.save()
    store.save(session)
    add(session, "250")
    assert texts(store.resume("plan")) == [str(number) for number in range(251)]


def test_b13_what_is_told_twice_is_stored_once(store: Store) -> None:
    session = store.create("plan")
    commit = session.prepare("message", "chat", '[{"role":"user","content":"Hello"}]', prompts=1)
    assert commit() == commit()
    session.send("And?", agent=echo)
    for _ in range(2):
        session.save()
        store.save(session)
        store.save(session.record)
    assert texts(store.resume("plan")) == ["Hello", "And?", "You said: And?"]
    assert len(session.turns) == 2
    (done,) = session.runs()
    assert len(store.events(done.run_id)) == done.event_count


def test_b13_completions_offer_commands_and_the_newest_ids(workspace: Workspace) -> None:
    for number in range(23):
        run(workspace, f"new {number}")
    completion = Completion(workspace, {})
    assert completion.session("") == [name for name in COMMANDS if "magic" in COMMANDS[name].faces]
    offered = completion.session("load ")
    newest = workspace.store.list(20)
    assert {record.session_id for record in newest} <= set(offered)
    assert workspace.store.record("2").session_id not in offered
    prefix = newest[0].session_id[:-1]
    assert newest[0].session_id in completion.session(f"load {prefix}")


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.at = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.at += timedelta(milliseconds=1)
        return self.at


def test_b15_a_missing_key_is_none(store: Store) -> None:
    kv = store.create("plan").kv()
    assert kv.get("city") is None
    kv["city"], kv["seen"] = "Oslo", {"a": [1, None]}
    assert (kv.get("city"), dict(kv)) == ("Oslo", {"city": "Oslo", "seen": {"a": [1, None]}})
    del kv["city"]
    assert list(kv) == ["seen"]
    kv.clear()
    assert dict(kv) == {}
    assert store.create("other").kv().get("seen") is None


def test_b15_a_new_key_at_the_cap_evicts_the_oldest(store: Store) -> None:
    kv = KeyValues(store.create("plan"), max_entries=3, clock=Clock())
    kv["a"], kv["b"], kv["c"] = 1, 2, 3
    kv["a"] = 4
    assert dict(kv) == {"a": 4, "b": 2, "c": 3}  # an update at the cap evicts none
    kv["d"] = 5
    assert dict(kv) == {"a": 4, "c": 3, "d": 5}  # b was written longest ago, though a came first


def test_b15_entries_expire_by_the_clock(store: Store) -> None:
    clock = Clock()
    kv = KeyValues(store.create("plan"), clock=clock)
    kv["hour"] = 1
    kv.set("minute", 2, ttl=timedelta(minutes=1))
    clock.at += timedelta(minutes=2)
    assert dict(kv) == {"hour": 1}
    kv["hour"] = 3  # written anew, it lives on
    clock.at += timedelta(minutes=59)
    assert kv.get("hour") == 3
    clock.at += timedelta(minutes=2)
    assert dict(kv) == {}


def test_b15_key_values_survive_a_restart(reopenable: Place) -> None:
    reopenable.store.create("plan").kv()["city"] = "Oslo"
    assert dict(reopenable.reopen().resume("plan").kv()) == {"city": "Oslo"}


# Agentry


def test_b20_clear_keeps_the_system_message_and_is_saved_itself(reopenable: Place) -> None:
    workspace = Workspace(Settings(store=reopenable.url, agent="echo"), names={"echo": echo})
    run(workspace, "new plan")
    session = workspace.need_session()
    session.add_message({"role": "system", "content": "Be brief."})
    session.send("Hello", agent=echo)
    told = run(workspace, "clear")
    assert told == "Cleared 2 messages. 1 system message kept. `undo` brings them back."
    assert texts(reopenable.reopen().resume("plan")) == ["Be brief."]
    workspace.close()
    reopenable.reopen().resume("plan").undo()
    assert texts(reopenable.reopen().resume("plan")) == ["Be brief.", "Hello", "You said: Hello"]


def test_b21_leaving_an_interrupt_and_a_switch_all_save(reopenable: Place) -> None:
    def interrupted(prompt: str) -> Iterator[str]:
        yield "Half of "
        raise KeyboardInterrupt

    workspace = Workspace(Settings(store=reopenable.url, agent="echo"), names={"echo": echo})
    run(workspace, "new one")
    workspace.need_session().send("Hello", agent=echo)
    run(workspace, "new two")  # a switch
    with pytest.raises(RunCancelled):
        workspace.need_session().send("And?", agent=interrupted)
    workspace.need_session().send("Still?", agent=echo)
    workspace.close()  # leaving
    store = reopenable.reopen()
    assert texts(store.resume("one")) == ["Hello", "You said: Hello"]
    assert texts(store.resume("two")) == ["Still?", "You said: Still?"]
    stopped = store.resume("two").runs()[0]
    assert (stopped.status, stopped.prompt) == ("cancelled", "And?")
    said = [event.data.get("delta") for event in store.events(stopped.run_id)]
    assert "Half of " in said


def test_b22_get_or_make_by_id(store: Store) -> None:
    made = store.get("chat-7", agent_name="echo")
    add(made, "Hello")
    again = store.get("chat-7")
    assert (again.session_id, again.agent_name, texts(again)) == ("chat-7", "echo", ["Hello"])
    assert len(store.list()) == 1


def test_b22_the_methods_of_a_manager(store: Store) -> None:
    session = store.create("plan")
    add(session, "Hello")
    store.save(session)
    assert texts(store.resume(session.session_id)) == ["Hello"]
    assert [record.session_id for record in store.list()] == [session.session_id]
    assert store.exists(session.session_id)
    assert store.delete(session.session_id) is True
    assert store.delete(session.session_id, missing_ok=True) is False
    assert store.exists(session.session_id) is False


def test_b22_saving_no_messages_persists(reopenable: Place) -> None:
    session = reopenable.store.create("plan")
    session.messages = []
    session.save()
    full = reopenable.store.create("full")
    add(full, "Hello")
    full.messages = []
    store = reopenable.reopen()
    assert [store.resume(name).messages for name in ("plan", "full")] == [[], []]


def test_b22_listing_counts_all_messages_and_prompts_apart(workspace: Workspace) -> None:
    run(workspace, "new plan")
    session = workspace.need_session()
    session.add_message({"role": "system", "content": "Be brief."})
    for _ in range(3):
        session.send("Hello", agent=echo)
    row = run(workspace, "history").iloc[0]
    assert (row["message_count"], row["turn_count"]) == (7, 3)


def test_b23_created_at_stays(reopenable: Place) -> None:
    session = reopenable.store.create("plan")
    created = session.created_at
    add(session, "Hello")
    session.save("other")
    session.metadata = {"a": 1}
    session.rewind(0)
    reopenable.store.save(session.record.model_copy(update={"created_at": now(), "tags": ["x"]}))
    found = reopenable.reopen().resume("other")
    assert (found.created_at, found.tags) == (created, ["x"])
    assert found.updated_at > created


def test_b23_an_export_to_json_comes_back_whole(store: Store, tmp_path: Path) -> None:
    session = lived(store)
    path = store.export("plan", tmp_path / "plan.json")
    with nbs.open_store("memory:") as other:
        (record,) = other.import_(path)
        assert (record.created_at, record.name, record.tags) == (
            session.created_at,
            session.name,
            session.tags,
        )
        assert_same(other.resume("plan"), session)


def test_b24_cleanup_by_message_count(store: Store) -> None:
    for name, count in (("empty", 0), ("short", 2), ("long", 5)):
        add(store.create(name), *("Hello",) * count)
    df = nbs.sessions_df(store)
    df[df.message_count < 3].nbs.delete()
    assert [record.name for record in store.list()] == ["long"]


def test_b24_cleanup_by_age(store: Store) -> None:
    for name, days in (("new", 1), ("old", 31), ("older", 400)):
        store.backend.update(store.create(name).key, {}, micros(now() - timedelta(days=days)))
    nbs.sessions_df(store, until="60d").nbs.delete()
    assert [record.name for record in store.list()] == ["new", "old"]
    store.prune(older_than="30d")
    assert [record.name for record in store.list()] == ["new"]


def test_b24_only_the_50_most_recent_messages_are_kept_and_that_is_undone(reopenable: Place) -> None:
    session = reopenable.store.create("plan")
    said = [{"role": "user", "content": f"{number}"} for number in range(80)]
    session.messages = [{"role": "system", "content": "Be brief."}, *said]
    session.clear_history(keep_last=50)
    session = reopenable.reopen().resume("plan")
    assert texts(session) == ["Be brief.", *(f"{number}" for number in range(31, 80))]
    session.undo()
    assert reopenable.reopen().resume("plan").message_count == 81
    session = reopenable.store.resume("plan")
    session.clear_history(keep_system=False, keep_last=50)
    assert texts(reopenable.reopen().resume("plan")) == [f"{number}" for number in range(30, 80)]


# A3S Code


def test_b26_each_turn_is_durable_before_the_next_begins(reopenable: Place) -> None:
    seen: list[list[str]] = []

    def agent(prompt: str) -> str:
        with nbs.open_store(reopenable.url) as other:
            seen.append(texts(other.resume("plan")))
        return prompt.upper()

    session = reopenable.store.create("plan")
    for prompt in ("one", "two"):
        session.send(prompt, agent=agent)
    assert seen == [[], ["one", "ONE"]]


def test_b26_without_autosave_only_save_writes(reopenable: Place) -> None:
    session = reopenable.store.create("plan", autosave=False)
    for prompt in ("one", "two"):
        session.send(prompt, agent=str.upper)
    assert session.message_count == 4
    assert reopenable.store.resume("plan").message_count == 0
    session.save()
    assert texts(reopenable.reopen().resume("plan")) == ["one", "ONE", "two", "TWO"]


TALK = """
import sys
import nbsessions as nbs
from nbsessions.testing import ScriptedAgent

spent = nbs.Usage(input_tokens=5, output_tokens=2, requests=1)
with nbs.open_store(sys.argv[1]) as store:
    session = store.create("plan", agent_name="scripted", tags=["a"], metadata={"b": 1}, session_id="s1")
    session.state = {"step": 1}
    session.send("one", agent=ScriptedAgent([[spent, "ONE"]]))
    try:
        session.send("two", agent=ScriptedAgent([[spent, ValueError("no idea")]]))
    except nbs.RunFailed:
        print("failed")
"""


def test_b27_a_new_process_resumes_everything(reopenable: Place, python: Python) -> None:
    assert python(TALK, reopenable.url) == "failed\n"
    session = reopenable.store.resume("plan")
    assert (session.session_id, session.tags, session.metadata) == ("s1", ["a"], {"b": 1})
    assert (texts(session), session.state) == (["one", "ONE"], {"step": 1})
    assert session.usage == Usage(input_tokens=10, output_tokens=4, requests=2, unpriced_tokens=14)
    runs = [(run.prompt, run.status, run.usage.total_tokens, run.error) for run in session.runs()]
    assert runs[0] == ("one", "completed", 7, None)
    assert runs[1][:3] == ("two", "failed", 7)
    assert "no idea" in str(runs[1][3])
    assert session.run_events(session.runs()[0].run_id)[-1].type == "RUN_FINISHED"
    session.undo()
    assert session.messages == []


def test_b29_a_store_in_memory_is_gone_with_it() -> None:
    workspace = Workspace(Settings(store="memory:", agent="echo"), names={"echo": echo})
    run(workspace, "new plan")
    assert run(workspace, "save").startswith("Saved 'plan'")
    assert "in memory only, until this process ends" in str(run(workspace, "status"))
    run(workspace, "store memory:")
    with pytest.raises(SessionNotFound):
        run(workspace, "load plan")


def test_b29_whoever_comes_second_is_kept_on_a_fork(store: Store) -> None:
    session = store.create("plan")
    add(session, "Hello")
    other = store.resume("plan")

    def slow(prompt: str) -> str:
        add(other, "I was first")
        return "late"

    session.send("And?", agent=slow)
    assert (session.name, texts(session)) == ("plan (fork)", ["Hello", "And?", "late"])
    assert "'plan' was moved by another writer" in str(session.notice)
    assert texts(store.resume("plan")) == ["Hello", "I was first"]
    assert sorted(filter(None, listed(store))) == ["plan", "plan (fork)"]


def test_b29_where_conflicts_are_errors_nothing_is_spent_while_another_answers(store: Store) -> None:
    store.create("plan", agent_name="a")
    asked: list[str] = []

    def second(prompt: str) -> str:
        asked.append(prompt)
        return "spent"

    def first(prompt: str) -> str:
        with pytest.raises(SessionBusy, match="is answering in 'plan'"):
            store.resume("plan", on_conflict="error").send("And?", agent=second)
        return "fine"

    assert store.resume("plan", on_conflict="error").send("Hello", agent=first).output == "fine"
    assert asked == []
    assert len(store.runs("plan")) == 1


def test_b29_where_conflicts_are_errors_a_late_answer_is_told_and_kept(store: Store) -> None:
    session = store.create("plan", on_conflict="error")

    def slow(prompt: str) -> str:
        add(store.resume("plan"), "I was first")
        return "late"

    with pytest.raises(SessionConflict, match=r"moved by another writer.*kept on 'plan \(fork\)'") as told:
        session.send("And?", agent=slow)
    assert told.value.kept == "plan (fork)"
    assert texts(store.resume("plan (fork)")) == ["And?", "late"]  # it was paid for
    assert texts(store.resume("plan")) == ["I was first"]
    with pytest.raises(SessionConflict):
        add(session, "A message is not kept: nobody paid for it")
    assert len(listed(store)) == 2


@pytest.mark.parametrize("on_conflict", ["fork", "error"])
def test_b29_saving_during_a_run_loses_neither(store: Store, on_conflict: Any) -> None:
    """They refuse to save while a run is on its way; what is saved here is what stood before it."""
    session = store.create(on_conflict=on_conflict)

    def agent(prompt: str) -> str:
        session.save("plan")
        return "fine"

    session.send("Hello", agent=agent)
    assert (session.name, texts(store.resume("plan"))) == ("plan", ["Hello", "fine"])


def test_b30_runs_are_listed_oldest_first_with_those_that_failed(store: Store) -> None:
    session = store.create("plan")
    session.send("one", agent=echo)
    for prompt, error, raised in (
        ("two", ValueError("no"), RunFailed),
        ("three", KeyboardInterrupt(), RunCancelled),
    ):
        with pytest.raises(raised):
            session.send(prompt, agent=ScriptedAgent([["partly ", error]]))
    session.send("four", agent=echo)
    runs = store.runs("plan")
    assert [(run.prompt, run.status) for run in runs] == [
        ("one", "completed"),
        ("two", "failed"),
        ("three", "cancelled"),
        ("four", "completed"),
    ]
    assert [run.started_at for run in runs] == sorted(run.started_at for run in runs)
    assert [event.data.get("delta") for event in store.events(runs[1].run_id)].count("partly ") == 1


@pytest.mark.parametrize("ended", ["completed", "failed", "cancelled"])
def test_b30_a_run_that_has_ended_stays_as_it_ended(store: Store, ended: str) -> None:
    session = store.create("plan")
    answers: dict[str, Any] = {
        "completed": "Hi",
        "failed": ValueError("no"),
        "cancelled": KeyboardInterrupt(),
    }
    with nullcontext() if ended == "completed" else pytest.raises(nbs.RunError):
        session.send("Hello", agent=ScriptedAgent([answers[ended]]))
    (before,) = session.runs()
    assert before.status == ended
    for other in ("completed", "failed", "cancelled", "interrupted"):
        store.backend.finish_run(Finish(run_id=before.run_id, status=other, finished_at=micros(now())))
        assert store.resume("plan").runs() == [before]


KILLED = """
import os, signal, sys
import nbsessions as nbs

def agent(prompt):
    os.kill(os.getpid(), signal.SIGKILL)

nbs.open_store(sys.argv[1]).create("plan").send("Hello", agent=agent)
"""


def killed(python: Python, code: str, *args: object) -> None:
    """Run code that kills its own process."""
    process = python.start(code, *args)
    _, said = process.communicate(timeout=60)
    assert process.returncode == -9, said


def test_b30_a_run_whose_process_died_is_marked(reopenable: Place, python: Python) -> None:
    killed(python, KILLED, reopenable.url)
    (run,) = reopenable.store.resume("plan").runs()
    assert (run.status, run.prompt, run.error) == ("interrupted", "Hello", "its process died")
    assert run.finished_at is not None
    assert reopenable.store.resume("plan").runs() == [run]


def test_b31_events_are_paged_by_an_exclusive_cursor(store: Store) -> None:
    session = store.create("plan")
    run = session.send("Hello", agent=echo)
    seen: list[int] = []
    page = session.run_events(run.run_id, limit=2)
    while page:
        assert not page.gap
        assert page.event_count == run.event_count
        seen += [event.seq for event in page]
        page = session.run_events(run.run_id, after=page.cursor, limit=2)
    assert seen == list(range(run.event_count))
    assert not page.gap


def test_b31_unknown_types_of_events_are_read(store: Store) -> None:
    session = store.create("plan")

    def agent(prompt: str) -> str:
        (own,) = session.runs()
        store.backend.append_events(
            own.run_id, [("FROM_THE_FUTURE", '{"type":"FROM_THE_FUTURE","x":[1]}')], first=50
        )
        return "fine"

    run = session.send("Hello", agent=agent)
    found = {event.type: event.data for event in session.run_events(run.run_id)}
    assert found["FROM_THE_FUTURE"] == {"type": "FROM_THE_FUTURE", "x": [1]}


def test_b31_events_of_an_unknown_run_are_an_error(store: Store) -> None:
    session, other = store.create("plan"), store.create("other")
    run = other.send("Hello", agent=echo)
    calls: list[Callable[[], object]] = [
        lambda: store.events("nowhere"),
        lambda: session.run_events("nowhere"),
        lambda: session.run_events(run.run_id),  # another session's
    ]
    for call in calls:
        with pytest.raises(RunNotFound, match="No run"):
            call()


def test_b31_retention_drops_the_oldest_and_flags_the_gap(store: Store) -> None:
    session = store.create("plan", max_events=2)
    run = session.send("Hello", agent=echo)
    page = session.run_events(run.run_id)
    assert run.event_count == page.event_count == 5
    assert [event.seq for event in page] == [3, 4]
    assert page.gap
    assert not session.run_events(run.run_id, after=2).gap
    assert session.run_events(run.run_id, after=0).gap
    assert store.runs("plan")[0].event_count == 5


def fail() -> str:
    raise ValueError("too risky")


def check_gone_on(store: Store, calls: list[str]) -> None:
    """Go on with the only run of "plan", whose tool `look` had answered."""
    session = store.resume("plan")
    (stopped,) = session.runs()
    run = session.resume_run(stopped.run_id, agent=risky(calls, lambda: "done"))
    assert run.run_id != stopped.run_id
    assert (run.output, run.retry_of, run.status) == ("seen and done", stopped.run_id, "completed")
    assert run.carried.requests > 0
    # Two before it stopped, the one whose tool failed among them, and two since.
    assert run.usage.requests + run.carried.requests == 4
    assert session.usage == stopped.usage + run.usage
    assert [message.role for message in session.messages] == [
        "user",
        "assistant",
        "tool",
        "assistant",
        "tool",
        "assistant",
    ]
    with pytest.raises(InvalidInput):
        session.resume_run(stopped.run_id, agent=risky(calls, lambda: "done"))


def test_b32_a_run_that_failed_goes_on_from_its_last_tool(store: Store) -> None:
    calls: list[str] = []
    session = store.create("plan")
    with pytest.raises(RunFailed, match="too risky"):
        session.send("Do it", agent=risky(calls, fail))
    assert (calls, session.messages) == (["look", "act"], [])
    calls.clear()
    check_gone_on(store, calls)
    assert calls == ["act"]


RISKY = """
import os, signal, sys, time
import nbsessions as nbs
from tests.risky import risky

store = nbs.open_store(sys.argv[1])
session = store.create("plan")

def kept():
    progress = store.backend.progress(session.runs()[0].run_id)
    return progress is not None and progress.body != "[]" and progress.usage.requests == 2

def die():
    while not kept():
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGKILL)

session.send("Do it", agent=risky([], die))
"""


def test_b32_a_run_that_was_killed_goes_on_from_its_last_tool(reopenable: Place, python: Python) -> None:
    killed(python, RISKY, reopenable.url)
    calls: list[str] = []
    check_gone_on(reopenable.reopen(), calls)
    assert calls == ["act"]


def test_b32_a_checkpoint_before_a_risky_step_leads_back(store: Store) -> None:
    session = store.create("plan", state={"step": 1})
    add(session, "Hello")
    session.checkpoint("before")
    session.state = {"step": 2}
    session.send("risk it", agent=echo)
    session.rewind("before")
    assert (texts(session), session.state) == (["Hello"], {"step": 1})
    fork = store.resume("plan").fork("another try", "before")
    assert (texts(fork), fork.state) == (["Hello"], {"step": 1})


CRASH = """
import os, signal, sys
import nbsessions as nbs
from nbsessions.stores import _sql
from nbsessions.stores.file import journal

store = nbs.open_store(sys.argv[1])
session = store.resume("plan")

def die(*args):
    os.kill(os.getpid(), signal.SIGKILL)

def die_in_the_middle(fd, line):
    os.write(fd, line[: len(line) // 2])
    die()

_sql.SQLBackend._enter = die  # its turn is written then, and its head is not
journal.write_all = die_in_the_middle
session.add_message({"role": "user", "content": "lost"})
"""


def test_b33_a_crash_in_the_middle_of_a_write_leaves_the_old(reopenable: Place, python: Python) -> None:
    add(reopenable.store.create("plan"), "old")
    killed(python, CRASH, reopenable.url)
    store = reopenable.reopen()
    assert texts(store.resume("plan")) == ["old"]
    assert store.verify().ok
    assert store.verify().turns == 1
    add(store.resume("plan"), "new")
    assert texts(store.resume("plan")) == ["old", "new"]


AFTER = """
import os, signal, sys
import nbsessions as nbs

store = nbs.open_store(sys.argv[1])
store.resume("plan").add_message({"role": "user", "content": "new"})
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_b33_a_crash_after_a_write_leaves_the_new(reopenable: Place, python: Python, path: Path) -> None:
    session = reopenable.store.create("plan")
    session_id = session.session_id
    add(session, "old")
    killed(python, AFTER, reopenable.url)
    store = reopenable.reopen()
    assert texts(store.resume("plan")) == ["old", "new"]
    assert store.verify().ok
    store.close()
    left = {file.name for file in path.parent.rglob("*") if file.is_file()}
    assert left <= {"agents.db", "agents.db.lock", ".latest", f"{session_id}.json", "journal", "lock"}


def _future(path: Path) -> None:
    with nbs.open_store(path) as store:
        add(store.create("plan"), "Hello")
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 99")


def _truncated(path: Path) -> None:
    with nbs.open_store(path) as store:
        add(store.create("plan"), *("Hello " * 1000 for _ in range(20)))
    path.write_bytes(path.read_bytes()[:20_000])


def _huge(path: Path) -> None:
    with open(path, "wb") as file:
        file.truncate(2**40)


def _huge_store(path: Path) -> None:
    """The beginning of a store, of which all but that is a hole of 1 TB."""
    _truncated(path)
    with open(path, "r+b") as file:
        file.truncate(2**40)


def _holds(path: Path) -> tuple[int, bytes]:
    with open(path, "rb") as file:
        return path.stat().st_size, file.read(100_000)


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (_future, StoreTooNew, "schema 99"),
        (_truncated, StoreUnavailable, "damaged"),
        (_huge, StoreUnavailable, "no database|damaged"),
        (_huge_store, StoreUnavailable, "damaged"),
    ],
)
def test_b34_a_file_that_cannot_be_a_store_is_refused_untouched(
    path: Path, make: Callable[[Path], None], error: type[NbsessionsError], says: str
) -> None:
    make(path)
    before = _holds(path)
    with pytest.raises(error, match=says) as told, nbs.open_store(path) as store:
        add(store.create("other"), "Hello")
    assert str(path) in str(told.value)
    assert "\n" not in str(told.value)
    assert _holds(path) == before


def test_b34_an_empty_file_is_a_store_that_was_not_made_yet(path: Path) -> None:
    """It holds nothing that could be lost: its process died, or it is a temporary file's name."""
    path.touch()
    with nbs.open_store(path) as store:
        assert store.list() == []
        add(store.create("plan"), "Hello")
    with nbs.open_store(path) as store:
        assert texts(store.resume("plan")) == ["Hello"]


def story(store: Store) -> list[object]:
    """Do a bit of everything, and return what can be seen of it, ids and times apart."""
    seen: list[object] = []

    def note(session: Session) -> None:
        seen.append((session.name, texts(session), session.tags, session.state, session.turn_count))

    session = store.create("plan", tags=["b", "a"], session_id="s1", state={"n": 0})
    session.send("one", agent=echo)
    session.state = {"n": 1}
    session.checkpoint("here")
    session.send("two ☃", agent=echo)
    note(session)
    note(session.fork(at=1))
    note(session.rewind("here"))
    session.undo()
    note(session)
    session.rename("essay")
    note(store.resume("s1"))
    refused: list[Callable[[], object]] = [
        lambda: store.create("essay"),
        lambda: store.create(session_id="s1"),
        lambda: store.resume("x"),
    ]
    for call in refused:
        with pytest.raises(nbs.SessionError) as told:
            call()
        seen.append((type(told.value), str(told.value)))
    seen.append([(hit.session.name, hit.number, hit.snippet) for hit in store.search("two", ref="s1")])
    seen.append([(record.name, record.message_count) for record in store.list()])
    seen.append([(run.prompt, run.status, run.event_count) for run in store.runs("s1")])
    seen.append([entry.action for entry in session.log()])
    seen.append((store.delete("essay"), store.gc(), listed(store), str(store.verify())))
    return seen


def test_b36_every_store_tells_the_same_story(store: Store) -> None:
    told = story(store)
    assert told == story(nbs.open_store("memory:"))
    assert told[0] == (
        "plan",
        ["one", "You said: one", "two ☃", "You said: two ☃"],
        ["b", "a"],
        {"n": 1},
        2,
    )


# synwire


def test_b37_save_is_an_upsert_that_refreshes(store: Store) -> None:
    record = store.create("plan").record
    store.save(record.model_copy(update={"name": "essay", "tags": ["x"]}))
    found = store.record(record.session_id)
    assert (found.name, found.tags) == ("essay", ["x"])
    assert found.updated_at > record.updated_at
    store.delete("essay")
    store.save(found)  # it makes what is not there
    assert store.record("essay").session_id == record.session_id
    assert len(store.list()) == 1


def test_b38_the_list_begins_with_the_last_changed(store: Store) -> None:
    sessions = {name: store.create(name) for name in "abcd"}
    assert listed(store) == ["d", "c", "b", "a"]
    add(sessions["b"], "Hello")
    assert listed(store) == ["b", "d", "c", "a"]
    sessions["a"].tag("x")
    sessions["c"].rewind(0)  # which changes nothing
    assert listed(store) == ["a", "b", "d", "c"]


def test_b39_a_fork_begins_alike_and_goes_its_own_way(store: Store) -> None:
    session = store.create("plan", tags=["a", "b"], state={"step": 1}, metadata={"x": 1})
    add(session, "one", "two")
    fork = store.fork("plan", "other")
    assert fork.session_id != session.session_id
    assert (texts(fork), fork.tags, fork.state) == (["one", "two"], ["a", "b"], {"step": 1})
    add(fork, "on the fork")
    fork.tag("c")
    fork.state = {"step": 2}
    add(session, "on the first")
    session.state = {"step": 3}
    first, second = store.resume("plan"), store.resume("other")
    assert (texts(first), first.tags, first.state) == (
        ["one", "two", "on the first"],
        ["a", "b"],
        {"step": 3},
    )
    assert (texts(second), second.tags, second.state) == (
        ["one", "two", "on the fork"],
        ["a", "b", "c"],
        {"step": 2},
    )
    store.delete("plan")
    assert texts(store.resume("other")) == ["one", "two", "on the fork"]


def test_b39_a_fork_without_a_name_gets_one(store: Store) -> None:
    """They give an unnamed session's fork no name."""
    store.create("plan")
    assert [store.fork("plan").name for _ in range(3)] == ["plan (fork)", "plan (fork 2)", "plan (fork 3)"]
    unnamed = store.create()
    fork = unnamed.fork()
    assert fork.name == f"{unnamed.record.label} (fork)"
    assert store.resume(fork.name).session_id == fork.session_id
    assert unnamed.name is None


def test_b40_rewinding_keeps_the_first_messages(store: Store) -> None:
    session = store.create("plan")
    session.send("0", agent=lambda prompt: "1")
    add(session, "2", "3", "4")
    for to in (0, 1, 3, 4):
        store.rewind("plan", to)
        session = store.resume("plan")
        assert texts(session) == [str(number) for number in range(to)]
        session.undo()
        assert session.message_count == 5
    before = session.record
    for to in (5, 6, 10**30):
        assert store.rewind("plan", to).record == before
    assert store.record("plan") == before


def test_b41_tags_are_kept_once_in_order(reopenable: Place) -> None:
    session = reopenable.store.create("plan", tags=["b", "a", "b"])
    session.tag("c", "a", "c")
    reopenable.store.tag("plan", "A", "b")
    assert reopenable.reopen().resume("plan").tags == ["b", "a", "c", "A"]


def test_b41_a_new_name_persists(reopenable: Place) -> None:
    reopenable.store.create("plan")
    reopenable.store.create("taken")
    reopenable.store.rename("plan", "essay")
    with pytest.raises(SessionExists):
        reopenable.store.rename("essay", "taken")
    store = reopenable.reopen()
    assert store.resume("essay").name == "essay"
    assert not store.exists("plan")


MISSING: dict[str, Callable[[Store], object]] = {
    "resume": lambda store: store.resume("nosuch"),
    "record": lambda store: store.record("nosuch"),
    "delete": lambda store: store.delete("nosuch"),
    "fork": lambda store: store.fork("nosuch"),
    "rewind": lambda store: store.rewind("nosuch", 0),
    "tag": lambda store: store.tag("nosuch", "a"),
    "untag": lambda store: store.untag("nosuch", "a"),
    "rename": lambda store: store.rename("nosuch", "other"),
    "runs": lambda store: store.runs("nosuch"),
    "search": lambda store: store.search("Hello", ref="nosuch"),
}
GONE: dict[str, Callable[[Session], object]] = {
    "add_message": lambda session: add(session, "Hello"),
    "messages": lambda session: setattr(session, "messages", []),
    "state": lambda session: setattr(session, "state", {}),
    "metadata": lambda session: setattr(session, "metadata", {}),
    "rename": lambda session: session.rename("other"),
    "save": lambda session: session.save("other"),
    "tag": lambda session: session.tag("a"),
    "untag": lambda session: session.untag("a"),
    "undo": lambda session: session.undo(),
    "rewind": lambda session: session.rewind(0),
    "clear_history": lambda session: session.clear_history(),
    "checkpoint": lambda session: session.checkpoint("here"),
    "checkpoints": lambda session: session.checkpoints(),
    "log": lambda session: session.log(),
    "refresh": lambda session: session.refresh(),
    "kv": lambda session: session.kv().set("a", 1),
    "send": lambda session: session.send("Hello", agent=echo),
}


def test_b42_every_operation_on_a_missing_id_raises(store: Store) -> None:
    add(store.create("plan"), "Hello")
    before = store.list(None, conversation_id="*")
    for name, operation in MISSING.items():
        with pytest.raises(SessionNotFound, match="No session 'nosuch' in this store"):
            operation(store)
        assert store.list(None, conversation_id="*") == before, name


def test_b42_every_operation_on_a_deleted_session_raises(store: Store) -> None:
    for name, operation in GONE.items():
        session = store.create("plan")
        add(session, "Hello")
        store.delete("plan")
        with pytest.raises(SessionNotFound):
            operation(session)
        assert store.list(None, conversation_id="*") == [], name


def test_b43_checkpoints_are_found_again(reopenable: Place) -> None:
    session = reopenable.store.create("plan")
    made = []
    for number in range(3):
        session.state = {"n": number}
        add(session, str(number))
        made.append(session.checkpoint(f"cp {number}"))
    session = reopenable.reopen().resume("plan")
    found = session.checkpoints()
    assert found == made[::-1]
    assert session.checkpoints(limit=2) == found[:2]
    assert session.checkpoints(limit=1)[0].name == "cp 2"
    assert [one.parent_id for one in found] == [made[1].checkpoint_id, made[0].checkpoint_id, None]
    session.rewind(made[1].checkpoint_id)
    assert (texts(session), session.state) == (["0", "1"], {"n": 1})
    session.rewind("cp 0")
    assert (texts(session), session.state) == (["0"], {"n": 0})
    assert session.checkpoints() == found  # those on the line that was left, too


def test_b43_the_same_checkpoint_twice_is_not_its_own_parent(store: Store) -> None:
    session = store.create("plan")
    add(session, "Hello")
    first = session.checkpoint("here")
    assert session.checkpoint("here") == first
    assert session.checkpoints() == [first]
    assert first.parent_id is None
    store.backend.add_checkpoint(session.key, first.model_copy(update={"parent_id": first.checkpoint_id}))
    assert session.checkpoints() == [first]
    add(session, "more")
    second = session.checkpoint("here")
    assert (second.parent_id, second.message_count) == (first.checkpoint_id, 2)
    assert session.rewind("here").message_count == 2  # the newest of this name


LARGE: dict[str, Callable[[Store, Session, str], object]] = {
    "message": lambda store, session, text: add(session, text),
    "messages": lambda store, session, text: setattr(
        session, "messages", [{"role": "user", "content": text}]
    ),
    "state": lambda store, session, text: setattr(session, "state", {"x": text}),
    "metadata": lambda store, session, text: setattr(session, "metadata", {"x": text}),
    "create": lambda store, session, text: store.create(state={"x": text}),
    "save": lambda store, session, text: store.save(
        session.record.model_copy(update={"metadata": {"x": text}})
    ),
    "prompt": lambda store, session, text: session.send(text, agent=echo),
    "kv": lambda store, session, text: session.kv().set("a", text),
}


def test_b44_what_is_too_large_is_refused_before_anything_is_written(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(store.create("plan"), "Hello")
    store.resume("plan").kv()["b"] = 1
    before = all_of(store)
    monkeypatch.setattr(values, "MAX_JSON_BYTES", 1000)
    for store_it in LARGE.values():
        with pytest.raises(InvalidInput, match=r"has 1,\d\d\d bytes; the limit is 1,000"):
            store_it(store, store.resume("plan"), "ä" * 500)
        assert all_of(store) == before


def all_of(store: Store) -> object:
    session = store.resume("plan")
    return store.list(None), texts(session), dict(session.kv()), session.runs(), session.log()


def test_b44_the_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "agents.db"
    with nbs.open_store(path) as store:
        add(store.create("plan"), "Hello")
        modes = {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert modes == {0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_b45_a_third_party_writes_a_store(tmp_path: Path) -> None:
    """`JournalBackend` is one: it passes the suite that ours pass, and people see no difference."""
    assert issubclass(test_contract.TestJournal, StoreContract)
    with Store(JournalBackend(f"journal:{tmp_path}")) as store:
        assert story(store) == story(nbs.open_store("memory:"))
        store.create("plan").send("Hello", agent=echo)
    with Store(JournalBackend(f"journal:{tmp_path}")) as store:
        assert texts(store.resume("plan")) == ["Hello", "You said: Hello"]
