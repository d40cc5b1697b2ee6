"""What writers of files of one session need: that session, and what was said in it."""

from __future__ import annotations

from collections.abc import Iterable

from nbsessions.chains import view
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


def messages_of(bundle: Bundle) -> list[Message]:
    """Return the messages up to the head of a session.

    Raises
    ------
    DamagedTurn
        The bundle lacks a turn that its head stands on.

    Examples
    --------
    >>> from nbsessions.formats.building import Building
    >>> building = Building("example", "chat-7", agent_name="helper")
    >>> building.add({"role": "user", "content": "Hi"})
    >>> [message.text for message in messages_of(building.bundle())]
    ['Hi']
    """
    turns = {turn.turn_id: turn for turn in bundle.turns}
    line: list[Turn] = []
    at = bundle.record.head.turn_id
    while at is not None:
        if at not in turns:
            raise DamagedTurn(at)
        line.append(turns[at])
        at = turns[at].parent_id
    return view(line[::-1], bundle.record.head)
