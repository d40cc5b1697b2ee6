"""How commands are spelled over HTTP: the end of a path, and a body."""

from __future__ import annotations

import re
from typing import Any

from nbsessions.arguments import HelpShown, split
from nbsessions.commands import COMMANDS, parser, webagents
from nbsessions.commands.base import Command
from nbsessions.exceptions import InvalidInput
from nbsessions.values import encode_json

_WEBAGENTS = {"ref": "session_id", "conversation": "conversation_id"}


def spell(text: str) -> str:
    """Return a message with the commands that it names as they are called over HTTP.

    Examples
    --------
    >>> spell("Cleared 2 messages. `undo` brings them back.")
    'Cleared 2 messages. `session/undo` brings them back.'
    >>> spell("Say `redact 3 --confirm` to do it.")
    'Say `session/redact {"number":3,"confirm":true}` to do it.'
    >>> spell("Say `clear --all --confirm` to do it.")
    'Say `session/clear {"confirm":true}` to do it.'
    """
    return re.sub(r"`([a-z]+)(?: ([^`]*))?`", _spelled, text)


def _spelled(found: re.Match[str]) -> str:
    command = COMMANDS.get(found[1])
    if command is None or "http" not in command.faces:
        return found[0]
    return f"`session/{command.name}{_body(command, found[2] or '')}`"


def _body(command: Command, line: str) -> str:
    try:
        given = vars(parser(command, "", "http").parse(split(line)))
    except (InvalidInput, HelpShown):  # it has a word for what is to be filled in
        return f" {line}"
    values = {
        argument.key: _value(given[argument.key], argument.kind)
        for argument in command.on("http")
        if given[argument.key] not in (None, argument.default, False, [])
    }
    if command.name in webagents.COMMANDS:
        values = {_WEBAGENTS.get(name, name): value for name, value in values.items() if name != "all"}
    return f" {encode_json(values, 'body')}" if values else ""


def _value(value: Any, kind: str) -> Any:
    return " ".join(value) if kind == "rest" else value
