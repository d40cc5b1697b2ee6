"""What every store can keep alike: ids, times, text, JSON."""

from __future__ import annotations

import json
import os
import re
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from math import isfinite
from operator import index
from pathlib import Path
from typing import Any, SupportsIndex, cast

from pydantic_core import from_json

from nbsessions.exceptions import InvalidInput

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
MAX_JSON_BYTES = 128 * 1024 * 1024
"""A larger value is refused before anything is written; the limit is the same for every store."""

_MAX_COUNT = 2**53
# Made once: `json.dumps` with options makes one each time.
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
_LONGEST = timedelta(days=365_000)
_clock = threading.Lock()
_last_id = 0


def new_id() -> str:
    """Return a new UUIDv7 (RFC 9562): sortable by time, and increasing within a process.

    Examples
    --------
    >>> first, second = new_id(), new_id()
    >>> len(first), first < second
    (36, True)
    """
    global _last_id
    random = int.from_bytes(os.urandom(8), "big") & 0x3FFF_FFFF_FFFF_FFFF
    with _clock:
        # Twelve bits below the millisecond, as RFC 9562 section 6.2 method 3 has it.
        ticks = max((time.time_ns() << 12) // 1_000_000, _last_id + 1)
        _last_id = ticks
    value = (ticks >> 12) << 80 | 0x7 << 76 | (ticks & 0xFFF) << 64 | 0b10 << 62 | random
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def now() -> datetime:
    """Return the present, timezone-aware, in UTC.

    Examples
    --------
    >>> now().tzname()
    'UTC'
    """
    return datetime.now(UTC)


def encode_json(value: object, what: str) -> str:
    """Return `value` as compact JSON, or refuse it before anything is written.

    Every store keeps the same values: JSON in UTF-8, without NaN, lone surrogates, or keys that
    are not strings.

    Raises
    ------
    InvalidInput
        Names `what` and the reason.

    Examples
    --------
    >>> encode_json({"a": 1}, "state")
    '{"a":1}'
    >>> encode_json({"a": float("nan")}, "state")
    Traceback (most recent call last):
    nbsessions.exceptions.InvalidInput: state cannot be stored as JSON: Out of range float values are not ...
    """
    if not value and isinstance(value, dict | list):
        return "{}" if isinstance(value, dict) else "[]"
    try:
        _check_keys(value, what)
        text = _encode(value)
        size = len(text.encode())
    except RecursionError:
        raise InvalidInput(f"{what} is nested too deeply to be stored.") from None
    except UnicodeEncodeError:
        raise InvalidInput(f"{what} holds a lone surrogate, which is not text.") from None
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"{what} cannot be stored as JSON: {error}") from None
    if size > MAX_JSON_BYTES:
        raise InvalidInput(f"{what} has {size:,} bytes; the limit is {MAX_JSON_BYTES:,}.")
    return text


def _check_keys(value: object, what: str) -> None:
    # json.dumps would turn them into strings, and another value would be read back.
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise InvalidInput(f"{what} has the key {key!r}; JSON knows only text as keys.")
            _check_keys(item, what)
    elif isinstance(value, (list, tuple)):
        for item in value:
            _check_keys(item, what)


def plain_json(value: object, what: str) -> dict[str, Any]:
    """Return a JSON object as it will be read back, sharing nothing with `value`.

    Raises
    ------
    InvalidInput
        It is no mapping, or no JSON.

    Examples
    --------
    >>> plain_json({"a": (1, 2)}, "state")
    {'a': [1, 2]}
    """
    if not isinstance(value, Mapping):
        raise InvalidInput(f"{what} must be a JSON object (a dict), not {type(value).__name__}.")
    plain: dict[str, Any] = _read_back(encode_json(dict(value), what), what)
    return plain


def _read_back(text: str, what: str) -> Any:
    try:
        return from_json(text)
    except ValueError:
        raise InvalidInput(f"{what} is nested too deeply to be stored.") from None


def check_count(value: object, what: str, least: int = 0) -> int:
    """Return `value` as a whole number, or refuse it.

    Raises
    ------
    InvalidInput

    Examples
    --------
    >>> check_count(3, "limit")
    3
    >>> check_count(1.5, "limit")
    Traceback (most recent call last):
    nbsessions.exceptions.InvalidInput: limit must be a whole number, not 1.5.
    """
    try:
        number = index(cast(SupportsIndex, value))
    except TypeError:
        raise InvalidInput(f"{what} must be a whole number, not {value!r}.") from None
    if number < least:
        raise InvalidInput(f"{what} must be at least {least}, not {number}.")
    # More than any store holds, and no more than their integers.
    return min(number, _MAX_COUNT)


def check_text(value: object, what: str, *, most: int | None = None, half: bool = False) -> str:
    """Return `value` as text that every store can hold or look for, or refuse it.

    At most `most` characters, and no halves of one, but where `half` is true.

    Raises
    ------
    InvalidInput

    Examples
    --------
    >>> check_text("draft", "tag")
    'draft'
    >>> check_text(b"draft", "tag")
    Traceback (most recent call last):
    nbsessions.exceptions.InvalidInput: tag must be text, not bytes.
    """
    if not isinstance(value, str):
        raise InvalidInput(f"{what} must be text, not {type(value).__name__}.")
    if not half and mend(value) != value:
        raise InvalidInput(f"{what} holds a lone surrogate, which is not text.")
    if most is not None and len(value) > most:
        raise InvalidInput(f"{what} has {len(value):,} characters; the limit is {most:,}.")
    return value


def check_path(path: object) -> Path:
    """Return an absolute path, its ``~`` expanded, or refuse it.

    Raises
    ------
    InvalidInput

    Examples
    --------
    >>> check_path("/data/agents.db").name
    'agents.db'
    """
    if not isinstance(path, (str, bytes, os.PathLike)):
        raise InvalidInput(f"A path must be text, not {type(path).__name__}.")
    text = os.fsdecode(path)
    if "\0" in text or mend(text) != text:
        # It is not repeated: a URL may have come here, with its password.
        raise InvalidInput("This is no path: it holds a NUL, or half a character.")
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError as error:
        raise InvalidInput(f"{text!r} is no path: {str(error).rstrip('.')}.") from None


def check_stored(value: object, what: str) -> str:
    """Return `value` as compact JSON that can be read back, or refuse it before anything is written.

    Raises
    ------
    InvalidInput

    Examples
    --------
    >>> check_stored([1, "a"], "value")
    '[1,"a"]'
    """
    text = encode_json(value, what)
    _read_back(text, what)
    return text


def check_moment(value: object, what: str) -> datetime:
    """Return `value` as a moment, or refuse it: one without a timezone could be any of several.

    Raises
    ------
    InvalidInput

    Examples
    --------
    >>> check_moment(datetime(2026, 11, 1), "since")
    Traceback (most recent call last):
    nbsessions.exceptions.InvalidInput: since must be a datetime with a timezone, such as datetime.now(UTC).
    """
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise InvalidInput(f"{what} must be a datetime with a timezone, such as datetime.now(UTC).")
    return value


def parse_duration(value: timedelta | str) -> timedelta:
    """Return a length of time; a text is a number and a unit: ``30d``, ``12h``, ``90min``, ``2w``.

    One that leads further back than there are dates is cut to what does not.

    Raises
    ------
    InvalidInput

    Examples
    --------
    >>> parse_duration("2w")
    datetime.timedelta(days=14)
    """
    if isinstance(value, timedelta):
        if value < timedelta(0):
            raise InvalidInput(f"A length of time cannot be below zero, as {value!r} is.")
        return min(value, _LONGEST)
    found = re.fullmatch(r"\s*(\d{1,6})\s*(s|min|h|d|w)\s*", value) if isinstance(value, str) else None
    if found is None:
        raise InvalidInput(f"{value!r} is no length of time: write 30d, 12h, 90min or 2w.")
    units = {"s": "seconds", "min": "minutes", "h": "hours", "d": "days", "w": "weeks"}
    return min(timedelta(**{units[found[2]]: int(found[1])}), _LONGEST)


def mend(text: str) -> str:
    """Return `text` as valid Unicode: halves of a character that came apart are joined or replaced.

    Examples
    --------
    >>> mend("\\ud83d\\ude00") == "😀"
    True
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def mend_json(value: Any) -> Any:
    """Return what JSON can hold of a value: text, keys included, is mended, and NaN becomes null.

    Examples
    --------
    >>> mend_json({"a": ["\\ud83d\\ude00"]}) == {"a": ["😀"]}
    True
    """
    if isinstance(value, str):
        return mend(value)
    if isinstance(value, Mapping):
        return {mend_json(key): mend_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [mend_json(item) for item in value]
    return None if isinstance(value, float) and not isfinite(value) else value


def micros(moment: datetime) -> int:
    """Return microseconds since 1970 of a timezone-aware `moment`.

    Examples
    --------
    >>> micros(datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC))
    1000000
    """
    return (moment - _EPOCH) // _MICROSECOND


def from_micros(at: int) -> datetime:
    """Return the moment that is this many microseconds after the start of 1970, in UTC.

    Examples
    --------
    >>> from_micros(1_000_000).isoformat()
    '1970-01-01T00:00:01+00:00'
    """
    return _EPOCH + at * _MICROSECOND
