"""An exported notebook, run whole in a real kernel: it shows what is stored, and spends nothing."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

import nbsessions as nbs
from nbsessions import Store, Usage
from nbsessions.testing import ScriptedAgent
from tests.formats.test_notebook import ODD
from tests.formats.weather import weather
from tests.kernels import kernel
from tests.lived import assert_same, bundle, lived


def run_all(path: Path, monkeypatch: pytest.MonkeyPatch, store: Path, **env: str) -> Any:
    """Run all cells of a notebook where there is no model to ask, and return it as it is then."""
    settings = {"NBSESSIONS_STORE": str(store), "NBSESSIONS_LOCAL_MODEL": "/nowhere.gguf", **env}
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("IPYTHONDIR", str(path.parent / ".ipython"))
    notebook: Any = nbformat.read(path, as_version=4)
    resources = {"metadata": {"path": str(path.parent)}}
    NotebookClient(notebook, timeout=120, kernel_name="python3", resources=resources).execute()
    return notebook


def answers(notebook: Any) -> list[str]:
    """Return what each cell that asks shows, as plain text."""
    asked = [cell for cell in notebook.cells if cell.source.startswith("%%agent")]
    return ["\n".join(out["data"]["text/plain"] for out in cell.outputs) for cell in asked]


def odd_store(path: Path) -> Store:
    """Return a store with a session of odd prompts, the same ones twice, that was paid for."""
    store = nbs.open_store(path)
    session = store.create("odd")
    agent = ScriptedAgent([[f"answer {n}", Usage(input_tokens=5, requests=1)] for n in range(2 * len(ODD))])
    for number, prompt in enumerate(ODD * 2):
        session.send(prompt, agent=agent, cell_id=f"cell-{number}")
    return store


def test_run_all_shows_the_stored_answers_and_spends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with odd_store(tmp_path / "agents.db") as store:
        path = store.export("odd", tmp_path / "odd.ipynb")
        before = bundle(store.resume("odd"))
        notebook = run_all(path, monkeypatch, tmp_path / "agents.db")
        shown = answers(notebook)
        assert [text.split("\n")[0] for text in shown] == [f"answer {n}" for n in range(2 * len(ODD))]
        assert all("replayed: no tokens spent" in text for text in shown)
        assert bundle(store.resume("odd")) == before
        assert not (tmp_path / "pwned").exists()
        # What was run and saved is still imported as it was exported.
        nbformat.validate(notebook)
        nbformat.write(notebook, path)
        with nbs.open_store("memory:") as other:
            report = other.import_(path)
            assert report.files[0].notes == []
            assert_same(other.resume("odd"), store.resume("odd"))


def test_run_all_without_the_ids_of_the_cells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with odd_store(tmp_path / "agents.db") as store:
        path = store.export("odd", tmp_path / "odd.ipynb")
        notebook: Any = nbformat.read(path, as_version=4)
        for number, cell in enumerate(notebook.cells):
            cell["id"] = str(number)
        nbformat.write(notebook, path)
        before = bundle(store.resume("odd"))
        shown = answers(run_all(path, monkeypatch, tmp_path / "agents.db"))
        assert [text.split("\n")[0] for text in shown] == [f"answer {n}" for n in range(2 * len(ODD))]
        assert bundle(store.resume("odd")) == before


def test_a_lived_session_runs_for_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with nbs.open_store(tmp_path / "agents.db") as store:
        lived(store)
        # The copy that the draft stands on is not what is shown.
        path = store.export("plan", tmp_path / "plan.ipynb")
        before = bundle(store.resume("plan"))
        run_all(path, monkeypatch, tmp_path / "agents.db")
        assert bundle(store.resume("plan")) == before


def test_a_session_that_moved_on_or_back_still_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with odd_store(tmp_path / "agents.db") as store:
        path = store.export("odd", tmp_path / "odd.ipynb")
        session = store.resume("odd")
        session.rewind(5)
        session.send("Another way", agent=lambda prompt: "yes")
        before = bundle(store.resume("odd"))
        assert len(answers(run_all(path, monkeypatch, tmp_path / "agents.db"))) == 2 * len(ODD)
        assert bundle(store.resume("odd")) == before


def test_where_the_session_is_missing_it_stops_and_says_how_to_bring_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "weather.ipynb"
    with nbs.open_store("memory:") as store:
        store.backend.restore(weather()._replace(record=weather().record.model_copy(update={"owner": "ada"})))
        store.export("Which city is warmer?", path)
    copy = shutil.copy(path, tmp_path / "copy.ipynb")  # so nobody can tell which of them is run
    with pytest.raises(CellExecutionError) as error:
        run_all(path, monkeypatch, tmp_path / "new.db")
    assert "`%session import THIS.ipynb`, with its path, brings it." in str(error.value)
    # Whoever goes on all the same asks nobody either.
    with kernel(tmp_path, NBSESSIONS_STORE=str(tmp_path / "new.db")) as lab:
        notebook: Any = nbformat.read(path, as_version=4)
        for cell in (cell for cell in notebook.cells if cell.cell_type == "code"):
            shown = lab.run(cell.source, cell.id)
        assert "nobody was asked" in shown.stderr
        assert shown.stderr.count("\n") == 1
        assert lab.run("%session new own").stderr == ""
    Path(copy).unlink()
    with nbs.open_store(tmp_path / "new.db") as store:
        assert [record.name for record in store.list()] == ["own"]
    assert "Bergen" in answers(run_all(path, monkeypatch, tmp_path / "new.db"))[0]


def test_where_its_place_is_known_it_brings_its_session(tmp_path: Path) -> None:
    with odd_store(tmp_path / "agents.db") as store:
        child = store.create("child", session_id='odd "id', conversation_id="a2a 7")
        child.send("Hello", agent=lambda prompt: "Hi from a child")
        path = store.export(child.record, tmp_path / "child.ipynb")
    notebook: Any = nbformat.read(path, as_version=4)
    with kernel(tmp_path, JPY_SESSION_NAME=str(path), NBSESSIONS_STORE=str(tmp_path / "new.db")) as lab:
        texts = []
        for cell in notebook.cells:
            if cell.cell_type == "code":
                shown = lab.run(cell.source, cell.id)
                assert shown.error is None, shown.error
                assert shown.stderr == ""
                texts.append(shown.stdout + shown.text)
    assert texts[0].startswith("Imported 'child' from this notebook. Loaded 'child': 1 turn, 2 messages")
    assert texts[1].startswith("Hi from a child")
    with nbs.open_store(tmp_path / "new.db") as store:
        assert len(store.runs(child.session_id, conversation_id="a2a 7")) == 1


def test_a_store_that_has_less_of_it_is_brought_up_to_date(tmp_path: Path) -> None:
    with nbs.open_store("memory:") as store, nbs.open_store(tmp_path / "sessions.db") as other:
        session = store.create("plan")
        session.send("One", agent=lambda prompt: "1")
        other.import_(store.export("plan", tmp_path / "early.ipynb"))
        session.send("Two", agent=lambda prompt: "2")
        path = store.export("plan", tmp_path / "late.ipynb")
    notebook: Any = nbformat.read(path, as_version=4)
    with kernel(tmp_path, JPY_SESSION_NAME=str(path)) as lab:
        loaded = lab.run(notebook.cells[1].source, notebook.cells[1].id)
        assert loaded.stdout.startswith("Imported 'plan' from this notebook. Loaded 'plan': 2 turns")
        assert "2\n" in lab.run(notebook.cells[-1].source, notebook.cells[-1].id).text
