"""The events of a run over HTTP: as pages, or sent one by one while they happen."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from contextlib import aclosing
from typing import Final

from pydantic import BaseModel, Field
from tornado.iostream import StreamClosedError

from nbsessions.exceptions import InvalidInput, NbsessionsError
from nbsessions.records import TERMINAL, Event, Run
from nbsessions.server.following import End, Feed, Told, look
from nbsessions.server.handler import Handler, Refused
from nbsessions.server.routes import Call, Route, Strict
from nbsessions.server.runs import run_of
from nbsessions.values import encode_json

STREAM: Final = "text/event-stream"
_SLOWEST: Final = 30.0
"""So many seconds whoever listens may take for what was sent."""
_PIECE: Final = 256 * 1024
_RETRY: Final = "retry: 2000\n\n"
_SILENCE: Final = ": nothing new\n\n"


class EventsAsked(Strict):
    """Which events of a run are asked for.

    Examples
    --------
    >>> EventsAsked().after
    -1
    """

    after: int = Field(-1, ge=-1, description="only events whose `seq` is above this; -1: all")
    limit: int = Field(500, ge=1, le=5000, description="so many at most; a stream has no limit")


class Events(BaseModel):
    """Some events of a run, in order.

    Attributes
    ----------
    cursor : int
        What to ask for the next ones with, as `after`.
    gap : bool
        Whether events that belong among or before these are not kept any more.
    event_count : int
        How many it has had.

    Examples
    --------
    >>> Events(events=[], cursor=-1, gap=False, event_count=0).events
    []
    """

    events: list[Event]
    cursor: int
    gap: bool
    event_count: int


def page(call: Call) -> Events:
    """Return some events of a run.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> store = nbs.open_store("memory:")
    >>> run = store.create("plan").send("Hello", agent=lambda prompt: "Hi")
    >>> page(Call(store, {"run_id": run.run_id}, EventsAsked(after=2))).cursor
    4
    """
    asked: EventsAsked = call.query
    found = call.store.events(call.path["run_id"], after=asked.after, limit=asked.limit)
    return Events(events=list(found), cursor=found.cursor, gap=found.gap, event_count=found.event_count)


def text(told: Told) -> str:
    """Return an event as it is sent, https://html.spec.whatwg.org/multipage/server-sent-events.html.

    Examples
    --------
    >>> text(Told(3, "RUN_FINISHED", "{}"))
    'id: 3\\nevent: RUN_FINISHED\\ndata: {}\\n\\n'
    """
    name = re.sub(r"[\x00-\x1f\x7f]+", " ", told.type)
    return f"id: {told.seq}\nevent: {name}\ndata: {told.data}\n\n"


def gap(last: int, following: int) -> str:
    r"""Return what is sent where the events between two are not kept any more.

    Examples
    --------
    >>> gap(3, 9)
    'event: gap\ndata: {"first":4,"last":8}\n\n'
    """
    return f"event: gap\ndata: {encode_json({'first': last + 1, 'last': following - 1}, 'gap')}\n\n"


async def events(handler: Handler, call: Call) -> None:
    """Send the events of a run: those that are there, or all that come, to whom wants a stream."""
    if not _wants_stream(handler.request.headers.get("Accept", "")):
        text = await handler.serving.in_thread(lambda: page(call).model_dump_json())
        handler.set_header("Cache-Control", "no-store")
        await handler.finish(text, set_content_type="application/json")
        return
    run = await handler.serving.in_thread(run_of, call)
    last = _last_known(handler.request.headers.get("Last-Event-ID"))
    if last is not None and run.status in TERMINAL and last + 1 >= run.event_count:
        # A browser that was told this does not ask again.
        handler.set_status(204)
        await handler.finish()
        return
    await _stream(handler, call, run, call.query.after if last is None else last)


def _wants_stream(accept: str) -> bool:
    return any(part.partition(";")[0].strip().lower() == STREAM for part in accept.split(","))


def _last_known(text: str | None) -> int | None:
    if not text:
        return None
    if not re.fullmatch(r"-1|[0-9]{1,15}", text, re.ASCII):
        raise InvalidInput("Last-Event-ID must be the id of an event, a whole number.")
    return int(text)


async def _stream(handler: Handler, call: Call, run: Run, after: int) -> None:
    feeds = handler.serving.feeds
    if feeds.count >= handler.serving.streams:
        text = f"This server sends {feeds.count} streams already: try again later."
        raise Refused(429, text, "TooManyStreams", **{"Retry-After": "10"})
    for name, value in _HEADERS.items():
        handler.set_header(name, value)
    if handler.request.method == "HEAD":
        await handler.finish(set_content_type=STREAM)
        return

    async def read(position: int) -> tuple[Run | None, list[Told]]:
        return await handler.serving.in_thread(look, call.store.backend, run.run_id, position)

    async with feeds.following(call.store.owner, run, read) as feed:
        try:
            await _send(handler, feed, after)
        except (StreamClosedError, TimeoutError, NbsessionsError):
            # Who still listens comes back, and says what he has.
            handler.hang_up()


async def _send(handler: Handler, feed: Feed, last: int) -> None:
    gone = asyncio.Event()

    def leave() -> None:
        gone.set()
        feed.wake()

    handler.on_leave = leave
    await _flush(handler, _RETRY)
    async with aclosing(feed.follow(last, gone.is_set)) as followed:
        async for found in followed:
            if isinstance(found, End):
                await _finish(handler, found)
            elif not found:
                await _flush(handler, _SILENCE)
            else:
                await _pieces(handler, found, last)
                last = found[-1].seq


async def _pieces(handler: Handler, found: Sequence[Told], last: int) -> None:
    waiting: list[str] = []
    for told in found:
        waiting += [gap(last, told.seq)] if told.seq > last + 1 else []
        waiting.append(text(told))
        last = told.seq
        if sum(map(len, waiting)) >= _PIECE:
            await _flush(handler, "".join(waiting))
            waiting = []
    await _flush(handler, "".join(waiting))


async def _flush(handler: Handler, text: str) -> None:
    """Send a text, and wait until it has left."""
    if text:
        handler.write(text)
        await asyncio.wait_for(handler.flush(), _SLOWEST)


async def _finish(handler: Handler, end: End) -> None:
    if end.status is None:
        handler.hang_up()
        return
    handler.write(f"event: end\ndata: {encode_json({'status': end.status}, 'end')}\n\n")
    await handler.finish(set_content_type=STREAM)


_HEADERS: Final = {
    "Content-Type": STREAM,
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",
}
ROUTES = (
    Route(
        "GET",
        "/runs/{run_id}/events",
        "Events of a run; with `Accept: text/event-stream`, all of them as they happen.",
        events,
        Events,
        query=EventsAsked,
        headers=("Last-Event-ID",),
    ),
)
