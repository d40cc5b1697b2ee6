"""What `%load_ext nbsessions` costs."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import nbsessions as nbs
from tests.conftest import Python

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


MISSING = """
import sys
sys.modules["{package}"] = None
import nbsessions as nbs
for line in {lines}:
    try:
        exec(line)
    except nbs.MissingExtra as error:
        print(error)
"""


@pytest.mark.parametrize(
    ("module", "package", "extra"),
    [
        ("langgraph", "langgraph", "langgraph"),
        ("langgraph", "langchain_core", "langgraph"),
        ("openai_agents", "agents", "openai-agents"),
        ("pydantic_ai", "pydantic_ai", "agents"),
    ],
)
def test_a_bridge_without_its_framework_names_the_extra(
    python: Python, module: str, package: str, extra: str
) -> None:
    ways = "import nbsessions.bridges.{0}", "from nbsessions.bridges import {0}", "nbs.bridges.{0}"
    told = python(MISSING.format(package=package, lines=[way.format(module) for way in ways]))
    line = f'needs an extra that is not installed: pip install "nbsessions[{extra}]"'
    assert [line in one for one in told.splitlines()] == [True] * 3


def test_a_runnable_where_only_langchain_is_there_names_the_extra(python: Python) -> None:
    line = "from langchain_core.language_models import FakeListChatModel as M; nbs.adapt(M(responses=[]))"
    told = python(MISSING.format(package="langgraph", lines=[line]))
    assert "FakeListChatModel, which is LangChain's, needs an extra" in told
    assert 'pip install "nbsessions[langgraph]"' in told


def test_an_older_sdk_of_openai_names_the_extra(python: Python) -> None:
    line = "import agents; del agents.RunConfig; nbs.adapt(agents.Agent('sage'))"
    assert 'pip install "nbsessions[openai-agents]"' in python(MISSING.format(package="spam", lines=[line]))


def test_bridges_are_there_when_they_are_asked_for() -> None:
    code = "import json, sys; import nbsessions as nbs; nbs.bridges.openai_agents.Session; "
    imported = _imported(code + "print(json.dumps(sorted(sys.modules)))")
    assert "nbsessions.bridges.openai_agents" in imported
    assert "nbsessions.bridges.langgraph" not in imported
    assert "bridges" in dir(nbs)
    with pytest.raises(AttributeError, match="no attribute 'spam'"):
        _ = nbs.bridges.spam


def test_completion_and_help_import_nothing_heavy() -> None:
    code = LOAD.replace(
        "print(", 'shell.run_line_magic("session", "help")\nshell.complete("%session l")\nprint('
    )
    assert not [name for name in _imported(code) if name in HEAVY.split()]


def test_the_chat_prompt_is_there_before_what_is_heavy() -> None:
    code = "import json, sys, nbsessions.chat.terminal; print(json.dumps(sorted(sys.modules)))"
    needed = {"platformdirs", "asyncio.base_events"}  # by the file of earlier prompts, and by prompt_toolkit
    assert not [name for name in _imported(code) if name in set(HEAVY.split()) - needed]
