"""The events of a run as they happen elsewhere, sent to whoever listens."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
from pathlib import Path
from typing import Any

import httpx2
import pytest

import nbsessions as nbs
from nbsessions import Run, Session, Store
from nbsessions.server import following
from nbsessions.server.following import End, Feed, Feeds, Told
from nbsessions.testing import ScriptedAgent
from nbsessions.values import new_id, now
from nbsessions.workers import LEASE
from tests.conftest import Python
from tests.server.listening import Listener
from tests.server.servers import Served, served

# Each line that it is given is a part of the answer.
ANSWERS = """
import sys
import nbsessions as nbs

def agent(prompt):
    for line in sys.stdin:
        yield line

with nbs.open_store(sys.argv[1]) as store:
    store.create(session_id=sys.argv[2]).send("Go", agent=agent)
"""


class Answering:
    """A run of another process, which says what it is told to say."""

    def __init__(self, python: Python, store: Store, session_id: str) -> None:
        self.process: subprocess.Popen[str] = python.start(ANSWERS, store.url, session_id)
        self.store, self.session_id = store, session_id
        while not (runs := self._runs()):
            assert self.process.poll() is None, self.process.communicate()
        self.run_id = runs[0].run_id

    def _runs(self) -> list[Run]:
        try:
            return self.store.runs(self.session_id)
        except nbs.SessionNotFound:
            return []

    def say(self, text: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{text}\n")
        self.process.stdin.flush()

    def end(self) -> None:
        self.process.communicate(timeout=60)

    @property
    def told(self) -> list[tuple[int, str, Any]]:
        return [(event.seq, event.type, event.data) for event in self.store.events(self.run_id)]


@pytest.fixture
def answering(python: Python, kernel_store: Store, request: pytest.FixtureRequest) -> Answering:
    return Answering(python, kernel_store, request.node.name)


def test_three_clients_hear_a_run_while_it_happens_and_so_does_who_comes_late(
    client: httpx2.Client, answering: Answering
) -> None:
    first = [Listener(client, answering.run_id) for _ in range(3)]
    answering.say("one")
    for listener in first:
        listener.hears("one\n")
    late = Listener(client, answering.run_id)
    answering.say("two")
    for listener in (*first, late):
        listener.hears("one\ntwo\n")
    assert answering.store.run(answering.run_id).status == "running"
    answering.end()
    for listener in (*first, late):
        assert listener.ends() == {"status": "completed"}
        assert [(sent.id, sent.event, sent.data) for sent in listener.events] == answering.told
    assert first[0].headers["content-type"] == "text/event-stream"
    assert first[0].headers["cache-control"] == "no-store"
    assert first[0].headers["x-content-type-options"] == "nosniff"
    head = client.head(f"/runs/{answering.run_id}/events", headers={"Accept": "text/event-stream"})
    assert (head.status_code, head.headers["content-type"], head.text) == (200, "text/event-stream", "")
    # Who comes after the end is told all of it, too.
    after = Listener(client, answering.run_id)
    assert after.ends() == {"status": "completed"}
    assert after.ids == first[0].ids


def test_who_was_interrupted_goes_on_where_he_was(client: httpx2.Client, answering: Answering) -> None:
    listener, other = Listener(client, answering.run_id), Listener(client, answering.run_id)
    answering.say("one")
    listener.hears("one\n")
    listener.leave()
    answering.say("two")
    listener.ends()
    known = listener.ids[-1]
    answering.say("three")
    other.hears("one\ntwo\nthree\n")
    again = Listener(client, answering.run_id, **{"Last-Event-ID": str(known)})
    answering.end()
    assert again.ends() == {"status": "completed"}
    assert other.ends() == {"status": "completed"}
    assert [*listener.ids, *again.ids] == other.ids
    assert [*listener.ids, *again.ids] == [seq for seq, _, _ in answering.told]
    # A browser comes back after the end, and is told not to.
    last = {"Accept": "text/event-stream", "Last-Event-ID": str(again.ids[-1])}
    assert client.get(f"/runs/{answering.run_id}/events", headers=last).status_code == 204


def test_who_begins_later_is_sent_what_is_later(client: httpx2.Client, kernel_store: Store) -> None:
    run = kernel_store.create().send("Hello", agent=ScriptedAgent(["Hi"]))
    path = f"/runs/{run.run_id}/events?after=2"
    lines = client.get(path, headers={"Accept": "text/event-stream"}).text.splitlines()
    assert [line for line in lines if line.startswith("id:")] == ["id: 3", "id: 4"]
    page = client.get(path).json()
    assert [event["seq"] for event in page["events"]] == [3, 4]
    assert (page["cursor"], page["gap"], page["event_count"]) == (4, False, 5)
    assert (
        client.get(path, headers={"Last-Event-ID": "a\tb", "Accept": "text/event-stream"}).status_code == 400
    )


def test_what_was_dropped_is_told(client: httpx2.Client, kernel_store: Store) -> None:
    run = kernel_store.create().send("Hello", agent=ScriptedAgent(["Hi"]))
    kernel_store.backend.drop_events(run.run_id, 3)
    listener = Listener(client, run.run_id)
    assert listener.ends() == {"status": "completed"}
    assert (listener.sent[0].event, listener.sent[0].data) == ("gap", {"first": 0, "last": 2})
    assert listener.ids == [3, 4]
    assert client.get(f"/runs/{run.run_id}/events").json()["gap"] is True


def test_a_run_whose_process_died_ends(client: httpx2.Client, answering: Answering) -> None:
    listener = Listener(client, answering.run_id)
    answering.say("one")
    listener.hears("one\n")
    answering.process.kill()
    answering.process.wait()
    assert listener.ends() == {"status": "interrupted"}


def test_what_is_somebody_elses_is_not_heard(
    ada: httpx2.Client, bob: httpx2.Client, people: Served, nobody: httpx2.Client
) -> None:
    with nbs.open_store(people.store) as store:
        store.owner = "ada"
        run = store.create().send("Hello", agent=ScriptedAgent(["Hi"]))
    path = f"/runs/{run.run_id}/events"
    for accept in ("text/event-stream", "application/json"):
        headers = {"Accept": accept}
        answer = bob.get(path, headers=headers)
        assert answer.status_code == 404
        nowhere = bob.get("/runs/nowhere/events", headers=headers)
        assert answer.text.replace(run.run_id, "nowhere") == nowhere.text
        assert ada.get(path, headers=headers).status_code == 200
        assert nobody.get(path, headers=headers).status_code == 403


def test_who_reads_slowly_holds_up_nobody_and_is_told_all(
    server: Served, client: httpx2.Client, kernel_store: Store
) -> None:
    # More than what lies on the way, in the buffers of two sockets.
    parts = [f"{number} {'x' * 200_000}" for number in range(100)]
    script: list[Any] = [piece for part in parts for piece in (part, {"role": "assistant", "content": "."})]
    run = kernel_store.create().send("Hello", agent=ScriptedAgent([script]))
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as slow:
        request = f"GET /nbsessions/api/runs/{run.run_id}/events HTTP/1.1\r\nHost: {host}:{port}\r\n"
        request += f"Authorization: token {server.token}\r\nAccept: text/event-stream\r\n\r\n"
        slow.sendall(request.encode())
        assert slow.recv(100).startswith(b"HTTP/1.1 200")
        listener = Listener(client, run.run_id)
        assert listener.ends() == {"status": "completed"}
        read = b""
        while b"event: end" not in read[-200:]:
            read += slow.recv(1_000_000)
    ids = [int(line[4:]) for line in read.split(b"\n") if line.startswith(b"id: ")]
    assert ids == listener.ids == [*range(len(ids))]


def test_so_many_listen_and_no_more_and_all_leave_with_the_server(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path}/agents.db"
    with nbs.open_store(store) as kernel:
        run = _running(kernel.create())
        with served(tmp_path / "server", store, NbsessionsApp={"streams": 2}) as server:
            client = server.client()
            first, second = Listener(client, run.run_id), Listener(client, run.run_id)
            for listener in (first, second):
                listener.is_answered()
            third = Listener(client, run.run_id)
            third.ends()
            assert (third.status, third.headers["retry-after"]) == (429, "10")
        assert [listener.ends() for listener in (first, second)] == [None, None]
        assert "Traceback" not in server.said()


def _running(session: Session) -> Run:
    """Return a run that this process says to be at."""
    run = Run(
        run_id=new_id(),
        session_id=session.session_id,
        agent_name="echo",
        prompt="Go",
        started_at=now(),
        worker=f"{socket.gethostname()}:{os.getpid()}",
        lease_until=now() + LEASE * 1000,
    )
    session.backend.start_run(run)
    session.backend.append_events(run.run_id, [("RUN_STARTED", json.dumps({"type": "RUN_STARTED"}))], first=0)
    return run


# The one who reads the store for all


class Scripted:
    """A run that is looked at, and how often it was."""

    def __init__(self, count: int = 0, status: str = "running") -> None:
        self.events = [Told(number, "TEXT", "{}") for number in range(count)]
        self.looks = 0
        self.run: Run | None = Run(
            run_id="1",
            session_id="2",
            agent_name="echo",
            started_at=now(),
            lease_until=now() + LEASE * 1000,
            event_count=count,
            status=status,  # type: ignore[arg-type]
        )

    async def look(self, after: int) -> tuple[Run | None, list[Told]]:
        self.looks += 1
        await asyncio.sleep(0)
        found = [told for told in self.events if told.seq > after]
        return self.run, found[: following.PAGE]

    def add(self, count: int) -> None:
        first = len(self.events)
        self.events += [Told(number, "TEXT", "{}") for number in range(first, first + count)]

    def end(self, status: str = "completed") -> None:
        assert self.run is not None
        self.run = self.run.model_copy(update={"status": status})


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits where nothing but the order matters."""
    monkeypatch.setattr(following, "QUICK", 0.001)
    monkeypatch.setattr(following, "SLOW", 0.002)


async def heard(feed: Feed, after: int = -1, slowness: float = 0) -> tuple[list[int], str | None]:
    seqs: list[int] = []
    async for found in feed.follow(after):
        if isinstance(found, End):
            return seqs, found.status
        seqs += [told.seq for told in found]
        await asyncio.sleep(slowness)
    raise AssertionError("it ended without an end")


async def followed(script: Scripted, feeds: Feeds, after: int = -1, slowness: float = 0) -> Any:
    assert script.run is not None
    async with feeds.following("ada", script.run, script.look) as feed:
        return await heard(feed, after, slowness)


def test_fifty_who_follow_do_not_ask_the_store_fifty_times() -> None:
    async def scene(count: int) -> tuple[list[Any], int]:
        script, feeds = Scripted(), Feeds()
        following = [asyncio.create_task(followed(script, feeds)) for _ in range(count)]
        for _ in range(200):
            script.add(1)
            await asyncio.sleep(0.001)
        script.end()
        found = await asyncio.gather(*following)
        await asyncio.sleep(0.01)
        assert (feeds.count, len(asyncio.all_tasks())) == (0, 1)
        return found, script.looks

    one, alone = asyncio.run(scene(1))
    all_of_them, together = asyncio.run(scene(50))
    assert one == [([*range(200)], "completed")]
    assert all_of_them == one * 50
    assert together < alone * 20


def test_who_is_slow_or_late_hears_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "_KEPT", 10)
    monkeypatch.setattr(following, "PAGE", 7)

    async def scene() -> list[Any]:
        script, feeds = Scripted(count=100), Feeds()
        slow = asyncio.create_task(followed(script, feeds, slowness=0.002))
        quick = asyncio.create_task(followed(script, feeds, after=90))
        for _ in range(100):
            script.add(3)
            await asyncio.sleep(0.0005)
        late = asyncio.create_task(followed(script, feeds))
        script.end("failed")
        return list(await asyncio.gather(slow, quick, late))

    everything = [*range(400)]
    assert asyncio.run(scene()) == [
        (everything, "failed"),
        (everything[91:], "failed"),
        (everything, "failed"),
    ]


def test_a_run_that_waits_for_an_approval_has_not_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "BEAT", 0.005)

    async def scene() -> Any:
        script = Scripted(count=2, status="suspended")
        feed = Feed(script.look, known=-1)
        watching = asyncio.create_task(feed.watch())
        silences = 0
        async for found in feed.follow(-1):
            silences += found == []
            if silences == 3 and not isinstance(found, End):
                script.add(1)
                script.end()
            if isinstance(found, End):
                await watching
                return found.status
        return None

    assert asyncio.run(scene()) == "completed"


def test_a_run_that_is_deleted_ends_and_a_store_that_cannot_be_read_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(following, "_FAILURES", 3)

    async def scene(run: Run | None, failures: int) -> tuple[list[int], str | None]:
        script = Scripted(count=2)
        looked = 0

        async def look(after: int) -> tuple[Run | None, list[Told]]:
            nonlocal looked
            looked += 1
            if looked <= failures:
                raise nbs.StoreUnavailable("locked")
            script.run = run
            return await script.look(after)

        feed = Feed(look, known=-1)
        watching = asyncio.create_task(feed.watch())
        found = await heard(feed)
        await watching
        return found

    completed = Scripted(status="completed").run
    assert asyncio.run(scene(None, 0)) == ([0, 1], "deleted")
    assert asyncio.run(scene(completed, 2)) == ([0, 1], "completed")
    assert asyncio.run(scene(completed, 3)) == ([], None)


def test_what_an_event_is_called_stays_on_its_line() -> None:
    from nbsessions.server.streaming import text

    assert text(Told(1, "A\r\nid: 7\n\ndata: x", "{}")) == "id: 1\nevent: A id: 7 data: x\ndata: {}\n\n"
