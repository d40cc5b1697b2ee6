"""Prices that no update of genai-prices changes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from decimal import Decimal

from genai_prices.data_snapshot import DataSnapshot, set_custom_snapshot
from genai_prices.types import (
    ClauseEquals,
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    Provider,
    StartDateConstraint,
    Tier,
    TieredPrices,
)


@contextmanager
def stepped() -> Iterator[None]:
    """The model ``steps`` alone: $1 a million tokens, $3 in a request above 1,000; twice $2 and $4 from June 2026."""
    later = ConditionalPrice(prices=_of("2", "4"), constraint=StartDateConstraint(date(2026, 6, 1)))
    model = ModelInfo("steps", ClauseEquals("steps"), prices=[ConditionalPrice(prices=_of("1", "3")), later])
    provider = Provider("openai", "OpenAI", "", model_match=ClauseEquals("steps"), models=[model])
    set_custom_snapshot(DataSnapshot([provider], from_auto_update=False))
    try:
        yield
    finally:
        set_custom_snapshot(None)


def _of(low: str, high: str) -> ModelPrice:
    return ModelPrice(
        input_mtok=TieredPrices(Decimal(low), [Tier(1000, Decimal(high))]),
        output_mtok=Decimal(10),
        cache_read_mtok=Decimal("0.1"),
        cache_write_mtok=Decimal("1.25"),
        cache_write_1h_mtok=Decimal(2),
    )
