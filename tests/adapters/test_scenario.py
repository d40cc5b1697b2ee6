"""The same script on each framework: the same events, the same turns, the same usage."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import nbsessions as nbs
from nbsessions import Store
from nbsessions.adapters import _llama
from tests.adapters import scenario

TEXT = ["TEXT_MESSAGE_START", "TEXT_MESSAGE_CONTENT", "TEXT_MESSAGE_END"]
CALL = ["TOOL_CALL_START", "TOOL_CALL_ARGS", "TOOL_CALL_END", "TOOL_CALL_RESULT"]


@pytest.fixture
def store() -> Iterator[Store]:
    with nbs.open_store("memory:") as store:
        yield store


@pytest.mark.parametrize("framework", scenario.FRAMEWORKS)
def test_each_framework_plays_the_script(store: Store, framework: str) -> None:
    agent = scenario.FRAMEWORKS[framework](scenario.SCRIPT)
    session = store.create("plan")
    run = session.send(scenario.PROMPT, agent=agent)
    assert (run.status, run.output, run.agent_name) == ("completed", "Take an umbrella.", "forecaster")
    assert scenario.events(session, run) == ["RUN_STARTED", *TEXT, *CALL * 4, *TEXT, "RUN_FINISHED"]
    assert scenario.view(session.messages) == [
        ("user", scenario.PROMPT, [], None),
        ("assistant", "Let me look.", [("weather", "c1", {"city": "Olso"})], None),
        ("tool", scenario.FAILED, [], "c1"),
        ("assistant", "", [("weather", "c2", {"city": "Oslo"})], None),
        ("tool", "rain", [], "c2"),
        ("assistant", "", [("clock", "c3", {"city": "Oslo"})], None),
        ("tool", "10:00", [], "c3"),
        ("assistant", "", [("critic", "c4", {"prompt": "Take an umbrella?"})], None),
        ("tool", "Take an umbrella? Of course. (0 before)", [], "c4"),
        ("assistant", "Take an umbrella.", [], None),
    ]
    assert (len(session.turns), session.turn_count) == (1, 1)
    if framework not in scenario.COUNTS_NOTHING:
        requests = len(scenario.SCRIPT)
        usage = run.usage
        assert (usage.requests, usage.input_tokens, usage.output_tokens) == (
            requests,
            requests * scenario.INPUT,
            requests * scenario.OUTPUT,
        )
        told = [e for e in session.run_events(run.run_id) if e.data.get("name") == "nbsessions.usage"]
        each = [scenario.INPUT] * requests
        if framework in scenario.COUNTS_IN_SUM:
            each = [sum(each)]
        assert [event.data["value"]["input_tokens"] for event in told] == each


@pytest.mark.parametrize("framework", sorted(scenario.FRAMEWORKS.keys() - scenario.ASKS_ELSEWHERE))
def test_the_sub_agent_has_a_session_of_its_own(store: Store, framework: str) -> None:
    agent = scenario.FRAMEWORKS[framework](scenario.SCRIPT)
    session = store.create("plan")
    for _ in range(2):
        session.send(scenario.PROMPT, agent=agent)
    (child,) = store.list(conversation_id=session.session_id)
    assert (child.agent_name, child.parent_session_id) == ("critic", session.session_id)
    said = [
        message.text
        for message in store.resume(child.session_id, conversation_id=session.session_id).messages
    ]
    assert said == [
        "Take an umbrella?",
        "Take an umbrella? Of course. (0 before)",
        "Take an umbrella?",
        "Take an umbrella? Of course. (2 before)",
    ]
    for run in session.runs():
        events = [event.data.get("name") for event in session.run_events(run.run_id)]
        assert events.count("nbsessions.subagent") == 1
    assert store.list()[0].turn_count == 2


@pytest.mark.parametrize("framework", scenario.WITHOUT_TOOLS)
def test_each_framework_and_the_real_model_answer_without_tools(
    store: Store, framework: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_llama, "MAX_TOKENS", 16)
    monkeypatch.delenv("NBSESSIONS_LOCAL_MODEL", raising=False)
    session = store.create()
    run = session.send(scenario.PROMPT, agent=scenario.WITHOUT_TOOLS[framework](scenario.PLAIN))
    assert scenario.events(session, run) == ["RUN_STARTED", *TEXT, "RUN_FINISHED"]
    assert [message.role for message in session.messages] == ["user", "assistant"]
    assert session.messages[1].text == run.output
    assert len(session.turns) == 1
    if framework not in scenario.COUNTS_NOTHING:
        assert run.usage.requests == 1
        assert run.usage.input_tokens > 0
