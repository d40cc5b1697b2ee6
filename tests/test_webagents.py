"""What webagents calls a session command, done by ours."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbsessions import InvalidInput
from nbsessions.commands import COMMANDS, run, webagents
from nbsessions.workspace import Settings, Workspace


@pytest.fixture
def workspace() -> Workspace:
    return Workspace(Settings(store="memory:", agent="echo"), names={"echo": lambda prompt: prompt})


def called(workspace: Workspace, command: str, typed: bool = False, /, **given: object) -> object:
    ours, values = webagents.translated(command, given, typed=typed)
    return run(workspace, COMMANDS[ours], values)


def names(workspace: Workspace) -> set[str | None]:
    return {record.name for record in workspace.store.list(conversation_id="*")}


def test_a_session_is_saved_and_loaded_by_their_names(workspace: Workspace) -> None:
    called(workspace, "new", name="one")
    called(workspace, "save", name="first")
    called(workspace, "new")
    told = called(workspace, "load", session_id="first")
    assert str(told).startswith("Loaded 'first'")
    assert webagents.translated("history", {"limit": "5"}, typed=True) == ("history", {"limit": 5})


@pytest.mark.parametrize("typed", [False, True])
@given(
    said=st.sampled_from(["false", "no", "maybe", "yes", "True", "1", "", 0, 1, None, [], ["true"], {}, 1.0])
    | st.text(max_size=6)
)
def test_all_is_cleared_only_where_it_was_confirmed(typed: bool, said: object) -> None:
    workspace = Workspace(Settings(store="memory:", agent="echo"), names={"echo": lambda prompt: prompt})
    called(workspace, "new", name="one")
    if typed and said == "true":
        return
    with pytest.raises(InvalidInput, match=r"This deletes 1 session .* Say `clear --all --confirm` to do it"):
        called(workspace, "clear", typed, confirm=said)
    assert names(workspace) == {"one"}


def test_what_is_cleared_is_this_agents_and_this_owners(workspace: Workspace) -> None:
    called(workspace, "new", name="mine")
    workspace.store.create("another agent's", agent_name="critic")
    workspace.store.create("asked", agent_name="echo", conversation_id="c")
    workspace.store.owner = "bob"
    workspace.store.create("another's", agent_name="echo")
    workspace.store.owner = "ada"
    with pytest.raises(InvalidInput, match="deletes 1 session"):
        called(workspace, "clear")
    assert called(workspace, "clear", True, confirm="true") == "Deleted 1 session with 'echo'."
    assert names(workspace) == {"another agent's", "asked", "another's"}
    with pytest.raises(InvalidInput, match="nothing to delete"):
        called(workspace, "clear")


def test_clearing_one_conversation_leaves_the_others(workspace: Workspace) -> None:
    called(workspace, "new", name="mine")
    for conversation in ("a", "b"):
        workspace.store.create(f"in {conversation}", agent_name="echo", conversation_id=conversation)
    with pytest.raises(InvalidInput, match=r"in the conversation 'a'.*--conversation a --confirm"):
        called(workspace, "clear", conversation_id="a")
    with pytest.raises(InvalidInput, match="nothing to delete"):
        called(workspace, "clear", conversation_id="*", confirm=False)
    called(workspace, "clear", conversation_id="*", confirm=True)
    assert names(workspace) == {"mine", "in a", "in b"}
    called(workspace, "clear", conversation_id="a", confirm=True)
    assert names(workspace) == {"mine", "in b"}


def test_words_are_pairs_where_all_of_them_are() -> None:
    assert webagents.pairs("clear", ["confirm=true"]) == {"confirm": "true"}
    assert webagents.pairs("load", ["session_id=my plan"]) == {"session_id": "my plan"}
    assert webagents.pairs("history", ["5"]) is None
    assert webagents.pairs("new", ["name=a", "b"]) is None
    assert webagents.pairs("status", ["name=a"]) is None
    assert webagents.pairs("new", []) is None
