"""What it costs that no key is stored: a turn with it, as a share of one without."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from statistics import median

import nbsessions as nbs
from tests.bench.timing import Figure, folder

SMALL = 1_000
LARGE = "The owl lives in an old oak, 3 km north_west - or so.\n" * 20_000


def figures(quick: bool) -> Iterator[Figure]:
    """Yield the time of a turn of 1 MB, and of small turns, with secrets replaced and without."""
    for what, text, repeats in (
        ("a turn of 1 MB", LARGE, 3 if quick else 15),
        ("a small turn, of 1,000", "Hello", 50 if quick else SMALL),
    ):
        without, with_it = _turns(text, repeats)
        ratio = with_it / without
        note = f"{with_it * 1e3:.2f} ms, {without * 1e3:.2f} ms where they are stored"
        yield Figure(f"no secrets: {what}", f"{ratio:.2f}x", "", ratio, 1.5, "x", note)


def _turns(text: str, repeats: int) -> tuple[float, float]:
    """Return how long a turn takes without and with it; one after the other, so that both have the same luck."""
    taken: dict[bool, list[float]] = {False: [], True: []}
    with folder() as path:
        stores = {redact: nbs.open_store(path / f"{redact}.db", redact=redact) for redact in taken}
        sessions = {redact: store.create() for redact, store in stores.items()}
        for number in range(repeats):
            body = json.dumps({"text": f"{number} {text}"})
            for redact, session in sessions.items():
                start = time.perf_counter()
                session.send("Hello", agent=lambda prompt, body=body: body, max_messages=2)
                taken[redact].append(time.perf_counter() - start)
        for store in stores.values():
            store.close()
    return median(taken[False]), median(taken[True])
