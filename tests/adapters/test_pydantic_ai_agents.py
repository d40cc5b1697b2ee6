"""What agents of pydantic-ai may have beside tools: dependencies, toolsets, output types, thoughts, files."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import BaseModel
from pydantic_ai import (
    Agent,
    BinaryContent,
    BinaryImage,
    ImageUrl,
    ModelSettings,
    NativeOutput,
    PromptedOutput,
    RunContext,
    TextOutput,
    ToolOutput,
    UsageLimits,
)
from pydantic_ai.messages import FilePart, ModelMessage, ModelResponse, ToolReturnPart, UserPromptPart
from pydantic_ai.models.function import (
    AgentInfo,
    DeltaThinkingPart,
    DeltaToolCall,
    DeltaToolCalls,
    FunctionModel,
)
from pydantic_ai.models.test import TestModel
from pydantic_ai.profiles import ModelProfile
from pydantic_ai.toolsets import FunctionToolset

import nbsessions as nbs
from nbsessions import InvalidInput, RunFailed, Store
from nbsessions.adapters import adapt
from nbsessions.workspace import Workspace
from tests.conftest import texts


@pytest.fixture
def store() -> Iterator[Store]:
    """A store in memory: no adapter knows where its answers go."""
    with nbs.open_store("memory:") as store:
        yield store


@dataclass
class Shop:
    """What an agent works with."""

    name: str
    key: str = "hunter2"


def clerk() -> Agent[Shop, str]:
    agent = Agent(TestModel(), deps_type=Shop, name="clerk")

    @agent.tool
    def where(context: RunContext[Shop]) -> str:
        return context.deps.name

    @agent.instructions
    def who(context: RunContext[Shop]) -> str:
        return f"You work at {context.deps.name}."

    return agent


def test_dependencies_reach_tools_and_instructions_and_are_never_stored(store: Store) -> None:
    session = store.create()
    run = session.send("Where?", agent=adapt(clerk(), deps=Shop("the corner shop")))
    assert run.output == '{"where":"the corner shop"}'
    assert run.agent_name == "clerk"
    everything = json.dumps([turn.body for turn in session.turns])
    assert "You work at the corner shop." in everything
    assert "hunter2" not in everything + json.dumps([event.data for event in store.events(run.run_id)])


def test_in_a_notebook_the_variable_has_its_dependencies(store: Store) -> None:
    variables: dict[str, Any] = {"shop": adapt(clerk(), deps=Shop("the mill"))}
    workspace = Workspace(names=variables)
    workspace.use_agent("shop", None)
    assert workspace.adapter().name == "clerk"
    run = store.create().send("Where?", agent=workspace.adapter())
    assert run.output == '{"where":"the mill"}'


def test_without_its_dependencies_it_fails_in_one_line(store: Store) -> None:
    with pytest.raises(RunFailed, match="'NoneType' object has no attribute 'name'"):
        store.create().send("Where?", agent=clerk())


def test_toolsets_settings_and_instructions_are_given_with_each_run(store: Store) -> None:
    seen: list[AgentInfo] = []

    async def answer(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[str | DeltaToolCalls]:
        seen.append(info)
        if isinstance(messages[-1].parts[-1], ToolReturnPart):
            yield "Done."
        else:
            yield {0: DeltaToolCall("look", "{}", tool_call_id="c1")}

    toolset = FunctionToolset[Any]()

    @toolset.tool_plain
    def look() -> str:
        return "all is well"

    own = FunctionToolset[Any]()
    own.add_function(lambda: "there", name="where")
    agent = Agent(FunctionModel(stream_function=answer), toolsets=[own], instructions="Be brief.")
    given = adapt(
        agent, toolsets=[toolset], model_settings=ModelSettings(temperature=0.5), instructions="Be kind."
    )
    session = store.create()
    assert session.send("Look", agent=given).output == "Done."
    assert texts(session) == ["Look", "", "all is well", "Done."]
    assert [tool.name for tool in seen[0].function_tools] == ["where", "look"]
    assert seen[0].model_settings is not None
    assert seen[0].model_settings.get("temperature") == 0.5
    assert seen[0].instructions is not None
    assert "Be brief." in seen[0].instructions
    assert "Be kind." in seen[0].instructions


def test_limits_of_pydantic_ai_hold(store: Store) -> None:
    agent = adapt(clerk(), deps=Shop("the mill"), usage_limits=UsageLimits(request_limit=1))
    with pytest.raises(RunFailed, match="request_limit of 1"):
        store.create().send("Where?", agent=agent)


def test_what_it_does_not_take_is_refused(store: Store) -> None:
    with pytest.raises(InvalidInput, match=r"Agent takes no dependencies\. These it takes: deps, toolsets"):
        adapt(clerk(), dependencies=1)
    with pytest.raises(InvalidInput, match="local takes no deps"):
        adapt("local", deps=1)


# What it gives


class City(BaseModel):
    name: str
    people: int


def shouted(text: str) -> str:
    return text.upper()


def said(text: str) -> FunctionModel:
    async def answer(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[str]:
        yield text

    return FunctionModel(stream_function=answer)


OSLO = '{"name": "Oslo", "people": 7}'


@pytest.mark.parametrize(
    ("model", "kind", "output"),
    [
        (TestModel(custom_output_args={"name": "Oslo", "people": 7}), City, City(name="Oslo", people=7)),
        (
            TestModel(custom_output_args={"name": "Oslo", "people": 7}),
            ToolOutput(City, name="city"),
            City(name="Oslo", people=7),
        ),
        (said(OSLO), NativeOutput(City), City(name="Oslo", people=7)),
        (said(OSLO), PromptedOutput(City), City(name="Oslo", people=7)),
        (said("Hi"), TextOutput(shouted), "HI"),
        (TestModel(custom_output_args=3), int, 3),
        (TestModel(custom_output_args=[1, 2]), list[int], [1, 2]),
        (
            TestModel(custom_output_args={"name": "Oslo", "people": 7}),
            [City, int],
            City(name="Oslo", people=7),
        ),
        (said("Hi"), [str, City], "Hi"),
    ],
    ids=["model", "tool", "native", "prompted", "text", "int", "list", "several", "either"],
)
def test_each_kind_of_output_comes_as_it_is(store: Store, model: Any, kind: Any, output: object) -> None:
    session = store.create()
    agent: Agent[None, Any] = Agent(model, output_type=kind)
    assert session.send("Hello", agent=agent).output == output
    assert session.send("Again", agent=agent).output == output


def test_thoughts_are_told_as_they_come_and_stored(store: Store) -> None:
    async def answer(
        messages: list[ModelMessage], info: AgentInfo
    ) -> AsyncIterator[str | dict[int, DeltaThinkingPart]]:
        yield {0: DeltaThinkingPart(content="Let me ")}
        yield {0: DeltaThinkingPart(content="think.")}
        yield "Hi"

    session = store.create()
    run = session.send("Hello", agent=Agent(FunctionModel(stream_function=answer)))
    events = store.events(run.run_id)
    thought = [event.data["delta"] for event in events if event.type == "REASONING_MESSAGE_CONTENT"]
    assert "".join(thought) == "Let me think."
    assert session.messages[1]["reasoning_content"] == "Let me think."
    assert run.output == "Hi"


PIXEL = b"\x89PNG\r\n\x1a\n\x00\xff"


def test_files_that_tools_give_reach_the_model_and_come_back(store: Store) -> None:
    seen: list[list[ModelMessage]] = []

    async def answer(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[str | DeltaToolCalls]:
        seen.append([*messages])
        if isinstance(messages[-1].parts[-1], UserPromptPart) and len(seen) % 2:
            yield {0: DeltaToolCall("draw", "{}", tool_call_id=f"c{len(seen)}")}
        else:
            yield "There."

    agent = Agent(FunctionModel(stream_function=answer))

    @agent.tool_plain
    def draw() -> BinaryContent:
        return BinaryContent(PIXEL, media_type="image/png")

    session = store.create()
    run = session.send("Draw", agent=agent)
    assert (run.output, store.events(run.run_id)[-1].type) == ("There.", "RUN_FINISHED")
    session.send("Again", agent=agent)

    def files(messages: list[ModelMessage]) -> list[bytes]:
        found: list[bytes] = []
        for part in [part for message in messages for part in message.parts]:
            content: Any = getattr(part, "content", None)
            for one in content if isinstance(content, list) else [content]:
                if isinstance(one, BinaryContent):
                    found.append(one.data)
        return found

    assert files(seen[1]) == [PIXEL]
    assert files(seen[2]) == [PIXEL]  # the next run has it from the store


def test_pictures_in_the_history_reach_the_model(store: Store) -> None:
    seen: list[ModelMessage] = []

    async def answer(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[str]:
        seen.extend(messages)
        yield "An owl."

    session = store.create()
    url = "https://example.org/owl.png"
    session.add_message(
        {
            "role": "user",
            "content": [{"type": "text", "text": "Look:"}, {"type": "image_url", "image_url": {"url": url}}],
        }
    )
    session.send("What is it?", agent=Agent(FunctionModel(stream_function=answer)))
    content = seen[0].parts[0].content  # type: ignore[union-attr]
    assert content == ["Look:", ImageUrl(url)]


class Painter(TestModel):
    """A model that answers with a picture."""

    def _request(self, *arguments: Any, **options: Any) -> ModelResponse:
        return ModelResponse([FilePart(BinaryImage(PIXEL, media_type="image/png"))], model_name="painter")


def test_an_output_that_is_a_picture_is_one(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def stream(response: Any, index: int, part: Any) -> Iterator[Any]:
        yield response._parts_manager.handle_part(vendor_part_id=index, part=part)

    monkeypatch.setattr("pydantic_ai.models.test.TestStreamedResponse._map_part", stream)
    agent = Agent(Painter(profile=ModelProfile(supports_image_output=True)), output_type=BinaryImage)
    session = store.create()
    run = session.send("Draw an owl", agent=agent)
    assert run.output == BinaryImage(PIXEL, media_type="image/png")
    assert session.send("Again", agent=agent).output == run.output
