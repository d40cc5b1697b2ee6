"""What a face holds between two commands: the store, the current session, the agent, the settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal
from uuid import uuid4

from nbsessions.exceptions import InvalidInput, SessionNotFound, StoreError, StoreUnavailable
from nbsessions.text import counted, masked
from nbsessions.unsaved import Unsaved

if TYPE_CHECKING:
    from nbsessions.adapters.base import Adapter
    from nbsessions.moving import OnConflict
    from nbsessions.records import LogEntry, Run
    from nbsessions.session import Session
    from nbsessions.store import Store
    from nbsessions.stores.base import Key, Visit

Rerun = Literal["replace", "append", "replay"]
_UNANSWERED = ("failed", "cancelled", "interrupted")
_TRAIL = 20
"""So many visits a notebook takes along when it is renamed."""


@dataclass
class Settings:
    """What a person can set for a whole notebook; ``%config SessionMagics`` shows the same.

    Examples
    --------
    >>> Settings().rerun
    'replace'
    """

    store: str | None = None
    agent: str | None = None
    model: str | None = None
    autosave: bool = True
    auto_resume: bool = True
    rerun: Rerun = "replace"
    on_conflict: OnConflict = "fork"
    max_messages: int | None = None
    max_events: int | None = None


@dataclass
class Workspace:
    """The current store, session and agent of one face.

    Attributes
    ----------
    settings : Settings
    notebook : callable
        Returns the notebook's path where it is certain, else None.
    remember : callable
        Told what a command has set, for whoever shows the settings.
    spell : callable
        Spells the commands that a message names as the face does: ``%session undo``.
    made : dict
        Which execution of a cell made a turn of this process, by the turn's id.
    names : mapping
        Where the name of an agent is looked up: a notebook's variables.

    Examples
    --------
    >>> workspace = Workspace(Settings(store="memory:"))
    >>> workspace.current("local").turn_count
    0
    """

    settings: Settings = field(default_factory=Settings)
    notebook: Callable[[], str | None] = lambda: None
    names: Mapping[str, Any] = field(default_factory=dict)
    remember: Callable[[str, Any], None] = lambda name, value: None
    spell: Callable[[str], str] = lambda text: text
    session: Session | None = None
    made: dict[str, int | None] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    _told: set[str] = field(default_factory=set)
    _store: Store | None = None
    _unsaved: Unsaved = field(default_factory=Unsaved)
    _url: str | None = None
    _at: Key | None = None
    _known_place: str | None = None
    _own_place: str = field(default_factory=lambda: f"kernel:{uuid4()}")

    # The store

    @property
    def store(self) -> Store:
        """The current store, opened when it is first asked for."""
        if self._store is None:
            from nbsessions.store import open_store

            self._store = open_store(self._url or self.settings.store)
            self._tell_how_it_opened()
        return self._store

    def _tell_how_it_opened(self) -> None:
        note = None if self._store is None else self._store.backend.note
        self.notes += [] if note is None else [note]

    def use_store(self, url: str) -> None:
        """Make another store the current one; there is then no current session."""
        from nbsessions.store import open_store

        store = open_store(url)
        self._leave_store()
        self._store, self._url, self.settings.store = store, url, masked(url)
        self._tell_how_it_opened()
        self.remember("store", self.settings.store)

    def _leave_store(self) -> None:
        self._leave()
        store, self._store = self._store, None
        self.session = None
        if store is not None and not self._unsaved.needs(store.backend):
            store.close()

    def close(self) -> None:
        """Let go of the store.

        Raises
        ------
        StoreUnavailable
            An answer waits to be saved, and would be lost.
        """
        told = [] if self.session is None else self._unsaved.leave(self.session)
        told = self._unsaved.save() or told
        if self._unsaved:
            raise StoreUnavailable(told[0])
        self._leave_store()

    def set(self, name: str, value: Any) -> None:
        """Change one setting; another store leaves the current session."""
        if name == "store":
            self._set_store(value)
            return
        if name in self._session_options() and self.session is not None:
            setattr(self.session, name, value)
        setattr(self.settings, name, value)

    def _set_store(self, url: str | None) -> None:
        if url == self.settings.store:
            return
        self._leave_store()
        # Settings are shown: a password in a URL stays out of them.
        self._url, self.settings.store = url, None if url is None else masked(url)
        if self.settings.store != url:
            self.remember("store", self.settings.store)

    # The session

    def need_session(self) -> Session:
        """Return the current session, or say how to get one."""
        found = self._open() or self._resumed()
        if found is None:
            raise InvalidInput("There is no current session. `new` starts one, `load` resumes one.")
        return found

    def _open(self) -> Session | None:
        """Return the current session; where somebody deleted it, leave it and say so."""
        session = self.session
        if session is None or session.unsaved or self.store.backend.get(session.key) is not None:
            return session
        self.forget_deleted()
        raise SessionNotFound(session.record.label, deleted=True)

    def current(self, agent_name: str) -> Session:
        """Return the current session: the notebook's last one where there is none yet, else a new one."""
        return self._open() or self._resumed() or self.create(None, agent_name)

    def _resumed(self) -> Session | None:
        notebook = self.notebook() if self.settings.auto_resume else None
        if notebook is None:
            return None
        visit = self.store.backend.last_visit(self.store.owner, notebook)
        if visit is None:
            return None
        key = visit.key
        try:
            session = self.resume(key.session_id, conversation_id=key.conversation_id or None)
        except SessionNotFound:  # deleted between the two look-ups
            return None
        self.session, self._at = session, key
        turns = counted(session.turn_count, "turn")
        self.notes.append(
            f"Resumed {session.record.label!r} ({turns}), this notebook's last session. `new` starts another."
        )
        self.notes += self.left_over(session)
        return session

    def resume(self, ref: str, **options: Any) -> Session:
        """Return the session that `ref` names, with this workspace's settings; switches nothing.

        Where several agents have a session of this name, the current agent's is meant.
        """
        agent_name = None if ref == "latest" else self.adapter_name()
        session = self.store.resume(ref, agent_name=agent_name, **self._session_options(), **options)
        return self._unsaved.find(session.backend, session.key) or session

    def create(self, name: str | None, agent_name: str) -> Session:
        """Start a session and make it the current one."""
        notebook = self.notebook()
        session = self.store.create(name, agent_name=agent_name, notebook=notebook, **self._session_options())
        self.switch(session)
        return session

    def _session_options(self) -> dict[str, Any]:
        settings = self.settings
        return {
            "autosave": settings.autosave,
            "on_conflict": settings.on_conflict,
            "max_messages": settings.max_messages,
            "max_events": settings.max_events,
        }

    def switch(self, session: Session, how: str = "new") -> None:
        """Make `session` the current one, and remember it as this notebook's."""
        self._leave()
        # The same one may have been left just now, with an answer that waits.
        session = self._unsaved.find(session.backend, session.key) or session
        left, self.session = self.session, session
        try:
            before = None if left is None else self._left_at(left)
        except SessionNotFound:  # somebody deleted it, and nothing leads back
            before = None
        known = None if before is None else before.visit_id
        self._visit(session, f"{how} {session.record.label}", known)

    def _left_at(self, left: Session) -> Visit | None:
        """Return the visit that undo shall come back to: of where a session was left."""
        before = self._last_visit()
        # A session that this notebook went on with by itself was left, too.
        if before is None or before.key != left.key:
            self._visit(left, "load")
        elif left.on_draft != self._was_on_draft(before):
            self._visit(left, before.action, before.before)
        else:
            return before
        return self._last_visit()

    def _visit(
        self, session: Session, action: str, before: int | None = None, entry: int | None = None
    ) -> None:
        """Remember that this notebook is on this session now; a store that is read-only need not."""
        from nbsessions.stores.base import Visit
        from nbsessions.values import micros, now

        backend = self.store.backend
        visit = Visit(session.key, action, entry or self._entry(session).entry_id, before)
        try:
            backend.visit(self.store.owner, self._place(), visit, micros(now()))
        except StoreUnavailable as error:
            self.note_once(f"Where this notebook stands is not remembered: {error}")
        self._at = session.key

    def follow(self) -> None:
        """Remember where this notebook is by now: on a fork, after a lost race, or under another name."""
        session = self.session
        if session is None or self._at is None:
            return
        try:
            self._place()
            if session.key != self._at:
                before = self._last_visit()
                known = before.visit_id if before is not None and before.key == self._at else None
                # Undo takes back what was done there first, and then leads back.
                begun = self.store.backend.origin(session.key).entry_id
                self._visit(session, f"fork {session.record.label}", known, begun)
        except (StoreError, SessionNotFound) as error:
            self.note_once(f"Where this notebook stands is not remembered: {error}")

    def _place(self) -> str:
        """Return what names this notebook; where its path was never known, this workspace alone."""
        before = self._known_place
        self._known_place = self.notebook() or before or self._own_place
        if before is not None and before != self._known_place:
            try:
                self._take_along(before, self._known_place)
            except StoreUnavailable as error:
                self.note_once(f"Where this notebook stands is not remembered: {error}")
        return self._known_place

    def _take_along(self, before: str, place: str) -> None:
        """Copy the visits that undo can go back to: the notebook has another name now."""
        from nbsessions.values import micros, now

        backend, owner = self.store.backend, self.store.owner
        trail: list[Visit] = []
        visit = backend.last_visit(owner, before)
        while visit is not None and len(trail) < _TRAIL:
            trail.append(visit)
            number = visit.before
            visit = None if number is None else backend.last_visit(owner, before, up_to=number)
            visit = visit if visit is not None and visit.visit_id == number else None
        known = None
        for one in reversed(trail):
            backend.visit(owner, place, one._replace(before=known), micros(now()))
            copied = backend.last_visit(owner, place)
            known = None if copied is None else copied.visit_id

    def _last_visit(self, up_to: int | None = None) -> Visit | None:
        return self.store.backend.last_visit(self.store.owner, self._place(), up_to=up_to)

    def _leave(self) -> None:
        if self.session is not None:
            self.notes += self._unsaved.leave(self.session)

    def save_left(self) -> list[str]:
        """Try to save the answers that wait in sessions that were left; return what is to be told."""
        return self._unsaved.save()

    def undo(self) -> str:
        """Take back the last move of the session's head, or the last load, whichever was later."""
        try:
            session = self.need_session()
        except SessionNotFound as error:
            # What was loaded is gone: the way back is still there.
            before = self._last_visit()
            if before is None:
                raise
            return self._go_back(before, f"load {error.ref}")
        last = self._last_visit()
        if last is None or last.before is None or last.key != session.key or self._has_moved(session, last):
            return session.undo()
        target = self._last_visit(up_to=last.before)
        if target is None or target.visit_id != last.before:  # what was there before was deleted
            return session.undo()
        return self._go_back(target, last.action)

    def _go_back(self, target: Visit, undone: str) -> str:
        self._leave()
        conversation, draft = target.key.conversation_id or None, self._has_its_draft(target)
        self.session = self.resume(target.key.session_id, conversation_id=conversation, draft=draft)
        self.session.notice = None
        self._visit(self.session, target.action, target.before, target.entry)
        return undone

    def _has_moved(self, session: Session, visit: Visit) -> bool:
        """Tell whether it was moved since a visit, by moves that were not undone."""
        then = None if visit.entry is None else self.store.backend.entry(visit.entry)
        if then is None:
            return True
        present = self._entry(session)
        if present.head != session.head:  # others moved it: what this notebook did is what counts
            return session.head != then.head
        return _does(then) != _does(present)

    def _entry(self, session: Session) -> LogEntry:
        return self.store.backend.current(session.key, draft=session.on_draft)

    def _was_on_draft(self, visit: Visit) -> bool:
        then = None if visit.entry is None else self.store.backend.entry(visit.entry)
        return then is not None and then.draft

    def _has_its_draft(self, visit: Visit) -> bool:
        """Tell whether a session still has the draft on which it was left, and not one begun later."""
        then = None if visit.entry is None else self.store.backend.entry(visit.entry)
        if then is None or not then.draft:
            return False
        present = self.store.backend.current(visit.key, draft=True)
        return present.draft and present.base == then.base

    # What was asked and not answered

    def unanswered(self, session: Session) -> Run | None:
        """Return the session's last run where it gave no answer, else None."""
        runs = session.backend.runs(session.key, last=1)
        last = runs[0] if runs else None
        asked_in_vain = last is not None and last.turn_id is None and last.status in _UNANSWERED
        return last if asked_in_vain else None

    def left_over(self, session: Session) -> list[str]:
        """Return what is to be told of a session that is resumed: no answer to its last prompt, a draft."""
        told = []
        run = self.unanswered(session)
        if run is not None:
            ended = {"failed": "failed", "cancelled": "was stopped"}.get(run.status, f"was {run.status}")
            told.append(f"Its last run {ended}: `%agent --retry` asks again.")
        if session.on_draft:
            told.append("You are on its unsaved draft: `save` keeps it.")
        elif session.record.draft is not None:
            told.append("It has an unsaved draft: `load --draft` goes on from there.")
        return told

    # The agent

    def adapter(self, name: str | None = None, model: str | None = None) -> Adapter:
        """Return the adapter of the agent called `name`, else of the current one, or of a model alone.

        Raises
        ------
        InvalidInput
            No variable has this name.
        AgentError
        """
        from nbsessions.adapters import adapt

        name, model = _meant(name, model)
        chosen = name or self.settings.agent
        if chosen is not None and chosen in self.names:
            adapter = adapt(self.names[chosen], name=chosen)
        elif chosen is None or chosen == "local" or ":" in chosen:
            adapter = adapt(chosen or model)
        else:
            raise InvalidInput(
                f"No variable is called {chosen!r}. Define the agent first, or give a model by --model."
            )
        if model is None or model == adapter.model or adapter.takes_model:
            adapter.check()
            return adapter
        if name is not None:
            raise InvalidInput(f"{name} takes no model. Leave --model out, or leave {name} out.")
        # A model asked for where the agent takes none: the model alone is the agent.
        return adapt(model)

    def asked(self, run: Run) -> tuple[Adapter, str | None]:
        """Return the adapter of the agent that a run asked, and the model where it was another than its own.

        Raises
        ------
        InvalidInput
            It is not here: nobody else shall answer in its place unasked.
        """
        adapter = self._called(run.agent_name)
        # Once a provider has answered, the model is as that one calls it, which nobody else understands.
        other = adapter.takes_model and run.provider is None and run.model != adapter.model
        return adapter, run.model if other else None

    def _called(self, agent_name: str) -> Adapter:
        """Return the adapter of the one agent of this name: the current one, a variable, or a model."""
        if self.adapter_name() == agent_name:
            return self.adapter(model=self.settings.model)
        agents = self._named(agent_name)
        if len({id(agent) for agent in agents.values()}) > 1:
            raise InvalidInput(
                f"Several agents are called {agent_name!r}: {', '.join(agents)}. Name the one to ask: "
                "`%agent AGENT --retry`."
            )
        for name in agents:
            return self.adapter(name)
        if agent_name == "local" or ":" in agent_name:
            return self.adapter(agent_name)
        raise InvalidInput(
            f"{agent_name!r}, which was asked, is not defined here. Define it, or name another agent: "
            "`%agent AGENT --retry`."
        )

    def _named(self, agent_name: str) -> dict[str, object]:
        from nbsessions.adapters import adapt, is_agent

        found: dict[str, object] = {}
        for name, value in list(self.names.items()):
            try:
                if is_agent(value) and adapt(value, name=name).name == agent_name:
                    found[name] = value
            except Exception:  # noqa: BLE001 - a variable that cannot even be looked at is no agent
                continue
        return {agent_name: found[agent_name]} if agent_name in found else found

    def use_agent(self, name: str | None, model: str | None) -> Adapter:
        """Make an agent, or a model alone, the current one; where it cannot be had, nothing changes."""
        from nbsessions.adapters import adapt

        name, model = _meant(name, model)
        adapter = adapt(model) if name is None else self.adapter(name, model)
        adapter.check()
        self.settings.agent, self.settings.model = name, model
        self.remember("agent", name)
        self.remember("model", model)
        return adapter

    def adapter_name(self) -> str:
        """Return the name that sessions with the current agent carry, without reaching for a model."""
        from nbsessions.adapters import adapt, is_agent

        name = self.settings.agent or self.settings.model or "local"
        found = self.names.get(name)
        return adapt(found, name=name).name if is_agent(found) else name

    def forget_deleted(self) -> None:
        """Leave the current session where it was deleted."""
        session = self.session
        if session is not None and self.store.backend.get(session.key) is None:
            # An answer of it that waits is kept on a fork, where this handle stands then.
            self._leave()
            if self.store.backend.get(session.key) is None:
                self.session = None

    def take_notes(self) -> list[str]:
        """Return what there is to tell the person once, and forget it."""
        notes, self.notes = self.notes, []
        return [self.spell(note) for note in notes]

    def note_once(self, note: str) -> None:
        """Tell the person something, the first time that it comes up."""
        if note not in self._told:
            self._told.add(note)
            self.notes.append(note)


def _does(entry: LogEntry) -> object:
    """Return where a session stands, and what undo would do; moves that were undone change neither."""
    return entry.head, entry.done, entry.before, entry.draft


def _meant(name: str | None, model: str | None) -> tuple[str | None, str | None]:
    """Return an agent and a model as they are meant: people call the local agent a model, too."""
    return ("local", None) if name is None and model == "local" else (name, model)
