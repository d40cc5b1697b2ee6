from __future__ import annotations

import pytest

from nbsessions import Message, RunFailed, Store, Usage
from nbsessions.adapters import is_agent
from nbsessions.testing import SPENT, ScriptedAgent
from tests.conftest import texts

CALL = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a":1}'}}


def test_it_answers_from_its_script_and_remembers_what_it_was_asked(store: Store) -> None:
    agent = ScriptedAgent(["Hi", ["Let ", "me see"]], name="greeter", model="model-1")
    session = store.create("plan")
    runs = [session.send(prompt, agent=agent) for prompt in ("Hello", "And?")]
    assert [(run.output, run.agent_name, run.model) for run in runs] == [
        ("Hi", "greeter", "model-1"),
        ("Let me see", "greeter", "model-1"),
    ]
    assert texts(store.resume("plan")) == ["Hello", "Hi", "And?", "Let me see"]
    assert [(request.prompt, texts(list(request.messages))) for request in agent.requests] == [
        ("Hello", []),
        ("And?", ["Hello", "Hi"]),
    ]
    assert {request.session_id for request in agent.requests} == {session.session_id}


def test_its_script_may_fail_half_way(store: Store) -> None:
    session = store.create("plan")
    agent = ScriptedAgent([["I was about to ", SPENT, ValueError("no idea")], "Hi"])
    with pytest.raises(RunFailed, match="scripted failed: ValueError: no idea"):
        session.send("Hello", agent=agent)
    assert session.send("Hello", agent=agent).output == "Hi"
    failed, completed = session.runs()
    # Nobody knows what its model costs.
    spent = SPENT.model_copy(update={"unpriced_tokens": SPENT.total_tokens})
    assert (failed.status, failed.usage, completed.usage) == ("failed", spent, Usage())
    said = [event.data.get("delta") for event in session.run_events(failed.run_id)]
    assert "I was about to " in said
    assert texts(session) == ["Hello", "Hi"]


def test_its_script_may_call_tools(store: Store) -> None:
    session = store.create("plan")
    result = Message(role="tool", content="3", tool_call_id="c1")
    call = {"role": "assistant", "content": None, "tool_calls": [CALL]}
    run = session.send("1 + 2?", agent=ScriptedAgent([["Wait. ", call, result, "It is 3."]]))
    assert [(m.role, m.text) for m in session.messages] == [
        ("user", "1 + 2?"),
        ("assistant", "Wait. "),
        ("assistant", ""),
        ("tool", "3"),
        ("assistant", "It is 3."),
    ]
    assert session.messages[2].calls[0].name == "add"
    assert run.output == "It is 3."
    assert [event.type for event in session.run_events(run.run_id)] == [
        "RUN_STARTED",
        *("TEXT_MESSAGE_START", "TEXT_MESSAGE_CONTENT", "TEXT_MESSAGE_END"),
        *("TOOL_CALL_START", "TOOL_CALL_ARGS", "TOOL_CALL_END", "TOOL_CALL_RESULT"),
        *("TEXT_MESSAGE_START", "TEXT_MESSAGE_CONTENT", "TEXT_MESSAGE_END"),
        "RUN_FINISHED",
    ]


def test_its_script_may_take_its_time(store: Store) -> None:
    run = store.create("plan").send("Hello", agent=ScriptedAgent([["Hi", 0.05]]))
    assert run.duration is not None
    assert run.duration >= 0.05


def test_a_script_that_is_over_says_so(store: Store) -> None:
    session = store.create("plan")
    agent = ScriptedAgent(["Hi"])
    session.send("Hello", agent=agent)
    with pytest.raises(RunFailed, match="its script has no more answers: it had 1"):
        session.send("Hello", agent=agent)


def test_it_is_an_agent_that_a_notebook_finds() -> None:
    assert is_agent(ScriptedAgent([]))
