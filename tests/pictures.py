"""
Make the pictures of the README again: ``python -m tests.pictures``.

Charts are what `Chart.save` writes, of a store that `tests.charts.plausible` fills; widgets are taken in a
real JupyterLab.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import nbformat

import nbsessions as nbs
from nbsessions import charts
from nbsessions.testing import ScriptedAgent
from nbsessions.values import micros, now
from tests.browser import browser, jupyterlab
from tests.charts.plausible import filled
from tests.widgets.looking import Notebook

FOLDER = Path(__file__).parent.parent / ".github" / "images"
_CELLS = (
    "import nbsessions as nbs\n\nstore = nbs.open_store()",
    "nbs.SessionPicker(store)",
    "nbs.HistoryTable(store)",
    "nbs.ConversationView('what owls eat', store=store)",
)
_WORK = (
    *(("budget 2027", "analyst", 9), ("glossary", "coder", 2), ("regression hunt", "coder", 14)),
    *(("onboarding", "analyst", 3), ("weekly report", "analyst", 6), ("review of #412", "coder", 5)),
    *(("data cleaning", "analyst", 11), ("travel plan", "analyst", 4), ("release notes", "coder", 2)),
)
_OWLS = (
    ("Where do owls live?", "In **woods**, in barns, and on *cliffs*. Some live in towns."),
    (
        "What does a barn owl eat in a night?",
        "About four small animals:\n\n| Prey | a night | grams |\n|---|---:|---:|\n| voles | 2 | 50 |\n"
        "| shrews | 1 | 8 |\n| mice | 1 | 20 |",
    ),
)


def main() -> None:
    """Write each picture over the one of before, and say how large it is."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for path in (*_charts(), *_widgets()):
        print(f"{path.relative_to(FOLDER.parent.parent)}  {path.stat().st_size / 1000:.0f} kB")


def _charts() -> Iterator[Path]:
    with nbs.open_store("memory:") as store:
        filled(store)
        made = {
            "tokens": charts.tokens(store),
            "cost": charts.cost(store),
            "context": charts.context(store.resume("weekly report")),
        }
        for name, chart in made.items():
            yield chart.save(FOLDER / f"{name}.png", overwrite=True)


def _widgets() -> Iterator[Path]:
    with _notebook() as book:
        names = {1: "picker", 2: "table", 3: "conversation"}
        book.run(0)
        for number, name in names.items():
            output = book.run(number).locator(".jp-OutputArea-output").last
            output.locator(".nbs, .nbs-picker").first.wait_for()
            if name == "table":
                output.locator("tbody tr").nth(3).click()
                output.locator("tbody tr").nth(5).click()
            book.page.mouse.move(0, 0)
            book.page.wait_for_timeout(1_000)
            output.screenshot(path=FOLDER / f"{name}.png")
            yield FOLDER / f"{name}.png"


@contextmanager
def _notebook() -> Iterator[Notebook]:
    folder = Path(tempfile.mkdtemp())
    os.environ |= {"NBSESSIONS_OWNER": "ada", "NBSESSIONS_STORE": str(folder / "agents.db")}
    for name in ("served", "home", "chromium"):
        (folder / name).mkdir()
    with nbs.open_store() as store:
        _worked(store)
    cells = [nbformat.v4.new_code_cell(source) for source in _CELLS]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), folder / "served" / "a.ipynb")
    with jupyterlab(folder / "served", folder / "home") as lab, browser(folder / "chromium") as context:
        yield Notebook(lab, context, "a")
    shutil.rmtree(folder)


def _worked(store: nbs.Store) -> None:
    """Fill a store with two weeks of work, the newest about owls."""
    for number, (name, agent_name, turns) in enumerate(_WORK):
        session = store.create(name, agent_name=agent_name, tags=["team"] if number % 3 else ["draft"])
        answers: Any = [
            ["Done.", nbs.Usage(input_tokens=900 * n + 700, output_tokens=60 * n, requests=1)]
            for n in range(1, turns + 1)
        ]
        agent = ScriptedAgent(answers, name=agent_name, model=("gpt-5-mini", "claude-sonnet-4-5")[number % 2])
        for turn in range(turns):
            session.send(f"Step {turn + 1}", agent=agent)
        at = now() - timedelta(hours=30 * (len(_WORK) - number))
        store.backend.update(session.key, {"tags": session.tags}, micros(at))
    call = {"id": "c", "function": {"name": "search", "arguments": '{"query": "barn owl diet", "limit": 3}'}}
    (first, lives), (second, eats) = _OWLS
    looked = {
        "role": "assistant",
        "content": "I look it up.",
        "reasoning_content": "The person wants numbers: a search is better than a guess.",
        "tool_calls": [call],
    }
    found = {"role": "tool", "tool_call_id": "c", "content": '{"voles": 2, "shrews": 1, "mice": 1}'}
    spent = (
        nbs.Usage(input_tokens=812, output_tokens=19, requests=1),
        nbs.Usage(input_tokens=2_104, output_tokens=96, requests=2),
    )
    agent = ScriptedAgent(
        [[lives, spent[0]], [looked, found, eats, spent[1]]], name="analyst", model="gpt-5-mini"
    )
    owls = store.create("what owls eat", agent_name="analyst", tags=["nature"])
    owls.send(first, agent=agent)
    other = owls.fork("what larks eat")
    owls.send(second, agent=agent)
    other.send("And larks?", agent=ScriptedAgent(["Seeds, mostly."], name="analyst", model="gpt-5-mini"))


if __name__ == "__main__":
    main()
