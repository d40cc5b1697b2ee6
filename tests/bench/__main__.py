"""
Measure ours beside its peers, then against raw `sqlite3`: `python -m tests.bench [--quick] [--keep] [SUBJECT...]`.

Nothing here is a test: a slow machine fails nobody. With `--keep`, the page of the benchmarks is written anew.
"""

from __future__ import annotations

import argparse
import gc
import sys
from collections.abc import Iterable
from types import ModuleType

from tests.bench import (
    append,
    beside,
    branching,
    cleanup,
    cli,
    disk,
    finding,
    frames,
    fsyncs,
    listing,
    load,
    overhead,
    page,
    results,
    secrets,
    soak,
    startup,
    transfers,
    usage,
)
from tests.bench.rows import ROWS, TOPICS
from tests.bench.timing import RAM_DISK, Figure
from tests.peers import PEERS

SUBJECTS = (
    append,
    load,
    listing,
    branching,
    disk,
    fsyncs,
    overhead,
    secrets,
    finding,
    startup,
    transfers,
    frames,
    cleanup,
    cli,
    usage,
    soak,
)
NAMES = {subject.__name__.rpartition(".")[2]: subject for subject in SUBJECTS}
BESIDE = "peers"
"""The table of the peers, which comes first."""


def main() -> None:
    """Run all subjects, and print their figures as they come."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few repetitions: does it run at all?")
    parser.add_argument("--keep", action="store_true", help="keep the figures, and write the page of them")
    parser.add_argument(
        "--peer", nargs="+", action="extend", choices=PEERS, metavar="NAME", help=f"of {', '.join(PEERS)}"
    )
    parser.add_argument(
        "--row", nargs="+", action="extend", choices=ROWS, metavar="NAME", help=f"of {', '.join(ROWS)}"
    )
    names = [BESIDE, *NAMES]
    parser.add_argument("subjects", nargs="*", help=f"only these: {', '.join(names)}")
    asked = parser.parse_args()
    if asked.keep and asked.quick:
        parser.error("--quick measures less than the page says: leave out --keep")
    if unknown := [name for name in asked.subjects if name not in names]:
        parser.error(f"no such subject: {', '.join(unknown)}; there are {', '.join(names)}")
    chosen = asked.subjects or ([BESIDE] if asked.peer or asked.row else names)
    if BESIDE in chosen:
        _run_beside(asked.peer or list(PEERS), asked.row or list(ROWS), asked.quick, asked.keep)
    _run_limits([NAMES[name] for name in chosen if name != BESIDE], asked.quick, asked.keep)


def _run_beside(peers: list[str], rows: list[str], quick: bool, keep: bool) -> None:
    """Measure the peers, keep each row as it comes, and print the table."""
    measured = {}
    for name, cells in beside.measure(peers, rows, quick):
        measured[name] = {"cells": cells}
        if keep:
            results.keep_rows({name: cells})
            page.write()
    for topic in TOPICS:
        if any(ROWS[name].topic == topic for name in measured):
            print(f"{topic}\n\n{page.topic_table(topic, measured, peers)}\n", flush=True)


def _run_limits(subjects: Iterable[ModuleType], quick: bool, keep: bool) -> None:
    """Measure ours beside the floor; a subject that fails is told of, and the others are measured."""
    subjects = list(subjects)
    if not subjects:
        return
    print(f"Times on {RAM_DISK if RAM_DISK.is_dir() else 'an ordinary disk: no RAM disk here'}.\n")
    _print("", "ours", "floor", "got", "limit", "", "")
    # As timeit does: what one side leaves to be collected would be counted against the other.
    gc.disable()
    for subject in subjects:
        name, figures = subject.__name__.rpartition(".")[2], []
        try:
            for figure in subject.figures(quick):
                _print_figure(figure)
                figures.append(figure._asdict())
        except Exception as error:  # noqa: BLE001  the others are measured all the same
            print(f"{name} failed: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
        else:
            if keep:
                results.keep_limits(name, figures)
                page.write()
        gc.collect()


def _print_figure(figure: Figure) -> None:
    got, limit = f"{figure.got:.2f} {figure.unit}", ""
    if figure.limit is not None:
        limit = f"{figure.limit:g} {figure.unit}"
    _print(figure.what, figure.ours, figure.floor, got, limit, page.verdict(figure._asdict()), figure.note)


def _print(*cells: str) -> None:
    widths = (40, 9, 9, 9, 7, 5, 0)
    print(" ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip(), flush=True)


if __name__ == "__main__":
    main()
