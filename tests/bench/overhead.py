"""What a run adds to the time that its agent takes."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import nbsessions as nbs
from nbsessions.session import Session
from tests.bench.timing import Figure, duration, folder, seconds
from tests.bench.turns import ANSWER, PROMPT, append
from tests.kernels import kernel

CONTEXT = 50
EVENTS = 10_000
_IN_KERNEL = """
import json, time
%load_ext nbsessions
{setup}
def answer(prompt):
    return "{answer}"
%agent answer
taken = []
for _ in range({repeats}):
    start = time.perf_counter()
    get_ipython().run_cell_magic("agent", "--max-messages {context}", "{prompt}")
    taken.append(time.perf_counter() - start)
print("\\n" + json.dumps(taken))
"""


def figures(quick: bool) -> Iterator[Figure]:
    """Yield figures of `send` on two disks, of the whole magic in a kernel, and of one event."""
    repeats = 5 if quick else 200
    with folder() as path:
        plain = _send(path, repeats)
        yield _added("session.send, 50 messages of context", plain, "RAM disk")
        yield _added(
            "%%agent in a kernel, 50 messages", _magic(path, repeats), "RAM disk; from cell to shown answer"
        )
        event = (_stream(path, 1 if quick else 7) - plain) / EVENTS
        yield Figure("one event of 10,000", duration(event), "", event * 1e6, 50, "us", "stored, not shown")
    with tempfile.TemporaryDirectory(prefix="nbsessions-bench-", dir="/var/tmp") as name:
        yield _added("session.send on an ordinary disk", _send(Path(name), repeats), "one fsync in it")


def _added(what: str, taken: float, note: str) -> Figure:
    return Figure(what, duration(taken), "", taken * 1e3, 10, "ms", note)


def _fresh(store: nbs.Store) -> Session:
    session = store.create()
    for _ in range(CONTEXT // 2):
        append(session)
    return session


def _send(path: Path, repeats: int) -> float:
    """Return the median time of `send`; its agent takes none."""
    taken = []
    with nbs.open_store(path / "send.db") as store:
        session = _fresh(store)
        for _ in range(repeats):
            taken.append(seconds(lambda: session.send(PROMPT, agent=lambda prompt: ANSWER)))
            session.rewind(CONTEXT)
    return median(taken)


def _stream(path: Path, repeats: int) -> float:
    def words(prompt: str) -> Iterator[str]:
        for _ in range(EVENTS):
            yield "word "

    with nbs.open_store(path / "stream.db") as store:
        session = _fresh(store)
        return median(seconds(lambda: session.send(PROMPT, agent=words)) for _ in range(repeats))


def _magic(path: Path, repeats: int) -> float:
    """Return the median time of the magic, once there is as much context as for `send`."""
    return median(in_kernel(path, CONTEXT // 2 + repeats)[CONTEXT // 2 :])


def in_kernel(path: Path, repeats: int, setup: str = "") -> list[float]:
    """Return the times of a magic that sends a prompt with the last messages, in a kernel of its own."""
    code = _IN_KERNEL.format(answer=ANSWER, prompt=PROMPT, repeats=repeats, context=CONTEXT, setup=setup)
    with kernel(path) as started:
        shown = started.run(code)
    assert shown.error is None, shown.error
    taken: list[float] = json.loads(shown.stdout.splitlines()[-1])
    return taken
