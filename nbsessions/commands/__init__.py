"""
The one table of commands: what `%session` does, and what every other face does with the same words.

A command is a name, its arguments, one line of help, one function, and the faces where it belongs.
A function takes the workspace and its arguments, and returns a line to print or an object to show.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from nbsessions.arguments import Argument, Parser, split
from nbsessions.commands import (
    agents,
    approvals,
    chatting,
    context,
    loading,
    places,
    runs,
    sessions,
    shell,
    status,
    stores,
    usage,
    widgets,
)
from nbsessions.commands.base import LOCAL, Command, Face
from nbsessions.exceptions import InvalidInput
from nbsessions.listings import Listing
from nbsessions.text import wrap

if TYPE_CHECKING:
    from nbsessions.workspace import Workspace

_SYNOPSIS = 44
_PLACES: dict[Face, str] = {
    "magic": "in a notebook",
    "chat": "at the prompt of nbsessions chat",
    "cli": "on the command line",
}


def parser(command: Command, prefix: str, face: Face = "magic", more: Sequence[Argument] = ()) -> Parser:
    """Return the parser of one command, as one face has and spells it.

    Parameters
    ----------
    command : Command
    prefix : str
        How the face spells commands.
    face : {"magic", "cli", "chat", "http"}
    more : sequence of Argument
        What the face adds to those of the command.

    Examples
    --------
    >>> parser(COMMANDS["rename"], "%session ").prog
    '%session rename'
    """
    made = Parser(prog=f"{prefix}{command.name}", description="\n".join(wrap(command.help)))
    made.accept((*command.on(face), *more))
    return made


def parsed(
    command: Command, words: Sequence[str], *, face: Face, prefix: str, more: Sequence[Argument] = ()
) -> dict[str, object]:
    """Return the values of a command's arguments, as a person typed them.

    Raises
    ------
    InvalidInput, HelpShown

    Examples
    --------
    >>> parsed(COMMANDS["rename"], ["my", "plan"], face="magic", prefix="%session ")
    {'name': 'my plan'}
    """
    values = vars(parser(command, prefix, face, more).parse(words))
    for argument in command.on(face):
        if argument.kind == "rest" and values[argument.key] is not None:
            text = " ".join(values[argument.key])
            values[argument.key] = text if text or argument.required else None
    return values


def run_line(workspace: Workspace, line: str, *, face: Face, prefix: str) -> object:
    """Run one command as a person typed it.

    Parameters
    ----------
    workspace : Workspace
    line : str
        The command and its arguments; empty is `status`.
    face : {"magic", "cli", "chat", "http"}
    prefix : str
        How the face spells commands, for help and mistakes: ``"%session "``.

    Returns
    -------
    object
        A line of text to print, or an object to show. Rows are a DataFrame for magics, and else a `Listing`.

    Raises
    ------
    InvalidInput, HelpShown, NbsessionsError

    Examples
    --------
    >>> from nbsessions.workspace import Settings, Workspace
    >>> run_line(Workspace(Settings(store="memory:")), "new plan", face="magic", prefix="%session ")
    "Started 'plan'."
    """
    words = split(line) or ["status"]
    if words[0] in ("--help", "-h"):
        return run_line(workspace, "help", face=face, prefix=prefix)
    command = find(words[0], face)
    values = parsed(command, words[1:], face=face, prefix=prefix)
    if command.name == "help":
        values |= {"face": face, "prefix": prefix}
    found = run(workspace, command, values)
    return found.to_df() if face == "magic" and isinstance(found, Listing) else found


def run(workspace: Workspace, command: Command, values: Mapping[str, object]) -> object:
    """Run one command with these values; those of its arguments that are not among them have their default.

    Examples
    --------
    >>> from nbsessions.workspace import Settings, Workspace
    >>> run(Workspace(Settings(store="memory:")), COMMANDS["new"], {"name": "plan"})
    "Started 'plan'."
    """
    try:
        return command.function(workspace, **{a.key: a.default for a in command.arguments} | dict(values))
    finally:
        workspace.follow()


def spelled(text: str, prefix: str) -> str:
    """Return a message with the commands that it names as one face spells them.

    Examples
    --------
    >>> spelled("Cleared 2 messages. `undo` brings them back.", "%session ")
    'Cleared 2 messages. `%session undo` brings them back.'
    """
    return re.sub(r"`([a-z]+)(?=[` ])", lambda m: f"`{prefix if m[1] in COMMANDS else ''}{m[1]}", text)


def find(name: str, face: Face) -> Command:
    """Return the command of this name or alias, on this face.

    Raises
    ------
    InvalidInput
        Names the nearest one there is.

    Examples
    --------
    >>> find("laod", "magic")
    Traceback (most recent call last):
    nbsessions.exceptions.InvalidInput: There is no command 'laod'. Did you mean 'load'? `help` lists them.
    """
    for command in on_face(face):
        if name == command.name or name in command.aliases:
            return command
    raise InvalidInput(f"There is no command {name!r}{_hint(name, face)} `help` lists them.")


def _hint(name: str, face: Face) -> str:
    """Return where there is such a command, or else which one may be meant."""
    elsewhere = [
        place
        for other, place in _PLACES.items()
        if face != "http" and any(name in (command.name, *command.aliases) for command in on_face(other))
    ]
    if elsewhere:
        return f" here, but {' and '.join(elsewhere)}."
    import difflib

    near = difflib.get_close_matches(name, [command.name for command in on_face(face)], n=1)
    return f". Did you mean {near[0]!r}?" if near else "."


def on_face(face: Face) -> Iterator[Command]:
    """Yield the commands of a face, in the order of the table.

    Examples
    --------
    >>> next(on_face("magic")).name
    'status'
    """
    return (command for command in COMMANDS.values() if face in command.faces)


def _help(
    workspace: Workspace, command: str | None, *, face: Face = "magic", prefix: str = "%session "
) -> str:
    if command is not None:
        return parser(find(command, face), prefix, face).format_help().strip()
    lines = [_help_line(f"  {prefix}{_synopsis(each, face)}", each.help) for each in on_face(face)]
    return "\n".join(["Commands:", *lines, "", f"{prefix}COMMAND --help explains a command."])


def _help_line(synopsis: str, text: str) -> str:
    # What is too long for its column gets a line of its own.
    lead = f"{synopsis}\n" if len(synopsis) > _SYNOPSIS else synopsis
    return f"{lead}{'' if lead == synopsis else ' ' * _SYNOPSIS}{' ' * (_SYNOPSIS - len(synopsis))}  {text}"


def _synopsis(command: Command, face: Face) -> str:
    parts = [command.name]
    for argument in command.on(face):
        value = "|".join(argument.choices) if argument.choices else argument.stands_for
        option = argument.name if argument.name.startswith("-") else ""
        text = " ".join(part for part in (option, "" if argument.kind == "flag" else value) if part)
        text += "..." if argument.kind == "words" else ""
        parts.append(text if argument.required else f"[{text}]")
    return " ".join(parts)


_HELP = Command(
    "help",
    "List the commands, or explain one.",
    _help,
    (Argument(name="command", help="a command", completes="command"),),
    faces=LOCAL,
)
COMMANDS: dict[str, Command] = {
    command.name: command
    for command in (
        *status.COMMANDS,
        *loading.COMMANDS,
        *sessions.COMMANDS,
        *widgets.COMMANDS,
        *places.COMMANDS,
        *runs.COMMANDS,
        *agents.COMMANDS,
        *approvals.COMMANDS,
        *context.COMMANDS,
        *usage.COMMANDS,
        *stores.COMMANDS,
        *shell.COMMANDS,
        *chatting.COMMANDS,
        _HELP,
    )
}
