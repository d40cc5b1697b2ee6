"""What a persistent store still knows after it was closed and opened again: all of it."""

from __future__ import annotations

import json

import pytest

from nbsessions.exceptions import SessionExists, SessionNotFound
from nbsessions.records import Head
from nbsessions.stores.base import Backend, Change, HeadMoved, Key, Progress, Query, Value, Visit, is_intact
from nbsessions.testing.contract.base import Contract, Reopen
from nbsessions.testing.contract.checkpoints import a_checkpoint
from nbsessions.testing.contract.words import a_redacted, tell
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
from nbsessions.values import micros, now


class Restarts(Contract):
    """What a persistent store still knows after it was closed and opened again: all of it."""

    def test_sessions_are_found_again(self, backend: Backend, reopen: Reopen) -> None:
        rich = {"metadata": {"a": [1, 2.5, None, {"ä": "\x00 😀"}]}, "tags": ["b", "a"], "state": {"step": 1}}
        keys = [inserted(backend, name, name=name, **rich) for name in ("a", "b", "c")]
        inserted(backend, "a", conversation_id="c1")
        backend.update(keys[0], {"name": "essay", "tags": ["x"], "metadata": {}, "model": "m"}, micros(now()))
        backend.update_all([Change(keys[2], {"tags": ["y"]}, {"tags": ["b", "a"]})], micros(now()))
        backend.delete([keys[1]])
        before = backend.find(Query(conversation_id=None))
        after = reopen()
        assert after.find(Query(conversation_id=None)) == before
        assert len(before) == 3
        assert found(after, tag="x") == found(after, name="essay") == ["a"]
        assert found(after, tag="y") == ["c"]
        assert after.get(keys[1]) is None
        with pytest.raises(SessionExists):
            after.insert(a_record("d", name="essay"))
        inserted(after, "b", name="b")

    def test_sessions_of_one_moment_keep_their_order(self, backend: Backend, reopen: Reopen) -> None:
        at = now()
        for session_id in ("b", "a", "d", "c"):
            inserted(backend, session_id, created_at=at, updated_at=at)
        assert found(backend) == found(reopen()) == ["c", "d", "a", "b"]

    def test_turns_are_found_again(self, backend: Backend, reopen: Reopen) -> None:
        key = inserted(backend, state={"step": 0})
        grown(backend, key, ("system", "user"), ("user",))
        stood = backend.get(key)
        assert stood is not None
        parent = backend.turn(str(stood.head.turn_id))
        last = a_turn(parent, "user", "assistant", cell_id="cell")
        backend.move(a_move(key, last, stood.head, state='{"step":1}'))
        chain = backend.chain(last.turn_id)
        after = reopen()
        assert after.chain(last.turn_id) == chain
        assert chain[-1] == last
        assert all(is_intact(turn) for turn in after.chain(last.turn_id))
        assert after.chain(last.turn_id, messages=1) == [last]
        assert after.asked_by("cell", last.turn_id) == last
        assert after.system_turns(last.turn_id) == chain[:1]
        assert json.loads(after.state_before(last.turn_id)) == {"step": 0}
        more = a_turn(last)
        after.move(a_move(key, more, Head(last.turn_id)))
        assert after.chain(more.turn_id) == [*chain, more]

    def test_a_head_and_its_log_are_found_again(self, backend: Backend, reopen: Reopen) -> None:
        key = inserted(backend, state={"step": 0})
        first, second = grown(backend, key, ("user", "assistant"), ("user",))
        cut = a_move(key, None, Head(second.turn_id), head=Head(first.turn_id, 1), total_messages=1)
        record = backend.move(cut._replace(action="rewind", total_turns=1, state='{"step":1}'))
        log = backend.log(key)
        after = reopen()
        assert after.get(key) == record
        assert after.log(key) == log
        assert after.current(key, draft=False) == after.entry(log[0].entry_id) == log[0]
        with pytest.raises(HeadMoved):
            after.move(a_move(key, a_turn(), Head(second.turn_id)))
        after.move(a_move(key, None, Head(first.turn_id, 1)))
        # An id that was given out once does not come to mean another entry.
        newest = after.log(key)[0]
        assert newest.entry_id not in [entry.entry_id for entry in log]
        assert (newest.before, after.log(key)[1:]) == (log[0].entry_id, log)

    def test_a_draft_is_found_again(self, backend: Backend, reopen: Reopen) -> None:
        key = inserted(backend)
        (turn,) = grown(backend, key, ("user",))
        draft = a_turn(turn)
        record = backend.move(a_move(key, draft, Head(turn.turn_id), draft=True, state='{"step":1}'))
        entry = backend.current(key, draft=True)
        after = reopen()
        assert after.get(key) == record
        assert after.current(key, draft=True) == entry
        assert after.current(key, draft=False).head == Head(turn.turn_id)
        save = a_move(key, None, Head(turn.turn_id), head=Head(draft.turn_id), ends_draft=True)
        after.move(save)
        stored = reopen().get(key)
        assert stored is not None
        assert (stored.head, stored.draft) == (Head(draft.turn_id), None)

    def test_runs_and_events_are_found_again(self, backend: Backend, reopen: Reopen) -> None:
        key = inserted(backend)
        running, failed, completed = runs = [a_run(key, prompt=f"ä\x00 {n}") for n in range(3)]
        for run in runs:
            backend.start_run(run)
            backend.append_events(run.run_id, [("A", '{"a":"ä"}'), ("B", "{}")], first=0)
        backend.renew_lease(running.run_id, micros(now()))
        backend.finish_run(a_finish(failed, "failed", usage=SPENT, error="no idea"))
        turn = a_turn()
        finish = a_finish(completed, usage=SPENT, model="m", events=[("C", "{}")], first=2)
        backend.move(a_move(key, turn, finish=finish))
        before, events = backend.runs(), [backend.events(run.run_id) for run in runs]
        record = backend.get(key)
        after = reopen()
        assert after.runs() == after.runs(key) == before
        assert [run.status for run in before] == ["running", "failed", "completed"]
        assert [after.events(run.run_id) for run in runs] == events
        assert [len(found) for found in events] == [2, 2, 3]
        assert after.get(key) == record
        # And who was not sure that all arrived goes on where it stopped.
        after.append_events(running.run_id, [("B", "{}"), ("C", "{}")], first=1)
        assert [event.type for event in after.events(running.run_id)] == ["A", "B", "C"]
        assert after.finish_run(a_finish(running, "interrupted")).status == "interrupted"

    def test_checkpoints_and_key_values_are_found_again(self, backend: Backend, reopen: Reopen) -> None:
        key = inserted(backend)
        turns = tell(backend, key, "My password is hunter2", "owl")
        made = a_checkpoint(key, head=Head(turns[0].turn_id), message_count=1, state={"step": 1})
        backend.add_checkpoint(key, made)
        backend.put_value(key, Value("a", "1", 0, 10), 9)
        after = reopen()
        assert after.checkpoints(key, None) == [made]
        assert after.values(key, 9) == [Value("a", "1", 0, 10)]

    def test_what_was_redacted_or_collected_stays_so(self, backend: Backend, reopen: Reopen) -> None:
        keys = [inserted(backend, name) for name in ("a", "b")]
        (secret,), (gone,) = tell(backend, keys[0], "My password is hunter2"), tell(backend, keys[1], "owl")
        run = a_run(keys[0])
        backend.start_run(run)
        backend.save_progress(Progress(run.run_id, "chat", "[]", SPENT))
        backend.redact(keys[0], a_redacted(secret, "[redacted]"), was=secret.body, text="")
        backend.delete([keys[1]])
        backend.collect()
        after = reopen()
        found = after.turn(secret.turn_id)
        assert found is not None
        assert is_intact(found)
        assert "hunter2" not in found.body
        assert after.turn(gone.turn_id) is None
        assert after.progress(run.run_id) == Progress(run.run_id, "chat", "[]", SPENT)

    def test_visits_are_found_again(self, backend: Backend, reopen: Reopen) -> None:
        keys = [inserted(backend, "a"), inserted(backend, "b", conversation_id="c1")]
        for at, key in enumerate(keys):
            backend.visit("ada", "/a.ipynb", Visit(key), at)
        after = reopen()
        visit = after.last_visit("ada", "/a.ipynb")
        assert visit is not None
        assert visit.key == Key("c1", "b")
        after.delete([keys[1]])
        earlier = reopen().last_visit("ada", "/a.ipynb")
        assert earlier is not None
        assert earlier.key == Key("", "a")

    def test_what_was_deleted_stays_so(self, backend: Backend, reopen: Reopen) -> None:
        key = inserted(backend, name="plan")
        run = a_run(key, prompt="secret")
        backend.start_run(run)
        backend.append_events(run.run_id, [("A", '{"a":"secret"}')], first=0)
        backend.move(a_move(key, a_turn(), finish=a_finish(run, usage=SPENT)))
        backend.delete([key])
        before = backend.runs()
        after = reopen()
        assert after.runs() == before
        assert (before[0].usage, before[0].prompt, after.events(run.run_id)) == (SPENT, None, [])
        with pytest.raises(SessionNotFound):
            after.log(key)

    def test_what_was_refused_left_nothing(self, backend: Backend, reopen: Reopen) -> None:
        key = inserted(backend, name="plan")
        (turn,) = grown(backend, key, ("user",))
        late, run = a_turn(), a_run(key)
        backend.start_run(run)
        with pytest.raises(HeadMoved):
            backend.move(a_move(key, late, finish=a_finish(run, usage=SPENT)))
        with pytest.raises(SessionExists):
            backend.insert(a_record("s2", name="plan"))
        with pytest.raises(SessionExists):
            backend.move(a_move(Key("", "s2"), late, create=a_record("s2", name="plan")))
        before, log = backend.find(Query()), backend.log(key)
        after = reopen()
        assert after.find(Query()) == before
        assert after.log(key) == log
        assert after.turn(late.turn_id) is None
        assert after.turn(turn.turn_id) == turn
        assert after.get_run(run.run_id) == run

    def test_a_move_that_was_made_is_not_made_again_after_a_restart(
        self, backend: Backend, reopen: Reopen
    ) -> None:
        key = inserted(backend)
        run = a_run(key)
        backend.start_run(run)
        move = a_move(key, a_turn(), finish=a_finish(run, usage=SPENT))
        first = backend.move(move)
        after = reopen()
        assert after.move(move._replace(again=True)) == first == after.get(key)
        assert len(after.log(key)) == 2
