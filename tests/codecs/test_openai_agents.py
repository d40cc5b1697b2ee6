from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import nbsessions as nbs
from nbsessions import Message, chains
from nbsessions.codecs import codec, cut, is_prompt, rewrite, translate
from nbsessions.context import trim
from nbsessions.records import parse_messages
from tests.test_codecs import CHATS

READER = codec("openai-agents")


def _item(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": kind, **fields}


def _said(text: str) -> dict[str, Any]:
    part = {"type": "output_text", "text": text, "annotations": []}
    return _item("message", id="msg_1", role="assistant", status="completed", content=[part])


def _call(call_id: str, name: str = "add", arguments: str = '{"a": 1}') -> dict[str, Any]:
    return _item("function_call", id=f"fc_{call_id}", call_id=call_id, name=name, arguments=arguments)


def _result(call_id: str, output: object = "3") -> dict[str, Any]:
    return _item("function_call_output", call_id=call_id, output=output)


THOUGHT = _item("reasoning", id="rs_1", summary=[{"type": "summary_text", "text": "Easy."}])
TALK = [
    {"role": "user", "content": "1 + 2, twice?"},
    THOUGHT,
    _said("Let me see."),
    _call("c1"),
    _call("c2"),
    _result("c1"),
    _result("c2"),
    _item("reasoning", id="rs_2", summary=[], encrypted_content="gAAA"),
    _said("It is 3."),
    {"role": "user", "content": "Thanks"},
    _said("You are welcome."),
]


def _body(natives: list[Any]) -> str:
    return json.dumps(natives, ensure_ascii=False, separators=(",", ":"))


def _view(*natives: Any) -> list[Message]:
    return READER.view(_body(list(natives)))


def test_an_answer_is_one_message_with_all_its_calls() -> None:
    view = _view(*TALK)
    roles = ["user", "assistant", "tool", "tool", "assistant", "user", "assistant"]
    assert [message.role for message in view] == roles
    assert view[1].text == "Let me see."
    assert [call.call_id for call in view[1].calls] == ["c1", "c2"]
    assert view[1]["reasoning_content"] == "Easy."
    assert [message.tool_call_id for message in view[2:4]] == ["c1", "c2"]
    assert view[4].to_dict() == {"role": "assistant", "content": "It is 3."}


def test_calls_that_wait_are_followed_by_their_results_and_nothing_else() -> None:
    view = _view(_call("c1"), _said("One moment."), _call("c2"), _result("c1"), _result("c2"))
    assert [message.role for message in view] == ["assistant", "tool", "tool"]
    assert view[0].text == "One moment."


def test_texts_in_a_row_are_two_messages() -> None:
    assert [message.text for message in _view(_said("I look."), THOUGHT, _said("Found."))] == [
        "I look.",
        "Found.",
    ]


@pytest.mark.parametrize(
    ("item", "name", "arguments"),
    [
        (
            _item("custom_tool_call", call_id="c", name="apply_patch", input="*** Begin"),
            "apply_patch",
            "*** Begin",
        ),
        (
            _item("local_shell_call", call_id="c", action={"type": "exec", "command": ["ls"]}),
            "local_shell",
            '{"type": "exec", "command": ["ls"]}',
        ),
        (_item("computer_call", call_id="c", action={"type": "click", "x": 1}), "computer", '"click"'),
        (
            _item("tool_search_call", call_id="c", arguments={"query": "git"}),
            "tool_search",
            '{"query": "git"}',
        ),
    ],
)
def test_calls_of_other_kinds(item: dict[str, Any], name: str, arguments: str) -> None:
    (message,) = _view(item)
    assert message.calls[0].name == name
    assert arguments in message.calls[0].arguments
    assert isinstance(json.loads(message.calls[0].arguments), dict)


@pytest.mark.parametrize(
    ("output", "content"),
    [
        ("3", "3"),
        ({"content": "3", "success": True}, "3"),
        ([{"type": "input_text", "text": "3"}], "3"),
        ([1, 2], "[1, 2]"),
        (None, ""),
    ],
)
def test_results_in_every_shape(output: object, content: str) -> None:
    assert _view(_result("c", output))[0].content == content


def test_tools_of_the_provider_are_passed_over_and_kept() -> None:
    search = _item("web_search_call", id="ws_1", status="completed", action={"type": "search", "query": "x"})
    (message,) = _view(search, _said("Here."))
    assert message.to_dict() == {"role": "assistant", "content": "Here."}
    assert READER.items(_body([search, _said("Here.")]))[0].natives == [search, _said("Here.")]


def test_a_refusal_is_told() -> None:
    refused = _item("message", role="assistant", content=[{"type": "refusal", "refusal": "I cannot."}])
    (message,) = _view(refused)
    assert message["refusal"] == "I cannot."
    assert READER.encode([message]) == [{"role": "assistant", "content": "I cannot."}]


def test_images_and_files_go_both_ways() -> None:
    parts = [
        {"type": "input_text", "text": "Look"},
        {"type": "input_image", "image_url": "http://x/a.png", "detail": "high"},
        {"type": "input_file", "file_id": "file-1", "filename": "a.pdf"},
    ]
    (message,) = _view({"role": "user", "content": parts})
    assert isinstance(message.content, list)
    assert message.content[1] == {
        "type": "image_url",
        "image_url": {"url": "http://x/a.png", "detail": "high"},
    }
    assert READER.encode([message]) == [{"role": "user", "content": parts}]


@pytest.mark.parametrize(
    "text",
    [
        "<environment_context>\n  <cwd>/x</cwd>\n</environment_context>",
        "# AGENTS.md instructions for /x\n\n<INSTRUCTIONS>\nBe brief.\n</INSTRUCTIONS>",
        "<turn_aborted>\nThe user interrupted.\n</turn_aborted>",
    ],
)
def test_what_codex_tells_in_the_name_of_the_user_is_no_prompt(text: str) -> None:
    (message,) = _view(_item("message", role="user", content=[{"type": "input_text", "text": text}]))
    assert not is_prompt(message)
    assert message.text == text


@pytest.mark.parametrize("text", ["<task>Fix it</task>", "See <environment_context>", ""])
def test_what_looks_alike_is_a_prompt(text: str) -> None:
    assert is_prompt(_view({"role": "user", "content": text})[0])


@pytest.mark.parametrize("keep", range(9))
def test_cutting_leaves_no_half_of_an_answer(keep: int) -> None:
    kept = cut("openai-agents", _body(TALK), keep)
    natives = [native for item in kept for native in item.natives]
    assert natives == TALK[: (0, 1, 5, 6, 7, 9, 10, 11, 11)[keep]]


@pytest.mark.parametrize("limit", range(1, 8))
def test_trimming_leaves_no_half_of_an_answer(limit: int) -> None:
    natives = json.loads(translate(trim(READER.items(_body(TALK)), limit), "openai-agents"))
    kept = trim(READER.items(_body(TALK)), limit)
    assert natives == [native for item in kept for native in item.natives]
    calls = {item["call_id"] for item in natives if item.get("type") == "function_call"}
    assert {item["call_id"] for item in natives if item.get("type") == "function_call_output"} <= calls
    assert (THOUGHT in natives) == (_said("Let me see.") in natives)


def test_translating_leaves_own_items_byte_equal() -> None:
    assert translate(READER.items(_body(TALK)), "openai-agents") == _body(TALK)


def test_redacting_takes_all_items_of_the_message() -> None:
    body = _body(TALK)
    turn = chains.make_turn(None, "openai-agents", body, READER.view(body), prompts=2)
    for position in range(7):
        turn = chains.redact(turn, position)
    assert not any(
        word in turn.body for word in ("Let me", "Easy", "gAAA", "It is", '"a"', "Thanks", "welcome")
    )
    view, before = READER.view(turn.body), READER.view(body)
    assert [message.role for message in view] == [message.role for message in before]
    assert [[call.call_id for call in m.calls] for m in view] == [
        [call.call_id for call in m.calls] for m in before
    ]
    assert view[0].text == view[2].text == "[redacted]"


def test_an_answer_of_nothing_that_can_stay_keeps_its_place() -> None:
    search = _item("web_search_call", id="ws_1", action={"query": "hunter2"})
    item = READER.items(_body([THOUGHT, search]))[0]
    assert READER.redact(item, 0) == [{"role": "assistant", "content": "[redacted]"}]


def test_a_session_of_items_is_rewound_searched_and_forked() -> None:
    store = nbs.open_store("memory:")
    session = store.create("sums")
    session.commit("turn", "openai-agents", _body(TALK[:9]), prompts=1)
    session.commit("turn", "openai-agents", _body(TALK[9:]), prompts=1)
    assert session.message_count == 7
    session.rewind(2)
    assert [message.role for message in session.messages] == ["user", "assistant"]
    session.undo()
    (hit,) = store.search("welcome")
    assert "welcome" in hit.snippet
    assert session.fork("more", at=5).message_count == 5


def _joined(messages: list[Message]) -> list[dict[str, Any]]:
    """Return what is left of chat messages when text and the calls after it are one answer."""
    found: list[dict[str, Any]] = []
    for message in messages:
        told: dict[str, Any] = {
            "role": message.role,
            "content": _plain(message.content),
            "calls": [tuple(call) for call in message.calls],
            "tool_call_id": message.tool_call_id,
        }
        last = found[-1] if found else {}
        if told["role"] == last.get("role") == "assistant" and not last["calls"] and not told["content"]:
            last["calls"] = told["calls"]
        else:
            found.append(told)
    return found


def _plain(content: object) -> object:
    one = content[0] if isinstance(content, list) and len(content) == 1 else None
    if isinstance(one, dict) and one.get("type") == "text":
        return one["text"]
    if isinstance(content, list):
        return [{k: v for k, v in part.items() if k != "image_url"} | {"url": _url(part)} for part in content]
    return content


def _url(part: dict[str, Any]) -> object:
    image = part.get("image_url")
    return image["url"] if isinstance(image, dict) else None


@given(CHATS)
def test_a_chat_goes_through_items_and_back(messages: list[Message]) -> None:
    natives = READER.encode(messages)
    assert _joined(READER.view(_body(natives))) == _joined(messages)


@given(CHATS, st.integers(0, 12))
def test_cutting_a_chat_keeps_its_first_messages(messages: list[Message], keep: int) -> None:
    body = _body(READER.encode(messages))
    kept = cut("openai-agents", body, keep)
    assert [m for item in kept for m in item.messages] == READER.view(body)[:keep]


@given(CHATS)
def test_a_chat_goes_by_items_to_pydantic_ai(messages: list[Message]) -> None:
    items = rewrite("openai-agents", messages)
    assert _joined(codec("pydantic-ai").view(translate(items, "pydantic-ai"))) == _joined(messages)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "role", "content", "text", "output", "call_id", "name", "arguments", "summary"]
            )
            | st.text(st.characters(exclude_categories=["Cs"]), max_size=3),
            inner
            | st.sampled_from(["message", "user", "assistant", "function_call", "reasoning", "x_output"]),
            max_size=5,
        )
    ),
    max_leaves=12,
)


@given(st.lists(JSON, max_size=4))
def test_items_of_any_shape_are_read_or_refused(natives: list[Any]) -> None:
    body = _body(natives)
    if all(isinstance(native, dict) for native in natives):
        view = READER.view(body)
        assert parse_messages([message.to_dict() for message in view]) == view
        assert [native for item in READER.items(body) for native in item.natives] == natives
        for item in READER.items(body):
            json.dumps(READER.redact(item, 0))
    else:
        with pytest.raises(nbs.InvalidInput, match="no messages"):
            chains.read("openai-agents", body)
