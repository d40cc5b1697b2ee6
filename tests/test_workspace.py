from __future__ import annotations

from pathlib import Path

import pytest

import nbsessions as nbs
from nbsessions.workspace import Settings, Workspace


def echo(prompt: str) -> str:
    return prompt


def workspace(path: Path, notebook: str | None = "/nb.ipynb", **settings: object) -> Workspace:
    made = Settings(store=str(path / "sessions.db"))
    for name, value in settings.items():
        setattr(made, name, value)
    return Workspace(made, notebook=lambda: notebook, names={"echo": echo, "number": 3})


def test_a_notebook_goes_on_where_it_stopped(tmp_path: Path) -> None:
    first = workspace(tmp_path)
    first.create("plan", "echo").add_message({"role": "user", "content": "Hello"})
    first.create("essay", "echo")
    first.switch(first.resume("plan"), "load")
    first.close()
    again = workspace(tmp_path)
    assert again.current("echo").name == "plan"
    assert again.take_notes()[0].startswith("Resumed 'plan' (1 turn), this notebook's last session.")
    assert workspace(tmp_path, notebook="/other.ipynb").current("echo").name is None
    assert workspace(tmp_path, notebook=None).current("echo").name is None
    assert workspace(tmp_path, auto_resume=False).current("echo").name is None


def test_a_deleted_session_is_not_resumed(tmp_path: Path) -> None:
    first = workspace(tmp_path)
    first.create("essay", "echo")
    first.create("plan", "echo")
    first.store.delete("plan")
    first.close()
    assert workspace(tmp_path).current("echo").name == "essay"


def test_agents_by_name_and_by_model(tmp_path: Path) -> None:
    space = workspace(tmp_path)
    assert space.adapter("echo").name == "echo"
    assert space.adapter().name == "local"
    assert space.adapter(model="ollama:llama3.2").name == "ollama:llama3.2"
    space.use_agent("echo", None)
    assert space.adapter().name == "echo"
    assert space.adapter(model="ollama:llama3.2").name == "ollama:llama3.2"
    with pytest.raises(nbs.InvalidInput, match="echo takes no model"):
        space.adapter("echo", "ollama:llama3.2")
    for wrong in ("number", "nosuch"):
        with pytest.raises((nbs.UnsupportedAgent, nbs.InvalidInput)):
            space.use_agent(wrong, None)
    assert space.settings.agent == "echo"


def test_a_redefined_agent_is_asked_anew(tmp_path: Path) -> None:
    names = {"mine": lambda prompt: "first"}
    space = Workspace(Settings(store="memory:"), names=names)
    space.use_agent("mine", None)
    names["mine"] = lambda prompt: "second"
    session = space.current("mine")
    assert session.send("Hello", agent=space.adapter()).output == "second"


def test_settings_reach_the_session(tmp_path: Path) -> None:
    space = workspace(tmp_path, on_conflict="error", max_messages=5)
    session = space.create("plan", "echo")
    assert (session.on_conflict, session.max_messages, session.autosave) == ("error", 5, True)
    space.set("autosave", False)
    assert session.autosave is False
    space.set("store", "memory:")
    assert space.session is None


def test_what_is_told_once_is_told_once() -> None:
    space = Workspace(Settings(store="memory:"))
    space.note_once("small")
    assert space.take_notes() == ["small"]
    space.note_once("small")
    assert space.take_notes() == []
