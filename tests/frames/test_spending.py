"""Usage as frames: groups, spans of days, order."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pandas as pd
import pytest

import nbsessions as nbs
from nbsessions import InvalidInput, Store
from tests.frames.lived import fill

GROUPS = ["day", "week", "month", "agent_name", "model", "provider", "session", "notebook", "owner", "status"]
COUNTED = [
    "input_tokens",
    "output_tokens",
    "total_tokens",
    "cache_read_tokens",
    "requests",
    "runs",
    "unpriced_tokens",
]


@pytest.mark.parametrize("by", GROUPS)
def test_every_group_adds_up_to_the_runs(by: str) -> None:
    store = nbs.open_store("memory:")
    fill(store)
    runs, df = nbs.runs_df(store), nbs.usage_df(store, by)
    assert df["total_tokens"].sum() == runs["total_tokens"].sum() > 0
    assert df["cost"].sum() == pytest.approx(runs["cost"].sum())
    assert df["runs"].sum() == len(runs)


def test_usage_is_that_of_the_runs(store: Store) -> None:
    fill(store)
    runs = nbs.runs_df(store)
    runs["day"] = runs["started_at"].dt.floor("D")
    keys = ["day", "agent_name", "model"]
    expected = runs.groupby(keys, dropna=False, observed=True)["total_tokens"].sum()
    df = nbs.usage_df(store, "day, agent, model")
    assert list(df.columns[:3]) == keys
    found = df.set_index(keys)["total_tokens"]
    as_text = [{str(key): int(value) for key, value in one.items()} for one in (found, expected)]
    assert as_text[0] == as_text[1]


def test_days_weeks_and_months_begin_where_they_begin(store: Store) -> None:
    fill(store)
    old = {"until": "2020-04-01"}
    days = nbs.usage_df(store, "day", **old)
    assert list(days["day"]) == [pd.Timestamp(f"2020-0{month}-01", tz="UTC") for month in (1, 2, 3)]
    weeks = nbs.usage_df(store, "week", **old)
    assert [day.date().isoformat() for day in weeks["week"]] == ["2019-12-30", "2020-01-27", "2020-02-24"]
    assert list(nbs.usage_df(store, ["month"], **old)["total_tokens"]) == [220, 220, 220]


@pytest.mark.parametrize(
    ("which", "months"),
    [
        ({"since": "2020-02-01"}, [2, 3]),
        ({"since": "2020-02-01T23:00Z"}, [2, 3]),
        ({"since": "2020-02-02"}, [3]),
        ({"until": "2020-02-01"}, [1]),
        ({"until": date(2020, 2, 1)}, [1]),
        ({"until": datetime(2020, 2, 1, 0, 0, 0, 1, tzinfo=UTC)}, [1, 2]),
        ({"since": "2020-02-01T12:00Z", "until": "2020-02-01T13:00Z"}, [2]),
        ({"since": "2020-03-01", "until": datetime.max.replace(tzinfo=UTC)}, [3]),
        ({"tag": "draft"}, [2]),
        ({"session": "old 3"}, [3]),
        ({"agent_name": "analyst"}, [1, 2, 3]),
        ({"model": "nothing"}, []),
    ],
    ids=str,
)
def test_filters_of_usage(which: dict[str, Any], months: list[int]) -> None:
    store = nbs.open_store("memory:")
    fill(store)
    df = nbs.usage_df(store, "month", **which)
    assert [month.month for month in df["month"] if month.year == 2020 and month.month < 10] == months


def test_what_costs_most_comes_first(store: Store) -> None:
    fill(store)
    df = nbs.usage_df(store, "model")
    assert list(df["cost"].dropna()) == sorted(df["cost"].dropna(), reverse=True)
    assert df["cost"].isna().tolist() == sorted(df["cost"].isna())


def test_sessions_come_with_their_names_and_deleted_ones_without(store: Store) -> None:
    plan = fill(store)
    df = nbs.usage_df(store, "session").set_index("session")
    assert df.loc["plan", "session_id"] == plan.session_id
    assert df.loc["child", "conversation_id"] == "conv-1"
    gone = nbs.usage_df(store, "session").query("session_id.isna()")
    assert list(gone["total_tokens"]) == [110]
    assert gone[["session", "conversation_id"]].isna().all(axis=None)


def test_a_session_with_two_tags_is_counted_under_both(store: Store) -> None:
    plan = fill(store)
    df = nbs.usage_df(store, "tag", session=plan).set_index("tag")
    assert df["total_tokens"].to_dict() == {"draft": 330, "x, y": 330}


def test_a_fork_has_spent_what_its_own_runs_did(store: Store) -> None:
    plan = fill(store)
    df = nbs.usage_df(store, "session").set_index("session")
    assert df.loc["plan", "total_tokens"] == plan.total_tokens == 330
    assert df.loc["late", "total_tokens"] == 0


def test_what_usage_is_not_counted_by_is_told() -> None:
    store = nbs.open_store("memory:")
    with pytest.raises(InvalidInput, match=r"not counted by 'colour'\. These are: day, week, month"):
        nbs.usage_df(store, "day, colour")
    with pytest.raises(InvalidInput, match="by has no name in it"):
        nbs.usage_df(store, [])
