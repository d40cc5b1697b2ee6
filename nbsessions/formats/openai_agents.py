"""
Session files of the OpenAI Agents SDK: the SQLite databases of ``SQLiteSession`` and those built on it.

Looked at: openai-agents 0.0.19 to 0.24.0, https://openai.github.io/openai-agents-python/sessions/. Tables are
``agent_sessions`` and ``agent_messages``, an item of the Responses API a row. ``AdvancedSQLiteSession`` has
branches, too (``message_structure``; they share the rows of what they have in common), and what each turn
spent (``turn_usage``). Which branch is the present one no table says: the one that was written to last is.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

from pydantic_core import from_json

from nbsessions.chains import items
from nbsessions.codecs import codec, is_prompt, translate
from nbsessions.exceptions import FormatError
from nbsessions.formats.base import Format, Peek, note
from nbsessions.formats.branches import Branches, Entry
from nbsessions.formats.building import Building
from nbsessions.formats.reading import alone, count_of, dict_of, moment, parsed, read_database
from nbsessions.formats.writing import line_of
from nbsessions.records import Head, Spent, Usage
from nbsessions.stores.arguments import Bundle
from nbsessions.values import encode_json, from_micros

_NAME: Final = "openai-agents"
_TABLES: Final = frozenset({"agent_sessions", "agent_messages"})
_SCHEMA: Final = """
CREATE TABLE agent_sessions (
    session_id TEXT PRIMARY KEY,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
);
CREATE TABLE agent_messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    session_id TEXT NOT NULL,
    message_data TEXT NOT NULL,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    FOREIGN KEY (session_id) REFERENCES agent_sessions (session_id) ON DELETE CASCADE
);
CREATE INDEX idx_agent_messages_session_id ON agent_messages (session_id, id);
"""


class _Row(NamedTuple):
    """A message on a branch."""

    branch: Any
    turn: Any
    number: int
    data: Any
    at: Any


def read(path: Path) -> Iterator[Bundle]:
    """Yield the sessions of a file; one of them that cannot be read is told, and left out.

    Raises
    ------
    FormatError

    Examples
    --------
    >>> import tempfile
    >>> building = Building("example", "chat-7", agent_name="helper")
    >>> building.add({"role": "user", "content": "Hi"})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "sessions.db"
    ...     with open(path, "wb") as file:
    ...         write([building.bundle()], file)
    ...     [bundle.record.session_id for bundle in read(path)]
    ['chat-7']
    """
    with read_database(path) as db:
        # A view could be made so that it never ends; virtual tables run code.
        known = "SELECT name FROM sqlite_master WHERE type = 'table' AND rootpage > 0"
        tables = {str(row[0]) for row in db.execute(known)}
        if not tables >= _TABLES:
            raise FormatError(path, "it has no sessions of the OpenAI Agents SDK")
        sessions = db.execute("SELECT session_id, created_at, updated_at FROM agent_sessions ORDER BY rowid")
        for session_id, created, updated in sessions.fetchall():
            if not isinstance(session_id, str) or not session_id:
                note("A session without an id was left out.")
                continue
            building = Building(
                _NAME,
                session_id,
                agent_name=_NAME,
                created_at=moment(created),
                updated_at=moment(updated),
                codec=_NAME,
            )
            told = f"{path}, session {session_id}"
            yield from alone(told, _session, db, building, session_id, tables)


def _session(db: sqlite3.Connection, building: Building, session_id: str, tables: set[str]) -> Bundle:
    rows = _branch_rows(db, session_id) if "message_structure" in tables else []
    rows = rows or _plain_rows(db, session_id)
    spent = _spent(db, session_id) if "turn_usage" in tables else {}
    branches = Branches(building, native=True)
    entries: dict[tuple[Entry | None, int], Entry] = {}
    at: dict[Any, Entry | None] = {}
    for row in rows:
        above = at.get(row.branch)
        entry = entries.get((above, row.number))
        if entry is None:
            entry = branches.add(_entry(row, spent.pop((row.branch, row.turn), None)), above)
            entries[above, row.number] = entry
        at[row.branch] = entry
    if rows:
        branches.stand(at[rows[-1].branch])
    return building.bundle()


def _plain_rows(db: sqlite3.Connection, session_id: str) -> list[_Row]:
    query = (
        "SELECT NULL, NULL, id, message_data, created_at FROM agent_messages WHERE session_id = ? ORDER BY id"
    )
    return [_Row(*row) for row in db.execute(query, (session_id,))]


def _branch_rows(db: sqlite3.Connection, session_id: str) -> list[_Row]:
    """Return messages in the order in which they came to their branches."""
    query = """
        SELECT s.branch_id, s.user_turn_number, m.id, m.message_data, m.created_at
        FROM message_structure s JOIN agent_messages m ON m.id = s.message_id
        WHERE s.session_id = ? AND m.session_id = s.session_id ORDER BY s.sequence_number, s.id
    """
    return [_Row(*row) for row in db.execute(query, (session_id,))]


def _spent(db: sqlite3.Connection, session_id: str) -> dict[tuple[Any, Any], Usage]:
    query = """
        SELECT branch_id, user_turn_number, requests, input_tokens, output_tokens,
               input_tokens_details, output_tokens_details
        FROM turn_usage WHERE session_id = ?
    """
    found = {}
    for branch, turn, requests, sent, told, sent_details, told_details in db.execute(query, (session_id,)):
        details, reasoned = _details(sent_details), _details(told_details)
        found[branch, turn] = Usage(
            input_tokens=count_of(sent),
            output_tokens=count_of(told),
            cache_read_tokens=count_of(details.get("cached_tokens")),
            cache_write_tokens=count_of(details.get("cache_write_tokens")),
            reasoning_tokens=count_of(reasoned.get("reasoning_tokens")),
            requests=count_of(requests),
        )
    return found


def _details(value: object) -> dict[str, Any]:
    return dict_of(parsed(value, "usage")) if isinstance(value, str) and value else {}


def _entry(row: _Row, usage: Usage | None) -> Entry:
    where = f"row {row.number}"
    item = parsed(row.data, where) if isinstance(row.data, str) else None
    if not isinstance(item, dict):
        raise FormatError(where, "it is no item of a conversation")
    if "__enc__" in item:
        raise FormatError(
            where, "it is encrypted; read it with the key, by EncryptedSession, and write it plain"
        )
    at = moment(row.at)
    asked = any(is_prompt(message) for message in codec(_NAME).messages(item))
    return Entry([item], at, is_prompt=asked, spent=[Spent(usage, at=at)] if usage is not None else [])


def write(bundles: Iterable[Bundle], file: BinaryIO) -> None:
    """Write sessions as a database that ``SQLiteSession`` opens.

    Examples
    --------
    >>> from io import BytesIO
    >>> file = BytesIO()
    >>> write([], file)
    >>> file.getvalue()[:15]
    b'SQLite format 3'
    """
    with closing(sqlite3.connect(":memory:")) as db:
        db.executescript(_SCHEMA)
        taken: set[str] = set()
        for bundle in bundles:
            record = bundle.record
            # The same id may stand in two conversations here, and only once there.
            whole = f"{record.conversation_id}/{record.session_id}"
            name = whole if record.session_id in taken else record.session_id
            taken.add(name)
            db.execute(
                "INSERT INTO agent_sessions VALUES (?, ?, ?)",
                (name, _stamp(record.created_at), _stamp(record.updated_at)),
            )
            insert = "INSERT INTO agent_messages (session_id, message_data, created_at) VALUES (?, ?, ?)"
            db.executemany(insert, [(name, data, _stamp(at)) for data, at in _written(bundle)])
        db.commit()
        file.write(db.serialize())


def _written(bundle: Bundle) -> Sequence[tuple[str, datetime]]:
    """Return the items up to the head, each with its time."""
    head = bundle.record.head
    found = []
    for turn in line_of(bundle):
        end = head if turn.turn_id == head.turn_id else Head(turn.turn_id)
        told = from_json(translate(items([turn], end), _NAME))
        found += [(encode_json(item, "item"), from_micros(turn.created_at)) for item in told]
    return found


def _stamp(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}"


def _guess(peek: Peek) -> bool:
    return peek.tables >= _TABLES


FORMAT = Format(
    name=_NAME,
    help="Session files of the OpenAI Agents SDK (SQLiteSession).",
    suffixes=(".db", ".sqlite", ".sqlite3"),
    read=read,
    write=write,
    guess=_guess,
    loses="everything but the messages at the head, and times of turns to the second",
)
