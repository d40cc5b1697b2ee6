"""A chart: what a notebook draws, a picture of it, and a text that says the same."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from nbsessions.charts import pictures
from nbsessions.charts.style import GREY, WIDTH, config
from nbsessions.exceptions import InvalidInput
from nbsessions.text import one_line
from nbsessions.transfers.exporting import written
from nbsessions.values import check_path

VEGA_LITE = "application/vnd.vegalite.v5+json"
_SCHEMA = "https://vega.github.io/schema/vega-lite/v5.json"  # a name: nobody fetches it
_BAR = 32
_ROWS = 24


class Bar(NamedTuple):
    """One line of a chart's text.

    Examples
    --------
    >>> Bar("gpt-4o", 1200.0, "1.2k").shown
    '1.2k'
    """

    label: str
    value: float
    shown: str


class Chart:
    """A chart, to be looked at and to be saved: what the functions of `nbsessions.charts` return.

    JupyterLab draws it, with tooltips. Where nothing can be drawn (GitHub, an exported page) its picture is
    shown, and in a terminal its text.

    Parameters
    ----------
    title : str
    spec : dict or None
        Vega-Lite, without what all charts have in common. None: there is nothing to show.
    bars : sequence of Bar
        What the text shows.
    note : str
        A line below the title.

    Attributes
    ----------
    title, note : str
    spec : dict
        The whole of Vega-Lite's specification, the data in it.

    Examples
    --------
    >>> from nbsessions import charts
    >>> import nbsessions as nbs
    >>> charts.tokens(nbs.open_store("memory:"))
    Tokens by day
    Nothing to show: no tokens were spent.
    """

    def __init__(
        self, title: str, spec: dict[str, Any] | None, bars: Sequence[Bar] = (), *, note: str = ""
    ) -> None:
        self.title, self.note = title, one_line(note, 300)
        self._bars = list(bars)
        self._is_empty = spec is None
        self.spec: dict[str, Any] = {
            "$schema": _SCHEMA,
            "title": {"text": title, "subtitle": _wrapped(self.note)},
            "config": config(),
            # SVG is sharp at any size and can be read aloud; a chart offers to be saved, and to go nowhere.
            "usermeta": {
                "embedOptions": {
                    "renderer": "svg",
                    "actions": {"export": True, "source": False, "compiled": False, "editor": False},
                }
            },
            **({"description": self._said(), **spec} if spec is not None else _nothing()),
        }
        self._png: bytes | None = None

    def __str__(self) -> str:
        lines = [self.title, *([self.note] if self.note else [])]
        if self._is_empty:
            return "\n".join(lines)
        shown = self._bars[-_ROWS:]
        widest = max((len(bar.label) for bar in shown), default=0)
        most = max((bar.value for bar in shown), default=0) or 1
        lines += [f"{bar.label:<{widest}}  {_bar(bar.value / most)} {bar.shown}" for bar in shown]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return str(self)

    def _said(self) -> str:
        """Return what is read aloud to who does not see it."""
        values = "; ".join(f"{bar.label}: {bar.shown}" for bar in self._bars[-_ROWS:])
        return ". ".join(part.rstrip(".") for part in (self.title, self.note, values) if part)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> Any:
        data: dict[str, Any] = {VEGA_LITE: self.spec, "text/plain": str(self)}
        if not pictures.can_draw():
            return {**data, "image/svg+xml": self._bars_svg()}
        if self._png is None:
            self._png = pictures.png(self.spec)
        width, height = pictures.size(self._png)
        data["image/png"] = base64.b64encode(self._png).decode()
        return data, {"image/png": {"width": width, "height": height}}

    def _bars_svg(self) -> str:
        most = max((bar.value for bar in self._bars), default=0) or 1
        rows = [(bar.label, bar.value / most, bar.shown) for bar in self._bars[-_ROWS:]]
        return pictures.bars_svg(self.title, self.note, rows)

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Write it into a file, as its suffix says: ``.png``, ``.svg``, or ``.json`` for Vega-Lite.

        Raises
        ------
        InvalidInput
            There is such a file and `overwrite` was not said, or the suffix is another one.
        MissingExtra
            A picture needs the extra ``charts``.

        Examples
        --------
        >>> import tempfile
        >>> import nbsessions as nbs
        >>> from nbsessions import charts
        >>> chart = charts.tokens(nbs.open_store("memory:"))
        >>> chart.save(tempfile.mkdtemp() + "/tokens.svg").name
        'tokens.svg'
        """
        target = check_path(path)
        suffix = target.suffix.lower()
        if target.exists() and not overwrite:
            raise InvalidInput(f"{target} exists already: choose another file, or say overwrite=True.")
        if suffix == ".json":
            content = json.dumps(self.spec, ensure_ascii=False, indent=2).encode()
        elif suffix in (".png", ".svg"):
            pictures.need()
            content = pictures.png(self.spec) if suffix == ".png" else pictures.svg(self.spec).encode()
        else:
            raise InvalidInput(f"A chart is saved as .png, .svg or .json, not as {target.name!r}.")
        with written(target, overwrite=overwrite) as file:
            file.write(content)
        return target


def _bar(share: float) -> str:
    eighths = round(max(0.0, share) * _BAR * 8)
    whole, rest = divmod(max(eighths, 1 if share > 0 else 0), 8)
    return "█" * whole + ("" if rest == 0 else "▏▎▍▌▋▊▉"[rest - 1])


def _wrapped(note: str) -> list[str]:
    import textwrap

    return textwrap.wrap(note, 95)


def _nothing() -> dict[str, Any]:
    # An empty frame would look broken: the note says it, and the rest is not there.
    return {
        "data": {"values": [{}]},
        "width": WIDTH,
        "height": 1,
        "mark": {"type": "text", "text": "", "fill": GREY},
    }
