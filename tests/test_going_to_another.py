"""A session that goes on with another agent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from pydantic_ai import Agent
from pydantic_ai.models.test import TestModel

import nbsessions as nbs
from nbsessions import Store
from nbsessions.commands import run_line
from nbsessions.workspace import Settings, Workspace
from tests.codecs.test_telling import PICTURE, SOUND


@pytest.fixture
def shell() -> Iterator[Any]:
    shell = InteractiveShell.instance()
    nbs.load_ipython_extension(shell)
    shell.run_line_magic("session", "store memory:")
    yield shell
    nbs.unload_ipython_extension(shell)


def test_what_cannot_be_told_is_named_and_kept(store: Store) -> None:
    session = store.create("plan")
    said = [{"role": "user", "content": [{"type": "text", "text": "Listen"}, SOUND, PICTURE]}]
    session.messages = said
    agent = Agent(TestModel(custom_output_text="I hear"), name="listener")
    run = session.send("And?", agent=agent)
    untold = [
        event.data
        for event in session.run_events(run.run_id)
        if event.data.get("name") == "nbsessions.untold"
    ]
    assert [one["value"] for one in untold] == [{"recording": 1}]
    # It is there for whoever can take it.
    seen: list[Any] = []

    def reader(prompt: str, history: list[nbs.Message]) -> str:
        seen.extend(history)
        return "Hi"

    again = session.send("And you?", agent=reader)
    assert seen[0].content == said[0]["content"]
    assert "nbsessions.untold" not in str(session.run_events(again.run_id))


def test_a_person_is_told_in_one_line(shell: Any, capsys: pytest.CaptureFixture[str]) -> None:
    shell.user_ns["listener"] = Agent(TestModel(custom_output_text="I hear"), name="listener")
    shell.user_ns["echo"] = lambda prompt: prompt
    shell.run_cell_magic("agent", "echo", "Hello")
    workspace = shell.magics_manager.registry["SessionMagics"].workspace
    workspace.session.messages = [
        {"role": "user", "content": [SOUND, SOUND]},
        {"role": "assistant", "content": "Hi", "reasoning_content": "Hm"},
    ]
    capsys.readouterr()
    shell.run_cell_magic("agent", "listener", "And?")
    shown = " ".join(capsys.readouterr().out.split())
    assert "2 recordings and 1 thought of earlier turns cannot be told to this agent; they are kept." in shown


def test_another_agent_on_resume_is_told_once(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(tmp_path / "agents.db")
    with nbs.open_store(path) as store:
        store.create("plan").send("Hello", agent=Agent(TestModel(), name="analyst"))
    shell: Any = InteractiveShell.instance()
    nbs.load_ipython_extension(shell)
    try:
        shell.run_line_magic("session", f"store {path}")
        shell.user_ns["critic"] = Agent(TestModel(model_name="other"), name="critic")
        shell.user_ns["analyst"] = Agent(TestModel(), name="analyst")
        shell.run_cell_magic("agent", "critic --session plan", "And?")
        told = "This session was answered by analyst (test); now asks: critic (other)."
        assert told in " ".join(capsys.readouterr().out.split())
        shell.run_cell_magic("agent", "analyst", "And?")
        assert "was answered by" not in capsys.readouterr().out
    finally:
        shell.run_line_magic("session", "store memory:")
        nbs.unload_ipython_extension(shell)


def test_the_same_agent_is_not_told(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(tmp_path / "agents.db")
    with nbs.open_store(path) as store:
        store.create("plan").send("Hello", agent=Agent(TestModel(), name="analyst"))
    workspace = Workspace(Settings(store=path), names={"analyst": Agent(TestModel(), name="analyst")})
    run_line(workspace, "load plan", face="magic", prefix="%session ")
    from nbsessions.asking import Question, ask

    ask(workspace, workspace.need_session(), Question(prompt="And?", adapter=workspace.adapter("analyst")))
    assert "was answered by" not in capsys.readouterr().out
    workspace.close()


def test_named_agents_side_by_side_keep_their_own_sessions(shell: Any) -> None:
    """BEHAVIOURS 11: switching agents keeps auto-save working and touches no other agent's session."""
    shell.user_ns |= {
        "a": lambda prompt, history: f"a{len(history)}",
        "b": lambda prompt, history: f"b{len(history)}",
    }
    for name, session in (("a", "one"), ("b", "two"), ("a", "one"), ("b", "two"), ("b", "one")):
        shell.run_line_magic("agent", name)
        shell.run_line_magic("session", f"load {session} --create")
        shell.run_cell_magic("agent", f"--session {session} --into said", f"{name} in {session}")
    store = shell.magics_manager.registry["SessionMagics"].workspace.store
    one, two = store.resume("one"), store.resume("two")
    assert [m.text for m in one.messages if m.role == "assistant"] == ["a0", "a2", "b4"]
    assert [m.text for m in two.messages if m.role == "assistant"] == ["b0", "b2"]
    assert (one.agent_name, two.agent_name, one.saved, two.saved) == ("a", "b", True, True)
    assert [run.agent_name for run in one.runs()] == ["a", "a", "b"]
