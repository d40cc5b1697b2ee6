from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import nbsessions as nbs
from nbsessions import InvalidInput, Message, Session, Store
from nbsessions.codecs import codec, is_standing, rewrite
from nbsessions.context import Told, estimate, sizes, trim
from nbsessions.records import Turn, parse_messages
from nbsessions.testing import ScriptedAgent
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


# Tokens


WORDS = st.lists(st.tuples(st.sampled_from(["user", "assistant", "system", "pair"]), st.integers(0, 400)))


def _long_chat(told: list[tuple[str, int]]) -> list[Message]:
    """Messages as of `_chat`, with texts of so many characters."""
    found = _chat([kind for kind, _ in told])
    lengths = [length for kind, length in told for _ in range(2 if kind == "pair" else 1)]
    return [one.model_copy(update={"content": "x" * n}) for one, n in zip(found, lengths, strict=True)]


def _pairs(messages: list[Message]) -> tuple[list[str], list[str]]:
    """The ids of the calls, and those that results name."""
    calls = [call.call_id for message in messages for call in message.calls]
    return calls, [message.tool_call_id or "" for message in messages if message.role == "tool"]


@given(
    st.lists(st.tuples(st.sampled_from(["chat", "pydantic-ai"]), WORDS.filter(bool)), min_size=1, max_size=4),
    st.none() | st.integers(1, 12),
    st.integers(1, 500),
    st.integers(0, 40),
)
def test_for_any_history_and_limits(
    store: Store, turns: list[tuple[str, list[tuple[str, int]]]], most: int | None, limit: int, keep: int
) -> None:
    session = store.create()
    for number, (name, told) in enumerate(turns):
        chat = [
            Message.model_validate(json.loads(json.dumps(one.to_dict()).replace('"c', f'"c{number}-')))
            for one in _long_chat(told)
        ]
        _commit(session, name, chat)
    session.rewind(keep)
    stored = session.messages
    seen = session.context(most, limit)
    sent = [one.message for one in seen.seen]
    assert [message for item in seen.items for message in item.messages] == sent
    assert session.visible(most, limit) == seen.items
    assert session.messages == stored
    assert seen.stored == len(stored)
    # The messages are those of the session, at the places that they are said to be at.
    assert [stored[one.position - 1].to_dict() for one in seen.seen] == [one.to_dict() for one in sent]
    systems = [message for message in stored if message.role == "system"]
    assert [message for message in sent if message.role == "system"] == systems
    # Within the limits, but for what is always sent.
    others = [one for one in seen.seen if not is_standing(one.message)]
    fixed = sum(one.size.tokens for one in seen.seen if is_standing(one.message))
    assert not others or seen.tokens <= limit
    assert not others or most is None or len(sent) <= most
    # No result without its call, and no call without its result, where that was not left out by `rewind`.
    calls, results = _pairs(sent)
    all_results = _pairs(stored)[1]
    assert set(results) <= set(calls)
    assert {call for call in calls if call in all_results} <= set(results)
    # As much as there is room for: what would come next does not fit.
    left_out = [n for n, message in enumerate(stored, 1) if not is_standing(message)]
    left_out = [n for n in left_out if n not in {one.position for one in others}]
    if left_out and (not others or left_out[-1] == others[0].position - 1):
        one = stored[left_out[-1] - 1]
        too_many = most is not None and len(sent) + 1 > most
        orphaned = one.role == "tool"
        assert too_many or orphaned or fixed + sum(o.size.tokens for o in others) + estimate(one) > limit


def test_a_limit_of_tokens_is_the_sessions_or_one_runs(store: Store) -> None:
    session = store.create("plan", max_tokens=20)
    add(session, *("x" * 20 for _ in range(4)))  # 9 tokens each
    seen: list[int] = []

    def agent(prompt: str, history: list[Message]) -> str:
        seen.append(len(history))
        return "Hi"

    session.send("Hello", agent=agent, max_tokens=9)
    store.resume("plan", max_tokens=29).send("Hello", agent=agent)
    session.fork("other").send("Hello", agent=agent)
    assert seen == [1, 4, 3]
    assert session.message_count == 6
    with pytest.raises(InvalidInput, match="max_tokens must be at least 1"):
        session.send("Hello", agent=agent, max_tokens=0)


def test_where_nothing_would_be_sent_nobody_counts(store: Store) -> None:
    session = store.create("plan")
    assert str(session.context()) == "0 of 0 messages would be sent."
    session.messages = [{"role": "user", "content": "A prompt of some words"}]
    assert str(session.context(max_tokens=1)) == "0 of 1 messages would be sent; max_tokens is 1."


def test_what_a_provider_counted_is_known() -> None:
    """The answer by its output, what came between two answers by what was sent the second time."""
    said = _chat(["user", "assistant", "user", "assistant"])
    found = sizes(said, {1: Told(20, input=100, reasoning=5), 3: Told(7, input=125)})
    assert [(one.tokens, one.known) for one in found] == [(5, False), (15, True), (10, True), (7, True)]


@pytest.mark.parametrize(
    "second",
    [
        Told(7, input=100),  # the history was trimmed
        Told(7, input=9000),  # it was asked with other tools
        Told(7, input=130, model="other"),  # which has other tokens
        Told(7),
    ],
)
def test_what_two_answers_do_not_tell_is_estimated(second: Told) -> None:
    said = _chat(["user", "assistant", "user", "assistant"])
    found = sizes(said, {1: Told(20, input=100), 3: second})
    assert found[2] == (estimate(said[2]), False)
    assert found[3] == (7, True)


def test_usage_of_stored_runs_counts_the_answers(store: Store) -> None:
    spent = [nbs.Usage(input_tokens=50, output_tokens=30, requests=1)]
    spent.append(nbs.Usage(input_tokens=88, output_tokens=3, requests=1))
    session = store.create("plan")
    agent = ScriptedAgent([["One", spent[0]], ["Two", spent[1]], "Three"])
    for prompt in ("First?", "Second?", "Third?"):
        session.send(prompt, agent=agent)
    seen = session.context()
    told = [(one.size.tokens, one.size.known) for one in seen.seen]
    assert told == [(6, False), (30, True), (8, True), (3, True), (6, False), (6, False)]
    assert (seen.tokens, seen.known_tokens) == (59, 41)
    assert "41 of them counted by the provider, the others estimated" in str(seen)
    # So the limit cuts by what was counted: the answer of 30 tokens does not fit any more.
    assert [one.position for one in session.context(max_tokens=40).seen] == [3, 4, 5, 6]


def test_pydantic_ai_tells_the_usage_of_each_answer(store: Store) -> None:
    session = store.create("plan")
    for sent, said in ((50, 30), (92, 3)):
        usage = {"input_tokens": sent, "output_tokens": said, "output_reasoning_tokens": 0}
        prompt = {"kind": "request", "parts": [{"part_kind": "user-prompt", "content": "What do owls eat?"}]}
        part = {"part_kind": "text", "content": "Mice."}
        answer = {"kind": "response", "parts": [part], "usage": usage, "model_name": "gpt-4o"}
        session.commit("turn", "pydantic-ai", json.dumps([prompt, answer]), prompts=1)
    seen = session.fork().context().seen  # whose runs are its parent's
    assert [one.size.known for one in seen] == [False, True, True, True]
    assert [one.size.tokens for one in seen[1:]] == [30, 12, 3]


def test_only_the_end_of_a_long_session_is_read(sqlite_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    session = sqlite_store.create("long", max_tokens=100)
    session.messages = [{"role": "system", "content": "Be brief."}]
    add(session, *(str(number) for number in range(400)))
    asked: list[int | None] = []
    chain = session.backend.chain

    def watched(turn_id: str, *, messages: int | None = None) -> list[Turn]:
        asked.append(messages)
        return chain(turn_id, messages=messages)

    monkeypatch.setattr(session.backend, "chain", watched)
    assert [one.position for one in session.context().seen] == [1, *range(384, 402)]
    assert asked == [32]


def test_pictures_are_counted_as_such() -> None:
    parts = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "x" * 10**6}},
    ]
    assert 1_000 < estimate(Message(role="user", content=parts)) < 1_100
