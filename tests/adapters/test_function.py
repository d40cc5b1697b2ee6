from __future__ import annotations

import functools
import gc
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from nbsessions import Message, RunFailed, Session, Store
from nbsessions.adapters import adapt
from tests.conftest import add, texts

CALL = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a":1,"b":2}'}}


def plain(prompt: str) -> str:
    return prompt.upper()


async def awaited(prompt: str) -> str:
    return prompt.upper()


def yielded(prompt: str) -> Iterator[str]:
    yield from prompt.upper()


async def streamed(prompt: str) -> AsyncIterator[str]:
    for piece in prompt.upper():
        yield piece


class Shouter:
    """An object that is called, and has methods that are."""

    def __call__(self, prompt: str) -> str:
        return prompt.upper()

    def method(self, prompt: str) -> str:
        return prompt.upper()

    async def amethod(self, prompt: str) -> AsyncIterator[str]:
        yield prompt.upper()


class AsyncShouter:
    async def __call__(self, prompt: str) -> str:
        return prompt.upper()


@functools.wraps(awaited)
def wrapped(prompt: str) -> Any:
    return awaited(prompt)


def prefixed(prefix: str, prompt: str) -> str:
    return prefix + prompt


AGENTS: dict[str, Callable[..., Any]] = {
    "function": plain,
    "async function": awaited,
    "generator": yielded,
    "async generator": streamed,
    "lambda": lambda prompt: prompt.upper(),
    "object": Shouter(),
    "async object": AsyncShouter(),
    "method": Shouter().method,
    "async method": Shouter().amethod,
    "builtin": str.upper,
    "partial": functools.partial(plain),
    "partial of an async function": functools.partial(awaited),
    "partial of an async generator": functools.partial(streamed),
}


@pytest.fixture
def session(store: Store) -> Session:
    return store.create("plan")


@pytest.mark.parametrize("agent", AGENTS.values(), ids=AGENTS.keys())
def test_all_that_can_be_called_answers(session: Session, agent: Callable[..., Any]) -> None:
    run = session.send("Hello", agent=agent)
    assert run.output == "HELLO"
    assert [(message.role, message.text) for message in session.messages] == [
        ("user", "Hello"),
        ("assistant", "HELLO"),
    ]


@pytest.mark.filterwarnings("ignore:coroutine")
@pytest.mark.parametrize(
    "agent",
    [wrapped, lambda prompt: awaited(prompt), lambda prompt: streamed(prompt)],
    ids=["wraps", "lambda", "lambda of a generator"],
)
def test_what_was_not_awaited_is_no_answer(session: Session, agent: Callable[..., Any]) -> None:
    """It is awaited, or refused; what is never stored is ``<coroutine object ...>``."""
    try:
        session.send("Hello", agent=agent)
    except RunFailed as error:
        assert "async" in str(error) or "await" in str(error)  # noqa: PT017
    gc.collect()  # what is left of it complains here, and not in another test
    assert texts(session) in ([], ["Hello", "HELLO"])


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        (plain, "plain"),
        (streamed, "streamed"),
        (lambda prompt: prompt, "agent"),
        (Shouter(), "Shouter"),
        (Shouter().method, "method"),
        (functools.partial(plain), "partial"),
    ],
)
def test_an_agent_is_called_what_it_is(session: Session, agent: Callable[..., Any], name: str) -> None:
    assert adapt(agent).name == name
    assert session.send("Hello", agent=agent).agent_name == name


def test_a_nameless_agent_gets_the_name_of_its_variable() -> None:
    assert adapt(lambda prompt: prompt, name="mine").name == "mine"
    assert adapt(plain, name="mine").name == "plain"


def test_it_is_given_what_it_has_parameters_for(session: Session) -> None:
    add(session, "1", "2")
    seen: list[object] = []

    def agent(
        prompt: str, *, history: list[Message], session_id: str, model: str | None, other: int = 5
    ) -> str:
        seen.extend([prompt, texts(history), session_id, model, other])
        return "Hi"

    session.send("Hello", agent=agent)
    assert seen == ["Hello", ["1", "2"], session.session_id, None, 5]


@pytest.mark.parametrize("kind", ["sync", "async", "generator", "async generator"])
def test_every_kind_gets_the_history(session: Session, kind: str) -> None:
    def sync(prompt: str, history: list[Message]) -> str:
        return f"{len(history)}"

    async def asynced(prompt: str, history: list[Message]) -> str:
        return f"{len(history)}"

    def generator(prompt: str, history: list[Message]) -> Iterator[str]:
        yield f"{len(history)}"

    async def agenerator(prompt: str, history: list[Message]) -> AsyncIterator[str]:
        yield f"{len(history)}"

    agents: dict[str, Callable[..., Any]] = {
        "sync": sync,
        "async": asynced,
        "generator": generator,
        "async generator": agenerator,
    }
    assert [session.send("Hello", agent=agents[kind]).output for _ in range(3)] == ["0", "2", "4"]


def test_the_history_is_the_agents_own_copy(session: Session) -> None:
    add(session, "1")

    def agent(prompt: str, history: list[Message]) -> str:
        history.clear()
        return "Hi"

    session.send("Hello", agent=agent)
    assert texts(session) == ["1", "Hello", "Hi"]


def test_a_sync_agent_runs_on_the_callers_thread(session: Session) -> None:
    """Where an interrupt reaches it, and `input()` works."""
    threads: list[threading.Thread] = []

    def agent(prompt: str) -> str:
        threads.append(threading.current_thread())
        return "Hi"

    session.send("Hello", agent=agent)
    assert threads == [threading.current_thread()]


def test_messages_are_committed_as_they_are(session: Session) -> None:
    returned: list[dict[str, Any]] = [
        {"role": "assistant", "content": None, "tool_calls": [CALL], "weight": 1},
        {"role": "tool", "content": "3", "tool_call_id": "c1", "name": "add"},
        {"role": "assistant", "content": "It is 3.", "timestamp": "2026-01-02T03:04:05Z"},
    ]
    run = session.send("1 + 2?", agent=lambda prompt: returned)
    assert run.output == "It is 3."
    prompt, *answer = [message.to_dict() for message in session.messages]
    assert (prompt["role"], prompt["content"]) == ("user", "1 + 2?")
    stamps = [message.pop("timestamp") for message in answer]
    assert answer == [{k: v for k, v in one.items() if k != "timestamp"} for one in returned]
    assert stamps[2] == "2026-01-02T03:04:05Z"
    assert (session.turn_count, len(session.turns)) == (1, 1)


@pytest.mark.parametrize(
    "returned",
    [
        {"role": "assistant", "content": "Hi"},
        Message(role="assistant", content="Hi"),
        [Message(role="assistant", content="Hi")],
        [{"role": "assistant", "content": [{"type": "text", "text": "Hi"}]}],
    ],
)
def test_one_message_is_an_answer_too(session: Session, returned: object) -> None:
    run = session.send("Hello", agent=lambda prompt: returned)
    assert (run.output, texts(session)) == ("Hi", ["Hello", "Hi"])


@pytest.mark.parametrize(
    ("returned", "text"), [(42, "42"), (3.5, "3.5"), ("", ""), (True, "True"), (["a", "b"], "['a', 'b']")]
)
def test_other_values_are_said_as_text_and_given_back_as_they_are(
    session: Session, returned: object, text: str
) -> None:
    run = session.send("Hello", agent=lambda prompt: returned)
    assert texts(session) == ["Hello", text]
    assert run.output == (text if isinstance(returned, list) else returned)


def _nothing(prompt: str) -> None:
    return None


async def _anothing(prompt: str) -> None:
    return None


def _number(prompt: str) -> Iterator[Any]:
    yield "Hi"
    yield 5


async def _anumber(prompt: str) -> AsyncIterator[Any]:
    yield "Hi"
    yield 5


@pytest.mark.parametrize(
    ("agent", "why"),
    [
        (_nothing, "returned None"),
        (_anothing, "returned None"),
        (_number, "yielded int"),
        (_anumber, "yielded int"),
        (lambda prompt: {"role": "robot"}, "Not a chat message"),
        (lambda prompt: {"answer": 5}, "Not a chat message"),
        (lambda: "Hi", "TypeError"),
        (lambda prompt, other: "Hi", "TypeError"),
    ],
    ids=["None", "async None", "yields", "async yields", "role", "dict", "no prompt", "two"],
)
def test_what_is_no_answer_fails_in_one_line(session: Session, agent: Callable[..., Any], why: str) -> None:
    with pytest.raises(RunFailed, match=why) as caught:
        session.send("Hello", agent=agent)
    assert "\n" not in str(caught.value)
    assert session.messages == []
    assert [run.status for run in session.runs()] == ["failed"]


def test_half_a_character_is_said_as_a_replacement(session: Session) -> None:
    """The answer was paid for: it is not refused because one character of it is broken."""
    run = session.send("Hello", agent=lambda prompt: "a\ud800b")
    assert run.output == texts(session)[1] == "a\ufffdb"


def test_a_generator_that_says_nothing_answers_nothing(session: Session) -> None:
    assert session.send("Hello", agent=lambda prompt: iter(())).output == ""
    assert texts(session) == ["Hello", ""]


def test_what_is_closed_when_an_answer_fails(session: Session) -> None:
    closed: list[bool] = []

    def agent(prompt: str) -> Iterator[Any]:
        try:
            yield 5
        finally:
            closed.append(True)

    with pytest.raises(RunFailed):
        session.send("Hello", agent=agent)
    assert closed == [True]
