"""Where an answer is shown: in a notebook, in a terminal, in a pipe."""

from __future__ import annotations

import io
import json
import sys
import types
from collections.abc import Callable

import nbformat
import pytest
from ag_ui.core import BaseEvent, TextMessageContentEvent, ToolCallResultEvent
from rich.console import Console

from nbsessions.display import AnswerView
from tests.test_rendering import CONTROLS
from tests.views import Outputs, call, show, terminal, text, thinking, visible, written


@pytest.fixture
def outputs(monkeypatch: pytest.MonkeyPatch) -> Outputs:
    return Outputs(monkeypatch)


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
    cell = nbformat.v4.new_code_cell("if True:" + source)
    notebook = nbformat.v4.new_notebook(cells=[cell])
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    shown = [(output.output_type, output.data["text/plain"]) for output in cell.outputs]
    assert shown == [("display_data", "0 1 2 3 4 "), ("display_data", "saved")]


# In a terminal.


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


def test_a_window_that_becomes_narrower_keeps_nothing_of_before() -> None:
    console = terminal()
    with AnswerView(notebook=False, console=console) as view:
        view.event(TextMessageContentEvent(message_id="m", delta="# Plan\n\n" + "word " * 23))
        before = len(written(console))
        console.width = 30
        view.event(TextMessageContentEvent(message_id="m", delta="again "))
        view.flush()
        raw = written(console)[before:]
    # The heading and the empty line stay one line each; two lines of 59 and 54 have become two each.
    assert raw.count("\x1b[1A") == (1 + 1 + 2 + 2) - 1


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
