"""One flip after the other: each in a fresh copy, read as a whole, and compared with what was there."""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Protocol

import nbsessions as nbs
from nbsessions import Store
from nbsessions.stores import open_backend
from nbsessions.stores.sqlite import PAGE_SIZE
from tests.reliability import content
from tests.reliability.landing import Landings
from tests.reliability.processes import ERROR, Child, Say
from tests.reliability.reading import WHOLE, Reading, damaged_turns, read
from tests.reliability.table import Progress
from tests.reliability.verdicts import EARLIER, MESSAGES, NAMED, SAME, SHORT, STUCK, WRONG, Flip, judge

OWNER = "ada"
BATCH = 250
# https://www.sqlite.org/fileformat2.html#the_write_ahead_log
LOG_HEADER_BYTES, FRAME_HEADER_BYTES = 32, 24
STUCK_SECONDS = 5.0
MEMORY_BYTES = 2 * 2**30
BEGUN, WHERE, FOUND = "begun ", "where ", "found "


class Subject(Protocol):
    """What bytes flip in."""

    def place(self, number: int) -> str:
        """Return where it is."""

    def flip(self, number: int) -> Flip:
        """Flip a byte, always the same one for the same number, and see what comes of it."""


def flip_all(subject: Subject, count: int, what: str) -> list[Flip]:
    """Flip in batches, in processes of their own: one may hang or crash."""
    flips: list[Flip] = []
    progress = Progress(what, count)
    while len(flips) < count:
        first = len(flips)
        last = min(first + BATCH, count)
        child = Child(lambda say: _batch(subject, first, last, say))  # noqa: B023 - it is forked here
        while not child.has_ended() and _is_at_work(child):
            progress.at(first + len(child.told(FOUND)))
            time.sleep(0.02)
        hangs = not child.has_ended()
        child.kill()
        flips += [Flip(*json.loads(line)) for line in child.told(FOUND)]
        if len(flips) < last:
            error = (
                child.told(ERROR) or ["it hangs" if hangs else f"the process ended with {child.status}"]
            )[0]
            flips.append(Flip(len(flips), STUCK, child.told(WHERE)[-1:], [], error))
        child.close()
    return flips


def _batch(subject: Subject, first: int, last: int, say: Say) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    for number in range(first, last):
        say(f"{BEGUN}{time.monotonic()}")
        say(f"{WHERE}{subject.place(number)}")
        say(f"{FOUND}{json.dumps(subject.flip(number))}")


def _is_at_work(child: Child) -> bool:
    begun = child.told(BEGUN)
    return not begun or time.monotonic() - float(begun[-1]) < STUCK_SECONDS


def _flipped(data: bytes, offset: int, chance: random.Random) -> bytes:
    return data[:offset] + bytes([data[offset] ^ chance.randrange(1, 256)]) + data[offset + 1 :]


def _write(path: Path, data: bytes) -> None:
    for name in ("", "-wal", "-shm", ".lock"):
        path.with_name(f"{path.name}{name}").unlink(missing_ok=True)
    path.write_bytes(data)


class Flipper:
    """A database file that was closed; every other flip is put where its tables and indexes count alike."""

    def __init__(self, folder: Path) -> None:
        original = folder / "original.db"
        with Store(open_backend(original), OWNER) as store:
            content.fill(store)
        self._data, self.landings = original.read_bytes(), Landings(original)
        self._copy = folder / "copy.db"
        _write(self._copy, self._data)
        self._before = read(self._copy)
        assert not self._before.failures, self._before.failures

    def fresh(self) -> Path:
        """Make a new copy, and return where it is."""
        _write(self._copy, self._data)
        return self._copy

    def put_indexes_back(self) -> None:
        """Let the indexes of the copy be as they were: what flips in a table does not tell them."""
        data = bytearray(self._copy.read_bytes())
        for page in self.landings.indexes():
            place = slice((page - 1) * PAGE_SIZE, page * PAGE_SIZE)
            data[place] = self._data[place]
        _write(self._copy, bytes(data))

    def judge(self, number: int) -> Flip:
        """Read the copy, and compare."""
        return judge(number, self._before, read(self._copy))

    def place(self, number: int) -> str:
        return f"byte {self._offset(number, random.Random(number))}"

    def _offset(self, number: int, chance: random.Random) -> int:
        size = len(self._data)
        return self.landings.somewhere(chance) if number % 2 else self.landings.anywhere(chance, size)

    def flip(self, number: int) -> Flip:
        """Flip a byte of the file."""
        chance = random.Random(number)
        offset = self._offset(number, chance)
        damaged = _flipped(self._data, offset, chance)
        _write(self._copy, damaged)
        after = read(self._copy)
        flip = judge(number, self._before, after)
        if flip.kind == SAME:
            return flip
        if flip.turn:
            flip = self._look_around(flip, after)
        _write(self._copy, damaged)
        return flip._replace(where=self.landings.where(self._copy, offset))

    def _look_around(self, flip: Flip, after: Reading) -> Flip:
        """See whether other sessions are as they were, and whether this one goes back before the damage."""
        named = damaged_turns(after.failures)
        others = before = 0
        for key in self._before.parts[WHOLE]:
            one = key.session_id
            turns = self._before.parts[one, "turns"]
            hit = [turn for turn in turns if turn.turn_id in named]
            if hit:
                kept = hit[0].total_messages - hit[0].message_count
                before += not self._goes_back(one, key.conversation_id or None, kept)
            elif (one, "draft") not in self._before.parts:
                others += any(
                    after.parts.get(part) != value
                    for part, value in self._before.parts.items()
                    if part[0] == one
                )
        return flip._replace(others=others, before=before)

    def _goes_back(self, session_id: str, conversation_id: str | None, kept: int) -> bool:
        try:
            with nbs.open_store(self._copy) as store:
                session = store.rewind(session_id, kept, conversation_id=conversation_id)
                return bool(session.messages == self._before.parts[session_id, "messages"][:kept])
        except Exception:  # noqa: BLE001 - it is counted
            return False


class ColumnFlipper:
    """A database in which one value of each column is another one, as a flipped bit would have it."""

    def __init__(self, folder: Path, times: int) -> None:
        self._flipper = Flipper(folder)
        self.places = [place for place in self._flipper.landings.columns() for _ in range(times)]

    def place(self, number: int) -> str:
        return ".".join(self.places[number])

    def flip(self, number: int) -> Flip:
        """Change the value of one row, where the column has any and takes another."""
        table, column = self.places[number]
        where = [f"{table}.{column}"]
        copy = self._flipper.fresh()
        with closing(sqlite3.connect(copy, isolation_level=None)) as db:
            found = db.execute(f"SELECT rowid, {column} FROM {table} WHERE length({column}) > 0").fetchall()
            if not found:
                return Flip(number, SAME, where, [])
            row, value = random.Random(number).choice(found)
            try:
                db.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (_another(value, number), row))
            except sqlite3.IntegrityError:
                return Flip(number, SAME, where, [])
        self._flipper.put_indexes_back()
        return self._flipper.judge(number)._replace(where=where)


def _another(value: object, number: int) -> object:
    chance = random.Random(number)
    if isinstance(value, int):
        return value ^ 1 << chance.randrange(3)
    if isinstance(value, bytes):
        return _flipped(value, chance.randrange(len(value)), chance)
    text = str(value)
    at = chance.randrange(len(text))
    return text[:at] + chr(ord(text[at]) ^ 1) + text[at + 1 :]


class LogFlipper:
    """A database whose process was killed: what it wrote last is in its log."""

    def __init__(self, folder: Path) -> None:
        original = folder / "original.db"
        child = Child(lambda say: _fill_and_die(original))
        while not child.has_ended():
            time.sleep(0.01)
        child.close()
        self._data = original.read_bytes()
        self._log = original.with_name("original.db-wal").read_bytes()
        self._copy = folder / "copy.db"
        self._frame = FRAME_HEADER_BYTES + PAGE_SIZE
        self._earlier: dict[int, Reading] = {}
        self._last = self._last_frame()
        self._before = self._read(self._log)
        assert not self._before.failures, self._before.failures

    def _read(self, log: bytes) -> Reading:
        _write(self._copy, self._data)
        self._copy.with_name(f"{self._copy.name}-wal").write_bytes(log)
        return read(self._copy)

    def _last_frame(self) -> int:
        """Return the number of the last frame of this log; those behind it are of an earlier one."""
        salts = self._log[16:24]
        starts = range(LOG_HEADER_BYTES, len(self._log), self._frame)
        ours = [number for number, start in enumerate(starts) if self._log[start + 8 : start + 16] == salts]
        return ours[-1]

    def place(self, number: int) -> str:
        return "the log"

    def flip(self, number: int) -> Flip:
        """Flip a byte of the log."""
        chance = random.Random(number)
        offset = chance.randrange(len(self._log))
        after = self._read(_flipped(self._log, offset, chance))
        flip = judge(number, self._before, after)
        frame = max(0, offset - LOG_HEADER_BYTES) // self._frame
        where = ["the log's header" if offset < LOG_HEADER_BYTES else "a page in the log"]
        if flip.kind in (MESSAGES, WRONG) and after.parts == self._until(offset, frame).parts:
            where.append("all of it" if not after.parts[WHOLE] else "its end")
            silent = SHORT if frame == self._last else EARLIER
            flip = flip._replace(kind=NAMED if after.failures else silent)
        return flip._replace(where=where)

    def _until(self, offset: int, frame: int) -> Reading:
        """Return what there was before the page was written to the log."""
        end = 0 if offset < LOG_HEADER_BYTES else LOG_HEADER_BYTES + frame * self._frame
        if end not in self._earlier:
            self._earlier[end] = self._read(self._log[:end])
        return self._earlier[end]


def _fill_and_die(path: Path) -> None:
    content.fill(Store(open_backend(path), OWNER))
    os.kill(os.getpid(), signal.SIGKILL)
