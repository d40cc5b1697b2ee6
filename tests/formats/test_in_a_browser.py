"""Exports in a real JupyterLab and a real browser: they run, are saved, are imported, and nothing acts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest

import nbsessions as nbs
from nbsessions import Store
from tests.browser import looked
from tests.formats.golden_files import written
from tests.formats.hostile import FRAGMENTS, hostile
from tests.lived import assert_same, lived

# Where there is no browser yet, it is fetched.
pytestmark = pytest.mark.timeout(1_200)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("looking")
    for name in ("served", "home"):
        (found / name).mkdir()
    return found


@pytest.fixture(scope="module")
def store() -> Store:
    """The store that a session comes from."""
    found = nbs.open_store("memory:")
    lived(found)
    return found


@pytest.fixture(scope="module")
def seen(folder: Path, store: Store) -> Any:
    """What was seen of all exports; it takes a minute, and is looked at once."""
    store.export("plan", folder / "served" / "plan.ipynb")
    for format, place in (
        ("notebook", "served/hostile.ipynb"),
        ("markdown", "served/hostile.md"),
        ("html", "hostile.html"),
    ):
        (folder / place).write_bytes(written(hostile(), format))
    return looked("tests.formats.looking", folder)


def test_run_all_brings_the_session_and_shows_it_for_free(seen: Any, folder: Path, store: Store) -> None:
    shown = seen["run"]["shown"]
    assert "Imported 'plan' from this notebook." in shown[0]
    assert any("Hi" in text for text in shown)
    assert sum("replayed: no tokens spent" in text for text in shown) == 2
    with nbs.open_store(folder / "lab.db") as other:
        assert_same(other.resume("plan"), store.resume("plan"))


def test_what_jupyterlab_saved_is_imported_exactly(seen: Any, folder: Path, store: Store) -> None:
    path = folder / "served" / "plan.ipynb"
    notebook: Any = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"] == [1, 2, 3]
    with nbs.open_store("memory:") as other:
        report = other.import_(path)
        assert report.files[0].notes == []
        assert_same(other.resume("plan"), store.resume("plan"))


@pytest.mark.parametrize("trusted", [False, True])
def test_nothing_in_a_notebook_acts(seen: Any, trusted: bool) -> None:
    found = seen[f"trusted={trusted}"]
    assert found["trusted"] is trusted
    assert found["outputs"] > len(FRAGMENTS)
    assert found["pwned"] is None


def test_nothing_in_markdown_acts(seen: Any) -> None:
    assert seen["preview"]["headings"] >= len(FRAGMENTS)
    assert seen["preview"]["pwned"] is None
    assert seen["rendered"]["pwned"] is None
    assert seen["rendered"]["asked"] == []


def test_nothing_in_a_page_acts(seen: Any) -> None:
    assert seen["page"]["pwned"] is None
    assert seen["page"]["asked"] == []
    assert seen["page"]["width"] <= 0


def test_nothing_asks_another_server(seen: Any) -> None:
    assert seen["strangers"] == []


def test_what_would_act_would_be_noticed(seen: Any) -> None:
    assert seen["harmful"]["pwned"] == 1
    assert seen["harmful"]["asked"] == ["http://pwned.invalid/x"]
