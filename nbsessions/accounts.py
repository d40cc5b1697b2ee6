"""What a run spends, request by request: priced, told in its log, and added up when it ends."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from pydantic import ConfigDict, TypeAdapter, ValidationError

from nbsessions.adapters.base import Answer
from nbsessions.pricing import priced
from nbsessions.records import Bill, Event, Run, Spent, Usage, billed
from nbsessions.values import now

if TYPE_CHECKING:
    from ag_ui.core import BaseEvent

TOLD: Final = "nbsessions.usage"
"""The name of the ``CUSTOM`` event that tells what one request spent."""


class Account:
    """What a run spends while it goes on.

    Parameters
    ----------
    answer : Answer
        Which its adapter fills.
    before : sequence of Spent
        What it spent before it was suspended, which its log tells.

    Examples
    --------
    >>> answer = Answer(usage=Usage(input_tokens=3, requests=1), model="my-model")
    >>> account = Account(answer)
    >>> [spent.model for spent in account.close()]
    ['my-model']
    """

    def __init__(self, answer: Answer, before: Sequence[Spent] = ()) -> None:
        self._answer, self._before = answer, before
        self._spent: list[Spent] = []

    def news(self) -> list[Spent]:
        """Return the requests that were answered since it was asked last, priced."""
        new = [priced(one._replace(at=one.at or now())) for one in self._answer.requests[len(self._spent) :]]
        self._spent += new
        return new

    def so_far(self) -> Usage:
        """Return what is known to be spent up to now, priced."""
        rest = _rest(self._spent, self._answer.usage)
        told = sum((one.usage for one in self._spent), Usage())
        if rest is None:
            return told
        return told + _of_the_rest(rest, self._spent, self._answer.model, self._answer.provider, now()).usage

    def close(self) -> list[Spent]:
        """Return those since it was asked last, and what the agent spent besides; it has ended."""
        new = self.news()
        # Until all requests are told, the rest is not known. A second end finds nothing more.
        rest = _rest(self._spent, self._answer.usage)
        if rest is not None:
            new.append(_of_the_rest(rest, self._spent, self._answer.model, self._answer.provider, now()))
            self._spent.append(new[-1])
            self._answer.requests.append(new[-1])
        return new

    def bill(self, started_at: datetime) -> Bill:
        """Return what was spent in all, by a run that began then."""
        whole = [*self._before, *self._spent]
        return billed(whole, started_at, self._answer.model, self._answer.provider)


def event_of(spent: Spent) -> BaseEvent:
    """Return the event that tells a request: ``CUSTOM``, as https://docs.ag-ui.com/concepts/events has it.

    Examples
    --------
    >>> event_of(Spent(Usage(input_tokens=3, requests=1), "my-model")).value["input_tokens"]
    3
    """
    from ag_ui.core import CustomEvent

    value = {
        "model": spent.model,
        "provider": spent.provider,
        "at": None if spent.at is None else spent.at.isoformat().replace("+00:00", "Z"),
        **spent.usage.model_dump(mode="json"),
        "priced_by": spent.priced_by,
    }
    return CustomEvent(name=TOLD, value=value)


def bill_of(run: Run, events: Iterable[Event], known: Usage) -> Bill:
    """Return what a run is known to have spent whose process died: by its log, and by what it kept.

    Examples
    --------
    >>> from nbsessions.stores.base import Key
    >>> from nbsessions.testing.samples import a_run
    >>> bill_of(a_run(Key("", "s1")), [], Usage(input_tokens=3)).usage.unpriced_tokens
    3
    """
    return billed(spent_of(run, events, known), run.started_at, run.model, run.provider)


def spent_of(run: Run, events: Iterable[Event], known: Usage) -> list[Spent]:
    """Return what a run spent, by its log, and what it is known to have spent besides.

    Examples
    --------
    >>> from nbsessions.stores.base import Key
    >>> from nbsessions.testing.samples import a_run
    >>> [spent.usage.input_tokens for spent in spent_of(a_run(Key("", "s1")), [], Usage(input_tokens=3))]
    [3]
    """
    spent = told(events)
    rest = _rest(spent, known)
    if rest is not None:
        spent.append(_of_the_rest(rest, spent, run.model, run.provider, run.started_at))
    return spent


def told(events: Iterable[Event]) -> list[Spent]:
    """Return the requests that the log of a run tells.

    Examples
    --------
    >>> told([])
    []
    """
    values = [event.data.get("value") for event in events if event.data.get("name") == TOLD]
    return [one for value in values if (one := _read(value)) is not None]


def _read(value: Any) -> Spent | None:
    """Return a request that an event tells; None where it does not."""
    try:
        usage = Usage.model_validate({name: value[name] for name in Usage.model_fields if name in value})
        at = _TIME.validate_python(value.get("at"))
    except (ValidationError, TypeError, AttributeError):
        return None
    return Spent(usage, value.get("model"), value.get("provider"), at, value.get("priced_by"))


_TIME = TypeAdapter[datetime | None](datetime | None, config=ConfigDict(defer_build=True))


def _rest(spent: Sequence[Spent], whole: Usage) -> Usage | None:
    """Return what was spent beside these requests; None where that is nothing."""
    told = sum((one.usage for one in spent), Usage())
    counts = {
        name: max(0, getattr(whole, name) - getattr(told, name))
        for name in Usage.model_fields
        if name not in ("cost", "unpriced_tokens")
    }
    if not any(counts.values()):
        return None
    if whole.cost is None or (spent and whole.cost <= (told.cost or 0)):
        return Usage(**counts)
    return Usage(**counts, cost=whole.cost - (told.cost or 0))


def _of_the_rest(
    rest: Usage, spent: Sequence[Spent], model: str | None, provider: str | None, at: datetime
) -> Spent:
    # An agent that tells its requests, and spent more, had others do something: its model is not known.
    unknown = bool(spent) and rest.total_tokens > 0
    return priced(Spent(rest, None if unknown else model, None if unknown else provider, at))
