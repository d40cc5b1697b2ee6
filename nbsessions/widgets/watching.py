"""What a widget is told when its store changes, in this kernel or by somebody else."""

from __future__ import annotations

import threading
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
    with _lock:
        found = _watches.get(backend)
        if found is None:
            found = _watches[backend] = Watch(backend)
        found.callbacks.append(callback)
        found.start()

    def end() -> None:
        with _lock:
            if callback in found.callbacks:
                found.callbacks.remove(callback)
                found.wake.set()

    return end


class Watch:
    """The thread that looks at one store, as long as somebody wants to know."""

    def __init__(self, backend: Backend) -> None:
        # The thread shall not keep alive a store that nobody has any more.
        self._backend = weakref.ref(backend)
        self.callbacks: list[Callable[[], None]] = []
        self.wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._seen: str | None = None

    def start(self) -> None:
        """See to it that there is a thread."""
        if self._thread is None:
            self._seen = self._look()
            self._thread = threading.Thread(target=self._run, name="nbsessions-watch", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while True:
            self.wake.wait(SECONDS)
            with _lock:
                self.wake.clear()
                if not self.callbacks or self._backend() is None:
                    self._thread = None
                    return
                callbacks = [*self.callbacks]
            seen = self._look()
            if seen != self._seen:
                self._seen = seen
                for callback in callbacks:
                    callback()

    def _look(self) -> str | None:
        backend = self._backend()
        try:
            return None if backend is None else backend.revision()
        except NbsessionsError as error:
            # Who is called back asks the store itself, and shows what is wrong with it.
            return f"{type(error).__name__}: {error}"
