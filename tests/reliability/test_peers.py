"""The tests that ours and its peers are put to: ours stand them, and a store as it should not be is found out."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, STUCK_SECONDS
from tests.peers import PEERS
from tests.reliability.beside import command, page
from tests.reliability.beside.command import KEY, keep, try_peer
from tests.reliability.beside.harness import ROWS

BAD = "tests.reliability.beside.bad:InPlace"
CAUGHT = {
    "kills": {"acknowledged turns lost"},
    "writers": {
        "acknowledged answers in no conversation",
        "acknowledged answers nowhere to be found",
    },
    "disk": {"acknowledged turns lost"},
    "damage": {"other messages, and nothing said"},
    "restart": {
        "messages that another process reads otherwise",
        "sessions elsewhere in its list of the newest",
        "prompts lost, killed while the agent answers",
    },
    "clock": {"sessions with turns in another order", "its newest session is not the one touched last"},
}
"""What a store as it should not be does in each row, whatever else it does."""
STOOD = ("sqlite", "file")
FLOOR = "sqlite3"


@pytest.fixture(scope="module")
def bad() -> dict[str, page.Result]:
    return dict(try_peer(BAD, ROWS, quick=True))


@pytest.mark.parametrize("row", ROWS)
def test_a_store_as_it_should_not_be_is_found_out(row: str, bad: dict[str, page.Result]) -> None:
    assert "failed" not in bad[row], bad[row]
    assert {one["what"] for one in bad[row]["counts"] if one["got"]} >= CAUGHT[row], bad[row]


def test_ours_stand_all_rows_and_the_command_says_so() -> None:
    arguments = [sys.executable, "-m", "tests.reliability", "peers", "--quick", "--peer", *STOOD, FLOOR]
    done = subprocess.run(
        arguments, cwd=ROOT, capture_output=True, text=True, timeout=5 * STUCK_SECONDS, check=False
    )
    over = [line for line in done.stdout.splitlines() if " OVER" in line or " FAILED" in line]
    assert (done.returncode, over) == (0, []), done.stderr
    for peer in (*STOOD, FLOOR):
        told = [line.split()[1] for line in done.stdout.splitlines() if line.startswith(f"{peer} ")]
        assert list(dict.fromkeys(told)) == [*ROWS], done.stdout


def test_what_ours_may_not_do_ends_the_command_with_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], bad: dict[str, page.Result]
) -> None:
    monkeypatch.setattr(command, "try_peer", lambda *_: bad.items())
    assert command.main(["--peer", FLOOR]) == 0
    assert "OVER" not in capsys.readouterr().out
    assert command.main(["--peer", "sqlite"]) == 1
    assert "OVER" in capsys.readouterr().out


def test_a_peer_that_cannot_be_tried_is_told_and_stops_no_other() -> None:
    results = dict(try_peer("tests.reliability.beside.bad:Missing", ["kills", "clock"], quick=True))
    assert [*results] == ["kills", "clock"]
    assert all("Missing" in result["failed"] for result in results.values()), results


def test_the_page_names_every_store_and_every_row_and_says_who_is_ahead(
    tmp_path: Path, bad: dict[str, page.Result]
) -> None:
    path = tmp_path / "results.json"
    path.write_text('{"append": {}}')
    keep(path, "sqlite", {"restart": bad["restart"]}, quick=True)
    fine = [{**count, "got": 0} for count in bad["restart"]["counts"][:-1]]
    lacking = {**bad["restart"]["counts"][-1], "got": None, "note": "no prompts"}
    keep(
        path,
        "llm",
        {"restart": {"counts": [*fine, lacking]}, "kills": {"failed": "it went away"}},
        quick=True,
    )
    stored = json.loads(path.read_text())
    assert stored.pop("append") == {}
    text = page.section(stored[KEY])
    assert all(f"### {row.capitalize()}\n" in text for row in ROWS)
    assert all(text.count(f"| {PEERS[name].title} |") == len(ROWS) for name in command.NAMES)
    ahead = [line for line in text.splitlines() if line.startswith("- Ahead of nbsessions, SQLite in")]
    assert len(ahead) == len(fine)
    assert all(PEERS["llm"].title in line for line in ahead)
    assert f"- {PEERS['llm'].title}: could not be tried: it went away" in text
    assert f"- {PEERS['llm'].title}, *{lacking['what']}*: no prompts" in text
