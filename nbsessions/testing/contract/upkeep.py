"""How a store is looked through, and rid of what nothing reaches."""

from __future__ import annotations

from nbsessions.records import Head, Step, Usage
from nbsessions.stores.base import Backend, Key, Progress, Query, is_intact
from nbsessions.testing.contract.base import Contract
from nbsessions.testing.contract.checkpoints import a_checkpoint
from nbsessions.testing.contract.words import a_redacted, tell
from nbsessions.testing.samples import a_finish, a_move, a_run, a_turn, grown, inserted


class Upkeep(Contract):
    """How a store is looked through, and rid of what nothing reaches."""

    def test_ancestors_are_told_without_what_they_say(self, backend: Backend) -> None:
        key, other = inserted(backend), inserted(backend, "s2")
        turns = grown(backend, key, ("user",), ("user", "assistant"), ("user",))
        branch = a_turn(turns[0], "user")
        backend.move(a_move(other, branch))
        steps = backend.ancestors([turns[1].turn_id, branch.turn_id])
        assert set(steps) == {turns[0].turn_id, turns[1].turn_id, branch.turn_id}
        first, second = turns[:2]
        assert steps[second.turn_id] == Step(second.turn_id, first.turn_id, 2, 3, 2, 2)
        assert steps[first.turn_id] == Step(first.turn_id, None, 1, 1, 1, 1)
        assert backend.ancestors(["nowhere"]) == backend.ancestors([]) == {}
        below = backend.ancestors([turns[2].turn_id, branch.turn_id], above=1)
        assert set(below) == {turns[1].turn_id, turns[2].turn_id, branch.turn_id}
        assert backend.ancestors([turns[2].turn_id], above=4) == {}

    def test_all_turns_can_be_looked_through(self, backend: Backend) -> None:
        turns = grown(backend, inserted(backend), *[("user", "assistant")] * 5)
        seen, last = [], 0
        while found := backend.scan(last, 2):
            assert len(found) <= 2
            seen += [turn for _, turn in found]
            assert all(number > last for number, _ in found)
            last = found[-1][0]
        assert seen == turns

    def test_the_origin_of_a_session_is_its_first_log_entry(self, backend: Backend) -> None:
        key = inserted(backend)
        grown(backend, key, ("user",), ("user",))
        assert backend.origin(key) == backend.log(key)[-1]
        assert backend.origin(key).action == "create"

    def test_turns_that_nothing_reaches_are_removed(self, backend: Backend) -> None:
        keys = [inserted(backend, name) for name in ("a", "b")]
        kept, gone = (grown(backend, key, ("user",), ("user",)) for key in keys)
        backend.delete([keys[1]])
        assert backend.collect() == 2
        assert [backend.turn(turn.turn_id) for turn in gone] == [None, None]
        assert backend.chain(kept[1].turn_id) == kept
        assert backend.collect() == 0

    def test_turns_that_a_log_or_a_checkpoint_or_a_fork_reaches_stay(self, backend: Backend) -> None:
        key, fork = inserted(backend), inserted(backend, "fork")
        left = grown(backend, key, ("user",), ("user",))
        backend.move(a_move(key, None, Head(left[1].turn_id), action="rewind"))
        shared = grown(backend, fork, ("user",))[0]
        backend.add_checkpoint(key, a_checkpoint(key, head=Head(shared.turn_id)))
        backend.delete([fork])
        assert backend.collect() == 0
        assert backend.chain(left[1].turn_id) == left
        assert backend.turn(shared.turn_id) == shared

    def test_what_a_running_agent_answers_from_stays(self, backend: Backend) -> None:
        key = inserted(backend)
        (turn,) = grown(backend, key, ("user",))
        run = a_run(key, base=Head(turn.turn_id))
        backend.start_run(run)
        backend.delete([key])
        assert backend.collect() == 0
        backend.finish_run(a_finish(run, "failed"))
        assert backend.collect() == 1

    def test_a_redacted_turn_is_whole_and_the_rest_untouched(self, backend: Backend) -> None:
        key = inserted(backend)
        turns = tell(backend, key, "My password is hunter2", "Thank you")
        assert backend.redact(key, a_redacted(turns[0], "[redacted]"), was=turns[0].body, text="")
        chain = backend.chain(turns[1].turn_id)
        assert "hunter2" not in chain[0].body
        assert [turn.hash for turn in chain] == [turn.hash for turn in turns]
        assert all(map(is_intact, chain))
        assert chain[1] == turns[1]
        # What stands there now is held against a hash as well.
        assert not is_intact(chain[0]._replace(body=turns[0].body))

    def test_a_redaction_takes_along_what_runs_tell_of_it(self, backend: Backend) -> None:
        key = inserted(backend)
        run, failed, other = (a_run(key, prompt=text) for text in ("hunter2", "hunter2", "Hello"))
        for one in (run, failed, other):
            backend.start_run(one)
            backend.append_events(one.run_id, [("A", '{"delta":"hunter2"}')], first=0)
            backend.save_progress(Progress(one.run_id, "chat", "[]", Usage()))
        turn = a_turn(None, "user")
        backend.move(a_move(key, turn, finish=a_finish(run)))
        backend.finish_run(a_finish(failed, "failed", error="bad: hunter2"))
        assert backend.redact(key, a_redacted(turn, "[redacted]"), was=turn.body, text="hunter2")
        assert [len(backend.events(one.run_id)) for one in (run, failed, other)] == [0, 0, 1]
        assert [one.prompt for one in backend.runs(key)] == [None, "[redacted]", "Hello"]
        assert [one.error for one in backend.runs(key)] == [None, "[redacted]", None]
        assert [backend.progress(one.run_id) is None for one in (run, failed, other)] == [True, True, False]
        counted = [one.event_count for one in backend.runs(key)]
        assert counted == [1, 1, 1]

    def test_a_run_that_committed_nothing_can_be_redacted(self, backend: Backend) -> None:
        key = inserted(backend)
        run, other = a_run(key, prompt="hunter2"), a_run(key, prompt="Hello")
        for one in (run, other):
            backend.start_run(one)
            backend.append_events(one.run_id, [("A", "{}")], first=0)
            backend.save_progress(Progress(one.run_id, "chat", "[1]", Usage()))
            backend.finish_run(a_finish(one, "failed", error="bad: hunter2"))
        backend.redact_run(run.run_id)
        backend.redact_run("nowhere")
        assert [(one.prompt, one.error, one.status, one.event_count) for one in backend.runs(key)] == [
            ("[redacted]", "[redacted]", "failed", 1),
            ("Hello", "bad: hunter2", "failed", 1),
        ]
        assert [len(backend.events(one.run_id)) for one in (run, other)] == [0, 1]
        assert [backend.progress(one.run_id) is None for one in (run, other)] == [True, False]

    def test_the_store_finds_nothing_wrong_with_itself(self, backend: Backend) -> None:
        grown(backend, inserted(backend), ("user",))
        assert backend.check() == []

    def test_a_session_is_found_by_its_parent(self, backend: Backend) -> None:
        inserted(backend, "a")
        inserted(backend, "b", parent_session_id="a")
        inserted(backend, "c", parent_session_id="a", conversation_id="c1")
        assert [Key.of(one) for one in backend.find(Query(parent_session_id="a"))] == [Key("", "b")]
        inserted(backend, "d", parent_session_id="b")
        found = backend.find(Query(parents=["a", "b", "nowhere"]))
        assert {Key.of(one) for one in found} == {Key("", "b"), Key("", "d")}
        assert backend.find(Query(parents=[])) == []
        assert [Key.of(one) for one in backend.find(Query(None, called=True))] == [Key("c1", "c")]
