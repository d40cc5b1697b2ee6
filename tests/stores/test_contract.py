"""The primitives of a store: one suite, which every kind passes."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from nbsessions import (
    Head,
    Run,
    RunNotFound,
    SessionExists,
    SessionNotFound,
    SessionRecord,
    Store,
    Turn,
    Usage,
)
from nbsessions.stores.base import (
    Backend,
    Finish,
    HeadMoved,
    Key,
    Move,
    Query,
    Visit,
    chain_hash,
    content_hash,
    is_intact,
)
from nbsessions.values import from_micros, micros, new_id, now


@pytest.fixture
def backend(store: Store) -> Backend:
    return store.backend


def a_record(session_id: str = "s1", **changes: Any) -> SessionRecord:
    at = now()
    fields = {"agent_name": "local", "owner": "ada", "created_at": at, "updated_at": at}
    return SessionRecord.model_validate({"session_id": session_id} | fields | changes)


def inserted(backend: Backend, session_id: str = "s1", **changes: Any) -> Key:
    record = a_record(session_id, **changes)
    backend.insert(record)
    return Key.of(record)


def a_turn(parent: Turn | None = None, *roles: str, cell_id: str | None = None) -> Turn:
    body = json.dumps([{"role": role, "content": f"ä {new_id()}"} for role in roles or ("user",)])
    parent_hash = None if parent is None else parent.hash
    count = len(roles or ("user",))
    return Turn(
        turn_id=new_id(),
        parent_id=None if parent is None else parent.turn_id,
        parent_hash=parent_hash,
        codec="chat",
        body=body,
        message_count=count,
        total_messages=count + (0 if parent is None else parent.total_messages),
        total_turns=1 + (0 if parent is None else parent.total_turns),
        depth=1 if parent is None else parent.depth + 1,
        has_system="system" in roles,
        cell_id=cell_id,
        created_at=micros(now()),
        content_hash=None,
        hash=chain_hash(parent_hash, content_hash("chat", body)),
    )


def a_move(key: Key, turn: Turn | None, expected: Head = Head(), **changes: Any) -> Move:  # noqa: B008
    fields: dict[str, Any] = {
        "key": key,
        "action": "message",
        "expected": expected,
        "head": Head() if turn is None else Head(turn.turn_id),
        "total_messages": 0 if turn is None else turn.total_messages,
        "total_turns": 0 if turn is None else turn.total_turns,
        "at": micros(now()),
        "turns": () if turn is None else (turn,),
    }
    return Move(**fields | changes)


def grown(backend: Backend, key: Key, *turns: tuple[str, ...]) -> list[Turn]:
    """Commit a turn for each tuple of roles."""
    made: list[Turn] = []
    head = Head()
    for roles in turns:
        made.append(a_turn(made[-1] if made else None, *roles))
        backend.move(a_move(key, made[-1], head))
        head = Head(made[-1].turn_id)
    return made


def a_run(key: Key, **changes: Any) -> Run:
    at = now()
    return Run(
        **{
            "run_id": new_id(),
            "session_id": key.session_id,
            "conversation_id": key.conversation_id or None,
            "agent_name": "local",
            "prompt": "Hello",
            "started_at": at,
            "worker": "host:1",
            "lease_until": at + timedelta(seconds=10),
        }
        | changes
    )


def a_finish(run: Run, status: str = "completed", **changes: Any) -> Finish:
    fields: dict[str, Any] = {"run_id": run.run_id, "status": status, "finished_at": micros(now())}
    return Finish(**fields | changes)


SPENT = Usage(input_tokens=5, output_tokens=2, requests=1)


def found(backend: Backend, **query: Any) -> list[str]:
    return [record.session_id for record in backend.find(Query(**query))]


# Sessions


def test_a_session_comes_back_as_it_was_inserted(backend: Backend) -> None:
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


def test_what_is_not_there_is_none(backend: Backend) -> None:
    assert backend.get(Key("", "s1")) is None
    assert backend.find(Query()) == []
    assert backend.turn("nowhere") is None
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


def test_keys_and_names_are_taken_once(backend: Backend) -> None:
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


def test_sessions_are_found_by_all_that_a_query_names(backend: Backend) -> None:
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


def test_an_update_changes_what_it_names(backend: Backend) -> None:
    key = inserted(backend, name="plan", tags=["a"])
    inserted(backend, "s2", name="taken")
    before = backend.get(key)
    assert before is not None
    at = micros(before.updated_at) + 1
    changes = {"name": "essay", "tags": ["b"], "metadata": {"x": [1]}, "model": "m", "notebook": "/a.ipynb"}
    after = backend.update(key, changes, at)
    assert after == backend.get(key) == before.model_copy(update=changes | {"updated_at": from_micros(at)})
    with pytest.raises(SessionExists):
        backend.update(key, {"name": "taken", "tags": ["c"]}, at + 1)
    assert backend.get(key) == after
    assert backend.update(key, {}, at + 2).updated_at == from_micros(at + 2)
    with pytest.raises(SessionNotFound):
        backend.update(Key("", "nowhere"), {"name": "x"}, at)


def test_what_is_given_out_is_the_stores_no_more(backend: Backend) -> None:
    tags, metadata = ["a"], {"a": [1]}
    key = inserted(backend, tags=tags, metadata=metadata)
    given = [backend.get(key), backend.find(Query())[0], backend.update(key, {"model": "m"}, micros(now()))]
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


def test_deleting_removes_sessions_with_their_logs(backend: Backend) -> None:
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


def test_what_a_deleted_session_spent_stays_without_names(backend: Backend) -> None:
    key = inserted(backend)
    (turn,) = grown(backend, key, ("user",))
    run = a_run(key, cell_id="cell", retry_of="r0", base=Head(turn.turn_id, 1))
    backend.start_run(run)
    backend.finish_run(a_finish(run, "failed", usage=SPENT, error="secret", events=[("A", "{}")]))
    backend.delete([key])
    (kept,) = backend.runs()
    assert (kept.usage, kept.status, kept.agent_name) == (SPENT, "failed", "local")
    named = (kept.session_id, kept.prompt, kept.error, kept.cell_id, kept.retry_of, kept.turn_id, kept.base)
    assert named == ("", None, None, None, None, None, Head())
    assert backend.events(run.run_id) == []
    assert backend.runs(key) == []


# Heads and turns


def test_a_move_stores_its_turns_and_the_head(backend: Backend) -> None:
    key = inserted(backend, state={"step": 0})
    first = a_turn(None, "system", "user")
    second = a_turn(first, "user")
    move = a_move(key, second, turns=(first, second), action="turn", state='{"step":1}')
    record = backend.move(move)
    assert record == backend.get(key)
    assert (record.head, record.message_count, record.turn_count) == (Head(second.turn_id), 3, 2)
    assert (record.state, record.updated_at) == ({"step": 1}, from_micros(move.at))
    assert backend.turn(first.turn_id) == first
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
    assert backend.log(key, 1) == [newest]
    assert backend.current(key, draft=True) == newest


def test_a_move_may_cut_a_turn(backend: Backend) -> None:
    key = inserted(backend)
    (turn,) = grown(backend, key, ("user", "assistant"))
    cut = Head(turn.turn_id, 1)
    record = backend.move(a_move(key, None, Head(turn.turn_id), head=cut, total_messages=1, action="rewind"))
    stored = backend.get(key)
    assert stored is not None
    assert record.head == stored.head == backend.log(key)[0].head == cut
    with pytest.raises(HeadMoved):  # the whole turn is another place
        backend.move(a_move(key, None, Head(turn.turn_id)))
    assert backend.move(a_move(key, None, cut)).head == Head()


def test_a_move_from_elsewhere_writes_nothing(backend: Backend) -> None:
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


def test_a_move_that_was_made_is_not_made_again(backend: Backend) -> None:
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


def test_a_fork_is_made_and_moved_at_once(backend: Backend) -> None:
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
def test_a_move_is_all_or_nothing(backend: Backend, why: str) -> None:
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


def test_a_move_ends_the_run_that_made_it(backend: Backend) -> None:
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
    assert (ended.worker, ended.lease_until, ended.prompt) == (None, None, None)  # the turn has the prompt
    assert [(event.seq, event.type, event.data) for event in backend.events(run.run_id)] == [
        (0, "A", {"a": 1}),
        (1, "B", {"b": "ä"}),
    ]
    assert ended.event_count == 2


def test_an_undo_links_to_what_it_went_back_to(backend: Backend) -> None:
    key = inserted(backend)
    first, second = grown(backend, key, ("user",), ("user",))
    undone = a_move(key, None, Head(second.turn_id), head=Head(first.turn_id), undo=True, before=None)
    backend.move(undone)
    assert backend.log(key)[0].before is None
    entry = backend.log(key)[-1].entry_id
    undone = a_move(key, None, Head(first.turn_id), undo=True, before=entry)
    backend.move(undone)
    assert backend.log(key)[0].before == entry


def test_a_draft_leaves_the_head_where_it_is(backend: Backend) -> None:
    key = inserted(backend, state={"step": 0})
    (turn,) = grown(backend, key, ("user",))
    saved = backend.current(key, draft=False)
    draft = a_turn(turn, "user")
    record = backend.move(a_move(key, draft, Head(turn.turn_id), draft=True, state='{"step":1}'))
    assert record == backend.get(key)
    assert (record.head, record.draft, record.message_count) == (Head(turn.turn_id), Head(draft.turn_id), 1)
    assert record.state == {"step": 0}
    assert backend.current(key, draft=False) == saved
    entry = backend.current(key, draft=True)
    assert (entry.head, entry.message_count, json.loads(entry.state)) == (Head(draft.turn_id), 2, {"step": 1})
    assert entry.before == saved.entry_id
    more = a_turn(draft, "user")
    with pytest.raises(HeadMoved):
        backend.move(a_move(key, more, Head(turn.turn_id), draft=True))
    record = backend.move(a_move(key, more, Head(draft.turn_id), draft=True))
    assert json.loads(backend.current(key, draft=True).state) == {"step": 1}
    save = a_move(key, None, Head(turn.turn_id), head=Head(more.turn_id), total_messages=3, total_turns=3)
    record = backend.move(
        Move(**_fields(save) | {"ends_draft": True, "state": '{"step":1}', "action": "save"})
    )
    assert record == backend.get(key)
    assert (record.head, record.draft, record.message_count, record.state) == (
        Head(more.turn_id),
        None,
        3,
        {"step": 1},
    )
    assert backend.current(key, draft=True).before == saved.entry_id


def _fields(move: Move) -> dict[str, Any]:
    return move._asdict()


def test_a_turn_keeps_the_state_that_it_began_with(backend: Backend) -> None:
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


def test_a_chain_can_be_read_from_its_end(backend: Backend) -> None:
    key = inserted(backend)
    turns = grown(backend, key, ("user",), ("user", "assistant", "tool"), ("assistant",), ("user", "user"))
    last = turns[-1].turn_id
    expected = {None: turns, 1: turns[3:], 2: turns[3:], 3: turns[2:], 4: turns[1:], 6: turns[1:], 7: turns}
    for messages, tail in expected.items():
        assert backend.chain(last, messages=messages) == tail
    assert backend.chain(last, messages=1000) == turns
    assert backend.chain(turns[1].turn_id) == turns[:2]


def test_the_last_turn_of_a_cell_is_found(backend: Backend) -> None:
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


def test_turns_with_system_messages_are_found(backend: Backend) -> None:
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


# Runs and events


def test_a_run_comes_back_as_it_was_started(backend: Backend) -> None:
    key = inserted(backend, conversation_id="c1")
    (turn,) = grown(backend, key, ("user", "assistant"))
    run = a_run(
        key,
        prompt="ä\x00 😀",
        model="m",
        provider="p",
        base=Head(turn.turn_id, 1),
        cell_id="cell",
        retry_of="r0",
    )
    backend.start_run(run)
    assert backend.get_run(run.run_id) == run
    assert backend.runs(key) == backend.runs() == [run]


def test_runs_are_listed_oldest_first(backend: Backend) -> None:
    keys = [inserted(backend, "a"), inserted(backend, "b")]
    runs = [a_run(keys[number % 2]) for number in range(4)]
    for run in runs:
        backend.start_run(run)
    backend.finish_run(a_finish(runs[0], "failed"))
    ids = [run.run_id for run in runs]
    assert [run.run_id for run in backend.runs()] == ids
    assert [run.run_id for run in backend.runs(keys[0])] == [ids[0], ids[2]]
    assert [run.run_id for run in backend.runs(status="running")] == ids[1:]
    assert [run.run_id for run in backend.runs(keys[0], status="failed")] == [ids[0]]
    assert [run.run_id for run in backend.runs(last=2)] == ids[2:]
    assert [run.run_id for run in backend.runs(keys[1], last=1)] == [ids[3]]
    assert [run.run_id for run in backend.runs(last=9)] == ids
    assert backend.runs(last=0) == backend.runs(Key("", "nowhere")) == []


def test_events_are_numbered_and_paged(backend: Backend) -> None:
    key = inserted(backend)
    run, other = a_run(key), a_run(key)
    for one in (run, other):
        backend.start_run(one)
    backend.append_events(run.run_id, [("A", '{"n":0}'), ("B", '{"n":1}')], first=0)
    backend.append_events(other.run_id, [("X", "{}")], first=0)
    backend.append_events(run.run_id, [], first=2)
    # Who is not sure that it arrived sends it again.
    backend.append_events(run.run_id, [("B", '{"n":1}'), ("C", '{"n":2}')], first=1)
    events = backend.events(run.run_id)
    assert [(event.seq, event.type, event.data) for event in events] == [
        (0, "A", {"n": 0}),
        (1, "B", {"n": 1}),
        (2, "C", {"n": 2}),
    ]
    assert backend.events(run.run_id, after=0) == events[1:]
    assert backend.events(run.run_id, after=0, limit=1) == events[1:2]
    assert backend.events(run.run_id, limit=0) == backend.events(run.run_id, after=2) == []
    counted = backend.get_run(run.run_id)
    assert counted is not None
    assert counted.event_count == 3


def test_a_lease_is_renewed(backend: Backend) -> None:
    run = a_run(inserted(backend))
    backend.start_run(run)
    until = now() + timedelta(minutes=1)
    backend.renew_lease(run.run_id, micros(until))
    renewed = backend.get_run(run.run_id)
    assert renewed == run.model_copy(update={"lease_until": until})


def test_a_run_may_end_without_a_turn(backend: Backend) -> None:
    key = inserted(backend)
    run = a_run(key)
    backend.start_run(run)
    finish = a_finish(run, "failed", usage=SPENT, model="m", error="no idea", events=[("A", "{}")])
    ended = backend.finish_run(finish)
    assert ended == backend.get_run(run.run_id)
    assert (ended.status, ended.error, ended.usage, ended.model) == ("failed", "no idea", SPENT, "m")
    assert (ended.prompt, ended.turn_id, ended.worker, ended.lease_until) == ("Hello", None, None, None)
    assert ended.finished_at == from_micros(finish.finished_at)
    session = backend.get(key)
    assert session is not None
    assert (session.usage, session.model, session.head) == (SPENT, "m", Head())
    assert len(backend.events(run.run_id)) == 1


def test_the_end_of_a_run_is_something_that_happened_to_its_session(backend: Backend) -> None:
    key = inserted(backend)
    run = a_run(key)
    backend.start_run(run)
    finish = a_finish(run, "failed")
    backend.finish_run(finish)
    session = backend.get(key)
    assert session is not None
    assert session.updated_at == from_micros(finish.finished_at)


@pytest.mark.parametrize("first", ["completed", "failed", "cancelled", "interrupted"])
def test_the_first_terminal_status_wins(backend: Backend, first: str) -> None:
    key = inserted(backend)
    run, turn = a_run(key), a_turn(None, "user")
    backend.start_run(run)
    before = backend.finish_run(a_finish(run, first, error="first"))
    late = a_finish(run, "completed", usage=SPENT, error="late", finished_at=micros(now()) + 1000)
    session = backend.move(a_move(key, turn, finish=late))
    after = backend.get_run(run.run_id)
    assert after is not None
    assert (after.status, after.error, after.finished_at) == (first, "first", before.finished_at)
    assert (after.turn_id, after.usage) == (turn.turn_id, SPENT)  # and it was paid for
    assert (session.head, session.usage) == (Head(turn.turn_id), SPENT)


def test_a_suspended_run_can_still_end(backend: Backend) -> None:
    run = a_run(inserted(backend))
    backend.start_run(run)
    assert backend.finish_run(a_finish(run, "suspended")).status == "suspended"
    assert backend.finish_run(a_finish(run, "completed")).status == "completed"


def test_what_runs_spend_adds_up(backend: Backend) -> None:
    key = inserted(backend)
    for cost in (Decimal("0.000000001"), None, Decimal("1.5")):
        run = a_run(key)
        backend.start_run(run)
        cached = {"cache_read_tokens": 1, "cache_write_tokens": 2, "reasoning_tokens": 3}
        usage = Usage(input_tokens=10**12, cost=cost, **cached)
        backend.finish_run(a_finish(run, usage=usage))
    session = backend.get(key)
    assert session is not None
    assert session.usage == sum((run.usage for run in backend.runs(key)), Usage())
    assert session.usage.input_tokens == 3 * 10**12
    assert str(session.usage.cost) == "1.500000001"


def test_a_run_outlives_its_session(backend: Backend) -> None:
    """Its process does not know yet that the session was deleted."""
    key = inserted(backend)
    run = a_run(key)
    backend.start_run(run)
    backend.delete([key])
    backend.append_events(run.run_id, [("A", "{}")], first=0)
    backend.renew_lease(run.run_id, micros(now()))
    ended = backend.finish_run(a_finish(run, "failed", usage=SPENT))
    assert (ended.status, ended.usage) == ("failed", SPENT)


# Notebooks


def test_the_last_visit_of_a_notebook_is_found(backend: Backend) -> None:
    def visited(notebook: str) -> Key:
        visit = backend.last_visit("ada", notebook)
        assert visit is not None
        return visit.key

    keys = [inserted(backend, "a"), inserted(backend, "b", conversation_id="c1")]
    for at, key in enumerate([*keys, keys[0], keys[1]]):
        backend.visit("ada", "/a.ipynb", Visit(key), at)
    backend.visit("ada", "/b.ipynb", Visit(keys[0]), 9)
    assert visited("/a.ipynb") == keys[1]
    assert visited("/b.ipynb") == keys[0]
    assert backend.last_visit("bob", "/a.ipynb") is None
    backend.delete([keys[1]])
    assert visited("/a.ipynb") == keys[0]


def test_closing_twice_is_allowed(backend: Backend) -> None:
    backend.close()
    backend.close()
