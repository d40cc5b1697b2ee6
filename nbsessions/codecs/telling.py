"""
What an agent can be told of what was said before it, to others.

What it cannot be told stays in the store, for whoever can take it, and is counted: nothing is left out
without a word.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from nbsessions.codecs.base import Codec, Item
from nbsessions.records import Message

NO_RESULT: Final = "The call was stopped: it has no result."
_KINDS: Final = {"image": "image", "audio": "recording", "video": "video", "file": "file", "document": "file"}


class Told(NamedTuple):
    """What an agent is told.

    Attributes
    ----------
    native : list of object
        Messages in its own codec.
    messages : list of Message
        The same as a chat, each call with its result.
    untold : Counter of str
        What it cannot be told, by what it is: ``image``, ``thought``...
    """

    native: list[Any]
    messages: list[Message]
    untold: Counter[str]


def tell(
    items: Iterable[Item],
    target: Codec,
    codec: Callable[[str], Codec],
    takes: Collection[str] | None = None,
) -> Told:
    """Return what an agent can be told of items of any codec.

    Items of its own codec stay as they are; neighbours of others go through the chat view together.

    Parameters
    ----------
    items : iterable of Item
    target : Codec
        The agent's own.
    codec : callable
        Returns the codec of a name.
    takes : collection of str or None
        Types of parts, beside text, that the agent takes. None: all that its codec can write.

    Examples
    --------
    >>> chat = Codec()
    >>> tell(chat.items('[{"role":"user","content":"Hi"}]'), chat, lambda name: chat).native
    [{'role': 'user', 'content': 'Hi'}]
    """
    native: list[Any] = []
    foreign: list[Message] = []
    messages: list[Message] = []
    untold: Counter[str] = Counter()
    takes = target.tells if takes is None else takes
    for item in items:
        own = item.codec == target.name
        seen = (
            item.messages
            if own and takes == target.tells
            else [_told(m, takes, untold) for m in item.messages]
        )
        messages += seen
        if own:
            native += target.encode(repaired(foreign))
            foreign = []
            native += item.natives
        else:
            untold.update(codec(item.codec).beside(item))
            foreign += seen
    native += target.encode(repaired(foreign))
    return Told(native, repaired(messages), untold)


def repaired(messages: Sequence[Message]) -> list[Message]:
    """Return a chat in which each call of a tool has its result, and each result its call.

    A rewind may have cut between them, or a run was stopped there: no provider takes that.

    Examples
    --------
    >>> call = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": "{}"}}
    >>> stopped = [Message(role="assistant", tool_calls=[call]), Message(role="user", content="Go on")]
    >>> [message.role for message in repaired(stopped)]
    ['assistant', 'tool', 'user']
    """
    results: dict[int, dict[str, int]] = {}
    last: dict[str, int] = {}
    for place, message in enumerate(messages):
        if message.role == "tool" and message.tool_call_id in last:
            results[last[message.tool_call_id]].setdefault(message.tool_call_id, place)
        for call in message.calls:
            last[call.call_id] = place
            results.setdefault(place, {})
    found: list[Message] = []
    for place, message in enumerate(messages):
        # One without any id, as of a tool that nobody called, is not known to be wrong.
        if message.role == "tool" and message.tool_call_id is not None:
            continue
        found.append(message)
        own = results.get(place, {})
        found += [messages[at] for at in sorted(own.values())]
        found += [
            Message(role="tool", content=NO_RESULT, tool_call_id=call.call_id, name=call.name)
            for call in message.calls
            if call.call_id not in own
        ]
    return found


def _told(message: Message, takes: Collection[str], untold: Counter[str]) -> Message:
    """Return a message with what can be told, and count the rest."""
    changes: dict[str, Any] = {}
    if message.get("reasoning_content") and "thought" not in takes:
        untold["thought"] += 1
        changes["reasoning_content"] = None
    if isinstance(message.content, list):
        left = [part for part in message.content if not _is_told(part, takes)]
        if left:
            untold.update(map(_kind, left))
            changes["content"] = [part for part in message.content if _is_told(part, takes)]
    return message.model_copy(update=changes) if changes else message


def _is_told(part: object, takes: Collection[str]) -> bool:
    kind = part.get("type") if isinstance(part, dict) else "text"
    return kind in ("text", "input_text", "output_text") or "*" in takes or kind in takes


def _kind(part: dict[str, Any]) -> str:
    """Return what people call a part of a message."""
    told = f"{part.get('type')} {part.get('media_type', '')}"
    return next((name for kind, name in _KINDS.items() if kind in told), "other part")


def kinds(parts: Iterable[str]) -> Iterator[str]:
    """Yield what people call native parts of these kinds that have no place in a chat.

    Examples
    --------
    >>> list(kinds(["builtin-tool-call", "file"]))
    ['provider-side call', 'file']
    """
    for part in parts:
        is_call = part.endswith(("-call", "_call"))
        yield "provider-side call" if is_call else _kind({"type": part})
