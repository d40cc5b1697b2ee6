"""What a session is, in the plainest way, and what can be seen of one: for `machine`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from nbsessions.exceptions import NbsessionsError, SessionNotFound
from nbsessions.records import Event, Message, Run, SessionRecord
from nbsessions.session import Session
from nbsessions.store import Store

Said = tuple[tuple[str, str], ...]
"""Role and text of each message."""

_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}|\b[0-9a-f]{8}\b")


@dataclass
class Plain:
    """A session: all that was said, each time it moved, and the steps of its draft."""

    past: list[Said]
    draft: list[Said] = field(default_factory=list)
    base: Said = ()
    """What the draft began from."""
    sure: bool = True
    """Whether all its moves were such as this model knows."""
    gone: bool = False


class Handle:
    """One session as one notebook holds it, on both stores, and what it must say."""

    def __init__(self, mine: Session, theirs: Session, plain: Plain) -> None:
        self.mine, self.theirs, self.plain = mine, theirs, plain
        self.said: Said = ()
        self.base: Said = ()
        """What the saved head said, when this handle last saw it."""

    def __repr__(self) -> str:
        return f"<{self.mine.name!r}: {len(self.said)} messages>"

    @property
    def drafts(self) -> bool:
        """Whether it stands on a draft."""
        return not self.mine.saved

    def stand(self) -> None:
        """Stand where the session is now."""
        if not self.plain.sure:
            self.said = said_by(self.mine.messages)
            self.base = ()
        elif self.drafts:
            self.said, self.base = self.plain.draft[-1], self.plain.base
        else:
            self.said = self.base = self.plain.past[-1]

    def moved(self, said: Said, *, forked: bool) -> None:
        """Note a move that went through; `forked`: onto a fork, because another writer was first."""
        if forked:
            self._fork(self.said, said)
        elif self.drafts:
            if not self.plain.draft:
                self.plain.base = self.base
            self.plain.draft.append(said)
            self.said = said
        else:
            self.plain.past.append(said)
            self.said = self.base = said

    def _fork(self, base: Said, said: Said) -> None:
        self.plain = Plain([base, said])
        self.said = self.base = said

    def saved(self, *, forked: bool) -> None:
        """Note that the draft was saved."""
        if forked:
            # Whether the session still has the draft depends on who else went on from it.
            self.plain.sure = False
            self._fork(self.base, self.said)
            return
        self.plain.past.append(self.said)
        self.plain.draft.clear()
        self.base = self.said

    def undone(self) -> Said | None:
        """Return what it says after an undo; None where the plain model does not know."""
        plain = self.plain
        if not plain.sure or (not self.mine.autosave and not self.drafts):
            return None
        if self.drafts:
            below = plain.draft[-2] if len(plain.draft) > 1 else self.base
            return below if plain.draft and plain.draft[-1] == self.said else None
        return plain.past[-2] if len(plain.past) > 1 and plain.past[-1] == self.said else None

    def take_back(self, expected: Said | None, *, drafted: bool, forked: bool) -> None:
        """Note an undo that went through; `drafted`: it stood on a draft before."""
        said = said_by(self.mine.messages)
        if forked:
            self._fork(self.said, said)
        elif expected is None:
            self.plain.sure = False
            self.said = said
        elif drafted:
            self.plain.draft.pop()
            self.said = expected
        else:
            self.plain.past.pop()
            self.said = self.base = expected

    def check(self, session: Session) -> None:
        """Hold one of its two sessions against the model."""
        assert said_by(session.messages) == self.said
        assert session.message_count == len(self.said)
        assert session.turn_count == sum(role == "user" for role, _ in self.said)

    def check_cold(self, session: Session) -> None:
        """Hold a handle that has read nothing yet against the model."""
        if not self.plain.sure:
            return
        said = self.plain.past[-1]
        for limit in (1, 3):
            assert said_by(session.history(limit)) == said[-limit:]
        assert said_by(m for item in session.visible() for m in item.messages) == said
        assert said_by(session.messages) == said
        assert session.message_count == len(said)
        assert session.turn_count == sum(role == "user" for role, _ in said)


class Outcome(NamedTuple):
    """What a call gave: a value, or the error of ours that it raised."""

    value: Any
    error: str | None
    text: str

    @property
    def told(self) -> tuple[str | None, str]:
        """What must be the same on both stores."""
        return self.error, masked(self.text)


def attempted(call: Callable[[], object]) -> Outcome:
    """Return what a call gives or raises.

    Examples
    --------
    >>> attempted(lambda: "Hello").told
    (None, 'Hello')
    """
    try:
        value = call()
    except NbsessionsError as error:
        return Outcome(None, type(error).__name__, str(error))
    return Outcome(value, None, str(value) if isinstance(value, (str, bool)) else "")


def masked(text: str) -> str:
    """Return a text without the ids, which are others on each store.

    Examples
    --------
    >>> from nbsessions.values import new_id
    >>> masked(f"No run {new_id()}.")
    'No run <id>.'
    """
    return _ID.sub("<id>", text)


def said_by(messages: Iterable[Message]) -> Said:
    """Return role and text of each message.

    Examples
    --------
    >>> said_by([Message(role="user", content="Hello")])
    (('user', 'Hello'),)
    """
    return tuple((message.role, message.text) for message in messages)


def shown(session: Session) -> dict[str, object]:
    """Return all that a person can see of a session through a handle, but ids and times.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> session = nbs.open_store("memory:").create("plan")
    >>> shown(session)["log"]
    ([('create', 'create', 0, 0, '{}', False, None)], [])
    """
    return {
        "record": _record(session.record),
        "messages": [_untimed(message.to_dict()) for message in session.messages],
        "place": (session.message_count, session.turn_count, session.state, session.saved),
        "notice": session.notice,
        "turns": [_turn(turn) for turn in session.turns],
        "log": _there(lambda: (_log(session), _runs(session))),
    }


def listed(store: Store) -> dict[str, object]:
    """Return all that a person can see of a store's list.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> listed(nbs.open_store("memory:"))["all"]
    []
    """
    records = store.list(None)
    names = {record.session_id: record.name for record in records}
    return {
        "all": [(_record(record), names.get(record.parent_session_id or "")) for record in records],
        "first": [record.name for record in store.list(1)],
        "tagged": [record.name for record in store.list(None, tag="a")],
        "latest": _there(lambda: store.record("latest").name),
    }


def _there(call: Callable[[], object]) -> object:
    """Return what a call gives; nothing where the session is gone."""
    try:
        return call()
    except SessionNotFound:
        return None


_OTHERS = {"session_id", "created_at", "updated_at", "head", "draft", "parent_session_id"}
_OTHER_RUNS = {
    "run_id",
    "session_id",
    "turn_id",
    "base",
    "started_at",
    "finished_at",
    "worker",
    "lease_until",
}


def _record(record: SessionRecord) -> object:
    drafted = record.draft is not None
    cut = (record.head.turn_id is None, record.head.keep)
    return record.model_dump(exclude=_OTHERS), drafted, cut, record.updated_at >= record.created_at


def _untimed(message: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in message.items() if name != "timestamp"}


def _turn(turn: Any) -> object:
    counts = (turn.message_count, turn.total_messages, turn.total_turns, turn.depth)
    body = "" if turn.codec == "chat" else turn.body  # which holds times
    return (*counts, turn.codec, turn.has_system, turn.cell_id, body)


def _log(session: Session) -> list[object]:
    entries = session.log()
    places = {entry.entry_id: place for place, entry in enumerate(reversed(entries))}
    return [
        (e.action, e.done, e.message_count, e.turn_count, e.state, e.draft, places.get(e.before or 0))
        for e in entries
    ]


def _run(run: Run) -> object:
    return run.model_dump(exclude=_OTHER_RUNS), run.turn_id is None, run.base.turn_id is None, run.base.keep


def _runs(session: Session) -> list[object]:
    return [
        (_run(run), [_event(event) for event in session.run_events(run.run_id)]) for run in session.runs()
    ]


def _event(event: Event) -> object:
    return event.seq, event.type, masked(json.dumps(_untimed(event.data), sort_keys=True))
