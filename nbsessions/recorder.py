"""
The log of a run while it happens: each event is stored, and then shown.

A store that refuses events takes nothing from the answer: they are kept until it takes them, and the
commit at the end says whether it does.
"""

from __future__ import annotations

import asyncio
import json
import os
import sysconfig
import threading
import time
import traceback
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from nbsessions.exceptions import NbsessionsError, StoreError
from nbsessions.records import Run, Usage
from nbsessions.stores.base import Backend, Progress
from nbsessions.text import one_line
from nbsessions.values import mend, mend_json, micros, now
from nbsessions.workers import LEASE

if TYPE_CHECKING:
    from ag_ui.core import BaseEvent

    Listener = Callable[[BaseEvent], None]
    Log = tuple[int, list[tuple[str, str]]]

FLUSH_SECONDS = 0.1
"""Deltas are put together for so long before they are stored and shown."""
RENEW_SECONDS = 3.0
REFUSED_SECONDS = 5.0
"""A store that refused events is left in peace for so long."""
_OWN = frozenset({"RUN_STARTED", "RUN_FINISHED", "RUN_ERROR"})
# What is in these is not the person's own code.
_LIBRARIES = (
    os.path.dirname(os.path.abspath(__file__)),
    *(os.path.abspath(sysconfig.get_path(name)) for name in ("stdlib", "purelib", "platlib")),
    "<frozen",
)


class Recorder:
    """Stores a run's events as they come, and shows each after it was stored.

    Deltas of the same message are put together, so that the log stays small. Each event has its
    position from the start, so that one that is stored again, after an interrupt, is not there twice.
    """

    def __init__(
        self,
        backend: Backend,
        run: Run,
        listener: Listener | None,
        stop: threading.Event | None,
        keep: int | None = None,
    ) -> None:
        self.progressed = False
        self._keep, self._dropped = keep, 0
        self._progress: Progress | None = None
        self.characters = 0
        self._backend, self._listener, self._stop = backend, listener, stop
        self._run_id, self._session_id = run.run_id, run.session_id
        self._events: list[BaseEvent] = []
        # A run that was suspended has a log already, which is gone on with.
        self._first = run.event_count
        self._stored = self._shown = self._first
        self._rests = False
        self._deltas: list[str] = []
        self._held: dict[tuple[str, str], BaseEvent] = {}
        self._open: dict[tuple[str, str], BaseEvent] = {}
        self._lock = threading.RLock()
        self._flushed = self._renewed = time.monotonic()
        self._resting_until = 0.0
        self._error: BaseException | None = None

    def begin(self) -> None:
        """Store and show that the run has started, where it has not before."""
        from ag_ui.core import RunStartedEvent

        if not self._first:
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
            due = self._progress is not None or self._stored < self._count
            if due and at - self._flushed >= FLUSH_SECONDS:
                self.flush()
            if at - self._renewed >= RENEW_SECONDS and not self._rests:
                self._renewed = at
                with suppress(StoreError):  # the commit will tell
                    self._backend.renew_lease(self._run_id, micros(now() + LEASE))

    def rest(self) -> None:
        """Renew no lease: the run is suspended, and anybody may go on with it."""
        self._rests = True

    def wake(self) -> None:
        """Renew the lease again."""
        self._rests, self._renewed = False, time.monotonic()

    @property
    def _count(self) -> int:
        return self._first + len(self._events)

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
            if self._deltas and _mergeable(self._events[-1], event):
                self._deltas.append(delta)
                return
            self._join()
            held = self._held.pop(_whose(event), None)
            self._deltas = [delta] if held is None else [getattr(held, "delta", ""), delta]
        else:
            self._join()
            self._let_go(event)
        self._note(event)
        if event.timestamp is None:
            event = event.model_copy(update={"timestamp": time.time_ns() // 1_000_000})
        self._events.append(event)

    def _join(self, *, hold: bool = False) -> None:
        """Put deltas together; with `hold`, keep back what may be the beginning of a secret."""
        if not self._deltas:
            return
        text, last = mend("".join(self._deltas)), self._events.pop()
        self._deltas = []
        secrets = self._backend.secrets if hold else None
        end = len(text) if secrets is None else secrets.held(text)
        if end < len(text):
            self._held[_whose(last)] = last.model_copy(update={"delta": text[end:]})
        if text[:end] or end == len(text):
            self._events.append(last.model_copy(update={"delta": text[:end]}))

    def _let_go(self, event: BaseEvent) -> None:
        """Let out what was held back of the message that an event is about; of all, at the end of the run."""
        about = {getattr(event, "message_id", None), getattr(event, "tool_call_id", None)}
        ends = event.type.value in _OWN
        self._events += [self._held.pop(one) for one in [*self._held] if ends or one[1] in about]

    def _note(self, event: BaseEvent) -> None:
        """Keep in mind what has begun, and the event that ends it."""
        kind, _, step = event.type.value.rpartition("_")
        if step not in ("START", "END"):
            return
        from ag_ui.core import (
            ReasoningEndEvent,
            ReasoningMessageEndEvent,
            TextMessageEndEvent,
            ToolCallEndEvent,
        )

        owner = str(getattr(event, "tool_call_id" if kind == "TOOL_CALL" else "message_id", ""))
        if step == "END":
            self._open.pop((kind, owner), None)
        elif kind == "TOOL_CALL":
            self._open[kind, owner] = ToolCallEndEvent(tool_call_id=owner)
        elif kind == "TEXT_MESSAGE":
            self._open[kind, owner] = TextMessageEndEvent(message_id=owner)
        elif kind == "REASONING_MESSAGE":
            self._open[kind, owner] = ReasoningMessageEndEvent(message_id=owner)
        elif kind == "REASONING":
            self._open[kind, owner] = ReasoningEndEvent(message_id=owner)

    def progress(self, codec: str, body: str, usage: Usage) -> None:
        """Take how far the agent has come; it is stored when it is next time to."""
        self._progress = Progress(self._run_id, codec, body, usage)

    def retain(self, *, ended: bool = False) -> None:
        """Drop the oldest events where only so many are to be kept; the commit has stored the last ones."""
        self._stored = self._count if ended else self._stored
        if self._keep is not None and self._stored - self._keep > self._dropped:
            self._dropped = self._stored - self._keep
            self._backend.drop_events(self._run_id, self._dropped)

    def store_progress(self) -> None:
        """Store how far the agent has come, where that waits: before a run ends that can be gone on with."""
        with self._lock:
            progress = self._progress
            if progress is not None:
                self._backend.save_progress(progress)
                self.progressed = True
                # Another may have come meanwhile, from the agents' own thread.
                self._progress = None if self._progress is progress else self._progress

    def flush(self) -> None:
        """Store all that there is, then show it."""
        with self._lock:
            self._join(hold=True)
            self._flushed = time.monotonic()
            first, events = self.unstored()
            if self._flushed >= self._resting_until:
                try:
                    if events:
                        self._backend.append_events(self._run_id, events, first=first)
                        self._stored = first + len(events)
                        self.retain()
                    self.store_progress()
                except StoreError:  # they wait: the commit brings them, or says that the store refuses
                    self._resting_until = self._flushed + REFUSED_SECONDS
            self.show()

    def unstored(self) -> Log:
        """Return the events that are not stored yet, and the position of the first of them in the run."""
        first = self._stored
        new = self._events[first - self._first :]
        return first, [(event.type.value, _written(event)) for event in new]

    def show(self) -> None:
        """Show what there is and was not shown."""
        with self._lock:
            self._join()
            while self._shown < self._count:
                self._shown += 1
                self._tell(self._events[self._shown - 1 - self._first])

    def _tell(self, event: BaseEvent) -> None:
        if self._listener is None:
            return
        try:
            self._listener(event)
        except Exception as error:  # noqa: BLE001 - an answer is worth more than its picture
            self._listener = None
            text = f"The answer is no longer shown, and still saved: {describe(error)}"
            warnings.warn(text, RuntimeWarning, stacklevel=2)

    def end(self, *, cancelled: bool = False) -> Log:
        """Return the last events and the position of the first, for the transaction that ends the run."""
        from ag_ui.core import RunFinishedCancelledOutcome, RunFinishedEvent, RunFinishedSuccessOutcome

        with self._lock:
            if not self._ended:
                # The protocol wants nothing open at the end: https://docs.ag-ui.com/concepts/events
                for event in reversed([*self._open.values()]):
                    self._queue(event)
                outcome = RunFinishedCancelledOutcome() if cancelled else RunFinishedSuccessOutcome()
                last = RunFinishedEvent(thread_id=self._session_id, run_id=self._run_id, outcome=outcome)
                self._queue(last)
            return self.unstored()

    def fail(self, message: str) -> Log:
        """Return the last events of a run that failed, likewise."""
        from ag_ui.core import RunErrorEvent

        with self._lock:
            if not self._ended:
                self._queue(RunErrorEvent(message=message))
            return self.unstored()

    @property
    def _ended(self) -> bool:
        return bool(self._events) and self._events[-1].type.value in ("RUN_FINISHED", "RUN_ERROR")


def _mergeable(last: BaseEvent, event: BaseEvent) -> bool:
    return _whose(last) == _whose(event)


def _whose(event: BaseEvent) -> tuple[str, str]:
    """Return what kind of event it is, and of which message or call."""
    owner = "tool_call_id" if hasattr(event, "tool_call_id") else "message_id"
    return event.type.value, str(getattr(event, owner, None))


def _written(event: BaseEvent) -> str:
    """Return an event as JSON; what is no JSON in it, such as half a character, is mended."""
    try:
        return event.model_dump_json(by_alias=True)
    except ValueError:
        return json.dumps(mend_json(event.model_dump(by_alias=True)), ensure_ascii=False, default=str)


def describe(error: BaseException) -> str:
    """Return an error as one line for people; ours as they are, others with their type.

    Examples
    --------
    >>> describe(ValueError("no\\nidea"))
    'ValueError: no idea'
    """
    text = one_line(mend(str(error)), 400)
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
        if not frame.filename.startswith(_LIBRARIES):
            found = f" ({frame.name}, line {frame.lineno})"
    return found
