"""What a person sees who works with the widgets; run as a process: ``python -m tests.widgets.looking DIR``.

In a real JupyterLab, and once in Notebook 7. What was seen is printed as JSON, and pictures are left in DIR.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import nbformat
from playwright.sync_api import BrowserContext, Locator

import nbsessions as nbs
from nbsessions.testing import ScriptedAgent
from tests.browser import SECONDS, Lab, browser, jupyterlab
from tests.charts.plausible import filled
from tests.widgets import hostile
from tests.widgets.many import MANY, many

_PATIENCE = 30
"""Seconds after which something does not come any more."""
THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}
AGENT = """%load_ext nbsessions
import nbsessions as nbs


def answer(prompt):
    return f"You asked: {prompt}"


%agent answer"""
CELLS = {
    "picker": (AGENT, "%session pick", "%%agent\nAnd larks?", "%session status"),
    "table": (
        AGENT,
        "table = %session history --widget\ntable",
        "table.selected_df[['name']]",
        "import time\n\ntime.sleep(30)",
        "def fails(asked):\n    raise nbs.StoreUnavailable('The disk is gone.')\n\n\ntable.store.backend.listing = fails",
        "del table.store.backend.listing",
    ),
    "conversation": (AGENT, "%session load larks", "nbs.ConversationView('larks')", "%%agent\nAnd owls?"),
    "other": (AGENT, "%session new from the other notebook"),
    "replay": (AGENT, "run = nbs.open_store().runs('larks')[-1]\nnbs.RunReplay(run)"),
    "many": (
        f"import nbsessions as nbs\n\nstore = nbs.open_store({MANY!r})\nimport nbsessions.widgets",
        "nbs.HistoryTable(store)",
        "nbs.SessionPicker(store)",
    ),
    "hostile": (
        "import nbsessions as nbs\n\nstore = nbs.open_store('hostile.db')\nrun = store.runs('said')[-1]",
        "nbs.HistoryTable(store, page_size=200, columns=['name', 'agent_name', 'tags', 'model', 'owner', 'notebook'])",
        "nbs.SessionPicker(store)",
        "nbs.ConversationView('said', store=store, page_size=200)",
        "nbs.RunReplay(run, store)",
    ),
    "smoke": (AGENT, "%session history --widget", "%session pick"),
}


class Notebook:
    """An open notebook, as a person works in it."""

    def __init__(self, lab: Lab, context: BrowserContext, name: str) -> None:
        self.lab, self.page = lab, context.new_page()
        lab.watch(self.page)
        lab.open(self.page, f"{name}.ipynb")

    def cell(self, number: int) -> Locator:
        return self.page.locator(".jp-CodeCell").nth(number)

    def start(self, number: int) -> None:
        """Run a cell, and wait for nothing."""
        self.page.evaluate(
            """number => {
                const app = window.jupyterapp;
                app.shell.currentWidget.content.activeCellIndex = number;
                app.commands.execute('notebook:run-cell');
            }""",
            number,
        )

    def run(self, number: int) -> Locator:
        """Run a cell to its end."""
        self.start(number)
        self.page.wait_for_function(
            """number => {
                const panel = window.jupyterapp.shell.currentWidget;
                return panel.content.widgets[number].model.executionState === 'idle'
                    && panel.content.widgets[number].model.executionCount !== null;
            }""",
            arg=number,
        )
        return self.cell(number)

    def shows(self, number: int) -> str:
        return "\n".join(self.cell(number).locator(".jp-OutputArea-output").all_inner_texts())

    def save(self) -> int:
        """Save it, and return its size in bytes."""
        self.lab.command(self.page, "docmanager:save")
        path = self.page.evaluate("() => window.jupyterapp.shell.currentWidget.context.path")
        return int((self.lab.folder / path).stat().st_size)

    def restart(self) -> None:
        self.page.evaluate(
            "() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()"
        )
        self.page.wait_for_function(
            "() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.status === 'idle'"
        )

    def theme(self, name: str) -> None:
        self.lab.command(self.page, "apputils:change-theme", theme=THEMES[name])
        self.page.wait_for_function(
            "dark => document.body.dataset.jpThemeLight === String(!dark)", arg=name == "dark"
        )
        self.page.wait_for_timeout(300)

    def photograph(self, folder: Path, **parts: Locator) -> None:
        """Take pictures of parts, light and dark."""
        for theme in ("dark", "light"):
            self.theme(theme)
            for name, part in parts.items():
                part.screenshot(path=folder / f"{name}-{theme}.png")


def keeps_focus(part: Locator, press: str) -> bool:
    """Press a button by keyboard, and tell whether the focus is still in its widget a moment later."""
    part.get_by_role("button", name=press).focus()
    part.page.keyboard.press("Enter")
    part.page.wait_for_timeout(1_000)
    return bool(part.evaluate("widget => widget.contains(document.activeElement)"))


def until(condition: Callable[[], Any]) -> float:
    """Return how many milliseconds it takes until something holds."""
    began = time.perf_counter()
    while not condition():
        if time.perf_counter() - began > _PATIENCE:
            raise AssertionError("It never came.")
        time.sleep(0.005)
    return round((time.perf_counter() - began) * 1_000)


def rows(table: Locator) -> list[str]:
    """Return the names that a table shows."""
    return table.locator("tbody tr td:nth-child(2)").all_inner_texts()


def listed(picker: Locator) -> list[str]:
    """Return the lines that a picker shows, whose spaces do not break there."""
    return [line.replace("\u00a0", " ") for line in picker.locator(".nbs-list option").all_inner_texts()]


def look_at_table(lab: Lab, context: BrowserContext, folder: Path) -> dict[str, Any]:
    """Search, sort, page, select and delete; from another notebook, while busy, after a reload and a restart."""
    book, seen = Notebook(lab, context, "table"), dict[str, Any]()
    page = book.page
    book.run(0)
    table = book.run(1).locator(".nbs")
    table.locator("tbody tr").first.wait_for()
    seen["first"] = rows(table)
    table.get_by_role("button", name="Name").click()
    table.locator("th[aria-sort=ascending]").wait_for()
    seen["by name"] = rows(table)
    table.get_by_role("button", name="Next page").click()
    table.get_by_text("21\u2013").wait_for()
    seen["second page"] = rows(table)
    seen["focus"] = [press for press in ("Previous page", "Name") if not keeps_focus(table, press)]
    table.get_by_role("button", name="Name").click()
    table.locator("th[aria-sort=ascending]").wait_for()
    table.get_by_role("searchbox", name="Search sessions").fill("travel")
    table.get_by_text("1 session", exact=False).wait_for()
    until(lambda: len(rows(table)) == 1)
    seen["found"] = rows(table)
    page.keyboard.press("Escape")
    until(lambda: len(rows(table)) == 20)
    book.photograph(folder, table=table)
    seen |= _delete(book, table)
    seen["others"] = _from_another(lab, context, table)
    seen["failing"] = _failing(book, table)
    seen["while busy"] = _while_busy(book, table)
    seen["saved"] = book.save()
    page.reload()
    lab.open(page, "table.ipynb")
    table = book.cell(1).locator(".nbs")
    table.locator("tbody tr").first.wait_for()
    table.get_by_role("searchbox", name="Search sessions").fill("onboarding")
    seen["after a reload"] = until(lambda: rows(table) == ["onboarding"]) and rows(table)
    book.restart()
    dead = table.get_by_role("alert")
    if not dead.is_visible():
        table.get_by_role("searchbox", name="Search sessions").fill("owls")
    dead.wait_for()
    seen["dead"] = dead.inner_text()
    table.screenshot(path=folder / "dead.png")
    book.run(0)
    table = book.run(1).locator(".nbs")
    table.get_by_role("searchbox", name="Search sessions").fill("owls")
    until(lambda: rows(table)[0] == "owls")
    seen["alive again"] = not table.get_by_role("alert").is_visible()
    page.close()
    return seen


def _delete(book: Notebook, table: Locator) -> dict[str, Any]:
    """Select two rows by keyboard and mouse, look at them in Python, delete them."""
    seen: dict[str, Any] = {}
    body = table.locator("tbody tr")
    chosen = rows(table)[1:3]
    body.nth(1).click()
    body.nth(1).press("ArrowDown")
    book.page.keyboard.press("Space")
    table.get_by_text("2 selected").wait_for()
    seen["selected"] = table.locator("tr[aria-selected=true] td:nth-child(2)").all_inner_texts()
    book.run(2)
    seen["in Python"] = book.shows(2)
    table.get_by_role("button", name="Delete…").click()
    table.get_by_text("Delete 2 sessions for good?").wait_for()
    table.get_by_role("button", name="Delete", exact=True).click()
    table.get_by_role("status").filter(has_text="Deleted 2 sessions").wait_for()
    until(lambda: not set(chosen) & set(rows(table)))
    seen["chosen"], seen["told"] = chosen, table.get_by_role("status").inner_text()
    return seen


def _from_another(lab: Lab, context: BrowserContext, table: Locator) -> list[str]:
    other = Notebook(lab, context, "other")
    table.get_by_role("button", name="Updated").click()
    other.run(0)
    other.run(1)
    other.page.close()
    until(lambda: rows(table)[:1] == ["from the other notebook"])
    return rows(table)[:1]


def _while_busy(book: Notebook, table: Locator) -> dict[str, Any]:
    """Turn a page while a cell runs."""
    book.start(3)
    table.get_by_role("button", name="Next page").click()
    took = until(lambda: table.get_by_text("21\u2013").is_visible())
    is_busy = "document.querySelectorAll('.jp-CodeCell')[3].querySelector('.jp-InputPrompt').innerText"
    prompt = book.page.evaluate(is_busy)
    book.lab.command(book.page, "notebook:interrupt-kernel")
    return {"prompt": prompt, "milliseconds": took}


def _failing(book: Notebook, table: Locator) -> dict[str, Any]:
    """Turn pages while the store fails, and when it is there again."""
    seen: dict[str, Any] = {}
    status = table.get_by_role("status")
    book.run(4)
    table.get_by_role("button", name="Next page").click()
    status.filter(has_text="The disk is gone.").wait_for()
    seen["rows"] = len(rows(table))
    book.run(5)
    table.get_by_role("button", name="Name").click()
    until(lambda: rows(table)[:1] == ["budget 2027"])
    seen["after"] = status.inner_text()
    return seen


def look_at_picker(lab: Lab, context: BrowserContext, folder: Path) -> dict[str, Any]:
    """Find a session by what was said in it, resume it, and ask: by mouse, and by keys alone."""
    book, seen = Notebook(lab, context, "picker"), dict[str, Any]()
    book.run(0)
    picker = book.run(1).locator(".nbs-picker")
    search = picker.get_by_role("textbox", name="Search sessions")
    search.wait_for()
    until(lambda: len(listed(picker)) > 1)
    seen["first"] = listed(picker)
    book.photograph(folder, picker=picker)
    search.fill("barn")
    until(lambda: len(listed(picker)) == 1)
    seen["found"] = listed(picker)
    picker.get_by_text("How warm is it there?").wait_for()
    seen["preview"] = picker.inner_text()
    picker.get_by_role("button", name="Resume").click()
    picker.get_by_text("the next %%agent goes on with it").wait_for()
    book.run(2)
    seen["answered"] = book.shows(2)
    # And by keys alone.
    picker.locator(".nbs-list select").focus()
    book.page.keyboard.press("Escape")
    until(lambda: len(listed(picker)) > 1)
    book.page.keyboard.press("/")
    book.page.keyboard.type("glossary")
    until(lambda: len(listed(picker)) == 1)
    book.page.keyboard.press("ArrowDown")
    book.page.keyboard.press("Enter")
    picker.get_by_text("Resumed 'glossary'").wait_for()
    book.run(3)
    seen["by keys"] = book.shows(3)
    book.page.close()
    return seen


def look_at_conversation(lab: Lab, context: BrowserContext, folder: Path) -> dict[str, Any]:
    """Fork from the middle of a conversation, and ask there; then go back to the other way."""
    book, seen = Notebook(lab, context, "conversation"), dict[str, Any]()
    for number in (0, 1):
        book.run(number)
    view = book.run(2).locator(".nbs")
    view.locator(".nbs-turn").first.wait_for()
    seen["turns"] = view.locator(".nbs-turn").count()
    view.locator("summary").first.click()
    view.locator("summary").last.click()
    book.photograph(folder, conversation=view)
    view.get_by_role("button", name="Fork here, after message 2").click()
    view.get_by_text("Now on 'larks (fork)'").wait_for()
    book.run(3)
    view.get_by_text("You asked: And owls?").wait_for()
    seen["on the fork"] = view.locator(".nbs-turn").all_inner_texts()
    view.get_by_role("button", name="Previous way").click()
    view.get_by_text("\u00b7 6 messages").wait_for()
    seen["the other way"] = view.locator(".nbs-bar").first.inner_text()
    view.get_by_role("button", name="Rewind here, after message 2").click()
    view.get_by_role("button", name="Undo").click()
    view.get_by_role("status").filter(has_text="Back at").wait_for()
    seen["undone"] = view.get_by_role("status").inner_text()
    presses = ("Rewind here, after message 2", "Undo", "Fork here, after message 2")
    seen["focus"] = [press for press in presses if not keeps_focus(view, press)]
    book.page.close()
    return seen


def look_at_replay(lab: Lab, context: BrowserContext, folder: Path) -> dict[str, Any]:
    """Move through the events of a run."""
    book = Notebook(lab, context, "replay")
    book.run(0)
    output = book.run(1).locator(".jp-OutputArea-output").last
    slider = output.get_by_role("slider").first
    slider.wait_for()
    slider.focus()
    book.page.keyboard.press("Home")
    output.get_by_text("event 0 of").wait_for()
    book.page.keyboard.press("ArrowRight")
    output.get_by_text("event 1 of").wait_for()
    first = output.inner_text()
    book.page.keyboard.press("End")
    output.get_by_text("degrees").first.wait_for()
    seen = {"first": first, "last": output.inner_text()}
    book.photograph(folder, replay=output)
    book.page.close()
    return seen


_OLDER = {"table": "[aria-label='Next page']", "picker": "button:has(+ .nbs-place)"}
_TOOK = """async (root, [first, control, text, wanted]) => {
    const shown = () => (root.querySelector(first)?.textContent ?? '').replaceAll('\\u00a0', ' ');
    const before = shown(), at = performance.now(), node = root.querySelector(control);
    if (text === null) node.click();
    else {
        node.value = text;
        node.dispatchEvent(new Event('input', { bubbles: true }));
    }
    await new Promise(done => new MutationObserver(() => {
        if (shown() !== before && shown().includes(wanted)) done();
    }).observe(root, { subtree: true, childList: true, characterData: true }));
    await new Promise(requestAnimationFrame);
    return performance.now() - at;
}"""


def look_at_many(lab: Lab, context: BrowserContext, folder: Path) -> dict[str, Any]:
    """Measure with 100,000 sessions, from the end of the kernel's imports on; medians of five."""
    book, seen = Notebook(lab, context, "many"), dict[str, Any]()
    book.run(0)
    before = book.save()
    parts = {
        "table": (".nbs", "tbody td:nth-child(2)", _OLDER["table"], "[type=search]"),
        "picker": (".nbs-picker", ".nbs-list option", _OLDER["picker"], "input[type=text]"),
    }
    for number, (name, (root, first, older, search)) in enumerate(parts.items(), 1):
        part = book.cell(number).locator(root)
        book.start(number)
        seen[f"{name}: first paint"] = until(lambda: part.locator(first).count() > 1)  # noqa: B023
        turns = [part.evaluate(_TOOK, [first, older, None, ""]) for _ in range(5)]
        words = [f"session {42420 + number}" for number in range(5)]
        searches = [part.evaluate(_TOOK, [first, search, word, word]) for word in words]
        seen |= {f"{name}: page turn": round(median(turns)), f"{name}: search": round(median(searches))}
    seen["saved"] = book.save() - before
    book.page.close()
    return seen


_MISFITS = """root => [...root.querySelectorAll('*')].filter(node => {
    const box = node.getBoundingClientRect(), own = root.getBoundingClientRect();
    let inside = node.parentElement, clipped = false;
    for (; inside && inside !== root.parentElement; inside = inside.parentElement)
        clipped ||= getComputedStyle(inside).overflowX !== 'visible';
    return box.width && !clipped && box.right > own.right + 1;
}).map(node => node.outerHTML.slice(0, 200))"""


_HEIGHTS = "root => [...root.querySelectorAll('.nbs-scroll tbody tr')].map(row => row.getBoundingClientRect().height)"


def look_at_hostile(lab: Lab, context: BrowserContext, folder: Path) -> dict[str, Any]:
    """Open a store that is full of what would act, unfold all of it, and point at it."""
    book, seen = Notebook(lab, context, "hostile"), dict[str, Any]()
    book.run(0)
    for number, name in enumerate(("table", "picker", "conversation", "replay"), 1):
        output = book.run(number).locator(".jp-OutputArea-output").last
        output.wait_for()
        book.page.wait_for_timeout(1_000)
        if name == "replay":
            output.get_by_role("slider").first.focus()
            book.page.keyboard.press("End")
            book.page.wait_for_timeout(1_000)
        misfits, pages = [], 0
        for pages, _ in enumerate(_pages(name, output), 1):  # noqa: B007
            _point_at_all(book, output)
            misfits += output.evaluate(_MISFITS)
            seen["rows"] = seen.get("rows", []) + output.evaluate(_HEIGHTS)
        seen[name] = {"misfits": misfits, "text": len(output.inner_text()), "pages": pages}
        output.screenshot(path=folder / f"hostile-{name}.png")
    seen["pwned"] = book.page.evaluate("window.pwned ?? null")
    seen["hidden"] = book.page.evaluate("getComputedStyle(document.body).display")
    seen["path"] = book.page.evaluate("() => window.jupyterapp.shell.currentWidget.context.path")
    # That it would be noticed.
    book.page.evaluate(f"document.body.insertAdjacentHTML('beforeend', {hostile.CORPUS[1]!r})")
    until(lambda: book.page.evaluate("window.pwned ?? null"))
    book.page.close()
    return seen


def _pages(name: str, output: Locator) -> Iterator[None]:
    """Turn to each page of a widget, beginning with the one that is shown."""
    yield
    first = ".nbs-list option" if name == "picker" else "tbody td:nth-child(2)"
    while name in _OLDER and output.locator(_OLDER[name]).is_enabled():
        output.evaluate(_TOOK, [first, _OLDER[name], None, ""])
        yield
    while output.get_by_role("button", name="Earlier turns").is_visible():
        before = output.locator(".nbs-turn").first.inner_text()
        output.get_by_role("button", name="Earlier turns").click()
        until(lambda: output.locator(".nbs-turn").first.inner_text() != before)  # noqa: B023
        yield


def _point_at_all(book: Notebook, output: Locator) -> None:
    """Unfold everything, point at it and focus it, and follow what would lead to a script."""
    output.evaluate(
        """root => {
            root.querySelectorAll('details').forEach(fold => (fold.open = true));
            root.querySelectorAll('*').forEach(node => {
            for (const kind of ['pointerover', 'mouseover', 'focus']) node.dispatchEvent(new Event(kind));
            const link = node.closest('a');
                if (link && !/^(https?:|mailto:)/.test(link.getAttribute('href') ?? '')) link.click();
            });
        }"""
    )
    book.page.wait_for_timeout(300)


def look_at_notebook_7(lab: Lab, context: BrowserContext, folder: Path) -> dict[str, Any]:
    """Run a notebook in the other front end, and click in it."""
    page, seen = context.new_page(), dict[str, Any]()
    lab.watch(page)
    lab.open(page, "smoke.ipynb", "notebooks")
    page.locator(".jp-CodeCell").first.click()
    for _ in CELLS["smoke"]:
        page.keyboard.press("Shift+Enter")
    table, picker = page.locator(".nbs:has(table[role=grid])"), page.locator(".nbs-picker")
    table.locator("tbody tr").first.wait_for(timeout=SECONDS * 1_000)
    table.get_by_role("searchbox", name="Search sessions").fill("travel")
    until(lambda: len(rows(table)) == 1)
    seen["found"] = rows(table)
    picker.get_by_role("button", name="Resume").click()
    picker.get_by_text("the next %%agent goes on with it").wait_for()
    seen["resumed"] = True
    page.screenshot(path=folder / "notebook-7.png")
    page.close()
    return seen


LOOKS = {
    "picker": look_at_picker,
    "table": look_at_table,
    "conversation": look_at_conversation,
    "replay": look_at_replay,
    "many": look_at_many,
    "hostile": look_at_hostile,
    "notebook 7": look_at_notebook_7,
}


def look(folder: Path, *wanted: str) -> dict[str, Any]:
    """Look at all of it, and return what was seen."""
    served = folder / "served"
    os.environ["NBSESSIONS_OWNER"] = "ada"
    for name in ("served", "home", "chromium"):
        (folder / name).mkdir()
    for name, sources in CELLS.items():
        cells = [nbformat.v4.new_code_cell(source) for source in sources]
        kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
        book = nbformat.v4.new_notebook(cells=cells, metadata=kernel)
        nbformat.write(book, served / f"{name}.ipynb")
    with nbs.open_store(folder / "agents.db") as store:
        filled(store)
        birds(store)
    with nbs.open_store(served / "hostile.db") as store:
        hostile.run_of(hostile.fill(store))
    many(served / MANY)
    env = {"NBSESSIONS_STORE": str(folder / "agents.db")}
    with jupyterlab(served, folder / "home", **env) as lab, browser(folder / "chromium") as context:
        context.set_default_timeout(20_000)
        try:
            seen = {n: act(lab, context, folder) for n, act in LOOKS.items() if not wanted or n in wanted}
        except BaseException:
            for number, page in enumerate(context.pages):
                page.screenshot(path=folder / f"failed-{number}.png")
            raise
        return seen | {"strangers": lab.strangers}


def birds(store: nbs.Store) -> None:
    """Add conversations with thoughts and a tool, and more sessions than a page of a table holds."""
    for number in range(1, 16):
        store.create(f"notes {number}", agent_name="coder")
    _talk(store, "larks", "In **fields**.")
    _talk(store, "owls", "In **woods** and barns.")


def _talk(store: nbs.Store, name: str, answer: str) -> None:
    call = {"id": "c", "function": {"name": "weather", "arguments": '{"place": "Oslo", "unit": "C"}'}}
    agent = ScriptedAgent(
        [
            [answer, nbs.Usage(input_tokens=812, output_tokens=9, requests=1)],
            [
                {
                    "role": "assistant",
                    "content": "I look.",
                    "reasoning_content": "The person wants to know the weather. A tool tells it.",
                    "tool_calls": [call],
                },
                {"role": "tool", "tool_call_id": "c", "content": '{"degrees": -3, "sky": "clear"}'},
                "| City | degrees |\n|---|---:|\n| Oslo | -3 |\n\nPut on a *coat*.",
                nbs.Usage(input_tokens=1_904, output_tokens=61, requests=2),
            ],
        ],
        name="answer",
        model="gpt-5-mini",
    )
    session = store.create(name, agent_name="answer", tags=["nature"])
    for prompt in (f"Where do {name} live?", "How warm is it there?"):
        session.send(prompt, agent=agent)


if __name__ == "__main__":
    print(json.dumps(look(Path(sys.argv[1]), *sys.argv[2:])))
