"""Runs, the attempts of an agent to answer, and the events that they are made of."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from nbsessions.records.sessions import Head
from nbsessions.records.usage import NOTHING, Share, Usage

RunStatus = Literal["running", "completed", "failed", "cancelled", "suspended", "interrupted"]

TERMINAL: frozenset[str] = frozenset({"completed", "failed", "cancelled", "interrupted"})


class Run(BaseModel):
    """One attempt by an agent to answer.

    Attributes
    ----------
    run_id, session_id : str
    conversation_id : str or None
    agent_name : str
    model, provider : str or None
    status : {"running", "completed", "failed", "cancelled", "suspended", "interrupted"}
    prompt : str or None
    base : Head
        The head that the agent answered from.
    turn_id : str or None
        The turn that it committed.
    started_at, finished_at : datetime
        Timezone-aware, UTC; `finished_at` is None while it runs.
    usage : Usage
    shares : tuple of Share
        What of it was spent on which day with which model. Empty: all on the day on which it began, with
        `model`.
    priced_by : str or None
        What the cost was calculated with, such as ``genai-prices 0.2.3``.
    error : str or None
        One line.
    event_count : int
    cell_id, retry_of : str or None
    output : object
        What the agent returned. It is there on the run that `send` gives, and is not stored.
    carried : Usage
        What the run spent that this one went on from: see `Session.resume_run`. Not stored, and not a
        part of `usage`, so that nothing is counted twice.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> session = nbs.open_store("memory:").create("plan")
    >>> run = session.send("Hello", agent=lambda prompt: prompt.upper())
    >>> run.status, run.output
    ('completed', 'HELLO')
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    run_id: str
    session_id: str
    conversation_id: str | None = None
    agent_name: str
    model: str | None = None
    provider: str | None = None
    status: RunStatus = "running"
    prompt: str | None = None
    base: Head = Head()
    turn_id: str | None = None
    started_at: datetime
    finished_at: datetime | None = None
    usage: Usage = NOTHING
    shares: tuple[Share, ...] = ()
    priced_by: str | None = None
    error: str | None = None
    event_count: int = 0
    cell_id: str | None = None
    retry_of: str | None = None
    worker: str | None = None
    """``host:pid`` of the process that runs it."""
    lease_until: datetime | None = None
    """Whoever opens the session after this may call the run interrupted."""
    output: Any = Field(default=None, exclude=True, repr=False)
    carried: Usage = Field(default=NOTHING, exclude=True, repr=False)

    @property
    def duration(self) -> float | None:
        """Seconds from start to end; None while it runs.

        Examples
        --------
        >>> import nbsessions as nbs
        >>> session = nbs.open_store("memory:").create("plan")
        >>> session.send("Hello", agent=lambda prompt: "Hi").duration < 5
        True
        """
        return None if self.finished_at is None else (self.finished_at - self.started_at).total_seconds()

    @property
    def spending(self) -> tuple[Share, ...]:
        """Its `shares`, of which there is at least one.

        Examples
        --------
        >>> import nbsessions as nbs
        >>> session = nbs.open_store("memory:").create("plan")
        >>> [share.usage == Usage() for share in session.send("Hello", agent=lambda prompt: "Hi").spending]
        [True]
        """
        own = Share(self.started_at.date(), self.model, self.provider, self.usage)
        return self.shares or (own,)


class Event(BaseModel):
    """One step of a run: an AG-UI 1.0 event, as it was stored.

    Attributes
    ----------
    seq : int
        Position in the run, from 0.
    type : str
        Such as ``TEXT_MESSAGE_CONTENT``.
    data : dict
        The whole event in AG-UI's wire format (camelCase), https://docs.ag-ui.com/concepts/events.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> session = nbs.open_store("memory:").create("plan")
    >>> run = session.send("Hello", agent=lambda prompt: "Hi")
    >>> [event.type for event in session.run_events(run.run_id)][:2]
    ['RUN_STARTED', 'TEXT_MESSAGE_START']
    """

    model_config = ConfigDict(frozen=True, defer_build=True)

    seq: int
    type: str
    data: dict[str, Any]


class EventPage(list[Event]):
    """Events of a run, in order, and what there is to know of those that are not among them.

    Attributes
    ----------
    gap : bool
        Whether events that belong before, among or right after these are not there: dropped, or lost.
    event_count : int
        How many events the run has had, those that are no longer kept included.
    cursor : int
        What to ask for the next page with, as `after`.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> session = nbs.open_store("memory:").create("plan")
    >>> run = session.send("Hello", agent=lambda prompt: "Hi")
    >>> page = session.run_events(run.run_id, limit=2)
    >>> [event.seq for event in page], page.gap, page.event_count, page.cursor
    ([0, 1], False, 5, 1)
    """

    def __init__(self, events: Iterable[Event], *, after: int, limit: int | None, event_count: int) -> None:
        super().__init__(events)
        self.event_count = event_count
        self.cursor = self[-1].seq if self else after
        numbers = [event.seq for event in self]
        expected = range(after + 1, after + 1 + len(numbers))
        # A page that is not full is the last one: nothing may come after it.
        ends = limit is None or len(numbers) < limit
        self.gap = numbers != list(expected) or (ends and expected.stop < event_count)
