"""A session as webagents keeps it: one JSON file of its head, which both read and write: see `reading`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic_core import from_json

from nbsessions.codecs import codec
from nbsessions.records import SessionRecord, Turn
from nbsessions.stores.file.reading import KEYS, NO_SUM, STAMP, digest, metadata_sum, moment, sum_of
from nbsessions.values import from_micros, micros


def said_at(record: SessionRecord, more: Mapping[str, Any], redactions: int) -> str:
    """Return what stands for all that the file of a session says, times apart.

    Examples
    --------
    >>> from nbsessions.testing import a_record
    >>> said_at(a_record(), {}, 0) == said_at(a_record(), {}, 0) != said_at(a_record(name="plan"), {}, 0)
    True
    """
    tokens = (record.usage.input_tokens, record.usage.output_tokens)
    said = [record.head, record.agent_name, record.name, record.metadata, tokens, more, redactions]
    return digest(json.dumps(said).encode())


def render(record: SessionRecord, messages: Iterable[str], more: Mapping[str, Any], redactions: int) -> bytes:
    """Return the file of a session.

    Parameters
    ----------
    record : SessionRecord
    messages : iterable of str
        JSON, what `lines` gave.
    more : dict
        What else it shall say.
    redactions : int
        How many of its turns were redacted.

    Examples
    --------
    >>> from nbsessions.stores.file.reading import read
    >>> from nbsessions.testing import a_record
    >>> data = render(a_record(name="plan", metadata={"a": 1}), ['{"role": "user", "content": "Hi"}'], {}, 0)
    >>> saved = read(data)
    >>> saved.name, saved.metadata, saved.messages
    ('plan', {'a': 1}, [{'role': 'user', 'content': 'Hi'}])
    """
    shown = {name: value for name, value in record.metadata.items() if name != STAMP}
    hidden = {STAMP: record.metadata[STAMP]} if STAMP in record.metadata else {}
    if record.name is not None:
        hidden |= {"name": shown["name"]} if "name" in shown else {}
        shown = {"name": record.name, **{name: value for name, value in shown.items() if name != "name"}}
    tokens = (record.usage.input_tokens, record.usage.output_tokens)
    stamp: dict[str, Any] = {"sum": NO_SUM, "turn": record.head.turn_id, "keep": record.head.keep}
    stamp |= {"of": said_at(record, more, redactions), "metadata": metadata_sum(shown), "tokens": tokens}
    stamp |= {"hidden": hidden} if hidden else {}
    stamp |= {"conversation": record.conversation_id} if record.conversation_id else {}
    stamp |= {"name": shown["name"]} if "name" in shown else {}
    parts = {
        "session_id": record.session_id,
        "agent_name": record.agent_name,
        "created_at": local(micros(record.created_at)),
        "updated_at": local(micros(record.updated_at)),
        "metadata": {STAMP: stamp, **shown},
        "input_tokens": tokens[0],
        "output_tokens": tokens[1],
        **{name: value for name, value in more.items() if name not in KEYS},
    }
    # ASCII alone: webagents reads in the encoding of the machine, whichever that is.
    head = "".join(f"{json.dumps(name)}: {json.dumps(value)},\n" for name, value in parts.items())
    body = ",\n".join(messages)
    text = f'{{\n{head}"messages": [{body and chr(10)}{body}{body and chr(10)}]\n}}\n'.encode()
    return text.replace(NO_SUM.encode(), sum_of(text).encode(), 1)


def lines(turn: Turn, keep: int | None = None) -> list[str]:
    """Return the messages of a turn as a file has them, each as JSON.

    Raises
    ------
    InvalidInput, ValueError
        The turn cannot be read.

    Examples
    --------
    >>> from nbsessions.testing import a_turn
    >>> [json.loads(line)["role"] for line in lines(a_turn(None, "user", "assistant"), 1)]
    ['user']
    """
    return [json.dumps({**message, **_local_time(message)}) for message in dicts(turn)[:keep]]


def dicts(turn: Turn) -> list[dict[str, Any]]:
    """Return the messages of a turn as chat messages; those of the chat codec as they came.

    Raises
    ------
    InvalidInput, ValueError

    Examples
    --------
    >>> from nbsessions.testing import a_turn
    >>> [message["role"] for message in dicts(a_turn())]
    ['user']
    """
    if turn.codec == "chat":
        found: list[dict[str, Any]] = from_json(turn.body)
        return found
    return [message.to_dict() for message in codec(turn.codec).view(turn.body)]


def local(at: int) -> str:
    """Return a moment as webagents writes it: in local time, without a zone.

    Examples
    --------
    >>> len(local(0))
    26
    """
    return from_micros(at).astimezone().replace(tzinfo=None).isoformat(timespec="microseconds")


def _local_time(message: Mapping[str, Any]) -> dict[str, Any]:
    at = moment(message.get("timestamp"))
    return {} if at is None else {"timestamp": local(at)}
