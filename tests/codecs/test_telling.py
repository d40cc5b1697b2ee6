"""What an agent is told of what others said."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_ai.messages import ModelMessagesTypeAdapter

from nbsessions import Message
from nbsessions.codecs import codec, repaired, told, translate

TARGETS = ("chat", "pydantic-ai", "openai-agents", "langchain")
targets = pytest.mark.parametrize("target", TARGETS)
PICTURE = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
SOUND = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}


def call(*ids: str) -> Message:
    calls = [{"id": one, "type": "function", "function": {"name": "add", "arguments": "{}"}} for one in ids]
    return Message(role="assistant", tool_calls=calls)


def result(call_id: str) -> Message:
    return Message(role="tool", tool_call_id=call_id, content="3")


def is_whole(messages: list[Message]) -> bool:
    """Tell whether each call has one result, right after it, and each result its call."""
    open_calls: list[str] = []
    for message in messages:
        if message.role == "tool":
            if message.tool_call_id not in open_calls:
                return False
            open_calls.remove(message.tool_call_id or "")
        elif open_calls:
            return False
        open_calls += [one.call_id for one in message.calls]
    return not open_calls


def foreign(messages: list[Message], target: str) -> list[Any]:
    """Return items of a codec that the target has to translate."""
    source = "langchain" if target == "chat" else "chat"
    return codec(source).group(codec(source).encode(messages))


@targets
def test_calls_and_results_without_each_other_are_repaired(target: str) -> None:
    user = Message(role="user", content="Hi")
    said = [user, result("c0"), call("c1", "c2"), result("c1"), user, call("c3")]
    body = translate(foreign(said, target), target)
    view = codec(target).view(body)
    assert is_whole(view)
    results = {m.tool_call_id: m.text for m in view if m.role == "tool"}
    assert results == {"c1": "3", **dict.fromkeys(["c2", "c3"], "The call was stopped: it has no result.")}
    if target == "pydantic-ai":
        ModelMessagesTypeAdapter.validate_json(body)


@given(st.lists(st.sampled_from(["u", "c1", "c2", "r1", "r2"]), max_size=8))
def test_whatever_was_cut_is_whole_again(cut: list[str]) -> None:
    kinds = {"u": Message(role="user", content="Hi")}
    kinds |= {f"c{n}": call(f"x{n}") for n in (1, 2)} | {f"r{n}": result(f"x{n}") for n in (1, 2)}
    # The ids of calls are unique.
    said = [kinds[one] for number, one in enumerate(cut) if one == "u" or one not in cut[:number]]
    found = repaired(said)
    assert is_whole(found)
    assert repaired(found) == found
    if is_whole(said):
        assert found == said


@targets
def test_what_cannot_be_told_is_counted(target: str) -> None:
    said = [
        Message(
            role="user", content=[{"type": "text", "text": "Look"}, PICTURE, PICTURE, SOUND, {"type": "new"}]
        ),
        Message.model_validate({"role": "assistant", "content": "I see", "reasoning_content": "Hm"}),
    ]
    found = told(codec("chat").group(codec("chat").encode(said)), target)
    expected = {
        "chat": {},
        "pydantic-ai": {"recording": 1, "other part": 1, "thought": 1},
        "openai-agents": {"recording": 1, "other part": 1, "thought": 1},
        "langchain": {"other part": 1, "thought": 1},
    }
    assert dict(found.untold) == expected[target]
    assert [message.text for message in found.messages] == ["Look", "I see"]
    assert json.dumps(found.native).count("a.png") == 2


def test_an_agent_may_take_less_than_its_codec_writes() -> None:
    said = [{"role": "user", "content": [PICTURE, {"type": "text", "text": "Look"}]}]
    found = told(codec("chat").group(said), "chat", frozenset())
    assert dict(found.untold) == {"image": 1}
    assert found.messages[0].content == [{"type": "text", "text": "Look"}]


def test_what_a_provider_did_itself_is_counted() -> None:
    openai = [
        {"role": "user", "content": "News?"},
        {"type": "web_search_call", "id": "w1", "status": "completed"},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "None."}]},
    ]
    found = told(codec("openai-agents").group(openai), "pydantic-ai")
    assert dict(found.untold) == {"provider-side call": 1}
    ours = [{"kind": "response", "parts": [{"part_kind": "builtin-tool-call"}, {"part_kind": "file"}]}]
    assert dict(told(codec("pydantic-ai").group(ours), "chat").untold) == {"provider-side call": 1, "file": 1}
    # Who wrote it gets it back whole.
    assert not told(codec("openai-agents").group(openai), "openai-agents").untold
    assert told(codec("openai-agents").group(openai), "openai-agents").native == openai
