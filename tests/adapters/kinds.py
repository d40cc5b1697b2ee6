"""What happened in a run, whatever else came meanwhile, and however slow it was."""

from __future__ import annotations

from collections.abc import Iterable

from nbsessions.records import Event


def kinds(events: Iterable[Event]) -> list[str]:
    """The types of events, and the names of our own.

    Those about usage are left out: they come when they come. What is told in pieces is there once: how many
    there are is a matter of time.
    """
    found: list[str] = []
    for event in events:
        kind = event.data.get("name") or event.type
        if kind == "nbsessions.usage" or (found and found[-1] == kind and event.data.get("delta")):
            continue
        found.append(kind)
    return found
