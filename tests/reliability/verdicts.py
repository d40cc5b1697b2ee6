"""What came of a flip: the same as before, damage that is named, or something worse."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tests.reliability.reading import WHOLE, Reading, damaged_turns, differences

STUCK, MESSAGES, UNTYPED, WRONG = (
    "stuck, or crashed",
    "other messages, silently",
    "an error that is not ours",
    "other values, silently",
)
MISNAMED, EARLIER, SHORT, NAMED, SAME = (
    "an error that names no damage",
    "an earlier state, silently",
    "taken for a write cut short",
    "damage that is named",
    "no difference",
)
CLASSES: dict[str, int | None] = {
    STUCK: 0,
    MESSAGES: 0,
    UNTYPED: 0,
    WRONG: 0,
    # The end of the log is gone, and nobody says so.
    EARLIER: 0,
    # An index that leads nowhere: what it led to is not found.
    MISNAMED: None,
    # The last page of the log: so it is where a process died in the midst of a write.
    SHORT: None,
    NAMED: None,
    SAME: None,
}
"""What can come of a flip, the worst first, and how often it may."""


class Flip(NamedTuple):
    """What came of one flip."""

    number: int
    kind: str
    where: list[str]
    fields: list[str]
    """What was read otherwise."""
    error: str = ""
    turn: bool = False
    """Whether a damaged turn was named."""
    others: int = 0
    """Sessions without that turn which could not be read, or were read otherwise."""
    before: int = 0
    """Sessions with that turn which did not go back before it."""
    whole: bool = False
    """Whether nothing of the store could be read."""


def judge(number: int, before: Reading, after: Reading) -> Flip:
    """Compare what was read."""
    differing = {*_otherwise(before, after)}
    named = damaged_turns(after.failures)
    if named:  # which says also why a run's prompt is not there: its turn has it
        differing -= {"runs.prompt"}
    # What `list` gives and what `resume` gives is told once.
    fields = sorted(one for one in differing if one.replace("resume.", "record.") not in differing - {one})
    kinds = {failure.kind for failure in after.failures}
    error = next((str(failure) for failure in after.failures if failure.kind == "untyped"), "")
    error = error or next((str(failure) for failure in after.failures), "")
    drafted = "record.draft" in fields or "resume.draft" in fields
    if "messages" in fields or ("draft" in fields and not drafted):
        kind = MESSAGES
    elif "untyped" in kinds:
        kind = UNTYPED
    elif fields and "named" not in kinds:
        kind = WRONG
    elif "misnamed" in kinds:
        kind = MISNAMED
        error = next(str(failure) for failure in after.failures if failure.kind == "misnamed")
    else:
        kind = NAMED if after.failures else SAME
    whole = not any(part != WHOLE for part in after.parts)
    return Flip(number, kind, [], fields, error, bool(named), whole=whole)


def _otherwise(before: Reading, after: Reading) -> Iterator[str]:
    """Yield what was read, and was something else before. What was refused is not among it."""
    for part, value in after.parts.items():
        if part not in before.parts:
            yield f"{part[1]} of no session"
        else:
            yield from differences(before.parts[part], value, part[1])
