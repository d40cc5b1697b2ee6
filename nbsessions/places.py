"""
Places on a branch: going back to one, forking from it, and naming it.

A place is a number of messages, a turn, or a checkpoint.
"""

from __future__ import annotations

from itertools import chain
from typing import Any, NamedTuple, Self

from nbsessions import chains, families, forks
from nbsessions.branch import Branch
from nbsessions.codecs import is_prompt
from nbsessions.exceptions import DamagedTurn, InvalidInput, SessionExists
from nbsessions.hashes import is_intact
from nbsessions.names import check_name
from nbsessions.records import Checkpoint, Head, SessionRecord, Step, Turn
from nbsessions.text import one_line
from nbsessions.values import check_count, encode_json, new_id, now

_LEAST = 4
"""So many characters of an id are enough, where only one has them."""


class Place(NamedTuple):
    """Where a session can stand.

    Examples
    --------
    >>> Place(Head(), 0, 0).state is None
    True
    """

    head: Head
    messages: int
    turns: int
    state: str | None = None
    """The state there, as JSON; None: the present one."""


class Placed(Branch):
    """A branch with places on it; base of `Redactable`.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> isinstance(nbs.open_store("memory:").create(), Placed)
    True
    """

    def rewind(self, to: int | str | Turn | Checkpoint) -> Self:
        """Go back to a place. Nothing is deleted, and `undo` takes it back. The state is that of then.

        Parameters
        ----------
        to : int, str, Turn or Checkpoint
            How many messages to keep (past the end changes nothing); a turn that this session is on or
            once stood on; or a checkpoint, also one on a line that it has left. A text is the name of a
            checkpoint, or the id of a checkpoint or turn, or the end of one.

        Raises
        ------
        InvalidInput
            There is no such place.

        Examples
        --------
        >>> import nbsessions as nbs
        >>> session = nbs.open_store("memory:").create("plan")
        >>> session.messages = [{"role": "user", "content": str(n)} for n in range(5)]
        >>> session.rewind(2).message_count
        2
        """
        place, self.notice = self.place(to), None
        if place.head != self.head or place.state not in (None, encode_json(self.state, "state")):
            self._move("rewind", place.head, place.messages, place.turns, state=place.state)
        return self

    def place(self, to: int | str | Turn | Checkpoint) -> Place:
        """Return the place that `to` names, as `rewind` and `fork` understand it.

        Raises
        ------
        InvalidInput

        Examples
        --------
        >>> import nbsessions as nbs
        >>> nbs.open_store("memory:").create("plan").place(0)
        Place(head=Head(turn_id=None, keep=None), messages=0, turns=0, state=None)
        """
        if isinstance(to, Checkpoint):
            return Place(to.head, to.message_count, to.turn_count, encode_json(to.state, "state"))
        if isinstance(to, Turn):
            return self._turn_place(to.turn_id)
        if isinstance(to, str):
            found = self._named(to)
            return self.place(found) if isinstance(found, Checkpoint) else self._turn_place(found)
        return self._at_message(to)

    def _at_message(self, to: int) -> Place:
        to = check_count(to, "The number of messages to keep")
        if to >= self.message_count:
            return Place(self.head, self.message_count, self.turn_count)
        try:
            return self._on_line(to)
        except DamagedTurn:
            # What cannot be found by the turns, the log may still tell.
            logged = self._in_log(to)
            if logged is None:
                raise
            return logged

    def _on_line(self, to: int) -> Place:
        if to == 0:
            return Place(Head(), 0, 0, self._state_at(0))
        turn = self._after(to - 1)
        if turn.total_messages == to:
            return Place(Head(turn.turn_id), to, turn.total_turns, self._state_at(to))
        if not is_intact(turn):
            raise DamagedTurn(turn.turn_id)
        keep = to - (turn.total_messages - turn.message_count)
        lost = sum(map(is_prompt, chains.read(turn.codec, turn.body)[keep:]))
        return Place(Head(turn.turn_id, keep), to, max(0, turn.total_turns - lost), self._state_at(to))

    def _in_log(self, to: int) -> Place | None:
        """Return where the log says that this line had so many messages, if all of them are whole."""
        for entry in self.backend.log(self.key):
            if entry.message_count == to:
                self._chain(at=entry.head)
                return Place(entry.head, to, entry.turn_count, entry.state)
            # Before it grew to where it is now, the session was on another line.
            if entry.message_count < to or entry.done not in ("turn", "message", "compact"):
                return None
        return None

    def _at_turn(self, step: Step) -> Place:
        # A head that cuts its last turn is as far as this session goes.
        return self._at_message(min(step.total_messages, self.message_count))

    def _turn_place(self, turn_id: str) -> Place:
        step = self._steps().get(turn_id)
        if step is not None:
            return self._at_turn(step)
        # Where it once stood, it can stand again: with all of that turn, if it ever had all.
        stood = [entry for entry in self.backend.log(self.key) if entry.head.turn_id == turn_id]
        if not stood:
            raise InvalidInput(f"{self.record.label!r} was never at turn {turn_id}.")
        entry = max(stood, key=lambda one: one.message_count)
        return Place(entry.head, entry.message_count, entry.turn_count, entry.state)

    def _steps(self) -> dict[str, Step]:
        return self.backend.ancestors([] if self.head.turn_id is None else [self.head.turn_id])

    def _named(self, ref: str) -> Checkpoint | str:
        checkpoints = self.checkpoints()
        named = [one for one in checkpoints if ref in (one.name, one.checkpoint_id)]
        if named:
            return named[0]
        logged = [entry.head.turn_id for entry in self.backend.log(self.key)]
        places: dict[str, Checkpoint | str] = {turn: turn for turn in (*self._steps(), *logged) if turn}
        places |= {one.checkpoint_id: one for one in checkpoints}
        ends = [one for one in places if len(ref) >= _LEAST and one.endswith(ref)]
        meant = [ref] if ref in places else ends
        if len(meant) == 1:
            return places[meant[0]]
        shown = one_line(ref, 80)
        if meant:
            raise InvalidInput(f"{shown!r} could be {len(meant)} places. Give more of the id.")
        names = ", ".join(dict.fromkeys(repr(checkpoint.name) for checkpoint in checkpoints[:10]))
        known = f"Its checkpoints: {names}." if names else "It has no checkpoint yet: `checkpoint` makes one."
        raise InvalidInput(f"There is no place {shown!r} on {self.record.label!r}. {known}")

    def _after(self, messages: int) -> Turn:
        """Return the turn that holds the message after the first so many.

        Turns behind it are not checked: a damaged one must not keep anybody from going back before it.
        """
        assert self.head.turn_id is not None
        steps = self.backend.ancestors([self.head.turn_id], above=messages).values()
        step = min(steps, key=lambda step: step.depth, default=None)
        if step is None or step.total_messages - step.message_count > messages:
            raise DamagedTurn(self.head.turn_id if step is None else step.parent_id or step.turn_id)
        found = self.backend.turn(step.turn_id)
        if found is None:
            raise DamagedTurn(step.turn_id)
        return found

    def _state_at(self, messages: int) -> str:
        """Return the state of when there were so many messages: what came next began with it."""
        return self.backend.state_before(self._after(messages).turn_id)

    # Forks

    def fork(self, name: str | None = None, at: int | str | Turn | Checkpoint | None = None) -> Self:
        """Return a new session that starts at this head, or at another place. Copies no messages.

        A session of another owner gives a fork of one's own.

        Parameters
        ----------
        name : str or None
            None gives ``<name> (fork)``.
        at : int, str, Turn, Checkpoint or None
            As for `rewind`.

        Raises
        ------
        SessionExists, InvalidInput

        Examples
        --------
        >>> import nbsessions as nbs
        >>> session = nbs.open_store("memory:").create("plan")
        >>> session.fork().name, session.fork().name
        ('plan (fork)', 'plan (fork 2)')
        """
        place = Place(self.head, self.message_count, self.turn_count) if at is None else self.place(at)
        names = [check_name(name)] if name is not None else forks.names(self.backend, self.record)
        for candidate in names:
            record = self._forked(*place, candidate)
            try:
                self.backend.insert(record, inherits=forks.inherited(self.record, record))
            except SessionExists:
                if name is not None:
                    raise
                continue
            break
        options: dict[str, Any] = {name: getattr(self, name) for name in self.OPTIONS}
        return type(self)(self.backend, record, **options)

    def branches(self) -> list[SessionRecord]:
        """Return the sessions that were forked from this one, and from those, oldest first.

        Examples
        --------
        >>> import nbsessions as nbs
        >>> session = nbs.open_store("memory:").create("plan")
        >>> _ = session.fork("b").fork("c")
        >>> [record.name for record in session.branches()]
        ['b', 'c']
        """
        found = chain.from_iterable(families.forks(self.backend, self.record).values())
        return sorted(found, key=lambda record: (record.created_at, record.session_id))

    # Checkpoints

    def checkpoint(self, name: str | None = None) -> Checkpoint:
        """Name this place: the turn, with the state of now. `rewind` and `fork` come back to it.

        A name may be used again: it means the newest then, and the others keep their ids. Naming the
        same place twice makes one checkpoint.

        Parameters
        ----------
        name : str or None
            None gives ``checkpoint 1``, ``checkpoint 2``...

        Raises
        ------
        InvalidInput
            The name is a number, which `rewind` would take for a number of messages.

        Examples
        --------
        >>> import nbsessions as nbs
        >>> session = nbs.open_store("memory:").create("plan")
        >>> session.checkpoint("before the risky step").name
        'before the risky step'
        """
        self.check_owner()
        before = self.checkpoints()
        if name is None:
            taken = {checkpoint.name for checkpoint in before}
            name = next(text for n in range(1, len(before) + 2) if (text := f"checkpoint {n}") not in taken)
        elif check_name(name).strip().lstrip("+-").isdecimal():
            raise InvalidInput(f"{name!r} would be read as a number of messages; choose another name.")
        own = next((one for one in before if one.session_id == self.record.session_id), None)
        if own is not None and (own.name, own.head, own.state) == (name, self.head, self.state):
            return own
        made = Checkpoint(
            checkpoint_id=new_id(),
            session_id=self.record.session_id,
            name=name,
            head=self.head,
            message_count=self.message_count,
            turn_count=self.turn_count,
            state=self.state,
            created_at=now(),
            parent_id=None if own is None else own.checkpoint_id,
        )
        self.backend.add_checkpoint(self.key, made)
        return made

    def checkpoints(self, limit: int | None = None) -> list[Checkpoint]:
        """Return its checkpoints, newest first; those of its parents, too, as far as it shares their turns.

        Examples
        --------
        >>> import nbsessions as nbs
        >>> session = nbs.open_store("memory:").create("plan")
        >>> _ = session.checkpoint("a"), session.checkpoint("b")
        >>> [checkpoint.name for checkpoint in session.checkpoints()]
        ['b', 'a']
        """
        limit = None if limit is None else check_count(limit, "limit")
        return self.backend.checkpoints(self.key, self.head.turn_id)[:limit]
