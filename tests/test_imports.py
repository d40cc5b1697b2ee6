"""What `%load_ext nbsessions` costs."""

from __future__ import annotations

import json
import subprocess
import sys

HEAVY = """
    pydantic pandas nbformat ipywidgets anywidget pydantic_ai ag_ui genai_prices psycopg jupyter_server
    vl_convert rich markdown_it openai langgraph agents xllamacpp numpy sqlite3 platformdirs tqdm asyncio.base_events
"""

LOAD = """
import json, sys
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
before = set(sys.modules)
shell.run_line_magic("load_ext", "nbsessions")
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def _imported(code: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    names = json.loads(done.stdout.splitlines()[-1])
    assert isinstance(names, list)
    return names


def test_load_ext_imports_nothing_heavy() -> None:
    imported = _imported(LOAD)
    assert "nbsessions.magics" in imported
    assert not [name for name in imported if name in HEAVY.split()]


def test_import_nbsessions_imports_nothing_else_of_ours() -> None:
    code = "import json, sys; import nbsessions; print(json.dumps(sorted(sys.modules)))"
    imported = _imported(code)
    assert [name for name in imported if name.startswith("nbsessions")] == ["nbsessions"]
    assert not [name for name in imported if name in HEAVY.split()]


def test_completion_and_help_import_nothing_heavy() -> None:
    code = LOAD.replace(
        "print(", 'shell.run_line_magic("session", "help")\nshell.complete("%session l")\nprint('
    )
    assert not [name for name in _imported(code) if name in HEAVY.split()]
