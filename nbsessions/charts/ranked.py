"""Charts of what is most: sessions, calls of tools, or any other group."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from nbsessions.charts.chart import Bar, Chart
from nbsessions.charts.data import fetch, grouped, keyed, numbers, texts
from nbsessions.charts.labels import OTHER, distinct
from nbsessions.charts.overtime import dollars
from nbsessions.charts.shapes import Row, bars
from nbsessions.charts.style import compact, shades
from nbsessions.exceptions import InvalidInput
from nbsessions.text import counted
from nbsessions.values import check_count

if TYPE_CHECKING:
    from nbsessions.charts.data import Source

_SHOWN: dict[str, Callable[[float], str]] = {"total_tokens": compact, "cost": dollars}
_VALUES = {"tokens": "total_tokens", "cost": "cost"}
_ENDED = ("completed", "failed")
_LEFT = "unanswered"


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
    return ranking(f"Sessions by {value}", called, keys, numbers(frame[column]), column, limit)


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
        return Chart(title, None, note=" ".join(["Nothing to show: nothing was spent.", note]).strip())
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
        How many tools have a bar; all others are one.
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
    ends = [status if status in _ENDED else _LEFT for status in statuses]
    totals = {tool: int(total) for tool, (total,) in grouped(tools, [1] * len(tools)).items()}
    order = sorted(totals, key=lambda tool: (-totals[tool], tool))
    kept, rest = order[:limit], set(order[limit:])
    labels = distinct(kept) + ([f"{len(rest)} others"] if rest else [])
    label_of = {**dict(zip(kept, labels, strict=False)), **dict.fromkeys(rest, labels[-1])}
    counts = grouped([(label_of[tool], end) for tool, end in zip(tools, ends, strict=True)], [1] * len(tools))
    by_label = {label: {end: int(n) for (of, end), (n,) in counts.items() if of == label} for label in labels}
    rows: list[Row] = []
    for label, ended in by_label.items():
        total = sum(ended.values())
        present = [end for end in (*_ENDED, _LEFT) if ended.get(end)]
        for place, end in enumerate(present):
            part = {"name": end, "place": place, "value": ended[end], "shown": f"{ended[end]:,}"}
            rows.append({"label": label, "total": total, "end": _ends(ended), **part})
    names = [end for end in (*_ENDED, _LEFT) if any(ended.get(end) for ended in by_label.values())]
    spec = bars(rows, labels, shades(names, _LEFT))
    texts_of = [Bar(label, sum(ended.values()), _ends(ended)) for label, ended in by_label.items()]
    return Chart("Calls of tools", spec, texts_of)


def _ends(ended: dict[str, int]) -> str:
    failed, left = ended.get("failed", 0), ended.get(_LEFT, 0)
    parts = [f"{sum(ended.values()):,}"]
    parts += [f"{failed:,} failed"] if failed else []
    parts += [f"{left:,} {_LEFT}"] if left else []
    return ", ".join(parts)
