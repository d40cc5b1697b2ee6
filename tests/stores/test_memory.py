"""The store in memory, and Ctrl-C in it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from itertools import count
from pathlib import Path

import pytest

import nbsessions as nbs
from nbsessions import Session, Store
from nbsessions.stores import memory
from nbsessions.stores.base import Backend, Change, Progress
from nbsessions.stores.memory import MemoryBackend
from nbsessions.testing.contract.sessions import Sessions
from nbsessions.testing.samples import SPENT, a_finish, a_move, a_run, a_turn
from tests.conftest import add, texts
from tests.interrupts import CtrlC

_FILES = {str(file) for file in Path(memory.__file__ or "").parent.glob("*.py")}


def _commit(session: Session) -> None:
    (run,) = session.backend.runs(status="running")
    session.backend.move(a_move(session.key, a_turn(), session.record.head, finish=a_finish(run)))


CALLS: dict[str, Callable[[Store, Session], object]] = {
    "create": lambda store, session: store.create("other", state={"a": 1}),
    "fork": lambda store, session: session.fork(),
    "message": lambda store, session: add(session, "more"),
    "commit": lambda store, session: _commit(session),
    "save": lambda store, session: session.save(),
    "rename": lambda store, session: session.rename("essay"),
    "change several": lambda store, session: store.backend.update_all(
        [Change(session.key, {"name": "essay"}, {"name": "plan"})], 1
    ),
    "delete": lambda store, session: store.delete("plan"),
    "redact": lambda store, session: session.redact(0),
    "checkpoint": lambda store, session: session.checkpoint("here"),
    "key-value": lambda store, session: session.kv().set("b", 2),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_an_interrupt_at_any_line_leaves_all_or_nothing(call: Callable[[Store, Session], object]) -> None:
    for nth in count(1):
        store = nbs.open_store("memory:")
        session = store.create("plan")
        session.send("Hello", agent=lambda prompt: "Hi")
        session.kv()["a"] = 1
        session = store.resume("plan", autosave=False)
        add(session, "draft")
        run = a_run(session.key)
        store.backend.start_run(run)
        store.backend.save_progress(Progress(run.run_id, "chat", "[1]", SPENT))
        interrupt = CtrlC(nth, _FILES)
        with suppress(KeyboardInterrupt), interrupt:
            call(store, session)
        if interrupt.where is None:
            break
        assert store.verify().ok, interrupt.where
        for record in store.list(None):
            again = store.resume(record.session_id)
            assert (len(texts(again)), again.log()[-1].action) == (record.message_count, "create"), (
                interrupt.where
            )
        for run in store.backend.runs():
            held = store.backend.progress(run.run_id) is not None
            if run.session_id:
                assert store.exists(run.session_id), interrupt.where
                assert held is (run.status == "running"), interrupt.where
            else:
                assert (run.prompt, run.turn_id) == (None, None), interrupt.where
        store.close()
    assert nth > 2


class OneByOne(MemoryBackend):
    """A store that knows nothing of several sessions at once, as a third party's may be."""

    get_all = Backend.get_all
    update_all = Backend.update_all


class TestOneByOne(Sessions):
    """What a store keeps of sessions, where it does one thing after the other."""

    def open(self, folder: Path) -> Backend:
        return OneByOne()
