"""What a person sees who looks at charts; run as a process: ``python -m tests.charts.looking DIR``.

What was seen of each chart, in JupyterLab with a light and a dark theme and on a page that nbconvert made, is
printed as JSON, and pictures are left in DIR.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
from playwright.sync_api import BrowserContext, Page

import nbsessions as nbs
from nbsessions.charts.chart import VEGA_LITE
from tests.browser import Lab, browser, jupyterlab
from tests.charts.plausible import filled
from tests.charts.test_charts import all_charts
from tests.formats.hostile import FRAGMENTS

THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}
CELLS = (
    "%load_ext nbsessions",
    "import nbsessions as nbs\nfrom nbsessions import charts\n\nstore = nbs.open_store()",
    "%session usage",
    "%session usage --by agent,model --chart cost",
    "df = %session usage --by day",
    "charts.tokens(store)",
    "charts.cost(store)",
    "charts.cache(store, by='model')",
    "charts.top_sessions(store)",
    "charts.context(store.resume('weekly report'))",
    "charts.latency(store)",
    "charts.tool_calls(store)",
    "charts.tokens(store, model='nosuch')",
)
_DRAWN = """() => [...window.jupyterapp.shell.currentWidget.node.querySelectorAll('.jp-CodeCell')].map(cell => ({
    source: cell.querySelector('.cm-content').innerText,
    shown: [...cell.querySelectorAll('.jp-OutputArea-output')].map(each => each.innerText).join('\\n'),
    charts: [...cell.querySelectorAll('svg.marks')].map(svg => ({
        width: svg.getBoundingClientRect().width,
        marks: svg.querySelectorAll('.role-mark path').length,
        texts: [...svg.querySelectorAll('text')].map(text => text.textContent),
        ground: svg.querySelector('rect')?.getAttribute('fill') ?? null,
    })),
}))"""


def look(folder: Path) -> dict[str, Any]:
    """Look at all charts, and return what was seen."""
    served, seen, path = folder / "served", dict[str, Any](), folder / "agents.db"
    with nbs.open_store(path) as store:
        filled(store)
    _write(served / "charts.ipynb", [nbformat.v4.new_code_cell(source) for source in CELLS])
    _write(served / "hostile.ipynb", _hostile())
    with (
        jupyterlab(served, folder / "home", NBSESSIONS_STORE=str(path), NBSESSIONS_OWNER="ada") as lab,
        browser(folder / "chromium") as context,
    ):
        page = context.new_page()
        lab.watch(page)
        lab.open(page, "charts.ipynb")
        lab.command(page, "notebook:run-all-cells")
        page.wait_for_timeout(1_500)
        for name, theme in THEMES.items():
            lab.command(page, "apputils:change-theme", theme=theme)
            lab.command(page, "docmanager:save")
            # A chart takes its theme when it is drawn.
            lab.open(page, "charts.ipynb")
            page.locator("svg.marks").last.wait_for()
            page.wait_for_timeout(1_500)
            seen[name] = page.evaluate(_DRAWN)
            _take_pictures(page, folder, name)
        page.close()
        seen["hostile"] = _try(lab, context)
        seen["page"] = _page(served, folder, context)
        seen["strangers"] = lab.strangers
    return seen


def _write(path: Path, cells: list[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)


def _hostile() -> list[Any]:
    """Return a cell for each thing that a name may try, with one of the charts: each kind has its turns."""
    cells = []
    for number, fragment in enumerate(FRAGMENTS):
        made = all_charts(fragment)
        data = {VEGA_LITE: made[number % len(made)].spec, "image/png": ""}
        outputs = [nbformat.v4.new_output("display_data", data=data)]
        cells.append(nbformat.v4.new_code_cell("hostile", outputs=outputs))
    return cells


def _take_pictures(page: Page, folder: Path, theme: str) -> None:
    cells = page.locator(".jp-CodeCell")
    for number in range(cells.count()):
        if cells.nth(number).locator(".vega-embed").count():
            cells.nth(number).screenshot(path=folder / f"{theme}-{number}.png")


def _try(lab: Lab, context: BrowserContext) -> dict[str, Any]:
    """Open what would act, and point at all of it."""
    page = context.new_page()
    lab.watch(page)
    lab.open(page, "hostile.ipynb")
    page.locator("svg.marks").last.wait_for()
    tips = 0
    for number in range(page.locator("svg.marks").count()):
        page.locator("svg.marks").nth(number).locator(".role-mark path").first.hover(force=True)
        tips += page.locator("#vg-tooltip-element.visible").count()
    found = {
        "pwned": page.evaluate("window.pwned ?? null"),
        "charts": page.locator("svg.marks").count(),
        "tips": tips,
    }
    page.close()
    return found


def _page(served: Path, folder: Path, context: BrowserContext) -> dict[str, Any]:
    """Look at the notebook as a page that needs no JupyterLab and no script."""
    command = [sys.executable, "-m", "nbconvert", "--to", "html", "--output-dir", str(folder)]
    subprocess.run([*command, str(served / "charts.ipynb")], check=True, capture_output=True, timeout=120)
    page = context.new_page()
    # What nbconvert itself loads, for formulas and for notebooks with widgets, is not ours.
    page.route(lambda url: url.startswith("http"), lambda route: route.abort())
    page.goto((folder / "charts.html").as_uri())
    found: dict[str, Any] = {
        "pictures": page.evaluate(
            "() => [...document.querySelectorAll('.jp-OutputArea-output img')].map(each => each.naturalWidth)"
        )
    }
    page.screenshot(path=folder / "page.png", full_page=True)
    page.close()
    return found


if __name__ == "__main__":
    print(json.dumps(look(Path(sys.argv[1]))))
