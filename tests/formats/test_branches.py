from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbsessions import InvalidInput, Usage
from nbsessions.formats import branches as module
from nbsessions.formats.branches import Branches, Entry
from nbsessions.formats.building import Building
from nbsessions.records import Spent
from nbsessions.stores.arguments import Bundle
from tests.formats.told import texts_of


def _ask(text: str) -> Entry:
    return Entry([{"role": "user", "content": text}], is_prompt=True)


def _say(text: str) -> Entry:
    spent = [Spent(Usage(input_tokens=1, requests=1), "m")]
    return Entry([{"role": "assistant", "content": text}], is_end=True, spent=spent)


def _aside(text: str) -> Entry:
    return Entry([{"role": "user", "content": text, "kind": "context"}], is_aside=True)


def _building() -> Building:
    return Building("example", "s1", agent_name="helper")


def _turns(bundle: Bundle) -> list[int]:
    return [turn.message_count for turn in bundle.turns]


def test_what_is_told_aside_after_an_answer_is_of_the_next_turn() -> None:
    building = _building()
    branches = Branches(building)
    for entry in (
        _ask("1"),
        _aside("before the answer"),
        _say("2"),
        _aside("after it"),
        _aside("too"),
        _ask("3"),
    ):
        branches.add(entry, branches.tip)
    bundle = building.bundle()
    assert _turns(bundle) == [3, 3]
    assert bundle.record.turn_count == 2


def test_a_prompt_that_was_answered_twice_has_two_runs() -> None:
    building = _building()
    branches = Branches(building)
    ask = branches.add(_ask("1"), None)
    for text in ("2", "3"):
        branches.add(_say(text), ask)
    bundle = building.bundle()
    assert texts_of(bundle) == ["1", "3"]
    assert _turns(bundle) == [2, 2]
    assert len({run.run_id for run in bundle.runs}) == 2
    assert bundle.record.usage.requests == 2


def test_standing_where_it_was_before() -> None:
    building = _building()
    branches = Branches(building)
    first = branches.add(_say("2"), branches.add(_ask("1"), None))
    branches.add(_say("4"), branches.add(_ask("3"), first))
    branches.stand(first)
    assert texts_of(building.bundle()) == ["1", "2"]


def test_going_back_leaves_what_was_told_aside() -> None:
    building = _building()
    branches = Branches(building)
    branches.add(_say("2"), branches.add(_ask("1"), None))
    branches.add(_aside("more"), branches.tip)
    third = branches.add(_ask("3"), branches.tip)
    branches.back(third)
    branches.add(_ask("4"), branches.tip)
    assert texts_of(building.bundle()) == ["1", "2", "4"]


def test_lines_that_leave_a_long_turn_without_end_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_AGAIN", 50)
    branches = Branches(_building())
    middle = branches.add(_ask("0"), None)
    for number in range(10):
        middle = branches.add(Entry([{"role": "assistant", "content": str(number)}]), middle)
    branches.add(_say("end"), middle)
    for number in range(4):
        branches.add(_say(f"other {number}"), middle)
    with pytest.raises(InvalidInput, match="leave others in the middle"):
        branches.add(_say("another"), middle)


@given(st.data())
def test_every_line_is_what_was_said_on_it(data: st.DataObject) -> None:
    """Whatever follows what, the line to the last entry is that entry and those it follows."""
    building = _building()
    branches = Branches(building)
    entries: list[Entry] = []
    parents: dict[int, Entry | None] = {}
    for number in range(data.draw(st.integers(1, 14))):
        parent = data.draw(st.sampled_from([None, *entries]))
        make = data.draw(st.sampled_from([_ask, _say, _aside]))
        entry = branches.add(make(str(number)), parent)
        parents[id(entry)] = parent
        entries.append(entry)
    line: list[str] = []
    at: Entry | None = entries[-1]
    while at is not None:
        line.append(str(at.messages[0]["content"]))
        at = parents[id(at)]
    bundle = building.bundle()
    assert texts_of(bundle) == line[::-1]
    assert bundle.record.usage.requests == sum(bool(entry.spent) for entry in entries)
