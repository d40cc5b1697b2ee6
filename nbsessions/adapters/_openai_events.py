"""What the OpenAI Agents SDK streams, as AG-UI events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ag_ui.core import (
    ReasoningEndEvent,
    ReasoningMessageContentEvent,
    ReasoningMessageEndEvent,
    ReasoningMessageStartEvent,
    ReasoningStartEvent,
    TextMessageContentEvent,
    TextMessageEndEvent,
    TextMessageStartEvent,
    ToolCallArgsEvent,
    ToolCallEndEvent,
    ToolCallStartEvent,
)

from nbsessions.adapters.base import Emit, announce
from nbsessions.codecs import codec
from nbsessions.values import new_id

if TYPE_CHECKING:
    from agents.items import RunItem

_TEXT = frozenset({"response.output_text.delta", "response.refusal.delta"})
_THOUGHTS = frozenset({"response.reasoning_summary_text.delta", "response.reasoning_text.delta"})
_ENDS = frozenset({"response.completed", "response.incomplete"})


class Events:
    """Emits what a model streams, and what its tools answer.

    The SDK passes on the events of OpenAI's Responses API, whatever the model:
    https://platform.openai.com/docs/api-reference/responses-streaming

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> shown = []
    >>> events = Events(shown.append)
    >>> delta = SimpleNamespace(type="response.output_text.delta", output_index=0, delta="Hi")
    >>> events.of_model(delta)
    >>> [event.type.value for event in shown]
    ['TEXT_MESSAGE_START', 'TEXT_MESSAGE_CONTENT']
    """

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._text: str | None = None
        self._thought: str | None = None
        # By their place in the response that is under way.
        self._calls: dict[int, str] = {}
        self._begun: set[int] = set()
        self._done: set[int] = set()

    def of_model(self, event: Any) -> None:
        """Emit what an event of the model's stream tells."""
        kind = event.type
        if kind in _TEXT and event.delta:
            self._say(event.output_index, event.delta)
        elif kind in _THOUGHTS and event.delta:
            self._think(event.output_index, event.delta)
        elif kind == "response.output_item.added" and event.item.type == "function_call":
            self._begin_call(event.output_index, event.item)
        elif kind == "response.function_call_arguments.delta" and event.delta:
            self._arguments(event.output_index, event.delta)
        elif kind == "response.output_item.done":
            self._end_item(event.output_index, event.item)
        elif kind in _ENDS:
            # Not every model streams all that its answer holds.
            for index, item in enumerate(event.response.output):
                self._end_item(index, item)
            self._close()
            self._begun, self._done, self._calls = set(), set(), {}

    def of_item(self, item: RunItem) -> None:
        """Emit what a tool answered, or that another agent has taken over."""
        if item.type in ("tool_call_output_item", "handoff_output_item"):
            self._close()
            for message in codec("openai-agents").messages(item.to_input_item()):
                announce(message, self._emit)

    def _say(self, index: int, delta: str) -> None:
        self._begun.add(index)
        if self._text is None:
            self._close()
            self._text = new_id()
            self._emit(TextMessageStartEvent(message_id=self._text, role="assistant"))
        self._emit(TextMessageContentEvent(message_id=self._text, delta=delta))

    def _think(self, index: int, delta: str) -> None:
        self._begun.add(index)
        if self._thought is None:
            self._close()
            self._thought = new_id()
            self._emit(ReasoningStartEvent(message_id=self._thought))
            self._emit(ReasoningMessageStartEvent(message_id=self._thought, role="reasoning"))
        self._emit(ReasoningMessageContentEvent(message_id=self._thought, delta=delta))

    def _begin_call(self, index: int, item: Any) -> None:
        self._close()
        self._calls[index] = item.call_id
        self._emit(ToolCallStartEvent(tool_call_id=item.call_id, tool_call_name=item.name))

    def _arguments(self, index: int, delta: str) -> None:
        if index in self._calls:
            self._begun.add(index)
            self._emit(ToolCallArgsEvent(tool_call_id=self._calls[index], delta=delta))

    def _end_item(self, index: int, item: Any) -> None:
        if index in self._done:
            return
        self._done.add(index)
        if item.type == "function_call":
            if index not in self._calls:
                self._begin_call(index, item)
            if index not in self._begun and item.arguments:
                self._arguments(index, item.arguments)
            self._emit(ToolCallEndEvent(tool_call_id=self._calls[index]))
            return
        self._close()
        if index not in self._begun:
            for message in codec("openai-agents").messages(item.model_dump(exclude_unset=True)):
                announce(message, self._emit)

    def _close(self) -> None:
        """End the text or the thought that is open: what comes now is something else."""
        if self._text is not None:
            self._emit(TextMessageEndEvent(message_id=self._text))
        if self._thought is not None:
            self._emit(ReasoningMessageEndEvent(message_id=self._thought))
            self._emit(ReasoningEndEvent(message_id=self._thought))
        self._text = self._thought = None
