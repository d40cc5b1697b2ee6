"""What LangGraph streams of messages, as AG-UI events."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

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
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, ToolMessage, messages_to_dict

from nbsessions.adapters.base import Emit, announce
from nbsessions.codecs import codec
from nbsessions.records import Message
from nbsessions.values import mend, mend_json, new_id


class Events:
    """Emits what models stream, and what tools answer.

    What models say inside a tool is the tool's own business: it is not shown.

    Parameters
    ----------
    emit : callable
    tool_nodes : collection of str
        The names of nodes that call tools.

    Examples
    --------
    >>> shown = []
    >>> events = Events(shown.append, ())
    >>> events.of(AIMessageChunk(content="Hi", id="1"), {})
    >>> events.close()
    >>> [event.type.value for event in shown]
    ['TEXT_MESSAGE_START', 'TEXT_MESSAGE_CONTENT', 'TEXT_MESSAGE_END']
    """

    def __init__(self, emit: Emit, tool_nodes: Collection[str]) -> None:
        self._emit, self._tool_nodes = emit, tool_nodes
        self._message: str | None = None
        self._text: str | None = None
        self._thought: str | None = None
        self._calls: dict[object, str] = {}
        """The calls that are open, by their place in the message."""

    def of(self, message: BaseMessage, metadata: dict[str, Any]) -> None:
        """Emit what a message, or a piece of one, tells."""
        if self._is_inside_a_tool(message, metadata):
            return
        if isinstance(message, AIMessageChunk):
            if message.id != self._message:
                self.close()
                self._message = message.id
            self._piece(message)
            if message.chunk_position == "last":
                self.close()
        elif isinstance(message, (AIMessage, ToolMessage)):
            self.close()
            self.whole([message])

    def whole(self, messages: Sequence[BaseMessage]) -> None:
        """Emit messages that were not streamed."""
        for native in messages_to_dict(messages):
            for message in codec("langchain").messages(mend_json(native)):
                announce(message, self._emit)

    def went_on(self, messages: Sequence[BaseMessage]) -> None:
        """Emit the calls among messages that have no result yet: it shall not come from nowhere."""
        answered = {one.tool_call_id for one in messages if isinstance(one, ToolMessage)}
        for native in messages_to_dict(messages):
            for message in codec("langchain").messages(mend_json(native)):
                waiting = [call for call in message.tool_calls or [] if call.get("id") not in answered]
                if waiting:
                    announce(Message(role="assistant", tool_calls=waiting), self._emit)

    def close(self) -> None:
        """End what is open: what comes now is something else."""
        self._end_text()
        self._end_thought()
        self._end_calls()
        self._message = None

    def _is_inside_a_tool(self, message: BaseMessage, metadata: dict[str, Any]) -> bool:
        nodes = [
            part.partition(":")[0] for part in str(metadata.get("langgraph_checkpoint_ns", "")).split("|")
        ]
        around = nodes[:-1] if isinstance(message, ToolMessage) else nodes
        return any(node in self._tool_nodes for node in around)

    def _piece(self, message: AIMessageChunk) -> None:
        for part in message.content if isinstance(message.content, list) else [message.content]:
            if isinstance(part, str):
                self._say(part)
            elif part.get("type") == "text":
                self._say(part.get("text") or "")
            else:
                self._think(_thought(part))
        self._think(message.additional_kwargs.get("reasoning_content"))
        for call in message.tool_call_chunks:
            self._call(call)

    def _say(self, delta: str) -> None:
        if not delta:
            return
        if self._text is None:
            self._end_thought()
            self._text = new_id()
            self._emit(TextMessageStartEvent(message_id=self._text, role="assistant"))
        self._emit(TextMessageContentEvent(message_id=self._text, delta=mend(delta)))

    def _think(self, delta: object) -> None:
        if not isinstance(delta, str) or not delta:
            return
        if self._thought is None:
            self._end_text()
            self._thought = new_id()
            self._emit(ReasoningStartEvent(message_id=self._thought))
            self._emit(ReasoningMessageStartEvent(message_id=self._thought, role="reasoning"))
        self._emit(ReasoningMessageContentEvent(message_id=self._thought, delta=mend(delta)))

    def _call(self, call: Any) -> None:
        place = call.get("index")
        call_id = call.get("id")
        if call_id and self._calls.get(place) != call_id:
            self._end_text()
            self._end_thought()
            self._end_calls()
            self._calls[place] = call_id
            name = mend(call.get("name") or "tool")
            self._emit(ToolCallStartEvent(tool_call_id=call_id, tool_call_name=name))
        if call.get("args") and place in self._calls:
            self._emit(ToolCallArgsEvent(tool_call_id=self._calls[place], delta=mend(call["args"])))

    def _end_calls(self) -> None:
        for call_id in self._calls.values():
            self._emit(ToolCallEndEvent(tool_call_id=call_id))
        self._calls = {}

    def _end_text(self) -> None:
        if self._text is not None:
            self._emit(TextMessageEndEvent(message_id=self._text))
        self._text = None

    def _end_thought(self) -> None:
        if self._thought is not None:
            self._emit(ReasoningMessageEndEvent(message_id=self._thought))
            self._emit(ReasoningEndEvent(message_id=self._thought))
        self._thought = None


def _thought(part: dict[str, Any]) -> str:
    told = part.get("reasoning") or part.get("thinking")
    if isinstance(told, str):
        return told
    summary = part.get("summary")
    pieces = summary if isinstance(summary, list) else []
    return "".join(str(piece.get("text") or "") for piece in pieces if isinstance(piece, dict))
