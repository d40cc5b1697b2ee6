"""Sessions: listed a page at a time."""

from __future__ import annotations

from pydantic import BaseModel, Field

from nbsessions.records import SessionRecord
from nbsessions.server.routes import Call, Route, Strict


class SessionsAsked(Strict):
    """Which sessions are asked for.

    Examples
    --------
    >>> SessionsAsked().limit
    20
    """

    limit: int = Field(20, ge=1, le=1000)


class Sessions(BaseModel):
    """Some sessions, the one that was updated last first.

    Examples
    --------
    >>> Sessions(sessions=[]).sessions
    []
    """

    sessions: list[SessionRecord]


def list_sessions(call: Call) -> Sessions:
    """Return a page of sessions.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> list_sessions(Call(nbs.open_store("memory:"), query=SessionsAsked())).sessions
    []
    """
    return Sessions(sessions=call.store.list(call.query.limit))


ROUTES = (
    Route(
        "GET",
        "/sessions",
        "Sessions, the one that was updated last first.",
        list_sessions,
        Sessions,
        query=SessionsAsked,
    ),
)
