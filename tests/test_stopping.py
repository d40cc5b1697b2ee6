"""The stop button, whatever an agent of whatever framework is at: the status is right, and the next turn works."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kernels import Kernel, kernel

TOOLS = """
%load_ext nbsessions
import asyncio, time
from pathlib import Path
thinks, works, begun = 0, 0, []

def remove(path: str) -> str:
    'Remove a file.'
    begun.append(path)
    if works:
        Path("working").touch()
        time.sleep(works)
    return f"removed {path}"
"""
PYDANTIC_AI = """
from pydantic_ai import Agent
from pydantic_ai.messages import UserPromptPart
from pydantic_ai.models.function import DeltaToolCall, FunctionModel

async def model(messages, info):
    if isinstance(messages[-1].parts[-1], UserPromptPart):
        yield "Let me. "
        await asyncio.sleep(thinks)
        yield {0: DeltaToolCall("remove", '{"path": "x"}', tool_call_id=f"c{len(messages)}")}
    else:
        yield "It is done."

cleaner = Agent(FunctionModel(stream_function=model), name="cleaner", tools=[remove])
"""
OPENAI_AGENTS = """
from agents import Agent, function_tool
from agents.testing import ScriptedModel, assistant_message, function_call

class Slow(ScriptedModel):
    async def stream_response(self, *args, **options):
        called = False
        async for event in super().stream_response(*args, **options):
            yield event
            if not called and event.type == "response.output_text.delta":
                called = True
                await asyncio.sleep(thinks)

def steps(n):
    return [[assistant_message("Let me. "), function_call("remove", {"path": "x"}, call_id=f"c{n}")], [assistant_message("It is done.")]]

tool = function_tool(remove)
cleaner = Agent("cleaner", model=Slow(steps(0)), tools=[tool])
"""
LANGGRAPH = """
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition

async def model(state):
    if not isinstance(state["messages"][-1], HumanMessage):
        return {"messages": [AIMessage("It is done.")]}
    said = GenericFakeChatModel(messages=iter([AIMessage("Let me. ")]))
    first = await said.ainvoke(state["messages"])
    await asyncio.sleep(thinks)
    calls = [{"name": "remove", "args": {"path": "x"}, "id": f"c{len(state['messages'])}"}]
    return {"messages": [AIMessage(first.content, tool_calls=calls, id=first.id)]}

graph = StateGraph(MessagesState).add_node("model", model).add_node("tools", ToolNode([remove]))
graph.add_edge(START, "model").add_conditional_edges("model", tools_condition).add_edge("tools", "model")
cleaner = graph.compile(name="cleaner")
"""
FRAMEWORKS = {"pydantic-ai": PYDANTIC_AI, "openai-agents": OPENAI_AGENTS, "langgraph": LANGGRAPH}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("notebook")


@pytest.fixture(scope="module", params=FRAMEWORKS)
def notebook(request: pytest.FixtureRequest, folder: Path) -> Iterator[Kernel]:
    with kernel(folder) as started:
        for code in (TOOLS, FRAMEWORKS[request.param]):
            shown = started.run(code)
            assert shown.error is None, shown.error
        yield started


def begin(notebook: Kernel, settings: str, line: str) -> str:
    again = "if 'steps' in globals(): cleaner.model = Slow([*steps(0), *steps(1)])"
    prepared = notebook.run(f"begun.clear(); {settings}\n{again}\n%session new\n%agent cleaner {line}")
    assert prepared.error is None, prepared.error
    return notebook.send("%%agent\nTidy up", keyboard=True)


def until(notebook: Kernel, message: str, *, text: str) -> None:
    """Wait until a cell has shown a text."""
    for found in notebook.messages(message):
        if text in str(found["content"].get("data", "")):
            return
    raise AssertionError(f"{text!r} was never shown")


def check(notebook: Kernel, status: str, *, removed: str) -> None:
    """The run ended as it should, nothing is half there, and the next turn works."""
    assert notebook.run("begun").text == removed
    runs = notebook.run("df = %session runs\ndf[['status', 'prompt']].values.tolist()")
    assert runs.text == f"[['{status}', 'Tidy up']]"
    again = "if 'steps' in globals(): cleaner.model = Slow(steps(2))"
    notebook.run(f"thinks = works = 0\n{again}\n%agent --policy allow")
    shown = notebook.run("%%agent\nOnce more")
    assert shown.error is None, shown.error
    assert "It is done." in shown.text
    roles = (
        "import nbsessions as nbs\nlast = nbs.open_store().resume('latest')\n[m.role for m in last.messages]"
    )
    assert notebook.run(roles).text == "['user', 'assistant', 'tool', 'assistant']"


def test_while_it_speaks(notebook: Kernel) -> None:
    message = begin(notebook, "thinks, works = 60, 0", "--policy allow")
    until(notebook, message, text="Let me.")
    notebook.interrupt()
    shown = notebook.wait(message)
    assert "Stopped. The prompt and 8 characters of the answer are kept." in (shown.error or "")
    check(notebook, "cancelled", removed="[]")


def test_while_a_tool_works(notebook: Kernel, folder: Path) -> None:
    working = folder / "working"
    working.unlink(missing_ok=True)
    message = begin(notebook, "thinks, works = 0, 3", "--policy allow")
    while not working.exists():
        time.sleep(0.05)
    notebook.interrupt()
    shown = notebook.wait(message)
    assert "Stopped." in (shown.error or "")
    check(notebook, "cancelled", removed="['x']")


def test_while_it_waits_for_a_decision(notebook: Kernel) -> None:
    message = begin(notebook, "thinks, works = 0, 0", "--policy ask")
    notebook.asked()
    notebook.interrupt()
    shown = notebook.wait(message)
    assert "Stopped." in (shown.error or "")
    check(notebook, "cancelled", removed="[]")
