"""Messages made of blocks, as Anthropic's API has them, as chat messages."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from nbsessions.formats.reading import dict_of, list_of, text_of


def chat_messages(message: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the chat messages that a message of blocks stands for: results of tools, then what was said.

    https://docs.anthropic.com/en/api/messages. Fields beside ``role`` and ``content`` stay on the last one.

    Examples
    --------
    >>> use = {"type": "tool_use", "id": "t1", "name": "read", "input": {"p": "a"}}
    >>> [one] = chat_messages({"role": "assistant", "content": [use]})
    >>> one["content"], one["tool_calls"][0]["function"]
    (None, {'name': 'read', 'arguments': '{"p": "a"}'})
    >>> result = {"type": "tool_result", "tool_use_id": "t1", "content": "x"}
    >>> list(chat_messages({"role": "user", "content": [result]}))
    [{'role': 'tool', 'tool_call_id': 't1', 'content': 'x'}]
    """
    content = message.get("content")
    if not isinstance(content, list):
        yield dict(message)
        return
    results = [_result(block) for block in content if dict_of(block).get("type") == "tool_result"]
    calls = [_call(block) for block in content if dict_of(block).get("type") == "tool_use"]
    rest = [block for block in content if dict_of(block).get("type") not in ("tool_result", "tool_use")]
    more = {key: value for key, value in message.items() if key != "content"}
    found = results
    if rest or calls or not results:
        thought = [block["thinking"] for block in rest if _is_thought(block)]
        said = _content([block for block in rest if not _is_thought(block)])
        found.append({**more, "content": said or (None if calls else "")})
        if calls:
            found[-1]["tool_calls"] = calls
        if thought:
            found[-1].setdefault("reasoning_content", "\n".join(thought))
    else:
        found[-1] |= {key: value for key, value in more.items() if key != "role"}
    yield from found


def _is_thought(block: Any) -> bool:
    told = dict_of(block)
    return told.get("type") == "thinking" and isinstance(told.get("thinking"), str)


def _content(blocks: list[Any]) -> str | list[Any]:
    """Return blocks as text, where they are nothing else, or as content parts."""
    if all(dict_of(block).get("type") == "text" and isinstance(block.get("text"), str) for block in blocks):
        return "".join(block["text"] for block in blocks)
    return [_part(block) for block in blocks]


def _part(block: Any) -> Any:
    source = dict_of(dict_of(block).get("source"))
    if dict_of(block).get("type") != "image":
        return block
    url = source.get("url")
    if source.get("type") == "base64" and isinstance(source.get("data"), str):
        url = f"data:{text_of(source.get('media_type')) or 'image/png'};base64,{source['data']}"
    return {"type": "image_url", "image_url": {"url": url}} if isinstance(url, str) else block


def _call(block: dict[str, Any]) -> dict[str, Any]:
    arguments = json.dumps(block.get("input") or {}, ensure_ascii=False)
    function = {"name": text_of(block.get("name")) or "tool", "arguments": arguments}
    return {"id": text_of(block.get("id")) or "", "type": "function", "function": function}


def _result(block: dict[str, Any]) -> dict[str, Any]:
    content = block.get("content")
    said = _content(list_of(content)) if isinstance(content, list) else content
    if not isinstance(said, (str, list)):
        said = "" if said is None else json.dumps(said, ensure_ascii=False)
    listed = ("type", "tool_use_id", "content", "is_error")
    more = {key: value for key, value in block.items() if key not in listed}
    if block.get("is_error"):
        more["is_error"] = True
    call_id = text_of(block.get("tool_use_id"))
    return {"role": "tool", "tool_call_id": call_id, "content": said, **more}
