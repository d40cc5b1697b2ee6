"""ETags: what names the state of a session, and who may change it only in that state."""

from __future__ import annotations

import re
from hashlib import sha256

from nbsessions.records import SessionRecord
from nbsessions.server.errors import Changed
from nbsessions.server.routes import Answer, Call

_TAGS = re.compile(r'(?:W/)?"[^"]*"')


def etag_of(record: SessionRecord) -> str:
    """Return the ETag of a session: another one after whatever change of what is told of it.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> session = nbs.open_store("memory:").create("plan")
    >>> before = etag_of(session.record)
    >>> session.tag("draft")
    >>> etag_of(session.record) == before
    False
    """
    return f'"{sha256(record.model_dump_json().encode()).hexdigest()[:32]}"'


def with_etag(record: SessionRecord, status: int | None = None, **headers: str) -> Answer:
    """Return a session as an answer, with its ETag.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> list(with_etag(nbs.open_store("memory:").create("plan").record).headers)
    ['ETag']
    """
    return Answer(record, status, {"ETag": etag_of(record), **headers})


def session_of(call: Call) -> SessionRecord:
    """Return the session that a path names by its exact id, in the state that `If-Match` asks for.

    Raises
    ------
    SessionNotFound
    Changed
        It is in another state.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> store = nbs.open_store("memory:")
    >>> session = store.create("plan")
    >>> from nbsessions.server.sessions import OneSession
    >>> path = {"session_id": session.session_id}
    >>> session_of(Call(store, path, OneSession(), headers={"If-Match": etag_of(session.record)})).name
    'plan'
    >>> session_of(Call(store, path, OneSession(), headers={"If-Match": '"another"'}))
    Traceback (most recent call last):
    nbsessions.server.errors.Changed: Session 'plan' has changed since: nothing was done. ...
    """
    record = call.record(call.path["session_id"], call.query.conversation_id)
    asked = call.headers.get("If-Match")
    if asked is not None and asked.strip() != "*" and etag_of(record) not in _TAGS.findall(asked):
        raise Changed(record.label)
    return record


def is_conditional(call: Call) -> bool:
    """Tell whether a session may be changed only in one state.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> is_conditional(Call(nbs.open_store("memory:"), headers={"If-Match": "*"}))
    False
    """
    return call.headers.get("If-Match", "*").strip() != "*"
