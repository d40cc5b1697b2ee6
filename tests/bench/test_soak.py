"""A notebook that stays open keeps what it had, and no more."""

from __future__ import annotations

from pathlib import Path

from tests.bench.soak import soak


def test_what_a_kernel_has_does_not_grow_with_its_turns(tmp_path: Path) -> None:
    lived = soak(tmp_path, turns=400, warm=200)
    start, end = lived.samples
    assert (start.turns, end.turns) == (200, 400)
    assert end.memory < 1.2 * start.memory
    assert end.threads <= start.threads
    assert end.descriptors <= start.descriptors + 2  # a connection that another thread came to need
    assert end.log < 16 * 2**20
    assert len(lived.first) == len(lived.last) == 100
