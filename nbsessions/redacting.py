"""Taking what was said out of a store, for good, wherever it was copied to."""

from __future__ import annotations

from collections.abc import Iterator

from nbsessions import chains
from nbsessions.codecs import codec, is_prompt
from nbsessions.exceptions import DamagedTurn, InvalidInput, NotOwner
from nbsessions.places import Placed
from nbsessions.records import Message, SessionRecord, Turn
from nbsessions.stores.base import Key, Query, is_intact
from nbsessions.values import check_count, encode_json


class Redactable(Placed):
    """A branch on which messages can be redacted; base of `Session`.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> isinstance(nbs.open_store("memory:").create(), Redactable)
    True
    """

    def redact(self, position: int) -> None:
        """Take what a message says out of the store, for good, in every session that has it.

        Its role, its place and the ids of its tool calls stay, so that the conversation keeps its shape
        and the chain of hashes whole. The events of the run that committed it go with it. Nothing
        brings it back; backups and exports that were made before still have it.

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
        number = position + count if isinstance(position, int) and position < 0 else position
        number = check_count(number, "position")
        if number >= count:
            raise InvalidInput(f"There is no message {position} in {self.record.label!r}: it has {count:,}.")
        turn = self._after(number)
        if not is_intact(turn):
            raise DamagedTurn(turn.turn_id)
        self._check_author(turn)
        place = number - (turn.total_messages - turn.message_count)
        message = chains.read(turn.codec, turn.body)[place]
        copies = [(turn.turn_id, place), *self._copies(message, turn)]
        for turn_id, at in copies:
            self._redact(turn_id, at, message)
        self._view = self._tip = None

    def _redact(self, turn_id: str, place: int, message: Message) -> None:
        text, done = message.text if is_prompt(message) else "", False
        while not done:  # another message of the turn may be redacted at the same time
            turn = self._need_turn(turn_id)
            changed = chains.redact(turn, place)
            done = self.backend.redact(self.key, changed, was=turn.body, text=text)

    def _copies(self, message: Message, original: Turn) -> Iterator[tuple[str, int]]:
        """Yield where else this very message is: a cut turn and a cleared session hold copies of it."""
        if message.timestamp is None:
            return
        needle = encode_json(message.text[:20], "text")[1:-1]
        tips = {entry.head.turn_id for record in self._family() for entry in self.backend.log(Key.of(record))}
        for turn_id in self.backend.ancestors([tip for tip in tips if tip is not None]):
            turn = self.backend.turn(turn_id)
            if turn is None or turn_id == original.turn_id or needle not in turn.body or not is_intact(turn):
                continue
            for place, found in enumerate(codec(turn.codec).view(turn.body)):
                if found == message:
                    yield turn_id, place

    def _family(self) -> list[SessionRecord]:
        """Return all sessions that hang together with this one by forks."""
        conversation = self.record.conversation_id or ""
        found = {self.key: self.record}
        open_keys = [self.record]
        while open_keys:
            record = open_keys.pop()
            near = self.backend.find(Query(conversation_id=conversation, parent_session_id=record.session_id))
            if record.parent_session_id is not None:
                parent = self.backend.get(Key(conversation, record.parent_session_id))
                near += [] if parent is None else [parent]
            for one in near:
                if Key.of(one) not in found:
                    found[Key.of(one)] = one
                    open_keys.append(one)
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
