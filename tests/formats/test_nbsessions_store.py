"""Sessions of another store file."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

import nbsessions as nbs
from nbsessions import FormatError
from tests.lived import assert_same, lived

VERSIONS = Path(__file__).parent.parent / "stores" / "versions"


def test_all_sessions_of_another_store_come(tmp_path: Path) -> None:
    with nbs.open_store(tmp_path / "theirs.db") as theirs, nbs.open_store(tmp_path / "ours.db") as ours:
        plan = lived(theirs)
        plan.fork("way")
        report = ours.import_(tmp_path / "theirs.db")
        assert [record.name for record in report] == ["plan", "way"]
        for name in ("plan", "way"):
            assert_same(ours.resume(name), theirs.resume(name))
        assert ours.import_(tmp_path / "theirs.db").present == 2
        # Also of a store that is open here, itself included.
        assert ours.import_(tmp_path / "ours.db").present == 2
        ours.create("more")
        assert ours.verify().ok


@pytest.mark.parametrize("version", ["v1.db", "v2.db"])
def test_a_store_of_an_earlier_version_stays_as_it_is(tmp_path: Path, version: str) -> None:
    shutil.copy(VERSIONS / version, tmp_path / "old.db")
    before = (tmp_path / "old.db").read_bytes()
    with nbs.open_store(tmp_path / "ours.db") as ours:
        assert len(ours.import_(tmp_path / "old.db")) > 0
        assert ours.verify().ok
    assert (tmp_path / "old.db").read_bytes() == before
    assert not list(tmp_path.glob("old.db*.bak"))


def test_a_damaged_session_stays_behind_and_is_named(tmp_path: Path) -> None:
    with nbs.open_store(tmp_path / "theirs.db") as theirs:
        for name in ("good", "bad"):
            theirs.create(name).add_message({"role": "user", "content": name})
    db = sqlite3.connect(tmp_path / "theirs.db")
    db.execute("UPDATE turns SET body = replace(body, 'bad', 'BAD')")
    db.commit()
    db.close()
    with nbs.open_store("memory:") as ours:
        report = ours.import_(tmp_path / "theirs.db")
        assert [record.name for record in report] == ["good"]
        assert "bad stays behind" in report.files[0].notes[0]


def test_a_store_of_a_later_version_is_refused(tmp_path: Path) -> None:
    nbs.open_store(tmp_path / "theirs.db").close()
    db = sqlite3.connect(tmp_path / "theirs.db")
    db.execute("PRAGMA user_version = 99")
    db.close()
    with (
        nbs.open_store("memory:") as ours,
        pytest.raises(FormatError, match="it was written by a newer nbsessions"),
    ):
        ours.import_(tmp_path / "theirs.db")


def test_a_folder_that_is_a_store_comes_whole(tmp_path: Path) -> None:
    url = f"file:{tmp_path / 'logs' / 'their sessions'}"
    with nbs.open_store(url) as theirs, nbs.open_store("memory:") as ours:
        plan = lived(theirs)
        theirs.create(session_id="peer", conversation_id="c1")
        report = ours.import_(tmp_path / "logs")
        assert sorted(record.label for record in report) == ["peer", "plan"]
        assert_same(ours.resume("plan"), plan)
        assert ours.import_(tmp_path / "logs" / "their sessions").present == 2


def test_sessions_are_exported_as_a_store_of_their_own(tmp_path: Path) -> None:
    with nbs.open_store("memory:") as ours:
        plan = lived(ours)
        way = plan.fork("way")
        path = ours.export(["plan", "way"], tmp_path / "shared.db")
        assert [each.name for each in tmp_path.iterdir()] == ["shared.db"]
        with nbs.open_store(path) as theirs:
            assert theirs.verify().ok
            assert_same(theirs.resume("plan"), plan)
            assert_same(theirs.resume("way"), way)
        with pytest.raises(nbs.InvalidInput, match="exists already"):
            ours.export("plan", path)
