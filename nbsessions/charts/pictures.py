"""Charts as pictures that need nothing to be looked at: made by vl-convert, offline; else plain bars."""

from __future__ import annotations

import html
import importlib.util
import struct
import zlib
from collections.abc import Sequence
from typing import Any

from nbsessions.charts.style import GREY, SERIES
from nbsessions.exceptions import MissingExtra

# The newest Vega-Lite 5 that vl-convert has; JupyterLab draws one of version 5, too.
_VERSION = "5.21"
_SCALE = 2  # for sharp screens


def can_draw() -> bool:
    """Return whether vl-convert is installed: it is the extra ``charts``.

    Examples
    --------
    >>> can_draw() or bars_svg("Tokens", "", []).startswith("<svg")
    True
    """
    return importlib.util.find_spec("vl_convert") is not None


def need() -> None:
    """Say what to install, where a picture cannot be drawn.

    Raises
    ------
    MissingExtra
    """
    if not can_draw():
        raise MissingExtra("A picture of a chart", "charts")


def png(spec: dict[str, Any]) -> bytes:
    """Return the picture of a chart; nothing is fetched for it."""
    import vl_convert

    # Without addresses that are allowed, it asks nobody for data or images.
    return smaller(vl_convert.vegalite_to_png(spec, _VERSION, scale=_SCALE, allowed_base_urls=[]))


def smaller(picture: bytes) -> bytes:
    """Return the same picture, packed well: vl-convert is in a hurry, and notebooks keep it for long.

    https://www.w3.org/TR/png-3/#5Chunk-layout

    Examples
    --------
    >>> smaller(b"no picture")
    b'no picture'
    """
    head, place, parts, pixels = picture[:8], 8, list[tuple[bytes, bytes]](), b""
    while place < len(picture) - 8:
        length, kind = struct.unpack_from(">I4s", picture, place)
        content = picture[place + 8 : place + 8 + length]
        place += 12 + length
        if kind == b"IDAT":
            pixels += content
        else:
            parts.append((kind, content))
    if not pixels:
        return picture
    parts.insert(-1, (b"IDAT", zlib.compress(zlib.decompress(pixels), 9)))
    packed = (
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in parts
    )
    return head + b"".join(packed)


def svg(spec: dict[str, Any]) -> str:
    """Return a chart as SVG."""
    import vl_convert

    made: str = vl_convert.vegalite_to_svg(spec, _VERSION, allowed_base_urls=[])
    return made


def size(picture: bytes) -> tuple[int, int]:
    """Return the width and height on the page of what `png` made."""
    width, height = struct.unpack(">II", picture[16:24])
    return round(width / _SCALE), round(height / _SCALE)


def bars_svg(title: str, note: str, rows: Sequence[tuple[str, float, str]]) -> str:
    """Return the text of a chart as a picture of bars, for where vl-convert is not installed.

    Parameters
    ----------
    title, note : str
    rows : sequence of (label, share of the longest, value)

    Examples
    --------
    >>> 'width="150.0"' in bars_svg("Tokens", "", [("a<b", 0.5, "12")])
    True
    """
    texts = [_text(0, 16, title, "font-weight='bold' font-size='14'"), _text(0, 34, note)]
    top = 48
    for number, (label, share, shown) in enumerate(rows):
        y, length = top + number * 20, 300 * max(0.0, min(1.0, share))
        texts.append(_text(190, y + 11, label, "text-anchor='end'"))
        texts.append(f'<rect x="198" y="{y}" width="{length:.1f}" height="14" fill="{SERIES[0]}"/>')
        texts.append(_text(204 + length, y + 11, shown))
    height = top + len(rows) * 20 + 4
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="640" height="{height}" '
        f'font-family="sans-serif" font-size="12" fill="{GREY}">{"".join(texts)}</svg>'
    )


def _text(x: float, y: float, text: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y}" {more}>{html.escape(text)}</text>' if text else ""
