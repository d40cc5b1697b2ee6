"""Databases of every earlier version, as they were written then, come up to date and tell the same."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import nbsessions as nbs
from nbsessions import StoreTooNew, StoreUnavailable, Usage
from nbsessions.stores import sqlite
from nbsessions.stores._shape import SHAPE, shape
from nbsessions.stores.base import Spending
from tests.conftest import Python, texts
from tests.disks import SmallDisk

VERSIONS = Path(__file__).parent / "versions"
FILES = sorted(VERSIONS.glob("*.db"))


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of a database of an earlier version."""
    return Path(shutil.copy(request.param, tmp_path / request.param.name))


def told(path: Path) -> dict[str, Any]:
    """Return what a store tells, as it was told when the database was written."""
    found: dict[str, Any] = {}
    with nbs.open_store(path) as store:
        for record in store.list(None, conversation_id="*"):
            options = {"conversation_id": record.conversation_id}
            session = store.resume(record.session_id, draft=True, **options)  # type: ignore[arg-type]
            runs = session.runs()
            found[f"{record.conversation_id or ''}/{record.name}"] = {
                "record": record.model_dump(mode="json"),
                "messages": [message.to_dict() for message in session.messages],
                "log": [entry.action for entry in session.log()],
                "runs": [run.status for run in runs],
                "events": [len(session.run_events(run.run_id)) for run in runs],
                "state": session.state,
            }
    return found


def test_there_is_one_of_every_earlier_version() -> None:
    assert [path.stem for path in FILES] == [f"v{number}" for number in range(1, len(sqlite.MIGRATIONS))]


def test_a_database_of_an_earlier_version_tells_the_same(old: Path) -> None:
    expected = json.loads((VERSIONS / f"{old.stem}.json").read_text())
    assert told(old) == expected
    assert told(old) == expected


def test_it_can_do_what_is_new(old: Path) -> None:
    with nbs.open_store(old) as store:
        session = store.resume("other way")
        session.checkpoint("here")
        session.kv()["a"] = 1
        assert [hit.session.name for hit in store.search("monad functor*")] == []
        assert {hit.session.name for hit in store.search("monad")} == {"research"}
        assert {hit.session.name for hit in store.search('"another way"')} == {"other way"}
        # Deleted before there was any index: nobody is to find it.
        assert store.search("delete") == []
        assert store.gc() == 1
        assert store.verify().ok
        session.send("And now?", agent=lambda prompt: "Now this")
        assert texts(session.rewind("here"))[-1] == "Answer to Another way"
        store.resume("research").redact(0)
        assert store.verify().ok
        drafted = store.resume("drafty", draft=True)
        drafted.save()
        assert (drafted.notice, texts(store.resume("drafty"))) == (None, ["unsaved", "Answer to unsaved"])


def test_what_was_spent_before_is_added_up(tmp_path: Path) -> None:
    old = Path(shutil.copy(VERSIONS / "v3.db", tmp_path / "old.db"))
    with nbs.open_store(old) as store:
        found = store.backend.usage(Spending(by=("day", "model", "provider")))
        spent = {total.group: total.usage for total in found if total.usage.requests}
        session = store.resume("research")
        assert session.usage == sum((run.usage for run in session.runs()), Usage())
        assert store.verify().ok
    days = date(2026, 3, 1), date(2026, 3, 2)
    assert spent == {
        (days[0], "large-1", "openai"): Usage(
            input_tokens=100, output_tokens=20, cache_read_tokens=40, reasoning_tokens=5, requests=2,
            cost=Decimal("0.0125"),
        ),
        (days[1], "small-1", None): Usage(input_tokens=7, output_tokens=3, requests=1, unpriced_tokens=10),
        # Its session was deleted.
        (days[1], "large-1", "openai"): Usage(
            input_tokens=1000, output_tokens=200, cache_write_tokens=10, requests=1, cost=Decimal("0.25")
        ),
    }  # fmt: skip


def test_it_is_kept_as_it_was(old: Path) -> None:
    before = old.read_bytes()
    version = old.stem.removeprefix("v")
    nbs.open_store(old).close()
    backup = old.with_name(f"{old.name}.v{version}.bak")
    assert backup.stat().st_mode & 0o777 == 0o600
    with closing(sqlite3.connect(backup)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (int(version),)
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert old.read_bytes() != before
    # The backup is a database of that version, which comes up to date as well.
    moved = backup.rename(backup.with_name("again.db"))
    expected = json.loads((VERSIONS / f"v{version}.json").read_text())
    assert told(moved) == expected


def test_a_current_database_is_not_backed_up(path: Path) -> None:
    for _ in range(2):
        nbs.open_store(path).close()
    assert [one.name for one in path.parent.iterdir() if "bak" in one.name] == []


def test_many_that_open_it_at_once_migrate_it_once(old: Path, python: Python) -> None:
    code = "import sys, nbsessions as nbs\nwith nbs.open_store(sys.argv[1]) as store: print(len(store.list(None)))"
    processes = [python.start(code, old) for _ in range(6)]
    assert {python.finish(process) for process in processes} == {"3\n"}


def test_a_migration_that_fails_changes_nothing(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = (*sqlite.MIGRATIONS[:-1], (*sqlite.MIGRATIONS[-1], "CREATE NONSENSE"))
    monkeypatch.setattr(sqlite, "MIGRATIONS", broken)
    with pytest.raises(StoreUnavailable):
        nbs.open_store(old)
    monkeypatch.undo()
    expected = json.loads((VERSIONS / f"{old.stem}.json").read_text())
    assert told(old) == expected


def test_a_disk_without_room_for_the_backup_leaves_it_as_it_was(small_disk: SmallDisk) -> None:
    old = Path(shutil.copy(FILES[0], small_disk.folder / "old.db"))
    before = old.read_bytes()
    small_disk.fill()
    with pytest.raises(StoreUnavailable):
        nbs.open_store(old)
    small_disk.free()
    assert old.read_bytes() == before
    assert told(old) == json.loads((VERSIONS / "v1.json").read_text())


def test_an_old_database_that_is_read_only_says_what_to_do(small_disk: SmallDisk) -> None:
    old = Path(shutil.copy(FILES[0], small_disk.folder / "old.db"))
    small_disk.protect()
    with pytest.raises(
        StoreUnavailable, match=r"of an older version of nbsessions\. Copy it to where it can"
    ):
        nbs.open_store(old)


def test_a_newer_database_is_refused_untouched(path: Path) -> None:
    nbs.open_store(path).close()
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version = {len(sqlite.MIGRATIONS) + 1}")
    before = path.read_bytes()
    with pytest.raises(StoreTooNew, match="was written by a newer nbsessions"):
        nbs.open_store(path)
    assert path.read_bytes() == before


def test_all_databases_have_one_shape(old: Path, path: Path) -> None:
    for one in (old, path):
        nbs.open_store(one).close()
        with closing(sqlite3.connect(one)) as db:
            assert shape(db) == SHAPE, f"With a new schema, _shape.SHAPE becomes {shape(db):#010x}."
