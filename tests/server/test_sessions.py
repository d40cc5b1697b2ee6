"""Sessions over HTTP: listed, made, told, changed, deleted, and changed by several at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest

from nbsessions import Session, Store
from tests.server.servers import Served


def made(client: httpx2.Client, **fields: Any) -> dict[str, Any]:
    answer = client.post("/sessions", json=fields)
    assert answer.status_code == 201, answer.text
    return dict(answer.json(), etag=answer.headers["ETag"])


def said(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["message"]


def test_a_session_is_made_and_told_and_a_kernel_has_it(client: httpx2.Client, kernel_store: Store) -> None:
    fields = {"agent_name": "analyst", "tags": ["a", "b"], "metadata": {"ticket": 7}, "state": {"step": 1}}
    answer = client.post("/sessions", json={"name": "Übung", **fields})
    assert answer.status_code == 201
    record = answer.json()
    assert {name: record[name] for name in fields} == fields
    assert record["owner"] == "ada"
    again = client.get(answer.headers["Location"].removeprefix("/nbsessions/api"))
    assert again.json() == record
    assert again.headers["ETag"] == answer.headers["ETag"]
    assert kernel_store.resume("Übung").state == {"step": 1}


def test_a_session_of_a_conversation_is_told_apart_from_others(client: httpx2.Client) -> None:
    record = made(client, name="called", conversation_id="a/b?c")
    path = f"/sessions/{record['session_id']}"
    assert client.get(path).status_code == 404
    assert client.get(path, params={"conversation_id": "a/b?c"}).json()["name"] == "called"


def test_ids_with_anything_in_them_are_found(client: httpx2.Client, kernel_store: Store) -> None:
    for session_id in ("a/b", "..", "%2e", "ä ö", "x?y#z", "{session_id}", "a+b"):
        kernel_store.create(session_id=session_id)
        from urllib.parse import quote

        # What looks like a step up in a path must be quoted to get here at all.
        path = quote(session_id, safe="").replace(".", "%2E")
        assert client.get(f"/sessions/{path}").json()["session_id"] == session_id


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": 7}, "name"),
        ({"name": ""}, "name"),
        ({"name": "latest"}, "latest"),
        ({"name": "two\nlines"}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"tags": "draft"}, "tags"),
        ({"tags": [1]}, "tags.0"),
        ({"metadata": []}, "metadata"),
        ({"state": {"x": "\ud800"}}, "surrogate"),
        ({"owner": "bob"}, "owner"),
        ({"session_id": "mine"}, "session_id"),
        ({"notebook": "/etc/passwd"}, "notebook"),
        ({"conversation_id": ""}, "conversation_id"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(client: httpx2.Client, body: Any, field: str) -> None:
    import json

    before = client.get("/sessions").json()
    status, message = said(client.post("/sessions", content=json.dumps(body)))
    assert status == 400
    assert field in message
    assert "\n" not in message
    assert client.get("/sessions").json() == before


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b'"plan"',
        b"null",
        b"\xff",
        b'{"name": "a", "name": "b"}',
        b'{"metadata": {"x": NaN}}',
        b'{"metadata": {"x": 1e999}}',
        b'{"metadata": ' + b'{"x":' * 5000 + b"1" + b"}" * 5001,
        b'{"metadata": {"x": ' + b"[" * 300 + b"]" * 300 + b"}}",
        b'{"metadata": {"x": 1' + b"0" * 5000 + b"}}",
    ],
)
def test_what_is_no_json_is_refused(client: httpx2.Client, body: bytes) -> None:
    answer = client.post("/sessions", content=body)
    assert answer.status_code == 400, answer.text
    assert set(answer.json()) == {"message", "error"}


def test_a_name_that_is_taken_is_refused(client: httpx2.Client) -> None:
    made(client, name="taken")
    other = made(client, name="other")
    status, message = said(client.post("/sessions", json={"name": "taken"}))
    assert status == 409
    assert "'taken' exists already" in message
    assert client.patch(f"/sessions/{other['session_id']}", json={"name": "taken"}).status_code == 409
    assert client.get(f"/sessions/{other['session_id']}").json()["name"] == "other"


def test_what_is_named_is_changed_and_nothing_else(client: httpx2.Client, kernel_store: Store) -> None:
    record = made(client, name="before", tags=["a"], metadata={"x": 1}, state={"y": 2})
    path = f"/sessions/{record['session_id']}"
    answer = client.patch(path, json={"name": "after", "state": {"z": 3}})
    assert answer.status_code == 200
    changed = answer.json()
    assert (changed["name"], changed["tags"], changed["metadata"]) == ("after", ["a"], {"x": 1})
    assert changed["state"] == kernel_store.resume("after").state == {"z": 3}
    assert answer.headers["ETag"] == client.get(path).headers["ETag"] != record["etag"]
    assert client.patch(path, json={"tags": [], "metadata": {}}).json()["tags"] == []
    assert client.patch(path, json={}).json()["name"] == "after"
    assert said(client.patch(path, json={"name": None}))[0] == 400
    assert said(client.patch(path, json={"owner": "bob"}))[0] == 400


def test_a_session_that_has_changed_since_is_left_alone(client: httpx2.Client, kernel_store: Store) -> None:
    record = made(client, name="raced")
    path, stale = f"/sessions/{record['session_id']}", {"If-Match": record["etag"]}
    kernel_store.tag("raced", "of a kernel")
    for method, body in (("PATCH", {"name": "mine"}), ("DELETE", None), ("PATCH", {})):
        answer = client.request(method, path, json=body, headers=stale)
        assert (answer.status_code, answer.json()["error"]) == (412, "Changed")
    message = {"role": "user", "content": "Hello"}
    assert client.post(f"{path}/messages", json=message, headers=stale).status_code == 412
    assert client.patch(path, json={"name": "x"}, headers={"If-Match": "nonsense"}).status_code == 412
    now = client.get(path)
    assert (now.json()["name"], now.json()["message_count"]) == ("raced", 0)
    fresh = {"If-Match": f'"other", {now.headers["ETag"]}'}
    assert client.patch(path, json={"name": "mine"}, headers=fresh).status_code == 200
    assert client.delete(path, headers={"If-Match": "*"}).status_code == 204
    assert client.get(path).status_code == 404


def test_what_is_known_already_is_not_sent_again(client: httpx2.Client) -> None:
    record = made(client)
    path = f"/sessions/{record['session_id']}"
    answer = client.get(path, headers={"If-None-Match": record["etag"]})
    assert (answer.status_code, answer.content) == (304, b"")
    client.patch(path, json={"tags": ["new"]})
    assert client.get(path, headers={"If-None-Match": record["etag"]}).status_code == 200
    assert client.head(path).status_code == 200


@pytest.mark.parametrize("field", ["name", "tags", "metadata", "state"])
def test_of_several_who_know_it_in_one_state_one_wins(
    server: Served, client: httpx2.Client, field: str
) -> None:
    record = made(client)
    path = f"/sessions/{record['session_id']}"
    values: list[Any] = [
        f"{field} {n}" if field == "name" else [str(n)] if field == "tags" else {"n": n} for n in range(8)
    ]
    clients = [server.client() for _ in values]

    def patch(one: tuple[httpx2.Client, Any]) -> int:
        who, value = one
        return who.patch(path, json={field: value}, headers={"If-Match": record["etag"]}).status_code

    with ThreadPoolExecutor(len(values)) as pool:
        statuses = list(pool.map(patch, zip(clients, values, strict=True)))
    assert sorted(statuses) == [200, *[412] * 7]
    assert client.get(path).json()[field] == values[statuses.index(200)]


def test_without_a_condition_all_of_several_are_done(server: Served, client: httpx2.Client) -> None:
    path = f"/sessions/{made(client)['session_id']}"
    clients = [server.client() for _ in range(8)]

    def patch(one: tuple[int, httpx2.Client]) -> int:
        number, who = one
        body = {"metadata": {"n": number}} if number % 2 else {"state": {"n": number}}
        return who.patch(path, json=body).status_code

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(patch, enumerate(clients))) == {200}


def test_a_session_is_deleted_by_its_exact_id(client: httpx2.Client) -> None:
    record = made(client, name="to go")
    assert client.delete("/sessions/to%20go").status_code == 404
    assert client.delete(f"/sessions/{record['session_id'][:-2]}").status_code == 404
    answer = client.delete(f"/sessions/{record['session_id']}", headers={"If-Match": record["etag"]})
    assert (answer.status_code, answer.content) == (204, b"")
    assert client.delete(f"/sessions/{record['session_id']}").status_code == 404


def pages(client: httpx2.Client, **asked: Any) -> list[list[str]]:
    found, cursor = [], None
    while True:
        params = asked if cursor is None else {**asked, "cursor": cursor}
        page = client.get("/sessions", params=params).json()
        found.append([one["session_id"] for one in page["sessions"]])
        cursor = page["next"]
        if cursor is None:
            return found


def _many(store: Store, agent: str, count: int = 25) -> list[Session]:
    return [store.create(f"{agent} {n}", agent_name=agent, session_id=f"{agent}-{n}") for n in range(count)]


def test_pages_are_whole_while_sessions_change(client: httpx2.Client, kernel_store: Store) -> None:
    sessions = _many(kernel_store, "paged")
    first = client.get("/sessions", params={"agent_name": "paged", "limit": 10}).json()
    seen = [one["session_id"] for one in first["sessions"]]
    assert seen == [f"paged-{n}" for n in range(24, 14, -1)]
    # One that was told, and one that was not, go to the beginning; one that was to come goes away.
    sessions[20].tag("again")
    sessions[3].tag("again")
    kernel_store.delete("paged-5")
    kernel_store.create(agent_name="paged")
    cursor, rest = first["next"], []
    while cursor:
        page = client.get("/sessions", params={"agent_name": "paged", "limit": 10, "cursor": cursor}).json()
        rest += [one["session_id"] for one in page["sessions"]]
        cursor = page["next"]
    assert rest == [f"paged-{n}" for n in range(14, -1, -1) if n not in (3, 5)]


def test_sessions_of_one_moment_are_each_on_one_page(client: httpx2.Client, kernel_store: Store) -> None:
    from nbsessions.stores.base import Bundle

    record = kernel_store.create(agent_name="moment", session_id="moment-x").record
    for n in range(7):
        bundle = Bundle(record.model_copy(update={"session_id": f"moment-{n}"}))
        kernel_store.backend.restore(bundle)
    for asked in ({}, {"text": "moment"}):
        found = pages(client, agent_name="moment", limit=3, **asked)
        assert [len(page) for page in found] == [3, 3, 2]
        assert len({one for page in found for one in page}) == 8


def test_sessions_are_filtered(client: httpx2.Client, kernel_store: Store) -> None:
    kernel_store.create("f1", agent_name="filtered", tags=["x"], session_id="f1")
    later = kernel_store.create("f2 plan", agent_name="filtered", session_id="f2").updated_at
    kernel_store.create("f3", agent_name="filtered", conversation_id="conv", session_id="f3")

    def found(**asked: str) -> list[str]:
        return pages(client, agent_name="filtered", **asked)[0]

    assert found() == ["f2", "f1"]
    assert found(tag="x") == found(name="f1") == ["f1"]
    assert found(conversation_id="conv") == ["f3"]
    assert found(conversation_id="*") == ["f3", "f2", "f1"]
    assert found(since=later.isoformat()) == found(text="PLAN filt") == ["f2"]
    assert found(text="nothing") == []


@pytest.mark.parametrize(
    "query",
    [
        "cursor=nonsense",
        "cursor=WzFd",
        "cursor=e30",
        "cursor=%C3%A4",
        "cursor=WzEsLTFd",
        "cursor=W3RydWUsMV0=",
        "limit=0",
        "limit=1001",
        "limit=1.5",
        "since=2026-01-01T00:00:00",
        "since=yesterday",
        "owner=bob",
        f"text={'x+' * 101}",
        "agent_name=" + "x" * 201,
        "limit=1&limit=1",
    ],
)
def test_a_query_that_cannot_be_is_refused(client: httpx2.Client, query: str) -> None:
    answer = client.get(f"/sessions?{query}")
    assert answer.status_code == 400, answer.text
    assert answer.json()["message"].startswith(query.partition("=")[0])
