from __future__ import annotations

import json
import threading
import time
import uuid
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from nbsessions import InvalidInput, Message, Run, SessionRecord, Usage, values
from nbsessions.records import parse_messages
from nbsessions.values import encode_json, from_micros, micros, new_id, now

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    SCALARS | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
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


COUNTS = st.integers(0, 10**12)
USAGES = st.builds(
    Usage,
    input_tokens=COUNTS,
    output_tokens=COUNTS,
    cache_read_tokens=COUNTS,
    cache_write_tokens=COUNTS,
    reasoning_tokens=COUNTS,
    requests=COUNTS,
    cost=st.none() | st.decimals(0, 1000, places=9),
)


@given(USAGES, USAGES, USAGES)
def test_usages_add_up(a: Usage, b: Usage, c: Usage) -> None:
    assert a + b == b + a
    assert (a + b) + c == a + (b + c)
    assert a + Usage() == a
    assert (a + b).total_tokens == a.total_tokens + b.total_tokens


def test_an_unknown_cost_is_never_zero() -> None:
    priced, unpriced = Usage(cost=Decimal("0.5")), Usage(requests=1)
    assert (unpriced + unpriced).cost is None
    assert (priced + unpriced).cost == Decimal("0.5")


def test_ids_are_uuid7_of_now() -> None:
    before = time.time_ns() // 1_000_000
    made = uuid.UUID(new_id())
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert before <= made.int >> 80 <= time.time_ns() // 1_000_000 + 1


def test_ids_increase_and_are_unique_across_threads() -> None:
    made: list[list[str]] = []

    def make() -> None:
        made.append([new_id() for _ in range(2000)])

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(ids == sorted(ids) for ids in made)
    assert len({one for ids in made for one in ids}) == 8000


@given(st.datetimes(timezones=st.just(UTC)))
def test_microseconds_are_exact(moment: datetime) -> None:
    assert from_micros(micros(moment)) == moment


def _nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ({"a": float("nan")}, "JSON"),
        ({"a": [float("inf")]}, "JSON"),
        ({"a": "\ud800"}, "surrogate"),
        ({"\udfff": 1}, "surrogate"),
        (_nested(100_000), "deep"),
        ({"a": object()}, "JSON"),
        ({"a": b"x"}, "JSON"),
        ({1: "a"}, "JSON|key"),
        ({"a": {None: 1}}, "JSON|key"),
    ],
    ids=["nan", "inf", "surrogate", "surrogate key", "deep", "object", "bytes", "int key", "None key"],
)
def test_values_outside_json_are_refused(bad: object, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason) as caught:
        encode_json(bad, "state")
    assert str(caught.value).startswith("state ")
    assert "\n" not in str(caught.value)


@given(JSON)
def test_all_other_values_come_back(value: object) -> None:
    assert json.loads(encode_json(value, "state")) == value


def test_a_value_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(values, "MAX_JSON_BYTES", 10)
    assert encode_json("12345678", "state") == '"12345678"'
    with pytest.raises(InvalidInput, match=r"state has 11 bytes; the limit is 10\."):
        encode_json("123456789", "state")
    with pytest.raises(InvalidInput, match="14 bytes"):  # bytes, not characters
        encode_json("äöüäöü", "state")


def test_a_record_is_labelled_by_its_name_or_the_end_of_its_id() -> None:
    record = SessionRecord(
        session_id="0123456789abcdef", agent_name="local", owner="ada", created_at=now(), updated_at=now()
    )
    assert record.label == "89abcdef"
    assert record.model_copy(update={"name": "plan"}).label == "plan"


def test_a_run_has_no_duration_before_its_end() -> None:
    at = now()
    run = Run(run_id="r", session_id="s", agent_name="local", started_at=at)
    assert run.duration is None
    assert run.model_copy(update={"finished_at": at + timedelta(seconds=2)}).duration == 2


def test_what_a_run_returned_is_not_part_of_its_record() -> None:
    run = Run(run_id="r", session_id="s", agent_name="local", started_at=now(), output=object())
    assert "output" not in run.model_dump()
