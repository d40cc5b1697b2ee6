"""Adding up what was spent: by day and model, and by what is known of the sessions."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import TYPE_CHECKING, Any, Final

from nbsessions.records import NOTHING, Run, SessionRecord, Usage
from nbsessions.stores.arguments import Key
from nbsessions.stores.queries import Group, Query, Spending, Total

if TYPE_CHECKING:
    from nbsessions.stores.base import Backend

OF_SESSIONS: Final = frozenset({"session", "name", "notebook", "tag", "owner"})
"""What is not known of a run whose session was deleted."""


class Tally:
    """Totals by group, on their way.

    Examples
    --------
    >>> tally = Tally()
    >>> for _ in range(2):
    ...     tally.add(("gpt-4o",), 1, Usage(input_tokens=3, requests=1))
    >>> [(total.group, total.runs, total.usage.input_tokens) for total in tally.totals()]
    [(('gpt-4o',), 2, 6)]
    """

    def __init__(self) -> None:
        self._found: dict[tuple[object, ...], tuple[int, Usage]] = {}

    def add(self, group: tuple[object, ...], runs: int, usage: Usage) -> None:
        """Count so many runs, and what they spent."""
        known = self._found.get(group)
        self._found[group] = (runs, usage) if known is None else (known[0] + runs, known[1] + usage)

    def totals(self) -> list[Total]:
        """Return what was counted."""
        return [Total(group, runs, usage) for group, (runs, usage) in self._found.items()]


def is_about_sessions(asked: Spending) -> bool:
    """Tell whether it takes sessions, or single runs, to answer."""
    if asked.tag is not None or asked.owner is not None or asked.key is not None:
        return True
    return bool(OF_SESSIONS.intersection(asked.by)) or "status" in asked.by


def spending(backend: Backend, asked: Spending) -> list[Total]:
    """Answer by looking at every run: what any store can do.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> store = nbs.open_store("memory:")
    >>> _ = store.create("plan").send("Hello", agent=lambda prompt: "Hi")
    >>> [total.runs for total in spending(store.backend, Spending(by=("status",)))]
    [1]
    """
    tally = Tally()
    runs = backend.runs(asked.key)
    known = {Key.of(record): record for record in backend.find(Query(conversation_id=None))}
    for run in runs:
        count(tally, asked, run, known.get(Key.of(run)))
    return tally.totals()


def count(tally: Tally, asked: Spending, run: Run, record: SessionRecord | None) -> None:
    """Count one run, whose session may be gone, as far as it is asked for."""
    if run.status == "running" or not _is_asked(asked, run, record):
        return
    begun = (run.started_at.date(), run.model or None, run.provider or None)
    pieces = [(share.day, share.model or None, share.provider or None, share.usage) for share in run.spending]
    if not any(piece[:3] == begun for piece in pieces):
        pieces.append((*begun, Usage()))
    counted = False
    for day, model, provider, usage in pieces:
        first = not counted and (day, model, provider) == begun
        counted = counted or first
        nothing = not first and usage == NOTHING
        if nothing or not _is_within(asked, day) or asked.model not in (None, model):
            continue
        facts: dict[str, object] = {"day": day, "model": model, "provider": provider}
        for group in _groups(asked.by, facts, run, record):
            tally.add(group, int(first), usage)


def _is_within(asked: Spending, day: Any) -> bool:
    return (asked.since is None or day >= asked.since) and (asked.until is None or day < asked.until)


def _is_asked(asked: Spending, run: Run, record: SessionRecord | None) -> bool:
    return (
        asked.agent_name in (None, run.agent_name)
        and (asked.tag is None or (record is not None and asked.tag in record.tags))
        and (asked.owner is None or (record is not None and record.owner == asked.owner))
        and (asked.key is None or (record is not None and Key.of(record) == asked.key))
    )


def _groups(
    by: Any, facts: dict[str, object], run: Run, record: SessionRecord | None
) -> Iterator[tuple[object, ...]]:
    """Yield the groups that it belongs to: one, or one for each tag."""
    values: list[list[object]] = [_values(group, facts, run, record) for group in by]
    yield from product(*values)


def _values(group: Group, facts: dict[str, object], run: Run, record: SessionRecord | None) -> list[object]:
    if group in facts:
        return [facts[group]]
    if group in ("agent_name", "status"):
        return [getattr(run, group)]
    if record is None:
        return [None]
    if group == "tag":
        return list(record.tags) or [None]
    return [Key.of(record) if group == "session" else getattr(record, group)]
