"""What the agent sees of a session: all of it, or the last messages that a limit leaves."""

from __future__ import annotations

from collections.abc import Sequence

from nbsessions.codecs import Item, codec
from nbsessions.records import Message
from nbsessions.values import check_count


def trim(items: Sequence[Item], max_messages: int | None) -> list[Item]:
    """Return the items that hold at most `max_messages` messages.

    All system messages stay, with the last of the others; where there are as many system messages
    as the limit, they stand alone. A tool's result is left out where its call is. What is stored
    does not change.

    Raises
    ------
    InvalidInput
        The limit is below 1.

    Examples
    --------
    >>> from nbsessions.codecs import codec
    >>> items = codec("chat").items('[{"role":"system"},{"role":"user"},{"role":"assistant"}]')
    >>> [item.messages[0].role for item in trim(items, 2)]
    ['system', 'assistant']
    """
    if max_messages is None:
        return list(items)
    max_messages = check_count(max_messages, "max_messages", least=1)
    kept = _kept([message for item in items for message in item.messages], max_messages)
    trimmed: list[Item] = []
    position = 0
    for item in items:
        part = {at for at in range(len(item.messages)) if position + at in kept}
        position += len(item.messages)
        if len(part) == len(item.messages):
            trimmed.append(item)
        elif part:
            trimmed += codec(item.codec).keep(item, part)
    return trimmed


def _kept(messages: Sequence[Message], limit: int) -> set[int]:
    systems = {index for index, message in enumerate(messages) if message.role == "system"}
    room = max(0, limit - len(systems))
    others = [index for index, message in enumerate(messages) if message.role != "system"]
    kept = set(others[max(0, len(others) - room) :] if room else [])
    calls: set[str | None] = set()
    for index, message in enumerate(messages):
        if index in kept and message.role == "tool" and message.tool_call_id not in calls:
            kept.discard(index)
        if index in kept:
            calls |= {call.get("id") for call in message.tool_calls or []}
    return kept | systems
