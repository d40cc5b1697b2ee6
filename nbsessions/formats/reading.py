"""Files from outside, read with care: whatever is wrong with one is a `FormatError`."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, ParamSpec, TypeVar

from pydantic_core import from_json

from nbsessions.exceptions import FormatError, InvalidInput
from nbsessions.formats.base import advance, note, refuse
from nbsessions.text import one_line
from nbsessions.values import MAX_JSON_BYTES, mend_json

_Given = ParamSpec("_Given")
_Made = TypeVar("_Made")
MAX_FILE_BYTES: Final = 4 * MAX_JSON_BYTES
"""A larger file is not read at once; formats of lines have no limit but that of a line."""
_BUSY_SECONDS: Final = 5.0
_LAST: Final = 253_402_300_800
"""The year 10000, in seconds since 1970."""
_MILLISECONDS: Final = 100_000_000_000
"""The year 5138 in seconds, 1973 in milliseconds."""


def read_json(path: Path) -> Any:
    """Return what a JSON file says.

    Raises
    ------
    FormatError
        It cannot be read, is empty, no JSON, or too large.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "chat.json"
    ...     _ = path.write_text('{"a": 1}')
    ...     read_json(path)
    {'a': 1}
    """
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise FormatError(path, f"it cannot be read: {error.strerror}") from None
    if len(data) > MAX_FILE_BYTES:
        raise FormatError(path, f"it has more than {MAX_FILE_BYTES:,} bytes")
    if not data.strip():
        raise FormatError(path, "it is empty")
    advance(len(data))
    return parsed(data, path)


@contextmanager
def blamed(where: object) -> Iterator[None]:
    """Name the file in what is wrong with a session that is made of it.

    Raises
    ------
    FormatError

    Examples
    --------
    >>> with blamed("chat.json"):
    ...     raise InvalidInput("metadata is nested too deeply to be stored.")
    Traceback (most recent call last):
    nbsessions.exceptions.FormatError: chat.json: metadata is nested too deeply to be stored.
    """
    try:
        yield
    except FormatError:
        raise
    except InvalidInput as error:
        raise FormatError(where, str(error)) from None
    except RecursionError:
        raise FormatError(where, "it is nested too deeply") from None


def alone(
    where: object, make: Callable[_Given, _Made], *args: _Given.args, **named: _Given.kwargs
) -> Iterator[_Made]:
    """Yield one of several sessions of a file; none where it cannot be made, which is told, and stops nobody.

    Raises
    ------
    FormatError
        Where nobody listens.

    Examples
    --------
    >>> def broken():
    ...     raise InvalidInput("it has no messages.")
    >>> from nbsessions.formats.base import Reading, listening
    >>> with listening(Reading()) as told:
    ...     list(alone("chat.json, conversation 3", broken))
    []
    >>> print(told.errors[0])
    chat.json, conversation 3: it has no messages.
    """
    try:
        with blamed(where):
            made = make(*args, **named)
    except FormatError as error:
        is_named = error.where.startswith(str(where)) or str(where).startswith(error.where)
        refuse(error if is_named else FormatError(where, str(error)))
    else:
        yield made


def json_lines(path: Path, *, partial: bool = False) -> Iterator[tuple[int, Any]]:
    """Yield the values of a file of JSON lines, each with the number of its line; empty lines are skipped.

    Parameters
    ----------
    path : Path
    partial : bool
        It is a log that a program appends to, and may be writing to: a last line that ends in the middle is
        left out, and so are others that were torn when the program died, which are told.

    Raises
    ------
    FormatError
        It cannot be read, or a line is no JSON.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "chat.jsonl"
    ...     _ = path.write_text('{"a": 1}\\n\\n{"a": 2}\\n')
    ...     list(json_lines(path))
    [(1, {'a': 1}), (3, {'a': 2})]
    """
    try:
        with open(path, "rb") as file:
            number = found = 0
            torn: FormatError | None = None
            while line := file.readline(MAX_JSON_BYTES + 1):
                number += 1
                advance(len(line))
                if not line.strip():
                    continue
                try:
                    value = parsed(line, f"{path}, line {number}")
                except FormatError as error:
                    if not partial:
                        raise
                    torn = torn or error
                    if line.endswith(b"\n"):
                        note(f"{path.name}, line {number:,} was left out: {error.reason}")
                    continue
                found += 1
                yield number, value
            if torn is not None and not found:  # it is no log at all
                raise torn
    except OSError as error:
        raise FormatError(path, f"it cannot be read: {error.strerror}") from None


def parsed(data: bytes | str, where: object) -> Any:
    """Return what a JSON text says; text is mended, and NaN is null, where a program wrote such.

    Raises
    ------
    FormatError

    Examples
    --------
    >>> parsed('[1, NaN, "a"]', "chat.json")
    [1, None, 'a']
    """
    if len(data) > MAX_JSON_BYTES * 4:
        raise FormatError(where, f"it has more than {MAX_JSON_BYTES * 4:,} bytes")
    try:
        text = data if isinstance(data, str) else data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FormatError(where, f"it is no UTF-8 text: {error.reason} at byte {error.start:,}") from None
    try:
        return from_json(text, allow_inf_nan=False)
    except ValueError as error:
        reason = str(error)
    try:
        # What the strict parser refuses may be half a character, which other programs write.
        return mend_json(json.loads(text))
    except (ValueError, RecursionError):
        raise FormatError(where, f"it is no JSON: {' '.join(reason.split())[:200]}") from None


@contextmanager
def read_database(path: Path) -> Iterator[sqlite3.Connection]:
    """Open an SQLite file to read it: nothing is written, and nobody is waited for long.

    Raises
    ------
    FormatError
        It is no database, is locked, or is not as it should be; also of what is asked meanwhile.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "logs.db"
    ...     sqlite3.connect(path).execute("CREATE TABLE a(b)").connection.close()
    ...     with read_database(path) as db:
    ...         db.execute("SELECT count(*) FROM a").fetchone()
    (0,)
    """
    if not path.is_file():
        raise FormatError(path, "there is no such file")
    # Where nobody has it open, no file may appear beside it.
    mode = "mode=ro" if path.with_name(f"{path.name}-wal").exists() else "mode=ro&immutable=1"
    url = f"{path.absolute().as_uri()}?{mode}"
    try:
        with closing(sqlite3.connect(url, uri=True, timeout=_BUSY_SECONDS)) as db:
            db.execute("PRAGMA trusted_schema = OFF")
            db.text_factory = lambda data: data.decode("utf-8", "replace")
            yield db
    except sqlite3.Error as error:
        raise FormatError(path, f"it cannot be read as a database: {one_line(str(error))}") from None
    except UnicodeDecodeError:  # what SQLite says of a broken file may quote it
        raise FormatError(path, "it cannot be read as a database: it is damaged") from None


def moment(value: object, *, local: bool = False) -> datetime | None:
    """Return a time that another program wrote: ISO text, or a number since 1970; None where it is neither.

    Seconds, milliseconds and microseconds are told apart by their size.

    Parameters
    ----------
    value : object
    local : bool
        A text without a timezone is of this machine's; else UTC.

    Examples
    --------
    >>> [str(moment(value)) for value in ("2026-01-02T03:04:05Z", 1767323045, 1767323045000)]
    ['2026-01-02 03:04:05+00:00', '2026-01-02 03:04:05+00:00', '2026-01-02 03:04:05+00:00']
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        return _moment_of_text(value, local)
    if not isinstance(value, (int, float)) or not 0 <= value < _LAST * 1_000_000:
        return None
    seconds = float(value)
    while seconds >= _MILLISECONDS:
        seconds /= 1000
    return datetime.fromtimestamp(seconds, UTC)


def _moment_of_text(text: str, local: bool) -> datetime | None:
    try:
        found = datetime.fromisoformat(text.strip())
        if found.tzinfo is None:
            found = found.astimezone() if local else found.replace(tzinfo=UTC)
        return found.astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        return None


def changed_at(path: Path) -> datetime | None:
    """Return when a file was last written: the time of what is said in one that tells none.

    Examples
    --------
    >>> changed_at(Path("/nowhere/chat.json")) is None
    True
    """
    try:
        return moment(path.stat().st_mtime)
    except OSError:
        return None


def text_of(value: object) -> str | None:
    """Return a text that says something, or None.

    Examples
    --------
    >>> text_of("a"), text_of(""), text_of(3)
    ('a', None, None)
    """
    return value if isinstance(value, str) and value else None


def dict_of(value: object) -> dict[str, Any]:
    """Return a JSON object, or an empty one.

    Examples
    --------
    >>> dict_of({"a": 1}), dict_of([])
    ({'a': 1}, {})
    """
    return value if isinstance(value, dict) else {}


def list_of(value: object) -> list[Any]:
    """Return a JSON array, or an empty one.

    Examples
    --------
    >>> list_of([1]), list_of(None)
    ([1], [])
    """
    return value if isinstance(value, list) else []


def count_of(value: object) -> int:
    """Return a count, such as of tokens; 0 where it is none.

    Examples
    --------
    >>> count_of(3), count_of(2.0), count_of(-1), count_of("3"), count_of(None)
    (3, 2, 0, 0, 0)
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 2**53:
        return 0
    return int(value)
