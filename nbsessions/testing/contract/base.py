"""What the tests of the contract stand on: a store, opened for one test, and opened again."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nbsessions.stores.base import Backend

Reopen = Callable[[], Backend]


class Contract(ABC):
    """Base of the classes that `StoreContract` is made of; a test takes ``backend``, or ``reopen`` too."""

    @abstractmethod
    def open(self, folder: Path) -> Backend:
        """Return the store of this folder, making it where there is none.

        It is called again for the same folder after the store was closed: that is a restart. Another
        folder is another store, with nothing of the first in it.
        """

    @pytest.fixture
    def backend(self, tmp_path: Path) -> Iterator[Backend]:
        """A new store; it is closed when the test ends."""
        backend = self.open(tmp_path)
        yield backend
        backend.close()

    @pytest.fixture
    def reopen(self, backend: Backend, tmp_path: Path) -> Iterator[Reopen]:
        """Closes the store and opens it again; tests that ask for it are of persistent stores."""
        if not backend.persistent:
            pytest.skip("what this store keeps does not outlive it")
        opened = [backend]

        def again() -> Backend:
            opened[-1].close()
            opened.append(self.open(tmp_path))
            return opened[-1]

        yield again
        opened[-1].close()
