"""A disk that fills up while turns are appended, and has room again."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from functools import partial
from itertools import count

from nbsessions.recorder import describe
from tests.disks import SmallDisk
from tests.peers.base import Peer
from tests.reliability.beside.children import KEPT, REFUSED, SESSION, finish, look, said
from tests.reliability.beside.kills import tally, told
from tests.reliability.beside.tried import Count, Tried
from tests.reliability.beside.turning import turn
from tests.reliability.places import folder
from tests.reliability.processes import ERROR, Say

DISKS, QUICK_DISKS = 10, 2
SPARE_BYTES = 300_000
UNREAD, STAYS_FULL = "unread ", "stays full "


def counts(tried: Tried, quick: bool) -> Iterator[Count]:
    """Yield what a full disk took away."""
    disks = QUICK_DISKS if quick else DISKS
    seen: Counter[str] = Counter()
    notes: dict[str, str] = {}
    chance = random.Random(7)
    for _ in range(disks):
        with folder() as path:
            disk = SmallDisk(path)
            try:
                lines = finish(partial(_fill, tried, disk, chance.randrange(4096, SPARE_BYTES)))
                for kind in (UNREAD, STAYS_FULL, ERROR):
                    seen[kind] += bool(said(lines, kind))
                    notes[kind] = (said(lines, kind) or [notes.get(kind, "")])[0]
                (path / "filler").unlink(missing_ok=True)
                tally(said(lines, KEPT), look(tried, str(path)), seen, notes)
            finally:
                disk.close()
    yield Count("acknowledged turns lost", seen["lost"], seen["kept"])
    yield Count("cannot be read while it is full", seen[UNREAD], disks, notes[UNREAD])
    refused = seen[STAYS_FULL] + seen[ERROR]
    yield Count(
        "refuses with room again, until it is opened anew", refused, disks, notes[STAYS_FULL] or notes[ERROR]
    )
    yield from told(tried, seen, notes, disks)


def _fill(tried: Tried, disk: SmallDisk, spare_bytes: int, say: Say) -> None:
    """Append until there is no room for more; then read, and go on with room again."""
    with tried.open(str(disk.folder)) as peer:
        peer.append(SESSION, turn("before"))
        say(f"{KEPT}before")
        spare = disk.folder / "spare"
        spare.write_bytes(bytes(spare_bytes))
        disk.fill()
        spare.unlink()
        for number in count():
            if not _append(peer, str(number), REFUSED, say):
                break
        try:
            peer.load(SESSION)
        except Exception as error:  # noqa: BLE001 - it is counted
            say(f"{UNREAD}{describe(error)}")
        disk.free()
        _append(peer, "again", STAYS_FULL, say)


def _append(peer: Peer, label: str, refused: str, say: Say) -> bool:
    try:
        peer.append(SESSION, turn(label))
    except Exception as error:  # noqa: BLE001 - it is counted
        say(f"{refused}{describe(error)}")
        return False
    say(f"{KEPT}{label}")
    return True
