"""What a shell offers with Tab: commands, options, session names and ids, tags, formats, paths."""

from __future__ import annotations

from argparse import SUPPRESS, Action, Namespace
from collections.abc import Sequence
from typing import Any

import argcomplete

from nbsessions import commands
from nbsessions.arguments import Argument, Parser
from nbsessions.cli.lines import JSON, STORE, common_to
from nbsessions.exceptions import NbsessionsError
from nbsessions.offers import Offers
from nbsessions.workspace import Settings, Workspace


def complete() -> None:
    """Answer a shell that asks what may follow, and leave the process; see argcomplete.

    Examples
    --------
    >>> complete()  # nothing is asked here
    """
    argcomplete.autocomplete(parser(), always_complete_options=False)


def parser() -> Parser:
    """Return a parser of all commands, whose arguments know what may stand there.

    Examples
    --------
    >>> parser().prog
    'nbsessions'
    """
    made = Parser(prog="nbsessions")
    made.add_argument("--version", action="store_true")
    _accept(made, (STORE, JSON))
    named = made.add_subparsers(dest="command")
    for command in commands.on_face("cli"):
        one = named.add_parser(command.name, aliases=list(command.aliases), help=command.help)
        _accept(one, (*command.on("cli"), *common_to(command)))
    return made


def _accept(made: Parser, arguments: Sequence[Argument]) -> None:
    before = set(made._actions)
    made.accept(arguments)
    for action in made._actions:
        if action not in before and action.nargs != 0:
            argument = next(one for one in arguments if one.key == action.dest)
            action.completer = _Completer(argument)  # type: ignore[attr-defined]
            # A value that was given before the command stays, where it is not given once more after it.
            action.default = SUPPRESS


class _Completer:
    """Asks for what may stand for one argument."""

    def __init__(self, argument: Argument) -> None:
        self._argument = argument

    def __call__(self, prefix: str, action: Action, parsed_args: Namespace, **more: Any) -> Sequence[str]:
        workspace = Workspace(Settings(store=getattr(parsed_args, "store", None)), is_seated=False)
        try:
            _enter(workspace, parsed_args, self._argument)
            return Offers(workspace, "cli").values(self._argument, prefix)
        except NbsessionsError:  # Tab is no place to report a store or a session that is not there
            return []


def _enter(workspace: Workspace, given: Namespace, argument: Argument) -> None:
    """Make the session that was named the current one; no store is made where there is none."""
    if argument.completes in (None, "path", "format", "command", "usage"):
        return
    workspace.check_store()
    ref = getattr(given, "session", None)
    if ref is not None and argument.completes in ("checkpoint", "run"):
        workspace.session = workspace.resume(ref)
