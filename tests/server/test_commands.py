"""Commands over HTTP: webagents' own, ours for an agent, and ours for one session."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest

import nbsessions as nbs
from nbsessions import Store
from nbsessions.commands import on_face
from nbsessions.listings import sessions
from nbsessions.server.results import result_of
from tests.conftest import add, texts
from tests.server.servers import Served, served


@pytest.fixture
def agent(request: pytest.FixtureRequest) -> str:
    """An agent of this test alone: the server is everybody's."""
    return f"agent of {request.node.name}"


class Agent:
    """One agent, whose commands are called over HTTP."""

    def __init__(self, client: httpx2.Client, name: str) -> None:
        self.client, self.name = client, name
        self.path = f"/agents/{name.replace('/', '%2F')}/command"

    def ask(self, command: str, **given: Any) -> httpx2.Response:
        return self.client.post(f"{self.path}/session/{command}", json=given)

    def __call__(self, command: str, **given: Any) -> Any:
        answer = self.ask(command, **given)
        assert answer.status_code == 200, answer.text
        return answer.json()["result"]


@pytest.fixture
def ask(client: httpx2.Client, agent: str) -> Agent:
    return Agent(client, agent)


def test_what_is_begun_saved_and_loaded_is_current(ask: Agent, kernel_store: Store) -> None:
    begun = ask("new", name="one")
    assert (begun["status"], begun["message"]) == ("created", "Started 'one'.")
    session = kernel_store.resume(begun["session_id"])
    assert (session.name, session.agent_name, session.owner) == ("one", ask.name, "ada")
    assert session.record.notebook is None
    add(session, "Hello")
    assert ask("save", name="first")["name"] == "first"
    second = ask("new")
    assert second["message"].startswith("Started")
    assert second["message"].endswith("'first' stays.")
    assert ask("status")["session"]["session_id"] == second["session_id"]
    loaded = ask("load", session_id="first")
    assert (loaded["session_id"], loaded["message_count"]) == (begun["session_id"], 1)
    assert [message["content"] for message in loaded["messages"]] == ["Hello"]
    assert ask("status")["session"]["session_id"] == begun["session_id"]
    assert ask("status", ref=second["session_id"])["session"]["session_id"] == second["session_id"]
    assert ask("status")["session"]["session_id"] == begun["session_id"]


def test_the_current_session_is_the_same_for_another_server(
    ask: Agent, server: Served, tmp_path: Path
) -> None:
    first = ask("new", name="one")["session_id"]
    ask("new", name="two")
    with served(tmp_path, server.store) as other:
        there = Agent(other.client(), ask.name)
        assert there("status")["session"]["name"] == "two"
        there("load", session_id=first)
        assert ask("status")["session"]["session_id"] == first
        assert there("undo")["message"] == "Took back: load one. 'two' has 0 messages."
    assert ask("status")["session"]["name"] == "two"


def test_without_a_visit_it_is_the_latest_of_the_agent(ask: Agent, kernel_store: Store) -> None:
    kernel_store.create("of a kernel", agent_name=ask.name)
    kernel_store.create("of another", agent_name=f"{ask.name} too")
    assert ask("status")["session"]["name"] == "of a kernel"
    assert ask("load")["name"] == "of a kernel"
    assert ask("load", session_id="latest")["name"] == "of a kernel"


def test_an_unknown_id_leaves_the_current_session_alone(ask: Agent, kernel_store: Store) -> None:
    ask("new", name="one")
    kernel_store.create("of another", agent_name=f"{ask.name} too")
    for ref in ("nosuch", "of another", "*", "../x", "\x00", "a" * 5_000):
        answer = ask.ask("load", session_id=ref)
        assert (answer.status_code, answer.json()["error"]) == (404, "SessionNotFound"), ref
    assert ask("status")["session"]["name"] == "one"


def test_where_there_is_no_session_it_is_said_how_to_get_one(ask: Agent) -> None:
    answer = ask.ask("rename", name="x")
    assert answer.status_code == 400
    assert answer.json()["message"] == (
        "There is no current session. `session/new` starts one, `session/load` resumes one."
    )
    assert ask("save", name="x")["session"]["name"] == "x"


def test_history_lists_this_agents_sessions_newest_first(ask: Agent, kernel_store: Store) -> None:
    kernel_store.create("of another", agent_name=f"{ask.name} too")
    for number in range(22):
        kernel_store.create(f"{number}", agent_name=ask.name)
    found = ask("history")
    assert [one["name"] for one in found["sessions"]] == [f"{n}" for n in range(21, 1, -1)]
    assert (found["total"], found["message"]) == (20, "20 sessions.")
    assert {"session_id", "created_at", "updated_at", "message_count"} <= set(found["sessions"][0])
    assert len(ask("history", limit=5)["sessions"]) == 5


def test_what_is_very_long_is_sent_in_part() -> None:
    store = nbs.open_store("memory:")
    record = store.create().record
    found = result_of(sessions(store, lambda: [record] * 1_200))
    assert found.message == "1,200 sessions, of which these are the first 1,000."
    assert len(found.sessions or ()) == 1_000


def test_clear_needs_a_confirmation(ask: Agent, kernel_store: Store) -> None:
    for name in ("one", "two"):
        ask("new", name=name)
    kernel_store.create("asked", agent_name=ask.name, conversation_id=f"c of {ask.name}")
    kernel_store.create("of another", agent_name=f"{ask.name} too")
    not_confirmed: list[Any] = [False, "true", "no", 0, 1, "maybe", None, []]
    for said in ({}, *({"confirm": value} for value in not_confirmed)):
        answer = ask.ask("clear", **said)
        assert answer.status_code == 400
        assert answer.json()["message"] == (
            f"This deletes 2 sessions that you began with '{ask.name}', for good: two, one. "
            'Say `session/clear {"confirm":true}` to do it.'
        )
    cleared = ask("clear", confirm=True)
    assert (cleared["status"], cleared["message"]) == ("cleared", f"Deleted 2 sessions with '{ask.name}'.")
    assert "session" not in cleared
    left = {record.name for record in kernel_store.list(None, conversation_id="*")}
    assert {"asked", "of another"} <= left
    assert ask("clear", confirm=True, conversation_id=f"c of {ask.name}")["message"].startswith("Deleted 1")


def test_what_belongs_to_somebody_else_is_not_there(
    ada: httpx2.Client, bob: httpx2.Client, agent: str
) -> None:
    ours, theirs = Agent(ada, agent), Agent(bob, agent)
    session_id = ours("new", name="mine")["session_id"]
    assert theirs.ask("load", session_id=session_id).status_code == 404
    assert theirs("history")["sessions"] == []
    assert theirs.ask("status").status_code == 400
    assert theirs.ask("clear", confirm=True).status_code == 200
    assert theirs.ask("delete", refs=[session_id]).status_code == 404
    path = f"/sessions/{session_id}/command/rename"
    assert bob.post(path, json={"name": "theirs"}).status_code == 404
    assert [one["name"] for one in ours("history")["sessions"]] == ["mine"]


def test_an_agent_may_be_called_anything(client: httpx2.Client) -> None:
    for name in ("openai:gpt-5.2", "a/b", "ünï", "..%2f", "local"):
        ask = Agent(client, name)
        ask.path = (
            f"/agents/{httpx2.URL('').copy_with(path=name).raw_path.decode().replace('/', '%2F')}/command"
        )
        assert ask("new")["session"]["agent_name"]


def test_a_session_is_named_in_the_path(client: httpx2.Client, kernel_store: Store, agent: str) -> None:
    session = kernel_store.create("plan", agent_name=agent)
    add(session, "one", "two", "three")
    path = f"/sessions/{session.session_id}/command"

    def done(command: str, **given: Any) -> Any:
        answer = client.post(f"{path}/{command}", json=given)
        assert answer.status_code == 200, answer.text
        return answer.json()["result"]

    told = done("rewind", to="2")
    assert told["message"] == "Kept the first 2 messages. `session/undo` brings 1 back."
    assert told["session"]["message_count"] == 2
    assert done("undo")["session"]["message_count"] == 3
    assert done("tag", tags=["a", "b"])["session"]["tags"] == ["a", "b"]
    assert done("checkpoint", name="here")["message"] == "Checkpoint 'here' after 3 messages."
    assert [one["name"] for one in done("checkpoints")["checkpoints"]] == ["here"]
    fork = done("fork", name="other", at="here")["session"]
    assert (fork["name"], fork["message_count"]) == ("other", 3)
    assert [one["content"] for one in done("show")["messages"]] == ["one", "two", "three"]
    assert done("clear")["session"]["message_count"] == 0
    assert done("rename", name="essay")["session"]["name"] == "essay"
    assert "essay" in done("tree")["message"]
    assert done("context")["rows"] == []
    assert done("runs")["runs"] == []
    assert texts(kernel_store.resume("other")) == ["one", "two", "three"]


def test_a_command_on_one_session_moves_nobody_elsewhere(ask: Agent, kernel_store: Store) -> None:
    current, other = ask("new", name="current"), kernel_store.create("other", agent_name=ask.name)
    add(other, "Hello")
    answer = ask.client.post(f"/sessions/{other.session_id}/command/fork", json={})
    assert answer.json()["result"]["session"]["name"] == "other (fork)"
    assert ask("status")["session"]["session_id"] == current["session_id"]
    assert ask("fork")["session"]["name"] == "current (fork)"
    assert ask("status")["session"]["name"] == "current (fork)"


def test_a_command_is_done_in_the_state_that_is_meant(client: httpx2.Client, kernel_store: Store) -> None:
    session = kernel_store.create()
    add(session, "one", "two")
    path = f"/sessions/{session.session_id}"
    seen = {"If-Match": client.get(path).headers["ETag"]}
    done = client.post(f"{path}/command/rewind", json={"to": "1"}, headers=seen)
    assert done.status_code == 200
    assert done.headers["ETag"] == client.get(path).headers["ETag"] != seen["If-Match"]
    again = client.post(f"{path}/command/clear", json={}, headers=seen)
    assert (again.status_code, again.json()["error"]) == (412, "Changed")
    assert texts(kernel_store.resume(session.session_id)) == ["one"]
    latest = {"If-Match": done.headers["ETag"]}
    assert client.post(f"{path}/command/clear", json={}, headers=latest).status_code == 200


def test_of_several_commands_in_one_state_one_is_done(client: httpx2.Client, kernel_store: Store) -> None:
    session = kernel_store.create()
    add(session, *(str(number) for number in range(9)))
    path = f"/sessions/{session.session_id}"
    seen = {"If-Match": client.get(path).headers["ETag"]}

    def rewind(number: int) -> int:
        return client.post(f"{path}/command/rewind", json={"to": str(number)}, headers=seen).status_code

    with ThreadPoolExecutor(8) as pool:
        statuses = sorted(pool.map(rewind, range(8)))
    assert statuses == [200, *[412] * 7]
    assert len([entry for entry in kernel_store.backend.log(session.key) if entry.action == "rewind"]) == 1


@pytest.mark.parametrize("command", ["rename", "tag"])
def test_of_several_who_rename_or_tag_in_one_state_one_wins(
    client: httpx2.Client, kernel_store: Store, command: str
) -> None:
    for _ in range(5):
        session = kernel_store.create()
        path = f"/sessions/{session.session_id}"
        seen = {"If-Match": client.get(path).headers["ETag"]}

        def change(number: int) -> int:
            body = {"name": f"of several, {number}"} if command == "rename" else {"tags": [str(number)]}
            where = f"{path}/command/{command}"  # noqa: B023 - all are done before the next
            return client.post(where, json=body, headers=seen).status_code  # noqa: B023

        with ThreadPoolExecutor(8) as pool:
            statuses = list(pool.map(change, range(8)))
        assert sorted(statuses) == [200, *[412] * 7]
        kernel_store.delete(session.session_id)


def test_tags_of_several_are_all_kept(client: httpx2.Client, kernel_store: Store) -> None:
    session = kernel_store.create()
    path = f"/sessions/{session.session_id}/command/tag"

    def tag(number: int) -> int:
        return client.post(path, json={"tags": [f"tag {number}"]}).status_code

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(tag, range(40))) == {200}
    assert set(kernel_store.resume(session.session_id).tags) == {f"tag {number}" for number in range(40)}


@pytest.mark.parametrize("name", [command.name for command in on_face("http")])
def test_every_command_answers_or_says_what_is_wrong(ask: Agent, name: str) -> None:
    ask("new", name="one")
    answer = ask.ask(name)
    assert answer.status_code in (200, 400, 404), answer.text
    told = answer.json()
    assert (told["result"] if answer.status_code == 200 else told)["message"]
    assert "agents.db" not in answer.text
    assert "Traceback" not in answer.text
    assert ask.ask(name, nonsense=1).status_code == 400


def test_what_is_served_is_known(ask: Agent, kernel_store: Store) -> None:
    ids = [kernel_store.create(agent_name=ask.name).session_id for _ in range(22)]
    told = ask.client.get(ask.path).json()["commands"]
    assert [one["path"] for one in told] == [f"/session/{command.name}" for command in on_face("http")]
    load = ask.client.get(f"{ask.path}/session/load").json()
    assert load["parameters"]["session_id"]["type"] == ["string", "null"]
    assert load["completions"]["session_id"] == ids[:1:-1]
    assert ask.client.get(f"{ask.path}/session/laod").status_code == 404
    assert ask.ask("laod").status_code == 404
