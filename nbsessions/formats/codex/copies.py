"""Forked rollouts of Codex: what was said before stands at their beginning once more."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from nbsessions.formats.reading import text_of

_PAUSE: Final = timedelta(seconds=0.5)
"""A copy is written without one."""
_STARTS: Final = ("task_started", "turn_started")


class Copy:
    """Tells which lines at the beginning of a fork are copies of its parent's.

    The id of a turn tells when it began; where turns have none, a copy is what was written at one go.

    Parameters
    ----------
    session_id : str or None
    forked : bool
        Its first line says that it is a fork.

    Attributes
    ----------
    under_way : bool
        Whether the line that was passed by last is a copy.

    Examples
    --------
    >>> copy = Copy("s2", forked=False)
    >>> copy.pass_by("session_meta", {"id": "s1"}, None)
    >>> copy.under_way
    True
    """

    def __init__(self, session_id: str | None, *, forked: bool) -> None:
        self.under_way = forked
        self._session_id = session_id
        self._born = _time_of(session_id)
        self._last: datetime | None = None
        self._by_ids = False

    def pass_by(self, kind: str, payload: dict[str, Any], at: datetime | None) -> None:
        """Look at the next line."""
        if kind == "session_meta" and text_of(payload.get("id")) not in (None, self._session_id):
            self.under_way = True
        if not self.under_way:
            return
        starts = kind == "turn_context" or payload.get("type") in _STARTS
        began = _time_of(payload.get("turn_id")) if starts else None
        if began is not None and self._born is not None:
            self._by_ids, self.under_way = True, began < self._born
        elif not self._by_ids and at is not None and self._last is not None:
            self.under_way = at - self._last < _PAUSE
        self._last = at or self._last


def _time_of(name: object) -> int | None:
    """Return the milliseconds that a UUID of version 7 begins with."""
    try:
        found = UUID(name) if isinstance(name, str) else None
    except ValueError:
        return None
    return found.int >> 80 if found is not None and found.version == 7 else None
