from __future__ import annotations

from collections.abc import Callable

import pytest

import nbsessions as nbs
from nbsessions import AmbiguousSession, InvalidInput, SessionNotFound, Store
from nbsessions.stores._index import RANKED
from tests.conftest import add


def found(store: Store, text: str, **options: object) -> list[tuple[str | None, int | None, str]]:
    return [(hit.session.name, hit.number, hit.role) for hit in store.search(text, **options)]  # type: ignore[arg-type]


def test_a_hit_says_where_and_when(store: Store) -> None:
    session = store.create("plan", tags=["draft"])
    add(session, "Hello", "Where does the Öwl live?")
    add(session, "In the barn.", role="assistant")
    (hit,) = store.search("owl")
    assert (hit.session.name, hit.number, hit.role) == ("plan", 2, "user")
    assert hit.snippet == "Where does the Öwl live?"
    assert hit.said_at == hit.said_at.astimezone(nbs.values.now().tzinfo)
    assert hit.turn_id == session.turns[1].turn_id
    # The number is the one that a rewind understands.
    assert hit.number is not None
    assert session.rewind(hit.number).messages[-1].text == "Where does the Öwl live?"


def test_a_run_is_found_once_it_is_answered(store: Store) -> None:
    session = store.create("plan")
    session.send("Where does the owl live?", agent=lambda prompt: "The owl lives in the barn")
    assert found(store, "owl lives") == [("plan", 2, "assistant")]
    assert sorted(found(store, "owl"), key=str) == [("plan", 1, "user"), ("plan", 2, "assistant")]
    assert found(store, "owl", role="user") == [("plan", 1, "user")]


def test_what_was_left_behind_has_no_number(store: Store) -> None:
    session = store.create("plan")
    add(session, "owl one", "owl two")
    session.rewind(1)
    assert sorted(found(store, "owl"), key=str) == [("plan", 1, "user"), ("plan", None, "user")]
    session.undo()
    assert sorted(found(store, "owl"), key=str) == [("plan", 1, "user"), ("plan", 2, "user")]


def test_within_a_session_what_it_shares_counts_as_its_own(store: Store) -> None:
    session = store.create("plan")
    add(session, "owl one", "owl two")
    fork = session.fork("other", at=1)
    add(fork, "owl three")
    assert sorted(found(store, "owl", ref="other"), key=str) == [("other", 1, "user"), ("other", 2, "user")]
    assert len(found(store, "owl", ref="other", limit=1)) == 1
    # Everywhere, a message is told once, where it was said.
    assert sorted(found(store, "owl"), key=str) == [
        ("other", 2, "user"),
        ("plan", 1, "user"),
        ("plan", 2, "user"),
    ]


def test_within_a_session_what_is_said_elsewhere_hides_nothing(store: Store) -> None:
    add(store.create("plan"), "a lonely owl, far away from all those others", "and no bird")
    many = [{"role": "user", "content": "owl"}] * (RANKED + 1)
    store.create("loud").messages = many
    assert found(store, "owl", ref="plan") == [("plan", 1, "user")]
    assert ("plan", 1, "user") not in found(store, "owl")


def test_within_a_session_what_it_has_left_behind_is_not_its_own(store: Store) -> None:
    session = store.create("plan")
    session.messages = [{"role": "user", "content": text} for text in ("owl one", "owl two")]
    add(session, "owl three")
    assert len(found(store, "owl", ref="plan")) == 3
    session.rewind(1)
    assert found(store, "owl", ref="plan") == [("plan", 1, "user")]


def test_a_search_can_be_narrowed(store: Store) -> None:
    add(store.create("a", agent_name="poet", tags=["draft"]), "owl")
    add(store.create("b", conversation_id="c1"), "owl")
    assert len(found(store, "owl")) == 2
    for options in ({"agent_name": "poet"}, {"tag": "draft"}, {"conversation_id": None}):
        assert found(store, "owl", **options) == [("a", 1, "user")]
    assert found(store, "owl", conversation_id="c1") == [("b", 1, "user")]
    assert found(store, "owl", owner="bob") == []


def test_a_redacted_or_deleted_message_is_not_found(store: Store) -> None:
    session = store.create("plan")
    add(session, "my password is hunter2", "and an owl")
    assert len(found(store, "hunter2")) == 1
    session.redact(0)
    assert found(store, "hunter2") == []
    assert len(found(store, "redacted")) == 1
    store.delete("plan")
    assert found(store, "owl") == []


def test_a_draft_is_found(store: Store) -> None:
    session = store.create("plan", autosave=False)
    add(session, "owl")
    assert found(store, "owl") == [("plan", None, "user")]
    session.save()
    assert found(store, "owl") == [("plan", 1, "user")]


def test_a_message_of_pydantic_ai_is_found_in_its_view(store: Store) -> None:
    body = '[{"kind":"request","parts":[{"part_kind":"user-prompt","content":"an owl"}]}]'
    store.create("plan").commit("message", "pydantic-ai", body, prompts=1)
    assert found(store, "owl") == [("plan", 1, "user")]
    assert found(store, "kind") == []


def test_what_cannot_be_searched_for_is_refused(store: Store) -> None:
    store.create("plan")
    calls: list[Callable[[], object]] = [
        lambda: store.search("?"),
        lambda: store.search(7),  # type: ignore[arg-type]
        lambda: store.search("owl", -1),
        lambda: store.search("owl", role="nobody"),
    ]
    for call in calls:
        with pytest.raises(InvalidInput):
            call()
    with pytest.raises(SessionNotFound):
        store.search("owl", ref="nowhere")
    for name in ("0a1", "0a2"):
        store.create(session_id=name)
    with pytest.raises(AmbiguousSession):
        store.search("owl", ref="0a")


def test_a_message_in_a_turn_that_was_cut_is_found(store: Store) -> None:
    session = store.create("plan")
    session.messages = [{"role": "user", "content": text} for text in ("owl", "x", "y")]
    session.rewind(1)
    add(session, "and on")
    assert found(store, "owl", ref="plan") == [("plan", 1, "user")]
    assert ("plan", 1, "user") in found(store, "owl")


def test_what_a_fork_once_stood_on_is_found_when_its_parent_is_gone(store: Store) -> None:
    session = store.create("plan")
    add(session, "one", "owl")
    fork = session.fork("other")
    fork.rewind(1)
    assert found(store, "owl") == [("plan", 2, "user")]
    store.delete("plan")
    assert found(store, "owl") == [("other", None, "user")]
