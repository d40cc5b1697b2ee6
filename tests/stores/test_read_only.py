"""A store on a disk that cannot be written here, while somebody writes it elsewhere."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import nbsessions as nbs
from nbsessions import StoreUnavailable
from nbsessions.stores import sqlite
from tests.conftest import Python, texts
from tests.disks import SmallDisk

ADD = """
import sys, nbsessions as nbs
store = nbs.open_store(sys.argv[1])
session = store.get("plan")
for text in sys.argv[3:]:
    session.add_message({"role": "user", "content": text})
if sys.argv[2] == "stays":
    print("ready", flush=True)
    sys.stdin.readline()
store.close()
"""


def test_what_is_written_while_the_disk_is_writable_is_seen(small_disk: SmallDisk, python: Python) -> None:
    path = small_disk.folder / "agents.db"
    python(ADD, path, "goes", "one")
    small_disk.protect()
    with nbs.open_store(path) as store:
        assert texts(store.resume("plan")) == ["one"]
        for number in range(3):
            small_disk.unprotect()
            python(ADD, path, "goes", f"more {number} {'x' * 20_000}")
            small_disk.protect()
            assert store.resume("plan").message_count == number + 2
            assert len(store.resume("plan").messages) == number + 2
            assert store.verify().ok
            assert len(store.search("more")) == number + 1
        with pytest.raises(StoreUnavailable, match="is read-only"):
            store.create("other")


def test_a_writer_on_another_mount_is_seen_while_it_writes_and_after(
    small_disk: SmallDisk, tmp_path: Path, python: Python
) -> None:
    if not small_disk.mounted:
        pytest.skip("nothing can be mounted here")
    path, mirror = small_disk.folder / "agents.db", tmp_path / "mirror"
    python(ADD, path, "goes", "one")
    small_disk.mirror(mirror)
    with nbs.open_store(mirror / "agents.db") as store:
        assert texts(store.resume("plan")) == ["one"]
        for number in range(3):
            writer = python.start(ADD, path, "stays", str(number))
            assert writer.stdout is not None
            assert writer.stdout.readline() == "ready\n"
            assert texts(store.resume("plan")) == ["one", *map(str, range(number + 1))]
            python.finish(writer, "\n")
            assert texts(store.resume("plan")) == ["one", *map(str, range(number + 1))]
        assert store.verify().ok


def test_another_file_in_its_place_is_seen(small_disk: SmallDisk, tmp_path: Path, python: Python) -> None:
    path = small_disk.folder / "agents.db"
    python(ADD, path, "goes", "one")
    python(ADD, tmp_path / "new.db", "goes", "a new one")
    small_disk.protect()
    with nbs.open_store(path) as store:
        assert texts(store.resume("plan")) == ["one"]
        small_disk.unprotect()
        (small_disk.folder / "new.db").write_bytes((tmp_path / "new.db").read_bytes())
        os.replace(small_disk.folder / "new.db", path)
        assert texts(store.resume("plan")) == ["a new one"]
        path.write_text("no database " * 1000)
        with pytest.raises(StoreUnavailable, match="no database"):
            store.list()


def test_a_log_that_cannot_be_read_here_is_told_of(small_disk: SmallDisk, python: Python) -> None:
    path = small_disk.folder / "agents.db"
    python(ADD, path, "goes", "one")
    small_disk.protect()
    with nbs.open_store(path) as store:
        assert texts(store.resume("plan")) == ["one"]
        small_disk.unprotect()
        (small_disk.folder / "agents.db-wal").write_bytes(b"a log that a machine left which died")
        small_disk.protect()
        with pytest.raises(StoreUnavailable, match=r"its last turns are in agents\.db-wal"):
            store.resume("plan")


def test_what_changes_in_the_middle_of_a_read_is_not_returned(small_disk: SmallDisk, python: Python) -> None:
    path = small_disk.folder / "agents.db"
    python(ADD, path, "goes", "one")
    small_disk.protect()
    with nbs.open_store(path) as store:
        assert isinstance(store.backend, sqlite.SQLiteBackend)
        with pytest.raises(StoreUnavailable, match="was changed while it was read"):  # noqa: PT012, SIM117
            with store.backend._reading() as db:
                db.execute("SELECT count(*) FROM turns").fetchone()
                small_disk.unprotect()
                python(ADD, path, "goes", "two")
        assert texts(store.resume("plan")) == ["one", "two"]
