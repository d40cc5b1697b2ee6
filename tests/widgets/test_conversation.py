"""The conversation view, as far as it can be seen without a browser: what it shows and what buttons do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell

import nbsessions as nbs
from nbsessions.exceptions import InvalidInput, SessionNotFound, StoreUnavailable
from nbsessions.magics import load, unload
from nbsessions.widgets.conversation import ConversationView
from nbsessions.widgets.live import workspace_here
from tests.formats.hostile import FRAGMENTS
from tests.test_rendering import assert_safe
from tests.widgets.test_turns import talked


def press(view: ConversationView, do: str, turn: int | None = None) -> None:
    """Do what the button of a turn does, counted from the first that is shown."""
    content: dict[str, Any] = {"do": do}
    if turn is not None:
        content["turn"] = view._page["turns"][turn]["id"]
    view._handle_custom_msg(content, [])


def go(view: ConversationView, turn: int, way: int) -> None:
    view._handle_custom_msg({"do": "way", "turn": view._page["turns"][turn]["ways"][way]}, [])


def shown(view: ConversationView) -> list[int]:
    """Return the number of each turn's last message."""
    return [turn["last"] for turn in view._page["turns"]]


def told(view: ConversationView) -> str:
    return str(view._status.get("text"))


def test_it_shows_the_end_and_goes_to_earlier_turns_and_back() -> None:
    view = ConversationView(talked(5), page_size=2)
    assert (shown(view), view._page["earlier"], view._page["later"]) == ([8, 10], True, False)
    press(view, "earlier")
    press(view, "earlier")
    assert (shown(view), view._page["earlier"], view._page["later"]) == ([2], False, True)
    press(view, "earlier")
    press(view, "later")
    assert shown(view) == [4, 6]
    assert str(view).startswith("plan · 6 messages\n\n2 earlier messages are not shown here\n\n3 user")


def test_it_follows_the_session() -> None:
    session = talked(1)
    view = ConversationView(session)
    session.send("And?", agent=lambda prompt: "Yes")
    view.refresh()
    assert (shown(view), view._page["count"]) == ([2, 4], "4 messages")


def test_rewind_keeps_all_up_to_there_and_undo_brings_the_rest_back() -> None:
    session = talked(3)
    view = ConversationView(session)
    press(view, "rewind", 0)
    assert (session.message_count, told(view), view._status["undo"]) == (2, "Now at 2 messages.", True)
    press(view, "undo")
    assert (session.message_count, shown(view), view._status["undo"]) == (6, [2, 4, 6], False)


def test_undo_takes_nothing_back_that_came_later() -> None:
    session = talked(3)
    view = ConversationView(session)
    press(view, "rewind", 0)
    session.send("Something else", agent=lambda prompt: "Yes")
    press(view, "undo")
    assert told(view) == "The conversation went on meanwhile: nothing was undone."
    assert session.message_count == 4


def test_fork_here_shows_the_fork_and_leaves_the_session_as_it_is() -> None:
    session = talked(3)
    view = ConversationView(session)
    press(view, "fork", 1)
    assert (view.session.name, view.session.message_count, session.message_count) == ("plan (fork)", 4, 6)
    assert told(view) == "Made 'plan (fork)': 4 messages of 'plan'."
    assert view._page["title"] == "plan (fork)"


def test_each_way_is_a_click_away() -> None:
    session = talked(2)
    fork = session.fork("other", at=2)
    fork.send("question 3", agent=lambda prompt: "Yes")
    view = ConversationView(session)
    go(view, 1, 1)
    assert (view.session.name, str(view).splitlines()[-1]) == ("other", "Yes")
    go(view, 1, 0)
    assert (view.session.name, view._page["left"]) == ("plan", False)


def test_a_way_that_is_gone_is_told() -> None:
    session = talked(2)
    fork = session.fork("other", at=2)
    fork.send("question 3", agent=lambda prompt: "Yes")
    view = ConversationView(session)
    nbs.Store(session.backend).delete("other")
    go(view, 1, 1)
    assert told(view) == "There is no such way any more."


def test_what_a_program_does_is_shown_at_once() -> None:
    session = talked(3)
    view = ConversationView(session)
    view.rewind(session.turns[1].turn_id)
    assert shown(view) == [2, 4]
    view.fork(session.turns[0].turn_id)
    assert (shown(view), view._page["title"]) == ([2], "plan (fork)")


def test_a_line_that_was_left_can_be_looked_at_and_gone_back_to() -> None:
    session = talked(2).rewind(2)
    session.send("Something else", agent=lambda prompt: "Yes")
    view = ConversationView(session)
    go(view, 1, 0)
    assert (view._page["left"], "answer to question 2" in str(view)) == (True, True)
    press(view, "back")
    assert (view._page["left"], "answer to question 2" in str(view)) == (False, False)
    go(view, 1, 0)
    press(view, "rewind", 1)
    assert (view._page["left"], session.messages[-1].text) == (False, "answer to question 2")


def test_a_page_that_is_no_longer_on_the_line_is_left() -> None:
    session = talked(5)
    view = ConversationView(session, page_size=2)
    press(view, "earlier")
    session.rewind(2)
    view.refresh()
    assert (shown(view), view._page["later"]) == ([2], False)


def test_a_last_prompt_without_an_answer_is_told() -> None:
    session = talked(1)

    def fails(prompt: str) -> str:
        raise ValueError("no")

    with pytest.raises(nbs.RunFailed):
        session.send("Why?", agent=fails)
    assert ConversationView(session)._page["waiting"] == "Not answered, failed: Why?"


def test_a_session_that_is_deleted_is_told_and_the_view_goes_on() -> None:
    store = nbs.open_store("memory:")
    session = store.create("plan")
    view = ConversationView(session)
    store.delete("plan")
    view.refresh()
    assert (view._status["is_error"], "'plan' was deleted" in told(view)) == (True, True)


def test_a_store_that_fails_is_told_and_the_view_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    session = talked(1)
    view = ConversationView(session)

    def fails(*_: object, **__: object) -> None:
        raise StoreUnavailable("The disk is gone.")

    with monkeypatch.context() as patched:
        patched.setattr(session.backend, "chain", fails)
        view.refresh()
        assert (told(view), view._status["is_error"], shown(view)) == ("The disk is gone.", True, [2])
    view.refresh()
    assert (told(view), view._status["is_error"]) == ("", False)


def test_what_a_button_could_not_do_stays_told_when_something_changes() -> None:
    session = talked(1)
    view = ConversationView(session)
    view._handle_custom_msg({"do": "fork", "turn": "nosuch"}, [])
    view.refresh()
    assert told(view).startswith("There is no place 'nosuch' on 'plan'.")


def test_a_session_is_named_as_everywhere() -> None:
    store = nbs.open_store("memory:")
    record = store.create("plan").record
    assert ConversationView("plan", store=store).session.session_id == record.session_id
    assert ConversationView(record, store=store).session.session_id == record.session_id
    with pytest.raises(SessionNotFound):
        ConversationView("owls", store=store)
    with pytest.raises(InvalidInput, match="not int"):
        ConversationView(7)  # type: ignore[arg-type]


def test_what_is_no_wish_changes_nothing() -> None:
    session = talked(2)
    view = ConversationView(session)
    before = view._page
    for content in (
        None,
        "fork",
        {"do": "explode"},
        {"do": ["fork"]},
        {"do": "earlier"},
        {"do": "later"},
        {},
    ):
        view._handle_custom_msg(content, [])
    assert view._page == before
    view._handle_custom_msg({"do": "fork", "turn": "nosuch"}, [])
    assert (
        told(view)
        == "There is no place 'nosuch' on 'plan'. It has no checkpoint yet: `checkpoint` makes one."
    )


def test_nothing_that_is_said_acts() -> None:
    store = nbs.open_store("memory:")
    session = store.create("hostile")
    for text in FRAGMENTS:
        text = text.encode("utf-8", "replace").decode()
        call = {"id": "c", "function": {"name": text, "arguments": text}}
        session.add_message(
            {"role": "assistant", "content": text, "reasoning_content": text, "tool_calls": [call]}
        )
        session.add_message({"role": "tool", "tool_call_id": "c", "content": text})
    view = ConversationView(session, page_size=200)
    assert len(view._page["turns"]) == 2 * len(FRAGMENTS)
    for turn in view._page["turns"]:
        assert_safe(turn["html"])
    assert_safe(view._repr_mimebundle_()[0]["text/html"])


@pytest.fixture
def shell(tmp_path: Any) -> Iterator[InteractiveShell]:
    shell = InteractiveShell.instance()
    shell.config.SessionMagics.store = str(tmp_path / "agents.db")
    load(shell)
    yield shell
    unload(shell)
    shell.config.pop("SessionMagics")
    InteractiveShell.clear_instance()


def test_in_a_notebook_the_fork_is_the_current_session(shell: InteractiveShell, tmp_path: Any) -> None:
    shell.user_ns["agent"] = lambda prompt: f"answer to {prompt}"
    for cell in ("%agent agent", "%%agent\none", "%%agent\ntwo"):
        assert shell.run_cell(cell).success
    workspace = workspace_here()
    assert workspace is not None
    assert workspace.session is not None
    session = workspace.session
    # Somebody may have opened the store a second time.
    with nbs.open_store(tmp_path / "agents.db") as store:
        view = ConversationView(store.resume(session.session_id))
        press(view, "fork", 0)
        assert workspace.session.session_id == view.session.session_id != session.session_id
        assert shell.run_cell("%%agent\nthree").success
        view.refresh()
        assert str(view).endswith("answer to three")
        press(view, "rewind", 0)
        assert workspace.session.message_count == 2
        view.close()
