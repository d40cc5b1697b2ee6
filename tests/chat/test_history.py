"""The prompts of before: whole in this process, and without secrets in their file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbsessions.chat.history import PromptHistory, history_path

KEY = "sk-proj-" + "Ab3" * 20


def test_the_file_is_for_its_owner_alone() -> None:
    PromptHistory(history_path()).append_string("Hello")
    assert history_path().stat().st_mode & 0o777 == 0o600
    assert history_path().parent.stat().st_mode & 0o777 == 0o700


def test_no_secret_reaches_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACME_TOKEN", "quite-secret-7")
    path = tmp_path / "chat_history"
    history = PromptHistory(path)
    for line in (f"My key is {KEY}", "/store postgresql://ada:hunter2@host/agents", "token quite-secret-7"):
        history.append_string(line)
    text = path.read_text()
    for secret in (KEY, "hunter2", "quite-secret-7"):
        assert secret not in text
    assert history.get_strings()[0] == f"My key is {KEY}", "here it comes back as it was typed"


@given(prompts=st.lists(st.text(st.characters(codec="utf-8"), min_size=1), max_size=5))
def test_what_goes_in_comes_out(tmp_path_factory: pytest.TempPathFactory, prompts: list[str]) -> None:
    path = tmp_path_factory.mktemp("history") / "chat_history"
    history = PromptHistory(path)
    for prompt in prompts:
        history.store_string(prompt)
    assert list(PromptHistory(path).load_history_strings()) == prompts[::-1]


def test_halves_of_characters_and_very_long_prompts(tmp_path: Path) -> None:
    history = PromptHistory(tmp_path / "chat_history")
    history.store_string("half \ud83d")
    history.store_string("x" * 1_000_000)
    assert list(history.load_history_strings()) == ["half \ufffd"]


def test_a_file_that_cannot_be_written_or_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    history = PromptHistory(tmp_path / "file" / "chat_history")
    history.store_string("Hello")
    assert history.problem is not None
    assert history.problem.startswith("This prompt is not kept for the arrow keys: ")
    folder = PromptHistory(tmp_path)
    assert list(folder.load_history_strings()) == []
    assert folder.problem is not None
    assert os.listdir(tmp_path) == ["file"]
