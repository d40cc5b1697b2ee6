"""What is shown: in a pipe, in a terminal of any width, and of names that mean no good."""

from __future__ import annotations

import io
import json
import os
import re
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pexpect
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

import nbsessions as nbs
from nbsessions.listings import Listing
from nbsessions.records import SessionRecord, Usage
from nbsessions.showing import show, write
from nbsessions.showing.asjson import dumped
from nbsessions.showing.columns import COLUMNS, moment
from nbsessions.showing.tables import draw, lines
from nbsessions.values import now
from tests.cli.conftest import PROGRAM, Run
from tests.conftest import STUCK_SECONDS

ESCAPE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
HOSTILE = "a [red]b[/red]\t\x1b[31mc\x1b]0;title\x07\nd\u202ee\x9b2Jf \\[link=x]"


def record(name: str | None, **more: Any) -> SessionRecord:
    # Stores refuse such names; a record of another program's store may have one.
    at = now()
    given: dict[str, Any] = {"session_id": "0" * 28 + "12345678", "agent_name": "analyst", "owner": "ada"}
    return SessionRecord(name=name, created_at=at, updated_at=at, **given | more)


def drawn(kind: str, rows: list[Any], width: int) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    draw(console, COLUMNS[kind], rows)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert isinstance(text, str)
    return text


@given(st.text(), st.lists(st.text(max_size=9), max_size=3), st.integers(20, 200))
def test_any_name_takes_one_line_and_acts_on_nothing(name: str, tags: list[str], width: int) -> None:
    one = record(name, tags=tags, owner=name, conversation_id=name)
    rows = [one, record("other")]
    plain = list(lines(COLUMNS["sessions"], rows))
    assert len(plain) == 2
    assert [line.count("\t") for line in plain] == [len(COLUMNS["sessions"]) - 1] * 2
    assert not [line for line in plain if ESCAPE.search(line) or len(line.splitlines()) != 1]
    shown = drawn("sessions", rows, width).split("\n")
    assert len(shown) == 4
    assert not [line for line in shown if ESCAPE.search(line) or cell_len(line) > width]


def test_markup_is_text() -> None:
    shown = drawn("sessions", [record(HOSTILE)], 200)
    assert "a [red]b[/red] c d" in shown
    assert "\\[link=x]" in shown


@given(st.text())
def test_json_acts_on_no_terminal(text: str) -> None:
    rows = [record(text + HOSTILE)]
    shown = dumped(Listing("sessions", lambda: rows, lambda: None), None, str)  # type: ignore[arg-type,return-value]
    assert not ESCAPE.search(shown)
    shown.encode()
    assert json.loads(shown)[0]["name"] == text + HOSTILE


def test_what_there_is_no_room_for_is_left_out_or_cut() -> None:
    rows = [
        record(
            "a name that is much too long for it",
            turn_count=12,
            tags=["draft"],
            usage=Usage(input_tokens=1_207),
        ),
        record("日本語のセッション名前がとても長い場合"),
    ]
    heads = {width: drawn("sessions", rows, width).split("\n")[0].split() for width in (120, 80, 40, 24)}
    assert heads == {
        120: ["ID", "NAME", "AGENT", "TURNS", "MESSAGES", "TOKENS", "COST", "UPDATED", "TAGS"],
        80: ["ID", "NAME", "AGENT", "TURNS", "TOKENS", "COST", "UPDATED"],
        40: ["ID", "NAME", "COST", "UPDATED"],
        24: ["ID", "NAME"],
    }
    assert "12345678  a name that i…" in drawn("sessions", rows, 24)


def test_times_are_short_and_local() -> None:
    here = now().astimezone()
    assert moment(here) == f"{here:%H:%M}"
    assert moment(datetime(2019, 3, 4, 12, tzinfo=UTC)) == "2019-03-04"
    assert re.fullmatch(r"\d\d \w+ \d\d:\d\d|\d{4}-\d\d-\d\d", moment(now() - timedelta(days=2)))


def test_a_pipe_gets_tabs_and_whole_values(cli: Run, lived: str) -> None:
    with nbs.open_store(lived) as store:
        plan = store.record("plan")
    first = cli("ls").out.splitlines()[0].split("\t")
    assert first[:6] == [plan.session_id, "plan", "analyst", "2", "3", "1529"]
    assert float(first[6]) > 0
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", first[7])
    assert first[8:] == ["draft,owls", "", "ada", ""]
    status = dict(line.split("\t") for line in cli("status", "--session", "plan").out.splitlines())
    assert (status["title"], status["turns"]) == ("plan", "2")
    row = cli("usage", "--by", "model").out.splitlines()[0].split("\t")
    assert (row[0], row[3]) == ("gpt-4o", "1207")
    assert float(row[-2]) == pytest.approx(float(first[6]))


def test_an_empty_list_is_no_line(cli: Run) -> None:
    assert cli("ls") == (0, "", "")
    assert cli("ls", "--json") == (0, "[]\n", "")


def test_nothing_that_is_told_acts_on_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    show(f"Deleted {HOSTILE}", str)
    assert not ESCAPE.search(capsys.readouterr().out.replace("\n", ""))


# In a real terminal


def terminal(*words: str, width: int = 100, **env: str) -> str:
    child = pexpect.spawn(
        PROGRAM,
        list(words),
        env={**os.environ, "TERM": "xterm-256color", **env},
        dimensions=(50, width),
        encoding="utf-8",
        timeout=STUCK_SECONDS,
    )
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    text = child.before
    assert isinstance(text, str)
    return text


def plain(text: str) -> list[str]:
    return [line.rstrip() for line in re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines()]


def test_a_terminal_gets_a_table_for_people(lived: str) -> None:
    shown = terminal("ls")
    assert "\x1b[1m" in shown, "the heads are bold"
    head, first, second, *_ = plain(shown)
    assert head.split()[:3] == ["ID", "NAME", "AGENT"]
    assert re.match(r"[0-9a-f]{8}  plan   analyst", first)
    assert "draft, owls" in first
    assert "essay" in second


@pytest.mark.parametrize("width", [40, 80, 140])
def test_no_line_is_longer_than_the_terminal(lived: str, width: int) -> None:
    for words in (
        ["ls"],
        ["runs", "plan"],
        ["search", "owls"],
        ["show", "plan"],
        ["status", "--session", "plan"],
    ):
        assert max(map(cell_len, plain(terminal(*words, width=width)))) <= width
    assert max(map(cell_len, plain(terminal("--help", width=width, COLUMNS=str(width))))) <= width


def test_answers_are_rendered_and_prompts_are_not(lived: str) -> None:
    shown = terminal("show", "plan")
    assert "\x1b[1mOwls\x1b[0m live in trees." in shown
    assert plain(shown)[:3] == ["plan · 3 messages", "", "1 user"]


def test_colours_can_be_turned_off(lived: str) -> None:
    for words in (["ls"], ["show", "plan"], ["status", "--session", "plan"]):
        assert not re.search(r"\x1b\[[0-9;]*3[0-9]", terminal(*words, NO_COLOR="1"))
        assert "\x1b" not in terminal(*words, TERM="dumb")


def test_usage_has_a_table_a_sum_and_a_chart(lived: str) -> None:
    shown = "\n".join(plain(terminal("usage", width=120)))
    assert "INPUT TOKENS" in shown
    assert "1,207" in shown
    assert "2 runs, 1,529 tokens" in shown
    assert "█" in shown


def test_an_empty_list_is_told_to_people(lived: str) -> None:
    assert plain(terminal("ls", "--tag", "nosuch"))[0] == "There is no session."


def test_a_stream_that_cannot_say_all_says_what_it_can(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(kept, encoding="ascii", write_through=True))
    write(dumped("日本 \U0001f989", None, str))
    show("日本", str)
    text, _, last = kept.getvalue().decode().rpartition("}")
    assert json.loads(text + "}")["message"] == "日本 \U0001f989"
    assert last.strip() == "??"
