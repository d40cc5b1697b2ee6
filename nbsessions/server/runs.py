"""Runs of a session, and the events that they are made of, a page at a time."""

from __future__ import annotations

from pydantic import BaseModel, Field

from nbsessions.exceptions import InvalidInput, RunNotFound
from nbsessions.records import Event, Run
from nbsessions.runs import event_page, prompted
from nbsessions.server.etags import session_of
from nbsessions.server.routes import Call, Route, Strict
from nbsessions.server.sessions import ID, OneSession
from nbsessions.stores.base import Key


class RunsAsked(OneSession):
    """Which runs are asked for.

    Examples
    --------
    >>> RunsAsked().limit
    50
    """

    limit: int = Field(50, ge=1, le=1000)
    before: str | None = Field(None, max_length=ID, description="`previous` of the page before: a run's id.")


class Runs(BaseModel):
    """Some runs of a session, oldest first; those before come with `previous`.

    Examples
    --------
    >>> Runs(runs=[]).previous is None
    True
    """

    runs: list[Run]
    previous: str | None = Field(None, description="Ask for the runs before this one; null: there are none.")


class EventsAsked(Strict):
    """Which events of a run are asked for.

    Examples
    --------
    >>> EventsAsked().after
    -1
    """

    after: int = Field(-1, ge=-1, le=2**53, description="Only those whose `seq` is above this.")
    limit: int = Field(100, ge=1, le=10_000)


class Events(BaseModel):
    """Some events of a run, in order, and what there is to know of those that are not among them.

    Examples
    --------
    >>> Events(events=[], gap=False, event_count=0, cursor=-1, status="running").gap
    False
    """

    events: list[Event]
    gap: bool = Field(description="Some that belong before, among or right after these are not there.")
    event_count: int = Field(description="How many the run has had, dropped ones included.")
    cursor: int = Field(description="What to ask for the next page with, as `after`.")
    status: str = Field(description="Of the run, when the events were read.")


def list_runs(call: Call) -> Runs:
    """Return some runs of a session.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> store = nbs.open_store("memory:")
    >>> session = store.create("plan")
    >>> _ = session.send("Hello", agent=lambda prompt: "Hi")
    >>> page = list_runs(Call(store, {"session_id": session.session_id}, RunsAsked()))
    >>> [run.prompt for run in page.runs]
    ['Hello']
    """
    asked: RunsAsked = call.query
    backend = call.store.backend
    found = backend.runs(Key.of(session_of(call)))
    if asked.before is not None:
        places = [place for place, run in enumerate(found) if run.run_id == asked.before]
        if not places:
            raise InvalidInput("before: the session has no such run.")
        found = found[: places[0]]
    page = found[-asked.limit :]
    previous = page[0].run_id if len(found) > len(page) else None
    return Runs(runs=[prompted(backend, run) for run in page], previous=previous)


def run_of(call: Call) -> Run:
    """Return the run that a path names by its exact id.

    Raises
    ------
    RunNotFound

    Examples
    --------
    >>> import nbsessions as nbs
    >>> run_of(Call(nbs.open_store("memory:"), {"run_id": "nowhere"}))
    Traceback (most recent call last):
    nbsessions.exceptions.RunNotFound: No run 'nowhere' in this store.
    """
    run_id = call.path["run_id"]
    run = call.store.backend.get_run(run_id)
    if run is None:
        raise RunNotFound(f"No run {run_id!r} in this store.", run_id)
    return run


def tell(call: Call) -> Run:
    """Return a run.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> store = nbs.open_store("memory:")
    >>> run = store.create("plan").send("Hello", agent=lambda prompt: "Hi")
    >>> tell(Call(store, {"run_id": run.run_id})).prompt
    'Hello'
    """
    return prompted(call.store.backend, run_of(call))


def list_events(call: Call) -> Events:
    """Return some events of a run.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> store = nbs.open_store("memory:")
    >>> run = store.create("plan").send("Hello", agent=lambda prompt: "Hi")
    >>> page = list_events(Call(store, {"run_id": run.run_id}, EventsAsked(after=0, limit=2)))
    >>> [event.seq for event in page.events], page.cursor, page.status
    ([1, 2], 2, 'completed')
    """
    run = run_of(call)
    page = event_page(call.store.backend, run, call.query.after, call.query.limit)
    return Events(
        events=list(page),
        gap=page.gap,
        event_count=page.event_count,
        cursor=page.cursor,
        status=run.status,
    )


ROUTES = (
    Route(
        "GET",
        "/sessions/{session_id}/runs",
        "The last runs of a session, failed and cancelled ones included.",
        list_runs,
        Runs,
        query=RunsAsked,
    ),
    Route("GET", "/runs/{run_id}", "A run: what was asked, how it ended, what it spent.", tell, Run),
    Route(
        "GET",
        "/runs/{run_id}/events",
        "Events of a run after a cursor, as AG-UI has them.",
        list_events,
        Events,
        query=EventsAsked,
    ),
)
