"""Nothing that a model or a file wrote acts on who looks at an export."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

import nbsessions as nbs
from nbsessions.formats import find
from nbsessions.formats.inert import escaped, escaped_html, fenced, inert
from nbsessions.formats.notebook.cells import cells
from nbsessions.reprs import Conversation
from tests.formats.golden_files import written
from tests.formats.hostile import FRAGMENTS, hostile
from tests.test_rendering import CONTROLS, PIECES, Page, assert_safe

TAGS = {
    *("p", "a", "code", "pre", "ul", "ol", "li", "em", "strong", "s", "blockquote", "hr", "br"),
    "h1",
    "h2",
} | {
    *("h3", "h4", "h5", "h6", "table", "thead", "tbody", "tr", "td", "th"),
}
OURS = {"details", "summary", "sub"}
ATTRIBUTES = {"href", "title", "class", "start", "style"}


def renderers() -> list[MarkdownIt]:
    """Return readers of Markdown that let HTML through, and any link, with and without tables."""
    made = [MarkdownIt("commonmark", {"html": True}), MarkdownIt("commonmark", {"html": True})]
    made[1].enable(["table", "strikethrough"])
    for reader in made:
        reader.validateLink = lambda url: True  # type: ignore[method-assign]
    return made


RENDERERS = renderers()


def assert_inert(markdown: str, tags: set[str] = TAGS) -> str:
    """Fail where Markdown does anything, whoever renders it; return what is read."""
    text = ""
    for renderer in RENDERERS:
        html = renderer.render(markdown)
        page = Page(html)
        text = page.text
        for tag, attributes in page.tags:
            assert tag in tags, html
            assert set(attributes) <= ATTRIBUTES, html
            address = attributes.get("href", "#")
            assert address.startswith("#") or urlsplit(address).scheme.lower() in ("http", "https", "mailto")
        assert not CONTROLS.search(text)
    assert not CONTROLS.search(markdown)
    return text


TRICKS = [
    "`<script>x</script>`",
    "```\n<script>x</script>\n```",
    "| ` | `<img src=x>` |\n|-|-|\n",
    "\n```\n",
    "\n~~~\n",
    "  ```\n",
    "- ```\n",
    "> ```\n",
    "1. ~~~ x\n",
    "``` a ` b\n",
    "](javascript:alert(1))",
    "[a](",
    "[a]:",
    "\\",
    "\\href{javascript:x}{y}",
    "<pre>",
    "</details>",
    "&#58;",
]
TEXTS = st.lists(
    st.one_of(st.sampled_from(PIECES + TRICKS + list(FRAGMENTS)), st.text(max_size=4)), max_size=25
)


@settings(max_examples=400)
@given(TEXTS.map("".join))
def test_any_markdown_is_made_inert(text: str) -> None:
    assert_inert(inert(text))


@settings(max_examples=200)
@given(TEXTS.map("".join))
def test_any_short_text_is_shown_as_it_is(text: str) -> None:
    assert_inert(f"# {escaped(text)}")
    page = Page(f"<p>{escaped_html(text)}</p>")
    assert [tag for tag, _ in page.tags] == ["p"]
    assert_inert(f"| a |\n| --- |\n| {escaped(text)} |\n| <code>{escaped_html(text)}</code> |")


@given(st.lists(st.sampled_from(["`", "``", "```", "~~~", "\n", "x", " ", "<b>"]), max_size=20).map("".join))
def test_nothing_ends_a_block_of_code(text: str) -> None:
    block = fenced(text, "python")
    for renderer in RENDERERS:
        tokens = renderer.parse(f"{block}\n\nafter")
        assert [token.type for token in tokens] == ["fence", "paragraph_open", "inline", "paragraph_close"]


def test_what_is_harmless_stays_as_it_is() -> None:
    text = (
        "# Title\n\nSee [docs](https://a.b/c), `code[0]`, **bold** and $x^2$.\n\n1. One:\n   ```python\n   a = 1\n"
        "   ```\n2. Two\n\n| a | b |\n| - | - |\n| 1 | 2<br>3 |\n\n> quoted\n\n```python\nif a < b:\n    pass\n```"
    )
    assert inert(text) == text


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("a < b and `x < y`", "a &lt; b and <code>x &lt; y</code>"),
        ("\\<b>", "&lt;b>"),
        ("$a < b$", "$a \\lt b$"),
        ("![x](https://a.b/i.png)", "&#33;[x](https://a.b/i.png)"),
        ("[x](file:///etc/passwd)", "[x]&#40;file:///etc/passwd)"),
        ("[x]: javascript:y", "[x]&#58; javascript:y"),
        ("```python\nx", "```python\nx\n```"),
        ("````\n```\n````", "````\n```\n````"),
        ("1. ```html\n   <b>\n   ```", "1. <pre><code>&lt;b&gt;</code></pre>"),
        ("&#x202e;", "&amp;#x202e;"),
        ("\\href{javascript:x}{y}", "&#92;href{javascript:x}{y}"),
    ],
)
def test_what_could_act_is_text(text: str, made: str) -> None:
    assert inert(text) == made


@pytest.mark.parametrize("make", [lambda: hostile(), lambda: hostile(FRAGMENTS[::-1])])
def test_every_field_is_inert_in_markdown(make: Callable[[], Any]) -> None:
    text = assert_inert(written(make(), "markdown").decode(), TAGS | OURS)
    assert "window.pwned=" in text  # it is shown, not dropped


def test_every_field_is_inert_in_a_page() -> None:
    page = written(hostile(), "html").decode()
    body = page.split("<body>", 1)[1].split("</body>")[0]
    found = Page(body)
    ours = {"main", "header", "dl", "dt", "dd", "section", "footer", "time", "b", "div", "span"}
    assert {tag for tag, _ in found.tags} <= TAGS | OURS | ours
    for _, attributes in found.tags:
        assert set(attributes) <= {"href", "target", "rel", "style", "start", "class", "id"}
        address = attributes.get("href", "#")
        assert address.startswith(("#s", "#")) or urlsplit(address).scheme in ("http", "https", "mailto")
    assert not CONTROLS.search(found.text)


def assert_notebook_is_inert(made: list[dict[str, Any]]) -> None:
    for cell in made:
        if cell["cell_type"] == "markdown":
            assert_inert(cell["source"], TAGS | OURS)
            continue
        first, _, _ = cell["source"].partition("\n")
        assert first in ("%load_ext nbsessions", "%%agent --raw --rerun replay")
        if first == "%load_ext nbsessions":
            assert len(cell["source"].splitlines()) == 2
            assert cell["source"].splitlines()[1].startswith("%session load ")
        for output in cell["outputs"]:
            assert set(output["data"]) in ({"text/html", "text/plain"}, {"text/markdown", "text/plain"})
            assert not CONTROLS.search(output["data"]["text/plain"])
            if "text/html" in output["data"]:
                assert_safe(output["data"]["text/html"])
            else:
                assert_inert(output["data"]["text/markdown"])


def test_every_field_is_inert_in_a_notebook() -> None:
    assert_notebook_is_inert(cells(hostile()))


@settings(max_examples=40)
@example(["\x1b"])
@given(st.lists(TEXTS.map("".join).filter(lambda text: bool(text.strip())), min_size=1, max_size=3))
def test_any_session_is_inert_everywhere(fragments: list[str]) -> None:
    from nbsessions.values import mend

    bundle = hostile([mend(fragment) for fragment in fragments])
    assert_notebook_is_inert(cells(bundle))
    assert_inert(written(bundle, "markdown").decode(), TAGS | OURS)
    assert not CONTROLS.search(written(bundle, "csv").decode("utf-8-sig").replace("\r\n", "\n"))
    notebook = written(bundle, "notebook").decode()
    assert not CONTROLS.search(notebook)
    json.loads(notebook)


@pytest.mark.parametrize("format", ["notebook", "json"])
def test_what_is_said_of_a_file_is_inert_in_a_terminal(tmp_path: Path, format: str) -> None:
    suffix = find(format).suffixes[0]
    path = tmp_path / f"a{suffix}"
    path.write_bytes(written(hostile(), format))
    foreign = {"cell_type": "code", "source": "%%ai " + "x\x1b[31m\n" + "\n".join(FRAGMENTS), "metadata": {}}
    error = {"output_type": "error", "ename": "\x1b[31mE", "evalue": "\u202eevil\x07", "traceback": []}
    data = {"nbformat": 4, "metadata": {}, "cells": [foreign | {"outputs": [error]}]}
    (tmp_path / "b.ipynb").write_text(json.dumps(data))
    (tmp_path / "c.ipynb").write_text(json.dumps({"nbformat": 3, "worksheets": "\x1b[31m\u202e"}))
    with nbs.open_store("memory:") as store:
        report = store.import_(tmp_path)
        assert len(report) == 2
        assert not CONTROLS.search(str(report))
        assert not CONTROLS.search("".join(str(run.error) for run in store.runs("hostile-1")))
        assert not CONTROLS.search(str(Conversation("x", store.resume("hostile-1").messages)))
