"""Files that are almost what they should be: what a reader must read, or refuse in one line."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

WORDS = st.sampled_from(
    [
        "user",
        "assistant",
        "system",
        "tool",
        "message",
        "function_call",
        "function_call_output",
        "tool_use",
        "tool_result",
        "text",
        "reasoning",
        "u1",
        "a1",
        "",
        "\ud800",
        "\0",
        "latest",
        "2026-02-03T09:00:00Z",
        "x" * 300,
    ]
)
NUMBERS = st.sampled_from([0, -1, 1, 2**31, 2**63, 10**400, 1.5, 1e308, -0.0])
SCALARS = st.none() | st.booleans() | NUMBERS | WORDS
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "text", "content", "role", "id", "name", "input", "uuid", "parts", "kind"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)
DEEP = "[" * 600 + "]" * 600


def _places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(place for key, one in inner for place in _places(one, (*at, key)))]


def _put(value: Any, place: tuple[Any, ...], new: Any) -> Any:
    if not place:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[place[0]] = _put(value[place[0]], place[1:], new)
    return copy


@st.composite
def changed(draw: st.DrawFn, value: Any) -> Any:
    """Another value in one place of a JSON value, or a key that is not there."""
    place = draw(st.sampled_from(_places(value)))
    holder = value
    for key in place[:-1]:
        holder = holder[key]
    if place and isinstance(holder, dict) and draw(st.booleans()):
        return _put(value, place[:-1], {key: one for key, one in holder.items() if key != place[-1]})
    return _put(value, place, draw(VALUES))


@st.composite
def mutated(draw: st.DrawFn, data: bytes) -> bytes:
    """A file of JSON lines with some of them changed, left out, said twice, moved, or cut."""
    lines = [json.loads(line) for line in data.splitlines() if line.strip()]
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, max(len(lines) - 1, 0)))
        how = draw(st.sampled_from(["change", "change", "change", "drop", "twice", "move", "new"]))
        if how == "new" or not lines:
            lines.insert(at, draw(VALUES))
        elif how == "change":
            lines[at] = draw(changed(lines[at]))
        elif how == "drop":
            del lines[at]
        elif how == "twice":
            lines.insert(draw(st.integers(0, len(lines))), lines[at])
        else:
            lines.insert(draw(st.integers(0, len(lines) - 1)), lines.pop(at))
    return draw(spoiled("".join(json.dumps(line) + "\n" for line in lines).encode()))


@st.composite
def mutated_json(draw: st.DrawFn, data: bytes) -> bytes:
    """A JSON file with some of it changed, or cut."""
    value = json.loads(data)
    for _ in range(draw(st.integers(1, 4))):
        value = draw(changed(value))
    return draw(spoiled(json.dumps(value).encode()))


@st.composite
def spoiled(draw: st.DrawFn, data: bytes) -> bytes:
    """Now and then bytes that are no text, a cut, or too deep a nesting."""
    how = draw(st.sampled_from(["whole"] * 7 + ["cut", "byte", "deep"]))
    at = draw(st.integers(0, max(len(data) - 1, 0)))
    if how == "cut":
        return data[:at]
    if how == "byte":
        return data[:at] + bytes([draw(st.integers(0, 255))]) + data[at + 1 :]
    return data + DEEP.encode() if how == "deep" else data
