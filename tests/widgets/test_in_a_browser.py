"""The widgets in a real JupyterLab and in Notebook 7, as a person works with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.browser import looked
from tests.widgets.hostile import CORPUS
from tests.widgets.many import COUNT

# Where there is no browser yet, it is fetched.
pytestmark = pytest.mark.timeout(1_200)


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What was seen of all widgets; it takes minutes, and is looked at once."""
    return looked("tests.widgets.looking", tmp_path_factory.mktemp("looking"), seconds=900)


# The picker


def test_the_newest_session_comes_first(seen: Any) -> None:
    lines = seen["picker"]["first"]
    assert [line.split(" · ")[0] for line in lines[:3]] == ["owls", "larks", "notes 15"]
    assert lines[0].split(" · ")[2:] == ["answer", "2 turns", "nature"]


def test_what_was_said_finds_a_session_and_its_end_is_shown(seen: Any) -> None:
    assert [line.split(" · ")[0] for line in seen["picker"]["found"]] == ["owls"]
    assert "How warm is it there?" in seen["picker"]["preview"]


def test_the_next_cell_goes_on_with_what_was_resumed(seen: Any) -> None:
    answered = seen["picker"]["answered"]
    assert "You asked: And larks?" in answered
    assert "owls · turn 3" in answered


def test_keys_alone_find_and_resume(seen: Any) -> None:
    assert seen["picker"]["by keys"].startswith("glossary\n")


# The table


def test_a_table_is_searched_sorted_and_paged(seen: Any) -> None:
    table = seen["table"]
    assert table["first"][:3] == ["owls", "larks", "notes 15"]
    assert table["by name"] == sorted(table["by name"], key=str.lower)
    assert table["by name"][0] == "budget 2027"
    assert table["second page"][-1] == "what owls eat"
    assert table["found"] == ["travel plan"]


def test_rows_are_selected_seen_in_python_and_deleted(seen: Any) -> None:
    table = seen["table"]
    assert table["selected"] == table["chosen"]
    for name in table["chosen"]:
        assert name in table["in Python"]
        assert name in table["told"]


def test_a_session_of_another_notebook_comes_by_itself(seen: Any) -> None:
    assert seen["table"]["others"] == ["from the other notebook"]


def test_a_page_turns_while_a_cell_runs(seen: Any) -> None:
    assert seen["table"]["while busy"]["prompt"] == "[*]:"


def test_a_store_that_fails_is_told_and_the_table_goes_on(seen: Any) -> None:
    failing = seen["table"]["failing"]
    assert failing["rows"] > 0
    assert failing["after"] == ""


def test_after_a_reload_it_is_alive_after_a_restart_it_says_that_it_is_not(seen: Any) -> None:
    table = seen["table"]
    assert table["after a reload"] == ["onboarding"]
    assert "restarted" in table["dead"]
    assert "again" in table["dead"]
    assert table["alive again"]


# The conversation


def test_a_fork_from_the_middle_goes_on_and_the_other_way_is_there(seen: Any) -> None:
    conversation = seen["conversation"]
    first, second = conversation["on the fork"]
    assert "812 → 9 tokens · $" in first
    assert "gpt-5-mini" in first
    assert "You asked: And owls?" in second
    assert "2 of 2" in second
    assert conversation["the other way"].split() == ["larks", "·", "6", "messages"]
    assert conversation["undone"] == "Back at 6 messages."


def test_who_works_by_keys_keeps_the_focus(seen: Any) -> None:
    assert (seen["table"]["focus"], seen["conversation"]["focus"]) == ([], [])


# A run


def test_a_slider_leads_through_a_run(seen: Any) -> None:
    replay = seen["replay"]
    assert "RUN_STARTED" in replay["first"]
    assert "degrees" not in replay["first"]
    assert "RUN_FINISHED" in replay["last"]
    assert "Put on a coat." in replay["last"]


# All of them


def test_a_hundred_thousand_sessions(seen: Any, record_property: Callable[[str, object], None]) -> None:
    figures = dict(seen["many"])
    saved = figures.pop("saved")
    told = [f"{name} {value:,} ms" for name, value in figures.items()]
    record_property("figures", f"{COUNT:,} sessions: {', '.join(told)}, notebook {saved:,} bytes larger")
    assert saved < 50_000


@pytest.mark.parametrize(
    ("name", "pages"), [("table", 2), ("picker", 18), ("conversation", 4), ("replay", 1)]
)
def test_nothing_that_is_called_or_said_acts_or_breaks_out(seen: Any, name: str, pages: int) -> None:
    assert len(CORPUS) >= 200
    assert seen["hostile"][name]["pages"] >= pages
    assert seen["hostile"][name]["misfits"] == []
    assert seen["hostile"][name]["text"] > 1_000
    assert seen["hostile"]["pwned"] is None
    assert seen["hostile"]["hidden"] != "none"
    assert seen["hostile"]["path"] == "hostile.ipynb"


def test_a_row_is_one_line_whatever_it_is_called(seen: Any) -> None:
    heights = seen["hostile"]["rows"]
    assert len(heights) == len(CORPUS) + 1
    assert max(heights) < 40


def test_no_request_leaves_the_machine(seen: Any) -> None:
    assert seen["strangers"] == []


def test_notebook_7_runs_them_too(seen: Any) -> None:
    assert seen["notebook 7"] == {"found": ["travel plan"], "resumed": True}
