"""The picker, as far as it can be seen without a browser: what it shows, and what its buttons do."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import nbsessions as nbs
from nbsessions import SessionPicker
from nbsessions.testing.samples import a_record
from nbsessions.values import now
from nbsessions.workspace import Settings, Workspace
from tests.test_rendering import CONTROLS, assert_safe
from tests.widgets.hostile import CORPUS


@pytest.fixture
def store(tmp_path: Path) -> Iterator[nbs.Store]:
    with nbs.open_store(tmp_path / "agents.db") as store:
        for number in range(30):
            tags = ["draft"] if number % 2 else []
            store.create(f"plan {number}", agent_name="analyst" if number % 3 else "coder", tags=tags)
        store.resume("plan 29").send("Where do owls live?", agent=lambda prompt: "In **barns**.")
        yield store


@pytest.fixture
def picker(store: nbs.Store) -> Iterator[SessionPicker]:
    picker = SessionPicker(store)
    yield picker
    picker.close()


def lines(picker: SessionPicker) -> list[str]:
    """Return the lines of the list."""
    return [line for line, _ in picker.list.options]


def chosen(picker: SessionPicker) -> str | None:
    return None if picker.record is None else picker.record.name


def choose(picker: SessionPicker, name: str) -> None:
    picker.list.index = [line.split(" · ")[0] for line in lines(picker)].index(name)


def press(picker: SessionPicker, do: object, **fields: Any) -> None:
    """Do what the browser says that a key or a click has said."""
    picker._keys._handle_custom_msg({"do": do, **fields}, [])


def answer(picker: SessionPicker, button: str, text: str | None = None) -> None:
    """Click on a button, and answer what it asks."""
    picker.buttons[button].click()
    if text is not None:
        picker.question.text.value = text
    picker.question.yes.click()


def told(picker: SessionPicker) -> str:
    return assert_safe(picker.line.value).text


# What it shows


def test_it_is_newest_first_with_what_one_knows_a_session_by(picker: SessionPicker) -> None:
    assert lines(picker)[0] == "plan 29 · just now · analyst · 1 turn · draft"
    assert (len(lines(picker)), chosen(picker)) == (12, "plan 29")
    assert "1 to 12 of 30 sessions" in picker.place.value
    assert "<strong>barns</strong>" in picker.preview.value


def test_pages(picker: SessionPicker) -> None:
    assert (picker.back.disabled, picker.on.disabled) == (True, False)
    for _ in range(5):
        picker.on.click()
    assert (len(lines(picker)), chosen(picker), picker.on.disabled) == (6, "plan 5", True)
    picker.back.click()
    assert "13 to 24 of 30" in picker.place.value


def test_the_last_page_may_go(picker: SessionPicker, store: nbs.Store) -> None:
    picker.on.click()
    picker.on.click()
    for number in range(6):
        store.delete(f"plan {number}")
    picker.refresh()
    assert "13 to 24 of 24" in picker.place.value


def test_search_and_filters(picker: SessionPicker, store: nbs.Store) -> None:
    picker.search.value = "barn"
    assert [line.split(" · ")[0] for line in lines(picker)] == ["plan 29"]
    picker.search.value = ""
    picker.agent.value = "coder"
    assert "of 10 sessions" in picker.place.value
    picker.tag.value = "draft"
    assert "of 5 sessions" in picker.place.value
    picker.age.value = "last 7 days"
    assert "of 5 sessions" in picker.place.value
    old = a_record("old", name="old", agent_name="coder", tags=["draft"])
    store.backend.insert(old.model_copy(update={"updated_at": now() - timedelta(days=9)}))
    picker.refresh()
    assert "of 5 sessions" in picker.place.value
    picker.age.value = "last 30 days"
    assert "of 6 sessions" in picker.place.value


def test_another_filter_shows_its_first_page(picker: SessionPicker) -> None:
    picker.on.click()
    choose(picker, "plan 10")
    picker.tag.value = "draft"
    assert (chosen(picker), "1 to 12 of 15" in picker.place.value) == ("plan 29", True)


def test_agents_and_tags_are_offered_and_what_is_chosen_stays(
    picker: SessionPicker, store: nbs.Store
) -> None:
    assert [label for label, _ in picker.agent.options] == ["any agent", "analyst", "coder"]
    picker.agent.value = "coder"
    store.create("new", agent_name="lawyer", tags=["urgent"])
    picker.refresh()
    assert [label for label, _ in picker.agent.options] == ["any agent", "analyst", "coder", "lawyer"]
    assert [label for label, _ in picker.tag.options] == ["any tag", "draft", "urgent"]
    assert (picker.agent.value, "of 10 sessions" in picker.place.value) == ("coder", True)


def test_nothing_is_found_and_nothing_can_be_done(picker: SessionPicker) -> None:
    picker.search.value = "no such words"
    assert "No session is like that." in picker.preview.value
    assert (picker.record, lines(picker)) == (None, [])
    assert all(button.disabled for button in picker.buttons.values())
    press(picker, "Resume")
    assert told(picker) == "No session is chosen."
    picker.search.value = ""
    assert not any(button.disabled for button in picker.buttons.values())


def test_an_empty_store() -> None:
    picker = SessionPicker(nbs.open_store("memory:"))
    assert "There are no sessions yet." in picker.preview.value
    assert "0 sessions" in picker.place.value
    assert str(picker) == "Session\n0 sessions"


def test_what_is_looked_at_stays_when_the_store_changes(picker: SessionPicker, store: nbs.Store) -> None:
    choose(picker, "plan 25")
    store.create("newer")
    picker.refresh()
    assert (lines(picker)[0][:5], chosen(picker)) == ("newer", "plan 25")
    store.delete("plan 25")
    picker.refresh()
    assert chosen(picker) == "plan 24"


def test_a_filter_is_heard_while_others_are_offered_on_another_thread(
    picker: SessionPicker, store: nbs.Store
) -> None:
    store.create("new", agent_name="lawyer", tags=["urgent"])

    def choose_meanwhile(change: Any) -> None:
        with ThreadPoolExecutor(1) as other:
            other.submit(setattr, picker.tag, "value", "draft").result()

    filters = picker._filters
    heard = threading.Event()
    filters.on_change(heard.set)
    picker.agent.observe(choose_meanwhile, "options")
    filters.offer(store.page())
    assert heard.is_set()


def test_this_notebook(store: nbs.Store, tmp_path: Path) -> None:
    here = str(tmp_path / "a.ipynb")
    store.create("here", notebook=here)
    picker = SessionPicker(store, workspace=Workspace(notebook=lambda: here))
    picker.here.value = True
    assert [line.split(" · ")[0] for line in lines(picker)] == ["here"]
    picker.close()


def test_where_the_notebook_is_not_known_it_is_said(picker: SessionPicker) -> None:
    picker.here.value = True
    assert told(picker) == "It is not known where this notebook is saved."
    assert (picker.here.value, len(lines(picker))) == (False, 12)


def test_what_cannot_be_read_says_so_and_the_others_are_there(
    picker: SessionPicker, store: nbs.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged(*arguments: Any, **options: Any) -> Any:
        raise nbs.StoreUnavailable("turn-1 cannot be read.")

    monkeypatch.setattr(store.backend, "chain", damaged)
    choose(picker, "plan 28")
    choose(picker, "plan 29")
    assert "turn-1" in picker.preview.value
    choose(picker, "plan 28")
    assert "Nothing has been said in" in picker.preview.value


# What can be done


def test_resume_makes_it_the_current_session(store: nbs.Store) -> None:
    workspace = Workspace(Settings(store="memory:", agent="echo"), names={"echo": lambda prompt: prompt})
    picker = SessionPicker(store, workspace=workspace)
    choose(picker, "plan 27")
    picker.buttons["Resume"].click()
    assert told(picker) == "Resumed 'plan 27' (0 turns): the next %%agent goes on with it."
    assert (workspace.store, workspace.need_session().name) == (store, "plan 27")
    assert picker.session is workspace.session
    picker.close()
    workspace.use_store("memory:")
    assert store.exists("plan 27"), "who opened it goes on with it"


def test_a_store_that_was_opened_twice_stays_open(tmp_path: Path) -> None:
    workspace = Workspace(Settings(store=str(tmp_path / "sessions.db")), notebook=lambda: None)
    first = SessionPicker(workspace.store, workspace=workspace)
    with nbs.open_store(str(tmp_path / "sessions.db")) as again:
        again.create("plan")
        second = SessionPicker(again, workspace=workspace)
        second.resume()
        second.close()
    first.refresh()
    first.resume()
    assert told(first) == "Resumed 'plan' (0 turns): the next %%agent goes on with it."
    first.close()
    workspace.close()


def test_without_a_notebook_the_session_is_the_pickers(picker: SessionPicker) -> None:
    picker.resume()
    assert picker.session is not None
    assert picker.session.name == "plan 29"


def test_fork_and_the_fork_is_looked_at(picker: SessionPicker, store: nbs.Store) -> None:
    picker.on.click()
    picker.back.click()
    answer(picker, "Fork")
    assert told(picker) == "Made 'plan 29 (fork)': 2 messages of 'plan 29'."
    assert (chosen(picker), store.record("plan 29 (fork)").message_count) == ("plan 29 (fork)", 2)
    choose(picker, "plan 29")
    answer(picker, "Fork")
    assert chosen(picker) == "plan 29 (fork 2)"


def test_rename_and_undo(picker: SessionPicker, store: nbs.Store) -> None:
    choose(picker, "plan 20")
    picker.buttons["Rename"].click()
    assert (picker.question.is_open, picker.question.text.value) == (True, "plan 20")
    picker.question.text.value = "essay"
    picker.question.yes.click()
    assert (told(picker), chosen(picker)) == ("Renamed 1 session: 'plan 20' to 'essay'.", "essay")
    picker.undo.click()
    assert told(picker) == "Undone for 1 session: 'plan 20'."
    assert store.exists("plan 20")


def test_tag_and_undo(picker: SessionPicker, store: nbs.Store) -> None:
    choose(picker, "plan 20")
    answer(picker, "Tag", " kept, old ,")
    assert told(picker) == "Tagged 1 session with 'kept', 'old': 'plan 20'."
    assert (chosen(picker), store.record("plan 20").tags) == ("plan 20", ["kept", "old"])
    assert "old" in [label for label, _ in picker.tag.options]
    picker.undo.click()
    assert store.record("plan 20").tags == []


def test_checkpoint(picker: SessionPicker, store: nbs.Store) -> None:
    answer(picker, "Checkpoint", "before")
    assert told(picker) == "Checkpoint 'before' after 2 messages."
    assert [one.name for one in store.resume("plan 29").checkpoints()] == ["before"]


def test_export_keeps_the_question_until_it_works(picker: SessionPicker, tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text("mine")
    answer(picker, "Export", str(path))
    assert "exists already" in told(picker)
    assert (picker.question.is_open, picker.question.text.value) == (True, str(path))
    picker.question.text.value = str(tmp_path / "other.json")
    picker.question.yes.click()
    assert (picker.question.is_open, (tmp_path / "other.json").exists()) == (False, True)
    assert path.read_text() == "mine"


def test_delete_asks_and_the_next_one_is_looked_at(picker: SessionPicker, store: nbs.Store) -> None:
    choose(picker, "plan 28")
    picker.buttons["Delete"].click()
    assert store.exists("plan 28")
    picker.question.no.click()
    assert (store.exists("plan 28"), picker.question.is_open) == (True, False)
    answer(picker, "Delete")
    assert told(picker).startswith("Deleted 1 session with 0 messages: 'plan 28'.")
    assert (store.exists("plan 28"), chosen(picker)) == (False, "plan 27")


def test_a_question_means_the_session_that_it_asked_about(picker: SessionPicker, store: nbs.Store) -> None:
    choose(picker, "plan 28")
    picker.buttons["Delete"].click()
    choose(picker, "plan 27")
    store.create("newer")
    picker.refresh()
    picker.question.yes.click()
    picker.question.yes.click()
    assert (store.exists("plan 28"), store.exists("plan 27"), store.exists("newer")) == (False, True, True)


def test_what_is_typed_stays_when_the_store_changes(picker: SessionPicker, store: nbs.Store) -> None:
    picker.buttons["Rename"].click()
    picker.question.text.value = "half a na"
    store.create("newer")
    picker.refresh()
    assert (picker.question.is_open, picker.question.text.value) == (True, "half a na")


def test_what_was_deleted_meanwhile_is_told(picker: SessionPicker, store: nbs.Store) -> None:
    store.delete("plan 29")
    picker.buttons["Resume"].click()
    assert picker.session is None
    assert told(picker).startswith("Session 'plan 29' was deleted, by you or another kernel.")
    picker.refresh()
    picker.buttons["Rename"].click()
    store.delete("plan 28")
    picker.question.yes.click()
    assert told(picker).startswith("Renamed no session.")
    assert "1 session (gone): 'plan 28'" in told(picker)
    picker.refresh()
    assert chosen(picker) == "plan 27"


# What the browser says


def test_keys(picker: SessionPicker, store: nbs.Store) -> None:
    press(picker, "Rename")
    press(picker, "agree", text="essay")
    assert store.exists("essay")
    press(picker, "Delete")
    press(picker, "escape")
    press(picker, "agree")
    assert (picker.question.is_open, store.exists("essay")) == (False, True)
    picker.search.value = "essay"
    press(picker, "escape")
    assert (picker.search.value, len(lines(picker))) == ("", 12)


def test_a_click_means_what_the_browser_shows(picker: SessionPicker) -> None:
    """What was typed or chosen last may come after the click."""
    press(picker, "Resume", search="", at=3, line=lines(picker)[3])
    assert told(picker).startswith("Resumed 'plan 26'")
    press(picker, "Resume", search="barn", at=3, line=lines(picker)[3])
    assert told(picker).startswith("Resumed 'plan 29'")


def test_a_click_on_what_is_gone_does_nothing(picker: SessionPicker, store: nbs.Store) -> None:
    at, line = 3, lines(picker)[3]
    store.delete("plan 26")
    picker.refresh()
    press(picker, "Delete", search="", at=at, line=line)
    assert told(picker) == "The list has changed in this moment. Look at it again."
    assert not picker.question.is_open


_JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(["agree", "Fork"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


@given(content=_JUNK, do=_JUNK, fields=st.fixed_dictionaries({"at": _JUNK, "line": _JUNK, "text": _JUNK}))
def test_what_the_browser_never_sends_changes_nothing(content: Any, do: Any, fields: dict[str, Any]) -> None:
    store = nbs.open_store("memory:")
    store.create("plan")
    picker = SessionPicker(store)
    picker._keys._handle_custom_msg(content, [])
    press(picker, do, **fields)
    assert [(record.name, record.tags) for record in store.list()] == [("plan", [])]
    picker.close()


def test_clicks_on_many_threads_are_done_one_after_the_other(picker: SessionPicker, store: nbs.Store) -> None:
    """As those of sub-shells are: each thread has its own connection to SQLite."""

    def act(number: int) -> None:
        picker.search.value = f"plan {number}"
        press(picker, "Tag")
        press(picker, "agree", text=f"t{number}")
        picker.on.click()
        press(picker, "Resume", search="", at=None)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(act, range(24)))
    picker.search.value = ""
    assert "of 30 sessions" in picker.place.value
    assert "Resumed" in told(picker) or "Tagged" in told(picker)
    counted = [tag for record in store.list(None) for tag in record.tags if tag.startswith("t")]
    assert len(counted) == len(set(counted)) > 0


# Who looks at it


def test_no_name_and_no_message_acts() -> None:
    store = nbs.open_store("memory:")
    for number, text in enumerate(CORPUS):
        store.backend.insert(a_record(f"h-{number}", name=text, agent_name=text, tags=[text]))
        call = {"id": "c", "function": {"name": text, "arguments": text}}
        said = {"role": "assistant", "content": text, "reasoning_content": text, "tool_calls": [call]}
        store.resume(f"h-{number}").add_message(said)
    picker, seen = SessionPicker(store), 0
    while True:
        for index in range(len(lines(picker))):
            picker.list.index = index
            assert_safe(picker.preview.value)
            picker.buttons["Rename"].click()
            assert_safe(picker.question.children[0].value)
            picker.question.no.click()
            picker.resume()
            assert_safe(picker.line.value)
            seen += 1
        shown = [*lines(picker), *(label for label, _ in (*picker.agent.options, *picker.tag.options))]
        assert not [text for text in shown if CONTROLS.search(text) or "\n" in text or len(text) > 160]
        assert_safe(picker._repr_mimebundle_()[0]["text/html"])
        assert not CONTROLS.search(str(picker))
        if picker.on.disabled:
            break
        picker.on.click()
    assert seen == len(CORPUS)


def test_what_is_saved_is_small() -> None:
    store = nbs.open_store("memory:")
    session = store.create("long")
    for number in range(10):
        call = {"id": "c", "function": {"name": "read", "arguments": "x" * 200_000}}
        message = {
            "role": "assistant",
            "content": f"{number} " + "words " * 50_000,
            "tool_calls": [call] * 50,
        }
        session.add_message(message)
    assert len(SessionPicker(store).preview.value) < 25_000
