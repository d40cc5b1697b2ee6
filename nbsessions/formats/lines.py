"""Conversations that are trees of messages, as lines from the beginning to each end."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from nbsessions.exceptions import InvalidInput
from nbsessions.formats.building import Building

MOST_STEPS: Final = 2_000_000
"""Over all lines of a conversation: a file could be made so that they repeat without end."""


class Step(NamedTuple):
    """One message on a line.

    Attributes
    ----------
    key : hashable
        Tells it from the others of the conversation.
    message : dict
        A chat message.
    at : datetime or None
    then : callable or None
        Called with the session once the message was added: it tells what was spent, and how it ended.
    """

    key: Hashable
    message: dict[str, Any]
    at: datetime | None = None
    then: Callable[[Building], None] | None = None


class Lines:
    """Lines of one session, in the order in which they were left; the last one is where it stands.

    A turn that is on several lines is made once. Where a line leaves another within a turn, as with an answer
    that was asked for again, the turn is made anew from its prompt.

    Examples
    --------
    >>> building = Building("example", "chat-7", agent_name="helper")
    >>> lines = Lines(building)
    >>> ask = Step(1, {"role": "user", "content": "Hi"})
    >>> lines.follow([ask, Step(2, {"role": "assistant", "content": "Hello!"})])
    >>> lines.follow([ask, Step(3, {"role": "assistant", "content": "Good morning!"})])
    >>> bundle = building.bundle()
    >>> len(bundle.turns), bundle.record.message_count
    (2, 2)
    """

    def __init__(self, building: Building) -> None:
        self._building = building
        self._made: dict[tuple[str | None, tuple[Hashable, ...]], str | None] = {}
        self._start = building.here
        self._steps = 0

    def follow(self, line: Sequence[Step]) -> None:
        """Go from the beginning to the end of a line, adding what is not there yet.

        Raises
        ------
        InvalidInput
            A message cannot be one, or the lines are too many.
        """
        self._steps += len(line)
        if self._steps > MOST_STEPS:
            raise InvalidInput("a conversation has more branches than can be followed.")
        at = self._start
        for turn in _turns(line):
            place = (at, tuple(step.key for step in turn))
            if place not in self._made:
                self._building.go(at)
                for step in turn:
                    self._building.add(step.message, at=step.at)
                    if step.then is not None:
                        step.then(self._building)
                self._made[place] = self._building.here
            at = self._made[place]
        self._building.go(at)


def _turns(line: Sequence[Step]) -> list[list[Step]]:
    """Return the steps of a line, a list for each turn: each prompt but the first begins another."""
    turns: list[list[Step]] = []
    asked = True
    for step in line:
        prompt = step.message.get("role") == "user"
        if not turns or (prompt and asked):
            turns.append([])
            asked = False
        asked = asked or prompt
        turns[-1].append(step)
    return turns
