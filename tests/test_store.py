from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import nbsessions as nbs
from nbsessions import (
    AmbiguousSession,
    InvalidInput,
    NbsessionsError,
    RunNotFound,
    SessionExists,
    SessionNotFound,
    Store,
)
from nbsessions.values import now
from nbsessions.workers import default_owner
from tests.conftest import add, texts


def names(store: Store, *args: Any, **options: Any) -> list[str | None]:
    return [record.name for record in store.list(*args, **options)]


# Making and finding


def test_a_new_session_is_what_was_asked_for(store: Store) -> None:
    before = now()
    session = store.create(
        "plan",
        agent_name="analyst",
        tags=["a", "b"],
        session_id="chat-7",
        metadata={"ticket": 7},
        state={"step": 1},
        conversation_id="c1",
        parent_session_id="p1",
        notebook="/home/ada/plan.ipynb",
    )
    found = store.resume("plan", conversation_id="c1")
    for one in (session, found):
        assert (one.session_id, one.name, one.agent_name, one.owner) == ("chat-7", "plan", "analyst", "ada")
        assert (one.tags, one.metadata, one.state) == (["a", "b"], {"ticket": 7}, {"step": 1})
        assert (one.conversation_id, one.record.parent_session_id) == ("c1", "p1")
        assert one.record.notebook == "/home/ada/plan.ipynb"
        assert (one.messages, one.message_count, one.turn_count, one.total_tokens) == ([], 0, 0, 0)
        assert before <= one.created_at == one.updated_at <= now()
        assert one.created_at.tzinfo is not None


def test_a_plain_session_has_defaults(store: Store) -> None:
    session = store.create()
    assert (session.name, session.agent_name, session.tags, session.metadata) == (None, "local", [], {})
    assert len(session.session_id) == 36
    assert store.create().session_id > session.session_id


def test_sessions_are_there_after_a_restart(path: Path) -> None:
    with nbs.open_store(path) as store:
        session = store.create("plan", tags=["a"], metadata={"ticket": 7})
        add(session, "Hello")
        created = session.created_at
    with nbs.open_store(path) as store:
        found = store.resume("plan")
        assert (texts(found), found.tags, found.metadata) == (["Hello"], ["a"], {"ticket": 7})
        assert found.created_at == created


def test_what_exists_is_not_made_again(store: Store) -> None:
    session = store.create("plan", session_id="chat-7")
    add(session, "Hello")
    with pytest.raises(SessionExists, match="'plan'"):
        store.create("plan")
    with pytest.raises(SessionExists, match="'chat-7'"):
        store.create(session_id="chat-7")
    assert texts(store.resume("chat-7")) == ["Hello"]
    assert len(store.list()) == 1


def test_names_are_unique_per_owner_agent_and_conversation(store: Store) -> None:
    store.create("plan")
    creations: list[Callable[[], object]] = [
        lambda: store.create("plan", agent_name="analyst"),
        lambda: store.create("plan", conversation_id="c1"),
        lambda: Store(store.backend, "bob").create("plan"),
    ]
    for create in creations:
        create()
        with pytest.raises(SessionExists):
            create()
    store.create()
    store.create()  # no name is no clash
    assert len(store.list(conversation_id="*")) == 6


def test_my_own_name_comes_before_another_owners(store: Store) -> None:
    mine = store.create("plan")
    theirs = Store(store.backend, "bob").create("plan")
    assert store.resume("plan").session_id == mine.session_id
    assert Store(store.backend, "bob").resume("plan").session_id == theirs.session_id


@pytest.mark.parametrize("bad", ["", "a\nb", "x" * 201, "\x00", "\ud800", "latest"])
def test_an_id_that_cannot_be_used_is_refused(store: Store, bad: str) -> None:
    with pytest.raises(InvalidInput):
        store.create(session_id=bad)
    if bad not in ("", "latest"):
        with pytest.raises(InvalidInput):
            store.create(conversation_id=bad)
        with pytest.raises(InvalidInput):
            store.create(agent_name=bad)
    assert store.list(conversation_id="*") == []


@pytest.mark.parametrize(
    "odd", ["a/b", "a_b", "../../etc/passwd", "a%b", "'; DROP TABLE sessions; --", "ü 😀"]
)
def test_ids_are_only_ids(store: Store, odd: str) -> None:
    others = [store.create(session_id=other) for other in ("a-b", "axb", "plain")]
    session = store.create(f"name {odd}", session_id=odd, tags=[odd])
    add(session, "Hello")
    assert texts(store.resume(odd)) == texts(store.resume(f"name {odd}")) == ["Hello"]
    assert [record.session_id for record in store.list(tag=odd)] == [odd]
    assert store.delete(odd)
    assert len(store.list()) == len(others)


# References


@pytest.fixture
def several(store: Store) -> Store:
    for name, session_id in (("one", "aa-11-xx"), ("two", "aa-22-yy"), ("aa-11-xx", "bb-33-yy")):
        store.create(name, session_id=session_id)
    return store


@pytest.mark.parametrize(
    ("ref", "found"),
    [
        ("aa-22-yy", "aa-22-yy"),  # an exact id
        ("two", "aa-22-yy"),  # an exact name
        ("aa-11-xx", "aa-11-xx"),  # an id comes before a name
        ("aa-1", "aa-11-xx"),  # a prefix
        ("bb", "bb-33-yy"),
        ("-xx", "aa-11-xx"),  # a suffix
        ("33-yy", "bb-33-yy"),
        ("latest", "bb-33-yy"),
    ],
)
def test_a_reference_finds(several: Store, ref: str, found: str) -> None:
    assert several.resume(ref).session_id == found
    assert several.record(ref).session_id == found
    assert several.fork(ref).record.parent_session_id == found


@pytest.mark.parametrize("ref", ["nowhere", "a-1", "11", "tw", "", "AA-11-XX", "aa%", "aa_11", "*"])
def test_a_reference_finds_nothing(several: Store, ref: str) -> None:
    with pytest.raises(SessionNotFound) as caught:
        several.resume(ref)
    assert caught.value.ref == ref
    assert repr(ref) in str(caught.value)


@pytest.mark.parametrize(("ref", "ids"), [("aa", {"aa-11-xx", "aa-22-yy"}), ("yy", {"aa-22-yy", "bb-33-yy"})])
def test_an_ambiguous_reference_names_the_candidates(several: Store, ref: str, ids: set[str]) -> None:
    with pytest.raises(AmbiguousSession) as caught:
        several.resume(ref)
    assert {candidate.partition(" ")[0] for candidate in caught.value.candidates} == ids
    assert all(one in str(caught.value) for one in ids)
    assert "two" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_name_of_two_agents_is_ambiguous(store: Store) -> None:
    store.create("plan", agent_name="a")
    store.create("plan", agent_name="b")
    calls: list[Callable[[], object]] = [
        lambda: store.resume("plan"),
        lambda: store.delete("plan"),
        lambda: store.rename("plan", "x"),
    ]
    for call in calls:
        with pytest.raises(AmbiguousSession):
            call()
    assert store.exists("plan")
    assert len(store.list()) == 2


@pytest.mark.parametrize("ref", ["aa-1", "-xx", "latest", "nowhere", ""])
def test_deleting_and_asking_take_exact_references_only(several: Store, ref: str) -> None:
    assert not several.exists(ref)
    with pytest.raises(SessionNotFound):
        several.delete(ref)
    assert several.delete(ref, missing_ok=True) is False
    assert len(several.list()) == 3


def test_every_operation_on_a_missing_session_says_so(store: Store) -> None:
    calls: list[Callable[[], object]] = [
        lambda: store.resume("nowhere"),
        lambda: store.resume("latest"),
        lambda: store.record("nowhere"),
        lambda: store.delete("nowhere"),
        lambda: store.fork("nowhere"),
        lambda: store.rewind("nowhere", 1),
        lambda: store.tag("nowhere", "a"),
        lambda: store.untag("nowhere", "a"),
        lambda: store.rename("nowhere", "a"),
        lambda: store.runs("nowhere"),
    ]
    for call in calls:
        with pytest.raises(SessionNotFound):
            call()
    with pytest.raises(RunNotFound):
        store.events("nowhere")


def test_latest_is_the_newest_of_owner_agent_and_conversation(store: Store) -> None:
    first = store.create("first")
    store.create("second", agent_name="analyst")
    Store(store.backend, "bob").create("theirs")
    store.create("a2a", conversation_id="c1")
    assert store.resume("latest").name == "second"
    assert store.resume().name == "second"
    assert store.resume("latest", agent_name="local").name == "first"
    assert store.resume("latest", conversation_id="c1").name == "a2a"
    add(first, "Hello")
    assert store.resume("latest").name == "first"
    with pytest.raises(SessionNotFound):
        store.resume("latest", agent_name="nobody")
    with pytest.raises(SessionNotFound):
        store.resume("latest", conversation_id="c2")


def test_latest_prefers_this_notebook(store: Store) -> None:
    store.create("here", notebook="/a.ipynb")
    store.create("there", notebook="/b.ipynb")
    store.create("nowhere")
    assert store.resume("latest", notebook="/a.ipynb").name == "here"
    assert store.resume("latest", notebook="/c.ipynb").name == "nowhere"


def test_two_conversations_may_hold_the_same_id(store: Store) -> None:
    for conversation in (None, "c1", "c2"):
        session = store.create("plan", session_id="chat", conversation_id=conversation)
        add(session, f"in {conversation}")
    for conversation in (None, "c1", "c2"):
        found = store.resume("chat", conversation_id=conversation)
        assert texts(found) == texts(store.resume("plan", conversation_id=conversation))
        assert (texts(found), found.conversation_id) == ([f"in {conversation}"], conversation)
        assert [r.conversation_id for r in store.list(conversation_id=conversation)] == [conversation]
    assert len(store.list(conversation_id="*")) == 3
    store.rewind("chat", 0, conversation_id="c1")
    store.tag("chat", "a", conversation_id="c1")
    store.rename("chat", "essay", conversation_id="c1")
    assert store.delete("chat", conversation_id="c2")
    assert not store.exists("chat", conversation_id="c2")
    top, other = store.resume("chat"), store.resume("chat", conversation_id="c1")
    assert (texts(top), top.tags, top.name) == (["in None"], [], "plan")
    assert (texts(other), other.tags, other.name) == ([], ["a"], "essay")


def test_getting_makes_what_is_missing(store: Store) -> None:
    session = store.get("chat-7", tags=["a"])
    add(session, "Hello")
    assert store.get("chat-7").messages == session.messages
    store.rename("chat-7", "plan")
    assert store.get("plan").session_id == "chat-7"
    assert store.get("chat-7", conversation_id="c1").messages == []
    assert len(store.list(conversation_id="*")) == 2


def test_getting_takes_the_options_of_a_session_also_where_it_is_there(store: Store) -> None:
    for _ in range(2):
        session = store.get("chat-7", autosave=False, on_conflict="error", max_messages=5)
        assert (session.autosave, session.on_conflict, session.max_messages) == (False, "error", 5)


# Listing


def test_sessions_are_listed_by_their_last_change(store: Store) -> None:
    sessions = {name: store.create(name) for name in "abcd"}
    assert names(store) == ["d", "c", "b", "a"]
    add(sessions["b"], "Hello")
    store.tag("a", "x")
    assert names(store) == ["a", "b", "d", "c"]
    assert names(store, 2) == ["a", "b"]
    assert names(store, limit=0) == []
    record = store.list()[1]
    assert (record.message_count, record.turn_count) == (1, 1)


def test_twenty_are_listed_unless_told(store: Store) -> None:
    for _ in range(25):
        store.create()
    assert len(store.list()) == 20
    assert len(store.list(None)) == 25


def test_a_list_can_be_narrowed(store: Store) -> None:
    store.create("a", tags=["x", "y"])
    store.create("b", agent_name="analyst", tags=["xy"])
    store.create("c", conversation_id="c1", tags=["x"])
    assert names(store, tag="x") == ["a"]
    assert names(store, tag="x", conversation_id="*") == ["c", "a"]
    assert names(store, agent_name="analyst") == ["b"]
    assert names(store, conversation_id="c1") == ["c"]
    assert names(store, agent_name="analyst", tag="x") == []
    middle = store.resume("b").updated_at
    assert names(store, since=middle) == ["b"]
    assert names(store, since=middle + timedelta(microseconds=1)) == []
    assert names(store, since=datetime(2000, 1, 1, tzinfo=UTC)) == ["b", "a"]


def test_a_bad_limit_or_time_is_refused(store: Store) -> None:
    with pytest.raises(InvalidInput, match="-1"):
        store.list(-1)
    with pytest.raises(InvalidInput, match="timezone"):
        store.list(since=datetime(2026, 1, 1))


# Changing


def test_store_and_session_do_the_same(store: Store) -> None:
    session = store.create("plan")
    add(session, "1", "2", "3")
    assert texts(store.rewind("plan", 2)) == ["1", "2"]
    assert texts(store.fork("plan", "other", at=1)) == ["1"]
    assert store.tag("plan", "a", "b").tags == ["a", "b"]
    assert store.untag("plan", "a").tags == ["b"]
    assert store.rename("plan", "essay").name == "essay"
    found = store.resume("essay")
    assert (texts(found), found.tags) == (["1", "2"], ["b"])
    with pytest.raises(SessionExists):
        store.rename("essay", "other")


def test_deleting_says_whether_it_was_there(store: Store) -> None:
    add(store.create("plan", session_id="chat-7"), "Hello")
    store.create("essay")
    assert store.exists("plan")
    assert store.exists("chat-7")
    assert store.delete("plan") is True
    assert not store.exists("plan")
    assert not store.exists("chat-7")
    assert store.delete("plan", missing_ok=True) is False
    assert names(store) == ["essay"]
    assert store.create("plan", session_id="chat-7").messages == []


def test_a_record_is_saved_as_an_upsert(store: Store) -> None:
    record = store.create("plan", session_id="chat-7").record
    changed = {"name": "essay", "tags": ["a"], "metadata": {"ticket": 7}}
    store.save(record.model_copy(update=changed))
    found = store.resume("chat-7")
    assert (found.name, found.tags, found.metadata) == ("essay", ["a"], {"ticket": 7})
    assert found.updated_at > record.updated_at
    assert found.created_at == record.created_at
    store.delete("chat-7")
    store.save(record.model_copy(update={"metadata": {"again": True}}))
    assert store.resume("plan").metadata == {"again": True}


def test_a_session_is_saved_with_its_draft(store: Store) -> None:
    session = store.create("plan", autosave=False)
    add(session, "Hello")
    store.save(session)
    assert texts(store.resume("plan")) == ["Hello"]


@pytest.mark.parametrize("make", [False, True], ids=["update", "insert"])
@pytest.mark.parametrize(
    "bad",
    [
        {"name": "latest"},
        {"name": "a\nb"},
        {"name": ""},
        {"tags": [""]},
        {"metadata": {"a": float("nan")}},
        {"metadata": {"a": object()}},
    ],
    ids=["latest", "two lines", "no name", "no tag", "NaN", "object"],
)
def test_a_record_that_cannot_be_used_is_refused(store: Store, bad: dict[str, Any], make: bool) -> None:
    record = store.create("plan").record
    before = store.list()
    more = {"session_id": "other", "name": None} if make else {}
    with pytest.raises(InvalidInput):
        store.save(record.model_copy(update=more | bad))
    assert store.list() == before


def test_clearing_needs_a_real_yes(store: Store) -> None:
    store.create("plan")
    unreal: list[Any] = [False, None, "false", "no", "true", "yes", 1, []]
    for confirm in unreal:
        with pytest.raises(InvalidInput, match="confirm=True"):
            store.clear("local", confirm=confirm)
    assert names(store) == ["plan"]


def test_clearing_deletes_one_agents_top_level_sessions_of_one_owner(store: Store) -> None:
    for _ in range(3):
        store.create()
    store.create("kept: agent", agent_name="analyst")
    store.create("kept: conversation", conversation_id="c1")
    Store(store.backend, "bob").create("kept: owner")
    assert store.clear("local", confirm=True) == 3
    assert store.clear("local", confirm=True) == 0
    assert {record.name for record in store.list(conversation_id="*")} == {
        "kept: agent",
        "kept: conversation",
        "kept: owner",
    }


def test_what_a_deleted_session_spent_stays_counted_without_names(store: Store) -> None:
    session = store.create("plan")
    run = session.send("A secret", agent=lambda prompt: "Hi", cell_id="cell")
    store.delete("plan")
    (kept,) = store.backend.runs()
    assert (kept.run_id, kept.status, kept.usage) == (run.run_id, "completed", run.usage)
    assert (kept.session_id, kept.prompt, kept.error, kept.cell_id, kept.turn_id) == (
        "",
        None,
        None,
        None,
        None,
    )
    assert store.events(run.run_id) == []


# Opening


def test_the_owner_is_who_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    assert nbs.open_store("memory:").create().owner == "ada"
    monkeypatch.setenv("JUPYTERHUB_USER", "hub")
    assert default_owner() == "ada"
    monkeypatch.delenv("NBSESSIONS_OWNER")
    assert default_owner() == "hub"
    monkeypatch.delenv("JUPYTERHUB_USER")
    monkeypatch.setenv("LOGNAME", "system")
    assert default_owner() == "system"
    monkeypatch.setattr("getpass.getuser", lambda: (_ for _ in ()).throw(KeyError("no such user")))
    assert default_owner().startswith("uid-")


def _run(session: Any) -> str:
    return str(session.runs()[0].run_id)


WRONG_TYPES: dict[str, Callable[[Store, Any], object]] = {
    "tags must be a list of texts, such as ['draft']": lambda store, _: store.create(tags="draft"),
    "A tag must be text, not int": lambda store, _: store.tag("plan", 1),  # type: ignore[arg-type]
    "A name must be text, not int": lambda store, _: store.create(5),  # type: ignore[arg-type]
    "A name must be text, not NoneType": lambda store, _: store.rename("plan", None),  # type: ignore[arg-type]
    "named by text, its id or its name, not by 3": lambda store, _: store.resume(3),  # type: ignore[arg-type]
    "named by text, its id or its name, not by None": lambda store, _: store.delete(None),  # type: ignore[arg-type]
    "limit must be a whole number, not '5'": lambda store, _: store.list(limit="5"),  # type: ignore[arg-type]
    "limit must be at least 0, not -1": lambda store, session: session.history(-1),
    "since must be a datetime": lambda store, _: store.list(since="yesterday"),  # type: ignore[arg-type]
    "save takes a Session or a SessionRecord, not int": lambda store, _: store.save(5),  # type: ignore[arg-type]
    "on_conflict is 'fork' or 'error', not 'frok'": lambda store, _: store.create(on_conflict="frok"),
    "after must be at least -1": lambda store, session: store.events(_run(session), after=-2),
    "limit must be at least 0, not -5": lambda store, session: store.events(_run(session), limit=-5),
    "max_messages must be at least 1": lambda store, _: store.resume("plan", max_messages=0),
    "messages to keep must be a whole number, not 1.5": lambda store, session: session.rewind(1.5),
    "messages to keep must be at least 0": lambda store, session: session.fork(at=-1),
    "A prompt is text, not int": lambda store, session: session.send(5, agent=str),
    "should be a valid list": lambda store, session: setattr(session, "messages", None),
}


@pytest.mark.parametrize("said", WRONG_TYPES)
def test_a_value_of_the_wrong_type_is_one_line_and_changes_nothing(store: Store, said: str) -> None:
    session = store.create("plan")
    session.send("one", agent=lambda prompt: "two")
    before = store.list()
    with pytest.raises(InvalidInput) as raised:
        WRONG_TYPES[said](store, session)
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)
    assert store.list() == before


def test_a_number_may_be_larger_than_any_store(store: Store) -> None:
    session = store.create("plan", max_messages=10**30)
    session.send("one", agent=lambda prompt: "two")
    assert session.send("three", agent=lambda prompt, history: str(len(history))).output == "2"
    assert len(session.history(10**30)) == len(store.resume("plan").history(10**30)) == 4
    assert len(store.list(10**30)) == 1
    assert store.events(_run(session), after=10**30, limit=10**30) == []


def test_text_that_no_store_holds_finds_nothing(store: Store) -> None:
    assert store.exists("\udc80") is False
    assert store.create("plan", notebook="/caf\udce9.ipynb").record.notebook == "/caf\ufffd.ipynb"
    with pytest.raises(TypeError):
        store.create("essay", autosav=False)
    assert not store.exists("essay")


def test_closing_twice_is_allowed(store: Store) -> None:
    store.close()
    store.close()


def test_every_error_is_ours(store: Store) -> None:
    for error in (getattr(nbs, name) for name in nbs.__all__):
        if isinstance(error, type) and issubclass(error, BaseException):
            assert issubclass(error, NbsessionsError)


def test_the_package_offers_what_it_names() -> None:
    for name in nbs.__all__:
        assert getattr(nbs, name) is not None
    assert set(nbs.__all__) <= set(dir(nbs))
    with pytest.raises(AttributeError, match="nowhere"):
        nbs.nowhere  # noqa: B018
