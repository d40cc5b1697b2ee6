"""`%session usage`: a table, a line, a chart; and what the frame is that comes of it."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import IPython.display
import pandas as pd
import pytest

import nbsessions as nbs
from nbsessions import Store, charts
from nbsessions.charts import Chart
from nbsessions.charts.table import UsageTable, tidy, usage_table
from nbsessions.commands import run_line
from nbsessions.completion import Completion
from nbsessions.frames import usage_df
from nbsessions.testing import ScriptedAgent
from nbsessions.workspace import Settings, Workspace
from tests.charts.plausible import LAST, filled
from tests.conftest import ROOT
from tests.kernels import kernel


@pytest.fixture(scope="module")
def month() -> Store:
    return filled(nbs.open_store("memory:"))


@pytest.fixture
def workspace(path: Path) -> Workspace:
    with nbs.open_store(path) as store:
        filled(store)
    return Workspace(Settings(store=str(path)))


def run(workspace: Workspace, line: str) -> UsageTable:
    found = run_line(workspace, line, face="magic", prefix="%session ")
    assert isinstance(found, UsageTable)
    return found


def shown(table: UsageTable, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return what is displayed where it is looked at, besides its line."""
    found: list[Any] = []
    monkeypatch.setattr(IPython.display, "display", found.append)
    table._ipython_display_()
    return found


def test_it_is_usage_by_day_and_model(workspace: Workspace, month: Store) -> None:
    table = run(workspace, "usage")
    pd.testing.assert_frame_equal(pd.DataFrame(table), usage_df(month, ["day", "model"]))
    assert "Tokens by day and model" in str(table.chart)


def test_the_line_says_all_and_what_has_no_price(workspace: Workspace) -> None:
    table = run(workspace, "usage")
    runs, tokens, missing = table.runs.sum(), table.total_tokens.sum(), table.unpriced_tokens.sum()
    assert table.summary.startswith(f"{runs:,} runs, {tokens:,} tokens (")
    assert (
        f"${table.cost.sum():.2f}. {missing / tokens:.0%} of the tokens have no known price" in table.summary
    )
    assert table.summary.endswith(f": my-finetuned-llama ({missing:,}).")


def test_by_tag_the_line_counts_nothing_twice(month: Store) -> None:
    store = filled(nbs.open_store("memory:"))
    for record in store.list(None):
        store.tag(record.session_id, "another")
    by_tag = usage_table(store, ["tag"])
    assert by_tag.summary == usage_table(month).summary
    assert by_tag.total_tokens.sum() == 2 * usage_table(month).total_tokens.sum()


def test_it_is_followed_by_its_chart(month: Store, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    table = usage_table(month)
    frame, chart = shown(table, monkeypatch)
    assert capsys.readouterr().out == f"{table.summary}\n"
    # Before what has to be scrolled to.
    assert [*frame.columns][:4] == ["day", "model", "total_tokens", "cost"]
    assert "white-space: nowrap" in frame._repr_html_()
    assert frame.day.iloc[0] == "2026-10-30"
    assert isinstance(chart, Chart)
    assert "reasoning_tokens" in table
    assert "reasoning_tokens" not in frame  # there are none


def test_names_of_groups_may_hold_anything() -> None:
    store = nbs.open_store("memory:")
    agent = ScriptedAgent([["Hi", nbs.Usage(input_tokens=7)]], name="a\0b", model="m\0n")
    store.create("plan").send("Hello", agent=agent)
    table = usage_table(store, ["model", "agent", "session"])
    assert table.chart is not None
    assert str(table.chart).endswith(" 7")


def test_what_was_asked_for_is_a_column_though_nothing_is_known_of_it() -> None:
    with nbs.open_store("memory:") as store:
        store.create("plan").send("Hello", agent=ScriptedAgent([["Hi", nbs.Usage(input_tokens=3)]]))
        table = usage_table(store, ["notebook", "provider"])
    assert [*tidy(table).columns][:3] == ["notebook", "provider", "total_tokens"]


def test_names_in_the_table_do_nothing_to_a_terminal() -> None:
    shown = tidy(pd.DataFrame({"model": ["\x1b[31mred\n", None], "runs": [1, 2]}))
    assert shown.model.tolist() == ["red", None]
    assert "red" in str(shown)


def test_what_is_made_of_it_is_any_frame(month: Store) -> None:
    table = usage_table(month)
    for made in (
        table[table.cost > 0],
        table.copy(),
        table.head(),
        table.groupby("day").sum(numeric_only=True),
    ):
        assert type(made) is pd.DataFrame
    assert isinstance(table, pd.DataFrame)


@pytest.mark.parametrize(
    ("line", "title"),
    [
        ("usage --by day", "Tokens by day"),
        ("usage --by week,agent", "Tokens by week and agent"),
        ("usage --by week, agent --chart cost", "Cost by week and agent"),
        ("usage --chart cost --by week , agent", "Cost by week and agent"),
        ("usage --by month --chart cost", "Cost by month"),
        ("usage --by model", "Tokens by model"),
        ("usage --by agent,model --chart cost", "Cost by agent and model"),
        ("usage --by session", "Tokens by session"),
        ("usage --by notebook", "Tokens by notebook"),
        ("usage --by tag,status", "Tokens by tag and status"),
        ("usage --by owner,provider,day", "Tokens by day and owner"),
    ],
)
def test_the_chart_is_by_what_the_table_is_by(workspace: Workspace, line: str, title: str) -> None:
    table = run(workspace, line)
    assert table.chart is not None
    assert table.chart.title == title
    assert not table.empty


def test_a_chart_can_be_left_out(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    table = run(workspace, "usage --chart none")
    assert table.chart is None
    assert len(shown(table, monkeypatch)) == 1


def test_filters_choose_what_is_added_up(workspace: Workspace) -> None:
    whole = run(workspace, "usage --by day,agent,model")
    since = LAST.date().replace(day=20)
    before, after = run(workspace, f"usage --until {since}"), run(workspace, f"usage --since {since}")
    assert before.day.max() < pd.Timestamp(since, tz="UTC") <= after.day.min()
    assert before.total_tokens.sum() + after.total_tokens.sum() == whole.total_tokens.sum()
    coder = run(workspace, "usage --agent coder --model gpt-5-mini")
    asked = whole[(whole.agent_name == "coder") & (whole.model == "gpt-5-mini")]
    assert coder.total_tokens.sum() == asked.total_tokens.sum() > 0
    one = run(workspace, 'usage --session "weekly report" --by session')
    assert list(one.session) == ["weekly report"]
    assert set(run(workspace, "usage --tag team-1 --by tag").tag) == {"team-1"}


def test_nothing_spent_is_said_with_an_empty_frame(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    workspace = Workspace(Settings(store="memory:"))
    table = run(workspace, "usage")
    assert shown(table, monkeypatch) == []
    assert capsys.readouterr().out == "Nothing was spent yet.\n"
    full = usage_table(filled(nbs.open_store("memory:")))
    assert [(name, kind.name) for name, kind in table.dtypes.items()] == [
        (name, kind.name) for name, kind in full.dtypes.items()
    ]
    assert run(workspace, "usage --model nosuch").summary == "Nothing was spent there."


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("usage --by colour", "'colour'"),
        ("usage --by day,,model", "no name"),
        ("usage --by day, --since 7d", "no name"),
        ("usage --since yesterday", "yesterday"),
        ("usage --session nosuch", "nosuch"),
        ("usage --chart pie", "pie"),
    ],
)
def test_a_mistake_is_one_line(workspace: Workspace, line: str, text: str) -> None:
    with pytest.raises(nbs.NbsessionsError, match=text) as caught:
        run(workspace, line)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("by", ["--by day, model", "--by day ,model", "--by day , model", "--by=day, model"])
def test_what_it_is_by_may_have_spaces_at_its_commas(workspace: Workspace, by: str) -> None:
    assert run(workspace, f"usage {by} --tag team-1").equals(run(workspace, "usage --tag team-1"))


def test_what_it_is_by_completes_after_commas() -> None:
    completion = Completion(Workspace(Settings(store="memory:")), {})
    assert completion.session("usage --by da") == ["day"]
    assert completion.session("usage --by day,mo") == ["day,month", "day,model"]
    assert "day,model,day" not in completion.session("usage --by day,model,d")
    assert completion.session("usage --ch") == ["--chart"]
    assert completion.session("usage --chart ") == ["tokens", "cost", "none"]


def test_in_a_kernel_it_is_shown_or_assigned(tmp_path: Path) -> None:
    with nbs.open_store(tmp_path / "sessions.db") as store:
        filled(store)
    with kernel(tmp_path) as started:
        started.run("%load_ext nbsessions")
        cell = started.run("%session usage")
        assert "no known price: my-finetuned-llama" in cell.stdout
        table, chart = (output["data"] for output in cell.outputs)
        assert "gpt-5-mini" in table["text/html"]
        assert set(chart) == {"application/vnd.vegalite.v5+json", "image/png", "text/plain"}
        assert started.run("print(type(_).__name__)").stdout == "UsageTable\n"
        assigned = started.run("df = %session usage --by agent")
        assert (assigned.outputs, assigned.stdout, assigned.error) == ([], "", None)
        assert "analyst" in started.run("print(list(df.agent_name))").stdout
        assert "day,model" in "".join(started.complete("%session usage --by day,mod"))


@pytest.mark.parametrize("name", charts.__all__)
def test_charts_are_documented(name: str) -> None:
    doc = inspect.getdoc(getattr(charts, name)) or ""
    assert ">>> " in doc
    assert name == "Chart" or f"charts.{name}(" in (ROOT / "README.md").read_text()


def test_pictures_of_the_readme_are_there_and_small() -> None:
    readme = (ROOT / "README.md").read_text()
    pictures = sorted((ROOT / ".github" / "images").glob("*.png"))
    assert pictures
    for picture in pictures:
        assert f"(.github/images/{picture.name})" in readme
        assert picture.stat().st_size < 100_000
