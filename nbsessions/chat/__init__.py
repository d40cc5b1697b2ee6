"""
The chat prompt: ``nbsessions chat``, one of the faces of the table of commands.

What is typed is a prompt for the agent, or a command that begins with ``/`` (`talking`). It is read from a
terminal by prompt_toolkit (`terminal`), or line by line from a pipe (`piped`).
"""

from __future__ import annotations

import os
import sys
from typing import TextIO

from nbsessions.chat.ending import ending
from nbsessions.chat.loading import Names, load_agent
from nbsessions.chat.talking import Talk, spelled
from nbsessions.workspace import Settings, Workspace

__all__ = ["main"]


def main(
    store: str | None = None,
    *,
    session: str | None = None,
    agent: str | None = None,
    model: str | None = None,
) -> int:
    """Talk until the person leaves; return the exit code.

    It is 0, or 1 where a line of a pipe failed or an answer could not be saved, 130 for Ctrl-C in a pipe, and
    128 and the number of the signal that ended it.

    Parameters
    ----------
    store : str or None
        Where sessions live; None: the default store.
    session : str or None
        What to go on with, or to start where there is none of that name. None: the first prompt starts one.
    agent : str or None
        ``module:name`` of an agent.
    model : str or None

    Raises
    ------
    InvalidInput, AgentError, StoreError
        Nothing was begun.

    Examples
    --------
    >>> import io, sys
    >>> keyboard, sys.stdin = sys.stdin, io.StringIO("/new plan")
    >>> main("memory:")
    Started 'plan'.
    0
    >>> sys.stdin = keyboard
    """
    workspace = Workspace(Settings(store=store, auto_resume=False), spell=spelled)
    talk = Talk(workspace, on_terminal=_is_terminal(sys.stdin) and _is_terminal(sys.stdout))
    with ending() as end:
        try:
            _choose_agent(workspace, agent, model)
            talk.begin(session)
            if talk.on_terminal:
                # It would be drawn into the first answer.
                os.environ.setdefault("PYDANTIC_AI_NO_BANNER", "1")
                from nbsessions.chat.terminal import converse
            else:
                from nbsessions.chat.piped import converse
            code = converse(talk, end)
        finally:
            left = talk.leave(for_good=True)
    if end.number is not None:
        return 128 + end.number
    return code if left else code or 1


def _choose_agent(workspace: Workspace, agent: str | None, model: str | None) -> None:
    name, workspace.names = None, Names()
    if agent is not None:
        name, workspace.names = load_agent(agent)
    # The model on this machine loads with the first prompt.
    if name is not None or model is not None:
        workspace.use_agent(name, model)


def _is_terminal(stream: TextIO | None) -> bool:
    return stream is not None and stream.isatty()
