"""Search over all that was said."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from pydantic import BaseModel, Field

from nbsessions.records import Role, SessionRecord
from nbsessions.server.routes import Call, Route, Strict
from nbsessions.server.sessions import ID


class SearchAsked(Strict):
    """What is searched for, and where. All that is given must hold.

    Examples
    --------
    >>> SearchAsked(text="owl").limit
    20
    """

    text: str = Field(max_length=2000, description='Words; `"a phrase"`; `begin*`.')
    limit: int = Field(20, ge=1, le=500)
    role: Role | None = None
    agent_name: str | None = Field(None, max_length=ID)
    tag: str | None = Field(None, max_length=ID)
    session_id: str | None = Field(None, max_length=ID, description="Only what this session says now.")
    conversation_id: str = Field("*", max_length=ID, description="`*`: in any, and in none; empty: in none.")


class FoundMessage(BaseModel):
    """One message that was found.

    Examples
    --------
    >>> sorted(FoundMessage.model_fields)[:3]
    ['number', 'role', 'said_at']
    """

    session: SessionRecord
    number: int | None = Field(description="Of the message in its session; null: it was left behind.")
    role: str
    snippet: str
    score: float = Field(description="Higher is better; comparable within one search only.")
    said_at: datetime
    turn_id: str


class Hits(BaseModel):
    """Messages that were found, best first.

    Examples
    --------
    >>> Hits(hits=[]).hits
    []
    """

    hits: list[FoundMessage]


def search(call: Call) -> Hits:
    """Return the messages that hold all words, best first.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> store = nbs.open_store("memory:")
    >>> store.create("plan").add_message({"role": "user", "content": "Where does the owl live?"})
    >>> [hit.number for hit in search(Call(store, query=SearchAsked(text="owl"))).hits]
    [1]
    """
    asked: SearchAsked = call.query
    conversation = asked.conversation_id or None
    ref = None
    if asked.session_id is not None:
        if conversation == "*":
            conversation = None
        ref = call.record(asked.session_id, conversation).session_id
    found = call.store.search(
        asked.text,
        asked.limit,
        ref=ref,
        role=asked.role,
        agent_name=asked.agent_name,
        tag=asked.tag,
        conversation_id=conversation,
    )
    return Hits(hits=[FoundMessage(**hit._asdict()) for hit in found])


ROUTES: Final = (
    Route("GET", "/search", "Messages that hold all words, best first.", search, Hits, query=SearchAsked),
)
