"""The messages of pydantic-ai."""

from __future__ import annotations

import json
from collections.abc import Container, Iterable, Sequence
from typing import Any, ClassVar

from pydantic import ValidationError

from nbsessions.codecs.base import REDACTED, SHAPE, Codec, Item
from nbsessions.codecs.telling import kinds
from nbsessions.records import Message, Spent, Usage


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
    tells: ClassVar[frozenset[str]] = frozenset({"image_url"})

    def view(self, body: str) -> list[Message]:
        return [message for item in self.items(body) for message in item.messages]

    def messages(self, native: Any) -> list[Message]:
        parts = _parts(native)
        if native.get("kind") == "response":
            return self._response(native, parts)
        found = [_request_part(part) for part in parts]
        return [Message.model_validate(message) for message in found if message is not None]

    def _response(self, native: dict[str, Any], parts: list[dict[str, Any]]) -> list[Message]:
        text: list[str] = []
        thinking: list[str] = []
        calls: list[dict[str, Any]] = []
        for part in parts:
            kind = part.get("part_kind")
            if kind == "text":
                text.append(_text(part, "content"))
            elif kind == "thinking":
                thinking.append(_text(part, "content", ""))
            elif kind == "tool-call":
                calls.append(_call(part))
        message: dict[str, Any] = {"role": "assistant", "content": "".join(text) if text else None}
        if calls:
            message["tool_calls"] = calls
        if any(thinking):
            message["reasoning_content"] = "\n".join(thinking)
        return [Message.model_validate(message | _timestamp(native))]

    def spent(self, item: Item) -> Spent | None:
        usage = item.native.get("usage")
        if not isinstance(usage, dict):
            return None
        model, provider = item.native.get("model_name"), item.native.get("provider_name")
        try:
            told = Usage(
                input_tokens=usage.get("input_tokens") or 0,
                output_tokens=usage.get("output_tokens") or 0,
                reasoning_tokens=usage.get("output_reasoning_tokens") or 0,
                requests=1,
            )
        except ValidationError:
            return None
        return Spent(told, model, provider)

    def beside(self, item: Item) -> Iterable[str]:
        found = [str(part.get("part_kind")) for part in _parts(item.native)]
        return kinds(kind for kind in found if kind == "file" or kind.endswith("-tool-call"))

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

    def redact(self, item: Item, position: int) -> list[Any]:
        parts, at = [], 0
        for part in item.native["parts"]:
            if item.native.get("kind") == "response":
                parts += [_redacted(part)] if part.get("part_kind") != "thinking" else []
                continue
            is_message = _request_part(part) is not None
            parts.append(_redacted(part) if is_message and at == position else part)
            at += is_message
        # Beside its parts a response may hold the same words once more, such as their probabilities.
        told = {name: None for name in ("provider_details", "metadata") if item.native.get(name)}
        return [{**item.native, **told, "parts": parts}]

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


def _parts(native: Any) -> list[dict[str, Any]]:
    """Return the parts of a message. Raises ValueError where it has none that can be read."""
    parts = native.get("parts", []) if isinstance(native, dict) else None
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        raise ValueError("a message has no list of parts")
    return parts


def _text(part: dict[str, Any], name: str, default: str | None = None) -> str:
    value = part.get(name)
    if value is None and default is not None:
        return default
    if not isinstance(value, str):
        raise ValueError(f"a part of kind {part.get('part_kind')!r} has no {name}")
    return value


def _timestamp(holder: dict[str, Any]) -> dict[str, Any]:
    return {"timestamp": holder["timestamp"]} if holder.get("timestamp") else {}


def _redacted(part: dict[str, Any]) -> dict[str, Any]:
    kept = {name: part[name] for name in ("part_kind", *SHAPE, "tool_name") if name in part}
    if part.get("part_kind") == "file":  # which without its file is none
        return {"part_kind": "text", "content": REDACTED}
    if part.get("part_kind") == "tool-call":
        return {**kept, "args": "{}"}
    return {**kept, "content": REDACTED}


def _call(part: dict[str, Any]) -> dict[str, Any]:
    arguments = part.get("args")
    if not isinstance(arguments, str):
        arguments = json.dumps(arguments or {}, ensure_ascii=False)
    function = {"name": _text(part, "tool_name"), "arguments": arguments}
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
    if not isinstance(content, list):
        raise ValueError("a part of kind 'user-prompt' has no content")
    return [_user_piece(piece) for piece in content]


def _user_piece(piece: Any) -> dict[str, Any]:
    if isinstance(piece, str):
        return {"type": "text", "text": piece}
    if not isinstance(piece, dict):
        raise ValueError("a part of kind 'user-prompt' has a piece of no kind")
    if piece.get("kind") == "image-url":
        metadata = piece.get("vendor_metadata")
        detail = metadata.get("detail") if isinstance(metadata, dict) else None
        image = {"url": piece.get("url")} | ({"detail": detail} if detail else {})
        return {"type": "image_url", "image_url": image}
    return {"type": piece.get("kind", "unknown"), **piece}


def _encode_request(message: Message, tools: dict[str, str]) -> dict[str, Any]:
    if message.role == "system":
        return {"part_kind": "system-prompt", "content": message.text}
    if message.role == "user" and message.get("kind") == "retry-prompt":
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
