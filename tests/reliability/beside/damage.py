"""One byte of the closed files is another one: each time in a fresh copy, read as a whole, and compared."""

from __future__ import annotations

import json
import logging
import random
import resource
import shutil
import warnings
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from nbsessions.recorder import describe
from tests.peers.base import Peer
from tests.reliability.beside.children import READ, finish, said, write
from tests.reliability.beside.tried import Count, Tried
from tests.reliability.beside.turning import essence
from tests.reliability.processes import ERROR, Say

FLIPS, QUICK_FLIPS = 200, 40
SESSIONS, TURNS = 3, 12
MEMORY_BYTES = 8 * 2**30
SAME, SILENT, NAMED, NOTHING, STUCK = "same", "silent", "named", "nothing", "stuck"
Messages = list[list[Any]] | None
Read = dict[str, tuple[Messages, str]]
"""For each session, its messages, where they can be read, and what was told of damage."""


def counts(tried: Tried, quick: bool) -> Iterator[Count]:
    """Yield what came of the flips."""
    flips = QUICK_FLIPS if quick else FLIPS
    seen: Counter[str] = Counter()
    notes: dict[str, str] = {}
    with tried.place() as place:
        names = {f"plan-{one}": [f"{one}-{number}" for number in range(TURNS)] for one in range(SESSIONS)}
        finish(partial(write, tried, place, names))
        files = _files(Path(place))
        # Of a copy too: what another program had copied is read as it was.
        _put(Path(place), files)
        before = _read(tried, place, names)
        assert all(before[name][0] and not before[name][1] for name in names), before
        for number in range(flips):
            _put(Path(place), _flipped(files, random.Random(number)))
            kind, note = _judge(before, _read(tried, place, names))
            seen[kind] += 1
            notes.setdefault(kind, note)
    told = ", ".join(f"{seen[kind]:,} {what}" for kind, what in _OTHERS.items())
    yield Count(
        "other messages, and nothing said", seen[SILENT], flips, f"{told}. {notes.get(SILENT, '')}".strip()
    )
    yield Count("stuck, or crashed", seen[STUCK], flips, notes.get(STUCK, ""))
    yield Count(
        "damage is told, and no session can be read", seen[NOTHING], flips, notes.get(NOTHING, ""), None
    )


_OTHERS = {SAME: "changed nothing", NAMED: "told, the rest readable", NOTHING: "told, nothing readable"}


def _files(place: Path) -> dict[Path, bytes]:
    return {path.relative_to(place): path.read_bytes() for path in sorted(place.rglob("*")) if path.is_file()}


def _flipped(files: dict[Path, bytes], chance: random.Random) -> dict[Path, bytes]:
    """Return the files with one other byte, each byte of all of them being as likely as another."""
    offset = chance.randrange(sum(map(len, files.values())))
    for path, data in files.items():
        if offset < len(data):
            other = data[offset] ^ chance.randrange(1, 256)
            return {**files, path: data[:offset] + bytes([other]) + data[offset + 1 :]}
        offset -= len(data)
    raise AssertionError("No byte is behind the last one.")


def _put(place: Path, files: dict[Path, bytes]) -> None:
    shutil.rmtree(place)
    place.mkdir()
    for path, data in files.items():
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).write_bytes(data)


def _read(tried: Tried, place: str, names: dict[str, list[str]]) -> Read:
    lines = finish(partial(_say, tried, place, names))
    read: Read = json.loads((said(lines, READ) or ["{}"])[0])
    return read or {STUCK: (None, said(lines, ERROR)[0])}


def _say(tried: Tried, place: str, names: dict[str, list[str]], say: Say) -> None:
    """Say what is read. A warning, or a line in the log, is told for all that is read after it."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    told: list[str] = []
    logging.getLogger().addHandler(_Listener(told))
    read: Read = {}
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            with tried.open(place) as peer:
                for name in names:
                    messages, error = _session(peer, name)
                    told += [str(warning.message) for warning in warned]
                    warned.clear()
                    read[name] = messages, error or "".join(told[-1:])
        except Exception as error:  # noqa: BLE001 - it is what is looked for
            for name in {*names} - {*read}:
                read[name] = None, describe(error)
    say(f"{READ}{json.dumps(read)}")


class _Listener(logging.Handler):
    def __init__(self, told: list[str]) -> None:
        super().__init__(logging.WARNING)
        self._told = told

    def emit(self, record: logging.LogRecord) -> None:
        self._told.append(record.getMessage())


def _session(peer: Peer, name: str) -> tuple[Messages, str]:
    try:
        return [essence(message) for message in peer.chat(peer.load(name))], ""
    except Exception as error:  # noqa: BLE001 - it is what is looked for
        return None, describe(error)


def _judge(before: Read, after: Read) -> tuple[str, str]:
    """Return what came of a flip: that of the worst session counts."""
    if STUCK in after:
        return STUCK, after[STUCK][1]
    for name, (messages, told) in after.items():
        if messages is not None and messages != before[name][0] and not told:
            return SILENT, f"such as {len(messages)} messages of {len(before[name][0] or [])}"
    note = next((told for _, told in after.values() if told), "")
    if not note:
        return SAME, ""
    readable = any(messages == before[name][0] for name, (messages, _) in after.items())
    return (NAMED if readable else NOTHING), note
