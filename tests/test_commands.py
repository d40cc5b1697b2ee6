from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nbsessions as nbs
from nbsessions.arguments import HelpShown, split
from nbsessions.commands import COMMANDS, find, run_line, spelled
from nbsessions.commands.base import Face
from nbsessions.workspace import Settings, Workspace
from tests.conftest import texts


@pytest.fixture
def workspace() -> Workspace:
    return Workspace(Settings(store="memory:", agent="echo"), names={"echo": lambda prompt: prompt})


def run(workspace: Workspace, line: str) -> str:
    return str(run_line(workspace, line, face="magic", prefix="%session "))


def test_names_with_spaces_need_no_quotes(workspace: Workspace) -> None:
    assert run(workspace, "new my first plan") == "Started 'my first plan'."
    assert run(workspace, 'rename "it\'s mine"') == "Renamed 'my first plan' to \"it's mine\"."
    assert run(workspace, "rename it's yours") == 'Renamed "it\'s mine" to "it\'s yours".'
    assert "it's yours" in run(workspace, "load it's yours")


def test_the_old_session_stays(workspace: Workspace) -> None:
    run(workspace, "new one")
    assert run(workspace, "new two") == "Started 'two'. 'one' stays."
    assert {record.name for record in workspace.store.list()} == {"one", "two"}


def test_a_missing_session_keeps_the_current_one(workspace: Workspace) -> None:
    run(workspace, "new one")
    with pytest.raises(nbs.SessionNotFound):
        run(workspace, "load nosuch")
    assert workspace.need_session().name == "one"


def test_without_a_session_it_is_said_how_to_get_one(workspace: Workspace) -> None:
    for line in ("status", "show", "save", "tag a", "rename b", "clear", "undo", "fork", "rewind 1", "runs"):
        with pytest.raises(nbs.InvalidInput, match="`new` starts one, `load` resumes one"):
            run(workspace, line)


def test_the_status_of_another_session_leaves_the_current_one(workspace: Workspace) -> None:
    run(workspace, "new one")
    run(workspace, "new two")
    assert run(workspace, "status one").startswith("one\n")
    assert run(workspace, "status").startswith("two\n")


def test_what_is_told_of_another_session_is_done_once_it_is_loaded(workspace: Workspace) -> None:
    run(workspace, "new one")
    with pytest.raises(nbs.RunFailed):
        workspace.need_session().send("Hello", agent=lambda prompt: 1 / 0)
    assert "`%agent --retry` asks again\n" in run(workspace, "status")
    run(workspace, "new two")
    assert "`%agent --retry` asks again, once you `load` it\n" in run(workspace, "status one")


def test_a_call_that_waits_in_another_session_is_allowed_once_that_is_loaded(workspace: Workspace) -> None:
    def cleaner(prompt: str, approve: Any) -> str:
        return str(approve("remove", path="x"))

    run(workspace, "new one")
    assert workspace.need_session().send("Tidy up", agent=cleaner, approve=nbs.later).status == "suspended"
    assert "`approve --deny` does not.\n" in run(workspace, "status")
    run(workspace, "new two")
    assert "`approve --deny` does not, once you `load` it.\n" in run(workspace, "status one")
    workspace.take_notes()
    run(workspace, "show one")
    assert workspace.take_notes()[0].endswith(", once you `load` it.")


def test_undo_takes_back_the_load_or_what_came_after(workspace: Workspace) -> None:
    run(workspace, "new one")
    workspace.need_session().add_message({"role": "user", "content": "in one"})
    run(workspace, "new two")
    run(workspace, "load one")
    workspace.need_session().add_message({"role": "user", "content": "again in one"})
    assert run(workspace, "undo") == "Took back: message. 'one' has 1 message."
    assert run(workspace, "load two").startswith("Loaded 'two'")
    assert run(workspace, "undo") == "Took back: load two. 'one' has 1 message."


def test_undo_goes_back_from_load_to_load(workspace: Workspace) -> None:
    for name in ("one", "two", "three"):
        run(workspace, f"new {name}")
    for name in ("one", "two"):
        run(workspace, f"load {name}")
    undone = [run(workspace, "undo").partition(".")[0] for _ in range(3)]
    assert undone == ["Took back: load two", "Took back: load one", "Took back: new three"]
    assert workspace.need_session().name == "two"


def test_undo_does_not_pretend_where_another_writer_was(workspace: Workspace) -> None:
    run(workspace, "new one")
    workspace.need_session().add_message({"role": "user", "content": "mine"})
    workspace.store.resume("one").add_message({"role": "user", "content": "theirs"})
    with pytest.raises(nbs.SessionConflict, match="was moved by another writer"):
        run(workspace, "undo")
    assert workspace.store.resume("one").message_count == 2


def test_autosave_on_tells_of_a_conflict(workspace: Workspace) -> None:
    run(workspace, "new one")
    run(workspace, "autosave off")
    workspace.need_session().add_message({"role": "user", "content": "mine"})
    workspace.store.resume("one").add_message({"role": "user", "content": "theirs"})
    assert "your save is kept on 'one (fork)'" in run(workspace, "autosave on")


def test_a_checkpoint_is_not_taken_for_a_number(workspace: Workspace) -> None:
    run(workspace, "new one")
    session = workspace.need_session()
    session.messages = [{"role": "user", "content": str(n)} for n in range(12)]
    session.rewind(3)
    run(workspace, "checkpoint 1_0")
    session.undo()
    assert run(workspace, "rewind 1_0").startswith("Now at '1_0': 3 messages.")
    session.undo()
    assert run(workspace, "rewind ٤").startswith("Kept the first 4 messages.")
    with pytest.raises(nbs.InvalidInput, match="There is no place"):
        run(workspace, "rewind +-4")


def test_a_session_is_deleted_once(workspace: Workspace) -> None:
    run(workspace, "new one")
    assert run(workspace, "delete one one") == "Deleted 'one'."
    assert workspace.session is None


def test_load_draft_is_about_the_current_session(workspace: Workspace) -> None:
    run(workspace, "new one")
    run(workspace, "new two")
    run(workspace, "load one")
    with pytest.raises(nbs.InvalidInput, match="'one' has no draft"):
        run(workspace, "load --draft")


def test_clear_keeps_system_messages_and_can_be_undone(workspace: Workspace) -> None:
    run(workspace, "new one")
    session = workspace.need_session()
    session.messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}]
    assert run(workspace, "clear") == "Cleared 1 message. 1 system message kept. `undo` brings them back."
    assert [message.role for message in workspace.need_session().messages] == ["system"]
    run(workspace, "undo")
    assert workspace.need_session().message_count == 2


def test_clear_can_keep_the_last_messages(workspace: Workspace) -> None:
    session = workspace.store.create("plan")
    session.messages = [
        {"role": "system", "content": "Be brief."},
        *({"role": "user", "content": f"{n}"} for n in range(9)),
    ]
    run(workspace, "load plan")
    assert run(workspace, "clear --keep 3") == "Cleared 7 messages. 3 messages kept. `undo` brings them back."
    assert texts(workspace.need_session().messages) == ["Be brief.", "7", "8"]
    assert run(workspace, "clear --keep 3") == "Nothing to clear: 'plan' has 3 messages."
    run(workspace, "undo")
    assert workspace.need_session().message_count == 10
    with pytest.raises(nbs.InvalidInput, match="say one"):
        run(workspace, "clear --all --keep 3")
    with pytest.raises(nbs.InvalidInput, match="say both"):
        run(workspace, "clear --conversation c")


@pytest.mark.parametrize("line", ["clear --all", "clear --all --confirm=false", "clear --all --confirm no"])
def test_clear_all_without_confirmation_deletes_nothing(workspace: Workspace, line: str) -> None:
    run(workspace, "new one")
    with pytest.raises(nbs.InvalidInput):
        run(workspace, line)
    assert workspace.store.exists("one")


def test_clear_all_is_for_this_owner_and_agent(workspace: Workspace) -> None:
    run(workspace, "new one")
    workspace.store.create("other agent's", agent_name="other")
    workspace.store.create("in a conversation", agent_name="echo", conversation_id="c")
    workspace.store.owner = "grace"
    workspace.store.create("grace's", agent_name="echo")
    assert run(workspace, "clear --all --confirm") == "Deleted 1 session with 'echo'."
    left = workspace.store.list(conversation_id="*")
    assert {record.name for record in left} == {"one", "other agent's", "in a conversation"}


def test_delete_is_all_or_nothing_and_exact(workspace: Workspace) -> None:
    run(workspace, "new one")
    run(workspace, "new two")
    for line in ("delete one nosuch", f"delete {workspace.need_session().session_id[:30]}"):
        with pytest.raises(nbs.SessionNotFound):
            run(workspace, line)
    assert len(workspace.store.list()) == 2
    assert run(workspace, "delete one two").startswith("Deleted 'one', 'two'.")
    assert workspace.session is None


def test_autosave(workspace: Workspace) -> None:
    run(workspace, "new one")
    assert "off" in run(workspace, "autosave off")
    workspace.need_session().add_message({"role": "user", "content": "Hello"})
    assert workspace.store.resume("one").message_count == 0
    assert "no: a draft" in run(workspace, "status")
    assert "on" in run(workspace, "autosave on")
    assert workspace.store.resume("one").message_count == 1


def test_a_draft_is_left_and_found_again(workspace: Workspace) -> None:
    run(workspace, "new one")
    run(workspace, "autosave off")
    workspace.need_session().add_message({"role": "user", "content": "Hello"})
    assert run(workspace, "new two") == "Started 'two'. 'one' stays, with its unsaved draft."
    run(workspace, "autosave on")
    loaded = run(workspace, "load one")
    assert "0 messages" in loaded
    assert loaded.splitlines()[1] == "It has an unsaved draft: `load --draft` goes on from there."
    assert "1 message" in run(workspace, "load one --draft")
    run(workspace, "save")
    assert workspace.store.resume("one").message_count == 1


def test_store_goes_elsewhere(workspace: Workspace) -> None:
    run(workspace, "new one")
    assert run(workspace, "store") == "The store is memory:"
    with pytest.raises(nbs.InvalidInput, match="No store answers to 'nosuch:'"):
        run(workspace, "store nosuch:x")
    assert workspace.need_session().name == "one"
    run(workspace, "store memory:")
    with pytest.raises(nbs.InvalidInput, match="no current session"):
        run(workspace, "status")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(
    workspace: Workspace, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    face: Face = "magic" if "magic" in COMMANDS[name].faces else min(COMMANDS[name].faces)
    with pytest.raises(HelpShown):
        run_line(workspace, f"{name} --help", face=face, prefix="%session ")
    assert COMMANDS[name].help in capsys.readouterr().out.replace("\n", " ")
    assert f"%session {name}" in str(run_line(workspace, f"help {name}", face=face, prefix="%session "))


@pytest.mark.parametrize("line", ["pick", "history --widget"])
def test_a_widget_needs_a_notebook(workspace: Workspace, line: str) -> None:
    with pytest.raises(nbs.InvalidInput, match="needs a notebook"):
        run(workspace, line)


def test_widgets_have_the_store_and_the_filters(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nbsessions.commands.widgets.in_kernel", lambda: True)
    run(workspace, "new plan")
    run(workspace, "tag draft")
    run(workspace, "new essay")
    picker = run_line(workspace, "pick", face="magic", prefix="%session ")
    assert isinstance(picker, nbs.SessionPicker)
    picker.search.value = "plan"
    picker.resume()
    assert workspace.need_session().name == "plan"
    table = run_line(workspace, "history 5 --tag draft --widget", face="magic", prefix="%session ")
    assert isinstance(table, nbs.HistoryTable)
    assert (table.page_size, "plan" in str(table), "essay" in str(table)) == (5, True, False)
    with pytest.raises(nbs.InvalidInput, match="1 to 200 sessions, not 0"):
        run(workspace, "history 0 --widget")
    for widget in (picker, table):
        widget.close()


def test_faces() -> None:
    assert find("store", "magic").name == "store"
    with pytest.raises(nbs.InvalidInput, match="There is no command 'store'"):
        find("store", "http")


@given(st.text())
def test_any_line_is_a_command_or_one_clear_line(line: str) -> None:
    workspace = Workspace(Settings(store="memory:"))
    mistake = "one"
    try:
        run_line(workspace, line, face="http", prefix="/")
    except HelpShown:
        return
    except nbs.NbsessionsError as error:
        mistake = str(error)
    assert len(mistake.splitlines()) == 1


@given(st.lists(st.text(st.characters(exclude_characters=' "', exclude_categories=("C", "Z")), min_size=1)))
def test_words_are_split_at_spaces(words: list[str]) -> None:
    assert split(" ".join(words)) == words


def test_load_create_is_for_a_notebook_that_is_run_again(workspace: Workspace) -> None:
    assert run(workspace, "load plan --create") == "Started 'plan'."
    workspace.need_session().add_message({"role": "user", "content": "Hello"})
    run(workspace, "new other")
    assert run(workspace, "load plan --create").startswith("Loaded 'plan': 1 turn, 1 message")
    with pytest.raises(nbs.InvalidInput, match="--create needs a name"):
        run(workspace, "load --create")


def test_clear_all_says_what_it_would_delete(workspace: Workspace) -> None:
    for name in ("one", "two"):
        run(workspace, f"new {name}")
    with pytest.raises(
        nbs.InvalidInput, match="deletes 2 sessions that you began with 'echo', for good: two, one"
    ):
        run(workspace, "clear --all")


def test_status_says_where_a_session_is_kept_and_who_was_asked_last(workspace: Workspace) -> None:
    run(workspace, "new one")
    assert "in memory only" in run(workspace, "status")
    workspace.need_session().send("Hello", agent=lambda prompt: "Hi")
    status = run(workspace, "status")
    assert "agent          echo" in status
    assert "last asked     agent" in status


def test_a_name_of_nothing_is_no_name(workspace: Workspace) -> None:
    run(workspace, "new one")
    with pytest.raises(nbs.InvalidInput, match="'' is no name"):
        run(workspace, 'rename ""')


def test_messages_are_spelled_as_the_face_spells_commands() -> None:
    assert spelled("`undo`, `load x`, `%agent --retry` and `no_command`.", "/") == (
        "`/undo`, `/load x`, `%agent --retry` and `no_command`."
    )


# Places, runs, the whole store


@pytest.fixture
def plan(workspace: Workspace) -> Workspace:
    """A current session of two turns."""
    run(workspace, "new plan")
    for prompt in ("Where do owls live?", "What do they eat?"):
        workspace.need_session().send(prompt, agent=lambda prompt: prompt.upper())
    return workspace


def test_a_checkpoint_and_the_way_back(plan: Workspace) -> None:
    assert run(plan, "checkpoint before the idea") == "Checkpoint 'before the idea' after 4 messages."
    plan.need_session().send("An idea", agent=lambda prompt: "No")
    assert run(plan, "rewind before the idea") == (
        "Now at 'before the idea': 4 messages. `undo` leads back to 6 messages."
    )
    assert run(plan, "rewind before the idea") == "Nothing to rewind: 'plan' has 4 messages."
    assert run(plan, "rewind 2") == "Kept the first 2 messages. `undo` brings 2 back."
    assert run(plan, "rewind 99") == "Nothing to rewind: 'plan' has 2 messages."
    again = run(plan, "checkpoint before the idea")
    assert again.startswith(
        "Checkpoint 'before the idea' after 2 messages. The one after 4 messages keeps its id:"
    )
    assert "Now at" in run(plan, f"rewind {again[-9:-1]}")
    assert run(plan, "checkpoint") == "Checkpoint 'checkpoint 1' after 4 messages."
    assert list(table(plan, "checkpoints").name) == ["checkpoint 1", "before the idea", "before the idea"]


def table(workspace: Workspace, line: str) -> pd.DataFrame:
    found = run_line(workspace, line, face="magic", prefix="%session ")
    assert isinstance(found, pd.DataFrame)
    return found


def test_a_fork_begins_at_any_place(plan: Workspace) -> None:
    run(plan, "checkpoint here")
    turn = plan.need_session().turns[0].turn_id
    for line, count in (("fork a --at 1", 1), ("fork b --at here", 4), (f"fork c --at {turn[-8:]}", 2)):
        run(plan, "load plan")
        assert f": {count} message" in run(plan, line)
    assert list(table(plan, "branches plan").name) == ["a", "b", "c"]
    assert table(plan, "branches").empty


def test_the_tree_is_of_the_current_session_unless_told(plan: Workspace) -> None:
    run(plan, "fork other --at 2")
    assert run(plan, "tree").splitlines() == [
        "plan · 4 messages",
        "├── 1 Where do owls live?",
        "├── 2 ↳ other · 2 messages · you are here",
        "└── 3 What do they eat?",
    ]
    run(plan, "new stranger")
    assert run(plan, "tree plan").splitlines()[0] == "plan · 4 messages"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (
            "rewind nowhere",
            "There is no place 'nowhere' on 'plan'. It has no checkpoint yet: `checkpoint` makes one.",
        ),
        ("rewind -1", "unrecognized|at least 0|required"),
        ("fork --at nowhere", "There is no place 'nowhere'"),
        ("checkpoint 12", "would be read as a number of messages"),
        ("redact 9", "There is no message 9: 'plan' has 4 messages."),
        ("redact 0", "There is no message 0"),
        ("redact", "Say which message"),
        ("redact 1 --run x", "Say which message"),
        ("redact 1", r"This removes what message 1 \(user: 'Where do owls live\?'\) says, for good"),
        ("replay nowhere", "No run 'nowhere' in this store. `runs` lists those of a session."),
        ("search ?", "There is no word to search for"),
        ("search owl --role nobody", "invalid choice"),
        ("prune", "Say what to prune"),
        ("prune --older-than soon", "is no length of time: write 30d"),
        ("prune --keep -1", "at least 0|expected one argument"),
        ("backup /nowhere/at/all.db", "cannot be backed up"),
        ("tree nowhere", "No session 'nowhere'"),
    ],
)
def test_a_mistake_is_one_line_and_changes_nothing(plan: Workspace, line: str, says: str) -> None:
    before = [record.model_dump() for record in plan.store.list(None)]
    with pytest.raises(nbs.NbsessionsError, match=says) as caught:
        run(plan, line)
    assert "\n" not in str(caught.value)
    assert [record.model_dump() for record in plan.store.list(None)] == before


def test_redacting_is_confirmed_and_told(plan: Workspace) -> None:
    assert run(plan, "redact 1 --confirm") == "Redacted message 1 of 'plan'."
    assert run(plan, "redact 1 --confirm") == "Message 1 of 'plan' is redacted already."
    assert "[redacted]" in run(plan, "show")
    assert plan.need_session().messages[1].text == "WHERE DO OWLS LIVE?"


def test_a_failed_run_is_redacted_by_its_id(plan: Workspace) -> None:
    def broken(prompt: str) -> str:
        raise ValueError(f"bad {prompt}")

    with pytest.raises(nbs.RunFailed):
        plan.need_session().send("hunter2", agent=broken)
    failed = plan.need_session().runs()[-1].run_id[-8:]
    with pytest.raises(nbs.InvalidInput, match=r"\(failed\) was asked and told, for good"):
        run(plan, f"redact --run {failed}")
    assert run(plan, f"redact --run {failed} --confirm") == f"Redacted the run {failed}."
    assert "hunter2" not in str(plan.need_session().runs())


def test_a_search_is_a_table(plan: Workspace) -> None:
    found = table(plan, "search owls live --role user")
    assert list(found.snippet) == ["Where do owls live?"]
    assert (found.session[0], found.message[0]) == ("plan", 1)
    assert len(table(plan, 'search "do owls"')) == 2
    assert len(table(plan, 'search "owls do"')) == 0
    assert len(table(plan, "search owl* --limit 1")) == 1
    empty = table(plan, "search nothing")
    assert (len(empty), list(map(str, empty.dtypes))) == (0, list(map(str, found.dtypes)))


def test_a_run_is_replayed_by_the_end_of_its_id(plan: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    run_id = plan.need_session().runs()[0].run_id
    assert run(plan, f"replay {run_id[-8:]} --speed 0") == "None"
    shown = capsys.readouterr().out
    assert shown.splitlines()[:2] == ["Where do owls live?", "WHERE DO OWLS LIVE?"]
    assert "plan · " in shown


def test_pruning_says_what_it_did(plan: Workspace) -> None:
    run(plan, "new empty")
    assert run(plan, "prune --empty --dry-run") == "Would delete 1 session: 'empty'."
    assert run(plan, "prune --empty") == "Deleted 1 session: 'empty'."
    assert plan.session is None
    assert run(plan, "prune --empty") == "Deleted 0 sessions."
    run(plan, "load plan")
    run(plan, "tag keep")
    assert run(plan, "prune --keep 0 --keep-tag keep") == "Deleted 0 sessions."
    assert run(plan, "prune --keep 0 --agent nosuch") == "Deleted 0 sessions."


def test_collecting_and_verifying_say_what_they_found(plan: Workspace) -> None:
    run(plan, "delete plan")
    assert run(plan, "gc") == "Removed 2 turns that nothing reached."
    assert run(plan, "verify") == "0 turns, 0 sessions and 2 runs are whole."


def test_a_store_is_backed_up_by_a_path(tmp_path: Path) -> None:
    workspace = Workspace(Settings(store=str(tmp_path / "sessions.db")))
    run(workspace, "new plan")
    path = tmp_path / "my copy.db"
    assert run(workspace, f"backup {path}") == f"Backed up to {path}"
    with pytest.raises(nbs.InvalidInput, match="exists already"):
        run(workspace, f"backup {path}")
    with pytest.raises(nbs.StoreUnavailable, match=r"Cannot write the backup .*: No such file or directory"):
        run(workspace, f"backup {tmp_path}/nowhere/x.db")
    workspace.close()


def test_another_owners_session_says_so_when_it_is_loaded(plan: Workspace) -> None:
    plan.store.owner = "bob"
    assert run(plan, "load plan").endswith("It belongs to 'ada': read it, or `fork` it to go on.")
    with pytest.raises(nbs.NotOwner):
        run(plan, "clear")
    assert "Now on 'plan (fork)'" in run(plan, "fork")
    assert "Kept the first message" in run(plan, "rewind 1").replace("1 message", "message")


def test_nothing_to_clear_is_said(workspace: Workspace) -> None:
    run(workspace, "new plan")
    assert run(workspace, "clear") == "Nothing to clear: 'plan' has 0 messages."


def test_load_wants_a_turn_and_brings_it_from_the_notebook(workspace: Workspace, tmp_path: Path) -> None:
    other = nbs.open_store("memory:")
    session = other.create("plan", session_id="s-1", conversation_id="a2a")
    session.send("Hello", agent=lambda prompt: "Hi")
    turn = session.turns[0].turn_id
    path = other.export(session.record, tmp_path / "plan.ipynb")
    line = f"load s-1 --conversation a2a --turn {turn}"
    with pytest.raises(nbs.InvalidInput, match="The store does not have session 's-1'"):
        run(workspace, line)
    with pytest.raises(nbs.InvalidInput, match="with its path, brings it"):
        run(workspace, f"{line} --or-import")
    assert workspace.session is None
    workspace.notebook = lambda: str(path)
    assert run(workspace, f"{line} --or-import").startswith(
        "Imported 'plan' from this notebook. Loaded 'plan'"
    )
    assert run(workspace, f"{line} --or-import").startswith("Loaded 'plan': 1 turn")
    with pytest.raises(nbs.InvalidInput, match=r"does not have turn nosuch of session 's-1'\."):
        run(workspace, "load s-1 --conversation a2a --turn nosuch")
    with pytest.raises(nbs.InvalidInput, match="need the session"):
        run(workspace, "load --or-import")
    with pytest.raises(nbs.SessionNotFound):
        run(workspace, "load s-1")


def test_load_says_what_is_wrong_with_the_notebook(workspace: Workspace, tmp_path: Path) -> None:
    path = tmp_path / "other.ipynb"
    path.write_text('{"nbformat": 4, "cells": [], "metadata": {}}')
    workspace.notebook = lambda: str(path)
    with pytest.raises(nbs.InvalidInput, match="carries no session 'plan'"):
        run(workspace, "load plan --or-import")
    workspace.notebook = lambda: str(tmp_path / "gone.ipynb")
    with pytest.raises(nbs.InvalidInput, match="there is no such file"):
        run(workspace, "load plan --or-import")


def test_context_shows_what_would_be_sent(workspace: Workspace) -> None:
    session = workspace.current("echo")
    for prompt in ("One", "Two", "Three"):
        session.send(prompt, agent=lambda prompt: prompt)
    table = run_line(workspace, "context --max-messages 3", face="magic", prefix="%session ")
    assert isinstance(table, pd.DataFrame)
    assert table["content"].tolist() == ["Two", "Three", "Three"]
    assert table["counted"].tolist() == ["estimated"] * 3
    summary = getattr(table, "summary", "")
    assert summary.startswith("3 of 6 messages would be sent, with about 17 tokens")
    assert summary.endswith("max_messages is 3. 3 messages would be left out; what is stored stays whole.")


def test_compact_asks_who_is_named_or_the_current_agent(workspace: Workspace) -> None:
    workspace.names = {**workspace.names, "brief": lambda prompt: "They counted."}
    session = workspace.current("echo")
    for prompt in ("One", "Two", "Three"):
        session.send(prompt, agent=lambda prompt: prompt)
    told = run(workspace, "compact --model brief --keep 0")
    assert told.startswith("brief summed up what came before: about 16 tokens are sent now, not 32.")
    table = run_line(workspace, "context", face="magic", prefix="%session ")
    assert isinstance(table, pd.DataFrame)
    assert table["role"].tolist() == ["summary"]
    assert run(workspace, "undo") == f"Took back: compact. {session.record.label!r} has 6 messages."
    with pytest.raises(nbs.InvalidInput, match="keep must be at least 0"):
        run(workspace, "compact --keep -1")
