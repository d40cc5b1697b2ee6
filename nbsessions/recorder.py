"""The log of a run while it happens: each event is stored, and then shown."""

from __future__ import annotations

import asyncio
import os
import sysconfig
import threading
import time
import traceback
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING

from nbsessions.exceptions import NbsessionsError
from nbsessions.records import Run
from nbsessions.stores.base import Backend
from nbsessions.text import one_line
from nbsessions.values import mend, micros, now
from nbsessions.workers import LEASE

if TYPE_CHECKING:
    from ag_ui.core import BaseEvent

    Listener = Callable[[BaseEvent], None]

FLUSH_SECONDS = 0.1
"""Deltas are put together for so long before they are stored and shown."""
RENEW_SECONDS = 3.0
_OWN = frozenset({"RUN_STARTED", "RUN_FINISHED", "RUN_ERROR"})
# What is in these is not the person's own code.
_LIBRARIES = (
    os.path.dirname(os.path.abspath(__file__)),
    *(os.path.abspath(sysconfig.get_path(name)) for name in ("stdlib", "purelib", "platlib")),
    "<frozen",
)


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
            for event in stored:
                self._tell(event)

    def _tell(self, event: BaseEvent) -> None:
        if self._listener is None:
            return
        try:
            self._listener(event)
        except Exception as error:  # noqa: BLE001 - an answer is worth more than its picture
            self._listener = None
            text = f"The answer is no longer shown, and still saved: {describe(error)}"
            warnings.warn(text, RuntimeWarning, stacklevel=2)

    def end(self, *, cancelled: bool = False) -> list[tuple[str, str]]:
        """Return the last events, for the transaction that ends the run."""
        from ag_ui.core import RunFinishedCancelledOutcome, RunFinishedEvent, RunFinishedSuccessOutcome

        outcome = RunFinishedCancelledOutcome() if cancelled else RunFinishedSuccessOutcome()
        with self._lock:
            self._queue(RunFinishedEvent(thread_id=self._session_id, run_id=self._run_id, outcome=outcome))
            return self._take()

    def failure(self, message: str) -> tuple[str, str]:
        """Return the event that says why a run failed."""
        from ag_ui.core import RunErrorEvent

        event = RunErrorEvent(message=message, timestamp=time.time_ns() // 1_000_000)
        return event.type.value, event.model_dump_json(by_alias=True)

    def fail(self, message: str) -> list[tuple[str, str]]:
        """Return the last events of a run that failed."""
        from ag_ui.core import RunErrorEvent

        with self._lock:
            self._queue(RunErrorEvent(message=message))
            return self._take()


def _mergeable(last: BaseEvent, event: BaseEvent) -> bool:
    if last.type != event.type:
        return False
    owner = "tool_call_id" if hasattr(event, "tool_call_id") else "message_id"
    return bool(getattr(last, owner, None) == getattr(event, owner, None))


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
