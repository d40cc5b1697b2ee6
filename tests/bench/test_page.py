"""The page is what was measured, and nothing else; and its command measures."""

from __future__ import annotations

import subprocess
import sys
from copy import deepcopy
from typing import Any

import pytest

from tests.bench import page, results
from tests.bench.ahead import OVER, REASONS, ahead
from tests.bench.measuring import _ASKED
from tests.bench.rows import ROWS
from tests.peers import PEERS
from tests.peers.environment import ROOT

CHEAP = ("sqlite3", "json")


@pytest.fixture(scope="module")
def kept() -> results.Results:
    return results.read()


def test_the_page_is_what_is_kept(kept: results.Results) -> None:
    assert page.PAGE.read_text(encoding="utf-8") == page.render(kept), "python -m tests.bench.page"


def test_every_row_can_be_measured() -> None:
    assert set(_ASKED) == set(ROWS)


def test_it_names_every_peer_and_every_row() -> None:
    written = page.PAGE.read_text(encoding="utf-8")
    assert [known.title for known in PEERS.values() if f"| {known.title}" not in written] == []
    assert [row.title for row in ROWS.values() if f"| {row.title}" not in written] == []
    assert [row.topic for row in ROWS.values() if f"### {row.topic}" not in written] == []
    packages = {package for known in PEERS.values() for package in known.package.split()}
    assert [package for package in packages if package not in written] == []


@pytest.mark.parametrize("row", ROWS)
def test_every_figure_is_there_or_a_footnote_says_why_not(row: str, kept: results.Results) -> None:
    cells = kept["peers"]["rows"][row]["cells"]
    untold = [name for name in PEERS if not {"median", "lacks"} & cells.get(name, {}).keys()]
    assert untold == [], [cells.get(name) for name in untold]
    written = page.PAGE.read_text(encoding="utf-8")
    assert [
        cell["lacks"] for cell in cells.values() if "lacks" in cell and f") {cell['lacks']}" not in written
    ] == []


def test_who_is_ahead_has_its_reason(kept: results.Results) -> None:
    found = list(ahead(kept["peers"]["rows"]))
    assert [f"{one.row}: {one.peer}, {one.factor:.2f} x" for one in found if not one.reason] == []


def test_what_is_over_a_limit_has_its_reason(kept: results.Results) -> None:
    subjects = kept["limits"]["subjects"]
    over = {name for name, figures in subjects.items() if "OVER" in map(page.verdict, figures)}
    assert over <= set(OVER)
    assert set(OVER) <= set(subjects)


def test_reasons_are_of_rows_and_of_peers() -> None:
    assert set(REASONS) <= set(ROWS)
    assert {peer for reasons in REASONS.values() for peer in reasons} <= {*PEERS}


def test_a_better_figure_of_a_peer_is_told(kept: results.Results) -> None:
    better = deepcopy(kept)
    cells = better["peers"]["rows"]["append-10"]["cells"]
    cells["agno"]["median"] = cells["sqlite"]["median"] / 20
    told = f"{PEERS['agno'].title} (*{ROWS['append-10'].title}* 20.0 x"
    assert told in page.render(better)
    cells["agno"]["median"] = cells["sqlite"]["median"] * 20
    assert told.partition(" 20.0")[0] not in page.render(better)
    assert "20.0 x slower" in page.render(better)


def test_what_failed_is_told(kept: results.Results) -> None:
    worse = deepcopy(kept)
    worse["peers"]["rows"]["fork"]["cells"]["llm"] = {"error": "OSError: no room"}
    assert "it failed: OSError: no room" in page.render(worse)


def test_figures_kept_later_stand_beside_those_kept_before(
    kept: results.Results, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "FILE", tmp_path / "results.json")
    before = deepcopy(kept)
    before["peers"]["machine"] = results.machine()
    results.write(before)
    results.keep_rows({"append-10": {"agno": {"median": 7.0, "low": 7.0, "high": 7.0, "samples": 1}}})
    rows = results.read()["peers"]["rows"]
    assert rows["append-10"]["cells"]["agno"]["median"] == 7.0
    assert rows["append-10"]["cells"]["adk"] == before["peers"]["rows"]["append-10"]["cells"]["adk"]
    assert rows["fork"] == before["peers"]["rows"]["fork"]
    # Another machine's are no part of one table.
    before["peers"]["machine"]["cores"] = "1024"
    results.write(before)
    results.keep_rows({"append-10": {"agno": {"median": 7.0, "low": 7.0, "high": 7.0, "samples": 1}}})
    assert set(results.read()["peers"]["rows"]) == {"append-10"}


def test_its_command_measures() -> None:
    command = [sys.executable, "-m", "tests.bench", "peers", "--quick", "--peer", *CHEAP]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "failed" not in done.stdout
    for name in CHEAP:
        assert done.stdout.count(f"| {PEERS[name].title}") == len({row.topic for row in ROWS.values()})
    assert [row.title for row in ROWS.values() if row.title not in done.stdout] == []
