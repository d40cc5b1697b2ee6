"""Full text over all messages: what was found, where, and how to get there."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from nbsessions.records import Head, Message, SessionRecord, Step, Turn
from nbsessions.stores._scan import readable
from nbsessions.stores.base import Backend, Found, Key, Query, Wanted
from nbsessions.values import from_micros
from nbsessions.words import said, snippet


class Hit(NamedTuple):
    """One message that a search found.

    Attributes
    ----------
    session : SessionRecord
        Where it was said or, where that was deleted, a fork of it.
    number : int or None
        Which message of the session it is, from 1, as ``rewind`` and ``fork --at`` count. None: the
        session has left it behind, by a rewind or an undo.
    role : str
    snippet : str
        The text around the first word that was found, on one line.
    score : float
        Higher is better; comparable within one search only.
    said_at : datetime
        When its turn was committed. Timezone-aware, UTC.
    turn_id : str

    Examples
    --------
    >>> import nbsessions as nbs
    >>> store = nbs.open_store("memory:")
    >>> store.create("plan").add_message({"role": "user", "content": "Where does the owl live?"})
    >>> hit = store.search("owl")[0]
    >>> hit.session.name, hit.number, hit.snippet
    ('plan', 1, 'Where does the owl live?')
    """

    session: SessionRecord
    number: int | None
    role: str
    snippet: str
    score: float
    said_at: datetime
    turn_id: str


def find_messages(backend: Backend, wanted: Wanted, within: SessionRecord | None = None) -> list[Hit]:
    """Return the messages that hold all terms, best first.

    Parameters
    ----------
    backend : Backend
    wanted : Wanted
    within : SessionRecord or None
        Only the messages that this session has now, those of its parents among them.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> from nbsessions.words import parse
    >>> find_messages(nbs.open_store("memory:").backend, Wanted(parse("owl")))
    []
    """
    if within is None:
        found = backend.search(wanted)
    else:
        # What it shares with others may have been said in any of them.
        anywhere = Query(conversation_id=None, limit=wanted.sessions.limit)
        on_its_way = backend.search(wanted._replace(sessions=anywhere, up_to=within.head))
        found = [one._replace(key=Key.of(within)) for one in on_its_way]
    return list(_shown(backend, wanted, found))


def _shown(backend: Backend, wanted: Wanted, found: Iterable[Found]) -> Iterable[Hit]:
    records: dict[Key, SessionRecord | None] = {}
    lines: dict[Key, dict[str, Step]] = {}
    turns: dict[str, tuple[Turn | None, list[Message]]] = {}
    for one in found:
        if one.key not in records:
            records[one.key] = backend.get(one.key)
        if one.turn_id not in turns:
            read = backend.turn(one.turn_id)
            turns[one.turn_id] = (read, [] if read is None else readable(read))
        record, (turn, messages) = records[one.key], turns[one.turn_id]
        message = messages[one.place] if one.place < len(messages) else None
        # Between the search and this it may have been deleted, or redacted.
        if record is None or turn is None or message is None:
            continue
        if one.key not in lines:
            lines[one.key] = _steps(backend, record.head)
        yield Hit(
            session=record,
            number=_number(record, lines[one.key].get(one.turn_id), one.place),
            role=message.role,
            snippet=snippet(wanted.terms, said(message)),
            score=one.score,
            said_at=from_micros(turn.created_at),
            turn_id=one.turn_id,
        )


def _steps(backend: Backend, head: Head) -> dict[str, Step]:
    return backend.ancestors([] if head.turn_id is None else [head.turn_id])


def _number(record: SessionRecord, step: Step | None, place: int) -> int | None:
    if step is None:
        return None
    number = step.total_messages - step.message_count + place + 1
    return number if number <= record.message_count else None
