"""Which stored answer is shown again, and when somebody is asked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from nbsessions import Decision, InvalidInput, LimitReached, Session, later
from nbsessions.adapters import adapt
from nbsessions.asking import Question, ask, decide
from nbsessions.commands import run_line
from nbsessions.reprs import Conversation
from nbsessions.rerunning import replay
from nbsessions.settings import Settings
from nbsessions.workspace import Workspace
from tests.adapters.test_waiting import Worker
from tests.conftest import add, texts


@pytest.fixture
def workspace() -> Iterator[Workspace]:
    found = Workspace(Settings(store="memory:"))
    yield found
    found.close()


@pytest.fixture
def session(workspace: Workspace) -> Session:
    """A session of three turns; the first and the last have the same prompt."""
    found = workspace.create("plan", "helper")
    for number, prompt in enumerate(("Go on", "And then?", "Go on"), 1):
        found.send(prompt, agent=lambda prompt, number=number: f"answer {number}", cell_id=f"cell-{number}")
    return found


def shown(capsys: pytest.CaptureFixture[str], workspace: Workspace, prompt: str, **cell: Any) -> str:
    """Return what is shown again; nothing where somebody had to be asked."""
    assert workspace.session is not None
    before = len(workspace.session.runs()), workspace.session.usage
    capsys.readouterr()
    found = replay(workspace, workspace.session, prompt, **cell)
    out = capsys.readouterr().out
    assert (len(workspace.session.runs()), workspace.session.usage) == before
    assert found == bool(out)
    return out


def test_a_cell_shows_its_own_answer(
    workspace: Workspace, session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    assert shown(capsys, workspace, "Go on", cell_id="cell-3").startswith(
        "answer 3\nplan · turn 3 · replayed"
    )
    assert shown(capsys, workspace, "Go on", cell_id="cell-1").startswith("answer 1\n")
    assert not shown(capsys, workspace, "Something else", cell_id="cell-1")
    assert not shown(capsys, workspace, "Go on", cell_id="cell-9")
    assert not shown(capsys, workspace, "Go on")


def test_an_exported_cell_has_the_id_of_its_turn(
    workspace: Workspace, session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    turns = [turn.turn_id for turn in session.turns]
    assert shown(capsys, workspace, "Go on", cell_id=turns[2]).startswith("answer 3\n")
    assert not shown(capsys, workspace, "Changed", cell_id=turns[2])
    # A changed prompt is asked in place of the turn, as in any other cell.
    agent = adapt(lambda prompt: "another answer")
    ask(workspace, session, Question(prompt="Changed", adapter=agent, cell_id=turns[1], rerun="replay"))
    assert texts(session) == ["Go on", "answer 1", "Changed", "another answer"]


def test_a_line_that_was_left_is_shown_where_it_is_asked_for(
    workspace: Workspace, session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    last = session.turns[-1].turn_id
    session.rewind(2)
    assert not shown(capsys, workspace, "Go on", cell_id=last)
    assert shown(capsys, workspace, "Go on", cell_id=last, by_prompt=True).startswith("answer 3\n")
    assert not shown(capsys, workspace, "Changed", cell_id=last, by_prompt=True)


def test_by_their_prompts_answers_are_found_in_their_order(
    workspace: Workspace, session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    order = [
        shown(capsys, workspace, prompt, cell_id=str(number), by_prompt=True).split("\n")[0]
        for number, prompt in enumerate(["Go on", "And then?", "Go on"] * 2)
    ]
    assert order == ["answer 1", "answer 2", "answer 3"] * 2
    assert not shown(capsys, workspace, "Never asked", by_prompt=True)


def test_a_prompt_is_the_same_as_a_cell_can_hold_it(
    workspace: Workspace, session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    session.send("\nodd\r\nends\n\n", agent=lambda prompt: "answer 4")
    assert shown(capsys, workspace, "odd\nends", by_prompt=True).startswith("answer 4\n")


def test_what_was_added_up_to_the_next_prompt_is_a_part_of_the_answer(
    workspace: Workspace, session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    add(session, "Hello")
    add(session, "Hi", "How are you?", role="assistant")
    add(session, "Fine")
    assert shown(capsys, workspace, "Hello", by_prompt=True).startswith("Hi\nHow are you?\nplan · turn 4 ·")
    assert shown(capsys, workspace, "Fine", by_prompt=True).startswith("(no text)\n")


def test_what_a_rewind_cut_off_is_not_shown(
    workspace: Workspace, session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    session.rewind(5)
    assert not shown(capsys, workspace, "Go on", cell_id="cell-3")
    assert shown(capsys, workspace, "Go on", cell_id="cell-3", by_prompt=True).startswith("(no text)\n")


def test_a_loop_asks_each_time(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    session = workspace.create("loop", "helper")
    asked: list[str] = []

    def agent(prompt: str) -> str:
        asked.append(prompt)
        return f"answer {len(asked)}"

    question = Question(
        prompt="Go on", adapter=adapt(agent), cell_id="c", rerun="replay", execution=1, by_prompt=True
    )
    for _ in range(3):
        assert not replay(workspace, session, "Go on", cell_id="c", execution=1, by_prompt=True)
        ask(workspace, session, question)
    assert len(asked) == session.turn_count == 3
    assert replay(workspace, session, "Go on", cell_id="c", execution=2, by_prompt=True)


def test_thoughts_are_shown_again(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    session = workspace.create("thoughts", "helper")
    session.messages = [
        {"role": "user", "content": "1 + 2?"},
        {"role": "assistant", "content": "3", "reasoning_content": "I should add."},
    ]
    assert shown(capsys, workspace, "1 + 2?", by_prompt=True).startswith("Thinking: I should add.\n3\n")


# Runs that wait


@pytest.fixture
def worker(workspace: Workspace) -> Worker:
    """An agent whose run waits with the first of two calls."""
    found = Worker("remove", "remove")
    workspace.names = {"worker": found.agent}
    workspace.create("plan", "worker").send("Work", agent=found.agent, approve=later)
    return found


def test_what_waits_now_is_told_before_it_is_allowed(workspace: Workspace, worker: Worker) -> None:
    session = workspace.need_session()
    assert 'with { "path": "p0" }.' in workspace.waits(session)[0]
    # Another kernel decides, and leaves the next call for later.
    workspace.store.resume("plan").approve(agent=worker.agent, approve=later)
    [run] = session.waiting()
    with pytest.raises(
        InvalidInput, match=r'another call by now: worker asks to call remove with { "path": "p1" }'
    ):
        decide(workspace, session, run, Decision(True))
    assert worker.ran == []
    workspace.settings.policy, workspace.settings.deny_tools = "allow", ()
    workspace.use_policy(policy="allow")
    decide(workspace, session, run, Decision(False))
    assert worker.ran == ["remove p0"]


def test_a_session_that_waits_is_shown_with_what_it_waits_for(workspace: Workspace, worker: Worker) -> None:
    conversation = run_line(workspace, "show plan", face="magic", prefix="%session ")
    assert isinstance(conversation, Conversation)
    assert "Not part of the conversation: the run is suspended\n\n· user\nWork" in str(conversation)
    [note] = [note for note in workspace.take_notes() if "Its last run waits" in note]
    assert 'worker asks to call remove with { "path": "p0" }. `approve` allows it' in note


def test_limits_hold_for_what_goes_on(workspace: Workspace, worker: Worker) -> None:
    session = workspace.need_session()
    workspace.settings.max_requests = "1"
    with pytest.raises(LimitReached, match="This run has spent 1 request"):
        decide(workspace, session, session.waiting()[0], Decision(True))
    assert (worker.ran, worker.asked) == ([], 1)


def test_what_cannot_go_on_is_not_shown_as_if_it_could(
    workspace: Workspace, worker: Worker, capsys: pytest.CaptureFixture[str]
) -> None:
    session = workspace.need_session()
    [run] = session.waiting()
    add(session, "Never mind")
    capsys.readouterr()
    with pytest.raises(InvalidInput, match="cannot go on: the session has moved on since"):
        decide(workspace, session, run, Decision(True))
    assert "asks to call" not in capsys.readouterr().out
    assert worker.ran == []
