from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import nbsessions as nbs
from nbsessions import (
    Head,
    InvalidInput,
    Message,
    Session,
    SessionConflict,
    SessionExists,
    SessionNotFound,
    Store,
    values,
)
from tests.conftest import Python, add, texts

NATIVE = json.dumps(
    [
        {
            "kind": "request",
            "parts": [
                {"part_kind": "system-prompt", "content": "Be brief."},
                {"part_kind": "user-prompt", "content": "1 + 2?"},
            ],
        },
        {
            "kind": "response",
            "parts": [{"part_kind": "tool-call", "tool_name": "add", "args": "{}", "tool_call_id": "c1"}],
        },
        {
            "kind": "request",
            "parts": [{"part_kind": "tool-return", "tool_name": "add", "content": "3", "tool_call_id": "c1"}],
        },
        {"kind": "response", "parts": [{"part_kind": "text", "content": "It is 3."}]},
    ]
)


def _filled(store: Store, name: str = "plan") -> Session:
    """Eight messages in four turns: one, a run of pydantic-ai of five, one, one."""
    session = store.create(name)
    add(session, "Hello")
    session.commit("turn", "pydantic-ai", NATIVE, prompts=1)
    add(session, "Thanks")
    add(session, "Bye", role="assistant")
    return session


SAID = ["Hello", "Be brief.", "1 + 2?", "", "3", "It is 3.", "Thanks", "Bye"]


def _prompts(session: Session) -> int:
    return sum(message.role == "user" for message in session.messages)


# Messages


def test_a_message_keeps_every_field(store: Store) -> None:
    sent: dict[str, Any] = {
        "role": "assistant",
        "content": [{"type": "text", "text": "Hi"}, {"type": "image_url", "image_url": {"url": "http://x"}}],
        "timestamp": "2026-01-02T03:04:05.000006Z",
        "name": "helper",
        "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
        "tool_call_id": "c0",
        "weight": 0.5,
        "meta": {"nested": [1, None, {"ä": "\x00 € 😀"}]},
    }
    store.create("plan").add_message(sent)
    (found,) = store.resume("plan").messages
    assert found.to_dict() == sent


def test_a_message_without_a_time_gets_one(store: Store) -> None:
    session, before = store.create(), datetime.now(UTC)
    add(session, "Hello")
    stamp = session.messages[0].timestamp
    assert stamp is not None
    assert before <= stamp <= datetime.now(UTC)


def test_an_added_message_is_there_for_a_second_process(path: Path, python: Python) -> None:
    with nbs.open_store(path) as store:
        add(store.create("plan"), "Hello")
        code = """
import sys, nbsessions as nbs
session = nbs.open_store(sys.argv[1]).resume("plan")
print(session.messages[0].text)
session.add_message({"role": "assistant", "content": "Hi"})
"""
        assert python(code, path) == "Hello\n"
        assert texts(store.resume("plan")) == ["Hello", "Hi"]


def test_the_list_of_messages_is_fresh(store: Store) -> None:
    session = store.create()
    add(session, "1", "2")
    session.messages.clear()
    session.messages.append(Message(role="user", content="3"))
    assert texts(session) == ["1", "2"]


def test_assigned_messages_replace_all_and_undo_takes_it_back(store: Store) -> None:
    session = store.create("plan")
    add(session, "1", "2")
    weighted = Message.model_validate({"role": "user", "content": "B", "weight": 1})
    session.messages = [{"role": "system", "content": "A"}, weighted]
    assert texts(store.resume("plan")) == ["A", "B"]
    assert store.resume("plan").messages[1]["weight"] == 1
    assert (session.message_count, session.turn_count) == (2, 1)
    session.undo()
    assert texts(session) == texts(store.resume("plan")) == ["1", "2"]


def test_messages_can_be_assigned_to_themselves(store: Store) -> None:
    session = _filled(store)
    session.messages = session.messages
    assert texts(session) == SAID
    assert (session.message_count, session.turn_count) == (8, 3)
    session.messages = session.messages[:-2]
    assert texts(store.resume("plan")) == SAID[:-2]


def test_an_empty_list_of_messages_is_saved_too(store: Store) -> None:
    session = store.create("plan")
    add(session, "1")
    session.messages = []
    assert store.resume("plan").messages == []
    assert (session.message_count, session.turn_count, session.turns) == (0, 0, [])
    session.undo()
    assert texts(store.resume("plan")) == ["1"]


def test_clearing_keeps_system_messages_and_undo_brings_all_back(store: Store) -> None:
    session = _filled(store)
    session.clear_history()
    assert texts(session) == texts(store.resume("plan")) == ["Be brief."]
    assert [message.role for message in session.messages] == ["system"]
    assert session.turn_count == 0
    assert session.undo() == "clear"
    assert texts(session) == texts(store.resume("plan")) == SAID
    session.clear_history(keep_system=False)
    assert store.resume("plan").messages == []
    session.undo()
    assert texts(store.resume("plan")) == SAID


@pytest.mark.parametrize(
    ("keep", "said"),
    [
        (1, ["Be brief."]),
        (3, ["Be brief.", "Thanks", "Bye"]),
        (5, ["Be brief.", "It is 3.", "Thanks", "Bye"]),  # no result without its call
        (6, ["Be brief.", "", "3", "It is 3.", "Thanks", "Bye"]),
        (7, SAID[1:]),
        (8, SAID),
        (50, SAID),
    ],
)
def test_clearing_can_keep_the_last_messages(store: Store, keep: int, said: list[str]) -> None:
    session = _filled(store)
    session.clear_history(keep_last=keep)
    assert texts(session) == texts(store.resume("plan")) == said
    assert session.turn_count == _prompts(session)
    if said != SAID:
        assert session.undo() == "clear"
        assert texts(store.resume("plan")) == SAID
    assert [entry.action for entry in session.log()].count("clear") == (said != SAID)


def test_what_is_kept_is_as_the_framework_said_it(store: Store) -> None:
    session = _filled(store)
    session.clear_history(keep_last=6)
    assert [turn.codec for turn in session.turns] == ["pydantic-ai", "chat"]
    assert json.loads(session.turns[0].body)[-3:] == json.loads(NATIVE)[-3:]
    assert store.verify().ok


def test_the_last_messages_are_kept_without_the_system_messages(store: Store) -> None:
    session = _filled(store)
    session.clear_history(keep_system=False, keep_last=6)
    assert texts(store.resume("plan")) == SAID[2:]
    session.rewind(4)
    session.clear_history(keep_system=False, keep_last=2)
    assert texts(store.resume("plan")) == ["It is 3."]
    session.undo()
    session.undo()
    session.undo()
    assert texts(store.resume("plan")) == SAID


@pytest.mark.parametrize("warm", [True, False])
@pytest.mark.parametrize("limit", [None, 0, 1, 3, 8, 9])
def test_history_is_the_end_of_the_messages(store: Store, limit: int | None, warm: bool) -> None:
    _filled(store)
    session = store.resume("plan")
    if warm:
        assert session.messages
    expected = SAID if limit is None else SAID[max(0, 8 - limit) :]
    assert texts(session.history(limit)) == expected


def test_history_takes_a_negative_limit_in_one_way(store: Store) -> None:
    _filled(store)
    cold, warm = store.resume("plan"), store.resume("plan")
    assert warm.messages
    answers = []
    for session in (cold, warm):
        try:
            answers.append(texts(session.history(-2)))
        except InvalidInput:
            answers.append(["refused"])
    assert answers[0] == answers[1]


# Rewind, undo, fork


@pytest.mark.parametrize("to", range(9))
def test_rewinding_keeps_the_first_messages(store: Store, to: int) -> None:
    session = _filled(store)
    assert session.rewind(to) is session
    for one in (session, store.resume("plan")):
        assert texts(one) == SAID[:to]
        assert (one.message_count, one.turn_count) == (to, _prompts(one))
        assert texts(one.history(2)) == SAID[max(0, to - 2) : to]
    if to < 8:
        assert session.undo() == "rewind"
    assert texts(session) == texts(store.resume("plan")) == SAID
    assert (session.message_count, session.turn_count) == (8, 3)


@pytest.mark.parametrize("to", range(9))
def test_a_commit_goes_on_top_of_a_rewound_head(store: Store, to: int) -> None:
    session = _filled(store)
    native = [turn.body for turn in session.turns]
    session.rewind(to)
    add(session, "Again")
    for one in (session, store.resume("plan")):
        assert texts(one) == [*SAID[:to], "Again"]
        assert (one.message_count, one.turn_count) == (to + 1, _prompts(one))
        assert one.turns[-1].total_messages == to + 1
    # Whole turns are the same turns; only one that was cut is a new one.
    cut = to in (2, 3, 4, 5)
    whole = {0: 0, 1: 1, 2: 1, 3: 1, 4: 1, 5: 1, 6: 2, 7: 3, 8: 4}[to]
    assert [turn.body for turn in session.turns[:whole]] == native[:whole]
    assert len(session.turns) == whole + cut + 1
    assert session.undo() == "message"
    assert texts(store.resume("plan")) == SAID[:to]
    if to < 8:
        session.undo()
    assert texts(store.resume("plan")) == SAID


@pytest.mark.parametrize("to", range(9))
def test_rewinding_twice_counts_from_what_is_left(store: Store, to: int) -> None:
    for second in range(to + 1):
        session = _filled(store, f"plan {second}")
        session.rewind(to).rewind(second)
        assert texts(session) == SAID[:second]
        assert session.turn_count == _prompts(session)
        session.undo()  # the second rewind, the first, or what came before both
        assert texts(session) == (SAID[:to] if second < to else SAID if to < 8 else SAID[:7])


@pytest.mark.parametrize("to", [8, 9, 1000])
def test_rewinding_past_the_end_changes_nothing(store: Store, to: int) -> None:
    session = _filled(store)
    before = session.log()
    session.rewind(to)
    assert texts(session) == SAID
    assert session.log() == before


def test_rewinding_below_zero_is_refused(store: Store) -> None:
    session = _filled(store)
    with pytest.raises(InvalidInput, match="-1"):
        session.rewind(-1)
    with pytest.raises(InvalidInput, match="-1"):
        session.fork(at=-1)
    assert texts(store.resume("plan")) == SAID
    assert len(store.list()) == 1


def test_undo_walks_back_to_the_beginning_and_no_further(store: Store) -> None:
    session = store.create("plan")
    add(session, "1", "2")
    session.rewind(1)
    session.clear_history()
    session.messages = [{"role": "user", "content": "3"}]
    seen = []
    for _ in range(5):
        session.undo()
        seen.append(texts(store.resume("plan")))
    assert seen == [[], ["1"], ["1", "2"], ["1"], []]
    with pytest.raises(InvalidInput, match="Nothing to undo"):
        session.undo()
    assert session.log()[0].action == "undo"
    assert len(session.log()) == 11


def test_undo_works_after_a_restart(path: Path) -> None:
    with nbs.open_store(path) as store:
        session = store.create("plan")
        add(session, "1", "2")
        session.rewind(0)
    with nbs.open_store(path) as store:
        session = store.resume("plan")
        assert session.undo() == "rewind"
        assert texts(session) == ["1", "2"]


def test_undo_names_the_move_that_it_took_back(store: Store) -> None:
    session = store.create("plan")
    add(session, "1", "2")
    session.rewind(1)
    session.clear_history()
    session.messages = [{"role": "user", "content": "3"}]
    assert [session.undo() for _ in range(5)] == ["replace", "clear", "rewind", "message", "message"]


def test_undo_names_the_move_before_a_new_state(store: Store) -> None:
    """A new state is no move of the head: what is taken back is the message before it."""
    session = store.create()
    add(session, "1")
    session.state = {"step": 1}
    assert session.undo() == "message"
    assert (session.messages, session.state) == ([], {})


@pytest.mark.parametrize("at", [None, *range(10)])
def test_a_fork_starts_at_any_message(store: Store, at: int | None) -> None:
    session = _filled(store)
    turns = {turn.turn_id for turn in session.turns}
    fork = session.fork("other", at)
    expected = SAID if at is None else SAID[:at]
    for one in (fork, store.resume("other")):
        assert texts(one) == expected
        assert (one.message_count, one.turn_count) == (len(expected), _prompts(one))
    assert {turn.turn_id for turn in fork.turns} <= turns  # copies no messages
    assert texts(session) == SAID


def test_forks_go_their_own_way(store: Store) -> None:
    session = store.create("plan")
    add(session, "1", "2")
    fork = session.fork()
    add(session, "ours")
    add(fork, "theirs")
    assert texts(store.resume("plan")) == ["1", "2", "ours"]
    assert texts(store.resume("plan (fork)")) == ["1", "2", "theirs"]
    fork.rewind(0)
    assert texts(store.resume("plan")) == ["1", "2", "ours"]
    store.delete("plan")
    fork.undo()
    assert texts(store.resume("plan (fork)")) == ["1", "2", "theirs"]


def test_a_fork_takes_along_all_but_id_name_and_usage(store: Store) -> None:
    session = store.create(
        "plan", agent_name="analyst", tags=["a", "b"], metadata={"ticket": 7}, state={"step": 1}
    )
    session.send("Hello", agent=lambda prompt: "Hi")
    fork = session.fork()
    assert fork.name == "plan (fork)"
    assert fork.session_id != session.session_id
    assert fork.record.parent_session_id == session.session_id
    assert (fork.agent_name, fork.owner, fork.tags) == ("analyst", "ada", ["a", "b"])
    assert (fork.metadata, fork.state) == ({"ticket": 7}, {"step": 1})
    assert fork.usage == nbs.Usage()
    assert fork.runs() == []
    assert fork.created_at >= session.created_at
    with pytest.raises(InvalidInput, match="Nothing to undo"):
        fork.undo()


def test_forks_are_numbered_where_no_name_is_given(store: Store) -> None:
    session, unnamed = store.create("plan"), store.create()
    assert [session.fork().name for _ in range(3)] == ["plan (fork)", "plan (fork 2)", "plan (fork 3)"]
    assert unnamed.fork().name == f"{unnamed.session_id[-8:]} (fork)"
    assert unnamed.name is None


def test_a_fork_needs_a_free_and_usable_name(store: Store) -> None:
    session = store.create("plan")
    with pytest.raises(SessionExists):
        session.fork("plan")
    with pytest.raises(InvalidInput):
        session.fork("latest")
    assert len(store.list()) == 1


# State


def _with_states(store: Store) -> Session:
    session = store.create("plan", state={"step": 0})
    for step in (1, 2, 3):
        add(session, str(step))
        session.state = {"step": step}
    return session


def test_state_is_durable_when_it_is_assigned(store: Store) -> None:
    session = store.create("plan")
    session.state = {"step": [1, {"a": None}]}
    assert session.state == store.resume("plan").state == {"step": [1, {"a": None}]}
    session.state = {}
    assert store.resume("plan").state == {}


@pytest.mark.parametrize("to", range(4))
def test_rewinding_and_forking_restore_the_state_of_then(store: Store, to: int) -> None:
    session = _with_states(store)
    fork = session.fork("other", at=to)
    assert fork.state == store.resume("other").state == {"step": to}
    session.rewind(to)
    assert session.state == store.resume("plan").state == {"step": to}


def test_undo_restores_the_state_of_then(store: Store) -> None:
    session = _with_states(store)
    session.rewind(1)
    session.undo()
    assert store.resume("plan").state == {"step": 3}
    for step in (2, 1, 0):
        session.undo()
        assert session.state == store.resume("plan").state == {"step": step}


def test_a_fork_can_go_back_before_it_was_made(store: Store) -> None:
    fork = _with_states(store).fork("other")
    fork.rewind(2)
    assert fork.state == {"step": 2}
    fork.rewind(0)
    assert fork.state == {"step": 0}


def test_a_fork_can_go_back_when_its_parent_is_gone(store: Store) -> None:
    fork = _with_states(store).fork("other")
    store.delete("plan")
    fork.rewind(2)
    assert (texts(fork), fork.state) == (["1", "2"], {"step": 2})


def test_metadata_is_durable_when_it_is_assigned(store: Store) -> None:
    session = store.create("plan", metadata={"a": 1})
    session.metadata = {"b": [1, {"c": None}]}
    assert session.metadata == store.resume("plan").metadata == {"b": [1, {"c": None}]}


def test_metadata_and_state_change_by_assigning_only(store: Store) -> None:
    given_: dict[str, Any] = {"a": [1]}
    session = store.create("plan", metadata=given_, state=given_)
    given_["a"].append(2)
    session.metadata["a"].append(3)
    session.state["a"].append(4)
    store.resume("plan").metadata["a"].append(5)
    store.resume("plan").state["a"].append(6)
    store.list()[0].metadata["a"].append(7)
    assert store.resume("plan").metadata == {"a": [1]}
    assert store.resume("plan").state == {"a": [1]}


# Names and tags


def test_renaming_persists(store: Store) -> None:
    session = store.create("plan")
    session.rename("essay")
    assert session.name == "essay"
    assert store.resume("essay").session_id == session.session_id
    assert not store.exists("plan")
    session.rename("essay")  # its own name is no clash
    store.create("plan")
    with pytest.raises(SessionExists, match="'plan'"):
        session.rename("plan")
    assert session.name == store.resume(session.session_id).name == "essay"


@pytest.mark.parametrize("name", ["latest", "", "  ", "a\nb", "a\x00", "x" * 201, "\ud800"])
def test_a_name_that_cannot_be_used_is_refused(store: Store, name: str) -> None:
    session = store.create("plan")
    calls: list[Callable[[], object]] = [
        lambda: session.rename(name),
        lambda: session.save(name),
        lambda: session.fork(name),
        lambda: store.create(name),
    ]
    for call in calls:
        with pytest.raises(InvalidInput):
            call()
        assert [record.name for record in store.list()] == ["plan"]


def test_tags_keep_their_order_and_come_once(store: Store) -> None:
    session = store.create("plan", tags=["b", "b", "a"])
    session.tag("c", "a", "c")
    assert session.tags == store.resume("plan").tags == ["b", "a", "c"]
    session.untag("a", "nowhere")
    assert session.tags == store.resume("plan").tags == ["b", "c"]
    session.tags.append("d")
    assert store.resume("plan").tags == ["b", "c"]


@pytest.mark.parametrize("tag", ["", " ", "a\nb", "x" * 101, "\ud800"])
def test_a_tag_that_cannot_be_used_is_refused(store: Store, tag: str) -> None:
    session = store.create("plan", tags=["a"])
    for call in (lambda: session.tag("b", tag), lambda: store.create(tags=[tag])):
        with pytest.raises(InvalidInput):
            call()
    assert [record.tags for record in store.list()] == [["a"]]


def test_every_change_refreshes_when_it_was_updated(store: Store) -> None:
    session = store.create("plan")
    created = session.created_at
    changes: list[Callable[[], object]] = [
        lambda: add(session, "1"),
        lambda: session.rewind(0),
        session.undo,
        lambda: session.tag("a"),
        lambda: session.rename("essay"),
        lambda: setattr(session, "metadata", {"a": 1}),
        lambda: setattr(session, "state", {"a": 1}),
    ]
    last = session.updated_at
    for change in changes:
        change()
        assert session.updated_at > last
        last = session.updated_at
        assert store.resume("essay" if store.exists("essay") else "plan").updated_at == last
    assert session.created_at == store.resume("essay").created_at == created
    assert created.utcoffset() == last.utcoffset() == timedelta(0)


# What is refused, before anything is written


def _deep(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


BAD_VALUES: dict[str, object] = {
    "NaN": float("nan"),
    "infinity": [float("inf")],
    "surrogate": "\ud800",
    "object": object(),
    "bytes": b"\xff",
    "too deep": _deep(100_000),
    "deeper than can be read": _deep(240),
}


@pytest.mark.parametrize("bad", BAD_VALUES.values(), ids=BAD_VALUES.keys())
def test_a_message_that_cannot_be_stored_is_refused(store: Store, bad: object) -> None:
    _refused(store, {"role": "user", "content": "x", "extra": bad})


@pytest.mark.parametrize("bad", [float("nan"), "\ud800", object()], ids=["NaN", "surrogate", "object"])
def test_it_is_refused_wherever_it_is(store: Store, bad: object) -> None:
    _refused(store, {"role": "user", "content": [{"type": "text", "text": bad}]})
    _refused(store, {"role": "assistant", "tool_calls": [{"id": bad}]})


def _refused(store: Store, message: dict[str, Any]) -> None:
    session = store.get("plan")
    session.messages = [{"role": "user", "content": "1"}]
    log = session.log()
    calls: list[Callable[[], object]] = [
        lambda: session.add_message(message),
        lambda: setattr(session, "messages", [message]),
    ]
    for call in calls:
        with pytest.raises(InvalidInput) as caught:
            call()
        assert "\n" not in str(caught.value)
        assert texts(store.resume("plan")) == texts(session) == ["1"]
    assert session.log() == log


@pytest.mark.parametrize("bad", [5, None, "Hello", ["role", "user"], {"content": "x"}, {"role": "robot"}])
def test_what_is_no_message_is_refused(store: Store, bad: Any) -> None:
    session = store.create("plan")
    with pytest.raises(InvalidInput):
        session.add_message(bad)
    with pytest.raises(InvalidInput):
        session.messages = [bad]
    assert len(session.log()) == 1


@pytest.mark.parametrize("field", ["metadata", "state"])
@pytest.mark.parametrize(
    "bad",
    [
        {"a": float("nan")},
        {"a": "\ud800"},
        {"a": object()},
        {"a": _deep(100_000)},
        {1: "a"},
        5,
        "text",
        ["a"],
        None,
    ],
    ids=["NaN", "surrogate", "object", "too deep", "int key", "int", "str", "list", "None"],
)
def test_metadata_and_state_that_cannot_be_stored_are_refused(store: Store, field: str, bad: Any) -> None:
    session = store.create("plan", metadata={"ok": 1}, state={"ok": 1})
    with pytest.raises(InvalidInput):
        setattr(session, field, bad)
    for one in (session, store.resume("plan")):
        assert (one.metadata, one.state) == ({"ok": 1}, {"ok": 1})
    if bad is not None:
        with pytest.raises(InvalidInput):
            store.create("other", **{field: bad})
        assert len(store.list()) == 1


def test_what_is_too_large_is_refused(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    session = store.create("plan")
    add(session, "1")
    monkeypatch.setattr(values, "MAX_JSON_BYTES", 1000)
    large = "x" * 1001
    calls: list[Callable[[], object]] = [
        lambda: add(session, large),
        lambda: setattr(session, "messages", [{"role": "user", "content": large}]),
        lambda: setattr(session, "state", {"a": large}),
        lambda: setattr(session, "metadata", {"a": large}),
        lambda: store.create("other", state={"a": large}),
        lambda: session.send(large, agent=lambda prompt: "Hi"),
    ]
    for call in calls:
        with pytest.raises(InvalidInput, match="limit is 1,000"):
            call()
    assert texts(store.resume("plan")) == ["1"]
    assert session.state == session.metadata == {}
    assert session.runs() == []


def test_tuples_and_lists_are_one_thing_in_every_store(store: Store) -> None:
    session = store.create("plan", metadata={"a": (1, 2)}, state={"a": (1, 2)})
    for one in (session, store.resume("plan")):
        assert (one.metadata, one.state) == ({"a": [1, 2]}, {"a": [1, 2]})


# Drafts


def test_without_autosave_others_see_only_what_was_saved(store: Store) -> None:
    session = store.create("plan", autosave=False)
    add(session, "1")
    session.state = {"step": 1}
    assert (session.saved, texts(session), session.message_count) == (False, ["1"], 1)
    assert session.state == {"step": 1}
    other = store.resume("plan")
    assert (other.messages, other.message_count, other.state) == ([], 0, {})
    assert store.list()[0].message_count == 0
    session.save()
    assert session.saved is True
    other = store.resume("plan")
    assert (texts(other), other.message_count, other.turn_count, other.state) == (["1"], 1, 1, {"step": 1})


def test_saving_moves_the_head_once_and_one_undo_takes_it_back(store: Store) -> None:
    session = store.create("plan", state={"step": 0})
    add(session, "0")
    session = store.resume("plan", autosave=False)
    add(session, "1", "2")
    session.state = {"step": 2}
    add(session, "3")
    session.rewind(3)
    session.save()
    assert texts(store.resume("plan")) == ["0", "1", "2"]
    other = store.resume("plan")
    assert other.undo() == "save"
    assert (texts(store.resume("plan")), other.state) == (["0"], {"step": 0})


def test_a_draft_can_be_undone_step_by_step(store: Store) -> None:
    session = store.create("plan")
    add(session, "0")
    session = store.resume("plan", autosave=False)
    add(session, "1", "2")
    session.undo()
    assert (texts(session), session.saved) == (["0", "1"], False)
    session.undo()
    assert (texts(session), session.saved) == (["0"], True)
    session.undo()
    assert (session.messages, texts(store.resume("plan"))) == ([], ["0"])


def test_a_state_in_a_draft_is_not_more_than_a_state(store: Store) -> None:
    session = store.create("plan")
    add(session, "0", "1")
    session = store.resume("plan", autosave=False)
    session.state = {"step": 1}
    add(session, "2")
    assert session.undo() == "message"
    assert (texts(session), session.state) == (["0", "1"], {"step": 1})
    assert store.resume("plan").state == {}


def test_leaving_keeps_the_draft(path: Path, python: Python) -> None:
    """The process leaves without saving, and without closing anything."""
    code = """
import os, sys, nbsessions as nbs
session = nbs.open_store(sys.argv[1]).resume("plan", autosave=False)
session.add_message({"role": "user", "content": "1"})
session.send("2", agent=lambda prompt: "Hi")
os._exit(0)
"""
    with nbs.open_store(path) as store:
        add(store.create("plan"), "0")
        python(code, path)
        assert texts(store.resume("plan")) == ["0"]
        draft = store.resume("plan", draft=True)
        assert (texts(draft), draft.saved, draft.turn_count) == (["0", "1", "2", "Hi"], False, 3)
        assert texts(store.resume("plan", autosave=False)) == ["0", "1", "2", "Hi"]
        draft.save()
        assert texts(store.resume("plan")) == ["0", "1", "2", "Hi"]
        assert store.resume("plan").record.draft is None


def test_a_named_save_names_and_saves(store: Store) -> None:
    session = store.create(autosave=False)
    add(session, "1")
    session.save("plan")
    assert texts(store.resume("plan")) == ["1"]
    store.create("taken")
    add(session, "2")
    with pytest.raises(SessionExists):
        session.save("taken")
    assert (session.name, texts(session), texts(store.resume("plan"))) == ("plan", ["1", "2"], ["1"])


def test_forking_a_draft_takes_the_draft_along(store: Store) -> None:
    session = store.create("plan", autosave=False)
    add(session, "1")
    fork = session.fork()
    assert texts(fork) == texts(store.resume("plan (fork)")) == ["1"]
    assert store.resume("plan").messages == []


# Two writers


def _two(store: Store, **options: Any) -> tuple[Session, Session]:
    session = store.create("plan", state={"step": 0}, **options)
    add(session, "0")
    return session, store.resume("plan")


MOVES: dict[str, tuple[Callable[[Session], object], list[str]]] = {
    "add": (lambda session: add(session, "mine"), ["0", "mine"]),
    "replace": (lambda s: setattr(s, "messages", [{"role": "user", "content": "mine"}]), ["mine"]),
    "clear": (lambda session: session.clear_history(), []),
    "rewind": (lambda session: session.rewind(0), []),
    "send": (lambda session: session.send("Hello", agent=lambda prompt: "Hi"), ["0", "Hello", "Hi"]),
    "two": (lambda session: add(session, "mine", "too"), ["0", "mine", "too"]),
}


@pytest.mark.parametrize(("move", "expected"), MOVES.values(), ids=MOVES.keys())
def test_who_loses_the_race_is_kept_on_a_fork_of_its_own_base(
    store: Store, move: Callable[[Session], object], expected: list[str]
) -> None:
    session, other = _two(store)
    theirs = other.session_id
    add(other, "theirs")
    move(session)
    assert session.session_id != theirs
    assert session.name == "plan (fork)"
    assert session.record.parent_session_id == theirs
    assert texts(session) == texts(store.resume("plan (fork)")) == expected
    assert session.message_count == store.resume("plan (fork)").message_count == len(expected)
    assert texts(store.resume("plan")) == ["0", "theirs"]
    assert {record.name for record in store.list()} == {"plan", "plan (fork)"}


def test_the_loser_is_told(store: Store) -> None:
    session, other = _two(store)
    told = [session.notice]
    add(other, "theirs")
    for text in ("mine", "more"):
        add(session, text)
        told.append(session.notice)
    before, notice, after = told
    assert (before, after) == (None, None)
    assert notice is not None
    assert "'plan'" in notice
    assert "'plan (fork)'" in notice
    assert "\n" not in notice
    assert texts(store.resume("plan (fork)")) == ["0", "mine", "more"]


def test_a_fork_after_a_conflict_can_be_undone_to_its_base(store: Store) -> None:
    session, other = _two(store)
    add(other, "theirs")
    add(session, "mine")
    session.undo()
    assert (texts(session), session.message_count, session.turn_count) == (["0"], 1, 1)


# An answer is kept all the same: see test_runner.
UNPAID = [name for name in MOVES if name != "send"]


@pytest.mark.parametrize(("move", "expected"), [MOVES[name] for name in UNPAID], ids=UNPAID)
def test_or_the_loser_gets_an_error_and_nothing_changes(
    store: Store, move: Callable[[Session], object], expected: list[str]
) -> None:
    session, other = _two(store, on_conflict="error")
    base = session.head.turn_id
    add(other, "theirs")
    log = other.log()
    with pytest.raises(SessionConflict) as caught:
        move(session)
    assert (caught.value.ours, caught.value.theirs) == (base, other.head.turn_id)
    assert texts(store.resume("plan")) == ["0", "theirs"]
    assert texts(session) == ["0"]
    assert other.log() == log
    assert len(store.list()) == 1
    session.refresh()
    move(session)  # and then it goes through
    assert len(store.list()) == 1


def test_conflicts_hold_between_processes(path: Path, python: Python) -> None:
    code = """
import sys, nbsessions as nbs
nbs.open_store(sys.argv[1]).resume("plan").add_message({"role": "user", "content": "theirs"})
"""
    with nbs.open_store(path) as store:
        session, _ = _two(store)
        python(code, path)
        add(session, "mine")
        assert texts(store.resume("plan")) == ["0", "theirs"]
        assert texts(store.resume("plan (fork)")) == ["0", "mine"]


CHANGES: dict[str, Callable[[Session], object]] = {
    "tag": lambda session: session.tag("a"),
    "rename": lambda session: session.rename("essay"),
    "metadata": lambda session: setattr(session, "metadata", {"a": 1}),
    "state": lambda session: setattr(session, "state", {"a": 1}),
    "failed run": lambda session: _fail(session),
}


def _fail(session: Session) -> None:
    def agent(prompt: str) -> str:
        raise ValueError("no idea")

    with pytest.raises(nbs.RunFailed):
        session.send("Hello", agent=agent)


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_change_that_is_no_move_does_not_bring_in_what_others_did(
    store: Store, change: Callable[[Session], object]
) -> None:
    """The handle stands where it stood: its next commit was made without seeing theirs."""
    session, other = _two(store)
    add(other, "theirs")
    change(session)
    assert texts(session) == ["0"]
    add(session, "mine")
    assert texts(session) == ["0", "mine"]
    assert session.session_id != other.session_id
    other.refresh()
    assert texts(other) == ["0", "theirs"]


def test_saving_a_draft_does_not_overwrite_what_others_did(store: Store) -> None:
    session, other = _two(store)
    session = store.resume("plan", autosave=False)
    add(session, "mine")
    add(other, "theirs")
    session.save()
    assert texts(store.resume("plan")) == ["0", "theirs"]
    assert texts(session) == ["0", "mine"]
    assert session.name == "plan (fork)"
    session.undo()
    assert (texts(session), session.message_count, session.turn_count) == (["0"], 1, 1)


def test_going_on_with_a_draft_does_not_overwrite_what_others_did(store: Store) -> None:
    session, other = _two(store)
    session = store.resume("plan", autosave=False)
    add(session, "mine")
    add(other, "theirs")
    add(session, "too")
    session.save()
    assert texts(store.resume("plan")) == ["0", "theirs"]
    assert texts(session) == ["0", "mine", "too"]
    assert session.session_id != other.session_id


def test_a_draft_that_loses_raises_where_it_was_asked_to(store: Store) -> None:
    _two(store)
    session = store.resume("plan", autosave=False, on_conflict="error")
    add(session, "mine")
    add(store.resume("plan"), "theirs")
    with pytest.raises(SessionConflict):
        session.save()
    assert (texts(session), session.saved) == (["0", "mine"], False)
    assert texts(store.resume("plan")) == ["0", "theirs"]
    assert texts(store.resume("plan", draft=True)) == ["0", "mine"]


def test_refreshing_brings_in_what_others_did(store: Store) -> None:
    session, other = _two(store)
    assert texts(session) == ["0"]
    add(other, "theirs")
    other.tag("a")
    assert texts(session) == ["0"]
    session.refresh()
    assert (texts(session), session.tags) == (["0", "theirs"], ["a"])
    add(session, "mine")
    assert texts(store.resume("plan")) == ["0", "theirs", "mine"]


def test_a_deleted_session_says_so(store: Store) -> None:
    session, _ = _two(store)
    store.delete("plan")
    calls: list[Callable[[], object]] = [
        lambda: add(session, "1"),
        lambda: session.rewind(0),
        lambda: session.rename("essay"),
        lambda: session.tag("a"),
        lambda: setattr(session, "state", {"a": 1}),
        session.undo,
        session.refresh,
        session.log,
    ]
    for call in calls:
        with pytest.raises(SessionNotFound):
            call()
    assert store.list() == []
    assert texts(session) == ["0"]


# The rest


def test_turns_are_linked_from_the_root_to_the_head(store: Store) -> None:
    session = _filled(store)
    turns = session.turns
    assert [turn.parent_id for turn in turns] == [None, *(turn.turn_id for turn in turns[:-1])]
    assert [turn.parent_hash for turn in turns] == [None, *(turn.hash for turn in turns[:-1])]
    assert [turn.total_messages for turn in turns] == [1, 6, 7, 8]
    assert [turn.total_turns for turn in turns] == [1, 2, 3, 3]
    assert session.head == Head(turns[-1].turn_id)


def test_a_turn_in_an_unknown_codec_is_refused_before_it_is_stored(store: Store) -> None:
    session = store.create("plan")
    with pytest.raises(InvalidInput, match="future"):
        session.commit("turn", "future", "[]", prompts=0)
    assert session.log()[0].action == "create"


def test_a_session_shows_what_it_is(store: Store) -> None:
    assert repr(_filled(store)) == "<Session 'plan': 3 turns, 8 messages>"


def test_a_draft_that_lost_the_race_goes_on_on_the_fork_alone(store: Store) -> None:
    session, other = _two(store)
    session.autosave = False
    add(session, "mine")
    add(other, "theirs")
    session.save()
    assert (session.name, texts(session)) == ("plan (fork)", ["0", "mine"])
    again = store.resume("plan", autosave=False)
    assert (texts(again), again.record.draft) == (["0", "theirs"], None)


def test_saving_keeps_what_another_added_to_the_draft(store: Store) -> None:
    mine = store.create("plan", autosave=False)
    add(mine, "m1")
    theirs = store.resume("plan", autosave=False)
    add(theirs, "paid for")
    mine.save()
    assert (mine.name, texts(mine)) == ("plan (fork)", ["m1"])
    assert texts(store.resume("plan", draft=True)) == ["m1", "paid for"]
    theirs.save()
    assert (theirs.notice, texts(store.resume("plan"))) == (None, ["m1", "paid for"])


def test_a_second_draft_says_that_there_is_one(store: Store) -> None:
    session, other = _two(store)
    session.autosave = other.autosave = False
    add(session, "mine")
    add(other, "theirs")
    assert other.notice is not None
    assert "'plan' has an unsaved draft already" in other.notice
    assert (other.name, texts(other)) == ("plan (fork)", ["0", "theirs"])
    assert texts(store.resume("plan", draft=True)) == ["0", "mine"]


def test_a_move_that_is_tried_again_after_others_went_on_shows_what_is_there(store: Store) -> None:
    session = store.create("plan")
    body = '[{"role":"user","content":"mine"}]'
    commit = session.prepare("message", "chat", body, prompts=1)
    commit()
    add(store.resume("plan"), "theirs")
    commit()
    assert texts(session) == ["mine", "theirs"]
    add(session, "more")
    assert texts(store.resume("plan")) == ["mine", "theirs", "more"]
