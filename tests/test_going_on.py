"""Runs that others see, that are kept in part, and that go on where an earlier one stopped."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic_ai import Agent
from pydantic_ai.exceptions import UsageLimitExceeded
from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, DeltaToolCalls, FunctionModel

import nbsessions as nbs
from nbsessions import Event, EventPage, InvalidInput, RunFailed, RunNotFound, SessionBusy, Store, Usage
from nbsessions.recorder import Recorder
from nbsessions.runner import new_run
from nbsessions.stores.base import Finish, Progress
from nbsessions.values import micros, now
from tests.conftest import Python, add, texts


async def three_steps(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[str | DeltaToolCalls]:
    """Calls the tool twice, and says what both gave."""
    steps = sum(isinstance(message, ModelResponse) for message in messages)
    if steps % 3 < 2:
        yield {0: DeltaToolCall(name="weigh", json_args=f'{{"stone": {steps}}}', tool_call_id=f"c{steps}")}
    else:
        yield "All are weighed."


class Scale:
    """An agent whose tool fails, once, at its second stone."""

    def __init__(self) -> None:
        self.weighed: list[int] = []
        self.breaks = True
        self.agent: Agent[None, str] = Agent(FunctionModel(stream_function=three_steps), name="scale")

        @self.agent.tool_plain
        def weigh(stone: int) -> str:
            self.weighed.append(stone)
            if stone == 1 and self.breaks:
                raise RuntimeError("the scale broke")
            return f"{stone} kg"


def broken(store: Store) -> tuple[nbs.Session, Scale, str]:
    """A session whose last run failed after its first step."""
    session, scale = store.create("plan"), Scale()
    add(session, "You weigh stones.", role="system")
    with pytest.raises(RunFailed, match="the scale broke") as caught:
        session.send("Weigh them", agent=scale.agent)
    assert caught.value.run_id is not None
    scale.breaks = False
    return session, scale, caught.value.run_id


def test_a_run_goes_on_from_the_last_step_that_was_done(store: Store) -> None:
    session, scale, stopped = broken(store)
    run = session.resume_run(stopped, agent=scale.agent)
    assert scale.weighed == [0, 1, 1]
    assert (run.status, run.output, run.retry_of) == ("completed", "All are weighed.", stopped)
    assert run.run_id != stopped
    assert [m.role for m in session.messages] == [
        "system",
        "user",
        "assistant",
        "tool",
        "assistant",
        "tool",
        "assistant",
    ]
    assert (session.turn_count, session.messages[3].text) == (1, "0 kg")
    assert [one.status for one in session.runs()] == ["failed", "completed"]


def test_what_the_first_run_spent_is_carried_on_and_counted_once(store: Store) -> None:
    session, scale, stopped = broken(store)
    first = store.run(stopped)
    run = session.resume_run(stopped, agent=scale.agent)
    assert (run.carried.requests, run.usage.requests) == (2, 2)
    assert first.usage.requests == 2  # the one of the step that failed is among them
    assert session.usage == first.usage + run.usage == store.resume("plan").usage


def test_limits_of_the_agent_count_what_was_spent_before(store: Store) -> None:
    session, scale, stopped = broken(store)

    def limited(agent: Agent[None, str]) -> Any:
        from pydantic_ai.usage import UsageLimits

        original = agent.run_stream_events

        def limit(*args: Any, **options: Any) -> Any:
            return original(*args, **options, usage_limits=UsageLimits(request_limit=2))

        agent.run_stream_events = limit  # type: ignore[method-assign]
        return agent

    with pytest.raises(RunFailed) as caught:
        session.resume_run(stopped, agent=limited(scale.agent))
    assert isinstance(caught.value.__cause__, UsageLimitExceeded)


def test_a_run_may_go_on_more_than_once(store: Store) -> None:
    session, scale, stopped = broken(store)
    scale.breaks = True
    with pytest.raises(RunFailed) as caught:
        session.resume_run(stopped, agent=scale.agent)
    scale.breaks = False
    # The second one did no step of its own, and hands on what the first one did.
    run = session.resume_run(caught.value.run_id or "", agent=scale.agent)
    assert (run.output, scale.weighed) == ("All are weighed.", [0, 1, 1, 1])


def test_where_there_is_nothing_to_go_on_from_it_is_said(store: Store) -> None:
    session, scale, stopped = broken(store)
    plain = session.send("Hello", agent=lambda prompt: "Hi")
    for run_id, says in ((plain.run_id, "is completed"), (stopped, "send its prompt again")):
        with pytest.raises(InvalidInput, match=says):
            session.resume_run(run_id, agent=scale.agent)
    with pytest.raises(RunNotFound):
        session.resume_run("nowhere", agent=scale.agent)
    with pytest.raises(RunNotFound):
        store.create("other").resume_run(stopped, agent=scale.agent)


def test_an_agent_that_cannot_go_on_says_so_and_nothing_is_started(store: Store) -> None:
    session, _, stopped = broken(store)
    with pytest.raises(InvalidInput, match="cannot go on from the middle"):
        session.resume_run(stopped, agent=lambda prompt: "Hi")
    assert len(session.runs()) == 1


KILLED = """
import os, sys, time, nbsessions as nbs
from tests.test_going_on import Scale
scale = Scale()
def weigh(stone):
    if stone == 1:
        while not kept():
            time.sleep(0.01)
        print("in the middle", flush=True)
        time.sleep(60)
    return f"{stone} kg"
def kept():
    progress = store.backend.progress(store.backend.runs()[0].run_id)
    return progress is not None and progress.usage.requests == 2
scale.agent._function_toolset.tools["weigh"].function_schema.function = weigh
with nbs.open_store(sys.argv[1]) as store:
    store.create("plan").send("Weigh them", agent=scale.agent)
"""


def test_a_run_whose_process_was_killed_goes_on(path: Path, python: Python) -> None:
    process = python.start(KILLED, path)
    assert process.stdout is not None
    assert process.stdout.readline() == "in the middle\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    scale = Scale()
    scale.breaks = False
    with nbs.open_store(path) as store:
        session = store.resume("plan")
        (stopped,) = session.runs()
        assert (stopped.status, stopped.usage.requests) == ("interrupted", 2)
        run = session.resume_run(stopped.run_id, agent=scale.agent)
        assert scale.weighed == [1]
        assert (run.output, run.carried.requests, run.usage.requests) == ("All are weighed.", 2, 2)
        assert session.usage.requests == 4
        assert texts(session)[0] == "Weigh them"


# Who else is answering


def test_a_run_under_way_is_seen_by_others(store: Store) -> None:
    session, seen = store.create("plan"), []

    def agent(prompt: str) -> str:
        seen.extend(store.resume("plan").answering())
        return "Hi"

    session.send("Hello", agent=agent)
    assert [run.prompt for run in seen] == ["Hello"]
    assert session.answering() == []


def test_where_conflicts_are_errors_nobody_asks_beside_another(store: Store) -> None:
    store.create("plan")
    session = store.resume("plan", on_conflict="error")
    store.backend.start_run(new_run(session, "local", "Hello"))
    asked: list[str] = []
    with pytest.raises(SessionBusy, match=r"is answering in 'plan'\. Wait for it, or `fork`"):
        session.send("And I?", agent=lambda prompt: asked.append(prompt) or "Hi")  # type: ignore[func-returns-value]
    assert (asked, len(session.runs())) == ([], 1)


def test_a_run_whose_lease_is_over_is_in_nobodys_way(store: Store) -> None:
    store.create("plan")
    session = store.resume("plan", on_conflict="error")
    run = new_run(session, "local", "Hello")
    store.backend.start_run(run)
    store.backend.renew_lease(run.run_id, micros(now()) - 1)
    assert session.answering() == []
    assert session.send("And I?", agent=lambda prompt: "Hi").status == "completed"


# How much of a run is kept


def many(prompt: str) -> Iterator[str]:
    from ag_ui.core import CustomEvent

    for number in range(20):
        yield CustomEvent(name="step", value=number)  # type: ignore[misc]
    yield "Done"


def test_only_the_last_events_are_kept_where_that_is_asked_for(store: Store) -> None:
    session = store.create("plan", max_events=5)
    run = session.send("Hello", agent=lambda prompt: "\n".join(map(str, range(30))))
    whole = store.create("other").send("Hello", agent=lambda prompt: "\n".join(map(str, range(30))))
    page = session.run_events(run.run_id)
    kept = [event.seq for event in page]
    assert kept == list(range(run.event_count))[-5:]
    assert (page.gap, page.event_count) == (run.event_count > 5, whole.event_count)
    assert session.fork().max_events == 5


def test_a_page_flags_a_gap_wherever_it_is(store: Store) -> None:
    session = store.create("plan")
    run = session.send("Hello", agent=lambda prompt: "Hi")
    assert run.event_count == 5
    for after in (-1, 1, 3, 4):
        assert not session.run_events(run.run_id, after=after).gap
    store.backend.drop_events(run.run_id, 3)
    page = session.run_events(run.run_id)
    assert ([event.seq for event in page], page.gap, page.event_count, page.cursor) == ([3, 4], True, 5, 4)
    assert not store.events(run.run_id, after=2).gap
    assert store.events(run.run_id, after=1).gap
    assert not store.events(run.run_id, limit=0).gap
    store.backend.drop_events(run.run_id, 9)
    page = store.events(run.run_id)
    assert (list(page), page.gap, page.event_count, page.cursor) == ([], True, 5, -1)


def test_a_page_flags_what_is_missing_at_the_end() -> None:
    events = [Event(seq=seq, type="A", data={}) for seq in range(5)]

    def gap(seqs: list[int], after: int = -1, limit: int | None = None) -> bool:
        return EventPage([events[n] for n in seqs], after=after, limit=limit, event_count=5).gap

    assert gap([0, 1, 2])
    assert gap([3], after=2)
    assert gap([0, 1], limit=3)
    assert gap([], after=3)
    for whole in (gap([0, 1, 2], limit=3), gap([3, 4], after=2, limit=2), gap([3, 4], after=2, limit=9)):
        assert not whole
    assert not gap([], after=4)
    assert not gap([], after=9)
    assert not gap([], limit=0)


@pytest.mark.parametrize("most", [0, -1, 1.5, "5"])
def test_a_bad_number_of_events_is_refused(store: Store, most: Any) -> None:
    with pytest.raises(InvalidInput):
        store.create("plan", max_events=most)
    assert store.list() == []


def test_usage_can_be_taken_from_usage() -> None:
    spent, before = Usage(input_tokens=5, requests=2), Usage(input_tokens=2, requests=1)
    assert spent - before == Usage(input_tokens=3, requests=1)
    assert (spent - before) + before == spent


# What is counted


def test_what_a_run_spent_is_counted_once_however_often_it_ends(store: Store) -> None:
    session = store.create("plan")
    run = new_run(session, "local", "Hello")
    store.backend.start_run(run)
    spent = Usage(input_tokens=5, requests=1)
    for _ in range(2):
        store.backend.finish_run(Finish(run.run_id, "interrupted", micros(now()), usage=spent))
    assert store.resume("plan").usage == spent
    # It was alive after all, and tells what it spent in all.
    late = Finish(run.run_id, "completed", micros(now()) + 5, usage=Usage(input_tokens=9, requests=2))
    session.commit("turn", "chat", '[{"role":"user","content":"Hello"}]', prompts=1, finish=late)
    (stored,) = session.runs()
    assert (stored.status, stored.usage) == ("interrupted", late.usage)
    assert store.resume("plan").usage == session.usage == late.usage


def test_a_record_is_read_after_its_runs_were_marked(store: Store) -> None:
    session = store.create("plan")
    run = new_run(session, "local", "Hello")
    store.backend.start_run(run)
    store.backend.save_progress(Progress(run.run_id, "chat", "[]", Usage(input_tokens=5)))
    store.backend.renew_lease(run.run_id, micros(now()) - 1)
    assert store.resume("plan").usage.input_tokens == 5


def test_progress_that_the_store_refused_once_is_kept(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    original, refused = store.backend.save_progress, list[Progress]()

    def refusing(progress: Progress) -> None:
        if not refused:
            refused.append(progress)
            raise nbs.StoreUnavailable("busy")
        original(progress)

    monkeypatch.setattr(store.backend, "save_progress", refusing)
    run = new_run(store.create("plan"), "local", "Hello")
    store.backend.start_run(run)
    recorder = Recorder(store.backend, run, None, None)
    recorder.progress("chat", "[1]", Usage())
    with pytest.raises(nbs.StoreUnavailable):
        recorder.store_progress()
    recorder.store_progress()
    assert store.backend.progress(run.run_id) == refused[0]


def test_a_run_ends_also_where_its_progress_is_refused(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def refusing(progress: Progress) -> None:
        raise nbs.StoreUnavailable("busy")

    monkeypatch.setattr(store.backend, "save_progress", refusing)
    session, _, _ = broken(store)
    assert [run.status for run in session.runs()] == ["failed"]
