"""Charts of runs: how the context of a session grows, and how long models take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from nbsessions.charts.chart import Bar, Chart
from nbsessions.charts.data import fetch, numbers, texts
from nbsessions.charts.labels import largest
from nbsessions.charts.shapes import Row, columns, ranges
from nbsessions.charts.style import GREY, SERIES, WIDTH, compact, seconds, tokens_axis
from nbsessions.exceptions import InvalidInput
from nbsessions.text import counted

if TYPE_CHECKING:
    from nbsessions.charts.data import Source

_MOST = 80
_FEW = 14
_CACHED, _NEW, _OUT, _EACH = "input from a cache", "new input", "output", "input of one request"
_SESSION = ("session_id", "conversation_id")
_PARTS = (_CACHED, _NEW, _OUT)
_TIME = "datum.value < 60 ? format(datum.value, '~g') + ' s' : datum.value < 3600 ? "
_TIME += "format(datum.value / 60, '~r') + ' min' : format(datum.value / 3600, '~r') + ' h'"
_LENGTHS = (0.001, 0.01, 0.1, 1, 10, 60, 600, 3_600, 36_000, 360_000)
# What came from a cache is cheap, and grey; the line is seen before each of them.
_COLOURS = {_CACHED: GREY, _NEW: SERIES[0], _OUT: SERIES[2]}


def context(source: Source, **filters: Any) -> Chart:
    """Draw the tokens of each run of a session, in order: how the context grows, and what a cache saves.

    Where runs made several requests (for tools), a line shows the input of one of them, on average: it is
    the length of the context, which is sent again with each.

    Parameters
    ----------
    source : Session or DataFrame
        A frame as of `runs_df`, of one session. A store, too, with ``session=``.
    **filters
        As of `runs_df`.

    Raises
    ------
    InvalidInput

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"input_tokens": [100, 240], "output_tokens": [30, 20], "requests": [1, 1]})
    >>> days = pd.to_datetime(["2026-11-27", "2026-11-28"])
    >>> context(frame.assign(cache_read_tokens=[0, 128], started_at=days, session_id="1"))
    Tokens of each run
    run 1  ████████████████ 100 in, 30 out
    run 2  ████████████████████████████████ 240 in (128 from a cache), 20 out
    """
    needs = ("input_tokens", "output_tokens", "cache_read_tokens", "requests", "started_at", "session_id")
    frame = fetch(source, "runs", needs, filters).sort_values("started_at", kind="stable")
    if len(frame.drop_duplicates([name for name in _SESSION if name in frame.columns])) > 1:
        raise InvalidInput("This chart is of one session: give it one, or say which with session=.")
    values = [numbers(frame[name]) for name in needs[:4]]
    runs = list(zip(*values, strict=True))
    if not any(sent + made for sent, made, _, _ in runs):
        return Chart("Tokens of each run", None, note="Nothing to show: no tokens were spent.")
    size = -(-len(runs) // _MOST)
    binned = [_mean(runs[start : start + size]) for start in range(0, len(runs), size)]
    rows: list[Row] = []
    bars: list[Bar] = []
    for number, (sent, made, read, requests) in enumerate(binned):
        first = number * size + 1
        last = min(first + size - 1, len(runs))
        when = f"run {first:,}" if size == 1 else f"runs {first:,} to {last:,}"
        shown = f"{compact(sent)} in{f' ({compact(read)} from a cache)' if read else ''}, {compact(made)} out"
        bars.append(Bar(when, sent + made, shown))
        cached = min(read, sent)
        for place, (name, value) in enumerate(zip(_PARTS, (cached, sent - cached, made), strict=True)):
            part = {"name": name, "place": place, "value": value, "each": sent / max(1, requests)}
            rows.append({"slot": first, "when": when, "shown": f"{value:,.0f}", **part})
    names = [name for name in _PARTS if any(row["value"] for row in rows if row["name"] == name)]
    spec = columns(
        [row for row in rows if row["value"]],
        _run_axis([number * size + 1 for number in range(len(binned))]),
        {name: _COLOURS[name] for name in names},
        tokens_axis(),
    )
    if len(binned) < _FEW:
        spec["width"] = {"step": WIDTH // _FEW}
    if any(requests > 1 for *_, requests in binned):
        spec = _with_line(spec, [row for row in rows if row["place"] == 0])
    note = "" if size == 1 else f"Each column is the mean of {counted(size, 'run')}."
    return Chart("Tokens of each run", spec, bars, note=note)


def _mean(runs: Sequence[tuple[float, ...]]) -> list[float]:
    return [sum(values) / len(runs) for values in zip(*runs, strict=True)]


def _run_axis(numbers: list[int]) -> dict[str, Any]:
    every = -(-len(numbers) // 20)
    return {
        "field": "slot",
        "type": "nominal",
        "scale": {"domain": numbers, "paddingInner": 0.25, "paddingOuter": 0.15},
        "axis": {
            "title": "run",
            "values": numbers[::every],
            "labelAngle": 0,
            "ticks": False,
            "labelPadding": 7,
        },
    }


def _with_line(spec: dict[str, Any], rows: Sequence[Row]) -> dict[str, Any]:
    """Return the columns with the length of the context as a line before them."""
    shared = {name: spec.pop(name) for name in ("mark", "encoding", "data")}
    named = [{**row, "name": _EACH, "shown": f"{row['each']:,.0f}"} for row in rows]
    colour = shared["encoding"]["color"]
    colour["scale"]["domain"].append(_EACH)
    colour["scale"]["range"].append(SERIES[1])
    colour["legend"] = {"title": None}
    line = {
        "data": {"values": named},
        "mark": {"type": "line", "point": {"size": 30, "filled": True}, "strokeWidth": 2},
        "encoding": {
            "x": shared["encoding"]["x"],
            "y": {"field": "each", "type": "quantitative"},
            "color": colour,
            "order": {"field": "slot", "type": "quantitative"},
            "tooltip": shared["encoding"]["tooltip"],
        },
    }
    return {**spec, "layer": [shared, line]}


def latency(source: Source, **filters: Any) -> Chart:
    """Draw how long completed runs take, by model: half of them at most so long, and 95 of 100.

    Parameters
    ----------
    source : Store, Session or DataFrame
        A frame as of `runs_df`.
    **filters
        As of `runs_df`, for a store: ``since="7d"``, ``agent_name=``...

    Raises
    ------
    InvalidInput

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"duration": [1.0, 2.0, 4.0]}).assign(model="gpt-4o", status="completed")
    >>> latency(frame)
    Duration of runs by model
    Half of the runs end by the dot, 95 of 100 by the diamond.
    gpt-4o  ████████████████████████████████ 2 s · 3.8 s
    """
    frame = fetch(source, "runs", ("model", "duration", "status"), filters)
    told = zip(texts(frame["model"]), numbers(frame["duration"]), texts(frame["status"]), strict=True)
    # Logs of others often do not know when a run began: it then took no time at all.
    done = [(model, length) for model, length, status in told if status == "completed" and length > 0]
    title = "Duration of runs by model"
    if not done:
        return Chart(title, None, note="Nothing to show: no run was completed.")
    counts: dict[str, float] = {}
    for model, _ in done:
        counts[model] = counts.get(model, 0) + 1
    labels, order = largest(counts, {model: model or "no model" for model in counts}, 10)
    lengths: dict[str, list[float]] = {label: [] for label in order}
    for model, length in done:
        lengths[labels[model]].append(length)
    rows: list[Row] = []
    for label in order:
        low, high = _quantile(lengths[label], 0.5), _quantile(lengths[label], 0.95)
        shown = f"{seconds(low)} · {seconds(high)}"
        rows.append(
            {"label": label, "low": low, "high": high, "shown": shown, "count": f"{len(lengths[label]):,}"}
        )
    rows.sort(key=lambda row: -row["high"])
    note = "Half of the runs end by the dot, 95 of 100 by the diamond."
    bars = [Bar(row["label"], row["high"], row["shown"]) for row in rows]
    return Chart(title, ranges(rows, [row["label"] for row in rows], _time_axis(rows)), bars, note=note)


def _time_axis(rows: Sequence[Row]) -> dict[str, Any]:
    lowest, highest = min(row["low"] for row in rows), max(row["high"] for row in rows)
    axis: dict[str, Any] = {"title": None, "domain": False, "grid": False, "tickCount": 5, "labelExpr": _TIME}
    if highest <= 50 * lowest:
        return {"scale": {"domain": [0, highest * 1.35]}, "axis": axis}
    axis["values"] = [length for length in _LENGTHS if lowest * 0.5 <= length <= highest * 2]
    return {"scale": {"type": "log", "domain": [lowest * 0.5, highest * 3]}, "axis": axis}


def _quantile(values: Sequence[float], share: float) -> float:
    """Return the value that this share of them is below, between two of them in proportion."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)
