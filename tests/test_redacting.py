from __future__ import annotations

import pytest
from pydantic_ai.messages import ModelMessagesTypeAdapter

import nbsessions as nbs
from nbsessions import RunFailed, Session, Store
from nbsessions.runner import new_run
from tests.conftest import add, texts
from tests.test_going_on import broken


def test_a_copy_in_a_cut_turn_is_redacted_too(store: Store) -> None:
    session = store.create("plan")
    session.send("hunter2", agent=lambda prompt: "Hi")
    session.rewind(1)
    add(session, "and on")
    session.redact(0)
    for _ in range(2):
        session.undo()
    assert texts(session) == ["[redacted]", "Hi"]
    assert store.search("hunter2") == []
    assert all("hunter2" not in turn.body for _, turn in store.backend.scan(0, 100))


@pytest.mark.parametrize("first", ["plan", "cleared"])
def test_a_copy_that_clearing_made_is_redacted_too(store: Store, first: str) -> None:
    session = store.create("plan")
    add(session, "The key is hunter2", role="system")
    add(session, "Hello")
    fork = session.fork("cleared")
    fork.clear_history()
    store.resume(first).redact(0)
    assert texts(store.resume("plan")) == ["[redacted]", "Hello"]
    assert texts(store.resume("cleared")) == ["[redacted]"]
    # What a handle has read before, it does not write back.
    session.clear_history()
    assert texts(session) == ["[redacted]"]


def test_the_same_words_said_again_are_not_a_copy(store: Store) -> None:
    session = store.create("plan")
    add(session, "yes", "yes")
    session.redact(0)
    assert texts(session) == ["[redacted]", "yes"]


def test_two_that_redact_one_turn_both_do(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    session = store.create("plan")
    session.messages = [{"role": "user", "content": "secret one"}, {"role": "user", "content": "secret two"}]
    other, original = store.resume("plan"), nbs.session.Session._need_turn
    raced: list[bool] = []

    def late(self: Session, turn_id: str) -> nbs.Turn:
        turn = original(self, turn_id)
        if self is session and not raced:
            raced.append(True)
            other.redact(1)
        return turn

    monkeypatch.setattr(Session, "_need_turn", late)
    session.redact(0)
    assert raced
    assert texts(store.resume("plan")) == ["[redacted]", "[redacted]"]


def test_runs_of_others_that_asked_the_same_stay_as_they_are(store: Store) -> None:
    def failing(prompt: str) -> str:
        raise ValueError(prompt)

    mine, theirs = store.create("mine"), store.create("theirs")
    with pytest.raises(RunFailed):
        theirs.send("yes", agent=failing)
    running = new_run(theirs, "local", "yes")
    store.backend.start_run(running)
    store.backend.append_events(running.run_id, [("A", "{}")], first=0)
    add(mine, "yes")
    mine.redact(0)
    assert [run.prompt for run in theirs.runs()] == ["yes", "yes"]
    assert len(theirs.run_events(running.run_id)) == 1


def test_what_a_run_told_that_another_went_on_from_goes_too(store: Store) -> None:
    session, scale, stopped = broken(store)
    session.resume_run(stopped, agent=scale.agent)
    assert "0 kg" in str(session.run_events(stopped))
    session.redact(3)
    assert list(session.run_events(stopped)) == []
    assert store.backend.progress(stopped) is None


def test_whose_words_they_are_is_asked_also_where_the_parent_is_gone(store: Store) -> None:
    store.owner = "bob"
    add(store.create("bobs"), "my own words")
    store.owner = "alice"
    parent = store.resume("bobs").fork("parent")
    fork = parent.fork("fork")
    store.delete("parent")
    with pytest.raises(nbs.NotOwner, match="belongs to 'bob'"):
        fork.redact(0)
    assert texts(fork) == ["my own words"]


WITH_A_FILE = """[
{"kind": "request", "parts": [{"part_kind": "user-prompt", "content": "A picture"}]},
{"kind": "response", "provider_details": {"logprobs": ["Here"]}, "parts": [
  {"part_kind": "text", "content": "Here"},
  {"part_kind": "file", "content": {"data": "iVBORw==", "media_type": "image/png", "kind": "binary"}}]}
]"""


def test_a_redacted_answer_with_a_file_can_be_gone_on_from(store: Store) -> None:
    session = store.create("plan")
    ModelMessagesTypeAdapter.validate_json(WITH_A_FILE)
    session.commit("turn", "pydantic-ai", WITH_A_FILE, prompts=1)
    session.redact(1)
    body = session.turns[0].body
    assert "Here" not in body
    assert "iVBOR" not in body
    ModelMessagesTypeAdapter.validate_json(body)
    assert session.send("And now?", agent=lambda prompt, history: history[1].text).output.startswith(
        "[redacted]"
    )
