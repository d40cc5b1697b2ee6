"""What becomes of the events of a run."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from ag_ui.core import (
    BaseEvent,
    CustomEvent,
    EventType,
    RunErrorEvent,
    RunStartedEvent,
    TextMessageContentEvent,
    TextMessageEndEvent,
    TextMessageStartEvent,
    ToolCallResultEvent,
)

from nbsessions import display
from nbsessions.display import AnswerView
from tests.test_rendering import assert_safe
from tests.views import Outputs, call, show, text, thinking


@pytest.fixture
def outputs(monkeypatch: pytest.MonkeyPatch) -> Outputs:
    return Outputs(monkeypatch)


def test_segments_stand_in_the_order_of_the_run(outputs: Outputs) -> None:
    events = [
        RunStartedEvent(thread_id="s", run_id="r"),
        *thinking("I should ", "add."),
        *text("Let me ", "see."),
        *call("add", '{"a": 1, "b": 2}', "3"),
        *text("It is **3**.", message="m2"),
    ]
    show(events, footer="plan · saved", title="plan")
    assert outputs.plain == [
        "plan",
        "Thinking: I should add.",
        "Let me see.",
        "▸ add(a=1, b=2) → 3",
        "It is **3**.",
        "plan · saved",
    ]
    for html in outputs.html:
        assert_safe(html)
    assert "<strong>3</strong>" in outputs.html[4]


def test_text_after_a_tool_call_is_a_new_segment_in_the_same_message(outputs: Outputs) -> None:
    events = [
        TextMessageStartEvent(message_id="m"),
        TextMessageContentEvent(message_id="m", delta="before"),
        *call("add", "{}", "3"),
        TextMessageContentEvent(message_id="m", delta="after"),
        TextMessageEndEvent(message_id="m"),
    ]
    show(events)
    assert outputs.plain == ["before", "▸ add() → 3", "after"]


def test_parallel_tool_calls_each_get_their_own_result(outputs: Outputs) -> None:
    started = [*call("add", '{"a": 1}', call_id="one"), *call("mul", '{"a": 2}', call_id="two")]
    results = [
        ToolCallResultEvent(message_id="q", tool_call_id="two", content="second"),
        ToolCallResultEvent(message_id="q", tool_call_id="one", content="first"),
    ]
    show([*started, *results, *text("done")])
    assert outputs.plain == ["▸ add(a=1) → first", "▸ mul(a=2) → second", "done"]


def test_the_last_state_is_shown_although_updates_are_few(outputs: Outputs) -> None:
    show(text(*(f"word{number} " for number in range(500))))
    assert outputs.plain[0].endswith("word499 ")
    assert outputs.updates < 50


def test_the_last_state_is_shown_when_a_run_breaks_off(outputs: Outputs) -> None:
    def broken() -> None:
        with AnswerView(notebook=True) as view:
            for event in text("one ", "two ", "three")[:-1]:
                view.event(event)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken()
    assert outputs.plain == ["one two three"]


def test_a_stream_that_stops_is_shown_to_its_end_by_flush(
    outputs: Outputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(display, "_INTERVAL", 60)
    view = AnswerView(notebook=True)
    for event in text("one ", "two ", "three")[:-1]:
        view.event(event)
    assert outputs.plain == ["one "], "the rest is held back"
    view.flush()
    assert outputs.plain == ["one two three"]


def test_a_tool_that_runs_for_long_is_on_the_screen(outputs: Outputs) -> None:
    view = AnswerView(notebook=True)
    for event in [*text("x"), *call("slow", '{"a": 1}')]:
        view.event(event)
    assert outputs.plain[1] == "▸ slow(a=1)"
    assert "…" in outputs.html[1]


def test_events_of_before_ag_ui_1_are_still_thinking(outputs: Outputs) -> None:
    kinds: list[Any] = ["THINKING_TEXT_MESSAGE_START", "THINKING_TEXT_MESSAGE_CONTENT"]
    events = [BaseEvent.model_construct(type=kind, delta="Hm") for kind in kinds]
    show(events)
    assert outputs.plain == ["Thinking: Hm", "(no text)"]


def test_stored_events_are_shown_like_live_ones(outputs: Outputs) -> None:
    stored = [
        event.model_dump(mode="json", by_alias=True) for event in [*call("add", "{}", "3"), *text("ok")]
    ]
    show([BaseEvent.model_validate(data) for data in stored])
    assert outputs.plain == ["▸ add() → 3", "ok"]


def test_an_error_is_one_escaped_line(outputs: Outputs) -> None:
    show([RunErrorEvent(message="no <b>\nidea\x1b[31m")])
    assert outputs.plain == ["Error: no <b> idea"]
    assert "&lt;b&gt;" in outputs.html[0]


@pytest.mark.parametrize(
    ("dropped", "line"),
    [
        (1, "1 older message was left out: the model's context is full"),
        (1200, "1,200 older messages were left out: the model's context is full"),
    ],
)
def test_what_the_model_did_not_see_is_said(outputs: Outputs, dropped: int, line: str) -> None:
    show([CustomEvent(name="nbsessions.context", value={"dropped": dropped}), *text("ok")])
    assert outputs.plain == [line, "ok"]


def test_unknown_events_are_passed_over(outputs: Outputs) -> None:
    raw = BaseEvent.model_validate({"type": "RAW", "event": {"x": 1}})
    show([CustomEvent(name="other", value=1), raw, BaseEvent(type=EventType.STEP_STARTED), *text("ok")])
    assert outputs.plain == ["ok"]


def test_an_empty_answer_says_so(outputs: Outputs) -> None:
    show([*text("", " \n"), *call("add", "{}", "")], footer="saved")
    assert outputs.plain == ["▸ add() → ", "(no text)", "saved"]


def test_import_is_light() -> None:
    heavy = {"pydantic", "pandas", "ag_ui", "rich", "markdown_it", "pygments", "IPython"}
    code = f"import nbsessions.display, nbsessions.reprs, sys; print(sorted({heavy!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
