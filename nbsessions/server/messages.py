"""Messages of a session: told a page at a time, from the end or from the beginning, and added."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any, Final

from pydantic import BaseModel, Field

from nbsessions.exceptions import InvalidInput, SessionConflict
from nbsessions.records import Message, Role, SessionRecord
from nbsessions.server.errors import Changed
from nbsessions.server.etags import etag_of, is_conditional, session_of
from nbsessions.server.routes import Answer, Call, Route, Strict
from nbsessions.server.sessions import ID, OneSession
from nbsessions.session import Session

_MOST: Final = 8 * 1024 * 1024
"""So many bytes a message may have; pictures are in it."""
_PAGE: Final = 32 * 1024 * 1024
"""So many bytes of messages are on a page, but one message always is."""
_TRIES: Final = 50
"""So often a message is put at the end of a session that others move in this moment."""


class MessagesAsked(OneSession):
    """Which messages are asked for: the last ones, where neither `before` nor `after` is given.

    Examples
    --------
    >>> MessagesAsked(limit=1).before is None
    True
    """

    limit: int = Field(50, ge=1, le=1000, description="So many at most; fewer where they are very long.")
    before: int | None = Field(None, ge=1, le=2**53, description="The last ones before this number.")
    after: int | None = Field(None, ge=0, le=2**53, description="The first ones after this number.")


class Messages(BaseModel):
    """Some messages in their order, the first of which has the number `first`.

    They may be fewer than were asked for, where they are very long.

    Examples
    --------
    >>> Messages(messages=[], first=1, total=0).total
    0
    """

    messages: list[Message]
    first: int = Field(description="The number of the first of them, from 1, as `rewind` counts.")
    total: int = Field(description="How many messages the session has.")


class NewMessage(Strict):
    """A message to be added, as in the OpenAI chat format.

    Examples
    --------
    >>> NewMessage(role="user", content="Hello").role
    'user'
    """

    role: Role
    content: str | list[dict[str, Any]] | None = None
    name: str | None = Field(None, max_length=ID)
    tool_calls: list[dict[str, Any]] | None = Field(None, max_length=1000)
    tool_call_id: str | None = Field(None, max_length=1000)


class Added(BaseModel):
    """A message that was added, its number, and the session as it is now.

    Examples
    --------
    >>> sorted(Added.model_fields)
    ['message', 'number', 'session']
    """

    number: int
    message: Message
    session: SessionRecord


def list_messages(call: Call) -> Messages:
    """Return some messages of a session.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> store = nbs.open_store("memory:")
    >>> session = store.create("plan")
    >>> session.messages = [{"role": "user", "content": str(n)} for n in range(5)]
    >>> path = {"session_id": session.session_id}
    >>> page = list_messages(Call(store, path, MessagesAsked(limit=2, before=4)))
    >>> [message.text for message in page.messages], page.first, page.total
    (['1', '2'], 2, 5)
    """
    asked: MessagesAsked = call.query
    if asked.before is not None and asked.after is not None:
        raise InvalidInput("before: give either this or `after`, not both.")
    session = _handle(call)
    total = session.message_count
    if asked.after is not None:
        begin = min(asked.after, total)
        end = min(begin + asked.limit, total)
    else:
        end = total if asked.before is None else min(asked.before - 1, total)
        begin = max(end - asked.limit, 0)
    # Of a long session, only the turns from there on are read.
    tail = session.history(total - begin) if begin < end else []
    found = tail[: end - begin]
    if asked.after is not None:
        return Messages(messages=_fitting(found), first=begin + 1, total=total)
    page = _fitting(found[::-1])[::-1]
    return Messages(messages=page, first=begin + len(found) - len(page) + 1, total=total)


def _fitting(messages: Sequence[Message]) -> list[Message]:
    """Return as many of the first messages as a page may hold."""
    sizes = accumulate(len(message.model_dump_json()) for message in messages)
    return [
        message
        for number, (message, size) in enumerate(zip(messages, sizes, strict=True))
        if not number or size <= _PAGE
    ]


def _handle(call: Call) -> Session:
    return Session(call.store.backend, session_of(call), actor=call.store.owner, on_conflict="error")


def add(call: Call) -> Answer:
    """Add a message at the end of a session. It is durable when this is answered.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> store = nbs.open_store("memory:")
    >>> path = {"session_id": store.create("plan").session_id}
    >>> message = NewMessage(role="user", content="Hello")
    >>> add(Call(store, path, OneSession(), message)).content.number
    1
    """
    message = call.body.model_dump(exclude_unset=True)
    for _ in range(_TRIES):
        session = _handle(call)
        try:
            session.add_message(message)
        except SessionConflict:
            # Somebody else was first: its end is elsewhere now, and perhaps it is not meant any more.
            if is_conditional(call):
                raise Changed(session.record.label) from None
        else:
            record = call.store.backend.get(session.key) or session.record
            added = Added(number=session.message_count, message=session.messages[-1], session=record)
            return Answer(added, headers={"ETag": etag_of(record)})
    raise SessionConflict(session.record.label, ours=session.head.turn_id, theirs=session.head.turn_id)


ROUTES = (
    Route(
        "GET",
        "/sessions/{session_id}/messages",
        "Messages of a session: the last ones, or those before or after a number.",
        list_messages,
        Messages,
        query=MessagesAsked,
    ),
    Route(
        "POST",
        "/sessions/{session_id}/messages",
        "Add a message at the end of a session.",
        add,
        Added,
        query=OneSession,
        body=NewMessage,
        status=201,
        most=_MOST,
        headers=("If-Match",),
    ),
)
