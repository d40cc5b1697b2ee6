"""A store as one owner sees it: whatever is somebody else's is as if it were not there, on every store."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import nbsessions as nbs
from nbsessions import InvalidInput, Policy, SessionNotFound, Store
from nbsessions.bundles import gather
from nbsessions.exceptions import DamagedTurn, NotOwner
from nbsessions.records import Checkpoint, Head, Turn
from nbsessions.stores._owned import OwnedBackend
from nbsessions.stores.base import (
    Backend,
    Bundle,
    Change,
    Columns,
    Document,
    Documents,
    Inherited,
    Key,
    Listing,
    Progress,
    Query,
    Spending,
    Value,
    Visit,
    Wanted,
)
from nbsessions.testing.samples import SPENT, a_finish, a_move, a_record, a_run, a_turn, grown, inserted
from nbsessions.values import now
from nbsessions.words import parse
from tests.postgres import Server

AT = 10**15


class Aim(NamedTuple):
    """What a primitive is called with: something of Ada's, or nothing that there is."""

    key: Key
    turn: Turn
    run_id: str
    entry: int


@pytest.fixture(params=["memory", "sqlite", "file", "postgres"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    """A store with a session of Ada's that has everything, and one of Bob's."""
    kind = request.param
    urls = {"memory": "memory:", "sqlite": f"sqlite:///{tmp_path}/a.db", "file": f"file:{tmp_path}/f"}
    url = urls.get(kind)
    server: Server | None = None
    if url is None:
        server = request.getfixturevalue("postgres")
        schema = server.new_schema()
        url = server.url(schema)
    with nbs.open_store(url) as store:
        _fill(store.backend)
        yield store.backend
    if server is not None:
        server.drop(schema)


def _fill(backend: Backend) -> None:
    key = inserted(backend, "hers", name="plan", tags=["secret"], notebook="/a.ipynb", model="m")
    (first,) = grown(backend, key, ("system", "user"))
    last = a_turn(first, "user", "assistant", cell_id="cell")
    backend.move(
        a_move(key, None, Head(first.turn_id), action="state", head=Head(first.turn_id), state='{"a":1}')
    )
    backend.move(a_move(key, last, Head(first.turn_id)))
    run = a_run(key, run_id="her-run", base=Head(first.turn_id), model="m")
    backend.start_run(run)
    backend.append_events(run.run_id, [("A", "{}"), ("B", "{}")], first=0)
    backend.save_progress(Progress(run.run_id, "chat", "[]", SPENT))
    ended = a_run(key, run_id="her-ended")
    backend.start_run(ended)
    backend.finish_run(a_finish(ended, usage=SPENT))
    backend.add_checkpoint(key, _checkpoint("hers", last))
    backend.put_value(key, Value("v", "1", AT, None), 10)
    backend.put_documents(key, [Document("d", "n", "{}")])
    backend.visit("ada", "/a.ipynb", Visit(key), AT)
    inserted(backend, "his", owner="bob", name="plan")


def _checkpoint(session_id: str, turn: Turn) -> Checkpoint:
    return Checkpoint(
        checkpoint_id=f"c-{session_id}",
        session_id=session_id,
        name="point",
        head=Head(turn.turn_id),
        message_count=turn.total_messages,
        turn_count=turn.total_turns,
        created_at=now(),
    )


def _aims(backend: Backend) -> tuple[Aim, Aim]:
    key = Key("", "hers")
    turn = backend.turn(backend.get(key).head.turn_id or "")  # type: ignore[union-attr]
    assert turn is not None
    hers = Aim(key, turn, "her-run", backend.log(key)[0].entry_id)
    return hers, Aim(Key("", "nowhere"), a_turn(), "nowhere", 10**9)


HIS = Key("", "his")
Call = Callable[[Backend, Aim], Any]
# Each is called as Bob: once with what is Ada's, once with what is not there at all.
WALK: dict[str, Call] = {
    "insert": lambda view, aim: view.insert(a_record("new", owner="bob", head=Head(aim.turn.turn_id))),
    "restore": lambda view, aim: view.restore(
        Bundle(a_record("new", owner="bob", head=Head(aim.turn.turn_id)))
    ),
    "get": lambda view, aim: view.get(aim.key),
    "get_all": lambda view, aim: view.get_all([aim.key]),
    "find": lambda view, aim: view.find(Query(None, session_id=aim.key.session_id)),
    "listing": lambda view, aim: view.listing(Listing(text=aim.key.session_id, also=[aim.key])),
    "update": lambda view, aim: view.update(aim.key, {"name": "mine"}, AT),
    "update_all": lambda view, aim: view.update_all([Change(aim.key, {"tags": ["x"]})], AT),
    "delete": lambda view, aim: (
        view.delete([aim.key]),
        view.delete([aim.key], seen=[2**53], at=AT),
    ),
    "move": lambda view, aim: view.move(a_move(aim.key, a_turn(), Head(aim.turn.turn_id))),
    "log": lambda view, aim: view.log(aim.key),
    "origin": lambda view, aim: view.origin(aim.key),
    "entry": lambda view, aim: view.entry(aim.entry),
    "current": lambda view, aim: view.current(aim.key, draft=True),
    "state_before": lambda view, aim: view.state_before(aim.turn.turn_id),
    "turn": lambda view, aim: view.turn(aim.turn.turn_id),
    "turns": lambda view, aim: view.turns([aim.turn.turn_id]),
    "chain": lambda view, aim: view.chain(aim.turn.turn_id),
    "asked_by": lambda view, aim: view.asked_by("cell", aim.turn.turn_id),
    "system_turns": lambda view, aim: view.system_turns(aim.turn.turn_id),
    "ancestors": lambda view, aim: view.ancestors([aim.turn.turn_id]),
    "scan": lambda view, aim: view.scan(0, 10),
    "redact": lambda view, aim: view.redact(HIS, aim.turn, was=aim.turn.body, text=""),
    "redact_run": lambda view, aim: view.redact_run(aim.run_id),
    "collect": lambda view, aim: view.collect(),
    "add_checkpoint": lambda view, aim: view.add_checkpoint(aim.key, _checkpoint("his", aim.turn)),
    "checkpoints": lambda view, aim: view.checkpoints(HIS, aim.turn.turn_id),
    "put_value": lambda view, aim: view.put_value(aim.key, Value("v", "2", AT, None), 10),
    "values": lambda view, aim: view.values(aim.key, AT),
    "drop_values": lambda view, aim: view.drop_values(aim.key),
    "put_documents": lambda view, aim: view.put_documents(aim.key, [Document("d", "n", "[]")]),
    "documents": lambda view, aim: view.documents(aim.key),
    "drop_documents": lambda view, aim: view.drop_documents(aim.key, Documents("d")),
    "start_run": lambda view, aim: view.start_run(a_run(aim.key)),
    "save_progress": lambda view, aim: view.save_progress(Progress(aim.run_id, "chat", "[1]", SPENT)),
    "progress": lambda view, aim: view.progress(aim.run_id),
    "drop_events": lambda view, aim: view.drop_events(aim.run_id, 5),
    "append_events": lambda view, aim: view.append_events(aim.run_id, [("C", "{}")], first=2),
    "renew_lease": lambda view, aim: view.renew_lease(aim.run_id, AT),
    "finish_run": lambda view, aim: view.finish_run(a_finish(a_run(aim.key, run_id=aim.run_id), "failed")),
    "continue_run": lambda view, aim: view.continue_run(aim.run_id, "w", AT),
    "get_run": lambda view, aim: view.get_run(aim.run_id),
    "runs": lambda view, aim: (view.runs(aim.key), view.runs()),
    "events": lambda view, aim: view.events(aim.run_id),
    "usage": lambda view, aim: (
        view.usage(Spending(("owner", "model"))),
        view.usage(Spending(key=aim.key)),
        view.usage(Spending(owner="ada")),
    ),
    "rebuild_usage": lambda view, aim: view.rebuild_usage(),
    "visit": lambda view, aim: view.visit("bob", "/a.ipynb", Visit(aim.key), AT),
    "last_visit": lambda view, aim: (
        view.last_visit("ada", "/a.ipynb"),
        view.last_visit("bob", "/a.ipynb"),
    ),
    "search": lambda view, aim: (
        view.search(Wanted(parse("ä"))),
        view.search(Wanted(parse("ä"), up_to=Head(aim.turn.turn_id))),
        view.search(Wanted(parse("ä"), Query(None, owner="ada"))),
    ),
    "columns": lambda view, aim: (
        view.columns(Columns("sessions", ["session_id"], Query(None, session_id=aim.key.session_id))),
        view.columns(Columns("runs", ["run_id"])),
        view.columns(Columns("events", ["type"], Query(None, owner="ada"))),
    ),
    "revision": lambda view, aim: view.revision(),
    "check": lambda view, aim: view.check(),
    "backup": lambda view, aim: view.backup(Path("/nowhere"), lambda path: None),
}
NOT_OF_THE_STORE = {"clean", "close"}


def outcome(call: Call, backend: Backend, aim: Aim) -> object:
    """Return what a call gives, or raises, without what it was called with."""
    try:
        found = call(OwnedBackend(backend, "bob"), aim)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is compared
        text = str(error)
        for name in (aim.key.session_id, aim.turn.turn_id, aim.run_id):
            text = text.replace(name, "...")
        return type(error), text
    return found


def of_ada(backend: Backend) -> object:
    """Return all that there is of Ada's."""
    hers, _ = _aims(backend)
    return (
        gather(backend, hers.key),
        backend.documents(hers.key),
        backend.last_visit("ada", "/a.ipynb"),
        backend.usage(Spending(owner="ada")),
    )


def primitives() -> set[str]:
    return (
        {name for name in vars(Backend) if not name.startswith("_") and callable(getattr(Backend, name))}
        - NOT_OF_THE_STORE
        - {"Secrets"}
    )


def test_the_walk_goes_past_every_primitive() -> None:
    assert primitives() == WALK.keys()


@pytest.mark.parametrize("name", WALK)
def test_what_is_anothers_is_as_if_it_were_not_there(name: str, backend: Backend) -> None:
    before = of_ada(backend)
    hers, nothing = _aims(backend)
    assert outcome(WALK[name], backend, hers) == outcome(WALK[name], backend, nothing)
    assert of_ada(backend) == before


def test_nothing_of_others_is_in_what_is_about_all(backend: Backend) -> None:
    view = OwnedBackend(backend, "bob")
    before = view.revision()
    Store(backend, "ada").tag("hers", "more")
    assert view.revision() == before
    assert view.last_visit("ada", "/a.ipynb") is None
    assert [record.session_id for record in view.find(Query(None))] == ["his"]
    assert (view.runs(), view.usage(Spending()), view.search(Wanted(parse("ä")))) == ([], [], [])
    ids = view.columns(Columns("sessions", ["session_id"])).columns["session_id"]
    assert (ids if isinstance(ids, str) else json.dumps(ids)) == '["his"]'
    for everything in (
        lambda: view.scan(0, 10),
        view.collect,
        lambda: view.backup(Path("/nowhere"), lambda path: None),
    ):
        with pytest.raises(InvalidInput, match="for whoever has the whole store"):
            everything()


def test_nothing_is_stored_for_somebody_else(backend: Backend) -> None:
    view = OwnedBackend(backend, "bob")
    with pytest.raises(NotOwner):
        view.insert(a_record("new"))
    with pytest.raises(NotOwner):
        view.restore(Bundle(a_record("new")))
    with pytest.raises(NotOwner):
        view.move(a_move(Key("", "new"), a_turn(), create=a_record("new")))
    with pytest.raises(SessionNotFound):
        view.visit("ada", "/a.ipynb", Visit(HIS), AT)
    assert backend.get(Key("", "new")) is None


def test_nothing_is_inherited_from_somebody_else(backend: Backend) -> None:
    view, hers = OwnedBackend(backend, "bob"), Inherited(Key("", "hers"), "d")
    first, second = a_record("first", owner="bob"), a_record("second", owner="bob")
    view.insert(first, inherits=hers)
    view.move(a_move(Key.of(second), a_turn(), create=second, inherits=hers))
    assert [view.documents(Key.of(one)) for one in (first, second)] == [[], []]
    view.put_documents(Key.of(first), [Document("d", "n", "1")])
    third = a_record("third", owner="bob")
    view.insert(third, inherits=Inherited(Key.of(first), "d"))
    assert view.documents(Key.of(third)) == [Document("d", "n", "1")]


def stores(backend: Backend) -> tuple[Store, Store]:
    return Store(OwnedBackend(backend, "ada"), "ada"), Store(OwnedBackend(backend, "bob"), "bob")


def test_ones_own_sessions_are_all_there(backend: Backend, tmp_path: Path) -> None:
    _, bob = stores(backend)
    session = bob.resume("plan")
    assert session.session_id == "his"
    run = session.send("Where does the owl live?", agent=lambda prompt: "In a tree.")
    session.checkpoint("here")
    session.policy = Policy("deny")
    session.kv(ttl=timedelta(days=1))["a"] = 1
    fork = session.fork("other", at=1)
    session.rewind(0)
    assert session.undo() == "rewind"
    assert [hit.session.name for hit in bob.search("owl")] == ["plan"]
    assert [hit.session.name for hit in bob.search("owl", ref="other")] == ["other"]
    assert [one.run_id for one in bob.runs("plan")] == [run.run_id] == [bob.run(run.run_id[-8:]).run_id]
    assert bob.events(run.run_id)[-1].type == "RUN_FINISHED"
    assert [one.name for one in session.checkpoints()] == [one.name for one in fork.checkpoints()] == ["here"]
    path = bob.export("plan", tmp_path / "plan.json")
    bob.delete("plan")
    assert [one.name for one in bob.import_(path)] == ["plan"]
    assert [one.name for one in bob.list()] == ["plan", "other"]
    assert bob.resume("other").messages[0].text == "Where does the owl live?"


def forked(backend: Backend) -> tuple[nbs.Session, nbs.Session]:
    """Return a session of Ada's, and what Bob forked from it in a kernel."""
    whole = Store(backend, "bob")
    return Store(backend, "ada").resume("hers"), whole.fork("hers", "mine")


def test_a_fork_of_anothers_session_is_ones_own_copy(backend: Backend) -> None:
    hers, _ = forked(backend)
    _, bob = stores(backend)
    mine = bob.resume("mine")
    assert [message.text for message in mine.messages] == [message.text for message in hers.messages]
    assert mine.checkpoints() == []
    mine.add_message({"role": "user", "content": "My own"})
    mine.rewind(2)
    assert mine.message_count == 2
    mine.undo()
    assert hers.messages == Store(backend, "ada").resume("hers").messages
    with pytest.raises(SessionNotFound):
        bob.resume("hers")


@pytest.mark.parametrize("deleted", [False, True])
def test_what_others_have_too_is_not_redacted(backend: Backend, deleted: bool) -> None:
    forked(backend)
    Store(backend, "carl").fork("mine", "of a third")
    if deleted:
        backend.finish_run(a_finish(a_run(Key("", "hers"), run_id="her-run"), "failed"))
        Store(backend, "ada").delete("hers")
    _, bob = stores(backend)
    mine = bob.resume("mine")
    said = mine.messages
    with pytest.raises(InvalidInput, match="Somebody else"):
        mine.redact(1)
    assert bob.resume("mine").messages == said
    mine.add_message({"role": "user", "content": "My secret"})
    mine.redact(-1)
    assert mine.messages[-1].text == "[redacted]"


def test_nobody_gets_at_what_was_said_by_a_file_that_names_it(backend: Backend) -> None:
    hers, _ = _aims(backend)
    view = OwnedBackend(backend, "bob")
    mine = a_record("crafted", owner="bob")
    head = Head(hers.turn.turn_id)
    on_top, forged = a_turn(hers.turn), hers.turn._replace(parent_id=None, parent_hash=None, body="[]")
    crafted = [
        Bundle(mine.model_copy(update={"head": head})),
        Bundle(mine.model_copy(update={"head": Head(on_top.turn_id)}), [on_top]),
        Bundle(mine.model_copy(update={"head": head}), [forged]),
        Bundle(mine, checkpoints=[_checkpoint("crafted", hers.turn)]),
        Bundle(mine, log=[backend.log(hers.key)[0]]),
        Bundle(mine, runs=[a_run(Key.of(mine), base=head)]),
    ]
    for bundle in crafted:
        with pytest.raises(DamagedTurn):
            view.restore(bundle)
        assert backend.get(Key.of(mine)) is None
    view.restore(Bundle(mine, runs=[a_run(Key.of(mine), turn_id=hers.turn.turn_id, status="completed")]))
    assert [run.turn_id for run in view.runs(Key.of(mine))] == [None]


def test_what_deleted_sessions_spent_is_nobodys(backend: Backend) -> None:
    _, bob = stores(backend)
    bob.resume("his").send("Hello", agent=lambda prompt: "Hi")
    assert [total.runs for total in bob.backend.usage(Spending())] == [1]
    bob.delete("his")
    assert sum(total.runs for total in bob.backend.usage(Spending())) == 0
