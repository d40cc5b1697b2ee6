"""What is no list of records: a conversation, a card of facts, a frame with a line that sums it up."""

from __future__ import annotations

from collections.abc import Callable
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from nbsessions.amounts import exact, money
from nbsessions.messages import message_plain, tool_names

if TYPE_CHECKING:
    from rich.console import Console

    from nbsessions.records import Message
    from nbsessions.reprs import Card, Conversation
    from nbsessions.showing.columns import Column

Write = Callable[[str], None]
"""Writes a line where no terminal is."""


def card(shown: Card, console: Console | None, write: Write) -> None:
    """Show facts: in two columns, or as lines of a label, a tab and a value.

    Examples
    --------
    >>> from nbsessions.reprs import Card
    >>> card(Card("plan", [("agent", "local")]), None, print)
    title	plan
    agent	local
    """
    if console is None:
        for label, value in [("title", shown.title), *shown.rows]:
            write(f"{label}\t{value}")
        return
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, style="dim")
    table.add_column(overflow="fold")
    for label, value in shown.rows:
        table.add_row(Text(label), Text(value))
    console.print(Text(shown.title, style="bold"))
    console.print(table)


def conversation(shown: Conversation, console: Console | None, write: Write) -> None:
    """Show the messages: as Markdown in a terminal, else as they are, all of them.

    Examples
    --------
    >>> from nbsessions.records import Message
    >>> from nbsessions.reprs import Conversation
    >>> conversation(Conversation("plan", [Message(role="user", content="Hello")]), None, print)
    plan · 1 message
    <BLANKLINE>
    1 user
    Hello
    """
    if console is None:
        write(shown.text())
        return
    from rich.text import Text

    from nbsessions.terminal import terminal_theme

    console.push_theme(terminal_theme())
    console.print(Text(shown.title, style="bold"))
    tools = tool_names(shown.messages)
    for row in shown.rows():
        console.line()
        if isinstance(row, str):
            console.print(Text(row, style="dim italic"))
        else:
            _message(console, *row, tools)


def _message(console: Console, number: str, message: Message, tools: dict[str, str]) -> None:
    from rich.text import Text

    from nbsessions.terminal import terminal_markdown

    head, _, rest = message_plain(number, message, tools).partition("\n")
    place, _, role = head.partition(" ")
    console.print(
        Text.assemble((place, "dim"), " ", (role, "bold cyan" if message.role == "user" else "bold"))
    )
    if message.role == "assistant" and not message.calls and message.text == message.content:
        console.print(terminal_markdown(message.text))
    elif rest:
        console.print(Text(rest, style="dim" if message.role in ("tool", "system") else ""))


def frame(shown: Any, console: Console | None, write: Write) -> None:
    """Show a frame and its summary: drawn in a terminal, else one line a row, without the summary.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> from nbsessions.charts.table import usage_table
    >>> frame(usage_table(nbs.open_store("memory:")), None, print)
    """
    from nbsessions.showing.columns import Column
    from nbsessions.showing.tables import draw, lines

    if console is None:
        for line in lines([Column(name, itemgetter(name)) for name in shown.columns], _rows(shown)):
            write(line)
        return
    from rich.text import Text

    from nbsessions.charts.table import tidy

    tidied = tidy(shown)
    if not tidied.empty:
        draw(
            console,
            [_column(tidied, name, place) for place, name in enumerate(tidied.columns)],
            _rows(tidied),
        )
    console.print(Text(shown.summary))
    if getattr(shown, "chart", None) is not None:
        write(f"\n{shown.chart}")


def _rows(frame: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = frame.astype("object").where(frame.notna(), None).to_dict("records")
    return found


def _column(frame: Any, name: str, place: int) -> Column:
    """Return how a column of a frame is drawn: what comes last is left out first."""
    from nbsessions.showing.columns import Column

    counts = frame[name].dtype.kind in "iuf"

    def shown(row: Any) -> str:
        value = row[name]
        if value is None:
            return ""
        return money(exact(value)) if name == "cost" else f"{value:,}" if counts else str(value)

    title = name.replace("_", " ").upper()
    return Column(title, itemgetter(name), shown, place, least=0 if counts else 8, right=counts)
