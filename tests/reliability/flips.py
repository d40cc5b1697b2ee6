"""Bytes that flip: in a database that was closed, and in the log of one whose process was killed."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from tests.reliability.flipping import CLASSES, MESSAGES, WRONG, Flip, Flipper, LogFlipper, flip_all
from tests.reliability.places import Place, folder
from tests.reliability.table import Figure

FLIPS, QUICK_FLIPS = 10_000, 200
LOG_FLIPS, QUICK_LOG_FLIPS = 1_000, 20
MOST_EXAMPLES, QUICK_EXAMPLES = 60, 5


def figures(place: Place, quick: bool) -> Iterator[Figure]:
    """Yield how many flips were found out, and what those fell on that were not."""
    examples = QUICK_EXAMPLES if quick else MOST_EXAMPLES
    with folder() as path:
        count = QUICK_FLIPS if quick else FLIPS
        yield from _table(flip_all(Flipper(path), count, "flips"), f", {count:,} flips", examples)
    with folder() as path:
        count = QUICK_LOG_FLIPS if quick else LOG_FLIPS
        yield from _table(
            flip_all(LogFlipper(path), count, "flips of the log"), f", {count:,} in the log", examples
        )


class _Group(NamedTuple):
    where: str
    what: str


def _table(flips: list[Flip], way: str, examples: int) -> Iterator[Figure]:
    seen = Counter(flip.kind for flip in flips)
    for kind, limit in CLASSES.items():
        yield Figure(f"{kind}{way}", seen[kind], limit, _first(flips, kind))
    named = [flip for flip in flips if flip.turn]
    yield Figure(
        f"other sessions refused beside a named turn{way}",
        sum(f.others for f in named),
        0,
        f"{len(named):,} turns named",
    )
    yield Figure(f"sessions that cannot go back before it{way}", sum(f.before for f in named))
    whole = sum(flip.whole for flip in flips)
    yield Figure(f"nothing of the store can be read{way}", whole, None)
    for kind in CLASSES:
        if CLASSES[kind] is not None or kind in (MESSAGES, WRONG):
            yield from _examples(kind, [flip for flip in flips if flip.kind == kind], examples)


def _first(flips: list[Flip], kind: str) -> str:
    return next((flip.error for flip in flips if flip.kind == kind and flip.error), "")


def _examples(kind: str, flips: list[Flip], most: int) -> Iterator[Figure]:
    """Say where the bytes were, and what came of it."""
    groups: defaultdict[_Group, list[Flip]] = defaultdict(list)
    for flip in flips:
        # Numbers and ids aside, which are others each time.
        error = re.sub(r"[0-9a-f]{8}-[-0-9a-f]+|\d+", "N", flip.error)
        groups[_Group(", ".join(flip.where), ", ".join(flip.fields) or error)].append(flip)
    for group, found in sorted(groups.items(), key=lambda one: -len(one[1]))[:most]:
        yield Figure(f"  {kind}: {group.where}", len(found), None, f"{group.what} (flip {found[0].number})")
