"""One run: a prompt goes to an adapter, its events are stored and then shown, its answer is committed."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from nbsessions.accounts import spent_of
from nbsessions.adapters import adapt
from nbsessions.adapters.base import Adapter, Request
from nbsessions.attempts import Attempt
from nbsessions.calling import Caller, Stop, in_thread
from nbsessions.codecs import Item, told
from nbsessions.exceptions import InvalidInput, SessionBusy
from nbsessions.gate import Rules, is_same_call
from nbsessions.limits import Limits, Meter
from nbsessions.permissions import Approve, Decision, Policy, ToolQuestion, decide, nobody
from nbsessions.recorder import Recorder
from nbsessions.records import Head, Run, Usage, trusted
from nbsessions.stores.base import Finish, Progress
from nbsessions.text import one_line
from nbsessions.values import check_text, encode_json, micros, new_id, now
from nbsessions.workers import LEASE, worker_name

if TYPE_CHECKING:
    from nbsessions.recorder import Listener
    from nbsessions.session import Session


def run(
    session: Session,
    agent: object,
    prompt: str,
    *,
    on_event: Listener | None = None,
    model: str | None = None,
    max_messages: int | None = None,
    max_tokens: int | None = None,
    cell_id: str | None = None,
    base: Head | None = None,
    retry_of: str | None = None,
    progress: Progress | None = None,
    stop: threading.Event | None = None,
    approve: Approve = nobody,
    policy: Policy | None = None,
    limits: Limits | None = None,
) -> Run:
    """Send `prompt` to `agent` and commit the answer to `session` as one turn.

    Parameters
    ----------
    session : Session
    agent : object
        Whatever `adapt` takes.
    prompt : str
    on_event : callable or None
        Called with each AG-UI event after it was stored, about ten times a second.
    model : str or None
        Another model, for this run.
    max_messages, max_tokens : int or None
        How many messages the agent sees, and of how many tokens: see `Session.context`.
    cell_id : str or None
        The notebook cell that asks.
    base : Head or None
        Answer from here instead of from the head: the head leaves what came after.
    retry_of : str or None
        The run whose prompt this is.
    progress : Progress or None
        How far the run `retry_of` had come: the agent goes on from there.
    stop : threading.Event or None
        Set it to cancel the run.
    approve : callable
        Takes a `ToolQuestion`, and returns whether the agent may call that tool: True, False or a
        `Decision`. Called on this thread, while the run is ``suspended``. Without it, no tool is called that
        has to be asked about; with `nbsessions.later` the run is left suspended, and is what this returns:
        `Session.approve` goes on with it.
    policy : Policy or None
        Which tools may be called, and which are asked about. None: the session's own; where that has none,
        the tools are asked about that the agent itself wants to be.
    limits : Limits or None
        How much may be spent; a limit is exceeded by one request at most.

    Raises
    ------
    LimitReached
        As much was spent as may be.
    RunFailed, RunCancelled
        The prompt and what was said are kept on the run; the head did not move.
    InvalidInput, AgentError, NotOwner
        Nothing was started.
    SessionBusy, SessionConflict
        Somebody else is answering in this session, or has moved it, and `on_conflict` is ``"error"``.
        Nothing was started, unless the text says on which fork the answer is kept.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> session = nbs.open_store("memory:").create("plan")
    >>> run(session, lambda prompt: "Hi", "Hello").status
    'completed'
    """
    if not isinstance(prompt, str):
        raise InvalidInput(f"A prompt is text, not {type(prompt).__name__}.")
    if not prompt.strip():
        raise InvalidInput("The prompt is empty. Write what the agent shall answer.")
    encode_json(prompt, "prompt")
    for what, text in {"model": model, "cell_id": cell_id, "retry_of": retry_of}.items():
        if text is not None:
            check_text(text, what, most=_LONGEST)
    if base is not None and not isinstance(base, Head):
        raise InvalidInput(f"base must be a Head, not {type(base).__name__}.")
    rules = _rules(session, policy, approve)
    adapter = _adapter(agent, model)
    session.check_owner()
    if session.on_conflict == "error" and (busy := session.answering()):
        raise SessionBusy(session.record.label, busy[0].worker or "somebody")
    if progress is not None and not adapter.goes_on:
        raise InvalidInput(f"{adapter.name} cannot go on from the middle: send the prompt again.")
    if progress is not None and progress.codec != (adapter.progress_codec or adapter.codec):
        raise InvalidInput(f"{adapter.name} cannot go on with what another agent began: name that agent.")
    # What waits comes first: the agent shall see it.
    session.save_waiting()
    if session.on_conflict == "error":
        session.check_place()
    own_model = model or adapter.model
    if base is None and progress is None:
        _compact(session, adapter, limits=limits, stop=stop)
    meter = meter_of(session, adapter, own_model, limits)
    started = new_run(
        session, adapter.name, prompt, model=own_model, base=base, cell_id=cell_id, retry_of=retry_of
    )
    items = session.visible(max_messages, max_tokens, at=base)
    request = _request(session, adapter, started, model, items, progress)
    recorder = Recorder(session.backend, started, on_event, stop, session.max_events)
    attempt = Attempt(session, adapter, request, started, recorder, rules, base=base, meter=meter)
    caller = Caller(session, Stop() if stop is None else Stop(stop), policy=rules.policy, limits=limits)
    return done(attempt, caller, started, Usage() if progress is None else progress.usage)


def go_on(
    session: Session,
    agent: object,
    waiting: Run,
    decision: bool | Decision,
    *,
    seen: ToolQuestion | None = None,
    on_event: Listener | None = None,
    model: str | None = None,
    base: Head | None = None,
    stop: threading.Event | None = None,
    approve: Approve = nobody,
    policy: Policy | None = None,
    limits: Limits | None = None,
) -> Run:
    """Go on with a suspended run: with what was decided about the call that it waits with.

    The decision holds for this very call of this run, as it was stored; whatever else the agent wants to
    call is decided as in `run`. What ran before does not run again.

    Parameters
    ----------
    session : Session
    agent : object
        The one that was asked.
    waiting : Run
    decision : bool or Decision
    seen : ToolQuestion or None
        What was decided about. Where the run waits with another call by now, nothing happens.
    on_event, model, base, stop, approve, policy, limits
        As of `run`.

    Raises
    ------
    InvalidInput
        The run waits for nothing, or not for what was seen; somebody else has decided; or the session has
        moved on since.
    RunFailed, RunCancelled, AgentError, NotOwner

    Examples
    --------
    >>> import nbsessions as nbs
    >>> session = nbs.open_store("memory:").create("plan")
    >>> run = session.send("Hello", agent=lambda prompt: "Hi")
    >>> go_on(session, None, run, True)
    Traceback (most recent call last):
    nbsessions.exceptions.InvalidInput: Run ... is completed: it waits for no decision.
    """
    question = session.question(waiting)
    if seen is not None and not is_same_call(seen, question):
        raise InvalidInput(
            f"Run {waiting.run_id} waits with another call by now: {question.agent_name} asks to call "
            f"{one_line(question.name, 80)}. Nothing was decided."
        )
    decided = decide(lambda question: decision, question)
    rules = _rules(session, policy, approve)._replace(decided=(question, decided))
    session.check_owner()
    adapter = _adapter(agent, model)
    progress = progress_of(session, waiting, adapter, base)
    session.save_waiting()
    request = _request(session, adapter, waiting, model, session.visible(at=base), progress)
    recorder = Recorder(session.backend, waiting, on_event, stop, session.max_events)
    recorder.progressed = True
    before = spent_of(waiting, session.run_events(waiting.run_id), waiting.usage)
    meter = meter_of(session, adapter, model or adapter.model, limits, waiting.usage)
    attempt = Attempt(
        session, adapter, request, waiting, recorder, rules, base=base, before=before, meter=meter
    )
    caller = Caller(session, Stop() if stop is None else Stop(stop), policy=rules.policy, limits=limits)
    return done(attempt, caller, waiting, progress.usage - waiting.usage)


def progress_of(session: Session, waiting: Run, adapter: Adapter, base: Head | None) -> Progress:
    """Return what an agent goes on from with a suspended run.

    Raises
    ------
    InvalidInput
        It cannot, or the session has moved on since.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> session = nbs.open_store("memory:").create("plan")
    >>> adapter = adapt(lambda prompt: "Hi")
    >>> progress_of(session, session.send("Hello", agent=adapter), adapter, None)
    Traceback (most recent call last):
    nbsessions.exceptions.InvalidInput: Run ... cannot go on: the session has moved on since. Send its...
    """
    progress = session.progress(waiting, at=base)
    if progress is None:
        why = f"{waiting.agent_name} cannot go on from the middle"
        if waiting.base != (base or session.head):
            why = "the session has moved on since"
        raise InvalidInput(f"Run {waiting.run_id} cannot go on: {why}. Send its prompt again.")
    if progress.codec != (adapter.progress_codec or adapter.codec):
        text = f"{adapter.name} cannot go on with what {waiting.agent_name} began: name that agent."
        raise InvalidInput(text)
    return progress


def give_up(session: Session, waiting: Run) -> None:
    """End a suspended run: nobody goes on with it any more.

    Raises
    ------
    InvalidInput
        Somebody else goes on with it already.
    NotOwner

    Examples
    --------
    >>> import nbsessions as nbs
    >>> session = nbs.open_store("memory:").create("plan")
    >>> give_up(session, session.send("Hello", agent=lambda prompt: "Hi"))
    Traceback (most recent call last):
    nbsessions.exceptions.InvalidInput: Run ... waits for no decision any more.
    """
    session.check_owner()
    at = now()
    if not session.backend.continue_run(waiting.run_id, worker_name(), micros(at + LEASE)):
        raise InvalidInput(f"Run {waiting.run_id} waits for no decision any more.")
    finish = Finish(
        waiting.run_id,
        "cancelled",
        micros(at),
        usage=waiting.usage,
        error="given up",
        shares=waiting.shares,
        priced_by=waiting.priced_by,
    )
    session.backend.finish_run(finish)


def _rules(session: Session, policy: Policy | None, approve: Approve) -> Rules:
    if not callable(approve):
        raise InvalidInput(
            f"approve is a function that decides about a ToolQuestion, not {type(approve).__name__}."
        )
    if policy is not None and not isinstance(policy, Policy):
        raise InvalidInput(f"policy is a Policy, such as Policy('ask'), not {type(policy).__name__}.")

    def always(found: Policy, tool_name: str) -> None:
        # What this run alone goes by does not become the session's own, nor what has been changed meanwhile.
        own = session.policy
        session.policy = found if own is None else own.always(tool_name)

    return Rules(policy or session.policy or Policy(None), approve, always)


def _adapter(agent: object, model: str | None) -> Adapter:
    adapter = adapt(agent, model=model)
    if model is not None and model != adapter.model and not adapter.takes_model:
        raise InvalidInput(f"{adapter.name} takes no model; leave {model!r} out, or choose it as the agent.")
    adapter.check()
    return adapter


def meter_of(
    session: Session,
    adapter: Adapter,
    model: str | None,
    limits: Limits | None,
    earlier: Usage | None = None,
) -> Meter | None:
    """Return what watches the limits; None where there are none.

    Raises
    ------
    LimitReached, InvalidInput
        One is reached already, or cannot be watched.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> session = nbs.open_store("memory:").create("plan")
    >>> meter_of(session, adapt(lambda prompt: "Hi"), None, None) is None
    True
    """
    if limits is not None and not isinstance(limits, Limits):
        raise InvalidInput(f"limits are Limits, such as Limits(cost=0.5), not {type(limits).__name__}.")
    if not limits:
        return None
    meter = Meter(limits, session.backend, session.key, earlier or Usage())
    meter.begin(model, adapter.provider)
    return meter


def _compact(session: Session, adapter: Adapter, **options: Any) -> None:
    """Sum up first, where that is asked for and due."""
    if session.compact_at is not None:
        from nbsessions.compacting import compact_if_due

        compact_if_due(session, session.compact_with or adapter, session.compact_at, **options)


def done(attempt: Attempt, caller: Caller, started: Run, carried: Usage) -> Run:
    """Make an attempt, and return its run as it is then.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> from nbsessions.permissions import nobody
    >>> session, adapter = nbs.open_store("memory:").create("plan"), adapt(lambda prompt: "Hi")
    >>> started = new_run(session, adapter.name, "Hello")
    >>> request = Request("Hello", [], "[]", session.session_id, started.run_id)
    >>> recorder = Recorder(session.backend, started, None, None)
    >>> rules = Rules(Policy("deny"), nobody)
    >>> attempt = Attempt(session, adapter, request, started, recorder, rules)
    >>> done(attempt, Caller(session, Stop()), started, Usage()).output
    'Hi'
    """
    attempt.begin()
    attempt.ask(caller)
    if not attempt.is_suspended:
        attempt.save()
    stored = caller.session.backend.get_run(started.run_id)
    told = {"output": attempt.answer.output, "prompt": started.prompt, "carried": carried}
    return (stored or started).model_copy(update=told)


def _request(
    session: Session,
    adapter: Adapter,
    started: Run,
    model: str | None,
    items: Sequence[Item],
    progress: Progress | None,
) -> Request:
    before = told(items, adapter.codec, adapter.takes)
    return Request(
        prompt=started.prompt or "",
        messages=before.messages,
        native=encode_json(before.native, "history"),
        untold=before.untold,
        session_id=session.session_id,
        run_id=started.run_id,
        model=model,
        progress=progress,
    )


def new_run(
    session: Session,
    agent_name: str,
    prompt: str | None,
    *,
    model: str | None = None,
    base: Head | None = None,
    cell_id: str | None = None,
    retry_of: str | None = None,
) -> Run:
    """Return a run of this process that is about to begin; nothing is stored.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> new_run(nbs.open_store("memory:").create("plan"), "local", "Hello").status
    'running'
    """
    at = now()
    fields = {
        "run_id": new_id(),
        "session_id": session.session_id,
        "conversation_id": session.conversation_id,
        "agent_name": agent_name,
        "model": model,
        "prompt": prompt,
        "base": session.head if base is None else base,
        "started_at": at,
        "cell_id": cell_id,
        "retry_of": retry_of,
        "worker": worker_name(),
        "lease_until": at + LEASE,
    }
    return trusted(Run, _UNBEGUN | fields)


_UNBEGUN = {name: field.default for name, field in Run.model_fields.items()}

_LONGEST = 600
"""Characters: PostgreSQL looks up nothing that is longer, and would refuse the answer at its commit."""


async def run_in_thread(session: Session, agent: object, prompt: str, **options: Any) -> Run:
    """Call `run` for a caller on an event loop. Cancelling it cancels the run.

    Examples
    --------
    >>> import asyncio
    >>> import nbsessions as nbs
    >>> session = nbs.open_store("memory:").create("plan")
    >>> asyncio.run(run_in_thread(session, lambda prompt: "Hi", "Hello")).output
    'Hi'
    """
    return await in_thread(lambda stop: run(session, agent, prompt, stop=stop, **options))
