"""
Message histories of pydantic-ai, as ``result.all_messages_json()`` gives them.

Looked at: 2.68, https://ai.pydantic.dev/message-history/. A file is a JSON array of requests and responses.
They stay as they are, so what is written is byte for byte what was read. A `conversation_id` is the id of the
session; without one it follows from the first turn. Each response is a request that was spent.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, BinaryIO, Final

from nbsessions.codecs import translate
from nbsessions.exceptions import FormatError
from nbsessions.formats.base import Format, Peek
from nbsessions.formats.building import Building
from nbsessions.formats.reading import changed_at, count_of, dict_of, moment, read_json, text_of
from nbsessions.formats.writing import items_of, only
from nbsessions.records import Usage
from nbsessions.stores.arguments import Bundle

_NAME: Final = "pydantic-ai"
_KINDS: Final = ("request", "response")


def read(path: Path) -> Iterator[Bundle]:
    """Yield the session of a file.

    Raises
    ------
    FormatError

    Examples
    --------
    >>> import tempfile
    >>> prompt = '{"kind":"request","parts":[{"part_kind":"user-prompt","content":"Hi"}]}'
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "history.json"
    ...     _ = path.write_text(f"[{prompt}]")
    ...     [bundle.record.message_count for bundle in read(path)]
    [1]
    """
    messages = read_json(path)
    if not isinstance(messages, list) or not messages:
        raise FormatError(path, "it holds no messages of pydantic-ai")
    for number, message in enumerate(messages, 1):
        if not _is_message(message):
            raise FormatError(path, f"message {number} is none of pydantic-ai")
    named = [name for message in messages if (name := text_of(message.get("conversation_id")))]
    timed = any(text_of(message.get("timestamp")) for message in messages)
    created = None if timed else changed_at(path)
    building = Building(
        _NAME, named[-1] if named else None, agent_name=_NAME, codec=_NAME, created_at=created
    )
    for message in messages:
        at = moment(message.get("timestamp"))
        building.add_native(message, at=at)
        told = dict_of(message.get("usage"))
        usage = usage_of(told)
        if message["kind"] == "response" and usage is not None:
            model, provider = text_of(message.get("model_name")), text_of(message.get("provider_name"))
            hour = count_of(told.get("cache_write_1h_tokens"))
            building.spend(usage, model=model, provider=provider, at=at, hour_cache_tokens=hour)
    yield building.bundle()


def usage_of(told: dict[str, Any]) -> Usage | None:
    """Return what one request spent, from its ``RequestUsage``; None where nothing is told.

    Examples
    --------
    >>> usage_of({"input_tokens": 3, "output_tokens": 2, "details": {"reasoning_tokens": 1}}).reasoning_tokens
    1
    """
    details = dict_of(told.get("details"))
    counts = {
        # Version 1 has other names for two of them.
        "input_tokens": count_of(told.get("input_tokens")) or count_of(told.get("request_tokens")),
        "output_tokens": count_of(told.get("output_tokens")) or count_of(told.get("response_tokens")),
        # There, what was cached is among the details, as the provider calls it, and counted as sent.
        "cache_read_tokens": count_of(told.get("cache_read_tokens"))
        or count_of(details.get("cache_read_input_tokens"))
        or count_of(details.get("cached_tokens")),
        "cache_write_tokens": count_of(told.get("cache_write_tokens"))
        or count_of(details.get("cache_creation_input_tokens")),
        "reasoning_tokens": count_of(told.get("output_reasoning_tokens"))
        or count_of(details.get("reasoning_tokens")),
    }
    return Usage(**counts, requests=1, cost=_cost(told.get("cost"))) if any(counts.values()) else None


def _cost(told: object) -> Decimal | None:
    if isinstance(told, bool) or not isinstance(told, (str, int, float)):
        return None
    try:
        cost = Decimal(str(told)[:40])
    except InvalidOperation:
        return None
    return cost if cost.is_finite() and 0 <= cost < 10**9 else None


def write(bundles: Iterable[Bundle], file: BinaryIO) -> None:
    """Write the messages of one session; those of other frameworks are written as pydantic-ai has them.

    Raises
    ------
    InvalidInput
        There is not exactly one.

    Examples
    --------
    >>> from io import BytesIO
    >>> building, file = Building("example", "chat-7", agent_name="helper"), BytesIO()
    >>> building.add({"role": "user", "content": "Hi"})
    >>> write([building.bundle()], file)
    >>> file.getvalue()
    b'[{"kind":"request","parts":[{"part_kind":"user-prompt","content":"Hi"}]}]'
    """
    file.write(translate(items_of(only(bundles, _NAME)), _NAME).encode())


def _is_message(value: object) -> bool:
    return isinstance(value, dict) and value.get("kind") in _KINDS and isinstance(value.get("parts"), list)


def _guess(peek: Peek) -> bool:
    if isinstance(peek.first, list):
        return _is_message(next(iter(peek.first), None))
    head = peek.text.lstrip()
    return peek.first is None and head.startswith("[") and '"part_kind"' in head and '"parts"' in head


FORMAT = Format(
    name=_NAME,
    help="A message history of pydantic-ai (all_messages_json).",
    suffixes=(".json",),
    read=read,
    write=write,
    guess=_guess,
    loses="everything but the messages at the head: name, tags, metadata, state, branches, checkpoints",
    many=False,
)
