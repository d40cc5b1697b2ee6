"""One run: a prompt goes to an adapter, its events are stored and then shown, its answer is committed."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from nbsessions.adapters import adapt
from nbsessions.adapters.base import Adapter, Answer, Request
from nbsessions.chains import read
from nbsessions.codecs import translate
from nbsessions.driving import drive
from nbsessions.exceptions import (
    InvalidInput,
    RunCancelled,
    RunFailed,
    SessionError,
    StoreError,
    StoreUnavailable,
)
from nbsessions.recorder import Recorder, describe, place
from nbsessions.records import Head, Run
from nbsessions.stores.base import Finish
from nbsessions.values import encode_json, micros, new_id, now
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
    cell_id: str | None = None,
    base: Head | None = None,
    retry_of: str | None = None,
    stop: threading.Event | None = None,
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
    max_messages : int or None
        How many messages the agent sees.
    cell_id : str or None
        The notebook cell that asks.
    base : Head or None
        Answer from here instead of from the head: the head leaves what came after.
    retry_of : str or None
        The run whose prompt this is.
    stop : threading.Event or None
        Set it to cancel the run.

    Raises
    ------
    RunFailed, RunCancelled
        The prompt and what was said are kept on the run; the head did not move.
    InvalidInput, AgentError
        Nothing was started.

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
    adapter = adapt(agent, model=model)
    if model is not None and model != adapter.model and not adapter.takes_model:
        raise InvalidInput(f"{adapter.name} takes no model; leave {model!r} out, or choose it as the agent.")
    request = _request(session, adapter, prompt, model, max_messages, base)
    adapter.check()
    session.save_waiting()
    started = _start(session, adapter, request, base, cell_id, retry_of)
    recorder = Recorder(session.backend, started, on_event, stop)
    answer = Answer(model=model or adapter.model)
    with _ending(session, adapter, started, recorder, answer):
        recorder.begin()
        drive(adapter, request, recorder, answer)
        recorder.check()
        read(adapter.codec, answer.body)
    finish = _finish(started, "completed", answer, recorder.end())
    _commit(session, adapter, answer, finish, recorder, base, cell_id)
    recorder.show()
    stored = session.backend.get_run(started.run_id)
    return (stored or started).model_copy(update={"output": answer.output, "prompt": prompt})


def _request(
    session: Session, adapter: Adapter, prompt: str, model: str | None, limit: int | None, base: Head | None
) -> Request:
    items = session.visible(limit, at=base)
    return Request(
        prompt=prompt,
        messages=[message for item in items for message in item.messages],
        native=translate(items, adapter.codec),
        session_id=session.session_id,
        run_id=new_id(),
        model=model,
    )


def _start(
    session: Session,
    adapter: Adapter,
    request: Request,
    base: Head | None,
    cell_id: str | None,
    retry_of: str | None,
) -> Run:
    at = now()
    started = Run(
        run_id=request.run_id,
        session_id=session.session_id,
        conversation_id=session.conversation_id,
        agent_name=adapter.name,
        model=request.model or adapter.model,
        prompt=request.prompt,
        base=session.head if base is None else base,
        started_at=at,
        cell_id=cell_id,
        retry_of=retry_of,
        worker=worker_name(),
        lease_until=at + LEASE,
    )
    session.backend.start_run(started)
    return started


def _finish(
    started: Run, status: str, answer: Answer, events: list[tuple[str, str]], error: str | None = None
) -> Finish:
    return Finish(
        run_id=started.run_id,
        status=status,
        finished_at=micros(now()),
        usage=answer.usage,
        model=answer.model,
        provider=answer.provider,
        error=error,
        events=events,
    )


def _commit(
    session: Session,
    adapter: Adapter,
    answer: Answer,
    finish: Finish,
    recorder: Recorder,
    base: Head | None,
    cell_id: str | None,
) -> None:
    commit = session.prepare(
        "turn" if base is None else "replace",
        adapter.codec,
        answer.body,
        prompts=1,
        base=base,
        cell_id=cell_id,
        finish=finish,
    )
    try:
        commit()
    except SessionError as error:
        # There is no place for it: the session is gone, or was moved and shall not be forked.
        events = [*finish.events[:-1], recorder.failure(describe(error))]
        failed = replace(finish, status="failed", events=events, error=describe(error))
        session.backend.finish_run(failed)
        raise
    except (StoreError, KeyboardInterrupt) as error:
        # The answer was paid for: it waits in this process until the store takes it.
        session.unsaved.append(commit)
        recorder.show()
        text = "The answer is kept in this process: `save` tries again."
        if isinstance(error, StoreError):
            raise StoreUnavailable(f"{error} {text}") from error
        raise RunCancelled(f"Stopped while it was saved. {text}", finish.run_id) from error


@contextmanager
def _ending(
    session: Session, adapter: Adapter, started: Run, recorder: Recorder, answer: Answer
) -> Iterator[None]:
    """End the run as cancelled or failed where its agent does not answer."""
    try:
        yield
    except (KeyboardInterrupt, asyncio.CancelledError, GeneratorExit) as error:
        _give_up(session, started, recorder, answer, "cancelled", "stopped")
        text = f"Stopped. The prompt and {recorder.characters:,} characters of the answer are kept."
        raise RunCancelled(text, started.run_id) from error
    except (Exception, SystemExit) as error:
        text = describe(error) + place(error)
        _give_up(session, started, recorder, answer, "failed", text)
        raise RunFailed(f"{adapter.name} failed: {text}", started.run_id) from error


def _give_up(
    session: Session, started: Run, recorder: Recorder, answer: Answer, status: str, error: str
) -> None:
    events = recorder.fail(error) if status == "failed" else recorder.end(cancelled=True)
    session.backend.finish_run(_finish(started, status, answer, events, error))
    session.spent(answer.usage)
    recorder.show()


async def run_in_thread(session: Session, agent: object, prompt: str, **options: Any) -> Run:
    """Call `run` for a caller on an event loop. Cancelling it cancels the run.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> session = nbs.open_store("memory:").create("plan")
    >>> asyncio.run(run_in_thread(session, lambda prompt: "Hi", "Hello")).output
    'Hi'
    """
    stop = threading.Event()
    call = functools.partial(run, session, agent, prompt, stop=stop, **options)
    thread = asyncio.ensure_future(asyncio.to_thread(call))
    try:
        return await asyncio.shield(thread)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.wait([thread])
        thread.exception()  # asked for, so that nobody complains that it was not
        raise
