"""Tab in a real bash, and what argcomplete is told in all shells."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from nbsessions.cli.completing import parser
from nbsessions.commands import on_face
from tests.cli.conftest import PROGRAM, Run
from tests.conftest import STUCK_SECONDS

# What bash does when Tab is pressed at the end of a line, see the COMP_ variables in `man bash`.
TAB = r"""
eval "$(nbsessions completion bash)"
COMP_LINE="$1"; COMP_POINT=${#1}; COMP_TYPE=9; COMP_WORDS=($1)
[[ "$1" == *" " ]] && COMP_WORDS+=("")
COMP_CWORD=$((${#COMP_WORDS[@]}-1)); COMPREPLY=()
_python_argcomplete nbsessions "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
printf '%s\n' "${COMPREPLY[@]}"
"""
Tab = Callable[[str], list[str]]


@pytest.fixture
def tab(tmp_path: Path) -> Tab:
    """Returns what bash offers after a line."""
    path = f"{Path(PROGRAM).parent}{os.pathsep}{os.environ['PATH']}"

    def offered(line: str) -> list[str]:
        done = subprocess.run(
            ["bash", "-c", TAB, "bash", line],
            capture_output=True,
            encoding="utf-8",
            timeout=STUCK_SECONDS,
            env={**os.environ, "PATH": path},
            cwd=tmp_path,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        return [word for word in done.stdout.splitlines() if word]

    return offered


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("nbsessions verif", ["verify "]),
        ("nbsessions --st", ["--store "]),
        ("nbsessions show --s", ["--session", "--store"]),
        ("nbsessions show pl", ["plan "]),
        ("nbsessions tag --session es", ["essay "]),
        ("nbsessions --store agents.db show es", ["essay "]),
        ("nbsessions show es --store nowhere.db es", []),
        ("nbsessions --store nowhere.db show ", []),
        ("nbsessions rewind --session plan be", ["before "]),
        ("nbsessions ls --tag ", ["draft", "owls"]),
        ("nbsessions ls --agent an", ["analyst "]),
        ("nbsessions export out --format jsonl", ["jsonl "]),
        ("nbsessions usage --by day,mod", ["day,model "]),
        ("nbsessions completion f", ["fish "]),
        ("nbsessions import agents.db.l", ["agents.db.lock "]),
        ("nbsessions help verif", ["verify "]),
    ],
)
def test_tab_offers_what_may_follow(tab: Tab, lived: str, line: str, offered: list[str]) -> None:
    assert tab(line) == offered
    assert not Path(lived).with_name("nowhere.db").exists()


def test_tab_offers_all_commands(tab: Tab) -> None:
    assert {command.name for command in on_face("cli")} <= set(tab("nbsessions "))


def test_a_name_with_spaces_is_one_word(tab: Tab, cli: Run, lived: str) -> None:
    cli("new", "the night owls")
    assert tab("nbsessions show the") == [r"the\ night\ owls "]


def test_tab_without_a_store_makes_none(tab: Tab, tmp_path: Path) -> None:
    assert tab("nbsessions show ") == []
    assert not (tmp_path / "default").exists()


def test_every_argument_of_every_command_is_known_to_the_shell() -> None:
    made = parser()
    named = next(action for action in made._actions if action.dest == "command")
    assert isinstance(named.choices, dict)
    for command in on_face("cli"):
        own = {action.dest: action for action in named.choices[command.name]._actions}
        for argument in command.on("cli"):
            assert argument.kind == "flag" or hasattr(own[argument.key], "completer"), argument.name


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_code_for_a_shell_is_argcompletes_own(cli: Run, shell: str) -> None:
    from argcomplete.shell_integration import shellcode

    done = cli("completion", shell)
    assert done.code == 0
    assert done.out.strip() == shellcode(["nbsessions"], shell=shell).strip()


def test_an_unknown_shell_is_a_mistake(cli: Run) -> None:
    assert cli("completion", "tcsh").code == 2
