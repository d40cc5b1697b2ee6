"""What agents spend: tokens and cost, by request, by run, by day and model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Final, NamedTuple

from pydantic import BaseModel, ConfigDict


class Usage(BaseModel):
    """Tokens and cost of one or more requests to a model.

    Attributes
    ----------
    input_tokens : int
        All tokens sent, those read from and written to a cache included.
    output_tokens : int
        All tokens generated, reasoning included.
    cache_read_tokens, cache_write_tokens, reasoning_tokens, requests : int
    cost : Decimal or None
        US dollars, of what has a known price. None where nothing of it has; never zero for "unknown".
    unpriced_tokens : int
        Of the tokens sent and generated, those whose model had no known price: `cost` is without them.

    Examples
    --------
    >>> total = Usage(input_tokens=10, requests=1) + Usage(input_tokens=5, output_tokens=2, requests=1)
    >>> total.total_tokens, total.requests, total.cost
    (17, 2, None)
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    requests: int = 0
    cost: Decimal | None = None
    unpriced_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        """Input and output tokens together.

        Examples
        --------
        >>> Usage(input_tokens=3, output_tokens=4).total_tokens
        7
        """
        return self.input_tokens + self.output_tokens

    def __add__(self, other: Usage) -> Usage:
        costs = [usage.cost for usage in (self, other) if usage.cost is not None]
        return Usage(
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cache_read_tokens=self.cache_read_tokens + other.cache_read_tokens,
            cache_write_tokens=self.cache_write_tokens + other.cache_write_tokens,
            reasoning_tokens=self.reasoning_tokens + other.reasoning_tokens,
            requests=self.requests + other.requests,
            unpriced_tokens=self.unpriced_tokens + other.unpriced_tokens,
            cost=sum(costs, Decimal(0)) if costs else None,
        )

    def __sub__(self, other: Usage) -> Usage:
        counts = {name: getattr(self, name) - getattr(other, name) for name in _COUNTS}
        cost = None if self.cost is None else self.cost - (other.cost or Decimal(0))
        return Usage(**counts, cost=cost)


_COUNTS = [name for name in Usage.model_fields if name != "cost"]


class Spent(NamedTuple):
    """What one request to a model spent.

    Attributes
    ----------
    usage : Usage
    model, provider : str or None
        As the provider names them.
    at : datetime or None
        When it was sent, timezone-aware.
    priced_by : str or None
        What its cost was calculated with: ``genai-prices 0.2.3``, ``own price``; ``source``, where who
        imported or reported it said the cost. None: nothing has a price for it.
    hour_cache_tokens : int
        Of `cache_write_tokens`, those kept for an hour, which costs more than for minutes.

    Examples
    --------
    >>> Spent(Usage(input_tokens=3, requests=1), "gpt-4o").model
    'gpt-4o'
    """

    usage: Usage
    model: str | None = None
    provider: str | None = None
    at: datetime | None = None
    priced_by: str | None = None
    hour_cache_tokens: int = 0


NOTHING: Final = Usage.model_construct()
"""No usage; made without a check, which would have to be built each time this is imported."""


class Share(NamedTuple):
    """What a run spent on one day with one model.

    Attributes
    ----------
    day : date
        In UTC.
    model, provider : str or None
    usage : Usage

    Examples
    --------
    >>> Share(date(2026, 3, 1), "gpt-4o", "openai", Usage(input_tokens=3, requests=1)).day.isoformat()
    '2026-03-01'
    """

    day: date
    model: str | None
    provider: str | None
    usage: Usage


def shares_of(spent: Iterable[Spent], at: datetime) -> tuple[Share, ...]:
    """Return requests added up by day and model, in order; those without a time are counted `at`.

    Examples
    --------
    >>> from datetime import UTC
    >>> one = Spent(Usage(input_tokens=3, requests=1), "gpt-4o", "openai")
    >>> [share.usage.input_tokens for share in shares_of([one, one], datetime(2026, 3, 1, tzinfo=UTC))]
    [6]
    """
    found: dict[tuple[date, str | None, str | None], Usage] = {}
    for one in spent:
        key = ((one.at or at).astimezone(UTC).date(), one.model, one.provider)
        found[key] = found.get(key, NOTHING) + one.usage
    return tuple(Share(*key, usage) for key, usage in found.items())


class Bill(NamedTuple):
    """What the requests of a run spent in all.

    Attributes
    ----------
    usage : Usage
    shares : tuple of Share
        As `Run` has them: empty where all is of the day and the model of the run.
    priced_by : str or None
        Several are named with a comma between them.

    Examples
    --------
    >>> Bill(Usage(input_tokens=3, requests=1)).shares
    ()
    """

    usage: Usage = NOTHING
    shares: tuple[Share, ...] = ()
    priced_by: str | None = None


def billed(spent: Sequence[Spent], at: datetime, model: str | None, provider: str | None) -> Bill:
    """Return what requests, which are priced already, spent in a run that began `at` with this model.

    Examples
    --------
    >>> from datetime import UTC
    >>> night, morning = datetime(2026, 3, 1, 23, tzinfo=UTC), datetime(2026, 3, 2, 1, tzinfo=UTC)
    >>> spent = [Spent(Usage(input_tokens=5, requests=1), "gpt-4o", at=at) for at in (night, morning)]
    >>> [(share.day.day, share.usage.input_tokens) for share in billed(spent, night, "gpt-4o", None).shares]
    [(1, 5), (2, 5)]
    """
    shares = shares_of([one for one in spent if one.usage != NOTHING], at)
    own = (at.astimezone(UTC).date(), model, provider)
    sources = dict.fromkeys(one.priced_by for one in spent if one.priced_by is not None)
    return Bill(
        sum((one.usage for one in spent), Usage()),
        () if all(share[:3] == own for share in shares) else shares,
        ", ".join(sources) or None,
    )
