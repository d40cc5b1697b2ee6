"""What a person sees: in a notebook, in a terminal, in a pipe."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import types
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

import IPython.display
import nbformat
import pytest
from ag_ui.core import (
    BaseEvent,
    CustomEvent,
    EventType,
    ReasoningMessageContentEvent,
    ReasoningMessageEndEvent,
    ReasoningMessageStartEvent,
    RunErrorEvent,
    RunStartedEvent,
    TextMessageContentEvent,
    TextMessageEndEvent,
    TextMessageStartEvent,
    ToolCallArgsEvent,
    ToolCallEndEvent,
    ToolCallResultEvent,
    ToolCallStartEvent,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from nbsessions import display
from nbsessions.display import AnswerView, Card, Conversation, footer_text, money, terminal_markdown
from nbsessions.records import Message, Usage
from tests.test_rendering import CONTROLS, PIECES, assert_safe


def text(*deltas: str, message: str = "m") -> list[BaseEvent]:
    return [
        TextMessageStartEvent(message_id=message),
        *(TextMessageContentEvent(message_id=message, delta=delta) for delta in deltas),
        TextMessageEndEvent(message_id=message),
    ]


def thinking(*deltas: str) -> list[BaseEvent]:
    return [
        ReasoningMessageStartEvent(message_id="r", role="reasoning"),
        *(ReasoningMessageContentEvent(message_id="r", delta=delta) for delta in deltas),
        ReasoningMessageEndEvent(message_id="r"),
    ]


def call(name: str, arguments: str, result: str | None = None, call_id: str = "t") -> list[BaseEvent]:
    events: list[BaseEvent] = [
        ToolCallStartEvent(tool_call_id=call_id, tool_call_name=name),
        ToolCallArgsEvent(tool_call_id=call_id, delta=arguments[:5]),
        ToolCallArgsEvent(tool_call_id=call_id, delta=arguments[5:]),
        ToolCallEndEvent(tool_call_id=call_id),
    ]
    if result is not None:
        events.append(ToolCallResultEvent(message_id="q", tool_call_id=call_id, content=result))
    return events


class Outputs:
    """The outputs of a cell, as a front end keeps them."""

    def __init__(self) -> None:
        self.cells: dict[str, dict[str, str]] = {}
        self.updates = 0

    def display(self, bundle: dict[str, str], *, display_id: str, raw: bool) -> None:
        assert raw
        assert display_id not in self.cells
        assert set(bundle) == {"text/html", "text/plain"}
        self.cells[display_id] = bundle

    def update(self, bundle: dict[str, str], *, display_id: str, raw: bool) -> None:
        assert raw
        assert display_id in self.cells
        self.updates += 1
        self.cells[display_id] = bundle

    @property
    def html(self) -> list[str]:
        return [bundle["text/html"] for bundle in self.cells.values()]

    @property
    def plain(self) -> list[str]:
        return [bundle["text/plain"] for bundle in self.cells.values()]


@pytest.fixture
def outputs(monkeypatch: pytest.MonkeyPatch) -> Outputs:
    outputs = Outputs()
    monkeypatch.setattr(IPython.display, "display", outputs.display)
    monkeypatch.setattr(IPython.display, "update_display", outputs.update)
    return outputs


def show(events: Iterable[BaseEvent], footer: str = "", **options: Any) -> None:
    with AnswerView(**{"notebook": True} | options) as view:
        for event in events:
            view.event(event)
        view.finish(footer)


# In a notebook.


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


def test_tool_calls_are_folded_and_escaped(outputs: Outputs) -> None:
    evil = "</pre></details><script>alert(1)</script>"
    show(call(f"<b>{evil}", json.dumps({evil: evil}), evil))
    page = assert_safe(outputs.html[0])
    assert page.tags[0][0] == "details"
    assert "open" not in page.tags[0][1]
    assert page.text.count(evil) >= 3
    assert {tag for tag, _ in page.tags} <= {"details", "summary", "div", "span", "strong", "pre", "code"}


def test_arguments_are_indented_and_results_too(outputs: Outputs) -> None:
    show(call("find", '{"q": "x"}', '[{"id": 1}]'))
    page = assert_safe(outputs.html[0])
    assert '{\n  "q": "x"\n}' in page.text
    assert '[\n  {\n    "id": 1\n  }\n]' in page.text


def test_long_results_are_cut_in_the_middle(outputs: Outputs) -> None:
    show(call("read", "{}", "START" + "x" * 100_000 + "END"))
    page = assert_safe(outputs.html[0])
    assert "START" in page.text
    assert "END" in page.text
    assert "characters are not shown" in page.text
    assert len(outputs.html[0]) < 10_000
    assert len(outputs.plain[0]) < 10_000


def test_long_json_is_cut_between_lines(outputs: Outputs) -> None:
    show(call("read", "{}", json.dumps([{"key": "value"}] * 1000)))
    head, tail = assert_safe(outputs.html[0]).text.split(" characters are not shown")
    assert head[: head.rindex("…")].rstrip()[-1] in "{},"
    assert tail.partition("\n")[0].strip().endswith(("…", "{", "}", ",", '"value"'))
    assert tail.count('"key"') == tail.count('"value"')


@given(st.text(), st.one_of(st.text(), st.dictionaries(st.text(), st.text()).map(json.dumps)), st.text())
@settings(deadline=None)
def test_any_tool_call_is_safe(name: str, arguments: str, result: str) -> None:
    tool = display._Tool(name)
    tool.arguments, tool.result = arguments, result
    assert_safe(tool.html())
    assert not CONTROLS.search(tool.plain())


def test_thinking_is_folded(outputs: Outputs) -> None:
    show([*thinking("<b>Hm</b> ", "yes"), *text("ok")])
    page = assert_safe(outputs.html[0])
    assert page.tags[0][0] == "details"
    assert page.text.strip().startswith("Thinking")
    assert "<b>Hm</b> yes" in page.text


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


def test_a_kernel_is_a_notebook(outputs: Outputs, monkeypatch: pytest.MonkeyPatch) -> None:
    shell = types.SimpleNamespace(kernel=object())
    monkeypatch.setattr("IPython.core.getipython.get_ipython", lambda: shell)
    AnswerView().note("in a kernel")
    del shell.kernel
    AnswerView().note("in a terminal")
    assert outputs.plain == ["in a kernel"]


def test_a_saved_notebook_has_one_output_for_each_segment() -> None:
    from nbclient import NotebookClient

    source = """
    from ag_ui.core import *
    from nbsessions.display import AnswerView
    with AnswerView() as view:
        for number in range(5):
            view.event(TextMessageContentEvent(message_id="m", delta=f"{number} "))
            view.flush()
        view.finish("saved")
    """
    cell = nbformat.v4.new_code_cell("if True:" + source)  # type: ignore[no-untyped-call]
    notebook = nbformat.v4.new_notebook(cells=[cell])  # type: ignore[no-untyped-call]
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    shown = [(output.output_type, output.data["text/plain"]) for output in cell.outputs]
    assert shown == [("display_data", "0 1 2 3 4 "), ("display_data", "saved")]


# In a terminal.


def terminal(height: int = 24) -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=60, height=height, color_system="truecolor")


def written(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def visible(raw: str, width: int = 200) -> str:
    """What is left on the screen, by a terminal that knows what rich's Live uses."""
    import re

    lines, row = [""], 0
    for token in re.findall(r"\x1b\[[0-?]*[ -/]*[@-~]|[^\x1b\n\r]+|[\n\r]", raw):
        if token == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif token == "\x1b[2K":
            lines[row] = ""
        elif token == "\x1b[1A":
            row -= 1
        elif not token.startswith("\x1b") and token != "\r":
            lines[row] += token
    return "\n".join(line.rstrip() for line in lines).strip("\n")


def test_a_terminal_keeps_every_segment_once() -> None:
    console = terminal()
    words = [f"word{number} " for number in range(100)]
    events = [*thinking("Hm."), *text(*words), *call("add", '{"a": 1, "b": 2}', "3"), *text("It is **3**.")]
    show(events, footer="plan · saved", notebook=False, console=console)
    screen = visible(written(console))
    assert screen.startswith("▸ Thinking  Hm.\n\nword0 ")
    assert screen.endswith("\n\n▸ add(a=1, b=2) → 3\n\nIt is 3.\n\nplan · saved")
    assert screen.split("\n\n")[1].split() == [word.strip() for word in words]


def test_a_low_terminal_shows_the_end_of_a_long_answer() -> None:
    console = terminal(height=10)
    view = AnswerView(notebook=False, console=console)
    for number in range(100):
        view.event(TextMessageContentEvent(message_id="m", delta=f"{number}\n\n"))
    view.flush()
    screen = visible(written(console)).splitlines()
    assert screen[-1] == "99"
    assert len(screen) < 10
    view.finish("")
    assert visible(written(console)).split() == [str(number) for number in range(100)]


def test_an_interrupt_leaves_the_terminal_clean() -> None:
    console = terminal()
    stdout = sys.stdout

    def interrupted() -> None:
        with AnswerView(notebook=False, console=console) as view:
            for event in text("one ", "two")[:-1]:
                view.event(event)
            assert sys.stdout is not stdout, "what the agent prints goes above what is live"
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert sys.stdout is stdout
    raw = written(console)
    assert raw.rindex("\x1b[?25h") > raw.rindex("\x1b[?25l"), "the cursor is back"
    assert visible(raw) == "one two"


def test_a_pause_leaves_the_terminal_to_a_question() -> None:
    console = terminal()
    stdout = sys.stdout
    with AnswerView(notebook=False, console=console) as view:
        for event in call("remove", '{"path": "x"}'):
            view.event(event)
        assert visible(written(console)) == '▸ remove(path="x") …'
        view.pause()
        assert sys.stdout is stdout
        assert visible(written(console)) == ""
        view.event(ToolCallResultEvent(message_id="q", tool_call_id="t", content="done"))
    assert visible(written(console)) == '▸ remove(path="x") → done'


def test_a_tool_call_is_one_line_also_when_it_is_long() -> None:
    console = terminal()
    show(call("read", json.dumps({"path": "y" * 200}), "line\n" * 50), notebook=False, console=console)
    lines = visible(written(console)).splitlines()
    assert lines[0].startswith('▸ read(path="yyy')
    assert lines[0].endswith("…")
    assert lines[1:] == ["(no text)"]


@pytest.mark.parametrize("make", [text, thinking, lambda evil: call(evil, json.dumps({"x": evil}), evil)])
def test_nothing_in_an_answer_controls_the_terminal(make: Callable[[str], list[BaseEvent]]) -> None:
    evil = (
        "\x1b]0;title\x07\x1b]8;;http://evil\x1b\\[x](http://a.b)\x1b[2J\x9b2J &#27;]0;y&#7; \u202e&#x202e;"
    )
    evil += "<b>"
    console = terminal()
    show(make(evil), notebook=False, console=console)
    raw = written(console)
    assert "\x1b]" not in raw
    assert "\x1b[2J" not in raw
    assert "\x07" not in raw
    assert not CONTROLS.search(visible(raw))
    assert "<b>" in visible(raw), "nothing is left out"


@settings(deadline=None)
@given(st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=4)), max_size=25).map("".join))
def test_any_markdown_can_be_shown_in_a_terminal(markdown: str) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=60, color_system=None)
    console.print(terminal_markdown(markdown))
    assert not CONTROLS.search(written(console))


def test_markdown_in_a_terminal() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=60, color_system=None)
    shown = (
        "# T\n\n[x](http://a.b) ![y](http://c.d) $a_1*b*c$ <i>\n\n$$\na_1\n- b\n$$\n\n```python\n1 + 1\n```"
    )
    console.print(terminal_markdown(shown))
    lines = [line.strip() for line in written(console).splitlines() if line.strip()]
    assert lines == ["T", "x (http://a.b) y (http://c.d) $a_1*b*c$ <i>", "$$", "a_1", "- b", "$$", "1 + 1"]


# In a pipe.


def test_a_pipe_gets_plain_text_once(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    events = [*thinking("Hm."), *text("It ", "is\n", "**3**."), *call("add", '{"a": 1}', "3\n4")]
    show(events, footer="saved", notebook=False)
    assert capsys.readouterr().out == "Thinking: Hm.\nIt is\n**3**.\n▸ add(a=1) →\n3\n4\nsaved\n"


def test_a_pipe_that_knows_few_characters() -> None:
    file = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    show([*call("add", "{}", "3"), *text("ok")], notebook=False, console=Console(file=file))
    file.seek(0)
    assert file.read() == "? add() ? 3\nok\n"


# Conversations, cards, footers.

MESSAGES = [
    Message(role="system", content="Be brief.\nAlways."),
    Message(role="user", content="Add <b>1</b>\nand 2 for $5"),
    Message(
        role="assistant",
        tool_calls=[{"id": "c", "function": {"name": "add", "arguments": '{"a": 1, "b": 2}'}}],
    ),
    Message(role="tool", tool_call_id="c", content="3"),
    Message(role="assistant", content="**3**"),
    Message(role="user", content=[{"type": "text", "text": "And"}, {"type": "image_url", "image_url": {}}]),
]


def test_a_conversation_shows_every_message_with_its_number() -> None:
    bundle = Conversation("plan", MESSAGES)._repr_mimebundle_()
    assert set(bundle) == {"text/html", "text/plain"}
    assert bundle["text/plain"] == (
        "plan · 6 messages\n\n1 system\nBe brief.\nAlways.\n\n2 user\nAdd <b>1</b>\nand 2 for $5\n\n"
        "3 assistant\n▸ add(a=1, b=2)\n\n4 tool (add)\n3\n\n5 assistant\n**3**\n\n6 user\nAnd\n[image_url]"
    )
    page = assert_safe(bundle["text/html"])
    assert "Add <b>1</b>\nand 2 for $5" in page.text
    assert "<strong>3</strong>" in bundle["text/html"]
    assert [tag for tag, _ in page.tags].count("details") == 3


def test_a_conversation_of_any_text_is_safe() -> None:
    evil = "<script>alert(1)</script>\x1b[31m\u202e"
    messages = [
        Message(
            role=role, content=evil, name=evil, tool_calls=[{"function": {"name": evil, "arguments": evil}}]
        )
        for role in ("system", "user", "assistant", "tool")
    ]
    conversation = Conversation(evil, messages)
    assert_safe(conversation._repr_mimebundle_()["text/html"])
    assert not CONTROLS.search(str(conversation))


def test_a_long_conversation_shows_its_end() -> None:
    conversation = Conversation("plan", [Message(role="user", content=f"text{n}") for n in range(1, 1001)])
    shown = str(conversation)
    assert shown.startswith(
        "plan · 1,000 messages\n\n800 earlier messages are not shown here\n\n801 user\ntext801"
    )
    assert shown.endswith("1000 user\ntext1000")
    assert "text800" not in conversation._repr_mimebundle_()["text/html"]


def test_what_no_turn_holds_is_told_apart() -> None:
    said = [Message(role="user", content="And 2?"), Message(role="assistant", content="Let <me>")]
    conversation = Conversation("plan", MESSAGES[1:2], pending=("interrupted", said))
    line = "Not part of the conversation: the run is interrupted"
    assert str(conversation).endswith(f"\n\n{line}\n\n· user\nAnd 2?\n\n· assistant\nLet <me>")
    assert str(conversation).startswith("plan · 1 message\n\n1 user\n")
    assert line in assert_safe(conversation._repr_mimebundle_()["text/html"]).text


def test_an_empty_conversation() -> None:
    assert repr(Conversation("plan", [])) == "plan · 0 messages"


def test_a_card() -> None:
    card = Card("pl<b>an", [("agent", "loc<i>al\x1b[31m"), ("cost", "$1"), ("tags", "")])
    assert str(card) == "pl<b>an\n  agent  loc<i>al\n  cost   $1\n  tags"
    page = assert_safe(card._repr_mimebundle_()["text/html"])
    assert [tag for tag, _ in page.tags].count("td") == 6
    assert str(Card("empty", [])) == "empty"


@pytest.mark.parametrize(
    ("usage", "seconds", "expected"),
    [
        (
            Usage(input_tokens=120, output_tokens=45, cost=Decimal("0.0012")),
            1.23,
            "120 → 45 tokens · $0.0012 · 1.2 s",
        ),
        (
            Usage(input_tokens=12_000, output_tokens=4_500),
            59.94,
            "12,000 → 4,500 tokens · cost unknown · 59.9 s",
        ),
        (Usage(input_tokens=1, cost=Decimal(0)), 0.042, "1 → 0 tokens · free · 0.04 s"),
        (Usage(), 61, "1 min 1 s"),
        (Usage(cost=Decimal(0)), 3725, "1 h 2 min"),
        (Usage(cost=Decimal("0.01")), 0, "$0.01 · 0.00 s"),
    ],
)
def test_footer(usage: Usage, seconds: float, expected: str) -> None:
    line = footer_text(label="research", turn=3, usage=usage, seconds=seconds, saved="saved")
    assert line == f"research · turn 3 · {expected} · saved"


def test_footer_without_a_name() -> None:
    assert footer_text(label="", turn=1, usage=Usage(), seconds=1, saved="") == "turn 1 · 1.0 s"


@pytest.mark.parametrize(
    ("cost", "shown"),
    [
        ("12.3", "$12.30"),
        ("0.999", "$1.00"),
        ("0.0999", "$0.10"),
        ("0.05", "$0.05"),
        ("0.0123", "$0.012"),
        ("0.00999", "$0.01"),
        ("0.005", "$0.005"),
        ("0.000000012", "$0.000000012"),
        ("1E-7", "$0.0000001"),
        ("0.000", "free"),
        ("1234567", "$1,234,567.00"),
    ],
)
def test_money(cost: str, shown: str) -> None:
    assert money(Decimal(cost)) == shown


def test_import_is_light() -> None:
    heavy = {"pydantic", "pandas", "ag_ui", "rich", "markdown_it", "pygments", "IPython"}
    code = f"import nbsessions.display, sys; print(sorted({heavy!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
