"""What is typed, and what is wrong with it."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbsessions import __version__
from nbsessions.arguments import HelpShown
from nbsessions.cli.lines import Line, Mistake, common_to, overview, read
from nbsessions.commands import COMMANDS, on_face
from tests.cli.conftest import Run

HERE = [command.name for command in on_face("cli")]


def line(*words: str) -> Line:
    found = read(words)
    assert isinstance(found, Line)
    return found


@pytest.mark.parametrize("name", HERE)
def test_every_command_explains_itself(cli: Run, name: str) -> None:
    for words in ([name, "--help"], ["--help", name], ["help", name]):
        done = cli(*words)
        assert (done.code, done.err) == (0, "")
        assert done.out.startswith(f"usage: nbsessions {'ls' if name == 'history' else name} ")
        assert COMMANDS[name].help.split(".")[0] in " ".join(done.out.split())
        assert [one.name for one in common_to(COMMANDS[name]) if one.name not in done.out] == []


def test_the_columns_of_lists_are_told(cli: Run) -> None:
    for words in (["ls", "--help"], ["ls", "-h"], ["help", "history"], ["--help", "list"]):
        assert "ID, NAME, AGENT, TURNS, MESSAGES, TOKENS, COST, UPDATED" in " ".join(cli(*words).out.split())


def test_the_overview_names_every_command(cli: Run) -> None:
    shown = cli("--help").out
    assert shown == cli("help").out == overview() + "\n"
    assert [name for name in HERE if f"\n  {name} " not in shown] == ["history"]
    assert "\n  ls " in shown


def test_a_command_is_on_every_face_where_it_belongs() -> None:
    """What is left out of a face is told here, with the reason; a command of one face alone needs none."""
    seated = {"load": "a command line begins anew with each command", "autosave": "so does that"}
    notebook = {"pick": "a widget", "tools": "an agent that is there between two commands"}
    for command in COMMANDS.values():
        missing = {"magic", "cli", "chat"} - command.faces
        if len(command.faces) > 1 and missing:
            assert command.name in seated | notebook, f"{command.name} is not on {missing}"


@pytest.mark.parametrize(
    "words",
    [
        ("--store", "memory:", "ls", "--json"),
        ("--json", "ls", "--store", "memory:"),
        ("ls", "--store=memory:", "--json"),
        ("--store=memory:", "--json", "history"),
    ],
)
def test_options_stand_before_or_after_the_command(words: tuple[str, ...]) -> None:
    found = line(*words)
    assert (found.command.name, found.store, found.json) == ("history", "memory:", True)


def test_the_last_store_counts() -> None:
    assert line("--store", "a.db", "ls", "--store", "b.db").store == "b.db"


def test_words_of_a_name_need_no_quotes() -> None:
    assert line("new", "my", "plan").values == {"name": "my plan"}
    assert line("rename", "--session", "my plan", "a", "better", "one").session == "my plan"


def test_the_version(cli: Run) -> None:
    assert cli("--version") == (0, f"nbsessions {__version__}\n", "")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "nbsessions: Say which command: `nbsessions --help` lists them."),
        (["shw"], "There is no command 'shw'. Did you mean 'show'? `nbsessions help` lists them."),
        (["load", "plan"], "There is no command 'load' here"),
        (["--nonsense"], "unrecognized arguments: --nonsense. Try nbsessions --help"),
        (["ls", "--nonsense"], "nbsessions ls: unrecognized arguments: --nonsense."),
        (["ls", "many"], "argument LIMIT: 'many' is not a whole number"),
        (["--store"], "expected one argument"),
        (["rename", "--session", "plan"], "the following arguments are required: NAME"),
        (["show"], "say which session by REF"),
        (["status"], "say which session by REF"),
        (["undo"], "say which session by --session REF"),
        (["show", "plan", "--session", "essay"], "name one session"),
        (["export", "x.json"], "say which session by REF"),
        (["clear", "--all", "--confirm"], "say whose sessions, by --agent NAME"),
        (["--json", "replay", "x"], "there is no JSON of it"),
        (["replay", "x", "--json"], "unrecognized arguments: --json"),
        (["--json", "help"], "there is no JSON of it"),
        (["help", "--json"], "unrecognized arguments: --json"),
        (["migrate", "a.db", "b.db", "--store", "c.db"], "unrecognized arguments: --store c.db"),
        (["usage", "--chart", "pie"], "invalid choice: 'pie'"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_run(
    cli: Run, words: list[str], told: str, tmp_path: object
) -> None:
    done = cli(*words)
    assert (done.code, done.out) == (2, "")
    assert told in done.err
    assert done.err.startswith("nbsessions")
    assert done.err.count("\n") == 1


@given(st.lists(st.text(max_size=12), max_size=4))
def test_any_words_are_a_line_or_one_clear_mistake(words: list[str]) -> None:
    # Whatever else is raised fails.
    with contextlib.suppress(HelpShown, Mistake):
        read(words)


@pytest.mark.parametrize("name", HERE)
def test_help_fits_a_terminal_and_speaks_of_no_current_session(
    cli: Run, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    shown = cli(name, "--help").out
    assert [text for text in shown.splitlines() if len(text) > 80] == []
    assert "current session" not in shown
    # What does not fit the first line of the usage stands below its first option.
    first, second, *_ = [*shown.splitlines(), ""]
    if second.startswith(" "):
        assert second.index(second.strip()) == first.index("[-h]")


def test_what_follows_two_dashes_is_no_option() -> None:
    assert line("new", "--", "--weird", "plan").values == {"name": "--weird plan"}
    assert line("search", "--limit", "3", "--", "--help").values["text"] == ["--help"]
    assert line("delete", "--", "-x").values["refs"] == ["-x"]


def test_the_agent_of_a_new_session_is_the_one_that_it_is_begun_with(cli: Run) -> None:
    assert "whose session, where several" not in " ".join(cli("new", "--help").out.split())


def test_what_is_to_be_confirmed_can_be_typed(cli: Run) -> None:
    cli("new", "plan")
    refused = cli("clear", "--all", "--agent", "local")
    assert refused.code == 1
    assert "plan. The same command with --confirm does it." in refused.err
    assert cli("clear", "--all", "--agent", "local", "--confirm").out == "Deleted 1 session with 'local'.\n"


def test_a_fork_is_told_as_what_was_made(cli: Run) -> None:
    cli("new", "plan")
    assert cli("fork", "other", "--session", "plan").out == "Started 'other': 0 messages of 'plan'.\n"


def test_no_mistake_is_told_in_python(cli: Run) -> None:
    assert "=" not in cli("prune").err


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("load", "here, but in a notebook and at the prompt of nbsessions chat."),
        ("pick", "here, but in a notebook."),
        ("agent", "here, but at the prompt of nbsessions chat."),
    ],
)
def test_a_command_of_another_face_is_told_to_be_there(cli: Run, name: str, where: str) -> None:
    done = cli(name, "plan")
    assert (done.code, done.out) == (2, "")
    assert done.err == f"nbsessions: There is no command {name!r} {where} `nbsessions help` lists them.\n"
