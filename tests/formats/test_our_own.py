"""Our own JSON and JSON lines: nothing is lost, and nothing that is wrong comes in."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import nbsessions as nbs
from nbsessions import FormatError, Store
from nbsessions.formats import find
from tests.lived import assert_same, lived

FORMATS = ("json", "jsonl")


@pytest.fixture
def store() -> Iterator[Store]:
    with nbs.open_store("memory:") as store:
        yield store


@pytest.mark.parametrize("format", FORMATS)
def test_what_is_exported_and_imported_is_the_same(store: Store, tmp_path: Path, format: str) -> None:
    session = lived(store)
    path = store.export("plan", tmp_path / f"plan.{format}")
    with nbs.open_store(tmp_path / "other.db") as other:
        (record,) = other.import_(path)
        again = other.resume(record.session_id)
        assert_same(again, session)
        assert again.usage.input_tokens == 21
        again.undo()
        again.send("on it goes", agent=lambda prompt: "yes")
        assert other.verify().ok


@pytest.mark.parametrize("format", FORMATS)
def test_native_messages_come_back_byte_for_byte(store: Store, tmp_path: Path, format: str) -> None:
    # Spelled otherwise than we write it, as another framework's serialiser does.
    body = '[{"kind": "request", "parts": [{"part_kind":"user-prompt","content":"\\u00e4 1e-7"}], "n":1.50}]'
    session = store.create("native")
    session.commit("import", "pydantic-ai", body, prompts=1)
    path = store.export("native", tmp_path / f"native.{format}")
    with nbs.open_store("memory:") as other:
        other.import_(path)
        assert [turn.body for turn in other.resume("native").turns] == [body]


@pytest.mark.parametrize("format", FORMATS)
def test_several_sessions_go_into_one_file(store: Store, tmp_path: Path, format: str) -> None:
    plan = lived(store)
    fork = plan.fork("way")
    path = store.export(["plan", "way"], tmp_path / f"all.{format}")
    with nbs.open_store("memory:") as other:
        assert [record.name for record in other.import_(path)] == ["plan", "way"]
        assert_same(other.resume("way"), fork)
        assert len(other.backend.scan(0, 100)) == len(store.backend.scan(0, 100))


def _json_document(store: Store, tmp_path: Path) -> dict[str, Any]:
    lived(store)
    document: dict[str, Any] = json.loads(store.export("plan", tmp_path / "plan.json").read_text())
    return document


def _set(path: str, value: object) -> Callable[[Any], None]:
    *way, last = [int(part) if part.isdigit() else part for part in path.split("/")]

    def change(document: Any) -> None:
        for part in way:
            document = document[part]
        document[last] = value

    return change


def _shares(tokens: int) -> Callable[[Any], None]:
    return _set("sessions/0/runs/0/shares", [["2026-01-01", None, None, {"input_tokens": tokens}]])


PROGRESS = {"run_id": "x", "codec": "chat", "body": "[]", "usage": {}}
WRONG = {
    "a later version": (_set("version", 3), "a newer nbsessions wrote it"),
    "no version": (_set("version", True), "it is no export"),
    "another format": (_set("format", "other"), "it is no export"),
    "no sessions": (_set("sessions", None), "it has no sessions"),
    "an edited answer": (_set("sessions/0/turns/1/messages/0/content", "I agree"), "edited, or damaged"),
    "an edited hash": (_set("sessions/0/turns/1/hash", "00"), "edited, or damaged"),
    "a missing turn": (lambda d: d["sessions"][0]["turns"].pop(), "is missing in it"),
    "a turn before its parent": (lambda d: d["sessions"][0]["turns"].reverse(), "is missing"),
    "an id that is none": (_set("sessions/0/session/session_id", ""), "is no session_id"),
    "a reserved name": (_set("sessions/0/session/name", "latest"), "reserved"),
    "a number as a name": (_set("sessions/0/session/name", 3), "name: "),
    "a log without a beginning": (_set("sessions/0/log", []), "does not begin"),
    "a log out of order": (lambda d: d["sessions"][0]["log"].reverse(), "out of order"),
    "a time that is none": (
        _set("sessions/0/turns/0/created_at", "yesterday"),
        "created_at|datetime|in it is none",
    ),
    "a wrong count": (_set("sessions/0/session/message_count", 99), "not as many messages"),
    "a head beyond its turn": (_set("sessions/0/session/head/1", 99), "has not 99 messages"),
    "an unknown field": (_set("sessions/0/session/colour", "red"), "colour"),
    "a count beyond all": (_set("sessions/0/session/usage/input_tokens", 10**30), "input_tokens cannot be"),
    "a count below zero": (_set("sessions/0/runs/0/usage/requests", -1), "requests cannot be -1"),
    "a cost beyond all": (_set("sessions/0/runs/0/usage/cost", "1e400"), "cost cannot be"),
    "shares that are not all": (_shares(3), "are not what it spent"),
    "a share beyond all": (_shares(10**30), "input_tokens cannot be"),
    "a share of no day": (_set("sessions/0/runs/0/shares", [["never", None, None, {}]]), "shares"),
    "an event beyond all": (_set("sessions/0/events/0/seq", 10**30), "seq cannot be"),
    "events out of order": (_set("sessions/0/events/1/seq", 0), "out of order"),
    "a time without a zone": (_set("sessions/0/runs/0/started_at", "2026-01-01T00:00:00"), "no timezone"),
    "a time beyond all": (_set("sessions/0/session/updated_at", "9999-12-31T23:59:59-12:00"), "out of range"),
    "a cell that is none": (_set("sessions/0/turns/0/cell_id", {"a": 1}), "of other types"),
    "prompts beyond all": (_set("sessions/0/turns/0/prompts", 10**30), "prompts cannot be"),
    "another number of messages": (_set("sessions/0/turns/0/message_count", 5), "not as many messages"),
    "another number of prompts": (_set("sessions/0/session/turn_count", 77), "where its log ends"),
    "a log that counts otherwise": (_set("sessions/0/log/0/message_count", -1), "message_count cannot be"),
    "a draft that is in no log": (_set("sessions/0/session/draft/1", 0), "where its log ends"),
    "nothing, of which some is kept": (_set("sessions/0/runs/0/base", [None, 3]), "stands nowhere"),
    "a checkpoint of two lines": (_set("sessions/0/checkpoints/0/name", "a\nb"), "is no name"),
    "progress that is none": (_set("sessions/0/progress", [PROGRESS]), "it belongs to no run"),
    "an event of no run": (_set("sessions/0/events/0/run_id", "x"), "belongs to no run"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_refused_and_named(store: Store, tmp_path: Path, what: str) -> None:
    change, reason = WRONG[what]
    document = _json_document(store, tmp_path)
    change(document)
    path = tmp_path / "wrong.json"
    path.write_text(text := json.dumps(document))
    with nbs.open_store("memory:") as other:
        with pytest.raises(FormatError, match=reason) as caught:
            other.import_(path, format="json")
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)
        assert other.list() == []
    assert path.read_text() == text


@pytest.mark.parametrize(
    "text", ["", " ", "{", "[]", "null", "\x00", "\ud800", "[" * 100_000, "1" * 100_000, "NaN"]
)
@pytest.mark.parametrize("format", FORMATS)
def test_what_is_no_file_of_ours_is_refused(tmp_path: Path, text: str, format: str) -> None:
    path = tmp_path / "wrong"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    read = find(format).read
    assert read is not None
    with pytest.raises(FormatError):
        list(read(path))


@pytest.mark.parametrize("cut", [1, 2, 0.2, 0.5, 0.9])
def test_lines_that_end_early_are_noticed(store: Store, tmp_path: Path, cut: float) -> None:
    lived(store)
    lines = store.export("plan", tmp_path / "plan.jsonl").read_bytes().splitlines(keepends=True)
    path = tmp_path / "cut.jsonl"
    path.write_bytes(b"".join(lines[: int(cut * len(lines)) if cut < 1 else len(lines) - int(cut)]))
    with nbs.open_store("memory:") as other:
        with pytest.raises(FormatError):
            other.import_(path)
        assert other.list() == []


def test_a_line_that_is_missing_is_noticed(store: Store, tmp_path: Path) -> None:
    lived(store)
    lines = store.export("plan", tmp_path / "plan.jsonl").read_bytes().splitlines(keepends=True)
    path = tmp_path / "cut.jsonl"
    for number in range(len(lines)):
        path.write_bytes(b"".join(lines[:number] + lines[number + 1 :]))
        with nbs.open_store("memory:") as other:
            with pytest.raises(FormatError):
                other.import_(path, format="jsonl")
            assert other.list() == []


def test_sessions_before_a_broken_line_came_whole(store: Store, tmp_path: Path) -> None:
    for name in ("one", "two"):
        store.create(name).add_message({"role": "user", "content": name})
    path = store.export(["one", "two"], tmp_path / "both.jsonl")
    path.write_bytes(path.read_bytes()[:-60])
    with nbs.open_store("memory:") as other:
        report = other.import_(path)
        assert [record.name for record in report] == ["one"]
        assert len(report.refused) == 1
        assert [record.name for record in other.list()] == ["one"]


@pytest.mark.parametrize("kind", ["memory:", "sqlite"])
def test_what_can_be_mended_is(tmp_path: Path, kind: str) -> None:
    with nbs.open_store("memory:") as store:
        document = _json_document(store, tmp_path)
    (session,) = document["sessions"]
    first, last = session["runs"][0], session["events"][-1]
    first |= {"session_id": "other", "conversation_id": "other", "output": "x", "event_count": 99}
    first["started_at"] = "2026-01-01T02:00:00+02:00"
    last["seq"] += 5
    session["turns"][0]["has_system"] = False
    path = tmp_path / "mended.json"
    path.write_text(json.dumps(document))
    with nbs.open_store(kind if kind == "memory:" else tmp_path / "other.db") as other:
        report = other.import_(path)
        assert sum("are missing" in note for note in report.files[0].notes) == 2
        again = other.resume("plan")
        assert (len(again.runs()), again.runs()[0].output) == (len(session["runs"]), None)
        assert again.runs()[0].started_at.isoformat() == "2026-01-01T00:00:00+00:00"
        assert [event.seq for event in again.run_events(last["run_id"])] == [last["seq"]]
        assert again.turns[0].has_system
        assert other.verify().ok


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(data=st.data())
def test_no_change_of_a_file_does_harm(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = tmp_path_factory.mktemp("fuzz")
    with nbs.open_store("memory:") as store, nbs.open_store("memory:") as other:
        document = _json_document(store, folder)
        part: Any = document
        while isinstance(part, (dict, list)) and part:
            keys = list(part) if isinstance(part, dict) else list(range(len(part)))
            key = data.draw(st.sampled_from(keys))
            if data.draw(st.booleans()) or not isinstance(part[key], (dict, list)):
                part[key] = data.draw(JSON)
                break
            part = part[key]
        path = folder / "fuzzed.json"
        path.write_text(json.dumps(document))
        with suppress(FormatError):
            other.import_(path, format="json")
        assert other.verify().ok
        for record in other.list(None, conversation_id="*"):
            session = other.resume(record.session_id, conversation_id=record.conversation_id)
            assert len(session.messages) == record.message_count
