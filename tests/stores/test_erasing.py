"""What was deleted is in none of the files any more: neither in the database nor in its log."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from pathlib import Path

import pytest

import nbsessions as nbs
from nbsessions import Store
from nbsessions.stores import _erasing
from tests.conftest import Python, add, texts
from tests.disks import SmallDisk
from tests.interrupts import Signal

SECRET = "hunter2"

# Not in this process: whoever opens and closes the file here drops the locks that SQLite has on it.
LOOK = """
import pathlib, sys
for line in sys.stdin:
    path = pathlib.Path(line.strip())
    files = [path, *path.parent.glob(path.name + "-*")]
    print(*sorted(file.name for file in files if b"hunter2" in file.read_bytes()), flush=True)
"""
READ = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("BEGIN")
print(db.execute("SELECT count(*) FROM turns").fetchone()[0], flush=True)
sys.stdin.readline()
"""


class Reader:
    """Another program, which reads the store as it was when it began."""

    def __init__(self, python: Python, path: Path) -> None:
        self._python, self._process = python, python.start(READ, path)
        assert self._process.stdout is not None
        assert self._process.stdout.readline().strip().isdigit()

    def end(self) -> None:
        self._python.finish(self._process, "\n")


Look = Callable[..., list[str]]


@pytest.fixture
def where(python: Python, path: Path) -> Look:
    """Return in which files of a store the secret is."""
    process = python.start(LOOK)
    asked, said = process.stdin, process.stdout
    assert asked is not None
    assert said is not None

    def look(store: Path = path) -> list[str]:
        print(store, file=asked, flush=True)
        return said.readline().split()

    return look


def _tell(store: Store) -> None:
    """Say it in a message, and find it by a search."""
    add(store.create("plan"), f"The key is {SECRET}", "Thank you")
    assert len(store.search(SECRET)) == 1


def _redact(store: Store) -> None:
    store.resume("plan").redact(0)


def _collect(store: Store) -> None:
    store.delete("plan")
    store.gc()


def _note(store: Store) -> None:
    """Write it down in what belongs to a session alone."""
    store.create("plan", metadata={"key": SECRET}).send("Hello", agent=lambda prompt: "Hi")


def _delete(store: Store) -> None:
    store.delete("plan")


Case = tuple[Callable[[Store], None], Callable[[Store], None]]


@pytest.fixture(
    params=[(_tell, _redact), (_tell, _collect), (_note, _delete)], ids=["redact", "gc", "delete"]
)
def case(request: pytest.FixtureRequest) -> Case:
    """How the secret comes into a store, and how it is taken out of it."""
    return request.param  # type: ignore[no-any-return]


def test_what_was_erased_is_in_no_file(sqlite_store: Store, where: Look, case: Case) -> None:
    tell, erase = case
    tell(sqlite_store)
    assert where()
    erase(sqlite_store)
    assert where() == []


@pytest.mark.parametrize("end", ["a write", "closing"])
def test_a_reader_that_stays_is_told_of_and_what_it_held_goes_later(
    sqlite_store: Store,
    path: Path,
    python: Python,
    where: Look,
    case: Case,
    end: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_erasing, "WAIT_SECONDS", 0.2)
    tell, erase = case
    tell(sqlite_store)
    reader = Reader(python, path)
    with pytest.warns(RuntimeWarning, match="can still be on the disk.*another program is reading") as caught:
        erase(sqlite_store)
    assert all(str(path) in str(one.message) and "\n" not in str(one.message) for one in caught)
    assert where()  # it is as bad as it was told
    assert sqlite_store.search(SECRET) == []
    add(sqlite_store.create("meanwhile"), "Hello")  # which neither waits nor fails, and tells nothing again
    reader.end()
    if end == "a write":
        add(sqlite_store.resume("meanwhile"), "more")
    else:
        sqlite_store.close()
    assert where() == []


def test_a_reader_that_outlives_the_store_is_told_of_once_more(
    path: Path, python: Python, where: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_erasing, "WAIT_SECONDS", 0.2)
    with nbs.open_store(path) as store:
        _tell(store)
        reader = Reader(python, path)
        with pytest.warns(RuntimeWarning, match="The next write, or closing"):
            _redact(store)
        with pytest.warns(RuntimeWarning, match="The last program that closes"):
            store.close()
    reader.end()
    assert where() == []


def test_a_reader_that_ends_soon_is_waited_for_while_others_write(
    sqlite_store: Store, path: Path, python: Python, where: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_erasing, "WAIT_SECONDS", 60.0)
    _tell(sqlite_store)
    other = sqlite_store.create("other")
    reader = Reader(python, path)
    done: list[bool] = []

    def redact() -> None:
        _redact(sqlite_store)
        done.append(True)

    waiting, original = threading.Event(), _erasing.Eraser._try

    def tried(self: _erasing.Eraser) -> str | None:
        obstacle = original(self)
        waiting.set()
        return obstacle

    monkeypatch.setattr(_erasing.Eraser, "_try", tried)
    thread = threading.Thread(target=redact)
    thread.start()
    assert waiting.wait(60)
    for number in range(5):
        add(other, str(number))
    assert thread.is_alive()
    reader.end()
    thread.join(60)
    assert not thread.is_alive()
    assert done  # a warning would be an error
    assert where() == []
    assert len(texts(other)) == 5


def test_what_fails_after_the_commit_is_a_warning(
    sqlite_store: Store, where: Look, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell, erase = case
    tell(sqlite_store)
    monkeypatch.setattr(_erasing, "_FOLD", "PRAGMA no such thing")
    with pytest.warns(RuntimeWarning, match="can still be on the disk.*syntax error"):
        erase(sqlite_store)
    assert sqlite_store.search(SECRET) == []
    monkeypatch.undo()
    sqlite_store.create("more")
    assert where() == []


def test_who_was_hurried_waits_again(
    path: Path, python: Python, monkeypatch: pytest.MonkeyPatch, sqlite_store: Store
) -> None:
    monkeypatch.setattr(_erasing, "WAIT_SECONDS", 0.0)
    _tell(sqlite_store)
    reader = Reader(python, path)
    with pytest.warns(RuntimeWarning):
        _redact(sqlite_store)
    with sqlite_store.backend._reading() as db:  # type: ignore[attr-defined]
        assert db.execute("PRAGMA busy_timeout").fetchone()[0] == 30_000
    reader.end()


def test_what_an_interrupt_left_goes_with_the_next_write(tmp_path: Path, where: Look) -> None:
    files = {_erasing.__file__}
    for nth in count(1):
        path = tmp_path / f"{nth}.db"
        store = nbs.open_store(f"sqlite:///{path}?synchronous=normal")
        _tell(store)
        signal = Signal(nth, files)
        with suppress(KeyboardInterrupt), signal:
            _redact(store)
        redacted = store.search(SECRET) == []
        store.create("more")
        if redacted and signal.where is not None:
            assert where(path) == [], signal.where
        store.close()
        if signal.where is None:
            break
    assert nth > 5, "it was interrupted at every call"


def test_what_was_refused_leaves_nothing_to_be_told(small_disk: SmallDisk) -> None:
    path = small_disk.folder / "agents.db"
    with nbs.open_store(path) as store:
        _tell(store)
    small_disk.protect()
    with nbs.open_store(path) as store:
        for erase in (_redact, _delete, lambda store: store.gc()):
            with pytest.raises(nbs.StoreUnavailable, match="is read-only"):
                erase(store)
