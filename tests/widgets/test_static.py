"""What is shown where no widget runs."""

from __future__ import annotations

import pytest

from nbsessions.widgets.static import html_table, plain_table
from tests.test_rendering import assert_safe
from tests.widgets.hostile import CORPUS


def test_columns_are_in_line() -> None:
    rows = [["plan", "2"], ["a longer name", "12"]]
    assert plain_table(["Name", "Turns"], rows, "2 sessions").splitlines() == [
        "Name           Turns",
        "plan           2",
        "a longer name  12",
        "2 sessions",
    ]


def test_an_empty_table_has_its_columns() -> None:
    assert plain_table(["Name"], [], "0 sessions") == "Name\n0 sessions"
    page = assert_safe(html_table(["Name"], [], "0 sessions"))
    assert ("Name" in page.text, "0 sessions" in page.text) == (True, True)


@pytest.mark.parametrize("text", CORPUS)
def test_no_text_acts(text: str) -> None:
    assert_safe(html_table([text], [[text]], text))
