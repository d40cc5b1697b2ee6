"""
Native messages and the chat view of them.

A turn keeps its agent's messages as that framework wrote them. A codec reads this JSON, without
the framework, as a list of items, each with the chat messages that it stands for; and writes chat
messages as items, so that another framework can go on.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from nbsessions.codecs.base import REDACTED, SUMMARY, Codec, Item, is_prompt, is_standing, is_summary
from nbsessions.codecs.langchain import LangChainCodec
from nbsessions.codecs.openai_agents import OpenAIAgentsCodec
from nbsessions.codecs.pydantic_ai import PydanticAICodec
from nbsessions.codecs.telling import Told, repaired, tell
from nbsessions.exceptions import InvalidInput
from nbsessions.records import Message
from nbsessions.values import encode_json

__all__ = [
    "REDACTED",
    "SUMMARY",
    "Codec",
    "Item",
    "LangChainCodec",
    "OpenAIAgentsCodec",
    "PydanticAICodec",
    "Told",
    "codec",
    "cut",
    "is_prompt",
    "repaired",
    "is_standing",
    "is_summary",
    "rewrite",
    "told",
    "translate",
]

_CODECS: dict[str, Codec] = {
    member.name: member() for member in (Codec, LangChainCodec, PydanticAICodec, OpenAIAgentsCodec)
}


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
        known = ", ".join(sorted(_CODECS))
        raise InvalidInput(f"No codec reads {name!r}; these are known: {known}.") from None


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
    return reader.group(reader.encode(messages))


def translate(items: Iterable[Item], target: str) -> str:
    """Return items of any codec as a JSON array in the `target` codec.

    Items of that codec stay as they are; neighbours of others go through the chat view together.

    Examples
    --------
    >>> items = codec("chat").items('[{"role":"user","content":"Hi"}]')
    >>> translate(items, "pydantic-ai")
    '[{"kind":"request","parts":[{"part_kind":"user-prompt","content":"Hi"}]}]'
    """
    return encode_json(told(items, target).native, "history")


def told(items: Iterable[Item], target: str, takes: Collection[str] | None = None) -> Told:
    """Return what an agent whose messages are in the `target` codec can be told of items; see `tell`.

    Examples
    --------
    >>> picture = '[{"role":"user","content":[{"type":"input_audio"},{"type":"text","text":"Hi"}]}]'
    >>> found = told(codec("chat").items(picture), "pydantic-ai")
    >>> found.messages[0].text, dict(found.untold)
    ('Hi', {'recording': 1})
    """
    return tell(items, codec(target), codec, takes)
