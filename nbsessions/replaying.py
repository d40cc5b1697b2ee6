"""A run shown again, event by event, as it looked when it happened."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from nbsessions.display import AnswerView
from nbsessions.exceptions import InvalidInput
from nbsessions.records import TERMINAL, Event, EventPage, Run
from nbsessions.reprs import footer_text
from nbsessions.screens import Collected
from nbsessions.text import counted, one_line

if TYPE_CHECKING:
    from ag_ui.core import BaseEvent

    from nbsessions.segments import Segment

Pages = Callable[[int, int], EventPage]
"""Takes a cursor and a limit, and returns the events after it."""
_PAGE = 500
_PAGES = 4
"""So many pages of events are kept at once."""


def replay(
    run: Run,
    page: Pages,
    *,
    speed: float = 1.0,
    label: str = "",
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Show a run again; nothing is asked, and nothing is stored.

    Parameters
    ----------
    run : Run
    page : callable
        Takes a cursor and a limit, and returns the events after it.
    speed : float
        How much faster than it was; 0 shows all at once.
    label : str
        What to call its session in the line below.
    sleep : callable

    Raises
    ------
    InvalidInput
        The speed is negative.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> session = nbs.open_store("memory:").create("plan")
    >>> run = session.send("Hello", agent=lambda prompt: "Hi")
    >>> def page(after, limit):
    ...     return session.run_events(run.run_id, after=after, limit=limit)
    >>> replay(session.runs()[0], page, speed=0, label="plan")
    Hello...
    Hi...
    """
    if not speed >= 0:
        raise InvalidInput(f"The speed must be 0 or more, not {speed}.")
    last: int | None = None
    seen = 0
    with AnswerView(title=_title(run)) as view:
        found = page(-1, _PAGE)
        first = found[0].seq if found else found.event_count
        _tell_dropped(view, first)
        while found:
            for event in found:
                at = event.data.get("timestamp")
                if speed and last is not None and isinstance(at, int):
                    sleep(max(0, at - last) / 1000 / speed)
                last = at if isinstance(at, int) else last
                shown = parsed(event)
                if shown is not None:
                    view.event(shown)
            seen += len(found)
            found = page(found.cursor, _PAGE)
        _finish(view, run, found.event_count - first - seen, label)


class Tape:
    """A run that stands still: the answer as it looked after any number of its events.

    Parameters
    ----------
    run : Run
    page : callable
        Takes a cursor and a limit, and returns the events after it. One page at a time is read.
    label : str
        What to call its session in the line below.

    Attributes
    ----------
    first : int
        So many events, the first ones, are no longer kept.
    count : int
        How many there have been.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> session = nbs.open_store("memory:").create("plan")
    >>> run = session.send("Hello", agent=lambda prompt: "Hi")
    >>> def page(after, limit):
    ...     return session.run_events(run.run_id, after=after, limit=limit)
    >>> tape = Tape(session.runs()[0], page, label="plan")
    >>> [segment.plain() for segment in tape.answer(3)], tape.event(3).type
    (['Hello', 'Hi'], 'TEXT_MESSAGE_CONTENT')
    """

    def __init__(self, run: Run, page: Pages, *, label: str = "") -> None:
        self.run, self._page, self._label = run, page, label
        start = page(-1, 1)
        self.count = start.event_count
        self.first = start[0].seq if start else start.event_count
        self._screen = Collected()
        self._view = AnswerView(title=_title(run), screen=self._screen)
        _tell_dropped(self._view, self.first)
        self._at = 0
        # The answer as it was before each page: going back begins there.
        self._before = {0: self._view.copy(Collected())}
        self._kept: dict[int, int] = {}
        self._pages: OrderedDict[int, EventPage] = OrderedDict()

    def grow(self, run: Run) -> None:
        """Take what has become of the run meanwhile."""
        self.run, self.count = run, run.event_count
        self._pages.clear()

    def event(self, position: int) -> Event | None:
        """Return the last of so many events; None where it is not kept."""
        if position <= 0:
            return None
        found = self._read((position - 1) // _PAGE)
        return next((event for event in found if event.seq == position - 1), None)

    def answer(self, position: int) -> list[Segment]:
        """Return the answer as it looked after so many events; it changes when another is asked for."""
        begin = max(at for at in self._before if at <= position)
        if not begin <= self._at <= position:
            self._screen = Collected()
            self._view, self._at = self._before[begin].copy(self._screen), begin
        while self._at < position:
            self._go_on(position)
        if position < self.count or self.run.status not in TERMINAL:
            return self._screen.segments
        last = Collected()
        missing = self.count - self.first - sum(self._kept.values())
        _finish(self._view.copy(last), self.run, missing, self._label)
        return last.segments

    def _go_on(self, position: int) -> None:
        """Go on to a position, or to the end of the page."""
        number = self._at // _PAGE
        end = min(position, (number + 1) * _PAGE)
        for event in self._read(number):
            if self._at <= event.seq < end and (shown := parsed(event)) is not None:
                self._view.event(shown)
        self._at = end
        if end % _PAGE == 0 and end not in self._before:
            self._before[end] = self._view.copy(Collected())

    def _read(self, number: int) -> EventPage:
        found = self._pages.get(number)
        if found is None:
            found = self._pages[number] = self._page(number * _PAGE - 1, _PAGE)
            # Where some are missing, the page ends among the next.
            self._kept[number] = sum(event.seq < (number + 1) * _PAGE for event in found)
        self._pages.move_to_end(number)
        if len(self._pages) > _PAGES:
            self._pages.popitem(last=False)
        return found


def _title(run: Run) -> str | None:
    return one_line(run.prompt, 300) if run.prompt else None


def _tell_dropped(view: AnswerView, count: int) -> None:
    if count:
        view.note(f"Its first {counted(count, 'event')} are no longer kept.")


def _finish(view: AnswerView, run: Run, missing: int, label: str) -> None:
    if missing:
        view.note(f"Of the others, {missing:,} are missing.")
    view.finish(
        footer_text(
            label=label,
            turn=0,
            usage=run.usage,
            seconds=run.duration or 0.0,
            agent=run.agent_name,
            saved=f"{run.status}, replayed: no tokens spent",
        )
    )


@cache
def _reader() -> TypeAdapter[Any]:
    from ag_ui.core import Event as AnyEvent

    return TypeAdapter[Any](AnyEvent)


def parsed(event: Event) -> BaseEvent | None:
    """Return an event as the protocol has it; None where it knows none of this type.

    Examples
    --------
    >>> parsed(Event(seq=0, type="NONSENSE", data={"type": "NONSENSE"})) is None
    True
    """
    try:
        found: BaseEvent = _reader().validate_python(event.data)
    except ValidationError:
        return None
    return found
