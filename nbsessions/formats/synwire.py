"""
Sessions of synwire's `SessionManager` as JSON, both ways.

Looked at: synwire 0.1.0, https://github.com/randomvariable/synwire (``crates/synwire-core``: sessions in
``agents/session.rs``, messages in ``messages/types.rs``): an object of ``metadata``, ``messages`` and
``state``. Messages may be any JSON there: chat messages, or synwire's own with a ``type`` instead of a role.
Times are milliseconds since 1970 or, as its own comments have it, seconds; they are told apart by their size,
and milliseconds are written.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final

from nbsessions.exceptions import FormatError
from nbsessions.formats.base import Format, Peek
from nbsessions.formats.building import Building
from nbsessions.formats.reading import blamed, count_of, dict_of, list_of, moment, read_json, text_of
from nbsessions.formats.writing import messages_of, only
from nbsessions.records import Usage
from nbsessions.stores.arguments import Bundle
from nbsessions.values import encode_json, micros

NAME: Final = "synwire"
_KEYS: Final = (
    "id",
    "name",
    "tags",
    "agent_name",
    "created_at",
    "updated_at",
    "turn_count",
    "total_tokens",
)
_ROLES: Final = {"human": "user", "ai": "assistant", "system": "system", "tool": "tool"}


def read(path: Path) -> Iterator[Bundle]:
    """Yield the session of a file.

    synwire counts all tokens in one number. What its messages tell of a request is taken from there; the rest
    is counted as input.

    Raises
    ------
    FormatError

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "session.json"
    ...     _ = path.write_text('{"metadata": {"id": "s1", "total_tokens": 42}, "messages": [], "state": {}}')
    ...     [bundle.record.total_tokens for bundle in read(path)]
    [42]
    """
    with blamed(path):
        yield _built(read_json(path), path).bundle()


def _built(data: Any, path: Path) -> Building:
    told = dict_of(dict_of(data).get("metadata"))
    session_id = text_of(told.get("id"))
    if session_id is None:
        raise FormatError(path, "it is no session of synwire: it has no metadata.id")
    if not isinstance(data.get("messages"), list):
        raise FormatError(path, "it is no session of synwire: its messages are no list")
    state = data.get("state")
    building = Building(
        NAME,
        session_id,
        agent_name=text_of(told.get("agent_name")) or NAME,
        title=text_of(told.get("name")),
        tags=[tag for tag in list_of(told.get("tags")) if isinstance(tag, str)],
        metadata=_unknown(data, told),
        state=dict_of(state),
        created_at=moment(told.get("created_at")),
        updated_at=moment(told.get("updated_at")),
    )
    spent = 0
    for number, message in enumerate(data["messages"], 1):
        if not isinstance(message, dict):
            raise FormatError(path, f"its message {number} is none")
        building.add(_chat(message))
        usage = _usage(dict_of(message.get("usage")))
        if usage.total_tokens:
            building.spend(usage)
            spent += usage.total_tokens
    if (rest := count_of(told.get("total_tokens")) - spent) > 0:
        building.run("total", usage=Usage(input_tokens=rest))
    return building


def _unknown(data: Mapping[str, Any], told: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is no field of a session, and a state that is no object."""
    found = {key: value for key, value in data.items() if key not in ("metadata", "messages", "state")}
    found |= {key: value for key, value in told.items() if key not in _KEYS}
    if data.get("state") is not None and not isinstance(data["state"], dict):
        found["state"] = data["state"]
    return found


def _chat(message: Mapping[str, Any]) -> dict[str, Any]:
    """Return a message of synwire's own kind as a chat message; one that is such already stays as it is."""
    if "role" in message and message.get("type") != "chat":
        return dict(message)
    said = {key: value for key, value in message.items() if key != "type"}
    if "role" not in said:
        kind = message.get("type")
        said["role"] = _ROLES.get(kind, kind) if isinstance(kind, str) else kind
    if isinstance(message.get("content"), list):
        said |= _content(message["content"])
    if calls := [_call(call) for call in list_of(said.pop("tool_calls", None)) if isinstance(call, dict)]:
        said["tool_calls"] = calls
    return said


def _content(parts: list[Any]) -> dict[str, Any]:
    """Return the parts of a message as chat messages have them; what was only thought stands apart."""
    said, thought = [], []
    for part in parts:
        kind = dict_of(part).get("type")
        if kind in ("reasoning", "thinking") and isinstance(part.get("text"), str):
            thought.append(part["text"])
        elif kind == "image" and isinstance(part.get("url"), str):
            said.append({"type": "image_url", "image_url": {key: part[key] for key in part if key != "type"}})
        else:
            said.append(part)
    return {"content": said, **({"reasoning_content": "\n".join(thought)} if thought else {})}


def _call(call: dict[str, Any]) -> dict[str, Any]:
    if "function" in call:
        return call
    arguments = call.get("arguments")
    if not isinstance(arguments, str):
        arguments = encode_json({} if arguments is None else arguments, "arguments")
    function = {"name": text_of(call.get("name")) or "tool", "arguments": arguments}
    return {"id": text_of(call.get("id")) or "", "type": "function", "function": function}


def _usage(told: Mapping[str, Any]) -> Usage:
    return Usage(
        input_tokens=count_of(told.get("input_tokens")),
        output_tokens=count_of(told.get("output_tokens")),
        requests=1,
    )


def write(bundles: Iterable[Bundle], file: BinaryIO) -> None:
    """Write one session.

    Raises
    ------
    InvalidInput
        There are several, or none.

    Examples
    --------
    >>> from io import BytesIO
    >>> file = BytesIO()
    >>> write([Building("example", "s1", agent_name="helper").bundle()], file)
    >>> list(json.loads(file.getvalue()))
    ['metadata', 'messages', 'state']
    """
    bundle = only(bundles, NAME)
    record = bundle.record
    data = {
        "metadata": {
            "id": record.session_id,
            "name": record.name or bundle.title,
            "tags": record.tags,
            "agent_name": record.agent_name,
            "created_at": micros(record.created_at) // 1000,
            "updated_at": micros(record.updated_at) // 1000,
            "turn_count": record.turn_count,
            "total_tokens": record.total_tokens,
        },
        "messages": [message.to_dict() for message in messages_of(bundle)],
        "state": record.state,
    }
    encode_json(data, "session")  # what cannot be kept everywhere is refused before anything is written
    file.write(json.dumps(data, indent=2, ensure_ascii=False).encode())


def _guess(peek: Peek) -> bool:
    if {"metadata", "messages", "state"} <= peek.keys:
        return True
    # The messages of a long session leave no room for the state in the beginning of the file.
    told = '"turn_count"' in peek.text and '"total_tokens"' in peek.text
    return {"metadata", "messages"} <= peek.keys and told


FORMAT = Format(
    name=NAME,
    help="A session of synwire, as JSON.",
    suffixes=(".json",),
    read=read,
    write=write,
    guess=_guess,
    loses="branches, checkpoints, metadata, and what each run spent",
    many=False,
)
