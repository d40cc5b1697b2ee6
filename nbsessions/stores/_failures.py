"""What SQLite and the file system say when they fail, as one clear line."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NoReturn

from nbsessions.exceptions import SessionExists, StoreUnavailable

FAILURES: Final = (sqlite3.Error, OSError, UnicodeDecodeError)


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Raise what fails inside as an error of ours.

    Examples
    --------
    >>> with explained(Path("x.db")):
    ...     raise sqlite3.OperationalError("database or disk is full")
    Traceback (most recent call last):
    nbsessions.exceptions.StoreUnavailable: The disk of the store x.db is full: nothing was saved. ...
    """
    try:
        yield
    except FAILURES as error:
        explain(path, error)


def explain(path: Path, error: sqlite3.Error | OSError | UnicodeDecodeError) -> NoReturn:
    """Raise `error` as one of ours, which names the store and says what to do.

    Raises
    ------
    SessionExists, StoreUnavailable
    """
    if isinstance(error, StoreUnavailable):  # which is an OSError, and has its text
        raise error
    if isinstance(error, sqlite3.IntegrityError):
        if "sessions." in str(error):
            raise SessionExists("of this name") from error
        raise StoreUnavailable(f"The store {path} refused a write: {error}.") from error
    if not isinstance(error, OSError):
        raise StoreUnavailable(reason(path, str(error))) from error
    if error.errno in (errno.EROFS, errno.EACCES) and path.exists():
        raise StoreUnavailable(reason(path, "readonly")) from error
    raise StoreUnavailable(f"Cannot open the store {path}: {error.strerror}.") from error


def reason(path: Path | str, message: str) -> str:
    """Return what SQLite said as a line that names the store and says what to do.

    Examples
    --------
    >>> reason(Path("x.db"), "attempt to write a readonly database")
    'The store x.db is read-only: nothing was saved. `store` chooses another.'
    """
    if "readonly" in message:
        return f"The store {path} is read-only: nothing was saved. `store` chooses another."
    if "full" in message:
        return f"The disk of the store {path} is full: nothing was saved. Free some space and try again."
    if "locked" in message:
        return f"The store {path} is locked by another program: nothing was saved. Try again."
    if "unable to open" in message:
        return f"Cannot open the store {path}: no such file, or no permission."
    if any(word in message for word in ("not a database", "malformed", "no such", "decode", "corrupt")):
        return f"{path} is damaged, or no database: {message}. It was left untouched."
    return f"The store {path} failed: {message}."
