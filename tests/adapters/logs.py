"""The log of every run in these tests is held against the protocol."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ag_ui.core import Event
from ag_ui_validate import create_validator
from pydantic import TypeAdapter

_EVENT: TypeAdapter[Any] = TypeAdapter(Event)


# The validator knows the fields of an earlier protocol; the protocol's own models know those of ours.
_FIELDS = "AGUI504"


def check(events: Iterable[dict[str, Any]]) -> None:
    """Fail where a log is not what AG-UI says: by its validator, and by the protocol's own models."""
    validator = create_validator()
    for event in events:
        _EVENT.validate_python(event)
        validator.feed(event)
    validator.finalize()
    wrong = [
        f"{one.rule} at {one.event_index}: {one.message}"
        for one in validator.report().diagnostics
        if one.severity != "info" and one.rule != _FIELDS
    ]
    assert not wrong, "\n".join(wrong)
