"""Money and time for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from decimal import Decimal

    from nbsessions.records import Usage


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


def exact(cost: float) -> Decimal:
    """Return dollars without the digits that a sum of floats has and nobody spent.

    Examples
    --------
    >>> exact(0.1 + 0.2)
    Decimal('0.3')
    """
    from decimal import Decimal

    return round(Decimal(float(cost)), 9).normalize()


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
