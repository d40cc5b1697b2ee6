"""Golden files of our own formats: what an earlier version wrote is read, and written again byte for byte."""

from __future__ import annotations

from datetime import UTC, datetime
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
    building.spend(Usage(input_tokens=12, cache_read_tokens=4, requests=2), model="gpt-4o", provider="openai")
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
