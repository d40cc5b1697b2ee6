"""Which session a notebook worked on last, and the end of it all."""

from __future__ import annotations

from nbsessions.stores.base import Backend
from nbsessions.testing.contract.base import Contract
from nbsessions.testing.samples import inserted


class Visits(Contract):
    """Which session a notebook worked on last, and the end of it all."""

    def test_the_last_visit_of_a_notebook_is_found(self, backend: Backend) -> None:
        keys = [inserted(backend, "a"), inserted(backend, "b", conversation_id="c1")]
        for at, key in enumerate([*keys, keys[0], keys[1]]):
            backend.visit("ada", "/a.ipynb", key, at)
        backend.visit("ada", "/b.ipynb", keys[0], 9)
        assert backend.last_visit("ada", "/a.ipynb") == keys[1]
        assert backend.last_visit("ada", "/b.ipynb") == keys[0]
        assert backend.last_visit("bob", "/a.ipynb") is None
        backend.delete([keys[1]])
        assert backend.last_visit("ada", "/a.ipynb") == keys[0]

    def test_closing_twice_is_allowed(self, backend: Backend) -> None:
        backend.close()
        backend.close()
