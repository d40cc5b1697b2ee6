"""What a store keeps of checkpoints."""

from __future__ import annotations

from typing import Any

import pytest

from nbsessions.exceptions import DamagedTurn, SessionNotFound
from nbsessions.records import Checkpoint, Head
from nbsessions.stores.base import Backend, Key
from nbsessions.testing.contract.base import Contract
from nbsessions.testing.samples import a_move, a_record, grown, inserted
from nbsessions.values import new_id, now


def a_checkpoint(key: Key, name: str = "before", head: Head = Head(), **changes: Any) -> Checkpoint:
    """Return a checkpoint of a session."""
    fields: dict[str, Any] = {
        "checkpoint_id": new_id(),
        "session_id": key.session_id,
        "name": name,
        "head": head,
        "message_count": 0,
        "turn_count": 0,
        "created_at": now(),
    }
    return Checkpoint(**fields | changes)


def names(backend: Backend, key: Key, turn_id: str | None = None) -> list[str]:
    """Return what the checkpoints are called, newest first."""
    return [checkpoint.name for checkpoint in backend.checkpoints(key, turn_id)]


class Checkpoints(Contract):
    """What a store keeps of checkpoints."""

    def test_a_checkpoint_comes_back_as_it_was_made(self, backend: Backend) -> None:
        key = inserted(backend)
        (turn,) = grown(backend, key, ("user", "assistant"))
        made = a_checkpoint(
            key,
            "vör dem Schritt",
            Head(turn.turn_id, 1),
            message_count=1,
            turn_count=1,
            state={"a": ["\0", "北"]},
            parent_id="c0",
        )
        backend.add_checkpoint(key, made)
        assert backend.checkpoints(key, None) == [made]

    def test_checkpoints_are_listed_newest_first(self, backend: Backend) -> None:
        key = inserted(backend)
        for name in ("a", "b", "a"):
            backend.add_checkpoint(key, a_checkpoint(key, name))
        assert names(backend, key) == ["a", "b", "a"]

    def test_a_checkpoint_that_was_made_is_not_made_again(self, backend: Backend) -> None:
        key = inserted(backend)
        made = a_checkpoint(key)
        for _ in range(2):
            backend.add_checkpoint(key, made)
        assert backend.checkpoints(key, None) == [made]

    def test_those_on_the_turns_up_to_a_head_are_found_too(self, backend: Backend) -> None:
        key, other = inserted(backend), inserted(backend, "s2")
        turns = grown(backend, key, ("user",), ("user",), ("user",))
        for number, turn in enumerate(turns):
            backend.add_checkpoint(key, a_checkpoint(key, str(number), Head(turn.turn_id)))
        assert names(backend, other) == []
        assert names(backend, other, turns[1].turn_id) == ["1", "0"]
        assert names(backend, key, turns[0].turn_id) == ["2", "1", "0"]

    def test_a_checkpoint_needs_its_session_and_its_turn(self, backend: Backend) -> None:
        key = inserted(backend)
        gone = Key("", "nowhere")
        with pytest.raises(SessionNotFound):
            backend.add_checkpoint(gone, a_checkpoint(gone))
        with pytest.raises(SessionNotFound):
            backend.checkpoints(gone, None)
        with pytest.raises(DamagedTurn):
            backend.add_checkpoint(key, a_checkpoint(key, head=Head("nowhere")))
        assert names(backend, key) == []

    def test_a_fork_keeps_those_on_its_turns_where_their_session_is_deleted(self, backend: Backend) -> None:
        key = inserted(backend)
        turns = grown(backend, key, ("user",), ("user",))
        fork = a_record("fork", head=Head(turns[0].turn_id), message_count=1, turn_count=1)
        backend.insert(fork)
        for turn in turns:
            backend.add_checkpoint(key, a_checkpoint(key, turn.turn_id, Head(turn.turn_id)))
        backend.delete([key])
        (left,) = backend.checkpoints(Key.of(fork), turns[0].turn_id)
        assert (left.name, left.session_id) == (turns[0].turn_id, "")

    def test_a_fork_is_made_and_moved_with_a_state_of_its_own(self, backend: Backend) -> None:
        key = inserted(backend)
        (turn,) = grown(backend, key, ("user",))
        backend.move(a_move(key, None, Head(turn.turn_id), state='{"step":1}'))
        backend.add_checkpoint(key, a_checkpoint(key, state={"step": 1}))
        assert backend.checkpoints(key, None)[0].state == {"step": 1}
