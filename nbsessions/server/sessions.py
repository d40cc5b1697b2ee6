"""
Sessions: listed a page at a time, made, told, changed and deleted.

`If-Match` is honoured and not asked for: kernels and the command line change sessions without, a change names
the fields that it is about, and what is deleted is named by its exact id. Who would not overwrite what others
did since a session was read sends its ETag.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from pydantic import AwareDatetime, BaseModel, Field

from nbsessions.exceptions import InvalidInput, SessionConflict, SessionNotFound
from nbsessions.names import check_name, check_tags
from nbsessions.records import SessionRecord
from nbsessions.server.errors import Changed
from nbsessions.server.etags import is_conditional, session_of, with_etag
from nbsessions.server.paging import Cursor
from nbsessions.server.routes import Answer, Call, Route, Strict
from nbsessions.session import Session
from nbsessions.stores.base import Change, Key, Listing, Query
from nbsessions.values import check_text, mend, micros, now, plain_json

ID: Final = 200
"""So many characters an id, or the name of an agent, may have."""
_TRIES: Final = 50
"""So often a session is looked at again that others change in this moment."""
_FAR: Final = 2**62
"""No lease of a run ends after this."""


class OneSession(Strict):
    """Which session is meant, beside its id.

    Examples
    --------
    >>> OneSession().conversation_id is None
    True
    """

    conversation_id: str | None = Field(None, max_length=ID, description="The A2A conversation it is in.")


class SessionsAsked(Strict):
    """Which sessions are asked for. All that is given must hold.

    Examples
    --------
    >>> SessionsAsked().limit
    20
    """

    limit: int = Field(20, ge=1, le=1000)
    cursor: str | None = Field(None, max_length=100, description="`next` of the page before.")
    text: str = Field("", max_length=2000, description="Words that its name, id, agent or tags hold.")
    name: str | None = Field(None, max_length=ID, description="Exactly this name.")
    agent_name: str | None = Field(None, max_length=ID)
    tag: str | None = Field(None, max_length=ID)
    conversation_id: str | None = Field(None, max_length=ID, description="`*`: in any, and in none.")
    since: AwareDatetime | None = Field(None, description="Updated at or after this, with a timezone.")


class Sessions(BaseModel):
    """A page of sessions, the one that was updated last first.

    Examples
    --------
    >>> Sessions(sessions=[]).next is None
    True
    """

    sessions: list[SessionRecord]
    next: str | None = Field(None, description="The cursor of the next page; null: this was the last one.")


class NewSession(Strict):
    """What a session begins with.

    Examples
    --------
    >>> NewSession().agent_name
    'local'
    """

    name: str | None = None
    agent_name: str = "local"
    tags: list[str] = Field([], max_length=1000)
    metadata: dict[str, Any] = {}
    state: dict[str, Any] = {}
    conversation_id: str | None = None


class SessionChange(Strict):
    """What is to become of a session; what is not given stays as it is.

    Examples
    --------
    >>> SessionChange(tags=["draft"]).model_fields_set
    {'tags'}
    """

    name: str = ""
    tags: list[str] = Field([], max_length=1000)
    metadata: dict[str, Any] = {}
    state: dict[str, Any] = {}


def list_sessions(call: Call) -> Sessions:
    """Return a page of sessions. One that nobody changes meanwhile is on exactly one page.

    One that is changed goes to the beginning: it may be there twice, or on no page that was to come.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> store = nbs.open_store("memory:")
    >>> _ = store.create("plan"), store.create("essay")
    >>> page = list_sessions(Call(store, query=SessionsAsked(limit=1)))
    >>> [one.name for one in page.sessions]
    ['essay']
    >>> page = list_sessions(Call(store, query=SessionsAsked(limit=1, cursor=page.next)))
    >>> [one.name for one in page.sessions], page.next
    (['plan'], None)
    """
    asked: SessionsAsked = call.query
    cursor = Cursor.read(asked.cursor)
    where = Query(
        conversation_id=None if asked.conversation_id == "*" else asked.conversation_id or "",
        name=_text(asked.name, "name"),
        agent_name=_text(asked.agent_name, "agent_name"),
        tag=_text(asked.tag, "tag"),
        since=None if asked.since is None else micros(asked.since),
        until=cursor.at,
    )
    backend, wanted = call.store.backend, asked.limit + 1
    if asked.text.split():
        text = mend(asked.text)
        if len(text.split()) > 100:
            raise InvalidInput("text: look for 100 words or fewer.")
        found = list(backend.listing(Listing(where, text, offset=cursor.passed, limit=wanted)))
    else:
        found = backend.find(where._replace(limit=wanted + cursor.passed))[cursor.passed :]
    page = found[: asked.limit]
    return Sessions(sessions=page, next=cursor.after(page).text() if len(found) > len(page) else None)


def _text(value: str | None, what: str) -> str | None:
    return None if value is None else check_text(value, what)


def create(call: Call) -> Answer:
    """Start a session.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> create(Call(nbs.open_store("memory:"), body=NewSession(name="plan"))).content.name
    'plan'
    """
    from urllib.parse import quote

    record = call.store.create(**dict(call.body)).record
    record = call.store.backend.get(Key.of(record)) or record
    place = f"{call.base}/sessions/{quote(record.session_id, safe='')}"
    if record.conversation_id is not None:
        place += f"?conversation_id={quote(record.conversation_id, safe='')}"
    return with_etag(record, Location=place)


def tell(call: Call) -> Answer:
    """Return a session, without its messages.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> store = nbs.open_store("memory:")
    >>> path = {"session_id": store.create("plan").session_id}
    >>> tell(Call(store, path, OneSession())).content.name
    'plan'
    """
    return with_etag(session_of(call))


def change(call: Call) -> Answer:
    """Change a session, all that is named or nothing of it.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> store = nbs.open_store("memory:")
    >>> path = {"session_id": store.create("plan").session_id}
    >>> change(Call(store, path, OneSession(), SessionChange(name="essay", state={"step": 1}))).content.state
    {'step': 1}
    """
    given = sorted(call.body.model_fields_set)
    fields = {field: _CHECKS[field](getattr(call.body, field)) for field in given}
    state = fields.pop("state", None)
    for _ in range(_TRIES):
        record = session_of(call)
        if not given:
            return with_etag(record)
        # By this, one of several wins who know it in one state.
        meant = Change(Key.of(record), fields, {"updated_at": record.updated_at})
        changed = call.store.backend.update_all([meant], micros(now()))
        if changed:
            return with_etag(_with_state(call, changed[Key.of(record)], state))
    raise _restless(record)


_CHECKS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "name": check_name,
    "tags": check_tags,
    "metadata": lambda value: plain_json(value, "metadata"),
    "state": lambda value: plain_json(value, "state"),
}


def _with_state(call: Call, record: SessionRecord, state: dict[str, Any] | None) -> SessionRecord:
    """Give a session a state, which goes with its head: where that is moved in this moment, there."""
    if state is None:
        return record
    session = Session(call.store.backend, record, actor=call.store.owner, on_conflict="error")
    for _ in range(_TRIES):
        try:
            session.state = state
        except SessionConflict:
            session.refresh()
        else:
            return session.record
    raise _restless(session.record)


def _restless(record: SessionRecord) -> SessionConflict:
    return SessionConflict(record.label, ours=record.head.turn_id, theirs=record.head.turn_id)


def delete(call: Call) -> Answer:
    """Delete a session by its exact id; what it spent stays counted.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> store = nbs.open_store("memory:")
    >>> path = {"session_id": store.create("plan").session_id}
    >>> delete(Call(store, path, OneSession())).status, store.list()
    (204, [])
    """
    record = session_of(call)
    seen = [micros(record.updated_at)] if is_conditional(call) else None
    if not call.store.backend.delete([Key.of(record)], seen=seen, at=_FAR):
        there = call.store.backend.get(Key.of(record))
        raise SessionNotFound(record.session_id) if there is None else Changed(record.label)
    return Answer(status=204)


ROUTES = (
    Route(
        "GET",
        "/sessions",
        "A page of sessions, the one that was updated last first.",
        list_sessions,
        Sessions,
        query=SessionsAsked,
    ),
    Route("POST", "/sessions", "Start a session.", create, SessionRecord, body=NewSession, status=201),
    Route(
        "GET",
        "/sessions/{session_id}",
        "A session, without its messages.",
        tell,
        SessionRecord,
        query=OneSession,
        headers=("If-None-Match",),
    ),
    Route(
        "PATCH",
        "/sessions/{session_id}",
        "Change name, tags, metadata or state of a session.",
        change,
        SessionRecord,
        query=OneSession,
        body=SessionChange,
        headers=("If-Match",),
    ),
    Route(
        "DELETE",
        "/sessions/{session_id}",
        "Delete a session; what it spent stays counted.",
        delete,
        query=OneSession,
        status=204,
        headers=("If-Match",),
    ),
)
