"""
Text that a model or a file gave, as HTML that cannot do anything.

JupyterLab does not sanitise `text/markdown` from a live kernel, so model text never leaves as
Markdown or raw HTML: Markdown is rendered here, every character escaped, nothing but our own tags
and inline styles around it. Colours are JupyterLab's CSS variables, so that light and dark themes
are both right, with fallbacks for pages without a theme.
"""

from __future__ import annotations

import html
import json
import re
import time
from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from nbsessions.text import strip_controls

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.rules_block import StateBlock
    from markdown_it.rules_inline import StateInline
    from markdown_it.token import Token

MUTED = "color:var(--jp-ui-font-color2, #757575)"
MONO = "font-family:var(--jp-code-font-family, monospace);font-size:var(--jp-code-font-size, 13px)"
BORDER = "var(--jp-border-color2, #bdbdbd)"
RULE = f"1px solid {BORDER}"
# Text and background always come as a pair, so that a fallback never meets a theme's other half.
PRE = (
    f"margin:.5em 0;padding:8px 12px;{MONO};line-height:1.45;white-space:pre;word-break:normal;"
    f"overflow-x:auto;border:{RULE};border-radius:4px;"
    "background:var(--jp-cell-editor-background, #f5f5f5);color:var(--jp-content-font-color1, #212121)"
)
_WRAPPED = "white-space:pre-wrap;overflow-wrap:anywhere"
_LOW = "max-height:24em;overflow-y:auto"
_CODE_IN_PRE = "background:transparent;color:inherit;font:inherit;white-space:inherit;padding:0"
_CELL = f"padding:4px 12px;border:{RULE}"
_HEADING_SIZES = {"h1": "1.45em", "h2": "1.3em", "h3": "1.15em", "h4": "1.05em", "h5": "1em", "h6": ".95em"}

_MARKDOWN_LIMIT = 200_000
# Most lexers take quadratic time for what is made to be slow.
HIGHLIGHT_LIMIT = 10_000
_HIGHLIGHT_SECONDS = 0.2

# Where MathJax would see a formula that is none ("$5 and $6"). Alone in an element, it does not.
_LOOKS_LIKE_MATH = re.compile(r"\$|\\(?=[()\[\]]|begin\b|(?:eq)?ref\b)")


def escape(text: str) -> str:
    """Return `text` for use in HTML, without controls and safe from being typeset as a formula.

    Examples
    --------
    >>> escape("<b> for $5")
    '&lt;b&gt; for <span>$</span>5'
    """
    # Also where Markdown was stripped before: "&#x202e;" is an override only once it is parsed.
    return _LOOKS_LIKE_MATH.sub(lambda match: f"<span>{match[0]}</span>", html.escape(strip_controls(text)))


def markdown_html(text: str, *, breaks: bool = False) -> str:
    """Return Markdown as safe HTML: our tags only, no image loaded, links to the web and mail only.

    Parameters
    ----------
    text : str
    breaks : bool
        Keep line breaks, as a person who typed a prompt means them.

    Examples
    --------
    >>> print(markdown_html("<script> and [me](javascript:alert(1))"))
    <p style="margin:0 0 .6em">&lt;script&gt; and [me](javascript:alert(1))</p>
    """
    text = strip_controls(text)
    if len(text) > _MARKDOWN_LIMIT:
        return f'<div style="white-space:pre-wrap">{escape(text)}</div>'
    return str(markdown(breaks).render(text))


def code_html(code: str, language: str = "", *, wrap: bool = False, whole: bool = False) -> str:
    """Return a block of code, highlighted where the language is known; `wrap` is for data, not code.

    Data scrolls in a low block, unless the `whole` of it is to be seen.

    Examples
    --------
    >>> "&lt;b&gt;" in code_html("<b>")
    True
    """
    code = strip_controls(code).rstrip("\n")
    style = f"{PRE};{_WRAPPED}" if wrap or whole else PRE
    if wrap and not whole:
        style += f";{_LOW}"
    return f'<pre style="{style}"><code style="{_CODE_IN_PRE}">{_highlight(code, language)}</code></pre>\n'


def indented_json(text: str) -> str | None:
    """Return a JSON object or array over several lines; None where `text` is something else.

    Examples
    --------
    >>> print(indented_json('{"a": 1}'))
    {
      "a": 1
    }
    """
    try:
        value = json.loads(text)
        return json.dumps(value, indent=2, ensure_ascii=False) if isinstance(value, (dict, list)) else None
    except (ValueError, RecursionError):
        return None


_TOKEN_COLOURS = {
    "Keyword": ("keyword", "#008000"),
    "Keyword.Constant": ("atom", "#8888ff"),
    "Name.Builtin": ("builtin", "#008000"),
    "Name.Function": ("def", "#0000ff"),
    "Name.Class": ("def", "#0000ff"),
    "Name.Decorator": ("meta", "#aa22ff"),
    "Name.Tag": ("tag", "#117700"),
    "Name.Attribute": ("attribute", "#0000cc"),
    "Literal.String": ("string", "#ba2121"),
    "Literal.String.Escape": ("string-2", "#770088"),
    "Literal.String.Regex": ("string-2", "#770088"),
    "Literal.Number": ("number", "#008800"),
    "Operator": ("operator", "#7800c2"),
    "Operator.Word": ("keyword", "#008000"),
    "Comment": ("comment", "#408080"),
    "Comment.Preproc": ("meta", "#aa22ff"),
    "Generic.Heading": ("header", "#0000ff"),
    "Generic.Inserted": ("quote", "#009900"),
    "Generic.Deleted": ("string", "#ba2121"),
}


@cache
def _token_style(name: str) -> str:
    # "Name.Function.Magic" takes the colour of "Name.Function".
    while name:
        if name in _TOKEN_COLOURS:
            variable, fallback = _TOKEN_COLOURS[name]
            slant = ";font-style:italic" if variable == "comment" else ""
            return f"color:var(--jp-mirror-editor-{variable}-color, {fallback}){slant}"
        name = name.rpartition(".")[0]
    return ""


@lru_cache(maxsize=64)
def _highlight(code: str, language: str) -> str:
    from itertools import groupby

    from pygments.lexers import get_lexer_by_name
    from pygments.util import ClassNotFound

    if not language or len(code) > HIGHLIGHT_LIMIT:
        return html.escape(code)
    try:
        lexer = get_lexer_by_name(language, stripnl=False, ensurenl=False)
    except ClassNotFound:
        return html.escape(code)
    parts = []
    for style, group in groupby(_coloured(lexer, code), key=lambda token: token[0]):
        value = html.escape("".join(text for _, text in group))
        parts.append(f'<span style="{style}">{value}</span>' if style else value)
    return "".join(parts)


def _coloured(lexer: Any, code: str) -> Iterator[tuple[str, str]]:
    """Yield pieces of code with their styles; from where it takes too long, the rest without any."""
    deadline, seen = time.monotonic() + _HIGHLIGHT_SECONDS, 0
    for kind, value in lexer.get_tokens(code):
        yield _token_style(str(kind)[len("Token.") :]), value
        seen += len(value)
        if time.monotonic() > deadline:
            yield "", code[seen:]
            return


# Markdown itself: CommonMark with tables, strikethrough and formulas, without HTML.


@cache
def markdown(breaks: bool = False) -> MarkdownIt:
    """Return the one parser and renderer for model text; `breaks` keeps single line breaks."""
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": False, "breaks": breaks, "maxNesting": 50})
    parser.enable(["table", "strikethrough"])
    parser.validateLink = _allowed_link  # type: ignore[method-assign]
    interrupts = ["paragraph", "reference", "blockquote", "list"]
    parser.block.ruler.before("fence", "math_block", _math_block, {"alt": interrupts})
    parser.inline.ruler.before("escape", "math_inline", _math_inline)
    parser.inline.ruler.before("escape", "line_break", _line_break)
    for name, rule in _RENDER_RULES.items():
        parser.add_render_rule(name, rule)
    return parser


def _allowed_link(url: str) -> bool:
    return re.match(r"(?:https?://|mailto:)", url.strip(), re.IGNORECASE) is not None


MATH_INLINE = re.compile(
    r"""
      \$\$ (?: \\. | [^$\\] )++ \$\$
    | (?<![0-9A-Za-z$]) \$ (?=[^\s$]) (?: \\. | [^$\\`] )++ (?<!\s) \$ (?![0-9])     # not "$5 or $6"
    | \\\( (?: [^\\] | \\[^()] )++ \\\)
    | \\\[ (?: [^\\] | \\[^\[\]] )++ \\\]
    """,
    re.VERBOSE | re.DOTALL,
)
_MATH_OPENER = re.compile(
    r"\$\$|\\\[|\\begin\{((?:equation|align|alignat|gather|multline|eqnarray|flalign)\*?)\}"
)
_MATH_LINES = 500
# TeX that leaves the formula: links, styles, and definitions that outlive it on the page.
TEX_REACHES_OUT = re.compile(
    r"\\(?:href|url|html\w*|class|cssId|style|data|mmlToken|require|csname|[gex]?def|let|unicode"
    r"|(?:re)?new(?:command|environment)|DeclareMathOperator|bbox|includegraphics|rule|Rule|Space"
    r"|mathchoice|mathtip|texttip|toggle|begingroup|input)(?![A-Za-z])"
)


def _math_inline(state: StateInline, silent: bool) -> bool:
    match = MATH_INLINE.match(state.src, state.pos, state.posMax)
    if match is None:
        return False
    if not silent:
        state.push("math_inline", "", 0).content = match[0]
    state.pos = match.end()
    return True


def _math_block(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    def line(number: int) -> str:
        return state.src[state.bMarks[number] + state.tShift[number] : state.eMarks[number]]

    opener = None if state.is_code_block(start) else _MATH_OPENER.match(line(start))
    if opener is None:
        return False
    closer = rf"\end{{{opener[1]}}}" if opener[1] else {"$$": "$$", r"\[": r"\]"}[opener[0]]
    for number in range(start, min(end, start + _MATH_LINES)):
        if number > start and line(number) and state.sCount[number] < state.blkIndent:
            return False
        if number > start and closer != "$$" and line(number).startswith(opener[0]):
            return False
        before, found, after = line(number)[opener.end() if number == start else 0 :].partition(closer)
        if found:
            break
    else:
        return False
    if after.strip() or (number == start and not before.strip()):
        return False
    if not silent:
        token = state.push("math_block", "", 0)
        token.content = "\n".join(line(n) for n in range(start, number + 1)).strip()
        token.map = [start, number + 1]
    state.line = number + 1
    return True


def _line_break(state: StateInline, silent: bool) -> bool:
    # Models write <br> inside table cells, where Markdown has no line break of its own.
    match = re.compile(r"<br\s*/?>", re.IGNORECASE).match(state.src, state.pos, state.posMax)
    if match is None:
        return False
    if not silent:
        state.push("hardbreak", "br", 0)
    state.pos = match.end()
    return True


def _render_text(renderer: Any, tokens: Sequence[Token], at: int, *_: Any) -> str:
    return escape(tokens[at].content)


def _render_math(renderer: Any, tokens: Sequence[Token], at: int, *_: Any) -> str:
    token = tokens[at]
    tag = "code" if TEX_REACHES_OUT.search(token.content) else "span"
    formula = f"<{tag}>{html.escape(token.content)}</{tag}>"
    return f'<p style="margin:0 0 .6em">{formula}</p>\n' if token.type == "math_block" else formula


def _render_code(renderer: Any, tokens: Sequence[Token], at: int, *_: Any) -> str:
    words = tokens[at].info.split()
    return code_html(tokens[at].content, words[0].lower() if words else "")


def _render_link(renderer: Any, tokens: Sequence[Token], at: int, *_: Any) -> str:
    return _link_open(str(tokens[at].attrs["href"]))


def _render_image(renderer: Any, tokens: Sequence[Token], at: int, options: Any, env: Any) -> str:
    # Not <img>: loading it would tell another machine that this conversation was read.
    address = str(tokens[at].attrs["src"])
    alt = renderer.renderInlineAsText(tokens[at].children or [], options, env)
    label = escape(f"{alt} ({address})" if alt else address)
    depth = sum(token.nesting for token in tokens[:at] if token.type in ("link_open", "link_close"))
    return label if depth else f"{_link_open(address)}{label}</a>"


def _link_open(address: str) -> str:
    colour = "color:var(--jp-content-link-color, #1976d2)"
    return f'<a href="{html.escape(address)}" target="_blank" rel="noopener noreferrer" style="{colour}">'


def _render_table(renderer: Any, tokens: Sequence[Token], at: int, *_: Any) -> str:
    if tokens[at].type == "table_close":
        return "</table></div>\n"
    style = "border-collapse:collapse;font-size:inherit;margin:.3em 0 .8em"
    return f'<div style="overflow-x:auto"><table style="{style}">\n'


def _render_cell(renderer: Any, tokens: Sequence[Token], at: int, *_: Any) -> str:
    token = tokens[at]
    align = str(token.attrs.get("style", "text-align:left"))
    weight = ";font-weight:600" if token.tag == "th" else ""
    return f'<{token.tag} style="{_CELL};{align}{weight}">'


def _render_heading(renderer: Any, tokens: Sequence[Token], at: int, *_: Any) -> str:
    tag = tokens[at].tag
    size = _HEADING_SIZES[tag]
    return f'<{tag} style="font-size:{size};font-weight:600;line-height:1.3;margin:.7em 0 .4em">'


def _render_quote(renderer: Any, tokens: Sequence[Token], at: int, *_: Any) -> str:
    return f'<blockquote style="margin:.5em 0;padding:0 0 0 12px;border-left:3px solid {BORDER}">\n'


def _render_rule(renderer: Any, tokens: Sequence[Token], at: int, *_: Any) -> str:
    return f'<hr style="border:none;border-top:{RULE};background:none;height:0;margin:1em 0">\n'


def _render_paragraph(renderer: Any, tokens: Sequence[Token], at: int, *_: Any) -> str:
    return "" if tokens[at].hidden else '<p style="margin:0 0 .6em">'


_RENDER_RULES: dict[str, Any] = {
    "text": _render_text,
    "math_inline": _render_math,
    "math_block": _render_math,
    "fence": _render_code,
    "code_block": _render_code,
    "link_open": _render_link,
    "image": _render_image,
    "table_open": _render_table,
    "table_close": _render_table,
    "th_open": _render_cell,
    "td_open": _render_cell,
    "heading_open": _render_heading,
    "blockquote_open": _render_quote,
    "hr": _render_rule,
    "paragraph_open": _render_paragraph,
}
