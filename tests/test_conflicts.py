"""What a person is told when another notebook was first."""

from __future__ import annotations

from pathlib import Path

import pytest

import nbsessions as nbs
from nbsessions import SessionConflict
from nbsessions.adapters import adapt
from nbsessions.asking import Question, ask
from nbsessions.commands import run_line, spelled
from nbsessions.workspace import Settings, Workspace
from tests.conftest import add, texts


def echo(prompt: str) -> str:
    return prompt


def _notebook(folder: Path, path: str | None = "/a.ipynb") -> Workspace:
    settings = Settings(store=str(folder / "sessions.db"), agent="echo")
    return Workspace(
        settings,
        notebook=lambda: path,
        names={"echo": echo},
        spell=lambda text: spelled(text, "%session "),
    )


def _run(space: Workspace, line: str) -> str:
    return str(run_line(space, line, face="magic", prefix="%session "))


def _ask(space: Workspace, prompt: str, **more: object) -> None:
    ask(space, space.need_session(), Question(prompt=prompt, adapter=adapt(echo), **more))  # type: ignore[arg-type]


@pytest.fixture
def raced(tmp_path: Path) -> Workspace:
    """A notebook whose session another one has moved."""
    space = _notebook(tmp_path)
    _run(space, "new plan")
    _ask(space, "one")
    add(space.store.resume("plan"), "theirs")
    return space


def test_the_loser_is_told_once_where_it_is_and_how_to_get_back(
    raced: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    _ask(raced, "two")
    told = capsys.readouterr().out
    assert "'plan' was moved by another writer: your turn is kept on 'plan (fork)'" in " ".join(told.split())
    assert "`%session load plan`" in " ".join(told.split())
    for line in ("save", "rewind 100", "undo", "undo", "clear", "status", "autosave on"):
        assert "another writer" not in _run(raced, line), line
    _ask(raced, "three")
    assert "another writer" not in capsys.readouterr().out


@pytest.mark.parametrize("line", ["clear", "rewind 1", "rewind 0"])
def test_a_command_that_lost_says_what_became_of_it(raced: Workspace, line: str) -> None:
    told = _run(raced, line)
    assert told.startswith(
        f"'plan' was moved by another writer: your {line.split()[0]} is kept on 'plan (fork)'"
    )
    assert raced.need_session().name == "plan (fork)"
    assert "another writer" not in _run(raced, "save")


def test_after_the_others_rewind_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    space = _notebook(tmp_path)
    _run(space, "new plan")
    _ask(space, "one")
    space.store.resume("plan").rewind(0)
    _ask(space, "two")
    assert "'plan (fork)'" in capsys.readouterr().out
    assert texts(space.need_session()) == ["one", "one", "two", "two"]
    assert texts(space.store.resume("plan")) == []


def test_where_conflicts_are_errors_the_answer_is_told_and_kept(tmp_path: Path) -> None:
    space = _notebook(tmp_path)
    space.settings.on_conflict = "error"
    _run(space, "new plan")

    def late(prompt: str) -> str:
        add(space.store.resume("plan"), "theirs")
        return prompt

    with pytest.raises(SessionConflict, match=r"`load` it to go on.*Your answer is kept on 'plan \(fork\)'"):
        ask(space, space.need_session(), Question(prompt="mine", adapter=adapt(late)))
    assert texts(space.store.resume("plan (fork)")) == ["mine", "mine"]
    # Who is told once is not told for what has not happened again.
    assert _run(space, "save") == "Saved 'plan': 0 turns, 0 messages."
    _run(space, "load plan")
    _ask(space, "again")
    assert texts(space.store.resume("plan")) == ["theirs", "again", "again"]


def test_where_conflicts_are_errors_nothing_is_spent_on_one_that_is_there(raced: Workspace) -> None:
    session, asked = raced.need_session(), list[str]()
    session.on_conflict = "error"
    with pytest.raises(SessionConflict, match="`load` it to go on from there"):
        ask(raced, session, Question(prompt="mine", adapter=adapt(asked.append)))
    assert (asked, len(session.runs())) == ([], 1)


def test_nor_on_a_draft_that_another_went_on_with(tmp_path: Path) -> None:
    space = _notebook(tmp_path)
    space.settings.on_conflict, space.settings.autosave = "error", False
    _run(space, "new plan")
    _ask(space, "one")
    add(space.store.resume("plan", draft=True), "theirs")
    session, asked = space.need_session(), list[str]()
    with pytest.raises(SessionConflict, match="'plan' has an unsaved draft of another writer"):
        ask(space, session, Question(prompt="mine", adapter=adapt(asked.append)))
    assert asked == []
    space.store.resume("plan", draft=True).save()
    with pytest.raises(SessionConflict, match="'plan' was moved by another writer"):
        ask(space, session, Question(prompt="mine", adapter=adapt(asked.append)))
    assert asked == []


def test_a_rewind_within_a_turn_is_told_as_one(raced: Workspace) -> None:
    session = raced.store.resume("plan", on_conflict="error")
    session.refresh()
    session.send("two", agent=echo)
    raced.store.resume("plan").rewind(session.message_count - 1)
    with pytest.raises(
        SessionConflict, match=r"started from turn \w{8}, it is now at another message of it\."
    ):
        add(session, "mine")


def test_a_restart_goes_on_from_the_fork_that_has_the_answer(raced: Workspace, tmp_path: Path) -> None:
    _ask(raced, "two")
    raced.close()
    again = _notebook(tmp_path)
    assert again.need_session().name == "plan (fork)"
    assert "Resumed 'plan (fork)'" in again.take_notes()[0]
    assert again.undo() == "turn"


@pytest.mark.parametrize("line", ["clear", "rewind 1"])
def test_a_restart_goes_on_from_the_fork_of_a_command(raced: Workspace, tmp_path: Path, line: str) -> None:
    _run(raced, line)
    raced.close()
    assert _notebook(tmp_path).need_session().name == "plan (fork)"


def test_a_draft_that_is_there_is_told_as_the_face_spells_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    space = _notebook(tmp_path)
    space.settings.autosave = False
    _run(space, "new plan")
    session = space.need_session()

    def late(prompt: str) -> str:
        add(space.store.resume("plan", autosave=False), "theirs")
        return prompt

    ask(space, session, Question(prompt="mine", adapter=adapt(late)))
    assert "`%session load plan --draft`" in " ".join(capsys.readouterr().out.split())
    assert isinstance(session, nbs.Session)
