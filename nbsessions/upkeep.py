"""What keeps a store tidy and whole: delete, prune, collect, verify, back up."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from nbsessions.exceptions import InvalidInput, NotOwner
from nbsessions.names import check_id, check_tags
from nbsessions.records import SessionRecord
from nbsessions.stores import open_backend
from nbsessions.stores.base import Backend, Key, Query
from nbsessions.values import (
    check_count,
    check_moment,
    check_path,
    check_text,
    micros,
    now,
    parse_duration,
)
from nbsessions.workers import is_alive

if TYPE_CHECKING:
    from nbsessions.repricing import Repricing
    from nbsessions.verifying import Verification


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
        check_owner(records, self.owner)
        return self.backend.delete([Key.of(record) for record in records])

    def clear(self, agent_name: str, *, confirm: bool = False, conversation_id: str | None = None) -> int:
        """Delete all of this owner's top-level sessions with one agent; return how many there were.

        Sessions of A2A conversations stay. With `conversation_id`, only those of that one go.

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
        return self.delete_all(self.would_clear(agent_name, conversation_id=conversation_id))

    def would_clear(self, agent_name: str, *, conversation_id: str | None = None) -> list[SessionRecord]:
        """Return the sessions that `clear` deletes.

        Examples
        --------
        >>> import nbsessions as nbs
        >>> store = nbs.open_store("memory:")
        >>> _ = store.create("plan"), store.create("asked", conversation_id="c")
        >>> [record.name for record in store.would_clear("local")]
        ['plan']
        """
        agent_name = check_text(agent_name, "agent_name")
        conversation = "" if conversation_id is None else check_id(conversation_id, "conversation_id")
        return self.backend.find(Query(conversation_id=conversation, agent_name=agent_name, owner=self.owner))

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
                "Say what to prune: sessions older than an age (--older-than 30d, older_than=), all but the "
                "newest (--keep 100, keep=), or those without messages (--empty, empty=True)."
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
            and not (empty and (record.message_count or record.draft is not None or self._is_asked(record)))
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

    def _is_asked(self, record: SessionRecord) -> bool:
        """Tell whether its last prompt was not answered: it is in no message, and would be lost."""
        return any(run.status != "completed" for run in self.backend.runs(Key.of(record), last=1))

    def _is_answering(self, record: SessionRecord) -> bool:
        return any(is_alive(run) for run in self.backend.runs(Key.of(record), status="running"))

    def reprice(
        self, *, model: str | None = None, since: datetime | None = None, again: bool = False
    ) -> Repricing:
        """Give a price to what had none when it was spent, where there is one now; return what came of it.

        Prices are those of the time of each run: by one's own ones (`nbsessions.set_price`), else by
        genai-prices, of which a later version knows more models. Looked at are the runs of this owner's
        sessions, and of deleted ones; those that wait for an approval stay as they are.

        Parameters
        ----------
        model : str or None
            Only what was spent with this one, as runs name it.
        since : datetime or None
            Only runs that began at or after this.
        again : bool
            Also what has a price. What others said that it costs, as a log that was imported, stays where
            there is no own price. What has a price keeps it where there is none any more.

        Raises
        ------
        InvalidInput
            `since` has no timezone.

        Examples
        --------
        >>> import nbsessions as nbs
        >>> from nbsessions.testing import ScriptedAgent
        >>> store = nbs.open_store("memory:")
        >>> agent = ScriptedAgent([["Hi", nbs.Usage(output_tokens=1_000_000)]], model="mine")
        >>> _ = store.create("plan").send("Hello", agent=agent)
        >>> nbs.set_price("mine", input_mtok=1, output_mtok=2)
        >>> print(store.reprice())
        1 run has a new cost: $2.0000 more.
        >>> nbs.set_price("mine", None)
        """
        since = None if since is None else check_moment(since, "since")
        model = None if model is None else check_text(model, "model")
        from nbsessions.repricing import reprice

        return reprice(self.backend, self.owner, model=model, since=since, again=again)

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

    def rebuild_usage(self) -> int:
        """Add up anew, from the runs, what was spent by day, agent and model; return how many rows it takes.

        Nothing that is stored is changed by it: it is for a store of which `verify` says that what is added
        up there is not what its runs spent.

        Examples
        --------
        >>> import nbsessions as nbs
        >>> nbs.open_store("memory:").rebuild_usage()
        0
        """
        return self.backend.rebuild_usage()

    def verify(self) -> Verification:
        """Look at all there is: every turn's hash and place, every session's log, every run's events.

        Changes nothing. The rest of a store with a damage stays readable.

        Examples
        --------
        >>> import nbsessions as nbs
        >>> nbs.open_store("memory:").verify().ok
        True
        """
        from nbsessions.verifying import verify

        return verify(self.backend)


def check_owner(sessions: Iterable[SessionRecord], owner: str) -> None:
    """Refuse sessions of which one is somebody else's.

    Raises
    ------
    NotOwner

    Examples
    --------
    >>> import nbsessions as nbs
    >>> record = nbs.open_store("memory:").create("plan").record
    >>> check_owner([record], "bob")
    Traceback (most recent call last):
    nbsessions.exceptions.NotOwner: Session 'plan' belongs to ...
    """
    for record in sessions:
        if record.owner != owner:
            raise NotOwner(record.label, record.owner)


def _new_store(path: Path) -> None:
    open_backend(f"sqlite:///{quote(str(path))}").close()
