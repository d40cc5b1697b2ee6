"""The end of a write-ahead log: told where it cannot be read, and nowhere else."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

import nbsessions as nbs
from nbsessions.stores.sqlite import PAGE_SIZE
from tests.conftest import add

FRAME = 24 + PAGE_SIZE
CUT = r"The end of .* cannot be read: what was written last before a crash may be missing\."


def left_behind(path: Path, target: Path) -> Path:
    """Copy a database and its log as they are on the disk now, as a crash leaves them."""
    for name in ("", "-wal"):
        shutil.copy(f"{path}{name}", f"{target}{name}")
    return target


@pytest.fixture
def crashed(path: Path, tmp_path: Path) -> Path:
    """A database whose process died: most of it is in its log."""
    with nbs.open_store(path) as store:
        session = store.create("plan")
        for number in range(10):
            add(session, str(number))
        return left_behind(path, tmp_path / "crashed.db")


def log_of(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


def message_count(path: Path) -> int:
    with nbs.open_store(path) as store:
        return store.resume("plan").message_count


def test_a_log_that_is_whole_is_read_without_a_word(crashed: Path) -> None:
    assert message_count(crashed) == 10


@pytest.mark.parametrize("seed", range(20))
def test_a_flipped_byte_in_the_log_is_told(crashed: Path, seed: int) -> None:
    log, chance = log_of(crashed), random.Random(seed)
    data = bytearray(log.read_bytes())
    # Not in the last frame alone: somewhere in what the last three messages wrote, or before.
    data[chance.randrange(len(data) - FRAME)] ^= 1 << chance.randrange(8)
    log.write_bytes(data)
    with pytest.warns(RuntimeWarning, match=CUT):
        store = nbs.open_store(crashed)
    store.close()
    assert log.with_name(f"{log.name}.1.bak").read_bytes() == data


def test_what_is_written_afterwards_is_kept_and_nothing_is_told_any_more(crashed: Path) -> None:
    log = log_of(crashed)
    data = bytearray(log.read_bytes())
    data[-3 * FRAME] ^= 1
    log.write_bytes(data)
    with pytest.warns(RuntimeWarning, match=CUT):
        store = nbs.open_store(crashed)
    with store:
        add(store.resume("plan"), "and on")
        before = store.resume("plan").message_count
    assert message_count(crashed) == before == 10


def _half_written(log: Path) -> None:
    os.truncate(log, log.stat().st_size - FRAME - 100)


def _without_its_last_page(log: Path) -> None:
    """Let a process die between the header of the last frame and its page."""
    data = log.read_bytes()
    log.write_bytes(data[:-PAGE_SIZE] + bytes(PAGE_SIZE))


def _undone(log: Path) -> None:
    """Let a transaction that was undone leave pages in the log: more of them than fit into memory."""
    path = log.with_name(log.name.removesuffix("-wal"))
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA wal_autocheckpoint = 0")
        db.execute("PRAGMA cache_size = 5")
        db.execute("BEGIN")
        db.execute("CREATE TABLE much AS SELECT randomblob(4000) AS a FROM turns, heads")
        db.execute("ROLLBACK")
        left_behind(path, path.with_name("left.db"))
    for name in ("", "-wal"):
        shutil.move(path.with_name(f"left.db{name}"), f"{path}{name}")


def _begun_anew(log: Path) -> None:
    """Let a log begin anew, with frames of the one before behind its end."""
    path = log.with_name(log.name.removesuffix("-wal"))
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()
        db.execute("UPDATE search_state SET stale = 0")
        left_behind(path, path.with_name("left.db"))
    for name in ("", "-wal"):
        shutil.move(path.with_name(f"left.db{name}"), f"{path}{name}")


@pytest.mark.parametrize("happened", [_half_written, _without_its_last_page, _undone, _begun_anew])
def test_what_a_crash_leaves_is_no_damage(crashed: Path, happened: Callable[[Path], None]) -> None:
    happened(log_of(crashed))
    assert log_of(crashed).stat().st_size > FRAME
    assert message_count(crashed) in (9, 10)


@pytest.fixture
def beside(path: Path) -> Iterator[nbs.Store]:
    """Another connection, which keeps the log there."""
    with nbs.open_store(path) as store:
        yield store


def test_a_log_in_use_is_no_damage(path: Path, beside: nbs.Store) -> None:
    add(beside.create("plan"), "0")
    assert message_count(path) == 1
    # The log is all in the file, and begins anew with the next write.
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()
    assert message_count(path) == 1
    add(beside.resume("plan"), "1")
    assert message_count(path) == 2
