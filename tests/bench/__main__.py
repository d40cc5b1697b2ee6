"""
Measure the store against raw `sqlite3`, and print one table: `python -m tests.bench [--quick] [SUBJECT...]`.

Nothing here is a test: a slow machine fails nobody.
"""

from __future__ import annotations

import argparse
import gc

from tests.bench import (
    append,
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
    secrets,
    startup,
    transfers,
    usage,
)
from tests.bench.timing import RAM_DISK, Figure

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
)
NAMES = {subject.__name__.rpartition(".")[2]: subject for subject in SUBJECTS}


def main() -> None:
    """Run all subjects, and print their figures as they come."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few repetitions: does it run at all?")
    parser.add_argument("subjects", nargs="*", help=f"only these: {', '.join(NAMES)}")
    asked = parser.parse_args()
    subjects = [NAMES[name] for name in asked.subjects] or SUBJECTS
    print(f"Times on {RAM_DISK if RAM_DISK.is_dir() else 'an ordinary disk: no RAM disk here'}.\n")
    _print("", "ours", "floor", "got", "limit", "", "")
    # As timeit does: what one side leaves to be collected would be counted against the other.
    gc.disable()
    for subject in subjects:
        for figure in subject.figures(asked.quick):
            _print_figure(figure)
        gc.collect()


def _print_figure(figure: Figure) -> None:
    got, limit, verdict = f"{figure.got:.2f} {figure.unit}", "", ""
    if figure.limit is not None:
        limit = f"{figure.limit:g} {figure.unit}"
        verdict = "ok" if figure.got <= figure.limit else "OVER"
    _print(figure.what, figure.ours, figure.floor, got, limit, verdict, figure.note)


def _print(*cells: str) -> None:
    widths = (40, 9, 9, 9, 7, 5, 0)
    print(" ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip(), flush=True)


if __name__ == "__main__":
    main()
