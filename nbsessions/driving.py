"""
How an adapter is made to answer, from sync and async alike.

The loop of async agents turns on one worker thread, while the caller's thread stores and shows what
comes, so that an interrupt reaches it at once.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
import queue
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from nbsessions.adapters.base import Adapter, Answer, Request
from nbsessions.calling import Caller
from nbsessions.exceptions import InvalidInput
from nbsessions.gate import Gate
from nbsessions.permissions import Decision, ToolQuestion
from nbsessions.recorder import FLUSH_SECONDS, Recorder

if TYPE_CHECKING:
    from ag_ui.core import BaseEvent

STOP_SECONDS = 1.0
"""How long an interrupted async agent may take to clean up before it is left alone."""


def drive(
    adapter: Adapter, request: Request, recorder: Recorder, answer: Answer, gate: Gate, caller: Caller
) -> None:
    """Make `adapter` answer: its events go to `recorder`, its words into `answer`.

    `gate` decides which tools it may call, on this thread; the agents that it calls find `caller`.

    Raises
    ------
    InvalidInput
        It is called on the agents' own loop, which would wait for itself.
    """
    request = replace(request, must_ask=gate.must_ask)
    with caller.calling():
        if adapter.is_async:
            _drive_async(adapter, request, recorder, answer, gate, caller)
        else:
            _drive_sync(adapter, request, recorder, answer, gate, caller)


def _drive_sync(
    adapter: Adapter, request: Request, recorder: Recorder, answer: Answer, gate: Gate, caller: Caller
) -> None:
    """Run the agent on this thread, where an interrupt reaches it."""
    caller.thread, caller.emit = threading.current_thread(), recorder.emit
    caller.ask = lambda question: _decided(gate, question, recorder)
    request = replace(request, decide=caller.ask)
    with _pulse(recorder):
        adapter.run(request, recorder.emit, answer)


@contextmanager
def _pulse(recorder: Recorder) -> Iterator[None]:
    """Store what there is, and say that the run is alive, while this thread does something else."""
    done = threading.Event()
    context = contextvars.copy_context()
    pulse = threading.Thread(
        target=context.run, args=(recorder.pulse, done), name="nbsessions-pulse", daemon=True
    )
    try:
        pulse.start()
        yield
    finally:
        done.set()
        if pulse.ident is not None:
            pulse.join()


def _drive_async(
    adapter: Adapter, request: Request, recorder: Recorder, answer: Answer, gate: Gate, caller: Caller
) -> None:
    """Run the agent on the worker's loop, while this thread stores and shows its events."""
    events: queue.SimpleQueue[BaseEvent | _Asked | None] = queue.SimpleQueue()

    async def ask(question: ToolQuestion) -> Decision:
        asked = _Asked(question)
        events.put(asked)
        return await asked.decision

    request = replace(request, approve=ask)
    caller.emit, caller.ask = events.put, lambda question: _wait_for(ask(question), caller)
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
            if isinstance(event, _Asked):
                event.decide(_decided(gate, event.question, recorder))
            else:
                recorder.emit(event)
    except BaseException:
        caller.stop.set()
        job.cancel(STOP_SECONDS)
        while not events.empty():
            event = events.get()
            if event is not None and not isinstance(event, _Asked):
                recorder.keep(event)
        raise
    job.result()


def _decided(gate: Gate, question: ToolQuestion, recorder: Recorder) -> Decision:
    """Decide on this thread, with all shown that led to the question, and log what was decided."""
    recorder.flush()
    with _pulse(recorder):
        decision = gate.decide(question, recorder.keep)
    recorder.check()
    # Before the tool is called: it may take long, or the process with it.
    recorder.flush()
    return decision


def _wait_for(asked: Coroutine[Any, Any, Decision], caller: Caller) -> Decision:
    """Wait, on the thread of a run that was called, for what the person decides."""
    future = asyncio.run_coroutine_threadsafe(asked, _worker())
    while True:
        try:
            return future.result(FLUSH_SECONDS)
        except TimeoutError:
            if caller.stop.is_set():
                future.cancel()
                raise asyncio.CancelledError from None


class _Asked:
    """A question on its way to the thread of the person, and the decision on its way back."""

    def __init__(self, question: ToolQuestion) -> None:
        self.question = question
        self._loop = asyncio.get_running_loop()
        self.decision: asyncio.Future[Decision] = self._loop.create_future()

    def decide(self, decision: Decision) -> None:
        """Let the agent go on."""
        self._loop.call_soon_threadsafe(self._set, decision)

    def _set(self, decision: Decision) -> None:
        if not self.decision.done():
            self.decision.set_result(decision)


class _Job:
    """A coroutine on the worker's loop, in the context of the thread that made it."""

    def __init__(self, coroutine: Any, done: Callable[[], None]) -> None:
        self._loop = _worker()
        if on_worker():
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


def on_worker() -> bool:
    """Tell whether this is the thread of the agents' own loop, which cannot wait for itself.

    Examples
    --------
    >>> on_worker()
    False
    """
    own = _workers.get(os.getpid())
    return own is not None and threading.current_thread() is own[1]


def _worker() -> asyncio.AbstractEventLoop:
    """Return the loop of async agents: one a process, on a thread of its own."""
    with _workers_lock:
        if os.getpid() not in _workers:
            loop = asyncio.new_event_loop()
            thread = threading.Thread(target=loop.run_forever, name="nbsessions-agents", daemon=True)
            thread.start()
            _workers[os.getpid()] = (loop, thread)
        return _workers[os.getpid()][0]
