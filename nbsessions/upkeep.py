"""What keeps a store tidy and whole: delete, prune, collect, verify, back up."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from nbsessions.codecs import codec
from nbsessions.exceptions import InvalidInput, NotOwner, SessionNotFound, StoreError
from nbsessions.names import check_tags
from nbsessions.records import SessionRecord, Turn
from nbsessions.stores import open_backend
from nbsessions.stores.base import Backend, Key, Query, is_intact
from nbsessions.text import counted
from nbsessions.values import check_count, check_path, check_text, micros, now, parse_duration
from nbsessions.workers import is_alive

_SCAN = 1_000


class Damage(NamedTuple):
    """One thing that `verify` found wrong.

    Attributes
    ----------
    what : str
        The turn, session, run or file, and what is wrong with it.
    turn_id : str or None
        The turn, where it is one.

    Examples
    --------
    >>> Damage("Turn 019c-4a: its content does not match its hash").turn_id is None
    True
    """

    what: str
    turn_id: str | None = None


@dataclass
class Verification:
    """What `Store.verify` looked at, and found.

    Attributes
    ----------
    turns, sessions, runs : int
        How many were looked at.
    damages : list of Damage

    Examples
    --------
    >>> print(Verification(turns=3, sessions=1, runs=0))
    3 turns, 1 session and 0 runs are whole.
    """

    turns: int = 0
    sessions: int = 0
    runs: int = 0
    damages: list[Damage] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing was found wrong."""
        return not self.damages

    def __str__(self) -> str:
        turns, sessions = counted(self.turns, "turn"), counted(self.sessions, "session")
        looked = f"{turns}, {sessions} and {counted(self.runs, 'run')}"
        if self.ok:
            return f"{looked} are whole."
        lines = [f"  {damage.what}" for damage in self.damages]
        return "\n".join([f"Looked at {looked}. Damaged: {len(self.damages):,}.", *lines])


class Upkeep:
    """The part of a store that is not about one session; base of `Store`.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> isinstance(nbs.open_store("memory:"), Upkeep)
    True
    """

    backend: Backend
    owner: str

    def delete_all(self, records: Sequence[SessionRecord]) -> int:
        """Delete these sessions together; return how many there were. What they spent stays counted.

        Raises
        ------
        NotOwner
            One of them is somebody else's; none was deleted.

        Examples
        --------
        >>> import nbsessions as nbs
        >>> store = nbs.open_store("memory:")
        >>> _ = store.create("plan")
        >>> store.delete_all(store.list())
        1
        """
        for record in records:
            if record.owner != self.owner:
                raise NotOwner(record.label, record.owner)
        return self.backend.delete([Key.of(record) for record in records])

    def clear(self, agent_name: str, *, confirm: bool = False) -> int:
        """Delete all of this owner's top-level sessions with one agent; return how many there were.

        Sessions of A2A conversations stay.

        Raises
        ------
        InvalidInput
            `confirm` is not exactly True; nothing was deleted.

        Examples
        --------
        >>> import nbsessions as nbs
        >>> store = nbs.open_store("memory:")
        >>> _ = store.create("plan")
        >>> store.clear("local", confirm=True)
        1
        """
        if confirm is not True:
            raise InvalidInput(f"This deletes all sessions with {agent_name!r}. Say confirm=True to do it.")
        agent_name = check_text(agent_name, "agent_name")
        return self.delete_all(self.backend.find(Query(agent_name=agent_name, owner=self.owner)))

    def prune(
        self,
        *,
        older_than: timedelta | str | None = None,
        keep: int | None = None,
        empty: bool = False,
        keep_tags: Iterable[str] = (),
        agent_name: str | None = None,
        dry_run: bool = False,
    ) -> list[SessionRecord]:
        """Delete this owner's top-level sessions that meet all the criteria given; return them.

        A session with a run under way stays, and so does one that changes meanwhile.

        Parameters
        ----------
        older_than : timedelta or str or None
            Last changed longer ago than this: ``"30d"``, ``"12h"``, ``"2w"``.
        keep : int or None
            So many of the newest stay.
        empty : bool
            Only those without messages.
        keep_tags : iterable of str
            Those with one of these tags stay.
        agent_name : str or None
            Only those with this agent.
        dry_run : bool
            Delete nothing, and return what would be deleted.

        Raises
        ------
        InvalidInput
            No criterion was given.

        Examples
        --------
        >>> import nbsessions as nbs
        >>> store = nbs.open_store("memory:")
        >>> _ = store.create("a"), store.create("b"), store.create("c", tags=["draft"])
        >>> [record.name for record in store.prune(keep=0, keep_tags=["draft"])]
        ['b', 'a']
        """
        if older_than is None and keep is None and not empty:
            raise InvalidInput(
                "Say what to prune: older_than an age (30d), all but the newest to keep (100), or empty ones."
            )
        tags = set(check_tags(keep_tags))
        agent_name = None if agent_name is None else check_text(agent_name, "agent_name")
        before = None if older_than is None else now() - parse_duration(older_than)
        kept = 0 if keep is None else check_count(keep, "keep")
        found = self.backend.find(Query(agent_name=agent_name, owner=self.owner))[kept:]
        meant = [
            record
            for record in found
            if (before is None or record.updated_at < before)
            and not (empty and (record.message_count or record.draft is not None))
            and not tags.intersection(record.tags)
            and not self._is_answering(record)
        ]
        if dry_run:
            return meant
        # Who is changed after it was looked at is meant no more.
        keys, seen = [Key.of(one) for one in meant], [micros(one.updated_at) for one in meant]
        gone = self.backend.delete(keys, seen=seen, at=micros(now()))
        return meant if gone == len(meant) else [one for one in meant if self._is_gone(one)]

    def _is_gone(self, record: SessionRecord) -> bool:
        return not self.backend.find(
            Query(conversation_id=record.conversation_id or "", session_id=record.session_id)
        )

    def _is_answering(self, record: SessionRecord) -> bool:
        return any(is_alive(run) for run in self.backend.runs(Key.of(record), status="running"))

    def gc(self) -> int:
        """Remove the turns that nothing reaches any more, and return how many there were.

        What deleted sessions said goes from the disk only now. Kept is all that a session, its undo log,
        a checkpoint or a running agent reaches, whoever owns it.

        Examples
        --------
        >>> import nbsessions as nbs
        >>> store = nbs.open_store("memory:")
        >>> store.create("plan").add_message({"role": "user", "content": "Hello"})
        >>> store.delete("plan"), store.gc()
        (True, 1)
        """
        return self.backend.collect()

    def backup(self, path: str | os.PathLike[str]) -> Path:
        """Write all of the store into a new SQLite file, as it is at one moment; return its path.

        The file opens as a store. Others go on writing meanwhile.

        Raises
        ------
        InvalidInput
            The file exists, or this kind of store cannot be backed up.
        StoreUnavailable

        Examples
        --------
        >>> import tempfile
        >>> import nbsessions as nbs
        >>> with tempfile.TemporaryDirectory() as folder, nbs.open_store(f"{folder}/a.db") as store:
        ...     _ = store.create("plan")
        ...     with nbs.open_store(store.backup(f"{folder}/b.db")) as copy:
        ...         print(copy.list()[0].name)
        plan
        """
        target = check_path(path)
        self.backend.backup(target, _new_store)
        return target

    def verify(self) -> Verification:
        """Look at all there is: every turn's hash and place, every session's log, every run's events.

        Changes nothing. The rest of a store with a damage stays readable.

        Examples
        --------
        >>> import nbsessions as nbs
        >>> nbs.open_store("memory:").verify().ok
        True
        """
        result = Verification(damages=[Damage(line) for line in self.backend.check()])
        totals = self._verify_turns(result)
        # What is damaged is told by a warning, and left out of a list.
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            records = self.backend.find(Query(conversation_id=None))
            runs = self.backend.runs()
        result.damages += [Damage(str(warning.message)) for warning in told]
        for record in records:
            result.sessions += 1
            self._verify_session(result, Key.of(record), totals)
        for run in runs:
            result.runs += 1
            try:
                seen = [event.seq for event in self.backend.events(run.run_id)]
                # The oldest may have been dropped, and all of a run that was redacted; no others.
                if seen and (seen != list(range(seen[0], seen[-1] + 1)) or seen[-1] + 1 < run.event_count):
                    result.damages.append(Damage(f"Run {run.run_id}: some of its events are missing"))
            except StoreError as error:
                result.damages.append(Damage(str(error)))
        return result

    def _verify_turns(self, result: Verification) -> dict[str, tuple[int, int]]:
        totals: dict[str, tuple[int, int]] = {}
        last = 0
        while found := self.backend.scan(last, _SCAN):
            last = found[-1][0]
            for _, turn in found:
                result.turns += 1
                wrong = _wrong(turn, totals)
                if wrong is not None:
                    result.damages.append(Damage(f"Turn {turn.turn_id}: {wrong}", turn.turn_id))
                totals[turn.turn_id] = (turn.total_messages, turn.depth)
        return totals

    def _verify_session(self, result: Verification, key: Key, totals: dict[str, tuple[int, int]]) -> None:
        wrong = self._misplaced(key, totals)
        # Others may write meanwhile: who is accused is looked at once more.
        if wrong is not None and self._misplaced(key, totals) is not None:
            result.damages.append(wrong)

    def _misplaced(self, key: Key, totals: dict[str, tuple[int, int]]) -> Damage | None:
        """Return what is wrong with where a session stands, if anything is."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # which the list has told already
            return self._placed(key, totals)

    def _placed(self, key: Key, totals: dict[str, tuple[int, int]]) -> Damage | None:
        try:
            # Of another writer's move, either all or nothing is seen where it has not gone on in between.
            present, record = self.backend.current(key, draft=False), self.backend.get(key)
            again = self.backend.current(key, draft=False)
            self.backend.log(key)
            self.backend.checkpoints(key, None)
        except SessionNotFound:
            return None
        except StoreError as error:
            return Damage(str(error))
        if record is None or present != again:
            return None
        if (record.head, record.message_count) != (present.head, present.message_count):
            return Damage(f"Session {key.session_id}: it does not stand where its log says")
        turn_id = record.head.turn_id
        if turn_id is not None and turn_id not in totals and self.backend.turn(turn_id) is None:
            return Damage(f"Session {key.session_id}: its turn {turn_id} is missing", turn_id)
        return None


def _new_store(path: Path) -> None:
    open_backend(f"sqlite:///{quote(str(path))}").close()


def _wrong(turn: Turn, totals: dict[str, tuple[int, int]]) -> str | None:
    """Return what is wrong with a turn; `totals` are the messages and turns up to those before it."""
    if not is_intact(turn):
        return "its content does not match its hash"
    messages, depth = (0, 0) if turn.parent_id is None else totals.get(turn.parent_id, (-1, -1))
    if (turn.total_messages, turn.depth) != (messages + turn.message_count, depth + 1):
        return "its place does not follow from its parent's"
    try:
        shown = codec(turn.codec).view(turn.body)
    except InvalidInput:  # a newer codec's, which nobody here can judge
        return None
    return None if len(shown) == turn.message_count else "it does not hold as many messages as it says"
