"""The colours of charts are seen on white and on black, and told apart by everybody."""

from __future__ import annotations

import math
from itertools import combinations

import pytest

from nbsessions.charts.style import GREY, SERIES, config

WHITE, LAB_DARK, GITHUB_DARK = "#ffffff", "#111111", "#0d1117"
# How light of three wavelengths arrives where one kind of cone is missing (Machado, Oliveira, Fernandes 2009).
EYES = {
    "all cones": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "no red": (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    "no green": (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.01182, 0.04294, 0.968881),
    ),
    "no blue": (
        (1.255528, -0.076749, -0.178779),
        (-0.078411, 0.930809, 0.147602),
        (0.004733, 0.691367, 0.3039),
    ),
}


def linear(colour: str) -> list[float]:
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    return [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours: https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio ."""
    low, high = sorted(0.2126 * r + 0.7152 * g + 0.0722 * b for r, g, b in map(linear, (one, other)))
    return (high + 0.05) / (low + 0.05)


def seen(colour: str, eye: str) -> list[float]:
    """Return a colour in OKLab, times 100, as an eye sees it; a difference of 2 is just noticed."""
    light = linear(colour)
    r, g, b = (min(1.0, max(0.0, sum(map(math.prod, zip(row, light, strict=True))))) for row in EYES[eye])
    long = (0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b) ** (1 / 3)
    middle = (0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b) ** (1 / 3)
    short = (0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b) ** (1 / 3)
    return [
        100 * (0.2104542553 * long + 0.7936177850 * middle - 0.0040720468 * short),
        100 * (1.9779984951 * long - 2.4285922050 * middle + 0.4505937099 * short),
        100 * (0.0259040371 * long + 0.7827717662 * middle - 0.8086757660 * short),
    ]


@pytest.mark.parametrize("ground", [WHITE, LAB_DARK, GITHUB_DARK])
@pytest.mark.parametrize("colour", [*SERIES, GREY])
def test_colours_stand_out_on_light_and_dark(colour: str, ground: str) -> None:
    assert contrast(colour, ground) >= (4.2 if colour == GREY else 3)


@pytest.mark.parametrize("eye", EYES)
def test_colours_are_told_apart_by_every_eye(eye: str) -> None:
    pairs = combinations([*SERIES, GREY], 2)
    closest = min((math.dist(seen(one, eye), seen(other, eye)), one, other) for one, other in pairs)
    assert closest[0] > 9, closest


def test_what_a_dark_theme_would_colour_has_a_colour_of_its_own() -> None:
    # What vega-themes' "dark", which JupyterLab puts below a chart in the dark, says.
    said = config()
    assert said["background"] == "transparent"
    assert said["view"]["stroke"] is None
    assert {said["title"]["color"], said["title"]["subtitleColor"]} == {GREY}
    assert {said["axis"][name] for name in ("domainColor", "gridColor", "tickColor")} == {GREY}
    assert {said["style"][name]["fill"] for name in ("guide-label", "guide-title")} == {GREY}
