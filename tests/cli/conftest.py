"""Fixtures for the command line: it is run in this process, or as a user does, in one of its own."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

import nbsessions as nbs
from nbsessions.cli import main
from nbsessions.testing import ScriptedAgent
from tests.conftest import STUCK_SECONDS

PROGRAM = str(Path(sys.executable).parent / "nbsessions")


class Done(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Done]


def tamper(path: object, sql: str) -> None:
    """Change a database behind our back."""
    with closing(sqlite3.connect(str(path))) as db, db:
        db.execute(sql)


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command in this process."""

    def run(*words: str) -> Done:
        capsys.readouterr()
        code = main(words)
        return Done(code, *capsys.readouterr())

    return run


@pytest.fixture
def process(tmp_path: Path) -> Run:
    """Runs a command in a process of its own, piped."""

    def run(*words: str, **env: str) -> Done:
        done = subprocess.run(
            [PROGRAM, *words],
            capture_output=True,
            encoding="utf-8",
            timeout=STUCK_SECONDS,
            env={**os.environ, **env},
            cwd=tmp_path,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def lived(path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A store in which something happened, and which is the one that is meant where none is named."""
    monkeypatch.setenv("NBSESSIONS_STORE", str(path))
    agent = ScriptedAgent(
        [["**Owls** live in trees.", nbs.Usage(input_tokens=1_207, output_tokens=322)]], model="gpt-4o"
    )
    with nbs.open_store(path) as store:
        essay = store.create("essay", agent_name="writer")
        plan = store.create("plan", agent_name="analyst", tags=["draft", "owls"])
        plan.send("Where do owls live?", agent=agent)
        plan.checkpoint("before")
        with pytest.raises(nbs.RunFailed):
            essay.send("Fail", agent=lambda prompt: 1 / 0)
        plan.add_message({"role": "user", "content": "And\nbats?"})
    return str(path)
