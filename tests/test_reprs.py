"""Conversations, cards, footers."""

from __future__ import annotations

from decimal import Decimal

import pytest

from nbsessions.amounts import money
from nbsessions.records import Message, Usage
from nbsessions.reprs import Card, Conversation, footer_text
from tests.test_rendering import CONTROLS, assert_safe

MESSAGES = [
    Message(role="system", content="Be brief.\nAlways."),
    Message(role="user", content="Add <b>1</b>\nand 2 for $5"),
    Message(
        role="assistant",
        tool_calls=[{"id": "c", "function": {"name": "add", "arguments": '{"a": 1, "b": 2}'}}],
    ),
    Message(role="tool", tool_call_id="c", content="3"),
    Message(role="assistant", content="**3**"),
    Message(role="user", content=[{"type": "text", "text": "And"}, {"type": "image_url", "image_url": {}}]),
]


def test_a_conversation_shows_every_message_with_its_number() -> None:
    bundle = Conversation("plan", MESSAGES)._repr_mimebundle_()
    assert set(bundle) == {"text/html", "text/plain"}
    assert bundle["text/plain"] == (
        "plan · 6 messages\n\n1 system\nBe brief.\nAlways.\n\n2 user\nAdd <b>1</b>\nand 2 for $5\n\n"
        "3 assistant\n▸ add(a=1, b=2)\n\n4 tool (add)\n3\n\n5 assistant\n**3**\n\n6 user\nAnd\n[image_url]"
    )
    page = assert_safe(bundle["text/html"])
    assert "Add <b>1</b>\nand 2 for $5" in page.text
    assert "<strong>3</strong>" in bundle["text/html"]
    assert [tag for tag, _ in page.tags].count("details") == 3


def test_a_conversation_of_any_text_is_safe() -> None:
    evil = "<script>alert(1)</script>\x1b[31m\u202e"
    messages = [
        Message(
            role=role, content=evil, name=evil, tool_calls=[{"function": {"name": evil, "arguments": evil}}]
        )
        for role in ("system", "user", "assistant", "tool")
    ]
    conversation = Conversation(evil, messages)
    assert_safe(conversation._repr_mimebundle_()["text/html"])
    assert not CONTROLS.search(str(conversation))


def test_a_long_conversation_shows_its_end() -> None:
    conversation = Conversation("plan", [Message(role="user", content=f"text{n}") for n in range(1, 1001)])
    shown = str(conversation)
    assert shown.startswith(
        "plan · 1,000 messages\n\n800 earlier messages are not shown here\n\n801 user\ntext801"
    )
    assert shown.endswith("1000 user\ntext1000")
    assert "text800" not in conversation._repr_mimebundle_()["text/html"]


def test_what_no_turn_holds_is_told_apart() -> None:
    said = [Message(role="user", content="And 2?"), Message(role="assistant", content="Let <me>")]
    conversation = Conversation("plan", MESSAGES[1:2], pending=("interrupted", said))
    line = "Not part of the conversation: the run is interrupted"
    assert str(conversation).endswith(f"\n\n{line}\n\n· user\nAnd 2?\n\n· assistant\nLet <me>")
    assert str(conversation).startswith("plan · 1 message\n\n1 user\n")
    assert line in assert_safe(conversation._repr_mimebundle_()["text/html"]).text


def test_an_empty_conversation() -> None:
    assert repr(Conversation("plan", [])) == "plan · 0 messages"


def test_a_card() -> None:
    card = Card("pl<b>an", [("agent", "loc<i>al\x1b[31m"), ("cost", "$1"), ("tags", "")])
    assert str(card) == "pl<b>an\n  agent  loc<i>al\n  cost   $1\n  tags"
    page = assert_safe(card._repr_mimebundle_()["text/html"])
    assert [tag for tag, _ in page.tags].count("td") == 6
    assert str(Card("empty", [])) == "empty"


@pytest.mark.parametrize(
    ("usage", "seconds", "expected"),
    [
        (
            Usage(input_tokens=120, output_tokens=45, cost=Decimal("0.0012")),
            1.23,
            "120 → 45 tokens · $0.0012 · 1.2 s",
        ),
        (
            Usage(input_tokens=12_000, output_tokens=4_500),
            59.94,
            "12,000 → 4,500 tokens · cost unknown · 59.9 s",
        ),
        (Usage(input_tokens=1, cost=Decimal(0)), 0.042, "1 → 0 tokens · free · 0.04 s"),
        (Usage(), 61, "1 min 1 s"),
        (Usage(cost=Decimal(0)), 3725, "1 h 2 min"),
        (Usage(cost=Decimal("0.01")), 0, "$0.01 · 0.00 s"),
    ],
)
def test_footer(usage: Usage, seconds: float, expected: str) -> None:
    line = footer_text(label="research", turn=3, usage=usage, seconds=seconds, saved="saved")
    assert line == f"research · turn 3 · {expected} · saved"


def test_footer_without_a_name() -> None:
    assert footer_text(label="", turn=1, usage=Usage(), seconds=1, saved="") == "turn 1 · 1.0 s"


@pytest.mark.parametrize(
    ("cost", "shown"),
    [
        ("12.3", "$12.30"),
        ("0.999", "$1.00"),
        ("0.0999", "$0.10"),
        ("0.05", "$0.05"),
        ("0.0123", "$0.012"),
        ("0.00999", "$0.01"),
        ("0.005", "$0.005"),
        ("0.000000012", "$0.000000012"),
        ("1E-7", "$0.0000001"),
        ("0.000", "free"),
        ("1234567", "$1,234,567.00"),
    ],
)
def test_money(cost: str, shown: str) -> None:
    assert money(Decimal(cost)) == shown
