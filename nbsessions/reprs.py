"""What a cell returns to be looked at, a conversation or a card of facts, and the line below an answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nbsessions.amounts import cost_text, duration_text
from nbsessions.messages import message_html, message_plain, tool_names
from nbsessions.rendering import MUTED, escape
from nbsessions.text import counted, one_line

if TYPE_CHECKING:
    from nbsessions.records import Message, Usage

_MESSAGES = 200
"""Messages of a conversation that are shown."""


class _Shown:
    """Base of what a cell returns to be looked at."""

    def html(self) -> str:
        """Return it as HTML that cannot do anything."""
        raise NotImplementedError

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        return {"text/html": self.html(), "text/plain": str(self)}

    def __repr__(self) -> str:
        return str(self)


class Conversation(_Shown):
    """The messages of a session, to be looked at: what `%session show` returns.

    Parameters
    ----------
    title : str
    messages : sequence of Message
        Numbered as ``rewind`` and ``fork --at`` count them.
    first : int
        The number of the first of them; those before it are not shown.
    pending : (str, sequence of Message) or None
        The status of a last run that committed nothing, and what was said in it.

    Attributes
    ----------
    title : str
        With how many messages there are.
    messages, first, pending

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
        first: int = 1,
        pending: tuple[str, Sequence[Message]] | None = None,
    ) -> None:
        self.messages, self.first, self.pending = list(messages), first, pending
        self._name, self._count = one_line(title, 200), counted(first - 1 + len(messages), "message")
        self._tools = tool_names(messages)

    @property
    def title(self) -> str:
        """The name of the session, and how many messages it has.

        Examples
        --------
        >>> Conversation("plan", []).title
        'plan · 0 messages'
        """
        return f"{self._name} · {self._count}"

    def rows(self, most: int | None = None) -> list[str | tuple[str, Message]]:
        """Return the last so many messages, each with its number, and lines to show between them.

        Messages of a run that is pending have no number.

        Examples
        --------
        >>> from nbsessions.records import Message
        >>> said = [Message(role="user", content="Hello")] * 3
        >>> [row if isinstance(row, str) else row[0] for row in Conversation("plan", said).rows(most=2)]
        ['1 earlier message is not shown here', '2', '3']
        """
        shown = self.messages if most is None else self.messages[-most:]
        skipped = self.first - 1 + len(self.messages) - len(shown)
        rows: list[str | tuple[str, Message]] = []
        if skipped:
            are = "is" if skipped == 1 else "are"
            rows.append(f"{counted(skipped, 'earlier message')} {are} not shown here")
        rows += [(str(number), message) for number, message in enumerate(shown, skipped + 1)]
        if self.pending is not None:
            status, said = self.pending
            rows.append(f"Not part of the conversation: the run is {one_line(status, 40)}")
            rows += [("·", message) for message in said]
        return rows

    def __str__(self) -> str:
        return self.text(_MESSAGES)

    def text(self, most: int | None = None) -> str:
        """Return the last so many messages as plain text.

        Examples
        --------
        >>> print(Conversation("plan", []).text())
        plan · 0 messages
        """
        shown = self.rows(most)
        parts = [row if isinstance(row, str) else message_plain(*row, self._tools) for row in shown]
        return "\n\n".join([self.title, *parts])

    def html(self) -> str:
        """Return the messages as HTML that cannot do anything."""
        header = f'<strong>{escape(self._name)}</strong> <span style="{MUTED}">· {self._count}</span>'
        line = f'<div style="{MUTED};font-size:.92em;margin:10px 0">'
        rows = [
            f"{line}{escape(row)}</div>\n" if isinstance(row, str) else message_html(*row, self._tools)
            for row in self.rows(_MESSAGES)
        ]
        return f'<div style="max-width:60em"><div>{header}</div>{"".join(rows)}</div>'


class Card(_Shown):
    """A title and facts, as a small table: what `%session status` returns.

    Parameters
    ----------
    title : str
    rows : sequence of (label, value)
    facts : mapping or None
        The same for programs: JSON is made of it.

    Attributes
    ----------
    title, rows, facts

    Examples
    --------
    >>> Card("plan", [("agent", "local"), ("messages", "12")])
    plan
      agent     local
      messages  12
    """

    def __init__(
        self, title: str, rows: Sequence[tuple[str, str]], facts: Mapping[str, Any] | None = None
    ) -> None:
        self.title = one_line(title, 200)
        self.facts = facts
        self.rows = [(one_line(label, 80), one_line(str(value), 1_000)) for label, value in rows]

    def __str__(self) -> str:
        width = max((len(label) for label, _ in self.rows), default=0)
        return "\n".join(
            [self.title, *(f"  {label:<{width}}  {value}".rstrip() for label, value in self.rows)]
        )

    def html(self) -> str:
        """Return the facts as HTML that cannot do anything."""
        cell = "padding:2px 20px 2px 0;text-align:left;border:none;vertical-align:top"
        rows = "".join(
            f'<tr style="background:transparent"><td style="{cell};{MUTED}">{escape(label)}</td>'
            f'<td style="{cell}">{escape(value)}</td></tr>'
            for label, value in self.rows
        )
        title = f'<div style="font-weight:600;margin:2px 0">{escape(self.title)}</div>'
        table = "border-collapse:collapse;font-size:inherit;margin:2px 0 6px"
        return f'{title}<table style="{table}">{rows}</table>'


def footer_text(*, label: str, turn: int, usage: Usage, seconds: float, saved: str, agent: str = "") -> str:
    """Return the line below an answer; `agent` is named where it is not the session's own.

    Examples
    --------
    >>> from decimal import Decimal
    >>> from nbsessions.records import Usage
    >>> usage = Usage(input_tokens=120, output_tokens=45, cost=Decimal("0.00123"))
    >>> footer_text(label="research", turn=3, usage=usage, seconds=1.23, saved="saved")
    'research · turn 3 · 120 → 45 tokens · $0.0012 · 1.2 s · saved'
    """
    parts = [label, f"turn {turn:,}" if turn else "", agent]
    if usage.total_tokens:
        parts.append(f"{usage.input_tokens:,} → {usage.output_tokens:,} tokens")
    if usage.total_tokens or usage.cost:
        parts.append(cost_text(usage))
    parts += [duration_text(seconds), saved]
    return " · ".join(one_line(part, 200) for part in parts if part)
