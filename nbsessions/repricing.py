"""Giving a price to what had none when it was spent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal

from nbsessions.accounts import told
from nbsessions.pricing import LOCAL, SOURCE, priced
from nbsessions.records import NOTHING, TERMINAL, Bill, Run, Share, Spent, Usage, shares_of
from nbsessions.stores.base import Backend, Finish, Key, Spending
from nbsessions.text import counted
from nbsessions.values import micros

_Shares = dict[tuple[date, str | None, str | None], Usage]


@dataclass
class Repricing:
    """What became of runs that were priced again.

    Attributes
    ----------
    runs : int
        Those whose cost is another one now.
    cost : Decimal
        US dollars that they cost more than was known before.
    unpriced : dict of str to int
        By the name of a model, tokens that still have no price; those of no known model are under ``None``.

    Examples
    --------
    >>> print(Repricing(2, Decimal("0.5"), {"my-model": 1000}))
    2 runs have a new cost: $0.5000 more. Without a price: 1,000 tokens of my-model.
    """

    runs: int = 0
    cost: Decimal = Decimal(0)
    unpriced: dict[str | None, int] = field(default_factory=dict)

    def __str__(self) -> str:
        have = "has" if self.runs == 1 else "have"
        more = f": ${abs(self.cost):,.4f} {'less' if self.cost < 0 else 'more'}"
        text = f"{counted(self.runs, 'run')} {have} a new cost{more if self.runs else ''}."
        left = [f"{count:,} tokens of {model or 'no known model'}" for model, count in self.unpriced.items()]
        return f"{text} Without a price: {', '.join(left)}." if left else text


def reprice(
    backend: Backend,
    owner: str,
    *,
    model: str | None = None,
    since: datetime | None = None,
    again: bool = False,
) -> Repricing:
    """Price what had no price, by what is known now, at its own time: see `Store.reprice`.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> print(reprice(nbs.open_store("memory:").backend, "ada"))
    0 runs have a new cost.
    """
    result, left = Repricing(), Counter[str | None]()
    for run in _runs(backend, owner, model, since, again=again):
        # One that is suspended has not ended: it would end by this.
        if run.status not in TERMINAL or (since is not None and run.started_at < since):
            continue
        if not run.usage.unpriced_tokens and not again:
            continue
        bill = _bill(run, told(backend.events(run.run_id)) if run.event_count else [], model, again=again)
        if bill.usage != run.usage:
            present = backend.get_run(run.run_id)
            if present is None or present.usage != run.usage:
                continue  # an answer came late, or another is pricing: the next time it is seen
            backend.finish_run(_finish(run, bill))
            result.runs += 1
            result.cost += (bill.usage.cost or 0) - (run.usage.cost or 0)
        for share in run.model_copy(update=bill._asdict()).spending:
            if share.usage.unpriced_tokens and model in (None, share.model):
                left[share.model] += share.usage.unpriced_tokens
    result.unpriced = dict(left.most_common())
    return result


def _runs(
    backend: Backend, owner: str, model: str | None, since: datetime | None, *, again: bool
) -> Iterator[Run]:
    """Yield the runs that may get another price: of one's own sessions, and of those that are deleted."""
    day = None if since is None else since.astimezone(UTC).date()
    for total in backend.usage(Spending(by=("session", "owner"), model=model, since=day)):
        key, whose = total.group
        if not (total.usage.unpriced_tokens or (again and total.usage.total_tokens)):
            continue
        if isinstance(key, Key) and whose == owner:
            yield from backend.runs(key)
        elif key is None:
            yield from (run for run in backend.runs() if not run.session_id)


def _bill(run: Run, requests: Sequence[Spent], model: str | None, *, again: bool) -> Bill:
    """Return what a run spent, with prices where there are any now; what has one never loses it."""
    known: _Shares = {share[:3]: share.usage for share in run.spending}
    if _tokens(requests, run) != {key: usage.total_tokens for key, usage in known.items()}:
        # Its log does not tell all of them: those of one day and model are priced as equal ones.
        requests = [_as_one(share, run) for share in run.spending]
    done = [_priced(one, again=again) if model in (None, one.model) else one for one in requests]
    new: _Shares = {share[:3]: share.usage for share in shares_of(done, run.started_at)}
    better = {
        key: new[key]
        for key, usage in known.items()
        if key in new and _is_better(new[key], usage, again=again)
    }
    if not better:
        return Bill(run.usage, run.shares, run.priced_by)
    kept = [] if len(better) == len(known) else [run.priced_by]
    told_by = [by for by in [*kept, *(one.priced_by for one in done)] if by is not None]
    sources = [source for by in told_by for source in by.split(", ")]
    shares = tuple(Share(*key, usage) for key, usage in {**known, **better}.items())
    usage = sum((share.usage for share in shares), Usage())
    return Bill(usage, shares if run.shares else (), ", ".join(dict.fromkeys(sources)) or None)


def _tokens(requests: Sequence[Spent], run: Run) -> dict[tuple[date, str | None, str | None], int]:
    shares = shares_of(requests, run.started_at)
    return {share[:3]: share.usage.total_tokens for share in shares if share.usage != NOTHING}


def _as_one(share: Share, run: Run) -> Spent:
    at = run.started_at + (share.day - run.started_at.date())
    return Spent(share.usage, share.model, share.provider, at, run.priced_by)


def _priced(one: Spent, *, again: bool) -> Spent:
    if one.usage.cost is not None and not again:
        return one
    # What others said that it costs, only an own price takes the place of.
    is_told = one.priced_by is not None and bool({SOURCE, LOCAL}.intersection(one.priced_by.split(", ")))
    told = one.usage.cost if is_told else None
    return priced(one._replace(usage=one.usage.model_copy(update={"cost": told}), priced_by=None))


def _is_better(usage: Usage, known: Usage, *, again: bool) -> bool:
    if usage.unpriced_tokens != known.unpriced_tokens:
        return usage.unpriced_tokens < known.unpriced_tokens
    return again and usage.cost is not None and usage.cost != known.cost


def _finish(run: Run, bill: Bill) -> Finish:
    # How a run ended that has ended is not changed by this.
    ended = micros(run.finished_at or run.started_at)
    return Finish(run.run_id, "completed", ended, bill.usage, shares=bill.shares, priced_by=bill.priced_by)
