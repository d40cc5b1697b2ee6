"""Every command that the command line has, run as a user does."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

import nbsessions as nbs
from nbsessions.commands import COMMANDS, on_face
from tests.cli.conftest import Done, Run, tamper

LINES: dict[str, list[str]] = {
    "status": ["status", "plan"],
    "new": ["new", "a", "third"],
    "save": ["save", "--session", "plan"],
    "history": ["ls"],
    "show": ["show", "plan"],
    "rename": ["rename", "--session", "plan", "other"],
    "tag": ["tag", "--session", "plan", "new"],
    "untag": ["untag", "--session", "plan", "draft"],
    "clear": ["clear", "--session", "plan"],
    "delete": ["delete", "plan", "essay"],
    "fork": ["fork", "--session", "plan", "--at", "2", "branch"],
    "rewind": ["rewind", "--session", "plan", "1"],
    "undo": ["undo", "--session", "plan"],
    "checkpoint": ["checkpoint", "--session", "plan", "here"],
    "checkpoints": ["checkpoints", "plan"],
    "branches": ["branches", "plan"],
    "tree": ["tree", "plan"],
    "redact": ["redact", "--session", "plan", "1", "--confirm"],
    "runs": ["runs", "plan"],
    "search": ["search", "owls"],
    "context": ["context", "plan"],
    "usage": ["usage", "--by", "model"],
    "prune": ["prune", "--keep", "1", "--dry-run"],
    "gc": ["gc"],
    "verify": ["verify"],
    "backup": ["backup", "copy.db"],
    "import": ["import", "in.json"],
    "formats": ["formats"],
    "export": ["export", "out.json", "plan"],
    "store": ["store"],
    "migrate": ["migrate", "agents.db", "there.db"],
    "doctor": ["doctor"],
    "completion": ["completion", "bash"],
    "help": ["help"],
}
ELSEWHERE = {
    "replay": "test_a_run_is_shown_again",
    "approve": "test_approve_goes_on_with_the_agent_that_is_named",
    "compact": "test_compact_needs_an_agent_that_is_there",
    "demo": "tests/test_demo.py",
    "chat": "tests/chat",
}


@pytest.fixture
def here(lived: str, monkeypatch: pytest.MonkeyPatch) -> str:
    folder = Path(lived).parent
    monkeypatch.chdir(folder)
    with nbs.open_store("memory:") as store:
        store.create("from elsewhere").add_message({"role": "user", "content": "Hello"})
        store.export("from elsewhere", folder / "in.json")
    return lived


def test_each_command_is_run_here() -> None:
    here = {command.name for command in on_face("cli")}
    assert here - LINES.keys() <= ELSEWHERE.keys()


@pytest.mark.parametrize("name", LINES)
def test_a_command_answers_people_and_programs(cli: Run, here: str, name: str) -> None:
    done = cli(*LINES[name])
    assert (done.code, done.err) == (0, ""), done
    assert done.out.strip() or name == "branches"
    assert "\x1b" not in done.out


@pytest.mark.parametrize("name", sorted(LINES.keys() - {"help"}))
def test_its_json_can_be_read(cli: Run, here: str, name: str) -> None:
    done = cli("--json", *LINES[name])
    assert (done.code, done.err) == (0, ""), done
    json.loads(done.out)


def told(done: Done) -> Any:
    assert (done.code, done.err) == (0, ""), done
    return json.loads(done.out)


def test_rows_are_records_with_whole_ids_and_iso_times(cli: Run, here: str) -> None:
    found = told(cli("ls", "--json"))
    assert [one["name"] for one in found] == ["plan", "essay"]
    assert len(found[0]["session_id"]) == 36
    assert found[0]["updated_at"].endswith("Z")
    assert found[0]["usage"]["input_tokens"] == 1_207
    with nbs.open_store(here) as store:
        assert nbs.SessionRecord.model_validate(found[0]) == store.record("plan")
        assert [nbs.Run.model_validate(one) for one in told(cli("runs", "plan", "--json"))] == store.runs(
            "plan"
        )
    hit = told(cli("search", "bats", "--json"))[0]
    assert (hit["session"]["name"], hit["number"], hit["role"]) == ("plan", 3, "user")
    assert [one["name"] for one in told(cli("checkpoints", "plan", "--json"))] == ["before"]


def test_what_is_no_list_is_told_as_an_object(cli: Run, here: str) -> None:
    status = told(cli("status", "--session", "plan", "--json"))
    assert (status["session"]["name"], status["saved"], status["waiting"]) == ("plan", True, [])
    assert told(cli("status", "--session", "essay", "--json"))["unanswered"]
    shown = told(cli("show", "plan", "--json"))
    assert [one["role"] for one in shown["messages"]] == ["user", "assistant", "user"]
    usage = told(cli("usage", "--by", "model", "--json"))
    assert [(row["model"], row["input_tokens"]) for row in usage["rows"]] == [("gpt-4o", 1_207), (None, 0)]
    assert usage["summary"].startswith("2 runs")
    context = told(cli("context", "plan", "--json"))
    assert [row["role"] for row in context["rows"]] == ["user", "assistant", "user"]
    assert told(cli("new", "third", "--json"))["session"]["name"] == "third"
    assert told(cli("fork", "--session", "plan", "--json"))["session"]["name"] == "plan (fork)"
    assert [one["name"] for one in told(cli("delete", "third", "--json"))["sessions"]] == ["third"]
    assert told(cli("verify", "--json"))["ok"] is True
    imported = told(cli("import", "in.json", "--json"))
    assert (imported["ok"], imported["files"][0]["sessions"][0]["name"]) == (True, "from elsewhere")


def test_what_is_changed_is_changed(cli: Run, here: str) -> None:
    assert cli("new", "third", "--agent", "analyst").out == "Started 'third'.\n"
    assert cli("tag", "--session", "third", "a", "b").out == "Tags of 'third': a, b.\n"
    assert cli("rewind", "--session", "plan", "1").out.startswith("Kept the first 1 message.")
    assert cli("undo", "--session", "plan").out == "Took back: rewind. 'plan' has 3 messages.\n"
    assert cli("fork", "--session", "plan", "branch", "--at", "before").code == 0
    with nbs.open_store(here) as store:
        assert store.record("third").agent_name == "analyst"
        assert store.record("third").tags == ["a", "b"]
        assert store.record("branch").message_count == 2
        # Nobody comes back to a command line: no way from one session to another is kept.
    db = sqlite3.connect(here)
    assert db.execute("SELECT count(*) FROM visits").fetchone() == (0,)
    db.close()


def test_a_session_is_named_by_name_id_end_of_id_or_latest(cli: Run, here: str) -> None:
    with nbs.open_store(here) as store:
        session_id = store.record("plan").session_id
    for ref in ("plan", session_id, session_id[-8:], "latest"):
        assert cli("show", ref).out.startswith("plan · 3 messages")
        assert cli("show", "--session", ref).out.startswith("plan · 3 messages")


def test_of_two_agents_sessions_none_is_guessed(cli: Run, here: str) -> None:
    with nbs.open_store(here) as store:
        store.create("plan", agent_name="local")
        other = store.record("plan", agent_name="analyst").session_id
    for words in (["show", "plan"], ["tag", "--session", "plan", "x"], ["delete", "plan"]):
        done = cli(*words)
        assert done.code == 1
        assert "'plan' could be 2 sessions" in done.err
    assert cli("show", "plan", "--agent", "analyst").out.startswith("plan · 3 messages")
    assert cli("delete", "plan", "--agent", "local").code == 0
    with nbs.open_store(here) as store:
        assert store.record("plan").session_id == other


def test_sessions_of_a_conversation_are_reached(cli: Run, here: str) -> None:
    with nbs.open_store(here) as store:
        store.create("asked", conversation_id="c1").add_message({"role": "user", "content": "Hello"})
    assert cli("show", "asked").code == 1
    assert cli("show", "asked", "--conversation", "c1").out.startswith("asked · 1 message")
    assert cli("tag", "--session", "asked", "--conversation", "c1", "x").code == 0
    assert "asked" in cli("ls", "--a2a").out + cli("ls", "--conversation", "*").out
    assert cli("delete", "asked", "--conversation", "c1").code == 0


def test_deleting_all_needs_an_agent_and_a_real_confirmation(cli: Run, here: str) -> None:
    done = cli("clear", "--all", "--agent", "analyst")
    assert (done.code, done.out) == (1, "")
    assert "deletes 1 session" in done.err
    assert "The same command with --confirm does it." in done.err
    assert (
        cli("clear", "--all", "--agent", "analyst", "--confirm").out == "Deleted 1 session with 'analyst'.\n"
    )
    assert [line.split("\t")[1] for line in cli("ls").out.splitlines()] == ["essay"]


def test_nothing_is_redacted_without_confirmation(cli: Run, here: str) -> None:
    done = cli("redact", "--session", "plan", "1")
    assert (done.code, "The same command with --confirm does it." in done.err) == (1, True)
    assert "Where do owls live?" in cli("show", "plan").out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["show", "nosuch"], "No session 'nosuch' in this store. `nbsessions ls` lists what there is."),
        (["rewind", "--session", "plan", "nowhere"], "There is no place 'nowhere'"),
        (["replay", "nosuch"], "No run 'nosuch'"),
        (["new", "plan", "--agent", "analyst"], "'plan'"),
        (["new", "latest"], "'latest' is reserved"),
        (["ls", "--store", "nosuch:x"], "No store answers to 'nosuch:'"),
        (["ls", "--store", "misspelled.db"], "misspelled.db: there is no such store."),
        (["verify", "--store", "file:misspelled"], "file:misspelled: there is no such store."),
        (["export", "in.json", "plan"], "in.json"),
        (["import", "nowhere.json"], "nowhere.json"),
        (["usage", "--by", "colour"], "Usage is not counted by 'colour'."),
        (["redact", "--session", "plan", "9"], "There is no message 9"),
        (["search", '"'], ""),
        (["approve", "--session", "plan"], "No run of 'plan' waits for a decision."),
        (["prune"], "prune"),
        (["migrate", "nowhere.db", "there.db"], "there is no such store"),
        (["approve", "--session", "plan", "--deny", "--always"], "--deny goes with --reason alone"),
    ],
)
def test_a_failure_is_one_line(cli: Run, here: str, words: list[str], told: str) -> None:
    for more in ([], ["--json"] if not COMMANDS.get(words[0], COMMANDS["gc"]).is_live else []):
        done = cli(*words, *more)
        assert (done.code, done.out) == (1, "")
        assert done.err.startswith("nbsessions: ")
        assert told in done.err
        assert done.err.count("\n") == 1


def test_a_store_that_is_misspelled_is_not_made(cli: Run, here: str) -> None:
    before = sorted(Path().iterdir())
    for words in (["ls"], ["usage"], ["gc"], ["show", "plan"], ["delete", "plan"]):
        assert cli(*words, "--store", "misspelled.db").code == 1
    assert sorted(Path().iterdir()) == before
    assert cli("new", "plan", "--store", "made.db").code == 0


def test_where_nothing_can_be_taken_import_fails(cli: Run, here: str) -> None:
    Path("broken.json").write_text("{")
    Path("good").mkdir()
    assert cli("import", "broken.json").code == 1
    Path("in.json").rename("good/in.json")
    Path("broken.json").rename("good/broken.json")
    done = cli("import", "good")
    assert (done.code, "1 file of no known format passed by" in done.out) == (0, True)
    assert cli("import", "good").code == 0, "it was there already"


def test_damage_is_an_exit_code(cli: Run, here: str) -> None:
    tamper(here, "UPDATE turns SET body = replace(body, 'owls', 'OWLS')")
    done = cli("verify")
    assert (done.code, "its content does not match its hash" in done.out) == (1, True)
    found = cli("verify", "--json")
    assert (found.code, json.loads(found.out)["ok"]) == (1, False)
    assert cli("migrate", here, "there.db").code == 1


def test_a_run_is_shown_again(cli: Run, here: str) -> None:
    run_id = cli("runs", "plan").out.split("\t")[0]
    done = cli("replay", run_id[-8:], "--speed", "0")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[0] == "Where do owls live?"
    assert "completed, replayed: no tokens spent" in done.out


def test_what_is_told_can_be_done_here(cli: Run, here: str) -> None:
    status = cli("status", "--session", "essay").out
    assert "`/retry` in `nbsessions chat` asks again" in status
    taken = cli("new", "plan", "--agent", "analyst")
    assert taken.err == "nbsessions: A session 'plan' exists already. Choose another name.\n"


def test_a_draft_is_saved(cli: Run, here: str) -> None:
    with nbs.open_store(here) as store:
        session = store.resume("plan", autosave=False)
        session.add_message({"role": "user", "content": "in the draft"})
    assert cli("ls").out.splitlines()[0].split("\t")[9] == "draft"
    assert cli("show", "plan", "--draft").out.startswith("plan · 4 messages")
    assert cli("show", "plan").out.startswith("plan · 3 messages")
    assert cli("save", "--session", "plan").out == "Saved 'plan': 3 turns, 4 messages.\n"
    with nbs.open_store(here) as store:
        assert store.resume("plan").messages[-1].text == "in the draft"


def test_compact_needs_an_agent_that_is_there(cli: Run, here: str) -> None:
    done = cli("compact", "--session", "plan", "--model", "nosuch")
    assert done.code == 1
    assert "nosuch" in done.err
