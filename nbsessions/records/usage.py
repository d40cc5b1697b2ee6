"""What agents spend: tokens and cost."""

from __future__ import annotations

from decimal import Decimal

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
        US dollars. None where the model has no known price; never zero for "unknown".

    Examples
    --------
    >>> total = Usage(input_tokens=10, requests=1) + Usage(input_tokens=5, output_tokens=2, requests=1)
    >>> total.total_tokens, total.requests, total.cost
    (17, 2, None)
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    requests: int = 0
    cost: Decimal | None = None

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
            cost=sum(costs, Decimal(0)) if costs else None,
        )

    def __sub__(self, other: Usage) -> Usage:
        counts = {name: getattr(self, name) - getattr(other, name) for name in _COUNTS}
        cost = None if self.cost is None else self.cost - (other.cost or Decimal(0))
        return Usage(**counts, cost=cost)


_COUNTS = [name for name in Usage.model_fields if name != "cost"]
