from __future__ import annotations

import pytest

from nbsessions import Store
from nbsessions.trees import tree
from tests.conftest import add


def test_a_session_alone_is_its_prompts(store: Store) -> None:
    session = store.create("plan")
    add(session, "Where do owls live?")
    add(session, "In barns.", role="assistant")
    add(session, "And\nwhat do they eat?")
    assert tree(session) == (
        "plan · 3 messages · you are here\n├── 1 Where do owls live?\n└── 3 And what do they eat?"
    )
    assert tree(store.create()).endswith(" · 0 messages · you are here")


def test_forks_and_checkpoints_stand_where_they_begin(store: Store) -> None:
    session = store.create("plan")
    add(session, "one")
    session.checkpoint("before")
    add(session, "two")
    fork = session.fork("idea", at=1)
    add(fork, "another two")
    inner = fork.fork("deeper")
    inner.checkpoint("deep")
    assert tree(inner).splitlines() == [
        "plan · 2 messages",
        "├── 1 one",
        "├── 1 ◆ before",
        "├── 1 ↳ idea · 2 messages",
        "│   ├── 2 another two",
        "│   └── 2 ↳ deeper · 2 messages · you are here",
        "│       └── 2 ◆ deep",
        "└── 2 two",
    ]
    assert tree(session).replace(" · you are here", "") == tree(inner).replace(" · you are here", "")


def test_what_stands_on_a_line_that_was_left_says_so(store: Store) -> None:
    session = store.create("plan")
    add(session, "one", "first idea")
    session.checkpoint("first")
    session.fork("kept")
    session.rewind(1)
    add(session, "second idea", "more")
    assert tree(session).splitlines() == [
        "plan · 3 messages · you are here",
        "├── 1 one",
        "├── 2 ◆ first · on a line that was left at 1",
        "├── 2 ↳ kept · 2 messages · from a line that was left at 1",
        "├── 2 second idea",
        "└── 3 more",
    ]


def test_of_many_prompts_the_last_are_drawn(store: Store) -> None:
    session = store.create("plan")
    add(session, *map(str, range(30)))
    lines = tree(session).splitlines()
    assert lines[1] == "├── … 18 earlier prompts"
    assert (lines[2], lines[-1], len(lines)) == ("├── 19 18", "└── 30 29", 14)


def test_a_deleted_parent_is_told(store: Store) -> None:
    session = store.create("plan")
    add(session, "one")
    fork = session.fork("other")
    store.delete("plan")
    assert tree(fork).splitlines()[0] == (
        f"other · 1 message · you are here · from {session.session_id[-8:]}, deleted"
    )


def test_a_draft_is_drawn_where_one_stands_on_it(store: Store) -> None:
    session = store.create("plan", autosave=False)
    add(session, "unsaved")
    assert tree(session) == "plan · 1 message · you are here\n└── 1 unsaved"
    assert tree(store.resume("plan")) == "plan · 0 messages · with an unsaved draft · you are here"


def test_the_ends_of_lines_that_were_left_are_drawn(store: Store) -> None:
    session = store.create("plan")
    add(session, "one", "two", "three")
    ends = [session.head.turn_id or ""]
    session.rewind(1)
    add(session, "another")
    ends.append(session.head.turn_id or "")
    session.undo()
    assert tree(session).splitlines() == [
        "plan · 1 message · you are here",
        "├── 1 one",
        f"├── 2 ✂ {ends[1][-8:]} · another · left at 1",
        f"└── 3 ✂ {ends[0][-8:]} · three · left at 1",
    ]
    session.checkpoint("kept")
    session.rewind(ends[0][-8:])
    session.checkpoint("three")
    session.rewind(0)
    assert [line for line in tree(session).splitlines() if "✂" in line] == [
        f"├── 2 ✂ {ends[1][-8:]} · another · left at 0"
    ]


def test_another_session_can_be_drawn_from_here(store: Store) -> None:
    session, other = store.create("plan"), store.create("other")
    assert tree(other, session.key) == "other · 0 messages"


@pytest.mark.parametrize("name", ["[bold]plan[/bold]", "plan \U0001f989", "x" * 200, "a\u202eb"])
def test_names_and_prompts_are_only_text(store: Store, name: str) -> None:
    session = store.create("plan")
    if name != "a\u202eb":
        session.rename(name)
    add(session, f"[red]{name}\x1b[31m")
    drawn = tree(session)
    assert "\x1b" not in drawn
    assert "\u202e" not in drawn
    assert "[red]" in drawn
    assert max(map(len, drawn.splitlines())) < 120


def test_a_damaged_session_is_drawn_with_what_is_left(store: Store) -> None:
    session = store.create("plan")
    add(session, "one", "two")
    session.fork("other")
    session.redact(0)
    assert "1 [redacted]" in tree(session)


def test_a_circle_of_parents_ends(store: Store) -> None:
    store.create(session_id="a", parent_session_id="b")
    assert len(tree(store.create(session_id="b", parent_session_id="a")).splitlines()) == 2
