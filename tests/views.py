"""Runs to be shown, and what a notebook and a terminal make of them."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable
from typing import Any

import IPython.display
import pytest
from ag_ui.core import (
    BaseEvent,
    ReasoningMessageContentEvent,
    ReasoningMessageEndEvent,
    ReasoningMessageStartEvent,
    TextMessageContentEvent,
    TextMessageEndEvent,
    TextMessageStartEvent,
    ToolCallArgsEvent,
    ToolCallEndEvent,
    ToolCallResultEvent,
    ToolCallStartEvent,
)
from rich.console import Console

from nbsessions.display import AnswerView


def text(*deltas: str, message: str = "m") -> list[BaseEvent]:
    return [
        TextMessageStartEvent(message_id=message),
        *(TextMessageContentEvent(message_id=message, delta=delta) for delta in deltas),
        TextMessageEndEvent(message_id=message),
    ]


def thinking(*deltas: str) -> list[BaseEvent]:
    return [
        ReasoningMessageStartEvent(message_id="r", role="reasoning"),
        *(ReasoningMessageContentEvent(message_id="r", delta=delta) for delta in deltas),
        ReasoningMessageEndEvent(message_id="r"),
    ]


def call(name: str, arguments: str, result: str | None = None, call_id: str = "t") -> list[BaseEvent]:
    events: list[BaseEvent] = [
        ToolCallStartEvent(tool_call_id=call_id, tool_call_name=name),
        ToolCallArgsEvent(tool_call_id=call_id, delta=arguments[:5]),
        ToolCallArgsEvent(tool_call_id=call_id, delta=arguments[5:]),
        ToolCallEndEvent(tool_call_id=call_id),
    ]
    if result is not None:
        events.append(ToolCallResultEvent(message_id="q", tool_call_id=call_id, content=result))
    return events


class Outputs:
    """The outputs of a cell, as a front end keeps them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.cells: dict[str, dict[str, str]] = {}
        self.updates = 0
        monkeypatch.setattr(IPython.display, "display", self.display)
        monkeypatch.setattr(IPython.display, "update_display", self.update)

    def display(self, bundle: dict[str, str], *, display_id: str, raw: bool) -> None:
        assert raw
        assert display_id not in self.cells
        assert set(bundle) == {"text/html", "text/plain"}
        self.cells[display_id] = bundle

    def update(self, bundle: dict[str, str], *, display_id: str, raw: bool) -> None:
        assert raw
        assert display_id in self.cells
        self.updates += 1
        self.cells[display_id] = bundle

    @property
    def html(self) -> list[str]:
        return [bundle["text/html"] for bundle in self.cells.values()]

    @property
    def plain(self) -> list[str]:
        return [bundle["text/plain"] for bundle in self.cells.values()]


def show(events: Iterable[BaseEvent], footer: str = "", **options: Any) -> None:
    with AnswerView(**{"notebook": True} | options) as view:
        for event in events:
            view.event(event)
        view.finish(footer)


def terminal(height: int = 24) -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=60, height=height, color_system="truecolor")


def written(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def visible(raw: str, width: int = 200) -> str:
    """What is left on the screen, by a terminal that knows what rich's Live uses."""
    lines, row = [""], 0
    for token in re.findall(r"\x1b\[[0-?]*[ -/]*[@-~]|[^\x1b\n\r]+|[\n\r]", raw):
        if token == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif token == "\x1b[2K":
            lines[row] = ""
        elif token == "\x1b[1A":
            row -= 1
        elif not token.startswith("\x1b") and token != "\r":
            lines[row] += token
    return "\n".join(line.rstrip() for line in lines).strip("\n")
