"""Many threads and processes on one store that keeps what it has: nothing is lost, and nothing is mixed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import nbsessions as nbs
from nbsessions import Session, SessionConflict, Store, Usage
from nbsessions.stores.base import Key
from nbsessions.testing import SPENT, a_finish, a_run
from tests.conftest import Python, add, texts


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, path: Path) -> str:
    """Where the store is."""
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


def test_threads_and_processesappend_to_one_session_and_lose_nothing(
    url: str, kept_store: Store, python: Python
) -> None:
    kept_store.create("plan")
    processes = [python.start(WRITER, url, number) for number in range(4)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()

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
