from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_ai.messages import (
    BinaryContent,
    ImageUrl,
    ModelMessage,
    ModelMessagesTypeAdapter,
    ModelRequest,
    ModelResponse,
    SystemPromptPart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserContent,
    UserPromptPart,
)

from nbsessions import InvalidInput, Message
from nbsessions.codecs import codec, cut, rewrite, translate
from nbsessions.records import parse_messages

TEXT = st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
PARTS = st.lists(
    st.builds(lambda text: {"type": "text", "text": text}, TEXT)
    | st.builds(lambda name: {"type": "image_url", "image_url": {"url": f"http://x/{name}.png"}}, TEXT),
    min_size=1,
    max_size=3,
)
SYSTEM = st.builds(lambda text: [{"role": "system", "content": text}], TEXT)
USER = st.builds(lambda content: [{"role": "user", "content": content}], TEXT | PARTS)
ANSWER = st.builds(lambda text: [{"role": "assistant", "content": text}], TEXT)


@st.composite
def _tool_use(draw: st.DrawFn) -> list[dict[str, Any]]:
    ids = draw(st.lists(st.uuids().map(str), min_size=1, max_size=3, unique=True))
    arguments = st.dictionaries(TEXT, st.integers() | TEXT, max_size=2).map(json.dumps)
    calls = [
        {"id": one, "type": "function", "function": {"name": draw(TEXT), "arguments": draw(arguments)}}
        for one in ids
    ]
    asked = {"role": "assistant", "content": draw(st.none() | TEXT), "tool_calls": calls}
    told = [{"role": "tool", "content": draw(TEXT), "tool_call_id": one} for one in ids]
    return [asked, *told]


CHATS = st.lists(SYSTEM | USER | ANSWER | _tool_use(), max_size=6).map(
    lambda groups: parse_messages([message for group in groups for message in group])
)
KEPT = ("role", "content", "tool_calls", "tool_call_id")


def _kept(messages: list[Message]) -> list[dict[str, Any]]:
    return [{field: message[field] for field in KEPT} for message in messages]


def _dumps(native: object) -> str:
    return json.dumps(native, ensure_ascii=False, separators=(",", ":"))


def _native() -> list[ModelMessage]:
    """A run of pydantic-ai that holds one of each: its system prompt and prompt are one native message."""
    return [
        ModelRequest(parts=[SystemPromptPart(content="Be brief."), UserPromptPart(content="1 + 2?")]),
        ModelResponse(
            parts=[
                ThinkingPart(content="Easy."),
                TextPart(content="Let me see. "),
                ToolCallPart(tool_name="add", args={"a": 1, "b": 2}, tool_call_id="c1"),
                ToolCallPart(tool_name="add", args='{"a":2,"b":1}', tool_call_id="c2"),
            ],
            model_name="m",
        ),
        ModelRequest(
            parts=[
                ToolReturnPart(tool_name="add", content=3, tool_call_id="c1"),
                ToolReturnPart(tool_name="add", content={"sum": 3}, tool_call_id="c2"),
            ]
        ),
        ModelResponse(parts=[TextPart(content="It is "), TextPart(content="3.")]),
    ]


def _body(messages: list[ModelMessage]) -> str:
    return ModelMessagesTypeAdapter.dump_json(messages).decode()


def test_chat_messages_are_their_own_view() -> None:
    native = [{"role": "user", "content": "Hi", "weight": 1}, {"role": "assistant", "content": None}]
    body = _dumps(native)
    assert [message.to_dict() for message in codec("chat").view(body)] == native
    assert [item.native for item in codec("chat").items(body)] == native
    assert codec("chat").encode(codec("chat").view(body)) == native


def test_the_chat_view_of_a_pydantic_ai_run() -> None:
    view = codec("pydantic-ai").view(_body(_native()))
    assert [message.role for message in view] == ["system", "user", "assistant", "tool", "tool", "assistant"]
    assert [message.text for message in view] == [
        "Be brief.",
        "1 + 2?",
        "Let me see. ",
        "3",
        '{"sum": 3}',
        "It is 3.",
    ]
    assert all(message.timestamp is not None and message.timestamp.tzinfo for message in view)
    calls = view[2].tool_calls
    assert calls is not None
    assert [call["id"] for call in calls] == ["c1", "c2"]
    assert [json.loads(call["function"]["arguments"]) for call in calls] == [
        {"a": 1, "b": 2},
        {"a": 2, "b": 1},
    ]
    assert view[2]["reasoning_content"] == "Easy."
    assert [(message.name, message.tool_call_id) for message in view[3:5]] == [("add", "c1"), ("add", "c2")]


def test_images_and_files_come_back_to_pydantic_ai() -> None:
    picture = BinaryContent(data=b"png", media_type="image/png")
    content: list[UserContent] = ["Look", ImageUrl(url="http://x/a.png"), picture]
    body = _body([ModelRequest(parts=[UserPromptPart(content=content)])])
    view = codec("pydantic-ai").view(body)
    assert isinstance(view[0].content, list)
    assert view[0].content[1] == {"type": "image_url", "image_url": {"url": "http://x/a.png"}}
    (sent,) = ModelMessagesTypeAdapter.validate_json(body)
    (again,) = ModelMessagesTypeAdapter.validate_python(codec("pydantic-ai").encode(view))
    assert isinstance(again.parts[0], UserPromptPart)
    assert isinstance(sent.parts[0], UserPromptPart)
    assert again.parts[0].content == sent.parts[0].content


def test_the_details_of_an_image_survive_both_ways() -> None:
    image = {"type": "image_url", "image_url": {"url": "http://x/a.png", "detail": "high"}}
    sent = [Message(role="user", content=[image])]
    reader = codec("pydantic-ai")
    assert reader.view(_dumps(reader.encode(sent)))[0].content == [image]


def test_parts_that_we_do_not_know_are_passed_over() -> None:
    body = _dumps(
        [
            {
                "kind": "request",
                "parts": [{"part_kind": "new"}, {"part_kind": "user-prompt", "content": "Hi"}],
            },
            {"kind": "response", "parts": [{"part_kind": "new"}, {"part_kind": "text", "content": "Ho"}]},
        ]
    )
    assert [message.text for message in codec("pydantic-ai").view(body)] == ["Hi", "Ho"]


@given(CHATS)
def test_a_chat_goes_through_pydantic_ai_and_back(messages: list[Message]) -> None:
    reader = codec("pydantic-ai")
    assert _kept(reader.view(_dumps(reader.encode(messages)))) == _kept(messages)


@given(CHATS)
def test_pydantic_ai_takes_what_we_write_for_it(messages: list[Message]) -> None:
    native = codec("pydantic-ai").encode(messages)
    taken = ModelMessagesTypeAdapter.validate_json(_dumps(native))
    assert _kept(codec("pydantic-ai").view(_body(taken))) == _kept(messages)


@given(CHATS)
def test_times_go_through_pydantic_ai_too(messages: list[Message]) -> None:
    stamped = parse_messages(
        [m.to_dict() | {"timestamp": f"2026-01-02T03:04:{n:02d}Z"} for n, m in enumerate(messages)]
    )
    reader = codec("pydantic-ai")
    view = reader.view(_dumps(reader.encode(stamped)))
    assert [message.timestamp for message in view] == [message.timestamp for message in stamped]


@given(CHATS, st.sampled_from(["chat", "pydantic-ai"]), st.integers(0, 12))
def test_cutting_keeps_the_first_messages(messages: list[Message], name: str, keep: int) -> None:
    body = _dumps(codec(name).encode(messages))
    kept = cut(name, body, keep)
    assert _kept([message for item in kept for message in item.messages]) == _kept(messages[:keep])


@pytest.mark.parametrize("keep", range(1, 8))
def test_cutting_writes_only_the_item_anew_that_it_cuts(keep: int) -> None:
    body = _body(_native())
    items = codec("pydantic-ai").items(body)
    kept = cut("pydantic-ai", body, keep)
    whole = [item for item, end in zip(items, (2, 3, 5, 6), strict=True) if end <= keep]
    assert [item.native for item in kept[: len(whole)]] == [item.native for item in whole]
    assert len(kept) - len(whole) == (keep in (1, 4))
    assert sum(len(item.messages) for item in kept) == min(keep, 6)
    ModelMessagesTypeAdapter.validate_json(_dumps([item.native for item in kept]))


def test_an_unknown_codec_is_named() -> None:
    with pytest.raises(InvalidInput, match=r"'future'.*chat, .*pydantic-ai"):
        codec("future")


def test_translating_leaves_own_items_byte_equal() -> None:
    own = _body(_native())
    before = rewrite("chat", [Message(role="user", content="Hi"), Message(role="assistant", content="Ho")])
    after = rewrite("chat", [Message(role="user", content="Bye")])
    items = [*before, *codec("pydantic-ai").items(own), *after]
    text = translate(items, "pydantic-ai")
    assert own[1:-1] in text
    view = codec("pydantic-ai").view(text)
    middle = [message.text for message in codec("pydantic-ai").view(own)]
    assert [message.text for message in view] == ["Hi", "Ho", *middle, "Bye"]
    assert translate(codec("pydantic-ai").items(own), "pydantic-ai") == own


@given(st.lists(st.tuples(st.sampled_from(["chat", "pydantic-ai"]), CHATS), max_size=4))
def test_translating_keeps_every_message_in_order(turns: list[tuple[str, list[Message]]]) -> None:
    items = [item for name, messages in turns for item in rewrite(name, messages)]
    sent = [message for _, messages in turns for message in messages]
    for target in ("chat", "pydantic-ai"):
        assert _kept(codec(target).view(translate(items, target))) == _kept(sent)


def test_a_tools_name_is_found_from_its_call() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": "{}"}}
    messages = [
        Message(role="assistant", tool_calls=[call]),
        Message(role="tool", content="3", tool_call_id="c1"),
    ]
    (_, request) = ModelMessagesTypeAdapter.validate_python(codec("pydantic-ai").encode(messages))
    assert isinstance(request.parts[0], ToolReturnPart)
    assert request.parts[0].tool_name == "add"
