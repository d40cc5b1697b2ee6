"""How heads move: a compare-and-set, all or nothing, logged."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from nbsessions.exceptions import RunNotFound, SessionExists, SessionNotFound
from nbsessions.records import Head
from nbsessions.stores.base import Backend, HeadMoved, Key, is_intact
from nbsessions.testing.contract.base import Contract
from nbsessions.testing.samples import (
    SPENT,
    a_finish,
    a_move,
    a_record,
    a_run,
    a_turn,
    found,
    grown,
    inserted,
)
from nbsessions.values import from_micros


class Moves(Contract):
    """How heads move: a compare-and-set, all or nothing, logged."""

    def test_a_move_stores_its_turns_and_the_head(self, backend: Backend) -> None:
        key = inserted(backend, state={"step": 0})
        first = a_turn(None, "system", "user")
        second = a_turn(first, "user")
        move = a_move(key, second, turns=(first, second), action="turn", state='{"step":1}')
        record = backend.move(move)
        assert record == backend.get(key)
        assert (record.head, record.message_count, record.turn_count) == (Head(second.turn_id), 3, 2)
        assert (record.state, record.updated_at) == ({"step": 1}, from_micros(move.at))
        assert backend.turn(first.turn_id) == first
        asked = [second.turn_id, "nowhere", first.turn_id, second.turn_id]
        assert backend.turns(asked) == {first.turn_id: first, second.turn_id: second}
        assert backend.chain(second.turn_id) == [first, second]
        assert all(is_intact(turn) for turn in backend.chain(second.turn_id))
        newest, oldest = backend.log(key)
        assert (newest.action, newest.head, newest.message_count, newest.turn_count) == (
            "turn",
            Head(second.turn_id),
            3,
            2,
        )
        assert (newest.before, newest.at) == (oldest.entry_id, move.at)
        assert backend.log(key, 1) == backend.log(key, above=2) == backend.log(key, above=0) == [newest]
        assert backend.log(key, above=3) == []
        assert backend.current(key, draft=True) == newest

    def test_a_move_may_cut_a_turn(self, backend: Backend) -> None:
        key = inserted(backend)
        (turn,) = grown(backend, key, ("user", "assistant"))
        cut = Head(turn.turn_id, 1)
        record = backend.move(
            a_move(key, None, Head(turn.turn_id), head=cut, total_messages=1, action="rewind")
        )
        stored = backend.get(key)
        assert stored is not None
        assert record.head == stored.head == backend.log(key)[0].head == cut
        with pytest.raises(HeadMoved):  # the whole turn is another place
            backend.move(a_move(key, None, Head(turn.turn_id)))
        assert backend.move(a_move(key, None, cut)).head == Head()

    def test_a_move_from_elsewhere_writes_nothing(self, backend: Backend) -> None:
        key = inserted(backend)
        (turn,) = grown(backend, key, ("user",))
        run = a_run(key)
        backend.start_run(run)
        before, log = backend.get(key), backend.log(key)
        late = a_turn(None, "user")
        with pytest.raises(HeadMoved) as caught:
            backend.move(a_move(key, late, finish=a_finish(run, usage=SPENT), state='{"a":1}'))
        assert caught.value.record == before
        assert caught.value.record.head == Head(turn.turn_id)
        assert backend.get(key) == before
        assert backend.log(key) == log
        assert backend.turn(late.turn_id) is None
        assert backend.get_run(run.run_id) == run

    def test_a_move_that_was_made_is_not_made_again(self, backend: Backend) -> None:
        """A retry after a lost answer: the ids are the client's."""
        key = inserted(backend)
        run = a_run(key)
        backend.start_run(run)
        turn = a_turn(None, "user")
        move = a_move(key, turn, finish=a_finish(run, usage=SPENT, events=[("A", "{}")]))
        first = backend.move(move)
        assert backend.move(move) == first == backend.get(key)
        assert len(backend.log(key)) == 2
        assert first.usage == SPENT
        assert len(backend.events(run.run_id)) == 1

    def test_a_fork_is_made_and_moved_at_once(self, backend: Backend) -> None:
        key = inserted(backend, name="plan")
        (turn,) = grown(backend, key, ("user",))
        fork = a_record("s2", name="fork", head=Head(turn.turn_id), message_count=1, turn_count=1)
        answer = a_turn(turn, "assistant")
        record = backend.move(a_move(Key("", "s2"), answer, Head(turn.turn_id), create=fork))
        assert (record.session_id, record.head) == ("s2", Head(answer.turn_id))
        assert [entry.action for entry in backend.log(Key("", "s2"))] == ["message", "create"]
        other = a_turn(turn, "assistant")
        for taken in (a_record("s3", name="plan"), a_record("s2")):
            clash = taken.model_copy(update={"head": Head(turn.turn_id)})
            with pytest.raises(SessionExists):
                backend.move(a_move(Key.of(clash), other, Head(turn.turn_id), create=clash))
        assert backend.turn(other.turn_id) is None
        assert found(backend) == ["s2", "s1"]

    @pytest.mark.parametrize("why", ["run", "session", "head of a new session"])
    def test_a_move_is_all_or_nothing(self, backend: Backend, why: str) -> None:
        key, turn = inserted(backend), a_turn(None, "user")
        new = a_record("s2", name="fork")
        bad, error = {
            "run": (a_move(key, turn, finish=a_finish(a_run(key))), RunNotFound),
            "session": (a_move(Key("", "nowhere"), turn), SessionNotFound),
            "head of a new session": (a_move(Key("", "s2"), turn, Head("elsewhere"), create=new), HeadMoved),
        }[why]
        with pytest.raises(error):
            backend.move(bad)
        assert backend.turn(turn.turn_id) is None
        assert found(backend) == ["s1"]
        assert len(backend.log(key)) == 1
        assert backend.move(a_move(key, turn)).head == Head(turn.turn_id)

    def test_a_move_ends_the_run_that_made_it(self, backend: Backend) -> None:
        key = inserted(backend)
        run, turn = a_run(key), a_turn(None, "user")
        backend.start_run(run)
        backend.append_events(run.run_id, [("A", '{"a":1}')], first=0)
        finish = a_finish(run, usage=SPENT, model="m", provider="p", events=[("B", '{"b":"ä"}')], first=1)
        record = backend.move(a_move(key, turn, finish=finish))
        assert (record.usage, record.model) == (SPENT, "m")
        ended = backend.get_run(run.run_id)
        assert ended is not None
        assert (ended.status, ended.turn_id, ended.usage) == ("completed", turn.turn_id, SPENT)
        assert (ended.model, ended.provider, ended.finished_at) == ("m", "p", from_micros(finish.finished_at))
        assert (ended.worker, ended.lease_until, ended.prompt) == (
            None,
            None,
            None,
        )  # the turn has the prompt
        assert [(event.seq, event.type, event.data) for event in backend.events(run.run_id)] == [
            (0, "A", {"a": 1}),
            (1, "B", {"b": "ä"}),
        ]
        assert ended.event_count == 2

    def test_threads_that_move_one_session_lose_nothing(self, backend: Backend) -> None:
        """Each tries again from where it was told that the head is."""
        key = inserted(backend)

        def append(count: int) -> None:
            record = backend.get(key)
            for _ in range(count):
                while True:
                    assert record is not None
                    parent = None if record.head.turn_id is None else backend.turn(record.head.turn_id)
                    try:
                        record = backend.move(a_move(key, a_turn(parent), record.head))
                        break
                    except HeadMoved as moved:
                        record = moved.record

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(append, [5] * 4))
        record = backend.get(key)
        assert record is not None
        assert record.message_count == len(backend.chain(str(record.head.turn_id))) == 20
        assert len({entry.entry_id for entry in backend.log(key)}) == 21
