"""
What a person sees: a run while it happens, a conversation, a card of facts.

A run is shown as segments, in order: text, thinking, a tool call, a line. In a notebook each is one
output, updated in place; in a terminal the unfinished ones are drawn live and then printed for
good; in a pipe each is printed once. Nothing is written to a store from here.
"""

from __future__ import annotations

import json
import sys
import time
import uuid
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

from nbsessions.rendering import (
    BORDER,
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
    from decimal import Decimal
    from types import TracebackType

    from ag_ui.core import BaseEvent
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
    from rich.live import Live
    from rich.markdown import Markdown

    from nbsessions.records import Message, Usage

__all__ = ["AnswerView", "Card", "Conversation", "footer_text", "markdown_html", "money", "strip_controls"]

_INTERVAL = 0.08
"""Seconds between updates; a little less than the 0.1 s in which deltas are gathered upstream."""
_LONG = 4_000
"""Characters of arguments or of a result that are shown; the store has the rest."""
_MESSAGES = 200
"""Messages of a conversation that are shown."""


class AnswerView:
    """Shows one run while it happens, in a notebook or a terminal.

    Parameters
    ----------
    notebook : bool or None
        None finds out: a kernel is a notebook, everything else a terminal.
    title : str or None
        A line above the answer.
    console : rich.console.Console or None
        The terminal, where it is not the standard output.

    Examples
    --------
    >>> with AnswerView(notebook=False) as view:
    ...     view.note("Resumed 'plan'")
    ...     view.finish("plan · turn 3 · saved")
    Resumed 'plan'
    (no text)
    plan · turn 3 · saved
    """

    def __init__(
        self, *, notebook: bool | None = None, title: str | None = None, console: Console | None = None
    ) -> None:
        in_notebook = _in_kernel() if notebook is None else notebook
        self._screen: _Screen = _NotebookScreen() if in_notebook else _terminal_screen(console)
        self._segments: list[_Segment] = []
        self._open: dict[tuple[type, str], Any] = {}
        self._answered = False
        self._next_update = 0.0
        if title:
            self._add(_Line(title, "title"), at_once=True)

    def __enter__(self) -> AnswerView:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self._end_all()
        finally:
            self._screen.pause()

    def event(self, event: BaseEvent) -> None:
        """Show one event of the run; events of an unknown type are passed over.

        Examples
        --------
        >>> from ag_ui.core import RunErrorEvent
        >>> with AnswerView(notebook=False) as view:
        ...     view.event(RunErrorEvent(message="the model is overloaded"))
        Error: the model is overloaded
        """
        data = event.model_dump(by_alias=True, warnings=False)
        kind = str(getattr(data["type"], "value", data["type"]))
        match kind.replace("THINKING_TEXT_MESSAGE", "REASONING_MESSAGE"):
            case "TEXT_MESSAGE_CONTENT" | "TEXT_MESSAGE_CHUNK":
                self._speak(_Text, data)
            case "REASONING_MESSAGE_CONTENT" | "REASONING_MESSAGE_CHUNK":
                self._speak(_Thinking, data)
            case "TEXT_MESSAGE_START" | "TEXT_MESSAGE_END":
                self._end(_Text, data.get("messageId", ""))
            case "REASONING_MESSAGE_START" | "REASONING_MESSAGE_END":
                self._end(_Thinking, data.get("messageId", ""))
            case (
                "TOOL_CALL_START"
                | "TOOL_CALL_ARGS"
                | "TOOL_CALL_CHUNK"
                | "TOOL_CALL_END"
                | "TOOL_CALL_RESULT"
            ):
                self._tool(kind, data)
            case "RUN_ERROR":
                self._answered = True
                self._add(
                    _Line(f"Error: {_one_line(str(data.get('message', '')), 500)}", "error"), at_once=True
                )
            case "CUSTOM" if data.get("name") == "nbsessions.context":
                self._dropped((data.get("value") or {}).get("dropped", 0))

    def note(self, text: str) -> None:
        """Show one muted line.

        Examples
        --------
        >>> AnswerView(notebook=False).note("The local model is small.")
        The local model is small.
        """
        self._add(_Line(text, "note"), at_once=True)

    def flush(self) -> None:
        """Show what throttling held back, for whoever finds that no event has come for a while.

        Examples
        --------
        >>> AnswerView(notebook=False).flush()
        """
        self._update(at_once=True)

    def pause(self) -> None:
        """Leave the terminal to somebody else, such as a question to the person; events resume.

        Examples
        --------
        >>> AnswerView(notebook=False).pause()
        """
        self._update(at_once=True)
        self._screen.pause()

    def finish(self, footer: str) -> None:
        """End what is still open and show the footer.

        Examples
        --------
        >>> AnswerView(notebook=False).finish("saved")
        (no text)
        saved
        """
        self._end_all()
        if not self._answered:
            self._add(_Line("(no text)", "note"))
        if footer:
            self._add(_Line(footer, "footer"))
        self._update(at_once=True)
        self._screen.pause()

    def _speak(self, kind: type[_Text | _Thinking], data: dict[str, Any]) -> None:
        key = kind, data.get("messageId") or ""
        segment = self._open.get(key)
        if segment is None:
            segment = self._open[key] = kind()
            self._add(segment)
        was_visible = segment.visible
        segment.text += data.get("delta") or ""
        segment.changed = True
        self._answered |= kind is _Text and segment.visible
        self._update(at_once=segment.visible and not was_visible)

    def _tool(self, kind: str, data: dict[str, Any]) -> None:
        key = _Tool, data.get("toolCallId") or ""
        if key not in self._open:
            # Text after this call is a new segment, also where the message goes on.
            for open_kind, message_id in [key for key in self._open if key[0] is not _Tool]:
                self._end(open_kind, message_id)
            self._open[key] = _Tool(data.get("toolCallName") or "tool")
            self._add(self._open[key])
        call: _Tool = self._open[key]
        call.changed = True
        if kind == "TOOL_CALL_RESULT":
            call.result = _content_text(data.get("content"))
            self._end(*key)
        elif delta := data.get("delta"):
            call.arguments += delta
        # A tool may run for long after its arguments are complete.
        self._update(at_once=kind == "TOOL_CALL_END")

    def _dropped(self, count: int) -> None:
        what = "older message was" if count == 1 else "older messages were"
        self.note(f"{count:,} {what} left out: the model's context is full")

    def _add(self, segment: _Segment, *, at_once: bool = False) -> None:
        self._segments.append(segment)
        self._update(at_once=at_once)

    def _end(self, kind: type, key: str) -> None:
        segment = self._open.pop((kind, key), None)
        if segment is not None:
            segment.done = segment.changed = True
            self._update(at_once=True)

    def _end_all(self) -> None:
        for segment in self._segments:
            segment.changed |= not segment.done
            segment.done = True
        self._open.clear()
        self._update(at_once=True)

    def _update(self, *, at_once: bool) -> None:
        started = time.monotonic()
        if not at_once and started < self._next_update:
            return
        self._segments = self._screen.show(self._segments)
        # A long answer takes long to render: leave most of the time to the agent.
        ended = time.monotonic()
        self._next_update = ended + max(_INTERVAL, 3 * (ended - started))


class _Segment:
    """One part of an answer: how it looks as HTML, as plain text, and in a terminal."""

    apart = False
    """In a terminal, an empty line stands around it."""

    def __init__(self, text: str = "", *, done: bool = False) -> None:
        self.text = text
        self.done = done
        self.changed = True
        self.display_id = ""

    @property
    def visible(self) -> bool:
        return bool(self.text.strip())

    def html(self) -> str:
        raise NotImplementedError

    def plain(self) -> str:
        return strip_controls(self.text).strip("\n")

    def rich(self) -> RenderableType:
        raise NotImplementedError


class _Text(_Segment):
    apart = True

    def html(self) -> str:
        return markdown_html(self.text)

    def rich(self) -> RenderableType:
        return terminal_markdown(self.text)


class _Thinking(_Segment):
    def html(self) -> str:
        return _thinking_html(self.text, running=not self.done)

    def plain(self) -> str:
        return f"Thinking: {super().plain().strip()}"

    def rich(self) -> RenderableType:
        from rich.text import Text

        words = _one_line(self.text, 400) if self.done else _tail(self.text, 400)
        return Text(f"▸ Thinking  {words}", style="dim italic", no_wrap=self.done, overflow="ellipsis")


class _Tool(_Segment):
    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.arguments = ""
        self.result: str | None = None

    @property
    def visible(self) -> bool:
        return True

    def html(self) -> str:
        return _tool_html(self.name, self.arguments, self.result, running=not self.done)

    def plain(self) -> str:
        return _tool_plain(self.name, self.arguments, self.result)

    def rich(self) -> RenderableType:
        from rich.text import Text

        line = Text.assemble(
            ("▸ ", "dim"), (_one_line(self.name, 80), "bold"), f"({_arguments(self.arguments)})"
        )
        if self.result is not None:
            line.append(" → ", "dim").append(_one_line(self.result, 400))
        elif not self.done:
            line.append(" …", "dim")
        line.no_wrap, line.overflow = True, "ellipsis"
        return line


class _Line(_Segment):
    _CSS = {
        "title": "font-weight:600;margin:2px 0",
        "note": f"{MUTED};font-size:.92em;margin:2px 0",
        "footer": f"{MUTED};font-size:.85em;margin:2px 0 4px",
        "error": "color:var(--jp-error-color1, #d32f2f);margin:2px 0;overflow-wrap:anywhere",
    }
    _RICH = {"title": "bold", "note": "dim italic", "footer": "dim", "error": "red"}

    def __init__(self, text: str, tone: str) -> None:
        super().__init__(_one_line(text, 1_000), done=True)
        self.tone = tone

    def html(self) -> str:
        return f'<div style="{self._CSS[self.tone]}">{escape(self.text)}</div>'

    def rich(self) -> RenderableType:
        from rich.text import Text

        return Text(self.text, style=self._RICH[self.tone])


# Where segments are shown.


class _Screen(Protocol):
    def show(self, segments: list[_Segment]) -> list[_Segment]:
        """Show `segments` as they are now, and return those that have to be shown again."""

    def pause(self) -> None:
        """Leave nothing on the screen that moves."""


class _NotebookScreen:
    def show(self, segments: list[_Segment]) -> list[_Segment]:
        from IPython.display import display, update_display

        for segment in segments:
            if not (segment.changed and segment.visible):
                continue
            bundle = {"text/html": segment.html(), "text/plain": segment.plain()}
            if segment.display_id:
                update_display(bundle, display_id=segment.display_id, raw=True)  # type: ignore[no-untyped-call]
            else:
                segment.display_id = uuid.uuid4().hex
                display(bundle, display_id=segment.display_id, raw=True)  # type: ignore[no-untyped-call]
            segment.changed = False
        return [segment for segment in segments if not segment.done]

    def pause(self) -> None:
        pass


class _TerminalScreen:
    """Prints what is finished; draws the end of what is not, and erases it again."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None
        self._last: _Segment | None = None

    def show(self, segments: list[_Segment]) -> list[_Segment]:
        from rich.live import Live

        rest = [segment for segment in segments if segment.visible or not segment.done]
        if rest and rest[0].done:
            self.pause()
        while rest and rest[0].done:
            self._print(rest.pop(0))
        shown = [segment for segment in rest if segment.visible]
        if shown:
            if self._live is None:
                self._live = Live(console=self._console, auto_refresh=False, transient=True)
                self._live.start()
            gap = self._last is not None and (self._last.apart or shown[0].apart)
            self._live.update(_LastLines([segment.rich() for segment in shown], gap), refresh=True)
        return rest

    def _print(self, segment: _Segment) -> None:
        from rich.console import Group

        if self._last is not None and (self._last.apart or segment.apart):
            self._console.line()
        # In a group, or rich would join the line with others and forget that it must not wrap.
        self._console.print(Group(segment.rich()))
        self._last = segment

    def pause(self) -> None:
        if self._live is not None:
            live, self._live = self._live, None
            live.stop()


class _LastLines:
    """As many of the last lines as fit: what scrolled out of the window could not be erased."""

    def __init__(self, parts: Sequence[RenderableType], gap: bool) -> None:
        self._parts = parts
        self._gap = gap

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.console import Group
        from rich.segment import Segment

        lines = console.render_lines(Group(*self._parts), options.update(height=None), pad=False)
        room = max(1, console.size.height - 2)
        if self._gap:
            yield Segment.line()
        for number, line in enumerate(lines[-room:]):
            if number:
                yield Segment.line()
            yield from line


class _PlainScreen:
    """Prints each segment once, when it is finished, without a single escape code."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def show(self, segments: list[_Segment]) -> list[_Segment]:
        rest = list(segments)
        while rest and rest[0].done:
            segment = rest.pop(0)
            if segment.visible:
                encoding = getattr(self._console.file, "encoding", None) or "utf-8"
                text = (segment.plain() + "\n").encode(encoding, "replace").decode(encoding)
                self._console.file.write(text)
        self._console.file.flush()
        return rest

    def pause(self) -> None:
        pass


def _in_kernel() -> bool:
    if "IPython" not in sys.modules:
        return False
    from IPython.core.getipython import get_ipython

    return getattr(get_ipython(), "kernel", None) is not None


def _terminal_screen(console: Console | None) -> _Screen:
    from rich.console import Console
    from rich.theme import Theme

    # No backgrounds, and colours that a light terminal shows as well.
    theme = Theme(
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
    if console is None:
        console = Console(force_terminal=sys.stdout.isatty(), force_jupyter=False)
    if not console.is_terminal or console.is_dumb_terminal:
        return _PlainScreen(console)
    console.push_theme(theme)
    return _TerminalScreen(console)


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


def _fold(summary: str, body: str) -> str:
    return (
        f'<details style="margin:2px 0;font-size:.95em;{MUTED}">'
        '<summary style="cursor:pointer;white-space:nowrap;overflow:hidden;text-overflow:ellipsis">'
        f'{summary}</summary>\n<div style="margin:4px 0 8px 16px">{body}</div></details>\n'
    )


def _thinking_html(text: str, *, running: bool) -> str:
    peek = f" <em>{escape(_tail(text, 100))}</em>" if running else ""
    return _fold(f"Thinking{peek}", markdown_html(text))


def _tool_html(name: str, arguments: str, result: str | None, *, running: bool = False) -> str:
    summary = f'<span style="{MONO}"><strong>{escape(_one_line(name, 80))}</strong>'
    summary += f"({escape(_arguments(arguments))})"
    body = _labelled("Arguments", arguments) if arguments.strip() not in ("", "{}") else ""
    if result is not None:
        summary += f" → {escape(_one_line(result, 60) or '(nothing)')}"
        body += _labelled("Result", result)
    return _fold(summary + (" …</span>" if running else "</span>"), body)


def _labelled(label: str, text: str) -> str:
    indented = indented_json(text)
    language = "json" if indented else ""
    head, left_out, tail = _cut_middle(strip_controls(indented or text))
    blocks = code_html(head, language, wrap=True)
    if left_out:
        note = f'<div style="font-size:.9em">{_left_out(left_out)}</div>'
        blocks += note + code_html(tail, language, wrap=True)
    return f'<div style="font-size:.9em">{label}</div>{blocks}'


def _tool_plain(name: str, arguments: str, result: str | None) -> str:
    line = f"▸ {_one_line(name, 80)}({_arguments(arguments)})"
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
        return _one_line(text, 60)
    if not isinstance(values, dict):
        return _one_line(text, 60)
    pairs = [f"{name}={_one_line(json.dumps(v, ensure_ascii=False), 30)}" for name, v in values.items()]
    return _one_line(", ".join(pairs), 60)


def _one_line(text: str, limit: int) -> str:
    # Only so much is looked at, because this runs on every update.
    line = " ".join(strip_controls(text[: limit * 4]).split())
    return line if len(line) <= limit and len(text) <= limit * 4 else line[: limit - 1] + "…"


def _tail(text: str, limit: int) -> str:
    line = " ".join(strip_controls(text[-limit * 4 :]).split())
    return line if len(line) <= limit else "…" + line[1 - limit :]


def _content_text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return json.dumps(content, ensure_ascii=False, default=str)


# Conversations, cards, footers.


class _Shown:
    """Base of what a cell returns to be looked at."""

    def _html(self) -> str:
        raise NotImplementedError

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        return {"text/html": self._html(), "text/plain": str(self)}

    def __repr__(self) -> str:
        return str(self)


class Conversation(_Shown):
    """The messages of a session, to be looked at: what `%session show` returns.

    Parameters
    ----------
    title : str
    messages : sequence of Message
        Numbered from 1, as ``rewind`` and ``fork --at`` count them.
    pending : (str, sequence of Message) or None
        The status of a last run that committed nothing, and what was said in it.

    Examples
    --------
    >>> from nbsessions.records import Message
    >>> Conversation("plan", [Message(role="user", content="Hello")])
    plan · 1 message
    <BLANKLINE>
    1 user
    Hello
    """

    def __init__(
        self,
        title: str,
        messages: Sequence[Message],
        *,
        pending: tuple[str, Sequence[Message]] | None = None,
    ) -> None:
        count = f"{len(messages):,} message{'' if len(messages) == 1 else 's'}"
        self._title, self._count = _one_line(title, 200), count
        skipped = max(0, len(messages) - _MESSAGES)
        self._tools = {
            str(call.get("id")): _call_name(call) for message in messages for call in message.tool_calls or []
        }
        # Lines between the messages are strings; messages come with their number, pending ones with none.
        self._rows: list[str | tuple[str, Message]] = []
        if skipped:
            self._rows.append(f"{skipped:,} earlier messages are not shown here")
        self._rows += [(str(number + 1), messages[number]) for number in range(skipped, len(messages))]
        if pending is not None:
            status, said = pending
            self._rows.append(f"Not part of the conversation: the run is {_one_line(status, 40)}")
            self._rows += [("·", message) for message in said]

    def _name(self, message: Message) -> str:
        return message.name or self._tools.get(message.tool_call_id or "") or ""

    def __str__(self) -> str:
        parts = [f"{self._title} · {self._count}"]
        parts += [row if isinstance(row, str) else self._message_plain(*row) for row in self._rows]
        return "\n\n".join(parts)

    def _message_plain(self, number: str, message: Message) -> str:
        name, text = self._name(message), strip_controls(_message_text(message)).strip("\n")
        lines = [f"{number} {message.role}{f' ({_one_line(name, 80)})' if name else ''}"]
        lines += [text] if text else []
        lines += [_tool_plain(*call, None) for call in _calls(message)]
        return "\n".join(lines)

    def _html(self) -> str:
        header = f'<strong>{escape(self._title)}</strong> <span style="{MUTED}">· {self._count}</span>'
        line = f'<div style="{MUTED};font-size:.92em;margin:10px 0">'
        rows = [
            f"{line}{escape(row)}</div>\n" if isinstance(row, str) else self._message_html(*row)
            for row in self._rows
        ]
        return f'<div style="max-width:60em"><div>{header}</div>{"".join(rows)}</div>'

    def _message_html(self, number: str, message: Message) -> str:
        text = _message_text(message)
        if message.role == "tool":
            name = escape(_one_line(self._name(message) or "tool", 80))
            peek = escape(_one_line(text, 80) or "(nothing)")
            body = _fold(
                f'<span style="{MONO}"><strong>{name}</strong> → {peek}</span>', _labelled("Result", text)
            )
        elif message.role == "system":
            body = _fold(escape(_one_line(text, 100)), markdown_html(text, breaks=True))
        else:
            body = markdown_html(text, breaks=message.role == "user")
            body += "".join(_tool_html(*call, None) for call in _calls(message))
        return _row(number, message.role, body)


def _row(number: str, role: str, body: str) -> str:
    # What the person said is what the eye looks for.
    colour = "var(--jp-brand-color1, #1976d2)" if role == "user" else BORDER
    label = f"color:{colour};font-weight:600" if role == "user" else ""
    return (
        f'<div style="border-left:3px solid {colour};padding:0 0 0 12px;margin:10px 0">'
        f'<div style="font-size:.85em;{MUTED}">{number} <span style="{label}">{role}</span></div>'
        f"{body}</div>\n"
    )


def _message_text(message: Message) -> str:
    others = []
    if isinstance(message.content, list):
        kinds = [part.get("type", "part") for part in message.content if isinstance(part, dict)]
        others = [f"[{kind}]" for kind in kinds if kind != "text"]
    return "\n".join([*([message.text] if message.text else []), *others])


def _calls(message: Message) -> list[tuple[str, str]]:
    calls = []
    for call in message.tool_calls or []:
        function = call.get("function")
        arguments = (function if isinstance(function, dict) else call).get("arguments") or ""
        calls.append((_call_name(call), _content_text(arguments)))
    return calls


def _call_name(call: dict[str, Any]) -> str:
    function = call.get("function")
    return str((function if isinstance(function, dict) else call).get("name") or "tool")


class Card(_Shown):
    """A title and facts, as a small table: what `%session status` returns.

    Parameters
    ----------
    title : str
    rows : sequence of (label, value)

    Examples
    --------
    >>> Card("plan", [("agent", "local"), ("messages", "12")])
    plan
      agent     local
      messages  12
    """

    def __init__(self, title: str, rows: Sequence[tuple[str, str]]) -> None:
        self._title = _one_line(title, 200)
        self._rows = [(_one_line(label, 80), _one_line(str(value), 1_000)) for label, value in rows]

    def __str__(self) -> str:
        width = max((len(label) for label, _ in self._rows), default=0)
        return "\n".join(
            [self._title, *(f"  {label:<{width}}  {value}".rstrip() for label, value in self._rows)]
        )

    def _html(self) -> str:
        cell = "padding:2px 20px 2px 0;text-align:left;border:none;vertical-align:top"
        rows = "".join(
            f'<tr style="background:transparent"><td style="{cell};{MUTED}">{escape(label)}</td>'
            f'<td style="{cell}">{escape(value)}</td></tr>'
            for label, value in self._rows
        )
        title = f'<div style="font-weight:600;margin:2px 0">{escape(self._title)}</div>'
        table = "border-collapse:collapse;font-size:inherit;margin:2px 0 6px"
        return f'{title}<table style="{table}">{rows}</table>'


def footer_text(*, label: str, turn: int, usage: Usage, seconds: float, saved: str) -> str:
    """Return the line below an answer.

    Examples
    --------
    >>> from decimal import Decimal
    >>> from nbsessions.records import Usage
    >>> usage = Usage(input_tokens=120, output_tokens=45, cost=Decimal("0.00123"))
    >>> footer_text(label="research", turn=3, usage=usage, seconds=1.23, saved="saved")
    'research · turn 3 · 120 → 45 tokens · $0.0012 · 1.2 s · saved'
    """
    parts = [label, f"turn {turn:,}"]
    if usage.total_tokens:
        parts.append(f"{usage.input_tokens:,} → {usage.output_tokens:,} tokens")
    if usage.total_tokens or usage.cost:
        parts.append(money(usage.cost))
    parts += [_duration(seconds), saved]
    return " · ".join(_one_line(part, 200) for part in parts if part)


def money(cost: Decimal | None) -> str:
    """Return dollars for people: two digits that count, also where they are far behind the point.

    Examples
    --------
    >>> from decimal import Decimal
    >>> [money(Decimal(text)) for text in ("1234.5", "0.104", "0.00123", "0")], money(None)
    (['$1,234.50', '$0.10', '$0.0012', 'free'], 'cost unknown')
    """
    if cost is None:
        return "cost unknown"
    if cost == 0:
        return "free"
    digits = max(2, 1 - cost.adjusted())
    rounded = f"{cost:,.{digits}f}"
    while digits > 2 and rounded.endswith("0"):
        rounded, digits = rounded[:-1], digits - 1
    return f"${rounded}"


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds >= 0.95 else f"{seconds:.2f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,} h {minutes} min" if hours else f"{minutes} min {rest} s"
