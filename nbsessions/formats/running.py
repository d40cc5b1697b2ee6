"""The runs of a session of another tool: which they are, what they told, what each request spent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from nbsessions.formats.stable import stable_id
from nbsessions.pricing import SOURCE, priced
from nbsessions.records import Bill, Event, Run, Spent, Usage, billed


class Runs:
    """The runs that were read so far, with their events.

    Attributes
    ----------
    events : dict
        By the id of the run.

    Examples
    --------
    >>> Runs().usage.total_tokens
    0
    """

    def __init__(self) -> None:
        self._runs: dict[str, Run] = {}
        self._again: dict[str, str] = {}
        self.events: dict[str, list[Event]] = {}

    @property
    def all(self) -> list[Run]:
        """Those that there are, in the order in which they were read."""
        return list(self._runs.values())

    @property
    def usage(self) -> Usage:
        """What all of them spent."""
        return sum((run.usage for run in self.all), Usage())

    @property
    def model(self) -> str | None:
        """The model that was asked last."""
        return next((run.model for run in reversed(self.all) if run.model), None)

    def free_id(self, run_id: str) -> str:
        """Return the id of a run or, where a prompt was answered more than once, that of the next answer.

        Examples
        --------
        >>> Runs().free_id("a")
        'a'
        """
        if run_id not in self._runs:
            return run_id
        self._again[run_id] = stable_id(self._again.get(run_id, run_id), "again")
        return self._again[run_id]

    def keep(self, run: Run, events: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
        """Add a run with its events, each of which is a type and its data.

        Examples
        --------
        >>> from nbsessions.stores.base import Key
        >>> from nbsessions.testing.samples import a_run
        >>> runs, run = Runs(), a_run(Key("", "s1"))
        >>> runs.keep(run, [("agent_start", {})])
        >>> runs.all[0].event_count, runs.events[run.run_id][0].type
        (1, 'agent_start')
        """
        told = [Event(seq=seq, type=kind, data=dict(data)) for seq, (kind, data) in enumerate(events)]
        self.events[run.run_id] = told
        self._runs[run.run_id] = run.model_copy(update={"event_count": len(told)})


def bill_of(
    spent: Sequence[Spent],
    start: datetime,
    *,
    model: str | None,
    provider: str | None,
    otherwise: str | None = None,
) -> Bill:
    """Return what requests spent in all, each at its price.

    Parameters
    ----------
    spent : sequence of Spent
        One without a time was at the start.
    start : datetime
    model, provider : str or None
        Of the run.
    otherwise : str or None
        The model of a request that names none.

    Examples
    --------
    >>> from datetime import UTC
    >>> start = datetime(2026, 3, 1, tzinfo=UTC)
    >>> requests = [Spent(Usage(input_tokens=1_000, requests=1))]
    >>> float(bill_of(requests, start, model="gpt-4o", provider="openai", otherwise="gpt-4o").usage.cost)
    0.0025
    """
    requests = []
    for one in spent:
        # A cost that a log tells stays, whatever people's own prices are.
        by = one.priced_by or (None if one.usage.cost is None else SOURCE)
        told = one._replace(at=one.at or start, model=one.model or otherwise, priced_by=by)
        requests.append(priced(told))
    return billed(requests, start, model, provider)
