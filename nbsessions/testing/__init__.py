"""
For whoever writes a store, an adapter or a notebook: the tests of a store, and an agent with a script.

A store passes when this class does, under pytest (``hypothesis`` is needed too)::

    from nbsessions.testing import StoreContract

    class TestMyStore(StoreContract):
        def open(self, folder):
            return MyBackend(f"mine:{folder}")

Nothing else is to be set up: the assertions of the contract tell what they saw, as those of your own
tests do.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nbsessions.testing.contract import StoreContract
    from nbsessions.testing.contract.machine import StoreMachine
    from nbsessions.testing.contract.walking import walk
    from nbsessions.testing.samples import (
        SPENT,
        a_finish,
        a_move,
        a_record,
        a_run,
        a_turn,
        found,
        grown,
        inserted,
    )
    from nbsessions.testing.scripted import ScriptedAgent

_SAMPLES = "SPENT a_finish a_move a_record a_run a_turn found grown inserted"
# Where each name lives: an agent with a script needs no pytest, and only the machine needs hypothesis.
_HOMES = {
    **dict.fromkeys(_SAMPLES.split(), "samples"),
    "ScriptedAgent": "scripted",
    "StoreContract": "contract",
    "StoreMachine": "contract.machine",
    "walk": "contract.walking",
}

__all__ = [
    "SPENT",
    "ScriptedAgent",
    "StoreContract",
    "StoreMachine",
    "a_finish",
    "a_move",
    "a_record",
    "a_run",
    "a_turn",
    "found",
    "grown",
    "inserted",
    "walk",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
