"""Large JSON files, value by value: as the parser reads them at once, wherever they are cut into chunks."""

from __future__ import annotations

import json
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbsessions import FormatError
from nbsessions.formats import streaming
from nbsessions.formats.streaming import array_items

_TEXT = st.text(st.sampled_from('ab"\\[]{},: é😀\n\x00/'), max_size=8)
_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXT, inner, max_size=4),
    max_leaves=12,
)


@given(st.lists(_JSON, max_size=5), st.integers(1, 9), st.booleans(), st.sampled_from([None, 2]))
def test_values_are_as_they_were_written(
    values: list[Any], chunk: int, ascii: bool, indent: int | None
) -> None:
    data = json.dumps(values, ensure_ascii=ascii, indent=indent).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streaming, "_CHUNK", chunk)
        assert list(array_items(BytesIO(data), "here")) == values


@given(st.binary(max_size=40) | st.text('[]{},"\\1a ', max_size=20).map(str.encode), st.integers(1, 5))
def test_what_is_taken_is_what_the_parser_takes(data: bytes, chunk: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streaming, "_CHUNK", chunk)
        try:
            found = list(array_items(BytesIO(data), "here"))
        except FormatError:
            return
    whole = json.loads(data.decode("utf-8-sig"))
    assert found == (whole if isinstance(whole, list) else [whole])


@pytest.mark.parametrize(
    "data",
    [
        b"[" * 1_000_000,
        b'{"a":' * 100_000,
        b'["' + b"\\" * 1_000_001,
        b"[1" + b"0" * 100_000 + b"]",
        b"[,]",
        b"[1,]",
    ],
    ids=["arrays", "objects", "escapes", "digits", "comma", "comma at the end"],
)
def test_what_is_no_json_is_an_error(data: bytes) -> None:
    with pytest.raises(FormatError):
        list(array_items(BytesIO(data), "here"))


def test_a_value_that_is_too_large_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "MAX_JSON_BYTES", 1000)
    monkeypatch.setattr(streaming, "_CHUNK", 100)
    data = json.dumps(["a" * 100] * 20 + ["b" * 2000]).encode()
    found = array_items(BytesIO(data), "here")
    assert [next(found) for _ in range(20)] == ["a" * 100] * 20
    with pytest.raises(FormatError, match="more than 1,000 bytes"):
        next(found)
    with pytest.raises(FormatError, match="more than 1,000 bytes"):
        list(array_items(BytesIO(json.dumps({"a": "b" * 2000}).encode()), "here"))
