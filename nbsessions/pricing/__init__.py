"""What a request to a model costs: by people's own prices, else by genai-prices, at the time of the request.

https://github.com/pydantic/genai-prices (looked at: 0.2.3). It brings its prices along and asks no network,
unless somebody starts its ``UpdatePrices``; then the prices that it has got count here, too. It knows list
prices: no discounts, batches or subscriptions.
"""

from __future__ import annotations

import sys
import warnings
from datetime import datetime
from decimal import Decimal, localcontext
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from nbsessions.exceptions import InvalidInput
from nbsessions.pricing.own import own_price
from nbsessions.pricing.spellings import spellings, written
from nbsessions.records import Spent, Usage
from nbsessions.values import now

if TYPE_CHECKING:
    import genai_prices
    from genai_prices.types import ModelInfo, Provider

OWN: Final = "own price"
SOURCE: Final = "source"
LOCAL: Final = "local"
_NANO: Final = Decimal("1e-9")
_FINEST: Final = Decimal("1e-18")
_MOST: Final = Decimal(10**7)
"""A store adds up billionths of a dollar in 64 bits, each weighed for its checksum."""
_MOST_TOKENS: Final = 2**53
_COUNTS: Final = [name for name in Usage.model_fields if name != "cost"]


def priced(spent: Spent) -> Spent:
    """Return what was spent with its cost, where the price of its model is known.

    What says who priced it already stays as it is. Else the person's own price holds, then a cost that is
    told, then the price that genai-prices has. Without any, the cost is missing and the tokens are counted
    as unpriced. It raises nothing: an answer is never lost because of its price.

    Parameters
    ----------
    spent : Spent
        Of one request, or of several alike: they are priced one by one, as equal ones. Of tokens whose
        number of requests is not known (0), each is priced as that of a small request.

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
    spent = spent._replace(usage=_sound(spent.usage))
    usage = spent.usage
    if spent.priced_by is not None:
        return spent
    found = _own(spent) if usage.total_tokens else None
    if found is None and usage.cost is not None:
        is_local = spent.provider == LOCAL and not usage.cost
        return spent._replace(priced_by=LOCAL if is_local else SOURCE)
    if found is None and usage.total_tokens:
        found = _known(spent)
    cost, by = found or (None, None)
    unpriced = usage.total_tokens if cost is None else 0
    return spent._replace(
        usage=usage.model_copy(update={"cost": cost, "unpriced_tokens": unpriced}), priced_by=by
    )


def _sound(usage: Usage) -> Usage:
    """Return a usage that every store keeps as it is, so that sums of it stay the same."""
    # What a server counts wrong (-1, or all bits of a number) is an error of its own, and no count.
    wrong = [name for name in _COUNTS if not 0 <= getattr(usage, name) <= _MOST_TOKENS]
    if wrong:
        usage = usage.model_copy(update=dict.fromkeys(wrong, 0))
    cost = usage.cost
    if cost is None:
        return usage
    if not cost.is_finite() or not 0 <= cost < _MOST:  # an agent's error, and no cost
        return usage.model_copy(update={"cost": None})
    rounded = cost.quantize(_NANO)
    return usage if rounded == cost else usage.model_copy(update={"cost": rounded})


def _own(spent: Spent) -> tuple[Decimal, str] | None:
    try:
        price = own_price(written(spent.model, spent.provider))
    except InvalidInput as error:
        _warn(f"{error} No own price counts.")
        return None
    cost = None if price is None else _rounded(price.of(spent.usage))
    return None if cost is None else (cost, OWN)


def _known(spent: Spent) -> tuple[Decimal, str] | None:
    """Return the cost by genai-prices, and what to call that."""
    try:
        import genai_prices
        from genai_prices.data_snapshot import get_snapshot

        found = _found(spent.model, spent.provider, get_snapshot().timestamp)
        cost = None if found is None else _cost(spent, *found)
    except Exception as error:  # noqa: BLE001 - an answer is worth more than its price
        _warn(f"What {spent.model!r} costs cannot be told: {type(error).__name__}: {error}")
        return None
    return None if cost is None else (cost, f"genai-prices {genai_prices.__version__}")


@lru_cache(maxsize=4096)
def _found(model: str | None, provider: str | None, of: datetime) -> tuple[Provider, ModelInfo] | None:
    """Return a model as genai-prices has it; `of` tells its prices from those that replace them."""
    from genai_prices.data_snapshot import get_snapshot

    snapshot = get_snapshot()
    for ref in spellings(model, provider, [one.id for one in snapshot.providers]):
        try:
            return snapshot.find_provider_model(ref.model, None, ref.provider, None)
        except LookupError:
            continue
    return None


def _cost(spent: Spent, provider: Provider, model: ModelInfo) -> Decimal | None:
    at = spent.at or now()
    price, usage = model.get_prices(at), spent.usage
    is_free = model.id.endswith(":free") or (spent.model or "").endswith(":free")
    if (usage.input_tokens and price.input_mtok is None) or (
        usage.output_tokens and price.output_mtok is None
    ):
        return Decimal(0) if is_free else None
    if not usage.requests and price.requests_kcount is not None:
        return None
    requests = usage.requests or max(usage.total_tokens, 1)
    told = model.calc_price(_each(spent, requests), provider, genai_request_timestamp=at)
    return _rounded(told.total_price * requests)


def _each(spent: Spent, requests: int) -> genai_prices.Usage:
    """Return what each of equal requests spent: only one that is long itself costs as a long one."""
    import genai_prices

    usage = spent.usage
    read, written = usage.cache_read_tokens, usage.cache_write_tokens
    hour = min(spent.hour_cache_tokens, written)
    # Some count the tokens of the cache apart; all are sent.
    fresh = max(usage.input_tokens - read - written, 0)
    with localcontext(prec=60):
        parts = [_part(count, requests) for count in (fresh, read, written - hour, hour, usage.output_tokens)]
    fresh_each, read_each, short_each, hour_each, output_each = parts
    return genai_prices.Usage(
        input_tokens=fresh_each + read_each + short_each + hour_each,
        cache_read_tokens=read_each,
        cache_write_tokens=short_each + hour_each,
        cache_write_1h_tokens=hour_each or None,
        output_tokens=output_each,
    )


def _part(count: int, requests: int) -> Decimal | int:
    return count if requests == 1 else (Decimal(count) / requests).quantize(_FINEST)


def _rounded(cost: Decimal) -> Decimal | None:
    return cost.quantize(_NANO) if cost < _MOST else None


def _warn(text: str) -> None:
    try:
        warnings.warn(text, RuntimeWarning, stacklevel=5)
    except RuntimeWarning:  # who makes errors of warnings would lose the answer
        sys.stderr.write(f"{text}\n")
