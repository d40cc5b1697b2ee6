"""List the newest of many sessions, and search them page by page."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from datetime import timedelta

import nbsessions as nbs
from nbsessions.records import SessionRecord
from nbsessions.stores._rows.sessions import INSERT_SESSION, session_values
from nbsessions.values import new_id, now
from tests.bench.timing import Figure, Pair, folder
from tests.bench.turns import USAGE

_COLUMNS = (
    "id, entry, draft_entry, state, session_id, conversation_id, name, agent_name, owner, tags, created_at, "
    "updated_at, metadata, head_turn, head_keep, message_count, turn_count, input_tokens, output_tokens, "
    "cache_read_tokens, cache_write_tokens, reasoning_tokens, requests, cost, model, notebook, parent_session_id"
)


def figures(quick: bool) -> Iterator[Figure]:
    """Yield the figures: beside a floor that parses the JSON columns too, and beside bare tuples."""
    sessions = 1_000 if quick else 100_000
    parsed, bare, sought = Pair(), Pair(), Pair()
    with folder() as path:
        nbs.open_store(path / "ours.db").close()
        db = sqlite3.connect(path / "ours.db", isolation_level=None)
        _fill(db, sessions)
        sql = f"SELECT {_COLUMNS} FROM sessions WHERE conversation_id = '' ORDER BY updated_at DESC, id DESC LIMIT 20"
        with nbs.open_store(path / "ours.db") as store:
            assert [row[4] for row in db.execute(sql)] == [record.session_id for record in store.list()]
            for _ in range(20 if quick else 500):
                parsed.take(store.list, lambda: _read(db, sql))
                bare.take(store.list, lambda: db.execute(sql).fetchall())
            for _ in range(5 if quick else 20):
                sought.take(lambda: store.page("42"), lambda: _search(db, "42"))
            assert store.page("42").total == _search(db, "42")[1]
        db.close()
    yield parsed.figure(f"list 20 of {sessions:,} sessions", 2, "same file, same columns, JSON parsed")
    yield bare.figure("  beside tuples with nothing parsed", None, "records have dates, a Decimal and lists")
    note = "the same by LIKE, and a count: tags and all spellings are ours alone"
    yield sought.figure(f"search {sessions:,} names, ids and tags", 3, note)


def _search(db: sqlite3.Connection, word: str) -> tuple[list[tuple[object, ...]], int]:
    where = "FROM sessions WHERE conversation_id = '' AND (name LIKE :word OR session_id LIKE :word OR agent_name LIKE :word)"
    word = f"%{word}%"
    page = db.execute(
        f"SELECT {_COLUMNS} {where} ORDER BY updated_at DESC, id DESC LIMIT 20", {"word": word}
    ).fetchall()
    return page, db.execute(f"SELECT count(*) {where}", {"word": word}).fetchone()[0]


def _read(db: sqlite3.Connection, sql: str) -> list[tuple[object, ...]]:
    return [
        (*row[:9], json.loads(row[9]), *row[10:12], json.loads(row[12]), *row[13:])
        for row in db.execute(sql).fetchall()
    ]


def _fill(db: sqlite3.Connection, sessions: int) -> None:
    start = now()
    db.execute("BEGIN")
    for number in range(sessions):
        at = start + timedelta(seconds=number)
        record = SessionRecord(
            session_id=new_id(),
            name=f"session {number}",
            agent_name="agent",
            owner="ada",
            tags=["draft"] if number % 2 else [],
            created_at=at,
            updated_at=at,
            message_count=2,
            turn_count=1,
            usage=USAGE,
            model="model",
        )
        db.execute(INSERT_SESSION, session_values(record, 0))
    db.execute("COMMIT")
