"""
A notebook that is never restarted: 10,000 turns, with all that is done in between, and what grows.

`python -m tests.bench.soak [TURNS]` says which lines of ours have allocated what is still there, which is
slow: a twentieth of the turns will do.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import NamedTuple

from tests.bench.living import STEP, Sample, Taken
from tests.bench.timing import Figure, duration, folder
from tests.kernels import Kernel, kernel

TURNS = 10_000
WARM = 500
"""After so many turns all is imported, and caches are full: what comes then must not grow."""
_ROOT = Path(__file__).parents[2]
_LIMIT = 1.2
_LOG_LIMIT = 16
"""MB: twice what SQLite lets its log grow to before it is folded into the file."""
_BEGIN = """
from pathlib import Path
from tests.bench.living import Life
life = Life(Path({store!r}))
"""
_ROUND = """
life.live()
"""
_SAMPLE = """
import json
print(json.dumps([life.sample(), life.taken]))
life.taken.clear()
"""
_TRACE = """
import tracemalloc
tracemalloc.start(12)
"""
_GROWN = """
import gc
gc.collect()
grown = tracemalloc.take_snapshot().compare_to(before, {how!r})
for one in grown[:25]:
    print(f"{{one.size_diff / 1024:9.1f}} KB {{one.count_diff:+7}}", *one.traceback.format(), sep="\\n    ")
"""


class Lived(NamedTuple):
    """How it was after the warm-up, at the end, and in between."""

    samples: list[Sample]
    first: list[Taken]
    """What each of the turns after the warm-up took, as many as the last ones."""
    last: list[Taken]


def figures(quick: bool) -> Iterator[Figure]:
    """Yield figures of the process at the end, beside what it was after the warm-up."""
    turns, warm = (400, 200) if quick else (TURNS, WARM)
    with folder() as path:
        lived = soak(path, turns, warm)
    start, end = lived.samples[0], lived.samples[-1]
    note = f"after {end.turns:,} turns in one kernel, beside {start.turns:,}"
    yield _beside("memory", _mb(end.memory), _mb(start.memory), end.memory / start.memory, note)
    note = f"medians of {len(lived.last):,} turns: the last, and those after the first {warm:,}"
    for kind in Taken._fields:
        first, last = (median(getattr(one, kind) for one in some) for some in (lived.first, lived.last))
        yield _beside(f"time a turn, {kind}", duration(last), duration(first), last / first, note)
    for what in ("descriptors", "threads"):
        had, has = getattr(start, what), getattr(end, what)
        yield _beside(what, str(has), str(had), has / had, f"{has - had:+d}")
    log = max(one.log for one in lived.samples) / 2**20
    yield Figure("soak: size of the log", f"{log:.1f} MB", "", log, _LOG_LIMIT, "MB", "at its largest")


def _beside(what: str, ours: str, floor: str, got: float, note: str) -> Figure:
    return Figure(f"soak: {what}", ours, floor, got, _LIMIT, "x", note)


def _mb(size: int) -> str:
    return f"{size / 2**20:.0f} MB"


def soak(path: Path, turns: int, warm: int) -> Lived:
    """Go through so many turns in a kernel, and look at it after the warm-up and each time as many since."""
    samples: list[Sample] = []
    taken: list[list[Taken]] = []
    with _begun(path) as lived:
        for done in range(STEP, turns + 1, STEP):
            _run(lived, _ROUND)
            if done % warm == 0 or done == turns:
                sample, times = json.loads(_run(lived, _SAMPLE).splitlines()[-1])
                samples.append(Sample(*sample))
                taken.append([Taken(*one) for one in times])
    since = [one for times in taken[1:] for one in times]
    count = min(warm, len(since) // 2)
    return Lived(samples, since[:count], since[-count:])


@contextmanager
def _begun(path: Path) -> Iterator[Kernel]:
    with kernel(path, PYTHONPATH=str(_ROOT)) as started:
        _run(started, _BEGIN.format(store=str(path / "sessions.db")))
        yield started


def _run(started: Kernel, code: str) -> str:
    shown = started.run(code)
    assert shown.error is None, shown.error
    return shown.stdout


def main() -> None:
    """Print what grows."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.soak", description=__doc__)
    parser.add_argument("turns", nargs="?", type=int, default=TURNS // 20)
    parser.add_argument("--where", default="lineno", choices=["lineno", "traceback"])
    asked = parser.parse_args()
    with folder() as path, _begun(path) as lived:
        for done in range(STEP, 2 * asked.turns + 1, STEP):
            _run(lived, _ROUND)
            if done == asked.turns // STEP * STEP:
                _run(lived, _TRACE + _ROUND + "before = tracemalloc.take_snapshot()")
        print(_run(lived, _GROWN.format(how=asked.where)))


if __name__ == "__main__":
    main()
