"""An agent that asks another one."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic_ai import Agent
from pydantic_ai.messages import ModelMessage, ModelRequest, ToolReturnPart
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, FunctionModel
from pydantic_ai.models.test import TestModel

import nbsessions as nbs
from nbsessions import Decision, InvalidInput, Message, RunCancelled, RunFailed, Store, ToolQuestion
from nbsessions.commands import run_line
from nbsessions.replaying import replay
from nbsessions.stores.base import Query
from nbsessions.trees import tree
from nbsessions.workspace import Settings, Workspace


def critic(prompt: str, history: list[Message]) -> str:
    return f"{prompt}? ({len(history)} messages before)"


async def acritic(prompt: str, history: list[Message]) -> str:
    return critic(prompt, history)


def calling(tool: Any, *prompts: str) -> Agent[None, str]:
    """Return an agent that calls a tool with each prompt at once, and then says what came of it."""

    async def answer(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[Any]:
        last = messages[-1]
        results = [part for part in last.parts if isinstance(part, ToolReturnPart)]
        if results and isinstance(last, ModelRequest):
            yield " ".join(str(part.content) for part in results)
            return
        (name,) = [one.name for one in info.function_tools]
        yield {
            n: DeltaToolCall(name=name, json_args=f'{{"prompt": "{text}"}}', tool_call_id=f"c{n}")
            for n, text in enumerate(prompts)
        }

    return Agent(FunctionModel(stream_function=answer), name="writer", tools=[tool])


def children(store: Store, session: nbs.Session) -> list[nbs.SessionRecord]:
    found = store.list(None, conversation_id=session.session_id)
    return sorted(found, key=lambda one: one.created_at)


def by_tool(agent: object) -> Any:
    ask = nbs.as_tool(agent)

    async def writer(prompt: str) -> str:
        return await ask(prompt)

    return writer


def by_hand(agent: object) -> Any:
    def writer(prompt: str) -> str:
        return nbs.delegate(agent, prompt)

    return writer


ways = pytest.mark.parametrize("way", [by_tool, by_hand])


@ways
@pytest.mark.parametrize("agent", [critic, acritic])
def test_the_other_agent_answers_in_a_session_of_its_own(store: Store, way: Any, agent: Any) -> None:
    session = store.create("plan")
    assert session.send("essay", agent=way(agent)).output == "essay? (0 messages before)"
    (child,) = children(store, session)
    assert (child.name, child.agent_name) == (agent.__name__, agent.__name__)
    assert child.conversation_id == child.parent_session_id == session.session_id
    assert child.owner == session.owner
    # It is no session that the person began: none of them is the latest, or in the list.
    assert [one.name for one in store.list()] == ["plan"]
    assert store.resume("latest").session_id == session.session_id


@ways
def test_asked_again_it_knows_what_it_was_asked_before(store: Store, way: Any) -> None:
    session = store.create("plan")
    outputs = [session.send(text, agent=way(critic)).output for text in ("essay", "letter")]
    assert outputs == ["essay? (0 messages before)", "letter? (2 messages before)"]
    assert [one.turn_count for one in children(store, session)] == [2]
    # Another session's agent begins anew.
    assert store.create("other").send("essay", agent=way(critic)).output == "essay? (0 messages before)"


def test_another_session_can_be_asked_for(store: Store) -> None:
    session = store.create("plan")
    for _ in range(2):
        session.send("essay", agent=lambda prompt: nbs.delegate(critic, prompt, new=True))
    ask = nbs.as_tool(critic, new=True)

    async def writer(prompt: str) -> str:
        return await ask(prompt)

    assert session.send("essay", agent=writer).output == "essay? (0 messages before)"
    assert [one.name for one in children(store, session)] == ["critic", "critic 2", "critic 3"]


def test_agents_asked_by_those_who_were_asked(store: Store) -> None:
    session = store.create("plan")

    def editor(prompt: str) -> str:
        return nbs.delegate(critic, f"{prompt}!")

    assert session.send("essay", agent=by_tool(editor)).output == "essay!? (0 messages before)"
    (asked,) = children(store, session)
    (below,) = store.list(conversation_id=asked.session_id)
    assert (asked.agent_name, below.agent_name) == ("editor", "critic")
    assert below.parent_session_id == asked.session_id


def test_calls_at_once_each_have_a_session(store: Store) -> None:
    session, both = store.create("plan"), threading.Barrier(2)

    def slow(prompt: str) -> str:
        both.wait(30)
        return prompt.upper()

    run = session.send("two", agent=calling(nbs.as_tool(slow), "a", "b"))
    assert run.output == "A B"
    assert [(one.name, one.turn_count) for one in children(store, session)] == [("slow", 1), ("slow 2", 1)]


def test_more_calls_at_once_than_a_pool_has_threads(store: Store) -> None:
    async def nested(prompt: str) -> str:
        return await asyncio.to_thread(str.upper, prompt)

    texts = [f"t{number}" for number in range(40)]
    run = store.create("plan").send("many", agent=calling(nbs.as_tool(nested), *texts))
    assert run.output == " ".join(texts).upper()


def test_a_tool_for_frameworks() -> None:
    ask = nbs.as_tool(critic)
    assert ask.__name__ == "critic"
    assert "Ask the agent critic" in (ask.__doc__ or "")
    assert ask.__annotations__ == {"prompt": str, "return": str}
    named: Any = nbs.as_tool(TestModel(), name="second-opinion", description="Ask for another opinion.")
    assert (named.__name__, named.__doc__) == ("second-opinion", "Ask for another opinion.")
    spoken: Any = nbs.as_tool(lambda prompt: prompt, name=None)
    assert spoken.__name__ == "agent"
    for name in ("two words", "", "x" * 65, "9lives"):
        with pytest.raises(InvalidInput, match="no tool's name"):
            nbs.as_tool(critic, name=name)
    with pytest.raises(nbs.UnsupportedAgent):
        nbs.as_tool(3)


@ways
def test_pydantic_ai_takes_both(store: Store, way: Any) -> None:
    def critic_tool(prompt: str) -> str:
        return nbs.delegate(critic, prompt)

    tool = nbs.as_tool(critic) if way is by_tool else critic_tool
    session = store.create("plan")
    run = session.send("go", agent=calling(tool, "essay"))
    assert run.output == "essay? (0 messages before)"
    kinds = [str(event.data.get("name", event.type)) for event in session.run_events(run.run_id)]
    asked = kinds.index("nbsessions.subagent")
    assert kinds.index("TOOL_CALL_START") < asked < kinds.index("TOOL_CALL_RESULT")


def test_an_answer_that_is_no_text_comes_as_json(store: Store) -> None:
    def count(prompt: str) -> Any:
        return {"role": "assistant", "content": "7"}

    def numbers(prompt: str) -> Any:
        return (1, 2)

    session = store.create("plan")
    assert session.send("x", agent=by_hand(count)).output == "7"
    assert session.send("x", agent=by_hand(numbers)).output == "[1,2]"


def test_outside_of_a_run_it_is_said_so() -> None:
    with pytest.raises(
        InvalidInput, match=r"No agent is answering here that could ask critic: .*session.send"
    ):
        nbs.delegate(critic, "essay")
    with pytest.raises(InvalidInput, match="No agent is answering here"):
        asyncio.run(nbs.as_tool(critic)("essay"))  # type: ignore[arg-type]


def test_what_outlives_its_run_asks_nobody(store: Store) -> None:
    later: list[Any] = []

    async def writer(prompt: str) -> str:
        async def late() -> None:
            await asyncio.sleep(0.05)
            try:
                await nbs.as_tool(critic)("late")
            except InvalidInput as error:
                later.append(str(error))
            else:
                later.append("answered")

        writer.task = asyncio.ensure_future(late())  # type: ignore[attr-defined]
        return prompt

    session = store.create("plan")
    session.send("essay", agent=writer)
    deadline = time.monotonic() + 30
    while not later and time.monotonic() < deadline:
        time.sleep(0.01)
    assert "No agent is answering here" in later[0]
    assert children(store, session) == []


def test_waiting_on_the_agents_own_loop_is_refused(store: Store) -> None:
    async def writer(prompt: str) -> str:
        return nbs.delegate(critic, prompt)

    with pytest.raises(RunFailed, match=r"use `await nbs.as_tool\(agent\)\(prompt\)`"):
        store.create("plan").send("essay", agent=writer)


@ways
def test_a_failure_is_an_error_of_the_call(store: Store, way: Any) -> None:
    def broken(prompt: str) -> str:
        raise ValueError("no idea")

    session = store.create("plan")
    with pytest.raises(RunFailed, match="writer failed: broken failed: ValueError: no idea"):
        session.send("essay", agent=way(broken))
    (child,) = children(store, session)
    assert [run.status for run in store.runs(child.session_id, conversation_id=session.session_id)] == [
        "failed"
    ]

    def careful(prompt: str) -> str:
        try:
            return nbs.delegate(broken, prompt)
        except RunFailed:
            return "nobody knows"

    assert session.send("essay", agent=careful).output == "nobody knows"


def test_an_interrupt_stops_both(store: Store) -> None:
    def slow(prompt: str) -> str:
        signal.raise_signal(signal.SIGINT)
        time.sleep(30)
        return "late"

    session = store.create("plan")
    with pytest.raises(RunCancelled):
        session.send("essay", agent=by_hand(slow))
    (child,) = children(store, session)
    runs = [*session.runs(), *store.runs(child.session_id, conversation_id=session.session_id)]
    assert [run.status for run in runs] == ["cancelled", "cancelled"]
    assert session.send("again", agent=by_hand(critic)).status == "completed"


@pytest.mark.parametrize("inside", ["async", "thread"])
def test_stopping_the_one_who_asks_stops_the_one_who_answers(store: Store, inside: str) -> None:
    begun, ended = threading.Event(), threading.Event()

    async def slow(prompt: str) -> str:
        begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()
        return "late"

    def sync_tool(prompt: str) -> str:
        return nbs.delegate(slow, prompt)

    tool: Any = nbs.as_tool(slow) if inside == "async" else sync_tool
    session = store.create("plan")

    async def person() -> None:
        asking = asyncio.ensure_future(session.asend("go", agent=calling(tool, "essay")))
        await asyncio.to_thread(begun.wait, 30)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking

    asyncio.run(person())
    assert ended.wait(30)
    (child,) = children(store, session)
    deadline = time.monotonic() + 30
    ref = {"ref": child.session_id, "conversation_id": session.session_id}
    while store.runs(**ref)[0].status == "running" and time.monotonic() < deadline:
        time.sleep(0.02)
    assert [run.status for run in [*session.runs(), *store.runs(**ref)]] == ["cancelled", "cancelled"]


@pytest.mark.parametrize("asker", ["tool", "hand"])
def test_the_same_person_is_asked_about_tools_of_both(store: Store, asker: str) -> None:
    removed: list[str] = []
    cleaner: Agent[None, str] = Agent(TestModel(custom_output_text="done"), name="cleaner")

    @cleaner.tool_plain(requires_approval=True)
    def remove(path: str) -> str:
        removed.append(path)
        return "removed"

    asked: list[tuple[ToolQuestion, int]] = []

    def approve(question: ToolQuestion) -> Decision:
        asked.append((question, threading.get_ident()))
        return Decision(True)

    session = store.create("plan")
    agent = calling(nbs.as_tool(cleaner), "clean") if asker == "tool" else by_hand(cleaner)
    session.send("go", agent=agent, approve=approve)
    ((question, thread),) = asked
    assert (question.name, question.agent_name, removed) == ("remove", "cleaner", ["a"])
    assert thread == threading.get_ident()
    # Nobody who can be asked allows nothing.
    session.send("go", agent=agent)
    assert len(removed) == 1


@pytest.mark.parametrize("asker", ["tool", "hand"])
def test_an_agent_that_was_asked_cannot_wait_for_a_decision(store: Store, asker: str) -> None:
    removed: list[str] = []
    cleaner: Agent[None, str] = Agent(TestModel(), name="cleaner")

    @cleaner.tool_plain(requires_approval=True)
    def remove(path: str) -> str:
        removed.append(path)
        return "removed"

    session = store.create("plan")
    agent = calling(nbs.as_tool(cleaner), "clean") if asker == "tool" else by_hand(cleaner)
    run = session.send("go", agent=agent, approve=nbs.later)
    assert (run.status, removed) == ("completed", [])
    assert "an agent that was asked cannot wait" in str(run.output)


def test_what_was_asked_is_told_in_the_log_and_shown(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    session = store.create("plan")
    run = session.send("essay", agent=by_tool(critic))
    (child,) = children(store, session)
    told = [event.data for event in session.run_events(run.run_id) if event.type == "CUSTOM"]
    (asked,) = store.runs(child.session_id, conversation_id=session.session_id)
    assert [(one["name"], one["value"]) for one in told] == [
        (
            "nbsessions.subagent",
            {
                "agentName": "critic",
                "sessionId": child.session_id,
                "conversationId": session.session_id,
                "runId": asked.run_id,
            },
        )
    ]
    replay(run, lambda after, limit: session.run_events(run.run_id, after=after, limit=limit), speed=0)
    assert f"critic was asked, in a session of its own ({child.session_id[-8:]})" in capsys.readouterr().out


def spending(tokens: str) -> Agent[None, str]:
    return Agent(TestModel(custom_output_text=tokens), name="spender")


def test_what_was_spent_is_counted_where_it_was(store: Store) -> None:
    session = store.create("plan")
    session.send("go", agent=by_tool(spending("many words")))
    (child,) = children(store, session)
    assert session.total_tokens == 0
    assert child.total_tokens > 0
    workspace = Workspace(Settings(store="memory:"))
    workspace.use_open_store(store)
    workspace.switch(store.resume("plan"), "load")
    card = repr(run_line(workspace, "status", face="magic", prefix="%session "))
    assert f"spender: 1 turn, {child.total_tokens:,} tokens, cost unknown" in card
    assert f"with all of them  {child.total_tokens:,} tokens" in card
    frame: Any = run_line(workspace, "history --a2a", face="magic", prefix="%session ")
    assert frame[["name", "parent_session_id", "turn_count", "total_tokens"]].values.tolist() == [
        ["spender", session.session_id, 1, child.total_tokens]
    ]
    assert [*frame["conversation_id"]] == [session.session_id]
    with pytest.raises(InvalidInput, match="--a2a lists all conversations"):
        run_line(workspace, "history --a2a --widget", face="magic", prefix="%session ")


def test_each_conversation_has_its_own_latest(store: Store) -> None:
    for name in ("one", "two"):
        store.create(name).send(name, agent=by_hand(critic))
    for name in ("one", "two"):
        conversation = store.resume(name).session_id
        latest = store.resume("latest", conversation_id=conversation)
        assert latest.messages[0].text == name
    assert store.resume("latest").name == "two"
    assert len(store.backend.find(Query(None, called=True))) == 2


def test_a_child_is_no_fork_and_stays_when_its_parent_goes(store: Store) -> None:
    workspace = Workspace(Settings(store="memory:"), names={"writer": by_hand(critic)})
    workspace.use_open_store(store)
    workspace.use_agent("writer", None)
    session = workspace.create("plan", "writer")
    session.send("essay", agent=by_hand(critic))
    (child,) = children(store, session)
    assert session.branches() == []
    assert "critic" not in tree(session)
    handle = store.resume(child.session_id, conversation_id=session.session_id)
    assert tree(handle).startswith(f"critic · 2 messages · you are here · asked by {session.session_id[-8:]}")
    fork = handle.fork()
    assert fork.record.conversation_id == session.session_id
    handle.redact(-1)
    assert fork.messages[-1].text == "[redacted]"
    # The next call goes on with the child, not with a fork of it.
    assert session.send("letter", agent=by_hand(critic)).output == "letter? (2 messages before)"
    session.rewind(0)
    assert {one.turn_count for one in children(store, session)} == {1, 2}
    assert store.prune(keep=1) == []
    told = run_line(workspace, "delete plan", face="magic", prefix="%session ")
    assert told == "Deleted 'plan'. What other agents were asked in it stays: `history --a2a`."
    assert len(children(store, session)) == 2
    store.create("other", agent_name="critic")
    store.clear("critic", confirm=True)
    assert len(children(store, session)) == 2
    store.gc()
    assert store.verify().ok
    line = f"delete {child.session_id} --conversation {session.session_id}"
    assert run_line(workspace, line, face="magic", prefix="%session ") == "Deleted 'critic'."


def test_a_child_in_a_file_store_is_where_webagents_looks(tmp_path: Any) -> None:
    with nbs.open_store(f"file:{tmp_path}/s") as store:
        session = store.create("plan")
        session.send("essay", agent=by_hand(critic))
        (child,) = children(store, session)
        folder = tmp_path / "s" / "a2a" / session.session_id
        assert (folder / f"{child.session_id}.json").is_file()
        assert (folder / ".latest").read_text() == child.session_id
        assert (tmp_path / "s" / ".latest").read_text() == session.session_id


def test_an_answer_that_the_store_refused_waits_with_the_one_who_asked(
    sqlite_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = sqlite_store.create("plan")
    move, refusing = type(sqlite_store.backend).move, [True]

    def full(self: Any, moved: Any) -> Any:
        if refusing[0] and moved.key.conversation_id:
            raise nbs.StoreUnavailable("The disk is full.")
        return move(self, moved)

    monkeypatch.setattr(type(sqlite_store.backend), "move", full)
    with pytest.raises(RunFailed, match="The disk is full"):
        session.send("essay", agent=by_hand(critic))
    assert not session.saved
    refusing[0] = False
    session.save()
    (child,) = children(sqlite_store, session)
    assert child.turn_count == 1
