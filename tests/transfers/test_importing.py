"""What becomes of a session that comes in: new, grown, there already, or kept on a fork."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from threading import Barrier

import pytest

import nbsessions as nbs
from nbsessions import InvalidInput, Session, SessionExists, Store, Usage
from nbsessions.formats.building import Building
from nbsessions.pricing import own
from nbsessions.records import Run, SessionRecord
from nbsessions.stores.base import Bundle, Finish, Query
from nbsessions.stores.queries import Spending
from nbsessions.transfers.importing import take_in
from nbsessions.values import micros
from tests.lived import assert_same

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(params=["memory:", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    url = tmp_path / "agents.db" if request.param == "sqlite" else request.param
    with nbs.open_store(url) as store:
        yield store


def log(*said: str, sid: str | None = "chat-7", title: str | None = None, spent: int = 5) -> Bundle:
    """Return a session of another tool: prompts begin with ``?``; each answer costs `spent`."""
    building = Building("example", sid, agent_name="helper", title=title)
    for number, text in enumerate(said):
        at = START + timedelta(minutes=number)
        role = "user" if text.startswith("?") else "assistant"
        building.add({"role": role, "content": text}, at=at)
        if role == "assistant":
            building.spend(Usage(input_tokens=spent, requests=1), model="gpt-4o", at=at)
    return building.bundle()


def texts(session: Session) -> list[str]:
    return [message.text for message in session.messages]


def test_a_new_session_has_all_that_the_log_says(store: Store) -> None:
    taken = take_in(store.backend, log("?a", "A", "?b", "B", title="Letters"), "ada")
    session = store.resume("Letters")
    assert (taken.how, session.session_id, session.owner) == ("new", "chat-7", "ada")
    assert texts(session) == ["?a", "A", "?b", "B"]
    assert (session.turn_count, session.agent_name) == (2, "helper")
    assert session.created_at == START
    assert [run.turn_id for run in session.runs()] == [turn.turn_id for turn in session.turns]
    assert [run.usage.requests for run in session.runs()] == [1, 1]
    assert (session.usage.input_tokens, session.usage.requests) == (10, 2)
    session.undo()
    assert texts(session) == ["?a", "A"]
    assert store.verify().ok


def test_twice_is_once(store: Store) -> None:
    bundle = log("?a", "A", "?b", "B")
    assert [take_in(store.backend, bundle, "ada").how for _ in range(3)] == ["new", "present", "present"]
    assert len(store.runs("chat-7")) == 2
    assert store.resume("chat-7").usage.requests == 2


def test_a_log_that_grew_goes_on(store: Store) -> None:
    take_in(store.backend, log("?a", "A"), "ada")
    assert take_in(store.backend, log("?a", "A", "?b", "B"), "ada").how == "grown"
    session = store.resume("chat-7")
    assert texts(session) == ["?a", "A", "?b", "B"]
    assert (session.usage.requests, len(session.runs())) == (2, 2)
    with nbs.open_store("memory:") as other:
        take_in(other.backend, log("?a", "A", "?b", "B"), "ada")
        assert [turn.turn_id for turn in other.resume("chat-7").turns] == [t.turn_id for t in session.turns]
    assert store.verify().ok


@pytest.mark.parametrize("before", [("?a",), ("?a", "A", "?b"), ("?a", "A", "?b", "B")])
def test_an_answer_that_grew_takes_the_place_of_its_beginning(store: Store, before: tuple[str, ...]) -> None:
    whole = ("?a", "A", "?b", "B", "B, too")
    take_in(store.backend, log(*before), "ada")
    assert take_in(store.backend, log(*whole), "ada").how == "grown"
    session = store.resume("chat-7")
    assert texts(session) == list(whole)
    assert session.usage.requests == 3  # each counted once
    assert len(session.runs()) == 2
    session.undo()
    assert take_in(store.backend, log(*whole), "ada").how == "present"
    assert store.verify().ok


def test_what_somebody_did_meanwhile_stays(store: Store) -> None:
    take_in(store.backend, log("?a", "A"), "ada")
    session = store.resume("chat-7")
    session.add_message({"role": "user", "content": "mine"})
    taken = take_in(store.backend, log("?a", "A", "?b", "B"), "ada")
    assert taken.how == "forked"
    assert texts(store.resume("chat-7")) == ["?a", "A", "mine"]
    fork = store.resume(taken.record.session_id)
    assert texts(fork) == ["?a", "A", "?b", "B"]
    assert fork.name == "chat-7 (fork)"
    assert fork.record.parent_session_id == "chat-7"
    # What both said is counted where it was said first.
    assert (store.resume("chat-7").usage.requests, fork.usage.requests) == (1, 1)
    assert take_in(store.backend, log("?a", "A", "?b", "B"), "ada").how == "present"
    assert store.verify().ok


def night(answers: int, model: str = "gpt-4o") -> Bundle:
    """Return a turn of so many answers, an hour apart, the third one after midnight."""
    building = Building("example", "chat-7", agent_name="helper")
    building.add({"role": "user", "content": "?"}, at=START.replace(hour=22))
    for number in range(answers):
        at = START.replace(hour=22) + timedelta(hours=number)
        building.add({"role": "assistant", "content": f"{number}"}, at=at)
        building.spend(Usage(input_tokens=1000, requests=1), model=model, at=at)
    return building.bundle()


def by_day(store: Store) -> list[tuple[object, int, Decimal | None, int]]:
    totals = store.backend.usage(Spending(by=["day"]))
    return sorted((t.group[0], t.usage.input_tokens, t.usage.cost, t.usage.unpriced_tokens) for t in totals)


def test_an_answer_that_grew_over_midnight_is_counted_on_its_days(store: Store) -> None:
    first, second = START.date(), START.date() + timedelta(days=1)
    for answers in (1, 2, 3, 3):
        take_in(store.backend, night(answers), "ada")
    assert [(day, tokens) for day, tokens, *_ in by_day(store)] == [(first, 2000), (second, 1000)]
    (run,) = store.runs("chat-7")
    assert [share.usage.input_tokens for share in run.shares] == [2000, 1000]
    assert run.usage.cost == sum(share.usage.cost or 0 for share in run.shares)
    assert store.verify().ok


def test_days_that_an_earlier_version_did_not_keep_come_with_an_import(store: Store) -> None:
    bundle = night(3, "mine")
    older = [run.model_copy(update={"shares": ()}) for run in bundle.runs]
    take_in(store.backend, bundle._replace(runs=older), "ada")
    assert [tokens for _, tokens, *_ in by_day(store)] == [3000]
    assert [take_in(store.backend, bundle, "ada").how for _ in range(2)] == ["grown", "present"]
    assert [tokens for _, tokens, *_ in by_day(store)] == [2000, 1000]
    assert store.resume("chat-7").usage.total_tokens == 3000
    assert store.verify().ok


def test_what_had_no_price_gets_one_by_an_import_and_what_had_one_keeps_it(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own, "_set", {})
    take_in(store.backend, night(2, "mine"), "ada")
    assert by_day(store) == [(START.date(), 2000, None, 2000)]
    nbs.set_price("mine", 1, 1)
    assert take_in(store.backend, night(2, "mine"), "ada").how == "grown"
    priced = [(START.date(), 2000, Decimal("0.002"), 0)]
    assert by_day(store) == priced
    for price in (2, None):
        nbs.set_price("mine", price, price)
        assert take_in(store.backend, night(2, "mine"), "ada").how == "present"
        assert by_day(store) == priced
    assert store.verify().ok


def test_another_conversation_of_the_same_id_is_kept_apart(store: Store) -> None:
    take_in(store.backend, log("?a", "A"), "ada")
    store.resume("chat-7").add_message({"role": "user", "content": "mine"})
    assert take_in(store.backend, log("?other", "Other"), "ada").how == "forked"
    assert texts(store.resume("chat-7")) == ["?a", "A", "mine"]
    assert texts(store.resume("chat-7 (fork)")) == ["?other", "Other"]


def test_a_rewind_is_not_undone_by_importing_the_same_again(store: Store) -> None:
    bundle = log("?a", "A", "?b", "B")
    take_in(store.backend, bundle, "ada")
    store.rewind("chat-7", 2)
    assert take_in(store.backend, bundle, "ada").how == "present"
    assert texts(store.resume("chat-7")) == ["?a", "A"]


def test_an_older_log_changes_nothing(store: Store) -> None:
    take_in(store.backend, log("?a", "A", "?b", "B"), "ada")
    assert take_in(store.backend, log("?a", "A"), "ada").how == "present"
    assert texts(store.resume("chat-7")) == ["?a", "A", "?b", "B"]


def test_titles_that_are_taken_get_a_number(store: Store) -> None:
    for number in range(3):
        take_in(store.backend, log(f"?{number}", sid=f"chat-{number}", title="New chat"), "ada")
    names = [record.name for record in store.list()[::-1]]
    assert names == ["New chat", "New chat (2)", "New chat (3)"]


def test_of_many_titles_that_are_taken_few_are_looked_at(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(40):
        take_in(store.backend, log(f"?{number}", sid=f"chat-{number}", title="New chat"), "ada")
    assert {record.name for record in store.list(None)} == {
        "New chat",
        *(f"New chat ({n})" for n in range(2, 41)),
    }
    looks, find = [], store.backend.find

    def counted(query: Query) -> list[SessionRecord]:
        looks.append(query)
        return find(query)

    monkeypatch.setattr(store.backend, "find", counted)
    numbers: dict[tuple[str | None, ...], int] = {}
    for number in range(40, 60):
        take_in(store.backend, log(f"?{number}", sid=f"chat-{number}", title="New chat"), "ada", numbers)
    assert len(looks) < 40
    assert store.exists("New chat (60)")


def test_a_name_that_is_taken_is_refused(store: Store) -> None:
    store.create("Letters", agent_name="helper")
    bundle = log("?a")
    named = bundle._replace(record=bundle.record.model_copy(update={"name": "Letters"}))
    with pytest.raises(SessionExists):
        take_in(store.backend, named, "ada")
    assert len(store.list()) == 1


def test_without_an_id_what_was_first_said_tells_which_session_it_is(store: Store) -> None:
    first = take_in(store.backend, log("?a", "A", sid=None), "ada")
    assert take_in(store.backend, log("?a", "A", "?b", sid=None), "ada").record.session_id == (
        first.record.session_id
    )
    assert take_in(store.backend, log("?c", "C", sid=None), "ada").how == "new"


def test_branches_that_a_log_tells_are_there(store: Store) -> None:
    building = Building("example", "chat-7", agent_name="helper")
    building.add({"role": "user", "content": "?a"}, at=START)
    here = building.here
    building.add({"role": "user", "content": "?left"}, at=START)
    building.go(here)
    building.add({"role": "user", "content": "?b"}, at=START)
    building.checkpoint("there")
    take_in(store.backend, building.bundle(), "ada")
    session = store.resume("chat-7")
    assert texts(session) == ["?a", "?b"]
    assert [made.name for made in session.checkpoints()] == ["there"]
    session.undo()
    assert texts(session) == ["?a", "?left"]


def test_what_went_on_elsewhere_comes_back(store: Store) -> None:
    session = store.create("plan", agent_name="helper", tags=["draft"])
    session.send("Hello", agent=lambda prompt: "Hi")
    with nbs.open_store("memory:") as other:
        for place in (store, other):
            place.backend.get(session.key)
        other.import_(_exported(store, session))
        there = other.resume("plan")
        there.send("More", agent=lambda prompt: "Yes")
        there.rewind(1)
        there.send("Otherwise", agent=lambda prompt: "No")
        there.checkpoint("far")
        report = store.import_(_exported(other, there))
    assert [record.name for record in report] == ["plan"]
    here = store.resume("plan")
    assert texts(here) == ["Hello", "Otherwise", "No"]
    assert [made.name for made in here.checkpoints()] == ["far"]
    assert [run.turn_id for run in here.runs()] == [run.turn_id for run in there.runs()]
    assert store.verify().ok


_FOLDER: list[Path] = []


@pytest.fixture(autouse=True)
def folder(tmp_path: Path) -> None:
    _FOLDER[:] = [tmp_path]


def _exported(store: Store, session: Session) -> Path:
    return store.export(session.session_id, _FOLDER[0] / "plan.json", overwrite=True)


def test_sessions_of_others_are_not_changed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    take_in(store.backend, log("?a", "A"), "bob")
    with pytest.raises(nbs.NotOwner):
        take_in(store.backend, log("?a", "A", "?b", "B"), "ada")
    assert take_in(store.backend, log("?a", "A"), "ada").how == "present"


def test_what_cannot_be_stored_is_refused() -> None:
    building = Building("example", "chat-7", agent_name="helper")
    for message in (
        {"role": "wizard", "content": "x"},
        {"content": "x"},
        {"role": "user", "content": "\ud800"},
    ):
        with pytest.raises(InvalidInput):
            building.add(message)
    with pytest.raises(InvalidInput):
        Building("example", "chat-7", agent_name="helper", metadata={"a": float("nan")})
    assert building.bundle().record.message_count == 0


def test_ids_and_names_that_cannot_be_are_made_such_that_can(store: Store) -> None:
    building = Building("example", "a\nb", agent_name="x\ny", name="latest", tags=["a\tb", " "])
    building.add({"role": "user", "content": "?"})
    take_in(store.backend, building.bundle(), "ada")
    (record,) = store.list()
    assert record.metadata == {"session_id": "a\nb"}
    assert (record.name, record.agent_name, record.tags) == ("latest (imported)", "x y", ["a b"])


def test_a_whole_session_that_was_deleted_comes_back(store: Store) -> None:
    bundle = log("?a", "A")
    take_in(store.backend, bundle, "ada")
    with nbs.open_store("memory:") as other:
        take_in(other.backend, bundle, "ada")
        store.delete("chat-7")
        assert take_in(store.backend, bundle, "ada").how == "new"
        assert_same(store.resume("chat-7"), other.resume("chat-7"))
    assert len(store.backend.runs()) == 1


def test_a_turn_that_a_fork_brought_is_not_yet_one_of_the_session(store: Store, tmp_path: Path) -> None:
    with nbs.open_store("memory:") as other:
        plan = other.create("plan")
        plan.add_message({"role": "user", "content": "1"})
        paths = [other.export("plan", tmp_path / "before.json")]
        plan.add_message({"role": "user", "content": "2"})
        plan.state = {"step": 2}
        plan.fork("way")
        paths += [other.export(name, tmp_path / f"{name}.json") for name in ("way", "plan")]
    assert [len(store.import_(path)) for path in (*paths, paths[-1])] == [1, 1, 1, 0]
    session = store.resume("plan")
    assert (texts(session), session.state) == (["1", "2"], {"step": 2})
    session.undo()
    assert (texts(session), session.state) == (["1", "2"], {})
    session.undo()
    assert texts(session) == ["1"]
    assert store.verify().ok


def test_two_that_have_the_same_id_are_both_kept(store: Store) -> None:
    logs = [log("?a", "A"), log("?b", "B", "?c", "C"), log("?d")]
    assert [take_in(store.backend, one, "ada").how for one in logs] == ["new", "forked", "forked"]
    assert [take_in(store.backend, one, "ada").how for one in logs] == ["present"] * 3
    names = ["chat-7", "chat-7 (fork)", "chat-7 (fork 2)"]
    assert [texts(store.resume(name)) for name in names] == [["?a", "A"], ["?b", "B", "?c", "C"], ["?d"]]
    assert [store.resume(name).usage.requests for name in names] == [1, 2, 0]


def test_what_went_another_way_goes_on_on_its_fork(store: Store) -> None:
    take_in(store.backend, log("?a", "A"), "ada")
    store.resume("chat-7").add_message({"role": "user", "content": "mine"})
    said = ("?a", "A", "?b", "B", "?c", "C", "C, too")
    how = [take_in(store.backend, log(*said[:end]), "ada").how for end in (3, 4, 5, 6, 7, 7, 4)]
    assert how == ["forked", "grown", "grown", "grown", "grown", "present", "present"]
    assert texts(store.resume("chat-7")) == ["?a", "A", "mine"]
    fork = store.resume("chat-7 (fork)")
    assert texts(fork) == list(said)
    assert (len(store.list()), fork.usage.requests, len(store.backend.runs())) == (2, 3, 3)
    # Who goes on there, too, has it for themselves.
    fork.add_message({"role": "user", "content": "mine"})
    assert take_in(store.backend, log(*said, "?d"), "ada").how == "forked"
    assert texts(store.resume("chat-7 (fork)")) == [*said, "mine"]
    assert store.verify().ok


def test_somebodys_own_fork_is_not_moved(store: Store) -> None:
    take_in(store.backend, log("?a", "A"), "ada")
    session = store.resume("chat-7")
    own = session.fork("own")
    session.add_message({"role": "user", "content": "mine"})
    assert take_in(store.backend, log("?a", "A", "?b"), "ada").how == "forked"
    assert texts(store.resume(own.session_id)) == ["?a", "A"]


def test_an_older_answer_takes_nothing_away(store: Store) -> None:
    logs = [log("?a", "A", "A, too"), log("?a", "A"), log("?a")]
    assert [take_in(store.backend, one, "ada").how for one in logs] == ["new", "present", "present"]
    take_in(store.backend, log("?a", "A", "A, too", "?b", "B"), "ada")
    assert [take_in(store.backend, one, "ada").how for one in logs] == ["present"] * 3
    session = store.resume("chat-7")
    assert texts(session) == ["?a", "A", "A, too", "?b", "B"]
    assert (session.usage.requests, session.runs()[0].usage.requests) == (3, 2)


def test_what_a_fork_has_spent_is_not_counted_again(store: Store) -> None:
    whole = log("?a", "A", "?b", "B")
    take_in(store.backend, log("?a", "A"), "ada")
    store.resume("chat-7").add_message({"role": "user", "content": "mine"})
    take_in(store.backend, whole, "ada")
    store.delete("chat-7")
    taken = take_in(store.backend, whole, "ada")
    assert (taken.how, taken.record.usage.requests) == ("new", 1)
    assert sum(record.usage.requests for record in store.list()) == 2
    # And where the fork was deleted, what it spent is its own again.
    store.delete("chat-7")
    take_in(store.backend, log("?a", "A"), "ada")
    store.resume("chat-7").add_message({"role": "user", "content": "mine"})
    store.delete("chat-7 (fork)")
    assert take_in(store.backend, whole, "ada").record.usage.requests == 1
    assert sum(run.usage.requests for run in store.backend.runs()) == 2


def test_a_checkpoint_that_was_made_since_comes_along(store: Store, tmp_path: Path) -> None:
    with nbs.open_store("memory:") as other:
        plan = other.create("plan")
        plan.add_message({"role": "user", "content": "1"})
        store.import_(other.export("plan", tmp_path / "before.json"))
        plan.checkpoint("there")
        path = other.export("plan", tmp_path / "plan.json")
        assert [len(store.import_(path)) for _ in range(2)] == [1, 0]
        assert [made.name for made in store.resume("plan").checkpoints()] == ["there"]


def test_nobody_answers_here_in_what_runs_elsewhere(store: Store, tmp_path: Path) -> None:
    with nbs.open_store("memory:") as other:
        plan = other.create("plan")
        at = datetime.now(UTC)
        run = Run(run_id="r1", session_id=plan.session_id, agent_name="local", started_at=at, prompt="Hi")
        there = {"worker": "elsewhere:1", "lease_until": at + timedelta(days=9000)}
        other.backend.start_run(run.model_copy(update=there))
        store.import_(other.export("plan", tmp_path / "plan.json"))
        assert [run.status for run in store.resume("plan").runs()] == ["interrupted"]
        # How it ended is told by a later file.
        usage = Usage(input_tokens=3, requests=1)
        other.backend.finish_run(Finish("r1", "failed", micros(at), usage, error="no network"))
        store.import_(other.export("plan", tmp_path / "later.json"))
        assert store.resume("plan").usage == usage


@pytest.mark.parametrize("format", ["webagents", "synwire", "openai-agents"])
def test_a_copy_in_a_format_that_loses_much_is_there_already(
    store: Store, tmp_path: Path, format: str
) -> None:
    take_in(store.backend, log("?a", "A", "?b", "B"), "ada")
    before = store.record("chat-7")
    path = store.export("chat-7", tmp_path / "copy", format=format)
    assert store.import_(path, format=format).present == 1
    assert store.list(None) == [before]
    store.resume("chat-7").send("?c", agent=lambda prompt: "C")
    before = store.record("chat-7")
    assert store.import_(path, format=format).present == 1
    assert store.list(None) == [before]
    assert store.verify().ok


WRITES = ("restore", "move", "start_run", "append_events", "finish_run", "add_checkpoint")


def _stopped_after(store: Store, monkeypatch: pytest.MonkeyPatch, writes: int) -> None:
    """Let Ctrl-C come after so many writes."""
    left = [writes]

    def stopping(write: Callable[..., object]) -> Callable[..., object]:
        def stopped(*args: object, **options: object) -> object:
            done = write(*args, **options)
            left[0] -= 1
            if left[0] == 0:
                raise KeyboardInterrupt
            return done

        return stopped

    for name in WRITES:
        monkeypatch.setattr(store.backend, name, stopping(getattr(store.backend, name)))


@pytest.mark.parametrize("kind", ["memory:", "sqlite"])
@pytest.mark.parametrize("mine", [False, True])
def test_wherever_it_is_stopped_it_goes_on(
    kind: str, mine: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Building("example", "chat-7", agent_name="helper")
    for number, text in enumerate(("?a", "A", "?b", "B", "B, too", "?c", "C")):
        at = START + timedelta(minutes=number)
        whole.add({"role": "user" if text.startswith("?") else "assistant", "content": text}, at=at)
        whole.spend(Usage(input_tokens=5, requests=1), at=at)
        whole.event("CUSTOM", {"type": "CUSTOM", "name": text})
    whole.checkpoint("there")
    whole.run("other", status="failed", usage=Usage(requests=1))
    bundle = whole.bundle()
    for writes in range(1, 40):
        with nbs.open_store(kind if kind == "memory:" else tmp_path / f"{writes}.db") as store:
            take_in(store.backend, log("?z"), "ada")
            store.delete("chat-7")
            building = Building("example", "chat-7", agent_name="helper")
            for number, text in enumerate(("?a", "A", "?b", "B")):
                at = START + timedelta(minutes=number)
                role = "user" if text.startswith("?") else "assistant"
                building.add({"role": role, "content": text}, at=at)
                building.spend(Usage(input_tokens=5, requests=1), at=at)
                building.event("CUSTOM", {"type": "CUSTOM", "name": text})
            take_in(store.backend, building.bundle(), "ada")
            if mine:
                store.resume("chat-7").add_message({"role": "user", "content": "mine"})
            with monkeypatch.context() as patched:
                _stopped_after(store, patched, writes)
                try:
                    take_in(store.backend, bundle, "ada")
                except KeyboardInterrupt:
                    done = False
                else:
                    done = True
            take_in(store.backend, bundle, "ada")
            assert take_in(store.backend, bundle, "ada").how == "present"
            session = store.resume("chat-7 (fork)" if mine else "chat-7")
            assert texts(session) == ["?a", "A", "?b", "B", "B, too", "?c", "C"]
            assert sum(run.usage.requests for run in store.backend.runs()) == 8
            assert sum(record.usage.requests for record in store.list()) == 8
            assert {run.status for run in store.backend.runs()} == {"completed", "failed"}
            assert store.verify().ok
        if done:
            break
    assert writes > (1 if mine else 5)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_several_that_take_in_the_same_at_once_take_it_in_once(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = str(tmp_path / "agents.db") if kind == "sqlite" else request.getfixturevalue("postgres_url")
    said = [text for number in range(8) for text in (f"?{number}", f"A{number}")]
    together = Barrier(3)

    def import_all(_: int) -> list[str]:
        how: list[str] = []
        with nbs.open_store(url) as store:
            for end in (2, 7, 16):
                bundles = [log(*said[:end], sid=f"chat-{n}", title="New chat") for n in range(3)]
                together.wait(60)
                how += [take_in(store.backend, bundle, "ada").how for bundle in bundles]
        return how

    with nbs.open_store(url) as store:
        with ThreadPoolExecutor(3) as threads:
            all_of_them = list(threads.map(import_all, range(3)))
        assert sum(how.count("new") for how in all_of_them) == 3
        assert not any("forked" in how for how in all_of_them)
        sessions = [store.resume(record.session_id) for record in store.list()]
        assert [texts(session) for session in sessions] == [said] * 3
        assert [session.usage.requests for session in sessions] == [8] * 3
        assert [len(session.runs()) for session in sessions] == [8] * 3
        assert store.verify().ok
