"""Session files of webagents' session skill, both ways."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

import nbsessions as nbs
from nbsessions import FormatError, InvalidInput
from nbsessions.bundles import gather
from nbsessions.formats import guess
from nbsessions.formats.webagents import KEYS, write
from tests.formats.golden_sessions import GOLDEN, check_golden, sessions, taken_in, timezone, written

FOLDER = GOLDEN / "webagents" / "sessions"
PLAIN = FOLDER / "3f2b8c1e-0d4a-4f6e-9a51-7c2d1e5b9a10.json"
ODD = FOLDER / "5a0c1f0e-8a86-4b7d-8a53-1d8e0c7a9b42.json"
A2A = FOLDER / "a2a" / "conv-1" / "9d1c7e42-5b38-4a0f-8e66-2f4b7a9c0d31.json"


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with timezone(monkeypatch, "UTC"):
        yield


@pytest.mark.parametrize("path", [PLAIN, ODD, A2A], ids=["plain", "odd", "a2a"])
def test_what_a_file_says_comes_in(path: Path) -> None:
    assert guess(path).name == "webagents"
    check_golden(f"webagents/{path.stem[:4]}.expected.json", sessions("webagents", path))


@pytest.mark.parametrize("path", [PLAIN, A2A], ids=["plain", "a2a"])
def test_what_was_read_is_written_as_it_was(path: Path, tmp_path: Path) -> None:
    [bundle] = sessions("webagents", path)
    made = json.loads(written("webagents", bundle, tmp_path / "made.json").read_text())
    assert made == json.loads(path.read_text())
    assert list(made) == list(KEYS)


def test_what_is_none_of_the_eight_keys_is_written_in_the_metadata(tmp_path: Path) -> None:
    [bundle] = sessions("webagents", ODD)
    made = json.loads(written("webagents", bundle, tmp_path / "made.json").read_text())
    was = json.loads(ODD.read_text())
    assert list(made) == list(KEYS)
    assert made["metadata"] == {"mood": "curious", "transcript": [{"seq": 1}], "version": 3}
    assert made["messages"] == was["messages"]
    assert (made["input_tokens"], made["output_tokens"]) == (0, 7)


def test_times_are_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with timezone(monkeypatch, "Asia/Tokyo"):
        [bundle] = sessions("webagents", PLAIN)
        assert bundle.record.created_at.isoformat() == "2024-01-15T01:30:00+00:00"
        made = json.loads(written("webagents", bundle, tmp_path / "made.json").read_text())
        assert made == json.loads(PLAIN.read_text())


def test_a_session_of_ours_is_written_so_that_it_comes_back(tmp_path: Path) -> None:
    store = nbs.open_store("memory:")
    session = store.create("plan", agent_name="helper", metadata={"a": 1})
    session.send("Hello", agent=lambda prompt: "Hi!")
    session.add_message({"role": "user", "content": "And now?"})
    path = written("webagents", gather(store.backend, session.key), tmp_path / "plan.json")
    [bundle] = sessions("webagents", path)
    assert bundle.title == "plan"
    assert bundle.record.metadata == {"a": 1}
    how, other = taken_in([bundle])
    assert [m.text for m in other.resume("plan").messages] == ["Hello", "Hi!", "And now?"]
    assert how == [["new"]]


def test_a_file_holds_one_session() -> None:
    [bundle] = sessions("webagents", PLAIN)
    for bundles in ([], [bundle, bundle]):
        with pytest.raises(InvalidInput, match="holds one session"):
            write(bundles, BytesIO())


def test_two_conversations_with_one_id_are_two_sessions(tmp_path: Path) -> None:
    paths = [tmp_path / "a2a" / name / "same.json" for name in ("conv-1", "conv-2")]
    for path in paths:
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({"session_id": "same", "messages": [{"role": "user", "content": "Hi"}]}))
    how, store = taken_in(*(sessions("webagents", path) for path in paths))
    assert how == [["new"], ["new"]]
    assert [store.exists("same", conversation_id=name) for name in ("conv-1", "conv-2")] == [True, True]


def test_what_grew_goes_on(tmp_path: Path) -> None:
    data = json.loads(PLAIN.read_text())
    path = tmp_path / PLAIN.name
    data["messages"] += [{"role": "user", "content": "Thanks"}, {"role": "assistant", "content": "Welcome."}]
    data["input_tokens"] = 130
    path.write_text(json.dumps(data))
    grown = sessions("webagents", path)
    how, store = taken_in(sessions("webagents", PLAIN), sessions("webagents", PLAIN), grown, grown)
    assert how == [["new"], ["present"], ["grown"], ["present"]]
    session = store.resume("nice")
    assert [message.text for message in session.messages][-2:] == ["Thanks", "Welcome."]
    assert session.usage.input_tokens == 130


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "it is empty"),
        ("{", "it is no JSON"),
        ("[]", "no session_id"),
        ('{"messages": []}', "no session_id"),
        ('{"session_id": "", "messages": []}', "no session_id"),
        ('{"session_id": "a", "messages": {}}', "messages are no list"),
        ('{"session_id": "a", "messages": [3]}', "message 1 is none"),
        ('{"session_id": "a", "messages": [{"role": "judge"}]}', "role"),
        (
            '{"session_id": "a", "metadata": ' + '{"a":' * 150 + "1" + "}" * 150 + ', "messages": ""}',
            "no list",
        ),
    ],
)
def test_what_is_wrong_is_said(text: str, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.json"
    path.write_text(text)
    with pytest.raises(FormatError, match=reason) as caught:
        sessions("webagents", path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("lacks", KEYS[1:])
def test_what_a_file_lacks_is_no_error(lacks: str, tmp_path: Path) -> None:
    data: dict[str, Any] = json.loads(PLAIN.read_text())
    for value in (None, ...):
        data.pop(lacks, None)
        if value is None and lacks != "messages":
            data[lacks] = None
        path = tmp_path / "odd.json"
        path.write_text(json.dumps(data))
        assert [bundle.record.session_id for bundle in sessions("webagents", path)] == [PLAIN.stem]
