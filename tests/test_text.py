"""Text that comes from outside is safe to show."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbsessions.text import last_words, one_line, strip_controls
from tests.test_rendering import CONTROLS


@pytest.mark.parametrize(
    ("text", "stripped"),
    [
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07x", "x"),
        ("\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x9b31mred", "red"),
        ("\x1bcx", "x"),
        ("\x1b\x1b[31m[32mx", "[32mx"),
        ("a\x00\x07\x08\x7f\x85b", "ab"),
        ("a\tb\nc", "a\tb\nc"),
        ("a\r\nb\rc", "a\nb\nc"),
        ("\u202eevil\u202c \u2066x\u2069", "evil x"),
        ("half \ud800", "half \ufffd"),
        ("שלום عربى 👩‍👩‍👧", "שלום عربى 👩‍👩‍👧"),
    ],
)
def test_strip_controls(text: str, stripped: str) -> None:
    assert strip_controls(text) == stripped


@given(st.text())
def test_nothing_that_controls_is_left(text: str) -> None:
    assert not CONTROLS.search(strip_controls(text))
    assert strip_controls(strip_controls(text)) == strip_controls(text)


@pytest.mark.parametrize("piece", ["\x9d", "\x90", "\x1b]", "\x1b[", "\x1bP"])
def test_what_never_ends_is_not_slow(piece: str) -> None:
    started = time.perf_counter()
    strip_controls(piece * 100_000)
    assert time.perf_counter() - started < 10


@given(st.text(), st.integers(1, 50))
def test_a_line_is_one_line_of_at_most_so_many_characters(text: str, limit: int) -> None:
    for line in (one_line(text, limit), last_words(text, limit)):
        assert len(line) <= limit
        assert len(line.splitlines()) <= 1
        assert not CONTROLS.search(line)
