"""
Where a session stands, as one handle knows it, and the one way in which it moves.

A move is a compare-and-set: who lost a race against another writer is kept on a fork, or told.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal, NamedTuple

from pydantic_core import from_json

from nbsessions import forks
from nbsessions.exceptions import InvalidInput, NotOwner, SessionConflict, SessionError, SessionNotFound
from nbsessions.records import Head, LogEntry, SessionRecord, Turn, Usage
from nbsessions.stores.base import Backend, HeadMoved, Key, Move
from nbsessions.values import check_count, encode_json, micros, now, plain_json

OnConflict = Literal["fork", "error"]
_PLACE = ("head", "message_count", "turn_count", "state")
"""The fields of a record that say where the session stands."""


class Stand(NamedTuple):
    """Where a move starts from.

    Examples
    --------
    >>> Stand(Head(), 0, 0, draft=False).looks
    0
    """

    head: Head
    messages: int
    turns: int
    draft: bool
    looks: int = 0
    """How often the handle had let in what others did."""


class Movable:
    """A handle on a session's head; base of `Branch`.

    What it knows of the place where it stands changes only by its own moves and by `refresh`: if
    another writer moved the session meanwhile, its next move finds out, and loses.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> nbs.open_store("memory:").create().head
    Head(turn_id=None, keep=None)
    """

    def __init__(
        self,
        backend: Backend,
        record: SessionRecord,
        *,
        autosave: bool = True,
        on_conflict: OnConflict = "fork",
        max_messages: int | None = None,
        max_tokens: int | None = None,
        max_events: int | None = None,
        compact_at: int | None = None,
        compact_with: object = None,
        actor: str | None = None,
        draft: bool = False,
    ) -> None:
        if on_conflict not in ("fork", "error"):
            raise InvalidInput(f"on_conflict is 'fork' or 'error', not {on_conflict!r}.")
        self.backend = backend
        self.record = record
        self.autosave = autosave
        self.on_conflict: OnConflict = on_conflict
        self.max_messages = None if max_messages is None else check_count(max_messages, "max_messages", 1)
        self.max_tokens = None if max_tokens is None else check_count(max_tokens, "max_tokens", 1)
        self.max_events = None if max_events is None else check_count(max_events, "max_events", 1)
        self.compact_at = None if compact_at is None else check_count(compact_at, "compact_at", 1)
        self.compact_with = compact_with
        self.actor = actor
        self.notice: str | None = None
        self.unsaved: list[Callable[[], object]] = []
        self._draft: LogEntry | None = None
        self._looks = 0
        # Several runs may go on at once on one handle: each answer is saved once.
        self._saving = threading.RLock()
        if record.draft is not None and (draft or not autosave):
            self._stand_on_draft()

    OPTIONS: ClassVar = (
        "autosave",
        "on_conflict",
        "max_messages",
        "max_tokens",
        "max_events",
        "compact_at",
        "compact_with",
        "actor",
    )
    """What a fork takes over from the handle that it was made with."""

    def check_owner(self) -> None:
        """Refuse to change a session of somebody else than who acts through this handle.

        Raises
        ------
        NotOwner

        Examples
        --------
        >>> import nbsessions as nbs
        >>> nbs.open_store("memory:").create("plan").check_owner()
        """
        if self.actor is not None and self.record.owner != self.actor:
            raise NotOwner(self.record.label, self.record.owner)

    @property
    def key(self) -> Key:
        """What names it in its store."""
        return Key.of(self.record)

    @property
    def head(self) -> Head:
        """Where this handle stands: the saved head, or its draft."""
        return self.record.head if self._draft is None else self._draft.head

    @property
    def message_count(self) -> int:
        """How many messages there are at the head."""
        return self.record.message_count if self._draft is None else self._draft.message_count

    @property
    def turn_count(self) -> int:
        """How many prompts there are at the head."""
        return self.record.turn_count if self._draft is None else self._draft.turn_count

    @property
    def on_draft(self) -> bool:
        """Whether it stands on the session's draft, and not on its saved head."""
        return self._draft is not None

    @property
    def saved(self) -> bool:
        """Whether all that this handle did is on the session: not in its draft, and not refused."""
        return self._draft is None and not self.unsaved

    @property
    def state(self) -> dict[str, Any]:
        """A JSON object that goes with the head: rewind and undo restore it. Assigning makes it durable.

        Examples
        --------
        >>> import nbsessions as nbs
        >>> session = nbs.open_store("memory:").create("plan")
        >>> session.state = {"step": 1}
        >>> session.state
        {'step': 1}
        """
        if self._draft is None and not self.record.state:
            return {}
        text = encode_json(self.record.state, "state") if self._draft is None else self._draft.state
        state: dict[str, Any] = from_json(text)
        return state

    @state.setter
    def state(self, value: Mapping[str, Any]) -> None:
        text = encode_json(plain_json(value, "state"), "state")
        present = self.backend.current(self.key, draft=self._draft is not None)
        beside: dict[str, Any] = {}
        if present.draft or self.autosave:
            # It is no move of the head: undo goes past it, to what was before the last move.
            beside = {"undo": True, "before": present.before, "done": present.done}
        self._move("state", self.head, self.message_count, self.turn_count, state=text, **beside)

    def refresh(self) -> None:
        """Stand where the store says the session is now: what other writers did comes in.

        Raises
        ------
        SessionNotFound
            It was deleted.

        Examples
        --------
        >>> import nbsessions as nbs
        >>> store = nbs.open_store("memory:")
        >>> session, other = store.create("plan"), store.resume("plan")
        >>> other.add_message({"role": "user", "content": "Hello"})
        >>> session.refresh()
        >>> session.message_count
        1
        """
        record = self.backend.get(self.key)
        if record is None:
            raise SessionNotFound(self.record.label, deleted=True)
        before = self.head
        was, self._draft, self.record = self._draft, None, record
        if was is not None and record.draft is not None:
            self._stand_on_draft(since=was)
        self._looks += self.head != before

    def check_place(self) -> None:
        """Refuse to begin what could not be committed: another writer has moved the session.

        Raises
        ------
        SessionConflict

        Examples
        --------
        >>> import nbsessions as nbs
        >>> nbs.open_store("memory:").create("plan").check_place()
        """
        if self.backend.get(self.key) is None:  # who begins is told so
            return
        present = self.backend.current(self.key, draft=self._draft is not None)
        same = present.head == self.head
        if self._draft is not None:
            same = present.entry_id == self._draft.entry_id
        if not same:
            ours, theirs = self.head.turn_id, present.head.turn_id
            raise SessionConflict(self.record.label, ours=ours, theirs=theirs, drafted=present.draft)

    def save_waiting(self) -> None:
        """Commit the answers that the store refused, in their order.

        Raises
        ------
        StoreError
            It still refuses them; they go on waiting.
        SessionConflict, SessionNotFound
            Another writer moved or deleted the session, and `on_conflict` is ``"error"``: the text
            names the fork on which the answer is kept.

        Examples
        --------
        >>> import nbsessions as nbs
        >>> nbs.open_store("memory:").create("plan").save_waiting()
        """
        with self._saving:
            while self.unsaved:
                first = self.unsaved[0]
                try:
                    first()
                except SessionError:  # which says where it is kept
                    self.unsaved.remove(first)
                    raise
                self.unsaved.remove(first)

    def standing(self) -> Stand:
        """Return where this handle stands, for what begins here and is committed later: see `prepare`.

        Examples
        --------
        >>> import nbsessions as nbs
        >>> nbs.open_store("memory:").create("plan").standing().messages
        0
        """
        drafts = self._draft is not None or not self.autosave
        return Stand(self.head, self.message_count, self.turn_count, drafts, self._looks)

    def _move(
        self,
        action: str,
        head: Head,
        messages: int,
        turns_count: int,
        *,
        saving: bool = False,
        start: Stand | None = None,
        turns: Sequence[Turn] = (),
        apart: str | None = None,
        **more: Any,
    ) -> None:
        """Move the head; `apart` says why what is committed shall stand on a fork from the first."""
        start = start or self.standing()
        if saving:
            start = Stand(self.record.head, self.record.message_count, self.record.turn_count, False)
        # A draft that somebody else has made, or has gone on with, is no place to start from.
        known = 0 if self._draft is None else self._draft.entry_id
        move = Move(
            key=self.key,
            action=action,
            expected=start.head,
            head=head,
            total_messages=messages,
            total_turns=turns_count,
            at=micros(now()),
            turns=tuple(turns),
            draft=start.draft,
            draft_entry=known if saving or start.draft else None,
            **more,
        )
        self.notice = None
        self.check_owner()
        if apart is not None:
            self._stand_on_fork(move, start, apart)
            return
        try:
            self._arrive(move, self.backend.move(move))
        except HeadMoved as moved:
            self._fork_off(move, start, moved.record)
        except SessionNotFound:
            # An answer was paid for, also where the session was deleted meanwhile.
            if move.finish is None:
                raise SessionNotFound(self.record.label, deleted=True) from None
            self._fork_off(move, start, None)

    def _arrive(self, move: Move, record: SessionRecord) -> None:
        forked = Key.of(record) != self.key
        if forked:  # it was made before, on a fork, and is tried again
            self.notice = f"Your {move.action} is kept on {record.name!r}."
        if forked or not move.draft:
            self.record, self._draft = record, None
            return
        # The saved head may be somebody else's by now: saving must find that out.
        self._know(record)
        self._draft = None if move.ends_draft else self._draft_after(move)

    def _draft_after(self, move: Move) -> LogEntry | None:
        """Return the log entry that a move of the draft has made: others may have gone on since."""

        def is_made(entry: LogEntry) -> bool:
            return entry.draft and (entry.action, entry.head) == (move.action, move.head)

        present = self.backend.current(self.key, draft=True)
        if is_made(present):
            return present
        return next((entry for entry in self.backend.log(self.key) if is_made(entry)), None)

    def _know(self, record: SessionRecord) -> None:
        """Take over what a record says of the session, but not where it stands."""
        place = {field: getattr(self.record, field) for field in _PLACE}
        self.record = record.model_copy(update=place)

    def _stand_on_draft(self, *, since: LogEntry | None = None) -> None:
        """Stand on the session's draft, and know the saved head that it began from.

        With `since`, only where it is still the draft of that entry, and not one that was begun later.
        """
        base = self.backend.current(self.key, draft=True)
        if not base.draft:  # it was saved meanwhile, or taken back
            self.record = self.backend.get(self.key) or self.record
            return
        if since is not None and since.base != base.base:
            return
        self._draft = base
        while base.draft:
            # Of a draft of an earlier version, it is the last saved one before.
            found = self.backend.entry(base.base or base.before or 0)
            if found is None:
                break
            base = found
        values = (base.head, base.message_count, base.turn_count, from_json(base.state))
        self.record = self.record.model_copy(update=dict(zip(_PLACE, values, strict=True)))

    def _fork_off(self, move: Move, start: Stand, theirs: SessionRecord | None) -> None:
        """Keep what lost the race on a fork of its own base, or say so; `theirs` is None: it was deleted.

        Where conflicts are errors, only an answer is kept: it was paid for. This handle stays then.
        """
        if self.on_conflict == "fork":
            self._stand_on_fork(move, start, *forks.happened(move, theirs))
            return
        kept = None if move.finish is None else self._kept_on_fork(move, start).name
        raise forks.conflict(self.record.label, move, theirs, kept)

    def _stand_on_fork(self, move: Move, start: Stand, happened: str, hint: str = "") -> None:
        label = self.record.label
        self.record, self._draft = self._kept_on_fork(move, start), None
        self.notice = f"{label!r} {happened}: your {move.action} is kept on {self.record.name!r}{hint}."

    def _kept_on_fork(self, move: Move, start: Stand) -> SessionRecord:
        saving = move.action == "save"
        state = encode_json(self.record.state, "state") if saving else None
        fork = self._forked(start.head, start.messages, start.turns, state)
        draft = self._draft.entry_id if saving and self._draft is not None else None
        return forks.keep(self.backend, move, self.record, fork, draft=draft)

    def _forked(
        self, head: Head, messages: int, turns: int, state: str | None = None, name: str | None = None
    ) -> SessionRecord:
        own = self.state if state is None else from_json(state)
        owner = self.actor or self.record.owner
        return forks.begun(self.record, head, messages, turns, state=own, owner=owner, name=name)

    def _change(self, **changes: Any) -> None:
        self.check_owner()
        self._know(self.backend.update(self.key, changes, micros(now())))

    def spent(self, usage: Usage) -> None:
        """Count what a run spent that committed no turn; the store has done so already.

        Examples
        --------
        >>> import nbsessions as nbs
        >>> session = nbs.open_store("memory:").create("plan")
        >>> session.spent(nbs.Usage(input_tokens=3))
        >>> session.total_tokens
        3
        """
        self.record = self.record.model_copy(update={"usage": self.record.usage + usage})
