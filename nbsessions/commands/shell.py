"""Commands of the command line alone: what is done once, from outside any notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbsessions.arguments import Argument
from nbsessions.commands.base import Command, Face
from nbsessions.exceptions import InvalidInput

if TYPE_CHECKING:
    from nbsessions.doctoring import Checkup
    from nbsessions.transfers.migrating import Migration
    from nbsessions.workspace import Workspace

_SHELL: frozenset[Face] = frozenset({"cli"})


def _migrate(workspace: Workspace, source: str, target: str) -> Migration:
    from tqdm.auto import tqdm

    from nbsessions.store import open_store
    from nbsessions.stores import check_exists

    check_exists(source)
    with open_store(source) as store, tqdm(unit="session", leave=False, delay=1.0) as bar:

        def step(done: int, all: int) -> None:
            bar.total = all
            bar.update(done - bar.n)

        try:
            return store.migrate_to(target, on_step=step)
        except KeyboardInterrupt:
            text = "stopped. What was done is whole; the same command goes on from there."
            raise InvalidInput(text) from None


def _doctor(workspace: Workspace, verify: bool) -> Checkup:
    from nbsessions.doctoring import examine

    return examine(workspace.settings.store, verify=verify)


def _demo(workspace: Workspace) -> None:
    from nbsessions import demo

    demo.main()


def _completion(workspace: Workspace, shell: str) -> str:
    from argcomplete.shell_integration import shellcode

    return shellcode(["nbsessions"], shell=shell).strip()


COMMANDS = (
    Command(
        "migrate",
        "Copy all that a store has into another one, and check it.",
        _migrate,
        (
            Argument(
                name="source",
                value="FROM",
                help="a path or URL, such as file:sessions",
                required=True,
                completes="path",
            ),
            Argument(
                name="target",
                value="TO",
                help="another one, such as postgresql://ada@host/agents",
                required=True,
                completes="path",
            ),
        ),
        faces=_SHELL,
    ),
    Command(
        "doctor",
        "Show what is installed, where the store is, and whether it is healthy.",
        _doctor,
        (Argument(name="--verify", help="check every turn of the store, too", kind="flag"),),
        faces=_SHELL,
    ),
    Command(
        "completion",
        "Print the script that makes Tab complete in a shell.",
        _completion,
        (
            Argument(
                name="shell",
                help='eval "$(nbsessions completion bash)", in the file that the shell starts with',
                choices=("bash", "zsh", "fish"),
                required=True,
            ),
        ),
        faces=_SHELL,
    ),
    Command(
        "demo",
        "Watch %%agent answer in a real kernel, on the built-in model.",
        _demo,
        faces=_SHELL,
        is_live=True,
    ),
)
