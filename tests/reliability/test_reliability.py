"""Each subject, for a few seconds: what must not happen does not."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.conftest import ROOT, STUCK_SECONDS
from tests.reliability.__main__ import SUBJECTS


def _over(subject: str, *more: str) -> tuple[str, ...]:
    """Return the lines of the table that are over their limit."""
    # In a process of its own, because it forks: no thread of another test is in its way.
    command = [sys.executable, "-m", "tests.reliability", "--quick", *more, subject]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=5 * STUCK_SECONDS, check=False
    )
    lines = done.stdout.splitlines()
    over = tuple(line for line in lines if " OVER" in line)
    assert len(lines) > 1, done.stderr
    assert done.returncode == bool(over), done.stdout + done.stderr
    return over


@pytest.mark.parametrize("subject", SUBJECTS)
def test_nothing_is_lost(subject: str) -> None:
    over = _over(subject)
    assert not over, "\n".join(over)


@pytest.mark.parametrize("subject", ["kills", "writers", "threads"])
def test_nothing_is_lost_in_a_folder(subject: str) -> None:
    over = _over(subject, "--store", "file")
    assert not over, "\n".join(over)
