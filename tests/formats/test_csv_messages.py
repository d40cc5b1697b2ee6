"""Messages as a table."""

from __future__ import annotations

import csv
from io import StringIO

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbsessions.formats.building import Building
from nbsessions.formats.csv_messages import COLUMNS, cell
from tests.formats.golden_files import GOLDEN, assert_golden, written
from tests.formats.weather import weather


def test_it_is_the_golden_file() -> None:
    assert_golden(weather(), "csv", "weather.csv")


def test_pandas_reads_it() -> None:
    frame = pd.read_csv(GOLDEN / "csv" / "weather.csv")
    assert tuple(frame.columns) == COLUMNS
    assert list(frame["number"]) == list(range(1, 9))
    assert frame["content"][1] == "Which is warmer today, Oslo or Bergen?"
    assert frame["model"].dropna().unique().tolist() == ["gpt-5.2"]


FORMULAS = [
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "  =1",
    "\uff1d1",
    "\x1b[31m=1",
    "\u202e=1",
]


@pytest.mark.parametrize("text", FORMULAS)
def test_no_field_is_a_formula(text: str) -> None:
    made = Building("example", "=1+1", agent_name=text, name=text, tags=[f"={text}"], model=text)
    call = {"id": text, "function": {"name": text, "arguments": text}}
    made.add({"role": "user", "content": text, "name": text})
    made.add({"role": "assistant", "content": text, "tool_calls": [call]})
    made.add({"role": "tool", "content": text, "tool_call_id": text, "name": text})
    rows = list(csv.reader(StringIO(written(made.bundle(), "csv").decode("utf-8-sig"), newline="")))
    assert len(rows) == 4
    for row in rows:
        for value in row:
            assert not value.lstrip().startswith(("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20"))
            assert not value.startswith(("\t", "\r", "\n"))
            assert "\x1b" not in value
            assert "\u202e" not in value


@given(st.text())
def test_a_cell_comes_back_but_for_the_apostrophe(text: str) -> None:
    from nbsessions.text import strip_controls

    shown = cell(text)
    assert shown in (strip_controls(text), f"'{strip_controls(text)}")
    line = StringIO(newline="")
    csv.writer(line, quoting=csv.QUOTE_ALL).writerow([shown])
    assert next(csv.reader(StringIO(line.getvalue(), newline=""))) == [shown]
