"""
The README is true: every block of code in it is run, and shows what is written below it.

A block without a language is a cell of a notebook, as one of Python is; a block of text is what the cell above
it shows, where ``...`` stands for anything. The cells of a section are run in one kernel, from the top.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import pytest

import nbsessions as nbs
from tests.chat.conftest import Start, start
from tests.cli.test_processes import CLEANER, WAITS
from tests.conftest import ROOT, STUCK_SECONDS, add
from tests.installing import installed
from tests.kernels import Kernel, Shown, kernel
from tests.server.servers import served

__all__ = ["start"]

README: Final = (ROOT / "README.md").read_text()
CLAUDE: Final = ROOT / "tests" / "formats" / "golden" / "claude-code"
RESTART: Final = "%load_ext nbsessions"
"""A cell that begins so is the first one of a kernel."""

# What a person has before the first cell of a section.
STORE: Final = """
import nbsessions as nbs
store = nbs.open_store()
session = store.create("plan", agent_name="local", tags=["draft"])
run = session.send("What do owls eat?", agent=lambda prompt: "Mice.")
empty, owls = store.create("empty", tags=["draft"]), store.create("what owls eat")
"""
GIVEN: Final = {
    "Five minutes": "",
    "Ask an agent": """
import pandas as pd
df = pd.DataFrame({"owls": [1, 2, 3]})
def my_agent(prompt):
    return f"The mean is {'2' if '2' in prompt else 'unknown'}."
%load_ext nbsessions
%agent my_agent
""",
    "From Python": """
from agents import Agent, Runner, set_tracing_disabled
from agents.testing import ScriptedModel, assistant_message
from langgraph.graph import START, MessagesState, StateGraph
from pydantic_ai import Agent as Other
from pydantic_ai.models.test import TestModel
set_tracing_disabled(True)
agent = Agent("greeter", model=ScriptedModel([[assistant_message("Hello")]]))
analyst = Other(TestModel())
builder = StateGraph(MessagesState).add_node("answer", lambda state: {"messages": [("assistant", "Hello")]})
builder.add_edge(START, "answer")
def my_agent(prompt):
    return "A notebook is a file."
""",
    "DataFrames": STORE,
    "Usage and charts": STORE,
    "Widgets": STORE,
    "Files in, files out": """
import nbsessions as nbs
%load_ext nbsessions
%session new plan
""",
}
# What holds once a cell that begins so was run.
AFTERWARDS: Final = {
    "%%agent --into summary": "assert summary == 'The mean is 2.', summary",
    "import nbsessions as nbs": "store = nbs.open_store(); session = store.create('chat')",
    "from nbsessions.bridges": "assert [m.text for m in store.resume('chat-7').messages] == ['Hello'] * 2",
    "df = nbs.sessions_df": "assert not store.exists('empty') and store.exists('plan')",
    "%session import": "assert len(nbs.open_store().list(None, conversation_id='*')) > 2",
}
ELSEWHERE: Final = {
    "nbsessions demo": "tests/test_demo.py",
    "uv run pytest": ".ci/run",
    "pip install": "installs: test_extras_have_their_row_in_the_readme",
    "export_parquet": "tests/test_parquet.py",
    "import duckdb": "tests/test_parquet.py",
    "import SparkSession": "tests/test_parquet.py",
}


class Block(NamedTuple):
    """A block of code, and the section that it is in."""

    section: str
    language: str
    code: str


def _blocks() -> Iterator[Block]:
    section = ""
    for found in re.finditer(r"^## ([^\n]*)$|^```(\w*)\n(.*?)^```$", README, re.S | re.M):
        section = found[1] or section
        if not found[1]:
            yield Block(section, found[2], found[3])


BLOCKS: Final = [*_blocks()]


def _is_elsewhere(block: Block) -> bool:
    return any(words in block.code for words in ELSEWHERE)


def _only(words: str) -> Block:
    """Return the block that has these words in it."""
    (found,) = [block for block in BLOCKS if words in block.code]
    return found


def _shows(shown: Shown, expected: str) -> None:
    lines = f"{shown.stdout}\n{shown.text}".splitlines()
    for line in expected.splitlines():
        pattern = ".*".join(map(re.escape, line.split("...")))
        assert any(re.fullmatch(pattern, one.rstrip()) for one in lines), (line, lines)


def _run(running: Kernel, code: str) -> Shown:
    shown = running.run(code)
    assert (shown.error, shown.stderr) == (None, ""), code
    return shown


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A person's home, with what Claude Code left there."""
    shutil.copytree(CLAUDE, tmp_path / "home" / ".claude" / "projects" / "parser")
    return tmp_path / "home"


@pytest.mark.parametrize("section", GIVEN)
def test_the_cells_of_a_section_run_and_show_what_they_say(section: str, tmp_path: Path, home: Path) -> None:
    blocks = [
        block for block in BLOCKS if block.section == section and block.language in ("", "python", "text")
    ]
    settings = {"HOME": str(home), "PYTHONPATH": str(ROOT)}
    shown, begun = Shown(), 0
    with kernel(tmp_path, **settings) as first, kernel(tmp_path, **settings) as second:
        running = first
        _run(running, GIVEN[section]) if GIVEN[section] else None
        for block in blocks:
            if block.language == "text":
                _shows(shown, block.code)
                continue
            if block.code.startswith(RESTART):
                begun += 1
                if begun > 1:
                    first.kill()
                    running = second
            shown = _run(running, block.code)
            for words, code in AFTERWARDS.items():
                if block.code.startswith(words):
                    _run(running, code)


@pytest.fixture
def shell(tmp_path: Path, home: Path) -> Path:
    """A folder in which a shell runs what the README types, with sessions to type about."""
    (tmp_path / "cleaners.py").write_text(CLEANER)
    with nbs.open_store() as store:
        plan = store.create("plan", agent_name="local", tags=["draft"])
        plan.send("Where does the night owl live?", agent=lambda prompt: "In a hole of a tree.")
        add(plan, "And what does it eat?", "And when?")
    subprocess.run([sys.executable, "-c", WAITS], cwd=tmp_path, check=True)
    return tmp_path


def _typed(block: Block, folder: Path, **env: str) -> str:
    """Run what stands behind each ``$`` in one shell that stops at a failure; return what it prints."""
    script = 'set -eo pipefail\ncurl() { command curl -sS --fail-with-body "$@"; }\n'
    script += "\n".join(line.removeprefix("$ ") for line in block.code.splitlines())
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env={**os.environ, "PATH": path, **env},
        capture_output=True,
        text=True,
        timeout=5 * STUCK_SECONDS,  # it is several programs
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    return done.stdout


def test_what_is_typed_in_a_terminal_works(shell: Path) -> None:
    installed("jq", "jq")
    said = _typed(_only("nbsessions ls "), shell)
    for text in (
        "In a hole of a tree.",
        "Started 'another way': 4 messages of 'plan'.",
        "plan\n",
        "removed x",
    ):
        assert text in said


def test_what_is_typed_at_the_prompt_works(start: Start) -> None:
    typed, *shown = _only("nbsessions chat --session coding_task").code.splitlines()
    # Behind `$ nbsessions chat`; of the agents that tests have, this one tells what it was asked.
    terminal = start(*typed.replace(":coder", ":echo").split()[3:])
    prompt, _, question = shown[-1].partition(" You: ")
    for line in (*shown[:-1], f"{prompt} You:"):
        terminal.wait(line)
    terminal.type(question)
    terminal.wait(f"You said: {question}")


def test_what_is_asked_over_http_is_answered(shell: Path) -> None:
    installed("curl", "curl")
    with nbs.open_store() as store:
        url, (run,) = store.url, store.runs("plan")
    with served(shell / "server", url) as server:
        env = {"TOKEN": server.token, "SERVER": server.url, "RUN": run.run_id}
        said = _typed(_only("Authorization: token"), shell, **env)
    for text in ('"sessions":[', "event: end", '"status":"loaded"'):
        assert text in said


def test_a_store_is_declared_as_the_readme_says() -> None:
    declared = tomllib.loads(_only("entry-points").code)["project"]["entry-points"]
    ours = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    assert declared.keys() == ours.keys()


def test_the_suite_is_used_as_the_readme_says(tmp_path: Path) -> None:
    from tests.stores.journal import JournalBackend

    names: dict[str, object] = {"MyBackend": lambda url: JournalBackend(url.removeprefix("mine:"))}
    exec(_only("class TestMyStore").code, names)
    backend = names["TestMyStore"]().open(tmp_path)  # type: ignore[operator]
    assert backend.persistent
    backend.close()


def test_extras_have_their_row_in_the_readme() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    table = README.partition("| Extra |")[2].partition("\n\n")[0]
    assert sorted(re.findall(r"^\| `([\w-]+)` \|", table, re.M)) == sorted(extras)


def test_every_block_is_run() -> None:
    cells = [block for block in BLOCKS if block.section in GIVEN and block.language in ("", "python", "text")]
    typed = (
        "nbsessions ls ",
        "nbsessions chat --session",
        "Authorization: token",
        "entry-points",
        "TestMyStore",
    )
    others = [
        block for block in BLOCKS if block not in cells and not any(words in block.code for words in typed)
    ]
    assert [block for block in others if not _is_elsewhere(block)] == []


def test_every_link_within_the_readme_leads_somewhere() -> None:
    def anchor(title: str) -> str:
        return re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-")

    anchors = {anchor(title) for title in re.findall(r"^#+ (.*)$", README, re.M)}
    assert set(re.findall(r"\]\(#([^)]*)\)", README)) <= anchors
    files = re.findall(r"\]\((?!#|https?:)([^)]*)\)", README)
    assert [file for file in files if not (ROOT / file).exists()] == []
