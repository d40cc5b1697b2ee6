from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given

from nbsessions.formats.anthropic import assistant_message, blocks_of, result_message, usage_of, user_content
from nbsessions.records import parse_messages
from tests.formats.mutating import VALUES

CALL = {"type": "tool_use", "id": "c1", "name": "Read", "input": {"path": "ä"}}


def test_what_the_model_said_is_one_message() -> None:
    message = assistant_message([{"type": "text", "text": "I "}, {"type": "text", "text": "read."}, CALL])
    assert message["content"] == "I read."
    assert json.loads(message["tool_calls"][0]["function"]["arguments"]) == {"path": "ä"}


def test_thinking_is_shown_and_goes_back_with_its_signature() -> None:
    blocks = [
        {"type": "thinking", "thinking": "Hm.", "signature": "s"},
        {"type": "redacted_thinking", "data": "x"},
    ]
    assert assistant_message(blocks) == {
        "role": "assistant",
        "content": None,
        "reasoning_content": "Hm.",
        "thinking_blocks": blocks,
    }
    assert "thinking_blocks" not in assistant_message([{"type": "thinking", "thinking": "Hm."}])


def test_tools_that_anthropic_runs_are_kept_as_they_are() -> None:
    search = {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"query": "x"}}
    assert assistant_message([search])["server_blocks"] == [search]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("3", "3"),
        ([{"type": "text", "text": "3"}], "3"),
        (None, ""),
        ([], ""),
        (3, ""),
        (
            [
                {"type": "text", "text": "a"},
                {"type": "image", "source": {"type": "url", "url": "http://x/a.png"}},
            ],
            [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "http://x/a.png"}}],
        ),
    ],
)
def test_results_of_tools(content: object, told: object) -> None:
    assert result_message({"tool_use_id": "c1", "content": content})["content"] == told


def test_documents() -> None:
    source = {"type": "base64", "media_type": "application/pdf", "data": "JVBE"}
    file = {"file_data": "data:application/pdf;base64,JVBE", "filename": "a.pdf"}
    document = {"type": "document", "source": source, "title": "a.pdf"}
    assert user_content([document]) == [{"type": "file", "file": file}]


def test_cache_tokens_are_input_tokens_here() -> None:
    told = {
        "input_tokens": 3,
        "cache_read_input_tokens": 90,
        "cache_creation_input_tokens": 7,
        "output_tokens": 5,
    }
    usage = usage_of(told, cost=0.1)
    assert usage is not None
    assert (usage.input_tokens, usage.cache_read_tokens, usage.cache_write_tokens) == (100, 90, 7)
    assert usage.cost == Decimal("0.1")
    assert usage_of({"input_tokens": 0, "output_tokens": 0}) is None


@pytest.mark.parametrize("cost", [None, True, "0.1", -1, 10**400, 1e300, float("inf")])
def test_a_cost_that_is_none(cost: object) -> None:
    usage = usage_of({"input_tokens": 1}, cost=cost)
    assert usage is not None
    assert usage.cost is None


@given(VALUES, VALUES)
def test_blocks_of_any_shape_are_messages(content: Any, usage: Any) -> None:
    blocks = blocks_of(content)
    said = [
        assistant_message(blocks),
        *map(result_message, blocks),
        {"role": "user", "content": user_content(blocks)},
    ]
    assert len(parse_messages(said)) == len(said)
    usage_of(usage if isinstance(usage, dict) else {})
