"""What a request to a model costs: by genai-prices, at the time of the request.

https://github.com/pydantic/genai-prices (looked at: 0.2.3)
"""

from __future__ import annotations

from decimal import Decimal

from nbsessions.records import Spent


def priced(spent: Spent) -> Spent:
    """Return what was spent with its cost, where the price of its model is known.

    A cost that is told already stays. Without a price, the cost is missing and the tokens are counted as
    unpriced.

    Parameters
    ----------
    spent : Spent
        Of one request, or of several alike.

    Examples
    --------
    >>> from datetime import UTC, datetime
    >>> from nbsessions.records import Usage
    >>> usage = Usage(input_tokens=1_000_000, requests=1)
    >>> float(priced(Spent(usage, "gpt-4o", "openai", datetime(2026, 3, 1, tzinfo=UTC))).usage.cost)
    2.5
    >>> priced(Spent(usage, "my-model")).usage.unpriced_tokens
    1000000
    """
    usage = spent.usage
    if usage.cost is not None:
        return spent._replace(priced_by=spent.priced_by or "source")
    if not usage.total_tokens:
        return spent
    cost, by = _cost(spent)
    if cost is None:
        known = usage.model_copy(update={"unpriced_tokens": usage.total_tokens})
        return spent._replace(usage=known, priced_by=None)
    return spent._replace(usage=usage.model_copy(update={"cost": cost, "unpriced_tokens": 0}), priced_by=by)


def _cost(spent: Spent) -> tuple[Decimal | None, str | None]:
    import genai_prices

    usage = spent.usage
    told = genai_prices.Usage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens,
    )
    try:
        price = genai_prices.calc_price(
            told, spent.model or "", provider_id=spent.provider, genai_request_timestamp=spent.at
        )
    except LookupError:
        return None, None
    return price.total_price, f"genai-prices {genai_prices.__version__}"
