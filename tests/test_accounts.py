"""What runs spend, held against a count of their raw events by a way of its own."""

from __future__ import annotations

import asyncio
import json
import time
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import genai_prices
import pytest
from pydantic_ai import Agent, ModelRetry, RunContext
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

import nbsessions as nbs
from nbsessions import RunCancelled, RunFailed, Session, Spent, Store, Usage
from nbsessions.stores.base import Spending, Total
from nbsessions.testing import ScriptedAgent
from tests.conftest import Python

_NIGHT = datetime(2026, 3, 1, 23, 50, tzinfo=UTC)
_PRICED = ("gpt-4o", "gpt-4o-mini", "claude-sonnet-4-5")
_PROVIDERS = {"gpt-4o": "openai", "claude-sonnet-4-5": "anthropic", "my-model": None}


def request(model: str, sent: int, got: int, at: datetime = _NIGHT, *, cached: int = 0) -> Spent:
    usage = Usage(input_tokens=sent, output_tokens=got, cache_read_tokens=cached, requests=1)
    return Spent(usage, model, _PROVIDERS[model], at)


def raw(store: Store) -> dict[tuple[str, str], dict[str, Any]]:
    """Return what the events of all runs tell, by day and model, read as plain JSON and priced anew."""
    found: dict[tuple[str, str], dict[str, Any]] = defaultdict(lambda: defaultdict(int))
    for run in store.backend.runs():
        for event in store.backend.events(run.run_id):
            if event.data.get("name") != "nbsessions.usage":
                continue
            value = json.loads(json.dumps(event.data["value"]))
            group = found[value["at"][:10], value["model"] or ""]
            for name in ("input_tokens", "output_tokens", "cache_read_tokens", "requests"):
                group[name] += value[name]
            if value["model"] in _PRICED:
                tokens = {
                    name: value[name] for name in ("input_tokens", "output_tokens", "cache_read_tokens")
                }
                price = genai_prices.calc_price(
                    genai_prices.Usage(**tokens),
                    value["model"],
                    genai_request_timestamp=datetime.fromisoformat(value["at"]),
                )
                group["cost"] += price.total_price
            else:
                group["unpriced_tokens"] += value["input_tokens"] + value["output_tokens"]
    return found


def counted(store: Store) -> dict[tuple[str, str], dict[str, Any]]:
    found = store.backend.usage(Spending(by=("day", "model")))
    # Where a run only began, and spent nothing, it is counted as a run alone.
    spent = [total for total in found if total.usage != Usage()]
    return {(str(total.group[0]), str(total.group[1] or "")): _plain(total) for total in spent}


def _plain(total: Total) -> dict[str, Any]:
    told = {name: value for name, value in total.usage if value and name != "reasoning_tokens"}
    return told


def assert_same(store: Store) -> None:
    expected = {
        group: {name: value for name, value in told.items() if value} for group, told in raw(store).items()
    }
    assert counted(store) == {group: told for group, told in expected.items() if told}
    # The sessions that are there have spent what their own runs did; a fork's prefix is not among it.
    for record in store.list(None, conversation_id="*"):
        own = [run.usage for run in store.runs(record.session_id, conversation_id=record.conversation_id)]
        assert record.usage == sum(own, Usage())


def lived(store: Store) -> Session:
    """Live through forks, retries, failures, a sub-agent and three models, over midnight."""
    morning = _NIGHT + timedelta(minutes=20)
    session = store.create("plan", tags=["a"])
    talk = ScriptedAgent(
        [
            [request("gpt-4o", 1000, 10), "First"],
            [
                request("gpt-4o", 2000, 20, cached=1500),
                request("claude-sonnet-4-5", 500, 5, morning),
                "Second",
            ],
            [request("my-model", 70, 7, morning), ValueError("no idea")],
            [request("gpt-4o", 4000, 40, morning), "Third"],
            [request("claude-sonnet-4-5", 300, 3), "On the fork"],
        ]
    )
    session.send("one", agent=talk)
    session.send("two", agent=talk)
    with pytest.raises(RunFailed):
        session.send("three", agent=talk)
    session.send("three", agent=talk)
    session.fork("other", at=2).send("two, otherwise", agent=talk)
    session.rewind(2)
    child = store.create("child", conversation_id="a2a", agent_name="helper")
    child.send(
        "From another agent", agent=ScriptedAgent([[request("my-model", 11, 1), "Done"]], name="helper")
    )
    gone = store.create("gone")
    gone.send("one", agent=ScriptedAgent([[request("gpt-4o", 9000, 90), "Gone soon"]]))
    return session


def test_all_that_is_counted_follows_from_the_events(store: Store) -> None:
    lived(store)
    assert_same(store)
    groups = raw(store)
    assert {model for _, model in groups} == {"gpt-4o", "claude-sonnet-4-5", "my-model"}
    assert {day for day, _ in groups} == {"2026-03-01", "2026-03-02"}
    totals = {total.group: total for total in store.backend.usage(Spending(by=("status",)))}
    assert {group: total.runs for group, total in totals.items()} == {("completed",): 6, ("failed",): 1}
    assert store.verify().ok


def test_it_is_the_same_after_a_rebuild_and_without_a_session(store: Store) -> None:
    lived(store)
    before = counted(store)
    store.backend.rebuild_usage()
    assert counted(store) == before
    store.delete("gone")
    store.delete("plan")
    assert counted(store) == before
    kept = {total.group[0] for total in store.backend.usage(Spending(by=("name",)))}
    assert kept == {None, "other", "child"}


def test_a_run_that_is_cancelled_counts_what_it_used(store: Store) -> None:
    session = store.create("plan")
    script: list[Any] = [request("gpt-4o", 100, 1), "I was about to", KeyboardInterrupt()]
    with pytest.raises(RunCancelled):
        session.send("one", agent=ScriptedAgent([script]))
    assert [run.status for run in session.runs()] == ["cancelled"]
    assert session.usage.input_tokens == 100
    assert session.usage.cost is not None
    assert_same(store)


# pydantic-ai tells each request by itself


class Endpoint(BaseHTTPRequestHandler):
    """Answers as a chat endpoint of OpenAI's does: it calls a tool twice, and says something then."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        calls = sum(1 for message in asked["messages"] if message["role"] == "assistant")
        model = asked["model"].split(",")[calls]
        if model == "nowhere":
            self.send_error(400, "no such model")
            return
        function = {"name": "look", "arguments": '{"what": "x"}'}
        call = {"index": 0, "id": f"call-{calls}", "type": "function", "function": function}
        delta = {"role": "assistant", **({"tool_calls": [call]} if calls < 2 else {"content": "Done"})}
        cached = {"cached_tokens": 100 * calls}
        usage = {
            "prompt_tokens": 1000 * (calls + 1),
            "completion_tokens": 10,
            "prompt_tokens_details": cached,
        }
        usage["total_tokens"] = 1000 * (calls + 1) + 10
        if "/slow/" in self.path:
            time.sleep(1)
        if not asked.get("stream"):
            message = {"content": None, **delta}
            choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
            self._answer(
                {
                    "id": "1",
                    "object": "chat.completion",
                    "created": int(time.time()),
                    "model": model,
                    "choices": choices,
                    "usage": usage,
                }
            )
            return
        whole = {"id": "1", "object": "chat.completion.chunk", "created": int(time.time()), "model": model}
        said = {**whole, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
        end = {**whole, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for chunk in (said, end, {**whole, "choices": [], "usage": usage}):
            self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
        self.wfile.write(b"data: [DONE]\n\n")

    def _answer(self, body: dict[str, Any]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    thread.join()
    server.server_close()


def looker(endpoint: str, *models: str, name: str = "looker") -> Agent[None, str]:
    """Return an agent that looks twice, with one model after the other; the first look is in vain."""
    model = OpenAIChatModel(",".join(models), provider=OpenAIProvider(base_url=endpoint, api_key="none"))
    agent: Agent[None, str] = Agent(model, name=name)
    tries: list[str] = []

    @agent.tool_plain
    def look(what: str) -> str:
        tries.append(what)
        if len(tries) == 1:
            raise ModelRetry("look again")
        return "seen"

    return agent


def test_each_request_of_an_agent_is_told(store: Store, endpoint: str) -> None:
    session = store.create("plan")
    run = session.send("one", agent=looker(endpoint, "gpt-4o", "gpt-4o-mini", "my-model"))
    told = [event for event in session.run_events(run.run_id) if event.data.get("name") == "nbsessions.usage"]
    assert [event.data["value"]["model"] for event in told] == ["gpt-4o", "gpt-4o-mini", "my-model"]
    assert [event.data["value"]["input_tokens"] for event in told] == [1000, 2000, 3000]
    # Each is told when it was answered, not at the end.
    kinds = [event.type for event in session.run_events(run.run_id)]
    assert kinds.index("CUSTOM") < kinds.index("TOOL_CALL_RESULT")
    assert (run.usage.requests, run.usage.cache_read_tokens, run.usage.unpriced_tokens) == (3, 300, 3010)
    assert {share.model for share in run.shares} == {"gpt-4o", "gpt-4o-mini", "my-model"}
    assert_same(store)


def test_a_run_that_fails_half_way_counts_what_it_used(store: Store, endpoint: str) -> None:
    session = store.create("plan")
    with pytest.raises(RunFailed):
        session.send("one", agent=looker(endpoint, "gpt-4o", "gpt-4o", "nowhere"))
    (run,) = session.runs()
    assert (run.status, run.usage.input_tokens) == ("failed", 3000)
    assert run.usage.cost is not None
    assert_same(store)


def test_what_another_agent_spent_for_it_has_no_model(store: Store, endpoint: str) -> None:
    helper = looker(endpoint, "my-model", "my-model", "my-model")
    model = looker(endpoint, "gpt-4o", "gpt-4o", "gpt-4o").model
    asker: Agent[None, str] = Agent(model, name="asker")

    @asker.tool
    async def look(context: RunContext[None], what: str) -> str:
        return str((await helper.run(what, usage=context.usage)).output)

    run = store.create("plan").send("one", agent=asker)
    spent = {share.model: share.usage for share in run.spending}
    assert spent["gpt-4o"].input_tokens == 6000
    assert spent[None].unpriced_tokens == 2 * 6030
    assert run.usage.input_tokens == 18_000
    assert_same(store)


def test_what_an_interrupted_run_told_is_counted(path: Path, endpoint: str, python: Python) -> None:
    code = """
import os, sys, signal
import nbsessions as nbs
from tests.test_accounts import looker

agent = looker(sys.argv[2], "gpt-4o", "gpt-4o-mini", "my-model")
with nbs.open_store(sys.argv[1]) as store:
    def die(event):
        if event.type == "TOOL_CALL_RESULT" and "seen" in event.content:
            os.kill(os.getpid(), signal.SIGKILL)
    store.create("plan").send("one", agent=agent, on_event=die)
"""
    process = python.start(code, path, f"{endpoint}/slow")
    process.wait(60)
    with nbs.open_store(path) as store:
        _expire(store)
        session = store.resume("plan")
        (run,) = session.runs()
        assert (run.status, run.usage.requests, run.usage.input_tokens) == ("interrupted", 2, 3000)
        assert (
            run.usage.cost == sum((share.usage.cost or Decimal(0) for share in run.spending), Decimal(0)) > 0
        )
        assert_same(store)


def _expire(store: Store) -> None:
    for run in store.backend.runs(status="running"):
        store.backend.renew_lease(run.run_id, 0)


def test_own_prices_are_those_of_a_run() -> None:
    nbs.set_price("my-model", input_mtok=1, output_mtok=2)
    try:
        session = nbs.open_store("memory:").create("plan")
        run = session.send("one", agent=ScriptedAgent([[request("my-model", 1_000_000, 500_000), "Hi"]]))
    finally:
        nbs.set_price("my-model")
    assert (run.usage.cost, run.priced_by, run.usage.unpriced_tokens) == (Decimal(2), "own price", 0)


def test_asking_from_a_loop_counts_the_same(store: Store, endpoint: str) -> None:
    session = store.create("plan")
    asyncio.run(session.asend("one", agent=looker(endpoint, "gpt-4o", "gpt-4o", "gpt-4o")))
    assert session.usage.requests == 3
    assert_same(store)
