"""A list on a screen: `store.page` searches what sessions are called and what was said in them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

import nbsessions as nbs
from nbsessions import InvalidInput, Store
from nbsessions.values import now


@pytest.fixture
def lived(store: Store) -> Store:
    """A store, of each kind, with a few sessions."""
    plan = store.create("plan", tags=["draft"], agent_name="analyst", notebook="/home/ada/a.ipynb")
    plan.add_message({"role": "user", "content": "Where does the owl live?"})
    store.create("Owls", session_id="owl-2")
    other = store.create("essay", conversation_id="c1", tags=["draft"])
    other.add_message({"role": "user", "content": "An owlet."})
    return store


def names(store: Store, *args: Any, **options: Any) -> list[str | None]:
    return [record.name for record in store.page(*args, **options)]


def test_a_page_has_the_newest_first(lived: Store) -> None:
    page = lived.page(limit=1)
    assert ([record.name for record in page], page.total) == (["Owls"], 2)
    assert names(lived, limit=1, offset=1) == ["plan"]
    assert names(lived, offset=9) == []
    assert names(lived, conversation_id="*") == ["essay", "Owls", "plan"]


def test_texts_are_in_the_order_of_the_alphabet_unless_told_otherwise(lived: Store) -> None:
    assert names(lived, order_by="name") == ["Owls", "plan"]
    assert names(lived, order_by="name", descending=True) == ["plan", "Owls"]
    assert names(lived, order_by="message_count") == ["plan", "Owls"]
    assert names(lived, order_by="message_count", descending=False) == ["Owls", "plan"]


def test_what_was_said_is_found_while_it_is_typed(lived: Store) -> None:
    assert names(lived, "owl") == ["Owls"]
    assert names(lived, "owl", said=True) == ["Owls", "plan"]
    assert names(lived, "where do", said=True) == ["plan"]
    assert names(lived, "where do ", said=True) == []
    assert names(lived, "owl", said=True, conversation_id="*") == ["essay", "Owls", "plan"]
    assert names(lived, "owl", said=True, tag="draft") == ["plan"]
    assert names(lived, '"the owl"', said=True) == ["plan"]
    assert names(lived, "?!", said=True) == []
    assert names(lived, "\ud800", said=True) == []


def test_filters_hold_together(lived: Store) -> None:
    assert names(lived, agent_name="analyst", tag="draft", notebook="/home/ada/a.ipynb", owner="ada") == [
        "plan"
    ]
    assert names(lived, owner="bob") == []
    assert names(lived, since=now() + timedelta(hours=1)) == []
    assert names(lived, "wl-2", since=now() - timedelta(hours=1)) == ["Owls"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"order_by": "colour"}, "There is no order 'colour'. These are: updated_at, "),
        ({"limit": -1}, "limit"),
        ({"offset": "3"}, "offset"),
        ({"text": 3}, "text must be text, not int"),
        ({"since": datetime(2026, 1, 1)}, "since must be a datetime with a timezone"),
    ],
)
def test_what_cannot_be_asked_is_refused(options: dict[str, Any], says: str) -> None:
    with nbs.open_store("memory:") as store, pytest.raises(InvalidInput, match=says):
        store.page(**options)


def test_a_page_takes_signs_for_what_they_are_and_no_text_without_end(store: Store) -> None:
    for name in ("50%_off", "a\\b", "100 off"):
        store.create(name)
    found = {sign: [record.name for record in store.page(sign)] for sign in ("%", "_", "0%_O", "\\", "%0")}
    assert found == {"%": ["50%_off"], "_": ["50%_off"], "0%_O": ["50%_off"], "\\": ["a\\b"], "%0": []}
    assert [record.name for record in store.page("0%\0off", said=True)] == ["50%_off"]
    with pytest.raises(InvalidInput, match="2,001 characters; the limit is 2,000"):
        store.page("x" * 2_001)


def test_a_page_takes_many_words_but_not_any_number(store: Store) -> None:
    store.create("the first hundred letters")
    letters = " ".join(chr(0x4E00 + number) for number in range(100))
    assert store.page(letters, said=True) == []
    with pytest.raises(InvalidInput, match="Look for 100 words or fewer, not 101"):
        store.page(f"{letters} more")
