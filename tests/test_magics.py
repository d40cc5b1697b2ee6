"""The magics, in a real kernel, as a person uses them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

import nbsessions as nbs
from tests.kernels import Kernel, Shown, kernel

AGENTS = """
%load_ext nbsessions
import time
calls = []
def echo(prompt, history):
    calls.append(prompt)
    yield f"**{prompt}** "
    yield f"after {len(history)}"
def numbered(prompt):
    calls.append(prompt)
    return f"answer {len(calls)} to {prompt}"
def slow(prompt):
    for number in range(200):
        yield f"{number} "
        time.sleep(0.05)
async def slow_async(prompt):
    import asyncio
    for number in range(200):
        yield f"{number} "
        await asyncio.sleep(0.05)
def broken(prompt):
    yield "I was about to "
    return 1 / 0
%agent echo
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "nb.ipynb").write_text("{}")
    return tmp_path


@pytest.fixture
def lab(folder: Path) -> Iterator[Kernel]:
    """A kernel of the notebook nb.ipynb, with agents."""
    with kernel(folder, JPY_SESSION_NAME=str(folder / "nb.ipynb")) as started:
        shown = started.run(AGENTS)
        assert shown.error is None, shown.error
        yield started


def reopened(folder: Path) -> nbs.Session:
    os.environ["NBSESSIONS_OWNER"] = "ada"
    store = nbs.open_store(folder / "sessions.db")
    try:
        session = store.resume("latest")
        assert session.messages is not None
        return session
    finally:
        store.close()


def texts(folder: Path) -> list[str]:
    with nbs.open_store(folder / "sessions.db") as store:
        return [message.text for message in store.resume("latest").messages]


def ok(shown: Shown) -> Shown:
    assert shown.error is None, shown.error
    assert shown.stderr == ""
    return shown


def test_an_answer_is_streamed_and_saved(lab: Kernel, folder: Path) -> None:
    shown = ok(lab.run("%agent slow\n")) and ok(lab.run("%%agent\nHello"))
    assert shown.updates >= 10
    assert "0 1 2 3" in shown.text
    assert re.search(r"turn 1 · .* s · saved", shown.text)
    assert "<script" not in shown.html
    assert texts(folder)[0] == "Hello"
    assert len([output for output in shown.outputs if "199" in str(output["data"])]) == 1


def test_expressions_in_double_braces(lab: Kernel, folder: Path) -> None:
    ok(lab.run("import pandas as pd\ndf = pd.DataFrame({'a|b': [1, 2]})\nname = 'Ada'"))
    ok(lab.run("%%agent\n{{name}} {single} {{ {'x': {'y': 1}}['x']['y'] }}\n{{df}}"))
    assert texts(folder)[0] == "Ada {single} 1\n|  | a\\|b |\n| --- | --- |\n| 0 | 1 |\n| 1 | 2 |"
    ok(lab.run("%%agent --raw\n{{name}} {{ "))
    assert texts(folder)[2] == "{{name}} {{ "


def test_into_a_variable(lab: Kernel) -> None:
    ok(lab.run("%%agent --into answer\nHello"))
    assert ok(lab.run("answer")).text == "'**Hello** after 0'"


def test_run_all_twice_is_three_turns(lab: Kernel, folder: Path) -> None:
    ok(lab.run("%agent numbered"))
    cells = {f"cell-{n}": f"%%agent\nquestion {n}" for n in (1, 2, 3)}
    for cell_id, cell in cells.items():
        ok(lab.run(cell, cell_id))
    first = texts(folder)
    assert first[1::2] == ["answer 1 to question 1", "answer 2 to question 2", "answer 3 to question 3"]
    for cell_id, cell in cells.items():
        ok(lab.run(cell, cell_id))
    session = reopened(folder)
    assert (session.turn_count, texts(folder)[1]) == (3, "answer 4 to question 1")
    for _ in cells:
        ok(lab.run("%session undo"))
    assert texts(folder) == first


def test_replay_spends_nothing(lab: Kernel, folder: Path) -> None:
    ok(lab.run("%agent numbered"))
    cells = {f"cell-{n}": f"%%agent --rerun replay --into out{n}\nquestion {n}" for n in (1, 2, 3)}
    for cell_id, cell in cells.items():
        ok(lab.run(cell, cell_id))
    before, runs = texts(folder), len(reopened(folder).record.model_dump())
    for cell_id, cell in cells.items():
        shown = ok(lab.run(cell, cell_id))
        assert "replayed" in shown.text
    assert ok(lab.run("len(calls), out2")).text == "(3, 'answer 2 to question 2')"
    assert texts(folder) == before
    assert runs
    changed = ok(lab.run("%%agent --rerun replay\nanother question", "cell-2"))
    assert "answer 4" in changed.text
    assert texts(folder)[2:] == ["another question", "answer 4 to another question"]
    assert "answer 5" in ok(lab.run(cells["cell-3"], "cell-3")).text


def test_append_asks_on_top(lab: Kernel, folder: Path) -> None:
    for _ in range(2):
        ok(lab.run("%%agent --rerun append\nagain", "cell-1"))
    assert reopened(folder).turn_count == 2


@pytest.mark.parametrize("agent", ["slow", "slow_async"])
def test_interrupt_stops_and_keeps(lab: Kernel, folder: Path, agent: str) -> None:
    ok(lab.run("%%agent\nfirst"))
    ok(lab.run(f"%agent {agent}"))
    sent = lab.send("%%agent\nsecond")
    for message in lab.messages(sent):
        data = message["content"].get("data", {}).get("text/plain", "")
        if message["msg_type"].endswith("display_data") and "5" in data:
            break
    at = time.monotonic()
    lab.interrupt()
    shown = lab.wait(sent)
    assert time.monotonic() - at < 5
    assert shown.error is not None
    assert re.fullmatch(
        r"Stopped. The prompt and \d+ characters of the answer are kept. `%agent --retry` asks again.",
        shown.error,
    )
    assert texts(folder) == ["first", "**first** after 0"]
    show = ok(lab.run("%session show"))
    assert "second" in show.text
    assert "0 1 2 3" in show.text
    ok(lab.run("%agent echo\n"))
    ok(lab.run("%agent echo --retry"))
    assert texts(folder)[2:] == ["second", "**second** after 2"]
    assert "nothing to retry" in lab.run("%agent --retry").stderr


def test_a_loop_in_a_cell_asks_more_than_once(lab: Kernel, folder: Path) -> None:
    code = "for n in range(3): get_ipython().run_cell_magic('agent', '', f'question {n}')"
    ok(lab.run(code, "cell-1"))
    assert texts(folder)[::2] == ["question 0", "question 1", "question 2"]


def test_retry_asks_the_agent_that_failed(lab: Kernel, folder: Path) -> None:
    ok(
        lab.run(
            "fails = [True]\ndef moody(prompt):\n    if fails.pop():\n        raise ValueError\n    return 'fine'"
        )
    )
    assert lab.run("%%agent moody\nHow are you?").error is not None
    ok(lab.run("fails.append(False)\n%agent --retry"))
    assert texts(folder) == ["How are you?", "fine"]


MOODY = """
from pydantic_ai import Agent
from pydantic_ai.models.function import FunctionModel
fails = [True]
async def answer(messages, info):
    if fails:
        raise OSError("flaky")
    yield "fine"
ag = Agent(FunctionModel(stream_function=answer), name="Weather Bot")
"""


def test_retry_finds_the_agent_by_its_own_name(lab: Kernel, folder: Path) -> None:
    ok(lab.run(MOODY))
    assert lab.run("%%agent ag\nHow is it?").error is not None
    ok(lab.run("fails.clear()\n%agent --retry --into said"))
    assert texts(folder) == ["How is it?", "fine"]
    assert ok(lab.run("said")).text == "'fine'"


def test_nobody_else_answers_in_the_place_of_an_agent_that_is_gone(lab: Kernel, folder: Path) -> None:
    ok(lab.run(MOODY))
    assert lab.run("%%agent ag\nHow is it?").error is not None
    ok(lab.run("kept = ag\ndel ag, kept"))
    for cell in ("%agent --retry\n", "%%agent --retry\nHow is it?"):
        assert "'Weather Bot', which was asked, is not defined here." in lab.run(cell).stderr
    ok(lab.run("%%agent echo --retry\nHow is it?"))
    assert texts(folder) == ["How is it?", "**How is it?** after 0"]


def test_retry_makes_no_session(lab: Kernel, folder: Path) -> None:
    assert "There is no current session" in lab.run("%agent --retry\n").stderr
    with nbs.open_store(folder / "sessions.db") as store:
        assert store.list() == []


def test_replay_gives_structured_output_again(lab: Kernel, folder: Path) -> None:
    ok(
        lab.run(
            "from pydantic_ai import Agent\nfrom pydantic_ai.models.test import TestModel\n"
            "counter = Agent(TestModel(custom_output_args=42), output_type=int)"
        )
    )
    cell = "%%agent counter --into found --rerun replay\nHow many?"
    assert "42" in ok(lab.run(cell, "cell-1")).text.splitlines()
    ok(lab.run("found = None"))
    assert "replayed" in ok(lab.run(cell, "cell-1")).text
    assert ok(lab.run("found")).text == "42"


def test_settings_show_what_commands_have_set(lab: Kernel) -> None:
    ok(lab.run("%session autosave off"))
    config = ok(lab.run("%config SessionMagics")).stdout
    assert (
        "SessionMagics.autosave=<Bool>\n    Save every turn as it is answered.\n    Current: False" in config
    )
    assert "Current: 'echo'" in config
    ok(lab.run("%config SessionMagics.autosave = True"))
    assert "is on" in ok(lab.run("%session autosave")).stdout


def test_a_setting_that_cannot_be_used_does_not_lock_us_out(lab: Kernel) -> None:
    lab.run("%config SessionMagics.rerun = 'nonsense'")
    lab.run("%reload_ext nbsessions")
    ok(lab.run("%reload_ext nbsessions"))
    assert "%session rewind" in ok(lab.run("%session help")).stdout


def test_a_failing_agent_is_one_line(lab: Kernel, folder: Path) -> None:
    ok(lab.run("%agent broken"))
    shown = lab.run("%%agent\nHello")
    assert shown.error == (
        "broken failed: ZeroDivisionError: division by zero (broken, line 22). "
        "`%agent --retry` asks again, `%tb` shows where it failed."
    )
    assert "I was about to" in shown.text
    more = re.sub(r"\x1b\[[0-9;]*m", "", lab.run("%tb").error or "")
    assert "return 1 / 0" in more
    assert "asking.py" not in more
    session = reopened(folder)
    assert session.message_count == 0
    retried = lab.run("%%agent echo --retry\nHello")
    assert retried.error is None
    assert texts(folder) == ["Hello", "**Hello** after 0"]


def test_kill_9_loses_no_turn(folder: Path) -> None:
    env = {"JPY_SESSION_NAME": str(folder / "nb.ipynb")}
    with kernel(folder, **env) as lab:
        ok(lab.run(AGENTS))
        ok(lab.run("%%agent\nfirst", "cell-1"))
        ok(lab.run("%agent slow"))
        sent = lab.send("%%agent\nsecond", "cell-2")
        for message in lab.messages(sent):
            if "12" in message["content"].get("data", {}).get("text/plain", ""):
                break
        lab.kill()
    with kernel(folder, **env) as lab:
        ok(lab.run(AGENTS))
        status = ok(lab.run("%session"))
        assert "Resumed" in status.stdout
        assert "interrupted: `%agent --retry` asks again" in status.stdout
        show = ok(lab.run("%session show")).text
        assert "interrupted" in show
        assert "second" in show
        assert "8 9 10 11" in show
        runs = ok(lab.run("%session runs\n")).text
        assert "interrupted" in runs
        ok(lab.run("%agent echo --retry"))
        assert texts(folder) == ["first", "**first** after 0", "second", "**second** after 2"]
        ok(lab.run("%%agent\nsecond", "cell-2"))
        assert reopened(folder).turn_count == 2


def test_a_notebook_goes_on_with_its_last_session(folder: Path) -> None:
    env = {"JPY_SESSION_NAME": str(folder / "nb.ipynb")}
    with kernel(folder, **env) as lab:
        ok(lab.run(AGENTS))
        ok(lab.run("%session new plan\n"))
        ok(lab.run("%%agent\nfirst"))
    with kernel(folder, **env) as lab:
        ok(lab.run(AGENTS))
        shown = ok(lab.run("%%agent\nsecond"))
        assert "Resumed 'plan' (1 turn), this notebook's last session." in shown.text
        assert texts(folder)[3] == "**second** after 2"
        assert "Resumed" not in ok(lab.run("%%agent\nthird")).text
    with kernel(folder, **env) as lab:
        ok(lab.run(AGENTS))
        ok(lab.run("%config SessionMagics.auto_resume = False"))
        assert "turn 1" in ok(lab.run("%%agent\nalone")).text
    (folder / "other.ipynb").write_text("{}")
    with kernel(folder, JPY_SESSION_NAME=str(folder / "other.ipynb")) as lab:
        ok(lab.run(AGENTS))
        assert "turn 1" in ok(lab.run("%%agent\nalone")).text
    with kernel(folder, **{**env, "NBSESSIONS_OWNER": "grace"}) as lab:
        ok(lab.run(AGENTS))
        assert "turn 1" in ok(lab.run("%%agent\nalone")).text


def test_two_frameworks_on_one_session(lab: Kernel, folder: Path) -> None:
    ok(lab.run("%%agent\nMy name is Ada."))
    ok(
        lab.run("""
from pydantic_ai import Agent
from pydantic_ai.models.function import FunctionModel
async def model(messages, info):
    prompts = [part.content for m in messages for part in m.parts if part.part_kind == "user-prompt"]
    yield "You said: "
    yield " / ".join(prompts)
second = Agent(FunctionModel(stream_function=model))
""")
    )
    shown = ok(lab.run("%%agent second\nWhat did I say?"))
    assert "You said: My name is Ada. / What did I say?" in shown.text
    assert re.search(r"turn 2 · second · [\d,]+ → [\d,]+ tokens · cost unknown", shown.text)
    ok(lab.run("%%agent\nAnd now?"))
    assert texts(folder)[-1] == "**And now?** after 4"


def test_autosave_off_waits_for_save(lab: Kernel, folder: Path) -> None:
    ok(lab.run("%session new plan"))
    ok(lab.run("%session autosave off"))
    shown = ok(lab.run("%%agent\nfirst"))
    assert "in a draft" in shown.text
    assert texts(folder) == []
    ok(lab.run("%%agent\nsecond"))
    assert "Saved 'plan': 2 turns, 4 messages." in ok(lab.run("%session save")).stdout
    assert texts(folder)[2:] == ["second", "**second** after 2"]
    ok(lab.run("%session undo"))
    ok(lab.run("%session save"))
    assert texts(folder) == []


def test_no_save_is_for_one_cell(lab: Kernel, folder: Path) -> None:
    ok(lab.run("%%agent\nfirst"))
    assert "in a draft" in ok(lab.run("%%agent --no-save\nsecond")).text
    assert texts(folder) == ["first", "**first** after 0"]
    ok(lab.run("%session save essay"))
    assert texts(folder)[2] == "second"


def test_commands(lab: Kernel, folder: Path) -> None:
    assert ok(lab.run("%session new my plan")).stdout == "Started 'my plan'.\n"
    ok(lab.run("%%agent\nfirst"))
    ok(lab.run("%session tag draft 'x'"))
    ok(lab.run("%session untag 'x'"))
    status = ok(lab.run("%session")).text
    for word in ("my plan", "echo", "turns", "saved", "tags           draft"):
        assert word in status
    assert (
        ok(lab.run("df = %session history\nlist(df.name), list(df.turn_count)")).text == "(['my plan'], [1])"
    )
    assert ok(lab.run("%session history --tag nosuch")).text.startswith("Empty DataFrame")
    ok(lab.run("%session clear"))
    assert texts(folder) == []
    ok(lab.run("%session undo"))
    assert texts(folder) == ["first", "**first** after 0"]
    assert "Now on 'my plan (fork)': 1 message" in ok(lab.run("%session fork --at 1")).stdout
    ok(lab.run("%session rewind 0"))
    assert "'my plan'" in ok(lab.run("%session load my plan")).stdout
    assert "load" in ok(lab.run("%session undo")).stdout
    assert "my plan (fork)" in ok(lab.run("%session status")).text
    ok(lab.run("%session rename other"))
    assert "Deleted 'other'" in ok(lab.run("%session delete other")).stdout
    assert "no current session" in lab.run("%session show").stderr or ok(lab.run("%session load latest"))


def test_clear_all_needs_a_real_confirmation(lab: Kernel, folder: Path) -> None:
    for name in ("one", "two"):
        ok(lab.run(f"%session new {name}"))
    for wrong in ("--all", "--all --confirm=false", "--all no"):
        assert lab.run(f"%session clear {wrong}").stderr.startswith("UsageError: ")
    assert len(ok(lab.run("%session history")).text.splitlines()) >= 3
    assert "Deleted 2 sessions with 'echo'." in ok(lab.run("%session clear --all --confirm")).stdout


MISTAKES = {
    "%session laod plan": "There is no command 'laod'. Did you mean 'load'? `%session help` lists them.",
    "%session load nosuch": "No session 'nosuch' in this store. `%session history` lists what there is.",
    "%session load 1234": "'1234' could be 2 sessions: 1234-b (unnamed, local), 1234-a (unnamed, local). "
    "Give the id, or more of it.",
    "%session new plan": "A session 'plan' exists already. `%session load` it, or choose another name.",
    "%session new latest": "'latest' is reserved; choose another name.",
    "%session load --nonsense": "%session load: unrecognized arguments: --nonsense. Try %session load --help",
    "%session rewind two": "There is no place 'two' on 'plan'. It has no checkpoint yet: `%session checkpoint` makes one.",
    "%%agent --max-messages 0\nHello": "max_messages must be at least 1, not 0.",
    "%%agent --max-tokens 0\nHello": "max_tokens must be at least 1, not 0.",
    "%agent --max-cost much": "max_cost is an amount above 0, or several as '0.50, 2/session, 5/day', not 'much'.",
    "%%agent\n  \n": "The prompt is empty. Write what the agent shall answer below %%agent.",
    "%%agent\n{{nosuch}}": "{{nosuch}} failed: NameError: name 'nosuch' is not defined. "
    "Nothing was sent; --raw sends it as it is.",
    "%%agent\n{{1 +}}": "'{{1 +}}' is no Python expression in braces. Nothing was sent; --raw sends it as it is.",
    "%%agent --into 1x\nHello": "--into takes a variable's name, and '1x' is none.",
    "%agent nosuch": "No variable is called 'nosuch'. Define the agent first, or give a model by --model.",
    "%agent calls": "A list is not an agent. Give a function, an Agent of pydantic-ai or of the "
    "OpenAI Agents SDK, a graph of LangGraph, a model such as 'openai:gpt-5.2' or 'local', or the URL "
    "of an AG-UI endpoint.",
    "%%agent --model openai:gpt-5.2\nHello": "The model 'openai:gpt-5.2' cannot be used: Set the `OPENAI_API_KEY` "
    "environment variable or pass it via `OpenAIProvider(api_key=...)` to use the OpenAI provider.",
    "%%agent --model anthropic:claude-x\nHello": "The model 'anthropic:claude-x' needs a package: "
    'pip install "pydantic-ai-slim[anthropic]"',
    "%session store /proc/nowhere/x.db": "Cannot open the store /proc/nowhere/x.db: No such file or directory.",
    "%session store nosuch:x": "No store answers to 'nosuch:'. These do: file:, memory:, postgresql:, sqlite: and a plain path.",
    "%session delete nosuch": "No session 'nosuch' in this store. `%session history` lists what there is.",
    '%session new "open': 'A quote (") is not closed.',
    "%%agent --new --fork\nHello": "--session, --new and --fork exclude each other: give one of them.",
    "%%agent --into class\nHello": "--into takes a variable's name, and 'class' is none.",
}


def test_a_mistake_is_one_line_and_changes_nothing(lab: Kernel, folder: Path) -> None:
    with nbs.open_store(folder / "sessions.db") as store:
        for session_id in ("1234-a", "1234-b"):
            store.create(session_id=session_id)
    ok(lab.run("%session new plan"))
    ok(lab.run("%%agent\nHello"))
    before = _everything(folder)
    for cell, line in MISTAKES.items():
        shown = lab.run(cell)
        assert shown.stderr == f"UsageError: {line}\n", cell
        assert shown.error is None
        assert shown.stdout == ""
    assert _everything(folder) == before
    assert "plan" in ok(lab.run("%session")).text


def _everything(folder: Path) -> list[str]:
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(folder / "sessions.db")) as db:
        return list(db.iterdump())


def test_a_missing_extra_is_one_line(folder: Path) -> None:
    with kernel(folder) as lab:
        blocked = "import sys\nfor name in ('pydantic_ai', 'xllamacpp'):\n    sys.modules[name] = None"
        ok(lab.run(f"{blocked}\n%load_ext nbsessions"))
        install = "needs an extra that is not installed: pip install"
        shown = lab.run("%%agent --model openai:gpt-5.2\nHello")
        assert shown.stderr == f"UsageError: The model 'openai:gpt-5.2' {install} \"nbsessions[agents]\"\n"
        shown = lab.run("%%agent\nHello")
        assert shown.stderr == f'UsageError: The local model {install} "nbsessions[local]"\n'
        assert shown.error is None
    assert nbs.open_store(folder / "sessions.db").list() == []


def test_an_unreachable_model_is_one_line(lab: Kernel, folder: Path) -> None:
    ok(lab.run("import os; os.environ['OLLAMA_BASE_URL'] = 'http://127.0.0.1:9/v1'"))
    shown = lab.run("%%agent --model ollama:llama3.2\nHello")
    assert shown.error is not None
    assert "\n" not in shown.error
    assert shown.error.startswith("ollama:llama3.2 failed: ")
    assert "Connection error" in shown.error
    assert reopened(folder).message_count == 0


def test_a_store_that_is_read_only_is_one_line(lab: Kernel, folder: Path) -> None:
    ok(lab.run("%session new plan"))
    ok(
        lab.run(
            "import sqlite3; db = sqlite3.connect('sessions.db', timeout=0); db.execute('PRAGMA query_only = 1')"
        )
    )
    code = (
        "import nbsessions.stores.sqlite as s\n"
        "s.BUSY_SECONDS = 0.1\n"
        "%unload_ext nbsessions\n%load_ext nbsessions\n%agent echo\n%session load plan\n"
        "db.execute('PRAGMA query_only = 0'); db.isolation_level = None; _ = db.execute('BEGIN IMMEDIATE')"
    )
    assert lab.run(code).error is None
    shown = lab.run("%%agent\nHello")
    assert shown.stderr.startswith("UsageError: The store ")
    assert "is locked by another program: nothing was saved. Try again." in shown.stderr
    ok(lab.run("_ = db.execute('ROLLBACK')"))
    ok(lab.run("%%agent\nHello"))


def test_completion(lab: Kernel) -> None:
    ok(lab.run("%session new my plan\n"))
    ok(lab.run("%session tag draft"))
    assert lab.complete("%session sta") == ["%session status"]
    assert lab.complete("x = %session his") == ["x = %session history"]
    assert "%session load my plan" in lab.complete("%session load ")
    assert lab.complete("%session load my p") == ["%session load my plan"]
    assert lab.complete("%session load --d") == ["%session load --draft"]
    assert lab.complete("%session untag dr") == ["%session untag draft"]
    assert lab.complete("%session autosave o") == ["%session autosave on", "%session autosave off"]
    assert lab.complete("%session help undo") == ["%session help undo"]
    assert lab.complete("%%agent --mo") == ["%%agent --model"]
    assert lab.complete("%%agent --rerun re") == ["%%agent --rerun replace", "%%agent --rerun replay"]
    assert lab.complete("%%agent --session my") == ['%%agent --session "my plan"']
    assert lab.complete('%%agent --session "my p') == ['%%agent --session "my plan"']
    assert lab.complete('%session load "my') == ['%session load "my plan"']
    assert lab.complete("%session history --agent e") == ["%session history --agent echo"]
    assert lab.complete("%agent ec") == ["%agent echo"]
    assert "%agent open" not in lab.complete("%agent ")
    assert "print" in "".join(lab.complete("pri"))


def test_help(lab: Kernel) -> None:
    assert "%session rewind" in ok(lab.run("%session help")).stdout
    assert ok(lab.run("%session --help")).stdout == ok(lab.run("%session help")).stdout
    assert "a number of messages, a checkpoint, or a turn" in ok(lab.run("%session fork --help")).stdout
    assert "--into" in ok(lab.run("%agent --help\n")).stdout or "--retry" in lab.run("%agent --help").stdout
    assert "%session undo" in lab.inspect("%session")
    assert "{{expression}}" in lab.inspect("%%agent")


def test_config_unload_and_reload(lab: Kernel, folder: Path) -> None:
    assert "SessionMagics.rerun" in ok(lab.run("%config SessionMagics")).stdout
    ok(lab.run("%config SessionMagics.rerun = 'append'"))
    for _ in range(2):
        ok(lab.run("%%agent\nHello", "cell-1"))
    assert reopened(folder).turn_count == 2
    ok(lab.run("%unload_ext nbsessions"))
    assert "not found" in lab.run("%session").stderr
    assert lab.complete("%session sta") == []
    for _ in range(2):
        ok(lab.run("%load_ext nbsessions"))
        assert lab.complete("%session sta") == ["%session status"]
        assert "Resumed" in ok(lab.run("%session")).stdout
        ok(lab.run("%reload_ext nbsessions"))
    assert ok(lab.run("len(get_ipython().Completer.custom_matchers)")).text == "1"


@pytest.fixture
def script(folder: Path) -> tuple[list[str], dict[str, str]]:
    """A script of IPython's, which runs where there is no kernel."""
    (folder / "script.ipy").write_text(AGENTS + "\n%agent slow\n" + ASK)
    env = {"NBSESSIONS_STORE": str(folder / "sessions.db"), "IPYTHONDIR": str(folder / ".ipython")}
    command = ["-m", "IPython", "--no-banner", "--TerminalIPythonApp.force_interact=False", "script.ipy"]
    return command, {**os.environ, **env, "TERM": "xterm-256color"}


ASK = """get_ipython().run_cell_magic("agent", "", "Hello")\n"""


def test_in_a_pipe(script: tuple[list[str], dict[str, str]], folder: Path) -> None:
    command, env = script
    done = subprocess.run(
        [sys.executable, *command],
        capture_output=True,
        text=True,
        env=env,
        cwd=folder,
        timeout=100,
        check=False,
    )
    assert "197 198 199" in done.stdout
    assert done.stdout.count("0 1 2 3") == 1
    assert re.search(r"turn 1 · .* s · saved", done.stdout)
    assert "\x1b" not in done.stdout
    assert done.stderr == ""


def test_in_a_terminal(script: tuple[list[str], dict[str, str]], folder: Path) -> None:
    command, env = script
    child = pexpect.spawn(sys.executable, command, env=env, cwd=str(folder), timeout=100, encoding="utf-8")
    child.expect("50 51 52")
    child.sendintr()
    child.expect("Stopped. The prompt and .* characters of the answer are kept.")
    child.expect(pexpect.EOF)
    assert "Traceback" not in (child.before or "")
    child.close()
    assert nbs.open_store(folder / "sessions.db").runs("latest")[0].status == "cancelled"


LEAVES = """
import sys
from IPython.core.interactiveshell import InteractiveShell
import nbsessions as nbs
from nbsessions.magics import SessionMagics
shell = InteractiveShell.instance()
shell.run_line_magic("load_ext", "nbsessions")
shell.run_line_magic("session", f"store {sys.argv[1]}")
shell.user_ns["echo"] = lambda prompt: prompt.upper()
(magics,) = [found for found in shell.configurables if isinstance(found, SessionMagics)]
backend = magics.workspace.store.backend
def refuse(move):
    raise nbs.StoreUnavailable("The disk is full.")
shell.run_line_magic("session", "new plan")
backend.move = refuse
shell.run_cell("%%agent echo\\nHello")
if sys.argv[2] == "freed":
    del backend.move
"""


@pytest.mark.parametrize("disk", ["freed", "full"])
def test_leaving_saves_what_waits_or_says_that_it_is_lost(tmp_path: Path, disk: str) -> None:
    path = tmp_path / "agents.db"
    command = [sys.executable, "-c", LEAVES, str(path), disk]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    with nbs.open_store(path) as store:
        texts = [message.text for message in store.resume("plan").messages]
    assert texts == (["Hello", "HELLO"] if disk == "freed" else [])
    assert ("It is lost now." in done.stderr) is (disk == "full")
    assert "Traceback" not in done.stderr


LIMITED = """
from pydantic_ai import Agent
from pydantic_ai.models.test import TestModel
limited = Agent(TestModel(), name="limited")
@limited.tool_plain
def look(where: str) -> str:
    calls.append(where)
    return "nothing"
"""


def test_a_limit_stops_the_agent_and_retry_goes_on(lab: Kernel, folder: Path) -> None:
    ok(lab.run(LIMITED))
    shown = ok(lab.run("%agent limited --policy allow --max-requests 1,9/session"))
    assert "It may spend at most 1 request a run, 9 requests a session." in shown.stdout
    failed = lab.run("%%agent\nHello", cell_id="first").error
    assert failed is not None
    assert (
        "This run has spent 1 request, and max_requests is 1 request a run: nothing more is sent." in failed
    )
    assert "`%agent --retry` goes on then." in failed
    ok(lab.run("%config SessionMagics.max_requests = '2'"))
    ok(lab.run("%agent --retry"))
    assert ok(lab.run("print(len(calls))")).stdout == "1\n"
    ok(lab.run("%agent --max-requests none"))
    assert "may spend" not in ok(lab.run("%agent")).stdout
    assert texts(folder)[0] == "Hello"


def test_an_older_part_is_summed_up_where_it_is_due(lab: Kernel, folder: Path) -> None:
    ok(lab.run("def brief(prompt):\n    return 'They spoke.'\n"))
    for number in range(3):
        ok(lab.run(f"%%agent\n{'words ' * 20}{number}"))
    ok(lab.run("%config SessionMagics.compact_at = 100\n%config SessionMagics.compact_with = 'brief'"))
    shown = ok(lab.run("%%agent\nAnd now?"))
    assert "brief summed up what came before: about" in shown.text
    assert "after 1" in shown.text  # the last exchange alone was more than half of it
    assert any("They spoke." in text for text in texts(folder))
    shown = ok(lab.run("%session context"))
    assert "3 of 9 messages would be sent" in shown.stdout
    assert "summary" in shown.text
