"""The server as a whole: what it says of itself, whom it answers, and how it refuses."""

from __future__ import annotations

import httpx2

import nbsessions as nbs
from nbsessions import Store
from tests.conftest import Python
from tests.server.servers import Served


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


def test_what_a_path_or_a_query_is_made_of_is_no_reason_to_fail(client: httpx2.Client) -> None:
    for path in (
        "/sessions/%ff",
        "/sessions/%00",
        "/sessions/a%2F..%2F..",
        "/sessions/" + "x" * 5000,
        "/sessions//messages",
        "//sessions",
        "/sessions/x/",
        "/%E2%80%AE",
        "/sessions/%ED%A0%80",
        "/runs/%00/events",
        "/sessions?tag=%ff",
        "/sessions?%00=1",
        "/sessions?name=%00",
        "/sessions?tag=%ED%A0%80",
        "/search?text=%00",
        "/sessions?since=9999-12-31T23:59:59-23:59",
        "/sessions?since=0001-01-01T00:00:00%2B23:59",
        "/usage?since=0001-01-01",
        "/usage?until=9999-12-31",
        "/usage?by=day,day,day",
        "/sessions?no_track_activity=%ff",
        "/sessions?_xsrf=%ff",
        "/runs/x/events?after=9007199254740993",
        "/runs/x/events?after=99999999999999999999",
        "/sessions/x/messages?before=99999999999999999999",
        "/sessions?limit=" + "9" * 5000,
    ):
        for method in ("GET", "HEAD", "POST", "PATCH", "DELETE", "OPTIONS"):
            answer = client.request(method, path, content=b"{}" if method in ("POST", "PATCH") else None)
            assert answer.status_code < 500, (method, path, answer.text)


def test_headers_that_are_none_are_no_reason_to_fail(client: httpx2.Client) -> None:
    for name in ("If-Match", "If-None-Match", "Accept", "Content-Type", "Last-Event-ID", "Origin", "Range"):
        for value in ("", '"', "*", '"' * 1000, "W/", "\xff", "a,b;q=2"):
            headers = [(name.encode(), value.encode("latin-1"))]
            for path in ("/sessions", "/sessions/x", "/runs/x/events"):
                assert client.get(path, headers=headers).status_code < 500, (name, value)
                assert client.patch(path, headers=headers, json={}).status_code < 500, (name, value)


def test_the_extension_is_loaded_with_nothing_heavy(python: Python) -> None:
    code = (
        "import sys, jupyter_server.serverapp; before = set(sys.modules); import nbsessions; "
        "nbsessions._jupyter_server_extension_points(); print(*sorted(set(sys.modules) - before))"
    )
    loaded = python(code).split()
    assert "nbsessions.server.extension" in loaded
    assert [name for name in loaded if not name.startswith(("nbsessions", "jupyter_server"))] == []
    assert not {"nbsessions.records", "nbsessions.store"} & {*loaded}


def test_no_request_was_a_surprise(server: Served) -> None:
    assert "Traceback" not in server.said()
