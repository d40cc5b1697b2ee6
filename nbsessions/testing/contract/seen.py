"""What can be seen of a session and of a list, the same on every store: for `machine`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from nbsessions.accounts import TOLD
from nbsessions.exceptions import NbsessionsError, SessionNotFound
from nbsessions.records import Event, Message, Run, SessionRecord
from nbsessions.session import Session
from nbsessions.store import Store

Said = tuple[tuple[str, str], ...]
"""Role and text of each message."""

_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}|\b[0-9a-f]{8}\b")


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
        "sent": [[m.text for item in session.visible(n) for m in item.messages] for n in (1, 3)],
        "place": (session.message_count, session.turn_count, session.state, session.saved),
        "notice": session.notice,
        "turns": [_turn(turn) for turn in session.turns],
        "log": _there(lambda: (_log(session), _runs(session))),
        "documents": _there(lambda: session.backend.documents(session.key)),
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
    data = _untimed(event.data)
    if data.get("name") == TOLD:
        data["value"] = {name: value for name, value in data["value"].items() if name != "at"}
    return event.seq, event.type, masked(json.dumps(data, sort_keys=True))
