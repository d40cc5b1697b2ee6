from __future__ import annotations

import json
import threading
import time
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbsessions import InvalidInput, values
from nbsessions.values import encode_json, from_micros, micros, new_id

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    SCALARS | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


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
