"""One message of a conversation: what it says, as HTML, and as plain text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from nbsessions.folds import fold, labelled, tool_html, tool_plain
from nbsessions.rendering import BORDER, MONO, MUTED, escape, markdown_html
from nbsessions.text import one_line, strip_controls

if TYPE_CHECKING:
    from nbsessions.records import Message


def message_text(message: Message) -> str:
    """Return what a message says, and which parts of it are no text.

    Examples
    --------
    >>> from nbsessions.records import Message
    >>> message_text(Message(role="user", content=[{"type": "image_url"}]))
    '[image_url]'
    """
    others = []
    if isinstance(message.content, list):
        kinds = [part.get("type") or "part" for part in message.content if isinstance(part, dict)]
        others = [f"[{one_line(str(kind), 40)}]" for kind in kinds if kind != "text"]
    return "\n".join([*([message.text] if message.text else []), *others])


def tool_names(messages: Iterable[Message]) -> dict[str, str]:
    """Return which tools are called in messages, by the calls' ids: a result names only those.

    Examples
    --------
    >>> from nbsessions.records import Message
    >>> call = {"id": "c1", "function": {"name": "add", "arguments": "{}"}}
    >>> tool_names([Message(role="assistant", tool_calls=[call])])
    {'c1': 'add'}
    """
    return {call.call_id: call.name for message in messages for call in message.calls}


def message_html(number: str, message: Message, tools: dict[str, str]) -> str:
    """Return a message as HTML that cannot do anything; thoughts and tools are folded.

    Parameters
    ----------
    number : str
        Shown before its role.
    message : Message
    tools : dict
        As `tool_names` gives it.

    Examples
    --------
    >>> from nbsessions.records import Message
    >>> "<strong>3</strong>" in message_html("2", Message(role="assistant", content="It is **3**."), {})
    True
    """
    text = message_text(message)
    if message.role == "tool":
        name = escape(one_line(_name(message, tools) or "tool", 80))
        peek = escape(one_line(text, 80) or "(nothing)")
        body = fold(f'<span style="{MONO}"><strong>{name}</strong> → {peek}</span>', labelled("Result", text))
    elif message.role == "system":
        body = fold(escape(one_line(text, 100)), markdown_html(text, breaks=True))
    else:
        thought = _thought(message)
        body = fold("Thinking", markdown_html(thought)) if thought else ""
        body += markdown_html(text, breaks=message.role == "user")
        body += "".join(tool_html(call.name, call.arguments, None) for call in message.calls)
    return _row(number, message.role, body)


def _row(number: str, role: str, body: str) -> str:
    # What the person said is what the eye looks for.
    colour = "var(--jp-brand-color1, #1976d2)" if role == "user" else BORDER
    label = f"color:{colour};font-weight:600" if role == "user" else ""
    return (
        f'<div style="border-left:3px solid {colour};padding:0 0 0 12px;margin:10px 0">'
        f'<div style="font-size:.85em;{MUTED}">{number} <span style="{label}">{role}</span></div>'
        f"{body}</div>\n"
    )


def message_plain(number: str, message: Message, tools: dict[str, str]) -> str:
    """Return the same as plain text.

    Examples
    --------
    >>> from nbsessions.records import Message
    >>> print(message_plain("1", Message(role="user", content="Hello"), {}))
    1 user
    Hello
    """
    name, text = _name(message, tools), strip_controls(message_text(message)).strip("\n")
    lines = [f"{number} {message.role}{f' ({one_line(name, 80)})' if name else ''}"]
    thought = strip_controls(_thought(message)).strip()
    lines += [f"Thinking: {thought}"] if thought else []
    lines += [text] if text else []
    lines += [tool_plain(call.name, call.arguments, None) for call in message.calls]
    return "\n".join(lines)


def _name(message: Message, tools: dict[str, str]) -> str:
    return message.name or tools.get(message.tool_call_id or "") or ""


def _thought(message: Message) -> str:
    thought = message.get("reasoning_content") if message.role == "assistant" else None
    return thought if isinstance(thought, str) and thought.strip() else ""
