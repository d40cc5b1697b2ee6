"""What a careful person writes by hand: a SQLite database of two tables, and a JSON file for each session."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from tests.peers.base import Chat, Peer, flush

_SCHEMA = """
CREATE TABLE IF NOT EXISTS sessions (
    id INTEGER PRIMARY KEY, name TEXT UNIQUE, parent INTEGER, until INTEGER, updated_at REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS messages (id INTEGER PRIMARY KEY, session INTEGER NOT NULL, body TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS sessions_by_time ON sessions (updated_at);
CREATE INDEX IF NOT EXISTS sessions_by_parent ON sessions (parent);
CREATE INDEX IF NOT EXISTS messages_by_session ON messages (session);
"""


class RawSqlite(Peer):
    """The standard library's `sqlite3`: a row for a message, WAL, and each commit flushed.

    The prompt is committed first, then the rest of the turn with the session's row: two commits, and so two
    flushes a turn. A fork is the cheapest that two tables allow: one row, which names its parent and the last
    message that it sees of it. A search reads all messages.
    """

    CELL = """
import json, sqlite3

db = sqlite3.connect("{place}/sessions.db")
db.execute("PRAGMA journal_mode = WAL")
db.executescript('''
CREATE TABLE sessions (
    id INTEGER PRIMARY KEY, name TEXT UNIQUE, parent INTEGER, until INTEGER, updated_at REAL NOT NULL
);
CREATE TABLE messages (id INTEGER PRIMARY KEY, session INTEGER NOT NULL, body TEXT NOT NULL);
''')

def agent(messages):
    return {"role": "assistant", "content": "Hello, Ada."}

def ask(session, prompt):
    asked = {"role": "user", "content": prompt}
    insert = "INSERT INTO messages (session, body) VALUES (?, ?)"
    with db:
        db.execute("INSERT INTO sessions (id, name, updated_at) VALUES (?, ?, unixepoch())", (session, "first"))
        db.execute(insert, (session, json.dumps(asked)))
    answer = agent([asked])
    with db:
        db.execute(insert, (session, json.dumps(answer)))
    return answer["content"]

print(ask(1, "Hello"))
"""

    def __init__(self, place: str | Path) -> None:
        super().__init__(place)
        self.db = sqlite3.connect(self.place / "sessions.db", isolation_level=None, timeout=30)
        self.db.execute("PRAGMA journal_mode = WAL")
        self.db.execute("PRAGMA synchronous = FULL")
        self.db.executescript(_SCHEMA)

    def append(self, session: str, turn: Chat) -> None:
        with self._transaction():
            number = self._session(session)
            self._insert(number, turn[:1])
        with self._transaction():
            self._insert(number, turn[1:])
            self.db.execute("UPDATE sessions SET updated_at = ? WHERE id = ?", (time.time(), number))

    def fill(self, session: str, turns: Sequence[Chat]) -> None:
        with self._transaction():
            number = self._session(session)
            for turn in turns:
                self._insert(number, turn)

    def _transaction(self) -> sqlite3.Connection:
        self.db.execute("BEGIN IMMEDIATE")
        return self.db

    def _session(self, name: str) -> int:
        found = self.db.execute("SELECT id FROM sessions WHERE name = ?", (name,)).fetchone()
        return int(found[0]) if found else self._new(name)

    def _new(self, name: str, parent: int | None = None, until: int | None = None) -> int:
        new = "INSERT INTO sessions (name, parent, until, updated_at) VALUES (?, ?, ?, ?)"
        return int(self.db.execute(new, (name, parent, until, time.time())).lastrowid or 0)

    def _insert(self, session: int, messages: Chat) -> None:
        rows = [(session, json.dumps(message, ensure_ascii=False)) for message in messages]
        self.db.executemany("INSERT INTO messages (session, body) VALUES (?, ?)", rows)

    def load(self, session: str) -> Sequence[dict[str, Any]]:
        wanted = "SELECT body FROM messages WHERE session = ? AND id <= ? ORDER BY id"
        rows = [row for part in reversed(list(self._line(session))) for row in self.db.execute(wanted, part)]
        return [json.loads(body) for (body,) in rows]

    def _line(self, name: str) -> Iterator[tuple[int, int]]:
        """Yield a session and those that it was forked from, with the last message that it sees of each."""
        found, until = self._row("name", name), 2**62
        while found:
            number, parent, before = found
            yield number, until
            found, until = (self._row("id", parent) if parent else None), before

    def _row(self, column: str, value: object) -> tuple[int, int | None, int] | None:
        wanted = f"SELECT id, parent, until FROM sessions WHERE {column} = ?"
        found: tuple[int, int | None, int] | None = self.db.execute(wanted, (value,)).fetchone()
        return found

    def chat(self, loaded: Sequence[object]) -> Chat:
        return [message for message in loaded if isinstance(message, dict)]

    def sessions(self, limit: int) -> Sequence[str]:
        newest = "SELECT name FROM sessions WHERE name IS NOT NULL ORDER BY updated_at DESC LIMIT ?"
        return [name for (name,) in self.db.execute(newest, (limit,))]

    def fork(self, session: str, name: str) -> None:
        with self._transaction():
            last = "SELECT coalesce(max(id), 0) FROM messages"
            self._new(name, self._session(session), self.db.execute(last).fetchone()[0])

    def search(self, word: str, limit: int) -> Sequence[object]:
        found = (
            "SELECT name, body FROM messages JOIN sessions ON sessions.id = session "
            "WHERE body LIKE ? ORDER BY messages.id DESC LIMIT ?"
        )
        return self.db.execute(found, (f"%{word}%", limit)).fetchall()

    def delete(self, sessions: Sequence[str]) -> None:
        """Delete in one transaction. What forks still see stays, without a name."""
        forked = "EXISTS (SELECT 1 FROM sessions AS forks WHERE forks.parent = sessions.id)"
        with self._transaction():
            for name in sessions:
                self.db.execute(f"UPDATE sessions SET name = NULL WHERE name = ? AND {forked}", (name,))
                self.db.execute(
                    "DELETE FROM messages WHERE session = (SELECT id FROM sessions WHERE name = ?)", (name,)
                )
                self.db.execute("DELETE FROM sessions WHERE name = ?", (name,))

    def close(self) -> None:
        self.db.close()


class JsonFile(Peer):
    """A JSON file for each session, which is written whole each time.

    It is written beside the old one, flushed, and put in its place, and then the folder is flushed: two flushes
    a turn. The prompt is stored with its answer, not before. What is in the session is kept in memory meanwhile,
    as whoever asks a model has it there. A list goes by the files' times; a search reads all files.
    """

    PROMPT_FIRST = False
    CELL = """
import json, os

def agent(messages):
    return {"role": "assistant", "content": "Hello, Ada."}

def save(path, messages):
    with open(path + ".new", "w") as file:
        json.dump(messages, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(path + ".new", path)
    folder = os.open(os.path.dirname(path), os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)

messages = [{"role": "user", "content": "Hello"}]
messages.append(agent(messages))
save("{place}/first.json", messages)
print(messages[-1]["content"])
"""

    def __init__(self, place: str | Path) -> None:
        super().__init__(place)
        self._open: tuple[str, Chat] = ("", [])

    def append(self, session: str, turn: Chat) -> None:
        self.fill(session, [turn])

    def fill(self, session: str, turns: Sequence[Chat]) -> None:
        if self._open[0] != session:
            self._open = (session, self._read(session))
        messages = self._open[1]
        for turn in turns:
            messages.extend(turn)
        self._write(session, messages)

    def _read(self, session: str) -> Chat:
        path = self._path(session)
        read: Chat = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
        return read

    def _write(self, session: str, messages: Chat) -> None:
        path = self._path(session)
        beside = path.with_suffix(".new")
        with open(beside, "w", encoding="utf-8") as file:
            file.write(json.dumps(messages, ensure_ascii=False))
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
        flush(self.place)

    def _path(self, session: str) -> Path:
        return self.place / f"{quote(session, safe='')}.json"

    def load(self, session: str) -> Sequence[dict[str, Any]]:
        return self._read(session)

    def chat(self, loaded: Sequence[object]) -> Chat:
        return [message for message in loaded if isinstance(message, dict)]

    def sessions(self, limit: int) -> Sequence[str]:
        return [unquote(path.stem) for path in self._newest()[:limit]]

    def _newest(self) -> list[Path]:
        timed = [(entry.stat().st_mtime_ns, entry.path) for entry in os.scandir(self.place)]
        return [Path(path) for _, path in sorted(timed, reverse=True) if path.endswith(".json")]

    def fork(self, session: str, name: str) -> None:
        self._write(name, self._read(session))

    def search(self, word: str, limit: int) -> Sequence[object]:
        found = (
            message
            for path in self._newest()
            for message in reversed(json.loads(path.read_text(encoding="utf-8")))
            if word.casefold() in (message["content"] or "").casefold()
        )
        return list(islice(found, limit))

    def delete(self, sessions: Sequence[str]) -> None:
        for session in sessions:
            self._path(session).unlink()
        flush(self.place)
        self._open = ("", [])

    def close(self) -> None:
        self._open = ("", [])
