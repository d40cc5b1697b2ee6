"""What a person sees who opens exports in a browser; run as a process: ``python -m tests.formats.looking DIR``.

In DIR are exports; what was seen is printed as JSON, and pictures are left in DIR.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt
from playwright.sync_api import BrowserContext, Page

from tests.browser import Lab, browser, jupyterlab

_SETTLE = 1_500
"""Milliseconds in which what would run has run."""


def look(folder: Path) -> dict[str, Any]:
    """Open everything, and return what happened."""
    served, seen = folder / "served", dict[str, Any]()
    store = str(folder / "lab.db")
    with (
        jupyterlab(served, folder / "home", NBSESSIONS_STORE=store, NBSESSIONS_OWNER="ada") as lab,
        browser(folder / "chromium") as context,
    ):
        seen["run"] = _run_and_save(lab, context, folder)
        for trusted in (False, True):
            seen[f"trusted={trusted}"] = _hostile(lab, context, trusted)
        seen["preview"] = _preview(lab, context)
        seen["page"] = _pages(context, folder, "hostile.html")
        # A reader of Markdown that lets all HTML through, as the worst of them do.
        html = (
            MarkdownIt("commonmark", {"html": True})
            .enable("table")
            .render((served / "hostile.md").read_text())
        )
        (folder / "rendered.html").write_text(f"<!DOCTYPE html><meta charset=utf-8><body>{html}")
        seen["rendered"] = _pages(context, folder, "rendered.html")
        # That it would be noticed.
        (folder / "harmful.html").write_text(
            "<script>window.pwned=1</script><img src=http://pwned.invalid/x>"
        )
        seen["harmful"] = _pages(context, folder, "harmful.html")
        seen["strangers"] = lab.strangers
    return seen


def _page(lab: Lab, context: BrowserContext) -> Page:
    page = context.new_page()
    lab.watch(page)
    return page


def _run_and_save(lab: Lab, context: BrowserContext, folder: Path) -> dict[str, Any]:
    page = _page(lab, context)
    lab.open(page, "plan.ipynb")
    page.screenshot(path=folder / "opened.png")
    lab.command(page, "notebook:run-all-cells")
    page.wait_for_timeout(_SETTLE)
    page.screenshot(path=folder / "run.png")
    shown = page.locator(".jp-OutputArea-output").all_inner_texts()
    lab.command(page, "docmanager:save")
    page.close()
    return {"shown": shown}


def _hostile(lab: Lab, context: BrowserContext, trusted: bool) -> dict[str, Any]:
    page = _page(lab, context)
    lab.open(page, "hostile.ipynb")
    if trusted:
        page.evaluate(
            """() => {
                const model = window.jupyterapp.shell.currentWidget.content.model;
                for (const cell of model.cells) cell.trusted = true;
            }"""
        )
    page.wait_for_timeout(_SETTLE)
    _click_all(page)
    trust = "() => [...window.jupyterapp.shell.currentWidget.content.model.cells].every(cell => cell.trusted)"
    found = {
        "pwned": page.evaluate("window.pwned ?? null"),
        "trusted": page.evaluate(trust),
        "outputs": page.locator(".jp-OutputArea-output").count(),
    }
    page.close()
    return found


def _preview(lab: Lab, context: BrowserContext) -> dict[str, Any]:
    page = _page(lab, context)
    page.goto(f"{lab.url}/lab?token={lab.token}&reset")
    page.wait_for_function("() => window.jupyterapp?.commands?.hasCommand('docmanager:open')")
    lab.command(page, "docmanager:open", path="hostile.md", factory="Markdown Preview")
    page.locator(".jp-MarkdownViewer h1").first.wait_for()
    page.wait_for_timeout(_SETTLE)
    _click_all(page)
    found = {"pwned": page.evaluate("window.pwned ?? null"), "headings": page.locator("h2").count()}
    page.close()
    return found


def _click_all(page: Page) -> None:
    """Unfold everything, and follow what would lead to a script."""
    page.evaluate(
        """() => {
            for (const fold of document.querySelectorAll('details')) fold.open = true;
            for (const link of document.querySelectorAll('a'))
                if (!/^(https?:|mailto:|#)/.test(link.getAttribute('href') ?? '#')) link.click();
        }"""
    )
    page.wait_for_timeout(300)


def _pages(context: BrowserContext, folder: Path, name: str) -> dict[str, Any]:
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto((folder / name).as_uri())
    page.wait_for_timeout(_SETTLE)
    page.screenshot(path=folder / f"{Path(name).stem}.png")
    _click_all(page)
    found = {
        "pwned": page.evaluate("window.pwned ?? null"),
        "asked": [url for url in asked if not url.startswith("file:")],
        "width": page.evaluate("document.documentElement.scrollWidth - window.innerWidth"),
    }
    page.close()
    return found


if __name__ == "__main__":
    print(json.dumps(look(Path(sys.argv[1]))))
