"""The arguments of commands and magics: how they are declared, split and parsed."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NoReturn

from nbsessions.exceptions import InvalidInput

Face = Literal["magic", "cli", "chat", "http"]
Completed = Literal[
    "session", "tag", "command", "agent", "agent_name", "checkpoint", "run", "path", "format", "usage"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Argument:
    """One argument of a command.

    Attributes
    ----------
    name : str
        Starts with ``--`` where it is an option.
    help : str
    value : str
        What stands for its value in help, such as ``PLACE``; empty: made of the name.
    kind : {"text", "words", "number", "flag", "rest"}
        ``rest`` is one text of all the words that are left, so that names with spaces need no quotes.
    default : object
    choices : sequence of str
    completes : str or None
        What Tab offers: ``session``, ``tag``, ``command``, ``checkpoint``, ``run``, ``path``, ``format``
        (of files), ``agent`` (something that answers), ``agent_name`` (of a session) or ``usage`` (what
        usage is added up by, with commas between).
    faces : frozenset or None
        Where it belongs, if that is not wherever its command does.

    Examples
    --------
    >>> Argument(name="--at", help="a message", kind="number").key
    'at'
    """

    name: str
    help: str
    value: str = ""
    kind: Literal["text", "words", "number", "flag", "rest"] = "text"
    default: Any = None
    choices: Sequence[str] = ()
    required: bool = False
    completes: Completed | None = None
    faces: frozenset[Face] | None = None

    @property
    def key(self) -> str:
        """The name of the function's parameter.

        Examples
        --------
        >>> Argument(name="--max-messages", help="").key
        'max_messages'
        """
        return self.name.lstrip("-").replace("-", "_")

    @property
    def stands_for(self) -> str:
        """What stands for its value in help.

        Examples
        --------
        >>> Argument(name="--at", help="", kind="number").stands_for
        'N'
        """
        counts = self.kind == "number" and self.name.startswith("-")
        return self.value or ("N" if counts else self.key.upper())


class Parser(argparse.ArgumentParser):
    """A parser that raises `InvalidInput` instead of leaving the process.

    Examples
    --------
    >>> Parser(prog="%session").parse_args(["--nonsense"])
    Traceback (most recent call last):
    nbsessions.exceptions.InvalidInput: %session: unrecognized arguments: --nonsense. Try %session --help
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
            exit_on_error=False,
            **options,
        )
        self._lists: set[str] = set()

    def error(self, message: str) -> NoReturn:
        """Raise the mistake as one line."""
        raise InvalidInput(f"{self.prog}: {message}. Try {self.prog} --help")

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        """Raise, so that nothing is run after ``--help``."""
        raise HelpShown

    def parse(self, words: Sequence[str]) -> argparse.Namespace:
        """Parse words, and say what is wrong in one line.

        Raises
        ------
        InvalidInput, HelpShown

        Examples
        --------
        >>> parser = Parser(prog="%session")
        >>> parser.parse([])
        Namespace()
        """
        words = self._with_lists(words)
        try:
            # Words may stand before and after options. The other one shows help, which it spells right, and
            # takes what follows -- as it is.
            if "--" in words or asks_for_help(words):
                return self.parse_args(list(words))
            return self.parse_intermixed_args(list(words))
        except argparse.ArgumentError as error:
            self.error(str(error))

    def accept(self, arguments: Sequence[Argument]) -> None:
        """Add arguments of the table to this parser.

        Examples
        --------
        >>> parser = Parser(prog="%session")
        >>> parser.accept([Argument(name="--at", help="", kind="number")])
        >>> parser.parse(["--at", "3"]).at
        3
        """
        self._lists |= {argument.name for argument in arguments if argument.completes == "usage"}
        for argument in arguments:
            options: dict[str, Any] = {"help": argument.help, "default": argument.default}
            if argument.choices:
                options["choices"] = argument.choices
            if argument.kind == "flag":
                options |= {"action": "store_true", "default": False}
            elif argument.kind == "number":
                options["type"] = _number
            elif argument.kind in ("words", "rest"):
                options |= {"nargs": "+" if argument.required else "*", "default": None}
            if argument.kind in ("text", "number") and not argument.name.startswith("-"):
                options |= {} if argument.required else {"nargs": "?"}
            if argument.kind != "flag" and not argument.choices:
                options["metavar"] = argument.stands_for
            self.add_argument(argument.name, **options)

    def _with_lists(self, words: Sequence[str]) -> list[str]:
        """Return words with each list in one: ``--by day, model`` was split at its space."""
        made: list[str] = []
        for word in words:
            last = made[-1] if made else ""
            name, is_one_word, _ = last.partition("=")
            is_value = (name if is_one_word else "".join(made[-2:-1])) in self._lists
            if is_value and (last.endswith(",") or word.startswith(",")) and not word.startswith("-"):
                made[-1] += word
            else:
                made.append(word)
        return made


def asks_for_help(words: Sequence[str]) -> bool:
    """Tell whether help is among the options that were typed: what follows ``--`` is none.

    Examples
    --------
    >>> asks_for_help(["plan", "-h"]), asks_for_help(["--", "-h"])
    (True, False)
    """
    options = words[: words.index("--")] if "--" in words else words
    return "--help" in options or "-h" in options


class HelpShown(Exception):
    """`--help` was printed: there is nothing to run."""


def _number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None


def split(line: str) -> list[str]:
    """Split a line as a shell does.

    Raises
    ------
    InvalidInput
        A quote is not closed.

    Examples
    --------
    >>> split('new "my plan"')
    ['new', 'my plan']
    """
    lexer = shlex.shlex(line, posix=True, punctuation_chars="")
    lexer.whitespace_split, lexer.commenters = True, ""
    # An apostrophe is a letter more often than a quote, and a backslash belongs to a path.
    lexer.quotes, lexer.escape = '"', ""
    try:
        return list(lexer)
    except ValueError:
        raise InvalidInput('A quote (") is not closed.') from None
