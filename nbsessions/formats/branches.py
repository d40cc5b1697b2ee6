"""Logs that are trees: each entry names the one that it follows, and turns come of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from nbsessions.exceptions import InvalidInput
from nbsessions.formats.building import Building
from nbsessions.records import RunStatus, Spent

_MOST_AGAIN: Final = 100_000
"""Entries that are said again in all: each line that leaves another costs as many as stand before it."""


@dataclass(eq=False)
class Entry:
    """One entry of a log, which may be several messages.

    Attributes
    ----------
    messages : sequence of mapping
    at : datetime or None
    is_prompt : bool
        It begins a turn, with what was told aside before it.
    is_aside : bool
        Nobody asked it: where the answer has ended, it is of the next turn.
    is_end : bool
        Nothing has to follow it in its turn.
    spent : sequence of Spent
    ended : (str, str or None) or None
        How the run ended with it, and with which error.

    Examples
    --------
    >>> Entry([{"role": "user", "content": "Hi"}], is_prompt=True).spent
    []
    """

    messages: Sequence[Mapping[str, Any]]
    at: datetime | None = None
    is_prompt: bool = False
    is_aside: bool = False
    is_end: bool = False
    spent: Sequence[Spent] = field(default_factory=list)
    ended: tuple[RunStatus, str | None] | None = None
    _turn: _Turn | None = None
    _place: int = 0


@dataclass(eq=False)
class _Turn:
    base: str | None
    entries: list[Entry] = field(default_factory=list)
    turn_id: str | None = None


class Branches:
    """Adds entries to a session in the order in which they were written, each after any one before.

    What stands in the middle of a turn when another line leaves it, is said again in the other line's
    turn: so a turn that was read once is the same when its log has grown another branch.

    Parameters
    ----------
    building : Building
    native : bool
        The messages are of the session's own codec.

    Examples
    --------
    >>> building = Building("example", "chat-7", agent_name="helper")
    >>> branches = Branches(building)
    >>> hi = branches.add(Entry([{"role": "user", "content": "Hi"}], is_prompt=True), None)
    >>> ho = branches.add(Entry([{"role": "assistant", "content": "Ho"}]), hi)
    >>> other = branches.add(Entry([{"role": "assistant", "content": "Hello!"}]), hi)
    >>> [turn.message_count for turn in building.bundle().turns]
    [2, 2]
    """

    def __init__(self, building: Building, *, native: bool = False) -> None:
        self._building = building
        self._native = native
        self._open = _Turn(None)
        self._again = 0

    @property
    def tip(self) -> Entry | None:
        """The entry that was added last."""
        return self._open.entries[-1] if self._open.entries else None

    def add(self, entry: Entry, parent: Entry | None) -> Entry:
        """Add an entry after `parent`, or at the beginning, and return it.

        Examples
        --------
        >>> branches = Branches(Building("example", "chat-7", agent_name="helper"))
        >>> branches.add(Entry([{"role": "user", "content": "Hi"}]), None) is branches.tip
        True
        """
        self.stand(parent)
        if self._begins(entry):
            self._open = _Turn(self._close())
        self._put(entry)
        for one in entry.spent:
            self._building.spend(
                one.usage,
                model=one.model,
                provider=one.provider,
                at=one.at,
                hour_cache_tokens=one.hour_cache_tokens,
            )
        if entry.ended is not None:
            self._building.end(*entry.ended)
        return entry

    def stand(self, entry: Entry | None) -> None:
        """Go to an entry that was added, or to the beginning.

        Examples
        --------
        >>> building = Building("example", "chat-7", agent_name="helper")
        >>> branches = Branches(building)
        >>> _ = branches.add(Entry([{"role": "user", "content": "Hi"}]), None)
        >>> branches.stand(None)
        >>> building.bundle().record.message_count
        0
        """
        if entry is not self.tip:
            self._go(entry)

    def back(self, entry: Entry) -> None:
        """Go to where the turn of an entry began, before all that was told aside in it.

        Examples
        --------
        >>> building = Building("example", "chat-7", agent_name="helper")
        >>> branches = Branches(building)
        >>> hi = branches.add(Entry([{"role": "user", "content": "Hi"}]), None)
        >>> branches.back(hi)
        >>> building.bundle().record.message_count
        0
        """
        base = None if entry._turn is None else entry._turn.base
        self._close()
        self._building.go(base)
        self._open = _Turn(base)

    def _begins(self, entry: Entry) -> bool:
        if entry.is_prompt:
            return any(one.is_prompt for one in self._open.entries)
        return entry.is_aside and self.tip is not None and self.tip.is_end

    def _go(self, parent: Entry | None) -> None:
        self._close()
        if parent is None or parent._turn is None:
            self._building.go(None)
            self._open = _Turn(None)
            return
        turn = parent._turn
        if parent is turn.entries[-1]:
            self._building.go(turn.turn_id)
            self._open = _Turn(turn.turn_id)
            return
        self._building.go(turn.base)
        self._open = _Turn(turn.base)
        self._again += parent._place + 1
        if self._again > _MOST_AGAIN:
            raise InvalidInput("Too many lines leave others in the middle of a turn.")
        for again in turn.entries[: parent._place + 1]:
            self._put(replace(again, spent=(), ended=None))

    def _put(self, entry: Entry) -> None:
        entry._turn, entry._place = self._open, len(self._open.entries)
        self._open.entries.append(entry)
        for message in entry.messages:
            if self._native:
                self._building.add_native(message, at=entry.at)
            else:
                self._building.add(message, at=entry.at)

    def _close(self) -> str | None:
        self._open.turn_id = self._building.here
        return self._open.turn_id
