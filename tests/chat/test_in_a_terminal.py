"""The prompt as a person sees it, in a real terminal."""

from __future__ import annotations

import os
import signal
import time

import pytest

from nbsessions import Store
from tests.chat.conftest import Begin, Start
from tests.conftest import STUCK_SECONDS, texts

ECHO = ("--agent", "my_agents:echo")


def test_an_afternoon_with_a_coding_task(start: Start, shared: Store) -> None:
    """18, 19, 20, 21, 25: the workflow that people know from Agentry's prompt."""
    terminal = start("--session", "coding_task", *ECHO)
    assert "Started 'coding_task'." in terminal.wait_for_prompt("coding_task")
    terminal.type("Write a function that sorts files")
    screen = terminal.wait("coding_task · turn 1")
    assert "You said: Write a function that sorts files" in screen
    assert "· saved" in screen
    terminal.wait_for_prompt("coding_task")
    terminal.type("/status")
    status = terminal.wait("last activity")
    for label in ("id ", "turns ", "messages ", "created ", "saved "):
        assert f"\n{label}" in status
    terminal.type("/new coding_task")
    terminal.wait("A session 'coding_task' exists already.")
    terminal.wait_for_prompt("coding_task")
    terminal.type("/new other")
    assert "Started 'other'. 'coding_task' stays." in terminal.wait_for_prompt("other")
    terminal.type("/resume nowhere")
    terminal.wait("nowhere")
    terminal.wait_for_prompt("other")
    terminal.type("/sessions")
    listed = terminal.wait("NAME")
    assert "coding_task" in listed.partition("NAME")[2]
    terminal.type("/resume coding_task")
    assert "Loaded 'coding_task': 1 turn, 2 messages" in terminal.wait_for_prompt("coding_task")
    terminal.type("/tools")
    terminal.wait("echo does not tell which tools it has.")
    terminal.type("/clear")
    terminal.wait("Cleared 2 messages.")
    assert texts(shared.resume("coding_task")) == []
    terminal.type("/undo")
    terminal.wait("Took back: clear.")
    terminal.type("/exit")
    terminal.wait("nbsessions chat --session coding_task")
    assert terminal.ended() == 0

    again = start("--session", "coding_task", *ECHO)
    assert "Loaded 'coding_task': 1 turn, 2 messages" in again.wait_for_prompt("coding_task")
    again.type("And in reverse?")
    again.wait("coding_task · turn 2")
    assert texts(shared.resume("coding_task"))[2:] == ["And in reverse?", "You said: And in reverse?"]


def test_ctrl_c_stops_the_answer_and_not_the_program(begin: Begin, shared: Store) -> None:
    terminal = begin("plan", "stuck")
    terminal.type("Go on")
    terminal.wait("It begins")
    terminal.keys("C-c")
    assert "`/retry` asks again." in " ".join(terminal.wait_for_prompt("plan").split())
    (run,) = shared.runs("plan")
    assert (run.status, run.prompt) == ("cancelled", "Go on")
    terminal.type("/status")
    terminal.wait("not answered")
    terminal.type("/agent --policy deny")
    terminal.wait("The agent is stuck")
    terminal.type("/retry")
    terminal.wait(lambda screen: screen.count("It begins") > 1)
    assert [run.status for run in shared.runs("plan")] == ["cancelled", "running"]


def test_ctrl_c_again_and_again_stops_no_more_than_the_answer(begin: Begin, shared: Store) -> None:
    terminal = begin("plan", "stuck")
    for number in range(3):
        terminal.type("Go on")
        terminal.wait(lambda screen, number=number: screen.count("It begins") > number)  # type: ignore[misc]
        for _ in range(2):
            os.kill(terminal.process, signal.SIGINT)
        terminal.wait_for_prompt("plan")
    assert {run.status for run in shared.runs("plan")} == {"cancelled"}
    terminal.keys("C-d")
    assert terminal.ended() == 0


def test_ctrl_c_clears_the_line_and_twice_leaves(start: Start) -> None:
    terminal = start(*ECHO)
    terminal.wait_for_prompt("new session")
    terminal.keys("half a prompt")
    terminal.wait("half a prompt")
    terminal.keys("C-c")
    terminal.wait_for_prompt("new session")
    terminal.keys("C-c")
    terminal.wait("Ctrl-C once more leaves")
    terminal.type("No, I stay")
    terminal.wait("You said: No, I stay")
    terminal.wait(lambda screen: screen.endswith("] You:"))
    terminal.keys("C-c")
    terminal.wait(lambda screen: screen.count("Ctrl-C once more leaves") > 1)
    terminal.keys("C-c")
    assert terminal.ended() == 0


def test_ctrl_d_leaves(start: Start) -> None:
    terminal = start(*ECHO)
    terminal.wait_for_prompt("new session")
    terminal.keys("C-d")
    assert terminal.ended() == 0


def test_a_prompt_of_several_lines(begin: Begin, shared: Store) -> None:
    terminal = begin("plan", "echo")
    terminal.keys("one", "M-Enter", "two", "Escape")
    terminal.keys("Enter", "three", "Enter")
    terminal.wait("plan · turn 1")
    terminal.wait_for_prompt("plan")
    terminal.paste("four\nfive\n")
    terminal.wait("… five")
    terminal.keys("Enter")
    terminal.wait("plan · turn 2")
    prompts = [message.text for message in shared.resume("plan").messages if message.role == "user"]
    assert prompts == ["one\ntwo\nthree", "four\nfive"]


def test_prompts_of_before_come_back_also_in_another_process(begin: Begin) -> None:
    terminal = begin("plan", "echo")
    terminal.type("the first prompt")
    terminal.wait("turn 1")
    terminal.type("/exit")
    terminal.ended()
    again = begin("plan", "echo")
    again.keys("Up", "Up")
    again.wait("You: the first prompt")


def test_tab_completes_commands_options_and_names(start: Start, shared: Store) -> None:
    """13: completions offer the sub-commands and the newest ids."""
    shared.create("coding_task", agent_name="echo")
    session_id = shared.resume("coding_task").session_id
    terminal = start(*ECHO)
    terminal.wait_for_prompt("new session")
    terminal.keys("/stat", "Tab")
    terminal.wait("You: /status")
    terminal.keys("C-c")
    terminal.keys("/session/load co", "Tab")
    terminal.wait("You: /session/load coding_task")
    terminal.keys("C-c")
    terminal.keys(f"/resume {session_id[:30]}", "Tab")
    terminal.wait(f"You: /resume {session_id}")
    terminal.keys("C-c")
    terminal.keys("/load --cr", "Tab")
    terminal.wait("You: /load --create")
    terminal.keys("C-c")
    terminal.keys("/r", "Tab")
    offered = terminal.wait("rewind")
    assert "resume" in offered
    terminal.keys("C-c", "C-c")
    terminal.keys("what is a /stat", "Tab", "x")
    terminal.wait("You: what is a /statx")


def test_an_answer_while_the_window_changes(begin: Begin) -> None:
    terminal = begin("plan", "slow")
    terminal.type("Make a plan")
    terminal.wait(lambda screen: screen.count("quick") > 3)
    for columns, rows in ((40, 30), (33, 20), (100, 30), (60, 8), (80, 30)):
        terminal.resize(columns, rows)
        before = terminal.screen().split()[-1:]
        terminal.wait(lambda screen, before=before: screen.split()[-1:] != before)  # type: ignore[misc]
    terminal.wait("plan · turn 1")
    screen = terminal.wait_for_prompt("plan")
    assert screen.count("Done.") == 1
    # Of what was drawn before, nothing is left between the answer and what follows it.
    answer = " ".join(terminal.everything().rpartition("First list the files.")[2].split())
    assert answer.partition(" Done.")[0].count("The quick brown fox") == 12


def test_what_is_typed_ahead_is_the_next_prompt_and_not_in_the_answer(begin: Begin) -> None:
    terminal = begin("plan", "slow")
    terminal.type("Make a plan")
    terminal.wait("quick")
    terminal.keys("/status")
    terminal.wait("plan · turn 1")
    screen = terminal.wait("You: /status")
    assert screen.count("/status") == 1


def test_a_tool_is_asked_about(begin: Begin, shared: Store) -> None:
    terminal = begin("plan", "cleaner")
    terminal.type("Tidy up")
    question = terminal.wait("Allow? [y/n/always/edit]")
    assert "cleaner asks to call remove:" in question
    assert '"path": "notes.txt"' in question
    terminal.type("y")
    terminal.wait("Allow? [y/n/always/edit] y")
    terminal.wait("It is removed.")
    terminal.wait_for_prompt("plan")
    terminal.type("Once more")
    terminal.wait(lambda screen: screen.count("Allow?") > 1)
    assert shared.runs("plan")[-1].status == "suspended"
    terminal.keys("C-c")
    terminal.wait("`/retry` asks again.")
    terminal.type("/retry")
    terminal.wait(lambda screen: screen.count("Allow?") > 2)
    terminal.type("n")
    terminal.wait("It is still there.")


def test_a_line_that_is_no_command_is_not_sent(begin: Begin, shared: Store) -> None:
    terminal = begin("plan", "echo")
    terminal.type("/usr/bin/env is what?")
    terminal.wait("There is no command 'usr/bin/env'.")
    terminal.type("//usr/bin/env is what?")
    terminal.wait("You said: /usr/bin/env is what?")
    assert len(shared.runs("plan")) == 1


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP, signal.SIGTERM])
def test_what_was_acknowledged_outlives_the_prompt(
    begin: Begin, shared: Store, number: signal.Signals
) -> None:
    """21: leaving, an interrupt and a switch all save; so does whoever ends the process."""
    terminal = begin("plan", "echo")
    terminal.type("Hello")
    terminal.wait("plan · turn 1 · ")
    terminal.wait_for_prompt("plan")
    os.kill(terminal.process, number)
    assert terminal.ended() == 128 + number
    session = shared.resume("plan")
    assert texts(session) == ["Hello", "You said: Hello"]
    assert session.saved


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
def test_a_signal_in_the_middle_of_an_answer_keeps_it(
    start: Start, begin: Begin, shared: Store, number: signal.Signals
) -> None:
    terminal = begin("plan", "stuck")
    terminal.type("Go on")
    terminal.wait("It begins")
    os.kill(terminal.process, number)
    assert terminal.ended() == 128 + number
    (run,) = shared.runs("plan")
    assert (run.status, run.prompt) == ("cancelled", "Go on")
    again = start("--session", "plan", "--agent", "my_agents:echo")
    assert "`/retry` asks again." in again.wait_for_prompt("plan")
    again.type("/agent echo --retry")
    again.wait("You said: Go on")


def test_a_terminal_that_is_closed_loses_nothing(begin: Begin, shared: Store) -> None:
    terminal = begin("plan", "stuck")
    terminal.type("Go on")
    terminal.wait("It begins")
    terminal.close()
    begin("plan", "echo")
    (run,) = shared.runs("plan")
    assert run.prompt == "Go on"
    assert run.status in ("cancelled", "failed"), "it had the time to say so"


def test_two_prompts_at_one_session(start: Start, begin: Begin, shared: Store) -> None:
    one = begin("plan", "echo")
    two = start("--session", "plan", *ECHO)
    assert "Loaded 'plan': 0 turns" in two.wait_for_prompt("plan")
    one.type("from one")
    one.wait("plan · turn 1")
    two.type("from two")
    screen = " ".join(two.wait_for_prompt("plan (fork)").split())
    assert "Somebody else went on with 'plan' meanwhile: `/load plan` goes on from there." in screen
    assert texts(shared.resume("plan")) == ["from one", "You said: from one"]
    assert texts(shared.resume("plan (fork)")) == ["from two", "You said: from two"]
    two.type("/load plan")
    two.wait_for_prompt("plan")
    two.type("on top")
    two.wait("plan · turn 2")
    # What the other one sees before it asks.
    one.type("/tags")
    one.wait("Somebody else went on with 'plan' meanwhile")


def test_a_narrow_window(start: Start) -> None:
    terminal = start("--session", "a rather long name of a session", *ECHO, columns=40)
    terminal.wait("[a rather long na…] You:")
    terminal.type("Hello")
    terminal.wait("You said: Hello")
    terminal.wait("a rather long name of a session · turn 1")
    terminal.type("a prompt that is longer than this window is wide")
    terminal.wait("You said: a prompt that is longer than this window is wide")


def test_a_question_that_is_left_ends_its_line(begin: Begin, shared: Store) -> None:
    terminal = begin("tidy", "cleaner")
    terminal.type("Tidy up")
    terminal.wait("Allow? [y/n/always/edit]")
    terminal.keys("C-c")
    assert "\nStopped. The prompt is kept. `/retry` asks again." in terminal.wait_for_prompt("tidy")
    terminal.type("/retry")
    terminal.wait(lambda screen: screen.count("Allow?") > 1)
    terminal.keys("C-d")
    assert "\nDenied: remove (no answer was given)" in terminal.wait("It is still there.")


def test_an_agent_of_another_module_is_chosen_at_the_prompt(start: Start, shared: Store) -> None:
    """And who goes on later is told how: in the same store, with the same agent."""
    terminal = start("--session", "plan", columns=160)
    terminal.wait_for_prompt("plan")
    terminal.type("/agent nowhere")
    terminal.wait("Name it by its module, such as my_agents:critic")
    terminal.type("/agent my_agents:echo")
    terminal.wait("The agent is echo.")
    terminal.type("Hello")
    terminal.wait("You said: Hello")
    terminal.type("/exit")
    terminal.wait("'plan' is saved. nbsessions chat --session plan --agent my_agents:echo goes on with it.")
    again = start("--session", "plan", *ECHO, columns=160)
    again.wait_for_prompt("plan")
    again.type("/exit")
    again.wait("nbsessions chat --session plan --agent my_agents:echo goes on with it.")


def test_a_terminal_that_is_closed_answers_no_question(begin: Begin, shared: Store) -> None:
    terminal = begin("tidy", "cleaner")
    terminal.type("Tidy up")
    terminal.wait("Allow? [y/n/always/edit]")
    terminal.close()
    stuck = time.monotonic() + STUCK_SECONDS
    while (run := shared.runs("tidy")[0]).status in ("suspended", "running") and time.monotonic() < stuck:
        time.sleep(0.05)
    assert run.status in ("cancelled", "interrupted"), "it is no failure, and the question is not answered"
