from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
    messages_from_dict,
    messages_to_dict,
)

import nbsessions as nbs
from nbsessions import Message, chains
from nbsessions.codecs import codec, cut, rewrite, translate
from nbsessions.records import parse_messages
from tests.test_codecs import CHATS

READER = codec("langchain")
CALL = {"name": "add", "args": {"a": 1}, "id": "c1"}
TALK: list[BaseMessage] = [
    SystemMessage("Be brief."),
    HumanMessage("1 + 2?", id="h1"),
    AIMessage(
        [{"type": "reasoning", "reasoning": "Easy."}, {"type": "text", "text": "Let me see."}],
        tool_calls=[CALL],
        id="a1",
        usage_metadata={"input_tokens": 5, "output_tokens": 2, "total_tokens": 7},
        response_metadata={"model_name": "large-1"},
    ),
    ToolMessage("3", tool_call_id="c1", name="add", artifact={"seen": "artifact"}),
    AIMessage("It is 3."),
]


def _natives(*messages: BaseMessage) -> list[dict[str, Any]]:
    return messages_to_dict(messages)


def _body(natives: list[Any]) -> str:
    return json.dumps(natives, ensure_ascii=False, separators=(",", ":"))


def _view(*messages: BaseMessage) -> list[Message]:
    return READER.view(_body(_natives(*messages)))


def test_a_conversation_is_read() -> None:
    assert [message.to_dict() for message in _view(*TALK)] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "1 + 2?"},
        {
            "role": "assistant",
            "content": "Let me see.",
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
            ],
            "reasoning_content": "Easy.",
        },
        {"role": "tool", "content": "3", "name": "add", "tool_call_id": "c1"},
        {"role": "assistant", "content": "It is 3."},
    ]


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (AIMessageChunk(content="Hi"), ("assistant", "Hi")),
        (ChatMessage(content="Hi", role="developer"), ("system", "Hi")),
        (ChatMessage(content="Hi", role="narrator"), ("user", "Hi")),
        (FunctionMessage(content="3", name="add"), ("tool", "3")),
        (ToolMessage(["a", {"type": "text", "text": "b"}], tool_call_id="c"), ("tool", "ab")),
        (
            ToolMessage([{"type": "json", "json": 1}], tool_call_id="c"),
            ("tool", '[{"type": "json", "json": 1}]'),
        ),
    ],
)
def test_messages_of_every_kind(message: BaseMessage, expected: tuple[str, str]) -> None:
    (found,) = _view(message)
    assert (found.role, found.text) == expected


@pytest.mark.parametrize(
    "message",
    [
        AIMessage([{"type": "thinking", "thinking": "Easy.", "signature": "x"}]),
        AIMessage([{"type": "reasoning", "summary": [{"type": "summary_text", "text": "Easy."}]}]),
        AIMessage("", additional_kwargs={"reasoning_content": "Easy."}),
    ],
)
def test_what_was_thought_is_read_wherever_it_is(message: AIMessage) -> None:
    (found,) = _view(message)
    assert (found.content, found["reasoning_content"]) == (None, "Easy.")


def test_what_removes_a_message_is_none_itself() -> None:
    body = _body(_natives(RemoveMessage(id="h1"), HumanMessage("Hi")))
    assert [message.text for message in READER.view(body)] == ["Hi"]
    assert translate(READER.items(body), "langchain") == body


def test_arguments_that_are_no_json_are_kept() -> None:
    failed = {"name": "add", "args": '{"a":', "id": "c1", "error": "cut off"}
    (found,) = _view(AIMessage("", invalid_tool_calls=[failed]))
    assert found.calls == [("c1", "add", '{"a":')]
    (again,) = READER.view(_body(READER.encode([found])))
    assert again.calls == found.calls


def test_images_stay_what_they_are() -> None:
    parts: list[str | dict[Any, Any]] = [
        {"type": "text", "text": "Look"},
        {"type": "image_url", "image_url": {"url": "http://x/a.png"}},
    ]
    (found,) = _view(HumanMessage(parts))
    assert found.content == parts
    assert READER.encode([found])[0]["data"]["content"] == parts


def test_own_messages_stay_byte_equal_and_are_made_again() -> None:
    body = _body(_natives(*TALK))
    assert translate(READER.items(body), "langchain") == body
    assert messages_from_dict(json.loads(body)) == TALK


def test_redacting_leaves_nothing_but_the_shape() -> None:
    body = _body(_natives(*TALK))
    turn = chains.make_turn(None, "langchain", body, READER.view(body), prompts=1)
    for position in range(5):
        turn = chains.redact(turn, position)
    words = ("brief", "1 + 2", "Easy", "Let me", '"a"', "artifact", "large-1", "It is")
    assert not any(word in turn.body for word in words)
    view, before = READER.view(turn.body), READER.view(body)
    assert [(message.role, message.tool_call_id) for message in view] == [
        (message.role, message.tool_call_id) for message in before
    ]
    assert [call.call_id for call in view[2].calls] == ["c1"]
    assert [message.content for message in messages_from_dict(json.loads(turn.body))] == ["[redacted]"] * 5


@given(CHATS)
def test_langchain_takes_every_chat(messages: list[Message]) -> None:
    natives = READER.encode(messages)
    made = messages_from_dict(json.loads(_body(natives)))
    assert _plain(_view(*made)) == _plain(READER.view(_body(natives))) == _plain(messages)


def _plain(messages: list[Message]) -> list[object]:
    found: list[object] = []
    for message in messages:
        several = message.role in ("user", "system") and isinstance(message.content, list)
        content = message.content if several else message.text
        calls = [(call.call_id, call.name, _parsed(call.arguments)) for call in message.calls]
        call_id = (message.tool_call_id or "") if message.role == "tool" else None
        found.append((message.role, content, calls if message.role == "assistant" else [], call_id))
    return found


def _parsed(arguments: str) -> object:
    try:
        parsed = json.loads(arguments)
    except ValueError:
        return arguments
    return parsed if isinstance(parsed, dict) else arguments


@given(CHATS, st.integers(0, 12))
def test_cutting_a_chat_keeps_its_first_messages(messages: list[Message], keep: int) -> None:
    body = _body(READER.encode(messages))
    assert [m for item in cut("langchain", body, keep) for m in item.messages] == READER.view(body)[:keep]


@given(CHATS)
def test_a_chat_goes_on_in_another_framework(messages: list[Message]) -> None:
    body = translate(rewrite("langchain", messages), "openai-agents")
    texts = [message.text for message in codec("openai-agents").view(body) if message.role == "user"]
    assert texts == [message.text for message in messages if message.role == "user"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "data", "content", "tool_calls", "args", "name", "id", "text", "summary"]
            ),
            inner | st.sampled_from(["human", "ai", "tool", "remove", "reasoning", "text"]),
            max_size=5,
        )
    ),
    max_leaves=12,
)


@given(st.lists(JSON, max_size=4))
def test_what_is_of_any_shape_is_read_or_refused(natives: list[Any]) -> None:
    body = _body(natives)
    try:
        items = READER.items(body)
    except ValueError:
        with pytest.raises(nbs.InvalidInput, match="no messages"):
            chains.read("langchain", body)
        return
    view = [message for item in items for message in item.messages]
    assert parse_messages([message.to_dict() for message in view]) == view
    assert [native for item in items for native in item.natives] == natives
    for item in items:
        json.dumps([READER.redact(item, at) for at in range(len(item.messages))])
