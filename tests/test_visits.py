"""Where undo leads a notebook back to: after a restart, a rename, a deletion."""

from __future__ import annotations

from pathlib import Path

import pytest

import nbsessions as nbs
from nbsessions.commands import run_line
from nbsessions.workspace import Settings, Workspace
from tests.conftest import add, texts


class Notebook:
    """A notebook that can be renamed, restarted, and not found."""

    def __init__(self, folder: Path, path: str | None = "/a.ipynb") -> None:
        self.path, self._url = path, str(folder / "sessions.db")
        self._start()

    def _start(self) -> None:
        settings = Settings(store=self._url, agent="echo")
        names = {"echo": lambda prompt: prompt}
        self.space = Workspace(settings, notebook=lambda: self.path, names=names)

    def restart(self) -> None:
        self.space.close()
        self._start()

    def __call__(self, line: str) -> str:
        return str(run_line(self.space, line, face="magic", prefix="%session "))

    @property
    def here(self) -> str | None:
        return self.space.need_session().name


@pytest.fixture
def notebook(tmp_path: Path) -> Notebook:
    """One that has loaded `two`, which has a history of its own, from `one`."""
    made = Notebook(tmp_path)
    made("new two")
    add(made.space.need_session(), "long ago")
    made("new one")
    add(made.space.need_session(), "in one")
    made("load two")
    return made


def test_a_load_is_taken_back_after_a_restart_at_once(notebook: Notebook) -> None:
    notebook.restart()
    assert notebook("undo") == "Took back: load two. 'one' has 1 message."
    assert texts(notebook.space.store.resume("two")) == ["long ago"]


def test_an_undo_that_is_undone_goes_further_back_and_loses_nothing(notebook: Notebook) -> None:
    told = [notebook("undo").partition(".")[0] for _ in range(3)]
    assert told == ["Took back: load two", "Took back: message", "Took back: new one"]
    assert notebook.here == "two"
    assert texts(notebook.space.need_session()) == ["long ago"]


@pytest.mark.parametrize("restart", [True, False])
def test_a_load_is_taken_back_after_a_rename(notebook: Notebook, restart: bool) -> None:
    notebook.path = "/b ä.ipynb"
    notebook("status")
    if restart:
        notebook.restart()
    assert notebook("undo").startswith("Took back: load two.")
    assert notebook("undo").startswith("Took back: message.")
    assert notebook("undo").startswith("Took back: new one.")
    assert texts(notebook.space.store.resume("two")) == ["long ago"]


def test_a_notebook_that_was_renamed_goes_on_where_it_stopped(notebook: Notebook) -> None:
    notebook.path = "/b.ipynb"
    notebook("status")
    notebook.restart()
    assert notebook.here == "two"


def test_a_notebook_whose_path_comes_and_goes_is_the_same(tmp_path: Path) -> None:
    notebook = Notebook(tmp_path, path=None)
    notebook("new one")
    notebook("new two")
    notebook("load one")
    for path in ("/a.ipynb", None, "/a.ipynb", None):
        notebook.path = path
        notebook("status")
    assert [notebook("undo").partition(".")[0] for _ in range(2)] == [
        "Took back: load one",
        "Took back: new two",
    ]
    notebook.path = "/a.ipynb"
    notebook.restart()
    assert notebook.here == "one"


def test_a_load_of_what_was_deleted_since_is_taken_back(notebook: Notebook, tmp_path: Path) -> None:
    with nbs.open_store(tmp_path / "sessions.db") as other:
        other.delete("two")
    assert notebook("undo") == "Took back: load two. 'one' has 1 message."
    assert notebook.here == "one"
    assert texts(notebook.space.need_session()) == ["in one"]


def test_a_load_is_taken_back_also_where_another_moved_what_was_loaded(notebook: Notebook) -> None:
    add(notebook.space.store.resume("two"), "theirs")
    assert notebook("undo") == "Took back: load two. 'one' has 1 message."
    assert texts(notebook.space.store.resume("two")) == ["long ago", "theirs"]


def test_a_new_and_a_fork_are_taken_back(notebook: Notebook) -> None:
    notebook("fork three")
    notebook("new four")
    notebook.restart()
    told = [notebook("undo").partition(".")[0] for _ in range(3)]
    assert told == ["Took back: new four", "Took back: fork three", "Took back: load two"]
    assert notebook.here == "one"


def test_a_lost_race_is_taken_back_and_then_the_way_to_the_fork(notebook: Notebook) -> None:
    add(notebook.space.store.resume("two"), "theirs")
    notebook("clear")
    notebook.restart()
    assert notebook.here == "two (fork)"
    told = [notebook("undo").partition(".")[0] for _ in range(2)]
    assert told == ["Took back: clear", "Took back: fork two (fork)"]
    assert texts(notebook.space.need_session()) == ["long ago", "theirs"]


def test_undo_does_not_lead_to_the_draft_that_another_began_later(notebook: Notebook) -> None:
    notebook("load one")
    notebook("autosave off")
    add(notebook.space.need_session(), "in the draft")
    notebook.space.set("autosave", True)
    notebook("load two")
    store = notebook.space.store
    store.resume("one", draft=True).save()
    add(store.resume("one", autosave=False), "another's draft")
    assert notebook("undo").startswith("Took back: load two.")
    assert texts(notebook.space.need_session()) == ["in one", "in the draft"]
    assert notebook.space.need_session().saved


@pytest.mark.parametrize("line", ["new three", "load one"])
def test_a_notebook_goes_on_where_its_session_was_deleted(
    notebook: Notebook, line: str, tmp_path: Path
) -> None:
    with nbs.open_store(tmp_path / "sessions.db") as other:
        other.delete("two")
    told = notebook(line)
    assert told.startswith(("Started 'three'.", "Loaded 'one'"))
    assert told.endswith("'two' was deleted, by you or another kernel.")
    assert notebook.here == line.split()[1]
    notebook.restart()
    assert notebook.here == line.split()[1]
