"""
The formats that sessions come from and go to: one table, one file each.

What a session is told by is `Bundle`. A reader makes bundles of a file, a writer a file of bundles.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pathlib import Path

from nbsessions.exceptions import FormatError, InvalidInput
from nbsessions.formats.base import Format, Peek

# In the order in which a file is asked whether it is of one of them: the surest first.
_MODULES = {
    "json": "nbsessions_json",
    "jsonl": "nbsessions_jsonl",
    "notebook": "notebook",
    "store": "nbsessions_store",
    "markdown": "markdown",
    "html": "html_page",
    "csv": "csv_messages",
    "claude-code": "claude_code",
    "codex": "codex",
    "chatgpt": "chatgpt",
    "llm": "llm",
    "openai-agents": "openai_agents",
    "pydantic-ai": "pydantic_ai",
    "agentry": "agentry",
    "a3s": "a3s",
    "synwire": "synwire",
    "webagents": "webagents",
    "openai-chat": "openai_chat",
}
NAMES = tuple(_MODULES)


@cache
def find(name: str) -> Format:
    """Return the format of this name.

    Raises
    ------
    InvalidInput

    Examples
    --------
    >>> find("nonsense")
    Traceback (most recent call last):
    nbsessions.exceptions.InvalidInput: There is no format 'nonsense'. These are known: ...
    """
    if name not in _MODULES:
        raise InvalidInput(f"There is no format {name!r}. These are known: {', '.join(_MODULES)}.")
    found: Format = import_module(f"nbsessions.formats.{_MODULES[name]}").FORMAT
    return found


def readable(name: str) -> Format:
    """Return the format of this name, which can be read.

    Raises
    ------
    InvalidInput

    Examples
    --------
    >>> readable("json").name
    'json'
    """
    format = find(name)
    if format.read is None:
        raise InvalidInput(f"The format {name!r} is written, and cannot be read.")
    return format


def writable(name: str) -> Format:
    """Return the format of this name, which can be written.

    Raises
    ------
    InvalidInput

    Examples
    --------
    >>> writable("json").name
    'json'
    """
    format = find(name)
    if format.write is None:
        raise InvalidInput(f"The format {name!r} is read, and cannot be written.")
    return format


def all_formats() -> list[Format]:
    """Return all formats.

    Examples
    --------
    >>> "json" in [format.name for format in all_formats()]
    True
    """
    return [find(name) for name in _MODULES]


def guess(path: Path) -> Format:
    """Return the format of a file, told from what it holds.

    Raises
    ------
    FormatError
        It cannot be read, or is of none that is known.

    Examples
    --------
    >>> guess(Path("/nowhere/chat.json"))
    Traceback (most recent call last):
    nbsessions.exceptions.FormatError: /nowhere/chat.json: it cannot be read: No such file or directory.
    """
    found = known(path)
    if found is None:
        raise FormatError(path, "it is of no format that is known; `formats` lists those that come in")
    return found


def known(path: Path) -> Format | None:
    """Return the format of a file, told from what it holds; None: it is of none that can be read.

    Raises
    ------
    FormatError
        The file cannot be read.

    Examples
    --------
    >>> known(Path("/nowhere/chat.json"))
    Traceback (most recent call last):
    nbsessions.exceptions.FormatError: /nowhere/chat.json: it cannot be read: No such file or directory.
    """
    peek = Peek(path)
    try:
        for format in all_formats():
            if format.guess is not None and format.read is not None and format.guess(peek):
                return format
    except OSError as error:
        raise FormatError(path, f"it cannot be read: {error.strerror}") from None
    return None


def by_suffix(path: Path) -> Format:
    """Return the format in which a file of this name is written.

    Raises
    ------
    InvalidInput

    Examples
    --------
    >>> by_suffix(Path("chat.docx"))
    Traceback (most recent call last):
    nbsessions.exceptions.InvalidInput: No format is written to '.docx'. Name one of: ...
    """
    suffix = path.suffix.lower()
    written = [format for format in all_formats() if format.write is not None]
    for format in written:
        if suffix in format.suffixes:
            return format
    known = ", ".join(sorted({suffix for format in written for suffix in format.suffixes}))
    raise InvalidInput(f"No format is written to {suffix!r}. Name one of: {known}, or give --format.")
