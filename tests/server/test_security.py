"""Who is refused, everywhere; and that what is asked touches nothing but sessions."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
import pytest

import nbsessions as nbs
from nbsessions import Store
from nbsessions.server.openapi import document
from nbsessions.server.routes import all_routes
from nbsessions.testing import ScriptedAgent
from tests.conftest import Python, add
from tests.server.servers import Served, served

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
CHANGING = METHODS[2:]
SECRET = "what nobody else shall read"

# The handlers of a server that has the extension, as Tornado has them.
HANDLERS = """
import json, sys
from jupyter_server.serverapp import ServerApp
from tornado.web import RequestHandler

app = ServerApp()
app.initialize(["--ServerApp.root_dir=" + sys.argv[1], "--allow-root", "--ServerApp.port_retries=0"],
               new_httpserver=False)
rules = [rule for one in app.web_app.default_router.rules + app.web_app.wildcard_router.rules
         for rule in getattr(one.target, "rules", [one])]
found = []
for rule in rules:
    name = getattr(rule.target, "__module__", "")
    if name.startswith("nbsessions") or "nbsessions" in str(getattr(rule.matcher, "regex", "")):
        methods = [m for m in RequestHandler.SUPPORTED_METHODS
                   if getattr(rule.target, m.lower()) is not RequestHandler._unimplemented_method]
        found.append([rule.matcher.regex.pattern, rule.target.__name__, methods])
print(json.dumps(found))
"""

# All rows of all tables of a store, read in a process of its own.
ROWS = """
import hashlib, sqlite3, sys
db = sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True)
tables = [row[0] for row in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")]
digest = hashlib.sha256()
for table in tables:
    try:
        rows = db.execute(f'SELECT * FROM "{table}"').fetchall()
    except sqlite3.OperationalError:  # full text has no rows of its own
        continue
    digest.update(repr((table, rows)).encode())
print(digest.hexdigest())
"""


class State:
    """What is in a store, to tell whether it is the same afterwards."""

    def __init__(self, python: Python, url: str) -> None:
        self._python, self._path = python, url.removeprefix("sqlite:///")
        self.before = self._now()

    def _now(self) -> str:
        return self._python(ROWS, self._path)

    @property
    def is_the_same(self) -> bool:
        return self._now() == self.before


@pytest.fixture
def mine(server: Served) -> Iterator[dict[str, str]]:
    """What is there of Ada's: a session with a run, by the names that stand for it in paths."""
    with nbs.open_store(server.store) as store:
        yield _mine(store)


def _mine(store: Store) -> dict[str, str]:
    session = store.get("mine", agent_name="an agent")
    run = session.send(SECRET, agent=ScriptedAgent([SECRET]))
    return {"session_id": "mine", "agent_name": "an agent", "run_id": run.run_id}


def places(known: dict[str, str]) -> list[str]:
    """Return every path that is served, about what is there, and some that are not."""
    paths = dict.fromkeys(route.path for route in all_routes())
    filled = [re.sub(r"\{(\w+)\}", lambda found: quote(known[found[1]], safe=""), path) for path in paths]
    return [*filled, "/nowhere", "/sessions/mine/nowhere", "/sessions/..%2f..%2f", ""]


def careful(server: Served, answer: httpx2.Response) -> None:
    """Refuse an answer that tells what is nobody's business."""
    text = answer.text
    for secret in ("Traceback", 'File "', "agents.db", str(server.log.parent), server.token):
        assert secret not in text, text
        assert secret not in str(answer.headers)


def asked(client: httpx2.Client, method: str, path: str, **options: Any) -> httpx2.Response:
    body: dict[str, Any] = {"json": {}} if method in CHANGING else {}
    return client.request(method, path, **(body | options))


def test_there_is_one_handler_and_nothing_beside_it(python: Python, tmp_path: Path) -> None:
    found = json.loads(python(HANDLERS, tmp_path).splitlines()[-1])
    ((pattern, name, methods),) = found
    assert (pattern, name) == (r"/nbsessions/api(?:/.*)?$", "Handler")
    assert set(methods) == {*METHODS, "OPTIONS"}


def test_nobody_is_answered_without_a_token(
    server: Served, nobody: httpx2.Client, mine: dict[str, str], python: Python
) -> None:
    state = State(python, server.store)
    wrong = server.client("wrong-token")
    for path in places(mine):
        for method in METHODS:
            for client in (nobody, wrong):
                answer = asked(client, method, path)
                assert answer.status_code == 403, (method, path)
                careful(server, answer)
        assert nobody.options(path).text == ""
    assert state.is_the_same


def test_what_is_mine_is_not_there_for_another_person(
    people: Served, ada: httpx2.Client, bob: httpx2.Client
) -> None:
    with nbs.open_store(people.store) as store:
        store.owner = "ada"
        known = _mine(store)

        def told() -> Any:
            records = [record.model_dump() for record in store.list(None, conversation_id="*")]
            mine = [record for record in records if record["owner"] == "ada"]
            return mine, store.resume("mine").messages, [run.model_dump() for run in store.runs("mine")]

        before = told()
        nowhere = places({**known, "session_id": "nosuch", "run_id": "nosuch"})
        for path, other in zip(places(known), nowhere, strict=True):
            for method in METHODS:
                answer = asked(bob, method, path)
                careful(people, answer)
                assert SECRET not in answer.text, (method, path)
                if path != other:
                    # As if it were not there: nobody can tell that it is.
                    nothing = asked(bob, method, other)
                    assert answer.status_code == nothing.status_code != 200, (method, path)
                    told_of = answer.text.replace(known["run_id"], "nosuch").replace("mine", "nosuch")
                    assert told_of == nothing.text, (method, path)
        for command in ("load", "delete", "fork", "clear", "prune", "rename", "redact", "tag"):
            for given in _meaning(known["session_id"]):
                answer = bob.post(f"/agents/an%20agent/command/session/{command}", json=given)
                assert SECRET not in answer.text
        assert told() == before
        assert SECRET in ada.get("/sessions/mine/messages").text


def _meaning(session_id: str) -> list[dict[str, Any]]:
    """Return bodies that mean a session, each of them for some of the commands."""
    return [
        {"session_id": session_id},
        {"refs": [session_id]},
        {"at": session_id},
        {"confirm": True},
        {"keep": 0},
        {"name": "theirs"},
        {"tags": ["theirs"]},
        {"number": 1, "confirm": True},
    ]


# A browser that is logged in


@pytest.fixture
def browser(server: Served) -> Iterator[httpx2.Client]:
    """Who is logged in by a cookie, as a browser is."""
    with httpx2.Client(base_url=server.api, timeout=60, follow_redirects=True) as client:
        client.get(f"{server.url}/login")
        form = {"password": server.token, "_xsrf": client.cookies["_xsrf"]}
        assert client.post(f"{server.url}/login", data=form).status_code in (200, 404)
        assert any(name.startswith("username-") for name in client.cookies)
        client.follow_redirects = False
        yield client


def test_a_cookie_is_enough_to_read_and_not_to_change(
    server: Served, browser: httpx2.Client, mine: dict[str, str], python: Python
) -> None:
    assert browser.get("/sessions/mine").status_code == 200
    stream = browser.get(f"/runs/{mine['run_id']}/events", headers={"Accept": "text/event-stream"})
    assert (stream.status_code, stream.text.count("event: end")) == (200, 1)
    state = State(python, server.store)
    for path in places(mine):
        for method in CHANGING:
            answer = asked(browser, method, path)
            assert answer.status_code == 403, (method, path)
            wrong = asked(browser, method, path, headers={"X-XSRFToken": "wrong"})
            assert wrong.status_code == 403, (method, path)
            careful(server, answer)
    assert state.is_the_same
    right = {"X-XSRFToken": browser.cookies["_xsrf"]}
    for path in places(mine)[:-4]:
        for method in CHANGING:
            if (method, path) != ("DELETE", "/sessions/mine"):
                assert asked(browser, method, path, headers=right).status_code != 403, (method, path)
    assert browser.post("/sessions", json={"name": "of a browser"}, headers=right).status_code == 201
    assert not state.is_the_same


def test_a_page_of_another_origin_reads_nothing_and_changes_nothing(
    server: Served, browser: httpx2.Client, mine: dict[str, str], python: Python
) -> None:
    state = State(python, server.store)
    for origin in ("http://evil.example", "null", server.url.replace("127.0.0.1", "localhost")):
        headers = {"Origin": origin, "X-XSRFToken": browser.cookies["_xsrf"]}
        for path in places(mine):
            for method in METHODS:
                answer = asked(browser, method, path, headers=headers)
                assert answer.status_code in (403, 404), (method, path)
                assert SECRET not in answer.text
                assert "access-control-allow-origin" not in answer.headers
    assert state.is_the_same


def test_another_name_for_this_host_is_refused(server: Served, client: httpx2.Client) -> None:
    # Otherwise a page whose name leads here, by now, would be of the same origin.
    assert client.get("/sessions", headers={"Host": "evil.example"}).status_code == 403


def test_who_may_not_is_refused(tmp_path: Path, python: Python) -> None:
    store = f"sqlite:///{tmp_path}/agents.db"
    config = {"authorizer_class": "tests.server.people.AsToldTo"}
    with nbs.open_store(store) as opened:
        known = _mine(opened)
        with served(tmp_path / "server", store, ServerApp=config) as server:
            nothing, reading = server.client(), server.client(**{"X-May": "read"})
            state = State(python, store)
            for path in places(known)[:-4]:
                for method in METHODS:
                    answer = asked(nothing, method, path)
                    assert answer.status_code == 403, (method, path)
                    careful(server, answer)
                    may = asked(reading, method, path).status_code
                    assert (may == 403) == (method in CHANGING), (method, path)
            assert state.is_the_same


# What is asked for


class Canary:
    """A file and a server that nobody has any business with."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "canary.txt"
        self.text = "the canary in the file"
        self.file.write_text(self.text)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.settimeout(0.01)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/"

    @property
    def was_called(self) -> bool:
        try:
            self._socket.accept()
        except TimeoutError:
            return False
        return True

    def close(self) -> None:
        self._socket.close()

    @property
    def meant(self) -> list[str]:
        """Texts that mean the file or the server."""
        file = str(self.file)
        return [file, f"file://{file}", f"../{self.file.name}", self.url]


@pytest.fixture
def canary(server: Served) -> Iterator[Canary]:
    made = Canary(server.log.parent)
    yield made
    made.close()


def test_no_path_and_no_url_is_taken_from_a_request(
    server: Served, client: httpx2.Client, mine: dict[str, str], canary: Canary
) -> None:
    def files() -> set[str]:
        found = (path.name for path in server.log.parent.rglob("*") if "runtime" not in path.parts)
        return {name for name in found if not name.startswith(("agents.db", "server.log"))}

    before = files()
    told = document(all_routes(), "")
    for path, methods in told["paths"].items():
        for method, operation in methods.items():
            for text in canary.meant:
                for place, query, body in _with(text, operation, told, path, mine):
                    answer = client.request(method, place, params=query, json=body)
                    assert answer.status_code < 500, (method, place, query, body)
                    assert canary.text not in answer.text
    assert not canary.was_called
    assert files() == before
    assert canary.file.read_text() == canary.text


def _with(
    text: str, operation: dict[str, Any], told: dict[str, Any], path: str, known: dict[str, str]
) -> Iterator[tuple[str, dict[str, str], dict[str, Any] | None]]:
    """Yield requests of an operation, each with this text in one of its places."""
    there = re.sub(r"\{(\w+)\}", lambda found: quote(known[found[1]], safe=""), path)
    names = re.findall(r"\{(\w+)\}", path)
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    for name in names:
        values = {**known, name: text}
        place = re.sub(r"\{(\w+)\}", lambda found, v=values: quote(v[found[1]], safe=""), path)  # type: ignore[misc]
        yield place, {}, None if content is None else {}
    for parameter in operation["parameters"]:
        if parameter["in"] == "query":
            yield there, {parameter["name"]: text}, None if content is None else {}
    if content is not None:
        schema = told["components"]["schemas"][content["schema"]["$ref"].rpartition("/")[2]]
        for name, about in schema["properties"].items():
            kind = about.get("type")
            yield there, {}, {name: [text] if kind == "array" or (kind and "array" in kind) else text}


def test_a_body_that_is_too_large_is_not_read(server: Served, client: httpx2.Client) -> None:
    for path in ("/sessions", "/agents/a/command/session/new", "/nowhere"):
        answer = client.post(path, content=b'{"name": "' + b"x" * 3_000_000 + b'"}')
        assert answer.status_code == 413, path
        careful(server, answer)


def test_who_sends_slowly_holds_up_nobody(server: Served, client: httpx2.Client) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    slow = []
    for _ in range(30):
        one = socket.create_connection((host, int(port)))
        request = f"POST /nbsessions/api/sessions HTTP/1.1\r\nHost: {host}:{port}\r\n"
        request += f"Authorization: token {server.token}\r\nContent-Length: 1000\r\n\r\n{{"
        one.sendall(request.encode())
        slow.append(one)
    assert client.get("/sessions").status_code == 200
    for one in slow:
        one.close()
    assert client.get("/sessions").status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"\xff",
        b"[]",
        b"null",
        b'"a"',
        b'{"limit": 1e999}',
        b'{"limit": NaN}',
        b'{"limit": ' + b"9" * 10_000 + b"}",
        b'{"name": "\\ud800"}',
        b'{"name": "a", "name": "b"}',
        b"{}{}",
    ],
)
def test_what_is_no_body_is_refused_in_one_line(server: Served, client: httpx2.Client, body: bytes) -> None:
    for path in ("/sessions", "/agents/a/command/session/new", "/agents/a/command/session/history"):
        answer = client.post(path, content=body)
        assert answer.status_code == 400, (path, body[:20], answer.text)
        assert answer.json()["message"].count("\n") == 0
        assert len(answer.text) < 1_000
        careful(server, answer)


@pytest.mark.parametrize(
    "name", ['a"; filename="b.exe', "a\\b", "a/../b", "ünï 😀", "%0d%0aSet-Cookie: a=b", "a;b", "CON", "."]
)
def test_a_name_makes_no_header(client: httpx2.Client, kernel_store: Store, name: str) -> None:
    session = kernel_store.create(name, agent_name=f"an agent for {name}")
    add(session, "Hello")
    answer = client.get(f"/sessions/{session.session_id}/export")
    assert answer.status_code == 200
    assert all(cookie.startswith("username-") for cookie in answer.headers.get_list("set-cookie"))
    (disposition,) = answer.headers.get_list("content-disposition")
    assert disposition.startswith("attachment")
    assert disposition.isascii()
    assert not re.search(r"[\x00-\x1f]", disposition)
    quoted = re.search(r'filename="([^"]*)"', disposition)
    assert quoted is None or not set(quoted[1]) & set('/\\"')
    assert answer.headers["x-content-type-options"] == "nosniff"
    told = client.post(f"/sessions/{session.session_id}/command/status", json={})
    assert told.json()["result"]["session"]["name"] == name


def test_a_line_break_in_a_name_is_refused(client: httpx2.Client) -> None:
    for name in ("a\r\nSet-Cookie: a=b", "a\nb", "a\x1b[31mb", "a\x00"):
        assert client.post("/sessions", json={"name": name}).status_code == 400
        answer = client.post("/agents/a/command/session/new", json={"name": name})
        assert answer.status_code == 400
        assert not re.search(r"[\x00-\x09\x0b-\x1f]", answer.json()["message"])
