"""Whole processes: pipes, exit codes, Ctrl-C, and where the store is."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import nbsessions as nbs
from tests.cli.conftest import PROGRAM, Run, tamper
from tests.conftest import STUCK_SECONDS, Python


def test_a_store_by_option_or_by_the_environment(process: Run, tmp_path: Path) -> None:
    assert process("new", "in the environment", NBSESSIONS_STORE="env.db").code == 0
    assert process("--store", "file:folder", "new", "in an option").code == 0
    assert process("ls", NBSESSIONS_STORE="env.db").out.split("\t")[1] == "in the environment"
    assert process("ls", "--store", "file:folder").out.split("\t")[1] == "in an option"
    assert (tmp_path / "env.db").exists()
    assert (tmp_path / "folder").is_dir()


def test_a_shared_store(process: Run, postgres_url: str) -> None:
    assert process("new", "plan", "--store", postgres_url) == (0, "Started 'plan'.\n", "")
    with nbs.open_store(postgres_url) as store:
        store.resume("plan").add_message({"role": "user", "content": "Where do owls live?"})
    assert process("ls", "--store", postgres_url).out.split("\t")[1:5] == ["plan", "local", "1", "1"]
    assert process("--store", postgres_url, "search", "owls").out.endswith("Where do owls live?\n")
    told = process("doctor", "--store", postgres_url, "--json")
    assert (told.code, json.loads(told.out)["store"]["kind"]) == (0, "Postgres")


@pytest.mark.parametrize("code", [2, 1, 0])
def test_exit_codes(process: Run, code: int) -> None:
    words = {2: ["show"], 1: ["show", "nosuch"], 0: ["ls"]}[code]
    done = process(*words)
    assert (done.code, "Traceback" in done.err) == (code, False)
    assert done.err.count("\n") == (1 if code else 0)


def test_the_module_is_the_program(process: Run) -> None:
    command = [sys.executable, "-m", "nbsessions.cli", "nosuch"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("nbsessions: There is no command 'nosuch'.")


def test_names_and_words_of_any_script(process: Run) -> None:
    assert process("new", "夜の", "フクロウ 🦉").code == 0
    assert process("ls").out.split("\t")[1] == "夜の フクロウ 🦉"
    assert process("ls", PYTHONIOENCODING="ascii").out.split("\t")[1] == "?? ???? ?"
    found = json.loads(process("ls", "--json", PYTHONIOENCODING="ascii").out)
    assert found[0]["name"] == "夜の フクロウ 🦉"


def test_a_pipe_that_is_closed_is_quiet(lived: str) -> None:
    with nbs.open_store(lived) as store:
        store.resume("plan").messages = [{"role": "user", "content": f"{n} {'x' * 900}"} for n in range(400)]
    for words in (["show", "plan"], ["show", "plan", "--json"]):
        # Without a buffer, Python does not see that a pipe was closed in the middle of what it writes.
        env = {**os.environ, "PYTHONUNBUFFERED": ""}
        shown = subprocess.Popen([PROGRAM, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env)
        assert shown.stdout is not None
        assert shown.stderr is not None
        shown.stdout.readline()
        shown.stdout.close()
        assert shown.stderr.read() == b""
        assert shown.wait(STUCK_SECONDS) == 141
        shown.stderr.close()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full disk here")
def test_a_disk_that_is_full_is_told_in_a_line(lived: str) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run([PROGRAM, "ls"], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "nbsessions: No space left on device.\n")


def test_without_an_output_nothing_is_said(lived: str) -> None:
    line = [f'exec "{PROGRAM}" ls >&-']
    done = subprocess.run(["bash", "-c", *line], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_ctrl_c_is_told_in_a_line(lived: str) -> None:
    with nbs.open_store(lived) as store:
        run = store.runs("plan")[0]
    # Slower than it was, by far: there is time to stop it.
    command = [PROGRAM, "replay", run.run_id, "--speed", "0.00001"]
    shown = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert shown.stdout is not None
    assert shown.stdout.readline() == "Where do owls live?\n"
    shown.send_signal(signal.SIGINT)
    _, told = shown.communicate(timeout=STUCK_SECONDS)
    assert (shown.returncode, told) == (130, "nbsessions: stopped.\n")


def test_what_is_damaged_is_told_in_a_line(process: Run, lived: str) -> None:
    tamper(lived, "UPDATE sessions SET tags = '[1' WHERE name = 'essay'")
    done = process("ls")
    assert (done.code, done.out.count("\n")) == (0, 1)
    assert done.err.startswith("nbsessions: Session ")
    assert [line[:28] for line in done.err.splitlines()] == ["nbsessions: Session " + done.err[20:28]] * 2
    assert "Warning" not in done.err


def test_a_store_in_use_can_be_listed_and_written(process: Run, python: Python, tmp_path: Path) -> None:
    place = tmp_path / "agents.db"
    code = """
        import sys, nbsessions as nbs
        with nbs.open_store(sys.argv[1]) as store:
            session = store.create("plan")
            print("ready", flush=True)
            for line in sys.stdin:
                session.add_message({"role": "user", "content": line})
                print(session.message_count, flush=True)
    """
    import textwrap

    other = python.start(textwrap.dedent(code), place)
    assert other.stdout is not None
    assert other.stdin is not None
    assert other.stdout.readline() == "ready\n"
    assert process("tag", "--session", "plan", "x", "--store", str(place)).code == 0
    other.stdin.write("Hello\n")
    other.stdin.flush()
    assert other.stdout.readline() == "1\n"
    assert process("ls", "--store", str(place)).out.split("\t")[4] == "1"
    python.finish(other, "")


CLEANER = """
from pydantic_ai import Agent
from pydantic_ai.messages import ToolReturnPart, UserPromptPart
from pydantic_ai.models.function import DeltaToolCall, FunctionModel

async def model(messages, info):
    if isinstance(messages[-1].parts[-1], UserPromptPart):
        yield {0: DeltaToolCall("remove", '{"path": "x"}', tool_call_id="c0")}
    else:
        yield "Result: " + "".join(p.content for m in messages for p in m.parts if isinstance(p, ToolReturnPart))

cleaner = Agent(FunctionModel(stream_function=model), name="cleaner")

@cleaner.tool_plain(requires_approval=True)
def remove(path: str) -> str:
    return f"removed {path}"
"""
WAITS = """
import nbsessions as nbs
from cleaners import cleaner
with nbs.open_store() as store:
    assert store.create("tidy").send("Tidy up", agent=cleaner, approve=nbs.later).status == "suspended"
"""


def test_approve_goes_on_with_the_agent_that_is_named(process: Run, tmp_path: Path) -> None:
    (tmp_path / "cleaners.py").write_text(CLEANER)
    subprocess.run([sys.executable, "-c", WAITS], cwd=tmp_path, check=True)
    status = process("status", "--session", "tidy")
    assert "waits\tIts last run waits: cleaner asks to call remove" in status.out
    alone = process("approve", "--session", "tidy")
    assert (
        alone.code,
        "'cleaner', which was asked, is not defined here. Name its module by --agent" in alone.err,
    ) == (1, True)
    done = process("approve", "--session", "tidy", "--agent", "cleaners:cleaner")
    assert (done.code, done.err) == (0, "")
    assert "Result: removed x" in done.out
    assert process("show", "tidy").out.endswith("Result: removed x\n")
    assert process("approve", "--session", "tidy", "--agent", "nowhere:x").code == 1
