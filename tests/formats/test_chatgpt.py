"""ChatGPT's export."""

from __future__ import annotations

import json
import resource
from pathlib import Path
from typing import Any
from zipfile import ZIP_BZIP2, ZIP_DEFLATED, ZipFile

import pytest

from nbsessions import FormatError
from nbsessions.formats import guess
from nbsessions.formats.chatgpt import read
from nbsessions.formats.writing import messages_of
from nbsessions.stores.arguments import Bundle
from tests.formats.golden_sessions import GOLDEN, check_golden, sessions, taken_in

EXPORT = GOLDEN / "chatgpt" / "conversations.json"


def test_what_an_export_says_comes_in() -> None:
    assert guess(EXPORT).name == "chatgpt"
    found = sessions("chatgpt", EXPORT)
    check_golden("chatgpt/conversations.expected.json", found)
    how, store = taken_in(found, sessions("chatgpt", EXPORT))
    assert how == [["new"] * 3, ["present"] * 3]
    assert sorted(record.name or "" for record in store.list()) == ["", "Branches", "Branches (2)"]


def test_the_line_that_is_shown_is_the_head_and_the_others_are_in_the_log() -> None:
    _, store = taken_in(sessions("chatgpt", EXPORT))
    session = store.resume("11111111-aaaa-4bbb-8ccc-000000000001")
    assert _spoken(session.messages) == ["Name a bird", "Pauline.", "Another", "Pedro."]
    lines = []
    for _ in range(3):
        session.undo()
        lines.append(_spoken(session.messages))
    assert lines == [
        ["Name a bird", "Pauline.", "Anothr", "Par"],
        ["Name a bird", "Pauline."],
        ["Name a bird", "Percy.", "Why?"],
    ]


def test_each_answer_is_a_run_of_its_model() -> None:
    _, store = taken_in(sessions("chatgpt", EXPORT))
    session = store.resume("11111111-aaaa-4bbb-8ccc-000000000001")
    runs = [(run.prompt, run.model, run.status) for run in session.runs()]
    assert sorted(runs, key=str) == [
        ("Another", "gpt-5", "completed"),
        ("Anothr", "gpt-5", "cancelled"),
        ("Name a bird", "gpt-4o", "completed"),
        ("Name a bird", "gpt-5", "completed"),
    ]


def test_an_answer_that_was_asked_for_again_since_goes_on(tmp_path: Path) -> None:
    [first, *_] = json.loads(EXPORT.read_text())
    earlier = json.loads(json.dumps(first))
    for gone in ("a2", "u3", "a3", "u4", "a4"):
        del earlier["mapping"][gone]
    earlier["current_node"] = "u2"
    before = sessions("chatgpt", _file([earlier], tmp_path))
    after = sessions("chatgpt", EXPORT)[:1]
    how, store = taken_in(before, after, after)
    assert how == [["new"], ["grown"], ["present"]]
    session = store.resume("Branches")
    assert _spoken(session.messages)[-1] == "Pedro."
    assert len(session.runs()) == 4


@pytest.mark.parametrize(
    "wrap",
    [
        lambda conversations: {"conversations": conversations},
        lambda conversations: conversations[0],
        lambda conversations: conversations,
    ],
    ids=["object", "one", "array"],
)
def test_other_shapes_of_the_same_come_in(wrap: Any, tmp_path: Path) -> None:
    conversations = json.loads(EXPORT.read_text())
    path = _file(wrap(conversations), tmp_path)
    assert guess(path).name == "chatgpt"
    found = [bundle.record.session_id for bundle in sessions("chatgpt", path)]
    assert found == [bundle.record.session_id for bundle in sessions("chatgpt", EXPORT)][: len(found)]
    assert found


def test_the_archive_comes_in_also_where_it_has_parts(tmp_path: Path) -> None:
    conversations = json.loads(EXPORT.read_text())
    path = tmp_path / "export.zip"
    with ZipFile(path, "w", ZIP_DEFLATED) as archive:
        archive.writestr("user.json", "{}")
        for number, conversation in enumerate(conversations):
            archive.writestr(f"export/conversations-{number:03}.json", json.dumps([conversation]))
        archive.writestr("shared_conversations.json", "[]")
    assert guess(path).name == "chatgpt"
    assert _ids(sessions("chatgpt", path)) == _ids(sessions("chatgpt", EXPORT))


def test_an_archive_that_is_wrong_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "export.zip"
    with ZipFile(path, "w") as archive:
        archive.writestr("user.json", "{}")
    with pytest.raises(FormatError, match="no conversations"):
        sessions("chatgpt", path)
    with ZipFile(path, "w", ZIP_BZIP2) as archive:
        archive.write(EXPORT, "conversations.json")
    with pytest.raises(FormatError, match="unusual way"):
        sessions("chatgpt", path)
    with ZipFile(path, "w", ZIP_DEFLATED) as archive:
        archive.write(EXPORT, "conversations.json")
    whole = path.read_bytes()
    flipped = whole[:200] + bytes([whole[200] ^ 1]) + whole[201:]
    for data in (whole[:-30], whole[:100], flipped, b"PK\3\4"):
        path.write_bytes(data)
        with pytest.raises(FormatError):
            sessions("chatgpt", path)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "it is empty"),
        ("[", "ends in the middle"),
        ("[{]", "no JSON|ends in the middle"),
        ("[{}]", "no mapping"),
        ("[3]", "no mapping"),
        ("3", "no mapping"),
        ('[{"mapping": []}]', "no mapping"),
        ('[{"mapping": {"a": {"parent": "b"}, "b": {"parent": "a"}}}]', "in a circle"),
        (
            '[{"mapping": {"a": {"parent": "b"}, "b": {"parent": "a"}, "c": {}}, "current_node": "a"}]',
            "in a circle",
        ),
        ('[{"mapping": {}}] 1', "something follows its end"),
        (
            '{"conversations": [{"mapping": {}}, 1]}',
            "conversation 2 .without a title.: it is no conversation",
        ),
    ],
)
def test_what_is_wrong_is_said(text: str, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "conversations.json"
    path.write_text(text)
    with pytest.raises(FormatError, match=reason) as caught:
        sessions("chatgpt", path)
    assert str(path) in str(caught.value)


def test_what_came_before_an_error_is_whole(tmp_path: Path) -> None:
    conversations = json.loads(EXPORT.read_text())
    path = _file([conversations[0], {"title": "Broken"}, conversations[1]], tmp_path)
    found = read(path)
    assert next(found).record.session_id == conversations[0]["conversation_id"]
    with pytest.raises(FormatError, match=r"conversation 2 \(Broken\)"):
        next(found)


@pytest.mark.parametrize("value", [None, 3, "a", [], {}, [None], [3], {"a": 1}, True, 1e300, -1])
@pytest.mark.parametrize(
    "field",
    ["author", "content", "metadata", "recipient", "create_time", "weight", "status", "id", "channel"],
)
def test_a_field_may_be_anything(field: str, value: object, tmp_path: Path) -> None:
    conversations = json.loads(EXPORT.read_text())
    for conversation in conversations:
        for node in conversation["mapping"].values():
            if node["message"]:
                node["message"][field] = value
    found = sessions("chatgpt", _file(conversations, tmp_path))
    assert len(found) == 3
    taken_in(found)


@pytest.mark.parametrize(
    "content_type", ["text", "code", "thoughts", "multimodal_text", "tether_quote", "new"]
)
@pytest.mark.parametrize(
    "more",
    [{}, {"parts": None}, {"parts": [3, None, {}, [], {"text": 3}]}, {"text": 3}, {"thoughts": [3, "a"]}],
)
def test_a_content_may_be_anything(content_type: str, more: dict[str, Any], tmp_path: Path) -> None:
    conversations = json.loads(EXPORT.read_text())
    for node in conversations[1]["mapping"].values():
        if node["message"]:
            node["message"]["content"] = {"content_type": content_type, **more}
    taken_in(sessions("chatgpt", _file(conversations, tmp_path)))


def test_thoughts_with_no_answer_are_kept(tmp_path: Path) -> None:
    conversation = json.loads(EXPORT.read_text())[1]
    conversation["current_node"] = "th"
    [bundle] = sessions("chatgpt", _file([conversation], tmp_path))
    last = messages_of(bundle)[-1]
    assert (last.role, last["reasoning_content"]) == ("assistant", "Reckoning\n6 times 7")


def test_many_branches_end(tmp_path: Path) -> None:
    """A conversation of 3,000 prompts in a row, each asked for again ten times."""
    mapping: dict[str, Any] = {}
    above = None
    for turn in range(3_000):
        asked = f"u{turn}"
        mapping[asked] = _node(above, "user")
        answers = [f"a{turn}-{n}" for n in range(10 if turn % 30 == 0 else 1)]
        mapping |= {name: _node(asked, "assistant", name) for name in answers}
        above = answers[-1]
    path = _file([{"id": "long", "mapping": mapping, "current_node": above}], tmp_path)
    [bundle] = sessions("chatgpt", path)
    assert bundle.record.turn_count == 3_000
    assert len(bundle.turns) == 3_000 + 100 * 9


def test_branches_that_repeat_without_end_are_an_error(tmp_path: Path) -> None:
    mapping: dict[str, Any] = {"u": _node(None, "user")}
    above = "u"
    for number in range(4_000):
        mapping[f"a{number}"] = _node(above, "assistant")
        mapping[f"b{number}"] = _node(above, "assistant")
        above = f"a{number}"
    with pytest.raises(FormatError, match="Too many lines leave others"):
        sessions("chatgpt", _file([{"id": "odd", "mapping": mapping}], tmp_path))


def test_one_conversation_is_held_at_a_time(tmp_path: Path) -> None:
    """An export of 60 MB takes little more memory than one of its conversations."""
    conversation = json.loads(EXPORT.read_text())[0]
    conversation["mapping"]["u1"]["message"]["content"]["parts"] = ["bird " * 200_000]
    path = tmp_path / "conversations.json"
    with open(path, "w") as file:
        for number in range(60):
            conversation["conversation_id"] = f"c{number}"
            file.write(("," if number else "[") + json.dumps(conversation))
        file.write("]")
    assert next(read(path)).record.session_id == "c0"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert sum(bundle.record.message_count for bundle in read(path)) == 300
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert grown < path.stat().st_size / 2


def _node(parent: str | None, role: str, text: str = "") -> dict[str, Any]:
    content = {"content_type": "text", "parts": [f"{text} below {parent}"]}
    return {"parent": parent, "message": {"author": {"role": role}, "content": content, "create_time": 1.7e9}}


def _spoken(messages: Any) -> list[str]:
    return [message.text for message in messages if message.role in ("user", "assistant")]


def _ids(bundles: list[Bundle]) -> list[str]:
    return [bundle.record.session_id for bundle in bundles]


def _file(data: object, folder: Path) -> Path:
    path = folder / "conversations.json"
    path.write_text(json.dumps(data))
    return path
