"""Runs as they happen: the store is read once for all who follow one, however many they are."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import takewhile
from typing import TYPE_CHECKING, Final, NamedTuple

from nbsessions.exceptions import DamagedRun, NbsessionsError
from nbsessions.records import TERMINAL, Run
from nbsessions.values import encode_json
from nbsessions.workers import is_alive

if TYPE_CHECKING:
    from nbsessions.stores.base import Backend

PAGE: Final = 500
"""So many events are read, and sent, at a time."""
QUICK: Final = 0.1
"""So many seconds after an event the next one is looked for..."""
SLOW: Final = 1.0
"""...and so many where none has come for a while."""
BEAT: Final = 15.0
"""So many seconds a stream is silent at most: whoever is between closes it else."""
_KEPT: Final = 2_000
_KEPT_BYTES: Final = 1024 * 1024
_FAILURES: Final = 30


class Told(NamedTuple):
    """One event, as it is sent.

    Examples
    --------
    >>> Told(0, "RUN_STARTED", "{}").seq
    0
    """

    seq: int
    type: str
    data: str


class End(NamedTuple):
    """Why no more events come: the run has this status; None: the server stops, or cannot read them.

    Examples
    --------
    >>> End("completed").status
    'completed'
    """

    status: str | None


Look = Callable[[int], Awaitable[tuple[Run | None, list[Told]]]]
"""Takes the last position that is known, and returns the run and the next events."""


def look(backend: Backend, run_id: str, after: int) -> tuple[Run | None, list[Told]]:
    """Return a run as it is now, and its next events.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> session = nbs.open_store("memory:").create("plan")
    >>> run = session.send("Hello", agent=lambda prompt: "Hi")
    >>> [told.type for told in look(session.backend, run.run_id, 2)[1]]
    ['TEXT_MESSAGE_END', 'RUN_FINISHED']
    """
    # First the run: once it has ended, all its events are there.
    run = backend.get_run(run_id)
    events = [] if run is None else backend.events(run_id, after=after, limit=PAGE)
    return run, [Told(event.seq, event.type, encode_json(event.data, "event")) for event in events]


class Feed:
    """A run that several may follow.

    The newest events are kept for all of them. Who begins earlier, or is too slow for that, reads the store
    until he has caught up.

    Parameters
    ----------
    look : callable
        Takes the last position that is known, and returns the run and the next events.
    known : int
        From which position on events are kept.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> session = nbs.open_store("memory:").create("plan")
    >>> run = session.send("Hello", agent=lambda prompt: "Hi")
    >>> async def read(after):
    ...     return look(session.backend, run.run_id, after)
    >>> async def followed():
    ...     feed = Feed(read, known=-1)
    ...     await feed.watch()
    ...     return [found async for found in feed.follow(2)]
    >>> told, end = asyncio.run(followed())
    >>> [one.seq for one in told], end.status
    ([3, 4], 'completed')
    """

    def __init__(self, look: Look, known: int) -> None:
        self._look = look
        self._before = known
        self._kept: deque[Told] = deque()
        self._bytes = 0
        self._end: End | None = None
        self._changed = asyncio.Event()

    def wake(self) -> None:
        """Let all who follow look whether they go on."""
        self._changed.set()
        self._changed = asyncio.Event()

    def stop(self) -> None:
        """Send no more."""
        self._end = self._end or End(None)
        self.wake()

    async def watch(self) -> None:
        """Read what happens until the run has ended.

        A run that waits for an approval has not ended, and one whose process died has.
        """
        try:
            await self._watch()
        finally:
            self.stop()

    async def _watch(self) -> None:
        position, pause, dead, failures = self._before, QUICK, 0, 0
        while self._end is None:
            try:
                run, found = await self._look(position)
            except NbsessionsError as error:
                # It may be locked just now; what is damaged stays so.
                failures += 1
                if failures == _FAILURES or isinstance(error, DamagedRun):
                    return
                await asyncio.sleep(SLOW)
                continue
            failures = 0
            if found:
                position = found[-1].seq
                self._keep(found)
            if len(found) < PAGE:
                dead = dead + 1 if run is not None and run.status == "running" and not is_alive(run) else 0
                self._end = self._end or _end_of(run, dead)
                pause = QUICK if found else min(pause * 1.5, SLOW)
                # A machine that slept says in a moment that it is alive.
                await asyncio.sleep(0 if self._end else SLOW if dead else pause)

    def _keep(self, found: Sequence[Told]) -> None:
        self._kept.extend(found)
        self._bytes += sum(len(told.data) for told in found)
        while len(self._kept) > _KEPT or (self._bytes > _KEPT_BYTES and len(self._kept) > 1):
            dropped = self._kept.popleft()
            self._bytes -= len(dropped.data)
            self._before = dropped.seq
        self.wake()

    def _newer(self, after: int) -> list[Told]:
        newest = [*takewhile(lambda told: told.seq > after, reversed(self._kept))]
        return newest[::-1][:PAGE]

    async def follow(
        self, after: int, is_gone: Callable[[], bool] = lambda: False
    ) -> AsyncGenerator[list[Told] | End, None]:
        """Yield the events after a position as they come, and at last why no more come.

        Where nothing has come for a while, it is an empty list.
        """
        while not is_gone():
            changed = self._changed
            if self._end == End(None):
                yield self._end
                return
            if after < self._before:
                _, found = await self._look(after)
                if not found:
                    after = self._before  # what was there is dropped
                    continue
            else:
                found = self._newer(after)
            if found:
                after = found[-1].seq
                yield found
            elif self._end is not None:
                yield self._end
                return
            else:
                try:
                    await asyncio.wait_for(changed.wait(), BEAT)
                except TimeoutError:
                    yield []


class Feeds:
    """The runs that are followed on a server just now.

    Examples
    --------
    >>> Feeds().count
    0
    """

    def __init__(self) -> None:
        self.count = 0
        self._feeds: dict[tuple[str, str], tuple[Feed, asyncio.Task[None]]] = {}
        self._followers: dict[tuple[str, str], int] = {}

    @asynccontextmanager
    async def following(self, owner: str, run: Run, look: Look) -> AsyncIterator[Feed]:
        """Give a run to one more who follows it; it is read until the last one has left."""
        key = owner, run.run_id
        if key not in self._feeds:
            feed = Feed(look, known=run.event_count - 1)
            self._feeds[key] = feed, asyncio.create_task(feed.watch())
        feed, watching = self._feeds[key]
        self.count += 1
        self._followers[key] = self._followers.get(key, 0) + 1
        try:
            yield feed
        finally:
            self.count -= 1
            self._followers[key] -= 1
            if not self._followers[key]:
                del self._followers[key], self._feeds[key]
                watching.cancel()

    def stop(self) -> None:
        """Send no more to anybody.

        Examples
        --------
        >>> Feeds().stop()
        """
        for feed, _ in self._feeds.values():
            feed.stop()


def _end_of(run: Run | None, dead: int) -> End | None:
    if run is None:
        return End("deleted")
    if run.status in TERMINAL:
        return End(run.status)
    return End("interrupted") if dead > 1 else None
