"""Usage as `%session usage` shows it: a table, a line that sums it up, and a chart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import pandas as pd

from nbsessions.charts.chart import Chart
from nbsessions.charts.data import keyed, numbers
from nbsessions.charts.overtime import cost, tokens
from nbsessions.charts.ranked import ranking
from nbsessions.charts.summary import summary, unpriced
from nbsessions.store import Store
from nbsessions.stores.queries import Group
from nbsessions.text import one_line

Shown = Literal["tokens", "cost", "none"]
_TIMES = ("day", "week", "month")
_GROUPS = get_args(Group)
_ROWS = 20
_LAST = (
    "runs",
    "requests",
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
)


class UsageTable(pd.DataFrame):
    """A DataFrame of usage which, where it is looked at, is followed by a summary and a chart.

    What is made of it (``df[df.cost > 1]``) is a DataFrame as any other.

    Attributes
    ----------
    summary : str
        Tokens and cost in all, and how much of it has no known price.
    chart : Chart or None
    """

    _metadata = ["summary", "chart"]
    summary: str
    chart: Chart | None

    @property
    def _constructor(self) -> Any:
        return pd.DataFrame

    def _ipython_display_(self) -> None:
        from IPython.display import display

        if not self.empty:
            with pd.option_context("display.max_rows", _ROWS, "display.min_rows", _ROWS):
                display(_OnOneLine(tidy(self)))
        print(self.summary)
        if self.chart is not None:
            display(self.chart)


class _OnOneLine(pd.DataFrame):
    """A frame whose names and days a browser does not break into lines."""

    def _repr_html_(self) -> str | None:
        html: str | None = super()._repr_html_()  # type: ignore[misc]
        return html and html.replace("<td>", '<td style="white-space: nowrap">')


def tidy(frame: pd.DataFrame) -> pd.DataFrame:
    """Return usage as there is room for it: days without hours, names on one line, no empty counts.

    Examples
    --------
    >>> frame = pd.DataFrame({"day": pd.to_datetime(["2026-11-28"], utc=True), "runs": [1], "cost": [None]})
    >>> tidy(frame).to_dict("list")
    {'day': ['2026-11-28'], 'runs': [1]}
    """
    # Tokens and cost are to be seen where there is no room for all.
    last = [name for name in _LAST if name in frame.columns]
    shown = pd.DataFrame(frame)[[*frame.columns.difference(last, sort=False), *last]]
    for name in shown.columns:
        column = shown[name]
        if name in _TIMES:
            shown = shown.assign(**{name: column.dt.strftime("%Y-%m" if name == "month" else "%Y-%m-%d")})
        elif name not in _GROUPS and (
            column.isna().all() or (pd.api.types.is_numeric_dtype(column) and not column.fillna(0).any())
        ):
            shown = shown.drop(columns=name)
        elif not pd.api.types.is_numeric_dtype(column):
            # What a log calls its model may hold what acts on a terminal.
            lines = [None if pd.isna(value) else one_line(str(value), 80) for value in column]
            shown = shown.assign(**{name: pd.Series(lines, index=shown.index, dtype="object")})
    return shown


def usage_table(
    store: Store, by: Sequence[str] = ("day", "model"), *, chart: Shown = "tokens", **filters: Any
) -> UsageTable:
    """Return usage as a table that shows its summary and its chart.

    Parameters
    ----------
    store : Store
    by, **filters
        As of `usage_df`.
    chart : {"tokens", "cost", "none"}
        What its chart shows.

    Raises
    ------
    InvalidInput

    Examples
    --------
    >>> import nbsessions as nbs
    >>> usage_table(nbs.open_store("memory:")).summary
    'Nothing was spent yet.'
    """
    from nbsessions.frames import usage_df

    asked = {name: value for name, value in filters.items() if value is not None}
    frame = usage_df(store, by, **asked)
    # By tag, usage is counted for each of several: by model it is counted once.
    by_model = usage_df(store, ["model"], **asked)
    made = UsageTable(frame)
    made.summary = summary(by_model)
    if by_model.empty and asked:
        made.summary = "Nothing was spent there."
    made.chart = None if frame.empty or chart == "none" else _chart(frame, by, chart, unpriced(by_model))
    return made


def _chart(frame: pd.DataFrame, by: Sequence[str], shown: Shown, missing: str) -> Chart:
    parts = ["agent" if group == "agent_name" else group for group in by if group not in _TIMES]
    if len(parts) < len(by):
        over_time = tokens if shown == "tokens" else cost
        return over_time(frame, by=parts[0] if parts else None)
    column = "total_tokens" if shown == "tokens" else "cost"
    told = [keyed(frame, part) for part in parts]
    rows = list(zip(*(keys for keys, _ in told), strict=True))
    keys = [repr(row) for row in rows]
    names = [" · ".join(called[key] for key, (_, called) in zip(row, told, strict=True)) for row in rows]
    title = f"{shown.capitalize()} by {' and '.join(parts)}"
    note = missing if shown == "cost" else ""
    return ranking(
        title, dict(zip(keys, names, strict=True)), keys, numbers(frame[column]), column, note=note
    )
