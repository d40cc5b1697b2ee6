"""The tutorial runs: every notebook, in a real kernel, on the real local model."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))


def executed(path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("NBSESSIONS_STORE", str(folder / "sessions.db"))
    monkeypatch.setenv("IPYTHONDIR", str(folder / "ipython"))
    notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    resources = {"metadata": {"path": str(folder)}}
    NotebookClient(notebook, timeout=240, kernel_name="python3", resources=resources).execute()
    return notebook


def shown(cell: Any) -> str:
    """Return all that a cell shows, as plain text."""
    texts = [out.get("text") or out.get("data", {}).get("text/plain", "") for out in cell.get("outputs", [])]
    return "\n".join(texts)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs_without_a_mistake(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = executed(path, tmp_path, monkeypatch)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        streams = [out["name"] for out in cell.get("outputs", []) if out["output_type"] == "stream"]
        assert "stderr" not in streams, shown(cell)
        if cell["source"].startswith("%%agent"):
            assert "saved" in shown(cell), shown(cell)


def test_the_quickstart_shows_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = executed(NOTEBOOKS[0], tmp_path, monkeypatch)
    by_start = {cell["source"].split("\n")[0]: shown(cell) for cell in reversed(notebook.cells)}
    assert "very small model" in by_start["%%agent"]
    assert re.search(
        r"first steps · turn 1 · \d+ → \d+ tokens · free · [\d.]+ s · saved", by_start["%%agent"]
    )
    assert "first steps · turn 2 ·" in by_start["%%agent --into answer"]
    assert "Cleared 6 messages" in by_start["%session clear"]
    assert "Kept the first 2 messages" in by_start["%session rewind 2"]
    assert "▸ weather(" in by_start["%%agent forecaster"]
    assert "snowing" in by_start["%%agent forecaster"]
    assert "<Session 'first steps': 5 turns, 12 messages>" in by_start["import subprocess"]
    assert not (tmp_path / "sessions.db").exists()
