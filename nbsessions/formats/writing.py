"""What writers of files of one session need: that session, and what was said in it."""

from __future__ import annotations

from collections.abc import Iterable

from nbsessions.chains import items, view
from nbsessions.codecs import Item
from nbsessions.exceptions import DamagedTurn, InvalidInput
from nbsessions.records import Message, Turn
from nbsessions.stores.arguments import Bundle


def only(bundles: Iterable[Bundle], format_name: str) -> Bundle:
    """Return the one session that is written.

    Raises
    ------
    InvalidInput
        There is none, or a second.

    Examples
    --------
    >>> only([], "webagents")
    Traceback (most recent call last):
    nbsessions.exceptions.InvalidInput: A file of 'webagents' holds one session, not none. Name one.
    """
    found = None
    for bundle in bundles:
        if found is not None:
            raise InvalidInput(f"A file of {format_name!r} holds one session, not several. Name one.")
        found = bundle
    if found is None:
        raise InvalidInput(f"A file of {format_name!r} holds one session, not none. Name one.")
    return found


def line_of(bundle: Bundle) -> list[Turn]:
    """Return the turns up to the head of a session, oldest first.

    Raises
    ------
    DamagedTurn
        The bundle lacks one of them.

    Examples
    --------
    >>> from nbsessions.formats.building import Building
    >>> line_of(Building("example", "chat-7", agent_name="helper").bundle())
    []
    """
    turns = {turn.turn_id: turn for turn in bundle.turns}
    line: list[Turn] = []
    at = bundle.record.head.turn_id
    while at is not None:
        if at not in turns:
            raise DamagedTurn(at)
        line.append(turns[at])
        at = turns[at].parent_id
    return line[::-1]


def messages_of(bundle: Bundle) -> list[Message]:
    """Return the messages up to the head of a session.

    Raises
    ------
    DamagedTurn

    Examples
    --------
    >>> from nbsessions.formats.building import Building
    >>> building = Building("example", "chat-7", agent_name="helper")
    >>> building.add({"role": "user", "content": "Hi"})
    >>> [message.text for message in messages_of(building.bundle())]
    ['Hi']
    """
    return view(line_of(bundle), bundle.record.head)


def items_of(bundle: Bundle) -> list[Item]:
    """Return the native messages up to the head of a session, each with its codec.

    Raises
    ------
    DamagedTurn

    Examples
    --------
    >>> from nbsessions.formats.building import Building
    >>> building = Building("example", "chat-7", agent_name="helper")
    >>> building.add({"role": "user", "content": "Hi"})
    >>> [item.native["content"] for item in items_of(building.bundle())]
    ['Hi']
    """
    return items(line_of(bundle), bundle.record.head)
