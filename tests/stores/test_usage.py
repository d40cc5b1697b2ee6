"""What is added up by day, held against the runs: damage is told, and the right figures are given."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Thread

import pytest

import nbsessions as nbs
from nbsessions import Store, Usage
from nbsessions.stores.base import Bundle, Key, Spending
from nbsessions.testing.contract.usage import spent
from nbsessions.testing.samples import a_record, a_run, inserted
from tests.postgres import Server

_USAGE = Usage(input_tokens=3, output_tokens=1, requests=1, unpriced_tokens=4)
_BY_DAY = Spending(by=("day", "model"))
_FLIPS = (
    "input_tokens = 4",
    "model = 'n'",
    "runs = 2",
    "cost = 1",
    "costs = 1",
    "day = day + 1",
    "seal = 1",
    "day = 1000000000000",
    "day = 'x'",
    "runs = 'x'",
    "model = x'ff'",
)


@pytest.fixture
def key(sqlite_store: Store) -> Key:
    key = inserted(sqlite_store.backend)
    spent(sqlite_store.backend, key, model="m", usage=_USAGE)
    return key


def damage(path: Path, change: str) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(f"UPDATE usage_daily SET {change}")


@pytest.mark.parametrize("change", _FLIPS)
def test_what_is_damaged_is_told_and_added_up_from_the_runs(
    sqlite_store: Store, path: Path, key: Key, change: str
) -> None:
    expected = sqlite_store.backend.usage(_BY_DAY)
    damage(path, change)
    with pytest.warns(RuntimeWarning, match=r"Usage of .*: what is added up is not what its runs spent"):
        assert sqlite_store.backend.usage(_BY_DAY) == expected
    found = sqlite_store.verify()
    assert [damage.what for damage in found.damages if "rebuild_usage() adds it up again" in damage.what]
    assert sqlite_store.rebuild_usage() == 1
    assert sqlite_store.backend.usage(_BY_DAY) == expected
    assert sqlite_store.verify().ok


def test_what_is_missing_is_found_by_verify(sqlite_store: Store, path: Path, key: Key) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("DELETE FROM usage_daily")
    assert not sqlite_store.verify().ok
    sqlite_store.rebuild_usage()
    assert sqlite_store.verify().ok


def test_a_damage_goes_on_to_be_told_when_more_is_spent(sqlite_store: Store, path: Path, key: Key) -> None:
    damage(path, "input_tokens = 4")
    spent(sqlite_store.backend, key, model="m", usage=_USAGE)
    with pytest.warns(RuntimeWarning, match="what is added up is not"):
        (total,) = sqlite_store.backend.usage(_BY_DAY)
    assert (total.runs, total.usage) == (2, _USAGE + _USAGE)


def test_many_who_spend_at_once_are_all_counted(postgres_url: str, postgres: Server) -> None:
    """They all add to the same row, in transactions that hold sessions of their own."""
    each, threads = 20, 4
    with nbs.open_store(postgres_url) as store:
        keys = [inserted(store.backend, f"s{number}") for number in range(threads)]

        def work(key: Key) -> None:
            for _ in range(each):
                spent(store.backend, key, model="m", usage=_USAGE)

        workers = [Thread(target=work, args=(key,)) for key in keys]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        (total,) = store.backend.usage(Spending(by=("model",)))
        assert (total.group, total.runs) == (("m",), each * threads)
        assert total.usage.input_tokens == 3 * each * threads
        assert store.verify().ok


def test_an_older_journal_of_files_knows_what_has_no_price() -> None:
    from nbsessions.stores.file.model import _usage

    assert _usage([3, 1, 0, 0, 0, 1, None]) == _USAGE
    assert _usage([3, 1, 0, 0, 0, 1, "0.5"]).unpriced_tokens == 0


def test_sessions_that_come_in_at_once_do_not_wait_for_each_other_for_ever(postgres: Server) -> None:
    url = postgres.url(postgres.new_schema())

    def bring(name: str, models: range) -> None:
        with nbs.open_store(url) as store:
            for number in range(8):
                key = Key("", f"{name}-{number}")
                runs = [a_run(key, model=f"m{n}", status="completed", usage=_USAGE) for n in models]
                store.backend.restore(Bundle(a_record(key.session_id), runs=runs))

    nbs.open_store(url).close()
    with ThreadPoolExecutor(4) as pool:
        orders = {"a": range(60), "b": range(59, -1, -1), "c": range(60), "d": range(59, -1, -1)}
        for done in [pool.submit(bring, name, models) for name, models in orders.items()]:
            done.result()
    with nbs.open_store(url) as store:
        assert [total.runs for total in store.backend.usage(Spending())] == [4 * 8 * 60]
        assert store.backend.check() == []
