"""What one sees of a session before it is opened: a line, and the end of its conversation."""

from __future__ import annotations

from typing import Any, Final

from nbsessions.exceptions import NbsessionsError
from nbsessions.messages import message_text
from nbsessions.records import Message, SessionRecord
from nbsessions.rendering import MUTED, escape
from nbsessions.reprs import Conversation
from nbsessions.session import Session
from nbsessions.stores.base import Backend
from nbsessions.text import counted, one_line
from nbsessions.values import now

_MESSAGES: Final = 4
_CALLS: Final = 3
_LONG: Final = 1_200
"""Characters of a message; what is shown is saved with the notebook."""


def session_line(record: SessionRecord) -> str:
    """Return a session as a line of a list.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> session_line(nbs.open_store("memory:").create("plan", tags=["draft"]).record)
    'plan · just now · local · 0 turns · draft'
    """
    tags = f" · {', '.join(record.tags)}" if record.tags else ""
    turns = counted(record.turn_count, "turn")
    label = one_line(record.label, 48)
    return one_line(f"{label} · {_age(record)} · {record.agent_name} · {turns}{tags}", 160)


def preview_html(backend: Backend, record: SessionRecord) -> str:
    """Return the last messages of a session as HTML that cannot do anything, or why they cannot be read.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> session = nbs.open_store("memory:").create("plan")
    >>> session.add_message({"role": "user", "content": "<b>"})
    >>> "&lt;b&gt;" in preview_html(session.backend, session.record)
    True
    """
    try:
        messages = Session(backend, record).history(_MESSAGES)
    except NbsessionsError as error:
        return note_html(str(error))
    if not messages:
        return note_html(f"Nothing has been said in {record.label!r} yet.")
    first = record.message_count - len(messages) + 1
    return Conversation(record.label, [_short(message) for message in messages], first=first).html()


def note_html(text: str) -> str:
    """Return a line that stands in the place of a conversation.

    Examples
    --------
    >>> "There are no sessions yet." in note_html("There are no sessions yet.")
    True
    """
    return f'<span style="{MUTED}">{escape(text)}</span>'


def _short(message: Message) -> Message:
    calls: list[dict[str, Any]] = [
        {"id": call.call_id, "function": {"name": call.name, "arguments": _cut(call.arguments, _LONG // 4)}}
        for call in message.calls[:_CALLS]
    ]
    return Message(
        role=message.role,
        content=_cut(message_text(message)),
        name=message.name,
        tool_calls=calls or None,
        tool_call_id=message.tool_call_id,
    )


def _cut(text: str, limit: int = _LONG) -> str:
    return text if len(text) <= limit else f"{text[:limit]} …"


def _age(record: SessionRecord) -> str:
    seconds = max(0, (now() - record.updated_at).total_seconds())
    for size, unit in ((86_400 * 365, "y"), (86_400 * 30, "mo"), (86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit} ago"
    return "just now"
