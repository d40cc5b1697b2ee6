"""A disk that fills up while turns are appended, and has room again."""

from __future__ import annotations

import random
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing

import nbsessions as nbs
from nbsessions import NbsessionsError, Session, Store, StoreUnavailable
from nbsessions.recorder import describe
from nbsessions.values import encode_json
from tests.disks import SmallDisk
from tests.reliability.places import Place, folder
from tests.reliability.table import Figure, Progress
from tests.reliability.turns import chat, send, told, warm_up

ROUNDS, QUICK_ROUNDS = 100, 5
MOST_TURNS = 2_000
SPARE_BYTES = 300_000


def figures(place: Place, quick: bool) -> Iterator[Figure]:
    """Yield what a full disk took away."""
    warm_up()
    rounds = QUICK_ROUNDS if quick else ROUNDS
    seen: Counter[str] = Counter()
    notes: dict[str, str] = {}
    chance, progress = random.Random(7), Progress("disk", rounds)
    for number in range(rounds):
        with folder() as path:
            disk = SmallDisk(path)
            try:
                _Round(disk, number, chance.randrange(4096, SPARE_BYTES), seen, notes).take()
            finally:
                disk.close()
        progress.at(number)
    yield Figure(f"of {seen['kept']:,} acknowledged turns lost, {rounds} full disks", seen["lost"])
    yield Figure(f"of {seen['waited']:,} refused answers lost", seen["answers lost"])
    for what in (
        "refused with another error, or twice",
        "reads refused while it is full",
        "refused with room again",
        "duplicated or torn",
        "damaged",
    ):
        yield Figure(what, seen[what], 0, notes.get(what, ""))


class _Round:
    """One disk, from empty to full and back."""

    def __init__(
        self, disk: SmallDisk, number: int, spare: int, seen: Counter[str], notes: dict[str, str]
    ) -> None:
        self._disk, self._number, self._spare = disk, number, spare
        self._seen, self._notes = seen, notes
        self._kept: list[str] = []
        self._path = disk.folder / "agents.db"

    def take(self) -> None:
        """Fill the disk, and make room again."""
        with nbs.open_store(self._path) as store:
            session = store.create("plan")
            self._append(session, "before", 0)
            spare = self._disk.folder / "spare"
            spare.write_bytes(bytes(self._spare))
            self._disk.fill()
            spare.unlink()
            for number in range(MOST_TURNS):
                if not self._append(session, str(number), number + self._number):
                    break
            else:
                self._count("refused with another error, or twice", "it never was full")
            self._read(store)
            self._disk.free()
            self._try_again(session)
            self._append(session, "after", 0)
        with nbs.open_store(self._path) as store:
            self._check(store.resume("plan"))
        with closing(sqlite3.connect(self._path)) as db:
            if (said := db.execute("PRAGMA integrity_check").fetchone()[0]) != "ok":
                self._count("damaged", said)

    def _count(self, what: str, note: object) -> None:
        self._seen[what] += 1
        self._notes[what] = describe(note) if isinstance(note, BaseException) else str(note)

    def _append(self, session: Session, label: str, number: int) -> bool:
        """Append, and tell whether the store took it."""
        if number % 2:
            body = encode_json(chat(label), "turn")
            self._again: Callable[[], object] = session.prepare("turn", "chat", body, prompts=1)
        else:
            self._again = lambda: send(session, label)
        self._label = label
        try:
            self._again()
        except StoreUnavailable as error:
            if self._disk.mounted and "full" not in str(error):
                self._count("refused with another error, or twice", error)
            return False
        except Exception as error:  # noqa: BLE001 - it is counted
            self._count("refused with another error, or twice", error)
            return False
        self._seen["kept"] += 1
        self._kept.append(label)
        return True

    def _read(self, store: Store) -> None:
        """Read while the disk is full: with the handles that are open, and with one that is new."""
        for call in (store.list, lambda: store.resume("plan").messages, lambda: store.runs("plan")):
            try:
                call()
            except NbsessionsError as error:
                self._count("reads refused while it is full", error)

    def _try_again(self, session: Session) -> None:
        waited = bool(session.unsaved)
        self._seen["waited"] += waited
        try:
            if waited:
                session.save()
            else:
                self._again()
        except NbsessionsError as error:
            self._count("refused with room again", error)
            return
        if self._label not in told(session.messages).labels:
            self._seen["answers lost" if waited else "lost"] += 1
        self._kept.append(self._label)

    def _check(self, session: Session) -> None:
        found = told(session.messages)
        self._seen["lost"] += len({*self._kept} - {*found.labels})
        if found.labels != self._kept or found.torn:
            self._count("duplicated or torn", f"{found.torn[:3]} torn, {found.twice} twice")
