"""Messages of ChatGPT's export, one line of them after the other, as chat messages."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, Final

from nbsessions.exceptions import FormatError
from nbsessions.formats.branches import Entry
from nbsessions.formats.reading import dict_of, list_of, moment, parsed, text_of
from nbsessions.records import RunStatus, Spent, Usage

_ROLES: Final = ("system", "user", "assistant", "tool")
_EVERYBODY: Final = ("all", "assistant", "user")
_INSTRUCTIONS: Final = ("user_editable_context", "model_editable_context")
_HIDDEN: Final = "is_visually_hidden_from_conversation"
_PLAIN: Final = ("author", "content", "create_time", "update_time", "metadata")
# What these fields say nearly always, says nothing.
_USUAL: Final = {"status": "finished_successfully", "recipient": "all", "weight": 1, "channel": "final"}
_FIELDS: Final = ("text", "result", "content", "model_set_context", "summary", "title")


class Speaker:
    """Makes chat messages of a line of nodes; what it has to remember is of that line.

    Examples
    --------
    >>> message = {"author": {"role": "user"}, "content": {"content_type": "text", "parts": ["Hi"]}}
    >>> Speaker().entry("n1", message).messages
    [{'role': 'user', 'content': 'Hi'}]
    """

    def __init__(self) -> None:
        self._thought: list[str] = []
        self._recap: str | None = None
        self._call: str | None = None
        self._last: datetime | None = None

    def copy(self) -> Speaker:
        """Return another that goes on from here.

        Examples
        --------
        >>> Speaker().copy().rest()
        """
        other = Speaker()
        other._thought, other._recap = list(self._thought), self._recap
        other._call, other._last = self._call, self._last
        return other

    def entry(self, key: str, message: dict[str, Any]) -> Entry | None:
        """Return what a node says: nothing where it is empty, or thoughts, which go to the answer after them.

        Examples
        --------
        >>> Speaker().entry("n1", {})
        """
        if not message:
            return None
        content, at = dict_of(message.get("content")), moment(message.get("create_time"))
        kind, role = text_of(content.get("content_type")) or "text", _role(message, content)
        self._last = at
        if kind == "thoughts":
            self._thought += [
                text for thought in list_of(content.get("thoughts")) if (text := _thought(thought))
            ]
            return None
        if kind == "reasoning_recap":
            self._recap = text_of(content.get("content"))
            return None
        said: dict[str, Any] = {
            "role": role,
            "content": _content(kind, content),
            **_more(message, content, kind),
        }
        recipient = text_of(message.get("recipient")) or "all"
        if role == "assistant":
            self._answer(said, recipient, message, key)
        elif role == "tool":
            self._result(said, message)
        if not said["content"] and role != "user" and not said.keys() & {"tool_calls", "reasoning_content"}:
            return None
        entry = Entry([said], at, is_prompt=role == "user")
        if role == "assistant":
            entry.spent, entry.ended = _run(message, at)
        return entry

    def rest(self) -> Entry | None:
        """Return what was thought at the end of the line, with no answer to go to.

        Examples
        --------
        >>> Speaker().rest()
        """
        if not self._thought:
            return None
        said: dict[str, Any] = {"role": "assistant", "content": ""}
        self._take_thoughts(said)
        return Entry([said], self._last)

    def _answer(self, said: dict[str, Any], recipient: str, message: dict[str, Any], key: str) -> None:
        """Make a message to a tool a call of it."""
        self._take_thoughts(said)
        if recipient in _EVERYBODY:
            return
        self._call = text_of(message.get("id")) or key
        function = {"name": recipient, "arguments": _arguments(said["content"])}
        said["tool_calls"] = [{"id": self._call, "type": "function", "function": function}]
        said["content"] = None

    def _take_thoughts(self, said: dict[str, Any]) -> None:
        if self._thought:
            said["reasoning_content"] = "\n\n".join(self._thought)
        if self._recap is not None:
            said["reasoning_recap"] = self._recap
        self._thought, self._recap = [], None

    def _result(self, said: dict[str, Any], message: dict[str, Any]) -> None:
        """Name the tool that a message is from, and the call that it answers."""
        if name := text_of(dict_of(message.get("author")).get("name")):
            said["name"] = name
        if self._call is not None:
            said["tool_call_id"] = self._call


def _role(message: dict[str, Any], content: dict[str, Any]) -> str:
    # Instructions have the role of who wrote them, and are no prompts.
    if content.get("content_type") in _INSTRUCTIONS:
        return "system"
    role = dict_of(message.get("author")).get("role")
    return role if isinstance(role, str) and role in _ROLES else "assistant"


def _thought(thought: Any) -> str:
    if isinstance(thought, str):
        return thought
    told = dict_of(thought)
    return "\n".join(text for name in ("summary", "content") if (text := text_of(told.get(name))))


def _content(kind: str, content: dict[str, Any]) -> str | list[Any]:
    if kind == "user_editable_context":
        return "\n\n".join(
            text for name in ("user_profile", "user_instructions") if (text := text_of(content.get(name)))
        )
    parts = list_of(content.get("parts"))
    if all(isinstance(part, str) for part in parts) and parts:
        return "\n".join(parts)
    if parts:
        return [_part(part) for part in parts if part]
    return next((text for name in _FIELDS if (text := text_of(content.get(name)))), "")


def _part(part: Any) -> Any:
    """Return a part of a message; files are told by their pointers, which nobody else can follow."""
    if isinstance(part, str):
        return {"type": "text", "text": part}
    told = dict_of(part)
    kind = text_of(told.get("content_type")) or "unknown"
    if kind == "audio_transcription":
        return {**told, "type": "text"}
    return {"type": kind, **told} if told else {"type": "unknown", "value": part}


def _more(message: dict[str, Any], content: dict[str, Any], kind: str) -> dict[str, Any]:
    """Return what else is told of a message, but for what is told of nearly all."""
    more = {
        key: value
        for key, value in message.items()
        if key not in (*_PLAIN, "end_turn") and value not in (None, _USUAL.get(key))
    }
    told = dict_of(message.get("metadata"))
    if told.get(_HIDDEN):
        more["hidden"] = True
    if kept := {
        key: value for key, value in told.items() if key != _HIDDEN and value not in (None, [], {}, "")
    }:
        more["metadata"] = kept
    if kind not in ("text", "multimodal_text"):
        shown = ("content_type", "parts", *_FIELDS, "user_profile", "user_instructions")
        more["content_type"] = kind
        told = {key: value for key, value in content.items() if key not in shown and value is not None}
        more |= {"error" if key == "name" else key: value for key, value in told.items()}
        more |= {key: content[key] for key in ("title", "summary") if text_of(content.get(key))}
    author = dict_of(message.get("author"))
    if author.get("role") not in (*_ROLES, None):
        more["author"] = author
    return more


def _arguments(content: str | list[Any]) -> str:
    """Return what a tool was sent as a JSON object, which arguments have to be."""
    text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
    try:
        told = parsed(text, "arguments")
    except FormatError:  # it is code, or words
        told = None
    return text if isinstance(told, dict) else json.dumps({"input": text}, ensure_ascii=False)


_ENDED: Final[dict[object, RunStatus]] = {"interrupted": "cancelled", "error": "failed"}


def _run(message: dict[str, Any], at: datetime | None) -> tuple[list[Spent], tuple[RunStatus, None] | None]:
    """Return what tells of the run that an answer is of: its model and its end, for tokens are not told."""
    told = dict_of(message.get("metadata"))
    status = _ENDED.get(text_of(dict_of(told.get("finish_details")).get("type")))
    spent = Spent(Usage(), text_of(told.get("model_slug")), "openai", at)
    return [spent], None if status is None else (status, None)
