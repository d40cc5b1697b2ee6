"""What an AG-UI endpoint sends: a stream of server-sent events, each of them one event of the protocol."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from functools import cache
from typing import Any, Final

from ag_ui.core import BaseEvent, Event, EventType, RawEvent
from pydantic import TypeAdapter, ValidationError

from nbsessions.exceptions import AgentError
from nbsessions.text import one_line
from nbsessions.values import mend_json

MOST_BYTES: Final = 32 * 1024 * 1024
"""Of one event: who sends more is stopped before it fills the memory."""
_OURS: Final = "nbsessions."
"""What the names of our own ``CUSTOM`` events begin with: nobody else tells what was approved, or spent."""
_KNOWN: Final = frozenset(kind.value for kind in EventType)


async def data_of(chunks: AsyncIterator[bytes]) -> AsyncIterator[str]:
    """Yield the data of each server-sent event, as https://html.spec.whatwg.org has it.

    Raises
    ------
    AgentError
        One of them is too large.
    """
    lines: list[bytes] = []
    size = 0
    async for line in _lines(chunks):
        if not line:
            if lines:
                yield b"\n".join(lines).decode(errors="replace")
            lines, size = [], 0
        elif line.startswith(b"data:") or line == b"data":
            value = line[5:]
            lines.append(value[1:] if value.startswith(b" ") else value)
            size += len(value)
            _check_size(size)
    # What is not followed by an empty line was cut off, and counts for nothing.


async def _lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield lines, which end in CR, LF or both, and in nothing else that Unicode has."""
    parts: list[bytes] = []
    size, after_return, is_first = 0, False, True
    async for chunk in chunks:
        if is_first and chunk:
            chunk, is_first = chunk.removeprefix(b"\xef\xbb\xbf"), False
        if after_return and chunk.startswith(b"\n"):
            chunk = chunk[1:]
        after_return = chunk.endswith(b"\r") if chunk else after_return
        *ended, rest = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        for line in ended:
            yield b"".join([*parts, line])
            parts, size = [], 0
        parts.append(rest)
        size += len(rest)
        _check_size(size)


def _check_size(size: int) -> None:
    if size > MOST_BYTES:
        raise AgentError(f"it sent an event of more than {MOST_BYTES // 2**20} MB")


def event_of(data: str) -> BaseEvent:
    """Return the event that a text is; of a type that the protocol does not know, a ``RAW`` one of it.

    Raises
    ------
    AgentError
        It is none.
    """
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        raise AgentError(f"it sent what is no event: {one_line(data, 80)!r}") from None
    kind = found.get("type") if isinstance(found, dict) else None
    if not isinstance(kind, str):
        raise AgentError(f"it sent an event without a type: {one_line(data, 80)!r}")
    plain: dict[str, Any] = mend_json(found)
    if kind not in _KNOWN:
        return RawEvent(event=plain, source="ag-ui")
    if kind == "CUSTOM" and str(plain.get("name")).startswith(_OURS):
        plain["name"] = f"ag-ui.{plain['name']}"
    try:
        event: BaseEvent = _reader().validate_python(plain)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"][1:])
        raise AgentError(f"it sent a {kind} that is none: {where or 'it'}: {first['msg']}") from None
    except RecursionError:
        raise AgentError(f"it sent a {kind} that is nested too deeply") from None
    return event


@cache
def _reader() -> TypeAdapter[Any]:
    return TypeAdapter(Event)
