"""Messages of Anthropic's API as chat messages, and what they cost.

https://docs.anthropic.com/en/api/messages (looked at: version 2023-06-01).
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from nbsessions.formats.reading import count_of, dict_of, list_of, text_of
from nbsessions.records import Usage
from nbsessions.values import encode_json


def blocks_of(content: object) -> list[dict[str, Any]]:
    """Return the content blocks of a message; a text is one block.

    Examples
    --------
    >>> blocks_of("Hi"), blocks_of(None)
    ([{'type': 'text', 'text': 'Hi'}], [])
    """
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    return [
        block if isinstance(block, dict) else {"type": "text", "text": str(block)}
        for block in list_of(content)
    ]


def assistant_message(blocks: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what the model said, with its calls of tools, as one chat message.

    Its thinking stays as it came, too (``thinking_blocks``), because the API wants the signatures back. So
    do blocks of tools that Anthropic itself runs (``server_blocks``).

    Examples
    --------
    >>> assistant_message([{"type": "text", "text": "Hi"}])
    {'role': 'assistant', 'content': 'Hi'}
    """
    text = [block["text"] for block in blocks if _is(block, "text") and isinstance(block.get("text"), str)]
    message: dict[str, Any] = {"role": "assistant", "content": "".join(text) or None}
    calls = [_call(block) for block in blocks if _is(block, "tool_use")]
    if calls:
        message["tool_calls"] = calls
    thinking = [block for block in blocks if _is(block, "thinking", "redacted_thinking")]
    thought = [told for block in thinking if (told := text_of(block.get("thinking")))]
    if thought:
        message["reasoning_content"] = "\n".join(thought)
    if any(block.get("signature") or block.get("data") for block in thinking):
        message["thinking_blocks"] = thinking
    others = [
        block for block in blocks if not _is(block, "text", "tool_use", "thinking", "redacted_thinking")
    ]
    return message | ({"server_blocks": others} if others else {})


def result_message(block: dict[str, Any]) -> dict[str, Any]:
    """Return the result of a tool as a chat message.

    Examples
    --------
    >>> result_message({"type": "tool_result", "tool_use_id": "c1", "content": "3", "is_error": True})
    {'role': 'tool', 'content': '3', 'tool_call_id': 'c1', 'is_error': True}
    """
    content = block.get("content")
    told = content if isinstance(content, str) else user_content(blocks_of(content))
    message = {"role": "tool", "content": told, "tool_call_id": text_of(block.get("tool_use_id"))}
    return message | ({"is_error": True} if block.get("is_error") is True else {})


def user_content(blocks: list[dict[str, Any]]) -> str | list[Any]:
    """Return what a person said: a text where there is nothing else, else content parts.

    Examples
    --------
    >>> user_content([{"type": "text", "text": "Hi"}])
    'Hi'
    >>> source = {"type": "base64", "media_type": "image/png", "data": "iVBO"}
    >>> user_content([{"type": "image", "source": source}])
    [{'type': 'image_url', 'image_url': {'url': 'data:image/png;base64,iVBO'}}]
    """
    parts = [_part(block) for block in blocks]
    if len(parts) == 1 and parts[0].get("type") == "text":
        return str(parts[0]["text"])
    return parts or ""


def usage_of(usage: dict[str, Any], *, cost: object = None) -> Usage | None:
    """Return what one request cost; None where nothing is told.

    Anthropic's `input_tokens` leaves out what was read from a cache and written to one; ours does not.

    Examples
    --------
    >>> told = {"input_tokens": 3, "cache_read_input_tokens": 90, "cache_creation_input_tokens": 7}
    >>> usage_of({**told, "output_tokens": 5}).input_tokens
    100
    """
    read = count_of(usage.get("cache_read_input_tokens"))
    written = count_of(usage.get("cache_creation_input_tokens"))
    fresh, output = count_of(usage.get("input_tokens")), count_of(usage.get("output_tokens"))
    if not (fresh or read or written or output):
        return None
    return Usage(
        input_tokens=fresh + read + written,
        output_tokens=output,
        cache_read_tokens=read,
        cache_write_tokens=written,
        requests=1,
        cost=_cost(cost),
    )


def _cost(cost: object) -> Decimal | None:
    if isinstance(cost, bool) or not isinstance(cost, (int, float)) or not 0 <= cost < 10**9:
        return None
    return Decimal(str(cost))


def _is(block: dict[str, Any], *kinds: str) -> bool:
    return block.get("type") in kinds


def _call(block: dict[str, Any]) -> dict[str, Any]:
    given = block.get("input")
    arguments = given if isinstance(given, str) else encode_json(given or {}, "arguments")
    function = {"name": text_of(block.get("name")) or "tool", "arguments": arguments}
    return {"id": text_of(block.get("id")), "type": "function", "function": function}


def _part(block: dict[str, Any]) -> dict[str, Any]:
    if _is(block, "text"):
        text = block.get("text")
        return {"type": "text", "text": text if isinstance(text, str) else ""}
    source = dict_of(block.get("source"))
    url = text_of(source.get("url"))
    if source.get("type") == "base64" and isinstance(source.get("data"), str):
        url = (
            f"data:{text_of(source.get('media_type')) or 'application/octet-stream'};base64,{source['data']}"
        )
    if _is(block, "image") and url:
        return {"type": "image_url", "image_url": {"url": url}}
    if _is(block, "document") and url:
        name = text_of(block.get("title")) or text_of(block.get("name"))
        return {"type": "file", "file": {"file_data": url, **({"filename": name} if name else {})}}
    return block
