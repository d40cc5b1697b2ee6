"""
A session of a notebook, gone on with over HTTP, and again in the notebook; run as a process:
``python -m tests.server.looking DIR``.

In a real JupyterLab, which serves sessions because nbsessions is installed. What was seen is printed as JSON,
and a picture is left in DIR.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
from playwright.sync_api import Page

from tests.browser import Lab, browser, jupyterlab
from tests.installing import installed

CELLS = (
    """%load_ext nbsessions


def seeing(prompt, history):
    yield f"You asked: {prompt} I was told before: "
    yield " / ".join(message.text for message in history) or "nothing"


%agent seeing""",
    "%session new from the notebook",
    "%%agent\nWhere do owls live?",
    # Who goes on with what others added takes it up first: unasked, nothing is merged.
    "%session load from the notebook",
    "%%agent\nWhat do you know?",
    "%session show",
    "%session status",
)


class Curl:
    """What a person asks by curl."""

    def __init__(self, lab: Lab) -> None:
        self._lab, self._curl = lab, installed("curl", "curl")

    def __call__(self, path: str, *options: str) -> Any:
        url = f"{self._lab.url}/nbsessions/api{path}"
        command = [self._curl, "-sS", "-H", f"Authorization: token {self._lab.token}", *options, url]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
        return done.stdout

    def get(self, path: str) -> Any:
        return json.loads(self(path))

    def post(self, path: str, **given: Any) -> Any:
        return json.loads(self(path, "-d", json.dumps(given)))


class Notebook:
    """An open notebook, whose cells are run one by one."""

    def __init__(self, lab: Lab, page: Page) -> None:
        self.page = page
        lab.open(page, "work.ipynb")

    def run(self, number: int) -> str:
        """Run a cell to its end, and return what it shows."""
        self.page.evaluate(
            """number => {
                const app = window.jupyterapp;
                app.shell.currentWidget.content.activeCellIndex = number;
                return app.commands.execute('notebook:run-cell').then(() => null);
            }""",
            number,
        )
        cell = self.page.locator(".jp-CodeCell").nth(number)
        return "\n".join(cell.locator(".jp-OutputArea-output").all_inner_texts())


def look(folder: Path) -> dict[str, Any]:
    home = folder / "home"
    home.mkdir(exist_ok=True)
    made: Any = nbformat.v4
    notebook = made.new_notebook(cells=[made.new_code_cell(cell) for cell in CELLS])
    (folder / "work.ipynb").write_text(nbformat.writes(notebook))
    store = str(folder / "sessions.db")
    with (
        jupyterlab(folder, home, NBSESSIONS_STORE=store, NBSESSIONS_OWNER="ada") as lab,
        browser(home / "browser") as context,
    ):
        curl, page = Curl(lab), context.new_page()
        opened = Notebook(lab, page)
        seen: dict[str, Any] = {"shown": [opened.run(number) for number in range(3)]}
        seen["listed"] = curl.get("/sessions")["sessions"]
        loaded = curl.post("/agents/seeing/command/session/load", session_id="from the notebook")["result"]
        seen["loaded"] = loaded
        session = loaded["session_id"]
        seen["added"] = curl.post(
            f"/sessions/{session}/messages", role="user", content="By the way: one lives in the barn."
        )
        seen["shown"] += [opened.run(number) for number in range(3, len(CELLS))]
        seen["messages"] = curl.get(f"/sessions/{session}/messages")["messages"]
        (run,) = curl.get(f"/sessions/{session}/runs")["runs"][-1:]
        seen["stream"] = curl(f"/runs/{run['run_id']}/events", "-N", "-H", "Accept: text/event-stream")
        seen["status"] = curl.post("/agents/seeing/command/session/status")["result"]
        page.screenshot(path=str(folder / "lab.png"))
    return seen


if __name__ == "__main__":
    print(json.dumps(look(Path(sys.argv[1]))))
