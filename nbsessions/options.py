"""What is written behind ``%agent`` and ``%%agent``."""

from __future__ import annotations

from keyword import iskeyword
from typing import TYPE_CHECKING

from nbsessions.arguments import Argument, Parser, split
from nbsessions.exceptions import InvalidInput
from nbsessions.permissions import VERDICTS

if TYPE_CHECKING:
    from argparse import Namespace

AGENT = (
    Argument(
        name="agent",
        help="a variable that holds an agent, a model such as ollama:llama3.2, or local",
        completes="agent",
    ),
    Argument(name="--model", help="a model, such as openai:gpt-5.2"),
    Argument(
        name="--max-cost",
        help="dollars to spend at most in a run: 0.50, or 2/session, 5/day; none: no limit",
        value="AMOUNT",
    ),
    Argument(name="--max-requests", help="requests to models, likewise", value="AMOUNT"),
    Argument(name="--max-total-tokens", help="tokens sent and generated, likewise", value="AMOUNT"),
    Argument(name="--retry", help="send the last prompt that was not answered again", kind="flag"),
    Argument(name="--into", help="put the output into this variable"),
)
LINE = (
    *AGENT,
    Argument(
        name="--policy",
        help="what becomes of calls of tools that no pattern names",
        choices=VERDICTS,
    ),
    Argument(name="--allow", help="tools that may be called", kind="words", value="PATTERN"),
    Argument(name="--ask", help="tools to be asked about", kind="words", value="PATTERN"),
    Argument(name="--deny", help="tools that may not be called", kind="words", value="PATTERN"),
)
CELL = (
    *AGENT,
    Argument(name="--session", help="go on with this session", completes="session"),
    Argument(name="--new", help="start a session first", kind="flag"),
    Argument(name="--fork", help="fork the session first", kind="flag"),
    Argument(name="--max-messages", help="how many messages the agent sees", kind="number"),
    Argument(name="--max-tokens", help="how many tokens of messages the agent sees", kind="number"),
    Argument(name="--raw", help="send the cell as it is, {{ }} included", kind="flag"),
    Argument(
        name="--rerun",
        help="what a cell run again does to its turn: replace it, append to it, or replay it for free",
        choices=("replace", "append", "replay"),
    ),
    Argument(name="--no-save", help="answer into a draft, which `%%session save` keeps", kind="flag"),
)


def check(options: Namespace) -> None:
    """Refuse what does not go together on the line of a cell.

    Raises
    ------
    InvalidInput

    Examples
    --------
    >>> check(parse("%%agent", CELL, "--new --fork"))
    Traceback (most recent call last):
    nbsessions.exceptions.InvalidInput: --session, --new and --fork exclude each other: give one of them.
    """
    check_variable(options.into)
    for name in ("max_messages", "max_tokens"):
        limit = getattr(options, name)
        if limit is not None and limit < 1:
            raise InvalidInput(f"{name} must be at least 1, not {limit}.")
    if (options.session is not None) + options.new + options.fork > 1:
        raise InvalidInput("--session, --new and --fork exclude each other: give one of them.")
    if options.retry and (options.new or options.fork):
        raise InvalidInput("--retry asks again where the prompt was asked: leave --new or --fork out.")


def check_variable(variable: str | None) -> None:
    """Refuse what is no variable's name.

    Raises
    ------
    InvalidInput

    Examples
    --------
    >>> check_variable("the answer")
    Traceback (most recent call last):
    nbsessions.exceptions.InvalidInput: --into takes a variable's name, and 'the answer' is none.
    """
    if variable is not None and (not variable.isidentifier() or iskeyword(variable)):
        raise InvalidInput(f"--into takes a variable's name, and {variable!r} is none.")


def parse(prog: str, arguments: tuple[Argument, ...], line: str) -> Namespace:
    """Return what a line says.

    Raises
    ------
    InvalidInput, HelpShown

    Examples
    --------
    >>> parse("%agent", LINE, "critic --allow read_* list_*").allow
    ['read_*', 'list_*']
    """
    parser = Parser(prog=prog)
    parser.accept(arguments)
    options = parser.parse(split(line))
    check_patterns(options)
    return options


def check_patterns(options: Namespace) -> None:
    """Refuse patterns that no tool can be called by: a denial that meets nothing would let all through.

    Raises
    ------
    InvalidInput

    Examples
    --------
    >>> from argparse import Namespace
    >>> check_patterns(Namespace(deny=["rm_*,mv_*"]))
    Traceback (most recent call last):
    nbsessions.exceptions.InvalidInput: --deny takes patterns with spaces between them, not rm_*,mv_*.
    """
    for verdict in VERDICTS:
        _check_patterns(verdict, getattr(options, verdict, None) or [])


def _check_patterns(verdict: str, patterns: list[str]) -> None:
    for pattern in patterns:
        if "'" in pattern:
            raise InvalidInput(
                f'--{verdict} takes patterns as they are, or in double quotes ("), not {pattern}.'
            )
        if "," in pattern:
            raise InvalidInput(f"--{verdict} takes patterns with spaces between them, not {pattern}.")
