"""What a codec is: it reads native messages as chat messages, and writes chat messages as native ones."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from typing import Any, ClassVar, Final, NamedTuple

from pydantic_core import from_json

from nbsessions.records import MESSAGES, Message, Spent

REDACTED: Final[str] = "[redacted]"
"""What a message says from which everything was taken."""
SHAPE: Final[tuple[str, ...]] = ("timestamp", "name", "tool_call_id")
"""Fields of a redacted message that stay."""
SUMMARY: Final[str] = "summary"
"""The ``kind`` of a message that sums up what came before it."""
_NOT_ASKED: Final[tuple[str, ...]] = ("retry-prompt", "context", SUMMARY)


class Item(NamedTuple):
    """One native message and its chat view (none, one or several messages).

    Attributes
    ----------
    codec : str
    native : object
    messages : list of Message
    more : sequence of object
        Native messages that follow, and are a part of the same chat message.

    Examples
    --------
    >>> item = Codec().items('[{"role":"user","content":"Hi"}]')[0]
    >>> item.codec, item.native["content"], item.messages[0].text
    ('chat', 'Hi', 'Hi')
    """

    codec: str
    native: Any
    messages: list[Message]
    more: Sequence[Any] = ()

    @property
    def natives(self) -> list[Any]:
        """All native messages of it, as they stand in a turn's body.

        Examples
        --------
        >>> Item("chat", {"role": "user"}, []).natives
        [{'role': 'user'}]
        """
        return [self.native, *self.more]


def is_prompt(message: Message) -> bool:
    """Tell whether a person asked this.

    What a framework sends to have something tried again is none, nor is what a tool tells its model by
    itself in the name of the user (``kind`` is ``"context"`` then), nor a summary.

    Examples
    --------
    >>> is_prompt(Message(role="user", content="Hi")), is_prompt(Message(role="assistant"))
    (True, False)
    """
    return message.role == "user" and message.get("kind") not in _NOT_ASKED


def is_summary(message: Message) -> bool:
    """Tell whether it stands for the messages before it, but for the last so many that it ``keeps``.

    Examples
    --------
    >>> is_summary(Message(role="user", content="They spoke of owls.", kind="summary", keeps=2))
    True
    """
    return message.role == "user" and message.get("kind") == SUMMARY


def is_standing(message: Message) -> bool:
    """Tell whether an agent is always sent it, however old it is: a system message, or a summary.

    Examples
    --------
    >>> is_standing(Message(role="system")), is_standing(Message(role="user"))
    (True, False)
    """
    return message.role == "system" or is_summary(message)


class Codec:
    """The chat codec: native messages are chat messages. Base of the others.

    Examples
    --------
    >>> Codec().view('[{"role":"user","content":"Hi"}]')[0].text
    'Hi'
    """

    name: ClassVar[str] = "chat"
    tells: ClassVar[frozenset[str]] = frozenset({"*", "thought"})
    """Which parts of chat messages `encode` can write beside text, by their ``type``; ``*``: all."""

    def beside(self, item: Item) -> Iterable[str]:
        """Return what is in an item that has no place in the chat view, one word each.

        Examples
        --------
        >>> list(Codec().beside(Item("chat", {"role": "user"}, [])))
        []
        """
        return ()

    def items(self, body: str) -> list[Item]:
        """Return the native messages of a turn's body, each with its chat view.

        Examples
        --------
        >>> len(Codec().items('[{"role":"user","content":"Hi"}]'))
        1
        """
        return self.group(from_json(body))

    def group(self, natives: Sequence[Any]) -> list[Item]:
        """Return native messages with their chat view; those that are one chat message come together.

        Examples
        --------
        >>> [item.messages[0].role for item in Codec().group([{"role": "user"}, {"role": "assistant"}])]
        ['user', 'assistant']
        """
        return [Item(self.name, native, self.messages(native)) for native in natives]

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

    def spent(self, item: Item) -> Spent | None:
        """Return what the request spent that an item answers, where its native message tells it.

        Examples
        --------
        >>> Codec().spent(Codec().items('[{"role":"assistant"}]')[0]) is None
        True
        """
        return None

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
        return self.group(self.encode([one for at, one in enumerate(item.messages) if at in kept]))

    def redact(self, item: Item, position: int) -> list[Any]:
        """Return the native messages of an item without what the message at `position` of its view says.

        Examples
        --------
        >>> item = Codec().items('[{"role":"user","content":"hunter2","weight":1}]')[0]
        >>> Codec().redact(item, 0)
        [{'role': 'user', 'content': '[redacted]'}]
        """
        message = item.messages[position]
        kept = {name: item.native[name] for name in SHAPE if name in item.native}
        if message.tool_calls:
            kept["tool_calls"] = [
                {"id": call.call_id, "type": "function", "function": {"name": call.name, "arguments": "{}"}}
                for call in message.calls
            ]
        return [{"role": message.role, "content": REDACTED if message.content else message.content, **kept}]
