"""A session as Markdown: readable, and inert."""

from __future__ import annotations

from tests.formats.golden_files import assert_golden, written
from tests.formats.weather import weather


def test_it_is_the_golden_file() -> None:
    assert_golden(weather(), "markdown", "weather.md")


def test_a_branch_that_was_left_is_not_shown() -> None:
    text = written(weather(), "markdown").decode()
    assert "Show it as JSON." not in text
    assert "## 2 · Write a Python function that compares two cities. …" in text
