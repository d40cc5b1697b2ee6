"""Conversations that are trees, as lines of turns."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from nbsessions import InvalidInput
from nbsessions.formats import lines
from nbsessions.formats.building import Building
from nbsessions.formats.lines import Lines, Step
from nbsessions.formats.writing import messages_of


def _steps(*said: str) -> list[Step]:
    """Return steps of texts like ``u:Hi``."""
    roles = {"u": "user", "a": "assistant", "s": "system"}
    return [Step(text, {"role": roles[text[0]], "content": text[2:]}) for text in said]


def _followed(*ways: tuple[str | None, Sequence[str]]) -> tuple[Building, Lines]:
    building = Building("example", "chat-7", agent_name="helper")
    made = Lines(building)
    for above, said in ways:
        made.follow(_steps(*said), above)
    return building, made


def test_a_turn_that_is_on_several_lines_is_made_once() -> None:
    start = ["s:Be brief", "u:Hi", "a:Hello"]
    building, _ = _followed((None, [*start, "u:Why?", "a:So"]), ("a:Hello", ["u:How?", "a:Thus"]))
    bundle = building.bundle()
    assert [turn.message_count for turn in bundle.turns] == [3, 2, 2]
    assert [message.text for message in messages_of(bundle)] == ["Be brief", "Hi", "Hello", "How?", "Thus"]


def test_a_line_that_leaves_within_a_turn_begins_at_its_prompt() -> None:
    building, _ = _followed((None, ["u:Hi", "a:Let me see", "a:Yes"]), ("a:Let me see", ["a:No"]))
    bundle = building.bundle()
    assert [turn.message_count for turn in bundle.turns] == [3, 3]
    assert [message.text for message in messages_of(bundle)] == ["Hi", "Let me see", "No"]


def test_a_line_may_end_where_another_went_on() -> None:
    building, made = _followed((None, ["u:Hi", "a:Hello", "u:Why?"]), ("a:Hello", []))
    assert [message.text for message in messages_of(building.bundle())] == ["Hi", "Hello"]
    assert "u:Why?" in made
    assert "u:How?" not in made


def test_a_line_of_nothing_is_the_beginning() -> None:
    building, _ = _followed((None, ["u:Hi"]), (None, []))
    bundle = building.bundle()
    assert bundle.record.head.turn_id is None
    assert len(bundle.turns) == 1


def test_what_repeats_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MOST_REPEATED", 10)
    building, made = _followed((None, ["u:Hi", "a:1", "a:2", "a:3"]))
    made.follow(_steps("a:4"), "a:3")
    made.follow(_steps("a:5"), "a:3")
    with pytest.raises(InvalidInput, match="more branches"):
        made.follow(_steps("a:6"), "a:3")
    assert building.here is not None
