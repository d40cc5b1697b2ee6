"""Any sequence of steps that a person may take is the same on every store."""

from __future__ import annotations

from pathlib import Path

import pytest

from nbsessions.testing.contract.base import Contract


class Walks(Contract):
    """Any sequence of steps that a person may take is the same on every store."""

    def test_any_sequence_of_steps_is_as_on_the_memory_store(self, tmp_path: Path) -> None:
        pytest.importorskip("hypothesis")
        from nbsessions.testing.contract.walking import walk

        walk(self.open, tmp_path)
