"""Sessions of A3S Code, of both layouts."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from nbsessions import FormatError
from nbsessions.formats import guess
from nbsessions.formats.base import Reading, listening
from tests.formats.golden_sessions import GOLDEN, check_golden, sessions, taken_in

FOLDER = GOLDEN / "a3s"
PLAIN = FOLDER / "v1" / "sessions" / "id_bXktcHJvamVjdC1yZXZpZXc.json"
FULL = FOLDER / "v1" / "sessions" / "id_YS9i.json"
OLDER = FOLDER / "older" / "older.json"


@pytest.mark.parametrize(
    ("name", "path"), [("plain", PLAIN), ("full", FULL), ("older", OLDER)], ids=["plain", "full", "older"]
)
def test_what_a_file_says_comes_in(name: str, path: Path) -> None:
    assert guess(path).name == "a3s"
    check_golden(f"a3s/{name}.expected.json", sessions("a3s", path))


def test_runs_are_at_the_turns_that_they_made() -> None:
    [bundle] = sessions("a3s", FULL)
    first, second = bundle.turns
    at = {run.status: run for run in bundle.runs[:4]}
    assert [run.turn_id for run in bundle.runs] == [first.turn_id, None, second.turn_id, None, None]
    assert at["failed"].base.turn_id == first.turn_id
    assert at["interrupted"].base.turn_id == second.turn_id
    assert at["failed"].error == "the model is down"


def test_events_are_as_they_were_recorded_also_where_the_oldest_are_gone() -> None:
    how, store = taken_in(sessions("a3s", FULL))
    session = store.resume("Review")
    page = session.run_events(session.runs()[0].run_id)
    assert how == [["new"]]
    assert [event.type for event in page] == [
        "turn_end",
        "tool_end",
        "turn_end",
        "something_new",
        "agent_end",
    ]
    assert (page.gap, page.event_count, page[0].seq) == (True, 9, 4)
    assert page[3].data == {"type": "something_new", "n": 1, "sequence": 7, "timestamp_ms": 1767323047400}


def test_no_key_comes_along(tmp_path: Path) -> None:
    data = json.loads(FULL.read_text())
    data["session"]["config"]["mcp"] = [{"env": {"GITHUB_TOKEN": "ghp_1", "authToken": "a", "max_tokens": 5}}]
    path = _file(data, tmp_path)
    [bundle] = sessions("a3s", path)
    text = bundle.record.model_dump_json()
    assert not [secret for secret in ("sk-ant-secret", "hunter2", "ghp_1", '"authToken"') if secret in text]
    assert bundle.record.metadata["left_out"] == [
        "config.mcp.env.GITHUB_TOKEN",
        "config.mcp.env.authToken",
        "llm_config.api_key",
    ]
    assert bundle.record.metadata["config"]["mcp"] == [{"env": {"max_tokens": 5}}]


def test_artifacts_are_left_out_and_told() -> None:
    with listening(Reading()) as told:
        sessions("a3s", FULL)
    assert told.notes == ["left out: 1 artifact of its tools"]


def test_what_grew_goes_on(tmp_path: Path) -> None:
    data = json.loads(PLAIN.read_text())
    said = [{"role": "user", "text": "More"}, {"role": "assistant", "text": "Yes"}]
    data["session"]["messages"] += [
        {"role": message["role"], "content": [{"type": "text", "text": message["text"]}]} for message in said
    ]
    data["session"]["total_usage"] = {"prompt_tokens": 9, "completion_tokens": 8, "total_tokens": 17}
    run = json.loads(json.dumps(data["run_records"][0]))
    run["snapshot"] |= {"id": "run-2", "prompt": "More", "result_text": "Yes"}
    data["run_records"].append(run)
    grown = sessions("a3s", _file(data, tmp_path))
    first = sessions("a3s", PLAIN)
    how, store = taken_in(first, first, grown, grown)
    assert how == [["new"], ["present"], ["grown"], ["present"]]
    session = store.resume("my-project-review")
    assert [message.text for message in session.messages][-2:] == ["More", "Yes"]
    assert session.total_tokens == 17
    assert [run.status for run in session.runs()] == ["completed"] * 3


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"schema_version": 2}, "a newer A3S Code wrote it"),
        ({"schema_version": 10**30}, "a newer A3S Code wrote it"),
        ({"schema_version": "1"}, "no schema_version"),
        ({"schema_version": True}, "no schema_version"),
        ({"schema_version": None}, "no schema_version"),
        ({"session": None}, "no id, or no messages"),
        ({"session": {"id": "a", "messages": [1]}}, "message 1 is none"),
        ({"session": {"id": "a", "messages": [{"role": 3, "content": []}]}}, "role"),
        ({"run_records": [{"snapshot": {}}]}, "a run.*has no id|one of its runs has no id"),
        ({"run_records": [{"snapshot": {"id": "r"}}] * 2}, "two of its runs have one id"),
        (
            {"run_records": [{"snapshot": {"id": "r"}, "events": [{"sequence": 1}, {"sequence": 1}]}]},
            "not in order",
        ),
    ],
)
def test_what_is_wrong_is_said(change: dict[str, Any], reason: str, tmp_path: Path) -> None:
    path = _file(json.loads(PLAIN.read_text()) | change, tmp_path)
    with pytest.raises(FormatError, match=reason) as caught:
        sessions("a3s", path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("size", [0, 1, 100, -5])
def test_what_is_cut_is_an_error(size: int, tmp_path: Path) -> None:
    path = tmp_path / "id_a.json"
    path.write_bytes(PLAIN.read_bytes()[:size])
    with pytest.raises(FormatError, match=r"empty|no JSON"):
        sessions("a3s", path)


def test_what_is_encrypted_is_told(tmp_path: Path) -> None:
    path = tmp_path / "id_a.json"
    path.write_bytes(b"A3SE\x01" + bytes(40))
    assert guess(path).name == "a3s"
    with pytest.raises(FormatError, match="it is encrypted"):
        sessions("a3s", path)


@pytest.mark.parametrize("session_id", ["../../other", "a\x00b", "x" * 5000, "/etc/passwd"])
def test_an_id_leads_nowhere_else(session_id: str, tmp_path: Path) -> None:
    data = json.loads(OLDER.read_text())
    data["id"] = session_id
    root = tmp_path / "in" / "here"
    root.mkdir(parents=True)
    (tmp_path / "other.json").write_text("[]")
    [bundle] = sessions("a3s", _file(data, root))
    assert [run for run in bundle.runs if run.started_at.year > 2025 and run.turn_id] == []


def test_links_are_not_followed(tmp_path: Path) -> None:
    path = _file(json.loads(OLDER.read_text()), tmp_path, "older.json")
    (tmp_path / "runs").mkdir()
    os.symlink(OLDER.parent / "runs" / "older.json", tmp_path / "runs" / "older.json")
    with pytest.raises(FormatError, match="links are not followed"):
        sessions("a3s", path)


def test_runs_beside_that_are_broken_are_an_error(tmp_path: Path) -> None:
    path = _file(json.loads(OLDER.read_text()), tmp_path, "older.json")
    (tmp_path / "runs").mkdir()
    for text, reason in (("{}", "no list of runs"), ("[", "no JSON"), ("", "empty")):
        (tmp_path / "runs" / "older.json").write_text(text)
        with pytest.raises(FormatError, match=reason):
            sessions("a3s", path)


def _file(data: object, folder: Path, name: str = "id_a.json") -> Path:
    path = folder / name
    path.write_text(json.dumps(data))
    return path
