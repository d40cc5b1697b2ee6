"""Connections that break, servers that restart, and many at work: nothing is lost, nothing is there twice."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from typing import Any

import psycopg
import pytest

import nbsessions as nbs
from nbsessions import Store, StoreUnavailable
from nbsessions.bundles import gather
from nbsessions.stores import _pg_pool
from nbsessions.stores import postgres as module
from nbsessions.stores._pg_pool import Link
from nbsessions.stores._pg_url import parse
from nbsessions.stores.base import Change, Key, Visit
from nbsessions.testing import SPENT, a_finish, a_move, a_run, a_turn
from nbsessions.values import micros, now
from tests.conftest import Python, add, texts
from tests.interrupts import CtrlC, Signal
from tests.postgres import Server
from tests.stores.test_pool import in_a_thread
from tests.stores.test_writers import ENDS, FORK, append, in_threads

_TRANSACTION = {one.__file__ or "" for one in (_pg_pool, module)}


class Outage:
    """Breaks the connection of a store at some of its statements, before the server got it or after it did."""

    def __init__(self, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        self._server, self._mutex = server, threading.Lock()
        self._offset, self._each, self._after, self._count = 0, 0, False, 0
        self.struck: list[str] = []
        for name in ("run", "execute"):
            monkeypatch.setattr(Link, name, self._breaking(getattr(Link, name)))

    def strike(self, offset: int, each: int, *, after: bool) -> None:
        """Strike at the statement number `offset` from now on, and at `each` so many from there."""
        self._offset, self._each, self._after, self._count = offset, each, after, 0

    def _breaking(self, statement: Callable[..., Any]) -> Callable[..., Any]:
        def run(link: Link, sql: str, *params: Any) -> Any:
            with self._mutex:
                self._count += 1
                strikes = self._each and self._count % self._each == self._offset
            if not strikes:
                return statement(link, sql, *params)
            self.struck.append(sql)
            if self._after:
                statement(link, sql, *params)
            self._server.end(link.db.info.backend_pid)
            return statement(link, sql, *params)  # which the server does not get

        return run


@pytest.fixture
def outage(postgres: Server, monkeypatch: pytest.MonkeyPatch) -> Outage:
    return Outage(postgres, monkeypatch)


def _failing(prompt: str) -> str:
    raise ValueError("no idea")


def _life(store: Store, name: str) -> tuple[object, ...]:
    """Do something of everything, and return what is stored then."""
    session = store.create(name, state={"step": 0})
    key, backend = Key.of(session.record), store.backend
    add(session, "one", "two")
    session.state = {"step": 1}
    session.send("Hello", agent=lambda prompt: "Hi")
    with pytest.raises(nbs.RunFailed):
        session.send("Hello", agent=_failing)
    session.rewind(1)
    session.undo()
    run = a_run(key)
    backend.start_run(run)
    backend.append_events(run.run_id, [("A", "{}"), ("B", "{}")], first=0)
    backend.finish_run(a_finish(run, "failed", usage=SPENT))
    store.tag(name, "a")
    fork = session.fork(f"{name} fork")
    add(fork, "more")
    store.rename(f"{name} fork", f"{name} renamed")
    several = [Change(one.key, {"name": f"{name} {n}"}) for n, one in enumerate((session, fork))]
    assert len(backend.update_all(several, micros(now()))) == 2
    back = {session.key: name, fork.key: f"{name} renamed"}
    assert len(backend.update_all([Change(one, {"name": back[one]}) for one in back], micros(now()))) == 2
    paid = a_run(Key.of(fork.record))
    backend.start_run(paid)
    turn = a_turn()
    head = store.record(f"{name} renamed").head
    forked = backend.move(a_move(Key.of(fork.record), turn, head, finish=a_finish(paid, usage=SPENT)))
    session.clear_history()
    draft = store.resume(name, autosave=False)
    add(draft, "draft")
    draft.save()
    backend.visit("ada", f"/{name}.ipynb", Visit(key), 1)
    store.create(f"{name} gone")
    assert store.delete(f"{name} gone")
    end = store.resume(name)
    return (
        texts(end),
        [(entry.action, entry.message_count, entry.state) for entry in end.log()],
        [(run.status, run.event_count, len(store.events(run.run_id))) for run in end.runs()],
        (end.record.usage, end.tags, end.state),
        (forked.usage, [entry.action for entry in store.resume(f"{name} renamed").log()]),
        (backend.last_visit("ada", f"/{name}.ipynb") or Visit(Key("", ""))).key == key,
        [record.name for record in store.list(None) if (record.name or "").startswith(name)],
    )


def _rows(server: Server, url: str) -> dict[str, int]:
    schema = parse(url).schema
    tables = ("sessions", "heads", "turns", "states", "runs", "events", "visits")
    with server.connect() as db:
        found = {table: db.execute(f"SELECT count(*) FROM {schema}.{table}").fetchone() for table in tables}
    return {table: int(str(row[0])) for table, row in found.items() if row}


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_connection_that_breaks_at_any_statement_loses_and_repeats_nothing(
    postgres: Server, postgres_url: str, outage: Outage, after: bool
) -> None:
    each = 37  # more than any one call needs, so that each statement is met, and no call for ever
    with nbs.open_store(postgres_url) as store:
        expected = _life(store, "n00")
        rows = _rows(postgres, postgres_url)
        for offset in range(each):
            # Now at one distance, now at another: a retry moves all that follows, and would always pass the same.
            outage.strike(offset, each + offset % 6, after=after)
            found = _life(store, f"n{offset + 1:02}")
            assert str(found).replace(f"n{offset + 1:02}", "n00") == str(expected)
    assert len(outage.struck) > 150
    assert outage.struck.count("COMMIT") > 15
    assert _rows(postgres, postgres_url) == {table: number * (each + 1) for table, number in rows.items()}


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_session_that_is_restored_meanwhile_is_there_once(
    postgres_url: str, outage: Outage, after: bool
) -> None:
    with nbs.open_store("memory:") as other:
        session = other.create("plan", state={"step": 0})
        session.send("Hello", agent=lambda prompt: "Hi")
        session.checkpoint("here")
        bundle = gather(session.backend, session.key)
    with nbs.open_store(postgres_url) as store:
        for statement in count(1):
            outage.struck.clear()
            outage.strike(statement, 1000, after=after)
            store.backend.restore(bundle)
            outage.strike(0, 0, after=after)
            if not outage.struck:
                break
            assert gather(store.backend, session.key) == bundle
            assert store.verify().ok
            store.delete("plan")
        assert statement > 15


def test_a_connection_that_breaks_between_calls_is_replaced(postgres: Server, postgres_store: Store) -> None:
    session = postgres_store.create("plan")
    for number in range(5):
        with postgres.connect() as db:
            ours = "SELECT pid FROM pg_stat_activity WHERE application_name = 'nbsessions'"
            pids = db.execute(ours).fetchall()
        assert pids
        for (pid,) in pids:
            postgres.end(int(str(pid)))
        add(session, str(number))
    assert texts(postgres_store.resume("plan")) == ["0", "1", "2", "3", "4"]


def test_a_commit_that_nobody_can_ask_about_says_so(
    postgres_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = postgres_store.create("plan")

    def refused(*_: object, **__: object) -> None:
        raise psycopg.OperationalError("Connection refused")

    with monkeypatch.context() as patch:
        patch.setattr(module, "RECONNECT_SECONDS", 0.2)
        run = Link.run

        def cut_off(link: Link, text: str) -> None:
            run(link, text)
            if text == "COMMIT":
                link.db.close()
                patch.setattr(psycopg, "connect", refused)
                raise psycopg.OperationalError("server closed the connection unexpectedly")

        patch.setattr(Link, "run", cut_off)
        with pytest.raises(StoreUnavailable, match="may be stored or not") as caught:
            add(session, "Hello")
        assert "nothing was saved" not in str(caught.value)
    assert texts(postgres_store.resume("plan")) == ["Hello"]


def test_a_server_that_stays_away_is_said_and_waited_for(
    postgres: Server, postgres_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = postgres_store.create("plan")
    add(session, "one")
    postgres.control("stop", "-m", "immediate")
    try:
        with monkeypatch.context() as patch:
            patch.setattr(module, "RECONNECT_SECONDS", 0.3)
            for call in (lambda: add(session, "two"), postgres_store.list):
                with pytest.raises(StoreUnavailable, match=r"Cannot reach the store .*Is its server running"):
                    call()
        later = threading.Timer(0.5, postgres.control, ["start"])
        later.start()
    except BaseException:
        postgres.control("start")
        raise
    add(session, "three")
    later.join()
    assert texts(postgres_store.resume("plan")) == ["one", "three"]


def test_a_server_that_restarts_at_once_under_load_loses_and_repeats_nothing(
    postgres: Server, postgres_store: Store
) -> None:
    stop = threading.Event()
    said: dict[int, list[str]] = {}
    postgres_store.create("plan")

    def work(thread: int) -> None:
        own = postgres_store.create(f"own {thread}", on_conflict="error")
        shared = postgres_store.resume("plan", on_conflict="error")
        said[thread] = []
        while not stop.is_set():
            text = f"{thread} {len(said[thread])}"
            own.send(text, agent=lambda prompt: "Hi")
            append(shared, text)
            said[thread].append(text)

    def restart() -> None:
        try:
            for _ in range(3):
                before = sum(map(len, said.values()))
                while sum(map(len, said.values())) < before + 20:
                    stop.wait(0.01)
                postgres.control("restart", "-m", "immediate")
        finally:
            stop.set()

    restarting = threading.Thread(target=restart)
    restarting.start()
    in_threads(4, work)
    restarting.join()
    shared = texts(postgres_store.resume("plan"))
    assert len(shared) == len({*shared}) == sum(map(len, said.values()))
    for thread, own in said.items():
        assert [text for text in shared if text.startswith(f"{thread} ")] == own
        session = postgres_store.resume(f"own {thread}")
        assert texts(session)[::2] == own
        assert texts(session)[1::2] == ["Hi"] * len(own)
        assert [run.status for run in session.runs()] == ["completed"] * len(own)
        assert len(session.log()) == len(own) + 1
        for run in session.runs():
            assert [event.seq for event in postgres_store.events(run.run_id)] == list(range(run.event_count))


# Many at work


def test_those_who_wait_for_each_other_both_go_on(postgres_store: Store) -> None:
    """Each deletes two sessions, in another order: the database ends one, which is tried again."""

    def work(thread: int) -> None:
        for number in range(20):
            records = [postgres_store.create(f"{number} {thread} {one}").record for one in "ab"]
            keys = [Key.of(record) for record in records]
            pair = [
                threading.Thread(target=postgres_store.backend.delete, args=(order,))
                for order in (keys, keys[::-1])
            ]
            for one in pair:
                one.start()
            for one in pair:
                one.join()

    in_threads(2, work)
    assert postgres_store.list() == []


# Interrupts and forks


# A connection that an interrupt drops on its way closes itself, and says so.
@pytest.mark.filterwarnings("ignore:.*was deleted while still open:ResourceWarning")
def test_an_interrupt_at_any_line_of_a_turn_leaves_a_store_that_works(
    postgres: Server, postgres_url: str
) -> None:
    with nbs.open_store(postgres_url) as store, nbs.open_store(postgres_url) as other:
        for nth in count(1):
            session = store.create(f"plan {nth}")
            add(session, "one")
            interrupt = CtrlC(nth, _TRANSACTION)
            with suppress(KeyboardInterrupt), interrupt:
                add(session, "two")
            if interrupt.where is None:
                break
            # The same thread goes on, as the cell after Ctrl-C does; then another kernel.
            add(store.resume(f"plan {nth}"), "three")
            add(other.resume(f"plan {nth}"), "four")
            found = texts(other.resume(f"plan {nth}"))
            assert found in (["one", "two", "three", "four"], ["one", "three", "four"]), interrupt.where
            with postgres.connect() as db:
                open_ones = db.execute(
                    "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'"
                ).fetchone()
            assert open_ones == (0,), interrupt.where
    assert nth > 50, "it was interrupted at every line"


@pytest.mark.filterwarnings("ignore:.*was deleted while still open:ResourceWarning")
def test_a_signal_during_a_turn_holds_up_no_other_thread(postgres_store: Store) -> None:
    files = _TRANSACTION | {threading.__file__}
    postgres_store.create("plan")
    for nth in count(1):
        session = postgres_store.resume("plan")
        interrupt = Signal(nth, files)
        with suppress(KeyboardInterrupt), interrupt:
            add(session, "one")
        if interrupt.where is None:
            break
        assert in_a_thread(lambda: add(postgres_store.resume("plan"), "two")), interrupt.where
    assert nth > 30, "it was interrupted at every call"


def test_ctrl_c_does_not_wait_for_a_lock(postgres: Server, postgres_store: Store, postgres_url: str) -> None:
    session = postgres_store.create("plan")
    schema = parse(postgres_url).schema
    with postgres.connect() as db, db.transaction():
        db.execute(f"LOCK TABLE {schema}.sessions IN EXCLUSIVE MODE")
        main = threading.main_thread().ident or 0
        ctrl_c = threading.Timer(1, signal.pthread_kill, [main, signal.SIGINT])
        ctrl_c.start()
        started = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            add(session, "one")
        assert time.monotonic() - started < 10
        ctrl_c.join()
    add(postgres_store.resume("plan"), "two")
    assert texts(postgres_store.resume("plan")) == ["two"]


@pytest.mark.parametrize("end", ENDS)
def test_a_forked_child_has_connections_of_its_own(postgres_url: str, python: Python, end: str) -> None:
    code = f"""
def server_process():
    with store.backend._reading() as db:
        return db.db.info.backend_pid

def work():
    global plan
    assert server_process() != before
    add(plan, "child")
    {end}

before = server_process()
wait(fork(work))
assert server_process() == before
"""
    python(FORK + code, postgres_url)
