"""Usage as columns: tokens, and cost in billionths of a US dollar."""

from __future__ import annotations

from decimal import Decimal
from operator import attrgetter
from typing import Any

from nbsessions.records import Usage, trusted
from nbsessions.stores._rows.schema import USAGE

NANO = 1_000_000_000


def usage_values(usage: Usage) -> tuple[Any, ...]:
    """Return the seven columns of a usage."""
    cost = None if usage.cost is None else int((usage.cost * NANO).to_integral_value())
    return (*_tokens(usage), cost)


def columns(usage: Usage) -> dict[str, int | None]:
    """Return the same by the names of the columns."""
    return dict(zip((*USAGE, "cost"), usage_values(usage), strict=True))


_tokens = attrgetter(*USAGE)


def usage(
    sent: int, got: int, cached: int, written: int, reasoned: int, requests: int, cost: int | None
) -> Usage:
    """Return the usage of its seven columns."""
    fields = {
        "input_tokens": sent,
        "output_tokens": got,
        "cache_read_tokens": cached,
        "cache_write_tokens": written,
        "reasoning_tokens": reasoned,
        "requests": requests,
        "cost": None if cost is None else cost * _BILLIONTH,
    }
    return trusted(Usage, fields)


_BILLIONTH = Decimal(1).scaleb(-9)
