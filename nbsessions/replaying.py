"""A run shown again, event by event, as it looked when it happened."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from nbsessions.display import AnswerView
from nbsessions.exceptions import InvalidInput
from nbsessions.records import Event, EventPage, Run
from nbsessions.reprs import footer_text
from nbsessions.text import counted, one_line

if TYPE_CHECKING:
    from ag_ui.core import BaseEvent

_PAGE = 500


def replay(
    run: Run,
    page: Callable[[int, int], EventPage],
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
    with AnswerView(title=one_line(run.prompt, 300) if run.prompt else None) as view:
        found = page(-1, _PAGE)
        first = found[0].seq if found else found.event_count
        if first:
            view.note(f"Its first {counted(first, 'event')} are no longer kept.")
        while found:
            for event in found:
                at = event.data.get("timestamp")
                if speed and last is not None and isinstance(at, int):
                    sleep(max(0, at - last) / 1000 / speed)
                last = at if isinstance(at, int) else last
                shown = _parsed(event)
                if shown is not None:
                    view.event(shown)
            seen += len(found)
            found = page(found.cursor, _PAGE)
        if first + seen < found.event_count:
            view.note(f"Of the others, {found.event_count - first - seen:,} are missing.")
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


def _parsed(event: Event) -> BaseEvent | None:
    """Return an event as the protocol has it; None where it knows none of this type."""
    from ag_ui.core import Event as AnyEvent

    try:
        parsed: BaseEvent = TypeAdapter[Any](AnyEvent).validate_python(event.data)
    except ValidationError:
        return None
    return parsed
