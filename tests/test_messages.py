"""One message, as HTML and as text: what it says, what it thought, which tools it called."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nbsessions.messages import message_html, message_plain, tool_names
from nbsessions.records import Message
from tests.formats.hostile import FRAGMENTS
from tests.test_rendering import CONTROLS, assert_safe

CALL = {"id": "c", "function": {"name": "weather", "arguments": '{"place": "Oslo"}'}}
ASKS = Message.model_validate(
    {
        "role": "assistant",
        "content": "Let me **look**.",
        "reasoning_content": "The *sky*.",
        "tool_calls": [CALL],
    }
)
TELLS = Message(role="tool", tool_call_id="c", content='{"degrees": -3}')


def test_thoughts_and_tools_are_folded_and_what_is_said_is_not() -> None:
    html = message_html("2", ASKS, {})
    page = assert_safe(html)
    assert [tag for tag, _ in page.tags].count("details") == 2
    outside = html.partition("</details>")[2].partition("<details")[0]
    assert "Let me <strong>look</strong>." in outside
    assert "The <em>sky</em>." in html.partition("</details>")[0]


def test_a_result_is_told_with_the_name_of_its_tool() -> None:
    tools = tool_names([ASKS, TELLS])
    assert message_plain("3", TELLS, tools) == '3 tool (weather)\n{"degrees": -3}'
    assert "<strong>weather</strong> → {&quot;degrees&quot;: -3}" in message_html("3", TELLS, tools)


def test_as_text_thoughts_come_after_a_label() -> None:
    shown = message_plain("2", ASKS, {})
    assert shown == '2 assistant\nThinking: The *sky*.\nLet me **look**.\n▸ weather(place="Oslo")'


def test_a_thought_that_is_no_text_is_not_shown() -> None:
    odd = Message.model_validate({"role": "assistant", "content": "Hi", "reasoning_content": {"a": 1}})
    assert "Thinking" not in message_html("1", odd, {}) + message_plain("1", odd, {})


@given(st.sampled_from(FRAGMENTS) | st.text(), st.sampled_from(("system", "user", "assistant", "tool")))
def test_whatever_a_message_says_does_nothing(text: str, role: str) -> None:
    text = text.encode("utf-8", "replace").decode()
    call = {"id": text, "function": {"name": text, "arguments": text}}
    message = Message.model_validate(
        {"role": role, "content": text, "name": text, "reasoning_content": text, "tool_calls": [call]}
    )
    assert_safe(message_html("1", message, {text: text}))
    assert not CONTROLS.search(message_plain("1", message, {}))
