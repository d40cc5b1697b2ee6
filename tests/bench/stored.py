"""
What a turn costs the disk: flushes, and bytes.

``python -m tests.bench.stored PEER PLACE TURNS`` is what `strace` looks at.
"""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg

from tests.bench.turns import chat
from tests.installing import installed
from tests.peers import PEERS

SERVER = "postgresql"
MOST_OF_SLOW = 20
"""Turns of who has to wait after each."""
CALLS = "fsync,fdatasync,sync,syncfs,sync_file_range,msync"


def flushes_a_turn(peer: str, place: str, turns: int) -> float:
    """Append turns to one session; what it takes to open it, its first turn, and closing it are left out."""
    turns = min(turns, MOST_OF_SLOW) if PEERS[peer].kind().TICK else turns
    count = _flushes_of_server if peer == SERVER else _flushes_of_process
    return (count(peer, place, turns) - count(peer, place, 0)) / turns


def _flushes_of_process(peer: str, place: str, turns: int) -> int:
    store, trace = Path(place, f"store {turns}"), Path(place, f"{turns}.trace")
    store.mkdir()
    strace = [
        installed("strace", "strace"),
        "-f",
        "--seccomp-bpf",
        "-qq",
        "-e",
        f"trace={CALLS}",
        "-e",
        "signal=none",
    ]
    command = [sys.executable, "-m", "tests.bench.stored", peer, str(store), str(turns)]
    done = subprocess.run([*strace, "-o", str(trace), *command], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.strip())
    # A call that another thread interrupted is told of twice: when it begins, and when it is resumed.
    return sum("resumed>" not in line for line in trace.read_text().splitlines())


def _flushes_of_server(peer: str, place: str, turns: int) -> int:
    """Let the server count its own: whoever else uses it is counted, too."""
    counted = "SELECT sum(fsyncs) FROM pg_stat_io"
    before = _asked(place, counted)
    append(peer, place, turns)
    # What a connection did is counted when it ends, and that is a moment after it was closed.
    while _asked(place, "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'") > 1:
        time.sleep(0.05)
    return int(_asked(place, counted) - before)


def append(peer: str, place: str, turns: int) -> None:
    """Append one turn, and then some more, as an agent does: not several while its clock stands still."""
    with closing(PEERS[peer].open(place)) as opened:
        for number in range(turns + 1):
            opened.append("session", chat(number))
            time.sleep(opened.TICK)


def size(peer: str, place: str) -> int:
    """Return how many bytes the files of a store have, or the tables of a schema."""
    if peer == SERVER:
        sql = (
            "SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relkind = 'r' AND relnamespace = {}"
        )
        return int(_asked(place, sql.format("current_schema()::regnamespace")))
    return sum(path.stat().st_size for path in Path(place).rglob("*") if path.is_file())


def _asked(place: str, sql: str) -> Any:
    url, _, schema = place.partition("&schema=")
    with psycopg.connect(url, autocommit=True) as db:
        if schema:
            db.execute(f'SET search_path TO "{schema}"'.encode())
        row = db.execute(sql.encode()).fetchone()
        assert row is not None
        return row[0]


def main() -> None:
    """Append turns, each durable."""
    peer, place, turns = sys.argv[1:]
    append(peer, place, int(turns))


if __name__ == "__main__":
    main()
