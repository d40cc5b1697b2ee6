"""The log of every run in these tests is held against the protocol."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ag_ui.core import Event
from ag_ui_validate import create_validator
from pydantic import TypeAdapter

_EVENT: TypeAdapter[Any] = TypeAdapter(Event)


def check(events: Iterable[dict[str, Any]]) -> None:
    """Fail where a log is not what AG-UI says: by its validator, and by the protocol's own models."""
    validator = create_validator()
    for event in events:
        _EVENT.validate_python(event)
        validator.feed(event)
    validator.finalize()
    wrong = [f"{one.rule} at {one.event_index}: {one.message}" for one in validator.report().diagnostics]
    assert not wrong, "\n".join(wrong)
