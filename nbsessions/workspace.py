"""What a face holds between two commands: the store, the current session, the agent, the settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from nbsessions.exceptions import InvalidInput, SessionNotFound, StoreUnavailable
from nbsessions.text import counted
from nbsessions.unsaved import Unsaved

if TYPE_CHECKING:
    from nbsessions.adapters.base import Adapter
    from nbsessions.moving import OnConflict
    from nbsessions.records import Run
    from nbsessions.session import Session
    from nbsessions.store import Store

Rerun = Literal["replace", "append", "replay"]
_UNANSWERED = ("failed", "cancelled", "interrupted")


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
    _before_load: list[tuple[Session | None, str, object]] = field(default_factory=list)

    # The store

    @property
    def store(self) -> Store:
        """The current store, opened when it is first asked for."""
        if self._store is None:
            from nbsessions.store import open_store

            self._store = open_store(self.settings.store)
        return self._store

    def use_store(self, url: str) -> None:
        """Make another store the current one; there is then no current session."""
        from nbsessions.store import open_store

        store = open_store(url)
        self._leave_store()
        self._store, self.settings.store = store, url
        self.remember("store", url)

    def _leave_store(self) -> None:
        self._leave()
        store, self._store = self._store, None
        self.session, self._before_load = None, []
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
        if name == "store" and value != self.settings.store:
            self._leave_store()
        if name in ("autosave", "on_conflict", "max_messages") and self.session is not None:
            setattr(self.session, name, value)
        setattr(self.settings, name, value)

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
        key = self.store.backend.last_visit(self.store.owner, notebook)
        if key is None:
            return None
        try:
            session = self.resume(key.session_id, conversation_id=key.conversation_id or None)
        except SessionNotFound:  # deleted between the two look-ups
            return None
        self.session = session
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
        }

    def switch(self, session: Session, how: str = "new") -> None:
        """Make `session` the current one, and remember it as this notebook's."""
        self._leave()
        # The same one may have been left just now, with an answer that waits.
        session = self._unsaved.find(session.backend, session.key) or session
        before, self.session = self.session, session
        self._before_load.append((before, f"{how} {session.record.label}", self._position()))
        self._visit(session)

    def _visit(self, session: Session) -> None:
        from nbsessions.values import micros, now

        notebook = self.notebook()
        if notebook is not None:
            self.store.backend.visit(self.store.owner, notebook, session.key, micros(now()))

    def _leave(self) -> None:
        if self.session is not None:
            self.notes += self._unsaved.leave(self.session)

    def save_left(self) -> list[str]:
        """Try to save the answers that wait in sessions that were left; return what is to be told."""
        return self._unsaved.save()

    def _position(self) -> object:
        """Return where the session stands and what undo would do: the same once later moves are undone."""
        if self.session is None:
            return None
        present = self.store.backend.current(self.session.key, draft=True)
        return self.session.key, present.head, present.done, present.before, present.draft

    def undo(self) -> str:
        """Take back the last move of the session's head, or the last load, whichever was later."""
        self._open()
        before, how, position = self._before_load[-1] if self._before_load else (None, "", None)
        if before is not None and position == self._position():
            self._before_load.pop()
            self._leave()
            for name, value in self._session_options().items():
                setattr(before, name, value)
            before.refresh()
            self.session = before
            self._visit(before)
            return how
        return self.need_session().undo()

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
        if session.record.draft is not None and session.saved:
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
        self._before_load = [
            (before, how, position)
            for before, how, position in self._before_load
            if before is not None and self.store.backend.get(before.key) is not None
        ]

    def take_notes(self) -> list[str]:
        """Return what there is to tell the person once, and forget it."""
        notes, self.notes = self.notes, []
        return [self.spell(note) for note in notes]

    def note_once(self, note: str) -> None:
        """Tell the person something, the first time that it comes up."""
        if note not in self._told:
            self._told.add(note)
            self.notes.append(note)


def _meant(name: str | None, model: str | None) -> tuple[str | None, str | None]:
    """Return an agent and a model as they are meant: people call the local agent a model, too."""
    return ("local", None) if name is None and model == "local" else (name, model)
