"""Count the flushes to a real disk: `python -m tests.bench.fsyncs FILE TURNS` is what `strace` looks at."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import nbsessions as nbs
from tests.bench.timing import Figure
from tests.bench.turns import append


def figures(quick: bool) -> Iterator[Figure]:
    """Yield the figure, where there is `strace`."""
    turns = 50 if quick else 500
    if shutil.which("strace") is None:
        print("no strace here: fsyncs are not counted")
        return
    with tempfile.TemporaryDirectory(prefix="nbsessions-bench-", dir="/var/tmp") as name:
        flushed = _flushes(Path(name), turns)
        flushed.subtract(_flushes(Path(name), 0))
    total = sum(flushed.values())
    note = f"{flushed['db']} checkpoints took {total - turns} of {total}; {turns} turns, opening and closing apart"
    yield Figure("fsyncs a turn", str(total), str(turns), total / turns, 1.1, "", note)


def _flushes(path: Path, turns: int) -> Counter[str]:
    """Count the flushes of the database and of its log. A checkpoint flushes the database once."""
    store, trace = path / f"{turns}.db", path / f"{turns}.trace"
    # With -y it says which file: 1234 fdatasync(4</tmp/300.db-wal>) = 0
    strace = ["strace", "-f", "-y", "-e", "trace=fsync,fdatasync", "-o", str(trace)]
    subprocess.run([*strace, sys.executable, "-m", "tests.bench.fsyncs", str(store), str(turns)], check=True)
    return Counter(re.findall(r"sync\(\d+<[^>]*\.(db|db-wal)>", trace.read_text()))


def main() -> None:
    """Append turns, each durable."""
    with nbs.open_store(sys.argv[1]) as store:
        session = store.create()
        for _ in range(int(sys.argv[2])):
            append(session)


if __name__ == "__main__":
    main()
