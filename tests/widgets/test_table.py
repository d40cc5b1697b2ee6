"""The table of sessions, as far as it can be seen without a browser."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import traitlets
from hypothesis import given
from hypothesis import strategies as st

import nbsessions as nbs
from nbsessions import HistoryTable
from nbsessions.testing.samples import a_record
from nbsessions.values import now
from tests.test_rendering import CONTROLS, assert_safe
from tests.widgets.hostile import CORPUS
from tests.widgets.waiting import until

_SAID = ["not", "once", "twice", "thrice", "often", "very often", "always"]


@pytest.fixture
def store() -> nbs.Store:
    store = nbs.open_store("memory:")
    for number in range(7):
        tags = ["draft"] if number % 2 else []
        session = store.create(f"plan {number}", agent_name="ab"[number % 2], tags=tags)
        for _ in range(number):
            session.add_message({"role": "user", "content": f"owls, {_SAID[number]}"})
    return store


def names(table: HistoryTable) -> list[str]:
    """Return the names in the rows that are shown."""
    return [row["cells"]["name"] for row in table._page["rows"]]


def press(table: HistoryTable, **content: Any) -> None:
    table._handle_custom_msg(content, [])


def told(table: HistoryTable) -> str:
    return str(table._status["text"])


def test_it_is_newest_first_and_turns_pages(store: nbs.Store) -> None:
    table = HistoryTable(store, page_size=3)
    assert (names(table), table._page["total"]) == (["plan 6", "plan 5", "plan 4"], 7)
    table.offset = 6
    assert names(table) == ["plan 0"]
    store.delete("plan 0")
    table.refresh()
    assert (table.offset, names(table)) == (3, ["plan 3", "plan 2", "plan 1"])


def test_it_sorts_and_searches_in_the_store(store: nbs.Store) -> None:
    table = HistoryTable(store, page_size=2)
    table.order_by, table.descending = "message_count", False
    assert names(table) == ["plan 0", "plan 1"]
    table.order_by, table.descending = "name", True
    assert names(table) == ["plan 6", "plan 5"]
    table.text = "draft"
    assert (names(table), table._page["total"]) == (["plan 5", "plan 3"], 3)
    table.text = "owls thri"
    assert (names(table), table._page["total"]) == (["plan 3"], 1)


def test_it_filters(store: nbs.Store) -> None:
    assert names(HistoryTable(store, tag="draft", agent_name="b")) == ["plan 5", "plan 3", "plan 1"]
    assert names(HistoryTable(store, tag="nosuch")) == []


def test_columns_are_chosen_and_an_unknown_one_is_one_line(store: nbs.Store) -> None:
    table = HistoryTable(store, columns=["name", "owner"])
    assert str(table).splitlines()[0].split() == ["Name", "Owner"]
    table.columns = ["session_id"]
    assert str(table).startswith("Id\n")
    with pytest.raises(nbs.InvalidInput, match="There is no column 'colour'"):
        table.columns = ["colour"]
    with pytest.raises(nbs.InvalidInput, match="There is no table without columns"):
        HistoryTable(store, columns=[])


def test_what_is_selected_is_a_frame_to_act_on(store: nbs.Store) -> None:
    table = HistoryTable(store)
    table.select("plan 2", "plan 1")
    assert [record.name for record in table.selected] == ["plan 2", "plan 1"]
    table.selected_df.nbs.tag("kept")
    assert store.record("plan 2").tags == ["kept"]
    with pytest.raises(nbs.SessionNotFound):
        table.select("nosuch")
    assert len(table.selected) == 2


def test_delete_asks_nobody_here_and_lets_go_of_what_is_gone(store: nbs.Store) -> None:
    table = HistoryTable(store)
    table.select("plan 2", "plan 1")
    press(table, do="delete")
    assert told(table).startswith("Deleted 2 sessions with 3 messages")
    assert (table.selected, table.selected_keys, table._page["total"]) == ([], [], 5)


def test_tagging_is_undone(store: nbs.Store) -> None:
    table = HistoryTable(store)
    table.select("plan 2")
    press(table, do="tag", tag="kept")
    assert (told(table), table._status["undo"]) == ("Tagged 1 session with 'kept': 'plan 2'.", True)
    press(table, do="undo")
    assert told(table) == "Undone for 1 session: 'plan 2'."
    assert store.record("plan 2").tags == []


def test_what_is_wrong_is_told(store: nbs.Store) -> None:
    table = HistoryTable(store)
    press(table, do="undo")
    assert (told(table), table._status["is_error"]) == ("There is nothing to undo.", True)
    table.select("plan 2")
    press(table, do="tag", tag="")
    assert (told(table), table._status["is_error"]) == (
        "'' is no tag: 1 to 100 characters, on one line.",
        True,
    )


def test_whoever_asks_is_heard_also_where_nothing_changes(
    store: nbs.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = HistoryTable(store)
    sent: list[Any] = []
    monkeypatch.setattr(table, "send", sent.append)
    page = table._page
    table.set_state({"columns": ["name"]})
    table.set_state({"text": "plan"})
    press(table, do="tag", tag=None)
    assert (table._page, sent) == (page, ["answered"] * 3)


_JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(["do", "tag", "key"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


@given(_JUNK, _JUNK)
def test_what_the_browser_never_sends_changes_nothing(content: Any, keys: Any) -> None:
    store = nbs.open_store("memory:")
    store.create("plan")
    table = HistoryTable(store)
    table._handle_custom_msg(content, [])
    try:
        table.set_state({"selected_keys": keys})
    except traitlets.TraitError:
        assert not isinstance(keys, (list, tuple))
    assert table.selected == []
    assert table.selected_df.empty
    assert [(record.name, record.tags) for record in store.list()] == [("plan", [])]
    table.close()


def test_no_name_acts() -> None:
    store = nbs.open_store("memory:")
    for number, text in enumerate(CORPUS):
        record = a_record(f"h-{number}", name=text, agent_name=text, tags=[text], model=text)
        store.backend.insert(record.model_copy(update={"owner": text, "notebook": f"/{text}.ipynb"}))
    columns = ["name", "agent_name", "model", "tags", "owner", "notebook", "session_id"]
    table = HistoryTable(store, page_size=200, columns=columns)
    for offset in range(0, len(CORPUS), 200):
        table.offset = offset
        assert_safe(table._repr_mimebundle_()[0]["text/html"])
        assert not CONTROLS.search(str(table))
        for row in table._page["rows"]:
            said = [str(row["label"]), *(str(value) for value in row["cells"].values())]
            assert not [text for text in said if CONTROLS.search(text) or "\n" in text]
            assert max(map(len, said)) <= 120


def test_a_page_is_small() -> None:
    """It travels with the notebook."""
    store = nbs.open_store("memory:")
    for number in range(20):
        record = a_record(f"s-{number}", name=f"{number} " + "long " * 200, tags=["t" * 90] * 20)
        store.backend.insert(record.model_copy(update={"updated_at": now()}))
    assert len(str(HistoryTable(store)._page)) < 20_000


def test_what_is_asked_while_a_page_is_read_is_read_after_it(
    store: nbs.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = HistoryTable(store, page_size=2)
    threads: list[threading.Thread] = []
    page = store.page

    def meanwhile(text: str, **options: Any) -> nbs.SessionPage:
        found = page(text, **options)
        if not threads:

            def ask() -> None:
                with table.hold_trait_notifications():
                    table.text, table.offset = "", 4

            threads.append(threading.Thread(target=ask))
            threads[0].start()
            until(lambda: table.offset == 4)
        return found

    monkeypatch.setattr(store, "page", meanwhile)
    table.text = "plan 3"
    threads[0].join()
    assert (table.text, table.offset, names(table)) == ("", 4, ["plan 2", "plan 1"])
