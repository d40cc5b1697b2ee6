"""Which session a notebook worked on last, and the end of it all."""

from __future__ import annotations

from nbsessions.stores.base import Backend, Key, Visit
from nbsessions.testing.contract.base import Contract
from nbsessions.testing.samples import inserted


class Visits(Contract):
    """Which session a notebook worked on last, and the end of it all."""

    def test_the_last_visit_of_a_notebook_is_found(self, backend: Backend) -> None:
        keys = [inserted(backend, "a"), inserted(backend, "b", conversation_id="c1")]
        for at, key in enumerate([*keys, keys[0], keys[1]]):
            backend.visit("ada", "/a.ipynb", Visit(key), at)
        backend.visit("ada", "/b.ipynb", Visit(keys[0]), 9)
        assert _last(backend, "/a.ipynb") == keys[1]
        assert _last(backend, "/b.ipynb") == keys[0]
        assert backend.last_visit("bob", "/a.ipynb") is None
        backend.delete([keys[1]])
        assert _last(backend, "/a.ipynb") == keys[0]

    def test_a_visit_comes_back_as_it_was_made(self, backend: Backend) -> None:
        key = inserted(backend)
        entry = backend.current(key, draft=False).entry_id
        backend.visit("ada", "/a.ipynb", Visit(key, "load plan", entry, None), 1)
        first = backend.last_visit("ada", "/a.ipynb")
        assert first is not None
        assert first._replace(visit_id=0) == Visit(key, "load plan", entry, None)
        backend.visit("ada", "/a.ipynb", Visit(key, "new", entry, first.visit_id), 2)
        last = backend.last_visit("ada", "/a.ipynb")
        assert last is not None
        assert (last.action, last.before) == ("new", first.visit_id)
        assert last.visit_id > first.visit_id
        assert backend.last_visit("ada", "/a.ipynb", up_to=first.visit_id) == first
        assert backend.last_visit("ada", "/a.ipynb", up_to=first.visit_id - 1) is None

    def test_closing_twice_is_allowed(self, backend: Backend) -> None:
        backend.close()
        backend.close()


def _last(backend: Backend, notebook: str) -> Key:
    visit = backend.last_visit("ada", notebook)
    assert visit is not None
    return visit.key
