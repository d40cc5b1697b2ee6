"""Bytes that flip: in a database that was closed, and in the log of one whose process was killed."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from tests.reliability.flipping import ColumnFlipper, Flipper, LogFlipper, flip_all
from tests.reliability.places import Place, folder
from tests.reliability.table import Figure
from tests.reliability.verdicts import CLASSES, Flip

FLIPS, QUICK_FLIPS = 10_000, 200
LOG_FLIPS, QUICK_LOG_FLIPS = 1_000, 20
TIMES = 5
"""So many values of each column are changed."""
MOST_EXAMPLES, QUICK_EXAMPLES = 60, 5
MOST_NAMES = 6


def figures(place: Place, quick: bool) -> Iterator[Figure]:
    """Yield how many flips were found out, and what those fell on that were not."""
    examples = QUICK_EXAMPLES if quick else MOST_EXAMPLES
    with folder() as path:
        count = QUICK_FLIPS if quick else FLIPS
        yield from _table(flip_all(Flipper(path), count, "flips"), f", {count:,} flips", examples)
    with folder() as path:
        columns = ColumnFlipper(path, 1 if quick else TIMES)
        flips = flip_all(columns, len(columns.places), "columns")
        yield from _table(flips, f", {len(flips):,} column values", examples)
    with folder() as path:
        count = QUICK_LOG_FLIPS if quick else LOG_FLIPS
        yield from _table(
            flip_all(LogFlipper(path), count, "flips of the log"), f", {count:,} in the log", examples
        )


def _table(flips: list[Flip], way: str, examples: int) -> Iterator[Figure]:
    seen = Counter(flip.kind for flip in flips)
    for kind, limit in CLASSES.items():
        yield Figure(f"{kind}{way}", seen[kind], limit, _first(flips, kind))
    named = [flip for flip in flips if flip.turn]
    # Where the page itself is no page any more, SQLite refuses all that is on it: turns of several sessions.
    told = f"{len(named):,} turns named; more than one page's sessions would be too many"
    yield Figure(f"other sessions refused beside a named turn{way}", sum(f.others for f in named), None, told)
    yield Figure(f"sessions that cannot go back before it{way}", sum(f.before for f in named), None)
    whole = sum(flip.whole for flip in flips)
    yield Figure(f"nothing of the store can be read{way}", whole, None)
    for kind in CLASSES:
        if CLASSES[kind] is not None:
            yield from _examples(kind, [flip for flip in flips if flip.kind == kind], examples)


def _first(flips: list[Flip], kind: str) -> str:
    return next((flip.error for flip in flips if flip.kind == kind and flip.error), "")


def _examples(kind: str, flips: list[Flip], most: int) -> Iterator[Figure]:
    """Say where the bytes were, and what came of it."""
    groups: defaultdict[str, list[Flip]] = defaultdict(list)
    for flip in flips:
        groups[_shortly(flip.where)].append(flip)
    for where, found in sorted(groups.items(), key=lambda one: -len(one[1]))[:most]:
        errors = {flip.error.partition(":")[0] for flip in found if flip.error}
        what = sorted({field for flip in found for field in flip.fields}) + sorted(errors)
        yield Figure(f"  {kind}: {where}", len(found), None, f"{_shortly(what)} (flip {found[0].number})")


def _shortly(names: list[str]) -> str:
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + more
