"""The messages of LangChain, which LangGraph keeps as well."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, ClassVar, Final

from nbsessions.codecs.base import REDACTED, SHAPE, Codec, Item
from nbsessions.records import Message

_ROLES: Final[dict[str, str]] = {
    "human": "user",
    "ai": "assistant",
    "system": "system",
    "tool": "tool",
    "function": "tool",
}
_KINDS: Final[dict[str, str]] = {"user": "human", "assistant": "ai", "system": "system", "tool": "tool"}
_CHAT: Final[dict[str, str]] = {**_ROLES, **{role: role for role in _KINDS}, "developer": "system"}
"""What the roles of messages of the kind ``chat`` mean, which may be any text."""
_THOUGHTS: Final = ("reasoning", "thinking")


class LangChainCodec(Codec):
    """Messages of LangChain, as its ``messages_to_dict`` writes them (looked at: langchain-core 1.8).

    https://docs.langchain.com/oss/python/langchain/messages

    Each has a ``type`` and its ``data``, which ``messages_from_dict`` makes the message of again. Nothing in
    it names a class to be imported, as what ``dumpd`` writes does.

    Examples
    --------
    >>> body = '[{"type":"human","data":{"content":"Hi"}},{"type":"ai","data":{"content":"Hello"}}]'
    >>> [(message.role, message.text) for message in LangChainCodec().view(body)]
    [('user', 'Hi'), ('assistant', 'Hello')]
    """

    name: ClassVar[str] = "langchain"
    tells: ClassVar[frozenset[str]] = frozenset({"image_url", "file", "input_audio"})

    def view(self, body: str) -> list[Message]:
        return [message for item in self.items(body) for message in item.messages]

    def messages(self, native: Any) -> list[Message]:
        data = _data(native)
        role = _role(native, data)
        if role is None:
            return []
        told: dict[str, Any] = {"role": role, "content": _content(data.get("content"), role)}
        if role == "assistant":
            told |= _said(data)
        if role == "tool":
            told["tool_call_id"] = data.get("tool_call_id")
        if isinstance(data.get("name"), str):
            told["name"] = data["name"]
        return [Message.model_validate(told)]

    def redact(self, item: Item, position: int) -> list[Any]:
        data = _data(item.native)
        # Not the id of an answer, by which a provider would find what it kept of it.
        stays = ("type", "role", *SHAPE, *(() if item.messages[position].role == "assistant" else ("id",)))
        kept = {name: data[name] for name in stays if name in data}
        if item.messages[position].calls:
            kept["tool_calls"] = [
                {"name": call.name, "args": {}, "id": call.call_id, "type": "tool_call"}
                for call in item.messages[position].calls
            ]
        content = REDACTED if data.get("content") else ""
        kind = {"type": item.native["type"]} if "type" in item.native else {}
        return [{**kind, "data": {"content": content, **kept}}]

    def encode(self, messages: Sequence[Message]) -> list[Any]:
        return [{"type": _KINDS[message.role], "data": _encoded(message)} for message in messages]


def _data(native: Any) -> dict[str, Any]:
    """Return what a message says. Raises ValueError where it is none."""
    data = native.get("data") if isinstance(native, dict) else None
    if not isinstance(data, dict):
        raise ValueError("a message has no data")
    return data


def _role(native: dict[str, Any], data: dict[str, Any]) -> str | None:
    """Return the role of a message; None where it tells to remove another, and says nothing."""
    kind = str(native.get("type") or data.get("type") or "").removesuffix("MessageChunk").lower()
    if kind == "remove":
        return None
    if kind == "chat":
        return _CHAT.get(str(data.get("role")).lower(), "user")
    if kind not in _ROLES:
        raise ValueError(f"a message is of the kind {kind[:40]!r}")
    return _ROLES[kind]


def _content(content: object, role: str) -> str | list[Any] | None:
    if isinstance(content, str):
        return content if content or role != "assistant" else None
    if not isinstance(content, list):
        return None if role == "assistant" else ""
    parts = [part if isinstance(part, dict) else {"type": "text", "text": _text(part)} for part in content]
    if role in ("user", "system"):
        return parts
    text = [_text(part.get("text")) for part in parts if part.get("type") == "text"]
    if role == "tool" and len(text) < len(parts):
        return json.dumps(content, ensure_ascii=False)
    return "".join(text) or (None if role == "assistant" else "")


def _said(data: dict[str, Any]) -> dict[str, Any]:
    """Return what only answers have: calls of tools, and what was thought."""
    told: dict[str, Any] = {}
    calls = [_call(call) for name in ("tool_calls", "invalid_tool_calls") for call in _dicts(data.get(name))]
    if calls:
        told["tool_calls"] = calls
    thoughts = [_thought(part) for part in _dicts(data.get("content")) if part.get("type") in _THOUGHTS]
    more = data.get("additional_kwargs")
    if isinstance(more, dict):
        thoughts.append(_text(more.get("reasoning_content")))
    if any(thoughts):
        told["reasoning_content"] = "\n".join(text for text in thoughts if text)
    return told


def _call(call: dict[str, Any]) -> dict[str, Any]:
    arguments = call.get("args")
    if not isinstance(arguments, str):
        arguments = json.dumps(arguments or {}, ensure_ascii=False)
    function = {"name": _text(call.get("name")) or "tool", "arguments": arguments}
    return {"id": _text(call.get("id")), "type": "function", "function": function}


def _thought(part: dict[str, Any]) -> str:
    told = _text(part.get("reasoning")) or _text(part.get("thinking"))
    return told or "\n".join(_text(piece.get("text")) for piece in _dicts(part.get("summary")))


def _encoded(message: Message) -> dict[str, Any]:
    data: dict[str, Any] = {"content": message.content or "", "type": _KINDS[message.role]}
    if message.name is not None:
        data["name"] = message.name
    if message.role == "tool":
        return {**data, "content": message.text, "tool_call_id": message.tool_call_id or ""}
    if message.role == "assistant":
        data["content"] = message.text or _text(message.get("refusal"))
        for call in message.calls:
            _encode_call(data, call.call_id, call.name, call.arguments)
    return data


def _encode_call(data: dict[str, Any], call_id: str, name: str, arguments: str) -> None:
    try:
        parsed = json.loads(arguments)
    except ValueError:
        parsed = None
    known = {"name": name, "id": call_id}
    if isinstance(parsed, dict):
        data.setdefault("tool_calls", []).append({**known, "args": parsed, "type": "tool_call"})
    else:  # what a model wrote is kept, as LangChain keeps what cannot be parsed
        failed = {**known, "args": arguments, "error": None, "type": "invalid_tool_call"}
        data.setdefault("invalid_tool_calls", []).append(failed)


def _dicts(value: object) -> list[dict[str, Any]]:
    return [part for part in value if isinstance(part, dict)] if isinstance(value, list) else []


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
