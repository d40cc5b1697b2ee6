"""
One run: a prompt goes to an adapter, its events are stored and then shown, its answer is committed.

Only this module crosses from async to sync: the loop of async agents turns on one worker thread,
while the caller's thread stores and shows what comes, so that an interrupt reaches it at once.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import os
import queue
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from nbsessions.adapters import adapt
from nbsessions.adapters.base import Adapter, Answer, Request
from nbsessions.chains import read
from nbsessions.codecs import translate
from nbsessions.exceptions import (
    InvalidInput,
    NbsessionsError,
    RunCancelled,
    RunFailed,
    SessionError,
    StoreError,
)
from nbsessions.records import Head, Run, encode_json, mend, micros, new_id, now
from nbsessions.store import worker_name
from nbsessions.stores.base import Backend, Finish

if TYPE_CHECKING:
    from ag_ui.core import BaseEvent

    from nbsessions.session import Session

    Listener = Callable[[BaseEvent], None]

_PACKAGE = os.path.dirname(os.path.abspath(__file__))
FLUSH_SECONDS = 0.1
"""Deltas are put together for so long before they are stored and shown."""
LEASE = timedelta(seconds=10)
RENEW_SECONDS = 3.0
STOP_SECONDS = 1.0
"""How long an interrupted async agent may take to clean up before it is left alone."""


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
    if not prompt.strip():
        raise InvalidInput("The prompt is empty. Write what the agent shall answer.")
    encode_json(prompt, "prompt")
    adapter = adapt(agent, model=model)
    if model is not None and model != adapter.model and not adapter.takes_model:
        raise InvalidInput(f"{adapter.name} takes no model; leave {model!r} out, or choose it as the agent.")
    request = _request(session, adapter, prompt, model, max_messages, base)
    started = _start(session, adapter, request, base, cell_id, retry_of)
    recorder = Recorder(session.backend, started, on_event, stop)
    answer = Answer(model=model or adapter.model)
    with _ending(session, adapter, started, recorder, answer):
        recorder.begin()
        (_drive_async if adapter.is_async else _drive_sync)(adapter, request, recorder, answer)
        recorder.check()
        read(adapter.codec, answer.body)
    finish = _finish(started, "completed", answer, recorder.end())
    _commit(session, adapter, answer, finish, base, cell_id)
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
    session: Session, adapter: Adapter, answer: Answer, finish: Finish, base: Head | None, cell_id: str | None
) -> None:
    commit = functools.partial(
        session.commit,
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
        session.backend.finish_run(replace(finish, status="failed", events=(), error=one_line(error)))
        raise
    except StoreError as error:
        # The answer was paid for: it waits in this process until the store takes it.
        session.unsaved = commit
        raise type(error)(f"{error} The answer is kept in this process: `save` tries again.") from error


@contextmanager
def _ending(
    session: Session, adapter: Adapter, started: Run, recorder: Recorder, answer: Answer
) -> Iterator[None]:
    """End the run as cancelled or failed where its agent does not answer."""
    try:
        yield
    except (KeyboardInterrupt, asyncio.CancelledError, GeneratorExit, SystemExit) as error:
        _give_up(session, started, recorder, answer, "cancelled", "stopped")
        text = f"Stopped. The prompt and {recorder.characters:,} characters of the answer are kept."
        raise RunCancelled(text, started.run_id) from error
    except Exception as error:
        text = one_line(error) + place(error)
        _give_up(session, started, recorder, answer, "failed", text)
        raise RunFailed(f"{adapter.name} failed: {text}", started.run_id) from error


def _give_up(
    session: Session, started: Run, recorder: Recorder, answer: Answer, status: str, error: str
) -> None:
    events = recorder.fail(error) if status == "failed" else recorder.end(cancelled=True)
    session.backend.finish_run(_finish(started, status, answer, events, error))
    session.spent(answer.usage)
    recorder.show()


def one_line(error: BaseException) -> str:
    """Return an error as one line for people; ours as they are, others with their type.

    Examples
    --------
    >>> one_line(ValueError("no\\nidea"))
    'ValueError: no idea'
    """
    text = " ".join(mend(str(error)).split())
    text = text if len(text) <= 400 else text[:399] + "…"
    if isinstance(error, NbsessionsError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def place(error: BaseException) -> str:
    """Return where in the person's own code an error came up, or nothing.

    Examples
    --------
    >>> place(ValueError("never raised"))
    ''
    """
    found = ""
    for frame in traceback.extract_tb(error.__traceback__):
        # What ipykernel makes of a cell is a file in the temporary folder, or a name like <ipython-input-3>.
        library = (
            "site-packages" in frame.filename
            or frame.filename.startswith(_PACKAGE)
            or "lib/python" in frame.filename
        )
        if not library:
            found = f" ({frame.name}, line {frame.lineno})"
    return found


class Recorder:
    """Stores a run's events as they come, and shows each after it was stored.

    Deltas of the same message are put together, so that the log stays small.
    """

    def __init__(
        self, backend: Backend, run: Run, listener: Listener | None, stop: threading.Event | None
    ) -> None:
        self.characters = 0
        self._backend, self._listener, self._stop = backend, listener, stop
        self._run_id, self._session_id = run.run_id, run.session_id
        self._pending: list[BaseEvent] = []
        self._deltas: list[str] = []
        self._stored: list[BaseEvent] = []
        self._lock = threading.RLock()
        self._flushed = self._renewed = time.monotonic()
        self._error: BaseException | None = None

    def begin(self) -> None:
        """Store and show that the run has started."""
        from ag_ui.core import RunStartedEvent

        self._queue(RunStartedEvent(thread_id=self._session_id, run_id=self._run_id))
        self.flush()

    def emit(self, event: BaseEvent) -> None:
        """Take an event from the adapter. Those that open and close the run are the runner's own."""
        self.keep(event)
        self.check()
        self.tick()

    def keep(self, event: BaseEvent) -> None:
        """Take an event without storing it yet."""
        if event.type.value not in _OWN:
            with self._lock:
                self._queue(event)

    def check(self) -> None:
        """Raise what went wrong on the pulse's thread, and stop where the caller asked for it."""
        if self._error is not None:
            raise self._error
        if self._stop is not None and self._stop.is_set():
            raise asyncio.CancelledError

    def tick(self) -> None:
        """Store and show what is due, and renew the lease where it is time."""
        with self._lock:
            at = time.monotonic()
            if self._pending and at - self._flushed >= FLUSH_SECONDS:
                self.flush()
            if at - self._renewed >= RENEW_SECONDS:
                self._renewed = at
                self._backend.renew_lease(self._run_id, micros(now() + LEASE))

    def pulse(self, stop: threading.Event) -> None:
        """Tick until `stop`: for agents that hold the caller's thread."""
        while not stop.wait(FLUSH_SECONDS):
            try:
                self.tick()
            except Exception as error:  # noqa: BLE001 - `check` raises it, on the thread of the run
                self._error = error
                return

    def _queue(self, event: BaseEvent) -> None:
        delta = getattr(event, "delta", None)
        if isinstance(delta, str):
            self.characters += len(delta) if event.type.value == "TEXT_MESSAGE_CONTENT" else 0
            if self._deltas and _mergeable(self._pending[-1], event):
                self._deltas.append(delta)
                return
            self._join()
            self._deltas = [delta]
        else:
            self._join()
        if event.timestamp is None:
            event = event.model_copy(update={"timestamp": time.time_ns() // 1_000_000})
        self._pending.append(event)

    def _join(self) -> None:
        if self._deltas:
            text = mend("".join(self._deltas))
            self._pending[-1] = self._pending[-1].model_copy(update={"delta": text})
            self._deltas = []

    def flush(self) -> None:
        """Store all that is pending, then show it."""
        with self._lock:
            events = self._take()
            if events:
                self._backend.append_events(self._run_id, events)
            self.show()
            self._flushed = time.monotonic()

    def _take(self) -> list[tuple[str, str]]:
        self._join()
        self._stored, self._pending = [*self._stored, *self._pending], []
        return [(event.type.value, event.model_dump_json(by_alias=True)) for event in self._stored]

    def show(self) -> None:
        """Show what was stored."""
        with self._lock:
            stored, self._stored = self._stored, []
            for event in stored if self._listener is not None else ():
                assert self._listener is not None
                self._listener(event)

    def end(self, *, cancelled: bool = False) -> list[tuple[str, str]]:
        """Return the last events, for the transaction that ends the run."""
        from ag_ui.core import RunFinishedCancelledOutcome, RunFinishedEvent, RunFinishedSuccessOutcome

        outcome = RunFinishedCancelledOutcome() if cancelled else RunFinishedSuccessOutcome()
        with self._lock:
            self._queue(RunFinishedEvent(thread_id=self._session_id, run_id=self._run_id, outcome=outcome))
            return self._take()

    def fail(self, message: str) -> list[tuple[str, str]]:
        """Return the last events of a run that failed."""
        from ag_ui.core import RunErrorEvent

        with self._lock:
            self._queue(RunErrorEvent(message=message))
            return self._take()


_OWN = frozenset({"RUN_STARTED", "RUN_FINISHED", "RUN_ERROR"})


def _mergeable(last: BaseEvent, event: BaseEvent) -> bool:
    if last.type != event.type:
        return False
    owner = "tool_call_id" if hasattr(event, "tool_call_id") else "message_id"
    return bool(getattr(last, owner, None) == getattr(event, owner, None))


def _drive_sync(adapter: Adapter, request: Request, recorder: Recorder, answer: Answer) -> None:
    """Run the agent on this thread, where an interrupt reaches it; a pulse stores what it leaves."""
    done = threading.Event()
    context = contextvars.copy_context()
    pulse = threading.Thread(
        target=context.run, args=(recorder.pulse, done), name="nbsessions-pulse", daemon=True
    )
    pulse.start()
    try:
        adapter.run(request, recorder.emit, answer)
    finally:
        done.set()
        pulse.join()


def _drive_async(adapter: Adapter, request: Request, recorder: Recorder, answer: Answer) -> None:
    """Run the agent on the worker's loop, while this thread stores and shows its events."""
    events: queue.SimpleQueue[BaseEvent | None] = queue.SimpleQueue()
    job = _Job(adapter.arun(request, events.put, answer), lambda: events.put(None))
    try:
        while True:
            try:
                event = events.get(timeout=FLUSH_SECONDS)
            except queue.Empty:
                recorder.check()
                recorder.tick()
                continue
            if event is None:
                break
            recorder.emit(event)
    except BaseException:
        job.cancel(STOP_SECONDS)
        while not events.empty():
            event = events.get()
            if event is not None:
                recorder.keep(event)
        raise
    job.result()


class _Job:
    """A coroutine on the worker's loop, in the context of the thread that made it."""

    def __init__(self, coroutine: Any, done: Callable[[], None]) -> None:
        self._loop = _worker()
        if threading.current_thread() is _workers[os.getpid()][1]:
            coroutine.close()
            raise InvalidInput("This runs on the agents' own event loop: use `await session.asend(...)`.")
        self._finished = threading.Event()
        self._task: asyncio.Task[None] | None = None
        self._done = done
        self._loop.call_soon_threadsafe(self._begin, coroutine)

    def _begin(self, coroutine: Any) -> None:
        self._task = self._loop.create_task(coroutine)
        self._task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            task.exception()
        self._finished.set()
        self._done()

    def cancel(self, seconds: float) -> None:
        """Cancel it, and wait at most so long until it is gone."""
        self._loop.call_soon_threadsafe(lambda: self._task and self._task.cancel())
        self._finished.wait(seconds)

    def result(self) -> None:
        """Raise what it raised."""
        assert self._task is not None
        self._task.result()


_workers: dict[int, tuple[asyncio.AbstractEventLoop, threading.Thread]] = {}
_workers_lock = threading.Lock()


def _worker() -> asyncio.AbstractEventLoop:
    """Return the loop of async agents: one a process, on a thread of its own."""
    with _workers_lock:
        if os.getpid() not in _workers:
            loop = asyncio.new_event_loop()
            thread = threading.Thread(target=loop.run_forever, name="nbsessions-agents", daemon=True)
            thread.start()
            _workers[os.getpid()] = (loop, thread)
        return _workers[os.getpid()][0]


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
