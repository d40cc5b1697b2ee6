"""From a prompt to an answer that a person sees: a new turn, one asked again, or a run that goes on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nbsessions.approving import asker
from nbsessions.attempts import NOTE
from nbsessions.cells import own_turn
from nbsessions.display import AnswerView
from nbsessions.exceptions import InvalidInput
from nbsessions.gate import is_same_call
from nbsessions.records import Head
from nbsessions.replaying import parsed
from nbsessions.reprs import footer_text
from nbsessions.rerunning import save_waiting, show_stored, stored, tell
from nbsessions.runner import progress_of
from nbsessions.text import counted
from nbsessions.values import now
from nbsessions.workers import worker_name

if TYPE_CHECKING:
    from ag_ui.core import BaseEvent

    from nbsessions.adapters.base import Adapter
    from nbsessions.limits import Limits
    from nbsessions.permissions import Decision
    from nbsessions.records import Run
    from nbsessions.session import Session
    from nbsessions.settings import Rerun
    from nbsessions.stores.base import Progress
    from nbsessions.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a person asks.

    Attributes
    ----------
    prompt : str
    adapter : Adapter
    cell_id : str or None
        The notebook cell that asks.
    model : str or None
        Another model, this once.
    max_messages, max_tokens : int or None
        How many messages the agent sees, and of how many tokens.
    limits : Limits or None
        How much may be spent.
    rerun : {"replace", "append", "replay"}
        What becomes of the turn that this cell asked for before.
    save : bool
        False: into a draft.
    execution : int or None
        Which execution it is: a loop in one cell asks more than once, and replaces nothing.
    retry : Run or None
        The run whose prompt this is, sent again: see `unanswered`.
    decision : Decision or None
        What was decided about the call that the run `retry` waits with: that run goes on.
    wants_output : bool
        What `ask` returns is used, and so has to be there where a stored answer is shown again.
    by_prompt : bool
        With "replay": where this cell asked for nothing, the answer to the same prompt is shown.

    Examples
    --------
    >>> from nbsessions.adapters import adapt
    >>> Question(prompt="Hello", adapter=adapt(lambda prompt: "Hi")).rerun
    'replace'
    """

    prompt: str
    adapter: Adapter
    cell_id: str | None = None
    model: str | None = None
    max_messages: int | None = None
    max_tokens: int | None = None
    limits: Limits | None = None
    rerun: Rerun = "replace"
    save: bool = True
    execution: int | None = None
    retry: Run | None = None
    decision: Decision | None = None
    wants_output: bool = False
    by_prompt: bool = False


def ask(workspace: Workspace, session: Session, question: Question) -> object:
    """Ask, and show the answer while it comes; return the output.

    A cell that asked before replaces its turn, asks once more on top, or shows the stored answer.

    Raises
    ------
    InvalidInput, RunFailed, RunCancelled, AgentError, StoreError

    Examples
    --------
    >>> from nbsessions.adapters import adapt
    >>> from nbsessions.workspace import Settings, Workspace
    >>> workspace = Workspace(Settings(store="memory:"))
    >>> question = Question(prompt="Hello", adapter=adapt(lambda prompt: "Hi"))
    >>> output = ask(workspace, workspace.current("local"), question)
    Hi...
    >>> output
    'Hi'
    """
    try:
        return _asked(workspace, session, question)
    finally:
        workspace.follow()


def _asked(workspace: Workspace, session: Session, question: Question) -> object:
    save_waiting(workspace, session)
    if not (question.save and session.autosave):
        _check_draft(session)
    own = own_turn(session, question.cell_id)
    if question.retry is not None:
        if question.decision is None:
            session.give_up(question.retry)
        # A run that was to replace its cell's turn still is.
        base = question.retry.base
        return _answer(workspace, session, question, base if own and base == Head(own.parent_id) else None)
    looped = own is not None and workspace.made.get(own.turn_id, -1) == question.execution
    if question.rerun == "replay":
        found = stored(workspace, session, question.prompt, question.cell_id, by_prompt=question.by_prompt)
        if found is not None and workspace.made.get(found.turn_id, -1) != question.execution:
            output = question.adapter.output(found.codec, found.body) if question.wants_output else None
            show_stored(workspace, session, found)
            return output
    if own is None or looped or question.rerun == "append":
        return _answer(workspace, session, question, None)
    return _answer(workspace, session, question, Head(own.parent_id))


def _check_draft(session: Session) -> None:
    """Refuse to ask for a draft where somebody else has one: the answer would end on a fork."""
    there = None if session.on_draft else session.backend.get(session.key)
    if there is not None and there.draft is not None:
        raise InvalidInput(f"{there.label!r} has an unsaved draft already: `load --draft` goes on from it.")


def unanswered(workspace: Workspace, session: Session, prompt: str = "") -> Run:
    """Return the session's last run, which got no answer; `prompt` may be empty, or must be its own.

    Raises
    ------
    InvalidInput
        There is none, or it has another prompt.

    Examples
    --------
    >>> from nbsessions.workspace import Settings, Workspace
    >>> workspace = Workspace(Settings(store="memory:"))
    >>> unanswered(workspace, workspace.create("plan", "local"))
    Traceback (most recent call last):
    nbsessions.exceptions.InvalidInput: No prompt of 'plan' waits for an answer: there is nothing to retry.
    """
    run = workspace.unanswered(session) or workspace.suspended(session)
    if run is None or run.prompt is None:
        label = session.record.label
        raise InvalidInput(f"No prompt of {label!r} waits for an answer: there is nothing to retry.")
    if prompt.strip() and session.backend.clean(prompt) != run.prompt:
        raise InvalidInput(
            "--retry sends the stored prompt again, and this cell has another. Leave --retry out."
        )
    return run


def decide(workspace: Workspace, session: Session, run: Run, decision: Decision) -> object:
    """Go on with a run that waits, and show what comes; return the output.

    Raises
    ------
    InvalidInput
        It waits for nothing, or not for what was told here last; its agent is not here; or the session has
        moved on since.
    RunFailed, RunCancelled, AgentError, StoreError

    Examples
    --------
    >>> from nbsessions.permissions import Decision
    >>> from nbsessions.workspace import Settings, Workspace
    >>> workspace = Workspace(Settings(store="memory:"))
    >>> session = workspace.current("local")
    >>> run = session.send("Hello", agent=lambda prompt: "Hi")
    >>> decide(workspace, session, run, Decision(True))
    Traceback (most recent call last):
    nbsessions.exceptions.InvalidInput: Run ... is completed: it waits for no decision.
    """
    waits = session.question(run)
    if not is_same_call(workspace.seen.get(run.run_id, waits), waits):
        raise InvalidInput(f"It waits with another call by now: {workspace.asks(waits)}")
    workspace.seen[run.run_id] = waits
    adapter, model = workspace.asked(run)
    question = Question(
        prompt=run.prompt or "",
        adapter=adapter,
        model=model,
        cell_id=run.cell_id,
        limits=workspace.settings.limits(),
        retry=run,
        decision=decision,
    )
    return ask(workspace, session, question)


def _answer(workspace: Workspace, session: Session, question: Question, base: Head | None) -> object:
    _tell_who_answered(workspace, session, question)
    before, autosave = session.turn_count, session.autosave
    session.autosave = autosave and question.save
    try:
        with AnswerView(screen=workspace.screen()) as view:
            tell(workspace, view, question.adapter)
            for other in session.answering():
                view.note(_meanwhile(session, other))
            run = _sent(workspace, session, question, view, base)
            if base is not None:
                view.note(workspace.spell(_replaced(before - session.turn_count)))
            if session.notice:
                view.note(workspace.spell(session.notice))
            view.finish(workspace.spell(_footer(session, run)), run.output)
    finally:
        session.autosave = autosave
    if run.turn_id is not None:
        # Only what this execution made is ever asked for.
        if next(iter(workspace.made.values()), question.execution) != question.execution:
            workspace.made.clear()
        workspace.made[run.turn_id] = question.execution
    return run.output


def _sent(
    workspace: Workspace, session: Session, question: Question, view: AnswerView, base: Head | None
) -> Run:
    """Send the prompt, or go on with the run that was decided about."""
    how: dict[str, Any] = {
        "agent": question.adapter,
        "on_event": lambda event: _show(view, event),
        "model": question.model,
        "base": base,
        "approve": asker(view),
        "policy": workspace.policy(session),
        "limits": question.limits,
    }
    if question.retry is not None and question.decision is not None:
        # What cannot go on is not shown as if it could.
        progress_of(session, question.retry, question.adapter, base)
        _show_again(session, question.retry, view)
        run_id = question.retry.run_id
        return session.approve(question.decision, run_id=run_id, seen=workspace.seen.get(run_id), **how)
    progress = _progress(session, question, base)
    if progress is not None:
        view.note("Goes on from the last step that was done; what came before is not asked again.")
    if base is None and progress is None:
        _sum_up(workspace, session, question, view)
    return session.send(
        question.prompt,
        max_messages=question.max_messages,
        max_tokens=question.max_tokens,
        cell_id=question.cell_id,
        retry_of=question.retry.run_id if question.retry else None,
        progress=progress,
        **how,
    )


def _show_again(session: Session, waiting: Run, view: AnswerView) -> None:
    """Show what a run has said that waits, and what it waits for."""
    for event in session.run_events(waiting.run_id):
        shown = parsed(event)
        if shown is not None:
            _show(view, shown)
    view.ask(session.question(waiting))


def _sum_up(workspace: Workspace, session: Session, question: Question, view: AnswerView) -> None:
    """Have what came before summed up, where that is asked for and due."""
    settings = workspace.settings
    if settings.compact_at is None:
        return
    from nbsessions.compacting import compact_if_due

    agent = question.adapter if settings.compact_with is None else workspace.adapter(settings.compact_with)
    run = compact_if_due(session, agent, settings.compact_at, limits=question.limits)
    if run is not None:
        tokens = session.context().tokens
        told = f"{run.agent_name} summed up what came before: about {tokens:,} tokens of it are sent now."
        view.note(workspace.spell(f"{told} `undo` takes that back."))


def _meanwhile(session: Session, other: Run) -> str:
    seconds = (now() - other.started_at).total_seconds()
    who = "This kernel" if other.worker == worker_name() else f"Another kernel ({other.worker})"
    return (
        f"{who} has been answering in {session.record.label!r} for {max(0.0, seconds):.0f} s: "
        "whichever answer comes later is kept on a fork."
    )


def _progress(session: Session, question: Question, base: Head | None) -> Progress | None:
    """Return how far the run that is retried had come, where this agent can go on from there."""
    if question.retry is None or not question.adapter.goes_on:
        return None
    found = session.progress(question.retry, at=base)
    written = question.adapter.progress_codec or question.adapter.codec
    return found if found is not None and found.codec == written else None


def _show(view: AnswerView, event: BaseEvent) -> None:
    # A failed run raises, and is told by its one line.
    if event.type.value == "RUN_ERROR":
        return
    view.event(event)
    if getattr(event, "name", None) == NOTE:
        view.note(str(getattr(event, "value", "")))


def _tell_who_answered(workspace: Workspace, session: Session, question: Question) -> None:
    """Say once, where a session is gone on with, that another agent or another model answered it."""
    if session.key in workspace.gone_on:
        return
    workspace.gone_on.add(session.key)
    last = next(iter(session.backend.runs(session.key, last=1)), None)
    if last is None:
        return
    adapter, model = question.adapter, question.model or question.adapter.model
    if last.agent_name != adapter.name or not _is_same_model(last.model, model):
        before, now_asks = _named(last.agent_name, last.model), _named(adapter.name, model)
        workspace.notes.append(f"This session was answered by {before}; now asks: {now_asks}.")


def _named(agent_name: str, model: str | None) -> str:
    return agent_name if model in (None, agent_name) else f"{agent_name} ({model})"


def _is_same_model(one: str | None, other: str | None) -> bool:
    """Tell whether two names may be of one model: a provider's own name of it is often longer."""
    if one is None or other is None:
        return True
    one, other = one.rpartition(":")[2], other.rpartition(":")[2]
    return one.startswith(other) or other.startswith(one)


def _replaced(later: int) -> str:
    gone = f" and {counted(later, 'later turn')}" if later > 0 else ""
    return f"Replaced this cell's turn{gone}; `undo` brings back what was."


def _footer(session: Session, run: Run) -> str:
    return footer_text(
        label=session.record.label,
        turn=session.turn_count,
        usage=run.usage,
        seconds=run.duration or 0.0,
        agent=run.agent_name if run.agent_name != session.agent_name else "",
        saved=_kept(session),
    )


def _kept(session: Session) -> str:
    if not session.saved:
        return "in a draft: `save` keeps it"
    return "saved" if session.backend.persistent else "in memory only"
