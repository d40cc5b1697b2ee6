"""Two people on one server: what is the one's is a 404 to the other, whatever is asked for."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import httpx2
import pytest

from nbsessions import Store
from nbsessions.server.routes import all_routes


@pytest.fixture(scope="module")
def hers(people_store: Store) -> dict[str, str]:
    """Ada's session, with a run and all that; what its names are."""
    session = people_store.create("private", session_id="her session", agent_name="analyst", tags=["secret"])
    run = session.send("The password is swordfish", agent=lambda prompt: "I will not tell.")
    session.checkpoint("point")
    return {"session_id": session.session_id, "run_id": run.run_id, "agent_name": "analyst"}


BODIES: dict[str, Any] = {
    "/sessions/{session_id}": {"tags": ["mine"]},
    "/sessions/{session_id}/messages": {"role": "user", "content": "Hello"},
}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        (route.method, route.path)
        for route in all_routes()
        if "{session_id}" in route.path or "{run_id}" in route.path
    ],
)
def test_what_is_anothers_is_not_found(
    method: str, path: str, hers: dict[str, str], ada: httpx2.Client, bob: httpx2.Client
) -> None:
    meant, nothing = path, path
    for name, value in hers.items():
        meant = meant.replace(f"{{{name}}}", quote(value, safe=""))
        nothing = nothing.replace(f"{{{name}}}", "nowhere")
    before = ada.get("/export").text
    body = BODIES.get(path) if method in ("PATCH", "POST") else None
    answer = bob.request(method, meant, json=body)
    assert answer.status_code == 404, answer.text
    there = bob.request(method, nothing, json=body).text
    assert answer.text.replace("her session", "nowhere").replace(hers["run_id"], "nowhere") == there
    assert ada.get("/export").text == before


def test_nothing_of_anothers_is_in_what_is_about_all(
    hers: dict[str, str], ada: httpx2.Client, bob: httpx2.Client
) -> None:
    for path in (
        "/sessions?conversation_id=*",
        "/search?text=swordfish",
        "/usage?by=session",
        "/export?format=csv",
    ):
        assert "her session" in ada.get(path).text or "her+session" in path
        assert "her session" not in bob.get(path).text
        assert "swordfish" not in bob.get(path).text
    assert "private" not in bob.get("/sessions?tag=secret").text


def test_a_name_that_another_has_is_free(hers: dict[str, str], bob: httpx2.Client) -> None:
    answer = bob.post("/sessions", json={"name": "private", "agent_name": "analyst"})
    assert answer.status_code == 201
    assert answer.json()["owner"] == "bob"


def test_a_session_that_was_exported_is_not_taken_over(
    hers: dict[str, str], ada: httpx2.Client, bob: httpx2.Client
) -> None:
    exported = ada.get(f"/sessions/{quote(hers['session_id'])}/export").content
    answer = bob.post("/import", content=exported)
    assert (answer.status_code, "is taken in this store" in answer.text) == (400, True)
    # With an id of its own, what it says is his, because he has it; what is not in it is not shown.
    document = json.loads(exported)
    session = document["sessions"][0]
    session["session"]["session_id"] = "his copy"
    answer = bob.post("/import?rename=true", content=json.dumps(document).encode())
    assert answer.status_code == 200, answer.text
    assert "swordfish" in bob.get("/sessions/his%20copy/messages").text
    session["session"]["session_id"] = "crafted"
    session["turns"] = []
    answer = bob.post("/import?rename=true", content=json.dumps(document).encode())
    assert answer.status_code in (400, 409)
    assert bob.get("/sessions/crafted").status_code == 404


def test_whoever_the_server_does_not_know_is_refused(people_url: str) -> None:
    for headers in ({}, {"Authorization": "token wrong"}, {"Authorization": "token secret-token"}):
        answer = httpx2.get(f"{people_url}/sessions", headers=headers)
        assert answer.status_code == 403
