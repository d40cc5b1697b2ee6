from __future__ import annotations

import os
from contextlib import suppress
from itertools import count
from pathlib import Path

import pytest

import nbsessions as nbs
from nbsessions.stores import _lock, _pool, sqlite
from tests.conftest import add, texts
from tests.interrupts import CtrlC

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
