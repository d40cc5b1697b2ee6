"""How messages name commands on a command line, and what is said instead where there is none."""

from __future__ import annotations

import re
from typing import Final

from nbsessions import commands

PROGRAM: Final = "nbsessions "
_HERE: Final = {
    "`load` it, or choose another name.": "Choose another name.",
    "`load` it to go on from there.": "The same command goes on from there.",
    "`load --draft` goes": "`--draft` goes",
    "`%agent --retry` asks": "`/retry` in `nbsessions chat` asks",
    "`%agent AGENT --retry`": "`/agent AGENT --retry` in `nbsessions chat`",
    "`store` chooses another.": "--store names another.",
    "Define it, or name another agent": "Name its module by --agent, or another agent",
}
# There, the session and the agent were named by options, which the command would need once more.
_CONFIRM: Final = re.compile(r"Say `[^`]* --confirm` to do it\.")
# How a program says what is an option here.
_KEYWORD: Final = re.compile(r"(\(--[^()]*), [a-z_]+=(?:True)?\)")


def spell(text: str) -> str:
    """Return a message with the commands that it names as they are typed here.

    Examples
    --------
    >>> spell("`undo` brings it back. It has an unsaved draft: `load --draft` goes on from there.")
    '`nbsessions undo` brings it back. It has an unsaved draft: `--draft` goes on from there.'
    >>> spell("Say what to prune: those without messages (--empty, empty=True).")
    'Say what to prune: those without messages (--empty).'
    """
    for elsewhere, here in _HERE.items():
        text = text.replace(elsewhere, here)
    # Nobody is on a session here.
    text = re.sub("^Now on (?=['\"])", "Started ", text)
    text = _CONFIRM.sub("The same command with --confirm does it.", text)
    text = _KEYWORD.sub(r"\1)", text)
    return shorter(commands.spelled(text, PROGRAM))


def shorter(text: str) -> str:
    """Return a text with the names that are typed here, of commands that have several.

    Examples
    --------
    >>> shorter("`nbsessions history` lists them.")
    '`nbsessions ls` lists them.'
    """
    return text.replace("nbsessions history", "nbsessions ls")
