"""What a store keeps of a session's key-values."""

from __future__ import annotations

import pytest

from nbsessions.exceptions import SessionNotFound
from nbsessions.stores.base import Backend, Key, Value
from nbsessions.testing.contract.base import Contract
from nbsessions.testing.samples import inserted


def kept(backend: Backend, key: Key, at: int = 0) -> dict[str, str]:
    """Return the values by name, the longest unchanged first."""
    return {entry.name: entry.value for entry in backend.values(key, at)}


class KeyValues(Contract):
    """What a store keeps of a session's key-values."""

    def test_a_value_comes_back_as_it_was_put(self, backend: Backend) -> None:
        key = inserted(backend)
        value = Value("stÄdt", '{"a":[1,"\\u0000"]}', 5, 10)
        backend.put_value(key, value, 10)
        assert backend.values(key, 9) == [value]

    def test_the_last_value_of_a_name_wins(self, backend: Backend) -> None:
        key = inserted(backend)
        for at, text in enumerate(("1", "2")):
            backend.put_value(key, Value("a", text, at, None), 10)
        assert kept(backend, key) == {"a": "2"}

    def test_values_belong_to_one_session(self, backend: Backend) -> None:
        keys = inserted(backend), inserted(backend, conversation_id="c1")
        for number, key in enumerate(keys):
            backend.put_value(key, Value("a", str(number), 0, None), 1)
        assert [kept(backend, key) for key in keys] == [{"a": "0"}, {"a": "1"}]

    def test_a_value_expires(self, backend: Backend) -> None:
        key = inserted(backend)
        backend.put_value(key, Value("a", "1", 0, 10), 10)
        backend.put_value(key, Value("b", "2", 0, None), 10)
        assert (kept(backend, key, 9), kept(backend, key, 10)) == ({"a": "1", "b": "2"}, {"b": "2"})

    def test_a_new_name_beyond_the_most_takes_the_place_of_the_oldest(self, backend: Backend) -> None:
        key = inserted(backend)
        for at, name in enumerate("abca"):
            backend.put_value(key, Value(name, "1", at, None), 3)
        assert list(kept(backend, key)) == ["b", "c", "a"]
        backend.put_value(key, Value("d", "1", 9, None), 3)
        assert list(kept(backend, key)) == ["c", "a", "d"]
        backend.put_value(key, Value("e", "1", 10, None), 1)
        assert list(kept(backend, key)) == ["e"]

    def test_what_has_expired_makes_room_first(self, backend: Backend) -> None:
        key = inserted(backend)
        backend.put_value(key, Value("old", "1", 0, None), 2)
        backend.put_value(key, Value("expired", "1", 1, 5), 2)
        backend.put_value(key, Value("new", "1", 6, None), 2)
        assert list(kept(backend, key, 6)) == ["old", "new"]

    def test_values_are_dropped(self, backend: Backend) -> None:
        key = inserted(backend)
        for name in "abc":
            backend.put_value(key, Value(name, "1", 0, None), 9)
        assert backend.drop_values(key, ["a", "a", "nowhere"]) == 1
        assert list(kept(backend, key)) == ["b", "c"]
        assert (backend.drop_values(key), kept(backend, key)) == (2, {})

    def test_values_need_their_session_and_go_with_it(self, backend: Backend) -> None:
        key = inserted(backend)
        backend.put_value(key, Value("a", "1", 0, None), 9)
        backend.delete([key])
        for call in (
            lambda: backend.values(key, 0),
            lambda: backend.put_value(key, Value("a", "1", 0, None), 9),
            lambda: backend.drop_values(key),
        ):
            with pytest.raises(SessionNotFound):
                call()
        inserted(backend)
        assert kept(backend, key) == {}
