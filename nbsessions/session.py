"""The handle that a person holds: one session, its name and its tags, and what it is asked through."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from nbsessions.exceptions import InvalidInput, SessionConflict, SessionNotFound
from nbsessions.keyvalues import MAX_ENTRIES, TTL, KeyValues
from nbsessions.names import check_name, check_tags
from nbsessions.records import Run, Usage
from nbsessions.runs import WithRuns
from nbsessions.stores.base import Change
from nbsessions.text import counted
from nbsessions.values import micros, now, plain_json

if TYPE_CHECKING:
    import pandas as pd

    from nbsessions.permissions import Decision
    from nbsessions.recorder import Listener

_TRIES: Final = 100
"""So often the tags are looked at again that others change in this moment."""


class Session(WithRuns):
    """One session of a store, from where it stands.

    Made by `Store.create`, `resume`, `fork` and `rewind`. Its head moves only through it: if
    another writer moved the session meanwhile, the next commit goes to a fork (``on_conflict``
    ``"fork"``, the default) or raises `SessionConflict` (``"error"``).

    Attributes
    ----------
    record : SessionRecord
        All that is stored of it but messages.
    unsaved : list of callable
        Answers that the store refused (its disk is full): `save` tries them again.
    notice : str or None
        What the last commit had to tell, such as a fork after a conflict.
    autosave : bool
        Off: turns go to a durable draft, and `save` moves the head once.
    max_messages, max_tokens : int or None
        Trims what the agent sees, never what is stored.
    compact_at : int or None
        Where more tokens than this would be sent, the older part is summed up first: see `compact`.
    compact_with : object
        The agent that sums up; None: the one that is asked.
    max_events : int or None
        So many of the last events of a run are kept; None: all.
    actor : str or None
        Who acts through this handle: another owner's session can be read and forked. None: its owner.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> session = nbs.open_store("memory:").create("plan")
    >>> session.add_message({"role": "user", "content": "Hello"})
    >>> session.message_count, session.messages[0].text
    (1, 'Hello')
    """

    def __repr__(self) -> str:
        turns, messages = counted(self.turn_count, "turn"), counted(self.message_count, "message")
        return f"<Session {self.record.label!r}: {turns}, {messages}>"

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
        return plain_json(self.record.metadata, "metadata")

    @metadata.setter
    def metadata(self, value: Mapping[str, Any]) -> None:
        self._change(metadata=plain_json(value, "metadata"))

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
        self._change(name=check_name(name))

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
        checked = check_tags(tags)
        self._retag(lambda present: list(dict.fromkeys([*present, *checked])))

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
        self._retag(lambda present: [tag for tag in present if tag not in tags])

    def _retag(self, wanted: Callable[[list[str]], list[str]]) -> None:
        self.check_owner()
        # Another handle may tag it in this moment; its tags shall stay.
        for _ in range(_TRIES):
            present = self.backend.get(self.key)
            if present is None:
                raise SessionNotFound(self.session_id)
            meant = Change(self.key, {"tags": wanted(present.tags)}, {"tags": present.tags})
            changed = self.backend.update_all([meant], micros(now()))
            if changed:
                self._know(changed[self.key])
                return
        raise SessionConflict(self.record.label, ours=self.head.turn_id, theirs=self.head.turn_id)

    def kv(self, *, max_entries: int = MAX_ENTRIES, ttl: timedelta | None = TTL) -> KeyValues:
        """Return the session's key-values: a mapping that is durable, forgets, and is no part of its history.

        See `KeyValues`.

        Examples
        --------
        >>> import nbsessions as nbs
        >>> session = nbs.open_store("memory:").create("plan")
        >>> session.kv()["city"] = "Oslo"
        >>> session.kv().get("city")
        'Oslo'
        """
        return KeyValues(self, max_entries=max_entries, ttl=ttl)

    def to_df(self, kind: str = "messages") -> pd.DataFrame:
        """Return a DataFrame of what the session has; `nbsessions.columns` lists the columns of each kind.

        Parameters
        ----------
        kind : str
            ``messages``, as this handle stands; ``runs``, ``events``, ``tool_calls``; ``usage``, by day and
            model.

        Raises
        ------
        InvalidInput

        Examples
        --------
        >>> import nbsessions as nbs
        >>> session = nbs.open_store("memory:").create("plan")
        >>> _ = session.send("Hello", agent=lambda prompt: "Hi")
        >>> session.to_df()["content"].tolist(), session.to_df("runs")["prompt"].tolist()
        (['Hello', 'Hi'], ['Hello'])
        """
        from nbsessions.frames import of_session

        return of_session(self, kind)

    # Asking an agent

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
            `model`, `max_messages`, `max_tokens`, `cell_id`, `base`, `retry_of`, `approve`, `policy`,
            `limits`: see `nbsessions.runner.run`.

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

    def approve(
        self,
        decision: bool | Decision = True,
        *,
        run_id: str | None = None,
        agent: object = None,
        on_event: Listener | None = None,
        **options: Any,
    ) -> Run:
        """Decide about the call of a tool that a suspended run waits with, and go on with that run.

        The decision holds for this call alone, with the arguments that were stored: see `question`. What ran
        before does not run again, also in another process.

        Parameters
        ----------
        decision : bool or Decision
        run_id : str or None
            None: the last run that waits.
        agent : object
            The one that was asked.
        on_event, **options
            As for `send`; with `seen`, the question that was decided about, nothing happens where the run
            waits with another one by now.

        Raises
        ------
        InvalidInput
            Nothing waits, somebody else has decided, or the session has moved on since.
        RunNotFound, RunFailed, RunCancelled, AgentError

        Examples
        --------
        >>> import nbsessions as nbs
        >>> from pydantic_ai import Agent
        >>> from pydantic_ai.models.test import TestModel
        >>> agent = Agent(TestModel(custom_output_text="Done"), name="cleaner")
        >>> @agent.tool_plain(requires_approval=True)
        ... def remove(path: str) -> str:
        ...     return f"removed {path}"
        >>> session = nbs.open_store("memory:").create("plan")
        >>> run = session.send("Tidy up", agent=agent, approve=nbs.later)
        >>> run.status, session.question(run).name
        ('suspended', 'remove')
        >>> session.approve(agent=agent).output
        'Done'
        """
        from nbsessions.runner import go_on

        if run_id is None:
            waiting = self.waiting()
            if not waiting:
                raise InvalidInput(f"No run of {self.record.label!r} waits for a decision.")
            run_id = waiting[-1].run_id
        return go_on(self, agent, self._own_run(run_id), decision, on_event=on_event, **options)

    def give_up(self, run: Run) -> None:
        """End a suspended run without going on with it; nothing happens to one that is not suspended.

        Raises
        ------
        InvalidInput
            Somebody else goes on with it.
        RunNotFound
            It is another session's.

        Examples
        --------
        >>> import nbsessions as nbs
        >>> session = nbs.open_store("memory:").create("plan")
        >>> session.give_up(session.send("Hello", agent=lambda prompt: "Hi"))
        >>> session.runs()[0].status
        'completed'
        """
        from nbsessions.runner import give_up

        if run.status == "suspended":
            # As it is now: somebody may have gone on with it, and have spent more.
            give_up(self, self._own_run(run.run_id))

    def compact(self, agent: object = None, *, keep: int | None = None, **options: Any) -> Run:
        """Have an agent sum up what came before: its summary is sent in place of that from now on.

        What is stored stays whole, and `undo` takes the summary back: see `nbsessions.compacting.compact`.

        Parameters
        ----------
        agent : object
            Whatever `send` takes.
        keep : int or None
            So many of the last messages are sent as they are; None: those from the last prompt on.
        **options
            `on_event`, `limits`: as for `send`.

        Returns
        -------
        Run
            What it cost; its `output` is the summary.

        Raises
        ------
        InvalidInput
            There is nothing to sum up.
        RunFailed, RunCancelled, AgentError

        Examples
        --------
        >>> import nbsessions as nbs
        >>> session = nbs.open_store("memory:").create("plan")
        >>> for prompt in ("What do owls eat?", "And at noon?"):
        ...     _ = session.send(prompt, agent=lambda prompt: "Mice.")
        >>> session.compact(lambda prompt: "Owls eat mice.").output
        'Owls eat mice.'
        >>> [message.role for message in session.context().messages]
        ['user', 'user', 'assistant']
        """
        from nbsessions.compacting import compact

        return compact(self, agent, keep=keep, **options)

    def resume_run(
        self, run_id: str, *, agent: object = None, on_event: Listener | None = None, **options: Any
    ) -> Run:
        """Go on with a run that died, or failed, from the last step that it had done.

        A new run commits all that both did as one turn. What the first one spent stays with it, and is
        told by the new one's `carried`.

        Parameters
        ----------
        run_id : str
        agent : object
            The one that was asked; it must be able to go on from the middle, as one of pydantic-ai is.
        on_event, **options
            As for `send`.

        Raises
        ------
        RunNotFound
        InvalidInput
            There is nothing to go on from, or the session has moved on since.
        RunFailed, RunCancelled, AgentError

        Examples
        --------
        >>> import nbsessions as nbs
        >>> session = nbs.open_store("memory:").create("plan")
        >>> run = session.send("Hello", agent=lambda prompt: "Hi")
        >>> session.resume_run(run.run_id)
        Traceback (most recent call last):
        nbsessions.exceptions.InvalidInput: Run ... is completed: there is nothing to go on with.
        """
        from nbsessions.runner import run

        stopped = self._own_run(run_id)
        if stopped.status in ("completed", "running"):
            text = f"Run {run_id} is {stopped.status}: there is nothing to go on with."
            raise InvalidInput(text)
        progress = self.progress(stopped)
        if progress is None:
            raise InvalidInput(f"Nothing that run {run_id} did can be gone on from: send its prompt again.")
        return run(
            self,
            agent,
            stopped.prompt or "",
            on_event=on_event,
            retry_of=run_id,
            progress=progress,
            **options,
        )
