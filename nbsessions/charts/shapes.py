"""The shapes that charts have, as Vega-Lite: columns over time, lines, bars, ranges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nbsessions.charts.style import GREY, SERIES, WIDTH

_HEIGHT = 220
_STEP = 24
_LETTER = 6.5
Row = dict[str, Any]


def colours(shades: Mapping[str, str]) -> dict[str, Any]:
    """Return the channel that gives each name its colour; one name alone needs no legend.

    Examples
    --------
    >>> colours({"a": "#1669d8"})["scale"]["range"]
    ['#1669d8']
    """
    return {
        "field": "name",
        "type": "nominal",
        "scale": {"domain": list(shades), "range": list(shades.values())},
        "legend": {"title": None} if len(shades) > 1 else None,
    }


def columns(
    rows: Sequence[Row], x: Mapping[str, Any], shades: Mapping[str, str], y: Mapping[str, Any]
) -> dict[str, Any]:
    """Return columns, each of parts that lie on one another.

    Parameters
    ----------
    rows : sequence of dict
        ``slot``, ``name``, ``place`` (of the part, from below), ``value``; ``when`` and ``shown`` as text.
    x : mapping
        The channel of the slots.
    shades : mapping of str to str
        The colours of the parts, by name.
    y : mapping
        The axis of the values.

    Examples
    --------
    >>> columns([], {}, {"a": "#1669d8"}, {"title": "tokens"})["mark"]["type"]
    'bar'
    """
    return {
        "data": {"values": list(rows)},
        "width": WIDTH,
        "height": _HEIGHT,
        "mark": {"type": "bar", "cornerRadiusEnd": 1},
        "encoding": {
            "x": dict(x),
            "y": {
                "field": "value",
                "type": "quantitative",
                "stack": "zero",
                "axis": {"domain": False, "ticks": False, "tickCount": 5, **y},
            },
            "color": colours(shades),
            "order": {"field": "place", "type": "quantitative"},
            "tooltip": tips("when", "name", "shown") if len(shades) > 1 else tips("when", "shown"),
        },
    }


def lines(
    rows: Sequence[Row], x: Mapping[str, Any], shades: Mapping[str, str], y: Mapping[str, Any]
) -> dict[str, Any]:
    """Return lines with a point for each value; series differ by colour and by the shape of their points.

    Examples
    --------
    >>> lines([], {}, {"a": "#1669d8"}, {"title": "share"})["mark"]["type"]
    'line'
    """
    return {
        "data": {"values": list(rows)},
        "width": WIDTH,
        "height": _HEIGHT,
        "mark": {"type": "line", "point": {"size": 55, "filled": True}, "strokeWidth": 2},
        "encoding": {
            "x": dict(x),
            "y": {
                "field": "value",
                "type": "quantitative",
                "scale": {"domain": [0, 1]},
                "axis": {"domain": False, "ticks": False, "tickCount": 5, **y},
            },
            "color": colours(shades),
            "shape": {**colours(shades), "scale": {"domain": list(shades)}},
            "order": {"field": "slot", "type": "nominal"},
            "tooltip": tips("when", "name", "shown") if len(shades) > 1 else tips("when", "shown"),
        },
    }


def bars(rows: Sequence[Row], labels: Sequence[str], shades: Mapping[str, str]) -> dict[str, Any]:
    """Return bars with their values written behind them, from above in the order of `labels`.

    Parameters
    ----------
    rows : sequence of dict
        ``label``, ``name``, ``place``, ``value``, ``total`` and ``end`` (of the bar, as text), ``shown``.
    labels : sequence of str
    shades : mapping of str to str

    Examples
    --------
    >>> len(bars([{"value": 1, "total": 1, "end": "1"}], ["a"], {"a": "#1669d8"})["layer"])
    2
    """
    most = max(row["total"] for row in rows) or 1
    y = {
        "field": "label",
        "type": "nominal",
        "scale": {"domain": list(labels), "paddingInner": 0.3, "paddingOuter": 0.1},
        "axis": {"title": None, "labelLimit": 260, "domain": False, "ticks": False, "labelPadding": 8},
    }
    # The values stand behind the bars, so that there is nothing to read off an axis.
    width = WIDTH - 120
    room = min(width // 2, 20 + _LETTER * max(len(row["end"]) for row in rows))
    x = {"type": "quantitative", "scale": {"domain": [0, most * width / (width - room)]}, "axis": None}
    return {
        "data": {"values": list(rows)},
        "width": width,
        "height": {"step": _STEP},
        "encoding": {"y": y},
        "layer": [
            {
                "mark": {"type": "bar", "cornerRadiusEnd": 2},
                "encoding": {
                    "x": {**x, "field": "value", "stack": "zero"},
                    "color": colours(shades),
                    "order": {"field": "place", "type": "quantitative"},
                    "tooltip": tips("label", "name", "shown") if len(shades) > 1 else tips("label", "shown"),
                },
            },
            {
                "transform": [{"filter": "datum.place === 0"}],
                "mark": {"type": "text", "align": "left", "dx": 5, "fill": GREY},
                "encoding": {
                    "x": {**x, "field": "total"},
                    "text": {"field": "end", "type": "nominal"},
                },
            },
        ],
    }


def ranges(rows: Sequence[Row], labels: Sequence[str], x: Mapping[str, Any]) -> dict[str, Any]:
    """Return a line from `low` to `high` for each label, with a point at each end and both written behind.

    Examples
    --------
    >>> len(ranges([], [], {})["layer"])
    4
    """
    y = {
        "field": "label",
        "type": "nominal",
        "scale": {"domain": list(labels)},
        "axis": {"title": None, "labelLimit": 260, "domain": False, "ticks": False, "labelPadding": 8},
    }
    tooltip = tips("label", "shown", "count")
    point = {"type": "point", "filled": True, "opacity": 1, "size": 90}
    return {
        "data": {"values": list(rows)},
        "width": WIDTH - 120,
        "height": {"step": _STEP + 4},
        "encoding": {"y": y, "x": {"field": "low", "type": "quantitative", **x}},
        "layer": [
            {
                "mark": {"type": "rule", "strokeWidth": 3, "stroke": GREY},
                "encoding": {"x2": {"field": "high"}, "tooltip": tooltip},
            },
            {"mark": {**point, "color": SERIES[0]}, "encoding": {"tooltip": tooltip}},
            {
                "mark": {**point, "color": SERIES[1], "shape": "diamond"},
                "encoding": {"x": {"field": "high", "type": "quantitative", **x}, "tooltip": tooltip},
            },
            {
                "mark": {"type": "text", "align": "left", "dx": 9, "fill": GREY},
                "encoding": {
                    "x": {"field": "high", "type": "quantitative", **x},
                    "text": {"field": "shown", "type": "nominal"},
                },
            },
        ],
    }


def tips(*fields: str) -> list[dict[str, Any]]:
    """Return what is shown of a mark that is pointed at; all of it is text that was made here.

    Examples
    --------
    >>> tips("when")[0]["title"]
    'when'
    """
    titles = {"shown": "value", "label": "what", "count": "runs"}
    return [{"field": field, "type": "nominal", "title": titles.get(field, field)} for field in fields]
