"""Charts of what is most: sessions, calls of tools, or any other group."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from nbsessions.charts.chart import Bar, Chart
from nbsessions.charts.data import fetch, grouped, keyed, numbers, texts
from nbsessions.charts.labels import OTHER, distinct
from nbsessions.charts.overtime import dollars
from nbsessions.charts.shapes import Row, bars
from nbsessions.charts.style import GREY, SERIES, compact, shades
from nbsessions.charts.summary import unpriced
from nbsessions.exceptions import InvalidInput
from nbsessions.text import counted
from nbsessions.values import check_count

if TYPE_CHECKING:
    from nbsessions.charts.data import Source

_SHOWN: dict[str, Callable[[float], str]] = {"total_tokens": compact, "cost": dollars}
_VALUES = {"tokens": "total_tokens", "cost": "cost"}
_UNPRICED = ("input_tokens", "output_tokens", "unpriced_tokens")
_ENDED = ("completed", "failed")
_LEFT = "unanswered"
_COLOURS = {"completed": SERIES[0], "failed": SERIES[1], _LEFT: GREY}


def top_sessions(
    source: Source, value: Literal["tokens", "cost"] = "tokens", *, limit: int = 10, **filters: Any
) -> Chart:
    """Draw the sessions that spent most.

    Parameters
    ----------
    source : Store or DataFrame
        A frame as of `usage_df`, by session.
    value : {"tokens", "cost"}
    limit : int
        How many have a bar; what all others spent is said below the title.
    **filters
        As of `usage_df`, for a store: ``since="7d"``, ``model=``, ``tag=``...

    Raises
    ------
    InvalidInput

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"session_id": ["1", "2"], "session": ["plan", "trip"]})
    >>> top_sessions(frame.assign(total_tokens=[900, 2_700]))
    Sessions by tokens
    trip  ████████████████████████████████ 2.7k
    plan  ██████████▋ 900
    """
    if value not in _VALUES:
        raise InvalidInput(f"Sessions are shown by 'tokens' or 'cost', not by {value!r}.")
    column = _VALUES[value]
    frame = fetch(source, "usage", ("session_id", column), {"by": ["session"], **filters})
    keys, called = keyed(frame, "session")
    told = value == "cost" and all(name in frame for name in _UNPRICED)
    note = unpriced(frame) if told else ""
    return ranking(f"Sessions by {value}", called, keys, numbers(frame[column]), column, limit, note)


def ranking(
    title: str,
    called: dict[str, str],
    keys: Sequence[str],
    amounts: Sequence[float],
    column: str,
    limit: int = 10,
    note: str = "",
) -> Chart:
    """Draw a bar for each of the largest groups.

    Examples
    --------
    >>> ranking("Tokens by tag", {"a": "draft"}, ["a", "a"], [3, 4], "total_tokens")
    Tokens by tag
    draft  ████████████████████████████████ 7
    """
    check_count(limit, "limit", 1)
    sums = {key: total for key, (total,) in grouped(keys, amounts).items() if total}
    if not sums:
        nothing = "no cost is known, or all of it was free" if column == "cost" else "nothing was spent"
        return Chart(title, None, note=f"Nothing to show: {nothing}. {note}".strip())
    show = _SHOWN[column]
    order = sorted(sums, key=lambda key: (-sums[key], key))
    kept, rest = order[:limit], order[limit:]
    labels = distinct(called[key] for key in kept)
    rows: list[Row] = []
    for label, key in zip(labels, kept, strict=True):
        shown = show(sums[key])
        fixed = {"label": label, "name": title, "place": 0, "shown": shown, "end": shown}
        rows.append({**fixed, "value": sums[key], "total": sums[key]})
    if rest:
        unit = " tokens" if column == "total_tokens" else ""
        others = f"{counted(len(rest), 'other')}: {show(sum(sums[key] for key in rest))}{unit} in all."
        note = " ".join([others, note]).strip()
    spec = bars(rows, labels, shades([title], OTHER))
    return Chart(title, spec, [Bar(row["label"], row["value"], row["shown"]) for row in rows], note=note)


def tool_calls(source: Source, *, limit: int = 12, **filters: Any) -> Chart:
    """Draw how often each tool was called, and how the calls ended.

    Parameters
    ----------
    source : Store, Session or DataFrame
        A frame as of `tool_calls_df`.
    limit : int
        How many tools have a bar; how often all others were called is said below the title.
    **filters
        As of `tool_calls_df`, for a store: ``since="7d"``, ``session=``...

    Raises
    ------
    InvalidInput

    Examples
    --------
    >>> import pandas as pd
    >>> tool_calls(pd.DataFrame({"tool_name": ["search", "search"], "status": ["completed", "failed"]}))
    Calls of tools
    search  ████████████████████████████████ 2, 1 failed
    """
    check_count(limit, "limit", 1)
    frame = fetch(source, "tool_calls", ("tool_name", "status"), filters)
    tools, statuses = texts(frame["tool_name"]), texts(frame["status"])
    if not tools:
        return Chart("Calls of tools", None, note="Nothing to show: no tool was called.")
    ended: dict[str, Counter[str]] = {}
    for tool, status in zip(tools, statuses, strict=True):
        ended.setdefault(tool, Counter())[status if status in _ENDED else _LEFT] += 1
    order = sorted(ended, key=lambda tool: (-ended[tool].total(), tool))
    labels = distinct(order[:limit])
    rows: list[Row] = []
    texts_of: list[Bar] = []
    for label, tool in zip(labels, order[:limit], strict=True):
        total, said = ended[tool].total(), _said(ended[tool])
        texts_of.append(Bar(label, total, said))
        for place, end in enumerate(end for end in _COLOURS if ended[tool][end]):
            part = {"name": end, "place": place, "value": ended[tool][end], "shown": f"{ended[tool][end]:,}"}
            rows.append({"label": label, "total": total, "end": said, **part})
    colours = {end: shade for end, shade in _COLOURS.items() if any(row["name"] == end for row in rows)}
    return Chart("Calls of tools", bars(rows, labels, colours), texts_of, note=_others(ended, order[limit:]))


def _others(ended: dict[str, Counter[str]], rest: Sequence[str]) -> str:
    calls = sum(ended[tool].total() for tool in rest)
    return f"{counted(len(rest), 'other')}: {counted(calls, 'call')} in all." if rest else ""


def _said(ended: Counter[str]) -> str:
    parts = [f"{ended.total():,}"]
    parts += [f"{ended[end]:,} {end}" for end in ("failed", _LEFT) if ended[end]]
    return ", ".join(parts)
