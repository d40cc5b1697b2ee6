from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import nbsessions as nbs
from nbsessions import InvalidInput, Message, Session, Store
from nbsessions.codecs import codec, rewrite
from nbsessions.context import trim
from nbsessions.records import parse_messages
from nbsessions.values import encode_json
from tests.conftest import add, texts

CALL = {"id": "c", "type": "function", "function": {"name": "add", "arguments": "{}"}}


def _chat(kinds: list[str]) -> list[Message]:
    """Messages that are numbered, of a user, system, assistant, or of a tool with or without its call."""
    found: list[dict[str, Any]] = []
    for kind in kinds:
        number = len(found)
        if kind == "pair":
            call = CALL | {"id": f"c{number}"}
            found.append({"role": "assistant", "content": str(number), "tool_calls": [call]})
            found.append({"role": "tool", "content": str(number + 1), "tool_call_id": f"c{number}"})
        elif kind == "orphan":
            found.append({"role": "tool", "content": str(number), "tool_call_id": "nowhere"})
        else:
            found.append({"role": kind, "content": str(number)})
    return parse_messages(found)


KINDS = st.lists(st.sampled_from(["user", "assistant", "system", "pair"]), max_size=12)


def _expected(messages: list[Message], limit: int) -> list[str]:
    """All S system messages, the last N - S others, no tool result without its call."""
    systems = [m for m in messages if m.role == "system"]
    room = max(0, limit - len(systems))
    others = [m for m in messages if m.role != "system"]
    others = others[len(others) - room :] if room < len(others) else others
    calls = {call["id"] for m in others for call in m.tool_calls or []}
    kept = [*systems, *(m for m in others if m.role != "tool" or m.tool_call_id in calls)]
    return [m.text for m in messages if m in kept]


def _texts(items: list[nbs.codecs.Item]) -> list[str]:
    return texts([message for item in items for message in item.messages])


@given(KINDS, st.integers(1, 15), st.sampled_from(["chat", "pydantic-ai"]))
def test_the_last_messages_stay_with_all_system_messages(kinds: list[str], limit: int, name: str) -> None:
    messages = _chat(kinds)
    assert _texts(trim(rewrite(name, messages), limit)) == _expected(messages, limit)


def test_without_a_limit_all_stays() -> None:
    messages = _chat(["orphan", "system", "user", "pair"])
    assert _texts(trim(rewrite("chat", messages), None)) == ["0", "1", "2", "3", "4"]


def test_as_many_system_messages_as_the_limit_stand_alone() -> None:
    messages = _chat(["user", "system", "user", "system", "user", "system"])
    assert _texts(trim(rewrite("chat", messages), 3)) == ["1", "3", "5"]
    assert _texts(trim(rewrite("chat", messages), 1)) == ["1", "3", "5"]


def test_a_tools_result_goes_where_its_call_is_gone() -> None:
    messages = _chat(["user", "pair", "assistant"])
    assert _texts(trim(rewrite("chat", messages), 2)) == ["3"]
    assert _texts(trim(rewrite("chat", messages), 3)) == ["1", "2", "3"]


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_below_one_is_refused(limit: int, store: Store) -> None:
    with pytest.raises(InvalidInput, match="at least 1"):
        trim([], limit)
    session = store.create()
    with pytest.raises(InvalidInput, match="at least 1"):
        session.visible(limit)


def _commit(session: Session, name: str, messages: list[Message]) -> None:
    body = encode_json(codec(name).encode(messages), "turn")
    session.commit("turn", name, body, prompts=sum(message.role == "user" for message in messages))


@given(
    st.lists(st.tuples(st.sampled_from(["chat", "pydantic-ai"]), KINDS.filter(bool)), min_size=1, max_size=5),
    st.integers(1, 12),
    st.integers(0, 40),
)
def test_an_agent_sees_the_same_however_the_messages_lie_in_turns(
    store: Store, turns: list[tuple[str, list[str]]], limit: int, keep: int
) -> None:
    session = store.create()
    for name, kinds in turns:
        _commit(session, name, _chat(kinds))
    session.rewind(keep)
    assert _texts(session.visible(limit)) == _texts(trim(session.visible(), limit))
    assert _texts(session.visible()) == texts(session)


def test_trimming_changes_nothing_that_is_stored(store: Store) -> None:
    """250 messages, resumed with a limit of 100 and saved, are still 250, and the new ones."""
    session = store.create("long")
    session.messages = [{"role": "user", "content": str(number)} for number in range(250)]
    seen: list[Message] = []

    def agent(prompt: str, history: list[Message]) -> str:
        seen.extend(history)
        return "Hi"

    resumed = store.resume("long", max_messages=100)
    resumed.send("Hello", agent=agent)
    resumed.save()
    assert texts(seen) == [str(number) for number in range(150, 250)]
    assert texts(store.resume("long")) == [*map(str, range(250)), "Hello", "Hi"]


def test_one_run_may_see_less_than_the_session_allows(store: Store) -> None:
    session = store.create(max_messages=3)
    add(session, "1", "2", "3", "4")
    assert _texts(session.visible()) == ["2", "3", "4"]
    seen: list[list[str]] = []

    def agent(prompt: str, history: list[Message]) -> str:
        seen.append(texts(history))
        return "Hi"

    session.send("Hello", agent=agent, max_messages=2)
    assert seen == [["3", "4"]]


def test_what_stays_of_a_native_message_stays_as_it_is() -> None:
    system = {"part_kind": "system-prompt", "content": "It is noon.", "dynamic_ref": "clock"}
    request = {
        "kind": "request",
        "parts": [system, {"part_kind": "user-prompt", "content": "Hi"}],
        "instructions": "Be brief.",
    }
    items = codec("pydantic-ai").items(json.dumps([request]))
    (kept,) = trim(items, 1)
    assert kept.native == {**request, "parts": [system]}
    assert [message.text for message in kept.messages] == ["It is noon."]
