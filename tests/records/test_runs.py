from __future__ import annotations

from datetime import timedelta

from nbsessions import Run
from nbsessions.values import now


def test_a_run_has_no_duration_before_its_end() -> None:
    at = now()
    run = Run(run_id="r", session_id="s", agent_name="local", started_at=at)
    assert run.duration is None
    assert run.model_copy(update={"finished_at": at + timedelta(seconds=2)}).duration == 2


def test_what_a_run_returned_is_not_part_of_its_record() -> None:
    run = Run(run_id="r", session_id="s", agent_name="local", started_at=now(), output=object())
    assert "output" not in run.model_dump()
