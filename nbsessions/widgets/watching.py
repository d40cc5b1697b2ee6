"""What a widget is told when its store changes, in this kernel or by somebody else."""

from __future__ import annotations

import sys
import threading
import time
import weakref
from collections.abc import Callable
from typing import Final

from nbsessions.exceptions import NbsessionsError
from nbsessions.stores.base import Backend

SECONDS: Final = 1.0
"""A store is asked so often whether it has changed, which takes it less than a millisecond."""
_watches: weakref.WeakKeyDictionary[Backend, Watch] = weakref.WeakKeyDictionary()
_lock = threading.Lock()


def watch(backend: Backend, callback: Callable[[], None]) -> Callable[[], None]:
    """Call back, from another thread, whenever a store has changed, could not be asked, or can be again.

    Parameters
    ----------
    backend : Backend
    callback : callable

    Returns
    -------
    callable
        Ends it.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> store, changed = nbs.open_store("memory:"), threading.Event()
    >>> end = watch(store.backend, changed.set)
    >>> _ = store.create("plan")
    >>> changed.wait(60)
    True
    >>> end()
    """
    seen = _asked(backend)
    with _lock:
        found = _watches.get(backend)
        if found is None:
            found = _watches[backend] = Watch(backend)
        found.start(seen)
        mine = object()
        found.callbacks[mine] = callback

    def end() -> None:
        # No lock is taken: a widget is also closed when it is collected, in the middle of anything.
        found.callbacks.pop(mine, None)

    return end


class Watch:
    """The thread that looks at one store, as long as somebody wants to know."""

    def __init__(self, backend: Backend) -> None:
        # The thread shall not keep alive a store that nobody has any more.
        self._backend = weakref.ref(backend)
        self.callbacks: dict[object, Callable[[], None]] = {}
        self._thread: threading.Thread | None = None
        self._seen: str | None = None

    def start(self, seen: str | None) -> None:
        """See to it that there is a thread; the store is as it was `seen`."""
        if self._thread is None or not self._thread.is_alive():
            self._seen = seen
            self._thread = threading.Thread(target=self._run, name="nbsessions-watch", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while True:
            time.sleep(SECONDS)
            backend = self._backend()
            with _lock:
                if backend is None or not self.callbacks:
                    self._thread = None
                    return
                callbacks = [*self.callbacks.values()]
            seen = _asked(backend)
            del backend
            if seen != self._seen:
                self._seen = seen
                for callback in callbacks:
                    _call(callback)


def _call(callback: Callable[[], None]) -> None:
    try:
        callback()
    except Exception:  # noqa: BLE001 - told as of any thread, but the others are called all the same
        threading.excepthook(threading.ExceptHookArgs((*sys.exc_info(), threading.current_thread())))


def _asked(backend: Backend) -> str:
    try:
        return backend.revision()
    except NbsessionsError as error:
        # Who is called back asks the store itself, and shows what is wrong with it.
        return f"{type(error).__name__}: {error}"
