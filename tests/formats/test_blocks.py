"""Messages made of blocks, as chat messages."""

from __future__ import annotations

from typing import Any

import pytest

from nbsessions.formats.blocks import chat_messages

IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
RESULT = {"type": "tool_result", "tool_use_id": "t1"}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("Hi", "Hi"),
        ([{"type": "text", "text": "Hi"}, {"type": "text", "text": " there"}], "Hi there"),
        ([], ""),
        ([{"type": "text", "text": 3}], [{"type": "text", "text": 3}]),
        ([IMAGE], [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]),
        (
            [{"type": "image", "source": {"type": "url", "url": "https://x.org/a"}}],
            [{"type": "image_url", "image_url": {"url": "https://x.org/a"}}],
        ),
        ([{"type": "image"}, 3], [{"type": "image"}, 3]),
        (None, None),
    ],
)
def test_what_was_said(content: Any, said: Any) -> None:
    [message] = chat_messages({"role": "user", "content": content})
    assert message == {"role": "user", "content": said}


def test_thoughts_stand_apart() -> None:
    blocks = [{"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": "Yes"}]
    [message] = chat_messages({"role": "assistant", "content": blocks, "id": "m1"})
    assert message == {"role": "assistant", "content": "Yes", "reasoning_content": "Hm.", "id": "m1"}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("x", "x"),
        (None, ""),
        ({"a": 1}, '{"a": 1}'),
        ([{"type": "text", "text": "x"}], "x"),
        (
            [{"type": "text", "text": "x"}, IMAGE],
            [
                {"type": "text", "text": "x"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
            ],
        ),
    ],
)
def test_results_of_tools(content: Any, said: Any) -> None:
    [message] = chat_messages({"role": "user", "content": [{**RESULT, "content": content}]})
    assert message == {"role": "tool", "tool_call_id": "t1", "content": said}


def test_results_come_before_what_was_said_with_them() -> None:
    blocks = [{"type": "text", "text": "Go on"}, {**RESULT, "content": "x", "is_error": True}]
    found = list(chat_messages({"role": "user", "content": blocks}))
    assert found == [
        {"role": "tool", "tool_call_id": "t1", "content": "x", "is_error": True},
        {"role": "user", "content": "Go on"},
    ]
