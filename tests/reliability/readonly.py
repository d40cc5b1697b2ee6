"""Disks and folders that can be read alone."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbsessions as nbs
from nbsessions import NbsessionsError, Store, StoreUnavailable
from tests.disks import SmallDisk
from tests.reliability.places import Place, folder
from tests.reliability.processes import ERROR, Child, Say, wait_for
from tests.reliability.table import Figure
from tests.reliability.turns import append, told, warm_up

TURNS = 4
NOBODY = 65534
REFUSED, WRONG, WRITES = "refused ", "wrong ", "writes "


def figures(place: Place, quick: bool) -> Iterator[Figure]:
    """Yield which reads are refused, and which writes are not refused as they should be."""
    warm_up()
    for kind, prepare in (
        ("a read-only disk", lambda path: None),
        ("a run left behind on it", _leave_a_run),
        ("a log not folded in on it", _leave_a_log),
    ):
        with folder() as path:
            disk = SmallDisk(path)
            try:
                _fill(path / "agents.db")
                prepare(path / "agents.db")
                if not disk.mounted:
                    _protect_files(path)
                disk.protect()
                yield from _look(kind, path / "agents.db")
            finally:
                disk.close()
    with _folder_of_another() as path:
        yield from _look("another user's folder", path / "agents.db", as_nobody=True)


def _fill(path: Path) -> None:
    with nbs.open_store(path) as store:
        session = store.create("plan", tags=["draft"], state={"step": 1})
        for number in range(TURNS):
            append(session, str(number), number)


def _leave_a_run(path: Path) -> None:
    """A process died in a run; who opened the store since did not look at that session."""

    def die(prompt: str) -> str:
        os._exit(0)

    child = Child(lambda say: print(nbs.open_store(path).resume("plan").send("Hello", agent=die)))
    wait_for([child])
    child.close()
    with nbs.open_store(path) as store:
        store.create("other")


def _leave_a_log(path: Path) -> None:
    """A process died, and nobody has opened the store since: some of it is in the log alone."""

    def work(say: Say) -> None:
        append(nbs.open_store(path).resume("plan"), str(TURNS), 1)
        os._exit(0)

    child = Child(work)
    wait_for([child])
    child.close()


def _protect_files(folder: Path) -> None:
    for file in folder.iterdir():
        file.chmod(0o444)


@contextmanager
def _folder_of_another() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="nbsessions-", dir="/tmp"))
    try:
        _fill(path / "agents.db")
        _protect_files(path)
        path.chmod(0o555)
        yield path
    finally:
        path.chmod(0o700)
        shutil.rmtree(path)


def _look(kind: str, path: Path, *, as_nobody: bool = False) -> Iterator[Figure]:
    """Read and write in a process of its own, which may do no more than others."""
    turns = TURNS + path.with_name(f"{path.name}-wal").exists()
    child = Child(lambda say: _attempt(path, turns, as_nobody, say))
    seen = Counter({ERROR: wait_for([child])})
    notes: dict[str, str] = {}
    for what in (REFUSED, WRONG, WRITES, ERROR):
        told_of = child.told(what)
        seen[what] += len(told_of)
        notes[what] = told_of[0] if told_of else ""
    child.close()
    yield Figure(f"reads refused, {kind}", seen[REFUSED], 0, notes[REFUSED])
    yield Figure(f"reads of what is not so, {kind}", seen[WRONG], 0, notes[WRONG])
    yield Figure(f"writes that do not say why they fail, {kind}", seen[WRITES], 0, notes[WRITES])
    yield Figure(f"errors, {kind}", seen[ERROR], 0, notes[ERROR])


def _attempt(path: Path, turns: int, as_nobody: bool, say: Say) -> None:
    if as_nobody and os.geteuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)  # root may write everywhere
    labels = [str(number) for number in range(turns)]
    reads: dict[str, tuple[Callable[[Store], object], object]] = {
        "list": (lambda store: "plan" in [record.name for record in store.list()], True),
        "messages": (lambda store: told(store.resume("plan").messages).labels, labels),
        "state": (lambda store: store.resume("plan").state, {"step": 1}),
        "runs": (lambda store: {run.prompt for run in store.runs("plan")} >= {"0?", "2?"}, True),
    }
    search: Any = getattr(nbs.Store, "search", None)
    if search is not None:
        reads["search"] = (lambda store: len(search(store, "said")) > 0, True)
    for what, (read, expected) in reads.items():
        try:
            with nbs.open_store(path) as store:
                found = read(store)
        except NbsessionsError as error:
            say(f"{REFUSED}{what}: {error}")
        else:
            if found != expected:
                say(f"{WRONG}{what}: {found} instead of {expected}")
    writes: dict[str, Callable[[Store], object]] = {
        "commit": lambda store: append(store.resume("plan"), "more", 1),
        "send": lambda store: append(store.resume("plan"), "more", 0),
        "create": lambda store: store.create("more"),
        "tag": lambda store: store.tag("plan", "done"),
        "state": lambda store: setattr(store.resume("plan"), "state", {"step": 2}),
        "rewind": lambda store: store.rewind("plan", 4),
        "delete": lambda store: store.delete("plan"),
    }
    for what, write in writes.items():
        try:
            with nbs.open_store(path) as store:
                write(store)
        except StoreUnavailable as error:
            if not any(reason in str(error) for reason in ("read-only", "permission")):
                say(f"{WRITES}{what}: {error}")
        else:
            say(f"{WRITES}{what}: it did not fail")
