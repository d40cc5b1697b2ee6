"""Turns as a store was given them, and what is found of them there, whatever the store makes of them."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

from tests.peers.base import Chat
from tests.reliability import turns

PROMPT, CALL, RESULT, ANSWER = range(4)
Piece = tuple[int, str]
"""Which message of a turn it is, and the turn's label."""


def turn(label: str) -> Chat:
    """Return the messages of a turn; no content is an empty one, as not all peers take None."""
    return [{**message, "content": message["content"] or ""} for message in turns.chat(label)]


def essence(message: dict[str, Any]) -> list[Any]:
    """Return what must not change: not times, not ids that a store makes."""
    calls = [
        [call["id"], call["function"]["name"], json.loads(call["function"]["arguments"])]
        for call in message.get("tool_calls") or ()
    ]
    return [message["role"], message["content"] or "", calls, message.get("tool_call_id") or ""]


class Found(NamedTuple):
    """What messages say, taken apart into turns."""

    labels: list[str]
    """Of the whole turns, in their order."""
    answered: set[str]
    """The turns whose answer is there."""
    unanswered: set[str]
    """The turns that end before their answer, with all their calls answered."""
    broken: set[str]
    """The turns with a call that its result does not follow, or a result that does not follow its call."""
    mixed: set[str]
    """The other turns that are not one message after the other, or are there twice."""
    altered: int
    """Messages that are none of a turn's."""


def take_apart(messages: Sequence[dict[str, Any]]) -> Found:
    """Take messages apart into turns."""
    found = [_piece(message) for message in messages]
    pieces = [piece for piece in found if piece]
    kinds: defaultdict[str, list[int]] = defaultdict(list)
    for kind, label in pieces:
        kinds[label].append(kind)
    starts = [
        place for place, (kind, label) in enumerate(pieces) if _is_whole(pieces[place : place + 4], label)
    ]
    labels = [pieces[start][1] for start in starts]
    once = {label for label, count in Counter(labels).items() if count == 1 and len(kinds[label]) == 4}
    broken = {piece[1] for place, piece in enumerate(pieces) if _is_apart(pieces, place)}
    unanswered = {
        label for label, kind in kinds.items() if kind in ([PROMPT], [PROMPT, CALL, RESULT])
    } - broken
    answered = {label for kind, label in pieces if kind == ANSWER}
    mixed = {*kinds} - once - broken - unanswered
    return Found(labels, answered, unanswered, broken, mixed, len(found) - len(pieces))


def _piece(message: dict[str, Any]) -> Piece | None:
    """Return which message of which turn this is, where not a character of it differs."""
    role, content, calls, called = essence(message)
    if role == "user":
        kind, label = PROMPT, content.removesuffix("?")
    elif calls:
        kind, label = CALL, str(calls[0][0]).removeprefix("call ")
    elif role == "tool":
        kind, label = RESULT, str(called).removeprefix("call ")
    else:
        kind, label = ANSWER, content.removesuffix("!")
    return (kind, label) if essence(turn(label)[kind]) == [role, content, calls, called] else None


def _is_whole(pieces: Sequence[Piece], label: str) -> bool:
    return list(pieces) == [(kind, label) for kind in (PROMPT, CALL, RESULT, ANSWER)]


def _is_apart(pieces: Sequence[Piece], place: int) -> bool:
    """Tell whether this is a call or a result that the other one is not next to."""
    kind, label = pieces[place]
    if kind == CALL:
        return list(pieces[place + 1 : place + 2]) != [(RESULT, label)]
    return kind == RESULT and (not place or pieces[place - 1] != (CALL, label))
