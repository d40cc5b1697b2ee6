"""
How charts look: colours, text, axes.

A chart does not know what it is shown on: the page of a notebook may be white or nearly black, and the
picture beside it is made once. So its ground is transparent, and every colour has a contrast of 3:1 and
more on both. The series' colours begin at Okabe and Ito's, moved as little as keeps them apart for people
with every kind of colour blindness, on both grounds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

SERIES = ("#1669d8", "#ff6200", "#10ab59", "#b580cd", "#a45a27")
"""In the order in which they are given: to the largest first."""
GREY = "#7b7b7b"
"""Of text, axes, and of what is "other"."""
TOP = len(SERIES)
"""So many series have a colour of their own."""
WIDTH = 560
# d3 writes 0k, and G where people write B.
_COMPACT = "datum.value === 0 ? '0' : replace(format(datum.value, '~s'), 'G', 'B')"
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


def config() -> dict[str, Any]:
    """Return what all charts have in common, as Vega-Lite's ``config``.

    It says every colour, because JupyterLab puts a theme of its own below it.

    Examples
    --------
    >>> config()["background"]
    'transparent'
    """
    text = {"labelColor": GREY, "titleColor": GREY, "labelFont": _FONT, "titleFont": _FONT}
    lines = {"domainColor": GREY, "tickColor": GREY, "gridColor": GREY, "gridOpacity": 0.4}
    return {
        "background": "transparent",
        "font": _FONT,
        "view": {"stroke": None, "fill": None},
        "title": {
            "anchor": "start",
            "color": GREY,
            "subtitleColor": GREY,
            "fontSize": 14,
            "subtitleFontSize": 12,
            "subtitlePadding": 4,
            "offset": 12,
        },
        "axis": {**text, **lines, "labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal"},
        "legend": {**text, "labelFontSize": 12, "labelLimit": 190, "title": None, "symbolType": "square"},
        "style": {"guide-label": {"fill": GREY}, "guide-title": {"fill": GREY}},
        "text": {"fill": GREY, "fontSize": 12},
    }


def compact(number: float) -> str:
    """Return a number as a bar has room for.

    Examples
    --------
    >>> [compact(number) for number in (7, 999, 1_234, 12_345, 999_960, 3_400_000_000)]
    ['7', '999', '1.2k', '12k', '1M', '3.4B']
    """
    for size, unit in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if number >= size * 0.9995:
            scaled = number / size
            return f"{scaled:.0f}{unit}" if scaled >= 9.95 else f"{scaled:.1f}".removesuffix(".0") + unit
    return f"{number:.0f}"


def seconds(length: float) -> str:
    """Return a length of time as a bar has room for.

    Examples
    --------
    >>> [seconds(length) for length in (0.0123, 0.42, 3.14, 42.4, 90, 7_200)]
    ['12 ms', '0.42 s', '3.1 s', '42 s', '1.5 min', '2 h']
    """
    if length < 0.0995:
        return f"{length * 1000:.0f} ms"
    if length < 0.995:
        return f"{length:.2f} s"
    for size, unit in ((3600, "h"), (60, "min")):
        if length >= size:
            return f"{length / size:.1f}".removesuffix(".0") + f" {unit}"
    return f"{length:.1f}".removesuffix(".0") + " s" if length < 9.95 else f"{length:.0f} s"


def tokens_axis() -> dict[str, Any]:
    """Return the axis of a number of tokens: 0, 500, 1k, 1M, 1B.

    Examples
    --------
    >>> tokens_axis()["title"]
    'tokens'
    """
    return {"title": "tokens", "labelExpr": f"datum.value % 1 ? '' : {_COMPACT}"}


def dollars_axis(largest: float) -> dict[str, Any]:
    """Return the axis of dollars that ends at `largest`: as many digits as its steps have.

    Examples
    --------
    >>> [dollars_axis(largest)["format"] for largest in (40, 3, 0.08, 0.0012)]
    ['$,.0f', '$,.2f', '$,.2f', '$,.4f']
    """
    if largest >= 10_000:
        return {"title": "US dollars", "labelExpr": f"'$' + ({_COMPACT})"}
    digits = 0 if largest >= 10 else max(2, min(12, -math.floor(math.log10(max(largest, 1e-12) / 5))))
    return {"title": "US dollars", "format": f"$,.{digits}f"}


def shades(names: Sequence[str], other: str) -> dict[str, str]:
    """Return a colour for each name, and grey for what is `other`.

    Examples
    --------
    >>> shades(["a", "other"], "other")
    {'a': '#1669d8', 'other': '#7b7b7b'}
    """
    given = iter(SERIES)
    return {name: GREY if name == other else next(given) for name in names}
