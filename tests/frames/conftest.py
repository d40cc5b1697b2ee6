"""Frames are the same on every kind of store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import nbsessions as nbs
from nbsessions import Store


@pytest.fixture(params=["memory", "sqlite", "file", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """A new store; the test runs on each kind."""
    if request.param == "memory":
        with nbs.open_store("memory:") as store:
            yield store
    elif request.param == "file":
        with nbs.open_store(f"file:{tmp_path / 'sessions'}") as store:
            yield store
    else:
        yield request.getfixturevalue(f"{request.param}_store")
