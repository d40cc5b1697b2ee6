"""Search over HTTP."""

from __future__ import annotations

import httpx2
import pytest

from nbsessions import Store


@pytest.fixture(scope="module")
def filled(people_store: Store) -> Store:
    owls = people_store.create("owls", agent_name="poet", tags=["bird"])
    owls.send("What do owls eat?", agent=lambda prompt: "Owls eat mice.")
    people_store.create("called", conversation_id="c1").add_message({"role": "user", "content": "An owl"})
    return people_store


def test_what_was_said_is_found(ada: httpx2.Client, filled: Store) -> None:
    hits = ada.get("/search", params={"text": "owl*"}).json()["hits"]
    assert {(hit["session"]["name"], hit["number"], hit["role"]) for hit in hits} == {
        ("owls", 1, "user"),
        ("owls", 2, "assistant"),
        ("called", 1, "user"),
    }
    session_id = filled.record("owls").session_id
    for asked, count in (
        ({"role": "user"}, 2),
        ({"limit": "1"}, 1),
        ({"tag": "bird"}, 2),
        ({"agent_name": "nobody"}, 0),
        ({"conversation_id": ""}, 2),
        ({"conversation_id": "c1"}, 1),
        ({"session_id": session_id}, 2),
        ({"session_id": session_id, "role": "assistant"}, 1),
    ):
        assert len(ada.get("/search", params={"text": "owl*", **asked}).json()["hits"]) == count, asked
    assert ada.get("/search", params={"text": "owl", "session_id": "owls"}).status_code == 404
    for wrong in (
        {},
        {"text": ""},
        {"text": "..."},
        {"text": "x", "role": "robot"},
        {"text": "x", "limit": "0"},
    ):
        assert ada.get("/search", params=wrong).status_code == 400, wrong
