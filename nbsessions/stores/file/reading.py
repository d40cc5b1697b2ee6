"""
What the file of a session says, whoever wrote it.

The layout is that of the session skill of webagents 0.3.0 to 0.3.6 (``SessionManager`` in
https://github.com/robutlerai/webagents, ``agents/skills/local/session``): ``session_id, agent_name,
created_at, updated_at, messages, metadata, input_tokens, output_tokens``, times in local time without a
zone. webagents keeps `metadata` as it is, so it holds a stamp that says what the file was made from.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any, Final, NamedTuple

from nbsessions.exceptions import InvalidInput
from nbsessions.records import Head, parse_messages
from nbsessions.values import encode_json, from_micros, micros

LARGEST: Final = 256 * 1024 * 1024
"""A larger file is not read."""
STAMP: Final = "nbsessions"
KEYS: Final = (
    "session_id",
    "agent_name",
    "created_at",
    "updated_at",
    "messages",
    "metadata",
    "input_tokens",
    "output_tokens",
)
# At the beginning of a line: no text in JSON holds the end of one.
_SUM: Final = re.compile(rb'\n"metadata": \{"nbsessions": \{"sum": "([0-9a-f]{32})"')
_LINE: Final = re.compile(rb'\n"metadata": (\{.*\}),\n')
NO_SUM: Final = "0" * 32
SANE: Final = range(253_402_300_800_000_000)  # until the year 9999


class Unreadable(ValueError):
    """What a file says is no session; the text says why."""


class Stamp(NamedTuple):
    """What a file was made from.

    Attributes
    ----------
    head : Head
    of : str
        Stands for all that the session said, times apart.
    name : str or None
        What `metadata.name` was.
    metadata : str
        Stands for the rest of the metadata.
    tokens : tuple of int
    hidden : dict
        Metadata of the session whose name the file uses for something else.
    conversation : str or None
    is_whole : bool
        Whether the file is as it was made.
    """

    head: Head
    of: str
    name: str | None
    metadata: str
    tokens: tuple[int, int]
    hidden: Mapping[str, Any]
    conversation: str | None
    is_whole: bool = False


class Saved(NamedTuple):
    """What a file says.

    Attributes
    ----------
    session_id : str
    agent_name : str
    created_at, updated_at : int or None
        Microseconds since 1970; None where it does not say.
    messages : list of dict
        As chat messages, their times in UTC.
    metadata : dict
        Without the stamp and the name.
    name : object
        `metadata.name`, whatever that is.
    tokens : tuple of int
    more : dict
        What it says under other names.
    stamp : Stamp or None
    """

    session_id: str
    agent_name: str
    created_at: int | None
    updated_at: int | None
    messages: list[dict[str, Any]]
    metadata: dict[str, Any]
    name: object
    tokens: tuple[int, int]
    more: dict[str, Any]
    stamp: Stamp | None


def glance(data: bytes) -> Stamp | None:
    """Return the stamp of a file that is as it was made; None where somebody else wrote it.

    Examples
    --------
    >>> from nbsessions.stores.file.projection import render
    >>> from nbsessions.testing import a_record
    >>> data = render(a_record(), [], {}, 0)
    >>> glance(data).is_whole, glance(data.replace(b"local", b"other"))
    (True, None)
    """
    found = _SUM.search(data)
    line = None if found is None else _LINE.match(data, found.start())
    if found is None or line is None:
        return None
    start, end = found.span(1)
    if sum_of(data[:start] + NO_SUM.encode() + data[end:]) != found[1].decode():
        return None
    try:
        stamp = _stamp(json.loads(line[1]).get(STAMP))
    except (ValueError, RecursionError):  # whoever made it knows how the sum is made
        return None
    return None if stamp is None else stamp._replace(is_whole=True)


def read(data: bytes) -> Saved:
    """Return what a file says.

    Raises
    ------
    Unreadable
    """
    try:
        found = json.loads(data.decode("utf-8-sig"))
        if not isinstance(found, dict):
            raise Unreadable("is no JSON object")
        encode_json(found, "it")
        return _saved(found)
    except UnicodeDecodeError:
        raise Unreadable("is no text in UTF-8") from None
    except (RecursionError, InvalidInput) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error).rstrip(".")
        raise Unreadable(f"holds no session: {reason}") from None
    except Unreadable:
        raise
    except ValueError as error:
        what = "is empty" if not data.strip() else f"is no JSON: {error}"
        raise Unreadable(what) from None


def _saved(found: dict[str, Any]) -> Saved:
    session_id = _typed(found, "session_id", str, None)
    if not session_id:
        raise Unreadable("has no session_id")
    messages = _typed(found, "messages", list, [])
    parse_messages(messages)
    metadata = dict(_typed(found, "metadata", dict, {}))
    stamp = _stamp(metadata.pop(STAMP, None))
    name = metadata.get("name")
    hidden = {} if stamp is None else stamp.hidden
    if isinstance(name, str):
        del metadata["name"]
    tokens = (_typed(found, "input_tokens", int, 0), _typed(found, "output_tokens", int, 0))
    return Saved(
        session_id=session_id,
        agent_name=_typed(found, "agent_name", str, "unknown") or "unknown",
        created_at=_time(found, "created_at"),
        updated_at=_time(found, "updated_at"),
        messages=[in_utc(message) for message in messages],
        metadata={**metadata, **hidden},
        name=name,
        tokens=(max(0, tokens[0]), max(0, tokens[1])),
        more={key: value for key, value in found.items() if key not in KEYS},
        stamp=stamp,
    )


def _typed(found: dict[str, Any], key: str, kind: type[Any], missing: Any) -> Any:
    value = found.get(key, missing)
    if not isinstance(value, kind) or isinstance(value, bool):
        if key not in found:
            return missing
        raise Unreadable(f"has {value!r:.40} as its {key}")
    return value


def _time(found: dict[str, Any], key: str) -> int | None:
    if key not in found:
        return None
    at = moment(found[key])
    if at is None or at not in SANE:
        raise Unreadable(f"has {found[key]!r:.40} as its {key}")
    return at


def moment(value: object) -> int | None:
    """Return a time in ISO format, without a zone in local time, in microseconds since 1970; else None.

    Examples
    --------
    >>> moment("1970-01-01T00:00:01Z"), moment("yesterday"), moment(None)
    (1000000, None, None)
    """
    if not isinstance(value, str):
        return None
    try:
        return micros(datetime.fromisoformat(value).astimezone(UTC))
    except (ValueError, OverflowError, OSError):
        return None


def in_utc(message: dict[str, Any]) -> dict[str, Any]:
    """Return a message with its time in UTC, as ours have it.

    Examples
    --------
    >>> in_utc({"role": "user", "timestamp": "2024-01-15T10:30:00+02:00"})["timestamp"]
    '2024-01-15T08:30:00Z'
    """
    at = moment(message.get("timestamp"))
    if at is None or at not in SANE:
        return message
    return {**message, "timestamp": from_micros(at).isoformat().replace("+00:00", "Z")}


def _stamp(found: object) -> Stamp | None:
    if not isinstance(found, dict):
        return None
    turn, keep, hidden = found.get("turn"), found.get("keep"), found.get("hidden", {})
    of, metadata, tokens = found.get("of"), found.get("metadata"), found.get("tokens")
    name, conversation = found.get("name"), found.get("conversation")
    texts = all(isinstance(text, str | None) for text in (turn, name, conversation))
    if not (texts and isinstance(of, str) and isinstance(metadata, str) and isinstance(hidden, dict)):
        return None
    if not isinstance(keep, int | None) or not isinstance(tokens, list) or len(tokens) != 2:
        return None
    if not all(isinstance(count, int) for count in tokens):
        return None
    return Stamp(Head(turn, keep), of, name, metadata, (tokens[0], tokens[1]), hidden, conversation)


def is_metadata_changed(saved: Saved) -> bool:
    """Tell whether the metadata, the name apart, are others than when the file was made.

    Examples
    --------
    >>> from nbsessions.stores.file.projection import render
    >>> from nbsessions.testing import a_record
    >>> data = render(a_record(metadata={"a": 1}), [], {}, 0)
    >>> is_metadata_changed(read(data)), is_metadata_changed(read(data.replace(b'"a": 1', b'"a": 2')))
    (False, True)
    """
    if saved.stamp is None:
        return True
    return metadata_sum(shown(saved.metadata, saved.stamp)) != saved.stamp.metadata


def shown(metadata: Mapping[str, Any], stamp: Stamp) -> dict[str, Any]:
    """Return the metadata of a session that its file shows.

    Examples
    --------
    >>> from nbsessions.stores.file.projection import render
    >>> from nbsessions.testing import a_record
    >>> saved = read(render(a_record(name="plan", metadata={"a": 1, "name": 2}), [], {}, 0))
    >>> saved.metadata, shown(saved.metadata, saved.stamp)
    ({'a': 1, 'name': 2}, {'a': 1})
    """
    return {key: value for key, value in metadata.items() if key not in stamp.hidden}


def metadata_sum(shown: Mapping[str, Any]) -> str:
    """Return what stands for metadata, the name apart.

    Examples
    --------
    >>> metadata_sum({"a": 1, "name": "plan"}) == metadata_sum({"a": 1})
    True
    """
    rest = {key: value for key, value in shown.items() if key != "name" or not isinstance(value, str)}
    return digest(json.dumps(rest, sort_keys=True).encode())


def sum_of(data: bytes) -> str:
    """Return the sum that a file bears, of all of it with `NO_SUM` in its place.

    Examples
    --------
    >>> len(sum_of(b"")) == len(NO_SUM)
    True
    """
    return blake2b(data, digest_size=16).hexdigest()


def digest(data: bytes) -> str:
    """Return a short text that stands for data.

    Examples
    --------
    >>> digest(b"a") == digest(b"a") != digest(b"b")
    True
    """
    return blake2b(data, digest_size=8).hexdigest()
