"""What one part of an answer looks like: as HTML, as plain text, and in a terminal."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from nbsessions.rendering import (
    MONO,
    MUTED,
    code_html,
    escape,
    indented_json,
    markdown,
    markdown_html,
    strip_controls,
)

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
    from rich.markdown import Markdown

_LONG = 4_000
"""Characters of arguments or of a result that are shown; the store has the rest."""


class Segment:
    """One part of an answer, which grows until it is `done`, and is shown again where it `changed`.

    Parameters
    ----------
    text : str
    done : bool

    Examples
    --------
    >>> Segment(" ").visible, Segment("\\x1b[31mHello\\n").plain()
    (False, 'Hello')
    """

    apart = False
    """In a terminal, an empty line stands around it."""

    def __init__(self, text: str = "", *, done: bool = False) -> None:
        self.text = text
        self.done = done
        self.changed = True
        self.display_id = ""

    @property
    def visible(self) -> bool:
        """Whether there is something to see."""
        return bool(self.text.strip())

    def html(self) -> str:
        """Return it for a notebook."""
        raise NotImplementedError

    def plain(self) -> str:
        """Return it for a pipe, and for a notebook's reader that knows no HTML."""
        return strip_controls(self.text).strip("\n")

    def rich(self) -> RenderableType:
        """Return it for a terminal."""
        raise NotImplementedError


class Text(Segment):
    """What the agent says, in Markdown.

    Examples
    --------
    >>> print(Text("It is **3**.").html())
    <p style="margin:0 0 .6em">It is <strong>3</strong>.</p>
    """

    apart = True

    def html(self) -> str:
        """Return the Markdown rendered."""
        return markdown_html(self.text)

    def rich(self) -> RenderableType:
        """Return the Markdown rendered for a terminal."""
        return terminal_markdown(self.text)


class Thinking(Segment):
    """What the agent thinks before it speaks.

    Examples
    --------
    >>> Thinking("I should add.").plain()
    'Thinking: I should add.'
    """

    def html(self) -> str:
        """Return it folded; the summary shows the latest words as long as there come more."""
        peek = "" if self.done else f" <em>{escape(_tail(self.text, 100))}</em>"
        return fold(f"Thinking{peek}", markdown_html(self.text))

    def plain(self) -> str:
        """Return it after a label."""
        return f"Thinking: {super().plain().strip()}"

    def rich(self) -> RenderableType:
        """Return the latest words, or one line when it is done."""
        from rich.text import Text as RichText

        words = one_line(self.text, 400) if self.done else _tail(self.text, 400)
        return RichText(f"▸ Thinking  {words}", style="dim italic", no_wrap=self.done, overflow="ellipsis")


class ToolCall(Segment):
    """A call of a tool: its arguments, as JSON, and its result once there is one.

    Examples
    --------
    >>> call = ToolCall("add")
    >>> call.arguments, call.result = '{"a": 1, "b": 2}', "3"
    >>> call.plain()
    '▸ add(a=1, b=2) → 3'
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.arguments = ""
        self.result: str | None = None

    @property
    def visible(self) -> bool:
        """True: the name is there from the start."""
        return True

    def html(self) -> str:
        """Return it folded."""
        return tool_html(self.name, self.arguments, self.result, running=not self.done)

    def plain(self) -> str:
        """Return the call, and the result in full."""
        return tool_plain(self.name, self.arguments, self.result)

    def rich(self) -> RenderableType:
        """Return one line."""
        from rich.text import Text as RichText

        line = RichText.assemble(
            ("▸ ", "dim"), (one_line(self.name, 80), "bold"), f"({_arguments(self.arguments)})"
        )
        if self.result is not None:
            line.append(" → ", "dim").append(one_line(self.result, 400))
        elif not self.done:
            line.append(" …", "dim")
        line.no_wrap, line.overflow = True, "ellipsis"
        return line


class Line(Segment):
    """One line beside the answer.

    Parameters
    ----------
    text : str
    tone : {"title", "note", "footer", "error"}

    Examples
    --------
    >>> Line("plan · turn 3\\n· saved", "footer").plain()
    'plan · turn 3 · saved'
    """

    _CSS = {
        "title": "font-weight:600;margin:2px 0",
        "note": f"{MUTED};font-size:.92em;margin:2px 0",
        "footer": f"{MUTED};font-size:.85em;margin:2px 0 4px",
        "error": "color:var(--jp-error-color1, #d32f2f);margin:2px 0;overflow-wrap:anywhere",
    }
    _RICH = {"title": "bold", "note": "dim italic", "footer": "dim", "error": "red"}

    def __init__(self, text: str, tone: str) -> None:
        super().__init__(one_line(text, 1_000), done=True)
        self.tone = tone

    def html(self) -> str:
        """Return it in the style of its tone."""
        return f'<div style="{self._CSS[self.tone]}">{escape(self.text)}</div>'

    def rich(self) -> RenderableType:
        """Return it in the style of its tone."""
        from rich.text import Text as RichText

        return RichText(self.text, style=self._RICH[self.tone])


# Markdown in a terminal.


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


@cache
def _rich_markdown() -> type[Markdown]:
    from pygments import token as kinds  # type: ignore[import-untyped]
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
            yield Syntax(code, self.lexer_name, theme=theme, word_wrap=True, padding=(0, 2))

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


# Tool calls and thinking, folded.


def fold(summary: str, body: str) -> str:
    """Return HTML of which only the summary is seen until it is clicked; both are HTML already.

    Examples
    --------
    >>> fold("Thinking", "<p>Hm.</p>").startswith("<details ")
    True
    """
    return (
        f'<details style="margin:2px 0;font-size:.95em;{MUTED}">'
        '<summary style="cursor:pointer;white-space:nowrap;overflow:hidden;text-overflow:ellipsis">'
        f'{summary}</summary>\n<div style="margin:4px 0 8px 16px">{body}</div></details>\n'
    )


def tool_html(name: str, arguments: str, result: str | None, *, running: bool = False) -> str:
    """Return a tool call as HTML, folded; `arguments` is JSON as the model wrote it.

    Examples
    --------
    >>> "(a=1) → 3" in tool_html("add", '{"a": 1}', "3")
    True
    """
    summary = f'<span style="{MONO}"><strong>{escape(one_line(name, 80))}</strong>'
    summary += f"({escape(_arguments(arguments))})"
    body = labelled("Arguments", arguments) if arguments.strip() not in ("", "{}") else ""
    if result is not None:
        summary += f" → {escape(one_line(result, 60) or '(nothing)')}"
        body += labelled("Result", result)
    return fold(summary + (" …</span>" if running else "</span>"), body)


def labelled(label: str, text: str) -> str:
    """Return a label and a block of text as HTML; JSON is indented, a long text cut in the middle.

    Examples
    --------
    >>> "1,000 characters are not shown" in labelled("Result", "x" * 5_000)
    True
    """
    indented = indented_json(text)
    language = "json" if indented else ""
    head, left_out, tail = _cut_middle(strip_controls(indented or text))
    blocks = code_html(head, language, wrap=True)
    if left_out:
        note = f'<div style="font-size:.9em">{_left_out(left_out)}</div>'
        blocks += note + code_html(tail, language, wrap=True)
    return f'<div style="font-size:.9em">{label}</div>{blocks}'


def tool_plain(name: str, arguments: str, result: str | None) -> str:
    """Return a tool call as plain text; `arguments` is JSON as the model wrote it.

    Examples
    --------
    >>> tool_plain("add", '{"a": 1, "b": 2}', "3")
    '▸ add(a=1, b=2) → 3'
    """
    line = f"▸ {one_line(name, 80)}({_arguments(arguments)})"
    if result is None:
        return line
    head, left_out, tail = _cut_middle(strip_controls(result))
    shown = f"{head}\n{_left_out(left_out)}\n{tail}" if left_out else head
    return f"{line} →{chr(10) if chr(10) in shown else ' '}{shown}"


def _left_out(count: int) -> str:
    return f"… {count:,} characters are not shown; the store has them all …"


def _cut_middle(text: str) -> tuple[str, int, str]:
    if len(text) <= _LONG:
        return text, 0, ""
    head, tail = text[: _LONG * 2 // 3], text[-_LONG // 3 :]
    # Whole lines where there are lines: colours go wrong from the middle of a string.
    if "\n" in head[-200:]:
        head = head[: head.rindex("\n")]
    if "\n" in tail[:200]:
        tail = tail[tail.index("\n") + 1 :]
    return head, len(text) - len(head) - len(tail), tail


def _arguments(text: str) -> str:
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        return one_line(text, 60)
    if not isinstance(values, dict):
        return one_line(text, 60)
    pairs = [f"{name}={one_line(json.dumps(v, ensure_ascii=False), 30)}" for name, v in values.items()]
    return one_line(", ".join(pairs), 60)


def one_line(text: str, limit: int) -> str:
    """Return the first `limit` characters of `text`, on one line and without controls.

    Examples
    --------
    >>> one_line("Hello,\\n\\x1b[31mworld", 9)
    'Hello, w…'
    """
    # Only so much is looked at, because this runs on every update.
    line = " ".join(strip_controls(text[: limit * 4]).split())
    return line if len(line) <= limit and len(text) <= limit * 4 else line[: limit - 1] + "…"


def _tail(text: str, limit: int) -> str:
    line = " ".join(strip_controls(text[-limit * 4 :]).split())
    return line if len(line) <= limit else "…" + line[1 - limit :]


def content_text(content: Any) -> str:
    """Return what a tool was given or gave back as text: JSON, unless it is text already.

    Examples
    --------
    >>> content_text("é"), content_text({"a": "é"})
    ('é', '{"a": "é"}')
    """
    if isinstance(content, str):
        return content
    return json.dumps(content, ensure_ascii=False, default=str)
