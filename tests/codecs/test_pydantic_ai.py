from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbsessions import InvalidInput, chains
from nbsessions.codecs import codec
from tests.formats.mutating import SCALARS, VALUES

READER = codec("pydantic-ai")
KINDS = st.sampled_from(
    ["user-prompt", "system-prompt", "tool-return", "retry-prompt", "text", "thinking", "tool-call"]
)
PARTS = st.dictionaries(
    st.sampled_from(["content", "args", "tool_name", "tool_call_id", "timestamp"]), VALUES
)
MESSAGES = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(["request", "response"]) | SCALARS,
        "parts": st.lists(st.builds(lambda kind, part: part | {"part_kind": kind}, KINDS, PARTS), max_size=3)
        | VALUES,
    }
)


@given(st.lists(MESSAGES | VALUES, max_size=3))
def test_messages_of_any_shape_are_read_or_refused(natives: list[Any]) -> None:
    try:
        body = json.dumps(natives, ensure_ascii=False).encode("utf-8", "replace").decode()
        view = chains.read("pydantic-ai", body)
    except InvalidInput as error:
        assert str(error).startswith("These are no messages")  # noqa: PT017
        return
    items = READER.items(body)
    assert [message for item in items for message in item.messages] == view
    for item in items:
        for position in range(len(item.messages)):
            json.dumps(READER.redact(item, position))
            READER.keep(item, [position])


@pytest.mark.parametrize(
    ("native", "reason"),
    [
        (3, "no list of parts"),
        ({"kind": "request", "parts": {}}, "no list of parts"),
        ({"kind": "request", "parts": [3]}, "no list of parts"),
        ({"kind": "response", "parts": [{"part_kind": "text"}]}, "of kind 'text' has no content"),
        ({"kind": "response", "parts": [{"part_kind": "tool-call"}]}, "of kind 'tool-call' has no tool_name"),
        ({"kind": "request", "parts": [{"part_kind": "user-prompt", "content": [3]}]}, "a piece of no kind"),
    ],
)
def test_what_is_missing_is_named(native: object, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason):
        chains.read("pydantic-ai", json.dumps([native]))
