"""Files, folders and patterns that are imported, and what is said of each."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

import nbsessions as nbs
from nbsessions import FormatError, InvalidInput, SessionExists, Store, Usage
from nbsessions.formats import find
from nbsessions.formats.building import Building
from nbsessions.stores.base import Bundle
from nbsessions.values import now
from tests.conftest import STUCK_SECONDS
from tests.lived import lived


@pytest.fixture
def store() -> Iterator[Store]:
    with nbs.open_store("memory:") as store:
        yield store


@pytest.fixture
def other() -> Iterator[Store]:
    with nbs.open_store("memory:") as store:
        yield store


def test_a_folder_is_imported_with_all_below_it(store: Store, other: Store, tmp_path: Path) -> None:
    lived(store)
    (tmp_path / "logs" / ".deep").mkdir(parents=True)
    store.export("plan", tmp_path / "logs" / "plan.json")
    store.create("other")
    store.export("other", tmp_path / "logs" / ".deep" / "other.jsonl")
    (tmp_path / "logs" / "package.json").write_text("{}")
    (tmp_path / "logs" / "notes.txt").write_text("nothing")
    broken = tmp_path / "logs" / "broken.json"
    broken.write_text((tmp_path / "logs" / "plan.json").read_text()[:-100])
    report = other.import_(tmp_path / "logs")
    assert sorted(record.name or "" for record in report) == ["other", "plan"]
    assert report.skipped == [tmp_path / "logs" / "package.json"]
    assert [str(broken) in line for line in report.refused] == [True]
    told = str(report).splitlines()
    assert told[0] == "2 sessions came; 1 refused; 1 file of no known format passed by."
    assert told[1] == f"{broken} (json): nothing came"
    again = other.import_(str(tmp_path / "logs"))
    assert (len(again), again.present) == (0, 2)


def test_a_pattern_names_several(store: Store, other: Store, tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        store.create(name)
        store.export(name, tmp_path / f"{name}.json")
    assert len(other.import_(tmp_path / "[ab].json")) == 2
    assert len(other.import_(f"{tmp_path}/*.json")) == 1
    with pytest.raises(InvalidInput, match="there is no such file"):
        other.import_(tmp_path / "d.json")
    with pytest.raises(InvalidInput, match="no file matches"):
        other.import_(f"{tmp_path}/*.nothing")
    with pytest.raises(InvalidInput, match="Name a file"):
        other.import_("")


def test_a_pipe_keeps_nobody_waiting(store: Store, other: Store, tmp_path: Path) -> None:
    store.create("plan")
    path = store.export("plan", tmp_path / "plan.json")
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "link.json").symlink_to(path)
    (tmp_path / "again").symlink_to(tmp_path)
    report = other.import_(f"{tmp_path}/*")
    assert [file.path for file in report.files] == [path]


def test_a_name_that_is_taken_may_be_numbered(store: Store, other: Store, tmp_path: Path) -> None:
    store.create("plan")
    other.create("plan")
    for suffix in ("json", "jsonl", "ipynb", "db"):
        path = store.export("plan", tmp_path / f"plan.{suffix}")
        with nbs.open_store("memory:") as third:
            third.create("plan")
            with pytest.raises(SessionExists, match="rename"):
                third.import_(path)
            (record,) = third.import_(path, rename=True)
            assert record.name == "plan (2)"
            assert third.import_(path).present == 1
            assert str(third.import_(path)).count("\n") == 1


def test_the_report_names_what_came_and_what_was_passed_by(
    store: Store, other: Store, tmp_path: Path
) -> None:
    store.create("plan")
    store.create(session_id="peer", conversation_id="c1")
    records = store.list(None, conversation_id="*")
    store.export(records, tmp_path / "both.jsonl")
    (tmp_path / "package.json").write_text("{}")
    told = str(other.import_(tmp_path))
    assert "2 sessions came: " in told
    assert "'plan'" in told
    assert "'peer' in conversation c1" in told
    assert told.endswith("passed by: package.json")


def test_links_in_a_folder_are_not_followed(store: Store, other: Store, tmp_path: Path) -> None:
    store.create("secret")
    (tmp_path / "outside").mkdir()
    path = store.export("secret", tmp_path / "outside" / "secret.json")
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "link.json").symlink_to(path)
    (tmp_path / "logs" / "folder").symlink_to(path.parent)
    assert len(other.import_(tmp_path / "logs")) == 0
    assert len(other.import_(tmp_path / "logs" / "link.json")) == 1  # who names one means it


def test_of_a_single_file_the_mistake_is_an_error(store: Store, other: Store, tmp_path: Path) -> None:
    store.create("plan")
    path = store.export("plan", tmp_path / "plan.json")
    other.create("plan")
    with pytest.raises(SessionExists):
        other.import_(path)
    (tmp_path / "nothing.json").write_text("{}")
    with pytest.raises(FormatError, match="of no format that is known"):
        other.import_(tmp_path / "nothing.json")
    with pytest.raises(InvalidInput, match="There is no format 'nonsense'"):
        other.import_(path, format="nonsense")
    assert len(other.list()) == 1


def test_a_file_that_cannot_be_read_is_named(other: Store, tmp_path: Path) -> None:
    path = tmp_path / "closed.json"
    path.write_text("{}")
    path.chmod(0)
    if os.access(path, os.R_OK):  # who may read all asks a folder instead
        path.unlink()
        os.mkfifo(path)
        with pytest.raises(InvalidInput, match="no such file"):
            other.import_(path)
        return
    with pytest.raises(FormatError, match="it cannot be read"):
        other.import_(path)


SLOW = """
    import sys, time, nbsessions as nbs
    from nbsessions.transfers import sources
    take_in = sources.take_in
    def slow(*args):
        taken = take_in(*args)
        print("one", flush=True)
        time.sleep(0.05)
        return taken
    sources.take_in = slow
    with nbs.open_store(sys.argv[1]) as store:
        store.import_(sys.argv[2])
"""


def test_ctrl_c_leaves_whole_sessions_and_importing_again_goes_on(store: Store, tmp_path: Path) -> None:
    names = [f"plan {number}" for number in range(40)]
    for name in names:
        lived(store, name)
    path = store.export(names, tmp_path / "all.jsonl")
    code = [sys.executable, "-c", textwrap.dedent(SLOW), str(tmp_path / "agents.db"), str(path)]
    process = subprocess.Popen(code, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for _ in range(5):
        process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=STUCK_SECONDS)
    assert "KeyboardInterrupt" in told
    with nbs.open_store(tmp_path / "agents.db") as found:
        came = found.list(None)
        assert 5 <= len(came) < 40
        assert found.verify().ok
        for record in came:
            assert len(found.resume(record.session_id).messages) == record.message_count
        report = found.import_(path)
        assert (report.present, len(report)) == (len(came), 40 - len(came))
        assert found.verify().ok


BIG = """
    import sys, nbsessions as nbs
    with nbs.open_store(sys.argv[1]) as store:
        report = store.import_(sys.argv[2])
    # Not what getrusage says: that begins with the size of the process that started this one.
    with open("/proc/self/status") as status:
        peak = next(line for line in status if line.startswith("VmHWM"))
    print(len(report), int(peak.split()[1]) // 1024)
"""


def _session(number: int, turns: int) -> Bundle:
    building = Building("example", f"chat-{number}", agent_name="helper", created_at=now())
    text = "All work and no play makes Jack a dull boy. " * 100
    for turn in range(turns):
        building.add({"role": "user", "content": f"{turn} {text}"})
        building.add({"role": "assistant", "content": f"{number} {text}"})
        building.spend(Usage(input_tokens=1000, output_tokens=1000, requests=1), model="gpt-4o")
    return building.bundle()


@pytest.mark.parametrize("sessions", [400, 1])
def test_a_hundred_megabytes_take_less_than_three_hundred(tmp_path: Path, sessions: int) -> None:
    path = tmp_path / "big.jsonl"
    write = find("jsonl").write
    assert write is not None
    with open(path, "wb") as file:
        write((_session(number, 10_000 // sessions) for number in range(sessions)), file)
    assert path.stat().st_size > 100_000_000
    code = [sys.executable, "-c", textwrap.dedent(BIG), str(tmp_path / "agents.db"), str(path)]
    done = subprocess.run(code, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    count, megabytes = map(int, done.stdout.split())
    assert count == sessions
    assert megabytes < 300
    assert "import:" in done.stderr
    assert "B/s" in done.stderr


def test_what_is_read_is_left_as_it_is(store: Store, other: Store, tmp_path: Path) -> None:
    lived(store)
    (tmp_path / "logs").mkdir()
    store.export("plan", tmp_path / "logs" / "plan.json")
    shutil.copytree(tmp_path / "logs", tmp_path / "copy")
    other.import_(tmp_path / "logs")
    for path in (tmp_path / "logs").iterdir():
        assert path.read_bytes() == (tmp_path / "copy" / path.name).read_bytes()
    assert {p.name for p in (tmp_path / "logs").iterdir()} == {"plan.json"}


def test_one_broken_session_of_a_file_keeps_nobody_from_the_others(
    store: Store, other: Store, tmp_path: Path
) -> None:
    for name in ("a", "b", "c"):
        store.create(name).add_message({"role": "user", "content": f"I am {name}"})
    path = store.export(["a", "b", "c"], tmp_path / "all.json")
    path.write_text(path.read_text().replace("I am b", "I am B"))
    report = other.import_(path)
    assert [record.name for record in report] == ["a", "c"]
    assert len(report.refused) == 1
    assert "edited, or damaged" in report.refused[0]
