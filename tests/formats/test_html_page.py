"""A session as a page."""

from __future__ import annotations

from io import BytesIO

from nbsessions.formats import html_page
from nbsessions.formats.building import Building
from tests.formats.golden_files import assert_golden, written
from tests.formats.weather import weather


def test_it_is_the_golden_file() -> None:
    assert_golden(weather(), "html", "weather.html")


def test_its_policy_forbids_scripts_and_loads() -> None:
    page = written(weather(), "html").decode()
    head = page.split("</head>")[0]
    assert "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'" in head
    for word in ("<script", "<img", "<link", "<iframe", "url(", "@import"):
        assert word not in page


def test_several_sessions_and_none_make_one_page() -> None:
    many = Building("example", "chat-7", agent_name="helper")
    for number in range(5):
        many.add({"role": "user", "content": f"question {number}"})
        many.add({"role": "assistant", "content": "answer"})
    file = BytesIO()
    html_page.write([weather(), many.bundle()], file)
    page = file.getvalue().decode()
    assert page.count("<!DOCTYPE html>") == page.count("</html>") == 1
    assert page.count("<main>") == 2
    assert '<a href="#s2m9">question 4</a>' in page
    assert 'id="s2m9"' in page
    empty = BytesIO()
    html_page.write([], empty)
    assert "<title>No sessions</title>" in empty.getvalue().decode()
