"""Letting in what somebody else wrote: sessions that webagents made, and went on with."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from itertools import count
from typing import Any

from nbsessions.codecs import is_prompt
from nbsessions.exceptions import DamagedTurn, InvalidInput, SessionExists
from nbsessions.names import check_id, check_name, fork_names
from nbsessions.records import Head, Run, SessionRecord, Turn, Usage, parse_messages
from nbsessions.stores.base import Finish, Key, Move
from nbsessions.stores.file import edits, projection, reading
from nbsessions.stores.file.edits import Edit
from nbsessions.stores.file.files import Content, Place
from nbsessions.stores.file.journal import Rows
from nbsessions.stores.file.model import Known, Model
from nbsessions.stores.file.names import is_name_of
from nbsessions.stores.file.reading import Saved
from nbsessions.stores.file.shown import Shown
from nbsessions.values import encode_json, from_micros, micros
from nbsessions.workers import default_owner

_END = ".json"


class NotTaken(Exception):
    """What a file says was not let in, or only a part of it: what is in memory is to be read anew."""


class Taking(Shown):
    """A store that lets in what was done to its files by others."""

    def take(self, place: Place) -> Rows:
        """Let in what a file says that nobody here knows; return the rows of what that has changed."""
        content = self.examine(place)
        if content is None:
            return []
        key = self.key_at(place)
        if key is not None and self.is_let_in(place, content):
            self._remember(place, content)
            if not self.is_current(key, content):
                self._owed.setdefault(key, False)
            return []
        read = self.understood(place, content)
        if read is None:
            return []
        return self._take_read(place, key, *read)

    def take_behind(self, place: Place, content: Content) -> Rows:
        """Let in what another program wrote into a file that was replaced meanwhile."""
        key, seen = self.key_at(place), self._seen.get(place)
        rows = self._take_read(place, key, content, reading.read(content.data))
        if seen is not None:
            self._seen[place] = seen
        if key is not None:
            self._owed[key] = True
        return rows

    def _take_read(self, place: Place, key: Key | None, content: Content, saved: Saved) -> Rows:
        try:
            # What another program wrote there stays in its file until that is written again.
            rows = self._let_in(place, key, content, self.clean(saved))
        except (InvalidInput, DamagedTurn, ValueError) as error:
            self._note_bad(place, content.look, f"was not taken in: {str(error).rstrip('.')}")
            raise NotTaken from error
        self._remember(place, content)
        return rows

    def _remember(self, place: Place, content: Content) -> None:
        self._bad.pop(place, None)
        self._seen[place] = content._replace(data=b"")
        key = self.key_at(place)
        if key is not None and not self._owed.get(key, True) and self.is_current(key, content):
            del self._owed[key]

    def _let_in(self, place: Place, key: Key | None, content: Content, saved: Saved) -> Rows:
        check_id(saved.session_id, "session_id")
        if not is_name_of(place.name.removesuffix(_END), saved.session_id):
            raise InvalidInput(f"its session_id is {saved.session_id!r}, which is not its name")
        meant = Key(self._conversation(place.folder, saved.stamp), saved.session_id)
        if key is None and meant in self._sessions:
            raise InvalidInput(f"session {saved.session_id!r} is in {self.file_name(meant)} already")
        at = content.look.modified // 1000 if saved.updated_at is None else saved.updated_at
        if key is None:
            return self._begin(meant, place, content, saved, at)
        return self._go_on(key, content, saved, at)

    # A session that webagents made

    def _begin(self, key: Key, place: Place, content: Content, saved: Saved, at: int) -> Rows:
        check_id(saved.agent_name, "agent_name")
        if key.conversation_id:
            check_id(key.conversation_id, "conversation_id")
        name = self._usable_name(saved.name)
        metadata = dict(saved.metadata)
        if name is None and saved.name is not None:
            metadata["name"] = saved.name
        created = at if saved.created_at is None else saved.created_at
        fields: dict[str, Any] = {
            "session_id": key.session_id,
            "conversation_id": key.conversation_id or None,
        }
        fields |= {"agent_name": saved.agent_name, "owner": default_owner(), "metadata": metadata}
        fields |= {"created_at": from_micros(created), "updated_at": from_micros(max(created, at))}
        stands = self._same_line(saved)
        turns = [] if stands is not None else edits.turns(key, None, saved.messages, at)
        if stands is not None and stands:
            last = stands[-1]
            fields |= {"head": Head(last.turn_id), "message_count": last.total_messages}
            fields |= {"turn_count": last.total_turns}
        self._with_free_name(name, lambda free: Model.insert(self, SessionRecord(**fields, name=free)))
        if turns:
            self._import(key, turns, Head(turns[-1].turn_id), at)
        own_name = None if self.file_name(key) == place.name else place.name
        taken = None if content.stamp else content.digest
        self._known[key] = Known(own_name, taken, saved.more, saved.tokens, *self._noted(saved))
        self._note_place(key)
        rows = self.session_rows(key) + self.turn_rows(turns)
        rows += self._spend(key, saved.tokens, at) + self.entry_rows(key, 0) + self.stand_rows(key)
        record = self._sessions[key].record
        if saved.name != record.name and not (record.name is None and saved.name is not None):
            self._owed[key] = True
        return rows

    def _same_line(self, saved: Saved) -> list[Turn] | None:
        """Return the turns that a file was made from, where they are still here and say what it says."""
        if saved.stamp is None or saved.stamp.head.keep is not None:
            return None
        with suppress(DamagedTurn, InvalidInput, ValueError):
            if edits.told(self.dicts(saved.stamp.head), None, saved.messages) is None:
                return self.line(saved.stamp.head)
        return None

    def _usable_name(self, name: object) -> str | None:
        with suppress(InvalidInput):
            return check_name(name) if isinstance(name, str) else None
        return None

    def _with_free_name(self, name: str | None, call: Callable[[str | None], object]) -> None:
        """Do something with a name or, where that is taken, with the next one that is free."""
        for number in count(1):
            try:
                call(name if name is None or number == 1 else f"{name[:190]} ({number})")
                return
            except SessionExists:
                if name is None:
                    raise

    # A session of ours with which webagents went on

    def _go_on(self, key: Key, content: Content, saved: Saved, at: int) -> Rows:
        session = self._sessions[key]
        at = max(at, micros(session.record.updated_at))
        base = self._base(key, saved)
        said = self.dicts(session.record.head)
        try:
            before = said if base == session.record.head or base is None else self.dicts(base)
        except (DamagedTurn, InvalidInput, ValueError):
            base, before = None, said
        edit = edits.told(said, before, saved.messages)
        last = self._last_entry
        rows: Rows = []
        whose = key
        if edit is not None and edit.apart:
            whose, made = self._apart(key, base or Head(), before, edit, saved, at)
            rows += made
        elif edit is not None:
            # Who saves a session says when. What was damaged, or edited by hand, says what it said before.
            if edit.keep < len(said) and saved.updated_at == micros(session.record.updated_at):
                self._to_tell.append(
                    f"{self.path_of(self.place(key))} says something else since message {edit.keep + 1}, "
                    "but not when it was saved: it is damaged, or was edited by hand. "
                    "`undo` brings back what it said."
                )
            turns, head = self._arrived(key, session.record.head, said, edit, at)
            rows += self._import(key, turns, head, at)
        spent = self._uncounted(key, saved)
        rows += self._spend(whose, spent, at)
        self._change(key, saved, at)
        known = self._known.get(key, Known())
        more = {**known.more, **saved.more}
        note = self._noted(saved)
        self._known[key] = Known(known.name, content.digest, more, saved.tokens, *note)
        record = session.record
        differs = (record.metadata, record.name) != (saved.metadata, saved.name)
        if differs or not edits.is_exactly(self.dicts(record.head), saved.messages):
            self._owed[key] = True
        rows += self.session_rows(key) + self.entry_rows(key, last)
        for touched in {key, whose}:
            rows += self.stand_rows(touched)
        return rows

    def _base(self, key: Key, saved: Saved) -> Head | None:
        """Return where the session stood when the file was made that somebody changed."""
        if saved.stamp is not None:
            head = saved.stamp.head
            if head.turn_id is None or head.turn_id in self._turns:
                return head
        entries = reversed(list(self._sessions[key].entries.values()))
        return next((entry.head for entry in entries if entry.action in ("create", "import")), None)

    def _arrived(
        self, key: Key, head: Head, said: edits.Messages, edit: Edit, at: int
    ) -> tuple[list[Turn], Head]:
        """Return the new turns of an edit on the line of a head, and where they lead."""
        whole, kept, cut = None, 0, None
        for turn in self.line(head):
            count = turn.message_count
            if turn.turn_id == head.turn_id and head.keep is not None:
                count = head.keep
            if kept + count > edit.keep or count != turn.message_count:
                cut = turn
                break
            whole, kept = turn, kept + count
        if not edit.new and kept < edit.keep and cut is not None:
            return [], Head(cut.turn_id, edit.keep - kept)
        turns = edits.turns(key, whole, [*said[kept : edit.keep], *edit.new], at) if edit.new else []
        tip = turns[-1] if turns else whole
        return turns, Head(None if tip is None else tip.turn_id)

    def _import(self, key: Key, turns: list[Turn], head: Head, at: int) -> Rows:
        """Move a session there, and return the rows of the turns that are new."""
        new = [turn for turn in turns if turn.turn_id not in self._turns]
        self._turns |= {turn.turn_id: turn for turn in new}
        record = self._sessions[key].record
        messages, prompts = self._counts(head)
        move = Move(key, "import", record.head, head, messages, prompts, at)
        state = encode_json(record.state, "state")
        Model.move(self, move)
        self._states |= {turn.turn_id: state for turn in new}
        return self.turn_rows(new)

    def _counts(self, head: Head) -> tuple[int, int]:
        if head.turn_id is None:
            return 0, 0
        turn = self._turns[head.turn_id]
        if head.keep is None:
            return turn.total_messages, turn.total_turns
        lost = parse_messages(projection.dicts(turn)[head.keep :])
        return turn.total_messages - len(lost), turn.total_turns - sum(map(is_prompt, lost))

    def _apart(
        self, key: Key, base: Head, before: edits.Messages, edit: Edit, saved: Saved, at: int
    ) -> tuple[Key, Rows]:
        """Keep an edit on a fork: the session has left the place that it was made from."""
        for number in count():
            fork = Key(key.conversation_id, edits.derived(*key, *base, number))
            session = self._sessions.get(fork)
            if session is None:
                break
            # Who has not heard of it goes on from the same place, and says again what the fork says.
            said = self.dicts(session.record.head)
            more = edits.added(said, saved.messages, seen=len(said) - edit.keep)
            if more is not None:
                if not more:
                    return fork, []
                edit = Edit(len(said), more)
                turns, head = self._arrived(fork, session.record.head, said, edit, at)
                last = self._last_entry
                rows = self._import(fork, turns, head, at)
                return fork, rows + self.entry_rows(fork, last)
        parent = self._sessions[key].record
        changes: dict[str, Any] = {"session_id": fork.session_id, "parent_session_id": key.session_id}
        messages, prompts = self._counts(base)
        changes |= {"head": base, "message_count": messages, "turn_count": prompts, "draft": None}
        changes |= {"created_at": from_micros(at), "updated_at": from_micros(at), "usage": Usage()}
        record = parent.model_copy(update=changes)
        names = fork_names(parent.label, lambda: [one.record.name for one in self._sessions.values()])
        for name in names:
            try:
                Model.insert(self, record.model_copy(update={"name": name}))
                break
            except SessionExists:
                continue
        turns, head = self._arrived(fork, base, before, edit, at)
        rows = self._import(fork, turns, head, at)
        self._note_place(fork)
        self._owed[fork] = True
        self._to_tell.append(
            f"{self.path_of(self.place(key))} was changed by another program, from a place that "
            f"{parent.label!r} has left: what it says is kept on {name!r}."
        )
        return fork, self.session_rows(fork) + rows + self.entry_rows(fork, 0)

    def _uncounted(self, key: Key, saved: Saved) -> tuple[int, int]:
        """Return the tokens that a file tells and that were not counted yet."""
        usage = self._sessions[key].record.usage
        own = (usage.input_tokens, usage.output_tokens)
        counted = (own if saved.stamp is None else saved.stamp.tokens, self._known.get(key, Known()).counted)
        fresh = [max(0, told - max(before)) for told, *before in zip(saved.tokens, *counted, strict=True)]
        return fresh[0], fresh[1]

    def _spend(self, key: Key, tokens: tuple[int, int], at: int) -> Rows:
        """Count tokens that another program says it spent, as a run of which nothing else is known."""
        if not any(tokens):
            return []
        record = self._sessions[key].record
        run_id = edits.derived(*key, "run", record.head.turn_id, at, tokens)
        if run_id in self._runs:
            return []
        run = Run(
            run_id=run_id,
            session_id=key.session_id,
            conversation_id=key.conversation_id or None,
            agent_name=record.agent_name,
            turn_id=record.head.turn_id,
            started_at=from_micros(at),
        )
        usage = Usage(input_tokens=tokens[0], output_tokens=tokens[1], unpriced_tokens=sum(tokens))
        Model.start_run(self, run)
        Model.finish_run(self, Finish(run_id, "completed", at, usage))
        return self.run_rows(run_id)

    def _noted(self, saved: Saved) -> tuple[str | None, str]:
        """Return the name and what stands for the metadata that a file tells."""
        return self._usable_name(saved.name), reading.metadata_sum(saved.metadata)

    def _change(self, key: Key, saved: Saved, at: int) -> None:
        """Take over a name and metadata that were changed; what was changed here, too, stays."""
        record, stamp, known = self._sessions[key].record, saved.stamp, self._known.get(key, Known())
        changes: dict[str, Any] = {}
        if reading.is_metadata_changed(saved) and saved.metadata != record.metadata:
            shown = record.metadata if stamp is None else reading.shown(record.metadata, stamp)
            before = (known.metadata, None if stamp is None else stamp.metadata)
            if known.metadata == reading.metadata_sum(record.metadata) or (
                reading.metadata_sum(shown) in before
            ):
                changes["metadata"] = saved.metadata
            elif stamp is None:
                changes["metadata"] = {**record.metadata, **saved.metadata}
            else:
                changes["metadata"] = {**saved.metadata, **record.metadata}
                self._to_tell.append(
                    f"The metadata of {record.label!r} were changed by another program, and here: "
                    "where both say something, what was said here stays."
                )
            if "name" in record.metadata:  # the file calls the session by it
                changes["metadata"] = {**changes["metadata"], "name": record.metadata["name"]}
        name = self._usable_name(saved.name)
        names = (known.last_name, record.name if stamp is None else stamp.name)
        if name is not None and name not in (*names, record.name) and record.name in (*names, None):
            self._with_free_name(name, lambda free: Model.update(self, key, {**changes, "name": free}, at))
        else:
            Model.update(self, key, changes, at)
