"""What one part of an answer looks like: as HTML, as plain text, and in a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbsessions.folds import arguments_line, exact, fold, tool_html, tool_plain
from nbsessions.rendering import MONO, MUTED, RULE, code_html, escape, markdown_html
from nbsessions.terminal import terminal_markdown
from nbsessions.text import last_words, one_line, strip_controls

if TYPE_CHECKING:
    from rich.console import RenderableType

    from nbsessions.permissions import ToolQuestion


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
        peek = "" if self.done else f" <em>{escape(last_words(self.text, 100))}</em>"
        return fold(f"Thinking{peek}", markdown_html(self.text))

    def plain(self) -> str:
        """Return it after a label."""
        return f"Thinking: {super().plain().strip()}"

    def rich(self) -> RenderableType:
        """Return the latest words, or one line when it is done."""
        from rich.text import Text as RichText

        words = one_line(self.text, 400) if self.done else last_words(self.text, 400)
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
            ("▸ ", "dim"), (one_line(self.name, 80), "bold"), f"({arguments_line(self.arguments)})"
        )
        if self.result is not None:
            line.append(" → ", "dim").append(one_line(self.result, 400))
        elif not self.done:
            line.append(" …", "dim")
        line.no_wrap, line.overflow = True, "ellipsis"
        return line


class Asked(Segment):
    """A call of a tool that waits until it is allowed: all that it would be called with, as it is.

    Examples
    --------
    >>> from nbsessions.permissions import ToolQuestion
    >>> question = ToolQuestion(
    ...     name="add", arguments='{"a": 1}', call_id="c1", run_id="r1", agent_name="adder"
    ... )
    >>> print(Asked(question).plain())
    adder asks to call add:
    {
      "a": 1
    }
    """

    apart = True

    def __init__(self, question: ToolQuestion) -> None:
        super().__init__(exact(question.arguments), done=True)
        self._who, self._what = one_line(question.agent_name, 80), exact(one_line(question.name, 200))

    @property
    def visible(self) -> bool:
        """True: the name is always there."""
        return True

    def html(self) -> str:
        """Return it in a frame, none of it folded."""
        style = f"margin:6px 0;padding:6px 12px;border:{RULE};border-radius:4px"
        style += ";border-left:4px solid var(--jp-warn-color1, #ef6c00)"
        name = f'<strong style="{MONO}">{escape(self._what)}</strong>'
        head = f"<div><strong>{escape(self._who)}</strong> asks to call {name}:</div>"
        return f'<div style="{style}">{head}{code_html(self.text, "json", whole=True)}</div>'

    def plain(self) -> str:
        """Return it as text."""
        return f"{self._who} asks to call {self._what}:\n{super().plain()}"

    def rich(self) -> RenderableType:
        """Return it with the names in bold."""
        from rich.text import Text as RichText

        line = RichText.assemble((self._who, "bold"), " asks to call ", (self._what, "bold yellow"), ":\n")
        return line.append(strip_controls(self.text))


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
