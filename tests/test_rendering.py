"""Model text as HTML: nothing runs, nothing loads, nothing is lost."""

from __future__ import annotations

import re
import time
from html.parser import HTMLParser
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbsessions.rendering import code_html, escape, indented_json, markdown_html
from nbsessions.text import strip_controls

TAGS = set(re.findall(r"\w+", "a blockquote br code details div em h1 h2 h3 h4 h5 h6 hr li ol p pre s span"))
TAGS |= {"strong", "summary", "table", "tbody", "td", "th", "thead", "tr", "ul"}
ATTRIBUTES = {"a": {"href", "target", "rel", "style"}, "ol": {"start"}}
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


class Page(HTMLParser):
    """What a browser would make of it."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self.feed(html)
        self.close()

    @property
    def text(self) -> str:
        return "".join(self.texts)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")

    def handle_decl(self, decl: str) -> None:
        raise AssertionError(f"a declaration: {decl}")


def assert_safe(html: str) -> Page:
    page = Page(html)
    for tag, attributes in page.tags:
        assert tag in TAGS
        assert set(attributes) <= ATTRIBUTES.get(tag, {"style"})
        assert re.fullmatch(r"[-\w\s:;.,#%()]*", attributes.get("style", ""))
        assert not re.search(r"url|expression|import|position", attributes.get("style", ""))
        if "href" in attributes:
            assert urlsplit(attributes["href"]).scheme.lower() in ("http", "https", "mailto")
            assert attributes["rel"] == "noopener noreferrer"
        assert re.fullmatch(r"\d*", attributes.get("start", ""))
    assert not CONTROLS.search(html)
    assert not CONTROLS.search(page.text)
    return page


PIECES = """
<script>alert(1)</script>|<img src=x onerror=alert(1)>|<svg/onload=alert(1)>|<!--|-->|<![CDATA[|<?php
<a href='javascript:alert(1)'>|" onmouseover="alert(1)|javascript:alert(1)|data:text/html,x
https://a.b/c?d="'<>|&lt;|&#60;|&#x202e;|&#27;|&colon;|[|](|)|![|<|>|`|```|~~~|*|**|_|~~|===|---|x
$|$$|\\(|\\)|\\[|\\]|\\|\\begin{align}|\\end{align}|<br>|[a]: javascript:x|[a]|<http://x.y>|<mailto:a@b>
""".replace("\n", "|").split("|")
PIECES += [
    "\n",
    "\n\n",
    "```html\n",
    "    ",
    "- ",
    "1. ",
    "> ",
    "# ",
    "|",
    "|-|-|\n",
    "\t",
    "\x1b[31m",
    "\u202e",
    " ",
]


@settings(max_examples=400, deadline=None)
@given(st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=4)), max_size=25).map("".join))
def test_any_text_is_safe(text: str) -> None:
    assert_safe(markdown_html(text))
    assert_safe(markdown_html(text, breaks=True))


@settings(deadline=None)
@given(st.text())
def test_escape_keeps_every_character(text: str) -> None:
    page = assert_safe(escape(text))
    assert page.text == strip_controls(text)
    assert all(tag == "span" and not attributes for tag, attributes in page.tags)


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "<svg><script>alert(1)</script></svg>",
        "</pre></div></details><script>alert(1)</script>",
        '<button data-commandlinker-command="notebook:run-all-cells">x</button>',
        "<iframe srcdoc='<script>1</script>'>",
        "<style>* {display: none}</style>",
        "```html\n<script>alert(1)</script>\n```",
        "```<script>alert(1)</script>\nx\n```",
        '```python" onmouseover="alert(1)\nx\n```',
        "````\n```\n<script>alert(1)</script>\n```\n````",
        "| a |\n|---|\n| <img src=x onerror=alert(1)> |",
        "`<script>`",
        "# <script>alert(1)</script>",
        "$<script>alert(1)</script>$",
        "$$\n<img src=x onerror=alert(1)>\n$$",
    ],
)
def test_html_is_shown_not_run(text: str) -> None:
    page = assert_safe(markdown_html(text))
    allowed = {"p", "code", "pre", "div", "table", "thead", "tbody", "tr", "th", "td", "h1", "span"}
    assert {tag for tag, _ in page.tags} <= allowed


@pytest.mark.parametrize(
    "text",
    [
        "[x](javascript:alert(1))",
        "[x](JaVaScRiPt:alert(1))",
        "[x](  javascript:alert(1))",
        "[x](&#106;avascript:alert(1))",
        "[x](javascript&colon;alert(1))",
        "[x](java\tscript:alert(1))",
        "[x](data:text/html;base64,PHNjcmlwdD4=)",
        "[x](vbscript:msgbox)",
        "[x](file:///etc/passwd)",
        "[x](/lab/tree/private.ipynb)",
        "[x](//evil.example/x)",
        "[x](#commandlinker)",
        "<javascript:alert(1)>",
        "[x][a]\n\n[a]: javascript:alert(1)",
        "![x](data:image/png;base64,AAAA)",
    ],
)
def test_other_links_are_text(text: str) -> None:
    assert "a" not in [tag for tag, _ in assert_safe(markdown_html(text)).tags]


@pytest.mark.parametrize(
    "text", ["[x](https://a.b/c)", "<https://a.b/c>", "[x][a]\n\n[a]: https://a.b/c 'title'"]
)
def test_web_links_open_elsewhere(text: str) -> None:
    links = [attributes for tag, attributes in assert_safe(markdown_html(text)).tags if tag == "a"]
    assert [link["href"] for link in links] == ["https://a.b/c"]
    assert links[0]["target"] == "_blank"


def test_images_are_links_and_load_nothing() -> None:
    page = assert_safe(markdown_html('![a *cat*](https://a.b/cat.png "title")'))
    assert [tag for tag, _ in page.tags] == ["p", "a"]
    assert page.text.strip() == "a cat (https://a.b/cat.png)"
    nested = assert_safe(markdown_html("[![cat](https://a.b/cat.png)](https://c.d)"))
    assert [attributes["href"] for tag, attributes in nested.tags if tag == "a"] == ["https://c.d"]


@pytest.mark.parametrize(
    "formula",
    [
        "$a_1 b_1$",
        r"$\mathbf{x}_1 + \mathbf{y}_2$",
        "$a*b*c$",
        "$x<y$",
        r"\(a_1 * b_1 * c\)",
        r"\[\sum_{i=1}^n x_i\]",
        "$$a_1 b_1$$",
        "$$\na\n- b\n+ c\n$$",
        "\\[\n# a\n> b\n\\]",
        "\\begin{align}\na &= b_1 \\\\\n- c &= d_1\n\\end{align}",
    ],
)
def test_formulas_survive(formula: str) -> None:
    for text in (formula, f"before {formula} after", f"- {formula}", f"Text:\n{formula}"):
        if "\n" in formula and not text.endswith(f"\n{formula}") and text != formula:
            continue
        page = assert_safe(markdown_html(text))
        assert formula in page.texts, "in one piece, for MathJax looks at one text node at a time"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("$5 and $6", "$5 and $6"),
        ("US$5 to EU$6", "US$5 to EU$6"),
        (r"\$x\$", "$x$"),
        (r"\\(x\\)", r"\(x\)"),
        (r"\begin{itemize} x \end{itemize}", r"\begin{itemize} x \end{itemize}"),
        ("$`a` and $b", "$a and $b"),
    ],
)
def test_money_is_no_formula(text: str, shown: str) -> None:
    page = assert_safe(markdown_html(text))
    assert page.text.strip() == shown
    assert not any(re.search(r"\$.+|\\[(\[]|\\begin", part) for part in page.texts)


@pytest.mark.parametrize("command", [r"\href{javascript:alert(1)}{x}", r"\gdef\frac{1}", r"\class{jp-x}{y}"])
def test_formulas_do_not_reach_out(command: str) -> None:
    page = assert_safe(markdown_html(f"${command}$"))
    assert [tag for tag, _ in page.tags] == ["p", "code"], "MathJax passes code over"


@settings(deadline=None)
@given(st.text(), st.sampled_from(["python", "json", "html", "bash", "sql", "diff", "", "nonsense", "c++"]))
def test_code_is_shown_as_it_is(code: str, language: str) -> None:
    page = assert_safe(code_html(code, language))
    assert page.text.rstrip("\n") == strip_controls(code).rstrip("\n").removeprefix("\ufeff")


def test_code_is_highlighted_with_the_colours_of_the_theme() -> None:
    page = assert_safe(markdown_html('```python\ndef f(): return "<b>"\n```'))
    styles = [attributes["style"] for tag, attributes in page.tags if tag == "span"]
    assert "color:var(--jp-mirror-editor-keyword-color, #008000)" in styles


def test_markdown_is_rendered() -> None:
    page = assert_safe(
        markdown_html("# T\n\n|a|b|\n|-|-:|\n|1|2<br>3|\n\n3. x\n\n~~no~~ **b** *i*\n\n> q\n\n---")
    )
    tags = [tag for tag, _ in page.tags]
    assert {"h1", "table", "td", "br", "ol", "li", "s", "strong", "em", "blockquote", "hr"} <= set(tags)
    assert ("ol", {"start": "3"}) in page.tags
    assert "text-align:right" in [attributes for tag, attributes in page.tags if tag == "td"][1]["style"]


def test_line_breaks_of_a_person_are_kept() -> None:
    assert "<br" in markdown_html("a\nb", breaks=True)
    assert "<br" not in markdown_html("a\nb")


def test_indented_json() -> None:
    assert indented_json('["é"]') == '[\n  "é"\n]'
    assert indented_json("3") is None
    assert indented_json("{") is None
    assert indented_json("[" * 100_000) is None


@pytest.mark.parametrize(
    "piece", ["$x", r"\(", "\\[\n", "\\begin{align}\n", "[a](", "*a ", "\x1b]", "![", "> "]
)
def test_hostile_repetition_is_not_slow(piece: str) -> None:
    started = time.perf_counter()
    assert_safe(markdown_html(piece * (30_000 // len(piece))))
    assert time.perf_counter() - started < 10


@pytest.mark.parametrize(("piece", "language"), [("a", "turtle"), ("<", "perl"), ("\n", "cpp"), ("a.", "ts")])
def test_code_that_is_slow_to_colour_is_shown_without(piece: str, language: str) -> None:
    code = (piece * 10_000)[:10_000] + "end"
    started = time.perf_counter()
    assert_safe(code_html(code, language))
    assert code_html(code[:9_000] + "end", language).rstrip().endswith("end</code></pre>")
    assert time.perf_counter() - started < 20


@pytest.mark.parametrize(
    "macro", ["unicode[x;position:fixed]{x41}", "href{http://a.b}{x}", "style{color:red}{x}"]
)
def test_a_formula_that_reaches_out_is_shown_as_code(macro: str) -> None:
    assert "<code>" in markdown_html(f"$\\{macro}$")


def test_a_huge_text_is_shown_plainly() -> None:
    page = assert_safe(markdown_html("**a** $x$ <b>\n" * 20_000))
    assert page.text == "**a** $x$ <b>\n" * 20_000
    assert {tag for tag, _ in page.tags} == {"div", "span"}
