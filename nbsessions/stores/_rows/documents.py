"""Documents of sessions: their statements, and the way from rows to them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from nbsessions.exceptions import DamagedSession
from nbsessions.stores._rows.checks import crc, insert, marks
from nbsessions.stores.base import Document, Documents

FIND: Final = "SELECT id, name FROM documents WHERE session = ? AND collection = ? AND name IN "
ANY: Final = (
    "SELECT s.document_count, EXISTS (SELECT 1 FROM documents d WHERE d.session = s.id) FROM sessions s "
    "WHERE s.conversation_id = ? AND s.session_id = ?"
)
"""How many documents a session says that it has, and whether there is one."""
INSERT: Final = insert("documents", ("session", "collection", "name", "body", "crc"))
REPLACE: Final = "UPDATE documents SET body = ?, crc = ? WHERE id = ?"
DELETE: Final = "DELETE FROM documents WHERE id IN "
_SELECT: Final = "SELECT id, collection, name, body, crc FROM documents WHERE session = ?"
_AT_ONCE: Final = 500
_LAST: Final = "\U0010ffff"


def values(session: int, document: Document) -> tuple[Any, ...]:
    """Return the parameters of `INSERT`."""
    return (session, *document, crc(*document, session))


def document(where: str, session: int, row: Sequence[Any]) -> Document:
    """Return the document of a row.

    Raises
    ------
    DamagedSession
    """
    _, *found, own_crc = row
    if own_crc != crc(*found, session):
        raise DamagedSession(where, "documents")
    return Document(*found)


def place(row: Sequence[Any]) -> tuple[str, str]:
    """Return what documents are put in order by."""
    return row[1], row[2]


def selects(session: int, asked: Documents) -> Iterator[tuple[str, list[Any]]]:
    """Yield the statements, with their parameters, that find documents; several where many are named."""
    conditions = {
        " AND collection = ?": asked.collection,
        " AND name >= ?": asked.prefix or None,
        " AND name < ?": after(asked.prefix),
        # In brackets, because each is a key here.
        " AND (name < ?)": asked.before,
    }
    where = "".join(text for text, value in conditions.items() if value is not None)
    params = [session, *(value for value in conditions.values() if value is not None)]
    way = " DESC" if asked.descending else ""
    order = f" ORDER BY collection{way}, name{way}"
    limit = "" if asked.limit is None else f" LIMIT {int(asked.limit)}"
    if asked.names is None:
        yield f"{_SELECT}{where}{order}{limit}", params
        return
    names = sorted({*asked.names}, reverse=asked.descending)
    for start in range(0, len(names), _AT_ONCE):
        part = names[start : start + _AT_ONCE]
        yield f"{_SELECT}{where} AND name IN ({marks(len(part))}){order}{limit}", [*params, *part]


def after(prefix: str) -> str | None:
    """Return the first text that comes after all that begin with `prefix`; None where there is none.

    Examples
    --------
    >>> after("run/"), after(""), after("a\U0010ffff"), after("\ud7ff")
    ('run0', None, 'b', '\ue000')
    """
    kept = prefix.rstrip(_LAST)
    if not kept:
        return None
    following = ord(kept[-1]) + 1
    # What stands between these is no character.
    return kept[:-1] + chr(0xE000 if following == 0xD800 else following)
