"""
Files that nobody meant: whatever is in one, a reader gives sessions that can be stored, or says what is wrong.

The files of other tests are changed at random: bytes, rows of a database, values of JSON. Nothing may be written,
and nothing but our own errors raised.
"""

from __future__ import annotations

import json
import sqlite3
import tempfile
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import nbsessions as nbs
from nbsessions import FormatError
from nbsessions.formats import find, guess
from nbsessions.transfers.importing import take_in
from tests.formats.golden_sessions import GOLDEN, database, sessions

FILES = {
    "webagents": ["webagents/sessions/5a0c1f0e-8a86-4b7d-8a53-1d8e0c7a9b42.json"],
    "synwire": ["synwire/messages.json"],
    "a3s": ["a3s/v1/sessions/id_YS9i.json", "a3s/older/older.json"],
    "agentry": ["agentry/my_project_chat.toon", "agentry/tools_chat.toon", "agentry/notes_chat.toon"],
    "chatgpt": ["chatgpt/conversations.json"],
}
DATABASES = {
    "agentry": ["agentry/database.sql"],
    "llm": ["llm/llm-0.27.1.sql", "llm/llm-0.36.sql", "llm/llm-0.27.1-then-0.36.sql"],
}
PLACES = [(name, place) for name, places in FILES.items() for place in places]
JSON_PLACES = [
    (name, place) for name, place in PLACES if not place.endswith(("tools_chat.toon", "notes_chat.toon"))
]
DATABASE_PLACES = [(name, place) for name, places in DATABASES.items() for place in places]

_WORDS = st.sampled_from(
    [
        "",
        "user",
        "assistant",
        "tool",
        "latest",
        "text",
        "a",
        "a\x00b",
        "\ud800",
        "x" * 300,
        "../a",
        "2026-01-02",
        "é\n",
    ]
)
_ANY: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([2**63, -1, 10**40, 1e308, float("inf"), float("nan"), 0.5, 1767323045, 1767323045000])
    | _WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_WORDS, inner, max_size=3),
    max_leaves=6,
)

_CELLS: list[str | bytes] = [
    "",
    "{",
    "[1]",
    "a\x00b",
    "x" * 300,
    b"\xff",
    "9999-12-31T23:59:59",
    '{"text": 3, "name": [], "arguments": 3, "output": {}, "tool_call_id": {}}',
    '{"text_ref": [{"fragment": 99999999999999999999}, {"literal": 3}, 7]}',
    '{"attachment": {"id": {}}, "attachments": [{"id": []}, 3]}',
    '[{"role": "user", "content": {}}, {"role": "tool"}]',
]


def _read(format_name: str, path: Path) -> None:
    """Read a file; what comes of it must go into a store, and nothing else may happen."""
    found = []
    with suppress(FormatError):
        found = sessions(format_name, path)
    with nbs.open_store("memory:") as store:
        for bundle in found:
            # Two of one file may say that they are the same, and differ.
            with suppress(nbs.SessionExists, nbs.SessionConflict, nbs.DamagedTurn):
                take_in(store.backend, bundle, "ada")
        assert store.verify().ok
        for record in store.list(conversation_id="*"):
            session = store.resume(record.session_id, conversation_id=record.conversation_id)
            assert len(session.messages) == session.message_count
    with suppress(FormatError):
        guess(path)


@pytest.mark.parametrize(("format_name", "place"), PLACES, ids=[place for _, place in PLACES])
@given(data=st.data())
def test_bytes_at_random(format_name: str, place: str, data: st.DataObject) -> None:
    whole = bytearray((GOLDEN / place).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at, to = sorted(data.draw(st.tuples(*[st.integers(0, len(whole))] * 2)))
        piece = data.draw(
            st.binary(max_size=6) | st.just(bytes(whole[at : at + 50])) | st.sampled_from(b'"{[\n\\# -')
        )
        whole[at : to if data.draw(st.booleans()) else at + 1] = (
            piece if isinstance(piece, bytes) else bytes([piece])
        )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / Path(place).name
        path.write_bytes(whole)
        _read(format_name, path)


@pytest.mark.parametrize(("format_name", "place"), JSON_PLACES, ids=[place for _, place in JSON_PLACES])
@given(data=st.data())
def test_values_at_random(format_name: str, place: str, data: st.DataObject) -> None:
    value = json.loads((GOLDEN / place).read_text())
    for _ in range(data.draw(st.integers(1, 3))):
        _change(value, data)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / Path(place).name
        path.write_text(json.dumps(value))
        _read(format_name, path)


def _change(value: Any, data: st.DataObject) -> None:
    """Put something else in the place of a value somewhere within."""
    while True:
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        if not keys:
            return
        key = data.draw(st.sampled_from(keys))
        inner = value[key]
        if isinstance(inner, (dict, list)) and inner and data.draw(st.integers(0, 5)):
            value = inner
            continue
        how = data.draw(st.sampled_from(["other", "gone", "twice"]))
        if how == "other":
            value[key] = data.draw(_ANY)
        elif how == "gone":
            del value[key]
        elif isinstance(value, list):
            value.append(inner)
        else:
            value[data.draw(st.sampled_from([*keys, "new"]))] = inner
        return


@pytest.mark.parametrize("format_name", FILES)
@given(value=_ANY)
def test_any_json_at_all(format_name: str, value: object) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file.json"
        path.write_text(json.dumps(value))
        _read(format_name, path)


@pytest.mark.parametrize("format_name", [*FILES, "llm"])
@given(data=st.binary(max_size=200))
def test_any_bytes_at_all(format_name: str, data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        path.write_bytes(data)
        _read(format_name, path)


@pytest.mark.parametrize(
    ("format_name", "place"), DATABASE_PLACES, ids=[place for _, place in DATABASE_PLACES]
)
@given(data=st.data())
def test_rows_at_random(format_name: str, place: str, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = database(GOLDEN / place, Path(folder) / "logs.db")
        with closing(sqlite3.connect(path)) as db:
            tables = [
                row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY 1")
            ]
            for _ in range(data.draw(st.integers(1, 3))):
                table = data.draw(st.sampled_from(tables))
                columns = [row[1] for row in db.execute(f'PRAGMA table_info("{table}")')]
                column, other = (data.draw(st.sampled_from(columns)) for _ in range(2))
                value = data.draw(st.none() | st.integers(-9, 9) | st.sampled_from(_CELLS))
                some = f"WHERE rowid % {data.draw(st.integers(1, 3))} = 0"
                how = data.draw(st.sampled_from(["set", "copy", "delete", "drop", "column"]))
                with suppress(sqlite3.Error):  # a key may have to be unique
                    if how == "set":
                        db.execute(f'UPDATE "{table}" SET "{column}" = ? {some}', (value,))
                    elif how == "copy":
                        db.execute(f'UPDATE "{table}" SET "{column}" = "{other}" {some}')
                    elif how == "delete":
                        db.execute(f'DELETE FROM "{table}" {some}')
                    elif how == "drop":
                        db.execute(f'DROP TABLE "{table}"')
                        tables.remove(table)
                    else:
                        db.execute(f'ALTER TABLE "{table}" RENAME COLUMN "{column}" TO "other"')
            db.commit()
        _read(format_name, path)


@pytest.mark.parametrize(
    ("format_name", "place"), DATABASE_PLACES, ids=[place for _, place in DATABASE_PLACES]
)
@given(data=st.data())
def test_pages_at_random(format_name: str, place: str, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = database(GOLDEN / place, Path(folder) / "logs.db")
        whole = bytearray(path.read_bytes())
        for _ in range(data.draw(st.integers(1, 30))):
            whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
        path.write_bytes(whole[: data.draw(st.sampled_from([len(whole), len(whole) // 2, 100]))])
        _read(format_name, path)


@pytest.mark.parametrize("format_name", [*FILES, "llm"])
def test_what_is_no_file_is_an_error(format_name: str, tmp_path: Path) -> None:
    read = find(format_name).read
    assert read is not None
    for path in (tmp_path, tmp_path / "nowhere.json", tmp_path / "nowhere.db"):
        with pytest.raises(FormatError) as caught:
            list(read(path))
        assert str(path) in str(caught.value)
