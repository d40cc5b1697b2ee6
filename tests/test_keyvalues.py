from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from nbsessions import InvalidInput, KeyValues, NotOwner, SessionNotFound, Store


class Clock:
    """A clock that tests can move."""

    def __init__(self) -> None:
        self.at = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.at += timedelta(microseconds=1)
        return self.at


def test_it_is_a_mapping(store: Store) -> None:
    session = store.create("plan")
    notes = session.kv()
    notes["a"], notes["b"] = 1, {"x": [1.5, None, "ä\0"]}
    assert dict(session.kv()) == {"a": 1, "b": {"x": [1.5, None, "ä\0"]}}
    assert notes.get("nowhere") is None
    assert ("a" in notes, len(notes), list(notes)) == (True, 2, ["a", "b"])
    del notes["a"]
    with pytest.raises(KeyError):
        del notes["a"]
    notes.clear()
    assert (dict(notes), repr(notes)) == ({}, "<KeyValues of 'plan': 0>")


def test_a_new_key_at_the_cap_takes_the_place_of_the_one_longest_unchanged(store: Store) -> None:
    notes = KeyValues(store.create(), max_entries=3, clock=Clock())
    for key in ("a", "b", "c"):
        notes[key] = key
    notes["a"] = "again"
    notes["d"] = "d"
    assert list(notes) == ["c", "a", "d"]
    notes["c"] = "at the cap, none goes"
    assert set(notes) == {"c", "a", "d"}


def test_entries_expire_after_their_time(store: Store) -> None:
    clock = Clock()
    notes = KeyValues(store.create(), ttl=timedelta(hours=1), clock=clock)
    notes["a"] = 1
    notes.set("short", 2, ttl=timedelta(minutes=1))
    forever = KeyValues(notes._session, ttl=None, clock=clock)
    forever["b"] = 3
    clock.at += timedelta(minutes=2)
    assert dict(notes) == {"a": 1, "b": 3}
    clock.at += timedelta(hours=1)
    assert dict(notes) == {"b": 3}
    with pytest.raises(KeyError):
        del notes["a"]


def test_it_belongs_to_its_session_and_does_not_move_with_its_head(store: Store) -> None:
    session, other = store.create("plan"), store.create("other")
    session.add_message({"role": "user", "content": "Hello"})
    session.kv()["a"] = 1
    assert dict(other.kv()) == dict(session.fork().kv()) == {}
    session.rewind(0)
    session.undo()
    assert dict(session.kv()) == {"a": 1}


def test_two_writers_do_not_conflict(store: Store) -> None:
    session = store.create("plan")
    other = store.resume("plan")
    session.kv()["a"], other.kv()["a"] = 1, 2
    session.kv()["b"] = 3
    assert dict(other.kv()) == {"a": 2, "b": 3}
    session.add_message({"role": "user", "content": "Hello"})
    assert session.notice is None


@pytest.mark.parametrize("value", [float("nan"), "\ud800", {1: 2}, object(), {"a": float("inf")}])
def test_what_cannot_be_stored_is_refused(store: Store, value: Any) -> None:
    notes = store.create("plan").kv()
    with pytest.raises(InvalidInput):
        notes["a"] = value
    assert dict(notes) == {}


@pytest.mark.parametrize("key", ["", "a\nb", "x" * 201, "\ud800", 7])
def test_a_key_that_cannot_be_used_is_refused(store: Store, key: Any) -> None:
    with pytest.raises(InvalidInput):
        store.create("plan").kv()[key] = 1


def test_bad_options_are_refused(store: Store) -> None:
    session = store.create("plan")
    for options in ({"max_entries": 0}, {"ttl": timedelta(0)}, {"ttl": 60}):
        with pytest.raises(InvalidInput):
            session.kv(**options)


def test_another_owners_values_can_be_read_only(store: Store) -> None:
    store.create("plan").kv()["a"] = 1
    store.owner = "bob"
    notes = store.resume("plan").kv()
    assert dict(notes) == {"a": 1}
    for call in (lambda: notes.set("a", 2), notes.clear, lambda: notes.pop("a")):
        with pytest.raises(NotOwner):
            call()
    assert dict(notes) == {"a": 1}


def test_a_deleted_session_has_none(store: Store) -> None:
    notes = store.create("plan").kv()
    store.delete("plan")
    with pytest.raises(SessionNotFound):
        notes["a"] = 1
