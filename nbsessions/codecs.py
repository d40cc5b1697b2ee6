"""
Native messages and the chat view of them.

A turn keeps its agent's messages as that framework wrote them. A codec reads this JSON, without
the framework, as a list of items, each with the chat messages that it stands for; and writes chat
messages as items, so that another framework can go on.
"""

from __future__ import annotations

import json
from collections.abc import Container, Iterable, Sequence
from typing import Any, ClassVar, NamedTuple

from pydantic_core import from_json

from nbsessions.exceptions import InvalidInput
from nbsessions.records import MESSAGES, Message
from nbsessions.values import encode_json

REDACTED = "[redacted]"
"""What a message says from which everything was taken."""
_SHAPE = ("timestamp", "name", "tool_call_id")


class Item(NamedTuple):
    """One native message and its chat view (none, one or several messages).

    Examples
    --------
    >>> item = codec("chat").items('[{"role":"user","content":"Hi"}]')[0]
    >>> item.codec, item.native["content"], item.messages[0].text
    ('chat', 'Hi', 'Hi')
    """

    codec: str
    native: Any
    messages: list[Message]


def is_prompt(message: Message) -> bool:
    """Tell whether a person asked this; what a framework sends to have something tried again is none.

    Examples
    --------
    >>> is_prompt(Message(role="user", content="Hi")), is_prompt(Message(role="assistant"))
    (True, False)
    """
    return message.role == "user" and message.get("kind") != "retry-prompt"


class Codec:
    """The chat codec: native messages are chat messages. Base of the others.

    Examples
    --------
    >>> Codec().view('[{"role":"user","content":"Hi"}]')[0].text
    'Hi'
    """

    name: ClassVar[str] = "chat"

    def items(self, body: str) -> list[Item]:
        """Return the native messages of a turn's body, each with its chat view.

        Examples
        --------
        >>> len(Codec().items('[{"role":"user","content":"Hi"}]'))
        1
        """
        native = from_json(body)
        return [Item(self.name, item, self.messages(item)) for item in native]

    def messages(self, native: Any) -> list[Message]:
        """Return the chat view of one native message.

        Examples
        --------
        >>> [message.role for message in Codec().messages({"role": "user"})]
        ['user']
        """
        return [Message.model_validate(native)]

    def view(self, body: str) -> list[Message]:
        """Return the chat view of a whole body.

        Examples
        --------
        >>> Codec().view("[]")
        []
        """
        return MESSAGES.validate_json(body)

    def encode(self, messages: Sequence[Message]) -> list[Any]:
        """Return chat messages as native messages.

        Examples
        --------
        >>> Codec().encode([Message(role="user", content="Hi")])
        [{'role': 'user', 'content': 'Hi'}]
        """
        return [message.to_dict() for message in messages]

    def keep(self, item: Item, kept: Container[int]) -> list[Item]:
        """Return what stands for those of an item's messages that are kept, by their position in it.

        Examples
        --------
        >>> Codec().keep(Codec().items('[{"role":"user"}]')[0], [])
        []
        """
        return rewrite(self.name, [message for at, message in enumerate(item.messages) if at in kept])

    def redact(self, item: Item, position: int) -> Any:
        """Return a native message without what the message at `position` of its view says.

        Examples
        --------
        >>> item = Codec().items('[{"role":"user","content":"hunter2","weight":1}]')[0]
        >>> Codec().redact(item, 0)
        {'role': 'user', 'content': '[redacted]'}
        """
        message = item.messages[position]
        kept = {name: item.native[name] for name in _SHAPE if name in item.native}
        if message.tool_calls:
            kept["tool_calls"] = [
                {"id": call.call_id, "type": "function", "function": {"name": call.name, "arguments": "{}"}}
                for call in message.calls
            ]
        return {"role": message.role, "content": REDACTED if message.content else message.content, **kept}


class PydanticAICodec(Codec):
    """pydantic-ai's messages, as its ``ModelMessagesTypeAdapter`` writes them (looked at: 2.68).

    https://ai.pydantic.dev/message-history/

    Examples
    --------
    >>> body = '[{"kind":"request","parts":[{"part_kind":"user-prompt","content":"Hi"}]}]'
    >>> PydanticAICodec().view(body)[0].to_dict()
    {'role': 'user', 'content': 'Hi'}
    """

    name: ClassVar[str] = "pydantic-ai"

    def view(self, body: str) -> list[Message]:
        return [message for item in self.items(body) for message in item.messages]

    def messages(self, native: Any) -> list[Message]:
        if native.get("kind") == "response":
            return self._response(native)
        found = [_request_part(part) for part in native.get("parts", [])]
        return [Message.model_validate(message) for message in found if message is not None]

    def _response(self, native: dict[str, Any]) -> list[Message]:
        text: list[str] = []
        thinking: list[str] = []
        calls: list[dict[str, Any]] = []
        for part in native.get("parts", []):
            kind = part.get("part_kind")
            if kind == "text":
                text.append(part["content"])
            elif kind == "thinking":
                thinking.append(part.get("content") or "")
            elif kind == "tool-call":
                calls.append(_call(part))
        message: dict[str, Any] = {"role": "assistant", "content": "".join(text) if text else None}
        if calls:
            message["tool_calls"] = calls
        if any(thinking):
            message["reasoning_content"] = "\n".join(thinking)
        return [Message.model_validate(message | _timestamp(native))]

    def keep(self, item: Item, kept: Container[int]) -> list[Item]:
        if item.native.get("kind") != "request":
            return super().keep(item, kept)
        # Its parts stay as they are: a system prompt may be a dynamic one, and instructions are of it all.
        parts, at = [], 0
        for part in item.native["parts"]:
            is_message = _request_part(part) is not None
            if not is_message or at in kept:
                parts.append(part)
            at += is_message
        native = {**item.native, "parts": parts}
        return [Item(self.name, native, self.messages(native))]

    def redact(self, item: Item, position: int) -> Any:
        parts, at = [], 0
        for part in item.native["parts"]:
            if item.native["kind"] == "response":
                parts += [_redacted(part)] if part.get("part_kind") != "thinking" else []
                continue
            is_message = _request_part(part) is not None
            parts.append(_redacted(part) if is_message and at == position else part)
            at += is_message
        # Beside its parts a response may hold the same words once more, such as their probabilities.
        told = {name: None for name in ("provider_details", "metadata") if item.native.get(name)}
        return {**item.native, **told, "parts": parts}

    def encode(self, messages: Sequence[Message]) -> list[Any]:
        native: list[dict[str, Any]] = []
        tools: dict[str, str] = {}
        for message in messages:
            stamp = _timestamp(message.to_dict())
            if message.role == "assistant":
                parts = _response_parts(message)
                tools |= {p["tool_call_id"]: p["tool_name"] for p in parts if p["part_kind"] == "tool-call"}
                native.append({"kind": "response", "parts": parts, **stamp})
                continue
            part = _encode_request(message, tools) | stamp
            if native and native[-1]["kind"] == "request":
                native[-1]["parts"].append(part)
            else:
                native.append({"kind": "request", "parts": [part], **stamp})
        return native


def _timestamp(holder: dict[str, Any]) -> dict[str, Any]:
    return {"timestamp": holder["timestamp"]} if holder.get("timestamp") else {}


def _redacted(part: dict[str, Any]) -> dict[str, Any]:
    kept = {name: part[name] for name in ("part_kind", *_SHAPE, "tool_name") if name in part}
    if part.get("part_kind") == "file":  # which without its file is none
        return {"part_kind": "text", "content": REDACTED}
    if part.get("part_kind") == "tool-call":
        return {**kept, "args": "{}"}
    return {**kept, "content": REDACTED}


def _call(part: dict[str, Any]) -> dict[str, Any]:
    arguments = part.get("args")
    if not isinstance(arguments, str):
        arguments = json.dumps(arguments or {}, ensure_ascii=False)
    function = {"name": part["tool_name"], "arguments": arguments}
    return {"id": part.get("tool_call_id"), "type": "function", "function": function}


def _request_part(part: dict[str, Any]) -> dict[str, Any] | None:
    kind, content = part.get("part_kind"), part.get("content")
    if kind == "system-prompt":
        return {"role": "system", "content": content, **_timestamp(part)}
    if kind == "user-prompt":
        return {"role": "user", "content": _user_content(content), **_timestamp(part)}
    if kind == "tool-return" or (kind == "retry-prompt" and part.get("tool_name")):
        text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
        named = {"name": part.get("tool_name"), "tool_call_id": part.get("tool_call_id")}
        return {"role": "tool", "content": text, **named, **_timestamp(part)}
    if kind in ("retry-prompt", "retry-feedback"):
        text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
        return {"role": "user", "content": text, "kind": "retry-prompt", **_timestamp(part)}
    return None


def _user_content(content: Any) -> str | list[Any]:
    if isinstance(content, str):
        return content
    parts: list[Any] = []
    for piece in content:
        if isinstance(piece, str):
            parts.append({"type": "text", "text": piece})
        elif piece.get("kind") == "image-url":
            detail = (piece.get("vendor_metadata") or {}).get("detail")
            image = {"url": piece["url"]} | ({"detail": detail} if detail else {})
            parts.append({"type": "image_url", "image_url": image})
        else:
            parts.append({"type": piece.get("kind", "unknown"), **piece})
    return parts


def _encode_request(message: Message, tools: dict[str, str]) -> dict[str, Any]:
    if message.role == "system":
        return {"part_kind": "system-prompt", "content": message.text}
    if message.role == "user" and not is_prompt(message):
        return {"part_kind": "retry-prompt", "content": message.text}
    if message.role == "tool":
        call_id = message.tool_call_id or ""
        name = message.name or tools.get(call_id, "tool")
        return {
            "part_kind": "tool-return",
            "tool_name": name,
            "content": message.text,
            "tool_call_id": call_id,
        }
    if isinstance(message.content, list):
        return {"part_kind": "user-prompt", "content": [_encode_piece(piece) for piece in message.content]}
    return {"part_kind": "user-prompt", "content": message.content or ""}


def _encode_piece(piece: Any) -> Any:
    if isinstance(piece, dict) and piece.get("type") == "text":
        return str(piece.get("text") or "")
    if isinstance(piece, dict) and piece.get("type") == "image_url":
        image = piece.get("image_url")
        image = image if isinstance(image, dict) else {"url": image}
        more = {"vendor_metadata": {"detail": image["detail"]}} if image.get("detail") else {}
        return {"kind": "image-url", "url": str(image.get("url") or ""), **more}
    if isinstance(piece, dict) and "kind" in piece:
        return {key: value for key, value in piece.items() if key != "type"}
    return piece if isinstance(piece, str) else json.dumps(piece, ensure_ascii=False)


def _response_parts(message: Message) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = []
    if message.text:
        parts.append({"part_kind": "text", "content": message.text})
    for call in message.calls:
        named = {"tool_name": call.name, "args": call.arguments}
        parts.append({"part_kind": "tool-call", **named, "tool_call_id": call.call_id})
    return parts


_CODECS: dict[str, Codec] = {member.name: member() for member in (Codec, PydanticAICodec)}


def codec(name: str) -> Codec:
    """Return the codec of this name.

    Raises
    ------
    InvalidInput
        There is none: a newer nbsessions, or a plug-in, wrote the turn.

    Examples
    --------
    >>> codec("chat").name
    'chat'
    """
    try:
        return _CODECS[name]
    except (KeyError, TypeError):
        raise InvalidInput(f"No codec reads {name!r}; these are known: {', '.join(_CODECS)}.") from None


def cut(name: str, body: str, keep: int) -> list[Item]:
    """Return the items that hold the first `keep` messages of a body.

    An item that stands for several messages, of which only some are kept, is written anew.

    Examples
    --------
    >>> body = '[{"role":"user","content":"Hi"},{"role":"assistant","content":"Hello"}]'
    >>> [item.native["role"] for item in cut("chat", body, 1)]
    ['user']
    """
    kept: list[Item] = []
    for item in codec(name).items(body):
        part = item.messages[:keep]
        if not part and item.messages:
            break
        whole = len(part) == len(item.messages)
        kept.extend([item] if whole else codec(name).keep(item, range(len(part))))
        keep -= len(part)
    return kept


def rewrite(name: str, messages: Sequence[Message]) -> list[Item]:
    """Return chat messages as items of a codec.

    Examples
    --------
    >>> rewrite("pydantic-ai", [Message(role="user", content="Hi")])[0].native["kind"]
    'request'
    """
    reader = codec(name)
    return [Item(name, native, reader.messages(native)) for native in reader.encode(messages)]


def translate(items: Iterable[Item], target: str) -> str:
    """Return items of any codec as a JSON array in the `target` codec.

    Items of that codec stay as they are; neighbours of others go through the chat view together.

    Examples
    --------
    >>> items = codec("chat").items('[{"role":"user","content":"Hi"}]')
    >>> translate(items, "pydantic-ai")
    '[{"kind":"request","parts":[{"part_kind":"user-prompt","content":"Hi"}]}]'
    """
    native: list[Any] = []
    foreign: list[Message] = []
    for item in items:
        if item.codec == target:
            native += codec(target).encode(foreign)
            foreign = []
            native.append(item.native)
        else:
            foreign += item.messages
    native += codec(target).encode(foreign)
    return encode_json(native, "history")
