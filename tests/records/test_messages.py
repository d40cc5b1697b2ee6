from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from nbsessions import InvalidInput, Message
from nbsessions.records import parse_messages
from tests.test_values import JSON

LISTED = {"role", "content", "timestamp", "name", "tool_calls", "tool_call_id"}
# Fields that we do not know, those that sound like a method or a property of Message among them.
UNLISTED = st.dictionaries(
    (st.text(min_size=1) | st.sampled_from(["text", "json", "copy", "get", "refusal", "audio"])).filter(
        lambda name: name not in LISTED and not name.startswith(("model_", "_"))
    ),
    JSON,
    max_size=3,
)


def test_a_message_reads_like_an_object_and_like_a_dict() -> None:
    message = Message.model_validate({"role": "assistant", "content": "Hi", "weight": 0})
    assert (message.role, message["role"]) == ("assistant", "assistant")
    assert (message.content, message["content"], message["weight"]) == ("Hi", "Hi", 0)
    assert message["tool_calls"] is None
    with pytest.raises(KeyError):
        message["nowhere"]
    assert message.get("nowhere", 7) == 7
    assert message.get("weight", 7) == 0


@pytest.mark.parametrize("field", ["text", "json", "copy", "get", "to_dict"])
def test_an_unknown_field_reads_as_it_came_whatever_it_is_called(field: str) -> None:
    message = Message.model_validate({"role": "user", "content": "Hi", field: "theirs"})
    assert message[field] == "theirs"
    assert message.get(field) == "theirs"


@given(UNLISTED)
def test_unknown_fields_are_kept_as_they_came(fields: dict[str, Any]) -> None:
    data = {"role": "user", "content": "Hi"} | fields
    assert Message.model_validate(data).to_dict() == data
    assert Message.model_validate_json(json.dumps(data)).to_dict() == data


def test_empty_unknown_fields_are_kept() -> None:
    """OpenAI's own messages carry ``"refusal": null``."""
    unknown: dict[str, Any] = {"refusal": None, "annotations": [], "audio": {"id": None}}
    data: dict[str, Any] = {"role": "assistant", "content": "Hi"} | unknown
    assert Message.model_validate(data).to_dict() == data


def test_the_listed_fields_survive() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": "{}"}, "index": None}
    data = {
        "role": "assistant",
        "content": None,
        "timestamp": "2026-01-02T03:04:05.000006Z",
        "name": "helper",
        "tool_calls": [call],
        "tool_call_id": "c0",
    }
    assert Message.model_validate(data).to_dict() == data


def test_a_message_cannot_be_changed() -> None:
    message = Message(role="user", content="Hi")
    with pytest.raises(ValidationError):
        message.content = "Bye"


@pytest.mark.parametrize(
    "moment",
    [
        datetime(2026, 1, 2, 3, 4, 5),
        datetime(2026, 1, 2, 5, 4, 5, tzinfo=timezone(timedelta(hours=2))),
        "2026-01-02T03:04:05",
        "2026-01-02T05:04:05+02:00",
    ],
)
def test_timestamps_are_aware_and_utc(moment: datetime | str) -> None:
    stamp = Message.model_validate({"role": "user", "timestamp": moment}).timestamp
    assert stamp is not None
    assert stamp.utcoffset() == timedelta(0)


def test_the_text_of_parts_leaves_out_what_is_no_text() -> None:
    parts = ["Look", {"type": "image_url", "image_url": {"url": "http://x/a.png"}}, {"text": "here"}]
    assert Message(role="user", content=parts).text == "Look\nhere"
    assert Message(role="user", content=[]).text == ""
    assert Message(role="assistant").text == ""


@pytest.mark.parametrize(
    ("bad", "where"),
    [
        (["x"], "message"),
        ([5], "message"),
        ([{"content": "x"}], "role"),
        ([{"role": "robot"}], "role"),
        ([{"role": "user", "content": 5}], "content"),
        ([{"role": "user", "tool_calls": "x"}], "tool_calls"),
        (5, "message"),
    ],
)
def test_what_is_no_message_is_refused_in_one_line(bad: object, where: str) -> None:
    with pytest.raises(InvalidInput, match=where) as caught:
        parse_messages(bad)
    assert "\n" not in str(caught.value)
