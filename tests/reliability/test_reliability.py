"""Each subject, for a few seconds: what must not happen does not."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

from tests.conftest import ROOT, STUCK_SECONDS
from tests.reliability.__main__ import SUBJECTS

# Strict: who mends one of these takes its line away.
NOT_YET = {
    "readonly": "a store on a read-only disk cannot be read",
}


@pytest.mark.parametrize("subject", SUBJECTS)
def test_nothing_is_lost(subject: str, request: pytest.FixtureRequest) -> None:
    if subject == "postgres" and importlib.util.find_spec("nbsessions.stores.postgres") is None:
        pytest.skip("there is no PostgreSQL store yet")
    if subject in NOT_YET:
        request.applymarker(pytest.mark.xfail(reason=NOT_YET[subject], strict=True, raises=AssertionError))
    # In a process of its own, because it forks: no thread of another test is in its way.
    command = [sys.executable, "-m", "tests.reliability", "--quick", subject]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=STUCK_SECONDS, check=False
    )
    assert done.returncode in (0, 1), done.stderr
    over = [line for line in done.stdout.splitlines() if " OVER " in f"{line} "]
    assert not over, "\n".join(over)
