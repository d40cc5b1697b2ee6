"""The columns of charts over time: neither too many nor too few, and none left out."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbsessions.charts.slots import Slots


@pytest.mark.parametrize(
    ("length", "unit"),
    [(0, "day"), (6, "day"), (61, "day"), (62, "week"), (400, "week"), (500, "month"), (5_000, "year")],
)
def test_the_unit_goes_by_the_length(length: int, unit: str) -> None:
    last = date(2026, 11, 28)
    assert Slots.over([last - timedelta(length), last]).unit == unit


@given(st.sets(st.dates(), min_size=1, max_size=20))
def test_every_day_has_its_column(days: set[date]) -> None:
    slots = Slots.over(days)
    names = slots.axis()["scale"]["domain"]
    assert {slots.of(day) for day in days} <= set(names)
    assert names == sorted(set(names))
    assert len(names) <= 65
    labels = slots.axis()["axis"]["values"]
    assert 1 <= len(labels) <= 9
    assert names[-1] in labels
    assert all(slots.label(name) for name in names)


@given(st.dates(date(2000, 1, 1), date(2100, 1, 1)), st.integers(0, 3_000))
def test_no_column_is_left_out(first: date, length: int) -> None:
    slots = Slots.over([first, first + timedelta(length)])
    spans = {slots.of(first + timedelta(days)) for days in range(length + 1)}
    assert spans <= set(slots.axis()["scale"]["domain"])


def test_weeks_begin_on_monday() -> None:
    slots = Slots.over([date(2026, 8, 1), date(2026, 11, 28)])
    assert {start.weekday() for start in slots.starts} == {0}


def test_weeks_of_a_frame_stay_weeks() -> None:
    assert Slots.over([date(2026, 11, 23)], least="week").unit == "week"
