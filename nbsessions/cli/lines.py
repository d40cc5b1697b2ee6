"""From the words of a command line to a command, its values, and what every command takes."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from nbsessions import __version__, commands
from nbsessions.arguments import Argument, Parser, asks_for_help
from nbsessions.cli.spelling import shorter
from nbsessions.commands.base import SESSION, Command
from nbsessions.exceptions import InvalidInput
from nbsessions.text import wrap

STORE: Final = Argument(
    name="--store",
    help="where sessions live: a path or URL; without it $NBSESSIONS_STORE, else your data folder",
    value="URL",
    completes="path",
)
JSON: Final = Argument(name="--json", help="answer in JSON, for other programs", kind="flag")
AGENT: Final = Argument(
    name="--agent",
    help="whose session, where several agents have one of this name",
    value="NAME",
    completes="agent_name",
)
WHICH: Final = Argument(
    name="--session",
    help="which session: its id, name, a part of its id, or latest",
    value="REF",
    completes="session",
)
CONVERSATION: Final = Argument(
    name="--conversation", help="the session is one of this A2A conversation", value="ID"
)
DRAFT: Final = Argument(name="--draft", help="use its unsaved draft, where it has one", kind="flag")
ASKED: Final = Argument(
    name="--agent",
    help="who is asked: a variable of a module; the working folder is looked in, too",
    value="MODULE:NAME",
)
BEGUN: Final = Argument(
    name="--agent",
    help="the agent that it is for (local)",
    value="NAME",
    completes="agent_name",
)
_ABOUT_AGENTS: Final = ("clear", "delete")
_LISTS: Final = {
    "history": "sessions",
    "branches": "sessions",
    "runs": "runs",
    "search": "hits",
    "checkpoints": "checkpoints",
}
_ASKING: Final = ("approve", "compact")
_WITHOUT_STORE: Final = ("formats", "migrate", "completion", "demo", "help")
_WITHOUT_JSON: Final = ("help",)
"""And those that show what happens while it happens."""


class Mistake(InvalidInput):
    """What was typed is no command, or lacks something: nothing was run."""


@dataclass(frozen=True, slots=True)
class Line:
    """A command as it was typed.

    Attributes
    ----------
    command : Command
    values : dict
        Of its own arguments.
    store : str or None
    json : bool
    session, agent, conversation : str or None
        Which session is meant, of which agent, in which conversation.
    draft : bool
        Whether its unsaved draft is meant.
    asked : str or None
        Who is asked, as ``module:name``.

    Examples
    --------
    >>> read(["--store", "memory:", "new", "my", "plan"]).values
    {'name': 'my plan'}
    """

    command: Command
    values: dict[str, Any]
    store: str | None
    json: bool
    session: str | None
    agent: str | None
    conversation: str | None
    draft: bool
    asked: str | None


def read(words: Sequence[str]) -> Line | str:
    """Return what was typed, or a text to show instead.

    Raises
    ------
    Mistake, HelpShown

    Examples
    --------
    >>> read(["--version"]).startswith("nbsessions ")
    True
    """
    try:
        return _read(words)
    except Mistake:
        raise
    except InvalidInput as error:
        raise Mistake(str(error)) from None


def _read(words: Sequence[str]) -> Line | str:
    parser = Parser(prog="nbsessions", add_help=False)
    for flag in ("--help", "-h", "--version"):
        parser.add_argument(flag, action="store_true", dest=flag.strip("-"))
    parser.accept((STORE, JSON))
    parser.add_argument("words", nargs=argparse.REMAINDER)
    try:
        # What follows the command is its own; words between options, as `Parser.parse` takes them, are not.
        before = parser.parse_args(list(words))
    except argparse.ArgumentError as error:
        parser.error(str(error))
    if before.version:
        return f"nbsessions {__version__}"
    if not (before.words or before.help or before.h):
        raise Mistake("Say which command: `nbsessions --help` lists them.")
    name, *rest = before.words or ["help"]
    command = commands.find(name, "cli")
    if before.words and (before.help or before.h or asks_for_help(rest)):
        return explained(command)
    if before.json and not _has_json(command):
        raise Mistake(f"nbsessions {command.name} is for people: there is no JSON of it.")
    values: dict[str, Any] = commands.parsed(command, rest, **_spelling(command))
    if command.name == "help":
        asked = values["command"]
        return overview() if asked is None else explained(commands.find(asked, "cli"))
    common = {argument.key: values.pop(argument.key) for argument in common_to(command)}
    asks = command.name in _ASKING
    return Line(
        command=command,
        values=values,
        store=common.get("store") or before.store,
        json=bool(common.get("json") or before.json),
        session=common.get("session"),
        agent=None if asks else common.get("agent"),
        conversation=common.get("conversation"),
        # There is nothing else to save.
        draft=bool(common.get("draft")) or command.name == "save",
        asked=common.get("agent") if asks else None,
    )


def _spelling(command: Command) -> dict[str, Any]:
    return {"face": "cli", "prefix": "nbsessions ", "more": common_to(command)}


def common_to(command: Command) -> tuple[Argument, ...]:
    """Return the arguments that this face adds to those of a command.

    Examples
    --------
    >>> [argument.name for argument in common_to(commands.COMMANDS["rename"])]
    ['--session', '--agent', '--conversation', '--draft', '--store', '--json']
    >>> [argument.name for argument in common_to(commands.COMMANDS["history"])]
    ['--store', '--json']
    """
    added = [WHICH] if command.on_session or takes_session(command) else []
    if command.name in _ASKING:
        added.append(ASKED)
    elif command.name == "new":
        added.append(BEGUN)
    elif command.on_session or takes_session(command) or command.name in _ABOUT_AGENTS:
        added.append(AGENT)
    added += [CONVERSATION, DRAFT] if command.on_session or takes_session(command) else []
    own = {argument.name for argument in command.on("cli")}
    added += [] if command.name in _WITHOUT_STORE else [STORE]
    added += [JSON] if _has_json(command) else []
    return tuple(argument for argument in added if argument.name not in own)


def _has_json(command: Command) -> bool:
    return not command.is_live and command.name not in _WITHOUT_JSON


def takes_session(command: Command) -> bool:
    """Tell whether a command is about the session that its argument names.

    Examples
    --------
    >>> takes_session(commands.COMMANDS["show"]), takes_session(commands.COMMANDS["delete"])
    (True, False)
    """
    return SESSION in command.on("cli")


def overview() -> str:
    """Return what ``nbsessions --help`` shows.

    Examples
    --------
    >>> print(overview().splitlines()[0])
    usage: nbsessions [--store URL] [--json] COMMAND ...
    """
    listed = [("ls" if each.name == "history" else each.name, each.help) for each in commands.on_face("cli")]
    options = [
        ("--store URL", f"{STORE.help[0].upper()}{STORE.help[1:]}."),
        ("--json", f"{JSON.help[0].upper()}{JSON.help[1:]}."),
        ("--version", "Say which version this is."),
    ]
    width = max(len(names) for names, _ in listed)
    return "\n".join(
        [
            *wrap("usage: nbsessions [--store URL] [--json] COMMAND ..."),
            "",
            *wrap("git for agent conversations: what %session does in a notebook, on the command line."),
            "",
            *(line for names, text in listed for line in wrap(text, f"  {names:<{width}}  ")),
            "",
            *(line for names, text in options for line in wrap(text, f"  {names:<{width}}  ")),
            "",
            *wrap("nbsessions COMMAND --help explains a command."),
        ]
    )


def explained(command: Command) -> str:
    """Return what ``nbsessions COMMAND --help`` shows.

    Examples
    --------
    >>> print(explained(commands.COMMANDS["undo"]).splitlines()[0][:22])
    usage: nbsessions undo
    """
    parser = commands.parser(command, **_spelling(command))
    # Before it is laid out: what follows a name stands below its end.
    parser.prog = shorter(parser.prog)
    text = parser.format_help().strip()
    if command.name not in _LISTS:
        return text
    from nbsessions.showing.columns import COLUMNS

    titles = ", ".join(column.title for column in COLUMNS[_LISTS[command.name]])
    more = wrap(f"In a pipe, each line is one of them, with tabs between: {titles}.")
    return "\n".join([text, "", *more])
