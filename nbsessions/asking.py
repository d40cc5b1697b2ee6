"""From a prompt to an answer that a person sees: a new turn, a turn asked again, or one shown again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nbsessions.adapters.base import announce
from nbsessions.codecs import codec
from nbsessions.display import AnswerView
from nbsessions.exceptions import InvalidInput
from nbsessions.records import Head, Message
from nbsessions.reprs import footer_text
from nbsessions.text import counted
from nbsessions.values import now
from nbsessions.workers import worker_name

if TYPE_CHECKING:
    from ag_ui.core import BaseEvent

    from nbsessions.adapters.base import Adapter
    from nbsessions.records import Run, Turn
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
    max_messages : int or None
        How many messages the agent sees.
    rerun : {"replace", "append", "replay"}
        What becomes of the turn that this cell asked for before.
    save : bool
        False: into a draft.
    execution : int or None
        Which execution it is: a loop in one cell asks more than once, and replaces nothing.
    retry : Run or None
        The run whose prompt this is, sent again: see `waiting`.
    wants_output : bool
        What `ask` returns is used, and so has to be there where a stored answer is shown again.

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
    rerun: Rerun = "replace"
    save: bool = True
    execution: int | None = None
    retry: Run | None = None
    wants_output: bool = False


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
    # What waits to be saved comes first: this cell's own turn may be among it.
    if session.unsaved:
        session.save_waiting()
        workspace.notes += [] if session.notice is None else [session.notice]
    if not (question.save and session.autosave):
        _check_draft(session)
    own = _own_turn(session, question.cell_id)
    if question.retry is not None:
        # A run that was to replace its cell's turn still is.
        base = question.retry.base
        return _answer(workspace, session, question, base if own and base == Head(own.parent_id) else None)
    looped = own is not None and workspace.made.get(own.turn_id, -1) == question.execution
    if own is None or looped or question.rerun == "append":
        return _answer(workspace, session, question, None)
    cut = session.head.keep is not None and session.head.turn_id == own.turn_id
    if question.rerun == "replay" and not cut and _prompt(own) == question.prompt:
        return _replay(workspace, session, question, own)
    return _answer(workspace, session, question, Head(own.parent_id))


def _check_draft(session: Session) -> None:
    """Refuse to ask for a draft where somebody else has one: the answer would end on a fork."""
    stored = None if session.on_draft else session.backend.get(session.key)
    if stored is not None and stored.draft is not None:
        raise InvalidInput(f"{stored.label!r} has an unsaved draft already: `load --draft` goes on from it.")


def waiting(workspace: Workspace, session: Session, prompt: str = "") -> Run:
    """Return the session's last run, which got no answer; `prompt` may be empty, or must be its own.

    Raises
    ------
    InvalidInput
        There is none, or it has another prompt.

    Examples
    --------
    >>> from nbsessions.workspace import Settings, Workspace
    >>> workspace = Workspace(Settings(store="memory:"))
    >>> waiting(workspace, workspace.create("plan", "local"))
    Traceback (most recent call last):
    nbsessions.exceptions.InvalidInput: No prompt of 'plan' waits for an answer: there is nothing to retry.
    """
    run = workspace.unanswered(session)
    if run is None or run.prompt is None:
        label = session.record.label
        raise InvalidInput(f"No prompt of {label!r} waits for an answer: there is nothing to retry.")
    if prompt.strip() and prompt != run.prompt:
        raise InvalidInput(
            "--retry sends the stored prompt again, and this cell has another. Leave --retry out."
        )
    return run


def _own_turn(session: Session, cell_id: str | None) -> Turn | None:
    if cell_id is None or session.head.turn_id is None:
        return None
    return session.backend.asked_by(cell_id, session.head.turn_id)


def _view(turn: Turn) -> list[Message]:
    return codec(turn.codec).view(turn.body)


def _prompt(turn: Turn) -> str | None:
    return next((message.text for message in _view(turn) if message.role == "user"), None)


def _answer(workspace: Workspace, session: Session, question: Question, base: Head | None) -> object:
    before, autosave = session.turn_count, session.autosave
    session.autosave = autosave and question.save
    try:
        with AnswerView() as view:
            _tell(workspace, view, question.adapter)
            for other in session.answering():
                view.note(_meanwhile(session, other))
            progress = _progress(session, question, base)
            if progress is not None:
                view.note("Goes on from the last step that was done; what came before is not asked again.")
            run = session.send(
                question.prompt,
                agent=question.adapter,
                on_event=lambda event: _show(view, event),
                model=question.model,
                max_messages=question.max_messages,
                cell_id=question.cell_id,
                base=base,
                retry_of=question.retry.run_id if question.retry else None,
                progress=progress,
            )
            if base is not None:
                view.note(workspace.spell(_replaced(before - session.turn_count)))
            if session.notice:
                view.note(workspace.spell(session.notice))
            view.finish(workspace.spell(_footer(session, run)), run.output)
    finally:
        session.autosave = autosave
    if run.turn_id is not None:
        workspace.made[run.turn_id] = question.execution
    return run.output


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
    return found if found is not None and found.codec == question.adapter.codec else None


def _show(view: AnswerView, event: BaseEvent) -> None:
    # A failed run raises, and is told by its one line.
    if event.type.value != "RUN_ERROR":
        view.event(event)


def _tell(workspace: Workspace, view: AnswerView, adapter: Adapter | None = None) -> None:
    if adapter is not None and adapter.note is not None:
        workspace.note_once(adapter.note)
    for note in workspace.take_notes():
        view.note(note)


def _replaced(later: int) -> str:
    gone = f" and {counted(later, 'later turn')}" if later > 0 else ""
    return f"Replaced this cell's turn{gone}; `undo` brings back what was."


def _replay(workspace: Workspace, session: Session, question: Question, turn: Turn) -> object:
    output = question.adapter.output(turn.codec, turn.body) if question.wants_output else None
    with AnswerView() as view:
        _tell(workspace, view)
        for message in _view(turn):
            announce(message, view.event)
        view.finish(f"{session.record.label} · turn {turn.total_turns} · replayed: no tokens spent")
    return output


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
