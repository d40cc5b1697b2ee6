"""Charts in a real JupyterLab, light and dark, and on a page: they are drawn, and nothing in them acts."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser import looked
from tests.charts.looking import CELLS
from tests.formats.hostile import FRAGMENTS

# Where there is no browser yet, it is fetched.
pytestmark = pytest.mark.timeout(1_200)

LABELS = {
    "%session usage": ["Tokens by day and model", "gpt-5-mini", "my-finetuned-llama", "tokens"],
    "%session usage --by agent,model --chart cost": ["Cost by agent and model", "coder · gpt-5-mini"],
    "charts.tokens(store)": ["Tokens by day and model", "claude-sonnet-4-5", "day (UTC), 2026"],
    "charts.cost(store)": ["Cost by day and model", "US dollars", "$0.00"],
    "charts.cache(store, by='model')": ["Input read from a cache, by model", "100%"],
    "charts.top_sessions(store)": ["Sessions by tokens", "weekly report"],
    "charts.context(store.resume('weekly report'))": ["Tokens of each run", "input from a cache", "run"],
    "charts.latency(store)": ["Duration of runs by model", "my-finetuned-llama"],
    "charts.tool_calls(store)": ["Calls of tools", "search", "unanswered"],
}


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What was seen of all charts; it takes a minute, and is looked at once."""
    folder = tmp_path_factory.mktemp("looking")
    (folder / "home").mkdir()
    return looked("tests.charts.looking", folder)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("source", LABELS)
def test_each_chart_is_drawn_with_its_labels(seen: Any, theme: str, source: str) -> None:
    (cell,) = (cell for cell in seen[theme] if cell["source"] == source)
    (chart,) = cell["charts"]
    assert set(LABELS[source]) <= set(chart["texts"]), chart["texts"]
    assert chart["marks"] > 1
    assert 300 < chart["width"] < 1_000


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_chart_brings_a_ground_of_its_own(seen: Any, theme: str) -> None:
    grounds = {chart["ground"] for cell in seen[theme] for chart in cell["charts"]}
    assert grounds <= {None, "none", "transparent"}


def test_usage_is_a_table_a_line_and_a_chart_unless_it_is_assigned(seen: Any) -> None:
    shown = {cell["source"]: cell for cell in seen["light"]}
    text = shown["%session usage"]["shown"]
    assert text.index("input_tokens") < text.index("of the tokens have no known price: my-finetuned-llama")
    assert shown["df = %session usage --by day"]["shown"] == ""
    assert "Nothing to show: no tokens were spent." in shown["charts.tokens(store, model='nosuch')"]["shown"]


def test_a_page_shows_a_picture_of_each(seen: Any) -> None:
    drawn = sum(len(cell["charts"]) for cell in seen["light"])
    assert drawn == len(CELLS) - 3
    assert len(seen["page"]["pictures"]) == drawn
    assert all(width > 600 for width in seen["page"]["pictures"])


def test_nothing_in_a_name_acts(seen: Any) -> None:
    assert seen["hostile"]["charts"] == len(FRAGMENTS)
    assert seen["hostile"]["tips"] > len(FRAGMENTS) / 2
    assert seen["hostile"]["pwned"] is None
    assert seen["strangers"] == []
