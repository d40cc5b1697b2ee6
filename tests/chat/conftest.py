"""Fixtures of the chat prompt: terminals, and the store that its prompts and the test share."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import nbsessions as nbs
from nbsessions import Store
from tests.chat.terminals import Terminal

Start = Callable[..., Terminal]
Begin = Callable[[str, str], Terminal]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts prompts in terminals of their own."""
    started: list[Terminal] = []

    def started_with(*arguments: str, **window: int) -> Terminal:
        folder = tmp_path / f"prompt{len(started)}"
        folder.mkdir()
        started.append(Terminal(folder, *arguments, **window))
        return started[-1]

    yield started_with
    for terminal in started:
        terminal.close()


@pytest.fixture
def begin(start: Start) -> Begin:
    """Starts a prompt with a session and an agent of `my_agents`, where one can type at once."""

    def begun(session: str, agent: str) -> Terminal:
        terminal = start("--session", session, "--agent", f"my_agents:{agent}")
        terminal.wait_for_prompt(session)
        return terminal

    return begun


@pytest.fixture
def shared() -> Iterator[Store]:
    """The store that the prompts of a test use, as another process sees it."""
    with nbs.open_store(os.environ["NBSESSIONS_STORE"]) as store:
        yield store
