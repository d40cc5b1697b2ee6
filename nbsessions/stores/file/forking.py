"""What becomes of open stores when their process forks, as multiprocessing does."""

from __future__ import annotations

import os
import weakref
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from nbsessions.stores.file.backend import FileBackend

_PATIENCE: Final = 30.0
_open: weakref.WeakSet[FileBackend] = weakref.WeakSet()
_held: list[FileBackend] = []


def watch(store: FileBackend) -> None:
    """Let no fork come while a thread is at a transaction of this store."""
    _open.add(store)


def _stores() -> list[FileBackend]:
    while True:
        try:
            return list(_open)
        except RuntimeError:  # another thread opens a store just now
            continue


def _before() -> None:
    for store in _stores():
        if store._lock.acquire(timeout=_PATIENCE):
            _held.append(store)


def _after_in_parent() -> None:
    while _held:
        _held.pop()._lock.release()


def _after_in_child() -> None:
    settled = list(_held)
    _held.clear()
    for store in _stores():
        store.after_fork(is_settled=store in settled)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
