"""What a bug report is told, also where the store is in no state to be asked."""

from __future__ import annotations

import json
import os
import sqlite3
from pathlib import Path

import pytest

import nbsessions as nbs
from nbsessions import doctoring
from nbsessions.doctoring import at_home, examine
from tests.cli.conftest import Run, tamper
from tests.disks import SmallDisk


def test_it_tells_what_is_there(cli: Run, lived: str) -> None:
    done = cli("doctor")
    assert (done.code, done.err) == (0, "")
    told = dict(line.split("\t") for line in done.out.splitlines() if not line.startswith("\t"))
    assert told["title"] == f"nbsessions {nbs.__version__}"
    assert told["python"].endswith(f"SQLite {sqlite3.sqlite_version}")
    assert "pydantic 2." in told["packages"]
    assert (told["kind"], told["sessions"], told["runs"]) == ("SQLite", "2", "2")
    assert told["health"] == "nothing is in the way"
    assert "NBSESSIONS_STORE" in told["environment"]
    found = json.loads(cli("doctor", "--json", "--verify").out)
    assert found["problems"] == []
    assert found["store"]["verified"] == "2 turns, 2 sessions, 2 runs"
    assert found["store"]["size"] > 10_000
    assert found["extras"].keys() >= {"agents", "local", "postgres", "server"}


def test_it_tells_no_secret_and_no_name(
    cli: Run, lived: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NBSESSIONS_PRICES", "sk-12345")
    for words in (["doctor"], ["doctor", "--json"]):
        said = cli(*words).out
        assert not [secret for secret in ("sk-12345", "essay", "owls", str(tmp_path)) if secret in said]
        assert "~/agents.db" in said
        failed = cli(*words, "--store", "postgresql://ada:pw-678@127.0.0.1:1/agents")
        assert failed.code == 1
        assert "ada:***@127.0.0.1:1/agents" in failed.out
        assert "pw-678" not in failed.out


def problems(url: object) -> list[str]:
    found = examine(str(url))
    assert found.facts is not None
    told: list[str] = found.facts["problems"]
    assert found.ok == (not told)
    return told


def test_a_store_that_is_not_there_is_not_made(
    cli: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli("doctor", "--store", str(tmp_path / "agents.db")).code == 1
    assert "There is no store" in problems(tmp_path / "agents.db")[0]
    assert cli("doctor").code == 1, "the environment names one"
    monkeypatch.delenv("NBSESSIONS_STORE")
    done = cli("doctor")
    assert (done.code, "note\tThere is no store" in done.out) == (0, True)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_what_is_no_store_of_ours(path: Path) -> None:
    path.write_bytes(b"no database at all" * 100)
    assert len(problems(path)) == 1
    path.unlink()
    tamper(path, "CREATE TABLE other (id)")
    assert "another program's database" in problems(path)[0]
    assert "No store answers to 'nosuch:'" in problems("nosuch:x")[0]


def test_a_store_that_is_too_new_is_left_as_it_is(lived: str, cli: Run) -> None:
    tamper(lived, "PRAGMA user_version = 99")
    before = Path(lived).read_bytes()
    done = cli("doctor")
    assert done.code == 1
    assert "99" in done.out.partition("problem\t")[2]
    assert Path(lived).read_bytes() == before


def test_a_store_that_is_damaged(lived: str, cli: Run) -> None:
    tamper(lived, "UPDATE turns SET body = replace(body, 'owls', 'OWLS')")
    assert cli("doctor").code == 0, "only a full look finds that"
    done = cli("doctor", "--verify")
    assert (done.code, "its content does not match its hash" in done.out) == (1, True)


def test_a_store_that_is_read_only(small_disk: SmallDisk) -> None:
    path = small_disk.folder / "agents.db"
    nbs.open_store(path).close()
    small_disk.protect()
    if os.access(path, os.W_OK):
        pytest.skip("nothing is read-only here")
    assert "is read-only: nothing can be saved" in problems(path)[0]


def test_a_network_file_system_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbs.open_store(path).close()
    monkeypatch.setattr(doctoring, "_file_system", lambda path: "nfs4")
    told = str(examine(str(path)))
    assert "network file system (nfs4)" in told


def test_the_home_folder_is_a_tilde(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    assert at_home("sqlite:////home/ada/x.db and /home/adam") == "sqlite:///~/x.db and /home/adam"


def test_what_stays_out_is_told_with_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    there = doctoring._version

    def version(name: str) -> str | None:
        return None if name in ("psycopg", "jupyter_server") else there(name)

    monkeypatch.setattr(doctoring, "_version", version)
    told = str(examine("memory:"))
    assert 'without postgres: pip install "nbsessions[postgres]"' in told
    assert "not installed" in told
