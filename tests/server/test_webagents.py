"""webagents' own client, asked to have its session commands done by this server."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from nbsessions import Store
from tests.conftest import add
from tests.server.servers import Served
from tests.stores.webagents import WebAgents

CLIENT = """
import asyncio, json, sys
import httpx
from webagents.cli.client.daemon_client import DaemonClient, daemon_error_detail

async def main(url, token, calls):
    client = DaemonClient(url, agents_prefix="/nbsessions/api/agents")
    client.client.headers["Authorization"] = f"token {token}"
    found = []
    for what, *given in calls:
        try:
            found.append(await getattr(client, what)("my-agent", *given))
        except httpx.HTTPStatusError as error:
            found.append([error.response.status_code, daemon_error_detail(error)])
    await client.close()
    print(json.dumps(found))

asyncio.run(main(sys.argv[1], sys.argv[2], json.loads(sys.argv[3])))
"""


@pytest.fixture(scope="module")
def webagents(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebAgents]:
    running = WebAgents(tmp_path_factory.mktemp("webagents") / "env")
    yield running
    running.close()


class Client:
    """webagents' client of a daemon, which this server is."""

    def __init__(self, webagents: WebAgents, server: Served) -> None:
        self._python, self._server = webagents.python, server

    def __call__(self, *calls: Any) -> Any:
        command = [str(self._python), "-c", CLIENT, self._server.url, self._server.token, json.dumps(calls)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


def test_its_client_understands_what_it_is_answered(
    webagents: WebAgents, server: Served, kernel_store: Store
) -> None:
    client = Client(webagents, server)
    session = kernel_store.create("first", agent_name="my-agent")
    add(session, "Hello")
    execute = "execute_command"
    saved, new, listed, loaded, missing, unconfirmed, known, about = client(
        [execute, "/session/save", {"name": "kept"}],
        [execute, "/session/new"],
        [execute, "/session/history", {"limit": 10}],
        [execute, "/session/load", {"session_id": session.session_id}],
        [execute, "/session/load", {"session_id": "nosuch"}],
        [execute, "/session/clear", {"confirm": False}],
        ["list_commands"],
        ["get_command_docs", "/session/load"],
    )
    assert (saved["result"]["status"], saved["result"]["name"]) == ("saved", "kept")
    assert saved["result"]["message_count"] == 1
    assert new["result"]["status"] == "created"
    ids = [one["session_id"] for one in listed["result"]["sessions"]]
    assert ids == [new["result"]["session_id"], session.session_id]
    assert listed["result"]["current_session_id"] == ids[0]
    assert [(one["role"], one["content"]) for one in loaded["result"]["messages"]] == [("user", "Hello")]
    assert missing == [404, "No session 'nosuch' in this store. `session/history` lists what there is."]
    assert unconfirmed[0] == 400
    assert unconfirmed[1].endswith('Say `session/clear {"confirm":true}` to do it.')
    assert {"/session/save", "/session/load", "/session/new", "/session/history", "/session/clear"} <= {
        one["path"] for one in known
    }
    assert about["completions"]["session_id"] == ids
    (cleared,) = client([execute, "/session/clear", {"confirm": True}])
    assert cleared["result"]["status"] == "cleared"
    assert kernel_store.list(agent_name="my-agent") == []
