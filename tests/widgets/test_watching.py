"""Who is told that a store has changed, and by whom."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import nbsessions as nbs
from nbsessions.exceptions import StoreUnavailable
from nbsessions.stores.base import Backend
from nbsessions.widgets import watching
from nbsessions.widgets.watching import watch
from tests.widgets.waiting import SECONDS, until


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "SECONDS", 0.02)


def is_watched(backend: Backend) -> bool:
    """Tell whether there is a thread that looks at a store."""
    found = watching._watches.get(backend)
    return found is not None and found._thread is not None and found._thread.is_alive()


def create_elsewhere(path: Path, name: str) -> None:
    """Create a session in another process."""
    code = f"import nbsessions as nbs; nbs.open_store({str(path)!r}).create({name!r})"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=SECONDS)


def test_another_process_is_seen(tmp_path: Path) -> None:
    with nbs.open_store(tmp_path / "agents.db") as store:
        changed = threading.Event()
        end = watch(store.backend, changed.set)
        create_elsewhere(tmp_path / "agents.db", "plan")
        assert changed.wait(SECONDS)
        end()


def test_a_change_is_told_to_all_and_on_another_thread() -> None:
    store = nbs.open_store("memory:")
    told: list[threading.Thread] = []
    ends = [watch(store.backend, lambda: told.append(threading.current_thread())) for _ in range(3)]
    store.create("plan")
    until(lambda: len(told) == 3)
    assert len(set(told)) == 1
    assert threading.current_thread() not in told
    for end in ends:
        end()


def test_the_thread_ends_with_the_last_who_wants_to_know_and_begins_again() -> None:
    store = nbs.open_store("memory:")
    assert not is_watched(store.backend)
    first, second = (watch(store.backend, lambda: None) for _ in range(2))
    assert is_watched(store.backend)
    first()
    first()
    changed = threading.Event()
    third = watch(store.backend, changed.set)
    second()
    store.create("plan")
    assert changed.wait(SECONDS)
    third()
    until(lambda: not is_watched(store.backend))
    changed.clear()
    end = watch(store.backend, changed.set)
    store.create("essay")
    assert changed.wait(SECONDS)
    end()


def test_a_store_that_nobody_has_is_watched_no_longer() -> None:
    store = nbs.open_store("memory:")
    watch(store.backend, lambda: None)
    thread = watching._watches[store.backend]._thread
    assert thread is not None
    del store
    gc.collect()
    thread.join(SECONDS)
    assert not thread.is_alive()


def test_a_store_that_cannot_be_asked_is_told_and_again_when_it_can(monkeypatch: pytest.MonkeyPatch) -> None:
    store = nbs.open_store("memory:")
    told: list[bool] = []
    is_down = threading.Event()
    asked = store.backend.revision

    def revision() -> str:
        if is_down.is_set():
            raise StoreUnavailable("The disk is gone.")
        return asked()

    monkeypatch.setattr(store.backend, "revision", revision)
    end = watch(store.backend, lambda: told.append(is_down.is_set()))
    is_down.set()
    until(lambda: told == [True])
    is_down.clear()
    until(lambda: told == [True, False])
    end()


def test_a_callback_that_fails_is_told_and_the_others_are_called(monkeypatch: pytest.MonkeyPatch) -> None:
    store = nbs.open_store("memory:")
    failed: list[BaseException | None] = []
    monkeypatch.setattr(threading, "excepthook", lambda told: failed.append(told.exc_value))

    def fails() -> None:
        raise ZeroDivisionError

    changed = threading.Event()
    ends = [watch(store.backend, callback) for callback in (fails, changed.set)]
    for name in ("plan", "essay"):
        changed.clear()
        store.create(name)
        assert changed.wait(SECONDS)
    assert [type(error) for error in failed] == [ZeroDivisionError, ZeroDivisionError]
    for end in ends:
        end()


def test_to_end_it_waits_for_no_lock() -> None:
    """A widget is closed when it is collected, and that may be in the middle of anything."""
    store = nbs.open_store("memory:")
    end = watch(store.backend, lambda: None)
    with watching._lock:
        ended = threading.Thread(target=end)
        ended.start()
        ended.join(SECONDS)
        assert not ended.is_alive()
