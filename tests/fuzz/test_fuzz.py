"""A short run of the fuzzer over every reader; a long one is ``python -m tests.fuzz --runs 1000000``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT


@pytest.mark.skipif(sys.platform != "linux", reason="atheris has wheels for Linux alone")
def test_no_reader_does_harm(tmp_path: Path) -> None:
    code = [sys.executable, "-m", "tests.fuzz", "--runs", "4000"]
    done = subprocess.run(
        code, cwd=tmp_path, env={"PYTHONPATH": str(ROOT), "PATH": ""}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-5_000:]
    assert "stat::number_of_executed_units: 4000" in done.stderr
