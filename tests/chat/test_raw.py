"""What reaches the terminal, byte by byte: nothing that a session, an agent or a file brings acts on it."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pexpect
import pytest

from nbsessions import Store
from tests.chat.terminals import AGENTS
from tests.conftest import STUCK_SECONDS

HOSTILE = "\x1b]0;owned\x07plan\x1b[2J\x9b31m\u202eevil\u2066\u200f\x08\x07"
# What prompt_toolkit and rich say themselves: colours, cursor, keys, bracketed paste.
OURS = re.compile(r"\x1b\[[0-9;?]*[mABCDGHJKhlrn]|\x1b[=>]")


@pytest.fixture
def prompt(tmp_path: Path, shared: Store) -> Iterator[pexpect.spawn[str]]:
    session = shared.create("plan", agent_name="echo", tags=["draft"])
    session.add_message({"role": "user", "content": HOSTILE})
    shared.create("second", agent_name="echo")
    shared.close()
    # We give no such name, but a file may come from elsewhere.
    with closing(sqlite3.connect(os.environ["NBSESSIONS_STORE"])) as file:
        file.execute(
            "UPDATE sessions SET name = ?, tags = ? WHERE name = 'plan'", (HOSTILE, json.dumps([HOSTILE]))
        )
        file.commit()
    (tmp_path / "my_agents.py").write_text(AGENTS)
    arguments = ["-m", "nbsessions.cli", "chat", "--session", session.session_id, "--agent", "my_agents:echo"]
    child = pexpect.spawn(
        sys.executable,
        arguments,
        cwd=str(tmp_path),
        env={**os.environ, "PROMPT_TOOLKIT_NO_CPR": "1", "TERM": "xterm-256color"},
        encoding="utf-8",
        timeout=STUCK_SECONDS,
        dimensions=(50, 80),
    )
    yield child
    child.close(force=True)


def test_a_hostile_session_puts_no_escape_sequence_on_the_terminal(prompt: pexpect.spawn[str]) -> None:
    seen = ""
    for command, answer in {
        "": "You:",
        "/status": "last activity",
        "/sessions": "second",
        "/show": "1 message",
        "/tree": "plan",
        f"say {HOSTILE[-3]}": "You said",
        "/new there": "Started",
        "/load second": "Loaded",
        "/res\t": "resume",
    }.items():
        if command:
            prompt.send(command + ("" if command.endswith("\t") else "\r"))
        prompt.expect(answer)
        seen += f"{prompt.before}{prompt.after}"
    prompt.sendcontrol("c")
    prompt.send("/load \t")
    prompt.expect("latest")
    seen += f"{prompt.before}{prompt.after}"
    prompt.sendcontrol("c")
    prompt.send("/exit\r")
    prompt.expect(pexpect.EOF)
    seen += f"{prompt.before}"
    assert "plan" in seen
    rest = OURS.sub("", seen)
    assert "\x1b" not in rest
    assert not re.search("[\x07\x80-\x9f\u202a-\u202e\u2066-\u2069]", rest)
    assert "\x1b[2J" not in seen
    assert "\x1b[31m" not in seen
