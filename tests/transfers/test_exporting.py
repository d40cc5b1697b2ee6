"""Files that are written: whole or not at all, and over nothing that is there."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import nbsessions as nbs
from nbsessions import DamagedTurn, InvalidInput, SessionNotFound, Store, StoreUnavailable
from nbsessions.transfers.exporting import written
from tests.lived import lived


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with nbs.open_store(tmp_path / "agents.db") as store:
        lived(store)
        yield store


def test_a_file_that_is_there_stays(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text("mine")
    with pytest.raises(InvalidInput, match="exists already"):
        store.export("plan", path)
    assert path.read_text() == "mine"
    assert store.export("plan", path, overwrite=True) == path
    assert json.loads(path.read_text())["format"] == "nbsessions"


def test_a_link_is_replaced_and_what_it_leads_to_stays(store: Store, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "plan.json").symlink_to(tmp_path / "mine")
    store.export("plan", tmp_path / "plan.json", overwrite=True)
    assert (tmp_path / "mine").read_text() == "mine"
    assert not (tmp_path / "plan.json").is_symlink()


@pytest.mark.parametrize("name", ["plan.docx", "plan", "plan.json.gz"])
def test_a_suffix_that_says_nothing_is_refused(store: Store, tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidInput, match="No format is written to"):
        store.export("plan", tmp_path / name)
    assert not (tmp_path / name).exists()
    assert store.export("plan", tmp_path / name, format="jsonl").exists()


def test_what_is_not_there_is_refused(store: Store, tmp_path: Path) -> None:
    with pytest.raises(SessionNotFound):
        store.export("nowhere", tmp_path / "a.json")
    with pytest.raises(StoreUnavailable, match="Cannot write"):
        store.export("plan", tmp_path / "no" / "such" / "a.json")
    assert sorted(path.name for path in tmp_path.glob("*.json")) == []


def _write(
    path: Path, *, fail_with: type[BaseException] | None = None, meanwhile: bytes | None = None
) -> None:
    with written(path, overwrite=False) as file:
        file.write(b"half")
        if fail_with is not None:
            raise fail_with
        if meanwhile is not None:
            path.write_bytes(meanwhile)


def test_a_writer_that_fails_leaves_nothing(tmp_path: Path) -> None:
    for error in (ValueError, KeyboardInterrupt, OSError):
        with pytest.raises((error, StoreUnavailable)):
            _write(tmp_path / "a.txt", fail_with=error)
    assert list(tmp_path.iterdir()) == []


def test_who_was_first_keeps_the_name(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with pytest.raises(InvalidInput, match="exists already"):
        _write(path, meanwhile=b"first")
    assert path.read_bytes() == b"first"
    assert [found.name for found in tmp_path.iterdir()] == ["a.txt"]


def test_a_damaged_turn_is_named_and_not_written(store: Store, tmp_path: Path) -> None:
    turn = store.resume("plan").turns[0]
    store.close()
    import sqlite3

    with sqlite3.connect(tmp_path / "agents.db") as db:
        db.execute(
            "UPDATE turns SET body = replace(body, 'brief', 'long') WHERE turn_id = ?", (turn.turn_id,)
        )
    db.close()
    with nbs.open_store(tmp_path / "agents.db") as again, pytest.raises(DamagedTurn, match=turn.turn_id):
        again.export("plan", tmp_path / "plan.json")
    assert not (tmp_path / "plan.json").exists()


def test_a_folder_gets_a_file_for_each(store: Store, tmp_path: Path) -> None:
    for session_id in ("a/b", "a b", "A B", "..", "x" * 200):
        store.create(session_id=session_id)
    folder = tmp_path / "out"
    folder.mkdir()
    store.export(store.list(None), folder, format="jsonl")
    assert len(list(folder.iterdir())) == 6
    assert {path.suffix for path in folder.iterdir()} == {".jsonl"}
    with nbs.open_store("memory:") as other:
        assert len(other.import_(folder)) == 6
        assert {record.session_id for record in other.list()} == {r.session_id for r in store.list()}


def test_it_can_be_read_by_those_who_may_read_what_is_made_here(store: Store, tmp_path: Path) -> None:
    mask = os.umask(0o027)
    try:
        path = store.export("plan", tmp_path / "plan.json")
    finally:
        os.umask(mask)
    assert path.stat().st_mode & 0o777 == 0o640
