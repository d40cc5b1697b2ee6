"""Usage as columns: tokens, and cost in billionths of a US dollar."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal
from operator import attrgetter
from typing import Any

from nbsessions.records import Share, Usage, trusted
from nbsessions.stores._rows.schema import USAGE
from nbsessions.values import encode_json

NANO = 1_000_000_000


def usage_values(usage: Usage) -> tuple[Any, ...]:
    """Return the seven columns of what was counted and what it cost."""
    cost = None if usage.cost is None else int((usage.cost * NANO).to_integral_value())
    return (*_tokens(usage), cost)


def columns(usage: Usage) -> dict[str, int | None]:
    """Return all eight by their names."""
    named = dict(zip((*USAGE, "cost"), usage_values(usage), strict=True))
    return {**named, "unpriced_tokens": usage.unpriced_tokens}


_tokens = attrgetter(*USAGE)


def usage(
    sent: int,
    got: int,
    cached: int,
    written: int,
    reasoned: int,
    requests: int,
    cost: int | None,
    unpriced: int,
) -> Usage:
    """Return the usage of its eight columns."""
    fields = {
        "input_tokens": sent,
        "output_tokens": got,
        "cache_read_tokens": cached,
        "cache_write_tokens": written,
        "reasoning_tokens": reasoned,
        "requests": requests,
        "cost": None if cost is None else cost * _BILLIONTH,
        "unpriced_tokens": unpriced,
    }
    return trusted(Usage, fields)


_BILLIONTH = Decimal(1).scaleb(-9)


def shares_text(shares: Iterable[Share]) -> str | None:
    """Return shares as one text; None where there are none."""
    told = [
        [one.day.isoformat(), one.model, one.provider, *usage_values(one.usage), one.usage.unpriced_tokens]
        for one in shares
    ]
    return encode_json(told, "shares") if told else None


def shares(text: str | None) -> tuple[Share, ...]:
    """Return the shares of such a text."""
    told: Sequence[Any] = [] if text is None else json.loads(text)
    return tuple(Share(date.fromisoformat(one[0]), one[1], one[2], usage(*one[3:])) for one in told)
