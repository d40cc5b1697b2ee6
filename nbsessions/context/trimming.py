"""Which messages an agent is sent: those that are always sent, and the last of the others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from nbsessions.codecs import Item, codec, is_standing, is_summary
from nbsessions.context.counting import Size, estimate
from nbsessions.records import Message
from nbsessions.values import check_count


def trim(
    items: Sequence[Item],
    max_messages: int | None,
    max_tokens: int | None = None,
    sizes: Sequence[Size] | None = None,
) -> list[Item]:
    """Return the items that hold at most `max_messages` messages and `max_tokens` tokens.

    All system messages stay, and what summarises the messages before it; with them the last of the
    others. Where there are as many system messages as the limit, they stand alone. A tool's result is left
    out where its call is. What is stored does not change.

    Parameters
    ----------
    items : sequence of Item
    max_messages, max_tokens : int or None
        None: no limit.
    sizes : sequence of Size or None
        Of each message of the items. None: they are estimated.

    Raises
    ------
    InvalidInput
        A limit is below 1.

    Examples
    --------
    >>> from nbsessions.codecs import codec
    >>> items = codec("chat").items('[{"role":"system"},{"role":"user"},{"role":"assistant"}]')
    >>> [item.messages[0].role for item in trim(items, 2)]
    ['system', 'assistant']
    """
    if max_messages is None and max_tokens is None:
        return list(items)
    messages = [message for item in items for message in item.messages]
    tokens = [size.tokens for size in sizes] if sizes is not None else None
    return pick(items, kept(messages, max_messages, max_tokens, tokens))


def kept(
    messages: Sequence[Message],
    max_messages: int | None,
    max_tokens: int | None,
    tokens: Sequence[int] | None = None,
) -> set[int]:
    """Return the places of the messages that stay.

    Examples
    --------
    >>> kept([Message(role="system"), Message(role="user"), Message(role="assistant")], 2, None)
    {0, 2}
    """
    if max_messages is None and max_tokens is None:
        return set(range(len(messages)))
    standing = {index for index, message in enumerate(messages) if is_standing(message)}
    others = [index for index in range(len(messages)) if index not in standing]
    if max_messages is not None:
        room = max(0, check_count(max_messages, "max_messages", least=1) - len(standing))
        others = others[max(0, len(others) - room) :] if room else []
    if max_tokens is not None:
        counted = [estimate(message) for message in messages] if tokens is None else tokens
        left = check_count(max_tokens, "max_tokens", least=1) - sum(counted[index] for index in standing)
        others = _fitting(others, counted, left)
    stay = set(others)
    calls: set[str | None] = set()
    for index, message in enumerate(messages):
        if index in stay and message.role == "tool" and message.tool_call_id not in calls:
            stay.discard(index)
        if index in stay:
            calls |= {call.get("id") for call in message.tool_calls or []}
    return stay | standing


def _fitting(places: Sequence[int], tokens: Sequence[int], room: int) -> list[int]:
    """Return the last of the places whose tokens there is room for."""
    found: list[int] = []
    for index in reversed(places):
        room -= tokens[index]
        if room < 0:
            break
        found.append(index)
    return found[::-1]


def pick(items: Iterable[Item], places: set[int]) -> list[Item]:
    """Return the items of the messages at these places.

    Examples
    --------
    >>> items = codec("chat").items('[{"role":"system"},{"role":"user"}]')
    >>> [item.messages[0].role for item in pick(items, {1})]
    ['user']
    """
    found: list[Item] = []
    position = 0
    for item in items:
        part = {at for at in range(len(item.messages)) if position + at in places}
        position += len(item.messages)
        if len(part) == len(item.messages):
            found.append(item)
        elif part:
            found += codec(item.codec).keep(item, part)
    return found


def from_summary(messages: Sequence[Message]) -> list[int]:
    """Return the places of what is sent where the last summary stands for what came before it, in order.

    Examples
    --------
    >>> texts = [Message(role="user", content=str(n)) for n in range(3)]
    >>> summary = Message(role="user", content="They counted.", kind="summary", keeps=1)
    >>> from_summary([*texts, summary, Message(role="user", content="And?")])
    [3, 2, 4]
    """
    last = _last_summary(messages)
    if last is None:
        return list(range(len(messages)))
    systems = [place for place in range(last) if messages[place].role == "system"]
    begins = max(0, last - _keeps(messages[last]))
    recent = [place for place in range(begins, last) if not is_standing(messages[place])]
    return [*systems, last, *recent, *range(last + 1, len(messages))]


def is_summed_up(messages: Sequence[Message]) -> bool:
    """Tell whether nothing before these messages is sent, but for system messages.

    Examples
    --------
    >>> is_summed_up([Message(role="user", content="They counted.", kind="summary", keeps=1)])
    False
    """
    last = _last_summary(messages)
    return last is not None and _keeps(messages[last]) <= last


def _last_summary(messages: Sequence[Message]) -> int | None:
    return next((place for place in reversed(range(len(messages))) if is_summary(messages[place])), None)


def _keeps(summary: Message) -> int:
    told = summary.get("keeps")
    return told if isinstance(told, int) and told > 0 else 0


@dataclass(frozen=True, slots=True)
class Seen:
    """One message that an agent is sent.

    Attributes
    ----------
    position : int
        Its number in the session, from 1, as `show` counts.
    message : Message
    size : Size

    Examples
    --------
    >>> Seen(1, Message(role="user", content="Hi"), Size(5, known=False)).position
    1
    """

    position: int
    message: Message
    size: Size

    @property
    def role(self) -> str:
        """Its role; ``summary`` of one that stands for the messages before it."""
        return "summary" if is_summary(self.message) else self.message.role

    @property
    def counted(self) -> str:
        """Who counted its tokens: the ``provider``, or they are ``estimated``."""
        return "provider" if self.size.known else "estimated"


@dataclass(frozen=True, slots=True)
class Context:
    """What an agent would be sent of a session, and what of it is left out.

    Attributes
    ----------
    items : list of Item
        The messages natively, in order.
    seen : list of Seen
        The same messages, with the tokens of each.
    stored : int
        Messages of the session.
    max_messages, max_tokens : int or None
        The limits.
    is_cut : bool
        Whether they leave something out.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> session = nbs.open_store("memory:").create("plan")
    >>> session.messages = [{"role": "user", "content": str(n)} for n in range(5)]
    >>> print(session.context(max_messages=2))
    2 of 5 messages would be sent, with about 10 tokens, all of them estimated; max_messages is 2.
    """

    items: list[Item]
    seen: list[Seen]
    stored: int
    max_messages: int | None = None
    max_tokens: int | None = None
    is_cut: bool = False

    @property
    def messages(self) -> list[Message]:
        """The messages, in order."""
        return [one.message for one in self.seen]

    @property
    def tokens(self) -> int:
        """Tokens of the messages; the prompt, and what the agent adds (tools, instructions), come on top."""
        return sum(one.size.tokens for one in self.seen)

    @property
    def known_tokens(self) -> int:
        """Of the tokens, those that a provider has counted; the others are estimated."""
        return sum(one.size.tokens for one in self.seen if one.size.known)

    @property
    def summary(self) -> Message | None:
        """What summarises the messages before, where that was asked for."""
        found = [one.message for one in self.seen if is_summary(one.message)]
        return found[-1] if found else None

    def __str__(self) -> str:
        known, tokens = self.known_tokens, self.tokens
        counted = f"{known:,} of them counted by the provider, the others estimated"
        if not known:
            counted = "all of them estimated"
        elif known == tokens:
            counted = "all of them counted by the provider"
        limits = {"max_messages": self.max_messages, "max_tokens": self.max_tokens}
        told = " and ".join(f"{name} is {limit:,}" for name, limit in limits.items() if limit is not None)
        about = "" if known == tokens and tokens else "about "
        text = f"{len(self.seen):,} of {self.stored:,} messages would be sent"
        if self.seen:
            text += f", with {about}{tokens:,} tokens, {counted}"
        return f"{text}{f'; {told}' if told else ''}."
