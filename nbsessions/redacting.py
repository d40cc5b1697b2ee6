"""Taking what was said out of a store, for good, wherever it was copied to."""

from __future__ import annotations

import warnings
from collections.abc import Container, Iterable
from operator import index
from typing import SupportsIndex

from nbsessions import chains
from nbsessions.codecs import codec, is_prompt
from nbsessions.exceptions import DamagedSession, DamagedTurn, InvalidInput, NotOwner, SessionNotFound
from nbsessions.families import forks, root
from nbsessions.hashes import is_intact
from nbsessions.places import Placed
from nbsessions.records import Message, SessionRecord, Turn
from nbsessions.stores.base import Key, Query
from nbsessions.values import encode_json

_Place = tuple[str, int]
"""A turn, and the position of a message in it."""


class Redactable(Placed):
    """A branch on which messages can be redacted; base of `Session`.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> isinstance(nbs.open_store("memory:").create(), Redactable)
    True
    """

    def redact(self, position: SupportsIndex) -> None:
        """Take what a message says out of the store, for good, in every session that has it.

        Its role, its place and the ids of its tool calls stay, so that the conversation keeps its shape
        and the chain of hashes whole. The events of the run that committed it go with it. Nothing
        brings it back; backups and exports that were made before still have it. A copy in a turn that is
        damaged, or that nobody here can read, is told by a warning, and stays.

        Parameters
        ----------
        position : int
            As in ``session.messages[position]``; negative ones count from the end.

        Raises
        ------
        InvalidInput
            There is no such message.
        NotOwner
            The session, or the one that it was forked from with this message, is somebody else's.

        Examples
        --------
        >>> import nbsessions as nbs
        >>> session = nbs.open_store("memory:").create("plan")
        >>> session.add_message({"role": "user", "content": "My password is hunter2"})
        >>> session.redact(-1)
        >>> session.messages[-1].text
        '[redacted]'
        """
        self.check_owner()
        count = self.message_count
        if isinstance(position, bool) or not isinstance(position, SupportsIndex):
            raise InvalidInput(f"position must be a whole number, not {position!r}.")
        number = index(position) + (count if index(position) < 0 else 0)
        if not 0 <= number < count:
            raise InvalidInput(f"There is no message {position} in {self.record.label!r}: it has {count:,}.")
        turn = self._after(number)
        if not is_intact(turn):
            raise DamagedTurn(turn.turn_id)
        self._check_author(turn)
        place = number - (turn.total_messages - turn.message_count)
        message = chains.read(turn.codec, turn.body)[place]
        doubts: list[str] = []
        # The original last: by it, who was stopped half-way finds the other copies when it is tried again.
        for turn_id, at in [*self._copies(message, number, turn, doubts), (turn.turn_id, place)]:
            self._redact(turn_id, at, message)
        self._view = self._tip = None
        for doubt in doubts:
            warnings.warn(doubt, RuntimeWarning, stacklevel=2)

    def _redact(self, turn_id: str, place: int, message: Message) -> None:
        text, done = message.text if is_prompt(message) else "", False
        while not done:  # another message of the turn may be redacted at the same time
            turn = self._need_turn(turn_id)
            changed = chains.redact(turn, place)
            done = self.backend.redact(self.key, changed, was=turn.body, text=text)

    def _copies(self, message: Message, number: int, original: Turn, doubts: list[str]) -> list[_Place]:
        """Return where else this very message is: a cut turn and a cleared session hold copies of it.

        Where one may be that nobody can read, it is noted in `doubts`.
        """
        needle = encode_json(message.text[:20], "text")[1:-1]
        found: list[_Place] = []
        for turn_id in self._turns_of(self._family(lost=message.timestamp is not None), doubts):
            turn = self.backend.turn(turn_id)
            if turn is None or turn_id == original.turn_id or needle not in turn.body:
                continue
            if not is_intact(turn):
                doubts.append(f"Turn {turn_id} may hold a copy, which stays: it is damaged.")
                continue
            try:
                view = codec(turn.codec).view(turn.body)
            except InvalidInput as error:
                doubts.append(f"Turn {turn_id} may hold a copy, which stays. {error}")
                continue
            first = turn.total_messages - turn.message_count
            found += [
                (turn_id, place)
                for place, one in enumerate(view)
                if one == message and _is_copy(one, same_number=first + place == number)
            ]
        return found

    def _turns_of(self, records: Iterable[SessionRecord], doubts: list[str]) -> Iterable[str]:
        """Return the turns on which these sessions stand, or ever stood."""
        tips: set[str] = set()
        for record in records:
            try:
                log = self.backend.log(Key.of(record))
            except DamagedSession as error:
                doubts.append(f"Session {record.label!r} may hold a copy, which stays. {error}")
            except SessionNotFound:  # deleted since it was listed
                continue
            else:
                tips |= {entry.head.turn_id for entry in log if entry.head.turn_id is not None}
        return self.backend.ancestors([*tips])

    def _family(self, *, lost: bool) -> list[SessionRecord]:
        """Return all sessions that hang together with this one by forks.

        With `lost`, also those whose parent was deleted: whether they do, nobody knows any more.
        """
        eldest = [root(self.backend, self.record)]
        if lost:
            there = self.backend.find(Query(conversation_id=self.record.conversation_id or ""))
            every = {Key.of(one): one for one in there}
            eldest += [one for one in there if _has_lost_its_parent(one, every)]
        found = {self.key: self.record} | {Key.of(one): one for one in eldest}
        for one in eldest:
            for several in forks(self.backend, one).values():
                found |= {Key.of(fork): fork for fork in several}
        return list(found.values())

    def _check_author(self, turn: Turn) -> None:
        """Refuse where this turn came by a fork from a session of somebody else."""
        record = self.record
        while record.parent_session_id is not None and self.actor is not None:
            begun = self.backend.origin(Key.of(record)).head.turn_id
            if begun is None or turn.turn_id not in self.backend.ancestors([begun]):
                return
            parent = self.backend.get(Key(record.conversation_id or "", record.parent_session_id))
            if parent is None:
                self._check_nobody_else_has(turn)
                return
            if parent.owner != self.actor:
                raise NotOwner(parent.label, parent.owner)
            if parent.session_id == self.record.session_id:
                return
            record = parent

    def _check_nobody_else_has(self, turn: Turn) -> None:
        """Refuse where a session of another owner has this turn: who said it first can no longer be told."""
        for record in self.backend.find(Query(conversation_id=None)):
            tip = record.head.turn_id
            if record.owner != self.actor and tip and turn.turn_id in self.backend.ancestors([tip]):
                raise NotOwner(record.label, record.owner)


def _is_copy(message: Message, *, same_number: bool) -> bool:
    """Tell whether one that says the same is the same; where it has no time, by its place."""
    return message.timestamp is not None or same_number or message.role == "system"


def _has_lost_its_parent(record: SessionRecord, every: Container[Key]) -> bool:
    parent = record.parent_session_id
    return parent is not None and Key(record.conversation_id or "", parent) not in every
