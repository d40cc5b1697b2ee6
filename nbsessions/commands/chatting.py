"""Commands about the chat prompt: begin it, and leave it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbsessions.arguments import Argument
from nbsessions.commands.base import Command

if TYPE_CHECKING:
    from nbsessions.workspace import Workspace


class Left(Exception):
    """The person leaves the prompt."""


def _chat(workspace: Workspace, session: str | None, agent: str | None, model: str | None) -> None:
    from nbsessions.chat import main

    code = main(workspace.settings.store, session=session, agent=agent, model=model)
    if code:
        raise SystemExit(code)


def _exit(workspace: Workspace) -> None:
    raise Left


COMMANDS = (
    Command(
        "chat",
        "Talk to an agent at a prompt; what comes by a pipe is asked line by line.",
        _chat,
        (
            Argument(
                name="--session",
                help="go on with this session, or start one of this name",
                value="NAME",
                completes="session",
            ),
            Argument(
                name="--agent",
                help="a variable of a module that holds an agent; the working folder is looked in, too",
                value="MODULE:NAME",
            ),
            Argument(name="--model", help="a model, such as openai:gpt-5.2; without any: the local one"),
        ),
        faces=frozenset({"cli"}),
        is_live=True,
    ),
    Command("exit", "Leave; all is saved.", _exit, faces=frozenset({"chat"}), aliases=("quit",)),
)
