"""Golden files of our own formats: what an earlier version wrote is read, and written again byte for byte."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from io import BytesIO
from pathlib import Path

import pytest

from nbsessions import Usage
from nbsessions.formats import find, guess
from nbsessions.formats.building import Building
from nbsessions.stores.base import Bundle

GOLDEN = Path(__file__).parent / "golden"
FORMATS = ("json", "jsonl")


def plan() -> Bundle:
    """Return the session that the golden files tell."""
    at = datetime(2026, 1, 2, 3, 4, 5, 678_900, tzinfo=UTC)
    building = Building(
        "example", "chat-7", agent_name="helper", name="plan", tags=["draft", "ä"], state={"step": 2}
    )
    building.add({"role": "system", "content": "Be brief."}, at=at)
    building.add({"role": "user", "content": "What is 2 + 2? <b>"}, at=at)
    function = {"name": "add", "arguments": '{"a": 2}'}
    building.add(
        {"role": "assistant", "content": None, "tool_calls": [{"id": "c1", "function": function}]}, at=at
    )
    building.add({"role": "tool", "content": "4", "tool_call_id": "c1"}, at=at)
    building.add({"role": "assistant", "content": "4 \u2028 😀"}, at=at)
    told = Usage(input_tokens=12, cache_read_tokens=4, requests=2, cost=Decimal("0.00005"))
    building.spend(told, model="gpt-4o", provider="openai", at=at)
    building.spend(Usage(input_tokens=7, requests=1), model="nobody's", at=at + timedelta(days=1))
    building.event("RUN_FINISHED", {"type": "RUN_FINISHED", "n": 1.0})
    here = building.here
    building.add({"role": "user", "content": "A line that was left"}, at=at)
    building.go(here)
    building.checkpoint("before")
    building.add({"role": "user", "content": "And now?"}, at=at)
    building.end("failed", "no network")
    return building.bundle()


@pytest.mark.parametrize("format", FORMATS)
def test_what_is_written_is_what_it_was(format: str) -> None:
    path = GOLDEN / format / f"plan.{format}"
    member, file = find(format), BytesIO()
    assert member.write is not None
    member.write([plan()], file)
    assert file.getvalue() == path.read_bytes()


@pytest.mark.parametrize("format", FORMATS)
def test_what_was_written_is_read_and_written_again(format: str) -> None:
    path = GOLDEN / format / f"plan.{format}"
    member, file = find(format), BytesIO()
    assert guess(path) is member
    assert member.read is not None
    assert member.write is not None
    member.write(member.read(path), file)
    assert file.getvalue() == path.read_bytes()


@pytest.mark.parametrize("format", FORMATS)
def test_what_version_1_wrote_is_read_and_what_had_no_cost_there_is_unpriced(format: str) -> None:
    read = find(format).read
    assert read is not None
    (bundle,) = read(GOLDEN / format / f"plan-1.{format}")
    assert [turn.turn_id for turn in bundle.turns] == [turn.turn_id for turn in plan().turns]
    usage = Usage(input_tokens=12, cache_read_tokens=4, requests=2, unpriced_tokens=12)
    run = bundle.runs[0]
    assert (run.usage, run.shares, run.priced_by) == (usage, (), None)
    assert bundle.record.usage == usage


def test_what_a_day_and_a_model_spent_is_in_them() -> None:
    shares = plan().runs[0].shares
    assert [(share.day, share.model) for share in shares] == [
        (date(2026, 1, 2), "gpt-4o"),
        (date(2026, 1, 3), "nobody's"),
    ]
