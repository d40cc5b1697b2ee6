"""What a face holds between two commands: the store, the current session, the agent, the settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from nbsessions.agents import Agents
from nbsessions.exceptions import InvalidInput, SessionNotFound, StoreUnavailable
from nbsessions.settings import Settings
from nbsessions.text import counted, masked, one_line
from nbsessions.unsaved import Unsaved
from nbsessions.visits import Trail

if TYPE_CHECKING:
    from nbsessions.permissions import Policy, ToolQuestion
    from nbsessions.records import Run
    from nbsessions.screens import Screen
    from nbsessions.session import Session
    from nbsessions.store import Store
    from nbsessions.stores.base import Key, Visit

__all__ = ["Settings", "Workspace"]

_RULES = ("policy", "allow_tools", "ask_tools", "deny_tools")
_UNANSWERED = ("failed", "cancelled", "interrupted")


@dataclass
class Workspace(Agents):
    """The current store, session and agent of one face.

    Attributes
    ----------
    settings, names, remember
        As in `Agents`.
    notebook : callable
        Returns the notebook's path where it is certain, else None.
    place : callable or None
        Returns what it is told by where it stood last; None: by the notebook's path.
    spell : callable
        Spells the commands that a message names as the face does: ``%session undo``.
    screen : callable
        Returns where answers are shown; None: in the notebook, or on the standard output.
    made : dict
        Which execution of a cell made a turn, by the turn's id; those of the last one.
    replayed : str or None
        The turn whose stored answer was shown last.
    line : str or None
        The last turn of the line that this notebook shows, where it was exported.
    gone_on : set of Key
        The sessions in which an agent was asked from here.
    seen : dict
        The call that a run waits with, as it was told last, by the run's id.
    is_seated : bool
        False: each command begins anew, and no way from one session to another is remembered.
    is_missing : bool
        Whether the session of an exported notebook could not be loaded: its cells ask nobody then.

    Examples
    --------
    >>> workspace = Workspace(Settings(store="memory:"))
    >>> workspace.current("local").turn_count
    0
    """

    notebook: Callable[[], str | None] = lambda: None
    place: Callable[[], str | None] | None = None
    spell: Callable[[str], str] = lambda text: text
    screen: Callable[[], Screen | None] = lambda: None
    session: Session | None = None
    made: dict[str, int | None] = field(default_factory=dict)
    replayed: str | None = None
    line: str | None = None
    gone_on: set[Key] = field(default_factory=set)
    seen: dict[str, ToolQuestion] = field(default_factory=dict)
    is_seated: bool = True
    is_missing: bool = False
    notes: list[str] = field(default_factory=list)
    _told: set[str] = field(default_factory=set)
    _ruled: set[Key] = field(default_factory=set)
    _store: Store | None = None
    _lent: Store | None = None
    _unsaved: Unsaved = field(default_factory=Unsaved)
    _url: str | None = None

    def __post_init__(self) -> None:
        # Each is asked when it is needed: the store is opened then, and both may become others.
        self._trail = Trail(lambda: self.store, self._where, self.note_once, remembers=self.is_seated)

    def _where(self) -> str | None:
        return self.notebook() if self.place is None else self.place()

    # The store

    @property
    def store(self) -> Store:
        """The current store, opened when it is first asked for."""
        if self._store is None:
            from nbsessions.store import open_store

            self._store = open_store(self._url or self.settings.store, redact=self.settings.redact_secrets)
            self._tell_how_it_opened()
        return self._store

    def check_store(self) -> None:
        """Refuse a store that is not there, where opening it would make one.

        Raises
        ------
        InvalidInput
        """
        if self._store is None:
            from nbsessions.stores import check_exists

            check_exists(self._url or self.settings.store)

    def _tell_how_it_opened(self) -> None:
        note = None if self._store is None else self._store.backend.note
        self.notes += [] if note is None else [note]

    def use_store(self, url: str) -> None:
        """Make another store the current one; there is then no current session."""
        from nbsessions.store import open_store

        self._enter_store(open_store(url, redact=self.settings.redact_secrets), url)

    def use_open_store(self, store: Store) -> None:
        """Make a store that somebody has opened the current one, if it is not that already.

        Whoever opened it closes it.
        """
        from nbsessions.stores.base import is_same

        if self._store is None or not is_same(store.backend, self._store.backend):
            self._enter_store(store, store.url)
            self._lent = store

    def _enter_store(self, store: Store, url: str) -> None:
        self._leave_store()
        self._store, self._url, self.settings.store = store, url, masked(url)
        self._tell_how_it_opened()
        self.remember("store", self.settings.store)

    def _leave_store(self) -> None:
        self._leave()
        store, self._store = self._store, None
        self.session = None
        if store not in (None, self._lent) and not self._unsaved.needs(store.backend):
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
        if name in _RULES:
            self._ruled.clear()
        if name in ("agent", "model") and self.shown(value) != value:
            shown = self.shown(self._url_of(value))
            self.remember(name, shown)
            value = shown
        if name in self._session_options() and self.session is not None:
            setattr(self.session, name, value)
        if name == "redact_secrets" and self._store is not None:
            from nbsessions.secrets import secrets_for

            self._store.backend.secrets = secrets_for(value)
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
        found = self.find_session()
        if found is None:
            raise InvalidInput("There is no current session. `new` starts one, `load` resumes one.")
        return found

    def find_session(self) -> Session | None:
        """Return the current session: the notebook's last one where there is none yet; None starts none."""
        return self._open() or self._resumed()

    def _open(self) -> Session | None:
        """Return the current session; where somebody deleted it, leave it and say so."""
        session = self.session
        if session is None or session.unsaved or self.store.backend.get(session.key) is not None:
            return session
        self.forget_deleted()
        raise SessionNotFound(session.record.label, deleted=True)

    def forget_deleted(self) -> None:
        """Leave the current session where it was deleted."""
        session = self.session
        if session is not None and self.store.backend.get(session.key) is None:
            # An answer of it that waits is kept on a fork, where this handle stands then.
            self._leave()
            if self.store.backend.get(session.key) is None:
                self.session = None

    def current(self, agent_name: str) -> Session:
        """Return the current session: the notebook's last one where there is none yet, else a new one."""
        return self.find_session() or self.create(None, agent_name)

    def _resumed(self) -> Session | None:
        place = self._where() if self.settings.auto_resume else None
        if place is None:
            return None
        visit = self.store.backend.last_visit(self.store.owner, place)
        if visit is None:
            return None
        key = visit.key
        try:
            session = self.resume(key.session_id, conversation_id=key.conversation_id or None)
        except SessionNotFound:  # deleted between the two look-ups
            return None
        self.session, self._trail.at = session, key
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
            "max_tokens": settings.max_tokens,
            "max_events": settings.max_events,
        }

    def switch(self, session: Session, how: str = "new") -> None:
        """Make `session` the current one, and remember it as this notebook's."""
        self._leave()
        # The same one may have been left just now, with an answer that waits.
        session = self._unsaved.find(session.backend, session.key) or session
        left, self.session = self.session, session
        self._trail.move_on(left, session, f"{how} {session.record.label}")

    def follow(self) -> None:
        """Remember where this notebook is by now: on a fork, after a lost race, or under another name."""
        self._trail.follow(self.session)

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
            before = self._trail.last()
            if before is None:
                raise
            return self._go_back(before, f"load {error.ref}")
        back = self._trail.way_back(session)
        return session.undo() if back is None else self._go_back(*back)

    def _go_back(self, target: Visit, undone: str) -> str:
        self._leave()
        conversation, draft = target.key.conversation_id or None, self._trail.has_its_draft(target)
        self.session = self.resume(target.key.session_id, conversation_id=conversation, draft=draft)
        self.session.notice = None
        self._trail.visit(self.session, target.action, target.before, target.entry)
        return undone

    # What was asked and not answered

    def unanswered(self, session: Session) -> Run | None:
        """Return the session's last run where it gave no answer, else None."""
        runs = session.backend.runs(session.key, last=1)
        last = runs[0] if runs else None
        # Who was to sum up was asked nothing by the person.
        asked = last is not None and last.prompt is not None
        asked_in_vain = last is not None and asked and last.turn_id is None and last.status in _UNANSWERED
        return last if asked_in_vain else None

    def suspended(self, session: Session) -> Run | None:
        """Return the session's last run where it waits for a decision about a call of a tool, else None."""
        runs = session.backend.runs(session.key, last=1)
        return runs[0] if runs and runs[0].status == "suspended" else None

    def left_over(self, session: Session) -> list[str]:
        """Return what is to be told of a session that is resumed: what waits, a draft, rules for tools."""
        told = self.waits(session)
        run = self.unanswered(session)
        if run is not None:
            ended = {"failed": "failed", "cancelled": "was stopped"}.get(run.status, f"was {run.status}")
            told.append(f"Its last run {ended}: `%agent --retry` asks again.")
        if session.on_draft:
            told.append("You are on its unsaved draft: `save` keeps it.")
        elif session.record.draft is not None:
            told.append("It has an unsaved draft: `load --draft` goes on from there.")
        return told + self._ruled_before(session)

    def waits(self, session: Session) -> list[str]:
        """Return what is to be told of the call of a tool that the session's last run waits with."""
        run = self.suspended(session)
        if run is None:
            return []
        try:
            question = session.question(run)
        except InvalidInput:  # it was redacted, or is decided just now
            again = f"`%agent --retry` asks again{self.once_loaded(session)}."
            return [f"Its last run waited, and for what is not known any more: {again}"]
        return [f"Its last run waits: {self.asks(question, self.once_loaded(session))}"]

    def once_loaded(self, session: Session) -> str:
        """Return what is added to a command for a session that is not the current one: it would act there."""
        here = self.session is not None and self.session.key == session.key
        return "" if here else ", once you `load` it"

    def asks(self, question: ToolQuestion, condition: str = "") -> str:
        """Return what is to be told of a call that a run waits with; an approval is of what was told last."""
        from nbsessions.folds import exact

        self.seen[question.run_id] = question
        name, arguments = (one_line(exact(text), 1_000) for text in (question.name, question.arguments))
        agent = one_line(question.agent_name, 80)
        return (
            f"{agent} asks to call {name} with {arguments}. "
            f"`approve` allows it, `approve --deny` does not{condition}."
        )

    def _ruled_before(self, session: Session) -> list[str]:
        found = session.policy if self.settings.rules() is None else None
        if found is None:
            return []
        return [f"Its rules for tools: {found}. `%agent --policy ask` asks about all."]

    # Which tools may be called

    def policy(self, session: Session) -> Policy:
        """Return which tools may be called in a session: as is set here, else as it was there.

        What was set here is the session's own from then on. Where nothing was ever set, each call of a tool
        is asked about.
        """
        from nbsessions.permissions import Policy

        rules = self.settings.rules()
        if rules is not None and session.key not in self._ruled:
            session.policy = rules
            self._ruled.add(session.key)
        return session.policy or Policy()

    def use_policy(self, **rules: Any) -> None:
        """Set `policy`, `allow_tools`, `ask_tools`, `deny_tools`; what is wrong changes nothing.

        Raises
        ------
        InvalidInput
        """
        if rules:
            replace(self.settings, **rules).rules()
            for name, value in rules.items():
                self.set(name, value)
                self.remember(name, value)

    # What is to be told

    def take_notes(self) -> list[str]:
        """Return what there is to tell the person once, and forget it."""
        notes, self.notes = self.notes, []
        return [self.spell(note) for note in notes]

    def note_once(self, note: str) -> None:
        """Tell the person something, the first time that it comes up."""
        if note not in self._told:
            self._told.add(note)
            self.notes.append(note)
