from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import nbsessions as nbs
from nbsessions import InvalidInput, NotOwner, Session, Store, Verification
from nbsessions.runner import new_run
from nbsessions.stores.base import Backend
from nbsessions.testing import ScriptedAgent
from nbsessions.values import micros, now
from tests.conftest import add, texts


def names(store: Store) -> set[str | None]:
    return {record.name for record in store.list(None, conversation_id="*")}


def aged(store: Store, name: str, days: int) -> None:
    """Let a session have changed last so many days ago."""
    session = store.create(name)
    store.backend.update(session.key, {}, micros(now() - timedelta(days=days)))


# Prune


def test_pruning_by_age(store: Store) -> None:
    for name, days in (("old", 40), ("older", 400), ("new", 1)):
        aged(store, name, days)
    assert [record.name for record in store.prune(older_than="30d")] == ["old", "older"]
    assert names(store) == {"new"}
    assert store.prune(older_than=timedelta(days=1000)) == []


def test_pruning_by_number_keeps_the_newest(store: Store) -> None:
    for days in (3, 1, 2):
        aged(store, f"{days}", days)
    store.prune(keep=1)
    assert names(store) == {"1"}


def test_pruning_empty_ones_spares_drafts(store: Store) -> None:
    add(store.create("full"), "Hello")
    store.create("empty")
    add(store.create("draft", autosave=False), "Hello")
    store.prune(empty=True)
    assert names(store) == {"full", "draft"}


def test_pruning_empty_ones_spares_a_prompt_that_was_not_answered(store: Store) -> None:
    for name, script in (("failed", ValueError("no")), ("cleared", "Hi")):
        with suppress(nbs.RunFailed):
            store.create(name).send("A prompt of an hour's work", agent=ScriptedAgent([script]))
    store.resume("cleared").clear_history()
    store.prune(empty=True)
    assert names(store) == {"failed"}


def test_criteria_hold_together(store: Store) -> None:
    for name, days in (("old", 40), ("older", 50), ("new", 1)):
        aged(store, name, days)
    add(store.resume("older"), "Hello")
    store.backend.update(store.resume("older").key, {}, micros(now() - timedelta(days=50)))
    assert [record.name for record in store.prune(older_than="30d", empty=True)] == ["old"]
    assert names(store) == {"older", "new"}
    assert store.prune(older_than="30d", keep=5) == []


def test_pruning_spares_tags_agents_owners_conversations_and_who_answers(store: Store) -> None:
    store.create("tagged", tags=["keep", "draft"])
    store.create("others", agent_name="poet")
    store.create("a2a", conversation_id="c1")
    busy = store.create("busy")
    store.backend.start_run(new_run(busy, "local", "Hello"))
    store.create("gone")
    store.owner = "bob"
    store.create("bobs")
    store.owner = "ada"
    assert [r.name for r in store.prune(keep=0, keep_tags=["keep"], agent_name="local")] == ["gone"]
    assert names(store) == {"tagged", "others", "a2a", "busy", "bobs"}


class Late:
    """A store to which something happens after it was looked at, and before it deletes."""

    def __init__(self, backend: Backend, does: Callable[[], object]) -> None:
        self._backend, self._does = backend, does

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def delete(self, *args: Any, **options: Any) -> int:
        self._does()
        return self._backend.delete(*args, **options)


CHANGES: dict[str, Callable[[Session], object]] = {
    "turn": lambda session: add(session, "Hello"),
    "draft": lambda session: add(session, "Hello"),
    "tag": lambda session: session.tag("keep"),
    "state": lambda session: setattr(session, "state", {"a": 1}),
    "run": lambda session: session.backend.start_run(new_run(session, "local", "Hello")),
    "new one": lambda session: (
        session.backend.delete([session.key]),
        session.backend.insert(session.record),
    ),
}


@pytest.mark.parametrize("how", CHANGES)
def test_one_that_changes_while_others_are_pruned_stays(store: Store, how: str) -> None:
    for name in ("a", "changed", "b"):
        aged(store, name, 40)
    changed = store.resume("changed", autosave=how != "draft")
    if how == "new one":
        changed.record = changed.record.model_copy(update={"updated_at": now()})
    store.backend = Late(store.backend, lambda: CHANGES[how](changed))  # type: ignore[assignment]
    assert [record.name for record in store.prune(older_than="30d")] == ["b", "a"]
    assert names(store) == {"changed"}


def test_a_dry_run_deletes_nothing(store: Store) -> None:
    store.create("plan")
    assert [record.name for record in store.prune(empty=True, dry_run=True)] == ["plan"]
    assert names(store) == {"plan"}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"dry_run": True},
        {"keep_tags": ["a"]},
        {"keep": -1},
        {"keep": 1.5},
        {"older_than": "yesterday"},
        {"older_than": "30"},
        {"older_than": 30},
        {"older_than": "-3d"},
        {"empty": True, "keep_tags": "draft"},
    ],
)
def test_pruning_by_nothing_or_by_nonsense_is_refused(store: Store, options: dict[str, Any]) -> None:
    store.create("plan")
    with pytest.raises(InvalidInput):
        store.prune(**options)
    assert names(store) == {"plan"}


# Owners


def test_another_owners_sessions_cannot_be_changed(store: Store) -> None:
    session = store.create("plan", tags=["a"], state={"step": 1})
    add(session, "Hello")
    store.owner = "bob"
    theirs = store.resume("plan")
    assert texts(theirs) == ["Hello"]
    asked: list[str] = []
    calls = (
        lambda: theirs.add_message({"role": "user", "content": "1"}),
        lambda: theirs.send("Hello", agent=lambda prompt: asked.append(prompt) or "Hi"),  # type: ignore[func-returns-value]
        lambda: theirs.rewind(0),
        lambda: theirs.clear_history(),
        lambda: theirs.undo(),
        lambda: theirs.rename("mine"),
        lambda: theirs.tag("b"),
        lambda: theirs.untag("a"),
        lambda: theirs.checkpoint("here"),
        lambda: theirs.redact(0),
        lambda: setattr(theirs, "state", {}),
        lambda: setattr(theirs, "metadata", {}),
        lambda: setattr(theirs, "messages", []),
        lambda: theirs.save("mine"),
        lambda: store.delete("plan"),
        lambda: store.rename("plan", "mine"),
        lambda: store.save(theirs.record.model_copy(update={"tags": []})),
        lambda: store.delete_all([theirs.record]),
    )
    before = session.record
    for call in calls:
        with pytest.raises(NotOwner, match=r"belongs to 'ada': nothing was changed\. `fork` gives you one"):
            call()
    assert store.clear("local", confirm=True) == 0
    assert store.prune(keep=0) == []
    assert asked == []
    store.owner = "ada"
    assert store.resume("plan").record == before


def test_a_fork_of_anothers_session_is_ones_own(store: Store) -> None:
    add(store.create("plan"), "Hello")
    store.owner = "bob"
    fork = store.resume("plan").fork()
    assert (fork.name, fork.owner) == ("plan (fork)", "bob")
    add(fork, "And now?")
    assert store.delete("plan (fork)")


# Collecting


def test_collecting_keeps_all_that_can_be_reached(store: Store) -> None:
    session = store.create("plan")
    add(session, "1", "2", "3")
    session.checkpoint("three")
    session.rewind(1)
    fork = session.fork("other")
    add(fork, "4")
    doomed = store.create("doomed")
    add(doomed, "5", "6")
    store.delete("doomed")
    assert store.gc() == 2
    assert store.gc() == 0
    session.undo()
    assert (texts(session), texts(store.resume("other"))) == (["1", "2", "3"], ["1", "4"])
    assert store.verify().ok


def test_collecting_leaves_an_answer_its_base(store: Store) -> None:
    session = store.create("plan")
    add(session, "1")

    def meanwhile(prompt: str) -> str:
        store.delete("plan")
        store.gc()
        return "Hi"

    session.send("2", agent=meanwhile)
    assert texts(session) == ["1", "2", "Hi"]
    assert session.name == "plan (fork)"


# Verifying


def test_a_whole_store_is_told_so(store: Store) -> None:
    session = store.create("plan")
    add(session, "1")
    session.send("2", agent=lambda prompt: "Hi")
    result = store.verify()
    assert (result.ok, str(result)) == (True, "2 turns, 1 session and 1 run are whole.")
    assert isinstance(result, Verification)


def test_a_redacted_message_is_no_damage(store: Store) -> None:
    session = store.create("plan")
    add(session, "1", "2")
    session.redact(0)
    session.redact(-1)
    assert store.verify().ok


# Backing up


def test_a_backup_opens_as_a_store(sqlite_store: Store, tmp_path: Path) -> None:
    session = sqlite_store.create("plan", state={"step": 1})
    session.send("Hello", agent=lambda prompt: "Hi")
    session.checkpoint("here")
    path = sqlite_store.backup(tmp_path / "copy.db")
    add(session, "later")
    assert path.stat().st_mode & 0o777 == 0o600
    with nbs.open_store(path) as copy:
        again = copy.resume("plan")
        assert texts(again) == ["Hello", "Hi"]
        assert [checkpoint.name for checkpoint in again.checkpoints()] == ["here"]
        assert [run.status for run in again.runs()] == ["completed"]
        assert copy.verify().ok


def test_a_backup_overwrites_nothing(sqlite_store: Store, tmp_path: Path) -> None:
    path = tmp_path / "copy.db"
    path.write_text("mine")
    with pytest.raises(InvalidInput, match=r"exists already\. Choose another file"):
        sqlite_store.backup(path)
    with pytest.raises(nbs.StoreUnavailable):
        sqlite_store.backup(tmp_path / "nowhere" / "copy.db")
    assert path.read_text() == "mine"
    assert [one.name for one in tmp_path.iterdir() if ".part" in one.name] == []


def test_what_has_no_backup_says_so() -> None:
    with pytest.raises(InvalidInput, match="cannot be backed up"):
        nbs.open_store("memory:").backup("copy.db")


def test_a_postgresql_store_is_backed_up_into_a_file(postgres_store: Store, tmp_path: Path) -> None:
    session = postgres_store.create("plan", state={"step": 1}, tags=["ä\ue4f0"])
    session.send("Hello\0 there", agent=lambda prompt: "Hi")
    session.checkpoint("here")
    session.kv()["a"] = "b\0"
    fork = session.fork("other")
    fork.rewind(1)
    postgres_store.search("hello")
    draft = postgres_store.create("draft", autosave=False)
    add(draft, "unsaved")
    path = postgres_store.backup(tmp_path / "my copy.db")
    assert [one.name for one in tmp_path.iterdir() if one.name.startswith("my copy")] == ["my copy.db"]
    with nbs.open_store(path) as copy:
        for name in ("plan", "other", "draft"):
            ours, theirs = postgres_store.resume(name, draft=True), copy.resume(name, draft=True)
            assert (theirs.messages, theirs.state, theirs.log()) == (ours.messages, ours.state, ours.log())
            assert theirs.record == ours.record
            assert theirs.checkpoints() == ours.checkpoints()
            assert dict(theirs.kv()) == dict(ours.kv())
            assert theirs.runs() == ours.runs()
        assert copy.verify().ok
        assert [hit.number for hit in copy.search("hello")] == [1]
        add(copy.resume("plan"), "and on")
    with pytest.raises(InvalidInput, match="exists already"):
        postgres_store.backup(path)


@pytest.mark.parametrize("links", [True, False])
def test_a_backup_overwrites_nothing_that_came_meanwhile(
    sqlite_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    def no_links(*_: object) -> None:
        raise OSError("Operation not permitted")

    if not links:
        monkeypatch.setattr(os, "link", no_links)
    fsync, target = os.fsync, tmp_path / "copy.db"

    def late(fd: int) -> None:
        fsync(fd)
        target.write_text("mine")

    monkeypatch.setattr(os, "fsync", late)
    with pytest.raises(InvalidInput, match="exists already"):
        sqlite_store.backup(target)
    assert target.read_text() == "mine"
    assert sorted(path.name for path in tmp_path.glob("copy*")) == ["copy.db"]
    monkeypatch.setattr(os, "fsync", fsync)
    with nbs.open_store(sqlite_store.backup(tmp_path / "other.db")) as copy:
        assert copy.verify().ok
    assert not list(tmp_path.glob("*.part"))
