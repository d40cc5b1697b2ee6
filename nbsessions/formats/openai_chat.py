"""
Plain lists of chat messages, as OpenAI's Chat Completions API takes them.

Looked at: https://platform.openai.com/docs/api-reference/chat (API version 1, openai-python 3.57) and
https://platform.openai.com/docs/guides/supervised-fine-tuning. Read are a JSON file with a list of messages
or an object that has one (``{"messages": [...]}``), a list of such objects, and JSON lines with one each, as
for fine-tuning: one session a line. What else an object holds (``tools``, ``model``...) is kept as metadata.

Such a file has no ids: that of a JSON file's session follows from its first turn, so a list that grew goes on
where it ended; that of a line from the whole line. Written is one line a session, which is JSON, too, where
there is one; only with the fields that the API takes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Final

from nbsessions.exceptions import FormatError, InvalidInput
from nbsessions.formats.base import Format, Peek
from nbsessions.formats.building import Building
from nbsessions.formats.reading import (
    alone,
    changed_at,
    dict_of,
    json_lines,
    list_of,
    moment,
    read_json,
    text_of,
)
from nbsessions.formats.stable import stable_id
from nbsessions.formats.writing import messages_of
from nbsessions.records import Message
from nbsessions.stores.arguments import Bundle
from nbsessions.values import encode_json

_NAME: Final = "openai-chat"
_LINES: Final = (".jsonl", ".ndjson")
_ROLES: Final = frozenset({"system", "developer", "user", "assistant", "tool", "function"})
_FIELDS: Final = ("name", "tool_calls", "tool_call_id", "refusal", "function_call", "audio", "weight")
"""Of a message, beside role and content; the API refuses others."""
_BEGINS: Final = re.compile(r'\s*(?:\[\s*)?\{\s*(?:"messages"\s*:\s*\[\s*\{\s*)?"(?:role|content|name)"\s*:')


def read(path: Path) -> Iterator[Bundle]:
    """Yield the sessions of a file: of each line, or of each list of messages.

    Raises
    ------
    FormatError

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "chat.json"
    ...     _ = path.write_text('[{"role": "user", "content": "Hi"}]')
    ...     [bundle.record.message_count for bundle in read(path)]
    [1]
    """
    if path.suffix.lower() in _LINES or _is_lines(Peek(path)):
        yield from _each(((f"{path}, line {number}", line) for number, line in json_lines(path)), path)
        return
    value = read_json(path)
    if isinstance(value, list) and all("messages" in dict_of(one) for one in value):
        yield from _each(((f"{path}, {at}", one) for at, one in enumerate(value, 1)), path)
    else:
        yield _session(value, path, None, changed_at(path))


def _is_lines(peek: Peek) -> bool:
    """Tell whether a file of another name holds several lines, each whole."""
    try:
        first, _, rest = peek.text.lstrip().partition("\n")
    except OSError:  # which reading it tells
        return False
    return (
        first.endswith(("}", "}\r")) and rest.lstrip().startswith("{") and "messages" in dict_of(peek.first)
    )


def _each(values: Iterable[tuple[str, Any]], path: Path) -> Iterator[Bundle]:
    found, at = False, changed_at(path)
    for where, value in values:
        found = True
        yield from alone(where, _line, value, where, at)
    if not found:
        raise FormatError(path, "it is empty")


def _line(value: Any, where: object, at: datetime | None) -> Bundle:
    return _session(value, where, stable_id(_NAME, "line", encode_json(value, "line")), at)


def _session(value: Any, where: object, session_id: str | None, at: datetime | None) -> Bundle:
    told: dict[str, Any] = value if isinstance(value, dict) else {"messages": value}
    messages = told.get("messages")
    if not isinstance(messages, list) or not (messages or value is told):
        raise FormatError(where, "it holds no list of messages")
    timed = any("timestamp" in dict_of(message) for message in messages)
    building = Building(
        _NAME,
        text_of(told.get("session_id")) or text_of(told.get("id")) or session_id,
        agent_name=_NAME,
        title=text_of(told.get("title")),
        metadata={name: one for name, one in told.items() if name != "messages"},
        created_at=moment(told.get("created_at")) or (None if timed else at),
        model=text_of(told.get("model")),
    )
    for number, message in enumerate(messages, 1):
        if not _is_message(message):
            raise FormatError(where, f"message {number} has no role that is known")
        try:
            building.add(message)
        except InvalidInput as error:
            raise FormatError(where, f"message {number}: {error}") from None
    return building.bundle()


def write(bundles: Iterable[Bundle], file: BinaryIO) -> None:
    """Write the messages of sessions, one line each.

    Examples
    --------
    >>> from io import BytesIO
    >>> building, file = Building("example", "chat-7", agent_name="helper"), BytesIO()
    >>> building.add({"role": "user", "content": "Hi"})
    >>> write([building.bundle()], file)
    >>> file.getvalue()
    b'{"messages":[{"role":"user","content":"Hi"}]}\\n'
    """
    for bundle in bundles:
        told = {"messages": [_written(message) for message in messages_of(bundle)]}
        file.write(encode_json(told, "session").encode() + b"\n")


def _written(message: Message) -> dict[str, Any]:
    found = message.to_dict()
    kept = {name: found[name] for name in _FIELDS if found.get(name) is not None}
    if message.role == "tool":
        kept.pop("name", None)
    content = message.content
    if content is None and not kept.keys() & {"tool_calls", "function_call", "refusal", "audio"}:
        content = ""
    return {"role": message.role, "content": content, **kept}


def _is_message(value: object) -> bool:
    return isinstance(value, dict) and isinstance(value.get("role"), str) and value["role"] in _ROLES


def _guess(peek: Peek) -> bool:
    first = peek.first
    if first is None:  # it is larger than what is looked at
        return _BEGINS.match(peek.text) is not None
    found = [first, *list_of(first)[:1]]
    return any(_is_message(one) for each in found for one in list_of(dict_of(each).get("messages"))[:1]) or (
        isinstance(first, list) and _is_message(found[-1])
    )


FORMAT = Format(
    name=_NAME,
    help="Plain lists of chat messages, and lines of them for fine-tuning.",
    suffixes=(".json", ".jsonl"),
    read=read,
    write=write,
    guess=_guess,
    loses="everything but the messages at the head: times, thinking, turns, runs, tags, state, checkpoints",
)
