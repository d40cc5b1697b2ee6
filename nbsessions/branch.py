"""
A session as a branch: what is on it, and how it grows and is undone.

Commit, clear, undo and save are written here, once, above the store's `move`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from nbsessions import chains
from nbsessions.codecs import is_prompt, is_summary
from nbsessions.context import trim
from nbsessions.exceptions import DamagedTurn, InvalidInput, SessionConflict
from nbsessions.hashes import is_intact
from nbsessions.moving import Stand
from nbsessions.names import check_name
from nbsessions.records import Head, LogEntry, Message, Turn, parse_messages
from nbsessions.seeing import Seeing
from nbsessions.stores.base import Finish
from nbsessions.values import check_count, encode_json, now


class Branch(Seeing):
    """A movable head on a tree of turns; base of `Placed`.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> isinstance(nbs.open_store("memory:").create(), Branch)
    True
    """

    # What was read or written last need not be read again.
    _view: tuple[Head, list[Message]] | None = None
    _tip: Turn | None = None

    def refresh(self) -> None:
        """Stand where the store says the session is now, and read again what it says there.

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
        >>> session.messages[0].text
        'Hello'
        """
        super().refresh()
        # Others may have redacted what was read before.
        self._view = self._tip = None

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
            self._view = (head, chains.view(self._chain(), head))
        return list(self._view[1])

    @messages.setter
    def messages(self, value: Iterable[Message | Mapping[str, Any]]) -> None:
        self._replace(parse_messages(list(value) if isinstance(value, Iterable) else value), "replace")

    def history(self, limit: int | None = None) -> list[Message]:
        """Return the last `limit` messages, oldest first; all where it is None.

        Raises
        ------
        InvalidInput
            `limit` is negative.

        Examples
        --------
        >>> import nbsessions as nbs
        >>> session = nbs.open_store("memory:").create("plan")
        >>> session.messages = [{"role": "user", "content": str(n)} for n in range(5)]
        >>> [message.text for message in session.history(2)]
        ['3', '4']
        """
        limit = None if limit is None else check_count(limit, "limit")
        if limit is None or (self._view is not None and self._view[0] == self.head):
            messages = self.messages
            return messages if limit is None else messages[max(0, len(messages) - limit) :]
        found = chains.view(self._tail(limit, self.head), self.head) if limit else []
        return found[max(0, len(found) - limit) :]

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
        self.commit("message", "chat", body, prompts=int(is_prompt(parsed)))

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
        return self.prepare(
            action, codec_name, body, prompts=prompts, base=base, cell_id=cell_id, finish=finish
        )()

    def prepare(
        self,
        action: str,
        codec_name: str,
        body: str,
        *,
        prompts: int,
        base: Head | None = None,
        cell_id: str | None = None,
        finish: Finish | None = None,
        start: Stand | None = None,
    ) -> Callable[[], Turn]:
        """Return what `commit` does, as a call that can be made again: its turn is made here, once.

        With `start`, what is committed was begun there. What this handle did since comes before it; what
        others did, and `refresh` let in since, was not known then: it is a conflict.

        Examples
        --------
        >>> import nbsessions as nbs
        >>> session = nbs.open_store("memory:").create("plan")
        >>> commit = session.prepare("message", "chat", '[{"role":"user","content":"Hi"}]', prompts=1)
        >>> commit() == commit(), session.message_count
        (True, 1)
        """
        # Before its hash is made: what this handle then knows of it is what is stored.
        body = self.backend.clean(body)
        view = chains.read(codec_name, body)
        here = self.standing()
        start = here if start is None or start.looks == here.looks else start
        made: list[tuple[list[Turn], list[Message] | None]] = []

        def make(head: Head) -> tuple[list[Turn], list[Message] | None]:
            parent, cut = self._parent(head)
            turn = chains.make_turn(parent, codec_name, body, view, prompts=prompts, cell_id=cell_id)
            known = self._view if base is None and not cut else None
            return [*cut, turn], [*known[1], *view] if known is not None and known[0] == start.head else None

        def commit() -> Turn:
            again, apart, stand = bool(made), None, start
            try:
                made[:] = made or [make(start.head if base is None else base)]
            except DamagedTurn:
                if finish is None:
                    raise
                # An answer was paid for: where nothing can be built on, it begins anew.
                made[:] = [make(Head())]
            turns, messages = made[0]
            turn = turns[-1]
            if turn.parent_id is None and (start.head if base is None else base) != Head():
                apart, stand = "has a damaged turn", start._replace(head=Head(), messages=0, turns=0)
            counts = (turn.total_messages, turn.total_turns)
            more: dict[str, Any] = {"finish": finish, "again": again, "apart": apart}
            self._move(action, Head(turn.turn_id), *counts, turns=turns, start=stand, **more)
            # Where it was made before, and tried again, others may have gone on from it.
            if self.head == Head(turn.turn_id):
                self._tip = turn
                self._view = self._view if messages is None else (self.head, messages)
            return turn

        return commit

    def _parent(self, head: Head) -> tuple[Turn | None, list[Turn]]:
        """Return the turn to build on; for a head that cuts its turn, a new one of what is kept."""
        if head.turn_id is None:
            return None, []
        # What this handle has just written need not be read again to build on it.
        if self._tip is not None and head == Head(self._tip.turn_id):
            return self._tip, []
        whole = self._need_turn(head.turn_id)
        if head.keep is None:
            return whole, []
        above = None if whole.parent_id is None else self._need_turn(whole.parent_id)
        cut = chains.cut_turn(above, whole, head.keep)
        return cut, [cut]

    def _need_turn(self, turn_id: str) -> Turn:
        turn = self.backend.turn(turn_id)
        if turn is None or not is_intact(turn):
            raise DamagedTurn(turn_id)
        return turn

    def clear_history(self, keep_system: bool = True, keep_last: int = 0) -> None:
        """Empty the session, by default but for its system messages. `undo` brings all back.

        Parameters
        ----------
        keep_system : bool
        keep_last : int
            So many messages stay: the system messages, and the last of the others. A tool's result goes
            where its call goes.

        Raises
        ------
        InvalidInput
            `keep_last` is negative.

        Examples
        --------
        >>> import nbsessions as nbs
        >>> session = nbs.open_store("memory:").create("plan")
        >>> session.messages = [{"role": "user", "content": str(n)} for n in range(5)]
        >>> session.clear_history(keep_last=2)
        >>> [message.text for message in session.messages]
        ['3', '4']
        >>> session.clear_history()
        >>> session.message_count
        0
        """
        self._view = None  # what was redacted meanwhile shall not come back
        if check_count(keep_last, "keep_last"):
            items = chains.items(self._chain(), self.head)
            # What a summary stands for is gone, or is told by the messages themselves.
            items = chains.without(items, lambda m: is_summary(m) or (m.role == "system" and not keep_system))
            left = trim(items, keep_last)
            if sum(len(item.messages) for item in left) < self.message_count:
                turns = chains.regrow(left)
                self._move("clear", *chains.end(turns), turns=turns)
            return
        kept = [message for message in self.messages if message.role == "system"] if keep_system else []
        self._replace(kept, "clear")

    def _replace(self, messages: Sequence[Message], action: str) -> None:
        if not messages:
            self._move(action, Head(), 0, 0)
            return
        body = encode_json([message.to_dict() for message in messages], "messages")
        self.commit(action, "chat", body, prompts=sum(map(is_prompt, messages)), base=Head())

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
        present = self.backend.current(self.key, draft=self._draft is not None)
        target = None if present.before is None else self.backend.entry(present.before)
        if target is None:
            raise InvalidInput(f"Nothing to undo in {self.record.label!r}: this is where it began.")
        moved_on = self._draft is not None and self._draft.entry_id != present.entry_id
        if moved_on or present.head != self.head:
            label = self.record.label
            ours, theirs = self.head.turn_id, present.head.turn_id
            raise SessionConflict(label, ours=ours, theirs=theirs, drafted=present.draft)
        counts = (target.message_count, target.turn_count)
        back: dict[str, Any] = {"undo": True, "before": target.before, "done": target.done}
        # A draft that is back where it began is none.
        began = None if self._draft is None else self._draft.base
        ends = self._draft is not None and began in (None, target.entry_id) and not target.draft
        self._move("undo", target.head, *counts, state=target.state, ends_draft=ends, **back)
        return present.done

    def log(self, limit: int | None = None) -> list[LogEntry]:
        """Return the head log, newest first.

        Examples
        --------
        >>> import nbsessions as nbs
        >>> [entry.action for entry in nbs.open_store("memory:").create("plan").log()]
        ['create']
        """
        limit = None if limit is None else check_count(limit, "limit")
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
        if name is not None and name != self.record.name:
            self._change(name=check_name(name))
        self.notice = None
        self.save_waiting()
        if self._draft is not None:
            draft = self._draft
            counts = (draft.message_count, draft.turn_count)
            self._move("save", draft.head, *counts, state=draft.state, ends_draft=True, saving=True)
