"""Full text over all messages: what was found, where, and how to get there."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from nbsessions.records import SessionRecord, Step, Turn
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


def _shown(backend: Backend, wanted: Wanted, found: Sequence[Found]) -> Iterator[Hit]:
    records = backend.get_all(list({one.key: None for one in found}))
    turns = backend.turns({one.turn_id for one in found})
    messages = {turn_id: readable(turn) for turn_id, turn in turns.items()}
    lines = _lines(backend, records, turns.values())
    for one in found:
        record, said_there = records.get(one.key), messages.get(one.turn_id, [])
        # Between the search and this it may have been deleted, or redacted.
        if record is None or one.place >= len(said_there):
            continue
        turn, message = turns[one.turn_id], said_there[one.place]
        number = turn.total_messages - turn.message_count + one.place + 1
        is_there = one.turn_id in lines[one.key] and number <= record.message_count
        yield Hit(
            session=record,
            number=number if is_there else None,
            role=message.role,
            snippet=snippet(wanted.terms, said(message)),
            score=one.score,
            said_at=from_micros(turn.created_at),
            turn_id=one.turn_id,
        )


def _lines(
    backend: Backend, records: Mapping[Key, SessionRecord], turns: Collection[Turn]
) -> dict[Key, set[str]]:
    """Return the turns that each session stands on, as far up as one of these is."""
    above = min((turn.total_messages for turn in turns), default=0) - 1
    heads = {key: record.head.turn_id for key, record in records.items()}
    steps = backend.ancestors([head for head in heads.values() if head is not None], above=above)
    return {key: _line(steps, head) for key, head in heads.items()}


def _line(steps: Mapping[str, Step], turn_id: str | None) -> set[str]:
    line: set[str] = set()
    while turn_id is not None and turn_id in steps and turn_id not in line:
        line.add(turn_id)
        turn_id = steps[turn_id].parent_id
    return line
