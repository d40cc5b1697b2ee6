from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import nbsessions as nbs
from nbsessions import (
    Event,
    InvalidInput,
    Message,
    Run,
    RunCancelled,
    RunFailed,
    RunNotFound,
    Session,
    SessionConflict,
    SessionNotFound,
    Store,
    UnsupportedAgent,
    Usage,
    branch,
    driving,
    moving,
    recorder,
    runner,
)
from nbsessions.adapters.base import Adapter, Answer, Emit, Request
from nbsessions.recorder import FLUSH_SECONDS
from nbsessions.runner import run as run_agent
from nbsessions.stores import _pool, _sql, memory
from nbsessions.stores.base import Move
from nbsessions.values import micros, now
from nbsessions.workers import LEASE
from tests.conftest import Python, add, texts
from tests.disks import SmallDisk
from tests.interrupts import CtrlC

if TYPE_CHECKING:
    from ag_ui.core import BaseEvent


def shout(prompt: str) -> str:
    return prompt.upper()


async def ashout(prompt: str) -> str:
    return prompt.upper()


def said(events: list[Event]) -> str:
    """Return the text that a run's events tell."""
    return "".join(event.data["delta"] for event in events if event.type == "TEXT_MESSAGE_CONTENT")


class Spender(Adapter):
    """Spends 7 tokens, and then does what it is told."""

    def __init__(self, then: Callable[[Answer], None] = lambda answer: None) -> None:
        super().__init__("spender", "model-1")
        self._then = then

    def run(self, request: Request, emit: Emit, answer: Answer) -> None:
        answer.usage = Usage(input_tokens=5, output_tokens=2, requests=1)
        answer.model, answer.provider = "model-2", "somewhere"
        answer.body = '[{"role":"user","content":"Hello"},{"role":"assistant","content":"Hi"}]'
        self._then(answer)


# A run that completes


@pytest.mark.parametrize("agent", [shout, ashout])
def test_a_run_commits_prompt_and_answer_as_one_turn(store: Store, agent: object) -> None:
    session = store.create("plan")
    before = now()
    run = session.send("Hello", agent=agent, cell_id="cell-1", retry_of="run-0")
    assert (run.output, run.status, run.prompt, run.error) == ("HELLO", "completed", "Hello", None)
    assert (run.cell_id, run.retry_of) == ("cell-1", "run-0")
    assert run.finished_at is not None
    assert before <= run.started_at <= run.finished_at <= now()
    for one in (session, store.resume("plan")):
        assert [(m.role, m.text) for m in one.messages] == [("user", "Hello"), ("assistant", "HELLO")]
        assert all(message.timestamp is not None and message.timestamp.tzinfo for message in one.messages)
        assert (one.turn_count, one.message_count) == (1, 2)
        (turn,) = one.turns
        assert (turn.turn_id, turn.cell_id) == (run.turn_id, "cell-1")
        (listed,) = one.runs()
        assert listed == run.model_copy(update={"output": None})
        assert listed.base == nbs.Head()


def test_events_are_stored_in_order_and_then_shown(store: Store) -> None:
    session = store.create("plan")
    shown: list[str] = []
    stored_before_shown: list[bool] = []

    def show(event: BaseEvent) -> None:
        shown.append(event.type.value)
        (run,) = session.runs()
        stored_before_shown.append(len(store.events(run.run_id)) >= len(shown))

    run = session.send("Hello", agent=shout, on_event=show)
    events = store.events(run.run_id)
    assert [event.seq for event in events] == list(range(run.event_count))
    assert [event.type for event in events] == shown
    assert shown == [
        "RUN_STARTED",
        "TEXT_MESSAGE_START",
        "TEXT_MESSAGE_CONTENT",
        "TEXT_MESSAGE_END",
        "RUN_FINISHED",
    ]
    assert all(stored_before_shown)
    assert said(events) == "HELLO"
    assert session.run_events(run.run_id) == events
    stamps = [event.data["timestamp"] for event in events]
    assert stamps == sorted(stamps)


def test_events_name_their_run_and_session(store: Store) -> None:
    session = store.create("plan")
    run = session.send("Hello", agent=shout)
    events = store.events(run.run_id)
    for event in (events[0], events[-1]):
        assert (event.data["runId"], event.data["threadId"]) == (run.run_id, session.session_id)
    assert events[-1].data["outcome"]["type"] == "success"


def test_events_are_paged_by_an_exclusive_cursor(store: Store) -> None:
    run = store.create("plan").send("Hello", agent=shout)
    found: list[int] = []
    while page := store.events(run.run_id, after=found[-1] if found else -1, limit=2):
        found += [event.seq for event in page]
        assert len(page) <= 2
    assert found == list(range(run.event_count))
    assert store.events(run.run_id, after=1000) == []


def test_unknown_runs_are_an_error(store: Store) -> None:
    session, other = store.create("plan"), store.create("other")
    run = other.send("Hello", agent=shout)
    with pytest.raises(RunNotFound):
        store.events("nowhere")
    with pytest.raises(RunNotFound):
        session.run_events(run.run_id)  # another session's


@pytest.mark.parametrize("slow", [False, True], ids=["sync", "async"])
def test_deltas_are_put_together(store: Store, slow: bool) -> None:
    pieces = [f"{number} ä😀 " for number in range(1000)]

    def agent(prompt: str) -> Iterator[str]:
        yield from pieces

    async def aagent(prompt: str) -> AsyncIterator[str]:
        for piece in pieces:
            yield piece

    shown: list[str] = []
    session = store.create("plan")
    run = session.send(
        "Hello", agent=aagent if slow else agent, on_event=lambda event: shown.append(event.type.value)
    )
    events = store.events(run.run_id)
    assert said(events) == run.output == session.messages[-1].text == "".join(pieces)
    assert len(events) == len(shown) == run.event_count < 100


def test_halves_of_a_character_are_joined(store: Store) -> None:
    """Some servers cut a character outside the basic plane in two, each half a delta."""

    def agent(prompt: str) -> Iterator[str]:
        yield from ("a", "\ud83d", "\ude00", "b")

    session = store.create("plan")
    run = session.send("Hello", agent=agent)
    assert run.output == session.messages[-1].text == said(store.events(run.run_id)) == "a😀b"


def test_tool_calls_are_told_as_events(store: Store) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a":1}'}}

    def agent(prompt: str) -> list[dict[str, Any]]:
        return [
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "content": "3", "tool_call_id": "c1"},
            {"role": "assistant", "content": "It is 3."},
        ]

    run = store.create("plan").send("1 + 2?", agent=agent)
    events = store.events(run.run_id)
    assert [event.type for event in events if event.type.startswith("TOOL")] == [
        "TOOL_CALL_START",
        "TOOL_CALL_ARGS",
        "TOOL_CALL_END",
        "TOOL_CALL_RESULT",
    ]
    started = next(event for event in events if event.type == "TOOL_CALL_START")
    assert (started.data["toolCallId"], started.data["toolCallName"]) == ("c1", "add")
    assert run.output == "It is 3."


def test_runs_are_listed_oldest_first(store: Store) -> None:
    session = store.create("plan")
    for number in range(3):
        session.send(str(number), agent=shout)
    with pytest.raises(RunFailed):
        session.send("3", agent=_broken)
    assert [run.prompt for run in session.runs()] == ["0", "1", "2", "3"]
    assert [run.run_id for run in store.runs("plan")] == [run.run_id for run in session.runs()]


def test_a_running_run_can_be_seen_by_others(path: Path, python: Python) -> None:
    code = """
import sys, nbsessions as nbs
session = nbs.open_store(sys.argv[1]).resume("plan")
print([(run.status, run.prompt, run.turn_id) for run in session.runs()], session.message_count)
"""
    with nbs.open_store(path) as store:
        session = store.create("plan")
        seen: list[str] = []

        def agent(prompt: str) -> str:
            seen.append(python(code, path))
            return "Hi"

        session.send("Hello", agent=agent)
        assert seen == ["[('running', 'Hello', None)] 0\n"]
        assert session.runs()[0].status == "completed"


def test_answering_from_an_earlier_head_leaves_what_came_after(store: Store) -> None:
    session = store.create("plan")
    session.send("1", agent=shout)
    base = session.head
    session.send("two", agent=shout)
    session.send("three", agent=shout)
    seen: list[str] = []

    def agent(prompt: str, history: list[Message]) -> str:
        seen.extend(texts(history))
        return "again"

    run = session.send("two", agent=agent, base=base)
    assert seen == ["1", "1"]
    assert texts(session) == texts(store.resume("plan")) == ["1", "1", "two", "again"]
    assert run.base == base
    session.undo()
    assert texts(store.resume("plan")) == ["1", "1", "two", "TWO", "three", "THREE"]


def test_what_a_run_spent_is_counted(store: Store) -> None:
    session = store.create("plan")
    run = session.send("Hello", agent=Spender())
    # Nobody knows what its model costs.
    assert run.usage == session.usage == Usage(input_tokens=5, output_tokens=2, requests=1, unpriced_tokens=7)
    assert (run.model, run.provider, run.agent_name) == ("model-2", "somewhere", "spender")
    session.send("Hello", agent=Spender())
    found = store.resume("plan")
    assert (found.total_tokens, found.usage.requests, found.record.model) == (14, 2, "model-2")
    session.undo()
    assert store.resume("plan").total_tokens == 14  # it was spent all the same


# A run that does not


def _broken(prompt: str) -> str:
    raise ValueError("no idea,\n  really")


async def _abroken(prompt: str) -> str:
    raise ValueError("no idea,\n  really")


@pytest.mark.parametrize("agent", [_broken, _abroken])
def test_a_failed_run_keeps_its_prompt_and_says_why(store: Store, agent: Callable[[str], Any]) -> None:
    session = store.create("plan")
    add(session, "0")
    with pytest.raises(RunFailed) as caught:
        session.send("Hello\x00 😀", agent=agent, cell_id="cell-1")
    assert str(caught.value).startswith(f"{agent.__name__} failed: ValueError: no idea, really")
    assert f"{agent.__name__}, line " in str(caught.value)  # where, in the person's own code
    assert texts(session) == texts(store.resume("plan")) == ["0"]
    (run,) = store.runs("plan")
    assert run.run_id == caught.value.run_id
    assert (run.status, run.prompt) == ("failed", "Hello\x00 😀")
    assert (run.turn_id, run.cell_id) == (None, "cell-1")
    assert run.error is not None
    assert str(caught.value) == f"{agent.__name__} failed: {run.error}"
    assert run.finished_at is not None
    assert store.events(run.run_id)[-1].type == "RUN_ERROR"
    assert session.send("Hello", agent=shout).status == "completed"


def test_what_was_said_before_a_failure_is_kept(store: Store) -> None:
    def agent(prompt: str) -> Iterator[str]:
        yield "Let me see"
        raise ValueError("no idea")

    shown: list[str] = []
    with pytest.raises(RunFailed):
        store.create("plan").send("Hello", agent=agent, on_event=lambda event: shown.append(event.type.value))
    (run,) = store.runs("plan")
    assert said(store.events(run.run_id)) == "Let me see"
    assert [event.type for event in store.events(run.run_id)] == shown
    assert shown[-1] == "RUN_ERROR"


def test_what_a_failed_run_spent_is_counted(store: Store) -> None:
    def fail(answer: Answer) -> None:
        raise ValueError("no idea")

    session = store.create("plan")
    for _ in range(2):
        with pytest.raises(RunFailed):
            session.send("Hello", agent=Spender(fail))
    assert session.total_tokens == store.resume("plan").total_tokens == 14
    assert [(run.usage.total_tokens, run.model) for run in session.runs()] == [(7, "model-2")] * 2


def test_an_error_in_odd_characters_is_told_too(store: Store) -> None:
    """Names of files that are no UTF-8 come as lone surrogates."""

    def agent(prompt: str) -> str:
        raise FileNotFoundError("caf\udce9.txt")

    session = store.create("plan")
    with pytest.raises(RunFailed, match="caf"):
        session.send("Hello", agent=agent)
    assert [run.status for run in store.runs("plan")] == ["failed"]


def test_a_long_error_is_cut(store: Store) -> None:
    def agent(prompt: str) -> str:
        raise ValueError("no idea " * 1000)

    with pytest.raises(RunFailed) as caught:
        store.create("plan").send("Hello", agent=agent)
    assert len(str(caught.value)) < 500


def test_an_answer_that_is_no_json_fails_the_run(store: Store) -> None:
    """From an adapter that somebody wrote."""

    def spoil(answer: Answer) -> None:
        answer.body = '[{"role":"robot"}]'

    session = store.create("plan")
    with pytest.raises(RunFailed) as caught:
        session.send("Hello", agent=Spender(spoil))
    assert "\n" not in str(caught.value)
    assert [(run.status, run.usage.total_tokens) for run in store.runs("plan")] == [("failed", 7)]


@pytest.mark.parametrize("prompt", ["", "  \n", "\ud800"])
def test_a_prompt_that_cannot_be_sent_starts_nothing(store: Store, prompt: str) -> None:
    session = store.create("plan")
    with pytest.raises(InvalidInput):
        session.send(prompt, agent=shout)
    assert session.runs() == []


def test_a_model_is_for_agents_that_take_one(store: Store) -> None:
    session = store.create("plan")
    with pytest.raises(InvalidInput, match="takes no model"):
        session.send("Hello", agent=shout, model="model-9")
    assert session.runs() == []

    def agent(prompt: str, model: str | None) -> str:
        return f"{model}"

    run = session.send("Hello", agent=agent, model="model-9")
    assert (run.output, run.model) == ("model-9", "model-9")
    assert session.send("Hello", agent=agent).output == "None"


@pytest.mark.parametrize("agent", [5, object(), ["a"], b"x"])
def test_what_is_no_agent_starts_nothing(store: Store, agent: object) -> None:
    session = store.create("plan")
    with pytest.raises(UnsupportedAgent, match="is not an agent"):
        session.send("Hello", agent=agent)
    assert session.runs() == []


# Stopping


def _is_cancelled(store: Store, caught: pytest.ExceptionInfo[RunCancelled], text: str) -> None:
    session = store.resume("plan")
    assert session.messages == []
    (run,) = session.runs()
    assert caught.value.run_id == run.run_id
    assert (run.status, run.prompt, run.turn_id) == ("cancelled", "Hello", None)
    assert run.finished_at is not None
    events = store.events(run.run_id)
    assert said(events) == text
    assert f"{len(text)} characters" in str(caught.value)
    assert events[-1].type == "RUN_FINISHED"
    assert events[-1].data["outcome"]["type"] != "success"


def test_an_interrupt_in_a_sync_agent_cancels(store: Store) -> None:
    def agent(prompt: str) -> Iterator[str]:
        yield "Let me"
        raise KeyboardInterrupt

    with pytest.raises(RunCancelled) as caught:
        store.create("plan").send("Hello", agent=agent)
    _is_cancelled(store, caught, "Let me")


def test_an_interrupt_cancels_an_async_agent(store: Store) -> None:
    cleaned = threading.Event()

    async def agent(prompt: str) -> AsyncIterator[str]:
        yield "Let me"
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.set()

    def interrupt(event: BaseEvent) -> None:
        if event.type.value == "TEXT_MESSAGE_CONTENT":
            raise KeyboardInterrupt  # as Ctrl-C does on this thread, where the events are shown

    with pytest.raises(RunCancelled) as caught:
        store.create("plan").send("Hello", agent=agent, on_event=interrupt)
    assert cleaned.wait(30)
    _is_cancelled(store, caught, "Let me")


def test_a_stop_cancels_a_sync_agent(store: Store) -> None:
    stop, closed = threading.Event(), threading.Event()

    def agent(prompt: str) -> Iterator[str]:
        try:
            yield "Let me"
            stop.set()
            while True:
                yield ""
                yield "!"
        finally:
            closed.set()

    session = store.create("plan")
    with pytest.raises(RunCancelled) as caught:
        run_agent(session, agent, "Hello", stop=stop)
    assert closed.is_set()
    text = said(store.events(session.runs()[0].run_id))
    assert text.startswith("Let me")
    _is_cancelled(store, caught, text)


def test_a_stop_cancels_an_async_agent(store: Store) -> None:
    stop, cancelled = threading.Event(), threading.Event()

    async def agent(prompt: str) -> AsyncIterator[str]:
        yield "Let me"
        stop.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    with pytest.raises(RunCancelled) as caught:
        run_agent(store.create("plan"), agent, "Hello", stop=stop)
    assert cancelled.wait(30)
    _is_cancelled(store, caught, "Let me")


def test_what_a_cancelled_run_spent_is_counted(store: Store) -> None:
    def interrupt(answer: Answer) -> None:
        raise KeyboardInterrupt

    session = store.create("plan")
    with pytest.raises(RunCancelled):
        session.send("Hello", agent=Spender(interrupt))
    assert session.total_tokens == store.resume("plan").total_tokens == 7


# From an event loop


def test_asend_answers(store: Store) -> None:
    session = store.create("plan")

    async def main() -> list[Run]:
        return [await session.asend("Hello", agent=agent) for agent in (shout, ashout)]

    assert [run.output for run in asyncio.run(main())] == ["HELLO", "HELLO"]
    assert session.turn_count == store.resume("plan").turn_count == 2


def test_asend_leaves_the_loop_free(store: Store) -> None:
    """Two agents that wait for each other both answer."""
    sync, meeting = threading.Barrier(2), threading.Barrier(2)

    def agent(prompt: str) -> str:
        sync.wait(60)
        return prompt

    async def aagent(prompt: str) -> str:
        await asyncio.to_thread(meeting.wait, 60)
        return prompt

    async def main() -> list[Run]:
        sends = [store.create().asend("Hello", agent=one) for one in (agent, agent, aagent, aagent)]
        return await asyncio.gather(*sends)

    assert [run.status for run in asyncio.run(main())] == ["completed"] * 4


def test_cancelling_asend_cancels_the_run(store: Store) -> None:
    session, cancelled = store.create("plan"), threading.Event()

    async def agent(prompt: str) -> AsyncIterator[str]:
        yield "Let me"
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    async def main() -> None:
        loop, started = asyncio.get_running_loop(), asyncio.Event()

        def show(event: BaseEvent) -> None:
            if event.type.value == "TEXT_MESSAGE_CONTENT":
                loop.call_soon_threadsafe(started.set)

        task = asyncio.create_task(session.asend("Hello", agent=agent, on_event=show))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert cancelled.is_set()
    (run,) = store.runs("plan")
    assert (run.status, run.prompt, said(store.events(run.run_id))) == ("cancelled", "Hello", "Let me")
    assert store.resume("plan").messages == []


def test_cancelling_asend_leaves_no_complaint(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    async def agent(prompt: str) -> str:
        await asyncio.Event().wait()
        return "never"

    async def main() -> None:
        loop, started = asyncio.get_running_loop(), asyncio.Event()

        def show(event: BaseEvent) -> None:
            loop.call_soon_threadsafe(started.set)

        task = asyncio.create_task(store.create().asend("Hello", agent=agent, on_event=show))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        del task
        gc.collect()

    asyncio.run(main())
    gc.collect()
    assert caplog.text == ""


def test_an_agent_may_ask_another_agent(store: Store) -> None:
    """A2A: an async tool opens a child session."""
    parent = store.create("plan", session_id="parent")

    async def agent(prompt: str) -> str:
        child = store.create(conversation_id="c1", parent_session_id="parent")
        run = await child.asend(f"Ask: {prompt}", agent=ashout)
        return f"It said {run.output}"

    assert parent.send("hello", agent=agent).output == "It said ASK: HELLO"
    assert asyncio.run(parent.asend("hello", agent=agent)).output == "It said ASK: HELLO"
    assert texts(store.resume("latest", conversation_id="c1")) == ["Ask: hello", "ASK: HELLO"]
    assert parent.turn_count == 2


def test_an_agent_may_ask_in_its_own_session(store: Store) -> None:
    session = store.create("plan")

    async def agent(prompt: str) -> str:
        await session.asend("inner", agent=ashout)
        return "outer"

    session.send("Hello", agent=agent)
    assert sorted(texts(store.resume("plan"))) == sorted(["inner", "INNER", "Hello", "outer"])
    assert [run.status for run in session.runs()] == ["completed"] * 2


def test_a_sync_agent_may_ask_another_agent(store: Store) -> None:
    def agent(prompt: str) -> str:
        return str(store.create(conversation_id="c1").send(prompt, agent=ashout).output)

    assert store.create("plan").send("hello", agent=agent).output == "HELLO"


def test_an_async_agent_that_asks_in_the_sync_way_is_told(store: Store) -> None:
    async def agent(prompt: str) -> str:
        return str(store.create(conversation_id="c1").send(prompt, agent=ashout).output)

    with pytest.raises(RunFailed, match="asend") as caught:
        store.create("plan").send("hello", agent=agent)
    assert "\n" not in str(caught.value)


# Drafts, conflicts, deleted sessions


def test_without_autosave_a_run_goes_to_the_draft(store: Store) -> None:
    session = store.create("plan", autosave=False)
    run = session.send("Hello", agent=Spender())
    assert run.status == "completed"
    other = store.resume("plan")
    assert (other.messages, other.total_tokens) == ([], 7)
    assert [one.run_id for one in other.runs()] == [run.run_id]
    session.save()
    assert texts(store.resume("plan")) == ["Hello", "Hi"]


def _meanwhile(store: Store) -> Callable[[Answer], None]:
    return lambda answer: add(store.resume("plan"), "theirs")


def test_an_answer_that_lost_the_race_is_kept_on_a_fork(store: Store) -> None:
    session = store.create("plan")
    add(session, "0")
    run = session.send("Hello", agent=Spender(_meanwhile(store)))
    assert run.status == "completed"
    assert session.notice is not None
    assert session.name == "plan (fork)"
    assert texts(session) == texts(store.resume("plan (fork)")) == ["0", "Hello", "Hi"]
    assert texts(store.resume("plan")) == ["0", "theirs"]
    assert run.turn_id == session.head.turn_id


def test_a_run_that_lost_the_race_belongs_to_where_its_answer_is(store: Store) -> None:
    session = store.create("plan")
    run = session.send("Hello", agent=Spender(_meanwhile(store)))
    assert [one.run_id for one in session.runs()] == [run.run_id]
    assert session.run_events(run.run_id)


def test_what_a_session_spent_is_what_its_runs_spent(store: Store) -> None:
    session = store.create("plan")
    session.send("Hello", agent=Spender(_meanwhile(store)))
    assert len(store.list()) == 2
    for record in store.list():
        spent = sum((run.usage for run in store.runs(record.session_id)), Usage())
        assert store.resume(record.session_id).usage == spent
    assert session.usage == store.resume(session.session_id).usage


def test_an_answer_is_kept_also_where_a_conflict_is_an_error(store: Store) -> None:
    session = store.create("plan", on_conflict="error")
    with pytest.raises(SessionConflict, match=r"Your answer is kept on 'plan \(fork\)'") as caught:
        session.send("Hello", agent=Spender(_meanwhile(store)))
    assert caught.value.kept == "plan (fork)"
    assert (session.saved, session.name, store.runs("plan")) == (True, "plan", [])
    assert texts(store.resume("plan")) == ["theirs"]
    fork = store.resume("plan (fork)")
    assert (texts(fork), fork.total_tokens) == (["Hello", "Hi"], 7)
    (run,) = fork.runs()
    assert (run.status, run.prompt, run.usage.total_tokens) == ("completed", "Hello", 7)


@pytest.mark.parametrize("on_conflict", ["fork", "error"])
def test_an_answer_outlives_its_session(store: Store, on_conflict: Any) -> None:
    def agent(prompt: str) -> Iterator[str]:
        yield "Let me"
        store.delete("plan")
        yield " see"

    session = store.create("plan", on_conflict=on_conflict)
    add(session, "0")
    if on_conflict == "fork":
        session.send("Hello", agent=agent)
        assert session.name == "plan (fork)"
        assert session.notice == "'plan' was deleted meanwhile: your turn is kept on 'plan (fork)'."
    else:
        with pytest.raises(SessionNotFound, match=r"was deleted.*Your answer is kept on 'plan \(fork\)'"):
            session.send("Hello", agent=agent)
    (kept,) = store.list()
    assert texts(store.resume(kept.session_id)) == ["0", "Hello", "Let me see"]
    assert [run.status for run in store.runs("plan (fork)")] == ["completed"]


# Runs whose process died, or seemed to


def test_a_late_answer_of_an_interrupted_run_is_still_committed(store: Store) -> None:
    session = store.create("plan")
    add(session, "0")
    seen: list[str] = []

    def declare_dead(answer: Answer) -> None:
        (run,) = session.runs()
        store.backend.renew_lease(run.run_id, micros(now() - timedelta(seconds=1)))
        seen.extend(one.status for one in store.resume("plan").runs())

    run = session.send("Hello", agent=Spender(declare_dead))
    assert seen == ["interrupted"]
    assert run.status == store.runs("plan")[0].status == "interrupted"  # the first terminal status wins
    assert texts(store.resume("plan")) == ["0", "Hello", "Hi"]
    assert run.turn_id == session.head.turn_id
    assert store.resume("plan").total_tokens == run.usage.total_tokens == 7


def test_the_first_end_of_a_run_wins(store: Store) -> None:
    session = store.create("plan")

    def declare_dead(answer: Answer) -> None:
        (run,) = session.runs()
        store.backend.renew_lease(run.run_id, micros(now() - timedelta(seconds=1)))
        store.resume("plan")
        raise ValueError("no idea")

    with pytest.raises(RunFailed):
        session.send("Hello", agent=Spender(declare_dead))
    (run,) = store.runs("plan")
    assert (run.status, run.error) == ("interrupted", "its process died")
    assert store.resume("plan").total_tokens == run.usage.total_tokens == 7


def test_a_run_left_behind_ended_when_its_process_was_last_seen(store: Store) -> None:
    session = store.create("plan")
    started = now() - timedelta(minutes=2)
    left = Run(
        run_id="left",
        session_id=session.session_id,
        agent_name="local",
        started_at=started,
        lease_until=started + timedelta(minutes=1),
    )
    store.backend.start_run(left)
    (run,) = store.resume("plan").runs()
    assert (run.status, run.finished_at) == ("interrupted", started + timedelta(minutes=1) - LEASE)
    assert store.resume("plan").updated_at == session.updated_at


def test_a_run_that_is_alive_is_left_alone(store: Store) -> None:
    session = store.create("plan")
    seen: list[str] = []
    agent = Spender(lambda answer: seen.extend(run.status for run in store.resume("plan").runs()))
    assert session.send("Hello", agent=agent).status == "completed"
    assert seen == ["running"]


KILLED = """
import sys, threading, nbsessions as nbs

def agent(prompt):
    yield "Let me "
    yield "see"
    threading.Event().wait()

def show(event):
    if event.type.value == "TEXT_MESSAGE_CONTENT":
        print(event.delta, end="", flush=True)

async def aagent(prompt):
    import asyncio
    for piece in agent(prompt):
        if piece == "see":
            yield piece
            await asyncio.Event().wait()
        yield piece

session = nbs.open_store(sys.argv[1]).create("plan")
for number in range(3):
    session.send(f"{number}?", agent=lambda prompt: f"{number}!")
session.send("Hello", agent=agent if sys.argv[2] == "sync" else aagent, on_event=show)
"""


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_process_killed_in_the_middle_of_an_answer_loses_nothing(
    path: Path, python: Python, kind: str
) -> None:
    process = python.start(KILLED, path, kind)
    assert process.stdout is not None
    assert process.stdout.read(len("Let me see")) == "Let me see"
    process.kill()  # SIGKILL
    process.wait()
    with nbs.open_store(path) as store:
        session = store.resume("plan")
        assert texts(session) == ["0?", "0!", "1?", "1!", "2?", "2!"]
        *done, run = session.runs()
        assert [one.status for one in done] == ["completed"] * 3
        assert (run.status, run.prompt) == ("interrupted", "Hello")
        assert run.finished_at is not None
        assert said(store.events(run.run_id)) == "Let me see"
        assert session.send("Hello", agent=shout).status == "completed"
        assert texts(store.resume("plan"))[6:] == ["Hello", "HELLO"]


# A disk that is full


def _on(disk: SmallDisk) -> Store:
    return nbs.open_store(disk.folder / "agents.db")


def test_an_answer_that_the_disk_refused_waits_for_save(small_disk: SmallDisk) -> None:
    with _on(small_disk) as store:
        session = store.create("plan")
        add(session, "0")

        def fill(answer: Answer) -> None:
            answer.body = answer.body.replace("Hi", "Hi" + "!" * 100_000)
            small_disk.fill()

        with pytest.raises(nbs.StoreUnavailable, match="save"):
            session.send("Hello", agent=Spender(fill))
        assert texts(store.resume("plan")) == ["0"]
        with pytest.raises(nbs.StoreUnavailable):
            session.save()  # still full
        small_disk.free()
        session.save()
        assert [text[:5] for text in texts(store.resume("plan"))] == ["0", "Hello", "Hi!!!"]
        assert [(run.status, run.usage.total_tokens) for run in session.runs()] == [("completed", 7)]
        assert session.unsaved == []
        assert store.resume("plan").total_tokens == 7


def test_no_answer_that_waits_is_dropped_for_another(small_disk: SmallDisk) -> None:
    with _on(small_disk) as store:
        session = store.create("plan")

        def fill(answer: Answer) -> None:
            answer.body = answer.body.replace("Hi", "Hi" + "!" * 100_000)
            small_disk.fill()

        for _ in range(2):
            with pytest.raises(nbs.StoreUnavailable):
                session.send("Hello", agent=Spender(fill))
            small_disk.free()
        session.save()
        assert [text[:5] for text in texts(store.resume("plan"))] == ["Hello", "Hi!!!"] * 2
        assert [run.status for run in session.runs()] == ["completed"] * 2


def test_a_prompt_that_the_disk_refused_is_not_sent(small_disk: SmallDisk) -> None:
    with _on(small_disk) as store:
        session = store.create("plan")
        add(session, "0")
        asked: list[str] = []
        small_disk.fill()
        with pytest.raises(nbs.StoreUnavailable):
            session.send("Hello" * 20_000, agent=asked.append)
        assert asked == []
        small_disk.free()
        assert session.send("Hello", agent=shout).status == "completed"


def test_a_disk_that_fills_in_the_middle_of_an_answer_is_told_once(
    small_disk: SmallDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    complaints: list[object] = []
    monkeypatch.setattr(threading, "excepthook", complaints.append)

    def agent(prompt: str) -> Iterator[str]:
        small_disk.fill()
        yield "Let me see" * 10_000
        time.sleep(3 * FLUSH_SECONDS)  # meanwhile what was said is refused
        yield "."

    with _on(small_disk) as store:
        session = store.create("plan")
        with pytest.raises(nbs.NbsessionsError) as caught:
            session.send("Hello", agent=agent)
        assert "\n" not in str(caught.value)
        assert complaints == []
        assert session.saved is False
        small_disk.free()
        assert session.send("Hello", agent=shout).status == "completed"
        assert [len(text) for text in texts(store.resume("plan"))] == [5, 100_001, 5, 5]
        assert session.run_events(session.runs()[0].run_id)[-1].type == "RUN_FINISHED"


def test_a_closed_session_cannot_send(sqlite_store: Store) -> None:
    session: Session = sqlite_store.create("plan")
    sqlite_store.close()
    with pytest.raises(nbs.StoreUnavailable, match="closed"):
        session.send("Hello", agent=shout)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), nbs.StoreUnavailable("The disk is full.")])
def test_an_answer_that_could_not_be_saved_waits_in_order(
    store: Store, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    session = store.create("plan")
    move = store.backend.move
    shown: list[str] = []

    def refuse(wanted: object) -> object:
        raise error

    monkeypatch.setattr(store.backend, "move", refuse)
    with pytest.raises((nbs.RunCancelled, nbs.StoreUnavailable), match="`save` tries again"):
        session.send(
            "first", agent=lambda prompt: "one", on_event=lambda event: shown.append(event.type.value)
        )
    assert shown[-1] == "RUN_FINISHED"
    assert session.saved is False
    with pytest.raises(type(error)):
        session.send("second", agent=lambda prompt: pytest.fail("nothing is asked while an answer waits"))
    monkeypatch.setattr(store.backend, "move", move)
    session.send("second", agent=lambda prompt: "two")
    assert session.unsaved == []
    assert texts(store.resume("plan")) == ["first", "one", "second", "two"]
    assert [run.status for run in session.runs()] == ["completed", "completed"]


def test_ctrl_c_at_any_line_loses_no_answer(store: Store) -> None:
    files = {module.__file__ or "" for module in (runner, recorder, driving, moving, branch, _pool)}
    files |= {str(file) for package in (memory, _sql) for file in Path(package.__path__[0]).glob("*.py")}
    for nth in count(1):
        session = store.create()
        answered: list[Answer] = []
        interrupt = CtrlC(nth, files)
        with suppress(KeyboardInterrupt, RunCancelled), interrupt:
            session.send("Hello", agent=Spender(answered.append))
        if interrupt.where is None:
            break
        assert session.unsaved or answered == [] or texts(store.resume(session.session_id)), interrupt.where
        session.save_waiting()
        again = store.resume(session.session_id)
        assert texts(again) == (["Hello", "Hi"] if answered else []), interrupt.where
        assert again.total_tokens == (7 if answered else 0), interrupt.where
        for run in again.runs():
            events = again.run_events(run.run_id)
            assert [event.seq for event in events] == list(range(run.event_count)), interrupt.where
            assert [event.type for event in events].count("RUN_STARTED") <= 1, interrupt.where
    assert nth > 300, "it was interrupted at every line"


def test_a_store_that_refuses_the_log_fails_no_run(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    append = store.backend.append_events
    refusals: list[object] = []
    shown: list[str] = []

    def refuse(*args: Any, **options: Any) -> None:
        if refusals or any(kind == "TEXT_MESSAGE_CONTENT" for kind, _ in args[1]):
            refusals.append(args)
            raise nbs.StoreUnavailable("The store is locked.")
        append(*args, **options)

    def agent(prompt: str) -> Iterator[str]:
        yield "Let me "
        time.sleep(3 * FLUSH_SECONDS)
        yield "see"

    monkeypatch.setattr(store.backend, "append_events", refuse)
    session = store.create("plan")
    run = session.send("Hello", agent=agent, on_event=lambda event: shown.append(event.type.value))
    assert refusals
    assert run.output == "Let me see"
    events = session.run_events(run.run_id)
    assert [event.seq for event in events] == list(range(run.event_count))
    assert [event.type for event in events] == shown
    assert said(events) == "Let me see"


def test_a_stopped_run_leaves_nothing_open_in_its_log(store: Store) -> None:
    def agent(prompt: str) -> Iterator[str]:
        yield "Let me"
        raise KeyboardInterrupt

    session = store.create("plan")
    with pytest.raises(RunCancelled):
        session.send("Hello", agent=agent)
    kinds = [event.type for event in session.run_events(session.runs()[0].run_id)]
    assert kinds[1:] == ["TEXT_MESSAGE_START", "TEXT_MESSAGE_CONTENT", "TEXT_MESSAGE_END", "RUN_FINISHED"]


def test_what_waits_to_be_saved_is_seen_by_the_next_agent(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = store.create("plan")
    with monkeypatch.context() as patch:
        patch.setattr(store.backend, "move", lambda move: (_ for _ in ()).throw(nbs.StoreUnavailable("full")))
        with pytest.raises(nbs.StoreUnavailable):
            session.send("one", agent=shout)
    seen: list[str] = []

    def agent(prompt: str, history: list[Message]) -> str:
        seen.extend(message.text for message in history)
        return "fine"

    session.send("two", agent=agent)
    assert seen == ["one", "ONE"]


def test_a_stop_when_all_was_said_saves_what_was_said(store: Store) -> None:
    def stop(answer: Answer) -> None:
        raise KeyboardInterrupt

    session = store.create("plan")
    with pytest.raises(RunCancelled, match="The answer is saved"):
        session.send("Hello", agent=Spender(stop))
    assert texts(store.resume("plan")) == ["Hello", "Hi"]
    assert [run.status for run in session.runs()] == ["completed"]


def test_an_error_text_holds_nothing_that_acts_on_a_terminal(store: Store) -> None:
    def agent(prompt: str) -> str:
        raise ValueError("\x1b]0;owned\x07\x1b[31mred")

    with pytest.raises(RunFailed) as caught:
        store.create("plan").send("Hello", agent=agent)
    assert "ValueError: red" in str(caught.value)
    assert "\x1b" not in str(caught.value)
    assert "\x1b" not in (store.runs("plan")[0].error or "")


def test_runs_at_once_on_one_handle_are_each_kept_once(store: Store) -> None:
    async def together(session: Session) -> list[Run]:
        async def agent(prompt: str) -> str:
            await asyncio.sleep(0)
            return prompt.upper()

        return await asyncio.gather(*(session.asend(f"q{n}", agent=agent) for n in range(8)))

    for _ in range(5):
        session = store.create()
        assert [run.status for run in asyncio.run(together(session))] == ["completed"] * 8
        kept = [text for record in store.list(None) for text in texts(store.resume(record.session_id))]
        assert {f"Q{n}" for n in range(8)} <= set(kept)
        assert session.unsaved == []
        store.delete(session.session_id)


def test_an_answer_on_a_turn_that_was_damaged_meanwhile_is_kept_apart(sqlite_store: Store) -> None:
    session = sqlite_store.create("plan")
    add(session, "0", "1")

    def agent(prompt: str) -> str:
        session._tip = None
        with sqlite_store.backend._pool.writing("FULL") as db:  # type: ignore[attr-defined]
            db.execute("UPDATE turns SET body = 'damage' WHERE turn_id = ?", (session.head.turn_id,))
        return "Hi"

    assert session.send("Hello", agent=agent).status == "completed"
    assert session.notice == "'plan' has a damaged turn: your turn is kept on 'plan (fork)'."
    assert (session.message_count, texts(session)) == (2, ["Hello", "Hi"])
    assert session.send("More", agent=shout).status == "completed"


def test_a_move_that_was_made_is_found_also_after_others(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, move = store.create("plan"), store.backend.move

    def lost(wanted: Move) -> object:
        move(wanted)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(store.backend, "move", lost)
        with pytest.raises(RunCancelled):
            session.send("Hello", agent=shout)
    store.resume("plan").undo()
    session.save()
    assert session.unsaved == []
    assert texts(store.resume("plan")) == []
    assert [run.status for run in session.runs()] == ["completed"]


def test_an_answer_that_waits_is_committed_as_it_was_asked(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = store.create("plan")
    session.autosave = False
    with monkeypatch.context() as patch:
        patch.setattr(store.backend, "move", lambda move: (_ for _ in ()).throw(nbs.StoreUnavailable("full")))
        with pytest.raises(nbs.StoreUnavailable):
            session.send("Hello", agent=shout)
    session.autosave = True
    session.save_waiting()
    assert texts(store.resume("plan")) == []
    assert texts(store.resume("plan", draft=True)) == ["Hello", "HELLO"]


def test_what_waited_and_lost_the_race_counts_right(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    session = store.create("plan")
    with monkeypatch.context() as patch:
        patch.setattr(store.backend, "move", lambda move: (_ for _ in ()).throw(nbs.StoreUnavailable("full")))
        with pytest.raises(nbs.StoreUnavailable):
            session.send("Hello", agent=shout)
    add(session, "a", "b")
    session.save_waiting()
    assert session.name == "plan (fork)"
    session.undo()
    assert (session.message_count, session.turn_count, texts(session)) == (0, 0, [])


def test_an_answer_that_is_kept_elsewhere_is_shown(store: Store) -> None:
    shown: list[str] = []
    session = store.create("plan", on_conflict="error")
    with pytest.raises(SessionConflict):
        session.send(
            "Hello", agent=Spender(_meanwhile(store)), on_event=lambda event: shown.append(event.type.value)
        )
    assert shown == ["RUN_STARTED", "CUSTOM", "RUN_FINISHED"]


def test_a_refused_log_does_not_freeze_the_screen(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    seen: list[int] = []

    def refuse(*args: Any, **options: Any) -> None:
        raise nbs.StoreUnavailable("The store is locked.")

    def agent(prompt: str) -> Iterator[str]:
        for word in ("Let ", "me ", "see"):
            yield word
            time.sleep(2.5 * FLUSH_SECONDS)
            seen.append(len(shown))

    monkeypatch.setattr(store.backend, "append_events", refuse)
    store.create("plan").send("Hello", agent=agent, on_event=lambda event: shown.append(event.type.value))
    assert seen[0] < seen[1] < seen[2]


@pytest.mark.parametrize("on_conflict", ["fork", "error"])
@pytest.mark.parametrize("drafts", [True, False])
def test_an_answer_does_not_follow_what_its_agent_has_not_seen(
    store: Store, on_conflict: Any, drafts: bool
) -> None:
    """Somebody looked, by `status`, what others had done, while the agent was still answering."""
    add(store.create("plan"), "0")
    session = store.resume("plan", autosave=not drafts, on_conflict=on_conflict)

    def agent(prompt: str) -> str:
        add(store.resume("plan", autosave=not drafts, draft=drafts), "theirs")
        session.refresh()
        return "late"

    if drafts:
        add(session, "1")
    if on_conflict == "error":
        with pytest.raises(SessionConflict, match="kept on 'plan \\(fork\\)'"):
            session.send("mine", agent=agent)
    else:
        session.send("mine", agent=agent)
        assert (session.name, texts(session)[-2:]) == ("plan (fork)", ["mine", "late"])
    seen = ["0", "1"] if drafts else ["0"]
    assert texts(store.resume("plan (fork)")) == [*seen, "mine", "late"]
    assert texts(store.resume("plan", draft=drafts)) == [*seen, "theirs"]


def test_what_a_handle_did_itself_while_it_was_asking_comes_first(store: Store) -> None:
    session = store.create("plan")

    def agent(prompt: str) -> str:
        add(session, "meanwhile")
        session.refresh()
        return "Hi"

    session.send("Hello", agent=agent)
    assert (session.name, session.notice) == ("plan", None)
    assert texts(store.resume("plan")) == ["meanwhile", "Hello", "Hi"]
