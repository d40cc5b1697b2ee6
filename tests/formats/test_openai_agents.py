from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import nbsessions as nbs
from nbsessions.exceptions import FormatError
from nbsessions.formats import guess
from nbsessions.formats.base import Reading, listening
from nbsessions.formats.building import Building
from nbsessions.formats.openai_agents import FORMAT, read, write
from nbsessions.stores.arguments import Bundle
from tests.formats.mutating import SCALARS, changed, spoiled
from tests.formats.told import GOLDEN, check_golden, ids_of, messages_of, reads_or_refuses, texts_of

FOLDER = GOLDEN / "openai-agents"
SESSIONS, ADVANCED = FOLDER / "sessions.db", FOLDER / "advanced.db"


def _written(path: Path, *bundles: Bundle) -> Path:
    file = BytesIO()
    write(bundles, file)
    path.write_bytes(file.getvalue())
    return path


def _rows(path: Path) -> list[tuple[str, Any]]:
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True)) as db:
        rows = db.execute("SELECT session_id, message_data FROM agent_messages ORDER BY id").fetchall()
    return [(name, json.loads(data)) for name, data in rows]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    path = tmp_path / "sessions.db"
    shutil.copy(SESSIONS, path)
    return path


def _change(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as db:
        for statement in statements:
            db.execute(statement)
        db.commit()


@pytest.mark.parametrize("path", [SESSIONS, ADVANCED], ids=lambda path: path.stem)
def test_golden(path: Path) -> None:
    assert guess(path) is FORMAT
    before = sorted((one.name, one.read_bytes()) for one in FOLDER.glob("*.db*"))
    check_golden(f"openai-agents/{path.stem}.expected.json", read(path))
    assert sorted((one.name, one.read_bytes()) for one in FOLDER.glob("*.db*")) == before


def test_the_items_are_the_same_back(tmp_path: Path) -> None:
    path = _written(tmp_path / "back.db", *read(SESSIONS))
    assert _rows(path) == _rows(SESSIONS)
    assert ids_of(read(path)) == ids_of(read(SESSIONS))


def test_the_present_branch_is_written(tmp_path: Path) -> None:
    path = _written(tmp_path / "back.db", *read(ADVANCED))
    (before,), (after,) = read(ADVANCED), read(path)
    assert messages_of(after) == messages_of(before)
    assert texts_of(after)[-2:] == ["Book it.", "Done."]


def test_a_branch_stays_in_the_log() -> None:
    store = nbs.open_store("memory:")
    (record,) = store.import_(ADVANCED)
    session = store.resume(record.session_id)
    session.undo()
    assert session.messages[-1].text == "2 days."
    assert session.usage.requests == 5
    assert store.verify().ok


def test_what_was_said_elsewhere_is_written_as_items(tmp_path: Path) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": "{}"}}
    building = Building("example", "s1", agent_name="helper")
    building.add({"role": "user", "content": "1 + 2?"})
    building.add({"role": "assistant", "content": "Wait.", "tool_calls": [call]})
    building.add({"role": "tool", "content": "3", "tool_call_id": "c1"})
    assert [item for _, item in _rows(_written(tmp_path / "s.db", building.bundle()))] == [
        {"role": "user", "content": "1 + 2?"},
        {"role": "assistant", "content": "Wait."},
        {"type": "function_call", "call_id": "c1", "name": "add", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "3"},
    ]


def test_one_id_in_two_conversations_is_written_twice(tmp_path: Path) -> None:
    bundles = [Building("x", "s1", agent_name="a", conversation_id=one).bundle() for one in (None, "c1")]
    path = _written(tmp_path / "s.db", *bundles)
    assert [bundle.record.session_id for bundle in read(path)] == ["s1", "c1/s1"]


def test_a_file_that_grew_keeps_its_turns(copy: Path) -> None:
    store = nbs.open_store("memory:")
    assert len(store.import_(copy)) == 2
    before = ids_of(read(copy))
    item = json.dumps({"role": "user", "content": "Bye"})
    _change(copy, f"INSERT INTO agent_messages (session_id, message_data) VALUES ('user_123', '{item}')")
    (grown,) = store.import_(copy)
    assert (grown.session_id, grown.message_count) == ("user_123", 3)
    after = {session_id: turns for session_id, turns, _ in ids_of(read(copy))}
    assert all(after[session_id][: len(turns)] == turns for session_id, turns, _ in before)


def test_a_file_that_its_program_has_open_is_read(copy: Path) -> None:
    with closing(sqlite3.connect(copy)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("INSERT INTO agent_sessions (session_id) VALUES ('new')")
        db.commit()
        db.execute("BEGIN IMMEDIATE")
        assert "new" in [bundle.record.session_id for bundle in read(copy)]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("'nonsense'", "row 1: it is no JSON"),
        ("3", "row 1: it is no item"),
        ("'[]'", "row 1: it is no item"),
        ('\'{"__enc__": 1, "v": 1, "kid": "x", "payload": "gAAA"}\'', "row 1: it is encrypted"),
    ],
)
def test_a_session_that_cannot_be_read_is_told_and_the_others_come(
    copy: Path, data: str, reason: str
) -> None:
    _change(copy, f"UPDATE agent_messages SET message_data = {data} WHERE id = 1")
    with listening(Reading()) as reading:
        assert [bundle.record.session_id for bundle in read(copy)] == ["user_123"]
    (told,) = reading.errors
    assert str(told).startswith(f"{copy}, session sums: {reason}")


def test_a_file_of_which_nothing_can_be_read_is_refused(copy: Path) -> None:
    _change(copy, "UPDATE agent_messages SET message_data = 'nonsense'")
    with pytest.raises(FormatError, match=r"sessions\.db, session \w+: row \d+: it is no JSON"):
        list(read(copy))


def test_a_view_that_never_ends_is_no_table(tmp_path: Path) -> None:
    path = tmp_path / "sessions.db"
    endless = (
        "WITH RECURSIVE n(session_id) AS (SELECT 'a' UNION ALL SELECT session_id FROM n) SELECT * FROM n"
    )
    _change(
        path,
        f"CREATE VIEW agent_sessions AS {endless}",
        "CREATE TABLE agent_messages (id, session_id, message_data, created_at)",
    )
    with pytest.raises(FormatError, match="it has no sessions of the OpenAI Agents SDK"):
        list(read(path))


@pytest.mark.parametrize("data", [b"", b"nonsense", b"SQLite format 3\0" + b"\0" * 5_000])
def test_what_is_no_database_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "sessions.db"
    path.write_bytes(data)
    with pytest.raises(FormatError, match=r"sessions\.db"):
        list(read(path))
    assert path.read_bytes() == data


def test_columns_that_are_not_there_are_told(copy: Path) -> None:
    _change(copy, "ALTER TABLE agent_messages RENAME COLUMN message_data TO data")
    with pytest.raises(FormatError, match="no such column: message_data"):
        list(read(copy))


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_rows_of_any_shape_are_read_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "sessions.db"
    path.write_bytes(ADVANCED.read_bytes())
    with closing(sqlite3.connect(path)) as db:
        items = dict(db.execute("SELECT id, message_data FROM agent_messages"))
        for _ in range(data.draw(st.integers(1, 4))):
            number = data.draw(st.sampled_from(sorted(items)))
            item = data.draw(changed(json.loads(items[number])))
            db.execute("UPDATE agent_messages SET message_data = ? WHERE id = ?", (json.dumps(item), number))
            table, column = data.draw(
                st.sampled_from(
                    [
                        ("agent_messages", "created_at"),
                        ("message_structure", "branch_id"),
                        ("message_structure", "sequence_number"),
                        ("message_structure", "message_id"),
                        ("turn_usage", "input_tokens"),
                        ("turn_usage", "input_tokens_details"),
                        ("turn_usage", "requests"),
                        ("agent_sessions", "created_at"),
                    ]
                )
            )
            value = data.draw(
                SCALARS.filter(lambda one: one is not None and one not in ("\ud800", 10**400, 2**63))
            )
            db.execute(f"UPDATE OR IGNORE {table} SET {column} = ? WHERE rowid = ?", (value, number))
        db.commit()
    bundles = reads_or_refuses(read, path)
    if bundles:
        store = nbs.open_store("memory:")
        store.import_(path, format="openai-agents")
        assert store.verify().ok
        assert len(list(read(_written(tmp_path / "back.db", *bundles)))) == len(bundles)


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_file_is_read_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "sessions.db"
    content = SESSIONS.read_bytes()
    for _ in range(data.draw(st.integers(1, 5))):
        content = data.draw(spoiled(content))
    path.write_bytes(content)
    reads_or_refuses(read, path)
    assert path.read_bytes() == content
    assert sorted(one.name for one in tmp_path.iterdir() if "back" not in one.name) == ["sessions.db"]
