from __future__ import annotations

import os
import sys
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from pathlib import Path

import pytest

import nbsessions as nbs
from nbsessions import Store
from nbsessions.stores import _lock, _pool, sqlite
from tests.conftest import add, texts
from tests.disks import SmallDisk
from tests.interrupts import CtrlC, Signal

_TRANSACTION = {module.__file__ or "" for module in (_lock, _pool, sqlite)}


def test_an_interrupt_at_any_line_of_a_turn_leaves_a_store_that_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_pool, "BUSY_SECONDS", 1.0)
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 1.0)
    for nth in count(1):
        with nbs.open_store(tmp_path / f"{nth}.db") as store, nbs.open_store(tmp_path / f"{nth}.db") as other:
            session = store.create("plan")
            add(session, "one")
            interrupt = CtrlC(nth, _TRANSACTION)
            with suppress(KeyboardInterrupt), interrupt:
                add(session, "two")
            if interrupt.where is None:
                break
            # The same thread goes on, as the cell after Ctrl-C does; then another kernel, and a child.
            add(store.resume("plan"), "three")
            add(other.resume("plan"), "four")
            found = texts(other.resume("plan"))
            assert found in (["one", "two", "three", "four"], ["one", "three", "four"]), interrupt.where
            pid = os.fork()
            if pid == 0:
                os._exit(0)
            assert os.waitpid(pid, 0)[1] == 0, interrupt.where
    assert nth > 50, "it was interrupted at every line"


def in_a_thread(work: Callable[[], object]) -> bool:
    """Tell whether another thread can do this now, while this one does nothing."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(2)
    return not thread.is_alive()


def _open_files(path: Path) -> list[str]:
    folder = Path("/proc/self/fd")
    if not folder.exists():
        pytest.skip("what is open cannot be told here")
    links = []
    for number in folder.iterdir():
        with suppress(OSError):  # the one that lists them is closed already
            links.append(os.readlink(number))
    return [link for link in links if link.startswith(str(path))]


def test_a_signal_during_a_turn_holds_up_no_other_thread(tmp_path: Path) -> None:
    for nth in count(1):
        store = nbs.open_store(tmp_path / f"{nth}.db")
        session = store.create("plan")
        signal = Signal(nth, _TRANSACTION)
        with suppress(KeyboardInterrupt), signal:
            add(session, "one")
        if signal.where is None:
            break
        # Between the last statement of a block and this, no code of ours can be.
        if not signal.where.startswith("Reading.__exit__") or not signal.where.endswith(", call"):
            assert in_a_thread(lambda store=store: add(store.create("other"), "Hello")), signal.where  # type: ignore[misc]
        add(store.resume("plan"), "two")
        store.close()
    assert nth > 30, "it was interrupted at every call"


def test_a_store_whose_closing_was_interrupted_can_be_closed(tmp_path: Path) -> None:
    for nth in count(1):
        path = tmp_path / f"{nth}.db"
        store = nbs.open_store(path)
        add(store.create("plan"), "one")
        signal = Signal(nth, _TRANSACTION)
        with suppress(KeyboardInterrupt), signal:
            store.close()
        store.close()
        assert _open_files(path) == [], signal.where
        if signal.where is None:
            break
    assert nth > 5, "it was interrupted at every call"


def test_a_thread_that_outlives_its_store_leaves_nothing_open(tmp_path: Path, small_disk: SmallDisk) -> None:
    for path in (tmp_path / "agents.db", small_disk.folder / "agents.db"):
        with nbs.open_store(path) as store:
            add(store.create("plan"), "one")
        if path.is_relative_to(small_disk.folder):
            small_disk.protect()
        store = nbs.open_store(path)
        assert isinstance(store.backend, sqlite.SQLiteBackend)
        with store.backend._reading():
            assert in_a_thread(store.close)
        assert _open_files(path) == []


def test_a_signal_during_a_fork_holds_up_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "unraisablehook", lambda told: None)  # which is all that Python does with it
    # Or those of other tests count, too: an interrupt at every line of each of them, and a fork each time.
    monkeypatch.setattr(_pool, "_open_pools", weakref.WeakSet())
    stores = [nbs.open_store(f"sqlite:///{tmp_path}/{name}.db?synchronous=normal") for name in "ab"]
    for store in stores:
        store.create("plan")
    for nth in count(1):
        signal = Signal(nth, {_pool.__file__, _lock.__file__})
        pid = None
        with suppress(KeyboardInterrupt), signal:
            pid = os.fork()
        if pid == 0:
            _look_and_leave(stores)
        # An interrupt that came meanwhile is raised once it is over, and nobody was told of the child.
        assert os.waitpid(-1 if pid is None else pid, 0)[1] == 0, signal.where
        for store in stores:
            # Before Python has begun with what comes after a fork, nobody can know of it.
            if signal.where is None or not signal.where.startswith("_Fork.after"):
                assert in_a_thread(lambda store=store: add(store.resume("plan"), "x")), signal.where  # type: ignore[misc]
            add(store.resume("plan"), "x")
            assert in_a_thread(lambda store=store: add(store.resume("plan"), "x")), signal.where  # type: ignore[misc]
        if signal.where is None:
            break
    for store in stores:
        store.close()
    assert nth > 20, "it was interrupted at every call"


def _look_and_leave(stores: list[Store]) -> None:
    """Go on in a child, and tell by its exit whether that is possible."""
    code = 1
    try:
        for store in stores:
            assert isinstance(store.backend, sqlite.SQLiteBackend)
            assert store.backend._pool._idle == []
            add(store.create(), "Hello")
        code = 0
    except BaseException as error:
        os.write(2, f"in the child: {error!r}\n".encode())
        raise
    finally:
        os._exit(code)


def test_a_fork_while_stores_are_opened_and_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda one: told.append(one.exc_value))
    monkeypatch.setattr(sys, "setswitchinterval", sys.setswitchinterval)
    before = sys.getswitchinterval()
    stop = threading.Event()

    def open_them() -> None:
        pools: list[_pool.Pool] = []
        while not stop.is_set():
            pools.append(_pool.Pool(tmp_path / "x.db", lambda: pytest.fail("nobody asked for it")))
            del pools[:-40]

    thread = threading.Thread(target=open_them)
    sys.setswitchinterval(1e-6)
    thread.start()
    try:
        for _ in range(60):
            pid = os.fork()
            if pid == 0:
                os._exit(0)
            os.waitpid(pid, 0)
    finally:
        stop.set()
        thread.join()
        sys.setswitchinterval(before)
    assert told == []
