"""What a run under way offers to the agents that its agent calls: who asks, whom to tell, when to stop."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from nbsessions.permissions import Approve, Policy, nobody

if TYPE_CHECKING:
    from ag_ui.core import BaseEvent

    from nbsessions.limits import Limits
    from nbsessions.session import Session
    from nbsessions.stores.base import Key

T = TypeVar("T")


class Stop(threading.Event):
    """Is set where it was set itself, or where one above it is.

    Examples
    --------
    >>> above = Stop()
    >>> below = Stop(above)
    >>> above.set()
    >>> below.is_set()
    True
    """

    def __init__(self, *above: threading.Event) -> None:
        super().__init__()
        self._above = above

    def is_set(self) -> bool:
        """Tell whether it is."""
        return super().is_set() or any(one.is_set() for one in self._above)


@dataclass(eq=False)
class Caller:
    """A run under way, for whomever its agent calls.

    Attributes
    ----------
    session : Session
        The one that it answers in.
    stop : Stop
        Set when the run is over: what it called shall end with it.
    emit : callable
        Takes an event for its log, from any thread.
    ask : callable
        Asks the person about a call of a tool, and waits; called on the thread of the run that was called.
    thread : Thread or None
        The person's own, where the agent has it to itself: an interrupt reaches it there.
    limits : Limits or None
        How much each run may spend, those that are called included.
    policy : Policy or None
        Which tools may be called in it, and by whomever it calls.
    taken : set of Key
        The sessions that answer it now; each answers one call at a time.
    lock : Lock
        Guards `taken`.
    """

    session: Session
    stop: Stop
    emit: Callable[[BaseEvent], None] = lambda event: None
    ask: Approve = nobody
    thread: threading.Thread | None = None
    policy: Policy | None = None
    limits: Limits | None = None
    taken: set[Key] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def calling(self) -> Iterator[None]:
        """Be the one whom `caller` finds, here and in what is started from here."""
        token = _caller.set(self)
        try:
            yield
        finally:
            self.stop.set()
            _caller.reset(token)


def caller() -> Caller | None:
    """Return the run under way from which this is called, if there is one.

    Examples
    --------
    >>> caller() is None
    True
    """
    found = _caller.get()
    # A task that outlives the run that started it has it in its context still.
    return None if found is None or found.stop.is_set() else found


async def in_thread(call: Callable[[threading.Event], T]) -> T:
    """Make a call on a thread of its own, in this context; where it is cancelled, set the event it was given.

    A pool's threads could all wait for one that is none of them.

    Examples
    --------
    >>> asyncio.run(in_thread(lambda stop: stop.is_set()))
    False
    """
    loop, stop, context = asyncio.get_running_loop(), threading.Event(), contextvars.copy_context()
    done: asyncio.Future[T] = loop.create_future()

    def work() -> None:
        try:
            result = context.run(call, stop)
        except BaseException as error:  # noqa: BLE001 - whoever waits gets it
            loop.call_soon_threadsafe(done.set_exception, error)
        else:
            loop.call_soon_threadsafe(done.set_result, result)

    threading.Thread(target=work, name="nbsessions-call", daemon=True).start()
    try:
        return await asyncio.shield(done)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.wait([done])
        done.exception()  # asked for, so that nobody complains that it was not
        raise


_caller: contextvars.ContextVar[Caller | None] = contextvars.ContextVar("nbsessions_caller", default=None)
