"""Import and export as a person in a notebook sees them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import nbsessions as nbs
from nbsessions.formats import find
from nbsessions.formats.building import Building
from nbsessions.stores.base import Bundle
from tests.kernels import Kernel, kernel
from tests.lived import assert_same, lived


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Kernel]:
    with kernel(tmp_path) as started:
        assert started.run("%load_ext nbsessions").error is None
        yield started


def test_a_session_goes_out_and_comes_in(lab: Kernel, tmp_path: Path) -> None:
    with nbs.open_store(tmp_path / "sessions.db") as store:
        plan = lived(store)
        assert lab.run("%session load plan").stderr == ""
        shown = lab.run("%session export my plan.json")
        assert "No session 'plan.json'" in shown.stderr or "unrecognized" in shown.stderr
        assert (
            lab.run('%session export "my plan.json"').stdout
            == f"Exported 'plan' to {tmp_path}/my plan.json\n"
        )
        refused = lab.run('%session export "my plan.json"')
        assert refused.stderr.startswith("UsageError: ")
        assert (
            "exists already: choose another file, or overwrite it (--overwrite, overwrite=True)"
            in refused.stderr
        )
        assert lab.run('%session export "my plan.json" --overwrite').stderr == ""
        with nbs.open_store(tmp_path / "other.db") as other:
            assert lab.run("%session store other.db").stderr == ""
            shown = lab.run("%session import my plan.json")
            assert shown.text == f"1 session came.\n{tmp_path}/my plan.json (json): 1 session came: 'plan'"
            assert_same(other.resume("plan"), plan)
            again = lab.run("report = %session import my plan.json\n(len(report), report.present)")
            assert again.text == "(0, 1)"


def test_mistakes_are_one_line(lab: Kernel, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"format": "nbsessions", "version": 1, "sessions": [1]}')
    for line, told in {
        "import nowhere.json": "there is no such file",
        "import a.json": "a.json: ",
        "import a.json --format nonsense": "There is no format 'nonsense'. These are known: json, jsonl,",
        "import": "the following arguments are required: PATH",
        "export a.docx": "There is no current session",
        "export a.docx nowhere": "No session 'nowhere'",
        "export a.json --all b": "Name a session, or say --all; not both.",
    }.items():
        shown = lab.run(f"%session {line}")
        assert shown.stderr.startswith("UsageError: ")
        assert told in shown.stderr
        assert shown.stderr.count("\n") == 1


def test_all_formats_are_listed(lab: Kernel) -> None:
    shown = lab.run("%session formats").stdout
    assert "json (import and export): " in shown
    assert "jsonl (import and export): " in shown


def test_an_import_that_is_stopped_says_what_it_left(lab: Kernel, tmp_path: Path) -> None:
    path = tmp_path / "big.jsonl"
    write = find("jsonl").write
    assert write is not None
    with open(path, "wb") as file:
        write((_session(number) for number in range(900)), file)
    sent = lab.send("%session import big.jsonl")
    with nbs.open_store(tmp_path / "sessions.db") as store:
        deadline = time.monotonic() + 60
        while len(store.list(None)) < 30:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        lab.interrupt()
        shown = lab.wait(sent)
        told = "Stopped. The sessions that came are whole; `%session import` it again for the rest."
        assert told in shown.stderr
        came = len(store.list(None))
        assert 30 <= came < 900
        assert store.verify().ok
        shown = lab.run("%session import big.jsonl")
        assert f"{900 - came:,} sessions came; {came:,} were there already." in shown.text
        assert len(store.list(None)) == 900


def _session(number: int) -> Bundle:
    building = Building("example", f"chat-{number}", agent_name="helper")
    for turn in range(10):
        building.add({"role": "user", "content": f"{turn} " + "All work and no play. " * 50})
        building.add({"role": "assistant", "content": "No."})
    return building.bundle()


def test_the_sessions_of_a_frame_are_exported(lab: Kernel, tmp_path: Path) -> None:
    with nbs.open_store(tmp_path / "sessions.db") as store:
        for name in ("a", "b"):
            store.create(name, tags=[name])
    code = "df = %session history\ndf[df.tags == 'a'].nbs.export('out')"
    assert lab.run(code).error is None
    assert [path.name.split("_")[0] for path in (tmp_path / "out").iterdir()] == ["a"]


def test_several_paths_are_imported_together(lab: Kernel, tmp_path: Path) -> None:
    with nbs.open_store("memory:") as store:
        for name in ("a", "b b", "c"):
            store.create(name)
            store.export(name, tmp_path / f"{name}.json")
    shown = lab.run('%session import a.json nowhere.json "b b.json"')
    assert "2 sessions came; 1 refused." in shown.text
    assert "there is no such file" in shown.text
    assert "'b b'" in shown.text
    assert "1 session came" in lab.run("%session import c.json").text
