"""Sessions that go out as a download: no path is asked for, and nothing of it is run by who opens it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from tempfile import TemporaryFile
from typing import Final
from urllib.parse import quote

from pydantic import Field

from nbsessions import formats
from nbsessions.bundles import gather
from nbsessions.exceptions import InvalidInput
from nbsessions.formats.base import Format
from nbsessions.records import SessionRecord
from nbsessions.server.etags import session_of
from nbsessions.server.routes import Answer, Call, Route, Strict
from nbsessions.server.sessions import ID, OneSession
from nbsessions.stores.base import Key, Query
from nbsessions.transfers.exporting import file_name
from nbsessions.values import check_text

_FORMATS: Final = "`json`, `jsonl`, `notebook`, `store`, `markdown`, `html`, `csv`..."
_MEDIA: Final = "application/octet-stream"
"""Whatever it is, no browser shall think that it can show it."""


class ExportAsked(OneSession):
    """In which format a session is asked for.

    Examples
    --------
    >>> ExportAsked().format
    'json'
    """

    format: str = Field("json", max_length=40, description=_FORMATS)


class ExportAllAsked(Strict):
    """Which sessions are asked for, in which format. All that is given must hold.

    Examples
    --------
    >>> ExportAllAsked().format
    'jsonl'
    """

    format: str = Field(
        "jsonl",
        max_length=40,
        description="One that holds several: `json`, `jsonl`, `store`, `markdown`, `html`, `csv`...",
    )
    agent_name: str | None = Field(None, max_length=ID)
    tag: str | None = Field(None, max_length=ID)
    conversation_id: str = Field("*", max_length=ID, description="`*`: in any, and in none; empty: in none.")


def export(call: Call) -> Answer:
    """Return a session as a file.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> store = nbs.open_store("memory:")
    >>> path = {"session_id": store.create("plan", session_id="s1").session_id}
    >>> answer = export(Call(store, path, ExportAsked(format="csv")))
    >>> with answer.file as file:
    ...     answer.headers["Content-Disposition"].split("; ")[:2]
    ['attachment', 'filename="plan_s1.csv"']
    """
    record = session_of(call)
    format = formats.writable(call.query.format)
    return _download(call, [record], format, file_name(record, format))


def export_all(call: Call) -> Answer:
    """Return all sessions that are asked for in one file.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> store = nbs.open_store("memory:")
    >>> _ = store.create("plan"), store.create("essay")
    >>> with export_all(Call(store, query=ExportAllAsked(format="jsonl"))).file as file:
    ...     file.read().count(b"essay")
    1
    """
    asked: ExportAllAsked = call.query
    format = formats.writable(asked.format)
    if not format.many:
        raise InvalidInput(f"format: a file of {format.name!r} holds one session.")
    for text in (asked.agent_name, asked.tag, asked.conversation_id):
        check_text(text or "", "query")
    where = Query(
        conversation_id=None if asked.conversation_id == "*" else asked.conversation_id,
        agent_name=asked.agent_name,
        tag=asked.tag,
    )
    # Forks come after what they began from.
    records = call.store.backend.find(where)[::-1]
    return _download(call, records, format, f"sessions{format.suffixes[0]}")


def _download(call: Call, records: Sequence[SessionRecord], format: Format, name: str) -> Answer:
    assert format.write is not None
    file = TemporaryFile(prefix="nbsessions-")  # noqa: SIM115 - whoever sends it closes it
    try:
        format.write((gather(call.store.backend, Key.of(record)) for record in records), file)
    except BaseException:
        file.close()
        raise
    size = file.tell()
    file.seek(0)
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", name)
    headers = {
        "Content-Disposition": f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}",
        "Content-Length": str(size),
        "Content-Security-Policy": "sandbox; default-src 'none'; frame-ancestors 'none'",
        "X-Content-Type-Options": "nosniff",
    }
    return Answer(headers=headers, file=file)


ROUTES = (
    Route(
        "GET",
        "/sessions/{session_id}/export",
        "A session as a file.",
        export,
        query=ExportAsked,
        media=_MEDIA,
    ),
    Route("GET", "/export", "Many sessions as one file.", export_all, query=ExportAllAsked, media=_MEDIA),
)
