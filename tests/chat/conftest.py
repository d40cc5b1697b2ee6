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


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts prompts in terminals of their own."""
    started: list[Terminal] = []

    def begin(*arguments: str, **window: int) -> Terminal:
        folder = tmp_path / f"prompt{len(started)}"
        folder.mkdir()
        started.append(Terminal(folder, *arguments, **window))
        return started[-1]

    yield begin
    for terminal in started:
        terminal.close()


@pytest.fixture
def shared() -> Iterator[Store]:
    """The store that the prompts of a test use, as another process sees it."""
    with nbs.open_store(os.environ["NBSESSIONS_STORE"]) as store:
        yield store
