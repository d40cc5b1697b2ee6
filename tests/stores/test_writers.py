"""Many threads and processes on one store that keeps what it has: nothing is lost, and nothing is mixed."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import nbsessions as nbs
from nbsessions import Session, SessionConflict, Store, Usage
from nbsessions.stores.base import Key
from nbsessions.testing import SPENT, a_finish, a_run
from tests.conftest import Python, add, texts


@pytest.fixture(params=["sqlite", "file", "postgres"])
def url(request: pytest.FixtureRequest, path: Path) -> str:
    """Where the store is."""
    if request.param == "file":
        return f"file:{path.with_suffix('')}"
    return str(path) if request.param == "sqlite" else str(request.getfixturevalue("postgres_url"))


@pytest.fixture
def kept_store(url: str) -> Iterator[Store]:
    with nbs.open_store(url) as store:
        yield store


def append(session: Session, text: str) -> None:
    """Append to the session itself, whatever others do meanwhile."""
    while True:
        try:
            add(session, text)
        except SessionConflict:
            session.refresh()
        else:
            return


def in_threads(count: int, work: Callable[[int], None]) -> None:
    start, failed = threading.Barrier(count), list[BaseException]()

    def run(number: int) -> None:
        try:
            start.wait()
            work(number)
        except BaseException as error:  # noqa: BLE001
            failed.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []


def at_once(python: Python, code: str, url: str) -> list[subprocess.Popen[str]]:
    """Start four processes with a number each, which say that they are ready, and wait for the others."""
    processes = [python.start(code, url, number) for number in range(4)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    return processes


OPENER = """
import sys, nbsessions as nbs
import nbsessions.session, nbsessions.stores.file, nbsessions.stores.postgres, nbsessions.stores.sqlite
print("ready", flush=True)
sys.stdin.readline()
with nbs.open_store(sys.argv[1]) as store:
    store.create(sys.argv[2])
"""


def test_a_new_store_can_be_opened_by_many_at_once(url: str, python: Python) -> None:
    for process in at_once(python, OPENER, url):
        python.finish(process)
    with nbs.open_store(url) as store:
        assert sorted(record.name or "" for record in store.list()) == ["0", "1", "2", "3"]


WRITER = """
import sys, nbsessions as nbs
from tests.stores.test_writers import append
with nbs.open_store(sys.argv[1]) as store:
    session = store.resume("plan", on_conflict="error")
    print("ready", flush=True)
    sys.stdin.readline()
    for number in range(8):
        append(session, f"process {sys.argv[2]} {number}")
"""


def test_threads_and_processes_append_to_one_session_and_lose_nothing(
    url: str, kept_store: Store, python: Python
) -> None:
    kept_store.create("plan")
    processes = at_once(python, WRITER, url)

    def work(thread: int) -> None:
        session = kept_store.resume("plan", on_conflict="error")
        for number in range(4):
            append(session, f"thread {thread} {number}")

    in_threads(8, work)
    for process in processes:
        python.finish(process)
    found = texts(kept_store.resume("plan"))
    for kind, writers, each in (("thread", 8, 4), ("process", 4, 8)):
        for writer in range(writers):
            own = [text for text in found if text.startswith(f"{kind} {writer} ")]
            assert own == [f"{kind} {writer} {number}" for number in range(each)]
    assert len(found) == 8 * 4 + 4 * 8
    assert len(kept_store.list()) == 1
    assert len(kept_store.resume("plan").log()) == len(found) + 1


def test_threads_that_fork_when_they_lose_keep_everything(kept_store: Store) -> None:
    add(kept_store.create("plan"), "0")

    def work(thread: int) -> None:
        session = kept_store.resume("plan")
        for number in range(4):
            add(session, f"{thread} {number}")

    in_threads(8, work)
    found = {record.name: texts(kept_store.resume(record.session_id)) for record in kept_store.list(None)}
    said = [text for one in found.values() for text in one if text != "0"]
    assert {*said} == {f"{thread} {number}" for thread in range(8) for number in range(4)}
    for one in found.values():
        assert one[0] == "0"
        for thread in range(8):
            own = [text for text in one if text.startswith(f"{thread} ")]
            assert own == sorted(own)


def test_threads_that_share_one_handle_keep_everything(kept_store: Store) -> None:
    """As the callbacks of widgets do, which arrive on other threads."""
    session = kept_store.create("plan")
    in_threads(8, lambda thread: add(session, *(f"{thread} {number}" for number in range(4))))
    records = kept_store.list(None)
    for record in records:
        assert len(texts(kept_store.resume(record.session_id))) == record.message_count
    said = {text for record in records for text in texts(kept_store.resume(record.session_id))}
    assert said == {f"{thread} {number}" for thread in range(8) for number in range(4)}


def test_runs_of_many_threads_do_not_mix(kept_store: Store) -> None:
    def work(thread: int) -> None:
        session = kept_store.create(f"plan {thread}")
        for number in range(3):
            session.send(f"{number}?", agent=lambda prompt: iter([f"{thread}:", prompt]))

    in_threads(8, work)
    for thread in range(8):
        found = kept_store.resume(f"plan {thread}")
        assert texts(found)[1::2] == [f"{thread}:{number}?" for number in range(3)]
        for run in found.runs():
            assert [event.seq for event in kept_store.events(run.run_id)] == list(range(run.event_count))


def test_drafts_of_two_writers_do_not_mix(kept_store: Store) -> None:
    """Who waited for the session must see the draft that the other made meanwhile."""
    add(kept_store.create("plan"), "0")

    def work(thread: int) -> None:
        for number in range(5):
            draft = kept_store.resume("plan", autosave=False)
            add(draft, f"{thread} {number}")
            draft.save()

    in_threads(6, work)
    found = [texts(kept_store.resume(record.session_id)) for record in kept_store.list(None)]
    assert {f"{thread} {number}" for thread in range(6) for number in range(5)} <= {
        text for one in found for text in one
    }
    for record in kept_store.list(None):
        assert len(texts(kept_store.resume(record.session_id))) == record.message_count


def test_one_of_many_gets_a_name(kept_store: Store) -> None:
    got: list[str] = []
    refused: list[str] = []

    def work(thread: int) -> None:
        for number in range(10):
            try:
                kept_store.create(f"plan {number}")
                got.append(f"plan {number}")
            except nbs.SessionExists as error:
                refused.append(error.ref)

    in_threads(8, work)
    assert sorted(got) == [f"plan {number}" for number in range(10)]
    assert sorted(refused) == sorted(got * 7)


def test_changes_of_many_to_one_session_are_all_kept(kept_store: Store) -> None:
    key = Key.of(kept_store.create("plan").record)

    def work(thread: int) -> None:
        run = a_run(key)
        kept_store.backend.start_run(run)
        kept_store.backend.finish_run(a_finish(run, usage=SPENT))

    in_threads(12, work)
    assert kept_store.record("plan").usage == sum([SPENT] * 12, Usage())


# Processes that fork, as multiprocessing does


FORK = """
import gc, os, sys, threading
import nbsessions as nbs
from nbsessions.stores import sqlite

sqlite.BUSY_SECONDS = 10.0  # who waits for a lock that nobody holds shall not wait long

def add(session, text):
    session.add_message({"role": "user", "content": text})

def fork(work):
    child = os.fork()
    if child == 0:
        try:
            work()
            gc.collect()
            os._exit(0)
        except BaseException as error:
            os.write(2, f"in the child: {error!r}\\n".encode())
        finally:
            os._exit(1)
    return child

def wait(child):
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

store = nbs.open_store(sys.argv[1])
plan = store.create("plan")
add(plan, "parent 0")
"""

ENDS = ["store.close()", "del store.backend, plan", "pass"]
"""What a child does with the store of its parent before it ends."""


@pytest.mark.parametrize("end", ENDS)
def test_a_forked_child_and_its_parent_both_go_on(url: str, python: Python, end: str) -> None:
    code = f"""
def work():
    global plan
    add(store.resume("plan").fork("child"), "of the open store")
    with nbs.open_store(sys.argv[1]) as again:
        add(again.resume("child"), "of a new one")
    {end}

wait(fork(work))
add(plan, "parent 1")
store.close()
"""
    python(FORK + code, url)
    with nbs.open_store(url) as store:
        assert texts(store.resume("plan")) == ["parent 0", "parent 1"]
        assert texts(store.resume("child")) == ["parent 0", "of the open store", "of a new one"]
        assert store.verify().ok


@pytest.mark.parametrize("end", ENDS)
def test_a_forked_child_loses_nothing_when_its_parent_closes_first(
    url: str, python: Python, end: str
) -> None:
    code = f"""
ready, closed = os.pipe(), os.pipe()

def work():
    global plan
    session = store.resume("plan")
    add(session, "child 0")
    os.write(ready[1], b"x")
    os.read(closed[0], 1)
    add(session, "child 1")
    {end}

child = fork(work)
os.read(ready[0], 1)
store.close()
os.write(closed[1], b"x")
wait(child)
"""
    python(FORK + code, url)
    with nbs.open_store(url) as store:
        assert texts(store.resume("plan")) == ["parent 0", "child 0", "child 1"]
        assert store.verify().ok


def test_children_can_be_forked_while_other_threads_write(url: str, python: Python) -> None:
    code = """
stop, writing = threading.Event(), threading.Event()

def write(busy):
    while not stop.is_set():
        add(busy, "x")
        writing.set()

threads = [threading.Thread(target=write, args=(store.create(f"busy {n}"),)) for n in range(3)]
for thread in threads:
    thread.start()
children = []
try:
    for number in range(5):
        assert writing.wait(60)
        writing.clear()
        children.append(fork(lambda: add(store.create(f"child {number}"), "Hello")))
    for child in children:
        wait(child)
finally:
    stop.set()
    for thread in threads:
        thread.join()
store.close()
"""
    python(FORK + code, url)
    with nbs.open_store(url) as store:
        for number in range(5):
            assert texts(store.resume(f"child {number}")) == ["Hello"]
        for number in range(3):
            busy = store.resume(f"busy {number}")
            assert len(busy.messages) == busy.message_count > 0
        assert store.verify().ok
