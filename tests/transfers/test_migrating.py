"""All that a store has, put into another one."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

import nbsessions as nbs
from nbsessions import InvalidInput, Store
from nbsessions.cli import main
from nbsessions.stores.base import Document, Key, Query
from nbsessions.transfers.migrating import migrate
from tests.conftest import STUCK_SECONDS
from tests.lived import assert_same, lived
from tests.postgres import Server

Url = Callable[[str], str]


@pytest.fixture
def url(tmp_path: Path, postgres: Server) -> Url:
    def url(kind: str) -> str:
        if kind == "postgresql":
            return postgres.url(f"migrating_{tmp_path.name}")
        if kind == "file":
            return f"file:{tmp_path}/sessions"
        return str(tmp_path / f"{kind}.db")

    return url


def filled(store: Store) -> None:
    plan = lived(store)
    plan.fork("way")
    store.backend.put_documents(plan.key, [Document("notes", "a", "{}")])
    store.create("peer", conversation_id="c1", session_id=plan.session_id)
    gone = store.create("gone")
    gone.send("Hello", agent=lambda prompt: "Hi")
    store.delete("gone")
    nbs.Store(store.backend, owner="bob").create("plan", agent_name="helper").send(
        "Hello", agent=lambda prompt: "Hi"
    )


@pytest.mark.parametrize(
    ("source", "target"),
    [("one", "two"), ("one", "postgresql"), ("postgresql", "two"), ("one", "file"), ("file", "two")],
)
def test_all_is_the_same_there(url: Url, source: str, target: str) -> None:
    place = url(target)
    with nbs.open_store(url(source)) as here:
        filled(here)
        result = here.migrate_to(place)
        assert (result.copied, result.present, result.spent, result.ok) == (4, 0, 1, True)
        with nbs.open_store(place) as there:
            everywhere = Query(conversation_id=None)
            assert there.backend.find(everywhere) == here.backend.find(everywhere)
            for record in here.backend.find(everywhere):
                conversation, sid = record.conversation_id, record.session_id
                stood = [one.resume(sid, conversation_id=conversation) for one in (there, here)]
                assert_same(*stood)
                documents = [one.backend.documents(one.key) for one in stood]
                assert documents[0] == documents[1]
            assert {run.run_id for run in there.backend.runs()} == {r.run_id for r in here.backend.runs()}
            spent = [sum(run.usage.input_tokens for run in s.backend.runs()) for s in (here, there)]
            assert spent[0] == spent[1]
        again = here.migrate_to(place)
        assert (again.copied, again.present, again.spent, again.ok) == (0, 4, 0, True)


def test_documents_that_did_not_arrive_are_brought_along_the_next_time(url: Url) -> None:
    with nbs.open_store(url("one")) as here, nbs.open_store(url("two")) as there:
        plan = here.create("plan")
        migrate(here.backend, there.backend)
        here.backend.put_documents(plan.key, [Document("notes", "a", "{}")])
        for _ in range(2):
            assert migrate(here.backend, there.backend).ok
        assert there.backend.documents(plan.key) == here.backend.documents(plan.key)


def test_what_is_new_since_is_brought_along(url: Url) -> None:
    with nbs.open_store(url("one")) as here:
        filled(here)
        here.migrate_to(url("two"))
        here.resume("way").send("More", agent=lambda prompt: "Yes")
        here.create("new")
        result = here.migrate_to(url("two"))
        assert (result.copied, result.present, result.ok) == (2, 3, True)
        with nbs.open_store(url("two")) as there:
            assert there.resume("way").messages == here.resume("way").messages


def test_what_went_another_way_there_is_not_written_over(url: Url) -> None:
    with nbs.open_store(url("one")) as here, nbs.open_store(url("two")) as there:
        lived(here)
        migrate(here.backend, there.backend)
        there.resume("plan").add_message({"role": "user", "content": "theirs"})
        here.resume("plan").add_message({"role": "user", "content": "ours"})
        migrate(here.backend, there.backend)
        assert there.resume("plan").messages[-1].text == "theirs"
        assert there.resume("plan (fork)").messages[-1].text == "ours"
        assert there.verify().ok


def test_a_name_that_is_taken_there_is_told(url: Url) -> None:
    with nbs.open_store(url("one")) as here, nbs.open_store(url("two")) as there:
        here.create("plan")
        here.create("other")
        there.create("plan")
        result = migrate(here.backend, there.backend)
        assert (result.copied, len(result.refused), result.ok) == (1, 1, False)
        assert "plan" in result.refused[0]
        assert "refused: plan" in str(result)


def test_a_damaged_session_stays_behind_and_is_named(url: Url) -> None:
    import sqlite3

    with nbs.open_store(url("one")) as here:
        here.create("good").add_message({"role": "user", "content": "good"})
        here.create("bad").add_message({"role": "user", "content": "bad"})
    db = sqlite3.connect(url("one"))
    db.execute("UPDATE turns SET body = replace(body, 'bad', 'BAD')")
    db.commit()
    db.close()
    with nbs.open_store(url("one")) as here:
        result = here.migrate_to(url("two"))
    assert (result.copied, len(result.refused)) == (1, 1)
    assert "bad" in result.refused[0]
    assert "damaged" in result.refused[0]


def test_a_session_that_cannot_be_read_at_all_is_named_as_well(url: Url) -> None:
    import sqlite3

    with nbs.open_store(url("one")) as here:
        for name in ("good", "bad"):
            here.create(name, state={"step": name}).send("Hi", agent=lambda prompt: "Hi")
    db = sqlite3.connect(url("one"))
    db.execute("UPDATE states SET body = replace(body, 'bad', 'BAD')")
    db.execute("UPDATE runs SET started_at = 1 WHERE id = 1")
    db.commit()
    db.close()
    with nbs.open_store(url("one")) as here:
        result = here.migrate_to(url("two"))
    assert (result.copied, len(result.refused), result.ok) == (1, 2, False)
    assert "state" in result.refused[0]
    assert "Run" in result.refused[1]


def _stop() -> int:
    raise KeyboardInterrupt


def test_what_was_spent_comes_along_though_it_was_stopped(url: Url, monkeypatch: pytest.MonkeyPatch) -> None:
    with nbs.open_store(url("one")) as here, nbs.open_store(url("two")) as there:
        filled(here)
        with monkeypatch.context() as patched:
            calls = iter([lambda: 0, _stop])
            patched.setattr(there.backend, "delete", lambda keys: next(calls)())
            with pytest.raises(KeyboardInterrupt):
                migrate(here.backend, there.backend)
        assert len(there.backend.find(Query(owner="deleted"))) == 1
        result = migrate(here.backend, there.backend)
        assert (result.present, result.ok) == (4, True)
        assert len(there.backend.find(Query(conversation_id=None))) == 4
        assert sorted(run.run_id for run in there.backend.runs() if not run.session_id) == sorted(
            run.run_id for run in here.backend.runs() if not run.session_id
        )


KILLED = """
    import os, sys, nbsessions as nbs
    from nbsessions.transfers import migrating
    gather, count = migrating.gather, 0
    def dying(*args):
        global count
        count += 1
        if count == 8:
            os.kill(os.getpid(), 9)
        return gather(*args)
    migrating.gather = dying
    with nbs.open_store(sys.argv[1]) as store:
        store.migrate_to(sys.argv[2])
"""


def test_after_a_kill_it_goes_on(url: Url) -> None:
    with nbs.open_store(url("one")) as here:
        for number in range(20):
            lived(here, f"plan {number}")
        code = [sys.executable, "-c", textwrap.dedent(KILLED), url("one"), url("two")]
        done = subprocess.run(code, capture_output=True, timeout=STUCK_SECONDS)
        assert done.returncode == -9, done.stderr
        with nbs.open_store(url("two")) as there:
            assert len(there.list(None)) == 7
            assert there.verify().ok
        result = here.migrate_to(url("two"))
        assert (result.copied, result.present, result.ok) == (13, 7, True)
        with nbs.open_store(url("two")) as there:
            for record in here.list(None):
                assert there.backend.get(Key.of(record)) == record


def test_the_command_line_says_what_became_of_it(url: Url, capsys: pytest.CaptureFixture[str]) -> None:
    with nbs.open_store(url("one")) as here:
        here.create("plan")
    assert main(["migrate", url("one"), url("two")]) == 0
    assert capsys.readouterr().out == ("1 session was copied.\n0 turns, 1 session and 0 runs are whole.\n")
    assert main(["migrate", url("one"), url("one")]) == 1
    assert "into itself" in capsys.readouterr().err
    assert main(["migrate", url("nowhere"), url("two")]) == 1
    assert "there is no such store" in capsys.readouterr().err
    assert not Path(url("nowhere")).exists()


def test_a_store_is_not_migrated_into_itself() -> None:
    with nbs.open_store("memory:") as store, pytest.raises(InvalidInput):
        migrate(store.backend, store.backend)
