from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import nbsessions as nbs
from nbsessions import DamagedTurn, Head, InvalidInput, Session, Store, Turn
from nbsessions.records import SessionRecord
from nbsessions.stores.base import Query
from nbsessions.stores.memory import MemoryBackend
from tests.conftest import add, texts


@pytest.fixture
def plan(store: Store) -> Session:
    session = store.create("plan", state={"step": 0})
    for number in range(3):
        add(session, str(number))
        session.state = {"step": number + 1}
    return session


# Checkpoints


def test_a_checkpoint_keeps_the_place_and_the_state(plan: Session) -> None:
    made = plan.checkpoint("here")
    assert (made.name, made.head, made.message_count, made.turn_count) == ("here", plan.head, 3, 3)
    assert (made.state, made.session_id, made.parent_id) == ({"step": 3}, plan.session_id, None)
    assert plan.checkpoints() == [made]


def test_rewinding_to_a_checkpoint_restores_both_and_undo_takes_it_back(plan: Session, store: Store) -> None:
    plan.checkpoint("here")
    plan.state = {"step": 9}
    add(plan, "later")
    plan.rewind("here")
    assert (texts(plan), plan.state) == (["0", "1", "2"], {"step": 3})
    assert store.resume("plan").state == {"step": 3}
    plan.undo()
    assert (texts(plan), plan.state) == (["0", "1", "2", "later"], {"step": 9})


def test_a_checkpoint_leads_back_to_a_line_that_was_left(plan: Session) -> None:
    plan.checkpoint("first idea")
    plan.rewind(1)
    add(plan, "second idea")
    plan.rewind("first idea")
    assert (texts(plan), plan.state) == (["0", "1", "2"], {"step": 3})
    plan.undo()
    assert texts(plan) == ["0", "second idea"]


def test_a_checkpoint_of_another_state_at_the_same_place_is_a_move(plan: Session) -> None:
    plan.checkpoint("here")
    plan.state = {"step": 9}
    plan.rewind("here")
    assert plan.state == {"step": 3}


def test_a_name_that_is_used_again_means_the_newest(plan: Session) -> None:
    first = plan.checkpoint("here")
    add(plan, "later")
    second = plan.checkpoint("here")
    assert second.parent_id == first.checkpoint_id
    plan.rewind(1)
    assert plan.rewind("here").message_count == 4
    assert plan.rewind(first.checkpoint_id).message_count == 3
    assert plan.rewind(first.checkpoint_id[-8:]).message_count == 3


def test_naming_the_same_place_twice_makes_one(plan: Session) -> None:
    assert plan.checkpoint("here") == plan.checkpoint("here")
    assert len(plan.checkpoints()) == 1
    plan.state = {"step": 9}
    assert plan.checkpoint("here").parent_id == plan.checkpoints()[1].checkpoint_id


def test_a_checkpoint_without_a_name_is_numbered(plan: Session) -> None:
    plan.checkpoint("checkpoint 2")
    names = []
    for number in range(3):
        add(plan, str(number))
        names.append(plan.checkpoint().name)
    assert names == ["checkpoint 1", "checkpoint 3", "checkpoint 4"]
    assert [made.name for made in plan.checkpoints(2)] == ["checkpoint 4", "checkpoint 3"]


@pytest.mark.parametrize("name", ["3", " 3 ", "-3", "+3", "", "a\nb", "latest", "x" * 201, "\ud800", 7])
def test_a_name_that_cannot_be_used_is_refused(plan: Session, name: Any) -> None:
    with pytest.raises(InvalidInput):
        plan.checkpoint(name)
    assert plan.checkpoints() == []


def test_a_checkpoint_of_nothing_leads_back_to_it(store: Store) -> None:
    session = store.create("plan")
    session.checkpoint("empty")
    add(session, "Hello")
    assert texts(session.rewind("empty")) == []


def test_a_checkpoint_in_a_draft_is_durable(store: Store) -> None:
    session = store.create("plan", autosave=False)
    add(session, "Hello")
    session.checkpoint("here")
    again = store.resume("plan")
    assert again.message_count == 0
    assert texts(again.rewind("here")) == ["Hello"]


def test_a_fork_has_the_checkpoints_on_its_turns(plan: Session, store: Store) -> None:
    plan.rewind(1)
    plan.checkpoint("shared")
    fork = plan.fork("other")
    plan.undo()
    plan.checkpoint("not shared")
    add(fork, "mine")
    fork.checkpoint("own")
    assert [made.name for made in fork.checkpoints()] == ["own", "shared"]
    assert [made.name for made in plan.checkpoints()] == ["not shared", "shared"]
    store.delete("plan")
    assert [made.name for made in fork.checkpoints()] == ["own", "shared"]
    assert texts(fork.rewind("shared")) == ["0"]


def test_checkpoints_outlive_a_restart(path: Path) -> None:
    with nbs.open_store(path) as store:
        session = store.create("plan", state={"step": 1})
        add(session, "Hello")
        made = session.checkpoint("here")
    with nbs.open_store(path) as store:
        assert store.resume("plan").checkpoints() == [made]
        assert store.fork("plan", "other", made).state == {"step": 1}


# Places


@pytest.mark.parametrize("how", ["id", "suffix", "turn"])
def test_a_turn_is_a_place(plan: Session, how: str) -> None:
    turn = plan.turns[1]
    to: dict[str, str | Turn] = {"id": turn.turn_id, "suffix": turn.turn_id[-8:], "turn": turn}
    assert plan.place(to[how])[:3] == (Head(turn.turn_id), 2, 2)
    plan.rewind(to[how])
    assert (texts(plan), plan.state) == (["0", "1"], {"step": 2})


def test_forks_begin_at_any_place(plan: Session) -> None:
    made = plan.checkpoint("here")
    add(plan, "later")
    for at, count in ((0, 0), (2, 2), ("here", 3), (made, 3), (plan.turns[0], 1), (None, 4)):
        assert plan.fork(at=at).message_count == count
    assert texts(plan) == ["0", "1", "2", "later"]


def test_a_fork_from_a_checkpoint_has_its_state(plan: Session) -> None:
    plan.checkpoint("here")
    plan.state = {"step": 9}
    assert (plan.fork(at="here").state, plan.fork().state) == ({"step": 3}, {"step": 9})


@pytest.mark.parametrize("to", ["nowhere", "", "2", "\ud800", "a\0b"])
def test_a_place_that_is_not_there_is_named(plan: Session, to: str) -> None:
    with pytest.raises(InvalidInput, match="There is no place"):
        plan.rewind(to)
    plan.checkpoint("here")
    with pytest.raises(InvalidInput, match="Its checkpoints: 'here'"):
        plan.fork(at=to)
    assert texts(plan) == ["0", "1", "2"]


@pytest.mark.parametrize("to", [-1, 1.5, None, b"1", object()])
def test_what_is_no_place_is_refused(plan: Session, to: Any) -> None:
    with pytest.raises(InvalidInput):
        plan.rewind(to)


def test_a_turn_where_the_session_once_stood_leads_back_there(plan: Session) -> None:
    left = plan.turns[2]
    plan.rewind(1)
    add(plan, "another")
    plan.rewind(left)
    assert texts(plan) == ["0", "1", "2"]
    # So does the end of its id, which the tree shows: also after one undo too many.
    for _ in range(2):
        plan.undo()
    assert texts(plan.rewind(left.turn_id[-8:])) == ["0", "1", "2"]


def test_a_turn_of_another_session_is_no_place(plan: Session, store: Store) -> None:
    other = store.create("other")
    add(other, "not mine")
    with pytest.raises(InvalidInput, match="'plan' was never at turn"):
        plan.rewind(other.turns[0])
    with pytest.raises(InvalidInput, match="There is no place"):
        plan.fork(at=other.turns[0].turn_id)


def test_what_came_by_a_fork_is_redacted_by_its_author_alone(plan: Session, store: Store) -> None:
    store.owner = "bob"
    fork = store.resume("plan").fork("mine")
    inner = fork.fork("mine too")
    add(inner, "my own")
    for session in (fork, inner):
        with pytest.raises(nbs.NotOwner, match="belongs to 'ada'"):
            session.redact(0)
    inner.redact(-1)
    assert texts(inner) == ["0", "1", "2", "[redacted]"]
    store.owner = "ada"
    store.resume("plan").redact(0)
    assert texts(inner)[0] == "0"  # this handle has read it before
    assert texts(store.resume("mine too"))[0] == "[redacted]"


def test_a_run_that_committed_nothing_is_redacted_alone(store: Store) -> None:
    def broken(prompt: str) -> str:
        raise ValueError(f"bad {prompt}")

    session = store.create("plan")
    with pytest.raises(nbs.RunFailed):
        session.send("hunter2", agent=broken)
    done = session.send("Hello", agent=lambda prompt: "Hi")
    (failed, _) = session.runs()
    session.redact_run(failed.run_id)
    assert [(run.prompt, run.error) for run in session.runs()] == [
        ("[redacted]", "[redacted]"),
        ("Hello", None),
    ]
    assert list(session.run_events(failed.run_id)) == []
    with pytest.raises(InvalidInput, match="is completed"):
        session.redact_run(done.run_id)
    with pytest.raises(nbs.RunNotFound):
        store.create("other").redact_run(failed.run_id)


# Branches


def test_branches_are_the_forks_and_their_forks(plan: Session, store: Store) -> None:
    first = plan.fork("first")
    second = first.fork("second")
    plan.fork("third")
    store.create("stranger")
    store.create("child", conversation_id="c1", parent_session_id=plan.session_id)
    assert [record.name for record in plan.branches()] == ["first", "second", "third"]
    assert [record.name for record in first.branches()] == ["second"]
    assert second.branches() == []


def test_branches_end_also_where_ids_make_a_circle(store: Store) -> None:
    store.create(session_id="a", parent_session_id="b")
    session = store.create(session_id="b", parent_session_id="a")
    assert [record.session_id for record in session.branches()] == ["a"]


class _Earlier(MemoryBackend):
    """A store that was written before a query had `parents`, and passes over it."""

    def find(self, query: Query) -> list[SessionRecord]:
        return super().find(query._replace(parents=None))


def test_branches_are_found_in_a_store_that_knows_no_parents_either() -> None:
    store = Store(_Earlier("memory:"))
    plan, stranger = store.create("plan"), store.create("stranger")
    stranger.fork("of the stranger")
    plan.fork("first").fork("second")
    assert [record.name for record in plan.branches()] == ["first", "second"]


# Redaction


def test_redacting_takes_what_a_message_says_and_leaves_its_place(store: Store) -> None:
    session = store.create("plan")
    call = {"id": "c1", "type": "function", "function": {"name": "login", "arguments": '{"key":"hunter2"}'}}
    session.messages = [
        {"role": "user", "content": "hunter2", "secret": "hunter2", "timestamp": "2026-01-01T00:00:00Z"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "content": "hunter2 is right", "tool_call_id": "c1", "name": "login"},
        {"role": "assistant", "content": "You are in."},
    ]
    before = session.turns
    for position in (0, 1, 2):
        session.redact(position)
    redacted = session.messages
    assert [message.role for message in redacted] == ["user", "assistant", "tool", "assistant"]
    assert [message.text for message in redacted] == ["[redacted]", "", "[redacted]", "You are in."]
    assert redacted[0].timestamp is not None
    assert redacted[1].calls == [("c1", "login", "{}")]
    assert (redacted[2].tool_call_id, redacted[2].name) == ("c1", "login")
    assert "hunter2" not in str([turn.body for turn in session.turns])
    assert [turn.hash for turn in session.turns] == [turn.hash for turn in before]


def test_redacting_reaches_every_session_that_has_the_message(plan: Session, store: Store) -> None:
    fork = plan.fork("other")
    add(fork, "mine")
    plan.redact(1)
    assert texts(store.resume("other")) == ["0", "[redacted]", "2", "mine"]
    assert texts(store.resume("plan")) == ["0", "[redacted]", "2"]


@pytest.mark.parametrize("agent", ["function", "pydantic-ai"])
def test_redacting_takes_along_what_the_run_told(store: Store, agent: str) -> None:
    from pydantic_ai import Agent
    from pydantic_ai.models.test import TestModel

    answers: dict[str, Any] = {
        "function": lambda prompt: "So it is hunter2",
        "pydantic-ai": Agent(TestModel(custom_output_text="So it is hunter2")),
    }
    session = store.create("plan")
    run = session.send("My password is hunter2", agent=answers[agent])
    session.redact(0)
    session.redact(1)
    assert texts(session) == ["[redacted]", "[redacted]"]
    page = session.run_events(run.run_id)
    assert (list(page), page.gap, page.event_count) == ([], True, run.event_count)
    assert session.runs()[0].prompt == "[redacted]"
    # Another agent goes on with what is left.
    assert session.send("And now?", agent=lambda prompt, history: history[0].text).output == "[redacted]"


def test_a_prompt_that_failed_before_is_redacted_with_its_answer(store: Store) -> None:
    def broken(prompt: str) -> str:
        raise ValueError("no idea")

    session = store.create("plan")
    with pytest.raises(nbs.RunFailed):
        session.send("hunter2", agent=broken)
    session.send("hunter2", agent=lambda prompt: "Hi")
    session.redact(0)
    assert [run.prompt for run in session.runs()] == ["[redacted]", "[redacted]"]


@pytest.mark.parametrize("position", [3, -4, 1.5, None, "1"])
def test_redacting_what_is_not_there_is_refused(plan: Session, position: Any) -> None:
    with pytest.raises(InvalidInput):
        plan.redact(position)
    assert texts(plan) == ["0", "1", "2"]


def test_what_was_redacted_can_be_rewound_and_cut_and_redacted_again(store: Store) -> None:
    session = store.create("plan")
    session.messages = [{"role": "user", "content": str(number)} for number in range(4)]
    session.redact(0)
    session.rewind(2)
    session.redact(0)
    add(session, "later")
    assert texts(session) == ["[redacted]", "1", "later"]
    session.undo()
    session.undo()
    assert texts(session) == ["[redacted]", "1", "2", "3"]
    assert store.verify().ok


def test_nothing_of_what_was_redacted_is_left_in_the_files(path: Path) -> None:
    with nbs.open_store(path) as store:
        session = store.create("plan")
        for number in range(50):
            session.send(f"hunter2{number} filler", agent=lambda prompt: f"{prompt} said")
        store.search("filler")
        for position in range(100):
            session.redact(position)
        files = [one for one in path.parent.iterdir() if one.name.startswith(path.name)]
        held = b"".join(one.read_bytes() for one in files)
    assert b"hunter2" not in held
    assert b"hunter2" not in path.read_bytes()


def test_nothing_of_a_deleted_session_is_left_once_it_is_collected(path: Path) -> None:
    with nbs.open_store(path) as store:
        session = store.create("plan")
        for number in range(20):
            session.send(f"hunter2{number}", agent=lambda prompt: f"{prompt} said")
        store.search("said")
        store.delete("plan")
        store.gc()
        files = [one for one in path.parent.iterdir() if one.name.startswith(path.name)]
        assert b"hunter2" not in b"".join(one.read_bytes() for one in files)


def test_a_damaged_message_cannot_be_redacted_unseen(path: Path) -> None:
    import sqlite3

    with nbs.open_store(path) as store:
        add(store.create("plan"), "Hello")
    db = sqlite3.connect(path)
    db.execute("UPDATE turns SET body = replace(body, 'Hello', 'Jello')")
    db.commit()
    db.close()
    with nbs.open_store(path) as store, pytest.raises(DamagedTurn):
        store.resume("plan").redact(0)
