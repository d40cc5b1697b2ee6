"""Sessions of synwire, both ways."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import nbsessions as nbs
from nbsessions import FormatError
from nbsessions.bundles import gather
from nbsessions.formats import guess
from tests.formats.golden_sessions import GOLDEN, check_golden, sessions, taken_in, written

FOLDER = GOLDEN / "synwire"


@pytest.mark.parametrize("name", ["session", "messages"])
def test_what_a_file_says_comes_in(name: str) -> None:
    path = FOLDER / f"{name}.json"
    assert guess(path).name == "synwire"
    check_golden(f"synwire/{name}.expected.json", sessions("synwire", path))


def test_what_was_read_is_written_as_it_was(tmp_path: Path) -> None:
    [bundle] = sessions("synwire", FOLDER / "session.json")
    made = json.loads(written("synwire", bundle, tmp_path / "made.json").read_text())
    was = json.loads((FOLDER / "session.json").read_text())
    assert made == was
    assert [list(made), list(made["metadata"])] == [list(was), list(was["metadata"])]


def test_a_session_of_ours_is_written_so_that_it_comes_back(tmp_path: Path) -> None:
    store = nbs.open_store("memory:")
    session = store.create("plan", agent_name="helper", tags=["a"], state={"step": 1})
    session.send("Hello", agent=lambda prompt: "Hi!")
    path = written("synwire", gather(store.backend, session.key), tmp_path / "plan.json")
    how, other = taken_in(sessions("synwire", path))
    again = other.resume("plan")
    assert how == [["new"]]
    assert [m.text for m in again.messages] == ["Hello", "Hi!"]
    assert (again.tags, again.state, again.turn_count) == (["a"], {"step": 1}, 1)
    assert json.loads(path.read_text())["metadata"]["created_at"] > 1_700_000_000_000


@pytest.mark.parametrize("factor", [1, 1000])
def test_seconds_and_milliseconds_are_told_apart(factor: int, tmp_path: Path) -> None:
    data = _data()
    data["metadata"]["created_at"] = 1767323045 * factor
    path = _file(data, tmp_path)
    [bundle] = sessions("synwire", path)
    assert bundle.record.created_at.isoformat() == "2026-01-02T03:04:05+00:00"


def test_what_grew_goes_on(tmp_path: Path) -> None:
    data = _data()
    first = sessions("synwire", _file(data, tmp_path))
    data["messages"] += [{"role": "user", "content": "c"}, {"role": "assistant", "content": "d"}]
    data["metadata"] |= {"total_tokens": 90, "updated_at": 1767323999000}
    grown = sessions("synwire", _file(data, tmp_path))
    how, store = taken_in(first, first, grown, grown)
    assert how == [["new"], ["present"], ["grown"], ["present"]]
    session = store.resume("my-task")
    assert [message.text for message in session.messages] == ["a", "b", "c", "d"]
    assert session.total_tokens == 90


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"metadata": None}, "no metadata.id"),
        ({"metadata": {"id": 3}}, "no metadata.id"),
        ({"messages": None}, "messages are no list"),
        ({"messages": ["a"]}, "message 1 is none"),
        ({"messages": [{"type": "chat", "role": "judge", "content": "a"}]}, "role"),
        ({"messages": [{"content": "a"}]}, "role"),
    ],
)
def test_what_is_wrong_is_said(change: dict[str, Any], reason: str, tmp_path: Path) -> None:
    path = _file(_data() | change, tmp_path)
    with pytest.raises(FormatError, match=reason) as caught:
        sessions("synwire", path)
    assert str(path) in str(caught.value)


def _data() -> dict[str, Any]:
    data: dict[str, Any] = json.loads((FOLDER / "session.json").read_text())
    return data


def _file(data: object, folder: Path) -> Path:
    path = folder / "session.json"
    path.write_text(json.dumps(data))
    return path
