"""The items of OpenAI's Responses API, as the Agents SDK and Codex keep them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Final

from nbsessions.codecs.base import REDACTED, Codec, Item
from nbsessions.codecs.telling import kinds
from nbsessions.records import Message

_CONTEXT: Final = re.compile(
    r"""\s*(?:
      <(environment_context|user_instructions|user_shell_command|turn_aborted|subagent_notification
        |subagents|skill|tool_context|reasoning_context|pinned_notes|recommended_plugins|goal_context
        |hook_additional_context)\b[^>]*>.*</\1>
    | \#[ ]AGENTS\.md[ ]instructions[ ]for[ ].*
    )\s*""",
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)
"""What Codex tells its model in the name of the user."""
_FILE: Final[tuple[str, ...]] = ("file_id", "file_url", "file_data", "filename")
_KEPT: Final[tuple[str, ...]] = (
    "type",
    "role",
    "status",
    "call_id",
    "name",
    "namespace",
    "execution",
    "phase",
)
"""What stays of a redacted item; not its id, by which the API would ask for the reasoning before it."""


class OpenAIAgentsCodec(Codec):
    """Items of the Responses API, which sessions of the OpenAI Agents SDK hold (looked at: 0.24.0).

    https://platform.openai.com/docs/api-reference/responses and
    https://openai.github.io/openai-agents-python/sessions/

    What the model says in one go (reasoning, text, calls of tools) is several items and one chat message:
    a chat provider wants all calls in one message, and their results right after it. Tools that the
    provider itself calls, such as a search of the web, have no place in the chat view.

    Examples
    --------
    >>> call = '{"type":"function_call","call_id":"c1","name":"add","arguments":"{}"}'
    >>> text = '{"type":"message","role":"assistant","content":[{"type":"output_text","text":"Wait."}]}'
    >>> view = OpenAIAgentsCodec().view(f'[{{"role":"user","content":"1 + 2?"}},{text},{call}]')
    >>> [(message.role, message.text, len(message.calls)) for message in view]
    [('user', '1 + 2?', 0), ('assistant', 'Wait.', 1)]
    """

    name: ClassVar[str] = "openai-agents"
    tells: ClassVar[frozenset[str]] = frozenset({"image_url", "file"})

    def view(self, body: str) -> list[Message]:
        return [message for item in self.items(body) for message in item.messages]

    def messages(self, native: Any) -> list[Message]:
        return [message for item in self.group([native]) for message in item.messages]

    def group(self, natives: Sequence[Any]) -> list[Item]:
        found: list[Item] = []
        said: list[dict[str, Any]] = []
        for native in natives:
            if not isinstance(native, dict):
                raise ValueError(f"an item is no JSON object, but {type(native).__name__}")
            told = _told(native)
            if said and (told is not None or _is_new_answer(said, native)):
                found.append(self._answer(said))
                said = []
            if told is None:
                said.append(native)
            else:
                found.append(Item(self.name, native, [Message.model_validate(told)]))
        return [*found, self._answer(said)] if said else found

    def _answer(self, said: list[dict[str, Any]]) -> Item:
        return Item(self.name, said[0], [Message.model_validate(_answer(said))], tuple(said[1:]))

    def beside(self, item: Item) -> Iterable[str]:
        return kinds(_kind(one) for one in item.natives if _kind(one).endswith("_call") and not _is_call(one))

    def redact(self, item: Item, position: int) -> list[Any]:
        # What was thought, and what the provider's own tools were asked, goes whole.
        kept = [_redacted(one) for one in item.natives if _stays(one)]
        return kept or [{"role": "assistant", "content": REDACTED}]

    def encode(self, messages: Sequence[Message]) -> list[Any]:
        native: list[dict[str, Any]] = []
        for message in messages:
            if message.role == "tool":
                named = {"call_id": message.tool_call_id or "", "output": message.text}
                native.append({"type": "function_call_output", **named})
                continue
            text = message.text or message.get("refusal")
            if message.role != "assistant" or (isinstance(text, str) and text) or not message.calls:
                native.append({"role": message.role, "content": _content(message, text)})
            native += [
                {
                    "type": "function_call",
                    "call_id": call.call_id,
                    "name": call.name,
                    "arguments": call.arguments,
                }
                for call in (message.calls if message.role == "assistant" else [])
            ]
        return native


def _kind(item: dict[str, Any]) -> str:
    kind = item.get("type")
    return kind if isinstance(kind, str) and kind else "message" if "role" in item else "unknown"


def _told(item: dict[str, Any]) -> dict[str, Any] | None:
    """Return the chat message that an item is by itself; None where it is a part of an answer."""
    kind = _kind(item)
    if kind.endswith("_output"):
        return {"role": "tool", "content": _output(item), "tool_call_id": _text(item.get("call_id")) or None}
    if kind != "message":
        return None
    role = item.get("role")
    if role in ("system", "developer"):
        return {"role": "system", "content": _view(item.get("content"))}
    if role != "user":
        return None
    content = _view(item.get("content"))
    told = [content] if isinstance(content, str) else [part.get("text") for part in content]
    is_context = all(isinstance(text, str) and _CONTEXT.fullmatch(text) for text in told)
    return {"role": "user", "content": content, **({"kind": "context"} if told and is_context else {})}


def _is_new_answer(said: list[dict[str, Any]], item: dict[str, Any]) -> bool:
    """Tell whether an item begins another answer: text after text, unless calls wait for their results."""
    if any(_is_call(one) for one in said):
        return False
    return _kind(item) in ("message", "reasoning") and any(_kind(one) == "message" for one in said)


def _answer(said: list[dict[str, Any]]) -> dict[str, Any]:
    text: list[str] = []
    refusals: list[str] = []
    thinking: list[str] = []
    for item in said:
        if _kind(item) == "message":
            for part in _parts(item.get("content")):
                text.append(_text(part.get("text")))
                refusals.append(_text(part.get("refusal")))
        elif _kind(item) == "reasoning":
            thinking += _texts(item.get("summary")) or _texts(item.get("content"))
    message: dict[str, Any] = {"role": "assistant", "content": "".join(text) or None}
    calls = [_call(item) for item in said if _is_call(item)]
    if calls:
        message["tool_calls"] = calls
    if any(refusals):
        message["refusal"] = "".join(refusals)
    if thinking:
        message["reasoning_content"] = "\n".join(thinking)
    return message


def _is_call(item: dict[str, Any]) -> bool:
    """Tell whether an item calls a tool on this side, whose result is an item of its own."""
    return _kind(item).endswith("_call") and isinstance(item.get("call_id"), str)


def _call(item: dict[str, Any]) -> dict[str, Any]:
    name = _text(item.get("name")) or _kind(item).removesuffix("_call")
    arguments = item.get("arguments")
    if not isinstance(arguments, str):
        given = {key: item[key] for key in ("input", "action", "operation", "arguments") if key in item}
        only = next(iter(given.values()), None)
        told = only if isinstance(only, dict) else given
        arguments = json.dumps(told, ensure_ascii=False)
    return {"id": item["call_id"], "type": "function", "function": {"name": name, "arguments": arguments}}


def _output(item: dict[str, Any]) -> str | list[Any]:
    output = item.get("output", item.get("tools"))
    if isinstance(output, dict) and isinstance(output.get("content"), str):  # as Codex wrote it once
        return str(output["content"])
    if isinstance(output, list) and all(isinstance(part, dict) and "type" in part for part in output):
        return _view(output)
    if isinstance(output, str):
        return output
    return "" if output is None else json.dumps(output, ensure_ascii=False)


def _view(content: object) -> str | list[Any]:
    if isinstance(content, str):
        return content
    parts = [_view_part(part) for part in _parts(content)]
    if len(parts) == 1 and parts[0].get("type") == "text":
        return str(parts[0]["text"])
    return parts


def _view_part(part: dict[str, Any]) -> dict[str, Any]:
    kind = part.get("type")
    if kind in ("input_text", "output_text", "text"):
        return {"type": "text", "text": _text(part.get("text"))}
    if kind == "input_image" and isinstance(part.get("image_url"), str):
        detail = {"detail": part["detail"]} if part.get("detail") else {}
        return {"type": "image_url", "image_url": {"url": part["image_url"], **detail}}
    if kind == "input_file":
        return {"type": "file", "file": {key: part[key] for key in _FILE if part.get(key)}}
    return part


def _content(message: Message, text: object) -> str | list[Any]:
    content = message.content
    if message.role == "assistant" or not isinstance(content, list):
        return text if isinstance(text, str) else ""
    return [_encode_part(part) for part in content]


def _encode_part(part: object) -> dict[str, Any]:
    if not isinstance(part, dict):
        return {"type": "input_text", "text": _text(part)}
    if part.get("type") == "text":
        return {"type": "input_text", "text": _text(part.get("text"))}
    if part.get("type") == "image_url":
        image = part.get("image_url")
        image = image if isinstance(image, dict) else {"url": image}
        detail = image.get("detail") or "auto"
        return {"type": "input_image", "image_url": _text(image.get("url")), "detail": detail}
    if part.get("type") == "file" and isinstance(part.get("file"), dict):
        return {"type": "input_file", **part["file"]}
    return part


def _stays(item: dict[str, Any]) -> bool:
    return _kind(item) == "message" or _is_call(item) or _kind(item).endswith("_output")


def _redacted(item: dict[str, Any]) -> dict[str, Any]:
    kept = {name: item[name] for name in _KEPT if name in item}
    kind = _kind(item)
    if kind.endswith("_output"):
        return {**kept, "output": REDACTED}
    if kind != "message":
        return {**kept, **({"input": ""} if "input" in item else {"arguments": "{}"})}
    if isinstance(item.get("content"), str):
        return {**kept, "content": REDACTED}
    if item.get("role") == "assistant":
        return {**kept, "content": [{"type": "output_text", "text": REDACTED, "annotations": []}]}
    return {**kept, "content": [{"type": "input_text", "text": REDACTED}]}


def _parts(content: object) -> list[dict[str, Any]]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    found = content if isinstance(content, list) else []
    return [part if isinstance(part, dict) else {"type": "text", "text": _text(part)} for part in found]


def _texts(parts: object) -> list[str]:
    return [text for part in _parts(parts) if (text := _text(part.get("text")))]


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
