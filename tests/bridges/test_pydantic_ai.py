"""Conversations of pydantic-ai that come out of sessions, and go back into them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from pydantic_ai import Agent, Conversation, DeferredToolRequests, UsageLimitExceeded, UsageLimits
from pydantic_ai.messages import (
    ModelMessage,
    ModelMessagesTypeAdapter,
    ModelRequest,
    ModelResponse,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, DeltaToolCalls, FunctionModel
from pydantic_ai.models.test import TestModel
from pydantic_ai.run import AgentRunResult

from nbsessions import SessionConflict, Store
from nbsessions.bridges.pydantic_ai import load, save
from tests.conftest import add, texts


async def adds(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[str | DeltaToolCalls]:
    last = messages[-1].parts[-1]
    if isinstance(last, ToolReturnPart):
        yield f"It is {last.content}."
    else:
        yield {0: DeltaToolCall(name="add", json_args='{"a":1,"b":2}', tool_call_id="c1")}


def calculator() -> Agent[None, str]:
    async def whole(messages: list[ModelMessage], info: AgentInfo) -> Any:
        last = messages[-1].parts[-1]
        if isinstance(last, ToolReturnPart):
            return ModelResponse([TextPart(f"It is {last.content}.")])
        return ModelResponse([ToolCallPart("add", {"a": 1, "b": 2}, "c1")])

    agent: Agent[None, str] = Agent(FunctionModel(whole, stream_function=adds), name="calculator")

    @agent.tool_plain
    def add(a: int, b: int) -> int:
        return a + b

    return agent


def ask(agent: Agent[None, Any], *prompt: str, **options: Any) -> AgentRunResult[Any]:
    return asyncio.run(agent.run(*prompt, **options))


def test_a_conversation_goes_through_a_session_byte_by_byte(store: Store) -> None:
    session = store.create("plan", agent_name="calculator")
    for prompt in ("1 + 2?", "Again"):
        result = ask(calculator(), prompt, conversation=load(session))
        save(session, result)
        expected = ModelMessagesTypeAdapter.dump_json(result.conversation.messages)
        again = load(store.resume("plan"))
        assert ModelMessagesTypeAdapter.dump_json(again.messages) == expected
        assert again == replace(result.conversation, revision=again.revision)
    assert texts(session) == ["1 + 2?", "", "3", "It is 3.", "Again", "", "3", "It is 3."]
    assert (session.turn_count, [turn.codec for turn in session.turns]) == (2, ["pydantic-ai"] * 2)


def test_what_was_spent_is_counted_and_limits_go_on(store: Store) -> None:
    session = store.create()
    result = ask(calculator(), "1 + 2?", conversation=load(session))
    save(session, result)
    (run,) = session.runs()
    assert (run.status, run.prompt, run.usage.requests) == ("completed", "1 + 2?", 2)
    assert run.usage.input_tokens == result.usage.input_tokens > 0
    assert [event.type for event in session.run_events(run.run_id)][-1] == "RUN_FINISHED"
    with pytest.raises(UsageLimitExceeded):
        ask(calculator(), "Again", conversation=load(session), usage_limits=UsageLimits(request_limit=3))


def test_it_says_what_others_have_said_and_both_go_on(store: Store) -> None:
    session = store.create()
    add(session, "You are a pirate.", role="system")
    session.send("Hello", agent=lambda prompt: "Hi")
    conversation = load(session)
    assert [part.part_kind for message in conversation.messages for part in message.parts] == [
        "system-prompt",
        "user-prompt",
        "text",
    ]
    save(session, ask(calculator(), "1 + 2?", conversation=conversation))
    assert session.send("And?", agent=calculator()).output == "It is 3."
    assert [turn.codec for turn in session.turns] == ["chat", "chat", "pydantic-ai", "pydantic-ai"]
    assert texts(session)[:3] == ["You are a pirate.", "Hello", "Hi"]


def test_a_session_that_moved_on_is_a_conflict_and_nothing_changes(store: Store) -> None:
    session = store.create("plan")
    add(session, "Hello")
    conversation = load(session)
    add(store.resume("plan"), "from elsewhere")
    result = ask(calculator(), "1 + 2?", conversation=conversation)
    with pytest.raises(SessionConflict):
        save(session, result)
    assert texts(store.resume("plan")) == ["Hello", "from elsewhere"]
    fork = save(session.fork(at=1), Conversation(messages=result.conversation.messages))
    assert texts(fork)[-1] == "It is 3."


def test_a_conversation_that_was_edited_leaves_the_session_where_they_differ(store: Store) -> None:
    session = store.create()
    save(session, ask(calculator(), "1 + 2?"))
    kept = load(session).messages[:-1]
    edited = [*kept, ModelRequest([UserPromptPart("Never mind")])]
    save(session, Conversation(messages=edited))
    assert texts(session) == ["1 + 2?", "", "3", "Never mind"]
    session.undo()
    assert texts(session)[-1] == "It is 3."


def test_a_conversation_that_was_sent_in_part_only_grows(store: Store) -> None:
    session = store.create()
    save(session, ask(calculator(), "1 + 2?", conversation=load(session)))
    conversation = load(session)
    result = ask(calculator(), "Again", message_history=conversation.messages[-1:])
    trimmed = Conversation(
        messages=result.all_messages(), revision=conversation.revision, new_message_index=1
    )
    save(session, trimmed)
    assert texts(session) == ["1 + 2?", "", "3", "It is 3.", "Again", "", "3", "It is 3."]
    save(session, trimmed)  # once more: there is nothing new
    assert session.message_count == 8


def test_calls_that_wait_for_a_person_wait_in_the_session(store: Store) -> None:
    agent = Agent(TestModel(call_tools=["remove"]), output_type=[str, DeferredToolRequests])

    @agent.tool_plain(requires_approval=True)
    def remove(path: str) -> str:
        return f"removed {path}"

    session = store.create("plan")
    result = ask(agent, "Tidy up", conversation=load(session))
    assert isinstance(result.output, DeferredToolRequests)
    save(session, result)
    waiting = load(store.resume("plan"))
    assert waiting.deferred_tool_requests == result.conversation.deferred_tool_requests
    assert waiting.deferred_tool_requests is not None
    results = waiting.deferred_tool_requests.build_results(approve_all=True)
    done = ask(agent, conversation=waiting, deferred_tool_results=results)
    save(session, done)
    assert load(session).deferred_tool_requests is None
    assert [message.role for message in session.messages][:3] == ["user", "assistant", "tool"]
