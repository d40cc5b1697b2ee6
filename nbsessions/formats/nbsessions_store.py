"""Another store of ours, in an SQLite file or in a folder: its sessions, whoever's they are."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from shutil import copyfileobj
from tempfile import TemporaryDirectory
from typing import BinaryIO
from urllib.parse import quote

from nbsessions.bundles import gather
from nbsessions.exceptions import FormatError, InvalidInput, SessionError, SessionExists, StoreError
from nbsessions.formats.base import Format, Peek, note
from nbsessions.formats.reading import read_database
from nbsessions.stores import open_backend
from nbsessions.stores.arguments import Bundle, Key
from nbsessions.stores.queries import Query


def read(path: Path) -> Iterator[Bundle]:
    """Yield the sessions of a store, of a copy of it: a store of an earlier version stays as it is.

    Raises
    ------
    FormatError

    Examples
    --------
    >>> import nbsessions as nbs, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "agents.db"
    ...     with nbs.open_store(path) as store:
    ...         _ = store.create("plan")
    ...     [bundle.record.name for bundle in read(path)]
    ['plan']
    """
    if path.is_dir():
        yield from _sessions(f"file:{quote(str(path))}", path)
        return
    with TemporaryDirectory(prefix="nbsessions-") as folder:
        copy = Path(folder) / "store.db"
        with read_database(path) as db, closing(sqlite3.connect(copy)) as other:
            db.backup(other)
        yield from _sessions(str(copy), path)


def write(bundles: Iterable[Bundle], file: BinaryIO) -> None:
    """Write sessions as a store of their own, in an SQLite file that can be opened like any other.

    Raises
    ------
    InvalidInput
        Two of them have the same name, and cannot stand in one store of one owner.

    Examples
    --------
    >>> from io import BytesIO
    >>> file = BytesIO()
    >>> write([], file)
    >>> file.getvalue()[:15]
    b'SQLite format 3'
    """
    with TemporaryDirectory(prefix="nbsessions-") as folder:
        path = Path(folder) / "store.db"
        with closing(open_backend(path)) as backend:
            for bundle in bundles:
                try:
                    backend.restore(bundle)
                except SessionExists as error:
                    raise InvalidInput(f"Two of them are called {error.ref!r}: rename one first.") from None
        with open(path, "rb") as made:
            copyfileobj(made, file)


def _sessions(url: str, path: Path) -> Iterator[Bundle]:
    try:
        backend = open_backend(url)
    except StoreError as error:
        raise FormatError(path, str(error).replace(url, "it")) from None
    with closing(backend):
        # Forks come after what they began from.
        for record in backend.find(Query(conversation_id=None))[::-1]:
            try:
                yield gather(backend, Key.of(record))
            except (SessionError, StoreError) as error:  # others may be at work in a folder
                note(f"{record.label} stays behind: {error}")


def _guess(peek: Peek) -> bool:
    return {"turns", "sessions", "heads", "states"} <= peek.tables or is_folder(peek.path)


def is_folder(path: Path) -> bool:
    """Tell whether a folder is a store of the kind ``file:``.

    Examples
    --------
    >>> is_folder(Path("/nowhere"))
    False
    """
    try:
        return (path / ".nbsessions" / "journal").is_file()
    except OSError:  # whoever may not look into it finds no store
        return False


FORMAT = Format(
    name="store",
    help="Another store of nbsessions: an SQLite file, or a folder. Comes out as an SQLite file.",
    suffixes=(".db", ".sqlite", ".sqlite3"),
    read=read,
    write=write,
    guess=_guess,
)
