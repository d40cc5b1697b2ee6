"""
Mutate the golden files of all formats, and hold the readers to what they may do.

``python -m tests.fuzz [--runs N] [FORMAT ...]``; `atheris <https://github.com/google/atheris>`_ must be
installed. The first byte of an input says of which format it is.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sqlite3
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import atheris

with atheris.instrument_imports(include=["nbsessions.formats"]):
    from nbsessions.formats import all_formats
    from nbsessions.formats.base import Format, Reading, listening

    READABLE = [format for format in all_formats() if format.read is not None]

import nbsessions as nbs
from nbsessions import NbsessionsError, StoreUnavailable
from nbsessions.formats import guess
from nbsessions.transfers.importing import take_in

GOLDEN = Path(__file__).parent.parent / "formats" / "golden"
SECONDS = 20
"""A reader that takes longer hangs."""
MEGABYTES = 2048
_INTERESTING: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    2**63,
    1.5,
    "",
    "\ud83d",
    "\0",
    "a" * 300,
    [],
    {},
    [[]],
    {"": {}},
    "latest",
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("formats", nargs="*", metavar="FORMAT")
    parser.add_argument("--runs", type=int, default=20_000)
    given = parser.parse_args()
    members = [each for each in READABLE if not given.formats or each.name in given.formats]
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder) / "corpus"
        corpus.mkdir()
        for number, data in enumerate(_seeds(members)):
            (corpus / str(number)).write_bytes(data)
        print(f"{len(members)} formats, {len(list(corpus.iterdir()))} seeds", flush=True)
        place = Path(folder) / "place"
        place.mkdir()
        options = [
            f"-runs={given.runs}",
            f"-timeout={SECONDS}",
            f"-rss_limit_mb={MEGABYTES}",
            "-max_len=100000",
        ]
        options += ["-print_final_stats=1", "-verbosity=0", f"-artifact_prefix={os.getcwd()}/fuzz-"]
        atheris.Setup([sys.argv[0], *options, str(corpus)], _target(members, place), custom_mutator=_mutated)
        atheris.Fuzz()


def _seeds(members: list[Format]) -> Iterator[bytes]:
    for number, member in enumerate(members):
        for path in sorted((GOLDEN / member.name).rglob("*")):
            if path.suffix == ".sql":
                yield bytes([number]) + _database(path)
            elif path.is_file() and ".expected." not in path.name:
                yield bytes([number]) + path.read_bytes()


def _database(script: Path) -> bytes:
    with closing(sqlite3.connect(":memory:")) as db:
        db.executescript(script.read_text())
        return db.serialize()


def _target(members: list[Format], place: Path) -> Callable[[bytes], None]:
    def target(data: bytes) -> None:
        if len(data) < 2:
            return
        member = members[data[0] % len(members)]
        is_database = data[1:].startswith(b"SQLite format 3")
        suffix = ".db" if is_database else (member.suffixes or (".json",))[0]
        path = place / f"fuzzed{suffix}"
        path.write_bytes(data[1:])
        try:
            _read(member, path)
        finally:
            path.unlink()
        left = list(place.iterdir())
        assert not left, f"{member.name} wrote {left}"

    return target


def _read(member: Format, path: Path) -> None:
    assert member.read is not None
    store = nbs.open_store("memory:")
    with listening(Reading()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with suppress(NbsessionsError):
            guess(path)
        try:
            for bundle in member.read(path):
                try:
                    take_in(store.backend, bundle, "ada")
                except NbsessionsError as error:
                    if isinstance(error, StoreUnavailable):
                        raise
        except NbsessionsError:
            return
    found = store.verify()
    assert found.ok, f"{member.name}: {found}"


def _mutated(data: bytes, size: int, seed: int) -> bytes:
    """Change a value somewhere in the JSON of a file, or some bytes where it is none."""
    dice = random.Random(seed)
    head, body = data[:1], data[1:]
    if dice.random() < 0.3:
        return bytes(atheris.Mutate(data, size))
    lines = body.split(b"\n") if body[:1] == b"{" and b"\n{" in body else [body]
    at = dice.randrange(len(lines))
    try:
        value = json.loads(lines[at])
    except (ValueError, RecursionError):
        return bytes(atheris.Mutate(data, size))
    lines[at] = json.dumps(_changed(value, dice)).encode()
    if len(lines) > 1 and dice.random() < 0.1:
        dice.shuffle(lines)
    return (head + b"\n".join(lines))[:size]


def _changed(value: Any, dice: random.Random) -> Any:
    inside = isinstance(value, (dict, list)) and len(value) > 0
    if not inside or dice.random() < 0.1:
        return dice.choice(_INTERESTING)
    key = dice.choice(list(value)) if isinstance(value, dict) else dice.randrange(len(value))
    if dice.random() < 0.15:
        del value[key]
    elif dice.random() < 0.1 and isinstance(value, list):
        value.append(value[key])
    else:
        value[key] = _changed(value[key], dice)
    return value


if __name__ == "__main__":
    main()
