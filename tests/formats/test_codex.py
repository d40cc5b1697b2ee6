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
from nbsessions.formats.base import Reading, listening
from nbsessions.formats.codex import FORMAT, read
from nbsessions.stores.arguments import Bundle
from tests.formats.mutating import mutated, mutated_json
from tests.formats.told import GOLDEN, check_golden, messages_of, reads_or_refuses, texts_of

FOLDER = GOLDEN / "codex"
PARENT_ID = "019c22ba-e680-7000-8000-000000000001"
CHILD_ID = "019c22bd-f3c0-7000-8000-000000000002"
PARENT = FOLDER / f"rollout-2026-02-03T09-00-00-{PARENT_ID}.jsonl"
CHILD = FOLDER / f"rollout-2026-02-03T09-03-20-{CHILD_ID}.jsonl"
BARE = FOLDER / "rollout-2025-06-07T17-24-21-5973b6c0-94b8-487b-a530-2aeb6098ae0e.jsonl"
WHOLE = FOLDER / "rollout-2025-04-20-0d1c7f0a-1111-4222-8333-444455556666.json"
FILES = [PARENT, CHILD, BARE, WHOLE]


def _line(second: float, kind: str, **payload: Any) -> dict[str, Any]:
    return {"timestamp": f"2026-02-03T09:00:{second:06.3f}Z", "type": kind, "payload": payload}


def _said(second: float, role: str, text: str) -> dict[str, Any]:
    kind = "output_text" if role == "assistant" else "input_text"
    return _line(second, "response_item", type="message", role=role, content=[{"type": kind, "text": text}])


def _count(second: float, total: int | None, last: int | None) -> dict[str, Any]:
    info = {
        name: {"input_tokens": count, "output_tokens": 1}
        for name, count in (("total_token_usage", total), ("last_token_usage", last))
        if count is not None
    }
    return _line(second, "event_msg", type="token_count", info=info or None)


def _event(second: float, kind: str, **more: Any) -> dict[str, Any]:
    return _line(second, "event_msg", type=kind, **more)


def _write(path: Path, *lines: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


META = _line(0, "session_meta", id="s1", timestamp="2026-02-03T09:00:00Z", cwd="/x", source="cli")
HI = [_said(1, "user", "Hi"), _said(2, "assistant", "Ho")]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "rollout-s1.jsonl"


def _one(path: Path, *lines: dict[str, Any]) -> Bundle:
    (bundle,) = read(_write(path, *lines))
    return bundle


@pytest.mark.parametrize("path", FILES, ids=["session", "sub-agent", "without-envelopes", "one-json"])
def test_golden(path: Path) -> None:
    assert guess(path) is FORMAT
    check_golden(f"codex/{path.stem}.expected.json", read(path))


def test_the_items_stay_as_they_are() -> None:
    lines = [json.loads(line) for line in CHILD.read_text().splitlines()]
    sent = [line["payload"] for line in lines if line["type"] == "response_item"]
    (bundle,) = read(CHILD)
    found = [item for turn in bundle.turns for item in json.loads(turn.body)]
    asked = [item for item in found if "Where are tabs documented?" in json.dumps(item)]
    assert [item for item in found if item not in asked] == [
        item for item in sent if item["type"] != "ghost_snapshot"
    ]


def test_what_is_counted_is_what_the_total_has_grown_by(log: Path) -> None:
    counts = [_count(3, 100, 100), _count(3, 100, 100), _count(4, None, None), _count(5, 130, None)]
    (run,) = _one(log, META, *HI, *counts).runs
    assert (run.usage.input_tokens, run.usage.requests) == (130, 2)


def test_totals_that_begin_anew_are_counted(log: Path) -> None:
    counts = [_count(3, 100, 100), _count(4, 40, 40)]
    (run,) = _one(log, META, *HI, *counts).runs
    assert (run.usage.input_tokens, run.usage.requests) == (140, 2)


def test_a_record_of_a_response_and_its_count_are_one(log: Path) -> None:
    def record(second: float, total: int, last: int, thread: str) -> dict[str, Any]:
        told = {
            "usage": {"input_tokens": last},
            "thread_token_usage": {"input_tokens": total, "output_tokens": 1},
        }
        return _line(second, "token_usage_record", response_id=f"r{total}", thread_id=thread, **told)

    lines = [record(2, 70, 70, "s0"), record(3, 100, 30, "s1"), _count(3, 100, 30), record(4, 150, 50, "s1")]
    (run,) = _one(log, META, *HI, *lines, _count(4, 150, 50)).runs
    assert (run.usage.input_tokens, run.usage.requests) == (80, 2)


@pytest.mark.parametrize("turn_id", [None, "0"])
def test_what_a_fork_copies_is_not_counted_again(tmp_path: Path, turn_id: str | None) -> None:
    """Where turns have no ids that tell their time, a copy is what was written at one go."""
    named = {} if turn_id is None else {"turn_id": turn_id}
    meta = _line(0, "session_meta", id="s2", forked_from_id="s1")
    copied = [
        META | {"timestamp": "2026-02-03T09:00:00.001Z"},
        _line(0.002, "turn_context", model="gpt-5", **named),
        _said(0.003, "user", "Hi"),
        _said(0.004, "assistant", "Ho"),
        _count(0.005, 100, 100),
        _event(0.006, "task_complete", last_agent_message="Ho"),
    ]
    own = [_event(9, "task_started", **named), _said(9.1, "user", "More"), _said(12, "assistant", "Yes")]
    bundle = _one(tmp_path / "rollout-s2.jsonl", meta, *copied, *own, _count(12, 220, 120))
    assert texts_of(bundle) == ["Hi", "Ho", "More", "Yes"]
    assert (bundle.record.session_id, bundle.record.parent_session_id) == ("s2", "s1")
    assert bundle.record.conversation_id is None
    assert [(run.usage.input_tokens, run.usage.requests) for run in bundle.runs] == [(120, 1)]


def test_a_copy_without_a_word_of_the_fork_is_told_by_the_other_session(tmp_path: Path) -> None:
    meta = _line(0, "session_meta", id="s2")
    copied = [META | {"timestamp": "2026-02-03T09:00:00.001Z"}, *[{**one, "timestamp": None} for one in HI]]
    bundle = _one(tmp_path / "rollout-s2.jsonl", meta, *copied, _count(0.1, 100, 100), _count(9, 150, 50))
    assert bundle.record.session_id == "s2"
    assert bundle.record.usage.input_tokens == 50


@pytest.mark.parametrize(
    ("source", "parent"),
    [
        ({"subagent": {"thread_spawn": {"parent_thread_id": "s0", "depth": 1}}}, "s0"),
        ({"sub_agent": {"thread_spawn": {"parent_thread_id": "s0", "depth": 1}}}, "s0"),
        ({"subagent": "review"}, None),
        ("cli", None),
        (["cli"], None),
    ],
)
def test_a_sub_agent_is_in_the_conversation_of_who_spawned_it(
    log: Path, source: object, parent: str | None
) -> None:
    record = _one(log, _line(0, "session_meta", id="s1", source=source), *HI).record
    assert (record.parent_session_id, record.conversation_id) == (parent, parent)


def test_a_sub_agent_of_a_sub_agent_is_in_the_conversation_of_the_first(log: Path) -> None:
    meta = _line(0, "session_meta", id="s1", session_id="root", parent_thread_id="s0")
    record = _one(log, meta, *HI).record
    assert (record.parent_session_id, record.conversation_id) == ("s0", "root")


@pytest.mark.parametrize(
    ("turns", "left"), [(1, ["Hi", "Ho"]), (2, []), (9, []), (0, ["Hi", "Ho", "More", "Yes"])]
)
def test_turns_that_were_rolled_back_stay_in_the_log(log: Path, turns: int, left: list[str]) -> None:
    said = [*HI, _said(3, "developer", "Be brief."), _said(3, "user", "More"), _said(4, "assistant", "Yes")]
    bundle = _one(log, META, *said, _event(5, "thread_rolled_back", num_turns=turns))
    shown = [message["content"] for message in messages_of(bundle) if message["role"] != "system"]
    assert shown == left
    assert len(bundle.turns) == 2
    more = _one(log, META, *said, _event(5, "thread_rolled_back", num_turns=turns), _said(6, "user", "Else"))
    assert texts_of(more)[-1] == "Else"
    assert more.record.turn_count == len(left) // 2 + 1


def test_how_a_run_ended(log: Path) -> None:
    failed = _event(3, "error", message="no\nnetwork")
    ends = {
        ("failed", "no network"): [failed, _event(4, "task_complete", last_agent_message=None)],
        ("completed", None): [failed, _event(4, "turn_complete", last_agent_message="Ho")],
        ("cancelled", None): [_event(3, "turn_aborted", reason="interrupted")],
    }
    for (status, error), events in ends.items():
        (run,) = _one(log, META, *HI, *events).runs
        assert (run.status, run.error) == (status, error)


def test_a_summary_that_is_encrypted_is_kept_as_it_is(log: Path) -> None:
    item = {"type": "compaction", "encrypted_content": "gAAA"}
    said = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]}
    compacted = _line(3, "compacted", message="", replacement_history=[said, item, 3])
    bundle = _one(log, META, *HI, compacted, _said(4, "user", "More"))
    assert item in json.loads(bundle.turns[0].body)
    assert bundle.record.turn_count == 2


def test_the_last_name_is_the_title(log: Path) -> None:
    names = [_event(3, "thread_name_updated", thread_name=name) for name in ("One", "Two\nlines", "")]
    other = _event(4, "thread_name_updated", thread_id="s0", thread_name="Other")
    assert _one(log, META, *HI, *names, other).record.name == "Two lines"


@pytest.mark.parametrize(
    "line",
    [
        _line(0, "rollout_reference", rollout_path="x"),
        _line(0, "session_meta", id="s1", history_base={"thread_id": "s0"}),
    ],
)
def test_a_rollout_that_goes_on_from_another_says_so(log: Path, line: dict[str, Any]) -> None:
    _write(log, META, line, *HI)
    with listening(Reading()) as reading:
        list(read(log))
    assert reading.notes == [
        "It goes on from another rollout, which is not repeated in it: import that, too."
    ]


def test_a_rollout_without_a_first_line_is_named_after_its_file(tmp_path: Path) -> None:
    assert _one(tmp_path / PARENT.name, *HI).record.session_id == PARENT_ID


@pytest.mark.parametrize("path", [PARENT, CHILD, BARE], ids=["session", "sub-agent", "without-envelopes"])
def test_a_rollout_that_grew_keeps_its_turns(tmp_path: Path, path: Path) -> None:
    lines = path.read_text().splitlines(keepends=True)
    (whole,) = read(path)
    for count in range(1, len(lines)):
        part = tmp_path / path.name
        part.write_text("".join(lines[:count]))
        bundles = reads_or_refuses(read, part)
        for bundle in bundles or []:
            assert {turn.turn_id for turn in bundle.turns[:-1]} <= {turn.turn_id for turn in whole.turns}
            assert {run.run_id for run in bundle.runs} <= {run.run_id for run in whole.runs}


def test_a_folder_comes_once() -> None:
    store = nbs.open_store("memory:")
    report = store.import_(FOLDER)
    assert not report.refused
    assert sum(file.format == "codex" for file in report.files) == 4
    assert len(store.import_(FOLDER)) == 0
    session = store.resume("Tabs in the parser")
    assert session.usage.requests == 5
    (child,) = store.list(conversation_id=PARENT_ID)
    assert (child.name, child.usage.requests) == ("Hypatia", 1)
    assert store.verify().ok


@pytest.mark.parametrize(
    "data",
    [b"", b"\n", b"[]\n", b"{}\n", b"nonsense", b"\xff\xfe", json.dumps(META).encode(), b"[" * 100_000],
)
def test_what_is_no_rollout_is_refused(log: Path, data: bytes) -> None:
    log.write_bytes(data)
    with pytest.raises(FormatError, match=r"rollout-s1\.jsonl"):
        list(read(log))


def test_a_first_line_that_is_larger_than_what_is_looked_at(log: Path) -> None:
    meta = _line(0, "session_meta", id="s1", base_instructions={"text": "x" * 100_000})
    assert guess(_write(log, meta, *HI)) is FORMAT


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_lines_of_any_shape_are_read_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    source = data.draw(st.sampled_from(FILES))
    mutation = mutated_json if source is WHOLE else mutated
    path = tmp_path / source.name
    path.write_bytes(data.draw(mutation(source.read_bytes())))
    if reads_or_refuses(read, path) is not None:
        store = nbs.open_store("memory:")
        store.import_(path, format="codex")
        assert store.verify().ok
