"""Days, weeks, months or years: what the columns of a chart over time stand for."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from typing import Any, Literal, NamedTuple

Unit = Literal["day", "week", "month", "year"]
_UNITS: tuple[Unit, ...] = ("day", "week", "month", "year")
_MOST = 62
_LEAST = 7
_LABELS = 9
_FORMATS = {"day": "%b %-d", "week": "%b %-d", "month": "%b %Y", "year": "%Y"}
_PLAIN = {"day": "%b %d", "week": "week of %b %d", "month": "%b %Y", "year": "%Y"}


class Slots(NamedTuple):
    """The columns of a chart over time, without a gap: also those on which nothing happened.

    Attributes
    ----------
    unit : {"day", "week", "month", "year"}
    starts : list of date
        The first day of each.

    Examples
    --------
    >>> found = Slots.over([date(2026, 11, 27), date(2026, 11, 28)])
    >>> found.unit, len(found.starts), found.starts[-1].isoformat()
    ('day', 7, '2026-11-28')
    """

    unit: Unit
    starts: list[date]

    @classmethod
    def over(cls, days: Iterable[date], least: Unit = "day") -> Slots:
        """Return what covers these days with as many columns as can be told apart, and some at least.

        Parameters
        ----------
        days : iterable of date
            At least one.
        least : {"day", "week", "month", "year"}
            No finer than this.

        Examples
        --------
        >>> Slots.over([date(2024, 1, 1), date(2026, 1, 1)]).unit
        'month'
        """
        seen = set(days)
        first, last = min(seen), max(seen)
        for unit in _UNITS[_UNITS.index(least) :]:
            length = {"day": 1, "week": 7, "month": 30, "year": 366}[unit]
            if (last - first).days < _MOST * length or unit == "year":
                break
        if (last - first).days > _MOST * 366:  # of clocks that were wrong: only the years that there are
            return cls(unit, sorted({_start(day, unit) for day in seen}))
        starts = [_start(last, unit)]
        while starts[0] > first or (len(starts) < _LEAST and starts[0].year > 1):
            starts.insert(0, _start(starts[0] - timedelta(1), unit))
        return cls(unit, starts)

    def of(self, day: date) -> str:
        """Return the column of a day.

        Examples
        --------
        >>> Slots("week", []).of(date(2026, 11, 28))
        '2026-11-23'
        """
        return _start(day, self.unit).isoformat()

    def label(self, slot: str) -> str:
        """Return a column's name for people.

        Examples
        --------
        >>> Slots("week", []).label("2026-11-23")
        'week of Nov 23'
        """
        return date.fromisoformat(slot).strftime(_PLAIN[self.unit])

    def axis(self) -> dict[str, Any]:
        """Return Vega-Lite's channel of it, with as many labels as there is room for.

        Examples
        --------
        >>> Slots.over([date(2026, 11, 28)]).axis()["axis"]["title"]
        'day (UTC), 2026'
        """
        names = [start.isoformat() for start in self.starts]
        every = -(-len(names) // _LABELS)
        years = sorted({start.year for start in self.starts})
        span = f", {years[0]}" if len(years) == 1 else f", {years[0]} to {years[-1]}"
        what = "week from" if self.unit == "week" else self.unit
        return {
            "field": "slot",
            "type": "nominal",
            "scale": {"domain": names, "paddingInner": 0.25, "paddingOuter": 0.15},
            "axis": {
                "title": f"{what} (UTC){'' if self.unit in ('month', 'year') else span}",
                # Counted from the end: the last column is what is looked for.
                "values": names[::-1][::every],
                "labelExpr": f"utcFormat(utcParse(datum.value, '%Y-%m-%d'), '{_FORMATS[self.unit]}')",
                "labelAngle": 0,
                "ticks": False,
                "labelPadding": 7,
                "grid": False,
            },
        }


def _start(day: date, unit: Unit) -> date:
    if unit == "day":
        return day
    if unit == "week":
        return day - timedelta(day.weekday())
    return day.replace(day=1) if unit == "month" else day.replace(month=1, day=1)
