"""What holds for all adapters."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from nbsessions.recorder import Recorder, _written
from tests.adapters import logs


@pytest.fixture(autouse=True)
def conformant(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whatever a test is about, the logs of its runs are valid."""
    recorders: list[Recorder] = []
    begin = Recorder.begin

    def begins(recorder: Recorder, *arguments: Any) -> None:
        recorders.append(recorder)
        begin(recorder, *arguments)

    monkeypatch.setattr(Recorder, "begin", begins)
    yield
    for recorder in recorders:
        if recorder._ended:
            logs.check(json.loads(_written(event)) for event in recorder._events)
