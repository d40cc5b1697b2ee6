"""Usage over HTTP."""

from __future__ import annotations

import httpx2
import pytest

from nbsessions import Store, Usage
from nbsessions.testing import ScriptedAgent


@pytest.fixture(scope="module")
def filled(people_store: Store) -> Store:
    agent = ScriptedAgent([["Owls eat mice.", Usage(input_tokens=10, output_tokens=5)]], model="m1")
    people_store.create("owls", agent_name="poet", tags=["bird"]).send("What do owls eat?", agent=agent)
    return people_store


def test_what_was_spent_is_added_up(ada: httpx2.Client, filled: Store) -> None:
    (row,) = ada.get("/usage").json()["rows"]
    assert (row["model"], row["runs"], row["usage"]["input_tokens"]) == ("m1", 1, 10)
    day = row["day"]
    (row,) = ada.get("/usage", params={"by": "session,status,tag"}).json()["rows"]
    assert row["session_id"] == filled.record("owls").session_id
    assert (row["status"], row["tag"], row["model"], row["day"]) == ("completed", "bird", None, None)
    assert ada.get("/usage", params={"until": day}).json()["rows"] == []
    assert len(ada.get("/usage", params={"since": day, "session_id": row["session_id"]}).json()["rows"]) == 1
    for wrong in (
        {"by": "owner"},
        {"by": ""},
        {"by": "day;model"},
        {"since": "soon"},
        {"conversation_id": "c1"},
    ):
        assert ada.get("/usage", params=wrong).status_code == 400, wrong
    assert ada.get("/usage", params={"session_id": "nowhere"}).status_code == 404
