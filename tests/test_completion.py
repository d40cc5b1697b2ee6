"""What Tab offers for paths and formats; sessions and commands are completed in a kernel, in test_magics."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from nbsessions.completion import Completion
from nbsessions.workspace import Settings, Workspace


@pytest.fixture
def completion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Completion]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "logs").mkdir()
    for name in ("logs/a b.json", "logs/b.json", "logs/.hidden.json"):
        (tmp_path / name).touch()
    workspace = Workspace(Settings(store="memory:"))
    yield Completion(workspace, {})
    workspace.close()


def test_paths_are_completed_as_they_are_spelled(completion: Completion, tmp_path: Path) -> None:
    assert completion.session("import lo") == ["logs/"]
    assert completion.session("import logs/") == ['"logs/a b.json"', "logs/b.json"]
    assert completion.session("import logs/.") == ["logs/.hidden.json"]
    assert completion.session("import ~/logs/b") == ["~/logs/b.json"]
    assert completion.session(f"backup {tmp_path}{os.sep}l") == [f"{tmp_path}/logs/"]
    assert completion.session('export "logs/a') == ['"logs/a b.json"']
    assert completion.session("export logs/a") == ['"logs/a b.json"']
    assert completion.session("import nowhere/") == []


def test_formats_are_completed(completion: Completion) -> None:
    assert completion.session("import --format jso") == ["json", "jsonl"]
