"""What ``/help`` shows: the commands, and the keys."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from nbsessions import commands
from nbsessions.text import wrap

_KEYS: Final = (
    ("Enter", "Send the prompt."),
    ("Alt+Enter", "Begin a new line; Esc and then Enter does, too. Lines that are pasted stay one prompt."),
    ("Up, Down", "Earlier prompts; Ctrl-R searches them."),
    ("Tab", "Complete commands, options and the names of sessions."),
    ("Ctrl-C", "Stop the answer; at the prompt, clear the line. Twice where nothing is typed, leave."),
    ("Ctrl-D", "Leave, where nothing is typed."),
)
_MORE: Final = (
    "`/COMMAND --help` explains a command; /session/load is /load, as in webagents. A line that begins with "
    "// is sent to the agent, with one / less."
)


def overview() -> str:
    """Return all commands, each with its line of help, and the keys, as wide as the terminal.

    Examples
    --------
    >>> [line.split()[0] for line in overview().splitlines()[:2]]
    ['Commands:', '/status']
    """
    listed = [
        (", ".join(f"/{name}" for name in (each.name, *each.aliases[-1:])), each.help)
        for each in commands.on_face("chat")
    ]
    return "\n".join(["Commands:", *_table(listed), "", "Keys:", *_table(_KEYS), "", *wrap(_MORE)])


def _table(rows: Iterable[tuple[str, str]]) -> list[str]:
    rows = list(rows)
    width = max(len(name) for name, _ in rows)
    return [line for name, text in rows for line in wrap(text, f"  {name:<{width}}  ")]
