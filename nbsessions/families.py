"""The sessions that hang together by forks, and the lines on which their conversations went."""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

from nbsessions.records import Head, SessionRecord
from nbsessions.stores.base import Backend, Key, Query


def root(backend: Backend, record: SessionRecord) -> SessionRecord:
    """Return the eldest session that there is of those that a session comes from.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> session = nbs.open_store("memory:").create("plan")
    >>> root(session.backend, session.fork("b").fork("c").record).name
    'plan'
    """
    seen = {record.session_id}
    while record.parent_session_id is not None and record.parent_session_id not in seen:
        above = backend.get(Key(record.conversation_id or "", record.parent_session_id))
        if above is None:
            return record
        record = above
        seen.add(record.session_id)
    return record


def forks(backend: Backend, eldest: SessionRecord) -> dict[Key, list[SessionRecord]]:
    """Return the forks of a session and of all of those, by the session that each was forked from.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> session = nbs.open_store("memory:").create("plan")
    >>> _ = session.fork("b").fork("c")
    >>> [[fork.name for fork in several] for several in forks(session.backend, session.record).values()]
    [['b'], ['c'], []]
    """
    found: dict[Key, list[SessionRecord]] = {}
    level = [eldest]
    known = {Key.of(eldest)}
    while level:
        query = Query(eldest.conversation_id or "", parents=[record.session_id for record in level])
        own: dict[str | None, list[SessionRecord]] = {record.session_id: [] for record in level}
        for one in sorted(backend.find(query), key=lambda one: (one.created_at, one.session_id)):
            # Whoever gives ids may have made a circle of them; a store of before 0.8 finds others, too.
            if one.parent_session_id in own and Key.of(one) not in known:
                known.add(Key.of(one))
                own[one.parent_session_id].append(one)
        found |= {Key.of(record): own[record.session_id] for record in level}
        level = [one for record in level for one in own[record.session_id]]
    return found


def called(backend: Backend, caller: SessionRecord) -> list[SessionRecord]:
    """Return the sessions in which agents answered the agent of this one, and those who answered them.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> session = nbs.open_store("memory:").create("plan")
    >>> _ = session.send("Hello", agent=lambda prompt: nbs.delegate(lambda prompt: "Hi", prompt))
    >>> [record.agent_name for record in called(session.backend, session.record)]
    ['agent']
    """
    found: dict[Key, SessionRecord] = {}
    conversations = [caller.session_id]
    for conversation in conversations:
        for one in sorted(backend.find(Query(conversation_id=conversation)), key=lambda one: one.created_at):
            found[Key.of(one)] = one
            # Whoever gives ids may have made a circle of them.
            conversations += [] if one.session_id in conversations else [one.session_id]
    return list(found.values())


def is_called(record: SessionRecord) -> bool:
    """Tell whether a session was begun by an agent that asked another; a fork was not.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> is_called(nbs.open_store("memory:").create("plan").fork().record)
    False
    """
    return record.parent_session_id is not None and record.parent_session_id == record.conversation_id


class Line(NamedTuple):
    """One way that a conversation went.

    Attributes
    ----------
    head : Head
        Where it ends.
    messages : int
        How many there are up to there.
    session : SessionRecord
        Whose line it is, or was.
    is_left : bool
        Whether that session stands elsewhere now.
    """

    head: Head
    messages: int
    session: SessionRecord
    is_left: bool = False


class Lines:
    """Where the conversation of a session went more than one way, in this session and in its forks.

    Parameters
    ----------
    backend : Backend
    record : SessionRecord
    above : int
        Only where there are more messages than this: a page of a long conversation needs no more.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> session = nbs.open_store("memory:").create("plan")
    >>> for text in ("Hello", "Where do owls live?"):
    ...     session.add_message({"role": "user", "content": text})
    >>> first, second = (turn.turn_id for turn in session.turns)
    >>> fork = session.fork("other", at=1)
    >>> fork.add_message({"role": "user", "content": "And larks?"})
    >>> lines = Lines(session.backend, session.record)
    >>> len(lines.ways(first)), len(lines.ways(second))
    (1, 2)
    >>> lines.through(lines.ways(second)[1]).session.name
    'other'
    """

    def __init__(self, backend: Backend, record: SessionRecord, *, above: int = -1) -> None:
        eldest = root(backend, record)
        others = [one for several in forks(backend, eldest).values() for one in several]
        family = [record, *(one for one in (eldest, *others) if Key.of(one) != Key.of(record))]
        lines = (Line(one.head, one.message_count, one) for one in family)
        self._lines = [line for line in lines if line.messages > above]
        log = backend.log(Key.of(record), above=above)
        logged = (Line(entry.head, entry.message_count, record, True) for entry in log)
        known = {line.head.turn_id for line in self._lines}
        for line in logged:
            if line.head.turn_id not in known:
                known.add(line.head.turn_id)
                self._lines.append(line)
        self._steps = backend.ancestors([tip for tip in known if tip is not None], above=above)
        self._ways: dict[str | None, list[str]] = defaultdict(list)
        for step in sorted(self._steps.values(), key=lambda step: step.turn_id):
            self._ways[step.parent_id].append(step.turn_id)

    def ways(self, turn_id: str) -> list[str]:
        """Return the turns that follow the parent of this one, itself among them, oldest first."""
        step = self._steps.get(turn_id)
        return [turn_id] if step is None else self._ways[step.parent_id]

    def through(self, turn_id: str) -> Line | None:
        """Return the line that a turn lies on: this session's, else a fork's, else one that was left.

        None where there is none, as after a fork was deleted.
        """
        return next((line for line in self._lines if self._is_on(turn_id, line.head.turn_id)), None)

    def _is_on(self, turn_id: str, tip: str | None) -> bool:
        if turn_id not in self._steps:
            return False
        wanted = self._steps[turn_id].depth
        while tip is not None and tip in self._steps and self._steps[tip].depth >= wanted:
            if tip == turn_id:
                return True
            tip = self._steps[tip].parent_id
        return False
