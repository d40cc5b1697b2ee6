"""The suite that every kind of store passes, by subject."""

from __future__ import annotations

import pkgutil

import pytest

# Before they are imported: so an assertion that fails tells what it saw, also in somebody else's tests.
pytest.register_assert_rewrite(*(module.name for module in pkgutil.iter_modules(__path__, f"{__name__}.")))

from nbsessions.testing.contract.checkpoints import Checkpoints
from nbsessions.testing.contract.columns import Tables
from nbsessions.testing.contract.documents import Papers
from nbsessions.testing.contract.drafts import Drafts
from nbsessions.testing.contract.events import Events
from nbsessions.testing.contract.keyvalues import KeyValues
from nbsessions.testing.contract.listing import Listings
from nbsessions.testing.contract.moves import Moves
from nbsessions.testing.contract.restarts import Restarts
from nbsessions.testing.contract.restoring import Restoring
from nbsessions.testing.contract.runs import Runs
from nbsessions.testing.contract.sessions import Sessions
from nbsessions.testing.contract.turns import Turns
from nbsessions.testing.contract.upkeep import Upkeep
from nbsessions.testing.contract.usage import Spendings
from nbsessions.testing.contract.visits import Visits
from nbsessions.testing.contract.walks import Walks
from nbsessions.testing.contract.words import Words

__all__ = ["StoreContract"]


class StoreContract(
    Sessions,
    Listings,
    Moves,
    Drafts,
    Turns,
    Checkpoints,
    KeyValues,
    Papers,
    Runs,
    Events,
    Spendings,
    Tables,
    Visits,
    Words,
    Upkeep,
    Restarts,
    Restoring,
    Walks,
):
    """The tests that a store passes: subclass it, say how yours is opened, and run pytest.

    A store that is `persistent` is closed and opened again in some of them. Fixtures of your own class
    (a server that is started once) can be used by `open` through ``self``.

    Examples
    --------
    >>> from nbsessions.stores.memory import MemoryBackend
    >>> class TestMemory(StoreContract):
    ...     def open(self, folder):
    ...         return MemoryBackend()
    """
