"""One session that goes from agent to agent, each of another framework; everyone sees all before."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest

from nbsessions import Message, Store
from nbsessions.adapters import _llama
from nbsessions.codecs import codec
from tests.adapters import scenario

Sent = list[tuple[Any, ...]]
Seen = list[Sent]
"""What each agent was sent, in the words of all frameworks, the prompt last."""


def of_pydantic_ai(seen: Seen) -> object:
    from pydantic_ai import Agent
    from pydantic_ai.messages import ModelMessage, ModelMessagesTypeAdapter
    from pydantic_ai.models.function import AgentInfo, FunctionModel

    async def answer(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[str]:
        seen.append(
            scenario.view(codec("pydantic-ai").view(ModelMessagesTypeAdapter.dump_json(messages).decode()))
        )
        yield "I am pydantic-ai."

    return Agent(FunctionModel(stream_function=answer), name="second")


def of_openai_agents(seen: Seen) -> object:
    from agents import Agent
    from agents.testing import ModelCall, ModelStep, ScriptedModel, assistant_message

    def answer(call: ModelCall) -> ModelStep:
        seen.append(scenario.view(codec("openai-agents").view(json.dumps(call.input))))
        return ModelStep(output=[assistant_message("I am OpenAI Agents.")])

    return Agent("third", model=ScriptedModel([ModelStep.respond(answer)]))


def of_langgraph(seen: Seen) -> object:
    from langchain_core.messages import BaseMessage, messages_to_dict
    from langgraph.graph import START, MessagesState, StateGraph

    from tests.adapters.langchain_models import Scripted, says

    def note(messages: Sequence[BaseMessage]) -> None:
        seen.append(scenario.view(codec("langchain").view(json.dumps(messages_to_dict(messages)))))

    model = Scripted(steps=[says("I am LangGraph.")])

    async def answer(state: MessagesState) -> dict[str, Any]:
        note(state["messages"])
        return {"messages": [await model.ainvoke(state["messages"])]}

    graph = StateGraph(MessagesState)
    graph.add_node("answer", answer)
    graph.add_edge(START, "answer")
    return graph.compile(name="fourth")


def of_a_function(seen: Seen) -> object:
    def last(prompt: str, history: list[Message]) -> str:
        seen.append(scenario.view([*history, Message(role="user", content=prompt)]))
        return "I am a function."

    return last


RELAY: dict[str, Callable[[Seen], object]] = {
    "pydantic-ai": of_pydantic_ai,
    "openai-agents": of_openai_agents,
    "langchain": of_langgraph,
    "chat": of_a_function,
}
"""Who comes after the local model, in order, by the codec of its turns."""


def test_everyone_sees_all_before(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_llama, "MAX_TOKENS", 16)
    monkeypatch.delenv("NBSESSIONS_LOCAL_MODEL", raising=False)
    seen: Seen = []
    session = store.create("plan")
    prompts = ["Who is first?", *(f"And who comes after {n}?" for n in range(len(RELAY)))]
    session.send(prompts[0], agent="local")
    for prompt, make in zip(prompts[1:], RELAY.values(), strict=True):
        store.resume("plan").send(prompt, agent=make(seen))  # as after a restart
    session.refresh()
    said = scenario.view(session.messages)
    assert [one[1] for one in said if one[0] == "user"] == prompts
    for turn, sent in enumerate(seen, start=1):
        assert sent == said[: 2 * turn + 1]
    assert [turn.codec for turn in session.turns] == ["chat", *RELAY]
    assert session.turn_count == len(prompts)
    assert [run.status for run in session.runs()] == ["completed"] * len(prompts)


@pytest.mark.parametrize("first", scenario.FRAMEWORKS)
@pytest.mark.parametrize("then", RELAY)
def test_tools_that_one_has_called_the_next_one_knows_of(sqlite_store: Store, first: str, then: str) -> None:
    session = sqlite_store.create("plan")
    session.send(scenario.PROMPT, agent=scenario.FRAMEWORKS[first](scenario.SCRIPT))
    before = scenario.view(session.messages)
    assert [one[2] for one in before if one[2]] != []
    seen: Seen = []
    session.send("And tomorrow?", agent=RELAY[then](seen))
    assert seen == [[*before, ("user", "And tomorrow?", [], None)]]
    assert scenario.view(sqlite_store.resume("plan").messages)[: len(before)] == before
