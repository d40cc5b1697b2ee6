from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from nbsessions import Usage

COUNTS = st.integers(0, 10**12)
USAGES = st.builds(
    Usage,
    input_tokens=COUNTS,
    output_tokens=COUNTS,
    cache_read_tokens=COUNTS,
    cache_write_tokens=COUNTS,
    reasoning_tokens=COUNTS,
    requests=COUNTS,
    cost=st.none() | st.decimals(0, 1000, places=9),
)


@given(USAGES, USAGES, USAGES)
def test_usages_add_up(a: Usage, b: Usage, c: Usage) -> None:
    assert a + b == b + a
    assert (a + b) + c == a + (b + c)
    assert a + Usage() == a
    assert (a + b).total_tokens == a.total_tokens + b.total_tokens


def test_an_unknown_cost_is_never_zero() -> None:
    priced, unpriced = Usage(cost=Decimal("0.5")), Usage(requests=1)
    assert (unpriced + unpriced).cost is None
    assert (priced + unpriced).cost == Decimal("0.5")
