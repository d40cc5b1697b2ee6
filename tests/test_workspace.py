from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import nbsessions as nbs
from nbsessions.stores.base import Move
from nbsessions.workspace import Settings, Workspace
from tests.conftest import texts
from tests.disks import SmallDisk


def echo(prompt: str) -> str:
    return prompt


def workspace(path: Path, notebook: str | None = "/nb.ipynb", **settings: object) -> Workspace:
    made = Settings(store=str(path / "sessions.db"))
    for name, value in settings.items():
        setattr(made, name, value)
    return Workspace(made, notebook=lambda: notebook, names={"echo": echo, "number": 3})


def test_a_notebook_goes_on_where_it_stopped(tmp_path: Path) -> None:
    first = workspace(tmp_path)
    first.create("plan", "echo").add_message({"role": "user", "content": "Hello"})
    first.create("essay", "echo")
    first.switch(first.resume("plan"), "load")
    first.close()
    again = workspace(tmp_path)
    assert again.current("echo").name == "plan"
    assert again.take_notes()[0].startswith("Resumed 'plan' (1 turn), this notebook's last session.")
    assert workspace(tmp_path, notebook="/other.ipynb").current("echo").name is None
    assert workspace(tmp_path, notebook=None).current("echo").name is None
    assert workspace(tmp_path, auto_resume=False).current("echo").name is None


def test_a_deleted_session_is_not_resumed(tmp_path: Path) -> None:
    first = workspace(tmp_path)
    first.create("essay", "echo")
    first.create("plan", "echo")
    first.store.delete("plan")
    first.close()
    assert workspace(tmp_path).current("echo").name == "essay"


def test_agents_by_name_and_by_model(tmp_path: Path) -> None:
    space = workspace(tmp_path)
    assert space.adapter("echo").name == "echo"
    assert space.adapter().name == "local"
    assert space.adapter(model="ollama:llama3.2").name == "ollama:llama3.2"
    space.use_agent("echo", None)
    assert space.adapter().name == "echo"
    assert space.adapter(model="ollama:llama3.2").name == "ollama:llama3.2"
    with pytest.raises(nbs.InvalidInput, match="echo takes no model"):
        space.adapter("echo", "ollama:llama3.2")
    for wrong in ("number", "nosuch"):
        with pytest.raises((nbs.UnsupportedAgent, nbs.InvalidInput)):
            space.use_agent(wrong, None)
    assert space.settings.agent == "echo"


def test_a_redefined_agent_is_asked_anew(tmp_path: Path) -> None:
    names = {"mine": lambda prompt: "first"}
    space = Workspace(Settings(store="memory:"), names=names)
    space.use_agent("mine", None)
    names["mine"] = lambda prompt: "second"
    session = space.current("mine")
    assert session.send("Hello", agent=space.adapter()).output == "second"


def test_settings_reach_the_session(tmp_path: Path) -> None:
    space = workspace(tmp_path, on_conflict="error", max_messages=5)
    session = space.create("plan", "echo")
    assert (session.on_conflict, session.max_messages, session.autosave) == ("error", 5, True)
    space.set("autosave", False)
    assert session.autosave is False
    space.set("store", "memory:")
    assert space.session is None


def test_what_is_told_once_is_told_once() -> None:
    space = Workspace(Settings(store="memory:"))
    space.note_once("small")
    assert space.take_notes() == ["small"]
    space.note_once("small")
    assert space.take_notes() == []


class Refusing:
    """A store that refuses every move while it is told to."""

    def __init__(self, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
        self.refuses = True
        backend = workspace.store.backend
        move = backend.move

        def refuse(wanted: Move) -> object:
            if self.refuses:
                raise nbs.StoreUnavailable("The disk is full.")
            return move(wanted)

        monkeypatch.setattr(backend, "move", refuse)


@pytest.fixture
def left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Workspace, Refusing]:
    """A workspace whose current session has an answer that waits."""
    space = workspace(tmp_path)
    space.create("other", "echo")
    session = space.create("plan", "echo")
    refusing = Refusing(space, monkeypatch)
    with pytest.raises(nbs.StoreUnavailable):
        session.send("Hello", agent=echo)
    return space, refusing


def test_an_answer_that_waits_is_not_lost_by_leaving_its_session(left: tuple[Workspace, Refusing]) -> None:
    space, refusing = left
    space.switch(space.resume("other"), "load")
    (note,) = space.take_notes()
    assert note == "An answer of 'plan' waits in this process, `save` tries again: The disk is full."
    assert space.resume("plan").unsaved
    assert space.save_left() == [note]
    refusing.refuses = False
    assert space.save_left() == ["The answer of 'plan' that waited is saved."]
    assert texts(space.resume("plan")) == ["Hello", "Hello"]
    assert space.save_left() == []


def test_loading_the_same_session_goes_on_with_what_waits(left: tuple[Workspace, Refusing]) -> None:
    space, refusing = left
    space.switch(space.store.resume("plan"), "load")
    refusing.refuses = False
    session = space.need_session()
    session.send("And now?", agent=echo)
    assert texts(session) == ["Hello", "Hello", "And now?", "And now?"]


def test_an_answer_that_waits_keeps_its_store_open(left: tuple[Workspace, Refusing], tmp_path: Path) -> None:
    space, refusing = left
    space.use_store(str(tmp_path / "another.db"))
    assert space.session is None
    refusing.refuses = False
    assert space.save_left() == ["The answer of 'plan' that waited is saved."]
    with nbs.open_store(tmp_path / "sessions.db") as store:
        assert texts(store.resume("plan")) == ["Hello", "Hello"]


def test_closing_loses_no_answer(left: tuple[Workspace, Refusing]) -> None:
    space, refusing = left
    with pytest.raises(nbs.StoreUnavailable, match="An answer of 'plan' waits"):
        space.close()
    assert space.need_session().name == "plan"
    refusing.refuses = False
    space.close()


def test_undo_of_a_load_keeps_what_waits_and_is_a_visit(
    left: tuple[Workspace, Refusing], tmp_path: Path
) -> None:
    space, refusing = left
    assert space.undo() == "new plan"
    assert space.need_session().name == "other"
    refusing.refuses = False
    assert space.save_left() == ["The answer of 'plan' that waited is saved."]
    assert workspace(tmp_path).current("echo").name == "other"


def test_undo_goes_back_to_the_draft_that_was_left(tmp_path: Path) -> None:
    space = workspace(tmp_path, autosave=False)
    first = space.create("plan", "echo")
    first.add_message({"role": "user", "content": "Hello"})
    space.set("autosave", True)
    space.create("other", "echo")
    space.undo()
    assert (space.need_session().message_count, space.need_session().saved) == (1, False)


def test_undo_takes_back_the_load_once_what_came_after_is_undone(tmp_path: Path) -> None:
    space = workspace(tmp_path)
    space.create("plan", "echo").send("Hello", agent=echo)
    space.create("other", "echo")
    space.switch(space.resume("plan"), "load")
    space.need_session().send("And now?", agent=echo)
    assert [space.undo(), space.undo()] == ["turn", "load plan"]
    assert space.need_session().name == "other"


def test_a_session_that_another_kernel_deleted_is_told_and_left(tmp_path: Path) -> None:
    space = workspace(tmp_path)
    space.create("plan", "echo")
    with nbs.open_store(tmp_path / "sessions.db") as store:
        store.delete("plan")
    with pytest.raises(nbs.SessionNotFound, match="Session 'plan' was deleted"):
        space.current("echo")
    assert space.current("echo").name is None


def test_of_several_agents_sessions_of_one_name_the_current_agents_is_meant(tmp_path: Path) -> None:
    space = workspace(tmp_path, agent="echo")
    for agent_name in ("echo", "other"):
        space.create("plan", agent_name)
    assert space.resume("plan").agent_name == "echo"
    space.settings.agent = "nosuch"
    with pytest.raises(nbs.AmbiguousSession, match=r"\(plan, other\)"):
        space.resume("plan")


def test_the_local_model_is_also_called_a_model(tmp_path: Path) -> None:
    space = workspace(tmp_path, agent="echo")
    space.use_agent(None, "local")
    assert (space.settings.agent, space.settings.model, space.adapter().name) == ("local", None, "local")


def test_deleting_a_session_keeps_the_answer_that_waits(left: tuple[Workspace, Refusing]) -> None:
    space, refusing = left
    refusing.refuses = False
    space.store.delete("plan")
    space.forget_deleted()
    assert "'plan' was deleted meanwhile: your turn is kept on 'plan (fork)'." in space.take_notes()
    assert (space.need_session().name, texts(space.need_session())) == ("plan (fork)", ["Hello", "Hello"])


def test_a_handle_whose_answer_is_saved_is_no_longer_kept(left: tuple[Workspace, Refusing]) -> None:
    space, refusing = left
    waits = space.need_session()
    space.switch(space.resume("other"), "load")
    refusing.refuses = False
    waits.save_waiting()
    assert space.resume("plan") is not waits
    assert space.save_left() == []


def test_undo_of_a_load_is_about_the_session_that_was_loaded(tmp_path: Path) -> None:
    space = workspace(tmp_path)
    space.create("one", "echo")
    middle = space.create("two", "echo")
    space.switch(middle.fork("three"), "fork")
    space.store.delete("two")
    space.forget_deleted()
    with pytest.raises(nbs.InvalidInput, match="Nothing to undo in 'three'"):
        space.undo()


def test_a_retry_asks_no_agent_of_the_same_name(tmp_path: Path) -> None:
    def make(text: str) -> Callable[[str], str]:
        def agent(prompt: str) -> str:
            raise ValueError(text)

        return agent

    class Odd:
        def __getattr__(self, name: str) -> object:
            raise RuntimeError("unbound")

        def __call__(self) -> None: ...

    names: dict[str, object] = {"odd": Odd(), "calm": make("calm"), "angry": make("angry")}
    space = Workspace(Settings(store="memory:"), names=names)
    session = space.create("plan", "agent")
    with pytest.raises(nbs.RunFailed):
        session.send("Hello", agent=names["angry"])
    (run,) = session.runs()
    with pytest.raises(nbs.InvalidInput, match="Several agents are called 'agent': calm, angry"):
        space.asked(run)
    space.use_agent("angry", None)
    assert space.asked(run)[0].name == "agent"
    del names["calm"]
    space.settings.agent = None
    assert space.asked(run)[0].name == "agent"


@pytest.mark.parametrize("current", [True, False])
def test_a_retry_asks_the_model_that_was_asked(current: bool) -> None:
    space = Workspace(Settings(store="memory:"), names={"echo": echo})
    adapter = space.adapter(model="ollama:llama3.2")
    space.use_agent(*((None, "ollama:llama3.2") if current else ("echo", None)))
    session = space.create("plan", "echo")
    with pytest.raises(nbs.RunFailed):  # nobody listens there
        session.send("Hello", agent=adapter)
    asked, model = space.asked(session.runs()[0])
    assert (asked.name, asked.model, model) == ("ollama:llama3.2", "ollama:llama3.2", None)


def test_a_load_can_be_taken_back_after_a_restart(tmp_path: Path) -> None:
    first = workspace(tmp_path)
    first.create("one", "echo").add_message({"role": "user", "content": "Hello"})
    first.create("two", "echo")
    first.switch(first.resume("one"), "load")
    first.close()
    again = workspace(tmp_path)
    assert again.need_session().name == "one"
    assert again.undo() == "load one"
    assert again.need_session().name == "two"
    again.close()
    # The undo was a move of its own, and is not undone by the next one.
    third = workspace(tmp_path)
    assert third.need_session().name == "two"
    assert third.undo() == "new two"
    assert texts(third.need_session()) == ["Hello"]


def test_moves_are_taken_back_before_the_load_also_after_a_restart(tmp_path: Path) -> None:
    first = workspace(tmp_path)
    first.create("one", "echo").add_message({"role": "user", "content": "Hello"})
    first.create("two", "echo")
    first.switch(first.resume("one"), "load")
    first.need_session().clear_history()
    first.close()
    again = workspace(tmp_path)
    again.need_session()
    assert [again.undo(), again.undo()] == ["clear", "load one"]
    assert again.need_session().name == "two"


def test_undo_in_a_session_with_somebodys_draft_is_about_what_was_saved(tmp_path: Path) -> None:
    space = workspace(tmp_path, autosave=False)
    space.create("plan", "echo").add_message({"role": "user", "content": "in the draft"})
    space.set("autosave", True)
    space.create("other", "echo")
    space.switch(space.resume("plan"), "load")
    for prompt in ("one", "two"):
        space.need_session().send(prompt, agent=echo)
    assert [space.undo(), space.undo(), space.undo()] == ["turn", "turn", "load plan"]
    assert space.need_session().name == "other"


def test_a_store_that_is_read_only_can_be_looked_at(small_disk: SmallDisk) -> None:
    with nbs.open_store(small_disk.folder / "sessions.db") as store:
        session = store.create("plan")
        session.send("Where do owls live?", agent=echo)
        session.checkpoint("here")
        store.search("owls")
        store.create("other")
    small_disk.protect()
    space = workspace(small_disk.folder)
    space.switch(space.resume("plan"), "load")
    assert space.take_notes()[0].startswith("Which session is the current one is not remembered: ")
    assert texts(space.need_session()) == ["Where do owls live?"] * 2
    assert [hit.number for hit in space.store.search("owls")] == [2, 1]
    assert [one.name for one in space.need_session().checkpoints()] == ["here"]
    assert space.store.verify().ok
    for call in (space.undo, lambda: space.need_session().rewind(0), lambda: space.create("x", "echo")):
        with pytest.raises(nbs.StoreUnavailable, match="is read-only: nothing was saved"):
            call()
    space.close()


def test_a_store_that_was_brought_up_to_date_says_so_once(tmp_path: Path) -> None:
    shutil.copy(Path(__file__).parent / "stores" / "versions" / "v1.db", tmp_path / "sessions.db")
    space = workspace(tmp_path)
    space.store.list()
    (note,) = space.take_notes()
    assert note == "The store was of an earlier version, and is kept as it was in sessions.db.v1.bak."
    space.close()
    again = workspace(tmp_path)
    again.store.list()
    assert again.take_notes() == []


def test_a_password_is_not_shown(tmp_path: Path) -> None:
    told: dict[str, object] = {}
    space = workspace(tmp_path)
    space.remember = lambda name, value: told.update({name: value})
    space.set("store", "postgresql://ada:hunter2@127.0.0.1:1/agents")
    assert space.settings.store == told["store"] == "postgresql://ada:***@127.0.0.1:1/agents"
    with pytest.raises(nbs.StoreUnavailable) as caught:
        space.store.list()
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in repr(space.settings)
