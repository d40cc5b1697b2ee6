"""The log of simonw's llm, of old and new versions; the databases are made of what real ones held."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from nbsessions import FormatError
from nbsessions.formats import guess
from nbsessions.formats.writing import messages_of
from tests.formats.golden_sessions import GOLDEN, check_golden, database, sessions, taken_in

FOLDER = GOLDEN / "llm"
VERSIONS = ["0.19", "0.27.1", "0.36", "0.27.1-then-0.36"]


def _log(version: str, folder: Path) -> Path:
    return database(FOLDER / f"llm-{version}.sql", folder / "logs.db")


@pytest.mark.parametrize("version", VERSIONS)
def test_what_a_log_says_comes_in(version: str, tmp_path: Path) -> None:
    path = _log(version, tmp_path)
    assert guess(path).name == "llm"
    found = sessions("llm", path)
    check_golden(f"llm/llm-{version}.expected.json", found)
    how, store = taken_in(found, sessions("llm", path))
    assert how == [["new"] * len(found), ["present"] * len(found)]
    assert len(store.list()) == len(found)


def test_old_and_new_versions_tell_the_same(tmp_path: Path) -> None:
    said = []
    for version in ("0.27.1", "0.36"):
        folder = tmp_path / version
        folder.mkdir()
        found = sessions("llm", _log(version, folder))
        said.append(
            [
                [(m.role, m.content, [call.arguments for call in m.calls]) for m in messages_of(bundle)]
                for bundle in found
            ]
        )
        assert sum(bundle.record.total_tokens for bundle in found) == 7 * 17
    assert said[0] == said[1]


def test_a_conversation_goes_on_in_the_new_tables(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    old = sessions("llm", _log("0.27.1", tmp_path / "old"))
    new = sessions("llm", _log("0.27.1-then-0.36", tmp_path))
    how, store = taken_in(old, new)
    assert how[1] == ["grown", "present", "present", "present", "present", "new"]
    session = store.resume("Name a pelican")
    assert [m.text for m in session.messages if m.role == "assistant"] == ["Percy.", "Pauline.", "Pedro."]
    assert session.usage.requests == 3
    fork = store.resume("Another way")
    assert fork.record.parent_session_id == session.session_id


def test_a_log_that_grew_goes_on(tmp_path: Path) -> None:
    path = _log("0.27.1", tmp_path)
    first = sessions("llm", path)
    with closing(sqlite3.connect(path)) as db:
        db.execute(
            "INSERT INTO responses(id, conversation_id, model, prompt, response, datetime_utc) "
            "SELECT 'z', id, model, 'And?', 'So.', '2027-01-01T00:00:00' FROM conversations ORDER BY id LIMIT 1"
        )
        db.commit()
    how, store = taken_in(first, sessions("llm", path))
    assert how[1].count("grown") == 1
    assert [m.text for m in store.resume("Name a pelican").messages][-2:] == ["And?", "So."]


def test_lines_that_a_thread_left_are_in_its_log(tmp_path: Path) -> None:
    path = _log("0.36", tmp_path)
    with closing(sqlite3.connect(path)) as db:
        thread, tip = db.execute("SELECT id, tip_message_hash FROM threads ORDER BY id LIMIT 1").fetchone()
        parent = db.execute("SELECT parent_hash FROM messages WHERE hash = ?", (tip,)).fetchone()[0]
        db.execute("INSERT INTO messages(hash, parent_hash, role) VALUES ('b2:x', ?, 'assistant')", (parent,))
        db.execute(
            "INSERT INTO parts(message_hash, position, type, text) VALUES ('b2:x', 0, 'text', 'Polly.')"
        )
        db.execute(
            "INSERT INTO turns(id, thread_id, parent_message_hash, tip_message_hash, model, datetime_utc) "
            "VALUES ('z', ?, ?, 'b2:x', 'scripted', '2027-01-01T00:00:00+00:00')",
            (thread, parent),
        )
        db.execute("UPDATE threads SET tip_message_hash = 'b2:x' WHERE id = ?", (thread,))
        db.commit()
    bundle = sessions("llm", path)[0]
    assert [m.text for m in messages_of(bundle)][-1] == "Polly."
    _, store = taken_in([bundle])
    session = store.resume("Name a pelican")
    assert len(session.runs()) == 3
    session.undo()
    assert session.messages[-1].text == "Pauline."


@pytest.mark.parametrize(
    ("version", "sql", "reason"),
    [
        ("0.27.1", "DELETE FROM fragments", "its fragment .* is missing"),
        ("0.36", "DELETE FROM fragments", "its fragment .* is missing"),
        ("0.27.1", "DELETE FROM attachments", "its attachment .* is missing"),
        ("0.36", "DELETE FROM attachments", "its attachment .* is missing"),
        ("0.36", "DELETE FROM messages WHERE role = 'user'", "its message .* is missing"),
        ("0.36", "UPDATE messages SET parent_hash = hash", "in a circle"),
        ("0.36", "UPDATE parts SET payload = '{'", "no JSON"),
        ("0.36", "UPDATE messages SET role = 'judge'", "role"),
        ("0.27.1", "UPDATE conversations SET id = x'03' WHERE name = 'What is this?'", "its id is no text"),
        ("0.27.1", "DROP TABLE responses", "it is no log of llm"),
    ],
)
def test_what_is_not_whole_is_an_error(version: str, sql: str, reason: str, tmp_path: Path) -> None:
    path = _log(version, tmp_path)
    with closing(sqlite3.connect(path)) as db:
        db.execute(sql)
        db.commit()
    with pytest.raises(FormatError, match=reason) as caught:
        sessions("llm", path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    "column", ["token_details", "options_json", "response_json", "datetime_utc", "model"]
)
@pytest.mark.parametrize("value", [None, "{", 7, b"\xff", "[1]"])
def test_what_is_told_beside_may_be_anything(column: str, value: object, tmp_path: Path) -> None:
    path = _log("0.27.1", tmp_path)
    before = [[m.text for m in messages_of(bundle)] for bundle in sessions("llm", path)]
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"UPDATE responses SET {column} = ?", (value,))
        db.commit()
    assert [[m.text for m in messages_of(bundle)] for bundle in sessions("llm", path)] == before


def test_an_answer_without_a_conversation_comes_in(tmp_path: Path) -> None:
    path = _log("0.19", tmp_path)
    with closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE responses SET conversation_id = NULL WHERE prompt = 'Another'")
        db.commit()
    [stray] = [b for b in sessions("llm", path) if b.record.session_id == "answers without a conversation"]
    assert [m.text for m in messages_of(stray)] == ["Another", "Pauline."]


def test_a_log_is_read_while_it_is_written(tmp_path: Path) -> None:
    path = _log("0.36", tmp_path)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("BEGIN IMMEDIATE")
        db.execute("UPDATE threads SET name = 'unsaved'")
        found: list[object] = []
        reading = threading.Thread(target=lambda: found.extend(sessions("llm", path)))
        reading.start()
        reading.join(30)
        assert len(found) == 5
        db.execute("ROLLBACK")


def test_a_log_that_is_locked_is_an_error_and_not_waited_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nbsessions.formats.reading._BUSY_SECONDS", 0.1)
    path = _log("0.36", tmp_path)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA locking_mode = EXCLUSIVE")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("UPDATE threads SET name = 'mine'")
        with pytest.raises(FormatError, match="locked"):
            sessions("llm", path)
