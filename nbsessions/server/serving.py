"""What all requests share: the store, opened when it is first asked for, and the threads that ask it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from nbsessions.server.following import Feeds
    from nbsessions.store import Store
    from nbsessions.stores.base import Backend

_T = TypeVar("_T")
_THREADS: Final = 8
"""So many requests ask the store at a time; the others wait, and the loop with none of them."""


class Serving:
    """The store of a server, and who asks it.

    Parameters
    ----------
    url : str or None
        Of the store; None: the default one.
    streams : int
        So many runs are followed at a time.
    redact : bool or iterable of str
        As of `nbsessions.open_store`.

    Examples
    --------
    >>> serving = Serving("memory:")
    >>> serving.store("ada").create("plan").owner
    'ada'
    """

    def __init__(self, url: str | None, *, streams: int = 200, redact: bool | Iterable[str] = True) -> None:
        self.url, self.streams, self._redact = url, streams, redact
        self._backend: Backend | None = None
        self._opening = threading.Lock()
        self._is_closed = False
        self._feeds: Feeds | None = None
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="nbsessions-http")

    def store(self, owner: str) -> Store:
        """Return the store as it is for one owner: whatever is somebody else's is not there.

        Raises
        ------
        StoreUnavailable, StoreTooNew

        Examples
        --------
        >>> serving = Serving("memory:")
        >>> _ = serving.store("ada").create("plan")
        >>> serving.store("bob").list()
        []
        """
        from nbsessions.store import Store
        from nbsessions.stores._owned import OwnedBackend

        return Store(OwnedBackend(self._opened(), owner), owner)

    def _opened(self) -> Backend:
        from nbsessions.exceptions import InvalidInput, StoreUnavailable
        from nbsessions.store import open_store

        with self._opening:
            # What could not be opened is tried again with the next request.
            if self._backend is None:
                try:
                    self._backend = open_store(self.url, redact=self._redact).backend
                except InvalidInput as error:  # not of the one who asks
                    raise StoreUnavailable(str(error)) from None
            return self._backend

    @property
    def feeds(self) -> Feeds:
        """The runs that are followed here."""
        if self._feeds is None:
            from nbsessions.server.following import Feeds

            self._feeds = Feeds()
        return self._feeds

    async def in_thread(self, function: Callable[..., _T], *args: Any, **named: Any) -> _T:
        """Call what may block in a thread, and wait for it without holding up others.

        Raises
        ------
        StoreUnavailable
            The server stops.

        Examples
        --------
        >>> asyncio.run(Serving("memory:").in_thread(max, 1, 2))
        2
        """
        if self._is_closed:
            from nbsessions.exceptions import StoreUnavailable

            raise StoreUnavailable("The server stops.")
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, partial(function, *args, **named))

    async def close(self) -> None:
        """Wait for those who are asking, and close the store.

        Examples
        --------
        >>> asyncio.run(Serving("memory:").close())
        """
        self._is_closed = True
        self.feeds.stop()
        await asyncio.to_thread(self._pool.shutdown, wait=True, cancel_futures=True)
        if self._backend is not None:
            self._backend.close()
