"""A store of ours in one SQLite file: its sessions, whoever's they are."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

from nbsessions.bundles import gather
from nbsessions.exceptions import FormatError, StoreError
from nbsessions.formats.base import Format, Peek, note
from nbsessions.formats.reading import read_database
from nbsessions.stores import open_backend
from nbsessions.stores.arguments import Bundle, Key, Query


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
    with TemporaryDirectory(prefix="nbsessions-") as folder:
        copy = Path(folder) / "store.db"
        with read_database(path) as db, closing(sqlite3.connect(copy)) as other:
            db.backup(other)
        try:
            backend = open_backend(copy)
        except StoreError as error:
            raise FormatError(path, str(error).replace(str(copy), "it")) from None
        with closing(backend):
            # Forks come after what they began from.
            for record in backend.find(Query(conversation_id=None))[::-1]:
                try:
                    yield gather(backend, Key.of(record))
                except StoreError as error:
                    note(f"{record.label} stays behind: {error}")


def _guess(peek: Peek) -> bool:
    return {"turns", "sessions", "heads", "states"} <= peek.tables


FORMAT = Format(
    name="store",
    help="Another store of nbsessions, in one SQLite file.",
    suffixes=(".db", ".sqlite", ".sqlite3"),
    read=read,
    guess=_guess,
)
