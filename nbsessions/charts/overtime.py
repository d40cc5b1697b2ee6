"""Charts over time: tokens, cost, and what share of the input came from a cache."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import TYPE_CHECKING, Any, NamedTuple

from nbsessions.amounts import exact, money
from nbsessions.charts.chart import Bar, Chart
from nbsessions.charts.data import days, fetch, grouped, keyed, numbers
from nbsessions.charts.labels import OTHER, largest
from nbsessions.charts.shapes import columns, lines
from nbsessions.charts.slots import Slots, Unit
from nbsessions.charts.style import TOP, compact, dollars_axis, shades, tokens_axis
from nbsessions.charts.summary import unpriced
from nbsessions.exceptions import InvalidInput

if TYPE_CHECKING:
    import pandas as pd

    from nbsessions.charts.data import Source

_TIMES: tuple[Unit, ...] = ("day", "week", "month")


def tokens(source: Source, *, by: str | None = "model", **filters: Any) -> Chart:
    """Draw the tokens sent and generated, by day (or week, or month), in parts of one colour each.

    Parameters
    ----------
    source : Store, Session or DataFrame
        A frame as of `usage_df`, by day.
    by : str or None
        What the parts stand for: ``model``, ``agent``, ``provider``, ``notebook``... The five largest have
        a colour, and all others are one. None: there are no parts.
    **filters
        As of `usage_df`, for a store: ``since="7d"``, ``model=``, ``tag=``...

    Raises
    ------
    InvalidInput

    Examples
    --------
    >>> import pandas as pd
    >>> rows = [("2026-11-27", "gpt-4o", 1200), ("2026-11-28", "gpt-4o", 300)]
    >>> frame = pd.DataFrame(rows, columns=["day", "model", "total_tokens"])
    >>> tokens(frame.assign(day=pd.to_datetime(frame["day"])))
    Tokens by day and model
    Nov 27  ████████████████████████████████ 1,200
    Nov 28  ████████ 300
    """
    asked = _asked(source, by, ("total_tokens",), filters)
    nothing = "no tokens were spent"
    return _columns(
        "Tokens", asked, "total_tokens", lambda most: tokens_axis(), lambda n: f"{n:,.0f}", nothing
    )


def cost(source: Source, *, by: str | None = "model", **filters: Any) -> Chart:
    """Draw what was paid for, in US dollars, by day (or week, or month), in parts of one colour each.

    Tokens without a known price are in no column: the line below the title says how many there are.

    Parameters
    ----------
    source, by, **filters
        As of `tokens`.

    Raises
    ------
    InvalidInput

    Examples
    --------
    >>> import nbsessions as nbs
    >>> cost(nbs.open_store("memory:"))
    Cost by day
    Nothing to show: no cost is known.
    """
    asked = _asked(source, by, ("cost",), filters, also="model")
    frame = asked.frame
    needs = ("model", "input_tokens", "output_tokens", "unpriced_tokens")
    note = unpriced(frame) if all(name in frame for name in needs) else ""
    nothing = "all of it was free" if frame["cost"].notna().any() else "no cost is known"
    return _columns("Cost", asked, "cost", dollars_axis, dollars, nothing, note)


def cache(source: Source, *, by: str | None = None, **filters: Any) -> Chart:
    """Draw which share of the tokens sent was read from a cache, by day (or week, or month).

    Parameters
    ----------
    source, by, **filters
        As of `tokens`; by ``model``, each has a line.

    Raises
    ------
    InvalidInput

    Examples
    --------
    >>> import nbsessions as nbs
    >>> cache(nbs.open_store("memory:"))
    Input read from a cache
    Nothing to show: no tokens were sent.
    """
    frame, by, unit = _asked(source, by, ("input_tokens", "cache_read_tokens"), filters)
    sent, read = numbers(frame["input_tokens"]), numbers(frame["cache_read_tokens"])
    title = "Input read from a cache" + ("" if by is None else f", by {by}")
    if not sum(sent):
        return Chart(title, None, note="Nothing to show: no tokens were sent.")
    at, (names, called) = days(frame["day"]), _parts(frame, by)
    labels, order = largest({name: sums[0] for name, sums in grouped(names, sent).items()}, called)
    slots = Slots.over([day for day, some in zip(at, sent, strict=True) if some], unit)
    keys = [(slots.of(day), labels[name]) for day, name in zip(at, names, strict=True)]
    rows = [
        {
            "slot": slot,
            "name": name,
            "value": sums[1] / sums[0],
            "when": slots.label(slot),
            "shown": f"{sums[1] / sums[0]:.0%} ({compact(sums[1])} of {compact(sums[0])})",
        }
        for (slot, name), sums in sorted(grouped(keys, sent, read).items())
        if sums[0]
    ]
    all_of_it = grouped([key[0] for key in keys], sent, read)
    bars = [
        Bar(slots.label(slot), sums[1] / sums[0], f"{sums[1] / sums[0]:.0%}")
        for slot, sums in sorted(all_of_it.items())
        if sums[0]
    ]
    axis = {"title": "of the input tokens", "format": ".0%"}
    note = f"{sum(read) / sum(sent):.0%} of all: {compact(sum(read))} of {compact(sum(sent))} tokens."
    return Chart(title, lines(rows, slots.axis(), shades(order, OTHER), axis), bars, note=note)


class _Asked(NamedTuple):
    frame: pd.DataFrame
    by: str | None
    """What the parts stand for."""
    unit: Unit
    """What the column ``day`` holds the first day of."""


def _asked(
    source: Source, by: str | None, needs: tuple[str, ...], filters: dict[str, Any], also: str | None = None
) -> _Asked:
    """Return a frame with a column ``day``: added up by that, or given by days, weeks or months."""
    import pandas as pd

    by = "agent" if by == "agent_name" else by
    if not isinstance(source, pd.DataFrame):
        groups = list(dict.fromkeys(group for group in ("day", by, also) if group is not None))
        return _Asked(fetch(source, "usage", needs, {**filters, "by": groups}), by, "day")
    unit = next((unit for unit in _TIMES if unit in source.columns), None)
    if unit is None:
        raise InvalidInput(
            "This chart is over time: it needs a day, week or month in its frame, as of usage_df."
        )
    return _Asked(fetch(source, "usage", needs, filters).rename(columns={unit: "day"}), by, unit)


def _columns(
    title: str,
    asked: _Asked,
    value: str,
    axis: Callable[[float], dict[str, Any]],
    show: Callable[[float], str],
    nothing: str,
    note: str = "",
) -> Chart:
    frame, by, unit = asked
    amounts = numbers(frame[value])
    if not sum(amounts):
        return Chart(f"{title} by {unit}", None, note=f"Nothing to show: {nothing}. {note}".strip())
    names, called = _parts(frame, by)
    labels, colours = _labelled(frame, names, called, amounts)
    at = days(frame["day"])
    slots = Slots.over(_used(at, amounts), unit)
    keys = [(slots.of(day), labels[name]) for day, name in zip(at, names, strict=True)]
    rows = [
        {
            "slot": slot,
            "name": name,
            "place": list(colours).index(name),
            "value": sums[0],
            "when": slots.label(slot),
            "shown": show(sums[0]),
        }
        for (slot, name), sums in sorted(grouped(keys, amounts).items())
        if sums[0]
    ]
    totals = grouped([slot for slot, _ in keys], amounts)
    bars = [Bar(slots.label(slot), total, show(total)) for slot, (total,) in sorted(totals.items()) if total]
    most = max(total for (total,) in totals.values())
    spec = columns(rows, slots.axis(), colours, axis(most))
    return Chart(f"{title} by {slots.unit}{'' if by is None else f' and {by}'}", spec, bars, note=note)


def _parts(frame: pd.DataFrame, by: str | None) -> tuple[list[str], dict[str, str]]:
    return ([""] * len(frame), {"": "all"}) if by is None else keyed(frame, by)


def _labelled(
    frame: pd.DataFrame, names: list[str], called: dict[str, str], amounts: list[float]
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the labels of names, and the colours of the labels that have something to show.

    Where there are colours for all, they go by tokens, so that tokens and cost of a model have the same.
    """
    weights = {name: sums[0] for name, sums in grouped(names, amounts).items()}
    shown = {name for name, weight in weights.items() if weight}
    if len(weights) <= TOP and "total_tokens" in frame:
        sums = grouped(names, numbers(frame["total_tokens"]))
        weights = {name: total for name, (total,) in sums.items()}
    labels, order = largest(weights, called)
    seen = {labels[name] for name in shown}
    return labels, {name: shade for name, shade in shades(order, OTHER).items() if name in seen}


def _used(at: list[date], amounts: list[float]) -> list[date]:
    return [day for day, amount in zip(at, amounts, strict=True) if amount]


def dollars(value: float) -> str:
    """Return dollars that were added up.

    Examples
    --------
    >>> dollars(0.1 + 0.2)
    '$0.30'
    """
    return money(exact(value))
