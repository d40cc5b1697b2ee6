"""
Put ours and its peers to the same tests: `python -m tests.reliability peers [--quick] [--keep]`.

Each figure counts what must not happen. What is over for one of ours ends it with an error; a peer's is told.
"""

from __future__ import annotations

import argparse
import json
import subprocess
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path

from tests.bench import page
from tests.bench.results import FILE, machine
from tests.peers import OURS, PEERS, environment
from tests.peers.environment import run
from tests.postgres import Server
from tests.reliability.beside.harness import ROWS
from tests.reliability.beside.page import Result

KEY = page.RELIABILITY
SERVER = "postgresql"
NAMES = [name for name in PEERS if name != "memory"]
"""All but what is nowhere but in memory."""
ON_A_SERVER = ("kills", "writers", "restart", "clock")
"""A server's disk and its files are its own."""
LONGEST_SECONDS = 900.0
AT_ONCE = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Try the peers, two at once, and return 1 where one of ours is over its limit."""
    parser = argparse.ArgumentParser(prog="python -m tests.reliability peers", description=__doc__)
    parser.add_argument(
        "--peer", nargs="+", action="extend", choices=NAMES, metavar="NAME", help=", ".join(NAMES)
    )
    parser.add_argument(
        "--row", nargs="+", action="extend", choices=ROWS, metavar="NAME", help=", ".join(ROWS)
    )
    parser.add_argument("--quick", action="store_true", help="few repetitions: does it hold at all?")
    parser.add_argument(
        "--keep", action="store_true", help="store the figures for the page of the benchmarks"
    )
    asked = parser.parse_args(arguments)
    rows = [row for row in ROWS if row in (asked.row or ROWS)]
    names = [name for name in NAMES if name in (asked.peer or NAMES)]
    over = 0
    environment.python()  # made once, before several want it
    with ExitStack() as stack:
        server = stack.enter_context(closing(Server())).url() if SERVER in names else ""
        # Most of the time, they wait: for a moment to kill, or for a lock.
        several = stack.enter_context(ThreadPoolExecutor(AT_ONCE))

        def results_of(name: str) -> dict[str, Result]:
            return dict(try_peer(name, rows, asked.quick, server if name == SERVER else ""))

        for name, results in zip(names, several.map(results_of, names), strict=True):
            for row, result in results.items():
                over += sum(_told(name, row, result))
            if asked.keep:
                keep(FILE, name, results, asked.quick)
                page.write()
    return min(over, 1)


def try_peer(name: str, rows: Sequence[str], quick: bool, server: str = "") -> Iterator[tuple[str, Result]]:
    """Yield what came of each row. Where nothing comes of it, that is told for all rows."""
    rows = [row for row in rows if not server or row in ON_A_SERVER]
    options = ["--quick"] * quick + ["--server", server] * bool(server)
    try:
        said = run("tests.reliability.beside.harness", name, *rows, *options, timeout=LONGEST_SECONDS)
    except (RuntimeError, subprocess.TimeoutExpired) as error:
        yield from ((row, {"failed": str(error)}) for row in rows)
        return
    for line in said.splitlines():
        result = json.loads(line)
        yield result.pop("row"), result


def _told(name: str, row: str, result: Result) -> Iterator[bool]:
    """Print the lines of a row; yield for each whether it is one of ours and over."""
    ours = name in OURS
    if "failed" in result:
        _print(name, row, "it failed", "", "FAILED", result["failed"])
        yield ours
    for count in result.get("counts", ()):
        is_over = ours and count["limit"] is not None and (count["got"] or 0) > count["limit"]
        got = "-" if count["got"] is None else f"{count['got']:,} of {count['of']:,}"
        _print(name, row, count["what"], got, "OVER" if is_over else "", count["note"])
        yield is_over


def _print(*cells: str) -> None:
    widths = (16, 8, 50, 14, 6, 0)
    told = (" ".join(cell.split())[:160] for cell in cells)
    print(" ".join(cell.ljust(width) for cell, width in zip(told, widths, strict=True)).rstrip(), flush=True)


def keep(path: Path, name: str, results: dict[str, Result], quick: bool) -> None:
    """Store what came of a peer beside what is stored of others."""
    stored = json.loads(path.read_text()) if path.exists() else {}
    kept = stored.setdefault(KEY, {})
    taken = {"at": f"{datetime.now(UTC):%Y-%m-%d}", "on": machine(), "quick": quick}
    for row, result in results.items():
        kept.setdefault(name, {})[row] = {**result, **taken}
    path.write_text(f"{json.dumps(stored, indent=1)}\n")
