"""Which of two tells more of what a run spent: a file may be older, or newer, than what is stored."""

from __future__ import annotations

from typing import Any, Final

from nbsessions.records import Run, Usage

_COUNTS: Final = [name for name in Usage.model_fields if name not in ("cost", "unpriced_tokens")]
_SPENT: Final = ("usage", "shares", "priced_by", "model", "provider")


def tells_more(run: Run, known: Run) -> bool:
    """Tell whether a run has ended since it was stored, spent more, or has a price now.

    An older file tells less. What is priced stays as it is, whatever the prices of today are.

    Examples
    --------
    >>> from nbsessions.stores.base import Key
    >>> from nbsessions.testing.samples import a_run
    >>> run = a_run(Key("", "s1"))
    >>> tells_more(run.model_copy(update={"status": "completed"}), run), tells_more(run, run)
    (True, False)
    """
    if known.status == "running":
        return run.status != "running"
    counts = [(getattr(run.usage, name), getattr(known.usage, name)) for name in _COUNTS]
    if any(now < before for now, before in counts):
        return False
    return any(now > before for now, before in counts) or _is_told_better(run, known)


def _is_told_better(run: Run, known: Run) -> bool:
    """Tell whether the same tokens have a price now, or the days that an earlier version did not keep."""
    unpriced, before = run.usage.unpriced_tokens, known.usage.unpriced_tokens
    if unpriced != before:
        return unpriced < before
    priced = run.usage.cost is not None and known.usage.cost is None
    return priced or bool(run.shares and not known.shares)


def best_known(run: Run, kept: Run) -> Run:
    """Return a run whose session comes back, with what was kept of it where that tells more.

    It may have ended, or got a price, after its session was written into a file.

    Examples
    --------
    >>> from nbsessions.stores.base import Key
    >>> from nbsessions.testing.samples import a_run
    >>> run = a_run(Key("", "s1"))
    >>> kept = run.model_copy(update={"status": "completed", "usage": Usage(input_tokens=3)})
    >>> best_known(run, kept).usage.input_tokens, best_known(kept, run).usage.input_tokens
    (3, 3)
    """
    if kept.status == "running" or tells_more(run, kept):
        return run
    known: dict[str, Any] = {name: getattr(kept, name) for name in _SPENT}
    if run.status in ("running", "suspended"):
        known |= {"status": kept.status, "finished_at": kept.finished_at, "worker": None, "lease_until": None}
    return run.model_copy(update=known)
