"""Turns in their chains: read whole, from the end, by cell, by role."""

from __future__ import annotations

import json

from nbsessions.records import Head, Turn
from nbsessions.stores.base import Backend
from nbsessions.testing.contract.base import Contract
from nbsessions.testing.samples import a_move, a_turn, grown, inserted


class Turns(Contract):
    """Turns in their chains: read whole, from the end, by cell, by role."""

    def test_a_turn_keeps_the_state_that_it_began_with(self, backend: Backend) -> None:
        key = inserted(backend, state={"step": 0})
        first, second = grown(backend, key, ("user",), ("user",))
        backend.move(a_move(key, None, Head(second.turn_id), head=Head(second.turn_id), state='{"step":2}'))
        third = a_turn(second)
        backend.move(a_move(key, third, Head(second.turn_id), state='{"step":3}'))
        states = [json.loads(backend.state_before(turn.turn_id)) for turn in (first, second, third)]
        assert states == [{"step": 0}, {"step": 0}, {"step": 2}]
        assert backend.state_before("nowhere") == "{}"
        backend.delete([key])
        assert json.loads(backend.state_before(third.turn_id)) == {"step": 2}

    def test_a_chain_can_be_read_from_its_end(self, backend: Backend) -> None:
        key = inserted(backend)
        turns = grown(
            backend, key, ("user",), ("user", "assistant", "tool"), ("assistant",), ("user", "user")
        )
        last = turns[-1].turn_id
        expected = {
            None: turns,
            1: turns[3:],
            2: turns[3:],
            3: turns[2:],
            4: turns[1:],
            6: turns[1:],
            7: turns,
        }
        for messages, tail in expected.items():
            assert backend.chain(last, messages=messages) == tail
        assert backend.chain(last, messages=1000) == turns
        assert backend.chain(turns[1].turn_id) == turns[:2]

    def test_the_last_turn_of_a_cell_is_found(self, backend: Backend) -> None:
        key = inserted(backend)
        turns: list[Turn] = []
        for cell in ("a", None, "b", "a", None):
            turns.append(a_turn(turns[-1] if turns else None, cell_id=cell))
        backend.move(a_move(key, turns[-1], turns=tuple(turns)))
        elsewhere = a_turn(turns[0], cell_id="c")
        backend.move(a_move(key, elsewhere, Head(turns[-1].turn_id)))
        last = turns[-1].turn_id
        assert backend.asked_by("a", last) == turns[3]
        assert backend.asked_by("a", turns[2].turn_id) == turns[0]
        assert backend.asked_by("b", last) == turns[2]
        assert backend.asked_by("c", last) is None  # on another branch
        assert backend.asked_by("b", turns[1].turn_id) is None  # later
        assert backend.asked_by("c", elsewhere.turn_id) == elsewhere

    def test_turns_with_system_messages_are_found(self, backend: Backend) -> None:
        turns = grown(
            backend,
            inserted(backend),
            ("system",),
            ("user",),
            ("user", "system"),
            ("user",),
            ("system",),
            ("user",),
        )
        assert backend.system_turns(turns[5].turn_id) == [turns[0], turns[2], turns[4]]
        assert backend.system_turns(turns[4].turn_id) == [turns[0], turns[2]]
        assert backend.system_turns(turns[1].turn_id) == [turns[0]]
        assert backend.system_turns(turns[0].turn_id) == []
