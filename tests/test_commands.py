from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import nbsessions as nbs
from nbsessions.arguments import HelpShown, split
from nbsessions.commands import COMMANDS, find, run_line, spelled
from nbsessions.workspace import Settings, Workspace


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
    with pytest.raises(HelpShown):
        run(workspace, f"{name} --help")
    assert COMMANDS[name].help in capsys.readouterr().out.replace("\n", " ")
    assert f"%session {name}" in run(workspace, f"help {name}")


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
