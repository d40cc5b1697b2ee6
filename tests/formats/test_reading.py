"""Files from outside, read with care."""

from __future__ import annotations

import sqlite3
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbsessions import FormatError
from nbsessions.formats.base import Peek, Reading, listening
from nbsessions.formats.reading import count_of, json_lines, moment, parsed, read_database, read_json

MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    "value",
    [
        "2026-01-02T03:04:05Z",
        "2026-01-02T05:04:05+02:00",
        "2026-01-02 03:04:05",
        1767323045,
        1767323045.0,
        1767323045000,
        1767323045000000,
    ],
)
def test_times_of_all_kinds_are_told_apart(value: object) -> None:
    assert moment(value) == MOMENT


@pytest.mark.parametrize(
    "value", [None, True, "", "soon", -1, 10**400, float("nan"), float("inf"), [], "9999"]
)
def test_what_is_no_time_is_none(value: object) -> None:
    assert moment(value) is None


def test_a_time_of_this_machine_is_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        assert moment("2026-01-01T22:04:05", local=True) == MOMENT
    finally:
        monkeypatch.undo()
        time.tzset()


@given(st.one_of(st.text(), st.integers(), st.floats(), st.none(), st.booleans()))
def test_no_value_makes_a_time_fail(value: object) -> None:
    found = moment(value)
    assert found is None or found.tzinfo is UTC
    assert 0 <= count_of(value) <= 2**53


def test_text_that_came_apart_is_mended() -> None:
    assert parsed('["\\ud83d\\ude00", "\\ud83d"]', "here") == ["😀", "�"]
    assert parsed(b"\xef\xbb\xbf[1]", "here") == [1]
    assert parsed('{"a": [NaN, Infinity, 1]}', "here") == {"a": [None, None, 1]}


@pytest.mark.parametrize("text", [b"", b"{", b'{"a" 1}', b"\xff\xfe", b"[" * 10**6, b"9" * 10_000, b"\x00"])
def test_what_is_no_json_is_named_on_one_line(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(text)
    with pytest.raises(FormatError) as caught:
        read_json(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)
    if text.strip():
        with pytest.raises(FormatError, match="line 1"):
            list(json_lines(path))


def test_torn_lines_of_a_log_are_left_out_and_told(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"a": 1}\n\n{"a": ')
    with listening(Reading()) as told:
        assert list(json_lines(path, partial=True)) == [(1, {"a": 1})]
    assert told.notes == []  # it may be written just now
    with pytest.raises(FormatError, match="line 3"):
        list(json_lines(path))
    path.write_text('{"a": \n{"a": 1}\n')
    with listening(Reading()) as told:
        assert list(json_lines(path, partial=True)) == [(2, {"a": 1})]
    assert len(told.notes) == 1
    assert told.notes[0].startswith("a.jsonl, line 1 was left out: it is no JSON")
    path.write_text("nothing\n")
    with pytest.raises(FormatError, match="line 1"):
        list(json_lines(path, partial=True))


def test_files_that_are_too_large_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nbsessions.formats.reading.MAX_FILE_BYTES", 10)
    path = tmp_path / "a.json"
    path.write_text("[1, 2, 3, 4, 5]")
    with pytest.raises(FormatError, match="more than 10 bytes"):
        read_json(path)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="it cannot be read"):
        read_json(tmp_path)
    with pytest.raises(FormatError, match="it cannot be read"):
        list(json_lines(tmp_path))


def test_reading_a_database_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "logs.db"
    db = sqlite3.connect(path)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("CREATE TABLE a(b)")
    db.execute("INSERT INTO a VALUES (?)", ("\udcff".encode("utf-8", "surrogateescape").decode("latin-1"),))
    db.commit()
    db.close()
    before = path.read_bytes()
    with read_database(path) as found:
        assert found.execute("SELECT count(*) FROM a").fetchone() == (1,)
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            found.execute("DELETE FROM a")
    assert [each.name for each in tmp_path.iterdir()] == ["logs.db"]
    assert path.read_bytes() == before


def test_what_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "logs.db"
    path.write_bytes(b"SQLite format 3\0" + b"x" * 5_000)
    assert Peek(path).tables == frozenset()
    for wrong in (path, tmp_path, tmp_path / "nothing.db"):
        with pytest.raises(FormatError):
            _ask(wrong)


def _ask(path: Path) -> None:
    with read_database(path) as db:
        db.execute("SELECT * FROM sqlite_master").fetchall()


def test_keys_are_told_from_the_beginning_of_a_large_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    inner = '{"deep": [1, {"deeper": "}"}], "quoted \\" key": "a: b"}'
    path.write_text('{"first": ' + inner + ', "second": "x", "third": "' + "y" * 100_000)
    assert Peek(path).keys == {"first", "second", "third"}
    path.write_text('["first", {"second": 1}')
    assert Peek(path).keys == set()


@given(st.binary(max_size=300))
def test_no_file_makes_a_peek_fail(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("peek") / "a.json"
    path.write_bytes(data)
    peek = Peek(path)
    assert isinstance(peek.keys, frozenset)
    assert peek.tables == frozenset()
    assert peek.first is not path
