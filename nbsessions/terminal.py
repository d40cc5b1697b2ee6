"""Markdown in a terminal: no hidden links, nothing left out, nothing to load."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from nbsessions.rendering import HIGHLIGHT_LIMIT, markdown
from nbsessions.text import strip_controls

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
    from rich.markdown import Markdown
    from rich.theme import Theme


def terminal_markdown(text: str) -> RenderableType:
    """Return Markdown for a rich console: no hidden links, nothing left out, nothing to load.

    Examples
    --------
    >>> from rich.console import Console
    >>> Console(width=40, color_system=None).print(terminal_markdown("**Hello** <b>"))
    Hello <b>
    """
    shown = _rich_markdown()("", hyperlinks=False)
    # Its own parser would drop what looks like HTML, and formulas would lose their underscores.
    shown.parsed = _for_rich(markdown().parse(strip_controls(text)))
    return shown


def terminal_theme() -> Theme:
    """Return the styles of Markdown that can be read in any terminal.

    Examples
    --------
    >>> str(terminal_theme().styles["markdown.code"])
    'cyan'
    """
    from rich.theme import Theme

    # No backgrounds, and colours that a light terminal shows as well.
    return Theme(
        {
            "markdown.code": "cyan",
            "markdown.code_block": "none",
            "markdown.h1": "bold underline",
            "markdown.h2": "bold",
            "markdown.h3": "bold",
            "markdown.h4": "bold italic",
            "markdown.block_quote": "none",
            "markdown.item.number": "bold",
            "markdown.link": "none",
            "markdown.link_url": "dim",
            "markdown.table.border": "dim",
            "markdown.table.header": "bold",
        }
    )


@cache
def _rich_markdown() -> type[Markdown]:
    from pygments import token as kinds
    from rich.markdown import CodeBlock, Heading, Markdown
    from rich.style import Style
    from rich.syntax import ANSISyntaxTheme, Syntax

    # Of the terminal's own colours those that can be read on black and on white.
    colours = {
        kinds.Comment: "dim italic",
        kinds.Keyword: "magenta",
        kinds.Operator.Word: "magenta",
        kinds.Name.Decorator: "magenta",
        kinds.Name.Function: "bold",
        kinds.Name.Class: "bold",
        kinds.String: "green",
        kinds.Number: "cyan",
    }
    theme = ANSISyntaxTheme({kind: Style.parse(style) for kind, style in colours.items()})

    class Left(Heading):
        LEVEL_ALIGN = {}

    class Code(CodeBlock):
        def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
            code = str(self.text).rstrip()
            lexer = self.lexer_name if len(code) <= HIGHLIGHT_LIMIT else "text"
            yield Syntax(code, lexer, theme=theme, word_wrap=True, padding=(0, 2))

    class CalmMarkdown(Markdown):
        elements = Markdown.elements | {"heading_open": Left, "fence": Code, "code_block": Code}

    return CalmMarkdown


def _for_rich(tokens: Sequence[Any]) -> list[Any]:
    from markdown_it.token import Token

    known = []
    for token in tokens:
        if token.type == "image":
            label = f"{token.content} ({token.attrs['src']})" if token.content else str(token.attrs["src"])
            token = Token("text", "", 0, content=label)
        elif token.type == "math_inline":
            token.type = "text"
        elif token.type == "math_block":
            inline = Token("inline", "", 0, children=[Token("text", "", 0, content=token.content)])
            known += [Token("paragraph_open", "p", 1), inline, Token("paragraph_close", "p", -1)]
            continue
        elif token.children:
            token.children = _for_rich(token.children)
        token.content = strip_controls(token.content)
        known.append(token)
    return known
