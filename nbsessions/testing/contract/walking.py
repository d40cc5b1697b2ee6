"""How a store is walked through many sequences of steps; needs ``hypothesis``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final, cast

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from nbsessions.stores.base import Backend
from nbsessions.testing.contract.machine import StoreMachine

SETTINGS: Final = settings(
    max_examples=25,
    stateful_step_count=30,
    deadline=None,
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)


def walk(open_backend: Callable[[Path], Backend], folder: Path, how: settings = SETTINGS) -> None:
    """Walk a store through many sequences of steps; what goes wrong is shown in as few as possible.

    Parameters
    ----------
    open_backend : callable
        Returns the store of a folder; the same folder again is a restart.
    folder : Path
        Each sequence gets a folder of its own in it.
    how : hypothesis.settings
        How many sequences, and how long.

    Raises
    ------
    AssertionError
        The store did not show what the memory store and the plain model show.

    Examples
    --------
    >>> from nbsessions.stores.memory import MemoryBackend
    >>> walk(lambda folder: MemoryBackend(), Path("unused"), settings(SETTINGS, max_examples=2))
    """
    count = iter(range(10**9))

    def machine() -> StoreMachine:
        return StoreMachine(open_backend, folder / f"walk{next(count)}")

    run_state_machine_as_test(cast(type[StoreMachine], machine), settings=how)
