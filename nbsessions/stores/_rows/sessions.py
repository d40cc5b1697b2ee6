"""Sessions: their statements, and the way from rows to records."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, lru_cache
from typing import Any, NamedTuple

from pydantic_core import from_json

from nbsessions.exceptions import DamagedSession
from nbsessions.records import Head, LogEntry, SessionRecord, Usage, trusted
from nbsessions.stores._rows.checks import (
    Sealed,
    crc,
    crc_of,
    insert,
    is_sealed,
    is_written,
    read_state,
    tell,
)
from nbsessions.stores._rows.schema import COUNTS, DOCUMENT_COUNT, USAGE
from nbsessions.stores._rows.spent import usage, usage_values
from nbsessions.stores._rows.turns import Tip
from nbsessions.stores.base import Finish, Query
from nbsessions.values import encode_json, from_micros, micros

STILL = (
    "session_id",
    "conversation_id",
    "name",
    "agent_name",
    "owner",
    "tags",
    "created_at",
    "metadata",
    "notebook",
    "parent_session_id",
)
"""What names a session and seldom changes: its checksum is `crc`."""
MOVED = (
    "entry",
    "draft_entry",
    "state",
    "head_turn",
    "head_keep",
    "message_count",
    "turn_count",
    *USAGE,
    "cost",
    "model",
    "updated_at",
    *COUNTS,
    "unpriced_tokens",
    DOCUMENT_COUNT,
)
"""What moves and runs change: its checksum is `moved_crc`."""
_ADDED = 2
"""So many of them, one with each schema since, are no part of the checksums of schema 3."""
INSERT_SESSION = insert("sessions", (*STILL, "crc", *MOVED, "moved_crc"))
_STILL = slice(1, 1 + len(STILL))
_CRC = _STILL.stop
_MOVED = slice(_CRC + 1, _CRC + 1 + len(MOVED))
_MOVED_CRC = _MOVED.stop
_STATE = slice(_MOVED_CRC + 1, _MOVED_CRC + 3)
_TIP = slice(_STATE.stop, None)
_DRAFT = _MOVED.start + MOVED.index("draft_entry")
_COLUMNS = ", ".join(f"s.{column}" for column in ("id", *STILL, "crc", *MOVED, "moved_crc"))
_FOUND = f"SELECT {_COLUMNS}, st.body, st.crc"
_FROM = " FROM sessions s LEFT JOIN states st ON st.id = s.state"
SELECT_SESSION = _FOUND + _FROM
# With the turn that the next one is put on.
SELECT_STAND = (
    f"{_FOUND}, ht.id, ht.has_system, ht.system{_FROM} LEFT JOIN turns ht ON ht.turn_id = s.head_turn"
)
# When it was changed last, in microseconds.
SELECT_UPDATED = "SELECT s.id, s.session_id, s.conversation_id, s.updated_at FROM sessions s"
BY_KEY = " WHERE s.conversation_id = ? AND s.session_id = ?"
NUMBER = f"SELECT s.id, s.conversation_id, s.session_id FROM sessions s{BY_KEY}"
BY_IDS = " WHERE s.session_id IN "
# So that a name can go from one session to another in one transaction.
FREE_NAME = "UPDATE sessions SET name = NULL WHERE id = ?"
# What a new session must not be, and the turn that it stands on, at once.
PLACE = (
    "SELECT (SELECT session_id FROM sessions WHERE conversation_id = ? AND session_id = ?), "
    "(SELECT name FROM sessions WHERE owner = ? AND agent_name = ? AND conversation_id = ? AND name = ?), "
    "(SELECT id FROM turns WHERE turn_id = ?)"
)
NAMED = (
    "SELECT session_id FROM sessions WHERE owner = ? AND agent_name = ? AND conversation_id = ? "
    "AND name = ? AND session_id <> ?"
)
# To each, the numbers of rows are added.
DELETE_TOLD = ("DELETE FROM events WHERE run IN ", "DELETE FROM progress WHERE run IN ")
DELETE_SESSIONS = (
    "DELETE FROM key_values WHERE session IN ",
    "DELETE FROM documents WHERE session IN ",
    "DELETE FROM heads WHERE session IN ",
    "DELETE FROM sessions WHERE id IN ",
)
# No index leads to these: each of them takes a look at a whole table.
DELETE_LINKS = ("DELETE FROM visits WHERE session IN ", "DELETE FROM search_links WHERE session IN ")


def session_values(record: SessionRecord, state: int) -> tuple[Any, ...]:
    """Return the values of a new row of `sessions`, whose state has this number."""
    still = _still(record)
    head, counts = (*record.head,), (record.message_count, record.turn_count)
    # Where it stands is its first entry, until it moves.
    moved = (None, None, state, *head, *counts, *usage_values(record.usage), record.model)
    moved += (micros(record.updated_at), 1, 0, 0, 0, record.usage.unpriced_tokens, 0)
    return (*still, crc(*still), *moved, crc(*moved))


def _still(record: SessionRecord) -> tuple[Any, ...]:
    return (
        record.session_id,
        record.conversation_id or "",
        record.name,
        record.agent_name,
        record.owner,
        encode_json(record.tags, "tags"),
        micros(record.created_at),
        encode_json(record.metadata, "metadata"),
        record.notebook,
        record.parent_session_id,
    )


Drafts = Mapping[int | None, Sequence[Any]]
"""Rows of `heads.SELECT_DRAFTS`, without the id that each is found by."""


class Draft(NamedTuple):
    """Of the log entry of a draft: the number of its state, and the saved entry that it began from."""

    state: int
    base: int | None


class Stand:
    """A row of `SELECT_STAND`: a session, as it is read, changed and written back.

    Raises
    ------
    DamagedSession
        Its state is not what was written.
    """

    def __init__(self, row: Sequence[Any], drafts: Drafts) -> None:
        self.number = int(row[0])
        self.tip = Tip(*row[_TIP])
        self._still = (row[_STILL], row[_CRC])
        self.moved = Sealed("sessions", MOVED, self.number, row[_MOVED], row[_MOVED_CRC], "moved_crc", _ADDED)
        self.state = read_state(row[1], self.moved["state"], row[_STATE])
        found = drafts.get(row[_DRAFT])
        self.draft = None if found is None else Draft(found[8], found[11])
        self.draft_head = _draft(row[1], row[_DRAFT], drafts)

    def stand(self, entry: int, head: Head, counts: tuple[int, int], state: int, body: str | None) -> None:
        """Set where what is saved stands; `body` is the state, where that is another than before."""
        self.moved.set(entry=entry, state=state, head_turn=head.turn_id, head_keep=head.keep)
        self.moved.set(message_count=counts[0], turn_count=counts[1])
        if body is not None:
            self.state = body

    def stand_draft(self, entry: int | None, head: Head | None) -> None:
        """Set where the draft stands, or that there is none."""
        self.moved.set(draft_entry=entry)
        self.draft_head = head

    @property
    def name(self) -> str | None:
        """What it is called in the database."""
        name: str | None = self._still[0][STILL.index("name")]
        return name

    @property
    def head(self) -> Head:
        """Where what is saved stands."""
        return Head(self.moved["head_turn"], self.moved["head_keep"])

    def record(self) -> SessionRecord:
        """Return the session as it is now."""
        return _record(self._still[0], (*self.moved.values.values(),), self.state, self.draft_head)

    def changed(self, record: SessionRecord) -> list[Sealed]:
        """Return the parts of the row that are to be written, with what people can change."""
        still = Sealed("sessions", STILL, self.number, *self._still)
        # What is written again as it was costs a new entry in each index that it is in.
        found = dict(zip(STILL, _still(record), strict=True))
        changes = {column: value for column, value in found.items() if value != still[column]}
        still.set(**changes)
        self.moved.set(model=record.model, updated_at=micros(record.updated_at))
        return [still, self.moved] if changes else [self.moved]

    def spend(self, finish: Finish, usage: Usage) -> None:
        """Add what a run spent; it may have ended before the session's last change."""
        self._add(usage, 1)
        changes = {} if finish.model is None else {"model": finish.model}
        self.moved.set(**changes, updated_at=max(self.moved["updated_at"], finish.finished_at))

    def take_back(self, usage: Usage) -> None:
        """Count a run, which spent this and goes on, no longer."""
        self._add(usage, -1)
        self.moved.add(ended_run_count=-1)

    def _add(self, usage: Usage, sign: int) -> None:
        *tokens, cost = usage_values(usage)
        moved = self.moved
        changes = {column: moved[column] + sign * count for column, count in zip(USAGE, tokens, strict=True)}
        changes["unpriced_tokens"] = moved["unpriced_tokens"] + sign * usage.unpriced_tokens
        if cost is not None:
            changes["cost"] = (moved["cost"] or 0) + sign * cost
        moved.set(**changes)


def draft_entries(rows: Iterable[Sequence[Any]]) -> list[int]:
    """Return the ids of the log entries of the drafts that sessions of rows have."""
    return [row[_DRAFT] for row in rows if row[_DRAFT] is not None]


def sessions(found: Iterable[Sequence[Any]], drafts: Drafts) -> list[SessionRecord]:
    """Return the sessions of rows of `SELECT_SESSION`, but for those that are damaged, which are told."""
    told: list[SessionRecord] = []
    for row in found:
        try:
            told.append(read(row, drafts)[0])
        except DamagedSession as error:
            tell(error)
    return told


def read(row: Sequence[Any], drafts: Drafts) -> tuple[SessionRecord, bool]:
    """Return the session of a row of `SELECT_SESSION`, and whether that tells by itself where it stands.

    What is damaged, and can still be read, is told.

    Raises
    ------
    DamagedSession
    """
    where, still, moved = row[1], tuple(row[_STILL]), tuple(row[_MOVED])
    own_crc, moved_crc, number = row[_CRC], row[_MOVED_CRC], row[_DRAFT]
    if own_crc is not None and own_crc != crc_of(still):
        # What it says can still be read, and is held against hashes of its own.
        tell(DamagedSession(where, "name, tags or metadata"))
    intact = is_sealed(moved_crc, moved, _ADDED)
    if not intact:
        tell(DamagedSession(where, "place, usage or model"))
    # What most sessions do not have is not even looked at: a list is as fast as this is.
    state = read_state(where, moved[2], row[_STATE]) if moved[2] else "{}"
    draft = None if number is None else _draft(where, number, drafts)
    return _record(still, moved, state, draft), intact and moved_crc is not None


def is_checked(row: Sequence[Any]) -> bool:
    """Tell whether it was written since there is a checksum of that."""
    return row[_MOVED_CRC] is not None


def _draft(where: str, number: int | None, drafts: Drafts) -> Head | None:
    if number is None:
        return None
    if number not in drafts:
        tell(DamagedSession(where, "draft"))
        return Head(f"#{number}")
    *values, own_crc, turn_id = drafts[number]
    if not is_written(own_crc, values, (turn_id,)):
        tell(DamagedSession(where, "draft"))
    gone = values[4] is not None and turn_id is None
    return Head(f"#{number}" if gone else turn_id, values[5])


def _record(still: Sequence[Any], moved: Sequence[Any], state: str, draft: Head | None) -> SessionRecord:
    sid, conversation, name, agent, owner, tags, created, metadata, notebook, parent = still
    (_, _, _, head_turn, head_keep, messages, turns, sent, got, cached, written, reasoned, requests, cost,
     model, updated, _, _, _, _, unpriced, _) = moved  # fmt: skip
    # What is stored was checked when it was written; to check it again took most of a list's time.
    try:
        fields = {
            "session_id": sid,
            "conversation_id": conversation or None,
            "name": name,
            "agent_name": agent,
            "owner": owner,
            "tags": [] if tags == "[]" else from_json(tags),
            "created_at": from_micros(created),
            "updated_at": from_micros(updated),
            "metadata": {} if metadata == "{}" else from_json(metadata),
            "state": {} if state == "{}" else from_json(state),
            "head": Head(head_turn, head_keep) if head_turn else _NOWHERE,
            "draft": draft,
            "message_count": messages,
            "turn_count": turns,
            "usage": usage(sent, got, cached, written, reasoned, requests, cost, unpriced),
            "model": model,
            "notebook": notebook,
            "parent_session_id": parent,
        }
    except (ValueError, OverflowError, TypeError) as error:
        raise DamagedSession(str(sid), "record") from error
    return trusted(SessionRecord, fields)


_NOWHERE = Head()


def told_by_log(found: SessionRecord, last: LogEntry | None) -> SessionRecord:
    """Return a session whose row is no witness of where it stands, at the last entry of its log."""
    if last is None or (last.head.turn_id or "").startswith("#"):  # whoever asks for the turn is told
        return found
    state = {} if last.state == "{}" else from_json(last.state)
    place = {"head": last.head, "message_count": last.message_count, "turn_count": last.turn_count}
    return found.model_copy(update={**place, "state": state})


@lru_cache
def newest(where: str, limit: int | None) -> str:
    """Return the SELECT of the sessions that a WHERE clause describes, most recently updated first."""
    # One that is there already need not be made, nor its thousand characters be hashed again.
    end = "" if limit is None else f" LIMIT {int(limit)}"
    return f"{SELECT_SESSION}{where} ORDER BY s.updated_at DESC, s.id DESC{end}"


def where(query: Query, tag_condition: str, texts: str) -> tuple[str, list[Any]]:
    """Return the WHERE clause of a query, with its parameters.

    The other two are what a database has for a tag of a session, and for the texts of a JSON array.
    """
    conditions, asked = _conditions(tag_condition, texts), []
    params: list[Any] = []
    for name, value in zip(Query._fields, query, strict=True):
        if value is None or value is False or name not in conditions:
            continue
        condition, count = conditions[name]
        asked.append(condition)
        params += [_ASKED[name](value) if name in _ASKED else value] * count
    return (f" WHERE {' AND '.join(asked)}" if asked else ""), params


@cache
def _conditions(tag_condition: str, texts: str) -> dict[str, tuple[str, int]]:
    """Return, for each field of a query that is set, the condition, and how often that takes its value."""
    conditions = {
        "conversation_id": "s.conversation_id = ?",
        "called": "s.conversation_id <> ?",
        "session_id": "s.session_id = ?",
        "name": "s.name = ?",
        "prefix": "substr(s.session_id, 1, length(?)) = ?",
        "suffix": "substr(s.session_id, length(s.session_id) - length(?) + 1) = ?",
        "agent_name": "s.agent_name = ?",
        "owner": "s.owner = ?",
        "notebook": "s.notebook = ?",
        "parent_session_id": "s.parent_session_id = ?",
        "tag": tag_condition,
        "parents": f"s.parent_session_id IN {texts}",
        "since": "s.updated_at >= ?",
        "until": "s.updated_at <= ?",
    }
    return {name: (condition, condition.count("?")) for name, condition in conditions.items()}


_ASKED: Mapping[str, Callable[[Any], str]] = {
    "called": lambda called: "",
    "parents": lambda parents: json.dumps([*parents]),
}
"""What a condition takes instead of the value itself."""
