from __future__ import annotations

import json
import os
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import nbsessions as nbs
from nbsessions.exceptions import FormatError
from nbsessions.formats import guess
from nbsessions.formats.building import Building
from nbsessions.formats.openai_chat import FORMAT, read, write
from nbsessions.stores.arguments import Bundle
from tests.formats.mutating import mutated, mutated_json
from tests.formats.told import GOLDEN, check_golden, ids_of, messages_of, reads_or_refuses

FOLDER = GOLDEN / "openai-chat"
LIST, OBJECT, LINES = FOLDER / "list.json", FOLDER / "object.json", FOLDER / "fine-tuning.jsonl"


def _written(*bundles: Bundle) -> bytes:
    file = BytesIO()
    write(bundles, file)
    return file.getvalue()


@pytest.mark.parametrize("path", [LIST, OBJECT, LINES], ids=lambda path: path.stem)
def test_golden(path: Path, tmp_path: Path) -> None:
    assert guess(path) is FORMAT
    copy = tmp_path / path.name
    copy.write_bytes(path.read_bytes())
    os.utime(copy, (1_767_323_045, 1_767_323_045))
    check_golden(f"openai-chat/{path.stem}.expected.json", read(copy))


@pytest.mark.parametrize("path", [LIST, OBJECT], ids=lambda path: path.stem)
def test_what_was_read_is_written(path: Path, tmp_path: Path) -> None:
    value = json.loads(path.read_text())
    sent = value["messages"] if isinstance(value, dict) else value
    back = tmp_path / "back.json"
    back.write_bytes(_written(*read(path)))
    assert json.loads(back.read_bytes()) == {"messages": sent}
    assert [messages_of(bundle) for bundle in read(back)] == [messages_of(bundle) for bundle in read(path)]


def test_lines_are_written_as_lines(tmp_path: Path) -> None:
    written = [json.loads(line) for line in _written(*read(LINES)).splitlines()]
    sent = [json.loads(line)["messages"] for line in LINES.read_text().splitlines()]
    sent[2][1]["content"] = None
    assert written == [{"messages": messages} for messages in sent]


def test_lines_that_begin_alike_are_sessions_of_their_own() -> None:
    store = nbs.open_store("memory:")
    assert len(store.import_(LINES)) == 3
    assert len(store.import_(LINES)) == 0
    assert {record.message_count for record in store.list()} == {2, 3, 5}


def test_lines_in_a_file_of_another_name(tmp_path: Path) -> None:
    path = tmp_path / "train.json"
    path.write_bytes(LINES.read_bytes())
    assert guess(path) is FORMAT
    assert ids_of(read(path)) == ids_of(read(LINES))
    listed = tmp_path / "list.json"
    listed.write_text(json.dumps([json.loads(line) for line in LINES.read_text().splitlines()]))
    assert guess(listed) is FORMAT
    assert ids_of(read(listed)) == ids_of(read(LINES))


def test_a_list_that_grew_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "chat.json"
    messages = json.loads(LIST.read_text())
    path.write_text(json.dumps(messages[:5]))
    store = nbs.open_store("memory:")
    (first,) = store.import_(path)
    path.write_text(json.dumps(messages))
    (then,) = store.import_(path)
    assert (first.session_id, first.message_count) == (then.session_id, 5)
    assert then.message_count == 7
    assert ids_of(read(path))[0][1][:1] == [turn.turn_id for turn in store.resume(then.session_id).turns][:1]


def test_a_title_and_an_id_are_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "chat.json"
    path.write_text(
        json.dumps({"id": "chat-7", "title": "Sums", "messages": [{"role": "user", "content": "Hi"}]})
    )
    (bundle,) = read(path)
    assert (bundle.record.session_id, bundle.record.name) == ("chat-7", "Sums")


def test_only_what_the_api_takes_is_written() -> None:
    building = Building("example", "s1", agent_name="helper")
    building.add({"role": "user", "content": "Hi", "timestamp": "2026-01-02T03:04:05Z", "kind": "context"})
    building.add({"role": "assistant", "content": None, "reasoning_content": "Hm."})
    building.add({"role": "tool", "content": "3", "name": "add", "tool_call_id": "c1"})
    assert json.loads(_written(building.bundle()))["messages"] == [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": ""},
        {"role": "tool", "content": "3", "tool_call_id": "c1"},
    ]


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("chat.json", b"", "it is empty"),
        ("chat.jsonl", b"\n", "it is empty"),
        ("chat.json", b"[]", "it is empty"),
        ("chat.json", b"{}", "it holds no list of messages"),
        ("chat.json", b'{"messages":{}}', "it holds no list of messages"),
        ("chat.json", b'[{"role":"user"},{"role":"x"}]', "message 2 has no role that is known"),
        ("chat.json", b'[{"role":["user"]}]', "message 1 has no role that is known"),
        ("chat.json", b'[{"role":"user","tool_calls":3}]', "message 1: .*tool_calls"),
        ("chat.jsonl", b'{"messages":[]}\n{"messages":1}\n', "line 2: it holds no list of messages"),
        ("chat.jsonl", b'{"messages":[]}\n{"messages":[', "line 2: it is no JSON"),
    ],
)
def test_what_holds_no_messages_is_refused(tmp_path: Path, name: str, data: bytes, reason: str) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(FormatError, match=reason):
        list(read(path))


@pytest.mark.parametrize(
    "value", [[], {}, {"messages": []}, [1], {"messages": [{"role": 3}]}, [{"role": "robot"}]]
)
def test_other_json_is_none(tmp_path: Path, value: Any) -> None:
    path = tmp_path / "chat.json"
    path.write_text(json.dumps(value))
    with pytest.raises(FormatError, match="of no format that is known"):
        guess(path)


@pytest.mark.parametrize("begin", ['[{"role":"user","content":"', '{"messages": [{"role":"user","content":"'])
def test_a_file_that_is_larger_than_what_is_looked_at(tmp_path: Path, begin: str) -> None:
    path = tmp_path / "chat.json"
    path.write_text(begin + "x" * 100_000 + ('"}]' if begin.startswith("[") else '"}]}'))
    assert guess(path) is FORMAT
    assert next(read(path)).record.message_count == 1


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_messages_of_any_shape_are_read_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    source = data.draw(st.sampled_from([LIST, OBJECT, LINES]))
    mutation = mutated if source is LINES else mutated_json
    path = tmp_path / source.name
    path.write_bytes(data.draw(mutation(source.read_bytes())))
    bundles = reads_or_refuses(read, path)
    if bundles:
        back = tmp_path / "back.jsonl"
        back.write_bytes(_written(*bundles))
        assert len(list(read(back))) == len(bundles)
        store = nbs.open_store("memory:")
        store.import_(path, format="openai-chat")
        assert store.verify().ok
