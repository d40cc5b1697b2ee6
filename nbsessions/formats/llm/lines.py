"""Conversations of llm as lines of messages, of which a later one may leave an earlier."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from nbsessions.formats.branches import Branches, Entry
from nbsessions.formats.building import Building


class Step(NamedTuple):
    """One message of a conversation.

    Attributes
    ----------
    key : tuple
        Tells it from the others of the conversation.
    message : dict
    at : datetime or None
    then : callable or None
        Called with the session once the message was added: it tells what the request spent.
    """

    key: tuple[Any, ...]
    message: dict[str, Any]
    at: datetime | None = None
    then: Callable[[Building], None] | None = None


class Lines:
    """Lines of a conversation, in the order in which they were left; the last one is where it stands.

    Examples
    --------
    >>> building = Building("llm", "c1", agent_name="llm")
    >>> Lines(building).follow([Step(("r1", 0), {"role": "user", "content": "Hi"})])
    >>> building.bundle().record.message_count
    1
    """

    def __init__(self, building: Building) -> None:
        self._building, self._branches = building, Branches(building)
        self._known: dict[tuple[Any, ...], Entry] = {}

    def follow(self, line: Sequence[Step]) -> None:
        """Go along a line from the beginning to its end, adding what no line had yet.

        Examples
        --------
        >>> Lines(Building("llm", "c1", agent_name="llm")).follow([])
        """
        last: Entry | None = None
        for step in line:
            if step.key in self._known:
                last = self._known[step.key]
                continue
            entry = Entry([step.message], step.at, is_prompt=step.message["role"] == "user")
            last = self._known[step.key] = self._branches.add(entry, last)
            if step.then is not None:
                step.then(self._building)
        self._branches.stand(last)
