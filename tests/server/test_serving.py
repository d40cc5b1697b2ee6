"""The server as a whole: what it says of itself, whom it answers, and how it refuses."""

from __future__ import annotations

import httpx2

import nbsessions as nbs
from nbsessions import Store


def test_it_says_what_it_is_and_whose_sessions_it_has(client: httpx2.Client) -> None:
    assert client.get("/").json() == {"version": nbs.__version__, "owner": "ada"}


def test_a_session_of_a_kernel_is_listed(client: httpx2.Client, kernel_store: Store) -> None:
    kernel_store.create("of a kernel", session_id="k1")
    found = client.get("/sessions").json()["sessions"]
    assert [one["name"] for one in found if one["session_id"] == "k1"] == ["of a kernel"]


def test_nobody_is_answered_without_a_token(nobody: httpx2.Client) -> None:
    for path in ("/", "/sessions", "/nowhere"):
        for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"):
            assert nobody.request(method, path).status_code == 403


def test_people_are_known_by_their_names(ada: httpx2.Client, bob: httpx2.Client) -> None:
    assert [who.get("/").json()["owner"] for who in (ada, bob)] == ["ada", "bob"]


def test_what_is_nowhere_is_not_found(client: httpx2.Client) -> None:
    answer = client.get("/nowhere")
    assert (answer.status_code, answer.json()) == (
        404,
        {"message": "There is no such resource.", "error": "NotFound"},
    )


def test_a_method_that_a_resource_does_not_take_is_refused(client: httpx2.Client) -> None:
    answer = client.put("/sessions", json={})
    assert answer.status_code == 405
    assert "GET" in answer.headers["Allow"]


def test_what_a_query_does_not_know_is_refused(client: httpx2.Client) -> None:
    answer = client.get("/sessions?limt=3")
    assert (answer.status_code, answer.json()["message"]) == (400, "limt: Extra inputs are not permitted.")
    assert client.get("/sessions?limit=many").status_code == 400
    assert client.get("/sessions?limit=1&limit=2").status_code == 400
    assert client.get("/sessions?%ff=1&token=x").status_code == 400
