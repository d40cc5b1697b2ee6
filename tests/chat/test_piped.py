"""The prompt without a terminal: what comes by a pipe is asked line by line."""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nbsessions import Store
from tests.chat.terminals import AGENTS
from tests.conftest import STUCK_SECONDS, texts


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "my_agents.py").write_text(AGENTS)
    return tmp_path


def piped(folder: Path, said: bytes | str, *arguments: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "nbsessions.cli", "chat", *arguments],
        input=said if isinstance(said, bytes) else said.encode(),
        capture_output=True,
        cwd=folder,
        timeout=STUCK_SECONDS,
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


ECHO = ("--session", "plan", "--agent", "my_agents:echo")


def test_each_line_is_a_prompt(folder: Path, shared: Store) -> None:
    done = piped(folder, "Hello\n\nAnd you?\n", *ECHO)
    assert done.returncode == 0
    assert "\x1b" not in done.stdout + done.stderr
    # What a script puts into a variable is the answer alone.
    assert done.stdout == "You said: Hello\nYou said: And you?\n"
    told = done.stderr.splitlines()
    assert told[0] == "nbsessions: Started 'plan'."
    assert [line.split(" · ")[:2] for line in told[1:]] == [["plan", "turn 1"], ["plan", "turn 2"]]
    assert texts(shared.resume("plan")) == ["Hello", "You said: Hello", "And you?", "You said: And you?"]
    again = piped(folder, "Again", *ECHO)
    assert again.stderr.startswith("nbsessions: Loaded 'plan': 2 turns, 4 messages")


def test_the_exit_code_tells_that_one_failed(folder: Path, shared: Store) -> None:
    done = piped(folder, "/nonsense\nHello\n/exit\nnobody asks this\n", *ECHO)
    assert done.returncode == 1
    assert "There is no command 'nonsense'." in done.stderr
    assert texts(shared.resume("plan")) == ["Hello", "You said: Hello"]


def test_what_commands_find_comes_as_lines(folder: Path) -> None:
    done = piped(folder, "Hello\n/sessions\n/session/history 1\n", *ECHO)
    *_, first, second = done.stdout.splitlines()
    assert first == second
    assert "plan\techo" in first


def test_nobody_is_asked_about_tools(folder: Path, shared: Store) -> None:
    done = piped(folder, "Tidy up\ny\n", "--session", "plan", "--agent", "my_agents:cleaner")
    assert done.returncode == 0
    assert "Denied: remove (nobody can be asked here)" in done.stderr
    # The next line is a prompt, and no answer to a question.
    assert [run.prompt for run in shared.runs("plan")] == ["Tidy up", "y"]
    allowed = piped(folder, "/agent --allow remove\nTidy up\n", "--agent", "my_agents:cleaner")
    assert "It is removed." in allowed.stdout


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_stops_all_that_would_come(
    folder: Path, shared: Store, number: signal.Signals, code: int
) -> None:
    command = [
        sys.executable,
        "-m",
        "nbsessions.cli",
        "chat",
        "--session",
        "plan",
        "--agent",
        "my_agents:stuck",
    ]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=folder
    ) as process:
        assert process.stdin is not None
        process.stdin.write(b"Go on\nand on\n")
        process.stdin.flush()
        until = time.monotonic() + STUCK_SECONDS
        while not (shared.exists("plan") and shared.runs("plan")):
            assert time.monotonic() < until
            time.sleep(0.05)
        process.send_signal(number)
        process.communicate(timeout=STUCK_SECONDS)
    assert process.returncode == code
    assert [(run.status, run.prompt) for run in shared.runs("plan")] == [("cancelled", "Go on")]


def test_without_an_input_there_is_nothing_to_ask(folder: Path) -> None:
    command = shlex.join([sys.executable, "-m", "nbsessions.cli", "chat", *ECHO])
    done = subprocess.run(
        f"{command} <&-", shell=True, capture_output=True, cwd=folder, timeout=STUCK_SECONDS
    )
    assert (done.returncode, done.stdout) == (0, b"")


def test_bytes_that_are_no_text(folder: Path, shared: Store) -> None:
    assert piped(folder, b"Gr\xfc\xdfe\n", *ECHO).returncode == 0
    assert texts(shared.resume("plan"))[0] == "Gr\ufffd\ufffde"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--agent", "nowhere:agent"], "There is no module 'nowhere'"),
        (["--agent", "my_agents:nobody"], "The module 'my_agents' has no 'nobody'."),
        (["--agent", "my_agents.py:echo"], "such as --agent my_agents:echo"),
        (["--agent", "openai:gpt-5.2"], "--model openai:gpt-5.2"),
        (["--agent", "my_agents:THREE"], "An int is not an agent."),
        (["--agent", "broken:agent"], "The module 'broken' cannot be imported: ZeroDivisionError"),
        (["--model", "opnai:gpt-5.2"], "opnai:gpt-5.2"),
        (["--session", "latest"], "latest"),
        (["--store", "nosuch://store"], "nosuch"),
    ],
)
def test_what_cannot_be_begun_is_one_line(folder: Path, arguments: list[str], told: str) -> None:
    (folder / "broken.py").write_text("1 / 0")
    (folder / "my_agents.py").write_text("THREE = 3")
    done = piped(folder, "Hello\n/status\n", *arguments)
    assert done.returncode == 1
    assert done.stdout == ""
    assert told in done.stderr
    assert done.stderr.count("\n") <= 2


def test_the_model_on_this_machine_answers(folder: Path, shared: Store) -> None:
    done = piped(folder, "In one word: what is the capital of France?\n", "--session", "plan")
    assert done.returncode == 0, done.stderr
    (run,) = shared.runs("plan")
    assert (run.status, run.agent_name) == ("completed", "local")
    assert run.usage.output_tokens > 0
    assert "very small model on this machine" in done.stderr
    assert done.stdout.strip() == shared.resume("plan").messages[-1].text.strip()


def test_all_is_deleted_with_a_real_confirmation_alone(folder: Path, shared: Store) -> None:
    """7, 12: at a prompt, webagents' own spelling is understood."""
    shared.create("of another agent", agent_name="other")
    for confirmation in ("confirm=false", "confirm=no", "confirm=", "confirm=True?"):
        done = piped(folder, f"Hello\n/session/clear {confirmation}\n", *ECHO)
        assert done.returncode == 1
        assert "This deletes 1 session that you began with 'echo', for good: plan." in done.stderr
    assert shared.exists("plan")
    piped(folder, "/session/clear\n", *ECHO)
    assert texts(shared.resume("plan")) == []
    piped(folder, "/undo\n", *ECHO)
    assert len(texts(shared.resume("plan"))) == 8
    done = piped(folder, "/session/clear confirm=true\n", *ECHO)
    assert done.stdout.startswith("Deleted 1 session with 'echo'.")
    assert not shared.exists("plan")
    assert shared.exists("of another agent")
