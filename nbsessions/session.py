"""
The handle that a person holds: one session, from where it stands.

Fork, rewind, undo, clear and save are written here, once, above the store's `move`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from nbsessions.codecs import Item, codec, cut, rewrite
from nbsessions.context import trim
from nbsessions.exceptions import DamagedTurn, InvalidInput, RunNotFound, SessionConflict, SessionExists
from nbsessions.records import (
    Event,
    Head,
    LogEntry,
    Message,
    Run,
    SessionRecord,
    Turn,
    Usage,
    encode_json,
    micros,
    new_id,
    now,
    parse_messages,
)
from nbsessions.stores.base import Backend, Finish, HeadMoved, Key, Move, chain_hash, content_hash, is_intact

if TYPE_CHECKING:
    from nbsessions.runner import Listener

OnConflict = Literal["fork", "error"]


class Session:
    """One session of a store, from where it stands.

    Made by `Store.create`, `resume`, `fork` and `rewind`. Its head moves only through it: if
    another writer moved the session meanwhile, the next commit goes to a fork (``on_conflict``
    ``"fork"``, the default) or raises `SessionConflict` (``"error"``).

    Attributes
    ----------
    record : SessionRecord
        All that is stored of it but messages.
    unsaved : callable or None
        An answer that the store refused (its disk is full): `save` tries it again.
    notice : str or None
        What the last commit had to tell, such as a fork after a conflict.
    autosave : bool
        Off: turns go to a durable draft, and `save` moves the head once.
    max_messages : int or None
        Trims what the agent sees, never what is stored.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> session = nbs.open_store("memory:").create("plan")
    >>> session.add_message({"role": "user", "content": "Hello"})
    >>> session.message_count, session.messages[0].text
    (1, 'Hello')
    """

    def __init__(
        self,
        backend: Backend,
        record: SessionRecord,
        *,
        autosave: bool = True,
        on_conflict: OnConflict = "fork",
        max_messages: int | None = None,
        draft: bool = False,
    ) -> None:
        self.backend = backend
        self.record = record
        self.autosave = autosave
        self.on_conflict: OnConflict = on_conflict
        self.max_messages = max_messages
        self.notice: str | None = None
        self._view: tuple[Head, list[Message]] | None = None
        self._tip: Turn | None = None
        self._stand: LogEntry | None = None
        self.unsaved: Callable[[], object] | None = None
        if record.draft is not None and (draft or not autosave):
            self._stand = backend.current(Key.of(record), draft=True)

    def __repr__(self) -> str:
        return f"<Session {self.record.label!r}: {self.turn_count} turns, {self.message_count} messages>"

    # What it is

    @property
    def key(self) -> Key:
        """What names it in its store."""
        return Key.of(self.record)

    @property
    def session_id(self) -> str:
        """The id: a UUIDv7, unless the caller gave one."""
        return self.record.session_id

    @property
    def conversation_id(self) -> str | None:
        """The A2A conversation that it belongs to."""
        return self.record.conversation_id

    @property
    def name(self) -> str | None:
        """The name, unique for this owner, agent and conversation."""
        return self.record.name

    @property
    def tags(self) -> list[str]:
        """The tags, in the order in which they came."""
        return list(self.record.tags)

    @property
    def agent_name(self) -> str:
        """The name of the agent that it was made for."""
        return self.record.agent_name

    @property
    def owner(self) -> str:
        """Whose it is."""
        return self.record.owner

    @property
    def created_at(self) -> datetime:
        """When it was made (UTC)."""
        return self.record.created_at

    @property
    def updated_at(self) -> datetime:
        """When it last changed (UTC)."""
        return self.record.updated_at

    @property
    def usage(self) -> Usage:
        """What its own runs spent, failed ones included."""
        return self.record.usage

    @property
    def total_tokens(self) -> int:
        """Input and output tokens of its own runs."""
        return self.record.total_tokens

    @property
    def metadata(self) -> dict[str, Any]:
        """A JSON object for the caller. Assigning makes it durable.

        Examples
        --------
        >>> import nbsessions as nbs
        >>> session = nbs.open_store("memory:").create("plan")
        >>> session.metadata = {"ticket": 7}
        >>> session.metadata
        {'ticket': 7}
        """
        return dict(self.record.metadata)

    @metadata.setter
    def metadata(self, value: Mapping[str, Any]) -> None:
        encode_json(value, "metadata")
        self._update(metadata=dict(value))

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
        return dict(self.record.state) if self._stand is None else dict(_json(self._stand.state))

    @state.setter
    def state(self, value: Mapping[str, Any]) -> None:
        text = encode_json(dict(value), "state")
        drafting = self._drafting
        self.record = self.backend.set_state(self.key, text, micros(now()), draft=drafting)
        self._restand()

    # Where it stands

    @property
    def head(self) -> Head:
        """Where this handle stands: the saved head, or its draft."""
        return self.record.head if self._stand is None else self._stand.head

    @property
    def message_count(self) -> int:
        """How many messages there are at the head."""
        return self.record.message_count if self._stand is None else self._stand.message_count

    @property
    def turn_count(self) -> int:
        """How many prompts there are at the head."""
        return self.record.turn_count if self._stand is None else self._stand.turn_count

    @property
    def saved(self) -> bool:
        """Whether all that this handle did is on the session, and not in its draft."""
        return self._stand is None

    @property
    def turns(self) -> list[Turn]:
        """The turns from the root to the head, oldest first.

        Raises
        ------
        DamagedTurn
            One of them does not match its hash.

        Examples
        --------
        >>> import nbsessions as nbs
        >>> session = nbs.open_store("memory:").create("plan")
        >>> session.add_message({"role": "user", "content": "Hello"})
        >>> [turn.message_count for turn in session.turns]
        [1]
        """
        return self._chain()

    def _chain(self, messages: int | None = None, at: Head | None = None) -> list[Turn]:
        head = at or self.head
        if head.turn_id is None:
            return []
        turns = self.backend.chain(head.turn_id, messages=messages)
        for turn in turns:
            if not is_intact(turn):
                raise DamagedTurn(turn.turn_id)
        return turns

    @property
    def messages(self) -> list[Message]:
        """A fresh list of all messages, oldest first. Assigning a list replaces them; `undo` takes it back.

        Raises
        ------
        DamagedTurn, InvalidInput

        Examples
        --------
        >>> import nbsessions as nbs
        >>> session = nbs.open_store("memory:").create("plan")
        >>> session.messages = [{"role": "system", "content": "Be brief."}]
        >>> [message.role for message in session.messages]
        ['system']
        """
        head = self.head
        if self._view is None or self._view[0] != head:
            self._view = (head, _view(self._chain(), head))
        return list(self._view[1])

    @messages.setter
    def messages(self, value: Iterable[Message | Mapping[str, Any]]) -> None:
        self._replace(parse_messages(list(value)), "replace")

    def history(self, limit: int | None = None) -> list[Message]:
        """Return the last `limit` messages, oldest first; all where it is None.

        Examples
        --------
        >>> import nbsessions as nbs
        >>> session = nbs.open_store("memory:").create("plan")
        >>> session.messages = [{"role": "user", "content": str(n)} for n in range(5)]
        >>> [message.text for message in session.history(2)]
        ['3', '4']
        """
        if limit is None or (self._view is not None and self._view[0] == self.head):
            return self.messages[-limit:] if limit else ([] if limit == 0 else self.messages)
        if limit <= 0:
            return []
        return _view(self._tail(limit, self.head), self.head)[-limit:]

    def _tail(self, messages: int, head: Head) -> list[Turn]:
        """Return the last turns, enough of them for so many messages of a head that may be cut."""
        turns = self._chain(messages, head)
        lost = 0 if head.keep is None or not turns else turns[-1].message_count - head.keep
        return turns if not lost else self._chain(messages + lost, head)

    def visible(self, max_messages: int | None = None, *, at: Head | None = None) -> list[Item]:
        """Return what an agent would be sent: native items, trimmed to `max_messages`.

        `at` asks for what it would be sent there, instead of at the head.

        Examples
        --------
        >>> import nbsessions as nbs
        >>> session = nbs.open_store("memory:").create("plan")
        >>> session.messages = [{"role": "user", "content": str(n)} for n in range(5)]
        >>> [item.messages[0].text for item in session.visible(max_messages=1)]
        ['4']
        """
        limit = self.max_messages if max_messages is None else max_messages
        head = at or self.head
        if limit is None or limit < 1:
            return trim(_items(self._chain(at=head), head), limit)
        turns = self._tail(limit, head)
        above = self.backend.system_turns(turns[0].turn_id) if turns else []
        system = [item for turn in above for item in _system_items(turn)]
        return trim([*system, *_items(turns, head)], limit)

    # Moves of the head

    def add_message(self, message: Message | Mapping[str, Any]) -> None:
        """Append one message. It is durable when this returns.

        Raises
        ------
        InvalidInput
            It is no chat message, or cannot be stored as JSON; nothing was changed.
        SessionConflict
            Another writer moved the head, and `on_conflict` is ``"error"``.

        Examples
        --------
        >>> import nbsessions as nbs
        >>> session = nbs.open_store("memory:").create("plan")
        >>> session.add_message({"role": "user", "content": "Hello"})
        >>> session.messages[-1]["content"]
        'Hello'
        """
        (parsed,) = parse_messages([message])
        stamped = parsed if parsed.timestamp else parsed.model_copy(update={"timestamp": now()})
        body = encode_json([stamped.to_dict()], "message")
        self.commit("message", "chat", body, prompts=int(parsed.role == "user"))

    def commit(
        self,
        action: str,
        codec_name: str,
        body: str,
        *,
        prompts: int,
        base: Head | None = None,
        cell_id: str | None = None,
        finish: Finish | None = None,
    ) -> Turn:
        """Commit one turn of native messages, with the run that made it, and move the head there.

        Parameters
        ----------
        action : str
            For the head log.
        codec_name, body : str
            The native messages, a JSON array, and who reads it.
        prompts : int
            How many of them are prompts.
        base : Head or None
            Where the turn goes. None: on the head. Otherwise the head leaves what came after.
        cell_id : str or None
        finish : Finish or None

        Raises
        ------
        SessionConflict
            Another writer moved the head, and `on_conflict` is ``"error"``.

        Examples
        --------
        >>> import nbsessions as nbs
        >>> session = nbs.open_store("memory:").create("plan")
        >>> turn = session.commit("message", "chat", '[{"role":"user","content":"Hi"}]', prompts=1)
        >>> session.turns == [turn]
        True
        """
        view = codec(codec_name).view(body)
        turns: list[Turn] = []
        parent = self._parent(self.head if base is None else base, turns)
        turn = _turn(parent, codec_name, body, view, prompts=prompts, cell_id=cell_id)
        turns.append(turn)
        cached = None if self._view is None or base or turns[:-1] else (self._view[0], self._view[1])
        extends = cached is not None and cached[0] == self.head
        self._move(
            action, Head(turn.turn_id), turn.total_messages, turn.total_turns, turns=turns, finish=finish
        )
        self._tip = turn
        if extends and cached is not None and self.head.turn_id == turn.turn_id:
            self._view = (self.head, [*cached[1], *view])
        return turn

    def _parent(self, head: Head, turns: list[Turn]) -> Turn | None:
        """Return the turn to build on; a head that cuts its turn gets a turn of what is kept."""
        if head.turn_id is None:
            return None
        # What this handle has just written need not be read again to build on it.
        if self._tip is not None and head == Head(self._tip.turn_id):
            return self._tip
        whole = self._need_turn(head.turn_id)
        if head.keep is None:
            return whole
        parent = None if whole.parent_id is None else self._need_turn(whole.parent_id)
        kept = cut(whole.codec, whole.body, head.keep)
        body = encode_json([item.native for item in kept], "turn")
        view = [message for item in kept for message in item.messages]
        prompts = sum(message.role == "user" for message in view)
        turns.append(_turn(parent, whole.codec, body, view, prompts=prompts, cell_id=whole.cell_id))
        return turns[-1]

    def _need_turn(self, turn_id: str) -> Turn:
        turn = self.backend.turn(turn_id)
        if turn is None or not is_intact(turn):
            raise DamagedTurn(turn_id)
        return turn

    def rewind(self, to: int) -> Session:
        """Keep the first `to` messages; past the end changes nothing. Deletes nothing, and `undo` takes it back.

        Raises
        ------
        InvalidInput
            `to` is negative.

        Examples
        --------
        >>> import nbsessions as nbs
        >>> session = nbs.open_store("memory:").create("plan")
        >>> session.messages = [{"role": "user", "content": str(n)} for n in range(5)]
        >>> session.rewind(2).message_count
        2
        """
        head, messages, turns = self.locate(to)
        if messages < self.message_count:
            state = self.backend.state_at(self.key, head.turn_id)
            self._move("rewind", head, messages, turns, state=state)
        return self

    def locate(self, to: int) -> tuple[Head, int, int]:
        """Return the head that keeps the first `to` messages, with its counts of messages and prompts.

        Examples
        --------
        >>> import nbsessions as nbs
        >>> nbs.open_store("memory:").create("plan").locate(0)
        (Head(turn_id=None, keep=None), 0, 0)
        """
        if to < 0:
            raise InvalidInput(f"Messages are counted from 0: {to} is no number of messages to keep.")
        if to >= self.message_count:
            return self.head, self.message_count, self.turn_count
        if to == 0:
            return Head(), 0, 0
        turn = next(t for t in self._tail(self.message_count - to + 1, self.head) if t.total_messages >= to)
        if turn.total_messages == to:
            return Head(turn.turn_id), to, turn.total_turns
        keep = to - (turn.total_messages - turn.message_count)
        view = codec(turn.codec).view(turn.body)
        lost = sum(message.role == "user" for message in view[keep:])
        return Head(turn.turn_id, keep), to, max(0, turn.total_turns - lost)

    def fork(self, name: str | None = None, at: int | None = None) -> Session:
        """Return a new session that starts at this head, or at message `at`. Copies no messages.

        Parameters
        ----------
        name : str or None
            None gives ``<name> (fork)``.
        at : int or None

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
        head, messages, turns = self.locate(self.message_count if at is None else at)
        moved = head != self.head
        state = self.backend.state_at(self.key, head.turn_id) if moved else None
        record = self._forked(head, messages, turns, state)
        if name is not None:
            record = record.model_copy(update={"name": check_name(name)})
            self.backend.insert(record)
        else:
            record = _insert_numbered(self.backend, record)
        return self._sibling(record)

    def _forked(self, head: Head, messages: int, turns: int, state: str | None = None) -> SessionRecord:
        at = now()
        fresh = {"session_id": new_id(), "created_at": at, "updated_at": at, "usage": Usage()}
        stands = {"head": head, "draft": None, "message_count": messages, "turn_count": turns}
        own = {"parent_session_id": self.session_id, "state": self.state if state is None else _json(state)}
        return self.record.model_copy(update={**fresh, **stands, **own})

    def _sibling(self, record: SessionRecord) -> Session:
        options: dict[str, Any] = {"autosave": self.autosave, "on_conflict": self.on_conflict}
        return Session(self.backend, record, max_messages=self.max_messages, **options)

    def clear_history(self, keep_system: bool = True) -> None:
        """Empty the session, by default without its system messages. `undo` brings all back.

        Examples
        --------
        >>> import nbsessions as nbs
        >>> session = nbs.open_store("memory:").create("plan")
        >>> session.add_message({"role": "user", "content": "Hello"})
        >>> session.clear_history()
        >>> session.message_count
        0
        """
        kept = [message for message in self.messages if message.role == "system"] if keep_system else []
        self._replace(kept, "clear")

    def _replace(self, messages: Sequence[Message], action: str) -> None:
        if not messages:
            self._move(action, Head(), 0, 0)
            return
        body = encode_json([message.to_dict() for message in messages], "messages")
        prompts = sum(message.role == "user" for message in messages)
        self.commit(action, "chat", body, prompts=prompts, base=Head())

    def undo(self) -> str:
        """Take back the last move of the head, with the state of then. Returns what was taken back.

        Raises
        ------
        InvalidInput
            There is nothing to take back.

        Examples
        --------
        >>> import nbsessions as nbs
        >>> session = nbs.open_store("memory:").create("plan")
        >>> session.add_message({"role": "user", "content": "Hello"})
        >>> session.undo(), session.message_count
        ('message', 0)
        """
        present = self.backend.current(self.key, draft=not self.saved)
        target = None if present.before is None else self.backend.entry(present.before)
        if target is None:
            raise InvalidInput(f"Nothing to undo in {self.record.label!r}: this is where it began.")
        saved = self.backend.current(self.key, draft=False)
        ends = not self.saved and target.entry_id == saved.entry_id
        self._move(
            "undo",
            target.head,
            target.message_count,
            target.turn_count,
            state=target.state,
            undo=True,
            before=target.before,
            ends_draft=ends,
        )
        return present.action

    def log(self, limit: int | None = None) -> list[LogEntry]:
        """Return the head log, newest first.

        Examples
        --------
        >>> import nbsessions as nbs
        >>> [entry.action for entry in nbs.open_store("memory:").create("plan").log()]
        ['create']
        """
        return self.backend.log(self.key, limit)

    def save(self, name: str | None = None) -> None:
        """Move the head to the draft, where there is one, and name the session `name`.

        Raises
        ------
        SessionExists, InvalidInput, SessionConflict

        Examples
        --------
        >>> import nbsessions as nbs
        >>> session = nbs.open_store("memory:").create()
        >>> session.save("plan")
        >>> session.name
        'plan'
        """
        if name is not None and name != self.name:
            self.rename(name)
        if self.unsaved is not None:
            self.unsaved()
            self.unsaved = None
        if self._stand is not None:
            stand = self._stand
            counts = (stand.message_count, stand.turn_count)
            self._move("save", stand.head, *counts, state=stand.state, ends_draft=True, saving=True)

    # The one way in which the head moves

    @property
    def _drafting(self) -> bool:
        return not self.autosave or self._stand is not None

    def _move(
        self,
        action: str,
        head: Head,
        messages: int,
        turns_count: int,
        *,
        turns: Sequence[Turn] = (),
        saving: bool = False,
        **more: Any,
    ) -> None:
        draft = self._drafting and not saving
        move = Move(
            key=self.key,
            action=action,
            expected=self.record.head if saving else self.head,
            head=head,
            total_messages=messages,
            total_turns=turns_count,
            at=micros(now()),
            turns=tuple(turns),
            draft=draft,
            **more,
        )
        self.notice = None
        try:
            self.record = self.backend.move(move)
        except HeadMoved as moved:
            self._fork_off(move, moved.record)
        self._restand()

    def _fork_off(self, move: Move, theirs: SessionRecord) -> None:
        """Keep what lost the race on a fork of its own base, or say so."""
        if self.on_conflict == "error":
            raise SessionConflict(self.record.label, ours=move.expected.turn_id, theirs=theirs.head.turn_id)
        label = self.record.label
        base = self._forked(move.expected, self.message_count, self.turn_count)
        for name in fork_names(label):
            base = base.model_copy(update={"name": name})
            redone = {"key": Key.of(base), "create": base, "draft": False, "ends_draft": False, "undo": False}
            fields = {field: getattr(move, field) for field in Move.__dataclass_fields__}
            try:
                self.record = self.backend.move(Move(**{**fields, **redone, "before": None}))
                break
            except SessionExists:
                continue
        self._stand = None
        self.notice = f"{label!r} was moved by another writer: your {move.action} is kept on {self.name!r}."

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
        self.record = self.record.model_copy(update={"usage": self.usage + usage})

    def _restand(self) -> None:
        drafting = self._drafting and self.record.draft is not None
        self._stand = self.backend.current(self.key, draft=True) if drafting else None

    # Changes that do not move the head

    def _update(self, **changes: Any) -> None:
        at = micros(now())
        self.record = self.backend.update(self.key, changes, at)

    def rename(self, name: str) -> None:
        """Give it another name.

        Raises
        ------
        SessionExists
            The name is taken, for this owner, agent and conversation.

        Examples
        --------
        >>> import nbsessions as nbs
        >>> session = nbs.open_store("memory:").create("plan")
        >>> session.rename("essay")
        >>> session.name
        'essay'
        """
        self._update(name=check_name(name))

    def tag(self, *tags: str) -> None:
        """Add tags; those that it has already stay where they are.

        Examples
        --------
        >>> import nbsessions as nbs
        >>> session = nbs.open_store("memory:").create("plan", tags=["a"])
        >>> session.tag("b", "a")
        >>> session.tags
        ['a', 'b']
        """
        self._update(tags=list(dict.fromkeys([*self.tags, *check_tags(tags)])))

    def untag(self, *tags: str) -> None:
        """Take tags away; those that it does not have are ignored.

        Examples
        --------
        >>> import nbsessions as nbs
        >>> session = nbs.open_store("memory:").create("plan", tags=["a", "b"])
        >>> session.untag("a")
        >>> session.tags
        ['b']
        """
        self._update(tags=[tag for tag in self.tags if tag not in tags])

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
        self.backend.current(self.key, draft=False)
        record = self.backend.get(self.key)
        self.record = self.record if record is None else record
        self._restand()

    # Runs

    def runs(self) -> list[Run]:
        """Return its runs, oldest first, failed and cancelled ones included.

        Examples
        --------
        >>> import nbsessions as nbs
        >>> session = nbs.open_store("memory:").create("plan")
        >>> _ = session.send("Hello", agent=lambda prompt: "Hi")
        >>> [(run.prompt, run.status) for run in session.runs()]
        [('Hello', 'completed')]
        """
        return [self._prompted(run) for run in self.backend.runs(self.key)]

    def _prompted(self, run: Run) -> Run:
        """Return a run with its prompt, which a completed one keeps in its turn alone."""
        if run.prompt is not None or run.turn_id is None:
            return run
        turn = self._need_turn(run.turn_id)
        view = codec(turn.codec).view(turn.body)
        prompt = next((message.text for message in view if message.role == "user"), None)
        return run.model_copy(update={"prompt": prompt})

    def run_events(self, run_id: str) -> list[Event]:
        """Return the events of one of its runs, in order.

        Raises
        ------
        RunNotFound

        Examples
        --------
        >>> import nbsessions as nbs
        >>> session = nbs.open_store("memory:").create("plan")
        >>> run = session.send("Hello", agent=lambda prompt: "Hi")
        >>> session.run_events(run.run_id)[-1].type
        'RUN_FINISHED'
        """
        run = self.backend.get_run(run_id)
        if run is None or Key.of(run) != self.key:
            raise RunNotFound(f"No run {run_id!r} in session {self.record.label!r}.", run_id)
        return self.backend.events(run_id)

    def send(
        self, prompt: str, *, agent: object = None, on_event: Listener | None = None, **options: Any
    ) -> Run:
        """Send a prompt to an agent, and commit its answer as a turn.

        Parameters
        ----------
        prompt : str
        agent : object
            Whatever `nbsessions.adapters.adapt` takes. None: the model on this machine.
        on_event : callable or None
            Called with each AG-UI event after it was stored.
        **options
            `model`, `max_messages`, `cell_id`, `base`, `retry_of`: see `nbsessions.runner.run`.

        Returns
        -------
        Run
            With `output`.

        Raises
        ------
        RunFailed, RunCancelled, AgentError
            The prompt and what was said are kept on the run; the head did not move.

        Examples
        --------
        >>> import nbsessions as nbs
        >>> session = nbs.open_store("memory:").create("plan")
        >>> session.send("Hello", agent=lambda prompt: prompt.upper()).output
        'HELLO'
        """
        from nbsessions.runner import run

        return run(self, agent, prompt, on_event=on_event, **options)

    async def asend(
        self, prompt: str, *, agent: object = None, on_event: Listener | None = None, **options: Any
    ) -> Run:
        """Like `send`, for callers on an event loop. Cancelling it cancels the run.

        Examples
        --------
        >>> import asyncio
        >>> import nbsessions as nbs
        >>> session = nbs.open_store("memory:").create("plan")
        >>> asyncio.run(session.asend("Hello", agent=lambda prompt: "Hi")).output
        'Hi'
        """
        from nbsessions.runner import run_in_thread

        return await run_in_thread(self, agent, prompt, on_event=on_event, **options)


def check_name(name: str) -> str:
    """Return `name`, or refuse it.

    Raises
    ------
    InvalidInput

    Examples
    --------
    >>> check_name("plan")
    'plan'
    """
    if name == "latest":
        raise InvalidInput("'latest' is reserved; choose another name.")
    if not name.strip() or len(name) > 200 or any(ord(char) < 32 or char == "\x7f" for char in name):
        raise InvalidInput(f"{name[:40]!r} is no name: 1 to 200 characters, on one line.")
    encode_json(name, "name")
    return name


def check_tags(tags: Iterable[str]) -> list[str]:
    """Return `tags` as a list, or refuse one.

    Raises
    ------
    InvalidInput

    Examples
    --------
    >>> check_tags(["draft"])
    ['draft']
    """
    found = list(tags)
    for tag in found:
        if not tag.strip() or len(tag) > 100 or any(ord(char) < 32 or char == "\x7f" for char in tag):
            raise InvalidInput(f"{tag[:40]!r} is no tag: 1 to 100 characters, on one line.")
    encode_json(found, "tags")
    return found


def fork_names(label: str) -> Iterable[str]:
    """Yield the names that forks of `label` get, one after the other.

    Examples
    --------
    >>> from itertools import islice
    >>> list(islice(fork_names("plan"), 2))
    ['plan (fork)', 'plan (fork 2)']
    """
    yield f"{label} (fork)"
    number = 2
    while True:
        yield f"{label} (fork {number})"
        number += 1


def _insert_numbered(backend: Backend, record: SessionRecord) -> SessionRecord:
    parent = backend.get(Key(record.conversation_id or "", record.parent_session_id or ""))
    label = (parent or record).label
    for name in fork_names(label):
        named = record.model_copy(update={"name": name})
        try:
            backend.insert(named)
        except SessionExists:
            continue
        return named
    raise AssertionError("fork_names does not end")


def _turn(
    parent: Turn | None,
    codec_name: str,
    body: str,
    view: Sequence[Message],
    *,
    prompts: int,
    cell_id: str | None = None,
) -> Turn:
    parent_hash = None if parent is None else parent.hash
    return Turn(
        turn_id=new_id(),
        parent_id=None if parent is None else parent.turn_id,
        parent_hash=parent_hash,
        codec=codec_name,
        body=body,
        message_count=len(view),
        total_messages=len(view) + (0 if parent is None else parent.total_messages),
        total_turns=prompts + (0 if parent is None else parent.total_turns),
        depth=1 if parent is None else parent.depth + 1,
        has_system=any(message.role == "system" for message in view),
        cell_id=cell_id,
        created_at=micros(now()),
        content_hash=None,
        hash=chain_hash(parent_hash, content_hash(codec_name, body)),
    )


def _view(turns: Sequence[Turn], head: Head) -> list[Message]:
    messages: list[Message] = []
    for turn in turns:
        messages += codec(turn.codec).view(turn.body)
    if head.keep is not None and turns:
        del messages[len(messages) - turns[-1].message_count + head.keep :]
    return messages


def _items(turns: Sequence[Turn], head: Head) -> list[Item]:
    items = [item for turn in turns[:-1] for item in codec(turn.codec).items(turn.body)]
    for turn in turns[-1:]:
        keep = turn.message_count if head.keep is None else head.keep
        items += codec(turn.codec).items(turn.body) if head.keep is None else cut(turn.codec, turn.body, keep)
    return items


def _system_items(turn: Turn) -> list[Item]:
    items: list[Item] = []
    for item in codec(turn.codec).items(turn.body):
        system = [message for message in item.messages if message.role == "system"]
        if system:
            items += [item] if len(system) == len(item.messages) else rewrite(turn.codec, system)
    return items


def _json(text: str) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(text)
    return value
