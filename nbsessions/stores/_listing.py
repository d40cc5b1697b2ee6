"""A page of sessions: what is searched for in what they are called, and how they are put in order."""

from __future__ import annotations

import string
from collections.abc import Callable, Iterable
from typing import Any, Final

from nbsessions.records import SessionPage, SessionRecord
from nbsessions.stores.arguments import Key
from nbsessions.stores.queries import Listing, Order

ALSO: Final = 500
"""So many keys can be among what a listing asks for."""
TEXTS: Final = ("name", "agent_name", "owner", "model")
"""What is put in the order of the alphabet."""
_LOWER: Final = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


def lower(text: str) -> str:
    """Return a text with A to Z as a to z, and all else as it was: what every database can do.

    Examples
    --------
    >>> lower("ÄRGER 7B")
    'Ärger 7b'
    """
    return text.translate(_LOWER)


def spellings(word: str) -> list[str]:
    """Return the ways to write a word, one of which is looked for in what `lower` gives.

    Examples
    --------
    >>> spellings("Plan"), spellings("Übung")
    (['plan'], ['Übung', 'übung'])
    """
    return list(dict.fromkeys(lower(way) for way in (word, word.lower(), word.upper(), word.capitalize())))


def words(text: str) -> list[list[str]]:
    """Return the words of a text, each once, with the ways to write it; a NUL is in nothing that is called.

    Examples
    --------
    >>> words("Plan b  plan\\0Plan")
    [['plan'], ['b']]
    """
    found = dict.fromkeys(tuple(spellings(word)) for word in text.replace("\0", " ").split())
    return [list(ways) for ways in found]


def listed(records: Iterable[SessionRecord], asked: Listing) -> SessionPage:
    """Return the page of records that a listing asks for.

    Parameters
    ----------
    records : iterable of SessionRecord
        Those that its query names, most recently updated first.
    asked : Listing

    Examples
    --------
    >>> import nbsessions as nbs
    >>> store = nbs.open_store("memory:")
    >>> _ = store.create("plan"), store.create("essay", tags=["planned"]), store.create("owls")
    >>> page = listed(store.list(), Listing(text="plan", order="name", descending=False, limit=1))
    >>> page.total, page[0].name
    (2, 'essay')
    """
    wanted = words(asked.text)
    also = {*asked.also}
    found = [record for record in records if _is_called(record, wanted) or Key.of(record) in also]
    value = _ORDERS[asked.order]
    has, has_none = [r for r in found if value(r) is not None], [r for r in found if value(r) is None]
    has.sort(key=value, reverse=asked.descending)
    page = [*has, *has_none][asked.offset : asked.offset + asked.limit]
    return SessionPage(page, len(found))


def _is_called(record: SessionRecord, wanted: list[list[str]]) -> bool:
    called = [record.name or "", record.session_id, record.agent_name, *record.tags]
    texts = [lower(text) for text in called]
    return all(any(way in text for way in ways for text in texts) for ways in wanted)


def _text(text: str | None) -> str | None:
    return None if text is None else lower(text)


_ORDERS: Final[dict[Order, Callable[[SessionRecord], Any]]] = {
    "updated_at": lambda record: record.updated_at,
    "created_at": lambda record: record.created_at,
    "name": lambda record: _text(record.name),
    "agent_name": lambda record: _text(record.agent_name),
    "owner": lambda record: _text(record.owner),
    "model": lambda record: _text(record.model),
    "message_count": lambda record: record.message_count,
    "turn_count": lambda record: record.turn_count,
    "total_tokens": lambda record: record.total_tokens,
    "cost": lambda record: record.usage.cost,
}
