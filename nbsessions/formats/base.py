"""What a format is: a name, suffixes, and how files of it are told, read and written."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, Final

from pydantic_core import from_json

from nbsessions.exceptions import FormatError
from nbsessions.stores.arguments import Bundle

HEAD_BYTES: Final = 64 * 1024
"""So much of a file is looked at to tell what it is."""
SQLITE_SUFFIXES: Final = (".db", ".db3", ".sqlite", ".sqlite3")


@dataclass(frozen=True)
class Format:
    """One format of files.

    Attributes
    ----------
    name : str
        What `--format` takes.
    help : str
        One line.
    suffixes : tuple of str
        Of the files that are written; the first is the usual one.
    read : callable or None
        Takes a path, and yields the sessions in it, each as a `Bundle`. Raises `FormatError`.
    write : callable or None
        Takes bundles and a binary file, and writes them.
    guess : callable or None
        Tells from a `Peek` whether a file is of this format.
    loses : str
        What of a session is lost on the way out, one line; empty: nothing.
    many : bool
        Whether one file can hold several sessions.

    Examples
    --------
    >>> from nbsessions.formats import find
    >>> find("json").suffixes
    ('.json',)
    """

    name: str
    help: str
    suffixes: tuple[str, ...] = ()
    read: Callable[[Path], Iterator[Bundle]] | None = None
    write: Callable[[Iterable[Bundle], BinaryIO], None] | None = None
    guess: Callable[[Peek], bool] | None = None
    loses: str = ""
    many: bool = True


class Peek:
    """What can be told of a file from its name and its beginning.

    Parameters
    ----------
    path : Path

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "chat.json"
    ...     _ = path.write_text('{"session_id": "s1", "messages": [')
    ...     sorted(Peek(path).keys)
    ['messages', 'session_id']
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @cached_property
    def head(self) -> bytes:
        """The first 64 KiB; nothing of a folder, or of a database, which must not be opened as a file."""
        # Closing it would drop the locks that this process has on it, https://www.sqlite.org/howtocorrupt.html
        if self.path.suffix.lower() in SQLITE_SUFFIXES or self.path.is_dir():
            return b""
        with open(self.path, "rb") as file:
            return file.read(HEAD_BYTES)

    @cached_property
    def text(self) -> str:
        """The beginning as text; what is no UTF-8 is replaced."""
        return self.head.decode("utf-8-sig", "replace")

    @cached_property
    def first(self) -> Any:
        """The first line as JSON, else the whole file; None where neither is JSON and ends in the head."""
        for text in (self.text.lstrip().split("\n", 1)[0], self.text):
            try:
                return from_json(text)
            except ValueError:
                continue
        return None

    @cached_property
    def keys(self) -> frozenset[str]:
        """The keys of the JSON object that the file begins with, as many as the head shows."""
        if isinstance(self.first, dict):
            return frozenset(self.first)
        return frozenset(_top_keys(self.text))

    @cached_property
    def tables(self) -> frozenset[str]:
        """The tables of an SQLite database; none of another file."""
        if self.path.suffix.lower() not in SQLITE_SUFFIXES and not self.head.startswith(b"SQLite format 3\0"):
            return frozenset()
        from nbsessions.formats.reading import read_database

        try:
            with read_database(self.path) as db:
                rows = db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        except ValueError:
            return frozenset()
        return frozenset(str(row[0]) for row in rows)


_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')


def _top_keys(text: str) -> Iterator[str]:
    """Yield the keys at the top of a JSON object of which only the beginning is there."""
    depth, at = 0, 0
    while at < len(text):
        char = text[at]
        if char in "{[":
            depth += 1
        elif char in "}]":
            depth -= 1
        elif char == '"':
            found = _STRING.match(text, at)
            if found is None:
                return
            at = found.end()
            if depth == 1 and text[at:].lstrip()[:1] == ":" and text.lstrip().startswith("{"):
                try:
                    yield json.loads(found.group())
                except ValueError:
                    return
            continue
        at += 1


@dataclass
class Reading:
    """What a reader tells of the file that it is reading."""

    on_bytes: Callable[[int], None] | None = None
    notes: list[str] = field(default_factory=list)
    errors: list[FormatError] = field(default_factory=list)


_reading: ContextVar[Reading | None] = ContextVar("reading", default=None)


@contextmanager
def listening(reading: Reading) -> Iterator[Reading]:
    """Take what readers tell until the end.

    Examples
    --------
    >>> with listening(Reading()) as told:
    ...     note("its outputs were cleared")
    >>> told.notes
    ['its outputs were cleared']
    """
    token = _reading.set(reading)
    try:
        yield reading
    finally:
        _reading.reset(token)


def note(text: str) -> None:
    """Tell the person who imports something about the file that is being read, on one line.

    Examples
    --------
    >>> note("nobody listens")
    """
    reading = _reading.get()
    if reading is not None:
        reading.notes.append(text)


def refuse(error: FormatError) -> None:
    """Tell that one of several sessions cannot be read; where nobody listens, that is raised.

    Examples
    --------
    >>> with listening(Reading()) as told:
    ...     refuse(FormatError("chat.json, conversation 3", "it has no messages"))
    >>> len(told.errors)
    1
    """
    reading = _reading.get()
    if reading is None:
        raise error
    reading.errors.append(error)


def advance(count: int) -> None:
    """Say that so many more bytes were read.

    Examples
    --------
    >>> advance(10)
    """
    reading = _reading.get()
    if reading is not None and reading.on_bytes is not None:
        reading.on_bytes(count)
