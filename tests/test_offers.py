"""What may follow what was typed; in IPython, sessions and commands are completed by test_magics."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from nbsessions.offers import Offers, placed
from nbsessions.workspace import Settings, Workspace


@pytest.fixture
def offers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Offers]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "logs").mkdir()
    for name in ("logs/a b.json", "logs/b.json", "logs/.hidden.json"):
        (tmp_path / name).touch()
    workspace = Workspace(Settings(store="memory:"))
    yield Offers(workspace, "magic")
    workspace.close()


def test_paths_are_completed_as_they_are_spelled(offers: Offers, tmp_path: Path) -> None:
    assert offers.command_line("import lo") == ["logs/"]
    assert offers.command_line("import logs/") == ['"logs/a b.json"', "logs/b.json"]
    assert offers.command_line("import logs/.") == ["logs/.hidden.json"]
    assert offers.command_line("import ~/logs/b") == ["~/logs/b.json"]
    assert offers.command_line(f"backup {tmp_path}{os.sep}l") == [f"{tmp_path}/logs/"]
    assert offers.command_line('export "logs/a') == ['"logs/a b.json"']
    assert offers.command_line("export logs/a") == ['"logs/a b.json"']
    assert offers.command_line("import nowhere/") == []


def test_formats_are_completed(offers: Offers) -> None:
    assert offers.command_line("import --format jso") == ["json", "jsonl"]


def test_each_face_has_its_own_commands_and_options() -> None:
    workspace = Workspace(Settings(store="memory:"))
    chat, magic = Offers(workspace, "chat"), Offers(workspace, "magic")
    assert magic.command_line("history --wi") == ["--widget"]
    assert chat.command_line("history --wi") == []
    assert chat.command_line("pic") == []


def test_a_name_with_spaces_is_placed_where_it_begins() -> None:
    workspace = Workspace(Settings(store="memory:"))
    workspace.store.create("my plan")
    rest = "load my p"
    assert list(placed(rest, Offers(workspace, "chat").command_line(rest))) == [(5, "my plan")]
