from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbsessions.exceptions import InvalidInput
from nbsessions.prompts import MAX_ROWS, render


def evaluate(source: str) -> object:
    return eval(source, {"name": "Ada", "df": pd.DataFrame({"n": range(MAX_ROWS + 5)}), "pd": pd})


@pytest.mark.parametrize(
    ("cell", "sent"),
    [
        ("plain", "plain"),
        ("{one} brace, JSON {'a': {'b': 1}}", "{one} brace, JSON {'a': {'b': 1}}"),
        ("Hello {{name}}!", "Hello Ada!"),
        ("{{ name.upper() }}{{name}}", "ADAAda"),
        ("{{ {'a': {'b': 1}}['a']['b'] }}", "1"),
        ('{{ "}}" }}', "}}"),
        ("{{\n  (1 +\n  1)\n}}", "2"),
        ("{{{'a': 1}}}", "{'a': 1}"),
    ],
)
def test_expressions_are_replaced(cell: str, sent: str) -> None:
    assert render(cell, evaluate) == sent


@pytest.mark.parametrize("cell", ["{{", "{{name", "{{}}", "{{ }}", "{{1 +}}", "{{import os}}", "{{a\nb}}"])
def test_what_is_no_expression_is_refused(cell: str) -> None:
    with pytest.raises(InvalidInput, match=r"--raw sends it as it is\.$") as caught:
        render(cell, evaluate)
    assert "\n" not in str(caught.value)


def test_what_fails_is_told() -> None:
    with pytest.raises(InvalidInput, match=r"^{{nosuch}} failed: NameError: name 'nosuch' is not defined\."):
        render("Hello {{nosuch}}", evaluate)


def test_a_long_frame_says_what_it_leaves_out() -> None:
    lines = render("{{df}}", evaluate).splitlines()
    assert lines[:3] == ["|  | n |", "| --- | --- |", "| 0 | 0 |"]
    assert len(lines) == MAX_ROWS + 3
    assert lines[-1] == f"(5 more rows of {MAX_ROWS + 5})"


def test_a_series_and_a_multi_index_are_tables() -> None:
    assert render("{{pd.Series([1], name='n')}}", evaluate) == "|  | n |\n| --- | --- |\n| 0 | 1 |"
    frame = "pd.DataFrame({'v': [1]}, index=pd.MultiIndex.from_tuples([('a', 'b')], names=['x', 'y']))"
    assert render(f"{{{{{frame}}}}}", evaluate) == "| x | y | v |\n| --- | --- | --- |\n| a | b | 1 |"


@given(st.text().filter(lambda text: "{{" not in text))
def test_text_without_double_braces_is_sent_as_it_is(text: str) -> None:
    assert render(text, evaluate) == text


@given(st.text())
def test_values_are_not_rendered_again(text: str) -> None:
    assert render("{{value}}", lambda source: "{{" + text) == "{{" + text
