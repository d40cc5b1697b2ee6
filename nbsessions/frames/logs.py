"""The events of runs: what each one says, read out of its JSON."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from typing import Any

from pydantic_core import from_json

_MOST = 2**52
"""Milliseconds, of which NumPy has a time."""
_TEXTS = ("delta", "content", "message")
"""Where an event has its text: what it adds, what it says, what went wrong."""


def columns(pieces: Iterable[dict[str, list[Any]]]) -> Iterator[dict[str, list[Any]]]:
    """Yield events as columns, with what is to be read in their data.

    Examples
    --------
    >>> data = '{"type":"TEXT_MESSAGE_CONTENT","delta":"Hi","timestamp":1000}'
    >>> found = next(columns([{"data": [data]}]))
    >>> found["text"], found["timestamp"], found["message_id"]
    (['Hi'], [1000000], [None])
    """
    for piece in pieces:
        events = [parsed(data) for data in piece["data"]]
        yield {
            **piece,
            "text": [text_of(event) for event in events],
            "timestamp": [time_of(event) for event in events],
            "tool_name": [_text(event, "toolCallName") for event in events],
            "message_id": [_text(event, "messageId") for event in events],
            "tool_call_id": [_text(event, "toolCallId") for event in events],
        }


def parsed(data: str) -> dict[str, Any]:
    """Return an event; one that is none is told, and is empty.

    Examples
    --------
    >>> parsed('{"delta":"Hi"}')
    {'delta': 'Hi'}
    """
    try:
        found = from_json(data)
    except ValueError as error:
        warnings.warn(f"An event cannot be read: {error}. `verify` says which.", RuntimeWarning, stacklevel=2)
        return {}
    return found if isinstance(found, dict) else {}


def _text(event: dict[str, Any], name: str) -> str | None:
    found = event.get(name)
    return found if isinstance(found, str) else None


def text_of(event: dict[str, Any]) -> str | None:
    """Return what an event says, where it says something.

    Examples
    --------
    >>> text_of({"delta": "Hi"})
    'Hi'
    """
    return next((text for name in _TEXTS if (text := _text(event, name)) is not None), None)


def time_of(event: dict[str, Any]) -> int | None:
    """Return when an event came, in microseconds; it says so in milliseconds.

    Examples
    --------
    >>> time_of({"timestamp": 1_000})
    1000000
    """
    found = event.get("timestamp")
    return int(found * 1000) if isinstance(found, int | float) and abs(found) < _MOST else None
