"""What webagents does over HTTP, as checks: 7, 12 and 13 of `tests/test_behaviours.py`, with two people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

import nbsessions as nbs
from nbsessions import Store
from tests.conftest import add
from tests.server.servers import Served


@pytest.fixture
def store(people: Served) -> Iterator[Store]:
    """The store of the server, as Ada's kernel has it open."""
    with nbs.open_store(people.store) as opened:
        opened.owner = "ada"
        yield opened


def command(client: httpx2.Client, agent: str, name: str, /, **given: Any) -> httpx2.Response:
    return client.post(f"/agents/{agent}/command/session/{name}", json=given)


def names(store: Store, agent: str) -> set[tuple[str, str | None]]:
    found = store.list(None, agent_name=agent, conversation_id="*")
    return {(record.owner, record.name) for record in found}


def test_b07_clear_of_everything_needs_a_confirmation_and_is_for_the_owner_alone(
    ada: httpx2.Client, bob: httpx2.Client, store: Store
) -> None:
    for client, name in ((ada, "one"), (ada, "two"), (bob, "theirs")):
        assert command(client, "b07", "new", name=name).status_code == 200
    store.create("asked", agent_name="b07", conversation_id="conv-1")
    everything = {("ada", "one"), ("ada", "two"), ("bob", "theirs"), ("ada", "asked")}
    not_confirmed: list[Any] = ["false", "no", "true", "yes", False, 0, 1, None, [True]]
    for given in ({}, *({"confirm": said} for said in not_confirmed)):
        refused = command(ada, "b07", "clear", **given)
        assert refused.status_code == 400
        assert "This deletes 2 sessions" in refused.json()["message"]
    assert names(store, "b07") == everything
    # Who does not own them does not even see them.
    assert command(bob, "b07", "clear", confirm=True).json()["result"]["message"].startswith("Deleted 1 ")
    assert command(bob, "b07", "clear", confirm=True).json()["result"]["message"].startswith("Deleted 0 ")
    assert names(store, "b07") == everything - {("bob", "theirs")}
    assert command(ada, "b07", "clear", confirm=True).json()["result"]["status"] == "cleared"
    assert names(store, "b07") == {("ada", "asked")}


def test_b07_clearing_one_conversation_leaves_the_others(
    ada: httpx2.Client, bob: httpx2.Client, store: Store
) -> None:
    for conversation in ("conv-1", "conv-2"):
        store.create(conversation, agent_name="b07too", conversation_id=conversation)
    store.create("mine", agent_name="b07too")
    command(bob, "b07too", "clear", confirm=True, conversation_id="conv-1")
    assert len(names(store, "b07too")) == 3
    assert command(ada, "b07too", "clear", conversation_id="conv-1").status_code == 400
    assert command(ada, "b07too", "clear", confirm=True, conversation_id="conv-1").status_code == 200
    assert names(store, "b07too") == {("ada", "conv-2"), ("ada", "mine")}


def test_b12_save_load_new_history_and_clear_are_called_with_json(
    ada: httpx2.Client, bob: httpx2.Client, store: Store
) -> None:
    begun = command(ada, "b12", "new").json()["result"]["session_id"]
    add(store.resume(begun), "Hello")
    saved = command(ada, "b12", "save", name="kept").json()["result"]
    assert (saved["session_id"], saved["name"], saved["message_count"]) == (begun, "kept", 1)
    other = command(ada, "b12", "new").json()["result"]["session_id"]
    listed = command(ada, "b12", "history", limit=1).json()["result"]["sessions"]
    assert [one["session_id"] for one in listed] == [other]
    for ref in (begun, "kept", begun[-8:]):
        assert command(ada, "b12", "load", session_id=ref).json()["result"]["session_id"] == begun
    unknown = command(ada, "b12", "load", session_id="nosuch")
    assert (unknown.status_code, unknown.json()["error"]) == (404, "SessionNotFound")
    assert command(ada, "b12", "status").json()["result"]["session"]["session_id"] == begun
    # What there is of somebody else's is unknown as well.
    assert command(bob, "b12", "load", session_id=begun).status_code == 404
    assert command(bob, "b12", "history").json()["result"]["sessions"] == []
    for name, given in (("save", {"nam": "x"}), ("history", {"limit": "5"}), ("load", {"session_id": 5})):
        assert command(ada, "b12", name, **given).status_code == 400


def test_b13_what_is_sent_twice_is_stored_once(ada: httpx2.Client, store: Store) -> None:
    session = store.create(agent_name="b13")
    path = f"/sessions/{session.session_id}/messages"
    seen = {"If-Match": ada.get(f"/sessions/{session.session_id}").headers["ETag"]}
    sent = [ada.post(path, json={"role": "user", "content": "Hello"}, headers=seen) for _ in range(2)]
    assert [answer.status_code for answer in sent] == [201, 412]
    assert store.resume(session.session_id).message_count == 1


def test_b13_completions_offer_the_commands_and_the_newest_ids(
    ada: httpx2.Client, bob: httpx2.Client, store: Store
) -> None:
    ids = [store.create(agent_name="b13too").session_id for _ in range(22)]
    told = ada.get("/agents/b13too/command").json()["commands"]
    assert {f"/session/{name}" for name in ("save", "load", "new", "history", "clear")} <= {
        one["path"] for one in told
    }
    load = "/agents/b13too/command/session/load"
    assert ada.get(load).json()["completions"]["session_id"] == ids[:1:-1]
    assert bob.get(load).json()["completions"] == {}
