from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import nbsessions as nbs
from nbsessions import (
    DamagedTurn,
    NbsessionsError,
    Store,
    StoreTooNew,
    StoreUnavailable,
)
from nbsessions.stores import sqlite
from nbsessions.stores.sqlite import SQLiteBackend
from nbsessions.testing.samples import a_finish, a_run
from tests.conftest import Python, add, texts
from tests.disks import SmallDisk


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def _query(path: Path, sql: str) -> Any:
    with closing(sqlite3.connect(path)) as db:
        return db.execute(sql).fetchone()[0]


# The file


def test_only_its_owner_can_read_it(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with nbs.open_store(tmp_path / "new" / "agents.db") as store:
            add(store.create("plan"), "Hello")
            store.create("open").send("Hello", agent=lambda prompt: "Hi")
            modes = {file.name: _mode(file) for file in (tmp_path / "new").iterdir()}
    finally:
        os.umask(before)
    assert _mode(tmp_path / "new") == 0o700
    assert modes.pop("agents.db") == 0o600
    assert set(modes.values()) == {0o600}


def test_a_folder_that_is_there_is_left_as_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    folder.mkdir(mode=0o755)
    folder.chmod(0o755)
    nbs.open_store(folder / "agents.db").close()
    assert _mode(folder) == 0o755
    assert _mode(folder / "agents.db") == 0o600


def test_closing_leaves_one_file_and_its_lock(path: Path, sqlite_store: Store) -> None:
    add(sqlite_store.create("plan"), "Hello")
    sqlite_store.close()
    sqlite_store.close()
    assert {file.name for file in path.parent.iterdir() if file.is_file()} <= {path.name, f"{path.name}.lock"}
    assert _query(path, "PRAGMA integrity_check") == "ok"
    with pytest.raises(StoreUnavailable, match="closed"):
        sqlite_store.list()


def test_the_file_says_what_it_is(path: Path, sqlite_store: Store) -> None:
    sqlite_store.create("plan")
    sqlite_store.close()
    assert path.read_bytes()[68:72] == b"nbse"  # the application id, where `file` looks for it
    assert _query(path, "PRAGMA application_id") == sqlite.APPLICATION_ID
    assert _query(path, "PRAGMA user_version") == len(sqlite.MIGRATIONS)
    assert _query(path, "PRAGMA page_size") == sqlite.PAGE_SIZE
    assert _query(path, "PRAGMA journal_mode") == "wal"


@pytest.mark.parametrize(("option", "level"), [("", 2), ("?synchronous=normal", 1), ("?synchronous=full", 2)])
def test_connections_are_set_up_as_designed(path: Path, option: str, level: int) -> None:
    with nbs.open_store(f"sqlite:///{path}{option}") as store:
        assert isinstance(store.backend, SQLiteBackend)

        def pragma(name: str) -> Any:
            return db.execute(f"PRAGMA {name}").fetchone()[0]

        with store.backend._writing() as db:
            assert pragma("foreign_keys") == 1
            assert pragma("trusted_schema") == 0
            assert pragma("journal_mode") == "wal"
            assert pragma("busy_timeout") == 30_000
            assert pragma("synchronous") == level
        with store.backend._writing(durable=False) as db:
            assert pragma("synchronous") == 1
        with store.backend._writing() as db:
            assert pragma("synchronous") == level


# What is not ours, or no longer whole, is refused and left as it is


def _foreign(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE mine (x)")
        db.execute("INSERT INTO mine VALUES (1)")
        db.commit()


def _foreign_wal(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA application_id = 1")
        db.execute("CREATE TABLE sessions (x)")
        db.commit()


def _newer(path: Path) -> None:
    with nbs.open_store(path) as store:
        add(store.create("plan"), "Hello")
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 99")


def _text(path: Path) -> None:
    path.write_text("Dear diary, this is no database at all.\n" * 200)


def _zeroed(path: Path) -> None:
    path.write_bytes(bytes(8192))


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (_foreign, StoreUnavailable, "another program"),
        (_foreign_wal, StoreUnavailable, "another program"),
        (_newer, StoreTooNew, "schema 99"),
        (_text, StoreUnavailable, "no database"),
        (_zeroed, StoreUnavailable, "no database|damaged"),
    ],
)
def test_a_file_that_is_not_ours_is_refused_untouched(
    tmp_path: Path, make: Callable[[Path], None], error: type[NbsessionsError], says: str
) -> None:
    path = tmp_path / "folder" / "theirs.db"
    path.parent.mkdir()
    make(path)
    before = _files(path.parent)
    with pytest.raises(error, match=says) as caught:
        nbs.open_store(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert _files(path.parent) == before


def test_a_file_that_was_cut_off_is_refused_untouched(path: Path) -> None:
    with nbs.open_store(path) as store:
        add(store.create("plan"), *("Hello " * 1000 for _ in range(20)))
    cut = path.read_bytes()[: sqlite.PAGE_SIZE * 2 + 100]
    path.write_bytes(cut)
    with pytest.raises(StoreUnavailable, match="damaged") as caught, nbs.open_store(path) as store:
        add(store.create("more"), "Hello")
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == cut


def test_an_empty_file_becomes_a_store(path: Path) -> None:
    """It may be one whose process died while it was made."""
    path.touch(0o600)
    with nbs.open_store(path) as store:
        store.create("plan")


@pytest.mark.parametrize("kind", ["a folder", "below a file", "below nothing"])
def test_a_place_where_no_file_can_be_is_one_line(tmp_path: Path, kind: str) -> None:
    (tmp_path / "file").write_text("x")
    place = {
        "a folder": tmp_path,
        "below a file": tmp_path / "file" / "agents.db",
        "below nothing": Path("/proc/nowhere/agents.db"),
    }[kind]
    with pytest.raises(StoreUnavailable) as caught:
        nbs.open_store(place)
    assert str(place) in str(caught.value)
    assert "\n" not in str(caught.value)


# One damaged byte


def _flip(path: Path, found: bytes, replacement: bytes) -> None:
    """Damage the file itself, as a disk would; nobody has it open."""
    data = path.read_bytes()
    assert data.count(found) == 1
    path.write_bytes(data.replace(found, replacement))


@pytest.fixture(params=[b"sEcond answer", b"\xffecond answer"], ids=["another letter", "no text"])
def damaged(request: pytest.FixtureRequest, path: Path) -> Iterator[tuple[Store, str]]:
    """A store whose second of three turns of "plan" is damaged, and the id of that turn."""
    with nbs.open_store(path) as store:
        store.create("other").send("Hello", agent=lambda prompt: "fine")
        session = store.create("plan")
        for number in ("first", "second", "third"):
            session.send(f"{number}?", agent=lambda prompt, number=number: f"{number} answer")
        turn_id = session.turns[1].turn_id
    _flip(path, b'"content":"second answer"', b'"content":"' + request.param + b'"')
    with nbs.open_store(path) as store:
        yield store, turn_id


def test_a_damaged_turn_is_named(damaged: tuple[Store, str]) -> None:
    store, turn_id = damaged
    session = store.resume("plan")
    for call in (
        lambda: session.messages,
        lambda: session.turns,
        session.visible,
        lambda: session.history(4),
    ):
        with pytest.raises(DamagedTurn) as caught:
            call()
        assert caught.value.turn_id == turn_id
        assert turn_id in str(caught.value)
        assert "rewind" in str(caught.value)


def test_the_rest_of_the_store_stays_readable(damaged: tuple[Store, str]) -> None:
    store, _ = damaged
    assert {record.name for record in store.list()} == {"plan", "other"}
    assert texts(store.resume("other")) == ["Hello", "fine"]
    assert store.resume("plan").message_count == 6
    assert texts(store.resume("plan").history(2)) == ["third?", "third answer"]


@pytest.mark.parametrize("to", [0, 1, 2])
def test_earlier_turns_stay_readable_by_rewinding(damaged: tuple[Store, str], to: int) -> None:
    store, _ = damaged
    session = store.rewind("plan", to)
    assert texts(session) == ["first?", "first answer"][:to]
    assert session.send("Again", agent=lambda prompt: "Hi").status == "completed"
    assert texts(store.resume("plan")) == [*["first?", "first answer"][:to], "Again", "Hi"]


@pytest.mark.parametrize("at", [0, 1, 2])
def test_earlier_turns_stay_readable_by_forking(damaged: tuple[Store, str], at: int) -> None:
    store, _ = damaged
    assert texts(store.fork("plan", "saved", at=at)) == ["first?", "first answer"][:at]


def test_undoing_goes_back_before_the_damage(damaged: tuple[Store, str]) -> None:
    store, _ = damaged
    session = store.resume("plan")
    session.undo()
    session.undo()
    assert texts(session) == ["first?", "first answer"]


def test_runs_stay_readable_beside_a_damaged_turn(damaged: tuple[Store, str]) -> None:
    store, turn_id = damaged
    with pytest.warns(RuntimeWarning, match=f"was asked cannot be read. Turn {turn_id}"):
        runs = store.runs("plan")
    assert [run.status for run in runs] == ["completed"] * 3
    assert (runs[0].prompt, runs[2].prompt) == ("first?", "third?")
    assert all(store.events(run.run_id) for run in runs)


def test_a_damaged_turn_is_not_sent_to_an_agent(damaged: tuple[Store, str]) -> None:
    store, turn_id = damaged
    asked: list[str] = []
    with pytest.raises(DamagedTurn, match=turn_id):
        store.resume("plan").send("Hello", agent=asked.append)
    assert asked == []


def test_a_turn_that_was_moved_elsewhere_is_damaged(path: Path) -> None:
    """The hash covers the parent, too: nobody slips another history under a turn."""
    with nbs.open_store(path) as store:
        session = store.create("plan")
        add(session, "1", "2", "3")
        turns = session.turns
    with closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE turns SET parent = 1 WHERE turn_id = ?", (turns[2].turn_id,))
        db.commit()
    with nbs.open_store(path) as store, pytest.raises(DamagedTurn, match=turns[2].turn_id):
        _ = store.resume("plan").messages


# A place that cannot be written to

READ_ONLY = """
import os, sys
import nbsessions as nbs, nbsessions.session, nbsessions.stores.sqlite
path, what = sys.argv[1:]
nbs.open_store("memory:").get("plan").add_message({"role": "user", "content": "to import all that is needed"})
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)  # root may write everywhere
def attempt():
    with nbs.open_store(path) as store:
        if what == "read":
            print(store.resume("plan").messages[0].text)
        else:
            store.get("plan").add_message({"role": "user", "content": "more"})
try:
    attempt()
except nbs.StoreUnavailable as error:
    print(error)
"""


@pytest.fixture
def foreign_place() -> Iterator[Path]:
    """A folder outside of pytest's own, which only its owner may enter."""
    import shutil
    import tempfile

    folder = Path(tempfile.mkdtemp(prefix="nbsessions-"))
    folder.chmod(0o755)
    yield folder
    for one in (folder, *folder.iterdir()):
        one.chmod(0o700)
    shutil.rmtree(folder)


def _made_read_only(folder: Path) -> Path:
    path = folder / "agents.db"
    with nbs.open_store(path) as store:
        add(store.create("plan"), "Hello")
    for file in folder.iterdir():
        file.chmod(0o444)
    folder.chmod(0o555)
    return path


def test_a_read_only_file_says_so(foreign_place: Path, python: Python) -> None:
    path = _made_read_only(foreign_place)
    before = path.read_bytes()
    said = python(READ_ONLY, path, "write")
    assert str(path) in said
    assert "read-only" in said or "permission" in said.lower()
    assert said.count("\n") == 1
    assert path.read_bytes() == before


def test_a_read_only_file_in_a_writable_folder_says_so(foreign_place: Path, python: Python) -> None:
    path = _made_read_only(foreign_place)
    foreign_place.chmod(0o777)
    before = path.read_bytes()
    said = python(READ_ONLY, path, "write")
    assert str(path) in said
    assert "read-only" in said or "permission" in said.lower()
    assert said.count("\n") == 1
    assert path.read_bytes() == before


def test_a_read_only_folder_says_so(foreign_place: Path, python: Python) -> None:
    foreign_place.chmod(0o555)
    said = python(READ_ONLY, foreign_place / "agents.db", "write")
    assert str(foreign_place) in said
    assert "permission" in said.lower()
    assert said.count("\n") == 1


def test_a_disk_that_is_read_only_says_so(small_disk: SmallDisk) -> None:
    path = small_disk.folder / "agents.db"
    with nbs.open_store(path) as store:
        add(store.create("plan"), "Hello")
    small_disk.protect()
    for place in (path, small_disk.folder / "new.db", small_disk.folder / "new" / "agents.db"):
        with pytest.raises(StoreUnavailable) as caught, nbs.open_store(place) as store:
            add(store.get("plan"), "more")
        assert str(place) in str(caught.value)
        assert "\n" not in str(caught.value)


# A disk that is full


def test_a_full_disk_says_so_and_loses_nothing(small_disk: SmallDisk) -> None:
    with nbs.open_store(small_disk.folder / "agents.db") as store:
        session = store.create("plan")
        add(session, "1", "2")
        small_disk.fill()
        calls: list[Callable[[], object]] = [
            lambda: add(session, "x" * 100_000),
            lambda: setattr(session, "state", {"a": "x" * 100_000}),
            lambda: store.create("more", metadata={"a": "x" * 100_000}),
        ]
        for call in calls:
            with pytest.raises(StoreUnavailable) as caught:
                call()
            assert "\n" not in str(caught.value)
            if small_disk.mounted:
                assert "full" in str(caught.value)
            assert texts(store.resume("plan")) == texts(session) == ["1", "2"]
        assert len(store.list()) == 1
        small_disk.free()
        add(session, "3")
        assert texts(store.resume("plan")) == ["1", "2", "3"]
    with nbs.open_store(small_disk.folder / "agents.db") as store:
        assert texts(store.resume("plan")) == ["1", "2", "3"]
    assert _query(small_disk.folder / "agents.db", "PRAGMA integrity_check") == "ok"


def test_a_store_on_a_full_disk_can_be_read_and_closed(small_disk: SmallDisk) -> None:
    path = small_disk.folder / "agents.db"
    with nbs.open_store(path) as store:
        add(store.create("plan"), "1", "2")
    small_disk.fill()
    try:
        with nbs.open_store(path) as store:
            assert texts(store.resume("plan")) == ["1", "2"]
    except StoreUnavailable as error:  # there may be no room for the shared index of the log
        assert "\n" not in str(error)  # noqa: PT017
    small_disk.free()
    with nbs.open_store(path) as store:
        assert texts(store.resume("plan")) == ["1", "2"]


def test_no_store_can_be_made_on_a_full_disk(small_disk: SmallDisk) -> None:
    small_disk.fill()
    with pytest.raises(StoreUnavailable) as caught:
        nbs.open_store(small_disk.folder / "agents.db")
    assert "\n" not in str(caught.value)
    small_disk.free()
    with nbs.open_store(small_disk.folder / "agents.db") as store:
        store.create("plan")


# Locked by another program


def test_a_locked_store_says_so(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.05)
    with nbs.open_store(path) as store, closing(sqlite3.connect(path, isolation_level=None)) as other:
        session = store.create("plan")
        add(session, "1")
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="locked"):
            add(session, "2")
        assert texts(store.resume("plan")) == ["1"]  # reading goes on
        other.execute("ROLLBACK")
        add(session, "2")
        assert texts(store.resume("plan")) == ["1", "2"]


# Processes that die or fork


def test_what_was_acknowledged_survives_a_kill(path: Path, python: Python) -> None:
    code = """
import sys, nbsessions as nbs
session = nbs.open_store(sys.argv[1]).create("plan")
number = 0
while True:
    session.add_message({"role": "user", "content": str(number)})
    print(number, flush=True)
    number += 1
"""
    process = python.start(code, path)
    assert process.stdout is not None
    said = [process.stdout.readline() for _ in range(20)]
    process.kill()
    said += process.stdout.read().splitlines(keepends=True)
    process.wait()
    acknowledged = [line.strip() for line in said if line.endswith("\n")]
    with nbs.open_store(path) as store:
        found = texts(store.resume("plan"))
        assert found[: len(acknowledged)] == acknowledged
        assert len(found) <= len(acknowledged) + 1  # one more may have been written, and not yet told
        assert store.resume("plan").message_count == len(found)
        add(store.resume("plan"), "more")
    assert _query(path, "PRAGMA integrity_check") == "ok"


def test_async_agents_answer_in_a_forked_child(path: Path, python: Python) -> None:
    code = """
import os, sys, nbsessions as nbs

async def agent(prompt):
    return prompt.upper()

store = nbs.open_store(sys.argv[1])
store.create("plan").send("Hello", agent=agent)  # starts the loop of async agents
child = os.fork()
if child == 0:
    try:
        store.create("child").send("Hello", agent=agent)
        os._exit(0)
    finally:
        os._exit(1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""
    python(code, path)
    with nbs.open_store(path) as store:
        assert texts(store.resume("child")) == ["Hello", "HELLO"]


def test_two_stores_on_one_file_in_one_process(path: Path) -> None:
    with nbs.open_store(path) as one, nbs.open_store(path) as two:
        add(one.create("plan"), "1")
        add(two.resume("plan"), "2")
        two.close()
        add(one.resume("plan"), "3")
        assert texts(one.resume("plan")) == ["1", "2", "3"]


def test_a_run_that_ends_meanwhile_is_among_the_last(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with nbs.open_store(path) as store, nbs.open_store(path) as other:
        key = store.create("plan").key
        run = a_run(key)
        store.backend.start_run(run)
        left, fetch = [run], SQLiteBackend._fetch

        def fetch_and_end(backend: SQLiteBackend, db: Any, sql: str, params: Any) -> list[Any]:
            rows = fetch(backend, db, sql, params)
            if "FROM runs" in sql and left:
                other.backend.finish_run(a_finish(left.pop(), "failed"))
            return rows

        monkeypatch.setattr(SQLiteBackend, "_fetch", fetch_and_end)
        assert [one.run_id for one in store.backend.runs(key, last=1)] == [run.run_id]
        assert not left


@pytest.mark.parametrize("replaced", [False, True])
def test_nothing_is_saved_into_a_file_that_is_gone(tmp_path: Path, replaced: bool) -> None:
    path = tmp_path / "agents.db"
    with nbs.open_store(path) as store:
        session = store.create("plan")
        for file in tmp_path.iterdir():
            file.unlink()
        if replaced:
            nbs.open_store(path).close()
        with pytest.raises(nbs.StoreUnavailable, match="was removed or replaced while it was open"):
            session.send("Hello", agent=lambda prompt: "Hi")
        assert store.resume("plan").message_count == 0
        assert path.exists() is replaced
