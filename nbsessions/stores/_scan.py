"""Search by reading all that there is: for stores without an index of words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from nbsessions.codecs import codec
from nbsessions.exceptions import InvalidInput
from nbsessions.hashes import is_intact
from nbsessions.records import Message, Turn
from nbsessions.stores.base import Found, Key, Query, Wanted
from nbsessions.words import count, said, words

if TYPE_CHECKING:
    from nbsessions.stores.base import Backend

_SCAN = 1_000


def search(backend: Backend, wanted: Wanted) -> list[Found]:
    """Return the messages that hold all terms, best first; of equal ones, the newest first."""
    whose = _whose(backend)
    meant = {Key.of(record) for record in backend.find(wanted.sessions._replace(limit=None))}
    end = wanted.up_to
    on_the_way = None if end is None else backend.ancestors([end.turn_id] if end.turn_id else [])
    found: list[Found] = []
    for turn in all_turns(backend):
        key = whose.get(turn.turn_id)
        if key not in meant or key is None or not (on_the_way is None or turn.turn_id in on_the_way):
            continue
        most = end.keep if end is not None and end.turn_id == turn.turn_id else None
        for place, message in enumerate(readable(turn)[:most]):
            if wanted.role in (None, message.role):
                text = words(said(message))
                score = count(wanted.terms, text) / (len(text) + 20)
                found += [Found(turn.turn_id, place, key, score)] if score else []
    found.reverse()
    return sorted(found, key=lambda hit: -hit.score)[: wanted.sessions.limit]


def all_turns(backend: Backend) -> Iterator[Turn]:
    """Yield all turns of a store, in the order in which they were stored."""
    found = backend.scan(0, _SCAN)
    while found:
        yield from (turn for _, turn in found)
        found = backend.scan(found[-1][0], _SCAN)


def readable(turn: Turn) -> list[Message]:
    """Return the messages of a turn; none where it is damaged, or nobody here reads its codec."""
    if not is_intact(turn):
        return []
    try:
        return codec(turn.codec).view(turn.body)
    except (InvalidInput, ValueError):
        return []


def _whose(backend: Backend) -> dict[str, Key]:
    """Return in which session each turn was committed or, where that is gone, one that has it."""
    whose: dict[str, Key] = {}
    records = sorted(backend.find(Query(conversation_id=None)), key=lambda record: record.created_at)
    for record in records:
        key = Key.of(record)
        for entry in reversed(backend.log(key)):
            if entry.head.turn_id is not None:
                whose.setdefault(entry.head.turn_id, key)
    for record in records:
        tips = [head.turn_id for head in (record.head, record.draft) if head and head.turn_id]
        for turn_id in backend.ancestors(tips):
            whose.setdefault(turn_id, Key.of(record))
    return whose
