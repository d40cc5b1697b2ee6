"""Runs of a session, a page at a time; their events are in `streaming`."""

from __future__ import annotations

from pydantic import BaseModel, Field

from nbsessions.exceptions import InvalidInput, RunNotFound
from nbsessions.records import Run
from nbsessions.runs import prompted
from nbsessions.server.etags import session_of
from nbsessions.server.routes import Call, Route
from nbsessions.server.sessions import ID, OneSession
from nbsessions.stores.base import Key
from nbsessions.workers import is_alive


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
    key = Key.of(session_of(call))
    found = backend.runs(key)
    if any(_is_dead(run) for run in found):
        found = _marked(call, key)
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
    run = run_of(call)
    if _is_dead(run):
        run = next((one for one in _marked(call, Key.of(run)) if one.run_id == run.run_id), run)
    return prompted(call.store.backend, run)


def _is_dead(run: Run) -> bool:
    return run.status == "running" and not is_alive(run)


def _marked(call: Call, key: Key) -> list[Run]:
    """Return the runs of a session after it was opened, which marks those whose process died."""
    call.store.resume(key.session_id, conversation_id=key.conversation_id or None)
    return call.store.backend.runs(key)


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
)
