"""Messages over HTTP: told from the end or the beginning, and added."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest

import nbsessions as nbs
from nbsessions import Store
from nbsessions.server.messages import MessagesAsked, list_messages
from nbsessions.server.routes import Call
from tests.server.servers import Served
from tests.server.test_sessions import made


@pytest.fixture
def path(client: httpx2.Client) -> str:
    return f"/sessions/{made(client)['session_id']}/messages"


def add(client: httpx2.Client, path: str, *texts: str) -> None:
    for text in texts:
        assert client.post(path, json={"role": "user", "content": text}).status_code == 201


def told(client: httpx2.Client, path: str, **asked: int) -> tuple[list[str], int, int]:
    page = client.get(path, params=asked).json()
    return [one["content"] for one in page["messages"]], page["first"], page["total"]


def test_messages_are_told_from_the_end_and_from_the_beginning(client: httpx2.Client, path: str) -> None:
    assert told(client, path) == ([], 1, 0)
    add(client, path, *"abcdefg")
    assert told(client, path) == ([*"abcdefg"], 1, 7)
    assert told(client, path, limit=2) == (["f", "g"], 6, 7)
    assert told(client, path, limit=2, before=6) == (["d", "e"], 4, 7)
    assert told(client, path, limit=2, before=2) == (["a"], 1, 7)
    assert told(client, path, limit=2, before=1) == ([], 1, 7)
    assert told(client, path, limit=2, before=99) == (["f", "g"], 6, 7)
    assert told(client, path, limit=2, after=0) == (["a", "b"], 1, 7)
    assert told(client, path, limit=3, after=5) == (["f", "g"], 6, 7)
    assert told(client, path, after=7) == ([], 8, 7)
    for wrong in ({"before": 3, "after": 1}, {"limit": 0}, {"before": 0}, {"after": -1}, {"limit": 1001}):
        assert client.get(path, params=wrong).status_code == 400


def test_a_message_is_added_with_all_that_it_has(
    client: httpx2.Client, path: str, kernel_store: Store
) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a":1}'}}
    sent: list[dict[str, Any]] = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Hi"}], "name": "ada"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "content": "3", "tool_call_id": "c1"},
    ]
    for number, message in enumerate(sent, 1):
        answer = client.post(path, json=message).json()
        assert answer["number"] == answer["session"]["message_count"] == number
        assert {name: answer["message"][name] for name in message} == message
        assert answer["message"]["timestamp"]
    kept = kernel_store.resume(path.split("/")[2]).messages
    assert [message.role for message in kept] == ["system", "user", "assistant", "tool"]
    (call_kept,) = kept[2].calls
    assert call_kept.name == "add"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "role"),
        ({"role": "robot"}, "role"),
        ({"role": "user", "content": 7}, "content"),
        ({"role": "user", "content": ["text"]}, "content"),
        ({"role": "user", "weight": 1}, "weight"),
        ({"role": "user", "timestamp": "2026-01-01T00:00:00Z"}, "timestamp"),
        ({"role": "assistant", "tool_calls": "add"}, "tool_calls"),
    ],
)
def test_what_is_no_message_is_refused(client: httpx2.Client, path: str, body: Any, field: str) -> None:
    answer = client.post(path, json=body)
    assert answer.status_code == 400
    assert field in answer.json()["message"]
    assert told(client, path)[2] == 0


def test_messages_of_several_are_all_there(server: Served, client: httpx2.Client, path: str) -> None:
    clients = [server.client() for _ in range(6)]

    def send(one: tuple[int, httpx2.Client]) -> None:
        number, who = one
        add(who, path, *(f"{number}.{n}" for n in range(5)))

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(send, enumerate(clients)))
    said, _, total = told(client, path, limit=100)
    assert total == len(set(said)) == 30
    assert all(
        [one for one in said if one.startswith(f"{n}.")] == [f"{n}.{m}" for m in range(5)] for n in range(6)
    )


def test_a_message_can_be_meant_for_one_state(client: httpx2.Client, path: str) -> None:
    session = path.removesuffix("/messages")
    first = {"If-Match": client.get(session).headers["ETag"]}
    answer = client.post(path, json={"role": "user", "content": "a"}, headers=first)
    assert answer.status_code == 201
    assert answer.headers["ETag"] == client.get(session).headers["ETag"]
    assert client.post(path, json={"role": "user", "content": "b"}, headers=first).status_code == 412
    assert told(client, path)[0] == ["a"]


def test_keys_do_not_reach_the_store(client: httpx2.Client, path: str) -> None:
    add(client, path, "My key is AKIAIOSFODNN7EXAMPLE")
    assert "AKIA" not in told(client, path)[0][0]


def test_a_message_that_is_too_large_is_refused(client: httpx2.Client, path: str) -> None:
    add(client, path, "x" * 7_000_000)
    answer = client.post(path, json={"role": "user", "content": "x" * 9_000_000})
    assert answer.status_code == 413
    assert told(client, path)[2] == 1


def test_a_key_that_is_twice_in_a_very_long_body_is_found_in_one_walk(client: httpx2.Client) -> None:
    keys = ",".join(f'"{number}":1' for number in [*range(500_000), 499_999])
    answer = client.post("/sessions/nowhere/messages", content="{" + keys + "}")
    assert (answer.status_code, "'499999' is there twice" in answer.text) == (400, True)


def test_a_page_holds_so_many_bytes_and_all_pages_hold_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nbsessions.server.messages._PAGE", 1_000)
    store = nbs.open_store("memory:")
    session = store.create()
    session.messages = [
        {"role": "user", "content": str(n) * size} for n, size in enumerate([9, 2000, 300, 300, 300])
    ]
    path = {"session_id": session.session_id}
    forward: list[str] = []
    while len(forward) < session.message_count:
        page = list_messages(Call(store, path, MessagesAsked.model_validate({"after": len(forward)})))
        assert (page.first, len(page.messages) < 4) == (len(forward) + 1, True)
        forward += [message.text for message in page.messages]
    backward: list[str] = []
    while len(backward) < session.message_count:
        page = list_messages(
            Call(
                store,
                path,
                MessagesAsked.model_validate({"before": session.message_count - len(backward) + 1}),
            )
        )
        assert page.first + len(page.messages) + len(backward) == session.message_count + 1
        backward = [*(message.text for message in page.messages), *backward]
    assert forward == backward == [message.text for message in session.messages]
