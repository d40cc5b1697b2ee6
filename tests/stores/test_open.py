"""A store is found by its path or URL."""

from __future__ import annotations

from pathlib import Path

import pytest

import nbsessions as nbs
from nbsessions.exceptions import InvalidInput, MissingExtra
from nbsessions.stores import default_path


def test_a_memory_store_is_new_each_time() -> None:
    nbs.open_store("memory:").create("plan")
    assert nbs.open_store("memory:").list() == []


def test_stores_open_by_path_and_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with nbs.open_store("agents.db") as store:
        store.create("plan")
    file = tmp_path / "agents.db"
    for url in (
        file,
        str(file),
        "./agents.db",
        "sqlite:agents.db",
        "sqlite:///agents.db",
        f"sqlite:///{file}",
        f"sqlite:///{file}?synchronous=normal",
    ):
        with nbs.open_store(url) as store:
            assert store.exists("plan")
    assert {one.name for one in tmp_path.iterdir() if one.is_file()} <= {"agents.db", "agents.db.lock"}


@pytest.mark.parametrize("name", ["with space.db", "50%.db", "a#b.db", "what?.db", "ü😀.db", "a&b=c.db"])
def test_a_path_may_hold_any_character(tmp_path: Path, name: str) -> None:
    with nbs.open_store(tmp_path / name) as store:
        store.create("plan")
    assert (tmp_path / name).exists()
    with nbs.open_store(str(tmp_path / name)) as store:
        assert store.exists("plan")


@pytest.mark.parametrize(
    "url", ["nowhere://x", "sqlite:", "sqlite:///", "sqlite:///a.db?synchronous=off", "sqlite:///a.db?x=1"]
)
def test_a_store_that_is_none_is_refused(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidInput) as caught:
        nbs.open_store(url)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_plug_in_brings_a_store(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib.metadata import EntryPoint

    points = [
        EntryPoint("mine", "nbsessions.stores.memory:MemoryBackend", "nbsessions.stores"),
        EntryPoint("broken", "nowhere_at_all:Backend", "nbsessions.stores"),
    ]
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: points)
    assert nbs.open_store("mine:anything").create("plan").name == "plan"
    with pytest.raises(MissingExtra, match=r"nbsessions\[broken\]"):
        nbs.open_store("broken://x")


def test_without_a_url_the_environment_says_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with nbs.open_store() as store:
        store.create("plan")
    assert (tmp_path / "default" / "sessions.db").exists()
    monkeypatch.setenv("NBSESSIONS_STORE", "memory:")
    assert nbs.open_store().url == "memory:"
    monkeypatch.delenv("NBSESSIONS_STORE")
    assert default_path() == tmp_path / "default" / "nbsessions" / "sessions.db"


def test_a_nul_is_in_no_path(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="NUL"):
        nbs.open_store(str(tmp_path / "a\0b.db"))


def test_a_folder_is_no_store(tmp_path: Path) -> None:
    with pytest.raises(nbs.StoreUnavailable, match=r"is a folder. Name a file in it: .*sessions\.db"):
        nbs.open_store(tmp_path)
    assert list(tmp_path.iterdir()) == []
