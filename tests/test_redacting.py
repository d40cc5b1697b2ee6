from __future__ import annotations

import warnings
from typing import Any

import pytest
from pydantic_ai.messages import ModelMessagesTypeAdapter

import nbsessions as nbs
from nbsessions import RunFailed, Session, Store, codecs
from nbsessions.codecs import Codec
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


class Future(Codec):
    """What a plug-in reads, until it is no longer installed."""

    name = "future"


@pytest.fixture
def plugged(store: Store, monkeypatch: pytest.MonkeyPatch) -> Session:
    """A session of two turns and a fork, where a plug-in wrote a turn that repeats the first message."""
    session = store.create("plan")
    add(session, "My password is hunter2", "two")
    said = session.turns[0].body
    monkeypatch.setitem(codecs._CODECS, "future", Future())
    session.fork("fork").commit("turn", "future", said, prompts=1)
    session.commit("turn", "future", '[{"role":"user","content":"three"}]', prompts=1)
    monkeypatch.delitem(codecs._CODECS, "future")
    return session


def test_what_nobody_here_can_read_does_not_keep_the_rest_from_being_redacted(
    plugged: Session, store: Store
) -> None:
    unread = store.resume("fork").head.turn_id
    with pytest.warns(RuntimeWarning, match=f"Turn {unread} may hold a copy.*'future'"):
        plugged.redact(0)
    assert store.search("hunter2") == []
    bodies = [turn.body for _, turn in store.backend.scan(0, 100) if turn.turn_id != unread]
    assert not any("hunter2" in body for body in bodies)


def test_a_message_that_nobody_here_can_read_is_refused_and_nothing_is_half_done(
    plugged: Session, store: Store
) -> None:
    before = store.backend.scan(0, 100)
    with pytest.raises(nbs.InvalidInput, match="No codec reads 'future'"):
        plugged.redact(2)
    assert store.backend.scan(0, 100) == before
    with pytest.warns(RuntimeWarning, match="may hold a copy"):
        plugged.redact(0)


def test_a_run_whose_answer_nobody_here_can_read_is_listed(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = store.create("plan")
    session.send("one", agent=lambda prompt: "Hi")
    monkeypatch.delitem(codecs._CODECS, "chat")
    with pytest.warns(RuntimeWarning, match="was asked cannot be read. No codec reads 'chat'"):
        (run,) = session.runs()
    assert (run.prompt, run.status) == (None, "completed")


class Full:
    """A store that is full after so many redactions."""

    def __init__(self, backend: Any, left: int) -> None:
        self._backend, self._left = backend, left

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def redact(self, *args: Any, **options: Any) -> Any:
        if not self._left:
            raise nbs.StoreUnavailable("The disk is full.")
        self._left -= 1
        return self._backend.redact(*args, **options)


@pytest.mark.parametrize("done", [0, 1, 2])
def test_what_stopped_half_way_is_done_when_it_is_tried_again(store: Store, done: int) -> None:
    session = store.create("plan")
    session.send("hunter2", agent=lambda prompt: "Hi")
    for _ in range(2):
        fork = session.fork()
        fork.rewind(1)
        add(fork, "and on")
    session.backend = Full(store.backend, done)  # type: ignore[assignment]
    with pytest.raises(nbs.StoreUnavailable):
        session.redact(0)
    session = store.resume("plan")
    session.redact(0)
    assert all("hunter2" not in turn.body for _, turn in store.backend.scan(0, 100))
    assert store.search("hunter2") == []


def test_copies_of_messages_without_a_time_are_redacted_too(store: Store) -> None:
    session = store.create("plan")
    said = [
        ("system", "The key is hunter2"),
        ("user", "hunter2?"),
        ("assistant", "Yes"),
        ("user", "hunter2?"),
    ]
    session.messages = [{"role": role, "content": text} for role, text in said]
    cut, cleared = session.fork("cut"), session.fork("cleared")
    cut.rewind(2)
    add(cut, "and on")
    cleared.clear_history()
    add(cleared, "and on")
    for place in (0, 1):
        session.redact(place)
    # Of what was said twice, one was meant.
    assert texts(session) == ["[redacted]", "[redacted]", "Yes", "hunter2?"]
    assert texts(store.resume("cut")) == ["[redacted]", "[redacted]", "and on"]
    assert texts(store.resume("cleared")) == ["[redacted]", "and on"]


def test_a_damaged_copy_is_told(store: Store) -> None:
    session = store.create("plan")
    add(session, "My password is hunter2")
    copied = session.fork()
    copied.clear_history()
    copied.commit("turn", "chat", session.turns[0].body, prompts=1)
    damaged = copied.turns[-1]
    store.backend.redact(copied.key, damaged._replace(content_hash=b"wrong" * 13), was=damaged.body, text="")
    with pytest.warns(RuntimeWarning, match=f"Turn {damaged.turn_id} may hold a copy.*it is damaged"):
        session.redact(0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert texts(store.resume("plan")) == ["[redacted]"]


def test_a_copy_is_found_where_the_session_between_was_deleted(store: Store) -> None:
    session = store.create("plan")
    session.send("hunter2", agent=lambda prompt: "Hi")
    middle = session.fork("middle")
    middle.rewind(1)
    add(middle, "and on")
    middle.fork("leaf").fork("leaf of it")
    store.delete("middle")
    session.redact(0)
    for name in ("plan", "leaf", "leaf of it"):
        assert texts(store.resume(name))[0] == "[redacted]", name


def test_positions_of_any_whole_number_are_taken_and_no_others(store: Store) -> None:
    import numpy as np

    session = store.create("plan")
    add(session, "0", "1", "2")
    for odd in (True, False, None, 1.0, "1"):
        with pytest.raises(nbs.InvalidInput, match="position must be a whole number"):
            session.redact(odd)  # type: ignore[arg-type]
    for gone in (3, -4, 2**70, np.int64(-9)):
        with pytest.raises(nbs.InvalidInput, match=f"There is no message {gone} in 'plan': it has 3"):
            session.redact(gone)
    session.redact(np.int64(-1))
    assert texts(session) == ["0", "1", "[redacted]"]


def test_who_looks_again_does_not_see_what_another_redacted(store: Store) -> None:
    session = store.create("plan")
    add(session, "hunter2")
    assert texts(session) == ["hunter2"]
    store.resume("plan").redact(0)
    session.refresh()
    assert texts(session) == ["[redacted]"]
