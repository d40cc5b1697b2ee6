from __future__ import annotations

from nbsessions import SessionRecord
from nbsessions.values import now


def test_a_record_is_labelled_by_its_name_or_the_end_of_its_id() -> None:
    record = SessionRecord(
        session_id="0123456789abcdef", agent_name="local", owner="ada", created_at=now(), updated_at=now()
    )
    assert record.label == "89abcdef"
    assert record.model_copy(update={"name": "plan"}).label == "plan"
