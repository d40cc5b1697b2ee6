"""
The error tree.

Everything that nbsessions raises for a person to read derives from `NbsessionsError`, and its
text is one line that says what was wrong and what to do.

* NbsessionsError
  + InvalidInput            a name, id, message or option that cannot be used
    - FormatError           a file that is not what it should be
    - NotSessions           a frame whose rows are no sessions
  + SessionError
    - SessionNotFound       no session answers to this reference
    - AmbiguousSession      several do
    - SessionExists         the id or name is taken
    - SessionConflict       another writer moved the head first
    - SessionBusy           somebody else is answering in it
    - NotOwner              it is somebody else's, and can only be read and forked
  + RunError
    - RunNotFound           no run has this id
    - RunFailed             the agent failed; what it said before is kept
      * LimitReached        it was stopped because it had spent as much as it may
    - RunCancelled          the run was stopped; what it said before is kept
  + AgentError
    - AgentUnavailable      a model, key or server that cannot be reached
    - UnsupportedAgent      no adapter knows this object
    - MissingExtra          an optional package is not installed
  + StoreError
    - StoreUnavailable      cannot be opened, is read-only, locked or full
    - StoreTooNew           written by a newer version of nbsessions
    - DamagedTurn           a turn whose hash does not match its content
    - DamagedSession        what is stored of a session is not what was written
    - DamagedRun            what is stored of a run's events is not what was written
"""

from __future__ import annotations

from collections.abc import Sequence


class NbsessionsError(Exception):
    """Base of every error that nbsessions raises.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> try:
    ...     nbs.open_store("memory:").resume("nowhere")
    ... except nbs.NbsessionsError as error:
    ...     print(error)
    No session 'nowhere' in this store. `history` lists what there is.
    """


class InvalidInput(NbsessionsError, ValueError):
    """A name, id, message or option that cannot be used; nothing was changed.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> nbs.open_store("memory:").create("latest")
    Traceback (most recent call last):
    nbsessions.exceptions.InvalidInput: 'latest' is reserved; choose another name.
    """


class FormatError(InvalidInput):
    """A file that is not what it should be; nothing of it came in, and it was left as it is.

    Examples
    --------
    >>> print(FormatError("chat.json", "it ends in the middle"))
    chat.json: it ends in the middle.
    """

    def __init__(self, where: object, reason: str) -> None:
        super().__init__(f"{where}: {reason.rstrip('.')}.")
        self.where, self.reason = str(where), reason


class NotSessions(InvalidInput, AttributeError):
    """A frame whose rows are no sessions, so that nothing can be done with the sessions of it.

    Examples
    --------
    >>> print(NotSessions("it has no column 'session_id'"))
    `nbs` acts on frames of sessions, and this is none: it has no column 'session_id'.
    """

    # An AttributeError, too: so pandas knows that there is no `df.nbs`.
    def __init__(self, reason: str) -> None:
        super().__init__(f"`nbs` acts on frames of sessions, and this is none: {reason}.")


class SessionError(NbsessionsError):
    """Something about one session; base of the six below.

    Examples
    --------
    >>> issubclass(SessionNotFound, SessionError)
    True
    """


class SessionNotFound(SessionError, LookupError):
    """No session answers to this reference, or it was deleted while it was open.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> nbs.open_store("memory:").delete("nowhere")
    Traceback (most recent call last):
    nbsessions.exceptions.SessionNotFound: No session 'nowhere' in this store. `history` lists what there is.
    """

    def __init__(self, ref: str, *, deleted: bool = False, kept: str | None = None) -> None:
        if deleted:
            what = "`new` starts another." if kept is None else f"Your answer is kept on {kept!r}."
            text = f"Session {ref!r} was deleted, by you or another kernel. {what}"
        else:
            text = f"No session {ref!r} in this store. `history` lists what there is."
        super().__init__(text)
        self.ref = ref


class AmbiguousSession(SessionError, LookupError):
    """Several sessions answer to this reference; `candidates` names them.

    Examples
    --------
    >>> print(AmbiguousSession("01", ["01ab (plan, local)", "01cd (essay, local)"]))
    '01' could be 2 sessions: 01ab (plan, local), 01cd (essay, local). Give the id, or more of it.
    """

    def __init__(self, ref: str, candidates: Sequence[str], *, more: bool = False) -> None:
        shown = ", ".join(candidates[:5]) + (", ..." if len(candidates) > 5 else "")
        count = f"{len(candidates)} or more" if more else f"{len(candidates)}"
        super().__init__(f"{ref!r} could be {count} sessions: {shown}. Give the id, or more of it.")
        self.ref = ref
        self.candidates = list(candidates)


class SessionExists(SessionError):
    """The id or name is taken.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> store = nbs.open_store("memory:")
    >>> _ = store.create("plan")
    >>> store.create("plan")
    Traceback (most recent call last):
    nbsessions.exceptions.SessionExists: A session 'plan' exists already. `load` it, or choose another name.
    """

    def __init__(self, ref: str, *, importing: bool = False) -> None:
        what = "`load` it, or choose another name."
        if importing:
            what = f"With --rename (rename=True), what you import is called '{ref} (2)'."
        super().__init__(f"A session {ref!r} exists already. {what}")
        self.ref = ref


class SessionConflict(SessionError):
    """Another writer moved the head first; `ours` and `theirs` are turn ids (None: empty).

    An answer of an agent is not lost with it: `kept` names the fork that has it.

    Examples
    --------
    >>> print(SessionConflict("plan", ours="01a0", theirs="01b1"))
    Session 'plan' was moved by another writer: you started from turn 01a0, it is now at turn 01b1. `load` ...
    """

    def __init__(
        self,
        ref: str,
        *,
        ours: str | None,
        theirs: str | None,
        kept: str | None = None,
        drafted: bool = False,
    ) -> None:
        if drafted:
            text = (
                f"has an unsaved draft of another writer, at {_tail(theirs)}. `load --draft` goes on from it."
            )
        else:
            now = _tail(theirs) if theirs != ours else "another message of it"
            text = (
                f"was moved by another writer: you started from {_tail(ours)}, it is now at {now}. "
                "`load` it to go on from there."
            )
        answer = "" if kept is None else f" Your answer is kept on {kept!r}."
        super().__init__(f"Session {ref!r} {text}{answer}")
        self.ref, self.ours, self.theirs, self.kept = ref, ours, theirs, kept


class SessionBusy(SessionError):
    """Somebody else is answering in this session just now; nothing was started.

    Examples
    --------
    >>> print(SessionBusy("plan", "host:123"))
    Another kernel (host:123) is answering in 'plan'. Wait for it, or `fork` the session.
    """

    def __init__(self, ref: str, worker: str) -> None:
        super().__init__(
            f"Another kernel ({worker}) is answering in {ref!r}. Wait for it, or `fork` the session."
        )
        self.ref, self.worker = ref, worker


class NotOwner(SessionError, PermissionError):
    """The session is somebody else's: it can be read and forked, and not changed.

    Examples
    --------
    >>> print(NotOwner("plan", "bob"))
    Session 'plan' belongs to 'bob': nothing was changed. `fork` gives you one of your own.
    """

    def __init__(self, ref: str, owner: str) -> None:
        super().__init__(
            f"Session {ref!r} belongs to {owner!r}: nothing was changed. `fork` gives you one of your own."
        )
        self.ref, self.owner = ref, owner


class RunError(NbsessionsError):
    """Something about one run; base of the three below.

    Examples
    --------
    >>> issubclass(RunFailed, RunError)
    True
    """

    def __init__(self, message: str, run_id: str | None = None) -> None:
        super().__init__(message)
        self.run_id = run_id


class RunNotFound(RunError, LookupError):
    """No run has this id.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> nbs.open_store("memory:").events("nowhere")
    Traceback (most recent call last):
    nbsessions.exceptions.RunNotFound: No run 'nowhere' in this store.
    """


class RunFailed(RunError):
    """The agent failed; its prompt and events are kept under `run_id`.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> def broken(prompt):
    ...     raise ValueError("no idea")
    >>> session = nbs.open_store("memory:").create("plan")
    >>> try:
    ...     session.send("Hello", agent=broken)
    ... except nbs.RunFailed as error:
    ...     print(error)
    broken failed: ValueError: no idea (broken, line 2)
    """


class LimitReached(RunFailed):
    """As much was spent as may be: no more requests are made. What was said before is kept under `run_id`.

    Where it is None, the limit was reached before the run began, and nothing was started.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> session = nbs.open_store("memory:").create("plan")
    >>> from nbsessions.testing import ScriptedAgent
    >>> agent = ScriptedAgent([["Hi", nbs.Usage(input_tokens=100)], "Hi"])
    >>> limits = nbs.Limits(total_tokens="50/session")
    >>> _ = session.send("Hello", agent=agent, limits=limits)
    >>> session.send("Hello", agent=agent, limits=limits)
    Traceback (most recent call last):
    nbsessions.exceptions.LimitReached: This session has spent 100 tokens, and max_total_tokens is 50 ...
    """


class RunCancelled(RunError):
    """The run was stopped; its prompt and events are kept under `run_id`.

    Examples
    --------
    >>> RunCancelled("stopped", "01a0").run_id
    '01a0'
    """


class AgentError(NbsessionsError):
    """Something about an agent; base of the three below.

    Examples
    --------
    >>> issubclass(MissingExtra, AgentError)
    True
    """


class AgentUnavailable(AgentError):
    """A model, key or server that cannot be reached.

    Examples
    --------
    >>> raise AgentUnavailable("no key")
    Traceback (most recent call last):
    nbsessions.exceptions.AgentUnavailable: no key
    """


class UnsupportedAgent(AgentError, TypeError):
    """No adapter knows this object.

    Examples
    --------
    >>> from nbsessions.adapters import adapt
    >>> adapt(42)
    Traceback (most recent call last):
    nbsessions.exceptions.UnsupportedAgent: An int is not an agent. Give a function, an Agent of ...
    """


class MissingExtra(AgentError, ImportError):
    """An optional package is not installed; the text names the extra.

    Examples
    --------
    >>> print(MissingExtra("The local model", "local"))
    The local model needs an extra that is not installed: pip install "nbsessions[local]"
    """

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f'{what} needs an extra that is not installed: pip install "nbsessions[{extra}]"')
        self.extra = extra


class StoreError(NbsessionsError):
    """Something about a store; base of those below.

    Examples
    --------
    >>> issubclass(StoreTooNew, StoreError)
    True
    """


class StoreUnavailable(StoreError, OSError):
    """The store cannot be opened, is read-only, locked or full; nothing was written.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> nbs.open_store("sqlite:////proc/nowhere/agents.db")
    Traceback (most recent call last):
    nbsessions.exceptions.StoreUnavailable: Cannot open the store /proc/nowhere/agents.db: ...
    """


class StoreTooNew(StoreError):
    """The data was written by a newer nbsessions; it was left untouched.

    Examples
    --------
    >>> print(StoreTooNew("agents.db", found=9, known=1))
    agents.db was written by a newer nbsessions (schema 9, this one knows 1). Upgrade nbsessions to open it.
    """

    def __init__(self, where: str, *, found: int, known: int) -> None:
        super().__init__(
            f"{where} was written by a newer nbsessions (schema {found}, this one knows {known}). "
            "Upgrade nbsessions to open it."
        )


class DamagedTurn(StoreError):
    """A turn whose hash does not match its content; the rest stays readable.

    Examples
    --------
    >>> print(DamagedTurn("019c-4a"))
    Turn 019c-4a is damaged: its content does not match its hash. `rewind` to before it to go on.
    """

    def __init__(self, turn_id: str) -> None:
        super().__init__(
            f"Turn {turn_id} is damaged: its content does not match its hash. `rewind` to before it to go on."
        )
        self.turn_id = turn_id


class DamagedSession(StoreError):
    """What is stored of a session, its turns apart, is not what was written; the others stay readable.

    Examples
    --------
    >>> print(DamagedSession("chat-7", "state"))
    Session chat-7 is damaged: its state is not what was written. `verify` tells what else is.
    """

    def __init__(self, where: str, what: str) -> None:
        super().__init__(
            f"Session {where} is damaged: its {what} is not what was written. `verify` tells what else is."
        )
        self.where = where


class DamagedRun(StoreError):
    """What is stored of a run's events is not what was written; its turn stays readable.

    Examples
    --------
    >>> print(DamagedRun("019c-4a", "event 3"))
    Run 019c-4a is damaged: its event 3 is not what was written. What it committed can still be read.
    """

    def __init__(self, run_id: str, what: str) -> None:
        super().__init__(
            f"Run {run_id} is damaged: its {what} is not what was written. "
            "What it committed can still be read."
        )
        self.run_id = run_id


def _tail(turn_id: str | None) -> str:
    return "its beginning" if turn_id is None else f"turn {turn_id[-8:]}"
