"""The store that a person opens: sessions by name, written once above every backend."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any

from nbsessions.exceptions import InvalidInput, NotOwner, SessionNotFound, StoreUnavailable
from nbsessions.names import check_id, check_name, check_notebook, check_tags
from nbsessions.records import NOTHING, Checkpoint, Run, SessionRecord, Turn
from nbsessions.secrets import secrets_for
from nbsessions.stores import open_backend
from nbsessions.stores.base import Backend, Finish, Key
from nbsessions.transfers import Transfers
from nbsessions.upkeep import Upkeep
from nbsessions.values import micros, new_id, now, plain_json
from nbsessions.workers import default_owner, is_alive, last_seen

if TYPE_CHECKING:
    from nbsessions.moving import OnConflict
    from nbsessions.session import Session


def open_store(url: str | os.PathLike[str] | None = None, *, redact: bool | Iterable[str] = True) -> Store:
    """Open a store, making it where there is none.

    Parameters
    ----------
    url : str or path or None
        ``sqlite:///PATH`` or a path, ``file:FOLDER`` (as webagents keeps sessions), ``memory:`` (new each
        time), ``postgresql://USER@HOST/DATABASE``, or a scheme that a plug-in brings by the entry point
        group ``nbsessions.stores``. None: ``$NBSESSIONS_STORE``, else ``sessions.db`` in the user's data
        directory.
    redact : bool or iterable of str
        Keys and passwords never reach it: what looks like one, and the values of environment variables
        that are named like keys, are replaced before they are stored. False turns that off; regular
        expressions are looked for beside what is known.

    Raises
    ------
    InvalidInput
        No store answers to this scheme, or one of the patterns is none.
    StoreUnavailable, StoreTooNew

    Examples
    --------
    >>> with open_store("memory:") as store:
    ...     store.url
    'memory:'
    >>> with open_store("memory:") as store:
    ...     store.create("plan", metadata={"key": "AKIAIOSFODNN7EXAMPLE"}).metadata
    {'key': '[secret: aws key id]'}
    """
    secrets = secrets_for(redact)
    backend = open_backend(url)
    backend.secrets = secrets
    return Store(backend)


class Store(Transfers, Upkeep):
    """All sessions of one place. Use it as a context manager, or call `close`.

    Safe from many threads and many processes.

    Parameters
    ----------
    backend : Backend
        Where it lives; `open_store` picks one by URL.
    owner : str or None
        Whose sessions it makes; None: `default_owner`.

    Examples
    --------
    >>> store = open_store("memory:")
    >>> session = store.create("research", tags=["draft"])
    >>> session.add_message({"role": "user", "content": "Hello"})
    >>> store.resume("research").messages[0].text
    'Hello'
    """

    def __init__(self, backend: Backend, owner: str | None = None) -> None:
        self.backend = backend
        self.owner = default_owner() if owner is None else check_id(owner, "owner")

    def __repr__(self) -> str:
        return f"<Store {self.url}>"

    @property
    def url(self) -> str:
        """Where it lives."""
        return self.backend.url

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of files and connections. Closing twice is allowed.

        Examples
        --------
        >>> open_store("memory:").close()
        """
        self.backend.close()

    # One session

    def create(
        self,
        name: str | None = None,
        *,
        agent_name: str = "local",
        tags: Iterable[str] = (),
        session_id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        state: Mapping[str, Any] | None = None,
        conversation_id: str | None = None,
        parent_session_id: str | None = None,
        notebook: str | None = None,
        **options: Any,
    ) -> Session:
        """Start a session.

        Parameters
        ----------
        name : str or None
            Unique for this owner, agent and conversation.
        agent_name : str
        tags : iterable of str
        session_id : str or None
            None makes a UUIDv7.
        metadata, state : mapping or None
            JSON objects.
        conversation_id, parent_session_id, notebook : str or None
        **options
            `autosave`, `on_conflict`, `max_messages`, `max_tokens`, `max_events`, `compact_at`,
            `compact_with`: see `Session`.

        Raises
        ------
        SessionExists, InvalidInput

        Examples
        --------
        >>> open_store("memory:").create("plan", agent_name="analyst").agent_name
        'analyst'
        """
        from nbsessions.session import Session

        at = now()
        record = SessionRecord(
            session_id=new_id() if session_id is None else check_id(session_id, "session_id"),
            conversation_id=None if conversation_id is None else check_id(conversation_id, "conversation_id"),
            name=None if name is None else check_name(name),
            agent_name=check_id(agent_name, "agent_name"),
            owner=self.owner,
            tags=check_tags(tags),
            created_at=at,
            updated_at=at,
            metadata=plain_json({} if metadata is None else metadata, "metadata"),
            state=plain_json({} if state is None else state, "state"),
            parent_session_id=None if parent_session_id is None else check_id(parent_session_id, "parent"),
            notebook=check_notebook(notebook),
        )
        record = self.backend.clean(record)
        # An option that cannot be used is refused before anything is stored.
        session = Session(self.backend, record, actor=self.owner, **options)
        self.backend.insert(record)
        return session

    def resume(
        self,
        ref: str = "latest",
        *,
        conversation_id: str | None = None,
        agent_name: str | None = None,
        notebook: str | None = None,
        max_messages: int | None = None,
        max_tokens: int | None = None,
        autosave: bool = True,
        on_conflict: OnConflict = "fork",
        max_events: int | None = None,
        compact_at: int | None = None,
        compact_with: object = None,
        draft: bool = False,
    ) -> Session:
        """Go on with a session.

        Parameters
        ----------
        ref : str
            An exact id, else an exact name, else a unique prefix or suffix of an id; or ``latest``.
        conversation_id : str or None
            None: top level.
        agent_name, notebook : str or None
            For ``latest``: only this agent's; this notebook's first. Of several sessions of one name,
            this agent's is meant.
        max_messages, max_tokens : int or None
            Trims what the agent sees, never what is stored.
        autosave, on_conflict, max_events, compact_at, compact_with
            See `Session`.
        draft : bool
            Go on from its unsaved draft, where it has one.

        Raises
        ------
        SessionNotFound, AmbiguousSession

        Examples
        --------
        >>> store = open_store("memory:")
        >>> _ = store.create("plan")
        >>> store.resume("latest").name
        'plan'
        """
        from nbsessions.session import Session

        found = self.record(ref, conversation_id=conversation_id, agent_name=agent_name, notebook=notebook)
        self._mark_interrupted(Key.of(found))
        return Session(
            self.backend,
            self._checked(found),
            autosave=autosave,
            on_conflict=on_conflict,
            max_messages=max_messages,
            max_tokens=max_tokens,
            max_events=max_events,
            compact_at=compact_at,
            compact_with=compact_with,
            actor=self.owner,
            draft=draft,
        )

    def get(self, ref: str, *, conversation_id: str | None = None, **options: Any) -> Session:
        """Resume a session by id or name, or make one of that id where there is none.

        Examples
        --------
        >>> open_store("memory:").get("chat-7").session_id
        'chat-7'
        """
        from nbsessions.session import Session

        if self.exists(ref, conversation_id=conversation_id):
            own = {name: value for name, value in options.items() if name in Session.OPTIONS}
            return self.resume(ref, conversation_id=conversation_id, **own)
        return self.create(session_id=ref, conversation_id=conversation_id, **options)

    def _checked(self, found: SessionRecord) -> SessionRecord:
        # Where it stands is checked when it is asked for alone.
        return self.backend.get(Key.of(found)) or found

    def _mark_interrupted(self, key: Key) -> None:
        from nbsessions.accounts import bill_of

        for run in self.backend.runs(key, status="running"):
            if not is_alive(run):
                progress = self.backend.progress(run.run_id)
                # What it is known to have spent, nobody else will count.
                known = NOTHING if progress is None else progress.usage
                bill = bill_of(run, self.backend.events(run.run_id), known)
                finish = Finish(
                    run_id=run.run_id,
                    status="interrupted",
                    finished_at=micros(last_seen(run)),
                    error="its process died",
                    usage=bill.usage,
                    shares=bill.shares,
                    priced_by=bill.priced_by,
                )
                try:
                    self.backend.finish_run(finish)
                except StoreUnavailable:  # who can only read, reads: the next one that writes will mark it
                    return

    def save(self, session: Session | SessionRecord) -> None:
        """Store a session as it is: its draft, or a record's name, tags and metadata. An upsert.

        Examples
        --------
        >>> store = open_store("memory:")
        >>> record = store.create("plan").record
        >>> store.save(record.model_copy(update={"tags": ["draft"]}))
        >>> store.resume("plan").tags
        ['draft']
        """
        from nbsessions.session import Session

        if isinstance(session, Session):
            session.save()
            return
        if not isinstance(session, SessionRecord):
            raise InvalidInput(f"save takes a Session or a SessionRecord, not {type(session).__name__}.")
        changes = {
            "name": None if session.name is None else check_name(session.name),
            "tags": check_tags(session.tags),
            "metadata": plain_json(session.metadata, "metadata"),
        }
        stored = self.backend.get(Key.of(session))
        if stored is None:
            plain_json(session.state, "state")
            check_id(session.session_id, "session_id")
            self.backend.insert(session.model_copy(update=changes))
            return
        if stored.owner != self.owner:
            raise NotOwner(stored.label, stored.owner)
        self.backend.update(Key.of(session), changes, micros(now()))

    def delete(self, ref: str, *, missing_ok: bool = False, conversation_id: str | None = None) -> bool:
        """Delete a session by exact id or name; say whether it was there. What it spent stays counted.

        Raises
        ------
        SessionNotFound
            Where it is missing, and `missing_ok` is false.
        AmbiguousSession

        Examples
        --------
        >>> store = open_store("memory:")
        >>> _ = store.create("plan")
        >>> store.delete("plan"), store.delete("plan", missing_ok=True)
        (True, False)
        """
        try:
            record = self.record(ref, conversation_id=conversation_id, exact=True)
        except SessionNotFound:
            if missing_ok:
                return False
            raise
        return self.delete_all([record]) > 0

    def fork(
        self,
        ref: str,
        name: str | None = None,
        at: int | str | Turn | Checkpoint | None = None,
        *,
        conversation_id: str | None = None,
    ) -> Session:
        """Start a new session at the head of another, or at a place on it. Copies no messages.

        Examples
        --------
        >>> store = open_store("memory:")
        >>> _ = store.create("plan")
        >>> store.fork("plan", "other").name
        'other'
        """
        from nbsessions.session import Session

        found = self.record(ref, conversation_id=conversation_id)
        return Session(self.backend, self._checked(found), actor=self.owner).fork(name, at)

    def rewind(
        self, ref: str, to: int | str | Turn | Checkpoint, *, conversation_id: str | None = None
    ) -> Session:
        """Go back to a place on a session, such as its first so many messages. Deletes nothing.

        Examples
        --------
        >>> store = open_store("memory:")
        >>> store.create("plan").add_message({"role": "user", "content": "Hello"})
        >>> store.rewind("plan", 0).message_count
        0
        """
        return self.resume(ref, conversation_id=conversation_id).rewind(to)

    def tag(self, ref: str, *tags: str, conversation_id: str | None = None) -> Session:
        """Add tags to a session.

        Examples
        --------
        >>> store = open_store("memory:")
        >>> _ = store.create("plan")
        >>> store.tag("plan", "draft").tags
        ['draft']
        """
        session = self.resume(ref, conversation_id=conversation_id)
        session.tag(*tags)
        return session

    def untag(self, ref: str, *tags: str, conversation_id: str | None = None) -> Session:
        """Take tags off a session.

        Examples
        --------
        >>> store = open_store("memory:")
        >>> _ = store.create("plan", tags=["draft"])
        >>> store.untag("plan", "draft").tags
        []
        """
        session = self.resume(ref, conversation_id=conversation_id)
        session.untag(*tags)
        return session

    def rename(self, ref: str, name: str, *, conversation_id: str | None = None) -> Session:
        """Give a session another name. Raises SessionExists where it is taken.

        Examples
        --------
        >>> store = open_store("memory:")
        >>> _ = store.create("plan")
        >>> store.rename("plan", "essay").name
        'essay'
        """
        session = self.resume(ref, conversation_id=conversation_id)
        session.rename(name)
        return session

    # Runs

    def runs(self, ref: str, *, conversation_id: str | None = None) -> list[Run]:
        """Return a session's runs, oldest first.

        Examples
        --------
        >>> store = open_store("memory:")
        >>> _ = store.create("plan")
        >>> store.runs("plan")
        []
        """
        return self.resume(ref, conversation_id=conversation_id).runs()
