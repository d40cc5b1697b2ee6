"""Conversations that are trees of messages, as lines from the beginning to each end."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from nbsessions.exceptions import InvalidInput
from nbsessions.formats.building import Building

MOST_REPEATED: Final = 100_000
"""Messages that are in more than one turn: a file could be made so that they repeat without end."""


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
    >>> answers = [{"role": "assistant", "content": text} for text in ("Hello!", "Good morning!")]
    >>> lines.follow([Step(1, {"role": "user", "content": "Hi"}), Step(2, answers[0])])
    >>> lines.follow([Step(3, answers[1])], above=1)
    >>> bundle = building.bundle()
    >>> len(bundle.turns), bundle.record.message_count
    (2, 2)
    """

    def __init__(self, building: Building) -> None:
        self._building = building
        self._start = building.here
        # Of each step: the turn before its own, and the steps of its own of which it is the last.
        self._places: dict[Hashable, tuple[str | None, list[Step], int]] = {}
        self._made: dict[tuple[str | None, tuple[Hashable, ...]], str | None] = {}
        self._repeated = 0

    def __contains__(self, key: Hashable) -> bool:
        return key in self._places

    def follow(self, line: Sequence[Step], above: Hashable | None = None) -> None:
        """Go along a line to its end, from the beginning or from a step of a line that was followed before.

        Raises
        ------
        InvalidInput
            A message cannot be one, or the lines are too many.

        Examples
        --------
        >>> Lines(Building("example", "chat-7", agent_name="helper")).follow([])
        """
        before, turn = self._start, list[Step]()
        if above is not None:
            before, steps, count = self._places[above]
            turn = steps[:count]
            self._repeat(count if line else 0)
        for step in line:
            if _is_prompt(step) and any(map(_is_prompt, turn)):
                before, turn = self._turn(before, turn), []
            turn.append(step)
            self._places.setdefault(step.key, (before, turn, len(turn)))
        self._building.go(self._turn(before, turn) if turn else before)

    def _repeat(self, count: int) -> None:
        self._repeated += count
        if self._repeated > MOST_REPEATED:
            raise InvalidInput("a conversation has more branches than can be followed.")

    def _turn(self, before: str | None, turn: Sequence[Step]) -> str | None:
        """Return a turn, which is made where it is not there yet."""
        place = (before, tuple(step.key for step in turn))
        if place not in self._made:
            self._building.go(before)
            for step in turn:
                self._building.add(step.message, at=step.at)
                if step.then is not None:
                    step.then(self._building)
            self._made[place] = self._building.here
        return self._made[place]


def _is_prompt(step: Step) -> bool:
    return step.message.get("role") == "user"
