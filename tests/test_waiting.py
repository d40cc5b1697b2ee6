"""An agent that waits for a decision in a notebook whose kernel dies: the next kernel goes on with it, once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

import nbsessions as nbs
from tests.kernels import Kernel, kernel
from tests.test_approving import AGENT

PYDANTIC_AI = """
from pydantic_ai import Agent
from pydantic_ai.messages import ToolReturnPart, UserPromptPart
from pydantic_ai.models.function import DeltaToolCall, FunctionModel

async def model(messages, info):
    asked.append("model")
    if isinstance(messages[-1].parts[-1], UserPromptPart):
        yield "Let me. "
        yield {0: DeltaToolCall("look", '{"path": "x"}', tool_call_id="c0")}
        yield {1: DeltaToolCall("remove", '{"path": "x"}', tool_call_id="c1")}
    else:
        results = [p.content for m in messages for p in m.parts if isinstance(p, ToolReturnPart)]
        yield "Result: " + ", ".join(sorted(results))

cleaner = Agent(FunctionModel(stream_function=model), name="cleaner", tools=[look])
cleaner.tool_plain(requires_approval=True)(remove)
"""
TOOLS = """
%load_ext nbsessions
from pathlib import Path
asked = []

def did(what):
    with Path("done.txt").open("a") as file:
        file.write(what + "\\n")
    return what

def look(path: str) -> str:
    'Look at a file.'
    return did(f"looked at {path}")

def remove(path: str) -> str:
    'Remove a file.'
    return did(f"removed {path}")
"""
OPENAI_AGENTS = """
from agents import Agent, function_tool
from agents.testing import ScriptedModel, assistant_message, function_call

def both(n):
    look, remove = function_call("look", {"path": "x"}, call_id=f"l{n}"), function_call("remove", {"path": "x"}, call_id=f"r{n}")
    return [look, remove]

begun = Path("done.txt").exists()
steps = [[assistant_message("Result: first")], both(2), [assistant_message("Result: second")]]
cleaner = Agent(
    "cleaner",
    model=ScriptedModel(steps if begun else [both(1), *steps]),
    tools=[function_tool(look), function_tool(remove, needs_approval=True)],
)
"""
LANGGRAPH = """
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition

def model(state):
    last, n = state["messages"][-1], len(state["messages"])
    if isinstance(last, HumanMessage):
        calls = [("look", f"l{n}"), ("remove", f"r{n}")]
        made = [{"name": name, "args": {"path": "x"}, "id": call_id} for name, call_id in calls]
        return {"messages": [AIMessage("Let me. ", tool_calls=made)]}
    results = [one.content for one in state["messages"] if isinstance(one, ToolMessage)]
    return {"messages": [AIMessage("Result: " + ", ".join(sorted(results)))]}

graph = StateGraph(MessagesState)
graph.add_node("model", model)
graph.add_node("tools", ToolNode([look, remove]))
graph.add_edge(START, "model")
graph.add_conditional_edges("model", tools_condition)
graph.add_edge("tools", "model")
cleaner = graph.compile(name="cleaner")
"""
FRAMEWORKS = {"pydantic-ai": PYDANTIC_AI, "openai-agents": OPENAI_AGENTS, "langgraph": LANGGRAPH}


def begin(folder: Path, framework: str) -> Iterator[Kernel]:
    with kernel(folder) as started:
        assert started.run(TOOLS).error is None
        shown = started.run(FRAMEWORKS[framework])
        assert shown.error is None, shown.error
        # Tools of LangChain do not say by themselves that they want to be asked about.
        policy = " --policy ask" if framework == "langgraph" else ""
        assert started.run(f"%agent cleaner --allow look{policy}").error is None
        yield started


@pytest.mark.parametrize(
    ("framework", "answer"),
    [("pydantic-ai", answer) for answer in ("", " --deny", " --always", " --edit")]
    + [
        (framework, answer)
        for framework in FRAMEWORKS
        if framework != "pydantic-ai"
        for answer in ("", " --edit")
    ],
)
def test_the_next_kernel_goes_on_once(tmp_path: Path, framework: str, answer: str) -> None:
    for first in begin(tmp_path, framework):
        first.send("%%agent --new\nTidy up", keyboard=True)
        assert first.asked() == "Allow? [y/n/always/edit] "
        first.kill()
    done = tmp_path / "done.txt"
    # LangGraph's are made when all calls of a message are decided about.
    made = [] if framework == "langgraph" else ["looked at x"]
    assert (done.read_text().splitlines() if done.exists() else []) == made
    with nbs.open_store(f"sqlite:///{tmp_path}/sessions.db") as store:
        [run] = store.resume("latest").runs()
        assert (run.status, run.error) == ("suspended", "waits for a decision about remove")

    for second in begin(tmp_path, framework):
        loaded = second.run("%session load latest")
        told = 'Its last run waits: cleaner asks to call remove with { "path": "x" }.'
        assert told in loaded.stdout, loaded.stdout
        assert "`%session approve` allows it, `%session approve --deny` does not." in loaded.stdout
        assert "asks to call remove" in second.run("%session").text
        message = second.send(f"%session approve{answer}", keyboard=True)
        if answer == " --edit":
            second.answer('{"path": "y"}')
        shown = second.wait(message)
        assert shown.error is None, shown.error
        changed = {"": "removed x", " --always": "removed x", " --edit": "removed y"}
        outcome = (
            f"looked at x, {changed[answer]}" if answer in changed else "The person did not allow this call."
        )
        assert f"Result: {'first' if framework == 'openai-agents' else outcome}" in shown.text
        assert "cleaner asks to call remove:" in shown.text, "what is decided about is shown whole"
        assert '▸ remove(path="x") → ' in shown.text, "and so is what came before"
        if framework == "pydantic-ai":
            assert second.run("asked").text == "['model']", "the model is not asked again what it has said"
        again = second.run("%session approve")
        assert "waits for a decision" in again.stderr
        runs = second.run("df = %session runs\ndf[['status', 'requests']].values.tolist()")
        assert runs.text == f"[['completed', {0 if framework == 'langgraph' else 2}]]"
        if answer == " --always":
            assert "removed x" in second.run("%%agent\nOnce more").text
    removed = [line for line in done.read_text().splitlines() if line.startswith("removed")]
    assert len(removed) == {" --deny": 0, " --always": 2}.get(answer, 1)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_to_ask_again_gives_up_what_waits(tmp_path: Path, framework: str) -> None:
    for first in begin(tmp_path, framework):
        first.send("%%agent --new\nTidy up", keyboard=True)
        first.asked()
        first.kill()
    for second in begin(tmp_path, framework):
        second.run("%session load latest")
        message = second.send("%agent --retry", keyboard=True)
        second.answer("y")
        assert "Result: " in second.wait(message).text
        runs = second.run("df = %session runs\ndf['status'].tolist()")
        assert runs.text == "['cancelled', 'completed']"
    assert sorted((tmp_path / "done.txt").read_text().splitlines()) == ["looked at x", "removed x"]


# In one kernel.


@pytest.fixture(scope="module")
def notebook(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    with kernel(tmp_path_factory.mktemp("notebook")) as started:
        assert started.run(AGENT).error is None
        yield started


@pytest.fixture(autouse=True)
def fresh(request: pytest.FixtureRequest) -> None:
    if "notebook" in request.fixturenames:
        found: Kernel = request.getfixturevalue("notebook")
        found.run("removed.clear()\n%session new")


def test_always_is_asked_once_in_a_session(notebook: Kernel) -> None:
    message = notebook.send("%%agent\nTidy up", keyboard=True)
    notebook.answer("always")
    assert "Allowed from now on: remove" in notebook.wait(message).text
    assert "Result: removed" in notebook.run("%%agent\nOnce more").text
    assert notebook.run("len(removed)").text == "2"
    assert "Denied" in notebook.run("%%agent --new\nIn another session").text
    found = notebook.run("%session load --help").stdout
    assert found


def test_a_person_writes_other_arguments(notebook: Kernel) -> None:
    message = notebook.send("%%agent\nTidy up", keyboard=True)
    notebook.answer("edit")
    assert notebook.answer("no JSON") == "Arguments (a JSON object): "
    assert notebook.answer("edit") == "Allow? [y/n/always/edit] "
    notebook.answer('{"path": "rubbish", "sure": true}')
    shown = notebook.wait(message)
    assert "The arguments of a call are a JSON object" in shown.text
    assert 'Allowed: remove with {"path": "rubbish", "sure": true} instead' in shown.text
    assert notebook.run("removed").text == "['rubbish']"


def test_rules_are_set_shown_and_kept(notebook: Kernel) -> None:
    shown = notebook.run('%agent --policy allow --deny "rem*" --ask write "up*"')
    assert shown.stdout.endswith("Tools: deny rem*; ask write, up*; else allow.\n")
    found = notebook.run("%%agent\nTidy up")
    assert "Denied: remove (the rules for tools deny it)" in found.text
    assert notebook.run("%agent --deny other").stdout.endswith("deny other; ask write, up*; else allow.\n")
    assert "Result: removed" in notebook.run("%%agent\nTidy up").text
    wrong = notebook.run("%agent --policy sometimes")
    assert "invalid choice" in wrong.stderr
    assert "deny other" in notebook.run("%agent").stdout
    shown = notebook.run("%config SessionMagics.deny_tools = ['remove']\n%config SessionMagics.policy")
    assert shown.error is None
    assert "Denied: remove" in notebook.run("%%agent\nTidy up").text
    notebook.run(
        "%config SessionMagics.policy = None\n%config SessionMagics.deny_tools = []\n"
        "%config SessionMagics.ask_tools = []"
    )
    notebook.run("%session new other")
    message = notebook.send("%%agent\nTidy up", keyboard=True)
    notebook.answer("y")
    notebook.wait(message)


def test_what_was_allowed_before_is_told_when_the_session_is_loaded(notebook: Kernel) -> None:
    notebook.run("%session save ruled")
    notebook.run("%agent --policy allow")
    assert "Result: removed" in notebook.run("%%agent\nTidy up").text
    notebook.run("%config SessionMagics.policy = None")
    notebook.run("%session new elsewhere")
    loaded = notebook.run("%session load ruled")
    assert "Its rules for tools: allow. `%agent --policy ask` asks about all." in loaded.stdout
    assert "Result: removed" in notebook.run("%%agent\nTidy up").text
    notebook.run("%agent --policy deny")
    assert "Denied: remove" in notebook.run("%%agent\nTidy up").text
    notebook.run("%config SessionMagics.policy = None")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("--deny --always", "--deny goes with --reason alone"),
        ("--reason because", "--reason tells the agent why not: it goes with --deny"),
        ("--deny --edit", "--deny goes with --reason alone"),
        ("", "waits for a decision"),
        ("nonsense", "No run"),
    ],
)
def test_mistakes(notebook: Kernel, line: str, told: str) -> None:
    shown = notebook.run(f"%session approve {line}")
    assert told in shown.stderr
    assert len(shown.stderr.splitlines()) == 1


def test_every_tool_is_asked_about_unless_that_is_set(tmp_path: Path) -> None:
    """Where nobody can be asked, that is a denial."""
    cells = [
        TOOLS,
        PYDANTIC_AI,
        "%agent cleaner",
        "%%agent\nTidy up",
        "%agent --policy allow",
        "%%agent\nTidy up",
    ]
    new: Any = nbformat.v4
    book = new.new_notebook(cells=[new.new_code_cell(cell) for cell in cells])
    client = NotebookClient(book, resources={"metadata": {"path": str(tmp_path)}})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NBSESSIONS_STORE", str(tmp_path / "sessions.db"))
        patch.setenv("IPYTHONDIR", str(tmp_path / ".ipython"))
        client.execute()
    texts = [str(output) for output in (book.cells[3].outputs, book.cells[5].outputs)]
    assert "nobody can be asked here" in texts[0]
    assert "removed x" in texts[1]
    assert (tmp_path / "done.txt").read_text().splitlines() == ["looked at x", "removed x"]
