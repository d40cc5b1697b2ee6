"""How many tokens messages have: as a provider counted them where that is known, else estimated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple

from nbsessions.codecs import Item, codec
from nbsessions.records import Message, Usage

BYTES: Final = 4
"""English has about four letters to a token; other alphabets more bytes to a letter, and fewer letters."""
AROUND: Final = 4
"""Tokens around each message and each call: its role, its name, where it begins and ends."""
PART: Final = 1_000
"""Tokens of a picture or another part that is no text: most are charged between 85 and 1,600."""
_APART: Final = 4
"""A count that is so many times what was estimated counts something else, too."""


class Size(NamedTuple):
    """How many tokens a message has.

    Attributes
    ----------
    tokens : int
    known : bool
        Whether a provider has counted them; else they are estimated.

    Examples
    --------
    >>> Size(12, known=False).tokens
    12
    """

    tokens: int
    known: bool


class Told(NamedTuple):
    """What a provider counted when it answered with a message.

    Attributes
    ----------
    output : int
        Tokens of the answer.
    input : int or None
        Tokens of all that was sent for it, as far as that is known.
    reasoning : int
        Of the answer's tokens, those of its thoughts.
    model : str or None
        Whose tokens they are.

    Examples
    --------
    >>> Told(20, input=100).output
    20
    """

    output: int
    input: int | None = None
    reasoning: int = 0
    model: str | None = None


def estimate(message: Message) -> int:
    """Return about how many tokens a message has.

    Examples
    --------
    >>> estimate(Message(role="user", content="What do owls eat at night?"))
    11
    """
    count = AROUND + _of_text(message.text)
    if isinstance(message.content, list):
        count += PART * sum(not _is_text(part) for part in message.content)
    for call in message.calls:
        count += AROUND + _of_text(call.name) + _of_text(call.arguments)
    # Thoughts that were kept are sent back.
    thought = message.get("reasoning_content")
    return count + (_of_text(thought) if isinstance(thought, str) else 0)


def _of_text(text: str) -> int:
    return -(-len(text.encode(errors="replace")) // BYTES)


def _is_text(part: Any) -> bool:
    return isinstance(part, str) or (isinstance(part, dict) and isinstance(part.get("text"), str))


def sizes(messages: Sequence[Message], told: Mapping[int, Told]) -> list[Size]:
    """Return the size of each of messages that follow one another.

    Parameters
    ----------
    messages : sequence of Message
    told : mapping of int to Told
        What is known of some of the answers, by their place among the messages. What came between two
        answers of a model was in the request for the second, and not in that for the first.

    Examples
    --------
    >>> said = [Message(role=role, content="...") for role in ("user", "assistant", "user", "assistant")]
    >>> sizes(said, {1: Told(20, input=100), 3: Told(7, input=135)})
    [Size(tokens=5, known=False), Size(tokens=20, known=True), Size(tokens=15, known=True),
     Size(tokens=7, known=True)]
    """
    found = [Size(estimate(message), known=False) for message in messages]
    for at, one in told.items():
        if (tokens := _of_answer(messages[at], one)) > 0:
            found[at] = Size(tokens, known=True)
    for first, second in pairwise(sorted(told)):
        for at, tokens in _between(found, told, first, second):
            found[at] = Size(tokens, known=True)
    return found


def _of_answer(message: Message, told: Told) -> int:
    # Thoughts that were not kept are not sent back.
    return told.output if message.get("reasoning_content") else told.output - told.reasoning


def _between(
    found: Sequence[Size], told: Mapping[int, Told], first: int, second: int
) -> Iterator[tuple[int, int]]:
    """Yield how many tokens each message between two answers has, where their requests tell it."""
    before, after = told[first], told[second]
    places = range(first + 1, second)
    if before.input is None or after.input is None or before.model != after.model or not places:
        return
    guessed = [found[at].tokens for at in places]
    total, expected = after.input - before.input - found[first].tokens, sum(guessed)
    # Something else was sent, too, or not any more: other tools, or a trimmed history.
    if not expected <= _APART * total <= expected * _APART**2:
        return
    shared = 0
    for at, guess in zip(places, guessed, strict=True):
        share = total * guess // expected if at != places[-1] else total - shared
        shared += share
        yield at, share


def of_items(items: Sequence[Item]) -> dict[int, Told]:
    """Return what native messages tell of the answers among them, by place.

    Examples
    --------
    >>> from nbsessions.codecs import codec
    >>> of_items(codec("chat").items('[{"role":"assistant"}]'))
    {}
    """
    found: dict[int, Told] = {}
    place = 0
    for item in items:
        spent = codec(item.codec).spent(item)
        if spent is not None and len(item.messages) == 1:
            found[place] = _told(spent.usage, spent.model)
        place += len(item.messages)
    return found


def of_usage(messages: Sequence[Message], usage: Usage, model: str | None) -> dict[int, Told]:
    """Return what a run's usage tells of the answers among its messages, by place.

    Examples
    --------
    >>> said = [Message(role="user", content="Hi"), Message(role="assistant", content="Hello")]
    >>> of_usage(said, Usage(input_tokens=8, output_tokens=2, requests=1), "gpt-4o")
    {1: Told(output=2, input=8, reasoning=0, model='gpt-4o')}
    """
    places = [place for place, message in enumerate(messages) if message.role == "assistant"]
    if len(places) != max(usage.requests, 1):  # some of it was spent on what is not there
        return {}
    if len(places) == 1:
        return {places[0]: _told(usage, model)}
    guessed = [estimate(messages[place]) for place in places]
    output = max(usage.output_tokens - usage.reasoning_tokens, 0)
    return {
        place: Told(output * guess // sum(guessed), model=model)
        for place, guess in zip(places, guessed, strict=True)
    }


def _told(usage: Usage, model: str | None) -> Told:
    return Told(usage.output_tokens, usage.input_tokens or None, usage.reasoning_tokens, model)
