"""Sessions that come from JSON lines, and go into them; the memory that 100 MB take."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import nbsessions as nbs
from nbsessions.formats import find
from nbsessions.formats.building import Building
from nbsessions.stores.base import Bundle
from nbsessions.values import now
from tests.bench.timing import Figure, Pair, folder

_TEXT = "All work and no play makes Jack a dull boy. " * 25
_IMPORT = """
import sys, nbsessions as nbs
with nbs.open_store(sys.argv[1]) as store:
    store.import_(sys.argv[2])
with open("/proc/self/status") as status:
    print(next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM")))
"""


def figures(quick: bool) -> Iterator[Figure]:
    """Yield the figures: the floor parses each line and stores it; or reads each and writes it."""
    os.environ.setdefault("TQDM_DISABLE", "1")  # no bar among the figures
    megabytes, repeats = (2, 2) if quick else (20, 7)
    coming, going = Pair(), Pair()
    with folder() as place:
        lines = _written(place / "lines.jsonl", megabytes)
        for number in range(repeats):
            ours, floor = place / f"ours{number}.db", place / f"floor{number}.db"
            coming.take(lambda: _import(ours, lines), lambda: _store_lines(floor, lines))  # noqa: B023
            out = place / f"out{number}"
            going.take(lambda: _export(ours, out), lambda: _write_lines(floor, out))  # noqa: B023
            for path in place.glob("o*"):
                path.unlink()
            for path in place.glob("f*"):
                path.unlink()
        yield coming.figure(
            f"import {megabytes} MB of JSON lines", None, "hashes checked; json.loads, INSERT"
        )
        yield going.figure("  and export them", None, "hashes checked; SELECT, json.dumps, fsync")
        size = megabytes if quick else 100
        lines = _written(place / "lines.jsonl", size)
        peak = float(_run(_IMPORT, place / "peak.db", lines))
        yield Figure(f"peak memory, {size} MB", f"{peak:.0f} MB", "", peak, 300, "MB", "the whole process")


def _written(path: Path, megabytes: int) -> Path:
    write = find("jsonl").write
    assert write is not None
    with open(path, "wb") as file:
        write((_session(number) for number in range(megabytes * 4)), file)
    return path


def _session(number: int) -> Bundle:
    """Return a session of about 250 KB."""
    building = Building("bench", f"chat-{number}", agent_name="helper", created_at=now())
    for turn in range(90):
        building.add({"role": "user", "content": f"{turn} {_TEXT}"})
        building.add({"role": "assistant", "content": f"{number} {_TEXT}"})
    return building.bundle()


def _import(path: Path, lines: Path) -> None:
    with nbs.open_store(path) as store:
        store.import_(lines)


def _export(path: Path, out: Path) -> None:
    with nbs.open_store(path) as store:
        store.export(store.list(None), out.with_suffix(".jsonl"))


def _store_lines(path: Path, lines: Path) -> None:
    with closing(sqlite3.connect(path)) as db, open(lines, "rb") as file:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("CREATE TABLE lines(id INTEGER PRIMARY KEY, body TEXT)")
        db.executemany("INSERT INTO lines(body) VALUES (?)", ((_compact(json.loads(line)),) for line in file))
        db.commit()


def _write_lines(path: Path, out: Path) -> None:
    with closing(sqlite3.connect(path)) as db, open(out.with_suffix(".floor"), "w") as file:
        for (body,) in db.execute("SELECT body FROM lines ORDER BY id"):
            file.write(_compact(json.loads(body)) + "\n")


def _compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _run(code: str, *arguments: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, check=True
    )
    return done.stdout
