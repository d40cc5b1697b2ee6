"""What a store keeps of sessions: records, names, queries, deleting."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from itertools import islice
from typing import Any, Final

import pytest

from nbsessions.exceptions import RunNotFound, SessionExists, SessionNotFound
from nbsessions.records import Head, Usage
from nbsessions.stores.base import Backend, Change, Finish, Key, Query, Visit
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
from nbsessions.values import from_micros, micros, now

_MANY: Final = 620
"""More than a store takes at once."""


class _Interrupted(list[Key]):
    def __iter__(self) -> Iterator[Key]:
        yield from islice(super().__iter__(), _MANY - 20)
        raise KeyboardInterrupt


class Sessions(Contract):
    """What a store keeps of sessions: records, names, queries, deleting."""

    def test_a_session_comes_back_as_it_was_inserted(self, backend: Backend) -> None:
        record = a_record(
            conversation_id="c1",
            name="plan",
            tags=["b", "a", 'odd "%_\\'],
            metadata={"a": [1, 2.5, None, {"ä": "\x00 😀"}]},
            state={"step": 1},
            model="m",
            notebook="/a.ipynb",
            parent_session_id="p",
            usage=Usage(input_tokens=1, output_tokens=2, requests=3, cost=Decimal("0.000000001")),
        )
        backend.insert(record)
        assert backend.get(Key("c1", "s1")) == record
        (entry,) = backend.log(Key("c1", "s1"))
        assert (entry.action, entry.head, entry.before, json.loads(entry.state)) == (
            "create",
            Head(),
            None,
            {"step": 1},
        )
        assert backend.current(Key("c1", "s1"), draft=False) == backend.entry(entry.entry_id) == entry

    def test_what_is_not_there_is_none(self, backend: Backend) -> None:
        assert backend.get(Key("", "s1")) is None
        assert backend.find(Query()) == []
        assert backend.turn("nowhere") is None
        assert backend.turns(["nowhere"]) == backend.turns([]) == {}
        assert backend.chain("nowhere") == backend.system_turns("nowhere") == []
        assert backend.asked_by("cell", "nowhere") is None
        assert backend.entry(1) is None
        assert backend.entry(0) is None
        assert backend.get_run("nowhere") is None
        assert backend.runs() == []
        assert backend.last_visit("ada", "/a.ipynb") is None
        for call in (backend.log, lambda key: backend.current(key, draft=False)):
            with pytest.raises(SessionNotFound):
                call(Key("", "s1"))
        for again in (backend.events, lambda run_id: backend.append_events(run_id, [("A", "{}")], first=0)):
            with pytest.raises(RunNotFound):
                again("nowhere")
        with pytest.raises(RunNotFound):
            backend.finish_run(Finish(run_id="nowhere", status="failed", finished_at=0))

    def test_keys_and_names_are_taken_once(self, backend: Backend) -> None:
        inserted(backend, name="plan")
        for clash in (a_record(), a_record("s2", name="plan")):
            with pytest.raises(SessionExists):
                backend.insert(clash)
        for free in (
            a_record("s2", name="plan", conversation_id="c1"),
            a_record("s3", name="plan", agent_name="other"),
            a_record("s4", name="plan", owner="bob"),
            a_record("s1", conversation_id="c1"),
            a_record("s5"),
            a_record("s6"),
        ):
            backend.insert(free)
        assert len(backend.find(Query(conversation_id=None))) == 7

    def test_sessions_are_found_by_all_that_a_query_names(self, backend: Backend) -> None:
        start = now()
        several: list[dict[str, Any]] = [
            {"session_id": "ab-1", "name": "one", "tags": ["x", "y"]},
            {"session_id": "ab-2", "agent_name": "other", "tags": ["xy"]},
            {"session_id": "cb-1", "owner": "bob", "notebook": "/a.ipynb"},
            {"session_id": "a%_1", "tags": ['"x"']},
            {"session_id": "ab-1", "conversation_id": "c1", "tags": ["x"]},
        ]
        for number, changes in enumerate(several):
            inserted(backend, **changes, updated_at=start + timedelta(seconds=number))
        assert found(backend) == ["a%_1", "cb-1", "ab-2", "ab-1"]
        assert found(backend, conversation_id=None, limit=2) == ["ab-1", "a%_1"]
        assert found(backend, limit=0) == []
        assert found(backend, conversation_id="c1") == ["ab-1"]
        assert found(backend, conversation_id=None, session_id="ab-1") == ["ab-1", "ab-1"]
        assert found(backend, name="one") == ["ab-1"]
        assert found(backend, prefix="ab") == ["ab-2", "ab-1"]
        assert found(backend, prefix="a%") == found(backend, suffix="%_1") == ["a%_1"]
        assert found(backend, suffix="b-1") == ["cb-1", "ab-1"]
        assert found(backend, prefix="AB") == found(backend, prefix="ab-1-and-more") == []
        assert found(backend, agent_name="other") == ["ab-2"]
        assert found(backend, owner="bob") == found(backend, notebook="/a.ipynb") == ["cb-1"]
        assert found(backend, tag="x") == ["ab-1"]
        assert found(backend, tag='"x"') == ["a%_1"]
        assert found(backend, tag="x", owner="bob") == []
        assert found(backend, since=micros(start + timedelta(seconds=2))) == ["a%_1", "cb-1"]
        assert found(backend, since=micros(start + timedelta(seconds=2, microseconds=1))) == ["a%_1"]
        assert found(backend, until=micros(start + timedelta(seconds=2)))[:1] == ["cb-1"]
        assert "cb-1" not in found(backend, until=micros(start + timedelta(seconds=2)) - 1)

    def test_an_update_changes_what_it_names(self, backend: Backend) -> None:
        key = inserted(backend, name="plan", tags=["a"])
        inserted(backend, "s2", name="taken")
        before = backend.get(key)
        assert before is not None
        at = micros(before.updated_at) + 1
        changes = {
            "name": "essay",
            "tags": ["b"],
            "metadata": {"x": [1]},
            "model": "m",
            "notebook": "/a.ipynb",
        }
        after = backend.update(key, changes, at)
        assert (
            after == backend.get(key) == before.model_copy(update=changes | {"updated_at": from_micros(at)})
        )
        with pytest.raises(SessionExists):
            backend.update(key, {"name": "taken", "tags": ["c"]}, at + 1)
        assert backend.get(key) == after
        assert backend.update(key, {}, at + 2).updated_at == from_micros(at + 2)
        with pytest.raises(SessionNotFound):
            backend.update(Key("", "nowhere"), {"name": "x"}, at)

    def test_several_are_got_at_once(self, backend: Backend) -> None:
        keys = [inserted(backend, name) for name in ("a", "b", "c")]
        keys.append(inserted(backend, "a", conversation_id="c1"))
        asked = [keys[3], Key("", "nowhere"), keys[0], keys[0], Key("c2", "a")]
        several = backend.get_all(asked)
        assert [*several] == [keys[3], keys[0]]
        assert [*several.values()] == [backend.get(keys[3]), backend.get(keys[0])]
        assert backend.get_all([]) == {}

    def test_several_are_changed_at_once_where_they_are_as_expected(self, backend: Backend) -> None:
        keys = [inserted(backend, name, tags=["x"]) for name in ("a", "b", "c")]
        backend.update(keys[1], {"tags": ["y"]}, 1)
        at = micros(now())
        changes = [Change(key, {"tags": ["z"]}, {"tags": ["x"]}) for key in (*keys, Key("", "nowhere"))]
        done = backend.update_all(changes, at)
        assert [*done] == [keys[0], keys[2]]
        assert [record.tags for record in backend.get_all(keys).values()] == [["z"], ["y"], ["z"]]
        assert all(backend.get(key) == record for key, record in done.items())
        assert {record.updated_at for record in done.values()} == {from_micros(at)}
        (again,) = backend.update_all([Change(keys[0], {"tags": []}, at=at - 1)], at + 1).values()
        assert backend.get(keys[0]) == again
        assert again.updated_at == from_micros(at - 1)
        assert backend.update_all([], at) == {}

    def test_names_go_from_one_session_to_another(self, backend: Backend) -> None:
        keys = [inserted(backend, name, name=name) for name in ("a", "b", "c")]
        names = {keys[0]: "b", keys[1]: "a"}
        backend.update_all([Change(key, {"name": name}) for key, name in names.items()], micros(now()))
        assert [record.name for record in backend.get_all(keys).values()] == ["b", "a", "c"]

    @pytest.mark.parametrize("names", [("x", "c"), ("x", "x"), ("b", "c")])
    def test_nothing_is_changed_where_a_name_is_taken(self, backend: Backend, names: tuple[str, str]) -> None:
        keys = [inserted(backend, name, name=name) for name in ("a", "b", "c")]
        before = backend.get_all(keys)
        changes = [Change(key, {"name": name}) for key, name in zip(keys, names, strict=False)]
        with pytest.raises(SessionExists, match=names[1]):
            backend.update_all(changes, micros(now()))
        assert backend.get_all(keys) == before

    def test_what_is_given_out_is_the_stores_no_more(self, backend: Backend) -> None:
        tags, metadata = ["a"], {"a": [1]}
        key = inserted(backend, tags=tags, metadata=metadata)
        given = [
            backend.get(key),
            backend.find(Query())[0],
            backend.update(key, {"model": "m"}, micros(now())),
        ]
        tags.append("b")
        metadata["a"].append(2)
        for record in given:
            assert record is not None
            record.tags.append("c")
            record.metadata["a"].append(3)
            record.state["a"] = 4
        stored = backend.get(key)
        assert stored is not None
        assert (stored.tags, stored.metadata, stored.state) == (["a"], {"a": [1]}, {})

    def test_deleting_removes_sessions_with_their_logs(self, backend: Backend) -> None:
        keys = [inserted(backend, name, name=name) for name in ("a", "b", "c")]
        (turn,) = grown(backend, keys[0], ("user",))
        backend.visit("ada", "/a.ipynb", Visit(keys[0]), 1)
        entries = [entry.entry_id for entry in backend.log(keys[0])]
        assert backend.delete([keys[0], keys[1], Key("", "nowhere")]) == 2
        assert backend.delete([keys[0]]) == backend.delete([]) == 0
        assert found(backend) == ["c"]
        with pytest.raises(SessionNotFound):
            backend.log(keys[0])
        assert [backend.entry(entry) for entry in entries] == [None, None]
        assert backend.last_visit("ada", "/a.ipynb") is None
        assert backend.turn(turn.turn_id) == turn  # others may stand on it
        inserted(backend, "a", name="a")
        assert [entry.action for entry in backend.log(keys[0])] == ["create"]

    def test_many_are_deleted_and_changed_at_once(self, backend: Backend) -> None:
        keys = [inserted(backend, f"s{number}") for number in range(_MANY)]
        run = a_run(keys[-1])
        backend.start_run(run)
        backend.finish_run(a_finish(run, "failed", usage=SPENT))
        tagged = backend.update_all([Change(key, {"tags": ["x"]}) for key in keys], micros(now()))
        assert [*tagged] == keys
        assert backend.get_all(keys) == tagged
        seen = [micros(record.updated_at) for record in tagged.values()]
        backend.update(keys[1], {"tags": []}, seen[1] + 1)
        assert backend.delete(keys, seen=seen, at=micros(now())) == _MANY - 1
        assert found(backend) == ["s1"]
        assert [kept.usage for kept in backend.runs()] == [SPENT]

    def test_many_of_which_only_some_are_taken_are_not_deleted_at_all(self, backend: Backend) -> None:
        """Ctrl-C comes in the midst of it."""
        keys = [inserted(backend, f"s{number}") for number in range(_MANY)]
        with pytest.raises(KeyboardInterrupt):
            backend.delete(_Interrupted(keys))
        assert len(backend.find(Query())) == _MANY
        assert backend.delete(keys) == _MANY

    def test_one_that_changed_since_it_was_seen_is_not_deleted(self, backend: Backend) -> None:
        keys = [inserted(backend, name) for name in ("moved", "drafted", "named", "asked", "dead", "same")]
        seen = [micros(record.updated_at) for key in keys if (record := backend.get(key)) is not None]
        at = micros(now())
        backend.move(a_move(keys[0], a_turn()))
        backend.move(a_move(keys[1], a_turn(), draft=True))
        backend.update(keys[2], {"name": "plan"}, at + 1)
        backend.start_run(a_run(keys[3]))
        backend.start_run(a_run(keys[4], lease_until=from_micros(at)))
        both = [*keys, Key("", "nowhere")], [*seen, 0]
        assert backend.delete(both[0], seen=both[1], at=at) == 2
        assert sorted(found(backend)) == ["asked", "drafted", "moved", "named"]
        assert backend.delete(both[0], seen=both[1], at=at) == 0
        assert backend.delete(keys) == 4

    def test_what_a_deleted_session_spent_stays_without_names(self, backend: Backend) -> None:
        key = inserted(backend)
        (turn,) = grown(backend, key, ("user",))
        run = a_run(key, cell_id="cell", retry_of="r0", base=Head(turn.turn_id, 1))
        backend.start_run(run)
        backend.finish_run(a_finish(run, "failed", usage=SPENT, error="secret", events=[("A", "{}")]))
        backend.delete([key])
        (kept,) = backend.runs()
        assert (kept.usage, kept.status, kept.agent_name) == (SPENT, "failed", "local")
        named = (
            kept.session_id,
            kept.prompt,
            kept.error,
            kept.cell_id,
            kept.retry_of,
            kept.turn_id,
            kept.base,
        )
        assert named == ("", None, None, None, None, None, Head())
        assert backend.events(run.run_id) == []
        assert backend.runs(key) == []
