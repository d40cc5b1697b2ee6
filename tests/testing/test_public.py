"""What the package for tests gives, and what it asks for."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

from nbsessions import testing
from tests.conftest import ROOT

BAD = """
from nbsessions.stores.memory import MemoryBackend
from nbsessions.testing import StoreContract

class Forgetful(MemoryBackend):
    def get(self, key):
        record = super().get(key)
        return record and record.model_copy(update={"tags": ["nobody's"]})

class TestForgetful(StoreContract):
    def open(self, folder):
        return Forgetful()
"""


def test_public_names_are_documented() -> None:
    assert sorted(testing.__all__) == sorted(set(testing.__all__)) == testing.__all__
    assert set(testing.__all__) <= set(dir(testing))
    for name in testing.__all__:
        assert inspect.getdoc(getattr(testing, name))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        testing.nonsense  # noqa: B018


def test_an_agent_with_a_script_needs_no_test_framework() -> None:
    code = "import sys; from nbsessions.testing import ScriptedAgent, a_turn; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"pytest", "hypothesis"}.isdisjoint(done.stdout.split())


def test_a_store_that_fails_is_told_what_was_seen(tmp_path: Path) -> None:
    """In a project of somebody else, with nothing set up."""
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_mine.py").write_text(BAD)
    options = ["-q", "-p", "no:cacheprovider", "-k", "inserted"]
    command = [sys.executable, "-m", "pytest", *options, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 1
    assert "1 failed" in done.stdout
    assert re.search(r"^E .*assert SessionRecord.* == SessionRecord", done.stdout, re.MULTILINE)
