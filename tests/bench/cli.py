"""Whole processes of the command line, in a pipe and in a terminal, beside bare Python and another tool."""

from __future__ import annotations

import os
import pty
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median

import nbsessions as nbs
from tests.bench import listing
from tests.bench.timing import Figure, Pair, duration, folder

_BIN = Path(sys.executable).parent
_OURS, _PEER = str(_BIN / "nbsessions"), str(_BIN / "sqlite-utils")
_SQL = (
    "SELECT session_id, name, agent_name, turn_count, message_count, input_tokens + output_tokens, cost, "
    "updated_at, tags FROM sessions WHERE conversation_id = '' ORDER BY updated_at DESC, id DESC LIMIT 20"
)
_BARE = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
for row in db.execute(sys.argv[2]):
    print(*row, sep="\\t")
"""
# Installed packages are compiled, whatever is set where this runs.
_ENV = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


def figures(quick: bool) -> Iterator[Figure]:
    """Yield the figures: how long each takes as a whole, and beside what."""
    sessions, times = (1_000, 3) if quick else (100_000, 31)
    with folder() as path:
        file = str(path / "ours.db")
        nbs.open_store(file).close()
        db = sqlite3.connect(file, isolation_level=None)
        listing._fill(db, sessions)
        db.close()
        ls = [_OURS, "ls", "--store", file]
        bare = [sys.executable, "-c", _BARE, file, _SQL]
        peer = [_PEER, "query", file, _SQL, "--tsv"]
        assert [line.split(b"\t")[0] for line in _out(ls)] == [line.split(b"\t")[0] for line in _out(bare)]
        yield _figure(
            "nbsessions --help", [_OURS, "--help"], [sys.executable, "-c", "pass"], times, 150, "bare Python"
        )
        yield _beside(
            "  beside another tool", [_OURS, "--help"], [_PEER, "--help"], times, "sqlite-utils --help"
        )
        what = f"nbsessions ls of {sessions:,} sessions"
        yield _figure(what, ls, bare, times, 300, "Python and sqlite3 alone print the same rows")
        yield _beside("  beside another tool", ls, peer, times, "sqlite-utils query, the same rows")
        yield _figure("  in a terminal", ls, ls, times, 300, "the same in a pipe", run=_in_terminal)


def _figure(
    what: str,
    ours: Sequence[str],
    floor: Sequence[str],
    times: int,
    limit: float,
    note: str,
    run: Callable[[Sequence[str]], object] | None = None,
) -> Figure:
    pair = _taken(ours, floor, times, run or _out)
    taken = median(pair.ours)
    return Figure(
        what, duration(taken), duration(median(pair.floor)), taken * 1e3, limit, "ms", f"beside: {note}"
    )


def _beside(what: str, ours: Sequence[str], peer: Sequence[str], times: int, note: str) -> Figure:
    return _taken(ours, peer, times, _out).figure(what, None, note)


def _taken(
    ours: Sequence[str], floor: Sequence[str], times: int, run: Callable[[Sequence[str]], object]
) -> Pair:
    pair = Pair()
    run(ours), _out(floor)  # the first time, modules are compiled
    for _ in range(times):
        pair.take(lambda: run(ours), lambda: _out(floor))
    return pair


def _out(command: Sequence[str]) -> list[bytes]:
    done = subprocess.run(command, env=_ENV, check=True, stdout=subprocess.PIPE)
    return done.stdout.splitlines()


def _in_terminal(command: Sequence[str]) -> bytes:
    """Run it where its output is a terminal, and return what that is sent."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(command, env={**_ENV, "TERM": "xterm"}, stdin=theirs, stdout=theirs)
    os.close(theirs)
    shown = b""
    try:
        while some := os.read(ours, 65_536):
            shown += some
    except OSError:  # the other end is closed
        pass
    os.close(ours)
    assert process.wait() == 0
    assert b"\x1b[" in shown
    return shown
