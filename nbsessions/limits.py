"""How much an agent may spend: in a run, in a session, on a day. It is stopped before the next request."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Final, Literal, get_args

from nbsessions.exceptions import InvalidInput, LimitReached, StoreError
from nbsessions.pricing import LOCAL, priced
from nbsessions.records import NOTHING, Spent, Usage
from nbsessions.stores.queries import Spending
from nbsessions.text import counted
from nbsessions.values import now

if TYPE_CHECKING:
    from nbsessions.stores.base import Backend, Key

Period = Literal["run", "session", "day"]
PERIODS: Final[tuple[Period, ...]] = get_args(Period)
Amount = str | int | float | Decimal
_KINDS: Final = ("cost", "requests", "total_tokens")
_SPENT: Final = {
    "run": "This run has spent {}",
    "session": "This session has spent {}",
    "day": "This store has spent {} today",
}
_TRIED: Final = Usage(input_tokens=1000, output_tokens=1000, requests=1)


@dataclass(frozen=True, slots=True)
class Limits:
    """What may be spent at most.

    Each is an amount, which holds for each run, or a text of amounts with commas between them, of which
    one may hold for a ``/run``, one for a ``/session`` and one for a ``/day`` (in UTC, of all sessions in
    the store). Who has spent as much or more is stopped before the next request to a model.

    Attributes
    ----------
    cost : amount or None
        US dollars. An agent whose model has no known price is not asked then.
    requests, total_tokens : amount or None
        Requests to models; tokens that were sent and generated.

    Raises
    ------
    InvalidInput

    Examples
    --------
    >>> print(Limits(cost="0.50, 5/day", requests=20))
    at most $0.50 a run, $5.00 a day, 20 requests a run
    """

    cost: Amount | None = None
    requests: Amount | None = None
    total_tokens: Amount | None = None

    def __post_init__(self) -> None:
        for kind in _KINDS:
            self.of(kind)

    def of(self, kind: str) -> dict[Period, Decimal]:
        """Return the limits of one kind, by period.

        Examples
        --------
        >>> Limits(cost="2/session").of("cost")
        {'session': Decimal('2')}
        """
        return _parsed(getattr(self, kind), kind)

    def __bool__(self) -> bool:
        return any(getattr(self, kind) is not None for kind in _KINDS)

    def __str__(self) -> str:
        told = [
            f"{_amount(kind, limit)} a {period}" for kind in _KINDS for period, limit in self.of(kind).items()
        ]
        return f"at most {', '.join(told)}" if told else "no limits"


def _parsed(text: Amount | None, kind: str) -> dict[Period, Decimal]:
    found: dict[Period, Decimal] = {}
    for part in [] if text is None else str(text).split(","):
        number, _, named = (piece.strip() for piece in part.partition("/"))
        period = next((one for one in PERIODS if one == (named or "run")), None)
        amount = _number(number.removeprefix("$"))
        if period is None or amount is None or period in found or isinstance(text, bool):
            example = "0.50, 2/session, 5/day" if kind == "cost" else "100, 500/session, 2000/day"
            raise InvalidInput(f"max_{kind} is an amount above 0, or several as {example!r}, not {text!r}.")
        found[period] = amount
    return found


def _number(text: str) -> Decimal | None:
    try:
        found = Decimal(text)
    except InvalidOperation:
        return None
    return found if found.is_finite() and found > 0 else None


def _amount(kind: str, amount: Decimal | int) -> str:
    if kind == "cost":
        return f"${amount:,.2f}" if amount == round(amount, 2) else f"${amount:,.4f}"
    return counted(int(amount), "request" if kind == "requests" else "token")


class Meter:
    """Watches the limits of one run.

    Parameters
    ----------
    limits : Limits
    backend : Backend
    key : Key
        Of the session. What it and the day have spent is looked up before each request: others spend, too.
    earlier : Usage
        What the run itself has spent, where it goes on.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> session = nbs.open_store("memory:").create("plan")
    >>> meter = Meter(Limits(requests=2), session.backend, session.key)
    >>> meter.check(Usage(requests=1))
    >>> meter.check(Usage(requests=2))
    Traceback (most recent call last):
    nbsessions.exceptions.LimitReached: This run has spent 2 requests, and max_requests is 2 requests ...
    """

    def __init__(self, limits: Limits, backend: Backend, key: Key, earlier: Usage = NOTHING) -> None:
        self._limits = {kind: limits.of(kind) for kind in _KINDS}
        self._backend, self._key, self._earlier = backend, key, earlier
        limited = {period for found in self._limits.values() for period in found}
        self._before: dict[Period, Usage] = {
            period: earlier if period == "run" else _spent(period, backend, key) for period in limited
        }

    def begin(self, model: str | None, provider: str | None) -> None:
        """Refuse to begin where a limit is reached already, or cannot be watched.

        Raises
        ------
        LimitReached, InvalidInput

        Examples
        --------
        >>> import nbsessions as nbs
        >>> session = nbs.open_store("memory:").create("plan")
        >>> Meter(Limits(cost=1), session.backend, session.key).begin("my-model", None)
        Traceback (most recent call last):
        nbsessions.exceptions.InvalidInput: 'my-model' has no known price, so that max_cost cannot be ...
        """
        if self._limits["cost"] and model is not None and not _has_price(model, provider):
            raise InvalidInput(
                f"{model!r} has no known price, so that max_cost cannot be watched. Give it one by "
                "nbs.set_price, or limit max_total_tokens or max_requests instead."
            )
        self._check(Usage())

    def check(self, spent: Usage) -> None:
        """Raise where a limit is reached, with what the run has spent so far.

        Raises
        ------
        LimitReached
        """
        with suppress(StoreError):  # what was known before holds
            for period in self._before.keys() - {"run"}:
                # A run under way is not counted there, nor what it spent before it went on.
                self._before[period] = _spent(period, self._backend, self._key) + self._earlier
        self._check(spent)

    def _check(self, spent: Usage) -> None:
        if self._limits["cost"] and spent.unpriced_tokens:
            raise LimitReached(
                f"{spent.unpriced_tokens:,} tokens of this run have no known price, so that max_cost cannot "
                "be watched: nothing more is sent. Give their model one by nbs.set_price to go on."
            )
        for kind, limits in self._limits.items():
            for period, limit in limits.items():
                whole = self._before[period] + spent
                found = getattr(whole, kind) or 0
                if found >= limit:
                    told = _SPENT[period].format(_amount(kind, found))
                    raise LimitReached(
                        f"{told}, and max_{kind} is {_amount(kind, limit)} a {period}: nothing more is sent. "
                        "Raise the limit to go on."
                    )

    def unwatched(self, spent: Usage) -> str | None:
        """Return what is to be told of tokens that no limit of the cost counts; None: there are none.

        Examples
        --------
        >>> import nbsessions as nbs
        >>> session = nbs.open_store("memory:").create("plan")
        >>> Meter(Limits(cost=1), session.backend, session.key).unwatched(Usage(unpriced_tokens=7))
        '7 tokens of this run have no known price: max_cost does not count them.'
        """
        for period in self._limits["cost"]:
            tokens = (self._before[period] + spent).unpriced_tokens
            if tokens:
                of = "this run" if period == "run" else f"this {period}" if period != "day" else "today"
                return f"{tokens:,} tokens of {of} have no known price: max_cost does not count them."
        return None


def _spent(period: Period, backend: Backend, key: Key) -> Usage:
    if period == "session":
        record = backend.get(key)
        return Usage() if record is None else record.usage
    # The day's a store has added up already: it need not look at runs.
    totals = backend.usage(Spending(since=now().astimezone(UTC).date()))
    return sum((total.usage for total in totals), Usage())


def _has_price(model: str, provider: str | None) -> bool:
    return provider == LOCAL or priced(Spent(_TRIED, model, provider)).usage.cost is not None
