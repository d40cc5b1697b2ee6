"""Looking at the runs of a session: what was asked, how far each one came, what it told."""

from __future__ import annotations

import warnings
from typing import Final

from nbsessions.codecs import codec, is_prompt
from nbsessions.exceptions import DamagedTurn, InvalidInput, RunNotFound
from nbsessions.forks import PERMISSIONS
from nbsessions.gate import waiting_for
from nbsessions.hashes import is_intact
from nbsessions.permissions import Policy, ToolQuestion
from nbsessions.records import TERMINAL, EventPage, Head, Run
from nbsessions.redacting import Redactable
from nbsessions.stores.base import Backend, Document, Documents, Key, Progress
from nbsessions.values import check_count, mend
from nbsessions.workers import is_alive

_POLICY: Final = Documents(PERMISSIONS, ["policy"])


class WithRuns(Redactable):
    """A branch whose runs can be looked at; base of `Session`.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> isinstance(nbs.open_store("memory:").create(), WithRuns)
    True
    """

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
        return [prompted(self.backend, run) for run in self.backend.runs(self.key)]

    def answering(self) -> list[Run]:
        """Return the runs that are under way in it, in whatever process.

        Examples
        --------
        >>> import nbsessions as nbs
        >>> nbs.open_store("memory:").create("plan").answering()
        []
        """
        return [run for run in self.backend.runs(self.key, status="running") if is_alive(run)]

    def run_events(self, run_id: str, *, after: int = -1, limit: int | None = None) -> EventPage:
        """Return the events of one of its runs whose `seq` is above `after`, in order.

        Raises
        ------
        RunNotFound, InvalidInput

        Examples
        --------
        >>> import nbsessions as nbs
        >>> session = nbs.open_store("memory:").create("plan")
        >>> run = session.send("Hello", agent=lambda prompt: "Hi")
        >>> session.run_events(run.run_id)[-1].type
        'RUN_FINISHED'
        """
        return event_page(self.backend, self._own_run(run_id), after, limit)

    def progress(self, run: Run, *, at: Head | None = None) -> Progress | None:
        """Return what a run did that one can go on from; None also where it did not begin here, or `at`.

        Examples
        --------
        >>> import nbsessions as nbs
        >>> session = nbs.open_store("memory:").create("plan")
        >>> session.progress(session.send("Hello", agent=lambda prompt: "Hi")) is None
        True
        """
        found = self.backend.progress(run.run_id) if run.base == (at or self.head) else None
        if found is None or found.body == "[]":
            return None
        # What all attempts spent up to there: each of them counts its own.
        spent, before = run.usage, run.retry_of
        while before is not None and (earlier := self.backend.get_run(before)) is not None:
            spent, before = spent + earlier.usage, earlier.retry_of
        return found._replace(usage=spent)

    def waiting(self) -> list[Run]:
        """Return its runs that are suspended, oldest first: each waits for a decision about a call of a tool.

        Examples
        --------
        >>> import nbsessions as nbs
        >>> nbs.open_store("memory:").create("plan").waiting()
        []
        """
        return self.backend.runs(self.key, status="suspended")

    def question(self, run: Run) -> ToolQuestion:
        """Return what a suspended run waits with.

        Raises
        ------
        InvalidInput
            It does not wait.

        Examples
        --------
        >>> import nbsessions as nbs
        >>> session = nbs.open_store("memory:").create("plan")
        >>> session.question(session.send("Hello", agent=lambda prompt: "Hi"))
        Traceback (most recent call last):
        nbsessions.exceptions.InvalidInput: Run ... is completed: it waits for no decision.
        """
        found = None
        if run.status == "suspended":
            found = waiting_for(run.run_id, self.backend.events(run.run_id))
        if found is None:
            raise InvalidInput(f"Run {run.run_id} is {run.status}: it waits for no decision.")
        return found

    @property
    def policy(self) -> Policy | None:
        """Which tools its agents may call; None: those that they do not want to be asked about.

        It stays with the session, and goes into no export: what was allowed here is not allowed elsewhere.
        Assigning makes it durable.

        Examples
        --------
        >>> import nbsessions as nbs
        >>> session = nbs.open_store("memory:").create("plan")
        >>> session.policy = nbs.Policy("ask", allow=["read_*"])
        >>> session.policy.verdict("read_file")
        'allow'
        """
        found = self.backend.documents(self.key, _POLICY)
        try:
            return Policy.from_json(found[0].body) if found else None
        except InvalidInput as error:
            text = f"The rules for tools of {self.record.label!r} cannot be read, all are denied: {error}"
            warnings.warn(text, RuntimeWarning, stacklevel=2)
            return Policy("deny")

    @policy.setter
    def policy(self, value: Policy | None) -> None:
        self.set_policy(value)

    def set_policy(self, policy: Policy | None) -> None:
        """Do what assigning `policy` does.

        Raises
        ------
        NotOwner, InvalidInput

        Examples
        --------
        >>> import nbsessions as nbs
        >>> session = nbs.open_store("memory:").create("plan")
        >>> session.set_policy(nbs.Policy("deny"))
        >>> session.policy.default
        'deny'
        """
        self.check_owner()
        if policy is None:
            self.backend.drop_documents(self.key, _POLICY)
            return
        if not isinstance(policy, Policy):
            raise InvalidInput(f"policy is a Policy, such as Policy('ask'), not {type(policy).__name__}.")
        self.backend.put_documents(self.key, [Document(PERMISSIONS, "policy", policy.to_json())])

    def redact_run(self, run_id: str) -> None:
        """Take out of the store what a run that committed no turn was asked, and all that it told.

        Raises
        ------
        RunNotFound, NotOwner
        InvalidInput
            It committed a turn, or is under way.

        Examples
        --------
        >>> import nbsessions as nbs
        >>> def broken(prompt):
        ...     raise ValueError(f"I cannot do {prompt}")
        >>> session = nbs.open_store("memory:").create("plan")
        >>> try:
        ...     session.send("hunter2", agent=broken)
        ... except nbs.RunFailed as error:
        ...     session.redact_run(error.run_id)
        >>> session.runs()[0].prompt, session.runs()[0].error
        ('[redacted]', '[redacted]')
        """
        self.check_owner()
        run = self._own_run(run_id)
        if run.status not in TERMINAL or run.turn_id is not None:
            raise InvalidInput(f"Run {run_id} is {run.status}: what it said is redacted message by message.")
        self.backend.redact_run(run_id)

    def _own_run(self, run_id: str) -> Run:
        run = find_run(self.backend, run_id)
        if run is None or Key.of(run) != self.key:
            raise RunNotFound(f"No run {run_id!r} in session {self.record.label!r}.", run_id)
        return run


def prompted(backend: Backend, run: Run) -> Run:
    """Return a run with its prompt, which a completed one keeps in its turn alone.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> store = nbs.open_store("memory:")
    >>> run = store.create("plan").send("Hello", agent=lambda prompt: "Hi")
    >>> prompted(store.backend, store.run(run.run_id)).prompt
    'Hello'
    """
    # One that committed a turn and has none: it is gone.
    if run.prompt is not None or (run.turn_id is None and run.status != "completed"):
        return run
    turn = None if run.turn_id is None else backend.turn(run.turn_id)
    try:
        if turn is None or not is_intact(turn):
            raise DamagedTurn(run.turn_id or "that it committed")
        view = codec(turn.codec).view(turn.body)
    except (DamagedTurn, InvalidInput) as error:
        text = f"What run {run.run_id} was asked cannot be read. {error}"
        warnings.warn(text, RuntimeWarning, stacklevel=3)
        return run
    prompt = next((message.text for message in view if is_prompt(message)), None)
    return run.model_copy(update={"prompt": prompt})


def find_run(backend: Backend, run_id: str) -> Run | None:
    """Return the run of exactly this id.

    Raises
    ------
    InvalidInput
        It is no text.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> find_run(nbs.open_store("memory:").backend, "nowhere") is None
    True
    """
    if not isinstance(run_id, str):
        raise InvalidInput(f"A run is named by text, its id, not by {run_id!r}.")
    return backend.get_run(mend(run_id))


def event_page(backend: Backend, run: Run, after: int, limit: int | None) -> EventPage:
    """Return a page of a run's events.

    Raises
    ------
    InvalidInput

    Examples
    --------
    >>> import nbsessions as nbs
    >>> session = nbs.open_store("memory:").create("plan")
    >>> run = session.send("Hello", agent=lambda prompt: "Hi")
    >>> event_page(session.backend, run, 3, None)[0].type
    'RUN_FINISHED'
    """
    after = check_count(after, "after", least=-1)
    limit = None if limit is None else check_count(limit, "limit")
    events = backend.events(run.run_id, after=after, limit=limit)
    return EventPage(events, after=after, limit=limit, event_count=run.event_count)
