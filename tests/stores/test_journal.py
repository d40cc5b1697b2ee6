"""A store that somebody else wrote, as its users meet it: found by its URL, and whole after a kill."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nbsessions import Store, StoreUnavailable
from tests.conftest import ROOT, add, texts
from tests.stores.journal import JournalBackend

PERSON = """
import sys
import nbsessions as nbs
from IPython.core.interactiveshell import InteractiveShell

with nbs.open_store(f"journal:{sys.argv[1]}") as store:
    store.create("plan").add_message({"role": "user", "content": "Hello"})

shell = InteractiveShell.instance()
shell.run_line_magic("load_ext", "nbsessions")
shell.run_line_magic("session", f"store journal:{sys.argv[1]}")
shell.run_line_magic("session", "load plan")
shell.user_ns["echo"] = lambda prompt: prompt.upper()
shell.run_cell("%%agent echo\\nAnd?")
"""

KILLED = """
import os, sys
from nbsessions import Store
from tests.stores.journal import JournalBackend

session = Store(JournalBackend(f"journal:{sys.argv[1]}")).create("plan")
session.add_message({"role": "user", "content": "Hello"})
os._exit(0)
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder in which the store is installed, as pip would have done it."""
    site = tmp_path / "site"
    info = site / "nbsessions_journal-1.0.dist-info"
    info.mkdir(parents=True)
    shutil.copy(Path(__file__).parent / "journal.py", site / "nbsessions_journal.py")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: nbsessions-journal\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[nbsessions.stores]\njournal = nbsessions_journal:JournalBackend\n"
    )
    return site


def test_a_store_that_is_installed_is_found_by_its_url(site: Path, tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    done = subprocess.run(
        [sys.executable, "-c", PERSON, str(folder)],
        env=os.environ | {"PYTHONPATH": str(site)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Traceback" not in done.stderr
    with Store(JournalBackend(f"journal:{folder}")) as store:
        session = store.resume("plan")
        assert texts(session) == ["Hello", "And?", "AND?"]
        assert [run.status for run in session.runs()] == ["completed"]


def test_what_was_acknowledged_survives_the_death_of_its_process(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], cwd=ROOT, check=True)
    with Store(JournalBackend(f"journal:{tmp_path}")) as store:
        assert texts(store.resume("plan")) == ["Hello"]


@pytest.mark.parametrize("left", [1, 40, -1])
def test_a_line_that_was_cut_off_is_dropped(tmp_path: Path, left: int) -> None:
    with Store(JournalBackend(f"journal:{tmp_path}")) as store:
        add(store.create("plan"), "Hello", "lost")
    path = tmp_path / "journal.jsonl"
    *whole, last = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(whole) + last[:left])
    for expected in (["Hello"], ["Hello", "again"]):
        with Store(JournalBackend(f"journal:{tmp_path}")) as store:
            session = store.resume("plan")
            assert texts(session) == expected
            add(session, "again")


def test_a_line_that_cannot_be_read_is_named_and_left_alone(tmp_path: Path) -> None:
    with Store(JournalBackend(f"journal:{tmp_path}")) as store:
        add(store.create("plan"), "Hello")
    path = tmp_path / "journal.jsonl"
    damaged = b"[]\n" + path.read_bytes()
    path.write_bytes(damaged)
    with pytest.raises(StoreUnavailable, match="damaged in line 1"):
        JournalBackend(f"journal:{tmp_path}")
    assert path.read_bytes() == damaged


def test_two_at_once_are_refused(tmp_path: Path) -> None:
    with (
        Store(JournalBackend(f"journal:{tmp_path}")),
        pytest.raises(StoreUnavailable, match="is open elsewhere"),
    ):
        JournalBackend(f"journal:{tmp_path}")
