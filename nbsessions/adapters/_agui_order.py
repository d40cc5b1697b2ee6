"""The order in which an endpoint's events may come; chunks become what they stand for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

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
    ToolCallStartEvent,
)

from nbsessions.exceptions import AgentError

_TEXT: Final = "TEXT_MESSAGE"
_CALL: Final = "TOOL_CALL"
_THOUGHT: Final = "REASONING_MESSAGE"


class Order:
    """Checks that a stream goes on only with what it has begun: https://docs.ag-ui.com/concepts/events."""

    def __init__(self) -> None:
        self._open: set[tuple[str, str]] = set()
        self._chunk: tuple[str, str] | None = None

    def take(self, event: BaseEvent) -> Iterator[BaseEvent]:
        """Yield the events that one stands for: those that end chunks before it, and itself.

        Raises
        ------
        AgentError
            It cannot come here.
        """
        kind = event.type.value
        found = self._of_chunk(event) if kind.endswith("_CHUNK") else [*self._ended(), event]
        for one in found:
            self._check(one)
            yield one

    def close(self) -> list[BaseEvent]:
        """Return what ends all that is open."""
        last = self._ended()
        for one in last:
            self._check(one)
        rest = [_end(*key) for key in sorted(self._open)]
        self._open.clear()
        return [*last, *rest]

    def _check(self, event: Any) -> None:
        what, _, step = event.type.value.rpartition("_")
        if what not in (_TEXT, _CALL, _THOUGHT) or step not in ("START", "CONTENT", "ARGS", "END"):
            return
        key = (what, event.tool_call_id if what == _CALL else event.message_id)
        if step == "START" and key in self._open:
            raise AgentError(f"it began {key[1]!r} twice ({event.type.value})")
        if step != "START" and key not in self._open:
            raise AgentError(f"it went on with {key[1]!r}, which it had not begun ({event.type.value})")
        if step == "START":
            self._open.add(key)
        elif step == "END":
            self._open.discard(key)

    def _of_chunk(self, event: Any) -> list[BaseEvent]:
        kind = event.type.value.removesuffix("_CHUNK")
        told = event.tool_call_id if kind == _CALL else event.message_id
        found: list[BaseEvent] = []
        if self._chunk is None or self._chunk[0] != kind or told not in (None, self._chunk[1]):
            if told is None:
                raise AgentError(f"it sent a {kind}_CHUNK that goes on with nothing")
            found = [*self._ended(), _start(kind, told, event)]
            self._chunk = (kind, told)
        if event.delta:
            found.append(_content(*self._chunk, event.delta))
        return found

    def _ended(self) -> list[BaseEvent]:
        ended, self._chunk = self._chunk, None
        return [] if ended is None else [_end(*ended)]


def _start(kind: str, owner: str, event: Any) -> BaseEvent:
    if kind == _CALL:
        name, parent = event.tool_call_name or "tool", event.parent_message_id
        return ToolCallStartEvent(tool_call_id=owner, tool_call_name=name, parent_message_id=parent)
    if kind == _TEXT:
        return TextMessageStartEvent(message_id=owner, role=event.role or "assistant")
    return ReasoningMessageStartEvent(message_id=owner, role="reasoning")


def _content(kind: str, owner: str, delta: str) -> BaseEvent:
    if kind == _CALL:
        return ToolCallArgsEvent(tool_call_id=owner, delta=delta)
    if kind == _TEXT:
        return TextMessageContentEvent(message_id=owner, delta=delta)
    return ReasoningMessageContentEvent(message_id=owner, delta=delta)


def _end(kind: str, owner: str) -> BaseEvent:
    if kind == _CALL:
        return ToolCallEndEvent(tool_call_id=owner)
    return (
        TextMessageEndEvent(message_id=owner) if kind == _TEXT else ReasoningMessageEndEvent(message_id=owner)
    )
