"""What the parts of an answer look like."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbsessions.segments import ToolCall
from tests.test_rendering import CONTROLS, assert_safe
from tests.views import Outputs, call, show, text, thinking


@pytest.fixture
def outputs(monkeypatch: pytest.MonkeyPatch) -> Outputs:
    return Outputs(monkeypatch)


def test_tool_calls_are_folded_and_escaped(outputs: Outputs) -> None:
    evil = "</pre></details><script>alert(1)</script>"
    show(call(f"<b>{evil}", json.dumps({evil: evil}), evil))
    page = assert_safe(outputs.html[0])
    assert page.tags[0][0] == "details"
    assert "open" not in page.tags[0][1]
    assert page.text.count(evil) >= 3
    assert {tag for tag, _ in page.tags} <= {"details", "summary", "div", "span", "strong", "pre", "code"}


def test_arguments_are_indented_and_results_too(outputs: Outputs) -> None:
    show(call("find", '{"q": "x"}', '[{"id": 1}]'))
    page = assert_safe(outputs.html[0])
    assert '{\n  "q": "x"\n}' in page.text
    assert '[\n  {\n    "id": 1\n  }\n]' in page.text


def test_long_results_are_cut_in_the_middle(outputs: Outputs) -> None:
    show(call("read", "{}", "START" + "x" * 100_000 + "END"))
    page = assert_safe(outputs.html[0])
    assert "START" in page.text
    assert "END" in page.text
    assert "characters are not shown" in page.text
    assert len(outputs.html[0]) < 10_000
    assert len(outputs.plain[0]) < 10_000


def test_long_json_is_cut_between_lines(outputs: Outputs) -> None:
    show(call("read", "{}", json.dumps([{"key": "value"}] * 1000)))
    head, tail = assert_safe(outputs.html[0]).text.split(" characters are not shown")
    assert head[: head.rindex("…")].rstrip()[-1] in "{},"
    assert tail.partition("\n")[0].strip().endswith(("…", "{", "}", ",", '"value"'))
    assert tail.count('"key"') == tail.count('"value"')


@given(st.text(), st.one_of(st.text(), st.dictionaries(st.text(), st.text()).map(json.dumps)), st.text())
@settings(deadline=None)
def test_any_tool_call_is_safe(name: str, arguments: str, result: str) -> None:
    tool = ToolCall(name)
    tool.arguments, tool.result = arguments, result
    assert_safe(tool.html())
    assert not CONTROLS.search(tool.plain())


def test_thinking_is_folded(outputs: Outputs) -> None:
    show([*thinking("<b>Hm</b> ", "yes"), *text("ok")])
    page = assert_safe(outputs.html[0])
    assert page.tags[0][0] == "details"
    assert page.text.strip().startswith("Thinking")
    assert "<b>Hm</b> yes" in page.text
