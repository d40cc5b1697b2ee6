"""What a cell returns to be looked at, a conversation or a card of facts, and the line below an answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nbsessions.messages import message_html, message_plain, tool_names
from nbsessions.rendering import MUTED, escape
from nbsessions.text import counted, one_line

if TYPE_CHECKING:
    from decimal import Decimal

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
    messages : sequence of Message
        Those of them that are shown: the last ones.

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
        count = counted(first - 1 + len(messages), "message")
        self._title, self._count = one_line(title, 200), count
        self.messages = shown = messages[-_MESSAGES:]
        skipped = first - 1 + len(messages) - len(shown)
        self._tools = tool_names(messages)
        # Lines between the messages are strings; messages come with their number, pending ones with none.
        self._rows: list[str | tuple[str, Message]] = []
        if skipped:
            self._rows.append(f"{skipped:,} earlier messages are not shown here")
        self._rows += [(str(number), message) for number, message in enumerate(shown, skipped + 1)]
        if pending is not None:
            status, said = pending
            self._rows.append(f"Not part of the conversation: the run is {one_line(status, 40)}")
            self._rows += [("·", message) for message in said]

    def __str__(self) -> str:
        parts = [f"{self._title} · {self._count}"]
        parts += [row if isinstance(row, str) else message_plain(*row, self._tools) for row in self._rows]
        return "\n\n".join(parts)

    def html(self) -> str:
        """Return the messages as HTML that cannot do anything."""
        header = f'<strong>{escape(self._title)}</strong> <span style="{MUTED}">· {self._count}</span>'
        line = f'<div style="{MUTED};font-size:.92em;margin:10px 0">'
        rows = [
            f"{line}{escape(row)}</div>\n" if isinstance(row, str) else message_html(*row, self._tools)
            for row in self._rows
        ]
        return f'<div style="max-width:60em"><div>{header}</div>{"".join(rows)}</div>'


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
        self.title = one_line(title, 200)
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


def cost_text(usage: Usage) -> str:
    """Return what a usage cost, for people; that a part of it has no known price is said.

    Examples
    --------
    >>> from decimal import Decimal
    >>> from nbsessions.records import Usage
    >>> cost_text(Usage(input_tokens=9, cost=Decimal("0.104"), unpriced_tokens=4)), cost_text(Usage())
    ('$0.10 and more', 'cost unknown')
    """
    partly = usage.cost is not None and usage.unpriced_tokens > 0
    return money(usage.cost) + (" and more" if partly else "")


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


def duration_text(seconds: float) -> str:
    """Return seconds for people.

    Examples
    --------
    >>> [duration_text(seconds) for seconds in (0.123, 12.34, 75, 7_260)]
    ['0.12 s', '12.3 s', '1 min 15 s', '2 h 1 min']
    """
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds >= 0.95 else f"{seconds:.2f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,} h {minutes} min" if hours else f"{minutes} min {rest} s"
