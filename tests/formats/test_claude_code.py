from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import nbsessions as nbs
from nbsessions.exceptions import FormatError
from nbsessions.formats import guess
from nbsessions.formats.base import Peek, Reading, listening
from nbsessions.formats.claude_code import FORMAT, read
from nbsessions.stores.arguments import Bundle
from tests.formats.mutating import mutated
from tests.formats.told import GOLDEN, check_golden, ids_of, messages_of, reads_or_refuses, texts_of

FOLDER = GOLDEN / "claude-code"
SESSION = FOLDER / "3f0b1f0e-6a53-4c0e-9d0a-0a1b2c3d4e5f.jsonl"
OLD = FOLDER / "7c9e6679-7425-40de-944b-e07fc1f90ae7.jsonl"
SUB = SESSION.with_suffix("") / "subagents" / "agent-a1b2c3d.jsonl"


def _user(uuid: str, parent: str | None, content: object, **more: Any) -> dict[str, Any]:
    message = {"role": "user", "content": content}
    told = {"type": "user", "uuid": uuid, "parentUuid": parent, "sessionId": "s1", "isSidechain": False}
    return {**told, "timestamp": "2026-02-03T09:00:00Z", "message": message, **more}


def _answer(uuid: str, parent: str | None, text: str, **more: Any) -> dict[str, Any]:
    usage = {"input_tokens": 10, "output_tokens": 5}
    name = more.pop("id", f"msg_{uuid}")
    content = [{"type": "text", "text": text}] if text else more.pop("content")
    message = {
        "id": name,
        "role": "assistant",
        "model": "claude-opus-4-5",
        "content": content,
        "usage": usage,
    }
    told = {
        "type": "assistant",
        "uuid": uuid,
        "parentUuid": parent,
        "sessionId": "s1",
        "requestId": f"req_{name}",
    }
    return {**told, "isSidechain": False, "timestamp": "2026-02-03T09:00:01Z", "message": message, **more}


def _write(path: Path, *lines: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def _marked(uuid: str | None) -> str | None:
    return None if uuid is None else f"{uuid}x"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "s1.jsonl"


def _one(path: Path, *lines: dict[str, Any]) -> Bundle:
    (bundle,) = read(_write(path, *lines))
    return bundle


@pytest.mark.parametrize("path", [SESSION, OLD, SUB], ids=["session", "version-1.0", "sub-agent"])
def test_golden(path: Path) -> None:
    check_golden(f"claude-code/{path.stem}.expected.json", read(path))


@pytest.mark.parametrize("path", [SESSION, OLD, SUB], ids=["session", "version-1.0", "sub-agent"])
def test_a_transcript_is_told_by_its_lines(path: Path) -> None:
    assert guess(path) is FORMAT


def test_a_transcript_whose_first_line_is_larger_than_what_is_looked_at(tmp_path: Path) -> None:
    snapshot = {"type": "file-history-snapshot", "messageId": "u1", "snapshot": {"x": "y" * 100_000}}
    assert guess(_write(tmp_path / "s1.jsonl", snapshot, _user("u1", None, "Hi"))) is FORMAT


def test_a_summary_alone_is_no_transcript(log: Path) -> None:
    _write(log, {"type": "summary", "summary": "Tabs", "leafUuid": "u1"})
    assert not FORMAT.guess or not FORMAT.guess(Peek(log))
    with pytest.raises(FormatError, match=r"s1\.jsonl: it holds no messages of Claude Code\.$"):
        list(read(log))


def test_usage_is_counted_once_per_request_by_its_last_line(log: Path) -> None:
    first = _answer("a1", "u1", "Let me ", id="m")
    last = _answer("a2", "a1", "see.", id="m")
    last["message"]["usage"] = {
        "input_tokens": 3,
        "output_tokens": 50,
        "cache_read_input_tokens": 90,
        "cache_creation_input_tokens": 7,
    }
    bundle = _one(log, _user("u1", None, "Hi"), first, last, last | {"uuid": "a3"})
    usage = bundle.runs[0].usage
    assert (usage.input_tokens, usage.output_tokens, usage.requests) == (100, 50, 1)
    assert (usage.cache_read_tokens, usage.cache_write_tokens) == (90, 7)


def test_a_line_that_is_repeated_is_one_line(log: Path) -> None:
    lines = [_user("u1", None, "Hi"), _answer("a1", "u1", "Ho")]
    bundle = _one(log, *lines, *lines, _user("u2", "a1", "More"))
    assert texts_of(bundle) == ["Hi", "Ho", "More"]
    assert bundle.record.usage.requests == 1


def test_a_session_that_went_on_in_another_file_is_counted_in_one(tmp_path: Path) -> None:
    """Once a session that was resumed began a file with all that was said before."""
    aside = [_user("b1", None, "Look", isSidechain=True), _answer("b2", "b1", "Seen", isSidechain=True)]
    said = [_user("u1", None, "Hi"), *aside, _answer("a1", "u1", "Ho")]
    first = _write(tmp_path / "s1.jsonl", *said)
    again = [
        {**line, "sessionId": "s2", "uuid": f"{line['uuid']}x", "parentUuid": _marked(line["parentUuid"])}
        for line in said
    ]
    more = [_user("u2", "a1x", "More", sessionId="s2"), _answer("a2", "u2", "Yes", sessionId="s2")]
    second = _write(tmp_path / "s2.jsonl", *again, *more)
    one, side, other, again_side = [bundle for path in (first, second) for bundle in read(path)]
    assert texts_of(other) == ["Hi", "Ho", "More", "Yes"]
    assert texts_of(side) == texts_of(again_side) == ["Look", "Seen"]
    assert [bundle.record.usage.requests for bundle in (one, side, other, again_side)] == [1, 1, 1, 0]


@pytest.mark.parametrize("how", ["forkedFrom", "sessionId"])
@pytest.mark.parametrize("name", ["s0", "s2"])
def test_a_fork_says_again_what_its_parent_spent(tmp_path: Path, how: str, name: str) -> None:
    said = [_user("u1", None, "Hi"), _answer("a1", "u1", "Ho")]
    parent = _write(tmp_path / "s1.jsonl", *said)
    mark = {"forkedFrom": {"sessionId": "s1", "messageUuid": "a1"}, "sessionId": name}
    copied = [{**line, **(mark if how == "forkedFrom" else {})} for line in said]
    more = [_user("u2", "a1", "More", sessionId=name), _answer("a2", "u2", "Yes", sessionId=name)]
    (fork,) = read(_write(tmp_path / f"{name}.jsonl", *copied, *more))
    (original,) = read(parent)
    assert fork.record.parent_session_id == "s1"
    assert (original.record.usage.requests, fork.record.usage.requests) == (1, 1)


def test_results_of_calls_at_once_stand_with_their_calls(log: Path) -> None:
    calls = [{"type": "tool_use", "id": f"c{n}", "name": "Read", "input": {}} for n in range(3)]
    lines = [_user("u1", None, "Hi")]
    for n, call in enumerate(calls):
        lines.append(_answer(f"a{n}", f"a{n - 1}" if n else "u1", "", id="m", content=[call]))
    for n in (1, 0, 2):
        result = [{"type": "tool_result", "tool_use_id": f"c{n}", "content": f"file {n}"}]
        lines.append(_user(f"r{n}", f"a{n}", result))
    bundle = _one(log, *lines, _answer("b", "r2", "Done"))
    assert texts_of(bundle) == ["Hi", "assistant", "file 1", "file 0", "file 2", "Done"]
    assert len(bundle.turns) == 1


def test_a_prompt_that_was_edited_leaves_the_other_line_in_the_log(log: Path) -> None:
    hi, ho = _user("u1", None, "Hi"), _answer("a1", "u1", "Ho")
    left = [_user("u2", "a1", "Left"), _answer("a2", "u2", "Gone")]
    bundle = _one(log, hi, ho, *left, _user("u3", "a1", "Kept"), _answer("a3", "u3", "Yes"))
    assert texts_of(bundle) == ["Hi", "Ho", "Kept", "Yes"]
    assert len({entry.head.turn_id for entry in bundle.log}) == 4
    assert bundle.record.usage.requests == 3


def test_a_first_prompt_that_was_edited(log: Path) -> None:
    bundle = _one(log, _user("u1", None, "Hi"), _answer("a1", "u1", "Ho"), _user("u2", None, "Hello"))
    assert texts_of(bundle) == ["Hello"]
    assert len(bundle.turns) == 2


def test_a_line_that_leaves_a_turn_in_its_middle(log: Path) -> None:
    call = {"type": "tool_use", "id": "c1", "name": "Read", "input": {}}
    result = [{"type": "tool_result", "tool_use_id": "c1", "content": "text"}]
    lines = [
        _user("u1", None, "Hi"),
        _answer("a1", "u1", "", content=[call]),
        _user("r1", "a1", result),
        _answer("a2", "r1", "First"),
        _answer("a3", "r1", "Second"),
    ]
    before, after = _one(log, *lines[:4]), _one(log, *lines)
    assert texts_of(after) == ["Hi", "assistant", "text", "Second"]
    assert after.record.usage.requests == 3
    assert [turn.turn_id for turn in before.turns] == [turn.turn_id for turn in after.turns[:1]]
    assert len({run.run_id for run in after.runs}) == 2


def test_a_parent_that_is_not_there_is_the_line_before(log: Path) -> None:
    bundle = _one(log, _user("u5", "gone", "Hi"), _answer("a5", "gone", "Ho"), _user("u6", "a5", "More"))
    assert texts_of(bundle) == ["Hi", "Ho", "More"]


def test_the_title_is_what_a_person_called_it(log: Path) -> None:
    lines = [
        {"type": "summary", "summary": "Summary", "leafUuid": "a1"},
        {"type": "ai-title", "aiTitle": "By the model", "sessionId": "s1"},
        {"type": "custom-title", "customTitle": "By me", "sessionId": "s1"},
    ]
    said = [_user("u1", None, "Hi"), _answer("a1", "u1", "Ho")]
    assert [_one(log, *lines[:n], *said).record.name for n in range(4)] == [
        None,
        "Summary",
        "By the model",
        "By me",
    ]


def test_an_error_of_the_api_is_of_the_run_and_no_message(log: Path) -> None:
    error = _answer("a1", "u1", "API Error: 529 Overloaded", isApiErrorMessage=True)
    error["message"]["model"] = "<synthetic>"
    again = [_answer("a2", "a1", "Ho")]
    failed, went_on = (
        _one(log, _user("u1", None, "Hi"), error),
        _one(log, _user("u1", None, "Hi"), error, *again),
    )
    assert [message["role"] for message in messages_of(failed)] == ["user"]
    assert (failed.runs[0].status, failed.runs[0].error) == ("failed", "API Error: 529 Overloaded")
    assert failed.record.model is None
    assert (went_on.runs[0].status, went_on.runs[0].error) == ("completed", None)


def test_commands_and_reminders_are_no_prompts(log: Path) -> None:
    told = [
        "<command-name>/clear</command-name>\n<command-message>clear</command-message>\n<command-args></command-args>",
        "<local-command-stdout></local-command-stdout>",
        "<bash-input>ls</bash-input><bash-stdout>a</bash-stdout><bash-stderr></bash-stderr>",
        "<system-reminder>Be brief.</system-reminder>",
        "<task-notification><task-id>b1</task-id></task-notification>",
        "[Request interrupted by user]",
    ]
    lines = [_user(f"u{n}", f"u{n - 1}" if n else None, text) for n, text in enumerate(told)]
    asked = _user("u9", "u5", "<command-message>init</command-message>\n<command-name>/init</command-name>")
    bundle = _one(log, *lines, asked)
    assert bundle.record.turn_count == 1
    assert bundle.record.message_count == 7


def test_what_was_typed_while_the_agent_was_at_work_is_a_prompt(log: Path) -> None:
    call = {"type": "tool_use", "id": "c1", "name": "Read", "input": {}}
    result = [{"type": "tool_result", "tool_use_id": "c1", "content": "text"}]
    told = [
        {
            "type": "queued_command",
            "prompt": "And the docs",
            "commandMode": "prompt",
            "origin": {"kind": "human"},
        },
        {"type": "queued_command", "prompt": "It is done", "commandMode": "task-notification"},
        {"type": "todo_reminder", "content": []},
    ]
    queued: list[dict[str, Any]] = [
        {"type": "attachment", "uuid": f"q{n}", "parentUuid": f"q{n - 1}" if n else "r1", "attachment": one}
        for n, one in enumerate(told)
    ]
    lines = [_user("u1", None, "Hi"), _answer("a1", "u1", "", content=[call]), _user("r1", "a1", result)]
    bundle = _one(log, *lines, *queued, _answer("a2", "q2", "Done"))
    assert texts_of(bundle) == ["Hi", "assistant", "text", "And the docs", "It is done", "Done"]
    assert bundle.record.turn_count == 2


def test_a_reminder_before_a_question_is_a_prompt(log: Path) -> None:
    text = "<system-reminder>Be brief.</system-reminder>\nWhy?"
    assert _one(log, _user("u1", None, text)).record.turn_count == 1


def test_many_tags_that_never_end_are_no_trouble(log: Path) -> None:
    text = "<bash-input>a</bash-input> " * 20_000 + "and on"
    assert _one(log, _user("u1", None, text)).record.turn_count == 1


def test_a_sub_agent_that_repeats_its_parent_counts_what_it_adds(tmp_path: Path) -> None:
    said = [_user("u1", None, "Hi"), _answer("a1", "u1", "Ho")]
    _write(tmp_path / "s1.jsonl", *said)
    folder = tmp_path / "s1" / "subagents"
    folder.mkdir(parents=True)
    again = [{**line, "isSidechain": True, "agentId": "aside-1", "requestId": "other"} for line in said]
    own = _answer("b1", "a1", "Aside", isSidechain=True, agentId="aside-1")
    path = _write(folder / "agent-aside-1.jsonl", *again, own)
    (alone,) = read(path)
    _, with_parent = read(tmp_path / "s1.jsonl")
    assert alone.record.usage.requests == with_parent.record.usage.requests == 1
    assert ids_of([alone]) == ids_of([with_parent])


def test_a_sub_agent_beside_its_session_as_it_once_was(tmp_path: Path) -> None:
    call = {"type": "tool_use", "id": "c1", "name": "Task", "input": {}}
    result = [{"type": "tool_result", "tool_use_id": "c1", "content": "Done"}]
    names = [{"agentId": "a9"}, {"agentId": "../a8"}, {"agentId": "gone"}]
    results = [_user(f"r{n}", "a1", result, toolUseResult=name) for n, name in enumerate(names)]
    _write(tmp_path / "s1.jsonl", _user("u1", None, "Hi"), _answer("a1", "u1", "", content=[call]), *results)
    _write(tmp_path / "agent-a9.jsonl", _user("b1", None, "Look", isSidechain=True, agentId="a9"))
    _write(tmp_path.parent / "a8.jsonl", _user("b1", None, "Look", isSidechain=True, agentId="a8"))
    assert [bundle.record.session_id for bundle in read(tmp_path / "s1.jsonl")] == ["s1", "agent-a9"]


def test_a_sub_agent_that_cannot_be_read_is_told_and_the_rest_comes(tmp_path: Path) -> None:
    folder = tmp_path / "s1" / "subagents"
    folder.mkdir(parents=True)
    _write(tmp_path / "s1.jsonl", _user("u1", None, "Hi"))
    (folder / "agent-a1.jsonl").write_text("{}}\n{}\n")
    _write(folder / "agent-a2.jsonl", _user("b1", None, "Look", isSidechain=True, agentId="a2"))
    with listening(Reading()) as reading:
        assert [bundle.record.session_id for bundle in read(tmp_path / "s1.jsonl")] == ["s1", "agent-a2"]
    (told,) = reading.notes
    assert "agent-a1.jsonl, line 1 was left out: it is no JSON" in told


def test_links_are_not_followed(tmp_path: Path) -> None:
    away = tmp_path / "away"
    away.mkdir()
    _write(away / "agent-a1.jsonl", _user("b1", None, "Look", isSidechain=True, agentId="a1"))
    home = tmp_path / "home"
    (home / "s1").mkdir(parents=True)
    (home / "s1" / "subagents").symlink_to(away)
    _write(home / "s1.jsonl", _user("u1", None, "Hi"))
    assert [bundle.record.session_id for bundle in read(home / "s1.jsonl")] == ["s1"]


@pytest.mark.parametrize("path", [SESSION, OLD], ids=["session", "version-1.0"])
def test_a_transcript_that_grew_keeps_its_turns(tmp_path: Path, path: Path) -> None:
    lines = path.read_text().splitlines(keepends=True)
    whole = {bundle.record.session_id: bundle for bundle in read(path)}
    for count in range(3, len(lines)):
        part = tmp_path / path.name
        part.write_text("".join(lines[:count]))
        if not any('"message":' in line for line in lines[:count]):
            continue
        for bundle in read(part):
            turns = {turn.turn_id for turn in whole[bundle.record.session_id].turns}
            assert {turn.turn_id for turn in bundle.turns[:-1]} <= turns
            runs = {run.run_id for run in whole[bundle.record.session_id].runs}
            assert {run.run_id for run in bundle.runs} <= runs


def test_a_folder_comes_once_and_grows() -> None:
    store = nbs.open_store("memory:")
    first = store.import_(FOLDER)
    assert not first.refused
    assert sorted(record.label for record in first)[:2] == ["Count the words", "Find tab handling"]
    assert len(store.import_(FOLDER)) == 0
    session = store.resume("Fix tabs in the parser")
    assert session.usage.requests == 7
    session.undo()
    assert session.messages[-1].text.startswith("[Request interrupted")
    (child,) = store.list(conversation_id=SESSION.stem)
    assert child.parent_session_id == SESSION.stem
    assert store.verify().ok


def test_a_last_line_that_is_being_written_is_left_out(log: Path) -> None:
    _write(log, _user("u1", None, "Hi"), _answer("a1", "u1", "Ho"))
    with log.open("a") as file:
        file.write('{"type":"user","uuid":"u2","messa')
    (bundle,) = read(log)
    assert texts_of(bundle) == ["Hi", "Ho"]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n\n",
        b"[]\n",
        b"{}\n",
        b"nonsense",
        b"\xff\xfe",
        b'{"type":"user"}\n{"a"\n{}\n',
        b"[" * 100_000,
    ],
)
def test_what_is_no_transcript_is_refused(log: Path, data: bytes) -> None:
    log.write_bytes(data)
    with pytest.raises(FormatError, match=r"s1\.jsonl"):
        list(read(log))


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_lines_of_any_shape_are_read_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    source = data.draw(st.sampled_from([SESSION, OLD, SUB]))
    path = tmp_path / source.name
    path.write_bytes(data.draw(mutated(source.read_bytes())))
    before = sorted(tmp_path.rglob("*"))
    bundles = reads_or_refuses(read, path)
    assert sorted(tmp_path.rglob("*")) == before
    if bundles is not None:
        store = nbs.open_store("memory:")
        store.import_(path, format="claude-code")
        assert store.verify().ok
