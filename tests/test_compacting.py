"""The older part of a conversation is summed up; what is stored stays whole."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import nbsessions as nbs
from nbsessions import InvalidInput, Message, RunFailed, Session, Store
from nbsessions.codecs import is_standing
from nbsessions.records import parse_messages
from nbsessions.testing import ScriptedAgent
from tests.conftest import add, texts
from tests.test_context import KINDS, _chat, _commit

SUMMARY = "Summary of the {} messages before:\n\nThey counted."


def _counter(prompt: str) -> str:
    return "They counted."


def _turns(session: Session, count: int) -> None:
    for number in range(count):
        session.send(f"Question {number}?", agent=lambda prompt: f"Answer to {prompt}")


def _sent(session: Session) -> list[str]:
    return texts(session.context().messages)


def test_the_summary_is_sent_with_the_system_messages_and_what_came_after(store: Store) -> None:
    session = store.create("plan")
    add(session, "Be brief.", role="system")
    _turns(session, 3)
    stored = texts(session)
    agent = ScriptedAgent([["They counted.", nbs.Usage(input_tokens=90, output_tokens=4, requests=1)]])
    run = session.compact(agent)
    assert run.output == "They counted."
    assert _sent(session) == ["Be brief.", SUMMARY.format(5), "Question 2?", "Answer to Question 2?"]
    # What is stored stays whole, and the summary is no prompt.
    assert texts(session) == [*stored, SUMMARY.format(5)]
    assert session.turn_count == 3
    # What was summed up was one text of one prompt: no tool of the agent's was there.
    (request,) = agent.requests
    assert request.messages == []
    assert "Answer to Question 1?" in request.prompt
    assert "Question 2?" not in request.prompt
    assert "Be brief." not in request.prompt
    # It is counted on a run of its own, and its checkpoint is there to go back to.
    last = session.runs()[-1]
    assert (last.run_id, last.usage.input_tokens, last.prompt) == (run.run_id, 90, None)
    assert session.total_tokens == 94
    assert [checkpoint.name for checkpoint in session.checkpoints()] == ["summary"]
    # Another process sees the same, and goes on after it.
    seen: list[list[str]] = []

    def agent_after(prompt: str, history: list[Message]) -> str:
        seen.append(texts(history))
        return "Yes."

    resumed = store.resume("plan")
    resumed.send("And?", agent=agent_after)
    assert seen == [["Be brief.", SUMMARY.format(5), "Question 2?", "Answer to Question 2?"]]
    assert _sent(resumed)[-2:] == ["And?", "Yes."]


def test_it_is_undone_like_any_other_turn(store: Store) -> None:
    session = store.create("plan")
    _turns(session, 3)
    stored = texts(session)
    session.compact(_counter)
    assert session.undo() == "compact"
    assert _sent(session) == texts(session) == stored
    session.rewind("summary")
    assert len(_sent(session)) == 3


def test_a_second_summary_stands_for_the_first_one_too(store: Store) -> None:
    session = store.create("plan")
    _turns(session, 3)
    session.compact(_counter)
    _turns(session, 2)
    agent = ScriptedAgent(["They counted on."])
    session.compact(agent, keep=2)
    assert "They counted." in agent.requests[0].prompt
    assert _sent(session)[0] == "Summary of the 9 messages before:\n\nThey counted on."
    assert len(_sent(session)) == 3
    # On a fork, and cut before it, the first one is sent again.
    fork = session.fork(at=8)
    assert _sent(fork)[0] == SUMMARY.format(4)


def test_limits_count_what_is_left(store: Store) -> None:
    session = store.create("plan")
    add(session, "Be brief.", role="system")
    _turns(session, 6)
    session.compact(_counter, keep=4)
    assert len(session.context().seen) == 6
    assert len(session.context(max_messages=4).seen) == 4
    assert _sent(session)[:2] == texts(session.context(max_messages=2).messages)
    assert texts(session.context(max_tokens=45).messages)[:2] == _sent(session)[:2]


def test_clearing_takes_the_summary_too(store: Store) -> None:
    session = store.create("plan")
    add(session, "Be brief.", role="system")
    _turns(session, 3)
    session.compact(_counter)
    session.clear_history(keep_last=3)
    assert _sent(session) == ["Be brief.", "Question 2?", "Answer to Question 2?"]
    session.undo()
    session.clear_history()
    assert _sent(session) == ["Be brief."]


def test_a_call_is_not_parted_from_its_result(store: Store) -> None:
    session = store.create("plan")
    call = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": "{}"}}
    session.messages = [
        {"role": "user", "content": "1 + 1?"},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "content": "2", "tool_call_id": "c1"},
        {"role": "assistant", "content": "Two."},
    ]
    session.compact(_counter, keep=2)
    assert [message.role for message in session.context().messages] == [
        "user",
        "assistant",
        "tool",
        "assistant",
    ]


def test_where_there_is_nothing_to_sum_up_nothing_is_asked(store: Store) -> None:
    session = store.create("plan")
    _turns(session, 1)
    agent = ScriptedAgent([])
    with pytest.raises(InvalidInput, match=r"Nothing to sum up in 'plan': the last 2 messages are kept"):
        session.compact(agent)
    assert (agent.requests, len(session.runs())) == ([], 1)
    session.compact(_counter, keep=0)
    with pytest.raises(InvalidInput, match="Nothing to sum up"):
        session.compact(_counter, keep=0)


@pytest.mark.parametrize("answer", [ValueError("no idea"), " "])
def test_where_it_fails_nothing_changes(store: Store, answer: Any) -> None:
    from nbsessions.workspace import Settings, Workspace

    session = store.create("plan")
    _turns(session, 2)
    stored = texts(session)
    with pytest.raises(RunFailed, match=r"no idea|no summary"):
        session.compact(ScriptedAgent([answer]))
    assert _sent(session) == texts(session) == stored
    assert session.runs()[-1].status == "failed"
    # It was no prompt of the person's, and is none that waits for an answer.
    assert Workspace(Settings(store="memory:")).unanswered(session) is None


def test_it_is_summed_up_by_itself_where_that_is_asked_for(store: Store) -> None:
    summer = ScriptedAgent(["They counted."] * 9)
    session = store.create("plan", compact_at=60, compact_with=summer)
    _turns(session, 3)  # 3 x 20 tokens
    assert summer.requests == []
    _turns(session, 1)
    assert len(summer.requests) == 0
    _turns(session, 1)
    assert len(summer.requests) == 1
    assert _sent(session)[0] == SUMMARY.format(6)
    assert [entry.action for entry in session.log()][:3] == ["turn", "compact", "turn"]
    # Asking again from an earlier place sums up nothing: that place is no part of what is sent now.
    before = len(summer.requests)
    session.send("Other?", agent=_counter, base=nbs.Head())
    assert len(summer.requests) == before


def test_the_agent_that_is_asked_sums_up_where_nobody_else_is_named(store: Store) -> None:
    session = store.create("plan", compact_at=30)
    add(session, *("x" * 200 for _ in range(3)))
    agent = ScriptedAgent(["They counted.", "Hi"])
    assert session.send("Hello", agent=agent).output == "Hi"
    assert [message.text for message in agent.requests[1].messages] == [SUMMARY.format(3)]
    with pytest.raises(InvalidInput, match="compact_at must be at least 1"):
        store.create(compact_at=0)


@given(KINDS.filter(bool), KINDS, st.none() | st.integers(0, 8), st.integers(1, 12), st.integers(1, 200))
def test_for_any_history(
    store: Store, before: list[str], after: list[str], keep: int | None, most: int, limit: int
) -> None:
    session = store.create()
    for name, kinds in (("pydantic-ai", before), ("chat", before)):
        _commit(session, name, _numbered(kinds, name))
    stored = session.messages
    try:
        session.compact(_counter, keep=keep)
    except InvalidInput:
        return
    assert session.messages[: len(stored)] == stored
    if after:
        _commit(session, "pydantic-ai", _numbered(after, "after"))
    whole = session.messages
    for seen in (session.context(), session.context(most), session.context(None, limit)):
        sent = seen.messages
        assert [message for item in seen.items for message in item.messages] == sent
        assert [one.position for one in seen.seen if one.role == "summary"] == [len(stored) + 1]
        systems = [message for message in whole if message.role == "system"]
        assert [message for message in sent if message.role == "system"] == systems
        calls = {call.call_id for message in sent for call in message.calls}
        results = {message.tool_call_id for message in sent if message.role == "tool"}
        assert results == calls
        others = [message for message in sent if not is_standing(message)]
        assert not others or seen.max_messages is None or len(sent) <= seen.max_messages
        assert not others or seen.max_tokens is None or seen.tokens <= seen.max_tokens
    kept = [one for one in session.context().seen if not is_standing(one.message)]
    after_it = [one for one in kept if one.position > len(stored) + 1]
    assert len(after_it) == sum(not is_standing(message) for message in whole[len(stored) + 1 :])
    if keep is not None:
        assert len(kept) - len(after_it) >= min(keep, sum(not is_standing(message) for message in stored))


def _numbered(kinds: list[str], name: str) -> list[Message]:
    return parse_messages([_own(one, name) for one in _chat(kinds)])


def _own(message: Message, name: str) -> dict[str, Any]:
    """A message whose calls have ids of their own."""
    told = message.to_dict()
    if message.tool_calls:
        told["tool_calls"] = [call | {"id": f"{name}-{call['id']}"} for call in message.tool_calls]
    if message.tool_call_id:
        told["tool_call_id"] = f"{name}-{message.tool_call_id}"
    return told
