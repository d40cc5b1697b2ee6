"""What was spent each day, by agent, model and provider: added up in the transaction that ends a run.

Deleting a session leaves it as it is: what was spent is spent.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from hashlib import sha256
from operator import mul
from typing import Any, Final, NamedTuple

from nbsessions.records import Share, Usage
from nbsessions.stores._rows.schema import DAILY
from nbsessions.stores._rows.spent import usage, usage_values

_EPOCH: Final = date(1970, 1, 1)
_DAY: Final = 86_400_000_000
# Each counts differently, so that one that changed alone is noticed; sums of rows have the sum of seals.
_WEIGHTS: Final = (3, 5, 7, 11, 13, 17, 19, 23, 29, 31)
# Rounded down also before 1970, where both databases would round up.
DAY: Final = f"((r.started_at - CASE WHEN r.started_at < 0 THEN {_DAY - 1} ELSE 0 END) / {_DAY})"
_SUMMED: Final = [f"COALESCE(sum(r.{column}), 0)" for column in DAILY[1:-1]]
SUMS: Final = ", ".join(["count(*)", *_SUMMED, "count(r.cost)"])
"""Of runs, in the order of `DAILY`."""
_COLUMNS: Final = ("digest", "day", "agent_name", "model", "provider", *DAILY, "seal")
_ADDED: Final = ", ".join(
    f"{column} = usage_daily.{column} + excluded.{column}" for column in (*DAILY, "seal")
)
ADD: Final = (
    f"INSERT INTO usage_daily({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))}) "
    f"ON CONFLICT (digest) DO UPDATE SET {_ADDED}"
)
SELECT: Final = f"SELECT {', '.join(_COLUMNS)} FROM usage_daily"
SELECT_ABOUT: Final = f"SELECT {', '.join(_COLUMNS[:5])} FROM usage_daily"
TOTALS: Final = ", ".join(f"COALESCE(sum({column}), 0)" for column in _COLUMNS[5:])
"""Of rows of the table, the seal last."""
EMPTY: Final = "DELETE FROM usage_daily"


class Group(NamedTuple):
    """What one row is about; the day is counted from 1970."""

    day: int
    agent_name: str
    model: str | None
    provider: str | None


Counts = dict[Group, tuple[int, ...]]
"""Of each group, what stands in the columns of `DAILY`."""


def day_of(at: int) -> int:
    """Return the day, counted from 1970, of a time in microseconds."""
    return at // _DAY


def day_number(day: date) -> int:
    """Return a day counted from 1970."""
    return (day - _EPOCH).days


def day(number: int) -> date:
    """Return the day of such a number."""
    return date.fromordinal(_EPOCH.toordinal() + number)


def told(number: Any) -> str:
    """Return such a day for people, whatever became of its number.

    Examples
    --------
    >>> told(20_000), told("x")
    ('2024-10-04', 'a day that cannot be read')
    """
    try:
        return day(number).isoformat()
    except (TypeError, ValueError, OverflowError):
        return "a day that cannot be read"


def counted(begun: Group, whole: Usage, shares: Sequence[Share]) -> Counts:
    """Return what is counted for a run that began in this group, and spent this."""
    if not shares:
        return {begun: _numbers(1, whole)}
    found: Counts = {begun: _numbers(1, Usage())}
    for share in shares:
        about = (begun.agent_name, share.model or None, share.provider or None)
        group = Group(day_number(share.day), *about)
        found[group] = _plus(found.get(group), _numbers(0, share.usage))
    return found


def numbers(runs: int, *spent: Any) -> tuple[int, ...]:
    """Return what stands in the columns of `DAILY` for so many runs, of the columns of what they spent."""
    *tokens, cost, unpriced = spent
    return (runs, *tokens, cost or 0, unpriced, int(cost is not None))


def _numbers(runs: int, whole: Usage) -> tuple[int, ...]:
    return numbers(runs, *usage_values(whole), whole.unpriced_tokens)


def spent(numbers: Sequence[int]) -> Usage:
    """Return what was spent, of what stands in the columns of `DAILY`."""
    _, *tokens, cost, unpriced, costs = numbers
    # Without a cost it is not known, which is not nothing.
    counts: list[Any] = [*tokens, cost if costs else None, unpriced]
    return usage(*counts)


def _plus(before: tuple[int, ...] | None, more: tuple[int, ...], times: int = 1) -> tuple[int, ...]:
    return tuple(a + times * b for a, b in zip(before or (0,) * len(more), more, strict=True))


def together(one: Counts, other: Counts) -> Counts:
    """Return what both count."""
    found = dict(one)
    add(found, other)
    return found


def add(counts: Counts, more: Counts) -> None:
    """Count what others count, too."""
    for group, numbers in more.items():
        counts[group] = _plus(counts.get(group), numbers)


def changes(before: Counts, after: Counts) -> Counts:
    """Return what is to be added where a run counted before, and counts after."""
    if not before:
        return after
    found = dict(after)
    for group, numbers in before.items():
        found[group] = _plus(found.get(group), numbers, -1)
    return {group: numbers for group, numbers in found.items() if any(numbers)}


def rows(counts: Counts) -> Iterable[tuple[Any, ...]]:
    """Return the parameters of `ADD`, in one order for all who write at the same time."""
    return sorted([_row(group, numbers) for group, numbers in counts.items()])


def _row(group: Group, numbers: tuple[int, ...]) -> tuple[Any, ...]:
    texts = (group.agent_name, group.model or "", group.provider or "")
    return (_digest(group.day, *texts), group.day, *texts, *numbers, _seal(numbers))


def _digest(day: int, agent_name: str, model: str, provider: str) -> bytes:
    about = f"{day}\0{agent_name}\0{model}\0{provider}"
    return sha256(about.encode("utf-8", "surrogateescape")).digest()[:16]


def _seal(numbers: Iterable[int]) -> int:
    return sum(map(mul, _WEIGHTS, numbers))


def are_named(abouts: Iterable[Sequence[Any]]) -> bool:
    """Tell whether rows of `SELECT_ABOUT` are about what they were written about.

    There may be ten thousand of them: they are taken as they are.
    """
    return all(
        digest == _digest(day, agent_name, model, provider)
        for digest, day, agent_name, model, provider in abouts
    )


def is_sealed(numbers: Sequence[int]) -> bool:
    """Tell whether numbers, the seal last, are what was written, or sums of such."""
    return bool(numbers[-1] == _seal(numbers[:-1]))


def read(row: Sequence[Any]) -> tuple[Group, tuple[int, ...]] | None:
    """Return what a row of `SELECT` says; None where it is not what was written."""
    day, agent_name, model, provider = row[1:5]
    try:
        intact = are_named([row[:5]]) and is_sealed(row[5:])
    except TypeError:  # no numbers any more
        intact = False
    if not intact:
        return None
    return Group(day, agent_name, model or None, provider or None), tuple(row[5:-1])
