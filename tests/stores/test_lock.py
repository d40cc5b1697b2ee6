"""The lock between processes and threads, and Ctrl-C in it."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
from contextlib import suppress
from itertools import count
from pathlib import Path

import pytest

from nbsessions.stores import _lock, _pool
from nbsessions.stores._lock import FileLock
from nbsessions.stores._pool import Link, Pool
from tests.interrupts import CtrlC

_FILES = {_lock.__file__ or ""}
_BEGUN = 2
"""Before the call and its first line, nothing has begun that could be ended."""


def _is_free(path: Path) -> bool:
    """Tell whether another process could take the lock now."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(fd)
    return True


def _another_thread_can_take(lock: FileLock) -> bool:
    took: list[bool] = []

    def take() -> None:
        with lock:
            took.append(True)

    thread = threading.Thread(target=take, daemon=True)
    thread.start()
    thread.join(1.0)
    return took == [True]


def test_an_interrupt_at_any_line_of_taking_it_leaves_it_free(tmp_path: Path) -> None:
    for nth in count(1):
        path = tmp_path / f"lock {nth}"
        lock, interrupt = FileLock(path), CtrlC(nth, _FILES)
        try:
            with interrupt:
                lock.acquire()
        except KeyboardInterrupt:
            assert _is_free(path), interrupt.where
            assert _another_thread_can_take(lock), interrupt.where
        else:
            assert interrupt.where is None
            assert not _is_free(path)
            lock.release()
            break
        finally:
            lock.close()
    assert nth > 5


def test_an_interrupt_at_any_line_of_letting_go_is_no_reason_to_keep_it(tmp_path: Path) -> None:
    for nth in count(1):
        path = tmp_path / f"lock {nth}"
        lock, interrupt = FileLock(path), CtrlC(nth, _FILES)
        lock.acquire()
        with suppress(KeyboardInterrupt), interrupt:
            lock.release()
        if interrupt.where is None:
            break
        if nth <= _BEGUN:
            lock.release()
        assert _is_free(path), interrupt.where
        assert _another_thread_can_take(lock), interrupt.where
        lock.close()
    assert nth > 5


def test_an_interrupt_unlocks_nothing_of_another_thread(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    lock = FileLock(path)
    holds, done = threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            holds.set()
            done.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    holds.wait(10)
    lock.release()
    for nth in count(1):
        interrupt = CtrlC(nth, _FILES)
        with suppress(KeyboardInterrupt), interrupt:
            lock.release()
        assert not _is_free(path), interrupt.where
        if interrupt.where is None:
            break
    done.set()
    thread.join()
    assert _is_free(path)


def test_what_cannot_be_locked_leaves_nothing_held(tmp_path: Path) -> None:
    lock = FileLock(tmp_path)
    for _ in range(2):
        with pytest.raises(IsADirectoryError):
            lock.acquire()
    assert not lock._mutex._is_owned()  # type: ignore[attr-defined]


def test_who_was_interrupted_in_a_transaction_keeps_nobody_waiting(tmp_path: Path) -> None:
    """Others go on at once: not only when this thread comes back, which may be tomorrow."""
    files, kept = _FILES | {_pool.__file__ or ""}, []
    for nth in count(1):
        path = tmp_path / f"{nth}.db"
        pool = Pool(path, lambda path=path: sqlite3.connect(path, isolation_level=None, factory=Link))  # type: ignore[misc]
        path.touch()
        interrupt = CtrlC(nth, files)
        with suppress(KeyboardInterrupt), interrupt, pool.writing("FULL") as db:
            db.execute("CREATE TABLE t(x)")
        if not _is_free(Path(f"{path}.lock")):
            kept.append(interrupt.where)
        if interrupt.where is None:
            pool.close()
            break
        pool.close()
    # What ends it had not begun.
    assert [where for where in kept if where is None or "Reading.__exit__" not in where] == []
    assert len(kept) <= _BEGUN + 1
