"""Turns as a view reads them: pages, what each took, the ways that a conversation went."""

from __future__ import annotations

from collections.abc import Sequence

import nbsessions as nbs
from nbsessions.families import Line
from nbsessions.stores.base import Finish
from nbsessions.testing.samples import a_finish, a_run
from nbsessions.values import micros, now
from nbsessions.widgets.turns import Shown, Turns


def talked(turns: int) -> nbs.Session:
    session = nbs.open_store("memory:").create("plan")
    for number in range(1, turns + 1):
        session.send(f"question {number}", agent=lambda prompt: f"answer to {prompt}")
    return session


def line_of(session: nbs.Session) -> Line:
    return Line(session.head, session.message_count, session.record)


def page(session: nbs.Session, top: str | None = None, size: int = 20) -> list[Shown]:
    return Turns(session.backend).page(line_of(session), top, size)


def texts(shown: Sequence[Shown]) -> list[str]:
    return [message.text for one in shown for message in one.messages]


def test_a_page_is_the_end_of_a_line_and_the_next_ends_where_it_begins() -> None:
    session = talked(5)
    last = page(session, size=2)
    assert [one.first for one in last] == [7, 9]
    before = page(session, session.turns[2].turn_id, size=2)
    assert texts(before) == ["question 2", "answer to question 2", "question 3", "answer to question 3"]


def test_nothing_was_said_yet() -> None:
    assert page(nbs.open_store("memory:").create("plan")) == []


def test_a_line_that_is_cut_ends_where_it_is_cut() -> None:
    session = talked(2).rewind(3)
    assert texts(page(session)) == ["question 1", "answer to question 1", "question 2"]


def test_long_turns_make_short_pages_and_one_is_always_there() -> None:
    session = nbs.open_store("memory:").create("plan")
    for letter in "ab":
        session.add_message({"role": "user", "content": letter * 300_000})
    assert [one.first for one in page(session)] == [2]


def test_what_a_turn_took_is_told_also_of_the_session_that_was_forked_from() -> None:
    session = nbs.open_store("memory:").create("plan")
    run = a_run(session.key, started_at=now())
    session.backend.start_run(run)
    usage = nbs.Usage(input_tokens=1200, output_tokens=45, requests=1)
    finish = Finish(run.run_id, "completed", micros(now()), usage, "gpt-5", "openai")
    session.commit("turn", "chat", '[{"role":"user","content":"Hi"}]', prompts=1, finish=finish)
    fork = session.fork("other")
    fork.add_message({"role": "user", "content": "And?"})
    first, second = page(fork)
    assert first.took.startswith("1,200 → 45 tokens · ")
    assert first.took.endswith(" · gpt-5")
    assert second.took == ""


def test_what_a_turn_took_is_told_also_where_many_runs_failed_since() -> None:
    session = talked(1)
    backend, key = session.backend, session.key
    for _ in range(100):
        run = a_run(key)
        backend.start_run(run)
        backend.finish_run(a_finish(run, "failed"))
    assert page(session)[0].took


def test_what_is_kept_of_runs_is_about_the_page_alone() -> None:
    session = talked(9)
    turns = Turns(session.backend)
    for number in range(2, 19, 2):
        session.rewind(number)
        turns.page(line_of(session), None, 2)
        session.undo()
    assert len(turns._runs) <= 2


def test_the_first_turn_of_a_page_has_all_its_ways() -> None:
    session = talked(6)
    for number in (2, 8):
        session.fork(f"at {number}", at=number).send("Another way", agent=lambda prompt: "Yes")
    assert [len(one.ways) for one in page(session, size=2)] == [2, 1]
    assert [len(one.ways) for one in page(session, size=20)] == [1, 2, 1, 1, 2, 1]


def test_where_a_fork_went_its_own_way_there_are_two() -> None:
    session = talked(2)
    fork = session.fork("other", at=2)
    fork.send("question 3", agent=lambda prompt: "Yes")
    ours, theirs = page(session)[-1], page(fork)[-1]
    assert ours.ways == theirs.ways == [ours.turn_id, theirs.turn_id]
    assert [len(one.ways) for one in page(session)] == [1, 2]


def test_a_damaged_turn_is_told_and_the_others_are_shown() -> None:
    session = talked(3)
    turns = [turn.turn_id for turn in session.turns]

    class Damaged(type(session.backend)):  # type: ignore[misc]
        def chain(self, turn_id: str, *, messages: int | None = None) -> list[nbs.Turn]:
            found = super().chain(turn_id, messages=messages)
            return [turn._replace(body="[]") if turn.turn_id == turns[1] else turn for turn in found]

    session.backend.__class__ = Damaged
    first, second, third = page(session)
    assert second.wrong.startswith(f"Turn {turns[1]} is damaged")
    assert (len(first.messages), len(second.messages), len(third.messages)) == (2, 0, 2)
    assert third.first == 5
