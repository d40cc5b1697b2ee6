"""The person is asked whether an agent may use a tool: in a notebook, in a terminal, or where nobody is."""

from __future__ import annotations

import io
import json
import os
import pty
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pexpect
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nbsessions import Decision, ToolQuestion
from nbsessions.approving import asker
from nbsessions.chat.ending import ending
from nbsessions.display import AnswerView
from nbsessions.folds import exact
from nbsessions.segments import Asked
from tests.kernels import Kernel, kernel
from tests.test_rendering import CONTROLS, assert_safe
from tests.views import Outputs, call, terminal, visible, written

AGENT = """
%load_ext nbsessions
import asyncio
from pydantic_ai import Agent
from pydantic_ai.messages import ToolReturnPart
from pydantic_ai.models.function import DeltaToolCall, FunctionModel

async def model(messages, info):
    results = [part for part in messages[-1].parts if isinstance(part, ToolReturnPart)]
    if results:
        yield f"Result: {results[0].content}"
    else:
        yield "Let me. "
        await asyncio.sleep(wait)
        yield {0: DeltaToolCall("remove", '{"path": "<b>precious</b>", "sure": true}', tool_call_id="c1")}

wait, removed = 0, []
cleaner = Agent(FunctionModel(stream_function=model), name="cleaner")

@cleaner.tool_plain(requires_approval=True)
def remove(path: str, sure: bool) -> str:
    removed.append(path)
    return "removed"

%agent cleaner
"""


def question(name: str, arguments: str) -> ToolQuestion:
    return ToolQuestion(name=name, arguments=arguments, call_id="t", run_id="r", agent_name="cleaner")


@pytest.fixture(scope="module")
def notebook(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    with kernel(tmp_path_factory.mktemp("notebook")) as started:
        assert started.run(AGENT).error is None
        yield started


def test_a_notebook_asks_and_goes_on(notebook: Kernel) -> None:
    message = notebook.send("%%agent --new\nTidy up", keyboard=True)
    assert notebook.answer("perhaps") == "Allow? [y/n/always/edit] "
    assert notebook.answer("Y ") == "Allow? [y/n/always/edit] "
    shown = notebook.wait(message)
    assert shown.error is None
    plain = [output["data"]["text/plain"] for output in shown.outputs]
    assert "Let me. " in plain[0]
    assert plain[1].endswith("→ removed")
    assert plain[2].splitlines() == [
        "cleaner asks to call remove:",
        *("{", '  "path": "<b>precious</b>",', '  "sure": true', "}"),
    ]
    assert plain[3:5] == ["Allowed: remove", "Result: removed"]
    html = shown.outputs[2]["data"]["text/html"]
    assert_safe(html)
    assert "&lt;b&gt;precious" in html
    assert "<details" not in html
    assert notebook.run("removed.pop()").text == "'<b>precious</b>'"


def test_a_notebook_takes_no_for_an_answer(notebook: Kernel) -> None:
    message = notebook.send("%%agent --new\nTidy up", keyboard=True)
    notebook.answer("n")
    shown = notebook.wait(message)
    assert "Denied: remove" in shown.text
    assert "Result: The person did not allow this call." in shown.text
    assert notebook.run("removed").text == "[]"


def test_a_notebook_without_a_keyboard_allows_nothing(notebook: Kernel) -> None:
    shown = notebook.run("%%agent --new\nTidy up")
    assert shown.error is None
    assert "Denied: remove (nobody can be asked here)" in shown.text
    assert "Result: The call was not allowed: nobody can be asked here" in shown.text
    assert notebook.run("removed").text == "[]"


def test_an_interrupt_while_the_question_waits_loses_nothing(notebook: Kernel) -> None:
    notebook.run("%session new")
    message = notebook.send("%%agent\nTidy up", keyboard=True)
    notebook.asked()
    notebook.interrupt()
    shown = notebook.wait(message)
    assert "Stopped. The prompt and 8 characters of the answer are kept." in (shown.error or "")
    assert notebook.run("removed").text == "[]"
    message = notebook.send("%agent --retry", keyboard=True)
    notebook.answer("yes")
    assert "Result: removed" in notebook.wait(message).text
    runs = notebook.run("runs = %session runs\nruns['status'].tolist()")
    assert runs.text == "['cancelled', 'completed']"
    assert notebook.run("removed.clear()").error is None


# Without a kernel.


@contextmanager
def real_terminal(folder: Path, script: str) -> Iterator[pexpect.spawn[str]]:
    (folder / "script.ipy").write_text(AGENT + script)
    env = {"NBSESSIONS_STORE": str(folder / "sessions.db"), "IPYTHONDIR": str(folder / ".ipython")}
    command = ["-m", "IPython", "--no-banner", "--TerminalIPythonApp.force_interact=False", "script.ipy"]
    child = pexpect.spawn(
        sys.executable,
        command,
        env={**os.environ, **env, "TERM": "xterm-256color"},
        cwd=str(folder),
        timeout=100,
        encoding="utf-8",
    )
    yield child
    child.expect(pexpect.EOF)
    child.close()


ASK = """get_ipython().run_cell_magic("agent", "", "Tidy up")\nprint("REMOVED", removed)\n"""


def test_a_real_terminal_asks(tmp_path: Path) -> None:
    with real_terminal(tmp_path, ASK) as child:
        child.expect("asks to call")
        child.expect("<b>precious</b>")
        child.expect_exact("Allow? [y/n/always/edit] ")
        child.sendline("y")
        child.expect("Result: removed")
        child.expect_exact("REMOVED ['<b>precious</b>']")


def test_what_was_typed_before_the_question_is_no_answer(tmp_path: Path) -> None:
    with real_terminal(tmp_path, "wait = 2\n" + ASK) as child:
        child.expect("Let me")
        child.sendline("y")
        child.expect_exact("Allow? [y/n/always/edit] ")
        child.sendline("n")
        child.expect("Result: The person did not allow this call")
        child.expect_exact("REMOVED []")


def typed(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))


@pytest.mark.parametrize(
    ("text", "decision"),
    [
        ("y\n", Decision(True)),
        ("YES\n", Decision(True)),
        ("n\n", Decision(False)),
        ("\nwhat?\nno\n", Decision(False)),
        ("", Decision(False, "nobody can be asked here")),
        ("maybe\n", Decision(False, "nobody can be asked here")),
    ],
)
def test_only_a_yes_is_one(monkeypatch: pytest.MonkeyPatch, text: str, decision: Decision) -> None:
    typed(monkeypatch, text)
    with AnswerView(notebook=False) as view:
        assert asker(view)(question("remove", "{}")) == decision


@pytest.mark.parametrize("error", [EOFError, NotImplementedError, OSError, RuntimeError])
def test_nobody_can_be_asked(monkeypatch: pytest.MonkeyPatch, error: type[Exception]) -> None:
    def closed(prompt: str) -> str:
        raise error("no keyboard")

    monkeypatch.setattr("builtins.input", closed)
    assert asker(AnswerView(notebook=False))(question("remove", "{}")) == Decision(
        False, "nobody can be asked here"
    )


def test_a_terminal_that_is_closed_ends_it_once(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = pty.openpty()

    def closed(prompt: str) -> str:
        os.close(ours)
        raise EOFError

    monkeypatch.setattr("builtins.input", closed)
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, getattr(sys, name))
    with open(theirs) as keyboard, ending() as end:
        monkeypatch.setattr(sys, "stdin", keyboard)
        with pytest.raises(KeyboardInterrupt):
            asker(AnswerView(notebook=False))(question("remove", "{}"))
        assert end.number == signal.SIGHUP
        signal.raise_signal(signal.SIGHUP)  # as the system does a moment later, while the end is saved
        sys.stdout.close()


def test_a_terminal_shows_all_of_it_above_the_question(monkeypatch: pytest.MonkeyPatch) -> None:
    typed(monkeypatch, "y\n")
    console = terminal()
    long = json.dumps({"paths": [f"file {number}" for number in range(300)]})
    with AnswerView(notebook=False, console=console) as view:
        for event in call("remove", long):
            view.event(event)
        assert asker(view)(question("remove", long)).approved
        screen = visible(written(console))
        assert screen.startswith('cleaner asks to call remove:\n{\n  "paths": [\n    "file 0",')
        assert screen.endswith('"file 299"\n  ]\n}'), "nothing that moves is left below"


# What is hostile.

TEXTS = st.text(st.characters(codec="utf-8"), max_size=60)


@given(name=TEXTS, value=st.dictionaries(TEXTS, TEXTS, max_size=3))
@example(
    name="remove\x1b[2J", value={"path": "/tmp/\u202etxt.exe\u200b\x00\x9b2J</script><img src=x onerror=a>"}
)
def test_nothing_in_a_question_is_hidden_or_does_anything(name: str, value: dict[str, str]) -> None:
    asked = Asked(question(name, json.dumps(value, ensure_ascii=False)))
    assert_safe(asked.html())
    console = terminal()
    console.print(asked.rich())
    assert not CONTROLS.search(visible(written(console)))
    text = asked.plain().partition(":\n")[2]
    assert json.loads(text) == value, "what is shown is what the tool gets"
    assert all(c == "\n" or c.isprintable() for c in text)


@pytest.mark.parametrize("blank", "\u3164\u115f\uffa0\u2800\ufe0f\u034f\U000e0101\u200b\u00ad")
def test_what_is_drawn_as_nothing_is_seen(blank: str) -> None:
    value = f"rm{blank}x"
    shown = Asked(question("run", json.dumps({"path": value}, ensure_ascii=False))).plain()
    assert blank not in shown
    assert json.dumps(blank)[1:-1] in shown


@given(text=st.text(max_size=80))
def test_what_is_no_json_is_shown_as_it_is(text: str) -> None:
    assert all(c == "\n" or c.isprintable() for c in exact(text))


def test_a_long_question_is_whole_and_does_not_scroll() -> None:
    value = {"text": "x" * 50_000 + "THE END"}
    html = Asked(question("write", json.dumps(value))).html()
    assert "THE END" in html
    assert "max-height" not in html


def test_a_question_stands_in_a_notebook_after_its_call(monkeypatch: pytest.MonkeyPatch) -> None:
    outputs = Outputs(monkeypatch)
    with AnswerView(notebook=True) as view:
        for event in call("remove", '{"path": "x"}'):
            view.event(event)
        view.ask(question("remove", '{"path": "x"}'))
    assert outputs.plain[0] == '▸ remove(path="x")'
    assert outputs.plain[1].startswith("cleaner asks to call remove:")
