"""What the commands that are typed most load: nothing that takes long."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

FRAMEWORKS = """
    pandas numpy IPython ipywidgets anywidget nbformat pydantic_ai ag_ui genai_prices psycopg jupyter_server openai
    langgraph agents xllamacpp tqdm markdown_it pygments prompt_toolkit argcomplete httpx2 importlib.metadata
"""
CODE = """
import contextlib, io, json, sys
from nbsessions.cli import main
with contextlib.redirect_stdout(io.StringIO()):
    assert main({words!r}) == 0
print(json.dumps(sorted(sys.modules)))
"""


def loaded(*words: str) -> list[str]:
    code = CODE.format(words=words)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    names = json.loads(done.stdout)
    assert isinstance(names, list)
    return names


@pytest.mark.parametrize("words", [("--help",), ("--version",), ("help", "ls"), ("ls", "--help")])
def test_help_needs_no_store(words: tuple[str, ...]) -> None:
    found = loaded(*words)
    assert not [name for name in found if name in [*FRAMEWORKS.split(), "pydantic", "sqlite3", "rich"]]
    assert "nbsessions.workspace" not in found


def test_a_list_of_sessions_loads_nothing_heavy(lived: str) -> None:
    found = loaded("ls")
    assert "nbsessions.stores.sqlite" in found
    assert not [name for name in found if name in [*FRAMEWORKS.split(), "rich"]]


def test_only_as_many_sessions_are_read_as_are_shown(lived: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from nbsessions.cli import main
    from nbsessions.records import SessionRecord
    from nbsessions.stores.base import Query
    from nbsessions.stores.sqlite import SQLiteBackend

    asked: list[int | None] = []
    find = SQLiteBackend.find

    def seen(self: SQLiteBackend, query: Query) -> list[SessionRecord]:
        asked.append(query.limit)
        return find(self, query)

    monkeypatch.setattr(SQLiteBackend, "find", seen)
    assert main(["ls"]) == main(["ls", "5", "--json"]) == 0
    assert asked == [20, 5]
