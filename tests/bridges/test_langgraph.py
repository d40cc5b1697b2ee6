"""Threads of LangGraph are sessions: what the published suite asks for, and what a person sees."""

from __future__ import annotations

import asyncio
import operator
import sqlite3
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, RemoveMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.conformance import checkpointer_test, validate
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import Command, interrupt

import nbsessions as nbs
from nbsessions import InvalidInput, NotOwner, Store
from nbsessions.bridges.langgraph import Saver
from nbsessions.stores.base import Documents
from tests.conftest import Python, texts
from tests.postgres import Server

KINDS = ["memory", "file", "sqlite", "postgresql"]


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, tmp_path: Path, postgres: Server) -> str:
    return {
        "memory": "memory:",
        "file": f"file:{tmp_path}/sessions",
        "sqlite": f"sqlite:///{tmp_path}/sessions.db",
        "postgresql": postgres.url(f"saver_{tmp_path.name}"),
    }[str(request.param)]


@pytest.fixture
def store() -> Iterator[Store]:
    with nbs.open_store("memory:") as opened:
        yield opened


def test_the_published_suite_passes_in_full(url: str) -> None:
    @checkpointer_test(name=url)
    async def saver() -> AsyncGenerator[BaseCheckpointSaver[Any], None]:
        with nbs.open_store(url) as store:
            yield Saver(store)

    report = asyncio.run(validate(saver))
    assert [failure for result in report.results.values() for failure in result.failures] == []
    assert len(report.results) == 8
    assert all(result.passed for result in report.results.values())
    with nbs.open_store(url) as store:
        assert store.verify().ok


# A graph, as a person writes one


def counting(state: MessagesState) -> dict[str, list[AnyMessage]]:
    return {"messages": [AIMessage(f"{len(state['messages'])} so far")]}


def chat(saver: BaseCheckpointSaver[Any], answer: Callable[..., Any] = counting) -> Any:
    graph = StateGraph(MessagesState)
    graph.add_node("answer", answer)
    graph.add_edge(START, "answer")
    return graph.compile(checkpointer=saver)


def on(thread: str, **more: Any) -> RunnableConfig:
    return {"configurable": {"thread_id": thread, **more}}


def ask(graph: Any, text: str, thread: str = "chat-7") -> Any:
    return graph.invoke({"messages": [HumanMessage(text)]}, on(thread))


def test_a_thread_is_a_session(url: str) -> None:
    with nbs.open_store(url) as store:
        graph = chat(Saver(store))
        ask(graph, "Hello")
        ask(graph, "And now?")
        if url == "memory:":
            assert texts(store.resume("chat-7"))[-1] == "3 so far"
            return
    with nbs.open_store(url) as store:
        (record,) = store.list()
        assert (record.session_id, record.agent_name, record.turn_count) == ("chat-7", "langgraph", 2)
        assert texts(store.resume("chat-7")) == ["Hello", "1 so far", "And now?", "3 so far"]
        assert len(store.search("Hello")) == 1
        answered = ask(chat(Saver(store)), "Still there?")["messages"]
        assert answered[-1].content == "5 so far"
        assert [one.content for one in answered[:2]] == ["Hello", "1 so far"]
        Saver(store).delete_thread("chat-7")
        assert store.list() == []
        assert store.verify().ok


def test_async_graphs_are_kept_as_well(store: Store) -> None:
    async def run() -> list[int]:
        saver = Saver(store)
        graph = chat(saver)
        await graph.ainvoke({"messages": [HumanMessage("Hello")]}, on("chat-7"))
        return [found.metadata["step"] async for found in saver.alist(on("chat-7"), limit=2)]

    assert asyncio.run(run()) == [1, 0]
    assert texts(store.resume("chat-7")) == ["Hello", "1 so far"]


def test_a_changed_state_is_a_turn_that_undo_takes_back(store: Store) -> None:
    graph = chat(Saver(store))
    first = ask(graph, "Hello")["messages"]
    graph.update_state(on("chat-7"), {"messages": [HumanMessage("Good day", id=first[0].id)]})
    session = store.resume("chat-7")
    assert texts(session) == ["Good day", "1 so far"]
    session.undo()
    assert texts(session) == ["Hello", "1 so far"]
    graph.update_state(on("chat-7"), {"messages": [RemoveMessage(id=first[1].id)]})
    assert texts(store.resume("chat-7")) == ["Good day"]


def test_going_on_from_an_earlier_checkpoint_leaves_what_came_after(store: Store) -> None:
    graph = chat(Saver(store))
    ask(graph, "Hello")
    ask(graph, "And now?")
    (earlier,) = [
        found for found in graph.get_state_history(on("chat-7")) if len(found.values.get("messages", ())) == 2
    ][:1]
    graph.invoke({"messages": [HumanMessage("Instead?")]}, earlier.config)
    session = store.resume("chat-7")
    assert texts(session) == ["Hello", "1 so far", "Instead?", "3 so far"]
    while texts(session)[-1] != "3 so far" or texts(session)[-2] != "And now?":
        session.undo()
    assert texts(session) == ["Hello", "1 so far", "And now?", "3 so far"]


def test_an_interrupted_run_goes_on_in_another_process(url: str) -> None:
    if url == "memory:":
        pytest.skip("what this store keeps does not outlive it")
    ran: list[str] = []

    def careful(state: MessagesState) -> dict[str, Any]:
        answer = interrupt("May I?")
        ran.append(answer)
        return {"messages": [AIMessage(f"You said {answer}")]}

    with nbs.open_store(url) as store:
        ask(chat(Saver(store), careful), "Delete it")
        assert texts(store.resume("chat-7")) == ["Delete it"]
    with nbs.open_store(url) as store:
        graph = chat(Saver(store), careful)
        (waiting,) = graph.get_state(on("chat-7")).interrupts
        assert waiting.value == "May I?"
        graph.invoke(Command(resume="yes"), on("chat-7"))
        assert texts(store.resume("chat-7")) == ["Delete it", "You said yes"]
    assert ran == ["yes"]


def test_a_conversation_takes_as_much_room_as_it_is_long(store: Store) -> None:
    graph = chat(Saver(store))
    for number in range(30):
        ask(graph, f"{number} {'x' * 1_000}")
    documents = store.backend.documents(store.resume("chat-7").key, Documents("langgraph.messages"))
    assert len(documents) == 60
    assert sum(len(document.body) for document in documents) < 60 * 1_500


def test_a_thread_of_any_name_has_a_session(store: Store) -> None:
    odd = "a\nb" * 200
    saver = Saver(store)
    ask(chat(saver), "Hello", odd)
    ask(chat(saver), "Hello", "latest")
    found = [record.metadata["thread_id"] for record in store.list()]
    assert found == ["latest", odd]
    assert {one.config["configurable"]["thread_id"] for one in saver.list(None)} == {"latest", odd}
    with pytest.raises(InvalidInput, match="A thread needs a name"):
        saver.get_tuple({"configurable": {}})


def test_a_thread_of_somebody_else_is_read_and_not_written(store: Store) -> None:
    ask(chat(Saver(store)), "Hello")
    other = Store(store.backend, owner="bob")
    assert Saver(other).get_tuple(on("chat-7")) is not None
    with pytest.raises(NotOwner):
        ask(chat(Saver(other)), "And mine")


def test_pruning_leaves_no_value_that_nothing_needs(store: Store) -> None:
    saver = Saver(store)
    graph = chat(saver)
    for text in ("Hello", "And now?"):
        ask(graph, text)
    key = store.resume("chat-7").key
    before = store.backend.documents(key)
    saver.prune(["chat-7"])
    after = store.backend.documents(key)
    assert len(after) < len(before)
    assert [one.content for one in graph.get_state(on("chat-7")).values["messages"]] == [
        "Hello", "1 so far", "And now?", "3 so far"
    ]  # fmt: skip
    saver.prune(["chat-7"], strategy="delete")
    assert store.backend.documents(key) == []
    assert texts(store.resume("chat-7"))[0] == "Hello"
    with pytest.raises(InvalidInput, match="keep_latest, delete"):
        saver.prune(["chat-7"], strategy="keep_last")


def test_a_copy_says_the_same_and_goes_its_own_way(store: Store) -> None:
    saver = Saver(store)
    graph = chat(saver)
    ask(graph, "Hello")
    saver.copy_thread("chat-7", "chat-8")
    ask(graph, "And there?", "chat-8")
    assert texts(store.resume("chat-8")) == ["Hello", "1 so far", "And there?", "3 so far"]
    assert texts(store.resume("chat-7")) == ["Hello", "1 so far"]


# What is kept


@dataclass
class Weather:
    city: str


class Told(TypedDict):
    weather: Weather | None
    messages: Annotated[list[AnyMessage], add_messages]
    seen: Annotated[list[int], operator.add]


def forecast(saver: Saver) -> Any:
    graph = StateGraph(Told)
    graph.add_node("look", lambda state: {"weather": Weather("Oslo"), "seen": [1]})
    graph.add_edge(START, "look")
    return graph.compile(checkpointer=saver)


def test_classes_of_ones_own_are_read_where_they_are_allowed(store: Store) -> None:
    forecast(Saver(store)).invoke({"seen": [0]}, on("chat-7"))
    allowed = forecast(Saver(store, allow=[Weather])).get_state(on("chat-7")).values
    assert (allowed["weather"], allowed["seen"]) == (Weather("Oslo"), [0, 1])
    refused = forecast(Saver(store)).get_state(on("chat-7")).values
    assert not isinstance(refused["weather"], Weather)


def test_nothing_is_pickled(store: Store) -> None:
    with pytest.raises(InvalidInput, match="pickles"):
        Saver(store, serde=JsonPlusSerializer(pickle_fallback=True))
    with pytest.raises(TypeError):
        forecast(Saver(store)).invoke({"seen": [object()]}, on("chat-7"))


def test_what_a_tool_left_beside_its_result_comes_back(store: Store) -> None:
    seen = {"when": 1.5, "odd": {1: b"bytes"}}

    def tool(state: MessagesState) -> dict[str, Any]:
        return {"messages": [ToolMessage("done", tool_call_id="c1", artifact=seen)]}

    graph = chat(Saver(store), tool)
    ask(graph, "Do it")
    (_, told) = graph.get_state(on("chat-7")).values["messages"]
    assert told.artifact == seen
    assert texts(store.resume("chat-7")) == ["Do it", "done"]


def test_two_processes_lose_nothing(tmp_path: Path, python: Python) -> None:
    path = tmp_path / "sessions.db"
    code = """
    import sys
    import nbsessions as nbs
    from nbsessions.bridges.langgraph import Saver
    from tests.bridges.test_langgraph import ask, chat
    with nbs.open_store(sys.argv[1]) as store:
        graph = chat(Saver(store))
        for number in range(8):
            ask(graph, f"{sys.argv[2]} {number}")
    """
    processes = [python.start(dedent(code), path, name) for name in "ab"]
    for process in processes:
        python.finish(process)
    with nbs.open_store(path) as store:
        saver, session = Saver(store), store.resume("chat-7")
        inputs = [found for found in saver.list(on("chat-7")) if found.metadata["source"] == "input"]
        assert len(inputs) == 16
        said = {
            message.content
            for found in saver.list(on("chat-7"))
            for message in found.checkpoint["channel_values"].get("messages", ())
        }
        assert {f"{name} {number}" for name in "ab" for number in range(8)} <= said
        assert store.verify().ok
        turns = [turn.body for _, turn in store.backend.scan(0, 1_000)]
        assert all(
            any(f'"{name} {number}"' in body for body in turns) for name in "ab" for number in range(8)
        )
        assert session.message_count > 0


def test_a_value_that_is_gone_is_told(tmp_path: Path) -> None:
    path = tmp_path / "sessions.db"
    with nbs.open_store(path) as store:
        ask(chat(Saver(store)), "Hello")
    with closing(sqlite3.connect(path)) as db:
        db.execute("DELETE FROM documents WHERE collection = 'langgraph.messages'")
        db.commit()
    with nbs.open_store(path) as store:
        with pytest.raises(nbs.DamagedSession, match="checkpoint"):
            Saver(store).get_tuple(on("chat-7"))
        assert "number of documents" in str(store.verify())
