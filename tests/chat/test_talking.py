"""What is typed at the prompt, and what becomes of it, without a terminal."""

from __future__ import annotations

import dataclasses
import io
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import nbsessions as nbs
from nbsessions.chat.talking import Talk, spelled
from nbsessions.commands import COMMANDS
from nbsessions.commands.chatting import Left
from nbsessions.stores.base import Move
from nbsessions.testing import ScriptedAgent
from nbsessions.workspace import Settings, Workspace
from tests.conftest import texts


def echo(prompt: str) -> str:
    return f"You said: {prompt}"


def failing(prompt: str) -> str:
    raise ValueError("no idea")


@pytest.fixture
def talk(tmp_path: Path) -> Iterator[Talk]:
    names = {
        "__name__": "my_agents",
        "echo": echo,
        "failing": failing,
        "scripted": ScriptedAgent(["one", "two"]),
    }
    settings = Settings(store=str(tmp_path / "agents.db"), agent="echo")
    made = Talk(Workspace(settings, names=names, spell=spelled), on_terminal=False)
    yield made
    made.leave(for_good=True)


def told(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err


def test_every_command_of_the_prompt_has_its_help(talk: Talk, capsys: pytest.CaptureFixture[str]) -> None:
    for command in COMMANDS.values():
        if "chat" in command.faces:
            assert talk.take(f"/{command.name} --help") == 0
            assert capsys.readouterr().out.startswith(f"usage: /{command.name}")
    assert talk.take("/help") == 0
    shown = capsys.readouterr().out
    for command in COMMANDS.values():
        assert (f"  /{command.name} " in shown or f"  /{command.name}," in shown) == ("chat" in command.faces)


@pytest.mark.parametrize("line", ["/load plan", "/resume plan", "/session/load plan", "/session load plan"])
def test_the_spellings_of_a_command(talk: Talk, line: str) -> None:
    talk.take("/new plan")
    talk.take("/new other")
    assert talk.take(line) == 0
    assert talk.label == "plan"


def test_an_unnamed_session_begins_with_the_first_prompt(talk: Talk) -> None:
    talk.begin(None)
    assert talk.label == "new session"
    assert talk.workspace.find_session() is None
    assert talk.take("Hello") == 0
    assert talk.label == f"unnamed {talk.workspace.need_session().session_id[-8:]}"


def test_a_name_that_is_taken_or_missing_changes_nothing(
    talk: Talk, capsys: pytest.CaptureFixture[str]
) -> None:
    """18: `/new existing` is refused, `/resume missing` says not found and keeps the current session."""
    talk.take("/new plan")
    talk.take("Hello")
    assert talk.take("/new plan") == 1
    assert "A session 'plan' exists already. `/load` it" in told(capsys)
    assert talk.take("/resume nowhere") == 1
    assert "nowhere" in told(capsys)
    assert talk.label == "plan"
    assert texts(talk.workspace.need_session()) == ["Hello", "You said: Hello"]


def test_who_is_asked_what_is_allowed_and_what_may_be_spent(
    talk: Talk, capsys: pytest.CaptureFixture[str]
) -> None:
    assert talk.take("/agent scripted --policy deny --allow read_* --max-requests 3") == 0
    assert capsys.readouterr().out == (
        "The agent is scripted. It may spend at most 3 requests a run. Tools: allow read_*; else deny.\n"
    )
    talk.take("Hello")
    assert "one" in capsys.readouterr().out
    assert talk.take("/agent nobody") == 1
    assert talk.take("/agent --deny 'rm'") == 1
    assert talk.workspace.settings.deny_tools == ()
    assert talk.workspace.settings.agent == "scripted"


def test_what_failed_is_asked_again(talk: Talk, capsys: pytest.CaptureFixture[str]) -> None:
    talk.workspace.settings.agent = "failing"
    assert talk.take("Hello") == 1
    assert "failing failed: ValueError: no idea (failing, line" in (text := told(capsys))
    assert "`/retry` asks again." in text
    assert talk.take("/retry") == 1
    assert talk.take("/agent echo --retry") == 0
    assert texts(talk.workspace.need_session()) == ["Hello", "You said: Hello"]
    assert talk.take("/retry") == 1
    assert "there is nothing to retry" in told(capsys)


def test_a_slash_is_sent_by_two(talk: Talk, capsys: pytest.CaptureFixture[str]) -> None:
    assert talk.take("/tmp is full") == 1
    assert "There is no command 'tmp'." in told(capsys)
    assert talk.workspace.find_session() is None
    assert talk.take("//tmp is full") == 0
    assert texts(talk.workspace.need_session())[0] == "/tmp is full"


def test_a_prompt_is_sent_as_it_was_typed(talk: Talk) -> None:
    talk.take("\n    def f():\n        pass\n")
    assert texts(talk.workspace.need_session())[0] == "    def f():\n        pass"
    assert talk.take("  \n ") == 0
    assert len(talk.workspace.need_session().runs()) == 1


def test_a_mistake_of_ours_does_not_end_the_prompt(
    talk: Talk, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(workspace: Workspace, **values: object) -> object:
        raise LookupError("a mistake of ours")

    monkeypatch.setitem(COMMANDS, "show", dataclasses.replace(COMMANDS["show"], function=broken))
    assert talk.take("/show") == 1
    assert "LookupError: a mistake of ours" in told(capsys)
    assert talk.take("Hello") == 0


def test_leaving_is_told_apart_from_failing(talk: Talk) -> None:
    with pytest.raises(Left):
        talk.take("/exit")
    with pytest.raises(Left):
        talk.take("/session/exit")


def test_an_answer_that_cannot_be_saved_is_not_left_silently(
    talk: Talk, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """21: what cannot be saved is told."""
    talk.take("/new plan")
    backend = talk.workspace.store.backend
    with monkeypatch.context() as full:

        def refuse(wanted: Move) -> object:
            raise nbs.StoreUnavailable("The disk is full.")

        full.setattr(backend, "move", refuse)
        assert talk.take("Hello") == 1
        assert not talk.leave(for_good=False)
        assert "The disk is full. `/save` tries again; `/exit` once more leaves without it." in told(capsys)
        assert talk.take("/save") == 1
        assert not talk.leave(for_good=True)
        assert "It is lost now." in told(capsys)
    assert talk.take("/save") == 0
    assert talk.leave(for_good=False)


def test_leaving_says_how_to_go_on(talk: Talk, capsys: pytest.CaptureFixture[str]) -> None:
    talk.on_terminal = True
    talk.take("/new my plan")
    talk.take("/autosave off")
    talk.take("Hello")
    assert talk.leave(for_good=False)
    shown = " ".join(capsys.readouterr().out.split())
    assert "in a draft: `/save` keeps it" in shown
    again = "nbsessions chat --session 'my plan' --agent my_agents:echo --store "
    assert f"'my plan' keeps its unsaved draft. {again}" in shown


def test_what_others_did_is_told_once(talk: Talk, capsys: pytest.CaptureFixture[str]) -> None:
    talk.take("/new plan")
    talk.take("Hello")
    path = talk.workspace.settings.store
    assert path is not None
    with nbs.open_store(path) as elsewhere:
        elsewhere.resume("plan").send("From a notebook", agent=echo)
    capsys.readouterr()
    talk.look_around()
    assert "Somebody else went on with 'plan' meanwhile: `/load plan` goes on from there." in told(capsys)
    talk.look_around()
    assert told(capsys) == ""
    talk.take("/load plan")
    assert len(texts(talk.workspace.need_session())) == 4


def test_tools_are_listed(talk: Talk, capsys: pytest.CaptureFixture[str]) -> None:
    from pydantic_ai import Agent
    from pydantic_ai.models.test import TestModel

    agent = Agent(TestModel(), name="reader")

    @agent.tool_plain
    def read_file(path: str) -> str:
        """Return what a file says.

        All of it.
        """
        return path

    names = {"reader": agent, "plain": Agent(TestModel(), name="plain"), "echo": echo}
    talk.workspace.names = names
    for name in names:
        talk.take(f"/agent {name}")
        talk.take("/tools")
    shown = capsys.readouterr().out
    assert "title\treader: 1 tool\nread_file\tReturn what a file says.\n" in shown
    assert "plain has no tools." in shown
    assert "echo does not tell which tools it has." in shown


def test_what_stands_in_the_input_is_not_taken_for_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def greedy(prompt: str) -> str:
        return input()

    from nbsessions.chat.ending import End
    from nbsessions.chat.piped import converse

    monkeypatch.setattr(sys, "stdin", io.StringIO("Hello\nthe next prompt\n"))
    workspace = Workspace(Settings(store="memory:", agent="greedy"), names={"greedy": greedy})
    assert converse(Talk(workspace, on_terminal=False), End()) == 1
    assert workspace.session is not None
    assert [run.prompt for run in workspace.session.runs()] == ["Hello", "the next prompt"]
