"""The columns of what commands list: one table says what other programs read, and what people are shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from nbsessions.amounts import duration_text, money
from nbsessions.text import one_line

_SHORT: Final = 8
"""So many digits of an id are shown to people."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Attributes
    ----------
    title : str
    plain : callable
        Returns what another program reads of a row.
    shown : callable or None
        Returns what people are shown; None: the same.
    rank : int
        Where there is no room for all, those with the highest go first. 0 stays.
    least : int
        It can be cut to so many characters; 0: it is shown whole, or not at all.
    right : bool
        Numbers stand below each other at their ends.
    differs : bool
        People are shown it only where it is not the same in all rows.

    Examples
    --------
    >>> Column("NAME", lambda row: row.name).least
    0
    """

    title: str
    plain: Callable[[Any], object]
    shown: Callable[[Any], str] | None = None
    rank: int = 0
    least: int = 0
    right: bool = False
    differs: bool = False

    def text(self, row: Any) -> str:
        """Return the cell of a row for another program: on one line, without tabs, empty where it is missing.

        Examples
        --------
        >>> Column("NAME", lambda row: row).text("a\\tb"), Column("NAME", lambda row: row).text(None)
        ('a b', '')
        """
        value = self.plain(row)
        return "" if value is None else one_line(_plain(value), 10_000)

    def cell(self, row: Any) -> str:
        """Return the cell of a row for people.

        Examples
        --------
        >>> Column("ID", lambda row: row, lambda row: row[-3:]).cell("abcdef")
        'def'
        """
        return self.text(row) if self.shown is None else one_line(self.shown(row), 1_000)


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    if isinstance(value, (list, tuple)):
        return ",".join(str(each) for each in value)
    if isinstance(value, float):
        return f"{value:.9f}".rstrip("0").rstrip(".")
    return str(value)


def moment(at: datetime) -> str:
    """Return a time for people: local, and as short as it can be told.

    Examples
    --------
    >>> len(moment(datetime.now(UTC))), moment(datetime(2020, 5, 1, 12, tzinfo=UTC))
    (5, '2020-05-01')
    """
    local, today = at.astimezone(), datetime.now().astimezone()
    if local.date() == today.date():
        return f"{local:%H:%M}"
    return f"{local:%d %b %H:%M}" if local.year == today.year else f"{local:%Y-%m-%d}"


def _id(of: Callable[[Any], str], title: str = "ID") -> Column:
    return Column(title, of, lambda row: of(row)[-_SHORT:])


def _count(title: str, of: Callable[[Any], int | None], rank: int) -> Column:
    def shown(row: Any) -> str:
        count = of(row)
        return "" if count is None else f"{count:,}"

    return Column(title, of, shown, rank, right=True)


def _at(title: str, of: Callable[[Any], datetime], rank: int = 0) -> Column:
    return Column(title, of, lambda row: moment(of(row)), rank)


def _cost(rank: int) -> Column:
    def plain(row: Any) -> str | None:
        return None if row.usage.cost is None else f"{row.usage.cost:f}"

    def shown(row: Any) -> str:
        if row.usage.cost is None:
            return "?" if row.usage.total_tokens else ""
        return money(row.usage.cost) + ("+" if row.usage.unpriced_tokens else "")

    return Column("COST", plain, shown, rank, right=True)


def _took(row: Any) -> str:
    return "" if row.duration is None else duration_text(row.duration)


COLUMNS: Final[dict[str, tuple[Column, ...]]] = {
    "sessions": (
        _id(lambda row: row.session_id),
        Column("NAME", lambda row: row.name, least=10),
        Column("AGENT", lambda row: row.agent_name, rank=4, least=8),
        _count("TURNS", lambda row: row.turn_count, 3),
        _count("MESSAGES", lambda row: row.message_count, 6),
        _count("TOKENS", lambda row: row.total_tokens, 5),
        _cost(2),
        _at("UPDATED", lambda row: row.updated_at, 1),
        Column("TAGS", lambda row: row.tags, lambda row: ", ".join(row.tags), 7, 6),
        Column("DRAFT", lambda row: "draft" if row.draft is not None else None, rank=8),
        Column("OWNER", lambda row: row.owner, rank=9, least=6, differs=True),
        Column("CONVERSATION", lambda row: row.conversation_id, rank=10, least=8, differs=True),
    ),
    "runs": (
        _id(lambda row: row.run_id),
        Column("STATUS", lambda row: row.status),
        _at("BEGAN", lambda row: row.started_at, 1),
        Column("TOOK", lambda row: row.duration, _took, 4, right=True),
        Column("AGENT", lambda row: row.agent_name, rank=5, least=8),
        Column("MODEL", lambda row: row.model, rank=6, least=8),
        _count("TOKENS", lambda row: row.usage.total_tokens, 3),
        _cost(2),
        Column("PROMPT", lambda row: row.prompt, least=12),
        Column("ERROR", lambda row: row.error, rank=7, least=12),
    ),
    "hits": (
        _id(lambda row: row.session.session_id, "SESSION"),
        Column("NAME", lambda row: row.session.name, rank=1, least=10),
        _count("MESSAGE", lambda row: row.number, 0),
        Column("ROLE", lambda row: row.role, rank=2),
        _at("SAID", lambda row: row.said_at, 3),
        Column("TEXT", lambda row: row.snippet, least=16),
    ),
    "checkpoints": (
        _id(lambda row: row.checkpoint_id),
        Column("NAME", lambda row: row.name, least=10),
        _count("MESSAGES", lambda row: row.message_count, 2),
        _count("TURNS", lambda row: row.turn_count, 3),
        _at("MADE", lambda row: row.created_at, 1),
    ),
}
