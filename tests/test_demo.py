"""The README's first command."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path


def test_the_demo_answers_and_another_process_resumes_it(tmp_path: Path) -> None:
    env = {**os.environ, "IPYTHONDIR": str(tmp_path / "ipython")}
    command = [str(Path(sys.executable).parent / "nbsessions"), "demo"]
    done = subprocess.run(
        command, capture_output=True, text=True, env=env, cwd=tmp_path, timeout=280, check=False
    )
    assert done.returncode == 0, done.stderr
    assert len(re.findall(r"demo · turn \d · \d+ → \d+ tokens · free · [\d.]+ s · saved", done.stdout)) == 2
    resumed = done.stdout.partition("Another process resumes the session")[2]
    assert "<Session 'demo': 2 turns, 4 messages>" in resumed
    assert len(re.findall(r"^  (?:user|assistant): \S", resumed, re.M)) == 4
    assert list(tmp_path.glob("*.db")) == []


def test_a_mistake_on_the_command_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "nbsessions.cli", "nosuch"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
