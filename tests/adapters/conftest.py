"""What holds for all adapters."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from ag_ui.core import BaseEvent, EventType

from nbsessions.recorder import Recorder, _written
from tests.adapters import logs


@pytest.fixture(autouse=True)
def conformant(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whatever a test is about, the logs of its runs are valid."""
    recorders: list[Recorder] = []
    make = Recorder.__init__

    def makes(recorder: Recorder, *arguments: Any, **options: Any) -> None:
        recorders.append(recorder)
        make(recorder, *arguments, **options)

    monkeypatch.setattr(Recorder, "__init__", makes)
    yield
    # A run that waited for a decision has gone on in another one's hands.
    events: dict[str, list[BaseEvent]] = {}
    for recorder in recorders:
        events.setdefault(recorder._run_id, []).extend(recorder._events)
    for log in events.values():
        if log and log[-1].type in (EventType.RUN_FINISHED, EventType.RUN_ERROR):
            logs.check(json.loads(_written(event)) for event in log)
