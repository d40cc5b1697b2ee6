"""What the OpenAI Agents SDK asks of a session, of ours and of its own side by side."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from agents import Agent, RunConfig, Runner, SQLiteSession, function_tool
from agents.memory import Session as Protocol
from agents.memory import SessionSettings
from agents.testing import ScriptedModel, assistant_message, function_call

import nbsessions as nbs
from nbsessions.bridges.openai_agents import Session
from tests.conftest import Python, add, texts

Kind = Callable[..., Any]
SILENT = RunConfig(tracing_disabled=True)


@pytest.fixture(params=[Session, SQLiteSession], ids=["ours", "theirs"])
def kind(request: pytest.FixtureRequest) -> Iterator[Kind]:
    """A class of sessions; what it makes is closed in the end."""
    made: list[Any] = []

    def make(*arguments: Any, **options: Any) -> Any:
        made.append(request.param(*arguments, **options))
        return made[-1]

    yield make
    for session in made:
        session.close()


def said(*contents: str, role: str = "user") -> list[Any]:
    return [{"role": role, "content": content} for content in contents]


def run(awaitable: Awaitable[Any]) -> Any:
    async def awaited() -> Any:
        return await awaitable

    return asyncio.run(awaited())


def contents(items: list[Any]) -> list[Any]:
    return [item.get("content") for item in items]


# As the SDK asks for it


def test_it_is_what_the_sdk_calls_a_session(kind: Kind, path: Path) -> None:
    session = kind("chat", path)
    assert isinstance(session, Protocol)
    assert session.session_id == "chat"


def test_items_come_back_as_they_were(kind: Kind, path: Path) -> None:
    items: list[Any] = [
        {"role": "user", "content": "Ä 😀 'quoted' \x00 \n"},
        {"type": "reasoning", "id": "r1", "summary": [{"type": "summary_text", "text": "Hm."}]},
        {
            "type": "function_call",
            "call_id": "c1",
            "name": "add",
            "arguments": '{"a": 1, "b": 2}',
            "id": "f1",
        },
        {"type": "function_call_output", "call_id": "c1", "output": [{"type": "input_text", "text": "3"}]},
        {"type": "web_search_call", "id": "w1", "status": "completed", "action": {"type": "search"}},
        {"type": "nobody_knows", "of": {"deep": [1, 2.5, None, True]}},
        {
            "role": "assistant",
            "type": "message",
            "content": [{"type": "output_text", "text": "3", "logprobs": []}],
        },
    ]
    session = kind("chat", path)
    run(session.add_items(items[:3]))
    run(session.add_items(items[3:]))
    assert run(session.get_items()) == items
    assert run(kind("chat", path).get_items()) == items  # after a restart


def test_the_last_items_come_in_order(kind: Kind, path: Path) -> None:
    session = kind("chat", path)
    run(session.add_items(said(*"abcde")))
    for limit, expected in [(2, "de"), (0, ""), (9, "abcde"), (None, "abcde"), (-1, "abcde")]:
        assert contents(run(session.get_items(limit))) == [*expected]


def test_nothing_is_added_by_no_items(kind: Kind, path: Path) -> None:
    session = kind("chat", path)
    run(session.add_items([]))
    assert run(session.get_items()) == []
    assert run(session.pop_item()) is None


def test_the_last_item_is_taken_away(kind: Kind, path: Path) -> None:
    """Also where it is a part of what a chat calls one message."""
    items: list[Any] = [
        *said("Add"),
        {"role": "assistant", "type": "message", "content": [{"type": "output_text", "text": "Let me."}]},
        {"type": "function_call", "call_id": "c1", "name": "add", "arguments": "{}"},
        {"type": "function_call", "call_id": "c2", "name": "add", "arguments": "{}"},
    ]
    session = kind("chat", path)
    run(session.add_items(items))
    for position in reversed(range(len(items))):
        assert run(session.pop_item()) == items[position]
        assert run(session.get_items()) == items[:position]
    assert run(session.pop_item()) is None
    run(session.add_items(said("Again")))
    assert run(session.get_items()) == said("Again")


def test_all_is_taken_away(kind: Kind, path: Path) -> None:
    session = kind("chat", path)
    run(session.clear_session())
    run(session.add_items(said("a", "b")))
    run(session.clear_session())
    assert run(session.get_items()) == []


def test_sessions_do_not_know_each_other(kind: Kind, path: Path) -> None:
    one, other = kind("one", path), kind("other", path)
    run(one.add_items(said("a")))
    run(other.add_items(said("b")))
    run(one.pop_item())
    assert (run(one.get_items()), run(other.get_items())) == ([], said("b"))


def test_settings_say_how_much_is_seen(kind: Kind, path: Path) -> None:
    assert kind("default", path).session_settings == SessionSettings()
    session = kind("chat", path, session_settings={"limit": 2})
    run(session.add_items(said(*"abc")))
    assert contents(run(session.get_items())) == ["b", "c"]
    assert contents(run(session.get_items(limit=1))) == ["c"]
    with pytest.raises(TypeError, match="limitt"):
        kind("chat", path, session_settings={"limitt": 1})


def test_what_is_no_json_is_refused_and_changes_nothing(kind: Kind, path: Path) -> None:
    session = kind("chat", path)
    with pytest.raises((TypeError, nbs.InvalidInput)):
        run(session.add_items([*said("a"), {"role": "user", "content": object()}]))
    run(session.add_items(said("b")))
    assert run(session.get_items()) == said("b")


def test_what_is_closed_says_so(kind: Kind, path: Path) -> None:
    session = kind("chat", path)
    session.close()
    with pytest.raises((RuntimeError, nbs.InvalidInput), match="is closed"):
        run(session.add_items([]))


def test_many_threads_lose_nothing(kind: Kind, path: Path) -> None:
    session = kind("chat", path)
    with ThreadPoolExecutor(5) as threads:
        list(threads.map(lambda n: run(session.add_items(said(f"{n}"))), range(20)))
    assert sorted(map(int, contents(run(session.get_items())))) == [*range(20)]


def test_what_was_begun_is_done_also_where_the_caller_is_cancelled(kind: Kind, path: Path) -> None:
    session = kind("chat", path)

    async def cancelled() -> None:
        task = asyncio.create_task(session.add_items(said("a")))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        run(cancelled())
    assert run(session.get_items()) == said("a")


def test_the_loop_goes_on_meanwhile(kind: Kind, path: Path) -> None:
    session = kind("chat", path)

    async def both() -> int:
        writing = asyncio.create_task(session.add_items(said(*map(str, range(2000)))))
        turns = 0
        while not writing.done():
            await asyncio.sleep(0)
            turns += 1
        await writing
        return turns

    assert run(both()) > 2


async def asked(
    session: Any, model: ScriptedModel, prompt: Any, streamed: bool, config: RunConfig = SILENT
) -> Any:
    agent = Agent("greeter", model=model)
    if not streamed:
        return (await Runner.run(agent, prompt, session=session, run_config=config)).final_output
    result = Runner.run_streamed(agent, prompt, session=session, run_config=config)
    async for _ in result.stream_events():
        pass
    return result.final_output


def answers(*texts: str) -> ScriptedModel:
    return ScriptedModel([[assistant_message(text)] for text in texts])


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_an_agent_remembers(kind: Kind, path: Path, streamed: bool) -> None:
    session, model = kind("chat", path), answers("Oslo", "Norway")
    assert run(asked(session, model, "Which city?", streamed)) == "Oslo"
    assert run(asked(session, model, said("Which country?"), streamed)) == "Norway"
    sent: Any = model.calls[1].input
    assert [item["role"] for item in sent] == ["user", "assistant", "user"]
    assert len(run(session.get_items())) == 4
    assert run(kind("other", path).get_items()) == []


def test_a_limit_of_the_run_goes_before(kind: Kind, path: Path) -> None:
    session, model = kind("chat", path, session_settings=SessionSettings(limit=9)), answers("Hi")
    run(session.add_items(said(*"abcd")))
    config = RunConfig(tracing_disabled=True, session_settings=SessionSettings(limit=2))
    run(asked(session, model, "Hello", False, config))
    assert contents(model.calls[0].input) == ["c", "d", "Hello"]


def test_a_limit_leaves_no_result_without_its_call(kind: Kind, path: Path) -> None:
    session, model = kind("chat", path), answers("Hi")
    call = {"type": "function_call", "call_id": "c1", "name": "add", "arguments": "{}"}
    run(
        session.add_items(
            [*said("Add"), call, {"type": "function_call_output", "call_id": "c1", "output": "3"}]
        )
    )
    config = RunConfig(tracing_disabled=True, session_settings=SessionSettings(limit=1))
    run(asked(session, model, "Hello", False, config))
    assert model.calls[0].input == said("Hello")


def test_the_person_may_say_what_is_sent(kind: Kind, path: Path) -> None:
    session, model = kind("chat", path), answers("Hi")
    run(session.add_items(said("a", "b")))
    config = RunConfig(
        tracing_disabled=True, session_input_callback=lambda history, new: [*history[-1:], *new]
    )
    run(asked(session, model, said("c"), False, config))
    assert contents(model.calls[0].input) == ["b", "c"]
    assert contents(run(session.get_items()))[:3] == ["a", "b", "c"]


# As nobody but ours has it


def test_it_is_a_session_as_any_other(path: Path) -> None:
    with nbs.open_store(path) as store:
        bridge = Session("chat", store, agent_name="greeter")
        run(asked(bridge, answers("It lives in Oslo", "Bye"), "Where does the owl live?", False))
        (record,) = store.list()
        assert (record.session_id, record.agent_name, record.turn_count) == ("chat", "greeter", 1)
        assert [hit.session.session_id for hit in store.search("owl")] == ["chat"]
        session = store.resume("chat")
        assert [turn.codec for turn in session.turns] == ["openai-agents"] * len(session.turns)
        fork = session.fork("other", at=1)
        other = Session(fork)
        run(other.add_items(said("Never mind")))
        assert (contents(run(other.get_items())), len(run(bridge.get_items()))) == (
            ["Where does the owl live?", "Never mind"],
            2,
        )
        run(bridge.clear_session())
        assert bridge.session.undo() == "clear"
        assert len(run(bridge.get_items())) == 2
        run(bridge.pop_item())
        bridge.session.undo()
        assert texts(store.resume("chat")) == ["Where does the owl live?", "It lives in Oslo"]


def test_around_a_session_that_is_open_both_go_on(path: Path) -> None:
    with nbs.open_store(path) as store:
        session = store.create("plan")
        add(session, "You are an owl.", role="system")
        session.send("Hello", agent=lambda prompt: "Hi")
        bridge, model = Session(session), answers("Oslo")
        run(asked(bridge, model, "Where do you live?", False))
        assert contents(model.calls[0].input) == ["You are an owl.", "Hello", "Hi", "Where do you live?"]
        assert session.on_conflict == "fork"
        seen: list[str] = []

        def agent(prompt: str, history: list[nbs.Message]) -> str:
            seen.extend(texts(history))
            return "Bye"

        session.send("And?", agent=agent)
        assert seen == ["You are an owl.", "Hello", "Hi", "Where do you live?", "Oslo"]
        assert session.record.label == "plan"
        bridge.close()
        assert texts(store.resume("plan"))[-1] == "Bye"  # it closes no store that it was given


def test_a_result_of_another_framework_can_be_taken_away(path: Path) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": "{}"}}
    with nbs.open_store(path) as store:
        session = store.create()
        session.messages = [*said("Add"), {"role": "assistant", "content": "Let me.", "tool_calls": [call]}]
        bridge = Session(session)
        (_, text, called) = run(bridge.get_items())
        assert run(bridge.pop_item()) == called
        assert run(bridge.pop_item()) == text
        assert run(bridge.get_items()) == said("Add")


WRITER = """
import asyncio, sys
from nbsessions.bridges.openai_agents import Session
session = Session("chat", sys.argv[1])
for n in range(25):
    pair = [{"type": "function_call", "call_id": f"{sys.argv[2]}-{n}", "name": "add", "arguments": "{}"},
            {"type": "function_call_output", "call_id": f"{sys.argv[2]}-{n}", "output": "3"}]
    asyncio.run(session.add_items(pair))
"""


def test_two_processes_lose_nothing_and_part_no_pair(path: Path, python: Python) -> None:
    for process in [python.start(WRITER, path, name) for name in ("a", "b")]:
        python.finish(process)
    session = Session("chat", path)
    items = run(session.get_items())
    session.close()
    ids = [item["call_id"] for item in items]
    assert sorted(ids[::2]) == sorted([f"{name}-{n}" for name in "ab" for n in range(25)])
    assert ids[::2] == ids[1::2]
    with nbs.open_store(path) as store:
        assert len(store.list()) == 1  # nothing went to a fork
        assert [one for one in ids[::2] if one.startswith("a")] == [f"a-{n}" for n in range(25)]


def test_a_tool_runs_while_its_session_is_elsewhere(path: Path) -> None:
    """What the run saves goes behind what somebody else has saved meanwhile."""
    model = ScriptedModel(
        [[function_call("look", {}, call_id="c1")], [assistant_message("Done.")]],
    )
    session = Session("chat", path)
    other = Session("chat", path)

    @function_tool
    async def look() -> str:
        """Look."""
        await other.add_items(said("from elsewhere"))
        return "seen"

    agent = Agent("looker", model=model, tools=[look])

    async def go() -> list[Any]:
        await Runner.run(agent, "Look", session=session, run_config=SILENT)
        return await session.get_items()

    items = run(go())
    session.close()
    other.close()
    assert "from elsewhere" in contents(items)
    assert {item.get("call_id") for item in items} >= {"c1"}
