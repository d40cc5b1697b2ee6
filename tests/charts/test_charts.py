"""Charts say what the frames say, of however few or many rows, and whatever names they have."""

from __future__ import annotations

import base64
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nbsessions as nbs
from nbsessions import charts
from nbsessions.charts import Chart, pictures
from nbsessions.charts.chart import VEGA_LITE
from nbsessions.exceptions import InvalidInput
from tests.formats.hostile import FRAGMENTS

COUNTS = ("runs", "requests", "input_tokens", "output_tokens", "cache_read_tokens", "total_tokens")


def usage(*rows: tuple[str, str | None, int, float | None], group: str = "model") -> pd.DataFrame:
    """Return a frame of usage by day and a group: rows of (day, its name, tokens, cost)."""
    frame = pd.DataFrame(rows, columns=["day", group, "total_tokens", "cost"])
    sent = frame["total_tokens"] // 2
    counts = {
        "input_tokens": sent,
        "output_tokens": frame["total_tokens"] - sent,
        "cache_read_tokens": sent // 4,
    }
    return frame.assign(
        day=pd.to_datetime(frame["day"]).astype("datetime64[us]"),
        cost=frame["cost"].astype("Float64"),
        unpriced_tokens=frame["total_tokens"].where(frame["cost"].isna(), 0),
        runs=1,
        requests=1,
        **counts,
    )


def runs(count: int, model: str | None = "gpt-4o", requests: int = 1) -> pd.DataFrame:
    """Return a frame of runs, of which each sends more than the one before."""
    numbers = pd.Series(range(count), dtype="int64")
    return pd.DataFrame(
        {
            "status": "completed",
            "session_id": "1",
            "model": model,
            "input_tokens": (numbers + 1) * 100 * requests,
            "output_tokens": 10,
            "cache_read_tokens": numbers * 100 * requests,
            "requests": requests,
            "started_at": pd.Timestamp("2026-11-28", tz="UTC") + pd.to_timedelta(numbers, unit="min"),
            "duration": (numbers + 1).astype("Float64"),
        }
    )


def calls(*rows: tuple[str, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["tool_name", "status"])


def all_charts(name: str | None) -> list[Chart]:
    """Return one chart of each kind, in which everything is called so."""
    days = usage(
        ("2026-11-27", name, 300, 0.2), ("2026-11-28", name, 100, None), ("2026-11-28", "gpt-5", 50, 0.1)
    )
    sessions = pd.DataFrame({"session_id": ["1"], "session": [name], "total_tokens": [7], "cost": [0.5]})
    return [
        charts.tokens(days),
        charts.cost(days),
        charts.cache(days),
        charts.cache(days, by="model"),
        charts.top_sessions(sessions),
        charts.top_sessions(sessions, "cost"),
        charts.tool_calls(calls((name or "search", "completed"), (name or "search", "failed"))),
        charts.context(runs(3, requests=2)),
        charts.latency(runs(3, name)),
    ]


def values(chart: Chart) -> list[dict[str, Any]]:
    """Return the rows of data in a chart's specification."""
    layers = [chart.spec, *chart.spec.get("layer", [])]
    return next(layer["data"]["values"] for layer in layers if "data" in layer)


def names(chart: Chart) -> list[str]:
    found: list[str] = chart.spec["encoding"]["color"]["scale"]["domain"]
    return found


# What they say


amounts = st.tuples(
    st.dates(pd.Timestamp("2026-01-01").date(), pd.Timestamp("2026-03-01").date()).map(str),
    st.sampled_from([None, *"abcdefgh"]),
    st.integers(0, 10**9),
    st.none() | st.integers(0, 10**6).map(lambda cents: cents / 100),
)


@given(st.lists(amounts, min_size=1, max_size=60))
def test_columns_add_up_to_the_frame(rows: list[tuple[str, str | None, int, float | None]]) -> None:
    frame = usage(*rows)
    for chart, column in ((charts.tokens(frame), "total_tokens"), (charts.cost(frame), "cost")):
        expected = float(frame[column].fillna(0).sum())
        if not expected:
            assert "Nothing to show" in str(chart)
            continue
        assert sum(row["value"] for row in values(chart)) == pytest.approx(expected)
        assert len(names(chart)) <= 6
        days = frame["day"].dt.date.map(str)
        if "by day" in chart.title:
            assert {row["slot"] for row in values(chart)} == set(days[frame[column].fillna(0) > 0])


def test_a_model_has_the_same_colour_in_both_charts() -> None:
    frame = usage(("2026-11-27", "cheap", 9_000, 0.01), ("2026-11-28", "dear", 100, 5.0))
    scales = [
        chart.spec["encoding"]["color"]["scale"] for chart in (charts.tokens(frame), charts.cost(frame))
    ]
    assert scales[0] == scales[1]


def test_of_many_models_the_largest_are_shown_and_all_others_together() -> None:
    rows = [
        (f"2026-11-{day:02}", f"model-{n:02}", 1_000 - n, None) for n in range(50) for day in range(1, 31)
    ]
    chart = charts.tokens(usage(*rows))
    assert names(chart) == [*(f"model-{n:02}" for n in range(5)), "other"]
    assert len(values(chart)) == 6 * 30
    assert chart.spec["encoding"]["color"]["scale"]["range"][-1] == "#7b7b7b"


def test_years_of_usage_stay_small() -> None:
    days = pd.date_range("2019-01-01", "2026-11-28").strftime("%Y-%m-%d")
    chart = charts.tokens(usage(*((day, f"m{n}", 1 + n, None) for day in days for n in range(8))))
    assert chart.title == "Tokens by year and model"
    assert len(json.dumps(chart.spec)) < 20_000


def test_what_has_no_price_is_told_and_no_column() -> None:
    chart = charts.cost(usage(("2026-11-28", "mine", 3_200, None), ("2026-11-28", "gpt-4o", 5_220, 0.3)))
    assert names(chart) == ["gpt-4o"]
    assert chart.note == "38% of the tokens have no known price: mine (3,200)."
    nothing = charts.cost(usage(("2026-11-28", "mine", 3_200, None)))
    assert "100% of the tokens have no known price: mine (3,200)." in nothing.note


def test_what_was_free_is_no_unknown_cost() -> None:
    assert charts.cost(usage(("2026-11-28", "local", 9, 0.0))).note == "Nothing to show: all of it was free."


def test_a_frame_by_week_is_shown_by_week() -> None:
    frame = usage(("2026-11-23", "a", 3, None)).rename(columns={"day": "week"})
    assert charts.tokens(frame).title == "Tokens by week and model"
    assert "week" in frame


def test_parts_can_be_anything_that_usage_is_by() -> None:
    chart = charts.tokens(usage(("2026-11-28", "analyst", 3, None), group="agent_name"), by="agent")
    assert "agent" in chart.title
    sessions = usage(("2026-11-28", "abc", 3, None), group="session_id").assign(session="plan")
    assert values(charts.tokens(sessions, by="session"))[0]["name"] == "plan"
    assert "name" not in str(charts.tokens(sessions, by=None))


def test_the_share_of_a_cache_is_of_the_input() -> None:
    chart = charts.cache(usage(("2026-11-27", "a", 800, None), ("2026-11-28", "b", 0, None)))
    assert [(row["value"], row["shown"]) for row in values(chart)] == [(0.25, "25% (100 of 400)")]


def test_the_largest_sessions_come_first_and_others_are_told() -> None:
    spent = pd.DataFrame({"session_id": [f"{n:08}-id" for n in range(30)], "session": None})
    chart = charts.top_sessions(spent.assign(total_tokens=range(1, 31)), limit=3)
    assert [row["value"] for row in values(chart)] == [30, 29, 28]
    assert [row["label"] for row in values(chart)] == ["…00029-id", "…00028-id", "…00027-id"]
    assert chart.note == "27 others: 378 tokens in all."


def test_what_deleted_sessions_spent_is_a_bar_of_its_own() -> None:
    spent = pd.DataFrame({"session_id": ["1", None], "session": ["plan", None], "total_tokens": [1, 2]})
    assert [row["label"] for row in values(charts.top_sessions(spent))] == ["deleted sessions", "plan"]


def test_an_id_of_two_conversations_is_two_sessions() -> None:
    spent = pd.DataFrame(
        {"session_id": ["a", "a"], "session": ["plan", "trip"], "conversation_id": [None, "c"]}
    )
    chart = charts.top_sessions(spent.assign(total_tokens=[1, 2]))
    assert [(row["label"], row["value"]) for row in values(chart)] == [("trip", 2), ("plan", 1)]
    with pytest.raises(InvalidInput, match="of one session"):
        charts.context(runs(2).assign(session_id="a", conversation_id=["", "c"]))


def test_sessions_by_cost_say_what_has_no_price() -> None:
    spent = pd.DataFrame({"session_id": ["a", "b"], "session": ["plan", "trip"], "cost": [0.5, None]})
    counts: dict[str, Any] = {"input_tokens": [60, 40], "output_tokens": 0, "unpriced_tokens": [0, 40]}
    chart = charts.top_sessions(spent.assign(**counts), "cost")
    assert chart.note == "40% of the tokens have no known price."
    nothing = charts.top_sessions(spent.assign(**counts)[1:], "cost")
    assert nothing.note.startswith("Nothing to show: no cost is known")


def test_the_context_grows_from_run_to_run() -> None:
    chart = charts.context(runs(4))
    sent = [[row["value"] for row in values(chart) if row["name"] == name] for name in names(chart)]
    assert names(chart) == ["input from a cache", "new input", "output"]
    assert sent == [[100, 200, 300], [100] * 4, [10] * 4]


def test_where_a_run_makes_several_requests_a_line_shows_one() -> None:
    layers = charts.context(runs(4, requests=3)).spec["layer"]
    assert [row["each"] for row in layers[1]["data"]["values"]] == [100, 200, 300, 400]


def test_runs_come_in_order() -> None:
    shuffled = runs(5).iloc[[3, 0, 4, 1, 2]]
    assert str(charts.context(shuffled)) == str(charts.context(runs(5)))


def test_a_long_session_has_columns_that_can_be_seen() -> None:
    chart = charts.context(runs(1_000))
    assert len({row["slot"] for row in values(chart)}) == 77
    assert chart.note == "Each column is the mean of 13 runs."
    assert "runs 989 to 1,000" in str(chart)


def test_tools_are_counted_by_how_they_ended() -> None:
    chart = charts.tool_calls(
        calls(("a", "completed"), ("b", "failed"), ("b", "completed"), ("b", "unanswered"))
    )
    assert str(chart).split("\n")[1:] == [f"b  {'█' * 32} 3, 1 failed, 1 unanswered", f"a  {'█' * 10}▋ 1"]
    assert sum(row["value"] for row in values(chart)) == 4


def test_of_many_tools_the_most_called_are_shown_and_others_told() -> None:
    chart = charts.tool_calls(calls(*((f"tool-{n}", "completed") for n in range(40) for _ in range(40 - n))))
    assert chart.spec["encoding"]["y"]["scale"]["domain"] == [f"tool-{n}" for n in range(12)]
    assert chart.note == "28 others: 406 calls in all."


def test_how_a_call_ended_has_always_the_same_colour() -> None:
    scale = charts.tool_calls(calls(("a", "failed"), ("a", "running"))).spec["layer"][0]["encoding"]["color"][
        "scale"
    ]
    assert scale == {"domain": ["failed", "unanswered"], "range": ["#ff6200", "#7b7b7b"]}


def test_latency_is_of_completed_runs() -> None:
    frame = pd.concat([runs(101), runs(3, "slow").assign(status="failed"), runs(1, None)])
    rows = {row["label"]: row for row in values(charts.latency(frame))}
    assert set(rows) == {"gpt-4o", "no model"}
    assert (rows["gpt-4o"]["low"], rows["gpt-4o"]["high"]) == (51, 96)
    assert rows["gpt-4o"]["low"] == frame[frame.model == "gpt-4o"]["duration"].quantile(0.5)


# How they are shown


@pytest.mark.parametrize("number", range(9))
def test_every_chart_has_a_drawing_a_picture_and_a_text(number: int) -> None:
    data, metadata = all_charts("gpt-4o")[number]._repr_mimebundle_()
    output = nbformat.v4.new_output("display_data", data=data, metadata=metadata)
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("x", outputs=[output])])
    nbformat.validate(notebook)
    json.dumps(data, allow_nan=False)
    picture = base64.b64decode(data["image/png"])
    assert picture.startswith(b"\x89PNG")
    assert len(picture) < 100_000
    assert metadata["image/png"]["width"] <= 1_000
    assert data["text/plain"].startswith(data[VEGA_LITE]["title"]["text"])


@pytest.mark.parametrize("number", range(9))
def test_a_chart_names_no_address(number: int) -> None:
    text = json.dumps(all_charts("gpt-4o")[number].spec)
    assert re.findall(r"[a-z]+://[^\"]*", text) == ["https://vega.github.io/schema/vega-lite/v5.json"]
    assert '"url"' not in text


@pytest.mark.parametrize(
    "chart",
    [
        charts.tokens(usage()),
        charts.tokens(usage(("2026-11-28", "a", 0, None))),
        charts.cost(usage()),
        charts.cost(usage(("2026-11-28", "a", 5, 0.0))),
        charts.cache(usage()),
        charts.top_sessions(pd.DataFrame({"session_id": [], "total_tokens": []})),
        charts.tool_calls(calls()),
        charts.context(runs(0)),
        charts.latency(runs(0)),
        charts.latency(runs(2).assign(duration=None)),
    ],
)
def test_nothing_to_show_is_said(chart: Chart) -> None:
    assert "Nothing to show: " in str(chart)
    data, _ = chart._repr_mimebundle_()
    assert data[VEGA_LITE]["title"]["subtitle"][0].startswith("Nothing to show: ")
    assert base64.b64decode(data["image/png"]).startswith(b"\x89PNG")


@pytest.mark.parametrize("name", [*FRAGMENTS, None, "", " ", "a" * 10_000, "other", "日本語 مرحبا"])
def test_names_are_short_plain_text(name: str | None) -> None:
    for chart in all_charts(name):
        assert not re.search(
            "[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", str(chart)
        )
        assert max(map(len, str(chart).split("\n"))) < 200
        pictures.svg(chart.spec)


def test_names_that_look_alike_stay_apart() -> None:
    twins = ("x" * 50 + "a", "x" * 20 + "y" * 30 + "a", "x" * 50 + "b", "x" * 50 + "\na", "other")
    chart = charts.tokens(usage(*(("2026-11-28", name, 10, None) for name in twins)))
    assert len(set(names(chart))) == 5
    assert "other" not in names(chart)


def test_a_chart_can_be_read_aloud() -> None:
    said = charts.tokens(usage(("2026-11-27", "a", 800, None), ("2026-11-28", "b", 90, None))).spec[
        "description"
    ]
    assert said == "Tokens by day and model. Nov 27: 800; Nov 28: 90"


def test_a_picture_asks_nobody() -> None:
    with pytest.raises(ValueError, match="not allowed"):
        pictures.png({"data": {"url": "http://127.0.0.1:9/x.json"}, "mark": "point"})


def test_a_picture_holds_no_markup_of_a_name() -> None:
    for chart in all_charts("<script>alert(1)</script>"):
        drawn, plain = pictures.svg(chart.spec), chart._bars_svg()
        assert "<script" not in drawn + plain


def test_packing_a_picture_changes_nothing_of_it() -> None:
    import vl_convert

    spec = all_charts("gpt-4o")[0].spec
    raw = vl_convert.vegalite_to_png(spec, pictures._VERSION, scale=2)
    packed = pictures.smaller(raw)
    assert len(packed) < len(raw) / 2
    assert pictures.smaller(packed) == packed
    assert pictures.size(packed) == pictures.size(raw)


# How they are kept


@pytest.mark.parametrize(("suffix", "start"), [(".png", b"\x89PNG"), (".svg", b"<svg"), (".json", b"{")])
def test_a_chart_is_saved_as_its_suffix_says(suffix: str, start: bytes, tmp_path: Path) -> None:
    chart = all_charts("gpt-4o")[0]
    path = chart.save(tmp_path / f"tokens{suffix}")
    assert path.read_bytes().startswith(start)
    with pytest.raises(nbs.InvalidInput, match="exists"):
        chart.save(path)
    path.write_text("old")
    assert chart.save(path, overwrite=True).read_bytes().startswith(start)


def test_a_chart_is_saved_as_nothing_else(tmp_path: Path) -> None:
    with pytest.raises(nbs.InvalidInput, match=r"\.png, \.svg or \.json, not as 'tokens\.pdf'"):
        all_charts("gpt-4o")[0].save(tmp_path / "tokens.pdf")
    with pytest.raises(nbs.StoreUnavailable, match="Cannot write"):
        all_charts("gpt-4o")[0].save(tmp_path / "no" / "tokens.json")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def without_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the extra away."""
    monkeypatch.setattr(pictures, "can_draw", lambda: False)
    monkeypatch.setitem(sys.modules, "vl_convert", None)


@pytest.mark.usefixtures("without_extra")
def test_without_the_extra_there_is_a_picture_all_the_same(tmp_path: Path) -> None:
    chart = all_charts("a<b & 'c'")[0]
    data = chart._repr_mimebundle_()
    assert data["image/svg+xml"].count("<rect") == len(str(chart).split("\n")) - 1 == 2
    assert VEGA_LITE in data
    with pytest.raises(nbs.MissingExtra, match=r'pip install "nbsessions\[charts\]"'):
        chart.save(tmp_path / "tokens.png")
    chart.save(tmp_path / "tokens.json")


# What is refused


@pytest.mark.parametrize(
    ("draw", "text"),
    [
        (lambda: charts.tokens(runs(1)), "over time"),
        (lambda: charts.tokens(usage().drop(columns="total_tokens")), "'total_tokens'"),
        (lambda: charts.tokens(usage(("2026-11-28", "a", 1, None)), by="tag"), "needs a column 'tag'"),
        (lambda: charts.tokens(usage(), since="7d"), "without since="),
        (lambda: charts.context(usage()), "'started_at'"),
        (lambda: charts.context(pd.concat([runs(1), runs(1).assign(session_id="2")])), "one session"),
        (lambda: charts.latency(calls()), "'model', 'duration'"),
        (lambda: charts.top_sessions(usage(), "money"), "'tokens' or 'cost', not by 'money'"),  # type: ignore[arg-type]
        (lambda: charts.tool_calls(calls(), limit=0), "limit"),
        (lambda: charts.tokens(3), "not of int"),  # type: ignore[arg-type]
    ],
)
def test_what_cannot_be_drawn_is_one_line(draw: Callable[[], Chart], text: str) -> None:
    with pytest.raises(nbs.InvalidInput, match=text) as caught:
        draw()
    assert "\n" not in str(caught.value)
