"""Real runs of LangGraph, with a model that says what it is told to."""

from __future__ import annotations

import asyncio
import json
import threading
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, TypedDict

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import HumanInTheLoopMiddleware
from langchain.agents.structured_output import ToolStrategy
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import BaseTool, tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.graph.message import add_messages
from langgraph.prebuilt import ToolNode, create_react_agent, tools_condition
from langgraph.types import interrupt
from pydantic import BaseModel

import nbsessions as nbs
from nbsessions import (
    Decision,
    InvalidInput,
    Message,
    RunFailed,
    Store,
    ToolQuestion,
    UnsupportedAgent,
    Usage,
)
from nbsessions.adapters import adapt, is_agent
from nbsessions.adapters.base import Answer, Request
from nbsessions.adapters.langgraph import LangGraphAdapter
from nbsessions.stores.base import Progress
from tests.adapters.kinds import kinds
from tests.adapters.langchain_models import Scripted, says
from tests.conftest import Python, texts


class Cleaner:
    """Tools that remember what they did, and the model that calls them."""

    def __init__(self, *steps: Any) -> None:
        self.done: list[str] = []
        self.model = Scripted(steps=[*steps])

        @tool
        def remove(path: str) -> str:
            """Remove a file."""
            self.done.append(f"remove {path}")
            return f"removed {path}"

        @tool
        async def look(path: str) -> str:
            """Look at a file."""
            self.done.append(f"look {path}")
            if path == "nowhere":
                raise ValueError("no such file")
            return f"{path} is empty"

        self.tools: list[BaseTool] = [remove, look]

    def agent(self, **options: Any) -> Any:
        return create_agent(self.model, self.tools, name="cleaner", **options)

    def by_hand(self, **options: Any) -> Any:
        """A graph whose one node makes all calls of a message, as the documentation shows it."""

        async def model(state: MessagesState) -> dict[str, Any]:
            return {"messages": [await self.model.ainvoke(state["messages"])]}

        graph = StateGraph(MessagesState)
        graph.add_node("model", model)
        graph.add_node("tools", ToolNode(self.tools, **options))
        graph.add_edge(START, "model")
        graph.add_conditional_edges("model", tools_condition)
        graph.add_edge("tools", "model")
        return graph.compile(name="cleaner")

    def older(self) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return create_react_agent(self.model, self.tools, name="cleaner")


GRAPHS = [Cleaner.agent, Cleaner.by_hand, Cleaner.older]


class Person:
    """Decides as told, and remembers what it was asked."""

    def __init__(self, *decisions: bool | Decision) -> None:
        self.decisions = [*decisions]
        self.asked: list[ToolQuestion] = []

    def __call__(self, question: ToolQuestion) -> bool | Decision:
        self.asked.append(question)
        return self.decisions.pop(0)


class Killed(BaseException):
    """The kernel dies."""


def always(name: str, required: bool) -> bool:
    return True


def asked(
    graph: Any,
    approve: Callable[[ToolQuestion], bool | Decision],
    *,
    must_ask: Callable[[str, bool], bool] = always,
    progress: str | None = None,
    run_id: str = "r1",
) -> tuple[Answer, list[str], list[Any]]:
    """Run a graph by its adapter alone, with these rules."""
    answer, kept = Answer(), ["[]" if progress is None else progress]
    events: list[Any] = []
    answer.on_progress = lambda body, usage: kept.append(body)

    async def decide(question: ToolQuestion) -> Decision:
        found = approve(question)
        return found if isinstance(found, Decision) else Decision(found)

    earlier = None if progress is None else Progress("r0", "langgraph-checkpoint", progress, Usage())
    request = Request("Go", [], "[]", "s1", run_id, must_ask=must_ask, approve=decide, progress=earlier)
    with suppress(Killed):
        asyncio.run(LangGraphAdapter(graph).arun(request, events.append, answer))
    return answer, kept, [event.type.value for event in events]


def said(answer: Answer) -> list[tuple[str, str]]:
    return [(one["type"], one["data"]["content"]) for one in json.loads(answer.body)]


@pytest.mark.parametrize("made", GRAPHS)
def test_a_run_is_one_turn_of_native_messages(store: Store, made: Callable[[Cleaner], Any]) -> None:
    cleaner = Cleaner(says("Let me.", ("c1", "look", {"path": "x"})), says("It is empty."))
    session = store.create("plan")
    run = session.send("What is in x?", agent=made(cleaner))
    assert (run.status, run.output, run.agent_name) == ("completed", "It is empty.", "cleaner")
    assert (run.model, run.provider) == ("scripted-1", "scripted")
    assert [(m.role, m.text) for m in store.resume("plan").messages] == [
        ("user", "What is in x?"),
        ("assistant", "Let me."),
        ("tool", "x is empty"),
        ("assistant", "It is empty."),
    ]
    (turn,) = session.turns
    assert (turn.codec, session.turn_count) == ("langchain", 1)
    assert kinds(store.events(run.run_id)) == [
        "RUN_STARTED",
        *("TEXT_MESSAGE_START", "TEXT_MESSAGE_CONTENT", "TEXT_MESSAGE_END"),
        *("TOOL_CALL_START", "TOOL_CALL_ARGS", "TOOL_CALL_END", "TOOL_CALL_RESULT"),
        *("TEXT_MESSAGE_START", "TEXT_MESSAGE_CONTENT", "TEXT_MESSAGE_END"),
        "RUN_FINISHED",
    ]


def test_a_graph_gets_its_own_messages_back_after_a_restart(path: Path, python: Python) -> None:
    cleaner = Cleaner(says("Let me.", ("c1", "look", {"path": "x"})), says("Empty Ä €."), says("Bye."))
    with nbs.open_store(path) as store:
        store.create("plan").send("Look", agent=cleaner.agent())
        body = store.resume("plan").turns[0].body
    code = """
import sys, nbsessions as nbs
(turn,) = nbs.open_store(sys.argv[1]).resume("plan").turns
print(turn.body.encode().hex())
assert "langchain_core" not in sys.modules and "langgraph" not in sys.modules
"""
    assert bytes.fromhex(python(code, path)).decode() == body
    with nbs.open_store(path) as store:
        store.resume("plan").send("Thanks", agent=cleaner.agent())
    assert [one.id for one in cleaner.model.asked[-1][:-1]] == [one["data"]["id"] for one in json.loads(body)]
    assert cleaner.model.asked[-1][-1].content == "Thanks"


def test_usage_is_told_request_by_request(store: Store) -> None:
    details = {
        "input_token_details": {"cache_read": 4, "cache_creation": 1},
        "output_token_details": {"reasoning": 1},
    }
    cleaner = Cleaner(says("", ("c1", "look", {"path": "x"}), usage=details), says("Empty."))
    run = store.create("plan").send("Look", agent=cleaner.agent())
    assert run.usage == Usage(
        input_tokens=20,
        output_tokens=4,
        cache_read_tokens=4,
        cache_write_tokens=1,
        reasoning_tokens=1,
        requests=2,
        unpriced_tokens=24,
    )
    told = [e.data["value"] for e in store.events(run.run_id) if e.data.get("name") == "nbsessions.usage"]
    assert [(one["model"], one["input_tokens"], one["requests"]) for one in told] == [
        ("scripted-1", 10, 1)
    ] * 2


def test_thoughts_are_events_and_stored(store: Store) -> None:
    thought = AIMessage([{"type": "reasoning", "reasoning": "Hm."}, {"type": "text", "text": "Hi"}])
    session = store.create()
    run = session.send("Hello", agent=Scripted(steps=[thought]))
    assert kinds(store.events(run.run_id))[1:8] == [
        "REASONING_START",
        "REASONING_MESSAGE_START",
        "REASONING_MESSAGE_CONTENT",
        "REASONING_MESSAGE_END",
        "REASONING_END",
        "TEXT_MESSAGE_START",
        "TEXT_MESSAGE_CONTENT",
    ]
    assert session.messages[1]["reasoning_content"] == "Hm."


def test_what_a_model_says_inside_a_tool_is_not_shown_but_counted(store: Store) -> None:
    inner = Scripted(steps=[says("Secretly")])

    @tool
    async def ask(question: str) -> str:
        """Ask another model."""
        return f"It says {(await inner.ainvoke(question)).text}"

    outer = Scripted(steps=[says("", ("c1", "ask", {"question": "Why?"})), says("So.")])
    run = store.create().send("Hello", agent=create_agent(outer, [ask]))
    deltas = [event.data.get("delta") for event in store.events(run.run_id)]
    assert "Secretly" not in deltas
    assert run.usage.requests == 3


def test_the_persons_own_checkpointer_is_left_alone(store: Store) -> None:
    saver = InMemorySaver()
    cleaner = Cleaner(says("One."), says("Two."))
    graph = cleaner.agent(checkpointer=saver)
    session = store.create()
    for text in ("Hello", "And?"):
        session.send(text, agent=graph)
    assert [one.content for one in cleaner.model.asked[1]] == ["Hello", "One.", "And?"]
    assert list(saver.list(None)) == []
    assert graph.checkpointer is saver


# What is no graph


def test_a_chat_model_answers(store: Store) -> None:
    model = Scripted(steps=[says("Hi there"), says("Bye")])
    session = store.create()
    run = session.send("Hello", agent=model)
    assert (run.output, run.model, kinds(store.events(run.run_id))[1]) == (
        "Hi there",
        "scripted-1",
        "TEXT_MESSAGE_START",
    )
    session.send("And?", agent=model)
    assert [one.content for one in model.asked[1]] == ["Hello", "Hi there", "And?"]


def test_a_chain_answers_once(store: Store) -> None:
    model = Scripted(steps=[says("Hi there"), says("Bye")])
    prompt = ChatPromptTemplate(
        [("system", "Be brief."), ("placeholder", "{history}"), ("human", "{question}")]
    )
    chain = prompt | model | StrOutputParser()
    session = store.create()
    run = session.send("Hello", agent=chain)
    assert run.output == "Hi there"
    assert kinds(store.events(run.run_id)).count("TEXT_MESSAGE_START") == 1
    session.send("And?", agent=chain)
    assert [one.content for one in model.asked[1]] == ["Be brief.", "Hello", "Hi there", "And?"]
    assert texts(session) == ["Hello", "Hi there", "And?", "Bye"]


def test_a_function_of_langchain_answers_with_what_it_returns(store: Store) -> None:
    run = store.create().send("Hello", agent=RunnableLambda(lambda messages: {"said": messages[-1].text}))
    assert run.output == {"said": "Hello"}


def test_what_cannot_be_asked_is_told_at_once() -> None:
    with pytest.raises(UnsupportedAgent, match="all but one of them with partial"):
        adapt(ChatPromptTemplate([("human", "{a} and {b}")]) | Scripted(steps=[]))

    class Count(TypedDict):
        count: int

    graph = StateGraph(Count)
    graph.add_node("add", lambda state: {"count": state["count"] + 1})
    graph.add_edge(START, "add")
    with pytest.raises(UnsupportedAgent, match=r"The graph counter has no messages in its state"):
        adapt(graph.compile(), name="counter")


def test_an_agent_is_told_by_its_type() -> None:
    cleaner = Cleaner()
    assert all(is_agent(one) for one in (cleaner.agent(), StateGraph(MessagesState), cleaner.model))
    assert not is_agent(HumanMessage("Hi"))
    with pytest.raises(InvalidInput, match="These it takes: config, context"):
        adapt(cleaner.agent(), deps=1)


# Other agents, other frameworks


def test_it_goes_on_with_a_session_of_a_function_and_back(store: Store) -> None:
    session = store.create("plan")
    session.send("Hello", agent=lambda prompt: prompt.upper())
    model = Scripted(steps=[says("Hi")])
    session.send("And?", agent=model)
    assert [(one.type, one.content) for one in model.asked[0]] == [
        ("human", "Hello"),
        ("ai", "HELLO"),
        ("human", "And?"),
    ]
    seen: list[Message] = []

    def agent(prompt: str, history: list[Message]) -> str:
        seen.extend(history)
        return "Bye"

    session.send("So?", agent=agent)
    assert texts(seen) == ["Hello", "HELLO", "And?", "Hi"]


@pytest.mark.parametrize("to", range(1, 5))
def test_it_goes_on_from_any_message(store: Store, to: int) -> None:
    cleaner = Cleaner(says("", ("c1", "look", {"path": "x"})), says("Empty."), says("Again."))
    session = store.create("plan")
    session.send("Look", agent=cleaner.agent())
    session.rewind(to)
    session.send("Again", agent=cleaner.agent())
    sent = cleaner.model.asked[-1]
    called = [call["id"] for one in sent if isinstance(one, AIMessage) for call in one.tool_calls]
    assert called == [one.tool_call_id for one in sent if isinstance(one, ToolMessage)]


# Outputs


class City(BaseModel):
    name: str
    people: int


def test_a_structured_answer_is_the_output(store: Store) -> None:
    model = Scripted(steps=[says("", ("c1", "City", {"name": "Oslo", "people": 7}))])
    agent = create_agent(model, [], response_format=ToolStrategy(City))
    session = store.create()
    assert session.send("Which?", agent=agent).output == City(name="Oslo", people=7)
    with pytest.raises(InvalidInput, match="cannot be made again"):
        adapt(agent).output("langchain", session.turns[0].body)


def test_what_is_no_json_and_no_unicode_fails_no_run(store: Store) -> None:
    @tool(response_format="content_and_artifact")
    def find() -> tuple[str, object]:
        """Find something."""
        return "half \udc80", object()

    model = Scripted(steps=[says("", ("c1", "find", {})), says("found \ud83d"), says("Bye")])
    agent = create_agent(model, [find])
    session = store.create()
    assert session.send("Look", agent=agent).output == "found \ufffd"
    assert session.messages[2].text == "half \ufffd"
    assert session.send("Thanks", agent=agent).output == "Bye"


# What goes wrong


def test_a_failing_model_is_one_line_and_what_was_spent_counts(store: Store) -> None:
    cleaner = Cleaner(says("", ("c1", "look", {"path": "x"})), RuntimeError("no idea,\nreally"))
    session = store.create()
    with pytest.raises(RunFailed, match="cleaner failed: RuntimeError: no idea, really"):
        session.send("Look", agent=cleaner.agent())
    (run,) = session.runs()
    assert (run.status, run.usage.input_tokens, session.messages) == ("failed", 10, [])


def test_a_run_without_end_fails(store: Store) -> None:
    cleaner = Cleaner(*[says("", (f"c{n}", "look", {"path": "x"})) for n in range(9)])
    with pytest.raises(RunFailed, match="Recursion limit"):
        store.create().send("Look", agent=adapt(cleaner.agent(), config={"recursion_limit": 4}))


def test_a_limit_stops_before_the_next_request() -> None:
    cleaner = Cleaner(says("", ("c1", "look", {"path": "x"})), says("Empty."))
    answer = Answer()

    def limited() -> None:
        if answer.usage.requests:
            raise ValueError("enough")

    answer.on_request = limited
    with pytest.raises(ValueError, match="enough"):
        asyncio.run(
            LangGraphAdapter(cleaner.agent()).arun(
                Request("Go", [], "[]", "s1", "r1"), lambda e: None, answer
            )
        )
    assert len(cleaner.model.asked) == 1


def test_a_stop_leaves_what_was_spent_and_the_next_turn_works(store: Store) -> None:
    stop = threading.Event()

    @tool
    async def wait() -> str:
        """Wait."""
        stop.set()
        await asyncio.sleep(60)
        raise AssertionError

    model = Scripted(steps=[says("", ("c1", "wait", {})), says("Bye.")])
    agent = create_agent(model, [wait])
    session = store.create()

    async def stopped() -> None:
        task = asyncio.create_task(session.asend("Look", agent=agent))
        await asyncio.to_thread(stop.wait)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        # LangChain tells its own callbacks of it a little later.
        while len(asyncio.all_tasks()) > 1:
            await asyncio.sleep(0)

    asyncio.run(stopped())
    (run,) = session.runs()
    assert (run.status, run.usage.input_tokens, session.messages) == ("cancelled", 10, [])
    assert session.send("Never mind", agent=agent).output == "Bye."


@pytest.mark.parametrize("made", GRAPHS)
def test_a_run_that_failed_goes_on_and_repeats_no_tool(store: Store, made: Callable[[Cleaner], Any]) -> None:
    cleaner = Cleaner(says("", ("c1", "look", {"path": "x"})), RuntimeError("gone"), says("Empty."))
    session = store.create()
    session.send("Hello", agent=lambda prompt: "Hi")
    with pytest.raises(RunFailed) as caught:
        session.send("Look", agent=made(cleaner))
    assert caught.value.run_id is not None
    run = session.resume_run(caught.value.run_id, agent=made(cleaner))
    assert (run.status, run.output, cleaner.done) == ("completed", "Empty.", ["look x"])
    roles = [message.role for message in session.messages]
    assert roles == ["user", "assistant", "user", "assistant", "tool", "assistant"]
    assert session.usage.input_tokens == 20


# Tools that have to be asked about


@pytest.mark.parametrize("made", GRAPHS)
@pytest.mark.parametrize(
    ("decision", "result", "done"),
    [
        (True, "removed x", ["remove x"]),
        (Decision(True, arguments='{"path": "y"}'), "removed y", ["remove y"]),
        (False, "The person did not allow this call.", []),
        (Decision(False, "Only below home."), "The call was not allowed: Only below home.", []),
    ],
)
def test_a_call_waits_for_a_decision(
    made: Callable[[Cleaner], Any], decision: bool | Decision, result: str, done: list[str]
) -> None:
    cleaner, person = Cleaner(says("", ("c1", "remove", {"path": "x"})), says("So be it.")), Person(decision)
    answer, _, events = asked(made(cleaner), person)
    assert said(answer)[2:] == [("tool", result), ("ai", "So be it.")]
    assert cleaner.done == done
    (question,) = person.asked
    assert (question.name, question.arguments, question.call_id) == ("remove", '{"path":"x"}', "c1")
    assert (question.run_id, question.agent_name, question.required) == ("r1", "cleaner", False)
    assert events.index("TOOL_CALL_END") < events.index("TOOL_CALL_RESULT")


@pytest.mark.parametrize("made", GRAPHS)
def test_calls_beside_it_are_made_once_also_after_a_restart(made: Callable[[Cleaner], Any]) -> None:
    calls = (("c1", "look", {"path": "x"}), ("c2", "remove", {"path": "x"}), ("c3", "remove", {"path": "y"}))

    def dies(question: ToolQuestion) -> bool:
        raise Killed

    first = Cleaner(says("Two.", *calls))
    rules: dict[str, Any] = {"must_ask": lambda name, required: name == "remove"}
    _, kept, _ = asked(made(first), dies, **rules)
    again, person = Cleaner(says("Done.")), Person(True, False)
    answer, _, events = asked(made(again), person, progress=kept[-1], run_id="r2", **rules)
    assert sorted(first.done + again.done) == ["look x", "remove x"]
    assert [(question.call_id, question.arguments) for question in person.asked] == [
        ("c2", '{"path":"x"}'),
        ("c3", '{"path":"y"}'),
    ]
    assert [content for _, content in said(answer)] == [
        "Go", "Two.", "x is empty", "removed x", "The person did not allow this call.", "Done."
    ]  # fmt: skip
    assert events.count("TOOL_CALL_START") == events.count("TOOL_CALL_RESULT") >= 2


def test_the_rules_decide_which_tools_are_asked_about() -> None:
    cleaner = Cleaner(says("", ("c1", "look", {"path": "x"}), ("c2", "remove", {"path": "x"})), says("Done."))
    person = Person(True)
    graph = cleaner.by_hand()
    before = graph.nodes["tools"].bound
    asked(graph, person, must_ask=lambda name, required: name == "look")
    assert [question.name for question in person.asked] == ["look"]
    assert sorted(cleaner.done) == ["look x", "remove x"]
    assert graph.nodes["tools"].bound is before


def test_what_a_node_wraps_its_calls_in_stays() -> None:
    def louder(request: Any, execute: Callable[[Any], Any]) -> Any:
        result = execute(request)
        return result.model_copy(update={"content": result.content.upper()})

    cleaner = Cleaner(says("", ("c1", "remove", {"path": "x"})), says("Done."))
    answer, _, _ = asked(cleaner.by_hand(wrap_tool_call=louder), Person(True))
    assert said(answer)[2] == ("tool", "REMOVED X")


def nested(inner: Any, *, by_function: bool) -> Any:
    graph = StateGraph(MessagesState)

    async def call(state: MessagesState) -> Any:
        return await inner.ainvoke(state)

    graph.add_node("inner", call if by_function else inner)
    graph.add_edge(START, "inner")
    graph.add_edge("inner", END)
    return graph.compile(name="outer")


def test_tools_of_a_graph_that_is_a_node_are_held_back_too() -> None:
    cleaner = Cleaner(says("", ("c1", "remove", {"path": "x"})), says("Done."))
    person = Person(False)
    answer, _, events = asked(nested(cleaner.agent(), by_function=False), person)
    assert ([question.name for question in person.asked], cleaner.done, answer.output) == (
        ["remove"],
        [],
        "Done.",
    )
    assert events.count("TOOL_CALL_RESULT") == 1


def test_a_graph_that_a_function_calls_is_refused_where_its_tools_must_be_asked_about(store: Store) -> None:
    cleaner = Cleaner(says("", ("c1", "remove", {"path": "x"})), says("Done."))
    with pytest.raises(nbs.AgentError, match="cannot be held back there: make that graph the node inner"):
        asked(nested(cleaner.agent(), by_function=True), Person())
    assert (cleaner.done, cleaner.model.asked) == ([], [])


# What a graph itself asks


def asking(value: Any, **options: Any) -> Any:
    graph = StateGraph(MessagesState)
    graph.add_node("ask", lambda state: {"messages": [AIMessage(f"You said {interrupt(value, **options)}")]})
    graph.add_edge(START, "ask")
    return graph.compile(name="asker")


@pytest.mark.parametrize(
    ("decision", "output"),
    [
        (True, "You said True"),
        (False, "You said False"),
        (Decision(True, arguments='{"a": 1}'), "You said {'a': 1}"),
    ],
)
def test_a_graph_that_asks_is_answered(decision: bool | Decision, output: str) -> None:
    person = Person(decision)
    answer, _, _ = asked(asking({"question": "May I?"}), person)
    assert answer.output == output
    (question,) = person.asked
    assert (question.name, question.arguments, question.required) == (
        "interrupt",
        '{"question":"May I?"}',
        True,
    )


def test_a_graph_that_asks_goes_on_after_a_restart() -> None:
    def dies(question: ToolQuestion) -> bool:
        raise Killed

    _, kept, _ = asked(asking("May I?"), dies)
    answer, _, _ = asked(asking("May I?"), Person(True), progress=kept[-1], run_id="r2")
    assert answer.output == "You said True"


def test_a_graph_that_asks_for_more_than_yes_or_no_is_told() -> None:
    with pytest.raises(nbs.AgentError, match=r'asks "Which\?", and wants an answer of the type integer'):
        asked(asking("Which?", response_schema=int), Person())


@pytest.mark.parametrize(
    ("decision", "done"),
    [(True, ["remove x"]), (False, []), (Decision(True, arguments='{"path": "y"}'), ["remove y"])],
)
def test_the_middleware_of_langchain_asks_the_person_once(decision: bool | Decision, done: list[str]) -> None:
    cleaner = Cleaner(says("", ("c1", "remove", {"path": "x"})), says("Done."))
    graph = cleaner.agent(middleware=[HumanInTheLoopMiddleware(interrupt_on={"remove": True})])
    person = Person(decision)
    answer, _, _ = asked(graph, person)
    assert (answer.output, cleaner.done) == ("Done.", done)
    assert [(question.name, json.loads(question.arguments)) for question in person.asked] == [
        ("remove", {"path": "x"})
    ]


def test_calls_that_cannot_be_told_apart_are_not_made() -> None:
    calls = [("c1", "remove", {"path": "x"}), ("c1", "remove", {"path": "y"})]
    cleaner, person = Cleaner(says("", *calls)), Person(True)
    with pytest.raises(nbs.AgentError, match="several calls one id"):
        asked(cleaner.agent(), person)
    assert (cleaner.done, person.asked) == ([], [])


def test_a_graph_that_stops_before_a_node_asks_whether_to_go_on() -> None:
    cleaner = Cleaner(says("", ("c1", "look", {"path": "x"})), says("Done."))
    person = Person(True)
    asked(cleaner.agent(interrupt_before=["tools"]), person, must_ask=lambda name, required: False)
    assert ([question.name for question in person.asked], cleaner.done) == (["tools"], ["look x"])
    cleaner = Cleaner(says("", ("c1", "look", {"path": "x"})))
    with pytest.raises(nbs.AgentError, match="the graph stops before tools: The person did not allow"):
        asked(cleaner.agent(interrupt_before=["tools"]), Person(False), must_ask=lambda name, required: False)


# Where it stands


class Notes(TypedDict):
    messages: Annotated[list[AnyMessage], add_messages]
    handle: Any


def test_a_state_that_cannot_be_written_down_runs_all_the_same() -> None:
    cleaner = Cleaner(says("", ("c1", "remove", {"path": "x"})), says("Done."))
    graph = StateGraph(Notes)
    graph.add_node("open", lambda state: {"handle": threading.Lock()})
    graph.add_node("inner", cleaner.agent())
    graph.add_edge(START, "open")
    graph.add_edge("open", "inner")
    answer, kept, _ = asked(graph.compile(), Person(True))
    assert (answer.output, cleaner.done, kept[-1]) == ("Done.", ["remove x"], "[]")
