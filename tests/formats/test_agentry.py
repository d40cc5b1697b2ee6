"""Chats of Agentry: its files, in JSON and in TOON, and its database."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from nbsessions import FormatError
from nbsessions.formats import guess
from nbsessions.formats.base import Reading, listening
from nbsessions.formats.writing import messages_of
from tests.formats.golden_sessions import GOLDEN, check_golden, database, sessions, taken_in, timezone

FOLDER = GOLDEN / "agentry"
BROKEN = sorted(path.name for path in FOLDER.glob("broken-*"))


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with timezone(monkeypatch, "UTC"):
        yield


@pytest.mark.parametrize("name", ["my_project", "notes", "tools", "empty"])
def test_what_a_file_says_comes_in(name: str) -> None:
    path = FOLDER / f"{name}_chat.toon"
    assert guess(path).name == "agentry"
    check_golden(f"agentry/{name}.expected.json", sessions("agentry", path))


def test_a_number_in_a_table_is_text_where_it_was_said() -> None:
    [bundle] = sessions("agentry", FOLDER / "notes_chat.toon")
    assert [message.content for message in messages_of(bundle)][2:] == [
        "42",
        "C:\\new\\table, please",
        "null",
        "1.50",
    ]


@pytest.mark.parametrize("name", BROKEN)
def test_what_cannot_be_decoded_whole_is_an_error(name: str) -> None:
    with pytest.raises(FormatError, match=r"cannot be decoded whole|the rest of a message"):
        sessions("agentry", FOLDER / name)


def test_broken_files_of_each_kind_are_there() -> None:
    kinds = ["comment", "newline", "quoted-newline", "tools"]
    assert [name.removeprefix("broken-").removesuffix("_chat.toon") for name in BROKEN] == kinds


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "it is empty"),
        (" \n", "it is empty"),
        ("{", "no JSON"),
        ('{"messages": 3}', "messages are no list"),
        ('{"messages": [3]}', "message 1 is none"),
        ("{}", "no messages"),
        ("hello", "no messages"),
        ("messages[2]{role,content}:\n  user,Hi", "cannot be decoded whole"),
        ("messages[1]{role,content}:\n  user,Hi\n  user,Ho", "cannot be decoded whole"),
        ("messages[1]{role,content}:\n  user,Hi,Ho", "cannot be decoded whole"),
        ("messages[1]{role,content}:\n  user", "cannot be decoded whole"),
        ("messages[1]{role,content}:\n  user,Hi\nmessages: 3", "cannot be decoded whole"),
        ('messages[1]{role,content}:\n  user,"Hi', "cannot be decoded whole"),
        ("messages[1]{role,content}:\n  user,Hi\n\n  # more", "the rest of a message"),
        ("messages[1]: a", "message 1 is none"),
        ("messages[1]{role,content}:\n  judge,Hi", "role"),
        ("- " * 100_000, "cannot be decoded whole|no messages"),
    ],
)
def test_what_is_wrong_is_said(text: str, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "bad_chat.toon"
    path.write_text(text)
    with pytest.raises(FormatError, match=reason) as caught:
        sessions("agentry", path)
    assert str(path) in str(caught.value)


def test_what_is_no_text_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "bad_chat.toon"
    path.write_bytes(b"messages[1]{role,content}:\n  user,\xff")
    with pytest.raises(FormatError, match="UTF-8"):
        sessions("agentry", path)


@pytest.mark.parametrize("at", range(5, 190, 7))
def test_a_file_that_was_cut_never_comes_in_as_a_part(at: int, tmp_path: Path) -> None:
    whole = (FOLDER / "notes_chat.toon").read_bytes()
    path = tmp_path / "notes_chat.toon"
    path.write_bytes(whole[:at])
    with pytest.raises(FormatError):
        sessions("agentry", path)


def test_a_session_without_an_id_has_that_of_its_file(tmp_path: Path) -> None:
    path = tmp_path / "plan_chat.toon"
    path.write_text('{"messages": [{"role": "user", "content": "Hi"}]}')
    assert [bundle.record.session_id for bundle in sessions("agentry", path)] == ["plan"]


def test_what_grew_goes_on(tmp_path: Path) -> None:
    data = json.loads((FOLDER / "my_project_chat.toon").read_text())
    data["messages"] += [{"role": "user", "content": "Bye"}]
    data["created_at"] = "2025-11-23T00:00:00"  # which Agentry changes at each save
    path = tmp_path / "my_project_chat.toon"
    path.write_text(json.dumps(data))
    first = sessions("agentry", FOLDER / "my_project_chat.toon")
    grown = sessions("agentry", path)
    how, store = taken_in(first, first, grown)
    assert how == [["new"], ["present"], ["grown"]]
    assert [message.text for message in store.resume("my_project").messages][-1] == "Bye"
    assert store.resume("my_project").created_at.isoformat() == "2025-11-22T20:30:15+00:00"


@pytest.mark.parametrize("suffix", ["db", "sqlite", "data"])
def test_the_database_comes_in(suffix: str, tmp_path: Path) -> None:
    path = database(FOLDER / "database.sql", tmp_path / f"memory.{suffix}")
    assert guess(path).name == "agentry"
    with listening(Reading()) as told:
        found = sessions("agentry", path)
    check_golden("agentry/database.expected.json", found)
    assert told.notes == ["left out: 1 session without messages, as Agentry keeps what was deleted"]
    assert taken_in(found, found)[0] == [["new", "new"], ["present", "present"]]


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("UPDATE agent_state SET value = '[{\"role\"' WHERE key = 'messages'", "no JSON"),
        ("UPDATE agent_state SET value = x'00' WHERE session_id = 'coding'", "no text"),
        ("UPDATE agent_state SET value = '{}' || value WHERE key = 'step'", "no JSON"),
        ("UPDATE agent_state SET value = '{\"a\": 1}' WHERE key = 'messages'", "messages are no list"),
        ("UPDATE sessions SET session_id = x'01' WHERE session_id = 'gone'", "id is no text"),
        ("DROP TABLE agent_state", "no agent_state"),
        ("DROP TABLE agent_state; CREATE VIEW agent_state AS SELECT 1 AS key", "no agent_state"),
    ],
)
def test_a_database_that_is_wrong_is_an_error(sql: str, reason: str, tmp_path: Path) -> None:
    path = database(FOLDER / "database.sql", tmp_path / "memory.db")
    with closing(sqlite3.connect(path)) as db:
        db.executescript(sql)
    with pytest.raises(FormatError, match=reason):
        sessions("agentry", path)


@pytest.mark.parametrize("name", ["memory.db", "other_chat.toon"])
def test_what_is_no_database_is_an_error(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(b"SQLite format 3\0" + bytes(range(256)) * 20)
    with pytest.raises(FormatError, match="cannot be read as a database"):
        sessions("agentry", path)


def test_toon_is_not_imported_before_there_is_some() -> None:
    code = "import sys; from nbsessions.formats import all_formats; all_formats(); print('toon_format' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    from nbsessions.formats.agentry import read

    for name in ("memory.db", "plan_chat.toon"):
        with pytest.raises(FormatError, match=r"no such file|No such file"):
            list(read(tmp_path / name))
