"""The server on other stores than a file of its own: PostgreSQL, one that is locked, one that there is not."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import httpx2
import pytest

import nbsessions as nbs
from nbsessions.exceptions import StoreUnavailable
from nbsessions.server.errors import status_of, told
from nbsessions.server.serving import Serving
from tests.postgres import Server
from tests.server.conftest import PEOPLE
from tests.server.servers import Served, served


@pytest.fixture(scope="module")
def beside(tmp_path_factory: pytest.TempPathFactory, postgres: Server) -> Iterator[Served]:
    """A server of two people on PostgreSQL, below a path, as JupyterHub starts them."""
    schema = postgres.new_schema()
    folder = tmp_path_factory.mktemp("postgres")
    with served(folder, postgres.url(schema), ServerApp={**PEOPLE, "base_url": "/user/ada%40home/"}) as found:
        yield found
    postgres.drop(schema)


def test_all_is_as_on_sqlite(beside: Served) -> None:
    ada, bob = beside.client("ada-token"), beside.client("bob-token")
    answer = ada.post("/sessions", json={"name": "plan", "tags": ["x"], "state": {"step": 1}})
    assert answer.headers["Location"].startswith("/user/ada%40home/nbsessions/api/sessions/")
    path = answer.headers["Location"].removeprefix("/user/ada%40home/nbsessions/api")
    etag = {"If-Match": answer.headers["ETag"]}

    def patch(number: int) -> int:
        with httpx2.Client(base_url=beside.api, headers=ada.headers, timeout=60) as client:
            return client.patch(path, json={"metadata": {"n": number}}, headers=etag).status_code

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(patch, range(6))) == [200, *[412] * 5]
    for text in ("Where do owls live?", "And mice?"):
        assert ada.post(f"{path}/messages", json={"role": "user", "content": text}).status_code == 201
    assert ada.get(f"{path}/messages", params={"limit": 1}).json()["messages"][0]["content"] == "And mice?"
    assert ada.get("/search", params={"text": "owl*"}).json()["hits"][0]["number"] == 1
    for number in range(5):
        ada.post("/sessions", json={"name": f"session {number}"})
    names, cursor = [], None
    while True:
        asked = {"limit": 2} if cursor is None else {"limit": 2, "cursor": cursor}
        page = ada.get("/sessions", params=asked).json()
        names += [one["name"] for one in page["sessions"]]
        if (cursor := page["next"]) is None:
            break
    assert names == [*(f"session {n}" for n in (4, 3, 2, 1, 0)), "plan"]
    assert bob.get("/sessions").json()["sessions"] == []
    for method, where in (("GET", path), ("PATCH", path), ("DELETE", path), ("GET", f"{path}/export")):
        body: dict[str, list[str]] | None = {"tags": []} if method == "PATCH" else None
        assert bob.request(method, where, json=body).status_code == 404
    exported = ada.get(f"{path}/export").content
    assert ada.delete(path).status_code == 204
    report = bob.post("/import", content=exported).json()
    assert (report["new"], report["sessions"][0]["owner"]) == (1, "bob")
    assert "owls" in bob.get(f"{path}/messages").text
    assert bob.get("/usage").json()["rows"] == []


def test_a_store_that_is_locked_holds_up_nobody_else(server: Served, client: httpx2.Client) -> None:
    client.get("/sessions")
    with closing(sqlite3.connect(server.store.removeprefix("sqlite:///"), isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        with ThreadPoolExecutor(4) as pool:
            waiting = [pool.submit(client.post, "/sessions", json={}) for _ in range(4)]
            assert httpx2.get(f"{server.url}/api").status_code == 200
            assert client.get("/sessions").status_code == 200
            assert not any(one.done() for one in waiting)
            db.execute("ROLLBACK")
            assert {one.result().status_code for one in waiting} == {201}


def test_a_store_that_cannot_be_opened_is_told_without_its_place(tmp_path: Path) -> None:
    place = tmp_path / "there"
    place.mkdir()
    url = f"sqlite:///{place}/missing/agents.db"
    (place / "missing").write_text("a file, and no folder")
    with served(tmp_path / "server", "memory:", NbsessionsApp={"store": url}) as server:
        client = server.client()
        answer = client.get("/sessions")
        assert answer.status_code == 503
        assert answer.json() == {
            "message": "The store cannot be used just now. The log of the server says why.",
            "error": "StoreUnavailable",
        }
        assert str(place) in server.said()
        (place / "missing").unlink()
        assert client.get("/sessions").json() == {"sessions": [], "next": None}


def test_a_store_that_is_none_is_told_without_what_was_configured() -> None:
    serving = Serving("sqlite://secret-place?x=1")
    with pytest.raises(StoreUnavailable) as raised:
        serving.store("ada")
    assert (status_of(raised.value), "secret" in told(raised.value)) == (503, False)


def test_who_asks_while_the_server_stops_is_told_so() -> None:
    async def asked_late() -> None:
        serving = Serving("memory:")
        await serving.close()
        await serving.in_thread(serving.store, "ada")

    with pytest.raises(StoreUnavailable):
        asyncio.run(asked_late())


def test_the_store_is_closed_with_the_server(tmp_path: Path) -> None:
    with served(tmp_path, f"sqlite:///{tmp_path}/agents.db") as server:
        assert server.client().post("/sessions", json={"name": "kept"}).status_code == 201
    assert not [name for name in os.listdir(tmp_path) if name.startswith("agents.db-")]
    with nbs.open_store(tmp_path / "agents.db") as store:
        assert [record.name for record in store.list()] == ["kept"]
