"""What can be done with the sessions of a DataFrame, on every kind of store."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nbsessions as nbs
from nbsessions import (
    InvalidInput,
    NotOwner,
    NotSessions,
    Session,
    SessionExists,
    Store,
    StoreUnavailable,
)
from nbsessions.bulk import deleting
from nbsessions.commands import run_line
from nbsessions.frames import CHECKPOINTS, HITS, SESSIONS, frame
from nbsessions.frames.accessor import mark
from nbsessions.runner import new_run
from nbsessions.testing.samples import SPENT, a_finish
from nbsessions.values import micros, now
from nbsessions.workspace import Settings, Workspace
from tests.conftest import add


@pytest.fixture(params=["memory", "sqlite", "file", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "postgres":
        yield request.getfixturevalue("postgres_store")
        return
    urls = {"memory": "memory:", "sqlite": f"{tmp_path}/agents.db", "file": f"file:{tmp_path}/sessions"}
    with nbs.open_store(urls[request.param]) as store:
        yield store


@pytest.fixture
def abc(store: Store) -> Store:
    """A store of three sessions: two drafts of which one is empty, and one that is none."""
    for name, tags in (("a", ["draft"]), ("b", ["draft"]), ("c", [])):
        store.create(name, tags=tags)
    add(store.resume("b"), "Hello", "Hi")
    return store


def sessions(store: Store) -> Any:
    return nbs.sessions_df(store)


def names(store: Store) -> list[str]:
    return sorted(record.name or "" for record in store.list(None, conversation_id="*"))


def tags(store: Store) -> dict[str | None, list[str]]:
    return {record.name: record.tags for record in store.list(None)}


# Delete


def test_cleanup_reads_as_it_is_meant(abc: Store) -> None:
    df = sessions(abc)
    report = df[df.message_count == 0].nbs.delete()
    assert names(abc) == ["b"]
    assert [record.name for record in report] == ["c", "a"]
    assert str(report) == (
        "Deleted 2 sessions with 0 messages: 'c', 'a'. There is no undo; what was spent stays counted."
    )
    with pytest.raises(InvalidInput, match="no undo"):
        report.undo()


def test_a_dry_run_says_what_would_be_and_does_nothing(abc: Store, tmp_path: Path) -> None:
    df = sessions(abc)
    before = abc.list(None)
    reports = [
        df.nbs.delete(dry_run=True),
        df.nbs.delete(dry_run=True, export=tmp_path / "out"),
        df.nbs.tag("old", dry_run=True),
        df.nbs.untag("draft", dry_run=True),
        df.nbs.rename(lambda session: f"old {session.name}", dry_run=True),
        df.nbs.export(tmp_path / "out", dry_run=True),
        df[df.name == "a"].nbs.open(dry_run=True),
    ]
    assert [len(report) for report in reports] == [3, 3, 3, 2, 3, 3, 1]
    for report in reports:
        assert str(report).startswith("Would ")
        assert str(report).endswith("Nothing was done.")
        with pytest.raises(InvalidInput, match="nothing to undo"):
            report.undo()
    assert abc.list(None) == before
    assert not (tmp_path / "out").exists()


CHANGES: dict[str, Callable[[Session], object]] = {
    "message": lambda session: add(session, "Hello"),
    "tag": lambda session: session.tag("keep"),
    "state": lambda session: setattr(session, "state", {"a": 1}),
}


@pytest.mark.parametrize("how", CHANGES)
def test_one_that_somebody_changed_since_is_left_alone(abc: Store, how: str) -> None:
    df = sessions(abc)
    CHANGES[how](abc.resume("a"))
    for dry_run in (True, False):
        report = df[df.message_count == 0].nbs.delete(dry_run=dry_run)
        assert [record.name for record in report] == ["c"]
        assert [(left.session.name, "changed" in left.reason) for left in report.left] == [("a", True)]
        assert "Left alone, 1 session (changed since it was listed: list it again): 'a'." in str(report)
    assert names(abc) == ["a", "b"]


def test_one_with_an_agent_at_work_is_left_alone(abc: Store) -> None:
    busy = abc.resume("a")
    abc.backend.start_run(new_run(busy, "local", "Hello"))
    dead = new_run(abc.resume("c"), "local", "Hello")
    abc.backend.start_run(dead.model_copy(update={"lease_until": now() - timedelta(seconds=1)}))
    for dry_run in (True, False):
        report = sessions(abc).nbs.delete(dry_run=dry_run)
        assert sorted(record.name for record in report) == ["b", "c"]
        assert "an agent is answering in it): 'a'." in str(report)
    assert names(abc) == ["a"]


def test_an_unsaved_draft_is_spared_until_it_is_meant(abc: Store) -> None:
    add(abc.resume("a", autosave=False), "Hello")
    df = sessions(abc)
    report = df[df.message_count == 0].nbs.delete()
    assert [record.name for record in report] == ["c"]
    assert "it has an unsaved draft" in str(report)
    assert len(sessions(abc).nbs.delete(drafts=True)) == 2
    assert names(abc) == []


def test_what_was_spent_stays_counted(abc: Store) -> None:
    for name in ("a", "a", "b"):
        run = new_run(abc.resume(name), "local", "Hello", model="gpt-5")
        abc.backend.start_run(run)
        abc.backend.finish_run(a_finish(run, "failed", usage=SPENT, model="gpt-5"))
    before = nbs.usage_df(abc, by="day,model,agent_name")
    df = sessions(abc)
    assert len(df[df.name != "b"].nbs.delete()) == 2
    assert nbs.usage_df(abc, by="day,model,agent_name").equals(before)
    assert before.input_tokens.sum() == 3 * SPENT.input_tokens
    assert abc.verify().ok


def test_what_takes_longer_has_a_bar(
    abc: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(deleting, "_PATIENCE", -1)
    df = sessions(abc)
    df[df.name == "a"].nbs.delete(dry_run=True)
    assert capsys.readouterr().err == ""
    assert len(df.nbs.delete()) == 3
    assert "delete:   0%|          | 0/3" in capsys.readouterr().err


def test_what_was_done_by_the_same_hand_is_no_change(abc: Store) -> None:
    df = sessions(abc)
    report = df.nbs.tag("old")
    df[df.name == "a"].nbs.rename("z")
    report.undo()
    assert len(df[df.name == "a"].nbs.delete()) == 1
    rest = df[df.name != "a"]
    rest.nbs.tag("old", "older")
    abc.resume("b").tag("keep")
    rest.nbs.untag("older")
    assert [record.name for record in rest.nbs.delete()] == ["c"]
    assert names(abc) == ["b"]


def test_a_clock_that_was_ahead_changes_nothing(abc: Store) -> None:
    for record in abc.list():
        abc.backend.update(nbs.Session(abc.backend, record).key, {}, micros(now() + timedelta(days=1)))
    df = sessions(abc)
    df.nbs.tag("old").undo()
    df.nbs.tag("older")
    add(abc.resume("a"), "Hello")
    assert {record.name for record in df.nbs.delete()} == {"b", "c"}


def test_a_frame_without_times_is_held_against_the_present(abc: Store) -> None:
    df = sessions(abc)[["session_id", "name"]]
    add(abc.resume("a"), "Hello")
    assert len(df[df.name == "a"].nbs.delete()) == 1


@pytest.mark.parametrize(
    "as_seen",
    [
        lambda column: column.dt.tz_convert("Asia/Tokyo"),
        lambda column: column.dt.tz_localize(None),
        lambda column: column.astype(str),
        lambda column: [one.isoformat() for one in column],
        lambda column: column.astype(object),
        lambda column: column.dt.as_unit("ns"),
        lambda column: column.where(column.index > 0),
    ],
)
def test_times_are_read_however_a_frame_came_to_keep_them(
    abc: Store, as_seen: Callable[[Any], object]
) -> None:
    df = sessions(abc)
    df["updated_at"] = as_seen(df.updated_at)
    assert len(df.nbs.delete(dry_run=True)) == 3
    add(abc.resume("b"), "Hello")
    assert len(df.iloc[[1, 2]].nbs.delete()) == 1 + ("b" not in list(df.name[1:]))


def test_deleted_sessions_can_be_exported_first(abc: Store, tmp_path: Path) -> None:
    before = {record.name: abc.resume(record.name or "").messages for record in abc.list()}
    report = sessions(abc).nbs.delete(export=tmp_path / "old")
    assert names(abc) == []
    assert f"`store.import_('{tmp_path / 'old'}')` brings them back" in str(report)
    abc.import_(tmp_path / "old")
    assert {record.name: abc.resume(record.name or "").messages for record in abc.list()} == before


def test_nothing_is_deleted_that_could_not_be_exported(abc: Store, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InvalidInput, match="is a file"):
        sessions(abc).nbs.delete(export=tmp_path / "file")
    assert names(abc) == ["a", "b", "c"]


# Tags


def test_tags_are_added_and_taken_off_and_all_of_it_is_undone(abc: Store) -> None:
    df, before = sessions(abc), abc.list(None)
    tagged = df.nbs.tag("old", "draft")
    assert tags(abc) == {"a": ["draft", "old"], "b": ["draft", "old"], "c": ["old", "draft"]}
    untagged = df.nbs.untag("draft")
    assert tags(abc) == {"a": ["old"], "b": ["old"], "c": ["old"]}
    again = untagged.undo()
    assert tags(abc) == {"a": ["draft", "old"], "b": ["draft", "old"], "c": ["old", "draft"]}
    tagged.undo()
    assert tags(abc) == {"a": ["draft"], "b": ["draft"], "c": []}
    # Who was changed last was so before.
    assert abc.list(None) == before
    assert str(again).startswith("Undone for 3 sessions: ")
    with pytest.raises(InvalidInput, match="undone already"):
        tagged.undo()


def test_an_undo_can_be_undone(abc: Store) -> None:
    report = sessions(abc).nbs.tag("old").undo().undo()
    assert tags(abc) == {"a": ["draft", "old"], "b": ["draft", "old"], "c": ["old"]}
    assert len(report.undo()) == 3


def test_only_those_that_need_it_are_changed(abc: Store) -> None:
    before = {record.name: record.updated_at for record in abc.list()}
    report = sessions(abc).nbs.tag("draft")
    assert [record.name for record in report] == ["c"]
    assert str(report) == "Tagged 1 session with 'draft': 'c'. `undo()` of this report takes it back."
    after = {record.name: record.updated_at for record in abc.list()}
    assert [name for name in before if before[name] != after[name]] == ["c"]
    assert str(sessions(abc).nbs.tag("draft")) == "Tagged no session with 'draft'. Nothing was done."


def test_an_undo_leaves_alone_what_somebody_changed_since(abc: Store) -> None:
    report = sessions(abc).nbs.tag("old")
    abc.resume("a").tag("mine")
    abc.delete("b")
    add(abc.resume("c"), "Hello")
    undone = report.undo()
    assert tags(abc) == {"a": ["draft", "old", "mine"], "c": []}
    assert [record.name for record in undone] == ["c"]
    assert {(left.session.name, left.reason) for left in undone.left} == {
        ("a", "changed meanwhile"),
        ("b", "gone"),
    }


@pytest.mark.parametrize("bad", ["", 1, "a\nb", "x" * 101])
def test_tags_that_are_none_are_refused(abc: Store, bad: Any) -> None:
    for does in (sessions(abc).nbs.tag, sessions(abc).nbs.untag):
        with pytest.raises(InvalidInput, match="tag"):
            does("fine", bad)
    assert tags(abc) == {"a": ["draft"], "b": ["draft"], "c": []}


@pytest.mark.parametrize("act", ["tag", "untag"])
def test_no_tag_is_refused(abc: Store, act: str) -> None:
    with pytest.raises(InvalidInput, match="Say which tags"):
        getattr(nbs.sessions_df(abc).nbs, act)()


# Rename


RENAMED: dict[str, Callable[[Any], object]] = {
    "mapping": lambda df: {"a": "b", "b": "a"},
    "ids": lambda df: (
        {df.session_id[0]: {"a": "b", "b": "a"}.get(df.name[0], "c")}
        | {df.session_id[n]: {"a": "b", "b": "a", "c": "c"}[df.name[n]] for n in range(3)}
    ),
    "function": lambda df: lambda session: {"a": "b", "b": "a"}.get(session.name),
    "column": lambda df: df.name.map({"a": "b", "b": "a", "c": "c"}),
    "column with gaps": lambda df: df.name.map({"a": "b", "b": "a"}),
    "shuffled column": lambda df: df.name.map({"a": "b", "b": "a", "c": "c"}).sort_values(),
}


@pytest.mark.parametrize("how", RENAMED)
def test_names_are_given_in_many_ways_and_change_places(abc: Store, how: str) -> None:
    df = sessions(abc)
    ids = {record.name: record.session_id for record in abc.list()}
    report = df.nbs.rename(RENAMED[how](df))
    assert [abc.resume(name).session_id for name in ("a", "b", "c")] == [ids["b"], ids["a"], ids["c"]]
    assert "Renamed 2 sessions: " in str(report)
    assert "'a' to 'b'" in str(report)
    report.undo()
    assert [abc.resume(name).session_id for name in ("a", "b", "c")] == [ids["a"], ids["b"], ids["c"]]


def test_one_session_is_renamed_by_its_new_name(abc: Store) -> None:
    df = sessions(abc)
    df[df.name == "a"].nbs.rename("essay")
    assert names(abc) == ["b", "c", "essay"]
    with pytest.raises(InvalidInput, match="these are 3"):
        df.nbs.rename("plan")


def test_one_without_a_name_gets_one_and_loses_it_again(store: Store) -> None:
    store.create(session_id="chat-7")
    report = sessions(store).nbs.rename({"chat-7": "plan"})
    assert names(store) == ["plan"]
    report.undo()
    assert store.list()[0].name is None


@pytest.mark.parametrize("dry_run", [True, False])
@pytest.mark.parametrize(
    "given",
    [
        pytest.param(lambda session: "same", id="all the same"),
        pytest.param({"a": "c"}, id="one that stays has it"),
        pytest.param({"a": "c", "c": "c"}, id="one that keeps it has it"),
        pytest.param({"a": "z", "b": "elsewhere"}, id="one that is not in the frame has it"),
    ],
)
def test_all_are_renamed_or_none(abc: Store, given: Any, dry_run: bool) -> None:
    abc.create("elsewhere")
    df = sessions(abc)
    with pytest.raises(SessionExists, match=r"'(same|c|elsewhere)'"):
        df[df.name != "elsewhere"].nbs.rename(given, dry_run=dry_run)
    assert names(abc) == ["a", "b", "c", "elsewhere"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"nobody": "x"}, "No session of the frame has the id or name 'nobody'"),
        ({"a": ""}, "is no name"),
        ({"a": "latest"}, "reserved"),
        ({"a": 7}, "must be text"),
        ({"a": ["x"]}, "must be text"),
        (str.upper, "The function failed for session"),
        (lambda session: session.nothing, "AttributeError"),
        (7, "Names are a mapping, a function of the session, or a column of the frame, not 7"),
        (["x", "y", "z"], "or a column of the frame, not .'x', 'y', 'z'.. Nothing was done"),
        (pd.Series(["x"], index=["elsewhere"]), "no column of this frame"),
    ],
)
def test_names_that_cannot_be_given_are_refused(abc: Store, given: Any, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        sessions(abc).nbs.rename(given)
    assert names(abc) == ["a", "b", "c"]


def test_an_undo_does_not_take_a_name_that_somebody_has_since(abc: Store) -> None:
    df = sessions(abc)
    report = df.nbs.rename({"a": "x", "b": "y"})
    abc.create("b")
    with pytest.raises(SessionExists, match="'b'"):
        report.undo()
    assert names(abc) == ["b", "c", "x", "y"]
    abc.rename("b", "mine")
    assert len(report.undo()) == 2
    assert names(abc) == ["a", "b", "c", "mine"]


NAMES = st.sampled_from(["a", "b", "c", "d"]) | st.text(max_size=8)
STEPS = st.one_of(
    st.tuples(st.sampled_from(["tag", "untag"]), st.lists(NAMES, min_size=1, max_size=3)),
    st.tuples(st.just("rename"), st.dictionaries(st.sampled_from(["a", "b", "c"]), NAMES)),
)


@given(st.lists(STEPS, max_size=6))
def test_undone_in_turn_all_is_as_it_was(steps: list[tuple[str, Any]]) -> None:
    store = nbs.open_store("memory:")
    for name in ("a", "b", "c"):
        store.create(name, tags=["a"], session_id=f"id of {name}")
    df, before = sessions(store), store.list()
    reports = []
    for does, given_names in steps:
        now_there = store.list()
        named = {f"id of {key}": name for key, name in given_names.items()} if does == "rename" else None
        try:
            report = df.nbs.rename(named) if does == "rename" else getattr(df.nbs, does)(*given_names)
        except (InvalidInput, SessionExists):
            assert store.list() == now_there
            continue
        reports.append(report)
        assert len(str(report).splitlines()) == 1
    for report in reversed(reports):
        if report:
            assert len(report.undo()) == len(report)
    assert store.list() == before
    assert len(df.nbs.delete()) == 3


def test_two_who_tag_the_same_sessions_at_once_lose_nothing(store: Store) -> None:
    for number in range(40):
        store.create(f"plan {number}")
    df = sessions(store)

    def tagged(number: int) -> int:
        rows = df if number % 2 else df.iloc[::-1]  # in another order, each may wait for the other
        return sum(len(rows.nbs.tag(f"{number}-{again}")) for again in range(5))

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(tagged, range(4))) == 4 * 5 * 40
    assert {len(record.tags) for record in store.list(None)} == {20}


# Open


def test_the_one_session_of_a_frame_is_opened(abc: Store) -> None:
    abc.create("b", conversation_id="c1")
    df = sessions(abc)
    session = df[(df.name == "b") & (df.conversation_id == "c1")].nbs.open()
    assert (session.name, session.conversation_id) == ("b", "c1")
    add(session, "Hello")
    for rows, said in ((df, "these are 4: 'b'"), (df[df.name == "nobody"], "this frame has none")):
        with pytest.raises(InvalidInput, match=said):
            rows.nbs.open()


# Export


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    workspace = Workspace(Settings(store=str(tmp_path / "agents.db")))
    for name in ("a", "b", "c"):
        workspace.store.create(name, tags=[] if name == "c" else ["draft"])
    yield workspace
    workspace.close()


def history(workspace: Workspace) -> Any:
    return run_line(workspace, "history", face="magic", prefix="%session ")


def test_the_rows_that_a_filter_left_are_exported(workspace: Workspace, tmp_path: Path) -> None:
    df = history(workspace)
    report = df[df.tags == "draft"].nbs.export(tmp_path / "out" / "new")
    assert (report.path, len(report)) == (tmp_path / "out" / "new", 2)
    assert sorted(os.listdir(report)) == sorted(file.name for file in report.files)
    with nbs.open_store("memory:") as other:
        assert sorted(record.name or "" for record in other.import_(report)) == ["a", "b"]
    with pytest.raises(InvalidInput, match="exists already"):
        df.nbs.export(report)
    assert len(os.listdir(report)) == 2
    df.nbs.export(report, overwrite=True)
    assert len(os.listdir(report)) == 3
    with pytest.raises(InvalidInput, match="remove the `files`"):
        report.undo()


def test_a_frame_from_a_file_is_told_its_store(workspace: Workspace, tmp_path: Path) -> None:
    history(workspace).to_csv(tmp_path / "sessions.csv", index=False)
    text = (tmp_path / "sessions.csv").read_text()
    assert str(tmp_path) not in text
    df = pd.read_csv(tmp_path / "sessions.csv")
    with pytest.raises(InvalidInput, match="say store="):
        df.nbs.export(tmp_path / "out")
    assert len(df.nbs.export(tmp_path / "out", store=workspace.store).files) == 3
    add(workspace.store.resume("a"), "Hello")
    report = df.nbs.delete(store=workspace.store)
    assert sorted(record.name for record in report) == ["b", "c"]


def test_what_a_frame_keeps_of_its_store_tells_nothing(workspace: Workspace) -> None:
    df = history(workspace)
    kept, kind = df.attrs.values()
    assert isinstance(kept, str)
    assert (len(kept), kind) == (16, "sessions")
    assert workspace.store.url not in repr(df.attrs)
    assert df.copy().attrs == df.attrs


# What cannot be used


DOES: dict[str, Callable[[Any, Path], object]] = {
    "delete": lambda nbs, place: nbs.delete(),
    "tag": lambda nbs, place: nbs.tag("old"),
    "untag": lambda nbs, place: nbs.untag("draft"),
    "rename": lambda nbs, place: nbs.rename(lambda session: f"old {session.name}"),
    "export": lambda nbs, place: nbs.export(place),
    "open": lambda nbs, place: nbs.open(),
}


@pytest.fixture(params=DOES)
def does(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Any], object]:
    def do(frame: Any) -> object:
        return DOES[request.param](frame.nbs, tmp_path / "out")

    do.__name__ = request.param
    return do


def test_sessions_that_are_gone_are_named_and_nothing_is_done(
    abc: Store, does: Callable[[Any], object], tmp_path: Path
) -> None:
    df = sessions(abc)
    gone = abc.resume("b").session_id
    abc.delete("b")
    abc.delete("c")
    before = abc.list()
    with pytest.raises(
        InvalidInput, match=r"is not in the store .*, nor 1 more of the frame. Nothing was done"
    ):
        does(df)
    with pytest.raises(InvalidInput, match=f"Session {gone} is not in the store"):
        does(df[df.name == "b"])
    assert abc.list() == before
    assert not (tmp_path / "out").exists()


def test_another_owners_sessions_stay_as_they_are(abc: Store, does: Callable[[Any], object]) -> None:
    df = sessions(abc)
    before = abc.list(None)
    abc.owner = "bob"
    abc.create("bobs")
    if does.__name__ in ("export", "open"):  # they can be read
        does(df[df.name == "a"])
    else:
        with pytest.raises(NotOwner, match="belongs to 'ada'"):
            does(sessions(abc))
    assert [record for record in abc.list(None) if record.owner == "ada"] == before
    assert names(abc) == ["a", "b", "bobs", "c"]


def test_mixed_stores_are_refused(abc: Store, does: Callable[[Any], object], tmp_path: Path) -> None:
    with nbs.open_store("memory:") as other:
        other.create("d")
        both = pd.concat([sessions(abc), sessions(other)])
        for meant in (None, abc, other):
            with pytest.raises(InvalidInput, match="say store=" if meant is None else "is not in the store"):
                does(both if meant is None else mark(both, meant))
        with pytest.raises(InvalidInput, match="store= is another"):
            sessions(abc).nbs.delete(store=other)
        assert (names(abc), names(other)) == (["a", "b", "c"], ["d"])
    assert not (tmp_path / "out").exists()


def test_what_is_no_store_is_refused(abc: Store) -> None:
    for store in ("memory:", 7, nbs.open_store):
        with pytest.raises(InvalidInput, match="open store"):
            sessions(abc).nbs.delete(store=store)


def test_the_same_place_opened_again_is_the_same_store(tmp_path: Path) -> None:
    with nbs.open_store(tmp_path / "a.db") as store, nbs.open_store(tmp_path / "a.db") as again:
        store.create("plan")
        assert len(sessions(store).nbs.delete(store=again)) == 1


def test_a_closed_store_is_told(abc: Store, does: Callable[[Any], object]) -> None:
    df = sessions(abc)
    df = df[df.name == "a"]
    if not abc.backend.persistent:
        pytest.skip("what is in memory has nothing to close")
    abc.close()
    with pytest.raises(StoreUnavailable, match="is closed"):
        does(df)


def test_a_store_that_is_gone_is_not_kept_alive(tmp_path: Path) -> None:
    store = nbs.open_store("memory:")
    store.create("plan")
    df = sessions(store)
    del store
    gc.collect()
    with pytest.raises(InvalidInput, match="say store="):
        df.nbs.export(tmp_path / "out")


def test_an_empty_frame_has_nothing_to_do(
    store: Store, does: Callable[[Any], object], tmp_path: Path
) -> None:
    store.create("plan")
    nobody = sessions(store).query("name == 'nobody'")
    for df in (nobody, pd.DataFrame({"session_id": []}), frame(SESSIONS, [])):
        if does.__name__ == "open":
            with pytest.raises(InvalidInput, match="has none"):
                does(df)
        else:
            report = does(df)
            assert (str(report), report) == ("Nothing to do: the frame has no row.", report)
    assert names(store) == ["plan"]
    assert not (tmp_path / "out").exists()


def test_rows_that_come_twice_count_once(abc: Store) -> None:
    df = sessions(abc)
    twice = pd.concat([df, df])
    assert len(twice.nbs.tag("old")) == 3
    assert len(twice.nbs.delete()) == 3


def test_a_row_that_is_older_than_another_of_the_same_session_counts(abc: Store) -> None:
    df = sessions(abc)
    add(abc.resume("a"), "Hello")
    both = pd.concat([df, sessions(abc)])
    assert {record.name for record in both.nbs.delete()} == {"b", "c"}


@pytest.mark.parametrize("bad", [None, float("nan"), pd.NA, 1.5, True, ["a"]])
def test_rows_without_an_id_are_refused(abc: Store, bad: object) -> None:
    df = sessions(abc).astype({"session_id": object})
    df.at[1, "session_id"] = bad
    with pytest.raises(InvalidInput, match="Row 1 has no session_id"):
        df.nbs.delete()
    assert names(abc) == ["a", "b", "c"]


def test_an_id_that_a_file_made_a_number_of_is_one(store: Store) -> None:
    store.create(session_id="42")
    assert len(pd.DataFrame({"session_id": [42]}).nbs.delete(store=store)) == 1


def test_times_that_cannot_be_read_are_refused(abc: Store) -> None:
    df = sessions(abc).assign(updated_at="yesterday")
    with pytest.raises(InvalidInput, match="'updated_at' cannot be read"):
        df.nbs.delete()
    assert names(abc) == ["a", "b", "c"]


def test_sessions_of_conversations_are_told_apart(store: Store) -> None:
    for conversation in (None, "c1", "c2"):
        store.create(session_id="same", conversation_id=conversation)
    store.create(session_id="alone", conversation_id="c1")
    df = sessions(store)
    assert {record.conversation_id for record in df.nbs.records()} == {None, "c1", "c2"}
    with pytest.raises(InvalidInput, match="keep the column 'conversation_id'"):
        df[["session_id"]].nbs.delete()
    assert len(df[df.session_id == "alone"][["session_id"]].nbs.delete()) == 1
    df[(df.session_id == "same") & (df.conversation_id == "c1")].nbs.delete()
    left = store.list(None, conversation_id="*")
    assert {(record.session_id, record.conversation_id) for record in left} == {
        ("same", None),
        ("same", "c2"),
    }


@pytest.fixture
def lived() -> Iterator[Store]:
    """A store whose first session has something of everything."""
    with nbs.open_store("memory:") as store:
        for name in ("a", "b", "c"):
            store.create(name)
        session = store.resume("a")
        session.send("Hello", agent=lambda prompt: "Hi")
        session.messages = [
            {"role": "user", "content": "Add 1 and 2."},
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
            {"role": "tool", "content": "3", "tool_call_id": "c1"},
        ]
        session.checkpoint("here")
        yield store


CALL = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": "{}"}}


def lost(df: Any) -> Any:
    """Return a frame that does not know any more what it is of."""
    return pd.DataFrame(df.to_dict("list"))


def by_session(df: Any) -> Any:
    return df.groupby("session_id", as_index=False)


OTHERS: dict[str, Callable[[Store], Any]] = {
    "messages": nbs.messages_df,
    "runs": nbs.runs_df,
    "events": nbs.events_df,
    "tool calls": nbs.tool_calls_df,
    "usage": lambda store: nbs.usage_df(store, by="session"),
    "messages that lost what they are": lambda store: lost(nbs.messages_df(store)),
    "words that lost what they are": lambda store: lost(nbs.messages_df(store)[["session_id", "content"]]),
    "runs that lost what they are": lambda store: lost(nbs.runs_df(store)),
    "events that lost what they are": lambda store: lost(nbs.events_df(store)),
    "tool calls that lost what they are": lambda store: lost(nbs.tool_calls_df(store)),
    "usage that lost what it is": lambda store: lost(nbs.usage_df(store, by="session")),
    "hits": lambda store: frame(HITS, store.search("Hello")),
    "checkpoints": lambda store: frame(CHECKPOINTS, store.resume("a").checkpoints()),
    "a filter on messages": lambda store: nbs.messages_df(store).query("role == 'user'")[["session_id"]],
    "messages by session": lambda store: by_session(nbs.messages_df(store)).position.max(),
    "sums of sessions": lambda store: sessions(store).groupby("agent_name", as_index=False).turn_count.sum(),
    "ids in the index": lambda store: sessions(store).set_index("session_id"),
    "renamed columns": lambda store: sessions(store).rename(columns={"session_id": "id"}),
    "columns of one name": lambda store: sessions(store).rename(columns={"name": "session_id"}),
    "columns on two floors": lambda store: (
        sessions(store).groupby("owner").agg({"session_id": ["first", "max"]})
    ),
    "sessions with their messages": lambda store: sessions(store).assign(role="user"),
    "joined": lambda store: sessions(store).merge(nbs.runs_df(store), on="session_id"),
    "no sessions at all": lambda store: pd.DataFrame({"x": [1]}),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_a_frame_of_something_else_is_refused(lived: Store, does: Callable[[Any], object], kind: str) -> None:
    df = OTHERS[kind](lived)
    assert len(df) > 0
    with pytest.raises(NotSessions, match="frames of sessions") as told:
        does(df)
    assert str(told.value).count("\n") == 0
    assert names(lived) == ["a", "b", "c"]


def test_pandas_knows_which_frames_can_be_acted_on(abc: Store) -> None:
    """Else nobody could look at the attributes of any frame."""
    assert "nbs" in dir(sessions(abc))
    assert "nbs" not in dir(nbs.runs_df(abc))
    assert not hasattr(pd.DataFrame({"x": [1]}), "nbs")
    assert repr(sessions(abc).nbs).startswith("<nbs of 3 rows: records, delete, tag, ")


def test_hostile_names_stay_on_their_line(store: Store) -> None:
    for name in ('"><script>alert(1)</script>', "it's \u00a0 \U0001f989", "x" * 200, "100% {braces} {}"):
        store.create(name)
    df = sessions(store)
    for report in (df.nbs.tag("{}"), df.nbs.untag("{}"), df.nbs.delete(dry_run=True), df.nbs.delete()):
        assert len(str(report).splitlines()) == 1
        assert len(report) == 4
    assert names(store) == []


def test_old_ones_are_deleted_by_their_age(store: Store) -> None:
    for name, days in (("new", 0), ("old", 40)):
        key = store.create(name).key
        store.backend.update(key, {}, micros(now() - timedelta(days=days)))
    df = sessions(store)
    old = df[df.updated_at < pd.Timestamp.now(tz="UTC") - pd.Timedelta(days=30)]
    assert [record.name for record in old.nbs.delete()] == ["old"]
