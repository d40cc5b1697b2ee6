"""Chat messages as AG-UI has them, and the messages that its events are made of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from ag_ui.core import (
    AssistantMessage,
    BaseEvent,
    FunctionCall,
    SystemMessage,
    ToolCall,
    ToolCallResultEvent,
    ToolMessage,
    UserMessage,
)

from nbsessions.adapters._agui_order import Order
from nbsessions.adapters.base import Emit, announce
from nbsessions.records import Call, Message, parse_messages
from nbsessions.values import new_id, now

_NOT_CALLED: Final = "This call was left out."
"""The result of a call whose own one a rewind has cut off: most models refuse a call without any."""


def sent(messages: Sequence[Message], *, open_calls: bool = False) -> list[Any]:
    """Return chat messages as AG-UI's, each with an id of its own.

    A call that has no result gets one, but with `open_calls`: it is decided about only now.
    """
    answered = {message.tool_call_id for message in messages if message.role == "tool"}
    called = {call.call_id for message in messages for call in message.calls}
    found: list[Any] = []
    for message in messages:
        if message.role == "tool":
            if message.tool_call_id in called:
                found.append(_result(message.tool_call_id or "", message.text))
            continue
        found.append(_sent(message))
        if not open_calls:
            found += [_result(c.call_id, _NOT_CALLED) for c in message.calls if c.call_id not in answered]
    return found


def _sent(message: Message) -> Any:
    if message.role == "system":
        return SystemMessage(id=new_id(), content=message.text)
    if message.role == "user":
        return UserMessage(id=new_id(), content=_content(message))
    calls = [
        ToolCall(id=call.call_id, function=FunctionCall(name=call.name, arguments=call.arguments))
        for call in message.calls
    ]
    return AssistantMessage(id=new_id(), content=message.text or None, tool_calls=calls or None)


def _result(call_id: str, text: str) -> ToolMessage:
    return ToolMessage(id=new_id(), tool_call_id=call_id, content=text)


def _content(message: Message) -> str | list[Any]:
    """Return text, or parts: pictures go along, and of what else is no text the kind is told."""
    if not isinstance(message.content, list):
        return message.text
    parts: list[Any] = []
    for part in message.content:
        kind = part.get("type") if isinstance(part, dict) else "text"
        if kind == "image_url" and (source := _source(part.get("image_url"))):
            parts.append({"type": "image", "source": source})
        else:
            text = part if isinstance(part, str) else part.get("text")
            parts.append({"type": "text", "text": text if isinstance(text, str) else f"[{kind}]"})
    return parts


def _source(image: Any) -> dict[str, Any] | None:
    url = image.get("url") if isinstance(image, dict) else image
    if not isinstance(url, str):
        return None
    head, comma, value = url.partition(",")
    if url.startswith("data:") and comma and head.endswith(";base64"):
        return {"type": "data", "value": value, "mimeType": head[5:-7] or "image/png"}
    return {"type": "url", "value": url}


class Said:
    """The messages of a run, made of its events.

    Parameters
    ----------
    emit : callable
        Takes each event, for the log.
    prompt : str
    """

    def __init__(self, emit: Emit, prompt: str) -> None:
        self._emit, self._prompt = emit, prompt
        self.messages: list[dict[str, Any]] = []
        self.prompt_id = new_id()
        self._by_id: dict[str, dict[str, Any]] = {}
        self._calls: dict[str, dict[str, Any]] = {}
        self._shown: set[tuple[str, str]] = set()
        self._order = Order()
        self._thought = ""
        self._handlers: dict[str, Callable[[Any], None]] = {
            "TEXT_MESSAGE_START": self._text_start,
            "TEXT_MESSAGE_CONTENT": self._text,
            "TOOL_CALL_START": self._call_start,
            "TOOL_CALL_ARGS": self._arguments,
            "TOOL_CALL_RESULT": self._call_result,
            "REASONING_MESSAGE_CONTENT": self._think,
            "MESSAGES_SNAPSHOT": self._snapshot,
        }

    def went_on(self, messages: Iterable[dict[str, Any]]) -> None:
        """Begin with the messages of an earlier run."""
        self.messages = [dict(message) for message in messages]
        for message in self.messages:
            self._calls |= {call["id"]: call for call in message.get("tool_calls") or []}

    def call(self, call_id: str | None) -> Call | None:
        """Return a call of a tool that was made."""
        found = self._calls.get(call_id or "")
        if found is None or call_id is None:
            return None
        return Call(call_id, found["function"]["name"], found["function"]["arguments"] or "{}")

    @property
    def text(self) -> str:
        """The last text of the agent's."""
        texts = [m["content"] for m in self.messages if m["role"] == "assistant" and m["content"]]
        return str(texts[-1]) if texts else ""

    def done(self) -> list[dict[str, Any]]:
        """Return the messages as they are kept; those that say nothing are none."""
        if self._thought:
            self._assistant()
        told = ("content", "tool_calls", "reasoning_content")
        return [m for m in self.messages if m["role"] == "tool" or any(m.get(name) for name in told)]

    def take(self, event: BaseEvent) -> None:
        """Take an event, and pass it on.

        Raises
        ------
        AgentError
            It cannot come here.
        """
        for one in self._order.take(event):
            self._emit(_as_text(one))
            handler = self._handlers.get(one.type.value)
            # What an agent below it says is told in the log, and is no part of its own messages.
            if handler is not None and getattr(one, "subagent_run_id", None) is None:
                handler(one)

    def close(self) -> None:
        """End what was begun: it stopped here, to go on with others."""
        for one in self._order.close():
            self._emit(one)

    def _add(self, message: dict[str, Any], message_id: str | None = None) -> dict[str, Any]:
        self.messages.append(message | {"timestamp": now().isoformat().replace("+00:00", "Z")})
        if message_id is not None:
            self._by_id[message_id] = self.messages[-1]
        return self.messages[-1]

    def _assistant(self, message_id: str | None = None) -> dict[str, Any]:
        message = self._add({"role": "assistant", "content": None}, message_id)
        if self._thought:
            message["reasoning_content"], self._thought = self._thought, ""
        return message

    def _text_start(self, event: Any) -> None:
        self._shown.add(("message", event.message_id))
        if event.message_id in self._by_id:
            return
        if event.role in (None, "assistant"):
            self._assistant(event.message_id)
        else:
            # Nobody else speaks for the person, or for those who wrote the instructions.
            self._add({"role": "user", "content": None, "kind": "context"}, event.message_id)

    def _text(self, event: Any) -> None:
        message = self._by_id.get(event.message_id)
        if message is not None:  # a snapshot may have left it out
            message["content"] = (message["content"] or "") + event.delta

    def _call_start(self, event: Any) -> None:
        self._shown.add(("call", event.tool_call_id))
        last = self.messages[-1] if self.messages else None
        goes_on = last is not None and last["role"] == "assistant" and not self._thought
        message = last if goes_on and last is not None else self._assistant(event.parent_message_id)
        function = {"name": event.tool_call_name, "arguments": ""}
        call = {"id": event.tool_call_id, "type": "function", "function": function}
        message.setdefault("tool_calls", []).append(call)
        self._calls[event.tool_call_id] = call

    def _arguments(self, event: Any) -> None:
        if event.tool_call_id in self._calls:
            self._calls[event.tool_call_id]["function"]["arguments"] += event.delta

    def _call_result(self, event: Any) -> None:
        self._shown.add(("result", event.tool_call_id))
        if event.tool_call_id in self._calls:
            text = _plain(event.content)
            self._add({"role": "tool", "content": text, "tool_call_id": event.tool_call_id}, event.message_id)

    def _think(self, event: Any) -> None:
        self._thought += event.delta

    def _snapshot(self, event: Any) -> None:
        """Take over what a snapshot says of the messages of this run; the others are known."""
        new = self._of_this_run(event.messages)
        if new is None:
            return
        self.messages, self._by_id, self._calls, self._thought = [], {}, {}, ""
        for told in new:
            if told.role == "reasoning":
                self._thought += told.content
            elif told.role == "assistant":
                message = self._assistant(told.id)
                message["content"] = told.content
                calls = [call.model_dump(by_alias=True) for call in told.tool_calls or []]
                if calls:
                    message["tool_calls"] = calls
                    self._calls |= {call["id"]: call for call in calls}
                self._show(("message", told.id), *(("call", call["id"]) for call in calls))
            elif told.role == "tool" and told.tool_call_id in self._calls:
                result = {"role": "tool", "content": _plain(told.content), "tool_call_id": told.tool_call_id}
                self._add(result, told.id)
                self._show(("result", told.tool_call_id))

    def _show(self, *keys: tuple[str, str]) -> None:
        """Tell the last message in the log, where it was not streamed."""
        if self._shown.isdisjoint(keys):
            announce(parse_messages([self.messages[-1]])[0], self._emit)
        self._shown.update(keys)

    def _of_this_run(self, messages: Sequence[Any]) -> list[Any] | None:
        """Return the messages that came after the prompt; None where it cannot be told which those are."""
        mine = [at for at, message in enumerate(messages) if message.id == self.prompt_id]
        if not mine:
            mine = [
                at for at, one in enumerate(messages) if one.role == "user" and one.content == self._prompt
            ]
        return list(messages[mine[-1] + 1 :]) if mine else None


def _as_text(event: BaseEvent) -> BaseEvent:
    """Return an event with a tool's result as text, which is what is shown; its parts stay beside it."""
    if not isinstance(event, ToolCallResultEvent) or isinstance(event.content, str):
        return event
    parts = event.model_dump(mode="json", by_alias=True)["content"]
    return event.model_copy(update={"content": _plain(event.content), "raw_event": event.raw_event or parts})


def _plain(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(part.text if part.type == "text" else f"[{part.type}]" for part in content)
